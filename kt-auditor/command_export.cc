// SPDX-License-Identifier: Apache-2.0
//
// Commands that audit without signing: export, verify.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status.h"
#include "kt-auditor/auditor_config.h"
#include "kt-auditor/commands.h"
#include "kt-auditor/export_file.h"
#include "kt-auditor/log_auditor.h"
#include "kt-auditor/log_connection.h"
#include "kt-auditor/progress.h"

namespace kt::auditor {
namespace {

struct ExportOptions {
  LogServer server;
  std::string fingerprint;
  base::LogPosition from = 0;
  std::optional<base::LogPosition> to;
  std::string out;
};

// The state before entry `from`, as the log states it.
absl::StatusOr<core::AuditorState> StateBefore(LogConnection& connection, base::LogPosition from) {
  if (from == 0) return core::AuditorState{};
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, connection.GetStart(from));
  const auto start = base::codec::Decode<core::AuditorStart>(bytes);
  if (!start.ok() || start->tree_size != from) {
    return absl::InvalidArgumentError("the log did not send the start that was asked for");
  }
  return core::BeginAuditing(*start);
}

absl::Status Export(const ExportOptions& options) {
  KT_ASSIGN_OR_RETURN(const auto connection, ConnectToLog(options.server));
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, connection->GetConfiguration());
  ExportHeader header;
  KT_ASSIGN_OR_RETURN(header.config, core::DecodeConfiguration(bytes));
  if (!options.fingerprint.empty()) {
    KT_ASSIGN_OR_RETURN(const base::Hash expected, ParseFingerprint(options.fingerprint));
    if (core::ConfigurationFingerprint(header.config) != expected) {
      return base::VerificationFailed("configuration",
                                      "the server shows another log than the expected one");
    }
  }
  KT_ASSIGN_OR_RETURN(header.state, StateBefore(*connection, options.from));
  KT_ASSIGN_OR_RETURN(const auto writer, ExportWriter::Create(options.out, header));
  std::optional<base::LogPosition> end;
  if (options.to.has_value()) end = *options.to + 1;
  Progress progress("exporting", end.has_value() ? *end - options.from : 0);
  base::LogPosition next = options.from;
  // Without an end, what the log has now: its newest entry comes with its head.
  bool complete = false;
  while (!complete) {
    absl::Status status =
        connection->StreamUpdates(next, end, [&](const AuditRecord& record) -> absl::Status {
          if (record.position != next) {
            return base::VerificationFailed("auditor-position", "the log sent another entry");
          }
          if (!record.update.empty()) {
            KT_RETURN_IF_ERROR(writer->Add(record));
            ++next;
            progress.Update(next - options.from, absl::StrCat(next - options.from, " entries"));
          }
          complete = end.has_value() ? next == *end : !record.tree_head.empty();
          return complete ? absl::CancelledError("") : absl::OkStatus();
        });
    if (!complete && !absl::IsDeadlineExceeded(status)) {
      if (status.ok()) status = absl::UnavailableError("the log ended the stream early");
      return status;
    }
  }
  return writer->Finish();
}

struct VerifyOptions {
  std::string file;
  std::string fingerprint;
  std::optional<base::LogPosition> from;
  std::optional<base::LogPosition> to;
  bool json = false;
};

struct VerifyResult {
  base::LogPosition from = 0;
  core::AuditorState state;
  uint64_t changes = 0;
  uint64_t tree_heads = 0;  // of the log whose signature was verified
  double seconds = 0;
};

absl::Status CheckRange(const VerifyOptions& options, base::LogPosition first) {
  if (options.from.has_value() && *options.from < first) {
    return absl::OutOfRangeError(
        absl::StrCat("the file begins with entry ", first, ", not ", *options.from));
  }
  if (options.from.has_value() && options.to.has_value() && *options.to < *options.from) {
    return absl::InvalidArgumentError("--to is before --from");
  }
  return absl::OkStatus();
}

