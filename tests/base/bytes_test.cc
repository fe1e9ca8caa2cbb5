// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kt::base {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

TEST(Hex, WritesLowerCase) {
  EXPECT_EQ(ToHex(Bytes{0x00, 0x0f, 0xa5, 0xff}), "000fa5ff");
  EXPECT_EQ(ToHex({}), "");
}

TEST(Hex, ReadsEitherCase) {
  EXPECT_THAT(FromHex("000fA5Ff"), Optional(ElementsAre(0x00, 0x0f, 0xa5, 0xff)));
  EXPECT_THAT(FromHex(""), Optional(ElementsAre()));
}

TEST(Hex, RefusesEverythingElse) {
  for (const char* text : {"0", "000", "0g", "g0", "0x00", " 00", "00 ", "0-", "\xc3\xa9"}) {
    EXPECT_EQ(FromHex(text), std::nullopt) << text;
  }
  EXPECT_EQ(FromHex(std::string("0\0", 2)), std::nullopt);
}

TEST(Hex, EveryByteSurvivesTheRoundTrip) {
  Bytes all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<uint8_t>(byte));
  EXPECT_EQ(FromHex(ToHex(all)), all);
}

// RFC 4648 §10.
TEST(Base64, AgreesWithRfc4648) {
  EXPECT_EQ(ToBase64(AsBytes("")), "");
  EXPECT_EQ(ToBase64(AsBytes("f")), "Zg==");
  EXPECT_EQ(ToBase64(AsBytes("fo")), "Zm8=");
  EXPECT_EQ(ToBase64(AsBytes("foo")), "Zm9v");
  EXPECT_EQ(ToBase64(AsBytes("foob")), "Zm9vYg==");
  EXPECT_EQ(ToBase64(AsBytes("fooba")), "Zm9vYmE=");
  EXPECT_EQ(ToBase64(AsBytes("foobar")), "Zm9vYmFy");
}

TEST(Base64, UsesTheWholeAlphabetInOrder) {
  // 0x00108310518720928b30... is the encoding that enumerates all 64 digits.
  Bytes bytes;
  for (uint32_t digit = 0; digit < 64; digit += 4) {
    const uint32_t group = digit << 18 | (digit + 1) << 12 | (digit + 2) << 6 | (digit + 3);
    for (int shift : {16, 8, 0}) bytes.push_back(static_cast<uint8_t>(group >> shift));
  }
  EXPECT_EQ(ToBase64(bytes), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

TEST(Text, KeepsZeroBytes) {
  const std::string text("a\0b", 3);
  EXPECT_THAT(ToBytes(text), ElementsAre('a', 0, 'b'));
  EXPECT_EQ(ToText(AsBytes(text)), text);
  EXPECT_EQ(AsText(AsBytes(text)), text);
}

TEST(Append, AddsAtTheEnd) {
  Bytes bytes = {1};
  Append(bytes, Bytes{2, 3});
  Append(bytes, {});
  EXPECT_THAT(bytes, ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace kt::base
