// SPDX-License-Identifier: Apache-2.0
//
// Encodings written down by hand from the draft, field by field. A mistake that both directions of
// the codec share shows here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kt-core/commitment_value.h"
#include "kt-core/operations.h"
#include "kt-core/tree_head.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using base::ToHex;
using testing::IsOkAndHolds;

const WireContext kContact{DeploymentMode::kContactMonitoring, 3, false};
const WireContext kManaged{DeploymentMode::kThirdPartyManagement, 3, false};
const WireContext kAudited{DeploymentMode::kThirdPartyAuditing, 3, false};

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}
// A hash, or any other 32 bytes, of one byte repeated.
Hash H(uint8_t byte) {
  Hash hash;
  hash.bytes.fill(byte);
  return hash;
}
base::VrfOutput V(uint8_t byte) { return {H(byte).bytes}; }
std::string H(const std::string& byte) { return Repeat(byte, 32); }

// Hexadecimal text in the order of the fields; spaces are for the reader.
std::string Hex(std::initializer_list<std::string> pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  std::erase(out, ' ');
  return out;
}

template <typename T, typename Context = codec::NoContext>
void ExpectLayout(const T& value, const std::string& hex, const Context& context = {}) {
  EXPECT_EQ(ToHex(codec::Encode(value, context)), Hex({hex}));
  if constexpr (std::equality_comparable<T>) {
    EXPECT_THAT(codec::Decode<T>(*base::FromHex(Hex({hex})), context), IsOkAndHolds(value));
  }
}

Configuration BaseConfiguration() {
  Configuration config;
  config.ciphersuite = CipherSuite::kEd25519;
  config.signature_public_key = {0xa1, 0xa2};
  config.vrf_public_key = {0xb1};
  config.max_ahead = 1;
  config.max_behind = 2;
  config.reasonable_monitoring_window = 3;
  return config;
}
constexpr char kKeysHex[] = "0002 a1a2 0001 b1";
constexpr char kTimesHex[] = "0000000000000001 0000000000000002 0000000000000003";

TEST(Layout, Configuration) {
  Configuration config = BaseConfiguration();
  ExpectLayout(config, Hex({"0002", "01", kKeysHex, kTimesHex, "00"}));
  config.maximum_lifetime = 4;
  config.ciphersuite = CipherSuite::kP256;
  ExpectLayout(config, Hex({"0001", "01", kKeysHex, kTimesHex, "01", "0000000000000004"}));
}

TEST(Layout, ConfigurationWithAManager) {
  Configuration config = BaseConfiguration();
  config.mode = DeploymentMode::kThirdPartyManagement;
  config.leaf_public_key = {0xc1, 0xc2, 0xc3};
  ExpectLayout(config, Hex({"0002", "02", kKeysHex, "0003", "c1c2c3", kTimesHex, "00"}));
}

TEST(Layout, ConfigurationWithAnAuditor) {
  Configuration config = BaseConfiguration();
  config.mode = DeploymentMode::kThirdPartyAuditing;
  config.max_auditor_lag = 5;
  config.auditor_start_pos = 6;
  config.auditor_public_key = {0xd1};
  ExpectLayout(config, Hex({"0002", "03", kKeysHex, "0000000000000005", "0000000000000006", "0001",
                            "d1", kTimesHex, "00"}));
}

TEST(Layout, ToBeSigned) {
  const Configuration config = BaseConfiguration();
  const std::string config_hex = Hex({"0002", "01", kKeysHex, kTimesHex, "00"});
  EXPECT_EQ(ToHex(EncodeTreeHeadTbs(config, 0x0102, H(0xee))),
            Hex({config_hex, "0000000000000102", H("ee")}));
  EXPECT_EQ(ToHex(EncodeAuditorTreeHeadTbs(config, 0x0304, 0x0102, H(0xee))),
            Hex({config_hex, "0000000000000304", "0000000000000102", H("ee")}));
  ExpectLayout(UpdateTbs{config, {0x61, 0x62}, 7, {0x01, 0x02, 0x03}},
               Hex({config_hex, "02", "6162", "00000007", "00000003", "010203"}));
}

