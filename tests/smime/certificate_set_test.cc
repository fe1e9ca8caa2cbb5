// SPDX-License-Identifier: Apache-2.0
#include "smime/certificate_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <string>
#include <vector>

#include "tests/smime/test_certificates.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::smime {
namespace {

using kt::testing::IsOk;
using kt::testing::IsOkAndHolds;
using kt::testing::SeededRandom;
using kt::testing::StatusIs;
using kt::testing::TestSeed;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

CertificateEntry Entry(const std::string& der, const std::vector<std::string>& chain = {},
                       const std::string& capabilities = "") {
  CertificateEntry entry{base::ToBytes(der), {}, base::ToBytes(capabilities)};
  for (const std::string& issuer : chain) entry.chain.push_back({base::ToBytes(issuer)});
  return entry;
}

CertificateSet Make(std::vector<CertificateEntry> entries) {
  absl::StatusOr<CertificateSet> set = CertificateSet::Create(std::move(entries));
  EXPECT_THAT(set, IsOk());
  return *std::move(set);
}

base::Bytes Hex(const std::string& text) { return base::FromHex(text).value(); }

// The examples of docs/certificate-set.md.
TEST(CertificateSet, EncodesAsSpecified) {
  EXPECT_EQ(base::ToHex(CertificateSet().Encode()), "000100");
  const CertificateSet set =
      Make({Entry("\xBB", {}, "\x30"), Entry("\xAA\x01", {"\xC1", "\xC2\xC2"})});
  EXPECT_EQ(base::ToHex(set.Encode()),
            "0001"      // format
            "02"        // two certificates
            "0002aa01"  // the lesser one, although it was given second
            "02"        // its chain
            "0001c1"
            "0002c2c2"
            "0000"  // no capabilities
            "0001bb"
            "00"        // no chain
            "000130");  // capabilities
  EXPECT_THAT(CertificateSet::Decode(set.Encode()), IsOkAndHolds(set));
}

TEST(CertificateSet, EmptySetIsAllowed) {
  ASSERT_OK_AND_ASSIGN(const CertificateSet set, CertificateSet::Decode(Hex("000100")));
  EXPECT_THAT(set.entries(), IsEmpty());
}

TEST(CertificateSetDecode, RefusesOtherFormats) {
  for (const char* hex : {"000000", "000200", "ffff00", "0002", "0100"}) {
    SCOPED_TRACE(hex);
    EXPECT_THAT(CertificateSet::Decode(Hex(hex)),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("format")));
  }
}

TEST(CertificateSetDecode, RefusesMalformed) {
  const struct {
    const char* hex;
    const char* reason;
  } kCases[] = {
      {"", "truncated"},
      {"00", "truncated"},
      {"0001", "truncated"},
      {"00010000", "trailing"},
      {"0001020001bb0000000001aa000000", "ascending"},
      {"0001020001aa0000000001aa000000", "twice"},
      {"0001020001aa0000000001aa00000130", "twice"},  // only the capabilities differ
      {"000101"
       "0000"
       "00"
       "0000",
       "certificate in the set is empty"},
      {"000101"
       "0001aa"
       "01"
       "0000"
       "0000",
       "chain certificate is empty"},
      {"000101"
       "0001aa"
       "09"
       "0001c10001c10001c10001c10001c10001c10001c10001c10001c1"
       "0000",
       "too many"},
      {"000141"
       "0001aa000000",
       "too many"},
      {"000102"
       "0001aa000000",
       "truncated"},
      {"000101"
       "0001aa"
       "00"
       "1001",
       "too long"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.hex);
    EXPECT_THAT(CertificateSet::Decode(Hex(c.hex)), StatusIs(kInvalid, HasSubstr(c.reason)));
  }
}

