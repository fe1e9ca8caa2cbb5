// SPDX-License-Identifier: Apache-2.0
//
// Owners of a label: initialization, updates and monitoring through random histories, and what
// they notice of logs that act behind their back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kt-core/monitoring.h"
#include "kt-core/response_verifier.h"
#include "tests/kt-core/expect_proof.h"
#include "tests/kt-core/random_history.h"
#include "tests/kt-core/reference_monitoring.h"
#include "tests/support/monitoring_answers.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using ::testing::ElementsAre;
using testing::FailsCheck;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;
using testing::TestUpdate;

const auto kSuites = ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519);
const auto kSuiteName = [](const auto& param_info) { return NameOf(param_info.param); };

// The owner of one label of one log. Each step checks the log's answer against the reference, and
// what becomes of the owner against the log.
class Owner {
 public:
  Owner(const ResponseVerifier& verifier, std::string label)
      : verifier_(verifier), label_(std::move(label)) {}

  absl::Status Init(const TestLog& log, LogPosition start) {
    const OwnerInitRequest request{last(), base::ToBytes(label_), start};
    KT_ASSIGN_OR_RETURN(const auto response, testing::AnswerOwnerInit(log, request));
    if (check_) {
      ReferenceQuestions questions;
      ReferenceOwnerInit(ReferenceOf(log, log.size()), start, GreatestIn(log, label_), &questions);
      ExpectProof(log, label_, log.size(), last(), questions, response.init);
    }
    KT_ASSIGN_OR_RETURN(auto result,
                        verifier_.VerifyOwnerInit(request, codec::Encode(response, log.context()),
                                                  previous(), log.RightmostMs()));
    return Retain(log, std::move(result));
  }

  // Learns of one log entry with versions that she does not know of; `mine`: made by this request.
  absl::StatusOr<VerifiedUpdate> Update(const TestLog& log, const std::vector<LabelValue>& mine) {
    const UpdateRequest request{last(), base::ToBytes(label_), owner_.greatest_version(), mine};
    KT_ASSIGN_OR_RETURN(const auto response, testing::AnswerUpdate(log, request, !mine.empty()));
    if (check_) {
      const ReferenceLog reference = ReferenceOf(log, log.size());
      const LogPosition position = response.position;
      const std::optional<Version> before = request.greatest_version;
      ReferenceQuestions questions;
      const ReferenceLog previous_tree = ReferenceOf(log, std::max<TreeSize>(1, position));
      ReferenceUpdate(reference, position > 0 ? &previous_tree : nullptr, position, before,
                      before ? log.Find(label_, *before)->position : 0, GreatestIn(log, label_),
                      &questions);
      ExpectProof(log, label_, log.size(), last(), questions, response.update);
    }
    KT_ASSIGN_OR_RETURN(
        auto result, verifier_.VerifyUpdate(request, codec::Encode(response, log.context()), owner_,
                                            previous(), log.RightmostMs()));
    const UpdateRequest following =
        FollowingUpdateRequest(request, response, result.state.tree_size());
    EXPECT_EQ(following.greatest_version, result.owner.greatest_version());
    EXPECT_THAT(following.values, IsEmpty());
    KT_RETURN_IF_ERROR(Retain(log, result));
    return result;
  }

  // One request, or as many as it takes.
  absl::StatusOr<bool> Monitor(const TestLog& log, size_t max_ladders = kMaxOwnerLadders) {
    const auto request = MakeOwnerMonitorRequest(base::AsBytes(label_), owner_, last());
    KT_ASSIGN_OR_RETURN(const auto response,
                        testing::AnswerOwnerMonitor(log, request, std::nullopt, max_ladders));
    ReferenceOwner expected;
    if (check_) {
      ReferenceQuestions questions;
      expected = ReferenceOwnerMonitor(ReferenceOf(log, log.size()), owner_.map, owner_.start,
                                       owner_.greatest_version(), max_ladders,
                                       GreatestIn(log, label_), &questions);
      ExpectProof(log, label_, log.size(), last(), questions, response.monitor);
    }
    KT_ASSIGN_OR_RETURN(
        auto result, verifier_.VerifyOwnerMonitor(request, codec::Encode(response, log.context()),
                                                  owner_, previous(), log.RightmostMs()));
    if (check_) {
      EXPECT_EQ(result.owner.start, expected.verified);
      EXPECT_EQ(result.complete, expected.complete);
    }
    const bool complete = result.complete;
    KT_RETURN_IF_ERROR(Retain(log, std::move(result)));
    return complete;
  }

