// SPDX-License-Identifier: Apache-2.0
//
// Each lie that a log can tell, and all who notice it: who, in which operation, and when.
// docs/threat-model.md tells it as a table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/sim/scene.h"

namespace kt::sim {
namespace {

using core::CombinedTreeProof;
using core::DeploymentMode;
using core::FullTreeHead;
using testing::TestLog;

struct Lie {
  std::string name;
  DeploymentMode mode;
  std::function<void(Scene&)> tell;
  std::set<std::string> noticed;
};
void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

constexpr DeploymentMode kContact = DeploymentMode::kContactMonitoring;
constexpr DeploymentMode kAudited = DeploymentMode::kThirdPartyAuditing;

// Where every response is altered, those who had no reason to refuse the look-up notice later, too.
const std::set<std::string> kEverybody = {
    "newcomer: search, at once",       "newcomer: walk, later",
    "owner: owner monitoring, later",  "returning user: contact monitoring, later",
    "returning user: search, at once", "returning user: walk, later",
};

// A response's proof, altered the same way in every response.
Lie AlteredProof(const std::string& name, const std::function<void(CombinedTreeProof&)>& change,
                 const std::set<std::string>& noticed) {
  return {name, kContact,
          [change](Scene& scene) {
            scene.Append(scene.log());
            scene.server().tamper = [change](FullTreeHead&, CombinedTreeProof& proof) {
              change(proof);
            };
          },
          noticed};
}

Lie AlteredHead(const std::string& name, DeploymentMode mode,
                const std::function<void(FullTreeHead&)>& change,
                const std::set<std::string>& noticed) {
  return {name, mode,
          [change](Scene& scene) {
            scene.Append(scene.log());
            scene.server().tamper = [change](FullTreeHead& head, CombinedTreeProof&) {
              change(head);
            };
          },
          noticed};
}

template <typename T>
void Cut(std::vector<T>& list) {
  if (!list.empty()) list.pop_back();
}

// From entry 9 on, another history in which Alice has a version that she did not make.
TestLog Fork(const TestLog& log) {
  TestLog fork = log.Prefix(9);
  fork.Append(log.RightmostMs() + 50, {{kAlice, "forged"}});
  return fork;
}

std::vector<Lie> Forks() {
  return {
      {"ForkForOneWhoHasSeenTheOther",
       kContact,
       [](Scene& scene) {
         TestLog fork = Fork(scene.log());
         while (fork.size() < 15) scene.Append(fork);
         scene.Append(scene.log());
         scene.server().Show(kReturning, fork);
       },
       {"returning user: no answer to contact monitoring, later", "returning user: search, at once",
        "returning user: walk, later"}},
      {"ForkForANewcomer",
       kContact,
       [](Scene& scene) {
         scene.server().Show(kNewcomer, Fork(scene.log()));
         scene.Append(scene.log());
       },
       {"comparing heads"}},
      {"ForkForANewcomerBehindAnHonestAuditor",
       kAudited,
       [](Scene& scene) {
         scene.server().Show(kNewcomer, Fork(scene.log()));
         scene.Append(scene.log());
         // The auditor has signed the entries before the fork, and signs none of it.
         scene.after_growth = [&scene] {
           TestLog& fork = scene.server().LogOf(kNewcomer);
           fork.SetAuditorLag(fork.size() - 9);
         };
         scene.after_growth();
       },
       {"newcomer: walk, later"}},
      {"ForkForTheAuditor",
       kAudited,
       [](Scene& scene) {
         scene.server().Show(kAuditor, scene.log());
         scene.Append(scene.log(), {{kAlice, "forged"}});
         // The auditor verifies what it is shown, but its users see a head of something else.
         scene.Append(scene.server().LogOf(kAuditor), {{"another", "value"}});
         scene.after_growth = [&scene] {
           TestLog& log = scene.log();
           log.SetAuditorLag(log.size() - 13);
         };
         scene.after_growth();
       },
       {"newcomer: walk, later", "owner: owner monitoring, later", "owner: update, later",
        "returning user: walk, later"}},
      {"Rollback",
       kContact,
       [](Scene& scene) { scene.log() = scene.log().Prefix(10); },
       {"owner: no answer to owner monitoring, later",
        "returning user: no answer to contact monitoring, later", "returning user: search, at once",
        "returning user: walk, later"}},
      {"OldHeadReplayed", kContact, [](Scene& scene) { scene.Wait(70'000); }, kEverybody},
  };
}

std::vector<Lie> Versions() {
  return {
      {"LowerGreatestVersionClaimed",
       kContact,
       [](Scene& scene) {
         scene.Append(scene.log());
         scene.server().ClaimGreatest(3);
       },
       {"newcomer: search, at once", "returning user: search, at once"}},
      {"HigherGreatestVersionClaimed",
       kContact,
       [](Scene& scene) {
         scene.Append(scene.log());
         scene.server().ClaimGreatest(5);
       },
       {"newcomer: search, at once", "returning user: search, at once"}},
      {"LabelDenied",
       kContact,
       [](Scene& scene) {
         scene.Append(scene.log());
         scene.server().Deny();
       },
       {"newcomer: search, at once", "returning user: search, at once"}},
      {"NewestVersionHidden",
       kContact,
       [](Scene& scene) {
         scene.log().Hide(kAlice, 4);
         scene.Append(scene.log());
         scene.server().ClaimGreatest(3);
       },
       {"owner: owner monitoring, later", "returning user: contact monitoring, later",
        "returning user: search, at once"}},
      {"NewestVersionHiddenWithAnAuditor",
       kAudited,
       [](Scene& scene) {
         scene.log().Hide(kAlice, 4);
         scene.Append(scene.log());
         scene.server().ClaimGreatest(3);
       },
       {"auditor: audit, later", "owner: owner monitoring, later"}},
      {"OldVersionHidden",
       kContact,
       [](Scene& scene) {
         scene.log().Hide(kAlice, 0);
         scene.Append(scene.log());
       },
       {"newcomer: contact monitoring, later", "owner: owner monitoring, later",
        "returning user: contact monitoring, later"}},
      {"VersionInserted",
       kContact,
       [](Scene& scene) {
         scene.Append(scene.log(), {{kAlice, "forged"}});
       },
       {"owner: finds a version that is not hers, later"}},
      {"VersionInsertedAndKeptFromItsOwner",
       kContact,
       [](Scene& scene) {
         scene.Append(scene.log(), {{kAlice, "forged"}});
         scene.server().WithholdUpdates();
       },
       {"owner: a proof is withheld, later"}},
      {"VersionInsertedForALookUpAndRemoved",
       kContact,
       [](Scene& scene) {
         scene.Append(scene.log(), {{kAlice, "forged"}});
         scene.log().Hide(kAlice, 5);
         scene.server().WithholdUpdates();
       },
       {"newcomer: contact monitoring, later", "owner: a proof is withheld, later",
        "returning user: contact monitoring, later"}},
      {"VersionInsertedAndRemovedBehindAnAuditor",
       kAudited,
       [](Scene& scene) {
         scene.Append(scene.log(), {{kAlice, "forged"}});
         scene.log().Hide(kAlice, 5);
         scene.server().WithholdUpdates();
       },
       {"auditor: audit, later", "owner: a proof is withheld, later"}},
  };
}

std::vector<Lie> Times() {
  return {
      {"TimeRunsBackwards",
       kContact,
       [](Scene& scene) { scene.log().Append(scene.log().RightmostMs() - 1); },
       {"owner: owner monitoring, later", "returning user: contact monitoring, later",
        "returning user: search, at once", "returning user: walk, later"}},
      {"TimeRunsBackwardsBeforeAnAuditor",
       kAudited,
       [](Scene& scene) { scene.log().Append(scene.log().RightmostMs() - 1); },
       {"auditor: audit, later", "owner: owner monitoring, later",
        "returning user: search, at once", "returning user: walk, later"}},
      {"EntryFromTheFuture",
       kContact,
       [](Scene& scene) { scene.log().Append(scene.log().RightmostMs() + 10'001); },
       {"newcomer: search, at once", "returning user: search, at once"}},
      AlteredProof(
          "TimestampAltered",
          [](CombinedTreeProof& proof) {
            if (!proof.timestamps.empty()) ++proof.timestamps.back();
          },
          kEverybody),
      AlteredProof(
          "TimestampsReordered",
          [](CombinedTreeProof& proof) {
            std::reverse(proof.timestamps.begin(), proof.timestamps.end());
          },
          {"newcomer: search, at once", "newcomer: walk, later", "owner: owner monitoring, later",
           "returning user: contact monitoring, later", "returning user: walk, later"}),
  };
}

// A list that is empty cannot be cut, so not everybody is sent something that is altered.
std::vector<Lie> Lists() {
  return {
      AlteredProof(
          "TimestampsCut", [](CombinedTreeProof& proof) { Cut(proof.timestamps); }, kEverybody),
      AlteredProof(
          "TimestampsPadded",
          [](CombinedTreeProof& proof) { proof.timestamps.push_back(2'000'000); }, kEverybody),
      AlteredProof(
          "PrefixProofsCut", [](CombinedTreeProof& proof) { Cut(proof.prefix_proofs); },
          {"newcomer: search, at once", "owner: owner monitoring, later",
           "returning user: contact monitoring, later", "returning user: search, at once"}),
      AlteredProof(
          "PrefixProofsPadded",
          [](CombinedTreeProof& proof) { proof.prefix_proofs.emplace_back(); }, kEverybody),
      AlteredProof("PrefixRootsCut", [](CombinedTreeProof& proof) { Cut(proof.prefix_roots); },
                   {"newcomer: search, at once", "newcomer: walk, later",
                    "returning user: contact monitoring, later", "returning user: walk, later"}),
      AlteredProof(
          "PrefixRootsPadded", [](CombinedTreeProof& proof) { proof.prefix_roots.emplace_back(); },
          kEverybody),
      AlteredProof(
          "InclusionCut", [](CombinedTreeProof& proof) { Cut(proof.inclusion.elements); },
          {"newcomer: search, at once", "newcomer: walk, later", "owner: owner monitoring, later",
           "returning user: contact monitoring, later", "returning user: walk, later"}),
      AlteredProof(
          "InclusionPadded",
          [](CombinedTreeProof& proof) { proof.inclusion.elements.emplace_back(); }, kEverybody),
  };
}

std::vector<Lie> HeadsAndAuditors() {
  return {
      AlteredHead(
          "HeadSignedWithAnotherKey", kContact,
          [](FullTreeHead& head) {
            // As good as another key's: a signature over another head.
            static const TestLog* const kOther = new TestLog({.seed = 99});
            if (head.tree_head.signature.empty()) return;
            head.tree_head.signature = kOther->keys().log->Sign(head.tree_head.signature).value();
          },
          kEverybody),
      AlteredHead(
          "AuditorsSignatureForged", kAudited,
          [](FullTreeHead& head) {
            if (!head.auditor_tree_head.signature.empty()) {
              head.auditor_tree_head.signature.back() ^= 1;
            }
          },
          {"newcomer: search, at once", "newcomer: walk, later", "owner: owner monitoring, later",
           "returning user: search, at once", "returning user: walk, later"}),
      {"AuditorLags",
       kAudited,
       [](Scene& scene) {
         scene.Append(scene.log());
         scene.log().SetAuditorLag(12);
       },
       {"newcomer: search, at once", "newcomer: walk, later", "owner: owner monitoring, later",
        "returning user: search, at once", "returning user: walk, later"}},
      {"ChangeKeptFromTheAuditor",
       kAudited,
       [](Scene& scene) {
         scene.Append(scene.log(), {{kAlice, "forged"}});
         scene.server().tamper_audit = [](testing::AuditorMessage& message) {
           if (message.update.added.empty()) return;
           message.update.added.pop_back();
           message.update.proof.results.pop_back();
         };
       },
       {"auditor: audit, later", "owner: finds a version that is not hers, later"}},
      {"TimestampAlteredForTheAuditor",
       kAudited,
       [](Scene& scene) {
         scene.Append(scene.log());
         scene.server().tamper_audit = [](testing::AuditorMessage& message) {
           ++message.update.timestamp;
         };
       },
       {"auditor: audit, later"}},
  };
}

std::vector<Lie> AllLies() {
  std::vector<Lie> all = {{"None", kContact, [](Scene&) {}, {}},
                          {"NoneWithAnAuditor", kAudited, [](Scene&) {}, {}}};
  for (const auto& lies : {Forks(), Versions(), Times(), Lists(), HeadsAndAuditors()}) {
    all.insert(all.end(), lies.begin(), lies.end());
  }
  return all;
}

class Lies : public ::testing::TestWithParam<std::tuple<core::CipherSuite, Lie>> {};
INSTANTIATE_TEST_SUITE_P(
    All, Lies,
    ::testing::Combine(::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519),
                       ::testing::ValuesIn(AllLies())),
    [](const auto& param_info) {
      return std::get<1>(param_info.param).name +
             (std::get<0>(param_info.param) == core::CipherSuite::kP256 ? "P256" : "Ed25519");
    });

TEST_P(Lies, AreNoticed) {
  const auto& [suite, lie] = GetParam();
  Scene scene(suite, lie.mode);
  lie.tell(scene);
  scene.LookUp();
  scene.LiveOn();
  EXPECT_EQ(scene.noticed(), lie.noticed) << scene.details();
}

}  // namespace
}  // namespace kt::sim
