// SPDX-License-Identifier: Apache-2.0
//
// kt-client monitor: what is due for everything that was looked up. Made for timers: silent when
// all is well.
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"
#include "smime/address.h"

namespace kt::client {
namespace {

struct MonitorOptions {
  CommonOptions common;
  std::vector<std::string> addresses;
  bool all = false;
  std::string notify;
};

// What became of one address, or of a whole domain whose log could not be asked.
struct Event {
  std::string subject;
  absl::Status status;
  bool done = false;
};

nlohmann::ordered_json ToJson(const Event& event) {
  nlohmann::ordered_json json = {{"subject", event.subject}};
  if (event.status.ok()) {
    json["result"] = event.done ? "done" : "watched";
    return json;
  }
  const std::optional<std::string> check = base::FailedCheck(event.status);
  json["result"] = check.has_value() ? "verification-failed" : "not-monitored";
  if (check.has_value()) json["failed_check"] = *check;
  json["message"] = OneLine(std::string(event.status.message()));
  return json;
}

absl::StatusOr<std::vector<Event>> Monitor(const MonitorOptions& options) {
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  // Domains, each with the one address to monitor or nullopt for all.
  std::set<std::pair<std::string, std::optional<std::string>>> tasks;
  for (const std::string& text : options.addresses) {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    tasks.emplace(address.domain, base::ToText(address.label()));
  }
  if (options.addresses.empty()) {
    KT_ASSIGN_OR_RETURN(const std::vector<std::string> domains, client->KnownDomains());
    for (const std::string& domain : domains) tasks.emplace(domain, std::nullopt);
  }
  std::vector<Event> events;
  for (const auto& [domain, only] : tasks) {
    const absl::StatusOr<MonitorResult> result = client->Monitor(domain, only);
    if (!result.ok()) {
      events.push_back({only.value_or(domain), result.status()});
      continue;
    }
    for (const MonitoredAddress& address : result->addresses) {
      events.push_back({address.address, address.status, address.done});
    }
  }
  return events;
}

// Hands the event to the command on its standard input. What the command does is its own business.
void Notify(const std::string& command, const Event& event) {
  FILE* const pipe = popen(command.c_str(), "w");
  if (pipe == nullptr) {
    std::cerr << "kt-client: cannot run the command of --notify\n";
    return;
  }
  const std::string json =
      ToJson(event).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::fprintf(pipe, "%s\n", json.c_str());
  if (pclose(pipe) != 0) std::cerr << "kt-client: the command of --notify failed\n";
}

void Run(const MonitorOptions& options, int* exit_code) {
  const absl::StatusOr<std::vector<Event>> events = Monitor(options);
  if (!events.ok()) {
    *exit_code = ReportError(events.status(), options.common.json);
    return;
  }
  *exit_code = kExitFound;
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  for (const Event& event : *events) {
    report.push_back(ToJson(event));
    if (event.status.ok()) continue;
    // A security event outweighs a log that could not be asked.
    const int code = ReportError(base::Annotate(event.status, event.subject), /*json=*/false);
    if (*exit_code != kExitVerificationFailed) *exit_code = code;
    if (!options.notify.empty()) Notify(options.notify, event);
  }
  if (options.common.json) PrintJson({{"monitored", std::move(report)}});
}

}  // namespace

void AddMonitorCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<MonitorOptions>();
  CLI::App* const command = app.add_subcommand(
      "monitor", "Check that what was looked up is still in its log; silent if all is well");
  command->footer(kExitCodesHelp);
  CLI::Option* const addresses =
      command->add_option("address", options->addresses, "E-mail addresses [all that are watched]");
  command->add_flag("--all", options->all, "All that are watched")->excludes(addresses);
  command->add_option("--notify", options->notify,
                      "Shell command that gets each failure as JSON on its standard input");
  AddCommonOptions(command, &options->common);
  command->callback([=] { Run(*options, exit_code); });
}

}  // namespace kt::client
