// SPDX-License-Identifier: Apache-2.0
#include "kt-server/search_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

#include "tests/bench/counting_store.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;

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
      {fixture_.config(), fixture_.MakeSigner(), fixture_.MakeProver()},
      {.bucket_depth = 8, .rows_per_snapshot = 4}, store, fixture_.guard(), fixture_.random());
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
