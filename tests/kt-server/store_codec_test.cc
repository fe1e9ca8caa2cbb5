// SPDX-License-Identifier: Apache-2.0
#include "kt-server/store_codec.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/kt-server/store_test_util.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using testing::ExistingVersion;
using testing::HashOf;
using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::KeyAt;
using testing::PlannedVersion;
using testing::SeededRandom;
using testing::StatusIs;
using testing::TestSeed;

constexpr base::LogPosition kLast = std::numeric_limits<base::LogPosition>::max();

// Every shorter encoding and one with a byte more must be refused, naming the table.
void ExpectExact(const char* table, const base::Bytes& bytes, const std::vector<size_t>& allowed,
                 const std::function<absl::Status(base::ByteView)>& decode) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    if (std::find(allowed.begin(), allowed.end(), size) != allowed.end()) continue;
    EXPECT_THAT(decode(base::ByteView(bytes).first(size)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(table)))
        << "of " << size << " bytes";
  }
  base::Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_THAT(decode(longer), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(table)));
}

TEST(LeafCodec, RoundTripsAndIsExact) {
  merkle::LeafRow row{.key = KeyAt(0x12345678, 0x9a), .insert_pos = 7, .commitment = HashOf(3)};
  EXPECT_THAT(DecodeLeaf(LeafKey(row.key, 7), EncodeLeaf(row)), IsOkAndHolds(row));
  EXPECT_EQ(EncodeLeaf(row).size(), 32u);
  row.end_pos = kLast - 1;
  const base::Bytes key = LeafKey(row.key, row.insert_pos);
  EXPECT_THAT(DecodeLeaf(key, EncodeLeaf(row)), IsOkAndHolds(row));

  ExpectExact("table leaf", EncodeLeaf(row), {32},
              [&](base::ByteView value) { return DecodeLeaf(key, value).status(); });
  ExpectExact("table leaf", base::ToBytes(key), {},
              [&](base::ByteView k) { return DecodeLeaf(k, EncodeLeaf(row)).status(); });
}

TEST(LeafCodec, RejectsLifetimesThatCannotBe) {
  const base::Bytes key = LeafKey(KeyAt(0), 7);
  for (const uint64_t end : {uint64_t{0}, uint64_t{7}, kLast}) {
    base::Bytes value(32);
    base::Append(value, EncodeUint64(end));
    EXPECT_THAT(DecodeLeaf(key, value), StatusIs(absl::StatusCode::kDataLoss)) << end;
  }
}

TEST(BandCodec, RoundTripsAndIsExact) {
  for (const merkle::SubtreeId id :
       {merkle::SubtreeId{0, 0}, merkle::SubtreeId{4, 0xf0000000},
        merkle::SubtreeId{12, 0xabc00000}, merkle::SubtreeId{24, 0xffffff00}}) {
    for (const base::LogPosition position : {uint64_t{0}, uint64_t{1} << 40, kLast}) {
      for (const bool is_snapshot : {false, true}) {
        const merkle::BandRow row{id, position, is_snapshot, base::ToBytes("data")};
        EXPECT_THAT(DecodeBand(BandKey(id, position), EncodeBand(row)), IsOkAndHolds(row));
      }
    }
  }
  const merkle::BandRow empty{{4, 0}, 9, true, {}};
  EXPECT_THAT(DecodeBand(BandKey(empty.id, 9), EncodeBand(empty)), IsOkAndHolds(empty));
  ExpectExact("table band", base::ToBytes(BandKey(empty.id, 9)), {},
              [&](base::ByteView key) { return DecodeBand(key, EncodeBand(empty)).status(); });
}

