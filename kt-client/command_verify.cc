// SPDX-License-Identifier: Apache-2.0
//
// kt-client verify: checks a saved response without any network.
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/kept_refusal.h"
#include "kt-client/log_user.h"
#include "kt-client/output.h"
#include "kt-client/state_store.h"
#include "kt-core/distinguished_forks.h"
#include "kt-core/operations.h"
#include "kt-core/response_verifier.h"

namespace kt::client {
namespace {

constexpr size_t kMaxInputBytes = 64 << 20;
// A state and the answers to it, which the store bounds together.
constexpr size_t kMaxKeptBytes = StateStore::kMaxRefusalBytes;
constexpr char kFork[] = "fork";
constexpr int kLockTimeoutMs = 10'000;

struct VerifyOptions {
  std::string operation = "search";
  std::string config;
  std::string request;
  std::string response;
  std::string state;
  std::string kept;
  std::optional<uint64_t> at_ms;
  bool absence = false;
  bool json = false;
};

// What is printed: fields in order.
using Report = nlohmann::ordered_json;

template <typename T>
absl::StatusOr<T> ReadStructure(const std::string& path, const char* name) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxInputBytes));
  absl::StatusOr<T> value = base::codec::Decode<T>(bytes);
  if (value.ok()) return value;
  return base::Annotate(value.status(), absl::StrCat(path, " is not a ", name));
}

// A saved response and the clock that it is checked by.
struct Saved {
  base::Bytes response;
  uint64_t now_ms;
};

absl::StatusOr<Report> VerifySearch(const VerifyOptions& options, const Saved& saved,
                                    LogUser* user) {
  KT_ASSIGN_OR_RETURN(const auto request,
                      ReadStructure<core::SearchRequest>(options.request, "SearchRequest"));
  absl::StatusOr<SearchResult> result = options.absence
                                            ? user->Absence(request, saved.response, saved.now_ms)
                                            : user->Search(request, saved.response, saved.now_ms);
  KT_RETURN_IF_ERROR(result.status());
  Report report = {{"operation", options.absence ? "absence" : "search"},
                   {"label", base::ToText(request.label)},
                   {"version", result->version}};
  if (result->found) {
    report["value"] = base::ToBase64(result->value);
    report["monitoring_required"] = result->monitoring_required;
  }
  return report;
}

Report ToReport(const core::MonitoringMap& map) {
  Report entries = Report::array();
  for (const core::MonitorMapEntry& entry : map) {
    entries.push_back({{"position", entry.position}, {"version", entry.version}});
  }
  return entries;
}

absl::StatusOr<Report> VerifyContactMonitor(const VerifyOptions& options, const Saved& saved,
                                            LogUser* user) {
  KT_ASSIGN_OR_RETURN(const auto request, ReadStructure<core::ContactMonitorRequest>(
                                              options.request, "ContactMonitorRequest"));
  KT_RETURN_IF_ERROR(user->ContactMonitor(request, saved.response, saved.now_ms));
  const core::ContactState* const contact = user->record().FindWatched(request.label);
  return Report{{"operation", "contact-monitor"},
                {"label", base::ToText(request.label)},
                {"entries", contact == nullptr ? Report::array() : ToReport(contact->map)}};
}

absl::StatusOr<Report> VerifyDistinguished(const VerifyOptions& options, const Saved& saved,
                                           LogUser* user) {
  KT_ASSIGN_OR_RETURN(const auto request, ReadStructure<core::DistinguishedRequest>(
                                              options.request, "DistinguishedRequest"));
  KT_ASSIGN_OR_RETURN(const auto found, user->Distinguished(request, saved.response, saved.now_ms));
  Report heads = Report::array();
  for (const core::DistinguishedEntry& entry : found) {
    heads.push_back({{"position", entry.position},
                     {"timestamp", entry.entry().timestamp},
                     {"root", base::ToHex(entry.root().bytes)}});
  }
  return Report{{"operation", "distinguished"}, {"heads", std::move(heads)}};
}

absl::StatusOr<Report> VerifyOwnerInit(const VerifyOptions& options, const Saved& saved,
                                       LogUser* user) {
  KT_ASSIGN_OR_RETURN(const auto request,
                      ReadStructure<core::OwnerInitRequest>(options.request, "OwnerInitRequest"));
  KT_ASSIGN_OR_RETURN(const auto greatest, user->OwnerInit(request, saved.response, saved.now_ms));
  return Report{{"operation", "owner-init"},
                {"label", base::ToText(request.label)},
                {"start", request.start},
                {"greatest_versions", ToReport(greatest)}};
}