TEST(Layout, TreeHeads) {
  const TreeHead head{0x0102030405060708, {0x51, 0x52}};
  const AuditorTreeHead auditor{0x11, 0x12, {0x53}};
  const std::string head_hex = "0102030405060708 0002 5152";
  const std::string auditor_hex = "0000000000000011 0000000000000012 0001 53";
  ExpectLayout(head, head_hex);
  ExpectLayout(auditor, auditor_hex);

  const FullTreeHead same{FullTreeHeadType::kSame, {}, {}};
  const FullTreeHead updated{FullTreeHeadType::kUpdated, head, {}};
  const FullTreeHead audited{FullTreeHeadType::kUpdated, head, auditor};
  for (const WireContext& context : {kContact, kManaged, kAudited}) {
    ExpectLayout(same, "01", context);
  }
  ExpectLayout(updated, Hex({"02", head_hex}), kContact);
  ExpectLayout(updated, Hex({"02", head_hex}), kManaged);
  ExpectLayout(audited, Hex({"02", head_hex, auditor_hex}), kAudited);
}

TEST(Layout, ValuesAndCommitments) {
  const UpdateValue plain{{0x01, 0x02}, {}};
  const UpdateValue signed_value{{0x01, 0x02}, {{0x51}}};
  ExpectLayout(plain, "00000002 0102", kContact);
  ExpectLayout(plain, "00000002 0102", kAudited);
  ExpectLayout(signed_value, "00000002 0102 0001 51", kManaged);
  ExpectLayout(UpdateSuffix{}, "", kContact);

  Opening opening;
  opening.fill(0x0f);
  ExpectLayout(CommitmentValue{opening, {0x61}, 9, plain},
               Hex({Repeat("0f", 16), "01", "61", "00000009", "00000002", "0102"}), kContact);
  ExpectLayout(CommitmentValue{opening, {0x61}, 9, signed_value},
               Hex({Repeat("0f", 16), "01", "61", "00000009", "00000002", "0102", "0001", "51"}),
               kManaged);
  ExpectLayout(VrfInput{{0x61, 0x62, 0x63}, 0xfffffffe}, "03 616263 fffffffe");
  EXPECT_THAT(EncodeVrfInput(base::AsBytes("abc"), 1),
              IsOkAndHolds(*base::FromHex("0361626300000001")));
  ExpectLayout(LogEntry{0x0102, H(0xaa)}, Hex({"0000000000000102", H("aa")}));
}

TEST(Layout, PrefixProofs) {
  using merkle::PrefixSearchResult;
  using merkle::PrefixSearchResultType;
  const PrefixSearchResult included{PrefixSearchResultType::kInclusion, {}, 4};
  const PrefixSearchResult other_leaf{
      PrefixSearchResultType::kNonInclusionLeaf, {V(0x01), H(0x02)}, 5};
  const PrefixSearchResult no_child{PrefixSearchResultType::kNonInclusionParent, {}, 255};
  ExpectLayout(included, "0104");
  ExpectLayout(other_leaf, Hex({"02", H("01"), H("02"), "05"}));
  ExpectLayout(no_child, "03ff");
  ExpectLayout(PrefixProof{{included, other_leaf, no_child}, {H(0x10), Hash{}}},
               Hex({"03", "0104", "02", H("01"), H("02"), "05", "03ff", "0002", H("10"), H("00")}));
}

TEST(Layout, CombinedTreeProof) {
  CombinedTreeProof proof;
  ExpectLayout(proof, "00 00 00 0000");
  proof.timestamps = {1, 0x0203};
  proof.prefix_proofs = {PrefixProof{{{merkle::PrefixSearchResultType::kInclusion, {}, 0}}, {}}};
  proof.prefix_roots = {H(0x11)};
  proof.inclusion.elements = {H(0x21), H(0x22)};
  ExpectLayout(proof, Hex({"02", "0000000000000001", "0000000000000203",  // timestamps
                           "01", "01", "0100", "0000",                    // prefix_proofs
                           "01", H("11"),                                 // prefix_roots
                           "0002", H("21"), H("22")}));                   // inclusion
  ExpectLayout(DistinguishedHead{{H(0x31), H(0x32)}}, Hex({"02", H("31"), H("32")}));
}

TEST(Layout, Search) {
  ExpectLayout(SearchRequest{std::nullopt, {0x61}, std::nullopt}, "00 01 61 00");
  ExpectLayout(SearchRequest{4, {0x61, 0x62}, 0x0102}, "01 0000000000000004 02 6162 01 00000102");

  SearchResponse response;
  response.opening.fill(0x0e);
  response.value.value = {0x77};
  response.binary_ladder = {{{1, 2, 3}, H(0x41)}, {{4, 5, 6}, std::nullopt}};
  const std::string rest = Hex({Repeat("0e", 16), "00000001", "77", "02", "010203", "01", H("41"),
                                "040506", "00", "00 00 00 0000"});
  WireContext fixed = kContact;
  fixed.version_in_request = true;
  ExpectLayout(response, Hex({"01", rest}), fixed);
  response.version = 0x0a0b0c0d;
  ExpectLayout(response, Hex({"01", "0a0b0c0d", rest}), kContact);
}

