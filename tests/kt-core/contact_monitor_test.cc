// SPDX-License-Identifier: Apache-2.0
//
// "Contact Algorithm" and "Contact Monitor": the order of questions, users who search and monitor
// through random histories, what the log refuses, and logs that take back what they have shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/monitoring.h"
#include "kt-core/response_verifier.h"
#include "tests/kt-core/expect_proof.h"
#include "tests/kt-core/random_history.h"
#include "tests/kt-core/reference_monitoring.h"
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
using testing::IsVerificationFailure;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;
using testing::TestUser;

// --- the order of questions ----------------------------------------------------------------

Configuration ConfigurationWith(uint64_t window_ms) {
  Configuration config;
  config.reasonable_monitoring_window = window_ms;
  return config;
}

// Entries 0 to 12 a second apart, from second 100 on. Version 0 is in entry 4, version 1 in 8.
FakeProofSource ThirteenEntries() {
  std::vector<uint64_t> timestamps;
  for (uint64_t i = 0; i < 13; ++i) timestamps.push_back(100'000 + 1000 * i);
  return FakeProofSource(timestamps, [](LogPosition position, Version version) {
    return position >= 4 && version <= (position >= 8 ? 1u : 0u);
  });
}

TEST(ContactMonitor, InspectsEntriesUpToTheFirstDistinguishedOne) {
  FakeProofSource source = ThirteenEntries();
  // 7 (bounds 0 and 112 s), and below it 3 and 11; nothing else.
  const std::vector<MonitorMapEntry> map = {{4, 0}};
  ASSERT_OK_AND_ASSIGN(const auto updated,
                       ContactMonitor(source, map, std::nullopt, ConfigurationWith(6'000)));
  // Entry 7 is distinguished; 5, with bounds 103 and 107, is not.
  EXPECT_THAT(source.log(), ElementsAre("T12", "T7", "T3", "T5", "L5: 0", "T7", "L7: 0"));
  EXPECT_THAT(updated, IsEmpty());
}

TEST(ContactMonitor, LeavesTheDistinguishedEntryToTheOwnerAlgorithm) {
  const std::vector<MonitorMapEntry> map = {{4, 0}};
  // "Equal to or to the right of the owner's advertised start position."
  for (const LogPosition start : {3, 4}) {
    FakeProofSource source = ThirteenEntries();
    ASSERT_OK_AND_ASSIGN(const auto updated,
                         ContactMonitor(source, map, start, ConfigurationWith(6'000)));
    EXPECT_THAT(source.log(), ElementsAre("T12", "T7", "T3", "T5", "L5: 0"));
    ASSERT_EQ(updated.size(), 1u);
    EXPECT_EQ(updated[0].entry, (MonitorMapEntry{5, 0}));
    EXPECT_EQ(updated[0].left_to_owner, 7u);
  }
  // Unless the version was seen before the owner's starting position.
  FakeProofSource again = ThirteenEntries();
  ASSERT_OK_AND_ASSIGN(const auto all, ContactMonitor(again, map, 5, ConfigurationWith(6'000)));
  EXPECT_THAT(all, IsEmpty());
  EXPECT_EQ(again.log().back(), "L7: 0");
}

TEST(ContactMonitor, DropsAVersionThatAGreaterOneCovers) {
  FakeProofSource source = ThirteenEntries();
  const std::vector<MonitorMapEntry> map = {{4, 0}, {8, 1}};
  // Nothing is distinguished: 8 leads to 9 and 11; 4 leads to 5 and 7, and 7 is the root.
  const Configuration config = ConfigurationWith(1'000'000);
  ASSERT_OK_AND_ASSIGN(const auto updated, ContactMonitor(source, map, std::nullopt, config));
  EXPECT_THAT(source.log(), ElementsAre("T12", "T9", "L9: 0 1", "T11", "L11: 0 1",  //
                                        "T12", "T5", "L5: 0", "T7", "L7: 0"));
  ASSERT_EQ(updated.size(), 2u);
  EXPECT_EQ(updated[0].entry, (MonitorMapEntry{7, 0}));
  EXPECT_EQ(updated[1].entry, (MonitorMapEntry{11, 1}));

  std::vector<uint64_t> more(20, 1);
  FakeProofSource larger(more, [](LogPosition, Version version) { return version <= 1; });
  const std::vector<MonitorMapEntry> later = {{7, 0}, {11, 1}};
  ASSERT_OK_AND_ASSIGN(const auto merged, ContactMonitor(larger, later, std::nullopt, config));
  EXPECT_THAT(larger.log(), ElementsAre("T19", "T15", "L15: 0 1", "T19"));
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_EQ(merged[0].entry, (MonitorMapEntry{15, 1}));
}

TEST(ContactMonitor, RefusesASmallerVersionFurtherRight) {
  for (const Version right : {0, 1}) {
    std::vector<uint64_t> timestamps(20, 1);
    FakeProofSource source(timestamps, [](LogPosition, Version version) { return version <= 1; });
    const std::vector<MonitorMapEntry> map = {{7, 1}, {11, right}};
    EXPECT_THAT(ContactMonitor(source, map, std::nullopt, ConfigurationWith(1'000'000)),
                FailsCheck("monitoring-map"));
  }
}

TEST(ContactMonitor, NeedsEveryVersionOfTheLadder) {
  for (const Version missing : {0, 1, 3, 5, 6}) {
    std::vector<uint64_t> timestamps(3, 1);
    FakeProofSource source(timestamps,
                           [&](LogPosition, Version version) { return version != missing; });
    const std::vector<MonitorMapEntry> map = {{0, 6}};
    EXPECT_THAT(ContactMonitor(source, map, std::nullopt, ConfigurationWith(1'000'000)),
                FailsCheck("monitoring-ladder"));
  }
}

TEST(ContactMonitor, PassesErrorsOn) {
  FakeProofSource source = ThirteenEntries();
  source.FailAtTimestamp(5);
  const std::vector<MonitorMapEntry> map = {{4, 0}};
  EXPECT_THAT(ContactMonitor(source, map, std::nullopt, ConfigurationWith(6'000)),
              StatusIs(absl::StatusCode::kUnavailable));
}

// --- the map -------------------------------------------------------------------------------

TEST(InsertIntoMap, KeepsWhatMonitorsMost) {
  MonitoringMap map;
  EXPECT_THAT(InsertIntoMap({8, 3}, &map), IsOk());
  // The same version further up the path, and a smaller one at the same entry, add nothing.
  EXPECT_THAT(InsertIntoMap({9, 3}, &map), IsOk());
  EXPECT_THAT(InsertIntoMap({8, 2}, &map), IsOk());
  EXPECT_THAT(map, ElementsAre(MonitorMapEntry{8, 3}));
  // A greater one at the same entry takes its place; one further right is added.
  EXPECT_THAT(InsertIntoMap({8, 4}, &map), IsOk());
  EXPECT_THAT(InsertIntoMap({11, 7}, &map), IsOk());
  EXPECT_THAT(map, ElementsAre(MonitorMapEntry{8, 4}, MonitorMapEntry{11, 7}));
  // A greater version further left on the path covers both.
  EXPECT_THAT(InsertIntoMap({8, 7}, &map), IsOk());
  EXPECT_THAT(map, ElementsAre(MonitorMapEntry{8, 7}));
}

TEST(InsertIntoMap, RefusesWhatNoHonestLogShows) {
  MonitoringMap map = {{7, 5}};
  // Entry 8 is to the right of 7, not on the way up from it: it must hold version 5 too.
  EXPECT_THAT(InsertIntoMap({8, 4}, &map), FailsCheck("monitoring-map"));
  EXPECT_THAT(InsertIntoMap({8, 5}, &map), FailsCheck("monitoring-map"));
  EXPECT_THAT(map, ElementsAre(MonitorMapEntry{7, 5}));
}

TEST(InsertIntoMap, HoldsWhatARequestCan) {
  MonitoringMap map;
  for (Version i = 0; i < 255; ++i) ASSERT_THAT(InsertIntoMap({2 * i, i}, &map), IsOk());
  EXPECT_THAT(InsertIntoMap({600, 300}, &map), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(map.size(), 255u);
}

TEST(ContactState, SurvivesStorage) {
  ContactState state;
  std::vector<RetainedVersion> ladder;
  SeededRandom random(1);
  for (const Version version : {0, 1, 2, 3}) {
    ladder.push_back({version, random.NextVrfOutput(), random.NextHash()});
  }
  ASSERT_THAT(InsertMonitored({9, 2}, ladder, &state), IsOk());
  EXPECT_EQ(state.versions.size(), 3u);
  EXPECT_THAT(ValidateContactState(state), IsOk());
  EXPECT_EQ(codec::Decode<ContactState>(codec::Encode(state)).value(), state);

  const auto damaged = [&](const std::function<void(ContactState&)>& damage) {
    ContactState changed = state;
    damage(changed);
    EXPECT_THAT(ValidateContactState(changed), StatusIs(absl::StatusCode::kDataLoss));
  };
  damaged([](ContactState& s) { s.versions.pop_back(); });
  damaged([](ContactState& s) { s.versions[1].commitment.reset(); });
  damaged([](ContactState& s) { std::swap(s.versions[0], s.versions[1]); });
  damaged([](ContactState& s) { s.versions.push_back(s.versions.back()); });
  damaged([](ContactState& s) { s.map.push_back(s.map.back()); });
  damaged([](ContactState& s) { s.map.push_back({10, 1}); });
  damaged([](ContactState& s) { s.map[0].position = ~0ull; });
}

// --- whole operations ----------------------------------------------------------------------

class ContactOperation : public ::testing::TestWithParam<CipherSuite> {};
const auto kSuites = ::testing::Values(CipherSuite::kP256, CipherSuite::kEd25519);
const auto kSuiteName = [](const auto& param_info) { return NameOf(param_info.param); };
INSTANTIATE_TEST_SUITE_P(Suites, ContactOperation, kSuites, kSuiteName);

// A user who looks labels up and monitors what she has to.
class Contact {
 public:
  Contact(const TestLog& log, const ResponseVerifier& verifier)
      : log_(log), verifier_(verifier), user_(verifier) {}

  // Returns whether she must monitor.
  bool LookUp(const std::string& label, std::optional<Version> version) {
    const SearchRequest request = user_.Request(label, version);
    const auto response = log_.Search(request);
    if (response.status().code() == absl::StatusCode::kOutOfRange) return false;  // expired
    EXPECT_THAT(response, IsOk());
    const auto result = user_.Search(request, *response, log_.RightmostMs());
    EXPECT_THAT(result, IsOk());
    EXPECT_THAT(AddObligation(*result, &contacts_[label]), IsOk());
    return result->monitoring_required;
  }

  void Monitor(const std::string& label) {
    ContactState& contact = contacts_[label];
    const std::optional<TreeSize> last =
        user_.state() ? std::optional(user_.state()->tree_size()) : std::nullopt;
    const auto request = MakeContactMonitorRequest(base::AsBytes(label), contact, last);
    ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerContactMonitor(log_, request));

    const ReferenceLog reference = ReferenceOf(log_, log_.size());
    ReferenceQuestions questions;
    const auto map = ReferenceContactMonitor(reference, contact.map, std::nullopt, &questions);
    ExpectProof(log_, label, log_.size(), last, questions, response.monitor);

    const UserState* previous = user_.state() ? &*user_.state() : nullptr;
    ASSERT_OK_AND_ASSIGN(const auto result, verifier_.VerifyContactMonitor(
                                                request, codec::Encode(response, log_.context()),
                                                contact, previous, log_.RightmostMs()));
    EXPECT_EQ(result.state, log_.StateAt(log_.size()));
    EXPECT_THAT(ValidateContactState(result.contact), IsOk());
    const std::vector<LogPosition> frontier = Frontier(log_.size());
    for (const MonitorMapEntry& entry : result.contact.map) {
      EXPECT_THAT(frontier, ::testing::Contains(entry.position));
      EXPECT_EQ(map.at(entry.position), entry.version);
    }
    EXPECT_EQ(result.contact.map.size(), map.size());
    contact = result.contact;
    user_.set_state(result.state);
  }

  const ContactState& contact(const std::string& label) { return contacts_[label]; }
  TestUser& user() { return user_; }

 private:
  const TestLog& log_;
  const ResponseVerifier& verifier_;
  TestUser user_;
  std::map<std::string, ContactState> contacts_;
};

TEST_P(ContactOperation, FollowsRandomHistories) {
  const uint64_t seed = testing::TestSeed(61);
  int obligations = 0, finished = 0;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    SeededRandom random(seed + round);
    TestLogOptions options = RandomOptions(random, 60);
    options.suite = GetParam();
    options.maximum_lifetime_ms.reset();
    TestLog log(options);
    RandomHistory history(random, 3);
    ASSERT_OK_AND_ASSIGN(const auto verifier, ResponseVerifier::Create(log.config()));
    Contact contact(log, *verifier);
    while (log.size() < 60) {
      history.Grow(log);
      SCOPED_TRACE(absl::StrCat("size ", log.size()));
      const std::string label = history.AnyLabel();
      const std::optional<Version> greatest = log.Greatest(label, log.size());
      if (greatest.has_value() && random.Below(2) == 0) {
        obligations += contact.LookUp(label, std::nullopt);
      }
      if (greatest.has_value() && random.Below(3) == 0) {
        obligations += contact.LookUp(label, static_cast<Version>(random.Below(*greatest + 1)));
      }
      if (random.Below(3) == 0) {
        const bool before = !contact.contact(label).done();
        contact.Monitor(label);
        finished += before && contact.contact(label).done();
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(obligations, 100);
  EXPECT_GT(finished, 8);
}

// --- what the log refuses ------------------------------------------------------------------

TEST(ContactMonitorProver, ChecksTheMap) {
  TestLog log(TestLogOptions{.reasonable_monitoring_window_ms = 1'000'000});
  for (uint64_t i = 0; i < 13; ++i) {
    log.Append(100 + i, i == 2 || i == 8 || i == 9 ? std::vector<testing::TestUpdate>{{"a", "v"}}
                                                   : std::vector<testing::TestUpdate>{});
  }
  const auto ask = [&](std::vector<MonitorMapEntry> entries, std::optional<TreeSize> last = {}) {
    return testing::AnswerContactMonitor(log, {last, base::ToBytes("a"), std::move(entries)})
        .status();
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(ask({}), IsOk());
  EXPECT_THAT(ask({{2, 0}}), IsOk());  // where it was added
  EXPECT_THAT(ask({{3, 0}}), IsOk());  // on its direct path
  EXPECT_THAT(ask({{7, 0}, {11, 2}}), IsOk());
  EXPECT_THAT(ask({{1, 0}}), StatusIs(kInvalid));   // on its path, but before it existed
  EXPECT_THAT(ask({{4, 0}}), StatusIs(kInvalid));   // after it, not on its path
  EXPECT_THAT(ask({{11, 0}}), StatusIs(kInvalid));  // not on its path either
  EXPECT_THAT(ask({{12, 3}}), StatusIs(kInvalid));  // no such version
  EXPECT_THAT(ask({{15, 0}}), StatusIs(kInvalid));  // no such entry
  EXPECT_THAT(ask({{8, 1}, {7, 0}}), StatusIs(kInvalid));
  EXPECT_THAT(ask({{8, 1}, {8, 1}}), StatusIs(kInvalid));
  EXPECT_THAT(ask({{8, 1}, {9, 1}}), StatusIs(kInvalid));
  EXPECT_THAT(ask({{9, 1}, {9, 2}}), StatusIs(kInvalid));  // a position twice
  EXPECT_THAT(ask({{3, 0}, {7, 0}}), StatusIs(kInvalid));  // a version twice
  // Sorted, no version twice, but the greater version is on the way to the smaller one's.
  EXPECT_THAT(ask({{9, 2}, {11, 1}}), IsOk());
  for (uint64_t i = 13; i < 16; ++i) log.Append(100 + i);
  EXPECT_THAT(ask({{9, 2}, {11, 1}}), StatusIs(kInvalid));
  for (const TreeSize last : {TreeSize{0}, TreeSize{17}}) {
    EXPECT_THAT(ask({{2, 0}}, last), StatusIs(kInvalid));
  }
}

// Whoever has published a label often can have many entries of a map inspected. It is no fault of
// the request that the proof cannot be encoded, and what it takes is known before it is read.
TEST(ContactMonitorProver, RefusesWhatNoResponseCanCarry) {
  TestLog log(TestLogOptions{.reasonable_monitoring_window_ms = 1'000'000});
  constexpr Version kVersions = 160;
  std::vector<MonitorMapEntry> map;
  while (map.size() < kVersions) {
    map.push_back({log.size(), static_cast<Version>(map.size())});
    log.Append(log.size(), {{"a", "v"}});
    for (int i = 0; i < 3; ++i) log.Append(log.size());
  }
  const auto ask = [&](size_t count) {
    return testing::AnswerContactMonitor(
        log, {log.size(), base::ToBytes("a"), {map.begin(), map.begin() + count}});
  };
  ASSERT_OK_AND_ASSIGN(const auto response, ask(kVersions / 2));
  EXPECT_GT(response.monitor.prefix_proofs.size(), 128u);
  EXPECT_THAT(codec::TryEncode(response, log.context()), IsOk());
  EXPECT_THAT(ask(kVersions), StatusIs(absl::StatusCode::kResourceExhausted));
}

// --- logs that lie -------------------------------------------------------------------------

class LyingToContacts : public ::testing::TestWithParam<CipherSuite> {
 protected:
  // Nothing is distinguished. "alice" gets version 0 in entry 4; a contact looks it up at size 5.
  LyingToContacts()
      : log_({.suite = GetParam(), .reasonable_monitoring_window_ms = 1'000'000'000}) {
    for (uint64_t i = 0; i < 5; ++i) {
      log_.Append(1000 + i, {{i == 4 ? "alice" : absl::StrCat("other", i), "value"}});
    }
    verifier_ = ResponseVerifier::Create(log_.config()).value();
    TestUser user(*verifier_);
    const SearchRequest request = user.Request("alice");
    const auto result = user.Search(request, log_.Search(request).value(), 1004).value();
    KT_CHECK(result.monitoring_required && AddObligation(result, &contact_).ok());
    state_ = result.state;
  }
  absl::StatusOr<VerifiedContactMonitor> Monitor(const TestLog& log, const TestLog& answers) {
    const auto request = MakeContactMonitorRequest(base::AsBytes("alice"), contact_, 5);
    KT_ASSIGN_OR_RETURN(const auto response, testing::AnswerContactMonitor(answers, request));
    return verifier_->VerifyContactMonitor(request, codec::Encode(response, log.context()),
                                           contact_, &state_, log.RightmostMs());
  }
  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
  ContactState contact_;
  UserState state_;
};
INSTANTIATE_TEST_SUITE_P(Suites, LyingToContacts, kSuites, kSuiteName);

TEST_P(LyingToContacts, CannotHideAVersionAgain) {
  EXPECT_EQ(contact_.map, (MonitoringMap{{4, 0}}));
  TestLog honest = log_;
  for (uint64_t i = 5; i < 8; ++i) honest.Append(1000 + i);
  EXPECT_THAT(Monitor(honest, honest), IsOk());
  // Entries 5 and 7 are those that she inspects; hidden in 6 only, nobody would look.
  for (const LogPosition hidden : {5, 7}) {
    TestLog log = log_;
    for (LogPosition i = 5; i < 8; ++i) {
      if (i == hidden) log.Hide("alice", 0);
      log.Append(1000 + i);
      if (i == hidden) log.Unhide("alice", 0);
    }
    EXPECT_THAT(Monitor(log, log), IsVerificationFailure()) << hidden;
  }
}

// The search for version 6 of eight ends at version 7, before version 5, and then looks up version
// 6 itself; the monitoring that follows looks up all of the three.
TEST_P(LyingToContacts, CannotLeaveOutWhatMonitoringNeeds) {
  TestLog log = log_.Prefix(4);
  log.Append(1004, std::vector<testing::TestUpdate>(8, {"alice", "value"}));
  const std::vector<Version> ladder = BaseBinaryLadder(6);
  ASSERT_THAT(ladder, ElementsAre(0, 1, 3, 7, 5, 6));
  SearchRequest request;
  request.label = base::ToBytes("alice");
  request.version = 6;
  ASSERT_OK_AND_ASSIGN(SearchResponse response, log.SearchResponse(request));
  const auto search = [&] {
    return verifier_->VerifySearch(request, codec::Encode(response, log.context(true)), nullptr,
                                   1004);
  };
  ASSERT_OK_AND_ASSIGN(const VerifiedSearch honest, search());
  EXPECT_TRUE(honest.monitoring_required);
  response.binary_ladder[4].commitment.reset();
  EXPECT_THAT(search(), FailsCheck("commitment"));
}

TEST_P(LyingToContacts, CannotExchangeAValue) {
  TestLog log = log_.Prefix(4);
  TestLog forged = log_;
  // The same label-version with another commitment, from entry 5 on.
  TestLog other = log_.Prefix(4);
  log.Append(1004, {{"alice", "value"}});
  ASSERT_EQ(log.RootAt(5), log_.RootAt(5));
  other.Append(1004, {{"alice", "forged"}});
  for (uint64_t i = 5; i < 8; ++i) {
    log.Append(1000 + i);
    other.Append(1000 + i);
  }
  EXPECT_THAT(Monitor(log, log), IsOk());
  EXPECT_THAT(Monitor(other, other), IsVerificationFailure());
}

TEST_P(LyingToContacts, CannotAlterAResponse) {
  TestLog log = log_;
  for (uint64_t i = 5; i < 13; ++i) log.Append(1000 + i, {{"more", "value"}});
  const auto request = MakeContactMonitorRequest(base::AsBytes("alice"), contact_, 5);
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerContactMonitor(log, request));
  const Bytes bytes = codec::Encode(response, log.context());
  const auto verify = [&](ByteView altered) {
    return verifier_->VerifyContactMonitor(request, altered, contact_, &state_, log.RightmostMs());
  };
  ASSERT_THAT(verify(bytes), IsOk());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    Bytes flipped = bytes;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_THAT(verify(flipped), IsVerificationFailure()) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_THAT(verify(ByteView(bytes).first(size)), FailsCheck("malformed-response"));
  }
}

TEST_P(LyingToContacts, CannotAddOrLeaveOutAnything) {
  TestLog log = log_;
  for (uint64_t i = 5; i < 13; ++i) log.Append(1000 + i, {{"more", "value"}});
  const auto request = MakeContactMonitorRequest(base::AsBytes("alice"), contact_, 5);
  ASSERT_OK_AND_ASSIGN(const auto honest, testing::AnswerContactMonitor(log, request));
  const auto refused = [&](const std::function<void(CombinedTreeProof&)>& change,
                           const std::string& check) {
    ContactMonitorResponse response = honest;
    change(response.monitor);
    EXPECT_THAT(verifier_->VerifyContactMonitor(request, codec::Encode(response, log.context()),
                                                contact_, &state_, log.RightmostMs()),
                FailsCheck(check));
  };
  refused([](auto& p) { p.timestamps.pop_back(); }, "timestamps");
  refused([](auto& p) { p.timestamps.push_back(p.timestamps.back()); }, "timestamps");
  refused([](auto& p) { p.prefix_proofs.pop_back(); }, "prefix-proofs");
  refused([](auto& p) { p.prefix_proofs.push_back(p.prefix_proofs.back()); }, "prefix-proofs");
  refused([](auto& p) { p.prefix_proofs[0].results.clear(); }, "prefix-proof");
  refused([](auto& p) { p.prefix_roots.emplace_back(); }, "prefix-roots");
}

TEST_P(LyingToContacts, CannotShowATreeWithoutTheMonitoredEntry) {
  const auto request = MakeContactMonitorRequest(base::AsBytes("alice"), contact_, std::nullopt);
  const TestLog smaller = log_.Prefix(3);
  ContactMonitorRequest empty = request;
  empty.entries.clear();
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerContactMonitor(smaller, empty));
  EXPECT_THAT(verifier_->VerifyContactMonitor(request, codec::Encode(response, log_.context()),
                                              contact_, nullptr, 1004),
              FailsCheck("tree-size"));
}

TEST_P(LyingToContacts, RequestsMustFitTheState) {
  const auto request = MakeContactMonitorRequest(base::AsBytes("alice"), contact_, 5);
  const auto bytes =
      codec::Encode(testing::AnswerContactMonitor(log_, request).value(), log_.context());
  EXPECT_THAT(verifier_->VerifyContactMonitor(request, bytes, contact_, &state_, 1004), IsOk());
  ContactMonitorRequest other = request;
  other.entries.clear();
  EXPECT_THAT(verifier_->VerifyContactMonitor(other, bytes, contact_, &state_, 1004),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(verifier_->VerifyContactMonitor(request, bytes, contact_, nullptr, 1004),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ContactState damaged = contact_;
  damaged.versions.clear();
  EXPECT_THAT(verifier_->VerifyContactMonitor(request, bytes, damaged, &state_, 1004),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace kt::core
