// SPDX-License-Identifier: Apache-2.0
//
// kt-client verify: checks a saved response without any network.
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"
#include "kt-client/state_store.h"
#include "kt-core/operations.h"
#include "kt-core/response_verifier.h"

namespace kt::client {
namespace {

constexpr size_t kMaxInputBytes = 64 << 20;
constexpr int kLockTimeoutMs = 10'000;

struct VerifyOptions {
  std::string config;
  std::string request;
  std::string response;
  std::string state;
  std::optional<uint64_t> at_ms;
  bool absence = false;
  bool json = false;
};

struct Verified {
  core::SearchRequest request;
  base::Version version = 0;
  std::optional<base::Bytes> value;  // nullopt for an absence
  bool monitoring_required = false;
  core::UserState state;
};

template <typename T>
absl::StatusOr<T> ReadStructure(const std::string& path, const char* name) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxInputBytes));
  absl::StatusOr<T> value = base::codec::Decode<T>(bytes);
  if (value.ok()) return value;
  return base::Annotate(value.status(), absl::StrCat(path, " is not a ", name));
}

absl::StatusOr<Verified> VerifyWith(const core::ResponseVerifier& verifier,
                                    const VerifyOptions& options, const core::UserState* previous) {
  Verified verified;
  KT_ASSIGN_OR_RETURN(verified.request,
                      ReadStructure<core::SearchRequest>(options.request, "SearchRequest"));
  KT_ASSIGN_OR_RETURN(const base::Bytes response, base::ReadFile(options.response, kMaxInputBytes));
  const uint64_t now_ms = options.at_ms.value_or(base::SystemClock().NowMs());
  if (options.absence) {
    KT_ASSIGN_OR_RETURN(core::VerifiedAbsence result,
                        verifier.VerifyAbsence(verified.request, response, previous, now_ms));
    verified.version = result.version;
    verified.state = std::move(result.state);
    return verified;
  }
  KT_ASSIGN_OR_RETURN(core::VerifiedSearch result,
                      verifier.VerifySearch(verified.request, response, previous, now_ms));
  verified.version = result.version;
  verified.value = std::move(result.value);
  verified.monitoring_required = result.monitoring_required;
  verified.state = std::move(result.state);
  return verified;
}

absl::StatusOr<Verified> Verify(const VerifyOptions& options) {
  KT_ASSIGN_OR_RETURN(const base::Bytes config_bytes,
                      base::ReadFile(options.config, kMaxInputBytes));
  absl::StatusOr<core::Configuration> config = core::DecodeConfiguration(config_bytes);
  if (!config.ok()) return base::Annotate(config.status(), options.config);
  const base::Hash fingerprint = core::ConfigurationFingerprint(*config);
  KT_ASSIGN_OR_RETURN(const auto verifier, core::ResponseVerifier::Create(*config));
  if (options.state.empty()) return VerifyWith(*verifier, options, nullptr);

  KT_ASSIGN_OR_RETURN(const StateStore store, StateStore::Open(options.state));
  KT_ASSIGN_OR_RETURN(StateStore::Session session, store.Lock(fingerprint, kLockTimeoutMs));
  const std::optional<LogRecord>& record = session.record();
  const core::UserState* const previous =
      record.has_value() && record->state.has_value() ? &*record->state : nullptr;
  KT_ASSIGN_OR_RETURN(Verified verified, VerifyWith(*verifier, options, previous));
  KT_RETURN_IF_ERROR(session.Save({LogRecord::kFormat, *std::move(config), verified.state}));
  return verified;
}

void Print(const VerifyOptions& options, const Verified& verified) {
  const std::string label = base::ToText(verified.request.label);
  if (options.json) {
    nlohmann::ordered_json json = {{"operation", options.absence ? "absence" : "search"},
                                   {"label", label},
                                   {"version", verified.version}};
    if (verified.value.has_value()) {
      json["value"] = base::ToBase64(*verified.value);
      json["monitoring_required"] = verified.monitoring_required;
    }
    json["tree_size"] = verified.state.tree_size();
    PrintJson(json);
    return;
  }
  std::cout << "verified: ";
  if (verified.value.has_value()) {
    std::cout << "version " << verified.version << " with a value of " << verified.value->size()
              << " bytes";
  } else {
    std::cout << "version " << verified.version << " does not exist";
  }
  std::cout << ", in a log of " << verified.state.tree_size() << " entries\n";
}

void Run(const VerifyOptions& options, int* exit_code) {
  const absl::StatusOr<Verified> verified = Verify(options);
  if (!verified.ok()) {
    *exit_code = ReportError(verified.status(), options.json);
    return;
  }
  Print(options, *verified);
  *exit_code = options.absence ? kExitAbsent : kExitFound;
}

}  // namespace

void AddVerifyCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* const command = app.add_subcommand(
      "verify", "Check a saved search response offline; all files are TLS-encoded as in the draft");
  command->footer(kExitCodesHelp);
  command->add_option("--config", options->config, "Configuration of the log")->required();
  command->add_option("--request", options->request, "SearchRequest")->required();
  command->add_option("--response", options->response, "SearchResponse")->required();
  command->add_flag("--absence", options->absence,
                    "The response is an AbsenceResponse (docs/extensions.md)");
  command->add_option("--state", options->state,
                      "Directory of the client's state; read, and updated on success");
  command->add_option("--at", options->at_ms,
                      "The clock, in milliseconds since 1970 [the machine's]");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=] { Run(*options, exit_code); });
}

}  // namespace kt::client