TEST(BandCodec, RejectsUnknownFlagsAndSubtrees) {
  const BandKeyBytes key = BandKey({4, 0x10000000}, 3);
  EXPECT_THAT(DecodeBand(key, {}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(DecodeBand(key, base::Bytes{2}), StatusIs(absl::StatusCode::kDataLoss));
  BandKeyBytes too_deep = key;
  too_deep[0] = 25;
  EXPECT_THAT(DecodeBand(too_deep, base::Bytes{1}), StatusIs(absl::StatusCode::kDataLoss));
  BandKeyBytes bits_below_depth = key;
  bits_below_depth[1] = 0x18;
  EXPECT_THAT(DecodeBand(bits_below_depth, base::Bytes{1}), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(LogAndEntryCodec, RoundTripAndAreExact) {
  const base::Hash hash = HashOf(9);
  EXPECT_THAT(DecodeLogNode(hash.bytes), IsOkAndHolds(hash));
  ExpectExact("table log", base::ToBytes(hash.bytes), {},
              [](base::ByteView value) { return DecodeLogNode(value).status(); });
  const EntryRow entry{.timestamp_ms = kLast, .prefix_tree = hash};
  EXPECT_THAT(DecodeEntry(EncodeEntry(entry)), IsOkAndHolds(entry));
  ExpectExact("table entry", EncodeEntry(entry), {},
              [](base::ByteView value) { return DecodeEntry(value).status(); });
}

TEST(VersionCodec, RoundTripsAndIsExact) {
  for (const std::string& label :
       {std::string(), std::string("alice@example.com"), std::string(255, '\xff')}) {
    for (const base::Version version : {0u, 1u, 0xffffffffu}) {
      for (VersionRow row : {PlannedVersion(label, version), ExistingVersion(label, version, 5)}) {
        const base::Bytes key = VersionKey(row.label, version);
        const StoredVersion whole{row, std::nullopt};
        EXPECT_THAT(DecodeVersion(key, EncodeVersion(row, false)), IsOkAndHolds(whole));
        for (const bool has_leaf : {false, true}) {
          const base::Bytes encoded = EncodeVersion(row, has_leaf);
          ExpectExact("table version", encoded, {},
                      [&](base::ByteView value) { return DecodeVersion(key, value).status(); });
          ExpectExact("table version", key, {},
                      [&](base::ByteView k) { return DecodeVersion(k, encoded).status(); });
        }
        row.vrf_proof.clear();
        EXPECT_THAT(DecodeVersion(key, EncodeVersion(row, false)),
                    IsOkAndHolds(StoredVersion{row, std::nullopt}));
      }
    }
  }
}

TEST(VersionCodec, LeavesToTheLeafWhatItHolds) {
  const VersionRow row = ExistingVersion("alice@example.com", 3, 0x12345);
  const base::Bytes key = VersionKey(row.label, 3);
  const base::Bytes encoded = EncodeVersion(row, true);
  EXPECT_EQ(EncodeVersion(row, false).size() - encoded.size(), 20u + 32u);
  ASSERT_OK_AND_ASSIGN(const StoredVersion stored, DecodeVersion(key, encoded));
  EXPECT_EQ(stored.row.label, row.label);
  EXPECT_EQ(stored.row.version, 3u);
  EXPECT_EQ(stored.row.vrf_proof, row.vrf_proof);
  ASSERT_TRUE(stored.row.existing.has_value());
  EXPECT_EQ(stored.row.existing->position, 0x12345u);
  ASSERT_TRUE(stored.leaf.has_value());
  EXPECT_EQ(stored.leaf->position, 0x12345u);
  EXPECT_TRUE(std::equal(stored.leaf->prefix.begin(), stored.leaf->prefix.end(),
                         row.vrf_output.bytes.begin()));
  // A version that does not exist has no leaf to leave anything to.
  const VersionRow planned = PlannedVersion("alice@example.com", 4);
  EXPECT_EQ(EncodeVersion(planned, true), EncodeVersion(planned, false));
}

TEST(VersionCodec, LabelsOfOneDomainAreNeighbours) {
  const auto key = [](const std::string& label) { return VersionKey(base::AsBytes(label), 0); };
  EXPECT_EQ(base::ToText(key("bob@a.example")),
            base::ToText(base::Bytes{0, 13}) + "a.example@bob" + std::string(1, '\0'));
  EXPECT_LT(key("bob@a.example"), key("amy@b.example"));
  EXPECT_NE(key("a@b"), key("b@a"));
  for (const std::string label : {"", "@", "a@", "@a", "a@b@c", "@@", "nothing", "a@b@"}) {
    ASSERT_OK_AND_ASSIGN(const StoredVersion stored,
                         DecodeVersion(key(label), EncodeVersion(PlannedVersion(label, 0), false)));
    EXPECT_EQ(base::AsText(stored.row.label), label);
  }
}

TEST(VersionCodec, RejectsNumbersOfAnotherLength) {
  const base::Bytes value = EncodeVersion(PlannedVersion("a", 1), false);
  base::Bytes long_label(2 + 256 + 1, 'a');
  long_label[0] = 1;
  long_label[1] = 0;
  long_label.back() = 0;
  for (const base::Bytes& key : {base::Bytes{0, 1, 'a', 1, 0}, base::Bytes{0, 1, 'a', 2, 0, 1},
                                 long_label, base::Bytes{0, 1, 'a', 5, 1, 1, 1, 1, 1}}) {
    EXPECT_THAT(DecodeVersion(key, value), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(ValueCodec, RoundTripsAndFindsDamage) {
  for (const std::string& row : {std::string(), std::string("value"), std::string(3'000, 'x')}) {
    const ValueKey key = {7, HashOf(1)};
    const base::Bytes encoded = EncodeValue(key, base::AsBytes(row));
    EXPECT_THAT(DecodeValue(key, encoded), IsOkAndHolds(base::ToBytes(row)));
    ValueKey late = key;  // not told by the row's key, which is shorter
    late.commitment.bytes.back() ^= 1;
    for (const ValueKey& other : {ValueKey{7, HashOf(2)}, ValueKey{8, HashOf(1)}, late}) {
      EXPECT_THAT(DecodeValue(other, encoded), StatusIs(absl::StatusCode::kDataLoss));
    }
    ExpectExact("table value", encoded, {},
                [&](base::ByteView value) { return DecodeValue(key, value).status(); });
    for (size_t i = 0; i < encoded.size(); i += 1 + encoded.size() / 50) {
      base::Bytes damaged = encoded;
      damaged[i] ^= 1;
      EXPECT_THAT(DecodeValue(key, damaged), StatusIs(absl::StatusCode::kDataLoss)) << i;
    }
  }
}

TEST(VersionCodec, RejectsUnknownFlag) {
  const VersionRow row = PlannedVersion("a", 1);
  base::Bytes value = EncodeVersion(row, false);
  value.front() = 3;
  EXPECT_THAT(DecodeVersion(VersionKey(row.label, 1), value),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(HeadCodec, RoundTripsAndIsExact) {
  const HeadRow head{.tree_size = 11,
                     .root = HashOf(1),
                     .signature = base::Bytes(64, 2),
                     .full_subtrees = {HashOf(3), HashOf(4), HashOf(5)}};
  EXPECT_THAT(DecodeHead(EncodeHead(head)), IsOkAndHolds(head));
  EXPECT_THAT(DecodeHead(EncodeHead(HeadRow{})), IsOkAndHolds(HeadRow{}));
  ExpectExact("table meta", EncodeHead(head), {},
              [](base::ByteView value) { return DecodeHead(value).status(); });
}

TEST(HeadCodec, RejectsTheWrongNumberOfSubtrees) {
  const HeadRow head{.tree_size = 1,
                     .root = HashOf(1),
                     .signature = base::Bytes(64, 2),
                     .full_subtrees = {HashOf(3)}};
  base::Bytes value = EncodeHead(head);
  value[7] = 3;  // the last byte of tree_size: two subtrees
  EXPECT_THAT(DecodeHead(value), StatusIs(absl::StatusCode::kDataLoss));
}

// The order of keys is what range scans rely on.
TEST(KeyOrder, LeavesAscendByKeyThenPosition) {
  const std::vector<base::Bytes> keys = {
      LeafKey(KeyAt(0), 0),          LeafKey(KeyAt(0), 255),
      LeafKey(KeyAt(0), 256),        LeafKey(KeyAt(0, 1), 0),
      LeafKey(KeyAt(1), 0),          LeafKey(KeyAt(0x100), 0),
      LeafKey(KeyAt(0x80000000), 3), LeafKey(KeyAt(~0u, 0xff), kLast),
  };
  for (size_t i = 1; i < keys.size(); ++i) EXPECT_LT(keys[i - 1], keys[i]) << i;
}

TEST(KeyOrder, BandsAscendByTileAndDescendByPosition) {
  const std::vector<BandKeyBytes> keys = {
      BandKey({0, 0}, kLast),      BandKey({0, 0}, 256),         BandKey({0, 0}, 255),
      BandKey({0, 0}, 0),          BandKey({4, 0}, 1),           BandKey({4, 0}, 0),
      BandKey({4, 0x10000000}, 9), BandKey({24, 0xffffff00}, 0),
  };
  for (size_t i = 1; i < keys.size(); ++i) EXPECT_LT(keys[i - 1], keys[i]) << i;
}

// A label that is a prefix of another, or looks like one with its version, must stay apart.
TEST(KeyOrder, RowsOfOneLabelAreOneRange) {
  const std::vector<std::string> labels = {std::string(),
                                           std::string(1, '\0'),
                                           std::string(4, '\0'),
                                           std::string(5, '\0'),
                                           "a",
                                           std::string("a\0\0\0\0", 5),
                                           "ab",
                                           std::string(254, '\xff'),
                                           std::string(255, '\xff')};
  const std::vector<base::Version> versions = {0, 1, 0x61, 0xff, 0x100, 0xffffffff};
  for (const std::string& label : labels) {
    const KeyRange range = VersionRange(base::AsBytes(label));
    for (const std::string& other : labels) {
      for (const base::Version version : versions) {
        EXPECT_EQ(range.Contains(VersionKey(base::AsBytes(other), version)), label == other)
            << base::ToHex(base::AsBytes(label)) << " " << base::ToHex(base::AsBytes(other));
      }
    }
    for (size_t i = 1; i < versions.size(); ++i) {
      EXPECT_LT(VersionKey(base::AsBytes(label), versions[i - 1]),
                VersionKey(base::AsBytes(label), versions[i]));
    }
  }
}

TEST(KeyOrder, MarksStandAfterEveryRange) {
  EXPECT_LT(VersionKey(base::Bytes(255, 0xff), 0xffffffff), RowsEnd());
  EXPECT_LT(base::ToBytes(LeafKey(KeyAt(~0u, 0xff), kLast)), MarkKey());
  EXPECT_LT(base::ToBytes(BandKey({24, 0xffffff00}, 0)), MarkKey());
  EXPECT_LT(MarkKey(), SealKey(1));
  EXPECT_FALSE(LeafRange({24, 0xffffff00}).Contains(MarkKey()));
  EXPECT_FALSE(VersionRange(base::Bytes(255, 0xff)).Contains(MarkKey()));
  EXPECT_LT(SealKey(255), SealKey(256));
  const KeyRange greatest_label = VersionRange(base::Bytes(255, 0xff));
  for (const uint64_t seal : {uint64_t{0}, uint64_t{1}, kLast}) {
    EXPECT_GT(SealKey(seal), base::ToBytes(LeafKey(KeyAt(~0u, 0xff), kLast)));
    EXPECT_FALSE(LeafRange({0, 0}).Contains(SealKey(seal)));
    EXPECT_FALSE(LeafRange({24, 0xffffff00}).Contains(SealKey(seal)));
    EXPECT_FALSE(greatest_label.Contains(SealKey(seal)));
  }
}

TEST(LeafRange, HoldsExactlyTheKeysOfTheBucket) {
  const uint64_t seed = TestSeed(20);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int round = 0; round < 20'000; ++round) {
    const uint8_t depth = static_cast<uint8_t>(random.Below(25));
    const uint32_t mask = depth == 0 ? 0 : ~uint32_t{0} << (32 - depth);
    // Few distinct values, so that keys at both ends of the bucket are frequent.
    const uint32_t bits = static_cast<uint32_t>(random.Below(4) * 0x55555555) & mask;
    const uint32_t below = random.Below(2) == 0 ? 0 : ~mask;
    const uint32_t step = static_cast<uint32_t>(random.Below(3)) - 1;
    const base::VrfOutput key = KeyAt(((bits | below) + step), random.Below(2) == 0 ? 0x00 : 0xff);
    const uint32_t key_bits = (bits | below) + step;
    EXPECT_EQ(LeafRange({depth, bits}).Contains(LeafKey(key, random.Below(2) * kLast)),
              (key_bits & mask) == bits)
        << int{depth} << " " << bits << " " << key_bits;
  }
}

TEST(BandRange, HoldsTheTilesRowsAtOrBeforeThePosition) {
  const std::vector<merkle::SubtreeId> ids = {{0, 0},          {4, 0},          {4, 0x10000000},
                                              {4, 0xf0000000}, {8, 0xff000000}, {24, 0xffffff00}};
  const std::vector<base::LogPosition> positions = {0, 1, 255, 256, kLast};
  for (const merkle::SubtreeId& id : ids) {
    for (const base::LogPosition position : positions) {
      const KeyRange range = BandRange({id, position});
      for (const merkle::SubtreeId& other : ids) {
        for (const base::LogPosition other_position : positions) {
          EXPECT_EQ(range.Contains(BandKey(other, other_position)),
                    id == other && other_position <= position);
        }
      }
    }
    for (const merkle::SubtreeId& other : ids) {
      EXPECT_EQ(BandDepthRange(id.depth).Contains(BandKey(other, kLast)), id.depth == other.depth);
    }
  }
}

TEST(ValueCodec, KeysSortByTheEntryThatAddedTheVersion) {
  const base::Bytes key = base::ToBytes(ValueRowKey({0x0102, HashOf(9)}));
  EXPECT_EQ(key, base::Bytes({0, 0, 0, 0, 0, 0, 1, 2, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}));
  EXPECT_LT(key, base::ToBytes(ValueRowKey({0x0102, HashOf(10)})));
  EXPECT_LT(key, base::ToBytes(ValueRowKey({0x0103, HashOf(0)})));
  EXPECT_LT(base::ToBytes(ValueRowKey({kLast, HashOf(0xff)})), RowsEnd());
}

TEST(StoreCodec, UnreclaimedKeysAscendAndDecodeExactly) {
  const std::set<ValueKey> keys = {{9, HashOf(1)}, {1, HashOf(9)}, {1, HashOf(0xff)}};
  const base::Bytes encoded = EncodeUnreclaimed(keys);
  EXPECT_EQ(encoded.size(), 120u);
  EXPECT_THAT(DecodeUnreclaimed(encoded), IsOkAndHolds(keys));
  EXPECT_THAT(DecodeUnreclaimed({}), IsOkAndHolds(std::set<ValueKey>()));
  ExpectExact("meta", encoded, {0, 40, 80},
              [](base::ByteView bytes) { return DecodeUnreclaimed(bytes).status(); });
  const base::Bytes key = EncodeUnreclaimed({{5, HashOf(5)}});
  for (const ValueKey& after :
       {ValueKey{5, HashOf(5)}, ValueKey{5, HashOf(4)}, ValueKey{4, HashOf(6)}}) {
    base::Bytes rows = key;
    base::Append(rows, EncodeUnreclaimed({after}));
    EXPECT_THAT(DecodeUnreclaimed(rows), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(StoreCodec, ChangedRowsAreThreeBytesALeafAndDecodeExactly) {
  const ChangedRow row{7, {{24, 0}, {24, 0x01020300}, {24, 0xffffff00}}};
  const base::Bytes encoded = EncodeChanged(row);
  EXPECT_EQ(encoded, (base::Bytes{0, 0, 0, 1, 2, 3, 0xff, 0xff, 0xff}));
  EXPECT_THAT(DecodeChanged(encoded), testing::IsOkAndHolds(row.subtrees));
  EXPECT_TRUE(EncodeChanged({0, {}}).empty());
  for (const base::Bytes& bad : {base::Bytes{1}, base::Bytes{1, 2, 3, 4},
                                 base::Bytes{1, 2, 3, 1, 2, 3}, base::Bytes{1, 2, 4, 1, 2, 3}}) {
    EXPECT_THAT(DecodeChanged(bad), testing::StatusIs(absl::StatusCode::kDataLoss));
  }
}

}  // namespace
}  // namespace kt::server
