// SPDX-License-Identifier: Apache-2.0
//
// kt-client credential: making what others verify without asking the log, and verifying what others
// made.
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"
#include "smime/address.h"

namespace kt::client {
namespace {

constexpr size_t kMaxCredentialFileBytes = 8 << 20;

struct CredentialOptions {
  CommonOptions common;
  std::string address;
  std::string file;
  std::string out;
  std::string update;
  std::string id;
  uint64_t known_for_seconds = 0;
};

const char* NameOf(CredentialState state) {
  switch (state) {
    case CredentialState::kFinal:
      return "final";
    case CredentialState::kWaiting:
      return "waiting";
    case CredentialState::kUpdateNeeded:
      return "update-needed";
    case CredentialState::kOverdue:
      break;
  }
  return "overdue";
}

std::string Explain(CredentialState state) {
  switch (state) {
    case CredentialState::kFinal:
      return "finally verified";
    case CredentialState::kWaiting:
      return "provisional: 'kt-client monitor' will settle it";
    case CredentialState::kUpdateNeeded:
      return "provisional: ask its sender for the update ('kt-client credential update')";
    case CredentialState::kOverdue:
      break;
  }
  return "it expired before it was settled: 'kt-client monitor' will ask the log";
}

absl::StatusOr<int> Make(const CredentialOptions& options) {
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const MadeCredential made,
                      client->MakeCredential(options.address, options.known_for_seconds * 1000));
  // Also when there is none: an old file must not be taken for the answer.
  KT_RETURN_IF_ERROR(base::WriteOutput(options.out, made.credential));
  if (options.common.json) {
    nlohmann::ordered_json json = {{"address", options.address}, {"found", made.found}};
    if (made.found) {
      json["version"] = made.version;
      json["position"] = made.position;
      json["provisional"] = made.provisional;
    }
    json["log"] = ToJson(made.log);
    PrintJson(json);
  } else if (made.found) {
    std::cout << options.address << ": version " << made.version << ", "
              << (made.provisional ? "provisional" : "standard")
              << " credential, based on log entry " << made.position << "\n";
  } else {
    std::cerr << options.address << ": no such address in the log\n";
  }
  return made.found ? kExitFound : kExitAbsent;
}

absl::StatusOr<int> Update(const CredentialOptions& options) {
  KT_ASSIGN_OR_RETURN(const base::Bytes credential,
                      base::ReadFile(options.file, kMaxCredentialFileBytes));
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const std::optional<base::Bytes> update,
                      client->UpdateCredential(credential));
  KT_RETURN_IF_ERROR(base::WriteOutput(options.out, update.value_or(base::Bytes())));
  if (options.common.json) {
    PrintJson({{"update_needed", update.has_value()}});
  } else {
    std::cout << (update.has_value() ? "update written: send it to who has the credential\n"
                                     : "no update is needed: receivers settle it by themselves\n");
  }
  return update.has_value() ? kExitFound : kExitAbsent;
}

// The credential must be about who its receiver thinks it is.
absl::Status CheckAddress(const std::string& expected, const std::string& address) {
  if (expected.empty()) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const smime::Address parsed, smime::ParseAddress(expected));
  if (parsed.text() == address) return absl::OkStatus();
  return base::VerificationFailed(
      "credential-address",
      absl::StrCat("the credential is of ", address, ", not of ", parsed.text()));
}

absl::StatusOr<int> Check(const CredentialOptions& options) {
  KT_ASSIGN_OR_RETURN(const base::Bytes credential,
                      base::ReadFile(options.file, kMaxCredentialFileBytes));
  base::Bytes update;
  if (!options.update.empty()) {
    KT_ASSIGN_OR_RETURN(update, base::ReadFile(options.update, kMaxCredentialFileBytes));
    if (update.empty()) return absl::InvalidArgumentError("the file of --update is empty");
  }
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const CredentialResult result, client->CheckCredential(credential, update));
  KT_RETURN_IF_ERROR(CheckAddress(options.address, result.address));
  std::vector<smime::Certificate> certificates;
  for (const auto& usable : result.certificates) certificates.push_back(usable.certificate);
  const std::string pem = smime::ToPem(certificates);
  if (!options.out.empty()) KT_RETURN_IF_ERROR(base::WriteOutput(options.out, base::AsBytes(pem)));
  if (options.common.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const smime::Certificate& certificate : certificates) list.push_back(ToJson(certificate));
    PrintJson({{"address", result.address},
               {"version", result.version},
               {"position", result.position},
               {"provisional", result.provisional},
               {"state", NameOf(result.state)},
               {"id", "sha256:" + base::ToHex(result.id.bytes)},
               {"certificates", std::move(list)}});
  } else {
    std::cerr << result.address << ": version " << result.version << ", " << certificates.size()
              << " certificate(s); " << Explain(result.state) << "\n";
    for (const auto& certificate : certificates) std::cerr << "  " << Describe(certificate) << "\n";
    if (options.out.empty()) std::cout << pem;
  }
  if (!certificates.empty()) return kExitFound;
  return result.passed_over.empty() ? kExitAbsent : kExitRefused;
}

