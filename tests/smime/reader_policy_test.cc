// SPDX-License-Identifier: Apache-2.0
#include "smime/reader_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/smime/test_certificates.h"
#include "tests/support/status_matchers.h"

namespace kt::smime {
namespace {

using kt::testing::IsOk;
using testing::Authority;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kDayS;
using testing::kNowMs;
using testing::kNowS;
using ::testing::SizeIs;
using testing::Spec;
using testing::TestKey;

const Authority& Root() {
  static const auto* const root = new Authority(Authority::RootSpec("Test Root"));
  return *root;
}

CertificateSet SetOf(const std::vector<base::Bytes>& certificates) {
  std::vector<CertificateEntry> entries;
  for (const base::Bytes& der : certificates) entries.push_back({der, {}, {}});
  absl::StatusOr<CertificateSet> set = CertificateSet::Create(std::move(entries));
  EXPECT_THAT(set, IsOk());
  return *std::move(set);
}

SortedEntries Sort(const CertificateSet& set, const std::string& address = "alice@example.com",
                   uint64_t now_ms = kNowMs) {
  absl::StatusOr<Address> parsed = ParseAddress(address);
  EXPECT_THAT(parsed, IsOk());
  return SortEntries(set, *parsed, now_ms);
}

// The reason for which the one certificate of `spec` is passed over; empty if it is usable.
std::string ReasonAgainst(const Spec& spec, const std::string& address = "alice@example.com",
                          uint64_t now_ms = kNowMs) {
  const SortedEntries sorted = Sort(SetOf({Root().Issue(spec)}), address, now_ms);
  EXPECT_EQ(sorted.usable.size() + sorted.passed_over.size(), 1u);
  return sorted.passed_over.empty() ? "" : sorted.passed_over.front().reason;
}

TEST(SortEntries, TakesWhatSignsOrEncrypts) {
  for (const char* usage : {"digitalSignature", "keyAgreement"}) {
    SCOPED_TRACE(usage);
    Spec spec;
    spec.key_usage = usage;
    EXPECT_EQ(ReasonAgainst(spec), "");
  }
  for (const std::optional<std::string>& usages :
       {std::optional<std::string>(), std::optional<std::string>("anyExtendedKeyUsage")}) {
    Spec spec;
    spec.extended_key_usage = usages;
    EXPECT_EQ(ReasonAgainst(spec), "");
  }
}

TEST(SortEntries, PassesOverOtherAddresses) {
  EXPECT_THAT(ReasonAgainst(Spec(), "bob@example.com"), HasSubstr("name the address"));
  EXPECT_THAT(ReasonAgainst(Spec(), "Alice@example.com"), HasSubstr("name the address"));
  Spec subject_only;
  subject_only.subject = "alice@example.com";
  subject_only.emails.clear();
  EXPECT_THAT(ReasonAgainst(subject_only), HasSubstr("name the address"));
}

TEST(SortEntries, PassesOverOutsideValidity) {
  Spec spec;
  spec.not_before_s = kNowS;
  spec.not_after_s = kNowS + kDayS;
  const uint64_t end_ms = kNowMs + 1000 * kDayS;
  EXPECT_THAT(ReasonAgainst(spec, "alice@example.com", kNowMs - 1), HasSubstr("not valid yet"));
  EXPECT_EQ(ReasonAgainst(spec, "alice@example.com", kNowMs), "");
  EXPECT_EQ(ReasonAgainst(spec, "alice@example.com", end_ms - 1), "");
  EXPECT_THAT(ReasonAgainst(spec, "alice@example.com", end_ms), HasSubstr("expired"));
  EXPECT_THAT(ReasonAgainst(spec, "alice@example.com", UINT64_MAX), HasSubstr("expired"));
}

TEST(SortEntries, PassesOverWithoutUseInMail) {
  Spec server;
  server.extended_key_usage = "serverAuth";
  EXPECT_THAT(ReasonAgainst(server), HasSubstr("neither to sign nor to encrypt"));
  Spec unknown_curve;
  unknown_curve.key = TestKey("secp256k1");
  EXPECT_THAT(ReasonAgainst(unknown_curve), HasSubstr("neither to sign nor to encrypt"));
  Spec unfit;
  unfit.key_usage = "keyEncipherment";
  EXPECT_THAT(ReasonAgainst(unfit), HasSubstr("neither to sign nor to encrypt"));
}

// Whatever stands in one entry, all others are sorted as if it were not there.
TEST(SortEntries, LetsNoEntrySpoilAnother) {
  Spec first;
  Spec second;
  second.serial = 8;
  Spec expired;
  expired.not_after_s = kNowS - kDayS;
  const base::Bytes good_a = Root().Issue(first);
  const base::Bytes good_b = Root().Issue(second);
  base::Bytes truncated = good_a;
  truncated.pop_back();
  const CertificateSet set = SetOf(
      {good_a, good_b, Root().Issue(expired), truncated, {0x00}, base::ToBytes("not DER at all")});

  const SortedEntries sorted = Sort(set);

  ASSERT_THAT(sorted.usable, SizeIs(2));
  ASSERT_THAT(sorted.passed_over, SizeIs(4));
  std::vector<size_t> indices;
  for (const UsableCertificate& usable : sorted.usable) {
    EXPECT_EQ(usable.certificate.der(), set.entries()[usable.index].der);
    EXPECT_TRUE(usable.certificate.der() == good_a || usable.certificate.der() == good_b);
    indices.push_back(usable.index);
  }
  EXPECT_TRUE(std::is_sorted(indices.begin(), indices.end()));
  for (const PassedOver& passed : sorted.passed_over) {
    EXPECT_FALSE(passed.reason.empty());
    indices.push_back(passed.index);
  }
  EXPECT_TRUE(std::is_sorted(indices.begin() + 2, indices.end()));
  std::sort(indices.begin(), indices.end());
  EXPECT_THAT(indices, ElementsAre(0, 1, 2, 3, 4, 5));
}

// A chain is for the program that uses the certificate; garbage in it changes nothing here.
TEST(SortEntries, LooksAtNoChain) {
  CertificateEntry entry{Root().Issue(Spec()), {{{0x00}}}, {0x01}};
  ASSERT_OK_AND_ASSIGN(const CertificateSet set, CertificateSet::Create({entry}));
  EXPECT_THAT(Sort(set).usable, SizeIs(1));
}

TEST(SortEntries, FindsNothingInTheEmptySet) {
  const SortedEntries sorted = Sort(CertificateSet());
  EXPECT_THAT(sorted.usable, IsEmpty());
  EXPECT_THAT(sorted.passed_over, IsEmpty());
}

}  // namespace
}  // namespace kt::smime
