// SPDX-License-Identifier: Apache-2.0
//
// kt-client publish.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"
#include "smime/certificate.h"

namespace kt::client {
namespace {

constexpr size_t kMaxTokenBytes = 4096;

struct PublishOptions {
  CommonOptions common;
  std::string address;
  std::vector<std::string> certificates;
  std::string token_file;
  std::optional<base::Version> expected_version;
  bool expect_absent = false;
  bool replace = false;
  bool add = false;
  bool remove = false;
};

// One entry for each file: the certificate, followed by its issuers if the file has any.
absl::StatusOr<smime::CertificateEntry> ReadEntry(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, smime::kMaxPemSize));
  const absl::StatusOr<std::vector<smime::Certificate>> chain =
      smime::ParsePem(base::ToText(bytes));
  if (!chain.ok()) return base::Annotate(chain.status(), path);
  smime::CertificateEntry entry;
  entry.der = chain->front().der();
  for (size_t i = 1; i < chain->size(); ++i) entry.chain.push_back({(*chain)[i].der()});
  return entry;
}

absl::StatusOr<std::string> ReadToken(const PublishOptions& options) {
  if (options.token_file.empty()) {
    const char* token = std::getenv("KT_TOKEN");
    if (token != nullptr && *token != '\0') return std::string(token);
    return absl::InvalidArgumentError(
        "publishing needs a token: give --token-file FILE, or set KT_TOKEN");
  }
  const absl::StatusOr<base::SecretBytes> file =
      base::ReadSecretFile(options.token_file, kMaxTokenBytes);
  // A file with a loose mode is the caller's mistake, not a refusal of the server's.
  if (!file.ok()) return absl::InvalidArgumentError(std::string(file.status().message()));
  std::string token = base::ToText(file->Expose());
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  return token;
}

absl::StatusOr<PublishResult> Publish(const PublishOptions& options) {
  PublishRequest request;
  request.address = options.address;
  request.expected_greatest_version = options.expected_version;
  request.expect_absent = options.expect_absent;
  if (options.add) request.operation = PublishRequest::Operation::kAdd;
  if (options.remove) request.operation = PublishRequest::Operation::kRemove;
  if (options.certificates.empty() && !options.replace) {
    return absl::InvalidArgumentError(
        "give --cert FILE; to withdraw all certificates say --replace without any");
  }
  for (const std::string& path : options.certificates) {
    KT_ASSIGN_OR_RETURN(smime::CertificateEntry entry, ReadEntry(path));
    request.certificates.push_back(std::move(entry));
  }
  KT_ASSIGN_OR_RETURN(const std::string token, ReadToken(options));
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  return client->Publish(request, token);
}

void Run(const PublishOptions& options, int* exit_code) {
  const absl::StatusOr<PublishResult> result = Publish(options);
  if (!result.ok()) {
    *exit_code = ReportError(result.status(), options.common.json);
    return;
  }
  if (options.common.json) {
    PrintJson({{"address", options.address},
               {"version", result->version},
               {"position", result->position},
               {"tree_size", result->tree_size},
               {"verified", result->verified},
               {"foreign_versions", result->foreign_versions}});
  } else {
    std::cout << options.address << ": version " << result->version << " is in log entry "
              << result->position << (result->verified ? ", verified" : "") << "\n";
  }
  if (result->foreign_versions > 0) {
    std::cerr << "kt-client: there are versions of the address that were not published from here; "
                 "see kt-client monitor\n";
  }
  *exit_code = kExitFound;
}

}  // namespace

void AddPublishCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<PublishOptions>();
  CLI::App* const command = app.add_subcommand(
      "publish",
      "Change which certificates an address is found under; waits until it is in the log");
  command->footer(kExitCodesHelp);
  command->add_option("address", options->address, "E-mail address")->required();
  command->add_option("--cert", options->certificates,
                      "PEM file: a certificate, then its issuers; may be repeated");
  CLI::Option* const replace = command->add_flag("--replace", options->replace,
                                                 "The certificates become exactly these [default]");
  CLI::Option* const add =
      command->add_flag("--add", options->add, "These certificates join the others");
  CLI::Option* const remove =
      command->add_flag("--remove", options->remove, "These certificates leave");
  replace->excludes(add)->excludes(remove);
  add->excludes(remove);
  CLI::Option* const expect_version = command->add_option(
      "--expect-version", options->expected_version, "Only if this is the greatest version");
  command->add_flag("--expect-absent", options->expect_absent, "Only if there is no version yet")
      ->excludes(expect_version);
  command->add_option("--token-file", options->token_file,
                      "File with the publishing token, mode 0600 [environment KT_TOKEN]");
  AddCommonOptions(command, &options->common);
  command->callback([=] { Run(*options, exit_code); });
}

}  // namespace kt::client