TEST(Layout, Absence) {
  AbsenceResponse response;
  response.proof = {1, 2, 3};
  ExpectLayout(response, "01 010203 00 00 00 0000", kContact);
}

TEST(Layout, Monitoring) {
  ExpectLayout(ContactMonitorRequest{9, {0x61}, {{1, 2}, {3, 4}}},
               "01 0000000000000009 01 61 02 0000000000000001 00000002 0000000000000003 00000004");
  ExpectLayout(ContactMonitorResponse{}, "01 00 00 00 0000", kContact);
  ExpectLayout(OwnerInitRequest{std::nullopt, {0x61}, 5}, "00 01 61 0000000000000005");

  OwnerInitResponse init;
  init.greatest_versions = {3, 1};
  init.binary_ladder = {{{1, 2, 3}, std::nullopt}};
  ExpectLayout(init,
               "01 02 00000003 00000001 0001 010203 00"  // two bytes count this ladder
               "00 00 00 0000",
               kContact);
  ExpectLayout(OwnerMonitorRequest{std::nullopt, {0x61}, {{1, 2}}, 5, 6},
               "00 01 61 01 0000000000000001 00000002 0000000000000005 01 00000006");
  ExpectLayout(OwnerMonitorResponse{}, "01 00 00 00 0000", kContact);
}

TEST(Layout, Updates) {
  ExpectLayout(UpdateRequest{std::nullopt, {0x61}, 5, {{{0x01}}, {{}}}},
               "00 01 61 01 00000005 02 00000001 01 00000000");

  UpdateResponse response;
  response.position = 8;
  response.values = {{{0x01}}};
  UpdateInfo info;
  info.opening.fill(0x0f);
  response.info = {info};
  response.binary_ladder = {{{1, 2, 3}, std::nullopt}};
  const std::string proof = "00 00 00 0000";
  ExpectLayout(response,
               Hex({"01", "0000000000000008", "01", "00000001", "01", "01", Repeat("0f", 16), "01",
                    "010203", "00", proof}),
               kContact);
  response.skipped_versions = 2;
  response.info[0].suffix.signature = {0x51};
  ExpectLayout(response,
               Hex({"01", "0000000000000008", "00000002", "01", "00000001", "01", "01",
                    Repeat("0f", 16), "0001", "51", "01", "010203", "00", proof}),
               kManaged);

  ExpectLayout(DistinguishedRequest{1, 2}, "01 0000000000000001 01 0000000000000002");
  ExpectLayout(DistinguishedResponse{}, "01 00 00 00 0000", kContact);
}

TEST(Layout, Credentials) {
  Credential credential;
  credential.label = {0x61};
  credential.version = 1;
  credential.opening.fill(0x0f);
  credential.value.value = {0x77};
  credential.binary_ladder = {{{1, 2, 3}, std::nullopt}};
  credential.position = 9;
  const std::string front = Hex({"01", "61", "00000001", Repeat("0f", 16), "00000001", "77", "01",
                                 "010203", "00", "0000000000000009"});
  ExpectLayout(credential, Hex({front, "01", "00", "0000"}), kContact);
  credential.credential_type = CredentialType::kProvisional;
  credential.tree_head = {10, {0x51}};
  ExpectLayout(credential, Hex({front, "02", "000000000000000a", "0001", "51", "00 00 00 0000"}),
               kContact);
  ExpectLayout(CredentialUpdate{}, "00 00 00 0000");
}

TEST(Layout, ThirdParties) {
  ExpectLayout(ManagerUpdateRequest{std::nullopt, {0x61}, std::nullopt, {{{0x01}, {{0x51}}}}, 3},
               "00 01 61 00 01 00000001 01 0001 51 00000003", kManaged);
  AuditorUpdate update;
  update.timestamp = 5;
  update.added = {{V(0x01), H(0x02)}};
  update.removed = {{V(0x03), H(0x04)}};
  ExpectLayout(update, Hex({"0000000000000005", "0001", H("01"), H("02"), "0001", H("03"), H("04"),
                            "00", "0000"}));
}

}  // namespace
}  // namespace kt::core
