// SPDX-License-Identifier: Apache-2.0
#include "kt-server/transparency_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "kt-server/search_service.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TransparencyLogTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  TransparencyLogTest() : fixture_(GetParam()) {}

  // A verified search by a user in `state`, who then retains what she saw.
  absl::StatusOr<std::optional<std::string>> Search(const std::string& label,
                                                    std::optional<base::Version> version,
                                                    std::optional<core::UserState>* state) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    request.version = version;
    const core::UserState* previous = state->has_value() ? &**state : nullptr;
    if (previous != nullptr) request.last = previous->tree_size();
    const SearchService service(fixture_.log());
    KT_ASSIGN_OR_RETURN(const SearchAnswer answer, service.Search(base::codec::Encode(request)));
    if (answer.found) {
      KT_ASSIGN_OR_RETURN(core::VerifiedSearch verified,
                          fixture_.verifier().VerifySearch(request, answer.response, previous,
                                                           fixture_.clock().NowMs()));
      *state = std::move(verified.state);
      return base::ToText(verified.value);
    }
    KT_ASSIGN_OR_RETURN(core::VerifiedAbsence verified,
                        fixture_.verifier().VerifyAbsence(request, answer.response, previous,
                                                          fixture_.clock().NowMs()));
    *state = std::move(verified.state);
    return std::nullopt;
  }

  LogFixture fixture_;
};

TEST_P(TransparencyLogTest, AnswersVerifyForFreshAndReturningUsersAfterEachChange) {
  const uint64_t seed = testing::TestSeed(11);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  testing::SeededRandom random(seed);
  std::map<std::string, std::vector<std::string>> values;
  std::optional<core::UserState> returning;
  for (int i = 0; i < 60; ++i) {
    fixture_.clock().Advance(random.Below(700));
    std::vector<NewEntry> entries(1 + random.Below(2));
    for (NewEntry& entry : entries) {
      entry.timestamp_ms = fixture_.clock().NowMs();
      for (uint64_t n = random.Below(4); n > 0; --n) {
        const std::string label = "user" + std::to_string(random.Below(6)) + "@example.com";
        const std::string value = label + "#" + std::to_string(values[label].size());
        entry.versions.push_back({base::ToBytes(label),
                                  static_cast<base::Version>(values[label].size()),
                                  {base::ToBytes(value), {}}});
        values[label].push_back(value);
      }
    }
    ASSERT_THAT(fixture_.log().Append(entries), IsOk());
    if (random.Below(10) == 0) {
      ASSERT_THAT(fixture_.Reopen(), IsOk());
    }
    const std::string label = "user" + std::to_string(random.Below(7)) + "@example.com";
    const std::vector<std::string>& expected = values[label];
    std::optional<core::UserState> fresh;
    for (std::optional<core::UserState>* state : {&fresh, &returning}) {
      ASSERT_OK_AND_ASSIGN(const auto found, Search(label, std::nullopt, state));
      EXPECT_EQ(found, expected.empty() ? std::nullopt : std::optional(expected.back()));
      const auto version = static_cast<base::Version>(random.Below(expected.size() + 2));
      ASSERT_OK_AND_ASSIGN(const auto older, Search(label, version, state));
      EXPECT_EQ(older, version < expected.size() ? std::optional(expected[version]) : std::nullopt);
    }
    EXPECT_EQ(fresh->full_subtrees, returning->full_subtrees);
    EXPECT_EQ(fresh->frontier, returning->frontier);
  }
}

// So many that several threads make commitments and hash the tree, where there are processors.
TEST_P(TransparencyLogTest, EachOfManyVersionsOfACommitGetsItsOwnValue) {
  constexpr size_t kLabels = 600;
  const auto label_of = [](size_t i) { return "user" + std::to_string(i) + "@example.com"; };
  std::vector<NewEntry> entries(3);
  for (NewEntry& entry : entries) entry.timestamp_ms = fixture_.clock().NowMs();
  for (size_t i = 0; i < kLabels; ++i) {
    std::vector<NewVersion>& versions = entries[i % entries.size()].versions;
    const base::Version version = i % 10 == 0 ? 1 : 0;
    if (version == 1) {
      versions.push_back(
          {.label = base::ToBytes(label_of(i)), .version = 0, .value = {}, .skipped = true});
    }
    versions.push_back({.label = base::ToBytes(label_of(i)),
                        .version = version,
                        .value = {base::ToBytes("of " + label_of(i)), {}}});
  }
  ASSERT_THAT(fixture_.log().Append(entries), IsOk());
  for (size_t i = 0; i < kLabels; i += 7) {
    std::optional<core::UserState> state;
    ASSERT_OK_AND_ASSIGN(const auto found, Search(label_of(i), std::nullopt, &state));
    EXPECT_EQ(found, "of " + label_of(i));
  }
  ASSERT_THAT(fixture_.Reopen(), IsOk()) << "the tree in the store is another one";
}

