// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/commitment.h"

namespace kt::base {
namespace {

std::string Digest(ByteView data) { return ToHex(Sha256(data).view()); }
std::string Mac(const std::string& key_hex, ByteView data) {
  return ToHex(HmacSha256(*FromHex(key_hex), data).view());
}
std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// NIST, "Examples with Intermediate Values" for SHA-256, and FIPS 180-4's long message.
TEST(Sha256, AgreesWithNistExamples) {
  EXPECT_EQ(Digest({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest(AsBytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest(AsBytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Digest(Bytes(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, HashesTheConcatenationOfItsParts) {
  EXPECT_EQ(Sha256({AsBytes("a"), {}, AsBytes("bc")}), Sha256(AsBytes("abc")));
  EXPECT_EQ(Sha256({}), Sha256(ByteView()));
}

TEST(Sha256, KeepsThreadsApart) {
  const Hash expected = Sha256(AsBytes("abc"));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  threads.reserve(wrong.size());
  for (int& count : wrong) {
    threads.emplace_back([&count, &expected] {
      for (int i = 0; i < 2000; ++i) count += Sha256(AsBytes("abc")) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ::testing::Each(0));
}

// RFC 4231 §4, HMAC-SHA-256 of the test cases 1 to 7 (the fifth is truncated to 128 bits).
TEST(HmacSha256, AgreesWithRfc4231) {
  EXPECT_EQ(Mac(Repeat("0b", 20), AsBytes("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(Mac("4a656665", AsBytes("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Mac(Repeat("aa", 20), Bytes(50, 0xdd)),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(Mac("0102030405060708090a0b0c0d0e0f10111213141516171819", Bytes(50, 0xcd)),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  EXPECT_EQ(Mac(Repeat("0c", 20), AsBytes("Test With Truncation")).substr(0, 32),
            "a3b6167473100ee06e0c796c2955552b");
  EXPECT_EQ(
      Mac(Repeat("aa", 131), AsBytes("Test Using Larger Than Block-Size Key - Hash Key First")),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(Mac(Repeat("aa", 131),
                AsBytes("This is a test using a larger than block-size key and a larger than "
                        "block-size data. The key needs to be hashed before being used by the "
                        "HMAC algorithm.")),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

// A key of one block is taken as it is, a longer one is hashed. Computed with Python's hmac module.
TEST(HmacSha256, TellsKeysOfOneBlockFromLongerOnes) {
  EXPECT_EQ(Mac(Repeat("aa", 64), AsBytes("abc")),
            "2f8cff867f2668ca93d3c5b03ba9f816746742eda349b3bc4bb35aa27816754c");
  EXPECT_EQ(Mac(Repeat("aa", 65), AsBytes("abc")),
            "102ebc7ceb9dff09e5a77413a3cd67382908ece255487006eb0e1e1b801f9ce6");
}

TEST(HmacSha256, TakesEmptyKeysAndData) {
  EXPECT_EQ(Mac("", {}), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// draft-ietf-keytrans-protocol, "Commitment" with Kc of "KT Cipher Suites". The value was computed
// with Python's hmac module.
TEST(Commit, IsHmacUnderTheSuitesConstant) {
  EXPECT_EQ(Commit(AsBytes("abc")),
            HmacSha256(*FromHex("d821f8790d97709796b4d7903357c3f5"), AsBytes("abc")));
  EXPECT_EQ(ToHex(Commit(AsBytes("abc")).view()),
            "9db7e55195e7f0c71aa5c4575b3cd7f74525ba51be9fdac93a0fefce7e30845d");
}

TEST(Hash, IsZeroOnlyIfEveryByteIs) {
  Hash hash;
  EXPECT_TRUE(hash.IsZero());
  for (uint8_t& byte : hash.bytes) {
    byte = 1;
    EXPECT_FALSE(hash.IsZero());
    byte = 0;
  }
}

TEST(VrfOutput, CountsBitsFromTheMostSignificant) {
  VrfOutput output;
  output.bytes[0] = 0x80;
  output.bytes[31] = 0x01;
  for (unsigned depth = 0; depth < 256; ++depth) {
    EXPECT_EQ(output.bit(depth), depth == 0 || depth == 255) << depth;
  }
}

}  // namespace
}  // namespace kt::base
