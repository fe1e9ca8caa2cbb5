// SPDX-License-Identifier: Apache-2.0
//
// kt-client heads and kt-client compare-heads: "Walking Distinguished Heads / Detecting Forks".
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-client/commands.h"
#include "kt-client/output.h"
#include "kt-client/state_store.h"
#include "kt-core/distinguished_forks.h"
#include "smime/address.h"

namespace kt::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxHeadsBytes = 16 << 20;

struct HeadsOptions {
  CommonOptions common;
  std::string domain;
  std::string out;
  bool unsigned_roots = false;
  std::string via;
};

core::DistinguishedHead ToDistinguishedHead(const HeadsResult& result) {
  core::DistinguishedHead head;
  for (const DistinguishedLogHead& entry : result.heads) head.heads.push_back(entry.root);
  return head;
}

absl::Status CompareRoots(const core::DistinguishedHead& a, const core::DistinguishedHead& b) {
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

// If the two prove that the log has forked, writes that down in `directory`.
absl::Status KeepEvidence(const std::string& directory, const core::SignedHeads& a,
                          const core::SignedHeads& b) {
  KT_ASSIGN_OR_RETURN(const core::ForkEvidence evidence, core::MakeForkEvidence(a, b));
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::codec::TryEncode(evidence));
  const absl::StatusOr<core::ForkFinding> finding = core::CheckForkEvidence(bytes);
  if (base::FailedCheck(finding.status()) == "no-contradiction") return absl::OkStatus();
  KT_RETURN_IF_ERROR(finding.status());
  KT_RETURN_IF_ERROR(StateStore::Open(directory).status());
  const std::string id = base::ToHex(base::Sha256(bytes).bytes).substr(0, 16);
  const fs::path path = fs::path(directory) / ("fork-" + id + ".evidence");
  KT_RETURN_IF_ERROR(base::WriteOutput(path.string(), bytes));
  return base::VerificationFailed(
      "fork", absl::StrCat("the log with the configuration sha256:",
                           base::ToHex(core::ConfigurationFingerprint(finding->config).bytes),
                           " has signed ", finding->contradiction,
                           ": it has forked; 'kt-client verify --operation fork' proves it to "
                           "anybody with ",
                           path.string(),
                           ". Anybody can make up a log: see that this is the one you mean"));
}

absl::StatusOr<core::SignedHeads> AskForSignedHeads(Client& client, const std::string& domain) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, client.SignedHeads(domain));
  return base::codec::Decode<core::SignedHeads>(bytes);
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
  KT_ASSIGN_OR_RETURN(const core::SignedHeads a, AskForSignedHeads(client, options.domain));
  KT_ASSIGN_OR_RETURN(const core::SignedHeads b, AskForSignedHeads(*stranger, options.domain));
  KT_RETURN_IF_ERROR(KeepEvidence(options.common.client.state_directory, a, b));
  return CompareRoots(ToDistinguishedHead(here), ToDistinguishedHead(there));
}

// The file to be given to others.
absl::Status WriteHeads(const HeadsOptions& options, Client& client, const HeadsResult& result) {
  if (options.unsigned_roots) {
    return base::WriteOutput(options.out, base::codec::Encode(ToDistinguishedHead(result)));
  }
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, client.SignedHeads(options.domain));
  return base::WriteOutput(options.out, bytes);
}

absl::StatusOr<int> Heads(HeadsOptions options) {
  const absl::StatusOr<smime::Address> address = smime::ParseAddress("x@" + options.domain);
  if (!address.ok()) return base::Annotate(address.status(), options.domain);
  options.domain = address->domain;
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(options.common.client));
  KT_ASSIGN_OR_RETURN(const HeadsResult result, client->Heads(options.domain));
  if (!options.via.empty()) KT_RETURN_IF_ERROR(CompareVia(options, *client, result));
  if (!options.out.empty()) KT_RETURN_IF_ERROR(WriteHeads(options, *client, result));
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
  std::string state;
  bool json = false;
};