// What is prepared before another commit is appended after it as if it had been prepared then.
TEST_P(TransparencyLogTest, EntriesCanBePreparedBesideAnotherCommit) {
  const auto entry = [&](base::Version version, const std::string& value) {
    return NewEntry{fixture_.clock().NowMs(),
                    {{base::ToBytes("a@example.com"), version, {base::ToBytes(value), {}}}}};
  };
  std::vector<PreparedEntries> prepared;
  for (base::Version version = 0; version < 3; ++version) {
    ASSERT_OK_AND_ASSIGN(prepared.emplace_back(),
                         fixture_.log().Prepare({entry(version, std::to_string(version))}));
  }
  // A search finds that version 1 does not exist, whose proof is stored with the next commit.
  std::optional<core::UserState> state;
  ASSERT_THAT(fixture_.log().Append(std::move(prepared[0])), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto found, Search("a@example.com", std::nullopt, &state));
  EXPECT_EQ(found, "0");
  ASSERT_THAT(fixture_.Add("b@example.com", 0, "b"), IsOk());
  for (base::Version version = 1; version < 3; ++version) {
    ASSERT_THAT(fixture_.log().Append(std::move(prepared[version])), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto newest, Search("a@example.com", std::nullopt, &state));
    EXPECT_EQ(newest, std::to_string(version));
  }
  ASSERT_THAT(fixture_.Reopen(), IsOk());
}

