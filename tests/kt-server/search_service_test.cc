// SPDX-License-Identifier: Apache-2.0
#include "kt-server/search_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

#include "kt-server/version_rows.h"
#include "tests/bench/counting_store.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;

class SearchServiceTest : public ::testing::Test {
 protected:
  SearchServiceTest() {
    for (base::Version version = 0; version < 6; ++version) {
      EXPECT_THAT(fixture_.Add("a@x.example", version, "v" + std::to_string(version)), IsOk());
    }
  }

  // The answer, after it has been verified as a client does.
  SearchAnswer Search(const std::string& label, std::optional<base::Version> version) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    request.version = version;
    auto answer = SearchService(fixture_.log()).Search(base::codec::Encode(request));
    EXPECT_THAT(answer, IsOk());
    if (!answer.ok()) return {};
    const uint64_t now_ms = fixture_.clock().NowMs();
    if (answer->found) {
      EXPECT_THAT(fixture_.verifier().VerifySearch(request, answer->response, nullptr, now_ms),
                  IsOk());
    } else {
      EXPECT_THAT(fixture_.verifier().VerifyAbsence(request, answer->response, nullptr, now_ms),
                  IsOk());
    }
    return *std::move(answer);
  }

  LogFixture fixture_;
};

TEST_F(SearchServiceTest, VersionsThatExistNeedNoNewVrfProof) {
  EXPECT_TRUE(Search("a@x.example", std::nullopt).found);
  EXPECT_EQ(Search("a@x.example", std::nullopt).vrf_proofs, 0u);
  for (base::Version version = 0; version < 6; ++version) {
    const SearchAnswer answer = Search("a@x.example", version);
    EXPECT_TRUE(answer.found);
    EXPECT_EQ(answer.vrf_proofs, 0u) << version;
  }
}

// A label that nobody has asked for has no VRF proofs but those of its versions. The others are
// made for the first search, and the next commit stores them.
TEST_F(SearchServiceTest, ProofsOfVersionsToComeAreKeptFromTheFirstSearchOn) {
  const base::Bytes label = base::ToBytes("a@x.example");
  const std::vector<base::Version> to_come = {7, 6};  // of the binary ladder of version 5
  const auto stored = [&] {
    const auto rows = fixture_.log().current()->snapshot().ReadVersionRows(label, to_come);
    EXPECT_THAT(rows, IsOk());
    return (*rows)[0].has_value() + (*rows)[1].has_value();
  };
  EXPECT_EQ(Search("a@x.example", std::nullopt).vrf_proofs, 2u);
  EXPECT_EQ(Search("a@x.example", std::nullopt).vrf_proofs, 0u);
  EXPECT_EQ(stored(), 0);
  fixture_.clock().Advance(1);
  ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  EXPECT_EQ(stored(), 2);
  EXPECT_EQ(Search("a@x.example", std::nullopt).vrf_proofs, 0u);
  ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  EXPECT_EQ(Search("a@x.example", std::nullopt).vrf_proofs, 0u) << "stored once";
}

// What is stored under a commitment has to be what it was made to.
TEST_F(SearchServiceTest, AValueOfAnotherVersionIsDataLoss) {
  const auto state = fixture_.log().current();
  const auto rows = state->snapshot().ReadVersions(base::AsBytes("a@x.example"), 0);
  ASSERT_THAT(rows, IsOk());
  const auto row = state->snapshot().ReadValue((*rows)[2].existing->value_key());
  ASSERT_THAT(row, IsOk());
  const auto open = [&](const VersionRow& version, const base::Bytes& bytes) {
    return DecodeOpenedValue(state->snapshot(), version, fixture_.config(), bytes).status();
  };
  EXPECT_THAT(open((*rows)[2], *row), IsOk());
  EXPECT_THAT(open((*rows)[3], *row), StatusIs(absl::StatusCode::kDataLoss));
  VersionRow other_label = (*rows)[2];
  other_label.label = base::ToBytes("b@x.example");
  EXPECT_THAT(open(other_label, *row), StatusIs(absl::StatusCode::kDataLoss));
  for (const size_t i : {size_t{0}, size_t{15}, row->size() - 1}) {
    base::Bytes damaged = *row;
    damaged[i] ^= 1;
    EXPECT_THAT(open((*rows)[2], damaged), StatusIs(absl::StatusCode::kDataLoss)) << i;
  }
}