// A file that somebody gave to somebody else.
struct HeadsFile {
  core::DistinguishedHead roots;
  // Unless it is a bare DistinguishedHead, which nobody has signed.
  std::optional<core::SignedHeads> signed_heads;
  std::optional<base::Hash> fingerprint;  // of the log, if the heads are signed
};

// Whether the file is signed heads, of whatever version.
bool LooksSigned(base::ByteView bytes) {
  const auto& magic = core::SignedHeads::kMagic;
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end() - 1, bytes.begin());
}

absl::StatusOr<HeadsFile> ReadHeads(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxHeadsBytes));
  HeadsFile file;
  if (!LooksSigned(bytes)) {
    absl::StatusOr<core::DistinguishedHead> roots =
        base::codec::Decode<core::DistinguishedHead>(bytes);
    if (!roots.ok()) {
      return base::Annotate(roots.status(),
                            path + " is neither signed heads nor a DistinguishedHead");
    }
    file.roots = *std::move(roots);
    return file;
  }
  if (bytes[core::SignedHeads::kMagic.size() - 1] != core::SignedHeads::kMagic.back()) {
    return absl::InvalidArgumentError(
        path + " has another format than this version knows: have it made anew by the same one");
  }
  absl::StatusOr<core::SignedHeads> heads = base::codec::Decode<core::SignedHeads>(bytes);
  if (!heads.ok()) return base::Annotate(heads.status(), path + " is damaged");
  absl::StatusOr<core::CheckedHeads> checked = core::CheckSignedHeads(*heads);
  if (!checked.ok()) return base::Annotate(checked.status(), path);
  file.roots = std::move(checked->heads);
  file.signed_heads = *std::move(heads);
  file.fingerprint = core::ConfigurationFingerprint(checked->config);
  return file;
}

absl::StatusOr<int> CompareHeads(const CompareOptions& options) {
  KT_ASSIGN_OR_RETURN(const HeadsFile a, ReadHeads(options.a));
  KT_ASSIGN_OR_RETURN(const HeadsFile b, ReadHeads(options.b));
  const bool provable = a.signed_heads.has_value() && b.signed_heads.has_value();
  if (provable) {
    if (a.fingerprint != b.fingerprint) {
      return base::VerificationFailed(
          "configuration",
          absl::StrCat("the files are of two logs, sha256:", base::ToHex(a.fingerprint->bytes),
                       " and sha256:", base::ToHex(b.fingerprint->bytes)));
    }
    KT_RETURN_IF_ERROR(KeepEvidence(options.state, *a.signed_heads, *b.signed_heads));
    KT_RETURN_IF_ERROR(CompareRoots(a.roots, b.roots));
  } else {
    KT_RETURN_IF_ERROR(base::Annotate(CompareRoots(a.roots, b.roots),
                                      "not both of the files are signed, so nothing of this can be "
                                      "proven to others"));
  }
  if (options.json) {
    nlohmann::ordered_json json = {{"consistent", true}, {"signed", provable}};
    if (provable) json["configuration"] = "sha256:" + base::ToHex(a.fingerprint->bytes);
    PrintJson(json);
    return kExitFound;
  }
  std::cout << "consistent: both lists come from one log";
  if (provable) std::cout << ", sha256:" << base::ToHex(a.fingerprint->bytes);
  std::cout << "\n";
  return kExitFound;
}

}  // namespace

void AddHeadsCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<HeadsOptions>();
  CLI::App* const command = app.add_subcommand(
      "heads", "Show the heads of a domain's log on which all of its users must agree");
  command->footer(kExitCodesHelp);
  command->add_option("domain", options->domain, "Domain")->required();
  CLI::Option* const out =
      command->add_option("--out", options->out, "File for the heads as signed, for others");
  command
      ->add_flag("--unsigned", options->unsigned_roots,
                 "Write a bare DistinguishedHead of the draft, which proves nothing")
      ->needs(out);
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
  options->state = DefaultStateDirectory();
  command->add_option("--state", options->state, "Directory for evidence of a fork")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=] {
    const absl::StatusOr<int> result = CompareHeads(*options);
    *exit_code = result.ok() ? *result : ReportError(result.status(), options->json);
  });
}

}  // namespace kt::client
