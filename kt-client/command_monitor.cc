// SPDX-License-Identifier: Apache-2.0
//
// kt-client monitor: what is due for everything that was looked up, and everything that is owned.
// Made for timers: silent when all is well.
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/failure.h"
#include "kt-client/output.h"
#include "smime/address.h"

namespace kt::client {
namespace {

struct MonitorOptions {
  CommonOptions common;
  std::vector<std::string> addresses;
  bool all = false;
  bool forget = false;
  std::string notify;
};

// What became of one address, or of a whole domain whose log could not be asked; or, if `foreign`
// is set, a version of an owned address that was not published from here.
struct Event {
  std::string subject;
  absl::Status status;
  bool done = false;
  bool owned = false;
  std::optional<ForeignVersion> foreign;
  // A pending credential whose update has failed, and the domain of its log.
  std::optional<std::pair<std::string, base::Hash>> failed_update;
};

// What is wrong, in one line; empty if nothing is.
std::string MessageOf(const Event& event) {
  if (!event.foreign.has_value()) return OneLine(std::string(event.status.message()));
  const ForeignVersion& foreign = *event.foreign;
  std::string message = absl::StrCat("version ", foreign.version, " (log entry ", foreign.position,
                                     ") was not published from here: ");
  if (!foreign.certificates.has_value()) {
    absl::StrAppend(&message, "what it holds cannot be read");
  } else if (foreign.certificates->entries().empty()) {
    absl::StrAppend(&message, "it has no certificates");
  } else {
    const std::vector<smime::Certificate> certificates = ParseSet(*foreign.certificates);
    std::vector<std::string> lines;
    lines.reserve(certificates.size() + 1);
    for (const smime::Certificate& certificate : certificates) {
      lines.push_back(DescribeIssue(certificate));
    }
    const size_t unreadable = foreign.certificates->entries().size() - certificates.size();
    if (unreadable > 0) lines.push_back(absl::StrCat(unreadable, " that cannot be read"));
    absl::StrAppend(&message, absl::StrJoin(lines, "; "));
  }
  return message;
}

nlohmann::ordered_json ToJson(const Event& event) {
  nlohmann::ordered_json json = {{"subject", event.subject}};
  if (event.foreign.has_value()) {
    const ForeignVersion& foreign = *event.foreign;
    json["result"] = "foreign-version";
    json["version"] = foreign.version;
    json["position"] = foreign.position;
    json["readable"] = foreign.certificates.has_value();
    nlohmann::ordered_json certificates = nlohmann::ordered_json::array();
    if (foreign.certificates.has_value()) {
      const std::vector<smime::Certificate> parsed = ParseSet(*foreign.certificates);
      for (const smime::Certificate& certificate : parsed) {
        certificates.push_back(client::ToJson(certificate));
      }
      json["unreadable"] = foreign.certificates->entries().size() - parsed.size();
    }
    json["certificates"] = std::move(certificates);
    json["message"] = MessageOf(event);
    return json;
  }
  if (event.status.ok()) {
    json["result"] = event.owned ? "owned" : event.done ? "done" : "watched";
    return json;
  }
  const std::optional<std::string> check = base::FailedCheck(event.status);
  json["result"] = check.has_value()                              ? "verification-failed"
                   : FailureOf(event.status) == Failure::kExpired ? "expired"
                                                                  : "not-monitored";
  if (check.has_value()) json["failed_check"] = *check;
  if (const auto kept = KeptAt(event.status)) json["kept"] = *kept;
  json["message"] = MessageOf(event);
  return json;
}

// Credentials wait for what a regular walk tells.
void MonitorCredentials(Client& client, const std::string& domain, std::vector<Event>* events) {
  const absl::StatusOr<std::vector<PendingCredential>> result = client.MonitorCredentials(domain);
  if (!result.ok()) {
    events->push_back({domain, result.status(), false, false, std::nullopt, std::nullopt});
    return;
  }
  for (const PendingCredential& pending : *result) {
    const absl::Status status = base::Annotate(
        pending.status, absl::StrCat("credential sha256:", base::ToHex(pending.id.bytes)));
    const bool done = pending.state == CredentialState::kFinal;
    Event event{pending.address, status, done, false, std::nullopt, std::nullopt};
    if (pending.update_failed) event.failed_update = {domain, pending.id};
    events->push_back(std::move(event));
  }
}

absl::StatusOr<std::vector<Event>> Monitor(Client& client, const MonitorOptions& options) {
  // Domains, each with the one address to monitor or nullopt for all.
  std::set<std::pair<std::string, std::optional<std::string>>> tasks;
  for (const std::string& text : options.addresses) {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    tasks.emplace(address.domain, base::ToText(address.label()));
  }
  if (options.addresses.empty()) {
    KT_ASSIGN_OR_RETURN(const std::vector<std::string> domains, client.KnownDomains());
    for (const std::string& domain : domains) tasks.emplace(domain, std::nullopt);
  }
  std::vector<Event> events;
  for (const auto& [domain, only] : tasks) {
    const absl::StatusOr<MonitorResult> result = client.Monitor(domain, only);
    const absl::Status status = result.ok() ? result->status : result.status();
    if (!status.ok()) {
      events.push_back({only.value_or(domain), status, false, false, std::nullopt, std::nullopt});
    }
    if (!result.ok()) continue;
    for (const MonitoredAddress& address : result->addresses) {
      for (const ForeignVersion& foreign : address.foreign) {
        events.push_back({address.address, absl::OkStatus(), false, true, foreign, std::nullopt});
      }
      if (!status.ok()) continue;
      events.push_back({address.address, address.status, address.done, address.owned, std::nullopt,
                        std::nullopt});
    }
  }
  // Anybody can send credentials, so what they take must not delay the rest.
  for (const auto& [domain, only] : tasks) {
    if (!only.has_value()) MonitorCredentials(client, domain, &events);
  }
  return events;
}

// Hands the event to the command on its standard input; whether it ended well. What it does is its
// own business, also whether it reads at all.
bool Notify(const std::string& command, const Event& event) {
  FILE* const pipe = popen(command.c_str(), "w");
  if (pipe == nullptr) {
    std::cerr << "kt-client: cannot run the command of --notify\n";
    return false;
  }
  const std::string json =
      ToJson(event).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  // Only now, so that the command itself is not started without SIGPIPE.
  const auto handler = std::signal(SIGPIPE, SIG_IGN);
  std::fprintf(pipe, "%s\n", json.c_str());
  const int status = pclose(pipe);
  std::signal(SIGPIPE, handler);
  if (status == 0) return true;
  std::cerr << "kt-client: the command of --notify failed\n";
  return false;
}

// One line, and the command of --notify. A version is handed to it until it has ended well once; a
// failure each time.
int Report(Client& client, const MonitorOptions& options, const Event& event) {
  if (!event.foreign.has_value()) {
    const int code = ReportError(base::Annotate(event.status, event.subject), /*json=*/false);
    const bool told = options.notify.empty() || Notify(options.notify, event);
    // Only now that it is known: a run that ends before has another tell of it.
    if (told && event.failed_update.has_value()) {
      const auto& [domain, id] = *event.failed_update;
      const absl::Status dropped = client.DropCredentialUpdate(domain, id);
      if (!dropped.ok()) ReportError(dropped, /*json=*/false);
    }
    return code;
  }
  const base::Version version = event.foreign->version;
  std::cerr << "kt-client: " << event.subject << ": " << MessageOf(event)
            << "; if you know of it: kt-client own " << event.subject << " --accept " << version
            << "\n";
  if (!options.notify.empty() && !event.foreign->notified && Notify(options.notify, event)) {
    const absl::Status marked = client.MarkNotified(event.subject, {version});
    if (!marked.ok()) ReportError(marked, /*json=*/false);
  }
  return kExitVerificationFailed;
}

absl::Status Forget(Client& client, const MonitorOptions& options) {
  for (const std::string& address : options.addresses) {
    KT_RETURN_IF_ERROR(client.Unwatch(address));
  }
  if (options.common.json) PrintJson({{"forgotten", options.addresses}});
  return absl::OkStatus();
}

void Run(const MonitorOptions& options, int* exit_code) {
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options.common.client);
  if (!client.ok()) {
    *exit_code = ReportError(client.status(), options.common.json);
    return;
  }
  if (options.forget) {
    const absl::Status forgotten = Forget(**client, options);
    *exit_code = forgotten.ok() ? kExitFound : ReportError(forgotten, options.common.json);
    return;
  }
  const absl::StatusOr<std::vector<Event>> events = Monitor(**client, options);
  if (!events.ok()) {
    *exit_code = ReportError(events.status(), options.common.json);
    return;
  }
  *exit_code = kExitFound;
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  for (const Event& event : *events) {
    report.push_back(ToJson(event));
    if (event.status.ok() && !event.foreign.has_value()) continue;
    // A security event outweighs a log that could not be asked.
    const int code = Report(**client, options, event);
    if (*exit_code != kExitVerificationFailed) *exit_code = code;
  }
  if (options.common.json) PrintJson({{"monitored", std::move(report)}});
}

}  // namespace

void AddMonitorCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<MonitorOptions>();
  CLI::App* const command = app.add_subcommand(
      "monitor",
      "Check that what was looked up is still in its log, and that nobody else published for an "
      "address that is owned; silent if all is well");
  command->footer(kExitCodesHelp);
  CLI::Option* const addresses = command->add_option(
      "address", options->addresses, "E-mail addresses [all that are watched or owned]");
  command->add_flag("--all", options->all, "All that are watched or owned")->excludes(addresses);
  command
      ->add_flag("--forget", options->forget,
                 "Do not monitor what was looked up of these addresses any longer")
      ->needs(addresses);
  command->add_option(
      "--notify", options->notify,
      "Shell command that gets each failure, and once each version that others published, "
      "as JSON on its standard input");
  AddCommonOptions(command, &options->common);
  command->callback([=] { Run(*options, exit_code); });
}

}  // namespace kt::client