  // Catches up and monitors until the rightmost distinguished log entry is verified.
  absl::Status Everything(const TestLog& log) {
    for (int i = 0; i < 1000; ++i) {
      const LogPosition before = owner_.start;
      KT_ASSIGN_OR_RETURN(const bool complete, Monitor(log));
      const absl::Status update = Update(log, {}).status();
      if (update.code() == absl::StatusCode::kFailedPrecondition &&
          !base::IsVerificationFailure(update)) {
        if (complete) return absl::OkStatus();
        if (owner_.start == before) return absl::InternalError("the log withholds a proof");
      } else {
        KT_RETURN_IF_ERROR(update);
      }
    }
    return absl::InternalError("no end");
  }

  const OwnerState& owner() const { return owner_; }
  std::optional<TreeSize> last() const {
    return state_ ? std::optional(state_->tree_size()) : std::nullopt;
  }
  // For logs that lie: the reference describes honest ones only.
  void DoNotCompare() { check_ = false; }

 private:
  const UserState* previous() const { return state_ ? &*state_ : nullptr; }
  template <typename Result>
  absl::Status Retain(const TestLog& log, Result result) {
    if (check_) {
      EXPECT_EQ(result.state, log.StateAt(log.size()));
    }
    EXPECT_THAT(ValidateOwnerState(result.owner), IsOk());
    EXPECT_EQ(codec::Decode<OwnerState>(codec::Encode(result.owner)).value(), result.owner);
    owner_ = result.owner;
    state_ = result.state;
    return absl::OkStatus();
  }

  const ResponseVerifier& verifier_;
  const std::string label_;
  bool check_ = true;
  OwnerState owner_;
  std::optional<UserState> state_;
};

class OwnerOperation : public ::testing::TestWithParam<CipherSuite> {};
INSTANTIATE_TEST_SUITE_P(Suites, OwnerOperation, kSuites, kSuiteName);

struct Counts {
  int inits = 0, updates = 0, own = 0, pending = 0, monitors = 0, partial = 0;
};

