// SPDX-License-Identifier: Apache-2.0
#include "kt-server/search_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>

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

}  // namespace
}  // namespace kt::server
