// SPDX-License-Identifier: Apache-2.0
#include "kt-server/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

smime::Address Parse(const std::string& text) {
  const auto address = smime::ParseAddress(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return *address;
}

class TokensTest : public ::testing::Test {
 protected:
  testing::SeededRandom random_{5};
  testing::TemporaryDirectory directory_;
  std::string path_ = directory_.File("tokens.toml");
};

TEST_F(TokensTest, ScopesCoverDomainsAndAddressesAndNothingElse) {
  Tokens tokens;
  ASSERT_OK_AND_ASSIGN(const std::string secret,
                       tokens.Create({"A.example", "bob@b.example"}, random_));
  const Token* const token = tokens.Find(secret);
  ASSERT_NE(token, nullptr);
  EXPECT_TRUE(token->Allows(Parse("anyone@a.example")));
  EXPECT_TRUE(token->Allows(Parse("bob@b.example")));
  EXPECT_FALSE(token->Allows(Parse("Bob@b.example")));
  EXPECT_FALSE(token->Allows(Parse("alice@b.example")));
  EXPECT_FALSE(token->Allows(Parse("anyone@sub.a.example")));
  EXPECT_FALSE(token->Allows(Parse("anyone@xa.example")));
}

TEST_F(TokensTest, OnlyTheExactSecretIsFound) {
  Tokens tokens;
  ASSERT_OK_AND_ASSIGN(const std::string secret, tokens.Create({"a.example"}, random_));
  EXPECT_EQ(secret.size(), 64u);
  EXPECT_EQ(tokens.Find(""), nullptr);
  EXPECT_EQ(tokens.Find(secret + " "), nullptr);
  EXPECT_EQ(tokens.Find(secret.substr(1)), nullptr);
  EXPECT_EQ(tokens.Find(base::ToHex(tokens.all()[0].sha256.bytes)), nullptr);
}

TEST_F(TokensTest, FileHoldsHashesOnlyAndReadsBack) {
  Tokens tokens;
  ASSERT_OK_AND_ASSIGN(const std::string first, tokens.Create({"a.example"}, random_));
  ASSERT_OK_AND_ASSIGN(const std::string second, tokens.Create({"b@b.example"}, random_));
  ASSERT_THAT(tokens.Save(path_), IsOk());
  EXPECT_THAT(testing::ReadText(path_), Not(HasSubstr(first)));
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_OK_AND_ASSIGN(Tokens read, Tokens::Load(path_));
  ASSERT_NE(read.Find(first), nullptr);
  ASSERT_NE(read.Find(second), nullptr);
  ASSERT_THAT(read.Revoke(read.Find(first)->id), IsOk());
  EXPECT_EQ(read.Find(first), nullptr);
  EXPECT_NE(read.Find(second), nullptr);
  EXPECT_THAT(read.Revoke("nosuch"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(TokensTest, AbsentFileHasNoTokens) {
  ASSERT_OK_AND_ASSIGN(const Tokens tokens, Tokens::Load(path_));
  EXPECT_TRUE(tokens.all().empty());
}

TEST_F(TokensTest, RefusesScopesThatAreNeitherDomainNorAddress) {
  Tokens tokens;
  EXPECT_THAT(tokens.Create({}, random_), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(tokens.Create({"*"}, random_), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(tokens.Create({"a b@x.example"}, random_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(tokens.all().empty());
}

TEST_F(TokensTest, RefusesLooseModesAndMalformedFiles) {
  testing::WriteText(path_, "", 0644);
  EXPECT_THAT(Tokens::Load(path_), StatusIs(absl::StatusCode::kPermissionDenied));
  for (const char* text :
       {"x = 1", "[[token]]\nid = \"a\"\n", "[token]\nid = 1",
        "[[token]]\nid=\"\"\nsha256=\"\"\nscopes=[]",
        "[[token]]\nid=\"a\"\nsha256=\"00\"\nscopes=[\"a.example\"]\n", "[[token"}) {
    testing::WriteText(path_, text, 0600);
    EXPECT_THAT(Tokens::Load(path_), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace kt::server