void Live(SeededRandom& random, CipherSuite suite, TreeSize entries, Counts* counts) {
  TestLogOptions options = RandomOptions(random, entries);
  options.suite = suite;
  options.mode = static_cast<DeploymentMode>(1 + random.Below(3));
  TestLog log(options);
  log.SetAuditorLag(random.Below(4));
  ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
  uint64_t now_ms = 1'000'000 * random.Below(2);
  const auto grow = [&](const std::vector<TestUpdate>& updates) {
    log.Append(now_ms, updates);
    if (random.Below(5) != 0) now_ms += random.Below(2000);
  };
  const auto grow_any = [&] {
    std::vector<TestUpdate> updates;
    if (random.Below(2) == 0) updates.push_back({"other", "value"});
    for (uint64_t i = random.Below(4) == 0 ? random.Below(7) : 0; i > 0; --i) {
      updates.push_back({"alice", absl::StrCat("value ", random.Below(1000))});
    }
    grow(updates);
  };
  for (uint64_t i = 1 + random.Below(entries / 2); i > 0; --i) grow_any();

  Owner alice(*verifier, "alice");
  const auto starts_of = [&] {
    const ReferenceLog reference = ReferenceOf(log, log.size());
    std::vector<LogPosition> starts;
    for (const LogPosition entry : reference.distinguished()) {
      if (!reference.IsExpired(entry)) starts.push_back(entry);
    }
    return starts;
  };
  const std::vector<LogPosition> starts = starts_of();
  for (LogPosition entry = 0; entry <= log.size(); ++entry) {
    if (std::find(starts.begin(), starts.end(), entry) != starts.end()) continue;
    ASSERT_THAT(alice.Init(log, entry), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  if (starts.empty()) return;
  ASSERT_THAT(alice.Init(log, starts[random.Below(starts.size())]), IsOk());
  ++counts->inits;
  while (log.size() < entries) {
    SCOPED_TRACE(absl::StrCat("size ", log.size()));
    grow_any();
    if (random.Below(15) == 0) {  // starts over, with the tree head that she retained
      const std::vector<LogPosition> again = starts_of();
      ASSERT_THAT(alice.Init(log, again[random.Below(again.size())]), IsOk());
    }
    const bool up_to_date = alice.owner().greatest_version() == log.Greatest("alice", log.size());
    if (up_to_date && random.Below(3) == 0) {
      std::vector<LabelValue> mine;
      std::vector<TestUpdate> updates;
      for (uint64_t i = 1 + random.Below(3); i > 0; --i) {
        updates.push_back({"alice", absl::StrCat("mine ", random.Below(1000))});
        mine.push_back({base::ToBytes(updates.back().value)});
      }
      grow(updates);
      ASSERT_OK_AND_ASSIGN(const VerifiedUpdate update, alice.Update(log, mine));
      ASSERT_TRUE(update.of_request);
      ++counts->own;
    } else if (!up_to_date && random.Below(2) == 0) {
      ASSERT_OK_AND_ASSIGN(const VerifiedUpdate update, alice.Update(log, {}));
      ASSERT_FALSE(update.of_request);
      for (const NewVersion& version : update.created) {
        ASSERT_EQ(version.value, log.Find("alice", version.version)->update.value);
      }
      ASSERT_EQ(update.awaits_owner_monitoring,
                ReferenceOf(log, log.size()).IsDistinguished(update.position));
      counts->pending += update.awaits_owner_monitoring;
      ++counts->updates;
    }
    if (random.Below(3) == 0) {
      ASSERT_OK_AND_ASSIGN(const bool complete, alice.Monitor(log, 1 + random.Below(3)));
      ++counts->monitors;
      counts->partial += !complete;
    }
    if (::testing::Test::HasFailure()) return;
  }
  ASSERT_THAT(alice.Everything(log), IsOk());
  ASSERT_EQ(alice.owner().greatest_version(), log.Greatest("alice", log.size()));
}

TEST_P(OwnerOperation, FollowsRandomHistories) {
  const uint64_t seed = testing::TestSeed(71);
  Counts counts;
  for (int round = 0; round < 25; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    Live(random, GetParam(), 2 + random.Below(50), &counts);
    if (HasFailure()) return;
  }
  EXPECT_GT(counts.inits, 12);
  EXPECT_GT(counts.updates, 15);
  EXPECT_GT(counts.own, 15);
  EXPECT_GT(counts.pending, 3);
  EXPECT_GT(counts.monitors, 60);
  EXPECT_GT(counts.partial, 5);
}

// --- what the log refuses ------------------------------------------------------------------

TEST(OwnerMonitorProver, ChecksTheOwnersState) {
  TestLog log(TestLogOptions{.reasonable_monitoring_window_ms = 0});
  for (uint64_t i = 0; i < 9; ++i) {
    log.Append(100 + i, i == 3 || i == 6 ? std::vector<TestUpdate>{{"alice", "value"}}
                                         : std::vector<TestUpdate>{});
  }
  const auto ask = [&](LogPosition start, std::optional<Version> greatest,
                       std::vector<MonitorMapEntry> entries = {}) {
    return testing::AnswerOwnerMonitor(
               log, {std::nullopt, base::ToBytes("alice"), std::move(entries), start, greatest})
        .status();
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(ask(2, std::nullopt), IsOk());
  EXPECT_THAT(ask(3, std::nullopt), StatusIs(kInvalid));  // start has version 0
  EXPECT_THAT(ask(3, 0), IsOk());
  EXPECT_THAT(ask(6, 0), StatusIs(kInvalid));  // start has version 1
  EXPECT_THAT(ask(6, 1), IsOk());
  EXPECT_THAT(ask(2, 1), IsOk());
  EXPECT_THAT(ask(2, 2), StatusIs(kInvalid));  // no such version
  EXPECT_THAT(ask(8, 1), IsOk());
  EXPECT_THAT(ask(9, 1), StatusIs(kInvalid));  // no such entry
  EXPECT_THAT(ask(3, 1, {{6, 1}}), IsOk());
  EXPECT_THAT(ask(3, 1, {{5, 1}}), StatusIs(kInvalid));
  EXPECT_THAT(ask(3, 1, {{7, 1}, {6, 1}}), StatusIs(kInvalid));
}

// The log stops where it has more than the owner knows of, and says nothing of what is further
// right.
TEST(OwnerMonitorProver, StopsAtVersionsThatTheOwnerDoesNotKnow) {
  TestLog log(TestLogOptions{.reasonable_monitoring_window_ms = 0});
  for (uint64_t i = 0; i < 9; ++i) {
    log.Append(100 + i, i == 3 || i == 6 ? std::vector<TestUpdate>{{"alice", "value"}}
                                         : std::vector<TestUpdate>{});
  }
  const auto verifier = ResponseVerifier::Create(log.config()).value();
  Owner alice(*verifier, "alice");
  ASSERT_THAT(alice.Init(log, 1), IsOk());
  EXPECT_EQ(alice.owner().greatest_version(), std::nullopt);
  for (const LogPosition reached : {2, 5, 8}) {
    EXPECT_EQ(alice.Monitor(log).value(), reached == 8);
    EXPECT_EQ(alice.owner().start, reached);
    EXPECT_EQ(alice.Update(log, {}).ok(), reached != 8);
  }
  EXPECT_EQ(alice.owner().greatest_at_start, Version{1});
}

// --- logs that act behind an owner's back --------------------------------------------------

class LyingToOwners : public ::testing::TestWithParam<CipherSuite> {
 protected:
  static constexpr uint64_t kStepMs = 1000;
  // An entry a second; the window is three. Alice owns her label from entry 3 on; she has version 0
  // in entry 2 and makes version 1 in entry 9.
  LyingToOwners() : log_({.suite = GetParam(), .reasonable_monitoring_window_ms = 3 * kStepMs}) {
    verifier_ = ResponseVerifier::Create(log_.config()).value();
    for (int i = 0; i < 9; ++i) Grow(log_, i == 2 ? "zero" : "");
  }
  static void Grow(TestLog& log, const std::string& value = "") {
    std::vector<TestUpdate> updates = {{"other", "value"}};
    if (!value.empty()) updates.push_back({"alice", value});
    log.Append(1'000'000 + kStepMs * log.size(), updates);
  }
  Owner Alice() {
    Owner alice(*verifier_, "alice");
    KT_CHECK(alice.Init(log_, 3).ok());
    return alice;
  }
  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
};
INSTANTIATE_TEST_SUITE_P(Suites, LyingToOwners, kSuites, kSuiteName);

TEST_P(LyingToOwners, HonestLogsAreFine) {
  Owner alice = Alice();
  EXPECT_EQ(alice.owner().greatest_version(), Version{0});
  Grow(log_, "one");
  ASSERT_OK_AND_ASSIGN(const VerifiedUpdate update, alice.Update(log_, {{base::ToBytes("one")}}));
  EXPECT_EQ(update.position, 9u);
  EXPECT_THAT(update.created, ElementsAre(NewVersion{1, base::ToBytes("one")}));
  for (int i = 0; i < 20; ++i) {
    Grow(log_);
    ASSERT_THAT(alice.Everything(log_), IsOk());
  }
  EXPECT_THAT(alice.owner().map, IsEmpty());
  EXPECT_THAT(alice.owner().upcoming, IsEmpty());
  EXPECT_EQ(alice.owner().greatest_at_start, Version{1});
}

// A version that the log made up and keeps to itself shows at the next distinguished log entry.
TEST_P(LyingToOwners, NoticesAVersionThatTheLogInserts) {
  for (const bool stays : {true, false}) {
    Owner alice = Alice();
    ASSERT_THAT(alice.Everything(log_), IsOk());
    TestLog log = log_;
    Grow(log, "forged");
    for (int i = 0; i < 6; ++i) {
      // Removed again, it shows all the same if a distinguished log entry had it.
      if (!stays && i == 3) log.Hide("alice", 1);
      Grow(log);
    }
    // The log answers as if there were no such version.
    alice.DoNotCompare();
    LabelHistory history = testing::HistoryOf(log, "alice", 9);
    const auto request =
        MakeOwnerMonitorRequest(base::AsBytes("alice"), alice.owner(), alice.last());
    LabelRecord record = log.Record("alice", OwnerMonitorVersions(request, log.size(), history));
    // Its ladders must be those of its trees, or they would prove nothing at all.
    const auto view = log.ViewAt(log.size());
    const auto response =
        ProveOwnerMonitor(log.config(), *view, log.HeadAt(log.size()), request, history, record);
    EXPECT_THAT(response, FailsCheck("owner-ladder"));
    // Without the record of the version it gets a proof, of non-inclusions that are none.
    record.at(1).existing.reset();
    ASSERT_OK_AND_ASSIGN(
        const auto forged,
        ProveOwnerMonitor(log.config(), *view, log.HeadAt(log.size()), request, history, record));
    const UserState state = log.StateAt(*alice.last());
    EXPECT_THAT(verifier_->VerifyOwnerMonitor(request, codec::Encode(forged, log.context()),
                                              alice.owner(), &state, log.RightmostMs()),
                IsVerificationFailure());
  }
}

TEST_P(LyingToOwners, NoticesAVersionThatIsHidden) {
  Owner alice = Alice();
  Grow(log_, "one");
  ASSERT_THAT(alice.Update(log_, {{base::ToBytes("one")}}), IsOk());
  alice.DoNotCompare();
  log_.Hide("alice", 1);
  for (int i = 0; i < 6; ++i) Grow(log_);
  EXPECT_THAT(alice.Everything(log_), IsVerificationFailure());
}

TEST_P(LyingToOwners, NoticesAnotherValueThanHers) {
  Owner alice = Alice();
  ASSERT_THAT(alice.Everything(log_), IsOk());
  alice.DoNotCompare();
  TestLog log = log_;
  Grow(log, "forged");
  const absl::Status now = alice.Update(log, {{base::ToBytes("one")}}).status();
  // The prover itself refuses: the log has to lie more cleverly.
  EXPECT_THAT(now, StatusIs(absl::StatusCode::kInternal));
  const UpdateRequest request{
      alice.last(), base::ToBytes("alice"), Version{0}, {{base::ToBytes("one")}}};
  UpdateRequest forged_request = request;
  forged_request.values = {{base::ToBytes("forged")}};
  ASSERT_OK_AND_ASSIGN(const auto forged, testing::AnswerUpdate(log, forged_request, true));
  const UserState state = log.StateAt(*alice.last());
  const auto result = verifier_->VerifyUpdate(request, codec::Encode(forged, log.context()),
                                              alice.owner(), &state, log.RightmostMs());
  EXPECT_THAT(result, IsVerificationFailure());
}

TEST_P(LyingToOwners, CannotDenyTheVersionsBeforeOwnership) {
  for (int i = 0; i < 3; ++i) Grow(log_);
  const OwnerInitRequest request{std::nullopt, base::ToBytes("alice"), 11};
  ASSERT_OK_AND_ASSIGN(const OwnerInitResponse honest, testing::AnswerOwnerInit(log_, request));
  EXPECT_THAT(honest.greatest_versions, ElementsAre(0, 0));  // entries 11 and 7
  const auto verify = [&](const OwnerInitResponse& response) {
    return verifier_
        ->VerifyOwnerInit(request, codec::Encode(response, log_.context()), nullptr,
                          log_.RightmostMs())
        .status();
  };
  EXPECT_THAT(verify(honest), IsOk());
  const auto refused = [&](const std::function<void(OwnerInitResponse&)>& change,
                           const std::string& check) {
    OwnerInitResponse response = honest;
    change(response);
    EXPECT_THAT(verify(response), FailsCheck(check));
  };
  refused([](auto& r) { r.greatest_versions.pop_back(); }, "owner-ladder");
  refused([](auto& r) { r.greatest_versions.push_back(0); }, "greatest-versions");
  refused([](auto& r) { r.greatest_versions = {0, 1}; }, "greatest-versions");
  refused([](auto& r) { r.greatest_versions = {1, 0}; }, "binary-ladder");
  refused([](auto& r) { r.greatest_versions.clear(); }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder.pop_back(); }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder.push_back(r.binary_ladder[1]); }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder[0].commitment.reset(); }, "binary-ladder");
  refused([](auto& r) { r.binary_ladder[1].commitment = Hash{}; }, "binary-ladder");
  refused([](auto& r) { std::swap(r.binary_ladder[0].proof, r.binary_ladder[1].proof); },
          "vrf-proof");
}

