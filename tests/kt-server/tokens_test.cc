// SPDX-License-Identifier: Apache-2.0
#include "kt-server/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::AllOf;
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

// Such messages go to the event log, where addresses have no place.
TEST_F(TokensTest, ErrorsNameTheLineAndQuoteNothingOfTheFile) {
  const std::string head = "[[token]]\nid = \"a\"\nsha256 = \"" + std::string(64, '0') + "\"\n";
  for (const std::string& text :
       {head + "scopes = [\"secret name@x.example\"]\n", head + "scopes = [\"secret@x.example\n",
        head + "scopes = []\nsecret = 1\n", head + "scopes = []\nsecret = 1\nsecret = 2\n"}) {
    testing::WriteText(path_, text, 0600);
    EXPECT_THAT(Tokens::Load(path_), StatusIs(absl::StatusCode::kInvalidArgument,
                                              AllOf(HasSubstr("line "), Not(HasSubstr("secret")))))
        << text;
  }
}

TEST_F(TokensTest, ChangesAtOnceLoseNone) {
  constexpr int kThreads = 8;
  constexpr int kChanges = 5;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kChanges; ++i) {
        EXPECT_THAT(Tokens::Edit(path_,
                                 [this](Tokens& tokens) {
                                   return tokens.Create({"a.example"}, random_).status();
                                 }),
                    IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_OK_AND_ASSIGN(const Tokens tokens, Tokens::Load(path_));
  EXPECT_EQ(tokens.all().size(), static_cast<size_t>(kThreads * kChanges));
}

TEST_F(TokensTest, ChangeThatFailsLeavesTheFile) {
  ASSERT_THAT(
      Tokens::Edit(
          path_, [this](Tokens& tokens) { return tokens.Create({"a.example"}, random_).status(); }),
      IsOk());
  const std::string before = testing::ReadText(path_);
  EXPECT_THAT(Tokens::Edit(path_, [](Tokens& tokens) { return tokens.Revoke("nosuch"); }),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(testing::ReadText(path_), before);
}

}  // namespace
}  // namespace kt::server