absl::StatusOr<VerifyResult> Replay(ExportReader& reader, const VerifyOptions& options) {
  VerifyResult result;
  const base::LogPosition first = reader.header().state.tree_size;
  KT_RETURN_IF_ERROR(CheckRange(options, first));
  result.from = options.from.value_or(first);
  KT_ASSIGN_OR_RETURN(LogAuditor auditor,
                      LogAuditor::Create(reader.header().config, reader.header().state));
  Progress progress("verifying", reader.file_bytes());
  const auto begin = std::chrono::steady_clock::now();
  uint64_t changes_before = 0;
  while (true) {
    KT_ASSIGN_OR_RETURN(const std::optional<AuditRecord> record, reader.Next());
    if (!record.has_value()) break;
    // What comes behind the range is read on to the file's seal, but not verified.
    if (options.to.has_value() && record->position > *options.to) continue;
    const absl::StatusOr<bool> is_signed = auditor.Apply(*record);
    if (!is_signed.ok()) {
      return base::Annotate(is_signed.status(), absl::StrCat("entry ", record->position));
    }
    // An entry's place follows from those before it, so they are verified as well.
    if (record->position < result.from) {
      changes_before = auditor.changes();
    } else if (*is_signed) {
      ++result.tree_heads;
    }
    progress.Update(reader.bytes_read(), absl::StrCat(auditor.state().tree_size, " entries, ",
                                                      auditor.changes(), " changes"));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const base::TreeSize last = auditor.state().tree_size;
  if (last <= result.from || (options.to.has_value() && last <= *options.to)) {
    return absl::OutOfRangeError(absl::StrCat("the file ends before entry ", last));
  }
  result.state = auditor.state();
  result.changes = auditor.changes() - changes_before;
  return result;
}

absl::Status Verify(const VerifyOptions& options) {
  KT_ASSIGN_OR_RETURN(const auto reader, ExportReader::Open(options.file));
  const base::Hash fingerprint = core::ConfigurationFingerprint(reader->header().config);
  if (!options.fingerprint.empty()) {
    KT_ASSIGN_OR_RETURN(const base::Hash expected, ParseFingerprint(options.fingerprint));
    if (fingerprint != expected) {
      return base::VerificationFailed("configuration", "the file is of another log");
    }
  }
  KT_ASSIGN_OR_RETURN(const VerifyResult result, Replay(*reader, options));
  const base::LogPosition to = result.state.tree_size - 1;
  const std::string root = base::ToHex(core::RootOf(result.state).bytes);
  if (options.json) {
    const nlohmann::ordered_json json = {{"verified", true},
                                         {"fingerprint", base::ToHex(fingerprint.bytes)},
                                         {"from", result.from},
                                         {"to", to},
                                         {"changes", result.changes},
                                         {"tree_heads", result.tree_heads},
                                         {"timestamp_ms", result.state.frontier.back().timestamp},
                                         {"root", root},
                                         {"seconds", result.seconds}};
    std::cout << json.dump() << "\n";
    return absl::OkStatus();
  }
  std::cout << "verified entries " << result.from << " to " << to << ": " << result.changes
            << " changes, " << result.tree_heads << " tree heads signed by the log\n"
            << "fingerprint  sha256:" << base::ToHex(fingerprint.bytes) << "\n"
            << "tree size    " << result.state.tree_size << "\n"
            << "root         " << root << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddExportCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<ExportOptions>();
  CLI::App* const command =
      app.add_subcommand("export", "Write a part of a log to a file, to be verified without it");
  command->add_option("--server", options->server.address, "The log's server as HOST:PORT")
      ->required();
  command->add_option("--tls-name", options->server.tls_name,
                      "Whom the server's certificate must name [the host]");
  command->add_option("--ca", options->server.ca_file,
                      "CAs that may vouch for the server (PEM) [the system's]");
  command->add_option("--fingerprint", options->fingerprint,
                      "The log's fingerprint, as kt-server config shows it");
  command->add_option("--from", options->from, "First entry")->capture_default_str();
  command->add_option("--to", options->to, "Last entry; waits for it [the newest]");
  command->add_option("--out", options->out, "File to write")->required();
  command->footer(kExitCodesHelp);
  command->callback([=] {
    const bool backwards =
        options->to.has_value() && (*options->to < options->from ||
                                    *options->to == std::numeric_limits<base::LogPosition>::max());
    *exit_code = ExitCodeOf(backwards ? absl::InvalidArgumentError("--to is out of range")
                                      : Export(*options));
  });
}

void AddVerifyCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* const command = app.add_subcommand(
      "verify", "Replay an exported file: every entry, and every tree head that the log signed");
  command->add_option("FILE", options->file, "File that kt-auditor export wrote")->required();
  command->add_option("--fingerprint", options->fingerprint,
                      "The log's fingerprint, as kt-server config shows it");
  command->add_option("--from", options->from, "First entry to report on [the file's first]");
  command->add_option("--to", options->to, "Last entry to verify [the file's last]");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(kExitCodesHelp);
  command->callback([=] { *exit_code = ExitCodeOf(Verify(*options)); });
}

}  // namespace kt::auditor