// --- altered responses ---------------------------------------------------------------------

// One bit of each byte.
void ExpectNoBitToSpare(const Bytes& bytes, const std::function<absl::Status(ByteView)>& verify) {
  const uint64_t seed = testing::TestSeed(72);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  ASSERT_THAT(verify(bytes), IsOk());
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << random.Below(8)));
    ASSERT_THAT(verify(flipped), IsVerificationFailure()) << "byte " << i;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_THAT(verify(ByteView(bytes).first(size)), FailsCheck("malformed-response"));
  }
}

TEST_P(LyingToOwners, CannotAlterAnInitialization) {
  const OwnerInitRequest request{std::nullopt, base::ToBytes("alice"), 7};
  const Bytes bytes =
      codec::Encode(testing::AnswerOwnerInit(log_, request).value(), log_.context());
  ExpectNoBitToSpare(bytes, [&](ByteView altered) {
    return verifier_->VerifyOwnerInit(request, altered, nullptr, log_.RightmostMs()).status();
  });
}

TEST_P(LyingToOwners, CannotAlterAnUpdateOrMonitoring) {
  Owner alice = Alice();
  const UserState before = log_.StateAt(*alice.last());
  Grow(log_);
  Grow(log_, "one");
  Grow(log_);
  // Entry 10 is not distinguished: everything that the log says of it is shown at once.
  const UpdateRequest request{alice.last(), base::ToBytes("alice"), Version{0}, {}};
  const Bytes update = codec::Encode(testing::AnswerUpdate(log_, request).value(), log_.context());
  ExpectNoBitToSpare(update, [&](ByteView altered) {
    return verifier_->VerifyUpdate(request, altered, alice.owner(), &before, log_.RightmostMs())
        .status();
  });
  ASSERT_OK_AND_ASSIGN(const VerifiedUpdate result, alice.Update(log_, {}));
  EXPECT_FALSE(result.awaits_owner_monitoring);
  for (int i = 0; i < 4; ++i) Grow(log_);
  const auto monitor = MakeOwnerMonitorRequest(base::AsBytes("alice"), alice.owner(), alice.last());
  const UserState state = log_.StateAt(*alice.last());
  const Bytes bytes =
      codec::Encode(testing::AnswerOwnerMonitor(log_, monitor).value(), log_.context());
  ExpectNoBitToSpare(bytes, [&](ByteView altered) {
    return verifier_
        ->VerifyOwnerMonitor(monitor, altered, alice.owner(), &state, log_.RightmostMs())
        .status();
  });
}

}  // namespace
}  // namespace kt::core