TEST_P(TransparencyLogTest, AVersionThatWasPreparedTwiceIsAddedOnce) {
  const NewEntry entry{fixture_.clock().NowMs(),
                       {{base::ToBytes("a@example.com"), 0, {base::ToBytes("a"), {}}}}};
  ASSERT_OK_AND_ASSIGN(PreparedEntries first, fixture_.log().Prepare({entry}));
  ASSERT_OK_AND_ASSIGN(PreparedEntries second, fixture_.log().Prepare({entry}));
  ASSERT_THAT(fixture_.log().Append(std::move(first)), IsOk());
  EXPECT_THAT(fixture_.log().Append(std::move(second)), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(fixture_.log().newest()->size(), 1u);
  EXPECT_THAT(fixture_.Add("a@example.com", 1, "b"), IsOk());
}

TEST_P(TransparencyLogTest, ALabelThatIsTooLongCannotBePrepared) {
  const NewEntry entry{fixture_.clock().NowMs(), {{base::Bytes(256, 'a'), 0, {}}}};
  EXPECT_THAT(fixture_.log().Prepare({entry}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(TransparencyLogTest, NothingIsPublishedIfTheCommitFails) {
  ASSERT_THAT(fixture_.Add("a@example.com", 0, "first"), IsOk());
  const auto before = fixture_.log().current();
  fixture_.store().FailNextCommit(FaultyStore::Fault::kBeforeWrite);
  EXPECT_FALSE(fixture_.Add("b@example.com", 0, "second").ok());
  EXPECT_EQ(fixture_.log().current(), before);
  // Nobody knows what reached the disk: nothing more is signed until the log is opened again.
  const int commits = fixture_.store().commits();
  EXPECT_THAT(fixture_.Add("c@example.com", 0, "third"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("started again"), Not(HasSubstr("injected")))));
  EXPECT_EQ(fixture_.store().commits(), commits);
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  EXPECT_THAT(fixture_.Add("b@example.com", 0, "second"), IsOk());
  EXPECT_EQ(fixture_.log().current()->size(), 2u);
}

TEST_P(TransparencyLogTest, CommitThatWasWrittenButNotToldIsFoundAfterReopening) {
  ASSERT_THAT(fixture_.Add("a@example.com", 0, "first"), IsOk());
  fixture_.store().FailNextCommit(FaultyStore::Fault::kAfterWrite);
  EXPECT_FALSE(fixture_.Add("b@example.com", 0, "second").ok());
  EXPECT_EQ(fixture_.log().current()->size(), 1u);
  EXPECT_EQ(fixture_.guard().head().tree_size, 1u) << "the head was not released";
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  EXPECT_EQ(fixture_.log().current()->size(), 2u);
  std::optional<core::UserState> state;
  ASSERT_OK_AND_ASSIGN(const auto found, Search("b@example.com", std::nullopt, &state));
  EXPECT_EQ(found, "second");
}

TEST_P(TransparencyLogTest, GuardThatIsAheadStopsTheLogFromOpening) {
  ASSERT_THAT(fixture_.Add("a@example.com", 0, "first"), IsOk());
  ASSERT_THAT(fixture_.guard().Advance(2, base::Hash{{1}}), IsOk());
  EXPECT_THAT(fixture_.Reopen(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(TransparencyLogTest, GuardWithAnotherRootStopsTheLogFromOpening) {
  ASSERT_THAT(fixture_.Add("a@example.com", 0, "first"), IsOk());
  // Another log of the same configuration, one entry long.
  fixture_.store().FailNextCommit(FaultyStore::Fault::kAfterWrite);
  EXPECT_FALSE(fixture_.Add("b@example.com", 0, "second").ok());
  ASSERT_THAT(fixture_.guard().Advance(2, base::Hash{{1}}), IsOk());
  EXPECT_THAT(fixture_.Reopen(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(TransparencyLogTest, RefusesTimestampsThatGoBack) {
  ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  fixture_.clock().Set(fixture_.clock().NowMs() - 1);
  EXPECT_THAT(fixture_.AddEmpty(), StatusIs(absl::StatusCode::kInvalidArgument));
  fixture_.clock().Advance(1);
  EXPECT_THAT(fixture_.AddEmpty(), IsOk()) << "a refused entry does not stop the log";
}

TEST_P(TransparencyLogTest, RefusesAVersionThatExists) {
  ASSERT_THAT(fixture_.Add("a@example.com", 0, "first"), IsOk());
  ASSERT_THAT(fixture_.Add("a@example.com", 1, "second"), IsOk());
  EXPECT_THAT(fixture_.Add("a@example.com", 1, "other"),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(fixture_.log().current()->size(), 2u);
}

TEST_P(TransparencyLogTest, RefusesKeysOfAnotherConfiguration) {
  core::Configuration config = fixture_.config();
  LogFixture other(GetParam());
  testing::SeededRandom random(99);
  const auto algorithm = core::SignatureAlgorithmOf(GetParam());
  auto signer = base::CreateSigner(algorithm, base::GenerateSignatureSecret(algorithm, random));
  ASSERT_THAT(signer, IsOk());
  auto store = CreateMemoryStore();
  EXPECT_THAT(
      TransparencyLog::Open({config, *std::move(signer), other.MakeProver()}, kLayout, *store,
                            fixture_.guard(), random, {.leaf_bytes = kMaxLeafBytes}),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(TransparencyLogTest, SearchRefusesMalformedRequests) {
  const SearchService service(fixture_.log());
  core::SearchRequest request;
  request.label = base::ToBytes("a@example.com");
  EXPECT_THAT(service.Search(base::codec::Encode(request)),
              StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  base::Bytes encoded = base::codec::Encode(request);
  EXPECT_THAT(service.Search(encoded), IsOk());
  for (size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_THAT(service.Search(base::ByteView(encoded).first(size)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  encoded.push_back(0);
  EXPECT_THAT(service.Search(encoded), StatusIs(absl::StatusCode::kInvalidArgument));
  request.last = 0;
  EXPECT_THAT(service.Search(base::codec::Encode(request)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.last = 2;
  EXPECT_THAT(service.Search(base::codec::Encode(request)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  request.last = std::nullopt;
  request.label.clear();
  EXPECT_THAT(service.Search(base::codec::Encode(request)), IsOk()) << "an empty label is absent";
}

INSTANTIATE_TEST_SUITE_P(Suites, TransparencyLogTest,
                         ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519),
                         [](const auto& test) {
                           return test.param == core::CipherSuite::kP256 ? "P256" : "Ed25519";
                         });

}  // namespace
}  // namespace kt::server
