// SPDX-License-Identifier: Apache-2.0
//
// Every structure of the draft in every deployment mode, under both suites.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "kt-core/operations.h"
#include "tests/kt-core/random_structures.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using testing::StatusIs;

constexpr DeploymentMode kModes[] = {DeploymentMode::kContactMonitoring,
                                     DeploymentMode::kThirdPartyManagement,
                                     DeploymentMode::kThirdPartyAuditing};
constexpr CipherSuite kSuites[] = {CipherSuite::kP256, CipherSuite::kEd25519};

// Calls `visit` with a generator for each mode, suite and kind of request.
template <typename Visit>
void ForEachContext(Visit visit) {
  const uint64_t seed = testing::TestSeed(21);
  for (const DeploymentMode mode : kModes) {
    for (const CipherSuite suite : kSuites) {
      for (const bool version_in_request : {false, true}) {
        SCOPED_TRACE(absl::StrCat("seed ", seed, ", mode ", static_cast<int>(mode), ", ",
                                  NameOf(suite), ", version in request ", version_in_request));
        Configuration config;
        config.mode = mode;
        config.ciphersuite = suite;
        RandomStructures random(seed, WireContext::For(config, version_in_request), suite);
        visit(random);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

template <typename T>
class Structure : public ::testing::Test {};
using AllStructures =
    ::testing::Types<PrefixLeaf, merkle::PrefixSearchResult, PrefixProof, Configuration, TreeHead,
                     TreeHeadTbs, AuditorTreeHead, AuditorTreeHeadTbs, FullTreeHead, UpdateSuffix,
                     UpdateValue, UpdateTbs, CommitmentValue, VrfInput, LogEntry, InclusionProof,
                     CombinedTreeProof, DistinguishedHead, SearchRequest, BinaryLadderStep,
                     SearchResponse, AbsenceResponse, MonitorMapEntry, ContactMonitorRequest,
                     ContactMonitorResponse, OwnerInitRequest, OwnerInitResponse,
                     OwnerMonitorRequest, OwnerMonitorResponse, LabelValue, UpdateRequest,
                     UpdateInfo, UpdateResponse, DistinguishedRequest, DistinguishedResponse,
                     Credential, CredentialUpdate, ManagerUpdateRequest, AuditorUpdate>;
TYPED_TEST_SUITE(Structure, AllStructures);

TYPED_TEST(Structure, SurvivesTheRoundTrip) {
  ForEachContext([](RandomStructures& random) {
    for (int i = 0; i < 25; ++i) {
      const auto value = random.Make<TypeParam>();
      ASSERT_OK_AND_ASSIGN(const Bytes bytes, codec::TryEncode(value, random.context()));
      ASSERT_OK_AND_ASSIGN(const auto decoded, codec::Decode<TypeParam>(bytes, random.context()));
      ASSERT_EQ(codec::Encode(decoded, random.context()), bytes);
      if constexpr (std::equality_comparable<TypeParam>) {
        ASSERT_EQ(decoded, value);
      }
    }
  });
}

TYPED_TEST(Structure, RefusesEveryTruncationAndAnyTrailingByte) {
  ForEachContext([](RandomStructures& random) {
    for (int i = 0; i < 3; ++i) {
      Bytes bytes = codec::Encode(random.Make<TypeParam>(), random.context());
      for (size_t size = 0; size < bytes.size(); ++size) {
        ASSERT_THAT(codec::Decode<TypeParam>(ByteView(bytes).first(size), random.context()),
                    StatusIs(absl::StatusCode::kInvalidArgument))
            << size << " of " << bytes.size() << " bytes";
      }
      bytes.push_back(0);
      ASSERT_THAT(codec::Decode<TypeParam>(bytes, random.context()),
                  StatusIs(absl::StatusCode::kInvalidArgument));
    }
  });
}

// --- enumerations ------------------------------------------------------------------------

TEST(Enumerations, CipherSuiteHasTwoValues) {
  for (uint32_t value = 0; value < 0x10000; ++value) {
    EXPECT_EQ(IsKnown(static_cast<CipherSuite>(value)), value == 1 || value == 2) << value;
  }
}

TEST(Enumerations, RefuseEveryUnknownValue) {
  Configuration config;
  const Bytes configuration = codec::Encode(config);
  const Bytes same = codec::Encode(FullTreeHead{}, WireContext{});
  Credential credential;
  const WireContext context{DeploymentMode::kContactMonitoring, 80, false};
  const Bytes standard = codec::Encode(credential, context);
  // label, version, opening, value, ladder, position: all empty or zero.
  constexpr size_t kCredentialTypeAt = 1 + 4 + 16 + 4 + 1 + 8;
  for (int value = 0; value < 256; ++value) {
    SCOPED_TRACE(value);
    const auto octet = static_cast<uint8_t>(value);
    Bytes bytes = configuration;
    bytes[2] = octet;  // DeploymentMode; the other modes have fields that are not there
    EXPECT_EQ(codec::Decode<Configuration>(bytes).ok(), value == 1);
    bytes = configuration;
    bytes[1] = octet;  // CipherSuite
    EXPECT_EQ(codec::Decode<Configuration>(bytes).ok(), value == 1 || value == 2);
    bytes = configuration;
    bytes[0] = octet;
    EXPECT_EQ(codec::Decode<Configuration>(bytes).ok(), value == 0);
    bytes = same;
    bytes[0] = octet;  // FullTreeHeadType; `updated` needs a tree head
    EXPECT_EQ(codec::Decode<FullTreeHead>(bytes, context).ok(), value == 1);
    bytes = standard;
    bytes[kCredentialTypeAt] = octet;
    EXPECT_EQ(codec::Decode<Credential>(bytes, context).ok(), value == 1);
    // PrefixSearchResultType; nonInclusionLeaf needs a leaf.
    EXPECT_EQ(codec::Decode<merkle::PrefixSearchResult>(Bytes{octet, 7}).ok(),
              value == 1 || value == 3);
  }
}

// --- bounds ------------------------------------------------------------------------------

TEST(Bounds, OfTheVectorsAreThoseOfTheDraft) {
  const auto encodes = [](const auto& value) {
    return codec::TryEncode(value, WireContext{DeploymentMode::kThirdPartyManagement, 80, false})
        .ok();
  };
  const Bytes bytes_255(255, 1), bytes_256(256, 1), bytes_65535(65535, 1), bytes_65536(65536, 1);
  const std::vector<Hash> hashes_255(255), hashes_256(256), hashes_65535(65535),
      hashes_65536(65536);
  EXPECT_TRUE(encodes(VrfInput{bytes_255, 0}));
  EXPECT_FALSE(encodes(VrfInput{bytes_256, 0}));
  EXPECT_TRUE(encodes(TreeHead{0, bytes_65535}));
  EXPECT_FALSE(encodes(TreeHead{0, bytes_65536}));
  EXPECT_TRUE(encodes(UpdateSuffix{bytes_65535}));
  EXPECT_FALSE(encodes(UpdateSuffix{bytes_65536}));
  EXPECT_TRUE(encodes(LabelValue{bytes_65536}));
  EXPECT_TRUE(encodes(InclusionProof{hashes_65535}));
  EXPECT_FALSE(encodes(InclusionProof{hashes_65536}));
  EXPECT_TRUE(encodes(DistinguishedHead{hashes_255}));
  EXPECT_FALSE(encodes(DistinguishedHead{hashes_256}));
  EXPECT_TRUE(encodes(PrefixProof{std::vector<merkle::PrefixSearchResult>(255), hashes_65535}));
  EXPECT_FALSE(encodes(PrefixProof{std::vector<merkle::PrefixSearchResult>(256), {}}));
  EXPECT_FALSE(encodes(PrefixProof{{}, hashes_65536}));

  CombinedTreeProof proof;
  proof.timestamps.resize(255);
  proof.prefix_proofs.resize(255);
  proof.prefix_roots.resize(255);
  EXPECT_TRUE(encodes(proof));
  for (const int member : {0, 1, 2}) {
    CombinedTreeProof too_long = proof;
    if (member == 0) too_long.timestamps.resize(256);
    if (member == 1) too_long.prefix_proofs.resize(256);
    if (member == 2) too_long.prefix_roots.resize(256);
    EXPECT_FALSE(encodes(too_long));
  }

  OwnerInitResponse init;
  init.binary_ladder.assign(256, {Bytes(80), std::nullopt});
  EXPECT_TRUE(encodes(init));
  SearchResponse search;
  search.binary_ladder.assign(255, {Bytes(80), std::nullopt});
  EXPECT_TRUE(encodes(search));
  search.binary_ladder.assign(256, {Bytes(80), std::nullopt});
  EXPECT_FALSE(encodes(search));
  AuditorUpdate update;
  update.added.resize(65535);
  EXPECT_TRUE(encodes(update));
  update.added.resize(65536);
  EXPECT_FALSE(encodes(update));
  // A VRF proof has the suite's size.
  EXPECT_FALSE(encodes(BinaryLadderStep{Bytes(81), std::nullopt}));
  EXPECT_FALSE(encodes(BinaryLadderStep{Bytes(79), std::nullopt}));
}

}  // namespace
}  // namespace kt::core
