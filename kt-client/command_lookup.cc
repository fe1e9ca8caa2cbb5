// SPDX-License-Identifier: Apache-2.0
//
// kt-client lookup and kt-client history.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"

namespace kt::client {
namespace {

struct LookupOptions {
  CommonOptions common;
  std::string address;
  std::string usage = "all";
  std::string out;
};

nlohmann::ordered_json ToJsonArray(const std::vector<smime::Certificate>& certificates) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const smime::Certificate& certificate : certificates) array.push_back(ToJson(certificate));
  return array;
}

void PrintLog(const LogInfo& log) {
  std::cerr << "verified: log of " << log.tree_size << " entries, head of "
            << FormatTime(static_cast<int64_t>(log.head_timestamp_ms)) << ", from " << log.server
            << "\n";
  if (log.first_use) {
    std::cerr << "pinned at first use: configuration sha256:"
              << base::ToHex(log.configuration_fingerprint.bytes) << "\n";
  }
}

bool HasUsage(const smime::Certificate& certificate, const std::string& usage) {
  if (usage == "encryption") return certificate.can_encrypt();
  if (usage == "signing") return certificate.can_sign();
  return true;
}

nlohmann::ordered_json ToJsonArray(const LookupResult& result,
                                   const std::vector<smime::PassedOver>& passed_over) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const smime::PassedOver& entry : passed_over) {
    array.push_back(
        {{"reason", entry.reason}, {"der", base::ToBase64(result.set.entries()[entry.index].der)}});
  }
  return array;
}

void PrintLookup(const LookupOptions& options, const LookupResult& result,
                 const std::vector<smime::Certificate>& certificates) {
  PrintLog(result.log);
  if (!result.found) {
    std::cerr << options.address << ": no such address in the log\n";
    return;
  }
  std::cerr << options.address << ": version " << result.version << ", " << certificates.size()
            << " certificate(s)";
  if (options.usage != "all") std::cerr << " for " << options.usage;
  std::cerr << "\n";
  for (const smime::Certificate& certificate : certificates) {
    std::cerr << "  " << Describe(certificate) << "\n";
  }
  for (const smime::PassedOver& entry : result.passed_over) {
    std::cerr << "  passed over: " << OneLine(entry.reason) << "\n";
  }
  if (result.monitoring_required) {
    std::cerr << "note: this version is too new to have been checked by its owner\n";
  }
  if (options.out.empty()) std::cout << smime::ToPem(certificates);
}

absl::StatusOr<int> Lookup(const LookupOptions& options) {
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const LookupResult result, client->Lookup(options.address));
  std::vector<smime::Certificate> certificates;
  for (const smime::UsableCertificate& usable : result.certificates) {
    if (HasUsage(usable.certificate, options.usage)) certificates.push_back(usable.certificate);
  }
  // Also when there are none: an old file must not be taken for the answer.
  if (!options.out.empty()) {
    KT_RETURN_IF_ERROR(base::WriteOutput(options.out, base::AsBytes(smime::ToPem(certificates))));
  }
  if (options.common.json) {
    nlohmann::ordered_json json = {{"address", options.address}, {"found", result.found}};
    if (result.found) {
      json["version"] = result.version;
      json["certificates"] = ToJsonArray(certificates);
      json["passed_over"] = ToJsonArray(result, result.passed_over);
      json["monitoring_required"] = result.monitoring_required;
    }
    json["log"] = ToJson(result.log);
    PrintJson(json);
  } else {
    PrintLookup(options, result, certificates);
  }
  if (!certificates.empty()) return kExitFound;
  // An address that has withdrawn its certificates is as absent as one that never had any. One that
  // has nothing but what nobody should use is not.
  return result.certificates.empty() && !result.passed_over.empty() ? kExitRefused : kExitAbsent;
}

struct HistoryOptions {
  CommonOptions common;
  std::string address;
  size_t limit = 100;
};

// Of a history that found something.
base::Version OldestTold(const HistoryResult& result) {
  base::Version oldest = result.versions.back().version;
  for (const auto* without_value : {&result.erased, &result.skipped}) {
    if (!without_value->empty()) oldest = std::min(oldest, without_value->back());
  }
  return oldest;
}

absl::StatusOr<int> History(const HistoryOptions& options) {
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const HistoryResult result, client->History(options.address, options.limit));
  nlohmann::ordered_json versions = nlohmann::ordered_json::array();
  if (!options.common.json) PrintLog(result.log);
  for (const HistoryEntry& entry : result.versions) {
    const std::vector<smime::Certificate> certificates = ParseSet(entry.certificates);
    const size_t unreadable = entry.certificates.entries().size() - certificates.size();
    versions.push_back({{"version", entry.version},
                        {"certificates", ToJsonArray(certificates)},
                        {"unreadable", unreadable}});
    if (options.common.json) continue;
    std::cout << "version " << entry.version << ": " << certificates.size() << " certificate(s)\n";
    for (const smime::Certificate& certificate : certificates) {
      std::cout << "  " << Describe(certificate) << "\n";
    }
    if (unreadable > 0) std::cout << "  and " << unreadable << " that cannot be read\n";
  }
  if (!options.common.json) {
    for (const base::Version version : result.erased) {
      std::cerr << "version " << version << ": erased by the log: cannot be verified\n";
    }
    for (const base::Version version : result.skipped) {
      std::cerr << "the log says that version " << version << " was skipped\n";
    }
  }
  const bool older_not_shown = !result.expired && result.found && OldestTold(result) > 0;
  if (options.common.json) {
    PrintJson({{"address", options.address},
               {"found", result.found},
               {"versions", versions},
               {"erased", result.erased},
               {"skipped", result.skipped},
               {"older_expired", result.expired},
               {"older_not_shown", older_not_shown},
               {"log", ToJson(result.log)}});
  } else if (!result.found) {
    std::cerr << options.address << ": no such address in the log\n";
  } else if (result.expired) {
    std::cerr << "the log says that older versions have expired\n";
  } else if (older_not_shown) {
    std::cerr << "there are older versions; --limit shows more\n";
  }
  if (!result.erased.empty()) return kExitUnavailable;
  return result.found ? kExitFound : kExitAbsent;
}

template <typename Options>
void Run(absl::StatusOr<int> (*command)(const Options&), const Options& options, int* exit_code) {
  const absl::StatusOr<int> result = command(options);
  *exit_code = result.ok() ? *result : ReportError(result.status(), options.common.json);
}

}  // namespace

void AddLookupCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<LookupOptions>();
  CLI::App* const command = app.add_subcommand(
      "lookup", "Find an address's certificates, verify them, and write them as PEM");
  command->footer(kExitCodesHelp);
  command->add_option("address", options->address, "E-mail address")->required();
  command->add_option("--usage", options->usage, "Which certificates to write")
      ->check(CLI::IsMember({"all", "encryption", "signing"}))
      ->capture_default_str();
  command->add_option("--out", options->out,
                      "File for the certificates; empty if there are none [standard output]");
  AddCommonOptions(command, &options->common);
  command->callback([=] { Run(Lookup, *options, exit_code); });
}

void AddHistoryCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<HistoryOptions>();
  CLI::App* const command =
      app.add_subcommand("history", "Show the versions of an address, newest first, each verified");
  command->footer(kExitCodesHelp);
  command->add_option("address", options->address, "E-mail address")->required();
  command->add_option("--limit", options->limit, "At most so many versions")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  AddCommonOptions(command, &options->common);
  command->callback([=] { Run(History, *options, exit_code); });
}

}  // namespace kt::client
