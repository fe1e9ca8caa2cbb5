// SPDX-License-Identifier: Apache-2.0
//
// kt-client own: from now on the address is this user's, who is told of what others publish for it.
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"

namespace kt::client {
namespace {

struct OwnOptions {
  CommonOptions common;
  std::string address;
  std::vector<std::string> accept;
  bool forget = false;
};

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// "7", "3..9", or "..9" for all up to 9.
absl::StatusOr<VersionRange> ParseRange(const std::string& text) {
  const size_t dots = text.find("..");
  const bool is_range = dots != std::string::npos;
  const std::string last = is_range ? text.substr(dots + 2) : text;
  const std::string first = is_range ? text.substr(0, dots) : text;
  VersionRange range;
  const bool good =
      IsNumber(last) && absl::SimpleAtoi(last, &range.last) &&
      ((is_range && first.empty()) || (IsNumber(first) && absl::SimpleAtoi(first, &range.first)));
  if (good && range.first <= range.last) return range;
  return absl::InvalidArgumentError(absl::StrCat(
      "--accept: \"", text, "\" is neither a version nor a range such as 3..9 or ..9"));
}

void Print(const OwnOptions& options, const OwnResult& result) {
  std::cout << options.address << ": owned" << (result.already ? " already" : "")
            << ", proven from log entry " << result.start << " on, ";
  if (!result.found) {
    std::cout << "without any version\n";
    return;
  }
  std::cout << "version " << result.version << "\n";
  if (!result.certificates.has_value()) return;
  const std::vector<smime::Certificate> certificates = ParseSet(*result.certificates);
  for (const smime::Certificate& certificate : certificates) {
    std::cout << "  " << FormatUsage(certificate) << ": " << DescribeIssue(certificate) << "\n";
  }
  const size_t unreadable = result.certificates->entries().size() - certificates.size();
  if (unreadable > 0) std::cout << "  and " << unreadable << " that cannot be read\n";
  if (!certificates.empty()) std::cerr << "check that all of these are yours\n";
  if (result.older_versions > 0) {
    std::cerr << result.older_versions << " older version(s) since log entry " << result.start
              << " also count as known: look at them with kt-client history " << options.address
              << "\n";
  }
}

absl::Status BeginOwnership(Client& client, const OwnOptions& options) {
  KT_ASSIGN_OR_RETURN(const OwnResult result, client.Own(options.address));
  if (!options.common.json) {
    Print(options, result);
    return absl::OkStatus();
  }
  nlohmann::ordered_json json = {{"address", options.address},
                                 {"already", result.already},
                                 {"start", result.start},
                                 {"found", result.found}};
  if (result.found) json["version"] = result.version;
  if (result.certificates.has_value()) {
    nlohmann::ordered_json certificates = nlohmann::ordered_json::array();
    for (const smime::Certificate& certificate : ParseSet(*result.certificates)) {
      certificates.push_back(ToJson(certificate));
    }
    json["certificates"] = std::move(certificates);
  }
  if (!result.already) json["older_versions"] = result.older_versions;
  if (!result.already) json["log"] = ToJson(result.log);
  PrintJson(json);
  return absl::OkStatus();
}

absl::Status Own(const OwnOptions& options) {
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  if (!options.forget && options.accept.empty()) return BeginOwnership(*client, options);
  std::vector<base::Version> accepted;
  if (options.forget) {
    KT_RETURN_IF_ERROR(client->Disown(options.address));
  } else {
    std::vector<VersionRange> ranges;
    for (const std::string& text : options.accept) {
      KT_ASSIGN_OR_RETURN(ranges.emplace_back(), ParseRange(text));
    }
    KT_ASSIGN_OR_RETURN(accepted, client->AcceptVersions(options.address, ranges));
  }
  if (options.common.json) {
    PrintJson(
        {{"address", options.address}, {"forgotten", options.forget}, {"accepted", accepted}});
  }
  return absl::OkStatus();
}

}  // namespace

void AddOwnCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<OwnOptions>();
  CLI::App* const command = app.add_subcommand(
      "own",
      "Own an address: publish is verified from now on, and monitor tells of versions that were "
      "not published from here");
  command->footer(kExitCodesHelp);
  command->add_option("address", options->address, "E-mail address")->required();
  CLI::Option* const forget =
      command->add_flag("--forget", options->forget, "Do not own it any longer");
  command
      ->add_option("--accept", options->accept,
                   "A version that monitor told of and that is known now, or several: 3..9, or "
                   "..9 for all up to 9; may be repeated")
      ->excludes(forget);
  AddCommonOptions(command, &options->common);
  command->callback([=] {
    const absl::Status status = Own(*options);
    *exit_code = status.ok() ? kExitFound : ReportError(status, options->common.json);
  });
}

}  // namespace kt::client
