// SPDX-License-Identifier: Apache-2.0
#include "base/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::base::codec {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using testing::StatusIs;

// Spaces are for the reader.
Bytes Hex(std::string text) {
  std::erase(text, ' ');
  return FromHex(text).value();
}

enum class Fruit : uint8_t { kApple = 1, kPear = 2 };
constexpr bool IsKnown(Fruit fruit) { return fruit == Fruit::kApple || fruit == Fruit::kPear; }
enum class Wide : uint16_t { kOnly = 0x0102 };
constexpr bool IsKnown(Wide wide) { return wide == Wide::kOnly; }

// Every kind of field once.
struct Inner {
  uint8_t small = 0;
  Bytes text;
  bool operator==(const Inner&) const = default;
  static constexpr auto Fields() { return List(&Inner::small, Opaque<uint8_t>(&Inner::text, 5)); }
};
struct Everything {
  uint8_t u8 = 0;
  uint16_t u16 = 0;
  uint32_t u32 = 0;
  uint64_t u64 = 0;
  Fruit fruit = Fruit::kApple;
  Wide wide = Wide::kOnly;
  Hash hash;
  std::array<uint8_t, 3> array{};
  std::optional<uint32_t> maybe;
  std::optional<Hash> maybe_hash;
  Bytes short_opaque;
  Bytes long_opaque;
  Bytes wide_opaque;
  std::vector<uint64_t> numbers;
  std::vector<Inner> inners;
  std::vector<Hash> hashes;
  Inner inner;
  bool operator==(const Everything&) const = default;
  static constexpr auto Fields() {
    return List(
        &Everything::u8, &Everything::u16, &Everything::u32, &Everything::u64, &Everything::fruit,
        &Everything::wide, &Everything::hash, &Everything::array, &Everything::maybe,
        &Everything::maybe_hash, Opaque<uint8_t>(&Everything::short_opaque),
        Opaque<uint16_t>(&Everything::long_opaque), Opaque<uint32_t>(&Everything::wide_opaque),
        Vector<uint8_t>(&Everything::numbers), Vector<uint16_t>(&Everything::inners),
        Vector<uint32_t>(&Everything::hashes), &Everything::inner);
  }
};

Bytes RandomBytes(SeededRandom& random, size_t max) {
  Bytes bytes(random.Below(max + 1));
  random.Fill(bytes);
  return bytes;
}

Everything RandomEverything(SeededRandom& random) {
  Everything all;
  all.u8 = static_cast<uint8_t>(random.Below(256));
  all.u16 = static_cast<uint16_t>(random.Below(1 << 16));
  all.u32 = static_cast<uint32_t>(random.Below(uint64_t{1} << 32));
  all.u64 = random.Below(~uint64_t{0});
  all.fruit = random.Below(2) == 0 ? Fruit::kApple : Fruit::kPear;
  all.hash = random.NextHash();
  random.Fill(all.array);
  if (random.Below(2) == 0) all.maybe = static_cast<uint32_t>(random.Below(1000));
  if (random.Below(2) == 0) all.maybe_hash = random.NextHash();
  all.short_opaque = RandomBytes(random, 20);
  all.long_opaque = RandomBytes(random, 20);
  all.wide_opaque = RandomBytes(random, 20);
  for (uint64_t i = random.Below(4); i > 0; --i) all.numbers.push_back(random.Below(1 << 30));
  for (uint64_t i = random.Below(4); i > 0; --i) {
    all.inners.push_back({static_cast<uint8_t>(i), RandomBytes(random, 5)});
  }
  for (uint64_t i = random.Below(3); i > 0; --i) all.hashes.push_back(random.NextHash());
  all.inner = {7, RandomBytes(random, 5)};
  return all;
}

TEST(Codec, EveryKindOfFieldSurvivesTheRoundTrip) {
  const uint64_t seed = testing::TestSeed(1);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int i = 0; i < 200; ++i) {
    const Everything all = RandomEverything(random);
    ASSERT_OK_AND_ASSIGN(const Bytes bytes, TryEncode(all));
    ASSERT_THAT(Decode<Everything>(bytes), IsOkAndHolds(all));
  }
}

TEST(Codec, RefusesEveryTruncationAndAnyTrailingByte) {
  const uint64_t seed = testing::TestSeed(2);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int i = 0; i < 20; ++i) {
    Bytes bytes = Encode(RandomEverything(random));
    for (size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_THAT(Decode<Everything>(ByteView(bytes).first(size)),
                  StatusIs(absl::StatusCode::kInvalidArgument));
    }
    bytes.push_back(0);
    ASSERT_THAT(Decode<Everything>(bytes),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("trailing")));
  }
}

// Whatever decodes encodes to the very same bytes: there is one encoding of a value.
TEST(Codec, HasOneEncodingOfAValue) {
  const uint64_t seed = testing::TestSeed(3);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  int decoded = 0;
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = Encode(RandomEverything(random));
    bytes[random.Below(bytes.size())] = static_cast<uint8_t>(random.Below(256));
    const absl::StatusOr<Everything> all = Decode<Everything>(bytes);
    if (!all.ok()) continue;
    ++decoded;
    ASSERT_EQ(Encode(*all), bytes);
  }
  EXPECT_GT(decoded, 500);
}

