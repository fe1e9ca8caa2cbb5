// SPDX-License-Identifier: Apache-2.0
//
// Asks the server that runs on the log, or does it itself if there is none.
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "kt-server/admin_grpc.h"
#include "kt-server/commands.h"
#include "kt-server/eraser.h"
#include "kt-server/event_log.h"
#include "kt-server/log_files.h"
#include "kt-server/server_config.h"

namespace kt::server {
namespace {

// The files that held a value are rewritten before an erasure is answered.
constexpr auto kTimeout = std::chrono::minutes(30);

struct EraseOptions {
  std::string config;
  std::string address;
  std::optional<base::Version> version;
  bool all = false;
  bool json = false;
};

using Call = std::function<grpc::Status(admin::Admin::StubInterface&, grpc::ClientContext*)>;

absl::Status AskServer(const std::string& database, const Call& call) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // the list of erasures; from our own server
  const auto channel = grpc::CreateCustomChannel(absl::StrCat("unix:", AdminSocket(database)),
                                                 grpc::InsecureChannelCredentials(), arguments);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  const grpc::Status status = call(*admin::Admin::NewStub(channel), &context);
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

// `with_log` if the log can be opened, `call` if a server has it open.
absl::Status Reach(const ServerConfig& config,
                   const std::function<absl::Status(OpenedLog&)>& with_log, const Call& call) {
  KT_RETURN_IF_ERROR(CheckHoldsLog(config));
  ServerConfig for_one_call = config;
  for_one_call.log.leaf_memory_bytes = 0;
  absl::StatusOr<OpenedLog> opened = OpenLog(for_one_call, base::SystemRandom());
  if (opened.ok()) return with_log(*opened);
  if (!absl::IsAborted(opened.status())) return opened.status();
  return AskServer(config.log.database, call);
}

absl::StatusOr<ErasureReport> AskForErasure(const EraseOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  ErasureReport report;
  const auto here = [&](OpenedLog& opened) -> absl::Status {
    EventLog events(config.logging.level);
    KT_ASSIGN_OR_RETURN(report, Eraser(*opened.log, *opened.store, events, base::SystemClock())
                                    .Erase(options.address, options.version));
    return absl::OkStatus();
  };
  const auto there = [&](admin::Admin::StubInterface& stub, grpc::ClientContext* context) {
    admin::EraseRequest request;
    request.set_address(options.address);
    if (options.version.has_value()) request.set_version(*options.version);
    admin::EraseResponse response;
    const grpc::Status status = stub.Erase(context, request, &response);
    report = {response.versions(), response.erased(), absl::OkStatus()};
    if (!response.unreclaimed().empty()) {
      report.reclaimed = absl::UnavailableError(response.unreclaimed());
    }
    return status;
  };
  KT_RETURN_IF_ERROR(Reach(config, here, there));
  return report;
}

int Erase(const EraseOptions& options) {
  const absl::StatusOr<ErasureReport> report = AskForErasure(options);
  if (!report.ok()) return ExitCodeOf(report.status());
  const bool reclaimed = report->reclaimed.ok();
  if (options.json) {
    nlohmann::ordered_json json = {
        {"versions", report->versions}, {"erased", report->erased}, {"files_gone", reclaimed}};
    if (!reclaimed) json["error"] = std::string(report->reclaimed.message());
    std::cout << json.dump() << "\n";
  } else {
    std::cout << "erased " << report->erased << " of " << report->versions << " versions"
              << (report->erased < report->versions ? "; the others had been erased before" : "")
              << "\n";
  }
  if (reclaimed) return 0;
  std::cerr << "kt-server: the erasure is recorded, but not finished: "
            << std::string(report->reclaimed.message())
            << "; a running server tries again every minute, and tells of it in its log "
               "(erasure_finished); or run this command again\n";
  return kExitUnfinished;
}

void Print(const ErasureRow& row) {
  const absl::Time time = absl::FromUnixMillis(static_cast<int64_t>(row.erased_at_ms));
  const nlohmann::ordered_json json = {
      {"erased_at", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone())},
      {"vrf_output", base::ToHex(row.vrf_output.bytes)},
      {"version", row.version},
      {"position", row.position}};
  std::cout << json.dump() << "\n";
}

absl::Status ListErasures(const EraseOptions& options) {
  KT_ASSIGN_OR_RETURN(const ServerConfig config, LoadServerConfig(options.config));
  const auto here = [&](OpenedLog& opened) -> absl::Status {
    KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot,
                        opened.store->GetSnapshot());
    KT_ASSIGN_OR_RETURN(const std::vector<ErasureRow> rows, snapshot->ReadErasures());
    for (const ErasureRow& row : rows) Print(row);
    return absl::OkStatus();
  };
  const auto there = [&](admin::Admin::StubInterface& stub, grpc::ClientContext* context) {
    admin::ListErasuresResponse response;
    const grpc::Status status = stub.ListErasures(context, {}, &response);
    for (const auto& erasure : response.erasures()) {
      ErasureRow row;
      if (erasure.vrf_output().size() != row.vrf_output.bytes.size()) continue;
      std::copy(erasure.vrf_output().begin(), erasure.vrf_output().end(),
                row.vrf_output.bytes.begin());
      row.version = erasure.version();
      row.position = erasure.position();
      row.erased_at_ms = erasure.erased_at_ms();
      Print(row);
    }
    return status;
  };
  return Reach(config, here, there);
}

}  // namespace

void AddEraseCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<EraseOptions>();
  CLI::App* const erase = app.add_subcommand(
      "erase",
      "Erase what versions of an address held, for good: the certificates, and what opens the\n"
      "log's commitments to them. All proofs stay valid. Works while the server runs, and "
      "without.\n"
      "Exit code 4: erased and recorded, but files of the database may still hold it for a while");
  erase->add_option("--config", options->config, "Configuration file")->required();
  erase->add_option("ADDRESS", options->address, "The address")->required();
  CLI::Option_group* const which = erase->add_option_group("versions");
  which->add_option("--version", options->version, "This version alone");
  which->add_flag("--all", options->all, "All versions that exist now");
  which->require_option(1);
  erase->add_flag("--json", options->json, "Print JSON");
  erase->callback([=] { *exit_code = Erase(*options); });

  CLI::App* const list = app.add_subcommand(
      "erasures",
      "List what was ever erased, one JSON object a line. The VRF output stands for address and\n"
      "version; it names neither to anybody but those who can look the address up");
  list->add_option("--config", options->config, "Configuration file")->required();
  list->callback([=] { *exit_code = ExitCodeOf(ListErasures(*options)); });
}

}  // namespace kt::server