absl::StatusOr<Report> VerifyOwnerMonitor(const VerifyOptions& options, const Saved& saved,
                                          LogUser* user) {
  KT_ASSIGN_OR_RETURN(const auto request, ReadStructure<core::OwnerMonitorRequest>(
                                              options.request, "OwnerMonitorRequest"));
  KT_ASSIGN_OR_RETURN(const bool complete,
                      user->OwnerMonitor(request, saved.response, saved.now_ms));
  const core::OwnerState& owner = user->record().FindOwned(request.label)->owner;
  return Report{{"operation", "owner-monitor"},
                {"label", base::ToText(request.label)},
                {"start", owner.start},
                {"complete", complete},
                {"entries", ToReport(owner.map)}};
}

absl::StatusOr<Report> VerifyUpdate(const VerifyOptions& options, const Saved& saved,
                                    LogUser* user) {
  KT_ASSIGN_OR_RETURN(const auto request,
                      ReadStructure<core::UpdateRequest>(options.request, "UpdateRequest"));
  KT_ASSIGN_OR_RETURN(const UpdateResult update,
                      user->Update(request, saved.response, saved.now_ms));
  Report created = Report::array();
  for (const core::NewVersion& version : update.versions) {
    created.push_back({{"version", version.version}, {"value", base::ToBase64(version.value)}});
  }
  return Report{{"operation", "update"},
                {"label", base::ToText(request.label)},
                {"position", update.position},
                {"own", update.own},
                {"awaits_owner_monitoring", update.awaits_owner_monitoring},
                {"created", std::move(created)}};
}

const char* NameOf(core::CredentialProgress progress) {
  switch (progress) {
    case core::CredentialProgress::kFinal:
      return "final";
    case core::CredentialProgress::kWaiting:
      return "waiting";
    case core::CredentialProgress::kUpdateNeeded:
      return "update-needed";
    case core::CredentialProgress::kUpdateFromLog:
      break;
  }
  return "overdue";
}

// The response is the Credential. If there is a request, it is the credential, and the response its
// CredentialUpdate.
absl::StatusOr<Report> VerifyCredential(const VerifyOptions& options, const Saved& saved,
                                        LogUser* user) {
  base::Bytes credential = saved.response;
  base::Bytes update;
  if (!options.request.empty()) {
    KT_ASSIGN_OR_RETURN(credential, base::ReadFile(options.request, kMaxInputBytes));
    update = saved.response;
  }
  KT_ASSIGN_OR_RETURN(const ReceivedCredential received,
                      user->Credential(credential, update, saved.now_ms));
  return Report{{"operation", "credential"},
                {"label", base::ToText(received.label)},
                {"version", received.version},
                {"value", base::ToBase64(received.value)},
                {"position", received.position},
                {"provisional", received.provisional},
                {"credential_state", NameOf(received.progress)}};
}

using Operation = absl::StatusOr<Report> (*)(const VerifyOptions&, const Saved&, LogUser*);
const std::map<std::string, Operation>& Operations() {
  static const auto* const operations = new std::map<std::string, Operation>{
      {"search", VerifySearch},
      {"contact-monitor", VerifyContactMonitor},
      {"distinguished", VerifyDistinguished},
      {"credential", VerifyCredential},
      {"owner-init", VerifyOwnerInit},
      {"owner-monitor", VerifyOwnerMonitor},
      {"update", VerifyUpdate},
  };
  return *operations;
}

absl::StatusOr<Report> VerifyWith(const VerifyOptions& options, LogUser* user) {
  if (options.request.empty() && options.operation != "credential") {
    return absl::InvalidArgumentError("--request is required");
  }
  KT_ASSIGN_OR_RETURN(base::Bytes response, base::ReadFile(options.response, kMaxInputBytes));
  const Saved saved{std::move(response), options.at_ms.value_or(base::SystemClock().NowMs())};
  KT_ASSIGN_OR_RETURN(Report report, Operations().at(options.operation)(options, saved, user));
  if (user->record().state.has_value()) report["tree_size"] = user->record().state->tree_size();
  return report;
}

// Evidence stands for itself: no request, no state, no clock.
absl::StatusOr<Report> VerifyFork(const VerifyOptions& options, const base::Hash& fingerprint) {
  KT_ASSIGN_OR_RETURN(const base::Bytes evidence, base::ReadFile(options.response, kMaxInputBytes));
  KT_ASSIGN_OR_RETURN(const core::ForkFinding finding, core::CheckForkEvidence(evidence));
  // Anybody can make up a log that forks.
  if (core::ConfigurationFingerprint(finding.config) != fingerprint) {
    return base::VerificationFailed("configuration", "the evidence is of another log");
  }
  return Report{{"operation", "fork"},
                {"first_size", finding.first_size},
                {"second_size", finding.second_size},
                {"contradiction", finding.contradiction}};
}

