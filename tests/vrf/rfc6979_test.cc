// SPDX-License-Identifier: Apache-2.0
#include "vrf/rfc6979.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "tests/vrf/vrf_test_util.h"

namespace kt::vrf {
namespace {

// RFC 6979, Appendix A.2.5.
constexpr std::string_view kSecret =
    "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";

TEST(Rfc6979, GivesTheNonceOfAppendixA25) {
  // Neither hash is q or more, so that bits2octets leaves it as it is.
  Rfc6979 sample(Hex(kSecret), base::Sha256(base::AsBytes("sample")).view());
  Rfc6979 test(Hex(kSecret), base::Sha256(base::AsBytes("test")).view());
  EXPECT_EQ(base::ToHex(sample.Next().Expose()),
            "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60");
  EXPECT_EQ(base::ToHex(test.Next().Expose()),
            "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0");
}

// A candidate of P-256 is refused once in 2^32 times, which no published vector shows. The values
// come from an independent implementation of §3.2 over Python's hmac module.
TEST(Rfc6979, FurtherCandidatesFollowStepH) {
  Rfc6979 candidates(Hex(kSecret), base::Sha256(base::AsBytes("sample")).view());
  candidates.Next();
  EXPECT_EQ(base::ToHex(candidates.Next().Expose()),
            "8e83dc490bc5fc4d5992bd63cd87f254adffcb930f8a8011702a88870f638fdb");
  EXPECT_EQ(base::ToHex(candidates.Next().Expose()),
            "7b8dc9ad8ce159abca1b9915fc1470e91d5ad2443b3032557e78f47e180ab702");
}

}  // namespace
}  // namespace kt::vrf
