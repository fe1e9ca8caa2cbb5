// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/make_vectors.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/credential.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/update.h"
#include "merkle/log_tree.h"
#include "tests/support/auditor_answers.h"
#include "tests/vectors/vector_log.h"

namespace kt::vectors {
namespace {

using core::DeploymentMode;
using core::LogPosition;
using core::TreeSize;
using core::Version;
using testing::TestLog;

const char* NameOfMode(DeploymentMode mode) {
  switch (mode) {
    case DeploymentMode::kContactMonitoring:
      return "contact monitoring";
    case DeploymentMode::kThirdPartyManagement:
      return "third-party management";
    case DeploymentMode::kThirdPartyAuditing:
      return "third-party auditing";
  }
  return "";
}

Json Searches(const TestLog& log) {
  Json vectors = Json::array();
  const auto fresh = [&](const std::string& name, const std::string& label,
                         std::optional<Version> version, TreeSize size) {
    vectors.push_back(VectorUser(log).Search(name, label, version, size));
  };
  fresh("greatest version, first use, log of three entries", kAlice, std::nullopt, 3);
  fresh("greatest version, first use", kAlice, std::nullopt, 23);
  fresh("greatest version of a label that has one", kBob, std::nullopt, 23);
  fresh("fixed version, first use", kAlice, 1, 23);
  fresh("fixed version that is the greatest", kAlice, 8, 23);
  VectorUser user(log);
  vectors.push_back(user.Search("greatest version, before the log grows", kAlice, {}, 13));
  vectors.push_back(user.Search("greatest version, returning to the same tree", kAlice, {}, 13));
  vectors.push_back(user.Search("greatest version, returning to a larger tree", kAlice, {}, 24));
  vectors.push_back(user.Search("fixed version, returning to the same tree", kAlice, 3, 24));
  return vectors;
}

Json Absences(const TestLog& log) {
  Json vectors = Json::array();
  VectorUser user(log);
  vectors.push_back(user.Absence("label, first use", kNobody, {}, 11));
  vectors.push_back(user.Absence("label, returning to the same tree", kNobody, {}, 11));
  vectors.push_back(user.Absence("version beyond the greatest, returning", kAlice, 200, 24));
  return vectors;
}

Json Contacts(const TestLog& log) {
  Json vectors = Json::array();
  VectorUser user(log);
  // Entry 20 is the newest one with a version of Alice, and nothing distinguished covers it yet.
  vectors.push_back(user.Search("a search that must be followed by monitoring", kAlice, {}, 21));
  for (TreeSize size = 22; size <= 24 && user.monitors(); ++size) {
    vectors.push_back(user.ContactMonitor(absl::StrCat("in a tree of ", size), size));
  }
  VectorUser later(log);
  vectors.push_back(later.Search("another one", kAlice, {}, 10));
  KT_CHECK(later.monitors());
  vectors.push_back(later.ContactMonitor("monitoring that ends at a distinguished entry", 24));
  KT_CHECK(!later.monitors());
  return vectors;
}

// The rightmost distinguished entry of the first `size` entries.
LogPosition RightmostDistinguished(const TestLog& log, TreeSize size) {
  VectorUser walker(log);
  const Json walk = walker.Distinguished("", size);
  return walk.at("expected").at("aware").back().at("position").get<LogPosition>();
}

Json Owners(const TestLog& log) {
  Json vectors = Json::array();
  VectorUser fresh(log);
  vectors.push_back(fresh.OwnerInit("initialization of a label that does not exist yet", kNobody,
                                    RightmostDistinguished(log, 6), 6));
  VectorUser owner(log);
  vectors.push_back(owner.OwnerInit("initialization of a label that exists", kAlice,
                                    RightmostDistinguished(log, 11), 11));
  // Until she knows of all versions that the log has in a tree of that size.
  const auto catch_up = [&](TreeSize size) {
    const Version newest = *log.Greatest(kAlice, size);
    while (vectors.back().at("expected").at("owner").at("upcoming").empty() ||
           vectors.back().at("expected").at("owner").at("upcoming").back().at("version") !=
               newest) {
      vectors.push_back(owner.Update("update: told of versions in the log", {}, size));
    }
  };
  vectors.push_back(owner.Update("update: the first version that she makes",
                                 {"Alice's value of entry 11, 0"}, 12));
  vectors.push_back(owner.OwnerMonitor("monitoring, nothing distinguished yet", 13, 32));
  vectors.push_back(owner.Update("update: three versions in one entry",
                                 {"Alice's value of entry 14, 0", "Alice's value of entry 14, 1",
                                  "Alice's value of entry 14, 2"},
                                 15));
  vectors.push_back(owner.OwnerMonitor("monitoring in part: the log sends one ladder", 17, 1));
  catch_up(24);
  vectors.push_back(owner.OwnerMonitor("monitoring up to the rightmost entry", 24, 32));
  return vectors;
}

Json Walks(const TestLog& log) {
  Json vectors = Json::array();
  VectorUser user(log);
  vectors.push_back(user.Distinguished("first walk", 14));
  vectors.push_back(user.Distinguished("nothing new", 14));
  vectors.push_back(user.Distinguished("walk from where the last one ended", 24));
  return vectors;
}

// A credential that is based on the rightmost distinguished entry of the first `size` entries.
Json CredentialVector(const TestLog& log, const std::string& name, const std::string& label,
                      TreeSize size, bool standard) {
  VectorUser walker(log);
  const Json walk = walker.Distinguished("", size);
  const LogPosition position = RightmostDistinguished(log, size);
  const Version version = *log.Greatest(label, standard ? position + 1 : size);
  const TestLog::VersionData& data = *log.Find(label, version);
  const core::LabelRecord record = log.Record(label, core::BaseBinaryLadder(version));
  const core::CredentialTarget target{base::AsBytes(label), version, record, data.opening,
                                      data.update};
  const core::Credential credential =
      standard ? core::ProveStandardCredential(*log.ViewAt(size), position, target).value()
               : core::ProveProvisionalCredential(log.config(), *log.ViewAt(size),
                                                  log.HeadAt(size).tree_head, position, target)
                     .value();
  Json vector{{"name", name},
              {"operation", "credential"},
              {"configuration", ToJson(core::codec::Encode(log.config()))},
              {"now", walk.at("now")},
              {"aware", walker.aware()},
              {"credential", ToJson(core::codec::Encode(credential, log.context()))}};
  if (standard) return Complete(std::move(vector));
  const Json later = walker.Distinguished("", log.size());
  vector["now_later"] = later.at("now");
  vector["aware_later"] = walker.aware();
  const Json search = VectorUser(log).Search("", label, {}, size);
  const auto terminal = search.at("expected").at("terminal").get<LogPosition>();
  const core::CredentialUpdate update =
      core::ProveCredentialUpdate(log.config(), *log.ViewAt(log.size()), size, terminal, version,
                                  log.Record(label, core::MonitoringBinaryLadder(version)))
          .value()
          .update;
  vector["credential_update"] = ToJson(core::codec::Encode(update, log.context()));
  return Complete(std::move(vector));
}

// The first size at which the terminal entry of a search is between the rightmost distinguished
// entry and one that becomes distinguished later.
TreeSize SizeThatNeedsAnUpdate(const TestLog& log, const std::string& label) {
  for (TreeSize size = 8; size < log.size(); ++size) {
    const Json search = VectorUser(log).Search("", label, {}, size);
    const auto terminal = search.at("expected").at("terminal").get<LogPosition>();
    const Version version = *log.Greatest(label, size);
    if (terminal <= RightmostDistinguished(log, size)) continue;
    const core::LabelRecord record = log.Record(label, core::MonitoringBinaryLadder(version));
    if (core::ProveCredentialUpdate(log.config(), *log.ViewAt(log.size()), size, terminal, version,
                                    record)
            .ok()) {
      return size;
    }
  }
  return log.size();
}

Json Credentials(const TestLog& log) {
  return {CredentialVector(log, "standard", kAlice, 24, true),
          CredentialVector(log, "standard, of a label with one version", kBob, 24, true),
          CredentialVector(log, "provisional, and its update", kAlice,
                           SizeThatNeedsAnUpdate(log, kAlice), false)};
}

Json Parts(const TestLog& log) {
  Json vectors = Json::array();
  const Json config = ToJson(core::codec::Encode(log.config()));
  const std::string mode = NameOfMode(log.config().mode);
  vectors.push_back(
      Complete({{"name", mode}, {"operation", "configuration"}, {"configuration", config}}));
  for (const TreeSize size : {1, 24}) {
    const core::SignedHead& head = log.HeadAt(size);
    core::FullTreeHead full;
    full.head_type = core::FullTreeHeadType::kUpdated;
    full.tree_head = head.tree_head;
    if (head.auditor_tree_head.has_value()) full.auditor_tree_head = *head.auditor_tree_head;
    Json vector{{"name", absl::StrCat(mode, ", tree of ", size)},
                {"operation", "tree-head"},
                {"configuration", config},
                {"full_tree_head", ToJson(core::codec::Encode(full, log.context()))},
                {"root", ToJson(log.RootAt(size).view())},
                {"rightmost_timestamp", log.TimestampOf(size - 1)},
                {"now", log.TimestampOf(size - 1)}};
    if (head.auditor_tree_head.has_value()) {
      vector["auditor_root"] = ToJson(log.RootAt(head.auditor_tree_head->tree_size).view());
    }
    vectors.push_back(Complete(std::move(vector)));
  }
  for (const Version version : {0, 2}) {
    const TestLog::VersionData& data = *log.Find(kAlice, version);
    Json vector{{"name", mode},
                {"operation", "commitment"},
                {"configuration", config},
                {"label", kAlice},
                {"version", version},
                {"opening", ToJson(data.opening)},
                {"value", ToJson(data.update.value)}};
    if (log.config().mode == DeploymentMode::kThirdPartyManagement) {
      vector["signature"] = ToJson(data.update.suffix.signature);
    }
    vectors.push_back(Complete(std::move(vector)));
  }
  return vectors;
}

Json VrfInputs(const TestLog& log) {
  Json vectors = Json::array();
  const std::pair<std::string, Version> inputs[] = {
      {kAlice, 0}, {kAlice, 1}, {kAlice, 0xfffffffe}, {"", 7}, {std::string(255, 'x'), 256}};
  for (const auto& input : inputs) {
    const Version version[] = {input.second};
    const core::LabelRecord record = log.Record(input.first, version);
    vectors.push_back(Complete({{"name", absl::StrCat("label of ", input.first.size(), " bytes")},
                                {"operation", "vrf"},
                                {"configuration", ToJson(core::codec::Encode(log.config()))},
                                {"label", input.first},
                                {"version", input.second},
                                {"proof", ToJson(record.at(input.second).vrf_proof)}}));
  }
  return vectors;
}

Json Management(const TestLog& log) {
  Json vectors = Json::array();
  core::UpdateRequest request{24, base::ToBytes(kBob), 3, {{base::ToBytes("Bob's next value")}}};
  const core::ManagerUpdateRequest signed_request =
      core::SignUpdateRequest(log.config(), *log.keys().leaf, request, 6).value();
  vectors.push_back(
      Complete({{"name", "request of the operator, signed for version 6 on"},
                {"operation", "manager-update"},
                {"configuration", ToJson(core::codec::Encode(log.config()))},
                {"greatest_in_log", 3},
                {"request", ToJson(core::codec::Encode(signed_request, log.context()))}}));
  vectors.push_back(VectorUser(log).Search("greatest version after skipped ones", kBob, {}, 24));
  VectorUser owner(log);
  vectors.push_back(owner.OwnerInit("initialization", kBob, RightmostDistinguished(log, 8), 8));
  vectors.push_back(owner.Update("update: versions were skipped", {}, 24));
  vectors.push_back(owner.OwnerMonitor("monitoring", 24, 32));
  return vectors;
}

// The log's first entries, and then one that takes a leaf out which an owner has had time to see.
Json Auditing(const TestLog& honest) {
  TestLog log = honest;
  log.Hide("user3@example.com", 0);
  log.Append(honest.RightmostMs() + 1'000, {{"user24@example.com", "value"}});
  Json vectors = Json::array();
  const Json config = ToJson(core::codec::Encode(log.config()));
  Json state = ToJson(core::AuditorState());
  for (LogPosition position = 0; position < log.size(); ++position) {
    const testing::AuditorMessage message = testing::AnswerAuditor(log, position);
    Json published;
    if (message.published.has_value()) {
      published = ToJson(core::codec::Encode(*message.published));
    }
    Json vector = Complete({{"name", absl::StrCat("entry ", position)},
                            {"operation", "auditor-update"},
                            {"configuration", config},
                            {"auditor", state},
                            {"auditor_update", ToJson(core::codec::Encode(message.update))},
                            {"published", published}});
    state = vector.at("expected").at("auditor");
    if (position < 6 || position + 1 == log.size()) vectors.push_back(std::move(vector));
  }
  core::AuditorStart start;
  start.tree_size = 13;
  merkle::LogProofShape shape;
  shape.size = start.tree_size;
  shape.leaves = core::Frontier(start.tree_size);
  for (const LogPosition position : shape.leaves) {
    start.frontier.push_back({log.TimestampOf(position), log.PrefixRootOf(position)});
  }
  for (const merkle::LogNodeId& id : merkle::RequiredNodes(shape)) {
    start.inclusion.elements.push_back(log.LogNode(id));
  }
  vectors.push_back(Complete({{"name", "beginning within the log"},
                              {"operation", "auditor-start"},
                              {"auditor_start", ToJson(core::codec::Encode(start))}}));
  VectorUser user(honest);
  vectors.push_back(user.Search("search whose head has the auditor's", kAlice, {}, 15));
  vectors.push_back(user.Search("the same, returning to a larger tree", kAlice, {}, 24));
  return vectors;
}

}  // namespace

Files MakeVectors(core::CipherSuite suite) {
  const TestLog log = MakeLog(suite, DeploymentMode::kContactMonitoring);
  const TestLog managed = MakeLog(suite, DeploymentMode::kThirdPartyManagement);
  const TestLog audited = MakeLog(suite, DeploymentMode::kThirdPartyAuditing);
  Files files;
  files["search.json"] = Searches(log);
  files["absence.json"] = Absences(log);
  files["contact_monitor.json"] = Contacts(log);
  files["owner.json"] = Owners(log);
  files["distinguished.json"] = Walks(log);
  files["credential.json"] = Credentials(log);
  files["vrf.json"] = VrfInputs(log);
  files["management.json"] = Management(managed);
  files["auditing.json"] = Auditing(audited);
  Json parts = Json::array();
  Json logs = Json::array();
  for (const TestLog* each : {&log, &managed, &audited}) {
    for (Json& vector : Parts(*each)) parts.push_back(std::move(vector));
    logs.push_back(DescribeLog(*each));
  }
  files["parts.json"] = std::move(parts);
  files["logs.json"] = std::move(logs);
  return files;
}

std::string ToText(const Json& file) { return file.dump(1) + "\n"; }

std::string FolderOf(core::CipherSuite suite) {
  return suite == core::CipherSuite::kP256 ? "p256" : "ed25519";
}

}  // namespace kt::vectors
