// SPDX-License-Identifier: Apache-2.0
//
// The committed vectors: they are what generate_vectors makes, and each says all that is needed to
// check it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "base/secret.h"
#include "tests/support/deterministic_signer.h"
#include "tests/support/paths.h"
#include "tests/support/status_matchers.h"
#include "tests/vectors/make_vectors.h"
#include "tests/vectors/replay.h"

namespace kt::vectors {
namespace {

using testing::IsOkAndHolds;
using testing::StatusIs;

class Vectors : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  std::map<std::string, std::string> Committed() const {
    const std::filesystem::path folder =
        testing::SourceDir() + "/tests/vectors/" + FolderOf(GetParam());
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream file(entry.path(), std::ios::binary);
      files[entry.path().filename()] = {std::istreambuf_iterator<char>(file),
                                        std::istreambuf_iterator<char>()};
    }
    return files;
  }
  Json All() const {
    Json all = Json::array();
    for (const auto& [name, text] : Committed()) {
      const Json file = Json::parse(text);
      for (const Json& vector : file) all.push_back(vector);
    }
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Suites, Vectors,
                         ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519),
                         [](const auto& param_info) { return NameOf(param_info.param); });

TEST_P(Vectors, AreWhatTheGeneratorMakes) {
  const std::map<std::string, std::string> committed = Committed();
  const Files made = MakeVectors(GetParam());
  EXPECT_EQ(committed.size(), made.size());
  for (const auto& [name, json] : made) {
    ASSERT_TRUE(committed.contains(name)) << name;
    EXPECT_TRUE(committed.at(name) == ToText(json)) << name << ": run generate_vectors";
  }
}

TEST_P(Vectors, AreCompleteAndSound) {
  std::set<std::string> operations;
  for (const Json& vector : All()) {
    SCOPED_TRACE(vector.at("operation").get<std::string>() + ": " +
                 vector.at("name").get<std::string>());
    const absl::StatusOr<Json> result = Replay(vector);
    ASSERT_THAT(result, testing::IsOk());
    EXPECT_EQ(*result, vector.at("expected"));
    operations.insert(vector.at("operation").get<std::string>());
  }
  EXPECT_THAT(operations,
              ::testing::ElementsAre("absence", "auditor-start", "auditor-update", "commitment",
                                     "configuration", "contact-monitor", "credential",
                                     "distinguished", "keys", "manager-update", "owner-init",
                                     "owner-monitor", "search", "tree-head", "update", "vrf"));
}

// What is altered is refused or means something else: no vector passes whatever it holds.
TEST_P(Vectors, FailWhenTheyAreAltered) {
  const std::set<std::string> kSealed = {"response",       "proof",     "credential",
                                         "full_tree_head", "signature", "auditor_update",
                                         "auditor_start",  "request",   "credential_update"};
  for (const Json& vector : All()) {
    for (const auto& [member, value] : vector.items()) {
      if (!kSealed.contains(member)) continue;
      SCOPED_TRACE(vector.at("name").get<std::string>() + ", " + member);
      Json altered = vector;
      auto& hex = altered.at(member).get_ref<std::string&>();
      hex.resize(hex.size() - 2);
      EXPECT_FALSE(Replay(altered).ok());
      hex = value.get<std::string>() + "00";
      EXPECT_FALSE(Replay(altered).ok());
      hex = value.get<std::string>();
      hex[hex.size() - 1] = hex.back() == '0' ? '1' : '0';
      const absl::StatusOr<Json> flipped = Replay(altered);
      EXPECT_TRUE(!flipped.ok() || *flipped != vector.at("expected"));
    }
  }
}

TEST_P(Vectors, OfUsersAreNotForEver) {
  int tried = 0;
  for (Json vector : All()) {
    if (!vector.contains("response")) continue;
    ++tried;
    vector["now"] = vector.at("now").get<uint64_t>() + ConfigOf(vector).max_behind;
    EXPECT_THAT(Replay(vector), testing::FailsCheck("timestamp-bounds"));
  }
  EXPECT_GT(tried, 20);
}

TEST(Replay, RefusesAnUnknownOperation) {
  EXPECT_THAT(Replay({{"operation", "guess"}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

// RFC 6979, A.2.5.
TEST(DeterministicSigner, SignsAsTheRfcSays) {
  const base::SecretBytes secret(
      *base::FromHex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"));
  const auto signer =
      testing::CreateDeterministicSigner(base::SignatureAlgorithm::kEcdsaP256Sha256, secret);
  EXPECT_THAT(signer->Sign(base::AsBytes("sample")),
              IsOkAndHolds(*base::FromHex(
                  "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
                  "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")));
}

}  // namespace
}  // namespace kt::vectors
