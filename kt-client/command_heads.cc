// SPDX-License-Identifier: Apache-2.0
//
// kt-client heads and kt-client compare-heads: "Walking Distinguished Heads / Detecting Forks".
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"
#include "kt-core/distinguished_forks.h"
#include "smime/address.h"

namespace kt::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxHeadsBytes = 1 << 16;

struct HeadsOptions {
  CommonOptions common;
  std::string domain;
  std::string out;
  std::string via;
};

core::DistinguishedHead ToDistinguishedHead(const HeadsResult& result) {
  core::DistinguishedHead head;
  for (const DistinguishedLogHead& entry : result.heads) head.heads.push_back(entry.root);
  return head;
}

absl::Status Compare(const core::DistinguishedHead& a, const core::DistinguishedHead& b) {
  switch (core::CompareDistinguishedHeads(a, b)) {
    case core::HeadComparison::kConsistent:
      return absl::OkStatus();
    case core::HeadComparison::kFork:
      return base::VerificationFailed(
          "fork", "the two lists share a root and disagree beside it: the log has forked");
    case core::HeadComparison::kNothingInCommon:
      break;
  }
  return base::VerificationFailed(
      "fork",
      "the two lists have no root in common: the log has forked, or they were made at times too "
      "far apart; make both anew");
}

// A directory of its own for a second view of the log, which must not be tied to the first.
class ScratchState {
 public:
  ScratchState() {
    std::string pattern = (fs::temp_directory_path() / "kt-client-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ScratchState(const ScratchState&) = delete;
  ScratchState& operator=(const ScratchState&) = delete;
  ~ScratchState() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// If the two answers prove that the log has forked, writes that down where the user's state is.
absl::Status KeepEvidence(const HeadsOptions& options, const SignedHeads& a, const SignedHeads& b) {
  core::ForkEvidence evidence;
  evidence.configuration = a.configuration;
  evidence.recent_rightmost = static_cast<uint8_t>(core::RecentDefinition().rightmost);
  evidence.first_response = a.response;
  evidence.second_response = b.response;
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::codec::TryEncode(evidence));
  const absl::StatusOr<core::ForkFinding> finding = core::CheckForkEvidence(bytes);
  if (base::FailedCheck(finding.status()) == "no-contradiction") return absl::OkStatus();
  KT_RETURN_IF_ERROR(finding.status());
  const std::string id = base::ToHex(base::Sha256(bytes).bytes).substr(0, 16);
  const fs::path path =
      fs::path(options.common.client.state_directory) / ("fork-" + id + ".evidence");
  KT_RETURN_IF_ERROR(base::WriteOutput(path.string(), bytes));
  return base::VerificationFailed(
      "fork", absl::StrCat("the log has signed ", finding->contradiction,
                           ": it has forked; 'kt-client verify --operation fork' proves it to "
                           "anybody with ",
                           path.string()));
}

// The same log, asked by somebody who knows nothing of it, at another address.
absl::Status CompareVia(const HeadsOptions& options, Client& client, const HeadsResult& here) {
  const ScratchState scratch;
  ClientOptions other = options.common.client;
  other.server = options.via;
  other.state_directory = scratch.path();
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> stranger, Client::Create(other));
  KT_ASSIGN_OR_RETURN(const HeadsResult there, stranger->Heads(options.domain));
  if (there.log.configuration_fingerprint != here.log.configuration_fingerprint) {
    return base::VerificationFailed(
        "configuration-pin",
        absl::StrCat(options.via, " shows another log than the one known here"));
  }
  // Signed answers can part where no distinguished head shows it yet.
  KT_ASSIGN_OR_RETURN(const SignedHeads a, client.HeadsAsEvidence(options.domain));
  KT_ASSIGN_OR_RETURN(const SignedHeads b, stranger->HeadsAsEvidence(options.domain));
  KT_RETURN_IF_ERROR(KeepEvidence(options, a, b));
  return Compare(ToDistinguishedHead(here), ToDistinguishedHead(there));
}

absl::StatusOr<int> Heads(HeadsOptions options) {
  const absl::StatusOr<smime::Address> address = smime::ParseAddress("x@" + options.domain);
  if (!address.ok()) return base::Annotate(address.status(), options.domain);
  options.domain = address->domain;
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const HeadsResult result, client->Heads(options.domain));
  if (!options.via.empty()) KT_RETURN_IF_ERROR(CompareVia(options, *client, result));
  if (!options.out.empty()) {
    KT_RETURN_IF_ERROR(
        base::WriteOutput(options.out, base::codec::Encode(ToDistinguishedHead(result))));
  }
  nlohmann::ordered_json heads = nlohmann::ordered_json::array();
  for (const DistinguishedLogHead& head : result.heads) {
    const std::string root = base::ToHex(head.root.bytes);
    const std::string time = FormatTime(static_cast<int64_t>(head.timestamp_ms));
    heads.push_back({{"position", head.position}, {"time", time}, {"root", root}});
    if (!options.common.json) std::cout << head.position << " " << time << " " << root << "\n";
  }
  if (options.common.json) {
    PrintJson({{"domain", options.domain}, {"heads", heads}, {"log", ToJson(result.log)}});
  }
  return kExitFound;
}

struct CompareOptions {
  std::string a;
  std::string b;
  bool json = false;
};

absl::StatusOr<core::DistinguishedHead> ReadHeads(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxHeadsBytes));
  absl::StatusOr<core::DistinguishedHead> head =
      base::codec::Decode<core::DistinguishedHead>(bytes);
  if (head.ok()) return head;
  return base::Annotate(head.status(), absl::StrCat(path, " is not a DistinguishedHead"));
}

absl::StatusOr<int> CompareHeads(const CompareOptions& options) {
  KT_ASSIGN_OR_RETURN(const core::DistinguishedHead a, ReadHeads(options.a));
  KT_ASSIGN_OR_RETURN(const core::DistinguishedHead b, ReadHeads(options.b));
  KT_RETURN_IF_ERROR(Compare(a, b));
  if (options.json) {
    PrintJson({{"consistent", true}});
  } else {
    std::cout << "consistent: both lists come from one log\n";
  }
  return kExitFound;
}

}  // namespace

void AddHeadsCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<HeadsOptions>();
  CLI::App* const command = app.add_subcommand(
      "heads", "Show the heads of a domain's log on which all of its users must agree");
  command->footer(kExitCodesHelp);
  command->add_option("domain", options->domain, "Domain")->required();
  command->add_option("--out", options->out, "File for the heads, to be given to others");
  command->add_option("--via", options->via,
                      "HOST:PORT at which to ask again, as somebody else, and to compare");
  AddCommonOptions(command, &options->common);
  command->callback([=] {
    const absl::StatusOr<int> result = Heads(*options);
    *exit_code = result.ok() ? *result : ReportError(result.status(), options->common.json);
  });
}

void AddCompareHeadsCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* const command = app.add_subcommand(
      "compare-heads", "Compare the heads that two users were shown (files of 'heads --out')");
  command->footer(kExitCodesHelp);
  command->add_option("a", options->a, "One file")->required();
  command->add_option("b", options->b, "The other")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=] {
    const absl::StatusOr<int> result = CompareHeads(*options);
    *exit_code = result.ok() ? *result : ReportError(result.status(), options->json);
  });
}

}  // namespace kt::client