// What was refused when it came is judged again by what was known then.
absl::StatusOr<Report> VerifyKept(const VerifyOptions& options) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(options.kept, kMaxKeptBytes));
  const absl::StatusOr<KeptRefusal> kept = DecodeKeptRefusal(bytes);
  if (!kept.ok()) return base::Annotate(kept.status(), options.kept);
  const std::string check = base::ToText(kept->check);
  const absl::Status replayed = Replay(*kept);
  const std::optional<std::string> failed = base::FailedCheck(replayed);
  if (failed.has_value() && *failed != check) {
    return base::Annotate(replayed, absl::StrCat("it was refused for \"", OneLine(check),
                                                 "\", and now is for another reason"));
  }
  KT_RETURN_IF_ERROR(replayed);
  return Report{{"operation", "kept"}, {"was_refused_for", check}};
}

absl::StatusOr<Report> Verify(const VerifyOptions& options) {
  if (!options.kept.empty()) return VerifyKept(options);
  if (options.config.empty() || options.response.empty()) {
    return absl::InvalidArgumentError("--config and --response are required, or --kept");
  }
  KT_ASSIGN_OR_RETURN(const base::Bytes config_bytes,
                      base::ReadFile(options.config, kMaxInputBytes));
  absl::StatusOr<core::Configuration> config = core::DecodeConfiguration(config_bytes);
  if (!config.ok()) return base::Annotate(config.status(), options.config);
  const base::Hash fingerprint = core::ConfigurationFingerprint(*config);
  if (options.operation == kFork) return VerifyFork(options, fingerprint);
  KT_ASSIGN_OR_RETURN(const auto verifier, core::ResponseVerifier::Create(*config));
  LogRecord record;
  record.config = *std::move(config);
  if (options.state.empty()) {
    LogUser user(*verifier, std::move(record));
    return VerifyWith(options, &user);
  }
  KT_ASSIGN_OR_RETURN(const StateStore store, StateStore::Open(options.state));
  KT_ASSIGN_OR_RETURN(StateStore::Session session, store.Lock(fingerprint, kLockTimeoutMs));
  LogUser user(*verifier, session.record().value_or(std::move(record)));
  KT_ASSIGN_OR_RETURN(Report report, VerifyWith(options, &user));
  KT_RETURN_IF_ERROR(session.Save(user.record()));
  return report;
}

void Print(const VerifyOptions& options, const Report& report) {
  if (options.json) return PrintJson(report);
  if (report.contains("contradiction")) {
    std::cout << "proven: the log has forked. It has signed "
              << report["contradiction"].get<std::string>() << "\n";
    return;
  }
  if (report.contains("was_refused_for")) {
    std::cout << "verified: what was refused for \""
              << OneLine(report["was_refused_for"].get<std::string>()) << "\" verifies now\n";
    return;
  }
  std::cout << "verified: ";
  if (report.contains("value")) {
    std::cout << "version " << report["version"] << ", ";
  } else if (report.contains("version")) {
    std::cout << "version " << report["version"] << " does not exist, ";
  } else if (report.contains("entries")) {
    std::cout << report["entries"].size() << " log entries still to be monitored, ";
  } else if (report.contains("greatest_versions")) {
    const Report& greatest = report["greatest_versions"];
    std::cout << "owned from log entry " << report["start"];
    if (!greatest.empty()) std::cout << " and version " << greatest[0]["version"];
    std::cout << ", ";
  } else if (report.contains("created")) {
    std::cout << report["created"].size() << " new versions in log entry " << report["position"]
              << ", ";
  } else if (report.contains("heads")) {
    std::cout << report["heads"].size() << " distinguished heads, ";
  }
  if (report.contains("credential_state")) {
    std::cout << "credential " << report["credential_state"].get<std::string>() << ", ";
  }
  std::cout << "in a log of " << report["tree_size"] << " entries\n";
}

void Run(const VerifyOptions& options, int* exit_code) {
  const absl::StatusOr<Report> verified = Verify(options);
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
      "verify", "Check a saved response offline; all files are TLS-encoded as in the draft");
  command->footer(kExitCodesHelp);
  std::set<std::string> names = {kFork};
  for (const auto& [name, operation] : Operations()) names.insert(name);
  command->add_option("--operation", options->operation, "What was asked")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  CLI::Option* const kept = command->add_option(
      "--kept", options->kept,
      "File that a failed verification was kept in, instead of all other options");
  command->add_option("--config", options->config, "Configuration of the log")->excludes(kept);
  command->add_option("--request", options->request,
                      "The request, such as a SearchRequest; none for a credential, or the "
                      "Credential whose update is the response");
  command
      ->add_option("--response", options->response,
                   "The response, such as a SearchResponse; a Credential, or its CredentialUpdate; "
                   "evidence of a fork")
      ->excludes(kept);
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