// Otherwise a peer could have any number of rows stored.
TEST_F(SearchServiceTest, ProofsOfOtherAbsentVersionsAreNotKept) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Search("a@x.example", 1000).vrf_proofs, 1u);
    EXPECT_EQ(Search("nobody@x.example", std::nullopt).vrf_proofs, 1u);
  }
  EXPECT_TRUE(fixture_.log().unsaved_proofs().Take(10).empty());
}

// A binary ladder to a great version has up to 64 of them.
TEST_F(SearchServiceTest, AbsentVersionsCostOneVrfProofAtMost) {
  for (const base::Version version :
       {base::Version{6}, base::Version{7}, base::Version{8}, base::Version{1000},
        base::Version{1} << 31, (base::Version{1} << 31) + 12345,
        std::numeric_limits<base::Version>::max() - 1, std::numeric_limits<base::Version>::max()}) {
    const SearchAnswer answer = Search("a@x.example", version);
    EXPECT_FALSE(answer.found);
    EXPECT_LE(answer.vrf_proofs, 1u) << version;
  }
  EXPECT_EQ(Search("a@x.example", 1u << 31).vrf_proofs, 1u) << "or the count is wrong";
  EXPECT_EQ(Search("nobody@x.example", std::nullopt).vrf_proofs, 1u);
  EXPECT_EQ(Search("nobody@x.example", 1u << 31).vrf_proofs, 1u);
}

// Of all that a search reads, only what the label's rows lead to comes after them: once for
// everything, however many log entries the proof shows.
TEST_F(SearchServiceTest, ReadsOneRoundAfterTheLabelsRows) {
  for (size_t i = 0; i < 60; ++i) {
    ASSERT_THAT(fixture_.Add("user" + std::to_string(i) + "@x.example", 0, "value"), IsOk());
  }
  bench::CountingStore store(fixture_.real_store());
  const auto log = TransparencyLog::Open(
      {fixture_.config(), fixture_.MakeSigner(), fixture_.MakeProver()}, kLayout, store,
      fixture_.guard(), fixture_.random(), {.leaf_bytes = kMaxLeafBytes});
  ASSERT_THAT(log, IsOk());
  const SearchService service(**log);
  const uint64_t now_ms = fixture_.clock().NowMs();
  const auto search = [&](const std::string& label, std::optional<base::Version> version,
                          const core::UserState* user) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    request.version = version;
    if (user != nullptr) request.last = user->tree_size();
    store.Reset();
    const auto answer = service.Search(base::codec::Encode(request));
    KT_CHECK(answer.ok() && answer->found);
    EXPECT_EQ(store.rounds(), 2u) << label;
    EXPECT_LE(store.tree_rounds(), 1u) << label;
    const auto verified = fixture_.verifier().VerifySearch(request, answer->response, user, now_ms);
    EXPECT_THAT(verified, IsOk());
    return verified->state;
  };
  const core::UserState user = search("user3@x.example", std::nullopt, nullptr);
  for (int again = 0; again < 2; ++again) {  // what is remembered changes nothing
    search("user3@x.example", std::nullopt, &user);
    search("user59@x.example", std::nullopt, nullptr);
    search("a@x.example", std::nullopt, &user);
    search("a@x.example", std::nullopt, nullptr);
    for (base::Version version = 0; version < 6; ++version) {
      search("a@x.example", version, nullptr);
      search("a@x.example", version, &user);
    }
  }
}

}  // namespace
}  // namespace kt::server