absl::StatusOr<int> List(const CredentialOptions& options) {
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const std::vector<std::string> domains, client->KnownDomains());
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const std::string& domain : domains) {
    KT_ASSIGN_OR_RETURN(const auto pending, client->PendingCredentials(domain));
    for (const PendingCredential& credential : pending) {
      const std::string id = "sha256:" + base::ToHex(credential.id.bytes);
      const std::string state = credential.status.ok() ? NameOf(credential.state) : "contradicted";
      list.push_back({{"id", id},
                      {"address", credential.address},
                      {"version", credential.version},
                      {"state", state}});
      if (options.common.json) continue;
      std::cout << id << " " << credential.address << " version " << credential.version << " "
                << state << "\n";
    }
  }
  if (options.common.json) PrintJson({{"pending", std::move(list)}});
  return kExitFound;
}

absl::StatusOr<int> Forget(const CredentialOptions& options) {
  const auto bytes = base::FromHex(std::string(absl::StripPrefix(options.id, "sha256:")));
  base::Hash id;
  if (!bytes.has_value() || bytes->size() != id.bytes.size()) {
    return absl::InvalidArgumentError("the id is not one that 'kt-client credential list' shows");
  }
  std::copy(bytes->begin(), bytes->end(), id.bytes.begin());
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const std::vector<std::string> domains, client->KnownDomains());
  for (const std::string& domain : domains) {
    KT_ASSIGN_OR_RETURN(const auto pending, client->PendingCredentials(domain));
    const bool found = std::ranges::any_of(pending, [&](const auto& p) { return p.id == id; });
    if (!found) continue;
    KT_RETURN_IF_ERROR(client->ForgetCredential(domain, id));
    if (options.common.json) PrintJson({{"forgotten", options.id}});
    return kExitFound;
  }
  return absl::InvalidArgumentError("no such credential is pending");
}

using Command = absl::StatusOr<int> (*)(const CredentialOptions&);
void Finish(CLI::App* command, const std::shared_ptr<CredentialOptions>& options, Command run,
            int* exit_code) {
  command->footer(kExitCodesHelp);
  AddCommonOptions(command, &options->common);
  command->callback([=] {
    const absl::StatusOr<int> result = run(*options);
    *exit_code = result.ok() ? *result : ReportError(result.status(), options->common.json);
  });
}

}  // namespace

void AddCredentialCommand(CLI::App& app, int* exit_code) {
  CLI::App* const group = app.add_subcommand(
      "credential",
      "Credentials: verified without asking the log, so that it does not learn who "
      "writes to whom");
  group->footer(kExitCodesHelp);
  group->require_subcommand(1);
  const auto options = std::make_shared<CredentialOptions>();

  CLI::App* const make = group->add_subcommand(
      "make", "Look an address up and make a credential of the answer, to be sent to others");
  make->add_option("address", options->address, "E-mail address")->required();
  make->add_option("--out", options->out, "File for the credential")->required();
  make->add_option("--known-for", options->known_for_seconds,
                   "Base it on a distinguished log entry at least so many seconds old, which "
                   "receivers are more likely to know")
      ->check(CLI::Range(0, 100'000'000))
      ->capture_default_str();
  Finish(make, options, Make, exit_code);

  CLI::App* const update = group->add_subcommand(
      "update",
      "Make the update of a provisional credential that was sent; exit code 1 if none is "
      "needed, 4 if it cannot be made yet");
  update->add_option("file", options->file, "The credential")->required();
  update->add_option("--out", options->out, "File for the update")->required();
  Finish(update, options, Update, exit_code);

  CLI::App* const check = group->add_subcommand(
      "check", "Verify a credential without asking anybody, and write its certificates as PEM");
  check->add_option("file", options->file, "The credential")->required();
  check->add_option("--address", options->address, "Whose it must be");
  check->add_option("--update", options->update, "Its update, if the sender has sent one");
  check->add_option("--out", options->out, "File for the certificates [standard output]");
  Finish(check, options, Check, exit_code);

  CLI::App* const list = group->add_subcommand(
      "list", "Show the provisional credentials that wait for their final verification");
  Finish(list, options, List, exit_code);
  CLI::App* const forget = group->add_subcommand("forget", "Give one of them up");
  forget->add_option("id", options->id, "As 'list' shows it")->required();
  Finish(forget, options, Forget, exit_code);
}

}  // namespace kt::client