TEST(CertificateSetCreate, SortsAndRefusesDuplicates) {
  const CertificateSet set = Make({Entry("b"), Entry("ab"), Entry("a"), Entry("\xFF")});
  std::vector<base::Bytes> ders;
  for (const CertificateEntry& entry : set.entries()) ders.push_back(entry.der);
  EXPECT_EQ(ders, (std::vector<base::Bytes>{{'a'}, {'a', 'b'}, {'b'}, {0xFF}}));
  EXPECT_THAT(CertificateSet::Create({Entry("a"), Entry("b"), Entry("a", {"c"})}),
              StatusIs(kInvalid, HasSubstr("twice")));
  EXPECT_THAT(CertificateSet::Create({Entry("")}), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(CertificateSet::Create({Entry("a", {""})}), StatusIs(kInvalid, HasSubstr("empty")));
}

TEST(CertificateSetCreate, KeepsItsBounds) {
  std::vector<CertificateEntry> entries;
  for (size_t i = 0; i < kMaxSetCertificates; ++i) {
    entries.push_back(Entry(std::string(1, static_cast<char>(i))));
  }
  EXPECT_THAT(CertificateSet::Create(entries), IsOk());
  entries.push_back(Entry("one too many"));
  EXPECT_THAT(CertificateSet::Create(entries), StatusIs(kInvalid, HasSubstr("65 certificates")));

  EXPECT_THAT(CertificateSet::Create({Entry("a", std::vector<std::string>(8, "c"))}), IsOk());
  EXPECT_THAT(CertificateSet::Create({Entry("a", std::vector<std::string>(9, "c"))}),
              StatusIs(kInvalid));
  EXPECT_THAT(CertificateSet::Create({Entry(std::string(65'535, 'a'))}), IsOk());
  EXPECT_THAT(CertificateSet::Create({Entry(std::string(65'536, 'a'))}), StatusIs(kInvalid));
  EXPECT_THAT(CertificateSet::Create({Entry("a", {}, std::string(4096, 'c'))}), IsOk());
  EXPECT_THAT(CertificateSet::Create({Entry("a", {}, std::string(4097, 'c'))}), StatusIs(kInvalid));
}

TEST(CertificateSetCreate, BoundsTheWholeEncoding) {
  // Three bytes for the set, five for each entry beside its certificate.
  constexpr size_t kBig = 65'535;
  constexpr size_t kRest = kMaxCertificateSetSize - 3 - 3 * (5 + kBig) - 5;
  std::vector<CertificateEntry> entries = {
      Entry(std::string(kBig, '1')), Entry(std::string(kBig, '2')), Entry(std::string(kBig, '3')),
      Entry(std::string(kRest, '4'))};
  const CertificateSet set = Make(entries);
  const base::Bytes encoded = set.Encode();
  EXPECT_THAT(encoded, SizeIs(kMaxCertificateSetSize));
  EXPECT_THAT(CertificateSet::Decode(encoded), IsOkAndHolds(set));
  entries.back().der.push_back('4');
  EXPECT_THAT(CertificateSet::Create(entries), StatusIs(kInvalid, HasSubstr("262144")));

  // The same set one byte longer, made by hand.
  base::Bytes longer = encoded;
  longer[longer.size() - kRest - 5] = static_cast<uint8_t>((kRest + 1) >> 8);
  longer[longer.size() - kRest - 4] = static_cast<uint8_t>(kRest + 1);
  longer.insert(longer.end() - 3, '4');
  EXPECT_THAT(CertificateSet::Decode(longer), StatusIs(kInvalid, HasSubstr("too long")));
}

TEST(CertificateSetEdit, AddsRemovesAndReplaces) {
  CertificateSet set;
  EXPECT_THAT(set.Add(Entry("b")), IsOk());
  EXPECT_THAT(set.Add(Entry("a", {"c"})), IsOk());
  EXPECT_EQ(set, Make({Entry("a", {"c"}), Entry("b")}));
  // The same certificate with another chain.
  EXPECT_THAT(set.Add(Entry("a", {"d"}, "caps")), IsOk());
  EXPECT_EQ(set, Make({Entry("a", {"d"}, "caps"), Entry("b")}));
  EXPECT_THAT(set.Remove(base::AsBytes("c")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(set.Remove(base::AsBytes("a")), IsOk());
  EXPECT_EQ(set, Make({Entry("b")}));
  EXPECT_THAT(set.Replace({Entry("y"), Entry("x")}), IsOk());
  EXPECT_EQ(set, Make({Entry("x"), Entry("y")}));
  EXPECT_THAT(set.Replace({}), IsOk());
  EXPECT_EQ(set, CertificateSet());
}

TEST(CertificateSetEdit, AppliesAChange) {
  CertificateSet set = Make({Entry("a"), Entry("b")});
  EXPECT_THAT(set.Apply(SetChange::kAdd, {Entry("c"), Entry("d")}), IsOk());
  EXPECT_EQ(set, Make({Entry("a"), Entry("b"), Entry("c"), Entry("d")}));
  EXPECT_THAT(set.Apply(SetChange::kRemove, {Entry("d"), Entry("a")}), IsOk());
  EXPECT_EQ(set, Make({Entry("b"), Entry("c")}));
  EXPECT_THAT(set.Apply(SetChange::kRemove, {Entry("a")}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(set.Apply(SetChange::kReplace, {Entry("e")}), IsOk());
  EXPECT_EQ(set, Make({Entry("e")}));
  EXPECT_THAT(set.Apply(SetChange::kReplace, {}), IsOk());
  EXPECT_EQ(set, CertificateSet());
}

TEST(CertificateSetEdit, FailureLeavesTheSetAsItWas) {
  std::vector<CertificateEntry> entries;
  for (size_t i = 0; i < kMaxSetCertificates; ++i) {
    entries.push_back(Entry(std::string(1, static_cast<char>(i))));
  }
  CertificateSet set = Make(entries);
  const CertificateSet before = set;
  EXPECT_THAT(set.Add(Entry("another")), StatusIs(kInvalid));
  EXPECT_THAT(set.Add(Entry("\x01", {""})), StatusIs(kInvalid));
  EXPECT_THAT(set.Replace({Entry("a"), Entry("a")}), StatusIs(kInvalid));
  EXPECT_EQ(set, before);
}

CertificateSet RandomSet(SeededRandom& random) {
  const auto text = [&](size_t least, size_t most) {
    base::Bytes bytes(least + random.Below(most - least + 1));
    random.Fill(bytes);
    return base::ToText(bytes);
  };
  std::vector<CertificateEntry> entries;
  for (uint64_t n = random.Below(5); n > 0; --n) {
    std::vector<std::string> chain;
    for (uint64_t m = random.Below(3); m > 0; --m) chain.push_back(text(1, 30));
    entries.push_back(Entry(text(4, 60), chain, text(0, 20)));
  }
  return Make(std::move(entries));
}

TEST(CertificateSetDecode, RoundTripsRandomSets) {
  const uint64_t seed = TestSeed(1);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int i = 0; i < 1000; ++i) {
    const CertificateSet set = RandomSet(random);
    EXPECT_THAT(CertificateSet::Decode(set.Encode()), IsOkAndHolds(set));
  }
}

TEST(CertificateSetDecode, RefusesEveryTruncation) {
  const uint64_t seed = TestSeed(2);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int i = 0; i < 50; ++i) {
    const base::Bytes encoded = RandomSet(random).Encode();
    for (size_t size = 0; size < encoded.size(); ++size) {
      ASSERT_THAT(CertificateSet::Decode(base::ByteView(encoded).first(size)), StatusIs(kInvalid));
    }
  }
}

// A value has one encoding: what decodes encodes to the same bytes, so that a flipped bit is either
// refused or another value.
TEST(CertificateSetDecode, FlippedBitIsRefusedOrAnotherSet) {
  const uint64_t seed = TestSeed(3);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  int refused = 0;
  int other = 0;
  for (int i = 0; i < 30; ++i) {
    const CertificateSet set = RandomSet(random);
    const base::Bytes encoded = set.Encode();
    for (size_t bit = 0; bit < 8 * encoded.size(); ++bit) {
      base::Bytes flipped = encoded;
      flipped[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      const absl::StatusOr<CertificateSet> decoded = CertificateSet::Decode(flipped);
      if (!decoded.ok()) {
        ++refused;
        continue;
      }
      ++other;
      ASSERT_NE(*decoded, set) << bit;
      ASSERT_EQ(decoded->Encode(), flipped) << bit;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(other, 0);
}

// A model: a map from certificate to the rest of its entry.
TEST(CertificateSetEdit, BehavesAsAMap) {
  EXPECT_TRUE(rc::check([] {
    CertificateSet set;
    std::map<std::string, std::string> model;
    const auto steps = *rc::gen::container<std::vector<std::pair<bool, std::pair<int, int>>>>(
        rc::gen::pair(rc::gen::arbitrary<bool>(),
                      rc::gen::pair(rc::gen::inRange(0, 9), rc::gen::inRange(0, 3))));
    for (const auto& [add, numbers] : steps) {
      const std::string der(1, static_cast<char>('a' + numbers.first));
      const std::string capabilities(1, static_cast<char>('0' + numbers.second));
      if (add) {
        RC_ASSERT(set.Add(Entry(der, {}, capabilities)).ok());
        model[der] = capabilities;
      } else {
        RC_ASSERT(set.Remove(base::AsBytes(der)).ok() == (model.erase(der) == 1));
      }
    }
    std::vector<CertificateEntry> expected;
    for (const auto& [der, capabilities] : model) expected.push_back(Entry(der, {}, capabilities));
    RC_ASSERT(set.entries() == expected);
  }));
}

TEST(CertificateSet, HoldsRealCertificates) {
  std::vector<CertificateEntry> entries;
  for (const char* file : {"alice.sign.crt.pem", "alice.encr.crt.pem"}) {
    ASSERT_OK_AND_ASSIGN(const auto certificates, ParsePem(testing::ReadVector(file)));
    entries.push_back({certificates[0].der(), {}, {}});
  }
  ASSERT_OK_AND_ASSIGN(const auto root, ParsePem(testing::ReadVector("ca.rsa.crt.pem")));
  entries[0].chain.push_back({root[0].der()});
  const CertificateSet set = Make(entries);
  ASSERT_OK_AND_ASSIGN(const CertificateSet decoded, CertificateSet::Decode(set.Encode()));
  for (const CertificateEntry& entry : decoded.entries()) {
    EXPECT_THAT(Certificate::Parse(entry.der), IsOk());
  }
}

}  // namespace
}  // namespace kt::smime
