// SPDX-License-Identifier: Apache-2.0
//
// "Updating a Label" and "Management": what is decided of a request, the order of questions,
// several responses to one request, skipped versions and the operator's signatures.
#include "kt-core/update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "kt-core/binary_ladder.h"
#include "kt-core/monitoring.h"
#include "kt-core/response_verifier.h"
#include "tests/support/fake_proof_source.h"
#include "tests/support/monitoring_answers.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using ::testing::ElementsAre;
using testing::FailsCheck;
using testing::FakeProofSource;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::IsVerificationFailure;
using testing::StatusIs;
using testing::TestLog;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr Version kLast = std::numeric_limits<Version>::max();

UpdateRequest Request(std::optional<Version> greatest, size_t values) {
  return {std::nullopt, base::ToBytes("alice"), greatest,
          std::vector<LabelValue>(values, {base::ToBytes("value")})};
}

TEST(DecideUpdate, FollowsTheDraft) {
  EXPECT_THAT(DecideUpdate(Request(std::nullopt, 1), std::nullopt),
              IsOkAndHolds(UpdateDecision::kCreate));
  EXPECT_THAT(DecideUpdate(Request(4, 2), 4), IsOkAndHolds(UpdateDecision::kCreate));
  EXPECT_THAT(DecideUpdate(Request(3, 2), 4), IsOkAndHolds(UpdateDecision::kCatchUp));
  EXPECT_THAT(DecideUpdate(Request(std::nullopt, 0), 0), IsOkAndHolds(UpdateDecision::kCatchUp));
  EXPECT_THAT(DecideUpdate(Request(5, 1), 4), StatusIs(kInvalid));
  EXPECT_THAT(DecideUpdate(Request(0, 1), std::nullopt), StatusIs(kInvalid));
  EXPECT_THAT(DecideUpdate(Request(4, 0), 4), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(DecideUpdate(Request(std::nullopt, 0), std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // The greatest possible version is 2^32 - 1.
  EXPECT_THAT(DecideUpdate(Request(kLast - 1, 1), kLast - 1), IsOk());
  EXPECT_THAT(DecideUpdate(Request(kLast - 1, 2), kLast - 1), StatusIs(kInvalid));
  EXPECT_THAT(DecideUpdate(Request(kLast, 1), kLast), StatusIs(kInvalid));
  EXPECT_THAT(DecideUpdate(Request(1, kMaxVersionsInEntry), 1), IsOk());
  EXPECT_THAT(DecideUpdate(Request(1, kMaxVersionsInEntry + 1), 1), StatusIs(kInvalid));
}

TEST(UpdateLadderVersions, LeavesOutWhatTheOwnerKnows) {
  // Ladder of 0: 0 1. Of 1: 0 1 3 2. Of 4: 0 1 3 7 5 4. Of 9: 0 1 3 7 15 11 9 10.
  EXPECT_THAT(UpdateLadderVersions(std::nullopt, 0), ElementsAre(1));
  EXPECT_THAT(UpdateLadderVersions(0, 1), ElementsAre(2, 3));
  EXPECT_THAT(UpdateLadderVersions(1, 4), ElementsAre(4, 5, 7));
  EXPECT_THAT(UpdateLadderVersions(4, 9), ElementsAre(6, 8, 9, 10, 11, 15));
  EXPECT_THAT(UpdateLadderVersions(kLast - 1, kLast), IsEmpty());
  for (const Version previous : {0u, 1u, 100u, 1u << 31, kLast - kMaxVersionsInEntry}) {
    EXPECT_LE(UpdateLadderVersions(previous, previous + kMaxVersionsInEntry).size(), 255u);
  }
}

// --- the order of questions ----------------------------------------------------------------

struct Case {
  std::optional<Version> previous;
  Version greatest = 0;
  LogPosition previous_position = 0;
};

// 13 entries a second apart from second 100 on; the new versions are in entry 10.
std::vector<std::string> Questions(const Case& what, uint64_t window_ms,
                                   bool expect_distinguished) {
  std::vector<uint64_t> timestamps;
  for (uint64_t i = 0; i < 13; ++i) timestamps.push_back(100'000 + 1000 * i);
  const auto existed = [&](LogPosition position, Version version) {
    if (position >= 10 && version <= what.greatest) return true;
    return position >= what.previous_position && what.previous && version <= *what.previous;
  };
  FakeProofSource source(timestamps, existed);
  const UpdateClaim claim{10, what.previous, what.greatest, what.previous_position, existed};
  Configuration config;
  config.reasonable_monitoring_window = window_ms;
  EXPECT_THAT(VerifyNewVersions(source, claim, config), IsOkAndHolds(expect_distinguished));
  return source.log();
}

TEST(VerifyNewVersions, InspectsThePreviousTreesFrontierAndTheEntry) {
  // The previous tree's frontier is 7, 9; nothing is distinguished.
  constexpr uint64_t kNever = 1'000'000;
  EXPECT_THAT(Questions({std::nullopt, 0, 0}, kNever, false),
              ElementsAre("T12", "T7", "L7: 0", "T9", "L9: 0", "T12", "T10", "L10: 0 1"));
  EXPECT_THAT(Questions({0, 1, 2}, kNever, false),
              ElementsAre("T12", "T7", "L7: 0 1", "T9", "L9: 1", "T12", "T10", "L10: 1 3 2"));
  // Entry 7 is skipped, since the previous version was added after it or there; what it would have
  // shown is left out all the same.
  EXPECT_THAT(Questions({0, 1, 8}, kNever, false),
              ElementsAre("T12", "T9", "L9: 0 1", "T12", "T10", "L10: 1 3 2"));
  EXPECT_THAT(Questions({0, 1, 7}, kNever, false),
              ElementsAre("T12", "T9", "L9: 1", "T12", "T10", "L10: 1 3 2"));
  EXPECT_THAT(Questions({0, 1, 9}, kNever, false), ElementsAre("T12", "T12", "T10", "L10: 1 3 2"));
  // Several new versions: those that the ladder does not look up come in a second series.
  EXPECT_THAT(Questions({1, 6, 9}, kNever, false),
              ElementsAre("T12", "T12", "T10", "L10: 3 7 5 6", "T10", "L10: 2 4"));
}

TEST(VerifyNewVersions, LeavesDistinguishedEntriesToTheOwnerAlgorithm) {
  // A window of zero distinguishes all entries.
  EXPECT_THAT(Questions({0, 1, 2}, 0, true),
              ElementsAre("T12", "T7", "T11", "T12", "T7", "T11", "T9"));
  EXPECT_THAT(Questions({1, 6, 2}, 0, true),
              ElementsAre("T12", "T7", "T11", "T12", "T7", "T11", "T9", "T10", "L10: 2 4"));
  // 7 is, and 11, but neither 9 (bounds 107 and 111) nor 10.
  EXPECT_THAT(
      Questions({0, 1, 2}, 4'500, false),
      ElementsAre("T12", "T7", "T11", "T9", "L9: 0 1", "T12", "T7", "T11", "T10", "L10: 1 3 2"));
}

TEST(VerifyNewVersions, RefusesAnotherGreatestVersion) {
  std::vector<uint64_t> timestamps(13, 1);
  Configuration config;
  config.reasonable_monitoring_window = 1'000'000;
  const auto outcome = [&](const FakeProofSource::Included& included) {
    FakeProofSource source(timestamps, included);
    const UpdateClaim claim{10, Version{0}, 2, 2,
                            [](LogPosition, Version version) { return version == 0; }};
    return VerifyNewVersions(source, claim, config).status();
  };
  const auto honest = [](LogPosition position, Version version) {
    return version <= (position >= 10 ? 2u : 0u);
  };
  EXPECT_THAT(outcome(honest), IsOk());
  // The new version was in the previous tree, the previous one was not, a greater one is there too.
  EXPECT_THAT(outcome([&](LogPosition p, Version v) { return honest(p, v) || (p == 9 && v == 1); }),
              FailsCheck("update-ladder"));
  EXPECT_THAT(outcome([&](LogPosition p, Version v) { return p >= 10 && honest(p, v); }),
              FailsCheck("update-ladder"));
  EXPECT_THAT(
      outcome([&](LogPosition p, Version v) { return honest(p, v) || (p == 10 && v == 3); }),
      FailsCheck("update-ladder"));
  EXPECT_THAT(outcome([&](LogPosition p, Version v) { return honest(p, v) && v != 2; }),
              FailsCheck("update-ladder"));
}

// Versions 2 and 4 are those that the ladder of version 6 does not look up.
TEST(VerifyNewVersions, NeedsEveryNewVersionBesidesTheLadder) {
  for (const uint64_t window_ms : {0, 1'000'000}) {
    Configuration config;
    config.reasonable_monitoring_window = window_ms;
    for (const Version missing : {2, 4, 7}) {
      const auto existed = [&](LogPosition position, Version version) {
        return version != missing && version <= (position >= 10 ? 6u : 1u);
      };
      FakeProofSource source(std::vector<uint64_t>(13, 1), existed);
      const UpdateClaim claim{10, Version{1}, 6, 9, existed};
      const absl::Status status = VerifyNewVersions(source, claim, config).status();
      if (missing == 7) {
        EXPECT_THAT(status, IsOk());
      } else {
        EXPECT_THAT(status, FailsCheck("new-versions"));
      }
    }
  }
}

// --- whole operations ----------------------------------------------------------------------

class UpdateOperation : public ::testing::TestWithParam<CipherSuite> {
 protected:
  // Entry 7 is distinguished, and nothing after it.
  explicit UpdateOperation(DeploymentMode mode = DeploymentMode::kContactMonitoring)
      : log_({.suite = GetParam(), .mode = mode, .reasonable_monitoring_window_ms = 50'000}) {
    verifier_ = ResponseVerifier::Create(log_.config()).value();
    for (int i = 0; i < 8; ++i) log_.Append(60'000);
    const OwnerInitRequest request{std::nullopt, base::ToBytes("alice"), 7};
    const auto init =
        verifier_
            ->VerifyOwnerInit(
                request,
                codec::Encode(testing::AnswerOwnerInit(log_, request).value(), log_.context()),
                nullptr, 60'000)
            .value();
    owner_ = init.owner;
    state_ = init.state;
  }
  void Append(const std::vector<std::string>& values) {
    std::vector<testing::TestUpdate> updates;
    for (const std::string& value : values) updates.push_back({"alice", value});
    log_.Append(log_.RightmostMs() + 10, updates);
  }
  UpdateRequest MakeRequest(const std::vector<std::string>& values) const {
    UpdateRequest request{
        state_.tree_size(), base::ToBytes("alice"), owner_.greatest_version(), {}};
    for (const std::string& value : values) request.values.push_back({base::ToBytes(value)});
    return request;
  }
  absl::StatusOr<VerifiedUpdate> Verify(const UpdateRequest& request,
                                        const UpdateResponse& response) const {
    return verifier_->VerifyUpdate(request, codec::Encode(response, log_.context()), owner_,
                                   &state_, log_.RightmostMs());
  }
  void Retain(const VerifiedUpdate& update) {
    owner_ = update.owner;
    state_ = update.state;
  }

  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
  OwnerState owner_;
  UserState state_;
};
const auto kSuites = ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519);
const auto kSuiteName = [](const auto& param_info) { return NameOf(param_info.param); };
INSTANTIATE_TEST_SUITE_P(Suites, UpdateOperation, kSuites, kSuiteName);

// Others created two entries with versions before the request's could be: three responses.
TEST_P(UpdateOperation, SeveralResponsesAnswerOneRequest) {
  Append({"a", "b"});
  Append({});
  Append({"c"});
  Append({"mine", "mine too"});
  UpdateRequest request = MakeRequest({"mine", "mine too"});
  std::vector<std::string> learned;
  std::vector<bool> of_request;
  for (int i = 0; i < 3; ++i) {
    // As `same` after the first one, since the first brought the tree up to date.
    ASSERT_OK_AND_ASSIGN(const UpdateResponse response,
                         testing::AnswerUpdate(log_, request, i == 2));
    EXPECT_EQ(response.full_tree_head.head_type,
              i == 0 ? FullTreeHeadType::kUpdated : FullTreeHeadType::kSame);
    ASSERT_OK_AND_ASSIGN(const VerifiedUpdate update, Verify(request, response));
    for (const NewVersion& version : update.created) {
      EXPECT_EQ(version.version, learned.size());
      learned.push_back(base::ToText(version.value));
    }
    of_request.push_back(update.of_request);
    Retain(update);
    request = FollowingUpdateRequest(request, response, state_.tree_size());
    EXPECT_EQ(request.values.size(), i == 2 ? 0u : 2u);
    EXPECT_EQ(request.greatest_version, owner_.greatest_version());
  }
  EXPECT_THAT(learned, ElementsAre("a", "b", "c", "mine", "mine too"));
  EXPECT_THAT(of_request, ElementsAre(false, false, true));
  EXPECT_THAT(testing::AnswerUpdate(log_, request),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // None of the three entries covers another.
  EXPECT_THAT(owner_.upcoming,
              ElementsAre(MonitorMapEntry{8, 1}, MonitorMapEntry{10, 2}, MonitorMapEntry{11, 4}));
  EXPECT_EQ(owner_.map, owner_.upcoming);
}

TEST_P(UpdateOperation, RefusesWhatDoesNotAnswerTheRequest) {
  Append({"a", "b", "c"});
  Append({});
  const UpdateRequest request = MakeRequest({});
  ASSERT_OK_AND_ASSIGN(const UpdateResponse honest, testing::AnswerUpdate(log_, request));
  ASSERT_THAT(Verify(request, honest), IsOk());
  const auto refused = [&](const std::function<void(UpdateResponse&)>& change,
                           const std::string& check) {
    UpdateResponse response = honest;
    change(response);
    EXPECT_THAT(Verify(request, response), FailsCheck(check));
  };
  refused([](auto& r) { r.position = 7; }, "update-position");
  refused([](auto& r) { r.position = 10; }, "update-position");
  refused([](auto& r) { r.values.pop_back(); }, "update-info");
  refused([](auto& r) { r.info.pop_back(); }, "update-info");
  refused([](auto& r) { r.values.clear(); }, "update-info");
  refused(
      [](auto& r) {
        r.values.clear();
        r.info.clear();
      },
      "update-info");
  refused([](auto& r) { r.binary_ladder.pop_back(); }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder.push_back(r.binary_ladder[0]); }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder[0].commitment = Hash{}; }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder[0].proof = r.binary_ladder[1].proof; }, "vrf-proof");
  refused([](auto& r) { r.update.prefix_proofs.pop_back(); }, "prefix-proofs");
  const auto fails = [&](const std::function<void(UpdateResponse&)>& change) {
    UpdateResponse response = honest;
    change(response);
    EXPECT_THAT(Verify(request, response), IsVerificationFailure());
  };
  fails([](auto& r) { r.position = 9; });
  for (const size_t i : {0, 1, 2}) {
    fails([&](auto& r) { r.values[i].value.push_back(0); });
    fails([&](auto& r) { r.info[i].opening.fill(0); });
  }
  fails([](auto& r) {
    std::swap(r.values[0], r.values[1]);
    std::swap(r.info[0], r.info[1]);
  });
  // One version fewer or more than there are.
  fails([](auto& r) {
    r.values.pop_back();
    r.info.pop_back();
  });
  fails([](auto& r) {
    r.values.emplace_back();
    r.info.emplace_back();
  });
}

TEST_P(UpdateOperation, RequestsMustFitTheState) {
  Append({"a"});
  const UpdateRequest request = MakeRequest({});
  ASSERT_OK_AND_ASSIGN(const UpdateResponse response, testing::AnswerUpdate(log_, request));
  UpdateRequest other = request;
  other.greatest_version = 0;
  EXPECT_THAT(Verify(other, response), StatusIs(kInvalid));
  other = request;
  other.last = 2;
  EXPECT_THAT(Verify(other, response), StatusIs(kInvalid));
  owner_.versions.clear();
  EXPECT_THAT(Verify(request, response), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_P(UpdateOperation, ProverRefusesARecordThatDoesNotFit) {
  Append({"a", "b"});
  const UpdateRequest request = MakeRequest({});
  const LabelRecord record = log_.Record("alice", UpdateVersions(std::nullopt, 1));
  const auto* a = log_.Find("alice", 0);
  const auto* b = log_.Find("alice", 1);
  const CreatedVersions honest{8, 0, {a->update, b->update}, {a->opening, b->opening}, false};
  const auto prove = [&](const std::function<void(CreatedVersions&, LabelRecord&)>& change) {
    CreatedVersions created = honest;
    LabelRecord label = record;
    change(created, label);
    return ProveUpdate(log_.config(), *log_.ViewAt(9), log_.HeadAt(9), request, created, label)
        .status();
  };
  const auto kInternal = absl::StatusCode::kInternal;
  EXPECT_THAT(prove([](auto&, auto&) {}), IsOk());
  EXPECT_THAT(prove([](auto& c, auto&) { c.position = 7; }), StatusIs(kInternal));
  EXPECT_THAT(prove([](auto& c, auto&) { c.position = 9; }), StatusIs(kInternal));
  EXPECT_THAT(prove([](auto& c, auto&) { c.openings.pop_back(); }), StatusIs(kInternal));
  EXPECT_THAT(prove([](auto& c, auto&) { c.of_request = true; }), StatusIs(kInternal));
  EXPECT_THAT(prove([](auto& c, auto&) { c.skipped_versions = 1; }), StatusIs(kInternal));
  EXPECT_THAT(prove([](auto&, auto& l) { l.erase(1); }), StatusIs(kInternal));
  EXPECT_THAT(prove([](auto&, auto& l) { l.erase(3); }), StatusIs(kInternal));
}

// --- "Management" --------------------------------------------------------------------------

class ManagedUpdate : public UpdateOperation {
 protected:
  ManagedUpdate() : UpdateOperation(DeploymentMode::kThirdPartyManagement) {}
};
INSTANTIATE_TEST_SUITE_P(Suites, ManagedUpdate, kSuites, kSuiteName);

TEST_P(ManagedUpdate, SkippedVersionsAreProvenToo) {
  log_.SkipVersion("alice", 0);
  log_.SkipVersion("alice", 1);
  log_.AddVersion("alice", 2, "mine");
  Append({"mine too"});
  const UpdateRequest request = MakeRequest({"mine", "mine too"});
  ASSERT_OK_AND_ASSIGN(const UpdateResponse honest, testing::AnswerUpdate(log_, request, true));
  EXPECT_EQ(honest.skipped_versions, 2u);
  ASSERT_OK_AND_ASSIGN(const VerifiedUpdate update, Verify(request, honest));
  EXPECT_THAT(update.created, ElementsAre(NewVersion{2, base::ToBytes("mine")},
                                          NewVersion{3, base::ToBytes("mine too")}));
  EXPECT_EQ(update.skipped_versions, 2u);
  EXPECT_EQ(update.owner.greatest_version(), Version{3});

  for (const uint32_t wrong : {0u, 1u, 3u, 1000u, kLast}) {
    UpdateResponse response = honest;
    response.skipped_versions = wrong;
    EXPECT_THAT(Verify(request, response), IsVerificationFailure()) << wrong;
  }
  // A manager's own signature is not the operator's.
  UpdateResponse response = honest;
  const UpdateTbs tbs{log_.config(), base::ToBytes("alice"), 2, base::ToBytes("mine")};
  response.info[0].suffix.signature = log_.keys().log->Sign(codec::Encode(tbs)).value();
  EXPECT_THAT(Verify(request, response), FailsCheck("update-signature"));
  // The versions after them follow as usual.
  Retain(update);
  Append({"later"});
  const UpdateRequest next = MakeRequest({});
  ASSERT_OK_AND_ASSIGN(const UpdateResponse later, testing::AnswerUpdate(log_, next));
  EXPECT_THAT(Verify(next, later), IsOk());
}

TEST_P(ManagedUpdate, ManagerChecksTheOperatorsRequest) {
  const Configuration& config = log_.config();
  const base::Signer& leaf = *log_.keys().leaf;
  const auto key =
      base::CreateVerifier(SignatureAlgorithmOf(config.ciphersuite), config.leaf_public_key)
          .value();
  const UpdateRequest request = MakeRequest({"a", "b"});
  ASSERT_OK_AND_ASSIGN(const ManagerUpdateRequest forwarded,
                       SignUpdateRequest(config, leaf, request, 7));
  const auto check = [&](const ManagerUpdateRequest& r, std::optional<Version> greatest) {
    return CheckManagerUpdateRequest(config, *key, r, greatest);
  };
  EXPECT_THAT(check(forwarded, 6), IsOkAndHolds(0u));
  EXPECT_THAT(check(forwarded, 4), IsOkAndHolds(2u));
  EXPECT_THAT(check(forwarded, std::nullopt), IsOkAndHolds(7u));
  EXPECT_THAT(check(forwarded, 7), StatusIs(kInvalid));
  ManagerUpdateRequest altered = forwarded;
  std::swap(altered.values[0], altered.values[1]);
  EXPECT_THAT(check(altered, 6), FailsCheck("update-signature"));
  altered = forwarded;
  altered.signed_version = 8;
  EXPECT_THAT(check(altered, 6), FailsCheck("update-signature"));
  altered.signed_version = 7 + kMaxVersionsInEntry;
  EXPECT_THAT(check(altered, 6), StatusIs(kInvalid));
  altered.values.clear();
  EXPECT_THAT(check(altered, 6), StatusIs(kInvalid));
  ASSERT_OK_AND_ASSIGN(const ManagerUpdateRequest empty,
                       SignUpdateRequest(config, leaf, MakeRequest({}), 7));
  EXPECT_EQ(empty.signed_version, 0u);
  EXPECT_THAT(check(empty, 6), IsOkAndHolds(0u));
  EXPECT_THAT(SignUpdateRequest(config, leaf, request, kLast - 1), StatusIs(kInvalid));
}

}  // namespace
}  // namespace kt::core