template <typename Length>
struct Text {
  Bytes bytes;
  bool operator==(const Text&) const = default;
  static constexpr auto Fields() { return List(Opaque<Length>(&Text::bytes)); }
};

TEST(Opaque, CountsBytesInALengthOfItsWidth) {
  EXPECT_EQ(ToHex(Encode(Text<uint8_t>{ToBytes("ab")})), "026162");
  EXPECT_EQ(ToHex(Encode(Text<uint16_t>{ToBytes("ab")})), "00026162");
  EXPECT_EQ(ToHex(Encode(Text<uint32_t>{ToBytes("ab")})), "000000026162");
}

TEST(Opaque, HoldsWhatItsLengthCanSay) {
  for (const size_t size : {255, 256, 65535, 65536}) {
    const Bytes bytes(size, 0x61);
    EXPECT_EQ(TryEncode(Text<uint8_t>{bytes}).ok(), size <= 255);
    EXPECT_EQ(TryEncode(Text<uint16_t>{bytes}).ok(), size <= 65535);
    ASSERT_OK_AND_ASSIGN(const Bytes encoded, TryEncode(Text<uint32_t>{bytes}));
    EXPECT_THAT(Decode<Text<uint32_t>>(encoded), IsOkAndHolds(Text<uint32_t>{bytes}));
  }
  const Text<uint16_t> longest{Bytes(65535, 0x61)};
  EXPECT_THAT(Decode<Text<uint16_t>>(Encode(longest)), IsOkAndHolds(longest));
}

TEST(Opaque, RefusesALengthBeyondWhatArrived) {
  EXPECT_THAT(Decode<Text<uint32_t>>(Hex("ffffffff6162")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("truncated")));
  EXPECT_THAT(Decode<Text<uint8_t>>(Hex("036162")), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Opaque, RefusesMoreThanItsNamedBound) {
  const Bytes six(6, 0x61);
  EXPECT_THAT(TryEncode(Inner{0, six}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Decode<Inner>(Hex("0005 6161616161")), IsOk());
  EXPECT_THAT(Decode<Inner>(Hex("0006 616161616161")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too long")));
}

template <typename Length>
struct Numbers {
  std::vector<uint32_t> values;
  bool operator==(const Numbers&) const = default;
  static constexpr auto Fields() { return List(Vector<Length>(&Numbers::values)); }
};

// draft-ietf-keytrans-protocol, "Variable-Length Vectors": the length is a number of elements.
TEST(Vector, CountsElementsInALengthOfItsWidth) {
  EXPECT_EQ(Encode(Numbers<uint8_t>{{1, 2}}), Hex("02 00000001 00000002"));
  EXPECT_EQ(Encode(Numbers<uint16_t>{{1, 2}}), Hex("0002 00000001 00000002"));
  EXPECT_EQ(Encode(Numbers<uint32_t>{{1, 2}}), Hex("00000002 00000001 00000002"));
  EXPECT_THAT(Decode<Numbers<uint8_t>>(Hex("08 00000001 00000002")),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Vector, HoldsAsManyAsItsLengthCanSay) {
  for (const size_t size : {255, 256, 65535, 65536}) {
    const std::vector<uint32_t> values(size, 7);
    EXPECT_EQ(TryEncode(Numbers<uint8_t>{values}).ok(), size <= 255);
    EXPECT_EQ(TryEncode(Numbers<uint16_t>{values}).ok(), size <= 65535);
    EXPECT_THAT(Decode<Numbers<uint32_t>>(Encode(Numbers<uint32_t>{values})),
                IsOkAndHolds(Numbers<uint32_t>{values}));
  }
}

struct FewNumbers {
  std::vector<uint8_t> values;
  static constexpr auto Fields() { return List(Vector<uint16_t>(&FewNumbers::values, 2)); }
};

TEST(Vector, RefusesMoreThanItsNamedBound) {
  EXPECT_THAT(Decode<FewNumbers>(Hex("0002 0102")), IsOk());
  EXPECT_THAT(Decode<FewNumbers>(Hex("0003 010203")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many")));
  EXPECT_THAT(TryEncode(FewNumbers{{1, 2, 3}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

// Counts how many elements a decoder made room for.
struct Counted {
  static inline int made = 0;
  Counted() { ++made; }
  std::array<uint8_t, 16> bytes{};
};
struct ManyCounted {
  std::vector<Counted> values;
  static constexpr auto Fields() { return List(Vector<uint32_t>(&ManyCounted::values)); }
};

TEST(Vector, MakesNoRoomForElementsThatDidNotArrive) {
  Counted::made = 0;
  EXPECT_FALSE(Decode<ManyCounted>(Hex("ffffffff")).ok());
  EXPECT_FALSE(Decode<ManyCounted>(Hex("ffffffff" + std::string(200, '0'))).ok());
  EXPECT_EQ(Counted::made, 0);
  // 100 bytes could be 100 elements of a byte each; of these they are six and a bit.
  EXPECT_FALSE(Decode<ManyCounted>(Hex("00000064" + std::string(200, '0'))).ok());
  EXPECT_EQ(Counted::made, 7);
}

struct Option {
  std::optional<uint16_t> value;
  bool operator==(const Option&) const = default;
  static constexpr auto Fields() { return List(&Option::value); }
};

// draft-ietf-keytrans-protocol, "Optional Values".
TEST(Optional, HasAPresenceOctet) {
  EXPECT_EQ(ToHex(Encode(Option{})), "00");
  EXPECT_EQ(ToHex(Encode(Option{0x1234})), "011234");
  EXPECT_THAT(Decode<Option>(Hex("00")), IsOkAndHolds(Option{}));
  EXPECT_THAT(Decode<Option>(Hex("011234")), IsOkAndHolds(Option{0x1234}));
  EXPECT_FALSE(Decode<Option>(Hex("001234")).ok());
  EXPECT_FALSE(Decode<Option>(Hex("01")).ok());
}

TEST(Optional, RefusesEveryOtherPresenceOctet) {
  for (int octet = 2; octet < 256; ++octet) {
    Bytes bytes = Hex("001234");
    bytes[0] = static_cast<uint8_t>(octet);
    EXPECT_THAT(Decode<Option>(bytes),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("presence")))
        << octet;
  }
}

struct Fruits {
  Fruit fruit = Fruit::kApple;
  Wide wide = Wide::kOnly;
  static constexpr auto Fields() { return List(&Fruits::fruit, &Fruits::wide); }
};

TEST(Enum, RefusesEveryUnknownValue) {
  for (int value = 0; value < 256; ++value) {
    Bytes bytes = Hex("000102");
    bytes[0] = static_cast<uint8_t>(value);
    EXPECT_EQ(Decode<Fruits>(bytes).ok(), value == 1 || value == 2) << value;
  }
  for (const char* wide : {"0000", "0101", "0103", "0201", "ffff"}) {
    EXPECT_THAT(Decode<Fruits>(Hex(std::string("01") + wide)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("enumerator")));
  }
}

// A structure whose shape depends on what is around it and on what came before.
struct Shape {
  size_t size = 0;
  bool extended = false;
};
struct Dependent {
  Fruit fruit = Fruit::kApple;
  uint8_t pears = 0;
  Bytes sized;
  uint8_t extension = 0;
  bool operator==(const Dependent&) const = default;
  static constexpr auto Fields() {
    constexpr auto is_pear = [](const Dependent& d, const Shape&) {
      return d.fruit == Fruit::kPear;
    };
    constexpr auto extended = [](const Dependent&, const Shape& shape) { return shape.extended; };
    return List(&Dependent::fruit, If(is_pear, &Dependent::pears),
                Sized(&Dependent::sized, [](const Shape& shape) { return shape.size; }),
                If(extended, &Dependent::extension));
  }
};

TEST(Context, DecidesWhichFieldsAreThereAndHowLongTheyAre) {
  const Dependent apple{Fruit::kApple, 0, Hex("aabb"), 0};
  const Dependent pear{Fruit::kPear, 3, Hex("aabb"), 9};
  EXPECT_EQ(ToHex(Encode(apple, Shape{2, false})), "01aabb");
  EXPECT_EQ(ToHex(Encode(pear, Shape{2, true})), "0203aabb09");
  EXPECT_THAT(Decode<Dependent>(Hex("01aabb"), Shape{2, false}), IsOkAndHolds(apple));
  EXPECT_THAT(Decode<Dependent>(Hex("0203aabb09"), Shape{2, true}), IsOkAndHolds(pear));
  EXPECT_FALSE(Decode<Dependent>(Hex("01aabb"), Shape{2, true}).ok());
  EXPECT_FALSE(Decode<Dependent>(Hex("01aabb"), Shape{1, false}).ok());
  EXPECT_FALSE(Decode<Dependent>(Hex("01aabb"), Shape{3, false}).ok());
  EXPECT_THAT(TryEncode(apple, Shape{3, false}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Encode, WritesBigEndian) {
  Writer w;
  w.Int<uint8_t>(0x01);
  w.Int<uint16_t>(0x0203);
  w.Int<uint32_t>(0x04050607);
  w.Int<uint64_t>(0x08090a0b0c0d0e0f);
  EXPECT_EQ(ToHex(std::move(w).Take()), "0102030405060708090a0b0c0d0e0f");
}

TEST(EncodeDeathTest, AbortsOnAValueThatItsCallerShouldHaveBounded) {
  EXPECT_DEATH(Encode(Inner{0, Bytes(6, 0)}), "invariant does not hold");
}

TEST(Reader, FailsForGoodAfterTheFirstFailure) {
  const Bytes bytes = Hex("0102");
  Reader r(bytes);
  uint32_t wide = 0;
  uint8_t narrow = 0;
  EXPECT_FALSE(r.Int(&wide));
  EXPECT_FALSE(r.Int(&narrow));
  EXPECT_STREQ(r.error(), "truncated");
  EXPECT_FALSE(r.Fail("later"));
  EXPECT_STREQ(r.error(), "truncated");
}

}  // namespace
}  // namespace kt::base::codec
