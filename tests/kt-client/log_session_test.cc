// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_session.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "kt-client/failure.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::client {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;

// Answers from a TestLog, and lies when told to.
class TestService : public v1::KeyTransparency::Service {
 public:
  explicit TestService(testing::TestLog log) : log_(std::move(log)) {}

  testing::TestLog& log() { return log_; }
  // Changes answers before they are sent, or fails the call.
  std::function<grpc::Status(v1::SearchResponse*)> lie;
  std::optional<base::Bytes> configuration;
  int configurations_sent = 0;
  std::optional<base::TreeSize> last_seen;  // SearchRequest.last of the newest request

  grpc::Status GetConfiguration(grpc::ServerContext*, const v1::GetConfigurationRequest*,
                                v1::GetConfigurationResponse* response) override {
    ++configurations_sent;
    response->set_configuration(
        base::ToText(configuration.value_or(base::codec::Encode(log_.config()))));
    return grpc::Status::OK;
  }

  grpc::Status Search(grpc::ServerContext*, const v1::SearchRequest* request,
                      v1::SearchResponse* response) override {
    const auto decoded =
        base::codec::Decode<core::SearchRequest>(base::AsBytes(request->request()));
    if (!decoded.ok()) return {grpc::StatusCode::INVALID_ARGUMENT, "malformed"};
    last_seen = decoded->last;
    const auto found = log_.Search(*decoded);
    if (found.ok()) {
      response->set_found(base::ToText(*found));
    } else {
      const auto absent = log_.Absence(*decoded);
      if (!absent.ok()) return {grpc::StatusCode::FAILED_PRECONDITION, "no such size"};
      response->set_absent(base::ToText(*absent));
    }
    return lie ? lie(response) : grpc::Status::OK;
  }

 private:
  testing::TestLog log_;
};

class LogSessionTest : public ::testing::Test {
 protected:
  LogSessionTest() : service_(MakeLog(1)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    auto store = StateStore::Open(directory_.File("state"));
    EXPECT_THAT(store, IsOk());
    store_.emplace(*std::move(store));
    clock_.Set(service_.log().RightmostMs());
  }
  ~LogSessionTest() override { server_->Shutdown(); }

  static testing::TestLog MakeLog(uint64_t seed) {
    testing::TestLogOptions options;
    options.seed = seed;
    testing::TestLog log(options);
    log.Append(1'000'000, {{"alice@a.example", "zero"}});
    log.Append(1'000'100, {{"alice@a.example", "one"}});
    return log;
  }

  absl::StatusOr<std::unique_ptr<LogSession>> Open(const Discovery& discovery = {}) {
    Connection connection;
    connection.channel = server_->InProcessChannel({});
    connection.used.host = "kt.a.example";
    return LogSession::Open(*store_, "a.example", std::move(connection), discovery, 5'000, clock_);
  }
  // One lookup by a client that starts anew.
  absl::StatusOr<SearchResult> Search(const std::string& label,
                                      std::optional<base::Version> version = std::nullopt,
                                      const Discovery& discovery = {}) {
    KT_ASSIGN_OR_RETURN(const auto session, Open(discovery));
    return session->Search(base::AsBytes(label), version);
  }
  std::map<std::string, std::string> StateFiles() const {
    std::map<std::string, std::string> files;
    for (const auto& file : std::filesystem::directory_iterator(directory_.File("state"))) {
      files[file.path().filename()] = testing::ReadText(file.path());
    }
    return files;
  }

  testing::TemporaryDirectory directory_;
  testing::FakeClock clock_;
  TestService service_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<StateStore> store_;
};

TEST_F(LogSessionTest, PinsAtFirstUseAndCarriesStateToTheNextRun) {
  ASSERT_OK_AND_ASSIGN(const auto first, Open());
  ASSERT_OK_AND_ASSIGN(const SearchResult result,
                       first->Search(base::AsBytes("alice@a.example"), std::nullopt));
  EXPECT_TRUE(result.found);
  EXPECT_EQ(result.version, 1u);
  EXPECT_EQ(base::ToText(result.value), "one");
  EXPECT_TRUE(first->info().first_use);
  EXPECT_EQ(first->info().tree_size, 2u);
  EXPECT_EQ(service_.last_seen, std::nullopt);
}

TEST_F(LogSessionTest, ReturningClientAdvertisesWhatItSawAndAsksForNoConfiguration) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  service_.log().Append(clock_.NowMs(), {{"alice@a.example", "two"}});
  ASSERT_OK_AND_ASSIGN(const SearchResult result, Search("alice@a.example"));
  EXPECT_EQ(result.version, 2u);
  EXPECT_EQ(service_.last_seen, 2u);
  EXPECT_EQ(service_.configurations_sent, 1);
}

TEST_F(LogSessionTest, AbsenceIsAResultOfItsOwn) {
  ASSERT_OK_AND_ASSIGN(const SearchResult nobody, Search("nobody@a.example"));
  EXPECT_FALSE(nobody.found);
  ASSERT_OK_AND_ASSIGN(const SearchResult later, Search("alice@a.example", 7));
  EXPECT_FALSE(later.found);
  EXPECT_EQ(later.version, 7u);
}

TEST_F(LogSessionTest, AbsenceOfAnExistingAddressIsRefused) {
  service_.lie = [&](v1::SearchResponse* response) {
    core::SearchRequest nobody;
    nobody.label = base::ToBytes("nobody@a.example");
    response->set_absent(base::ToText(*service_.log().Absence(nobody)));
    return grpc::Status::OK;
  };
  EXPECT_THAT(Search("alice@a.example"), testing::IsVerificationFailure());
}

TEST_F(LogSessionTest, NothingIsPinnedOrSavedBeforeTheFirstVerifiedAnswer) {
  service_.lie = [](v1::SearchResponse* response) {
    (*response->mutable_found())[40] ^= 1;
    return grpc::Status::OK;
  };
  EXPECT_THAT(Search("alice@a.example"), testing::IsVerificationFailure());
  for (const auto& [name, content] : StateFiles()) EXPECT_THAT(name, HasSubstr(".lock"));
}

TEST_F(LogSessionTest, FailedVerificationLeavesTheStateAlone) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  const auto before = StateFiles();
  service_.log().Append(clock_.NowMs());
  service_.lie = [](v1::SearchResponse* response) {
    response->mutable_found()->back() ^= 1;
    return grpc::Status::OK;
  };
  EXPECT_THAT(Search("alice@a.example"), testing::IsVerificationFailure());
  EXPECT_EQ(StateFiles(), before);
}

TEST_F(LogSessionTest, ForkIsRefused) {
  const testing::TestLog fork = service_.log().Prefix(1);
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  service_.log() = fork;
  EXPECT_THAT(Search("alice@a.example"), FailsCheck("rolled-back"));
  for (int i = 0; i < 3; ++i) {
    service_.log().Append(clock_.NowMs(), {{"bob@a.example", "x"}});
    EXPECT_THAT(Search("alice@a.example"), testing::IsVerificationFailure());
  }
}

TEST_F(LogSessionTest, AnotherLogIsRefused) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  service_.log() = MakeLog(2);
  service_.log().Append(clock_.NowMs());
  EXPECT_THAT(Search("alice@a.example"), testing::IsVerificationFailure());
}

TEST_F(LogSessionTest, PinInDnsIsCompared) {
  Discovery right;
  right.pinned_configuration = core::ConfigurationFingerprint(service_.log().config());
  Discovery wrong;
  wrong.pinned_configuration = base::Hash{{1}};
  EXPECT_THAT(Search("alice@a.example", std::nullopt, wrong), FailsCheck("configuration-pin"));
  EXPECT_THAT(Search("alice@a.example", std::nullopt, right), IsOk());
  EXPECT_THAT(Search("alice@a.example", std::nullopt, wrong), FailsCheck("configuration-pin"));
}

TEST_F(LogSessionTest, LostStateDoesNotLoseThePin) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  for (const auto& [name, content] : StateFiles()) {
    if (name.ends_with(".state")) std::filesystem::remove(directory_.File("state") + "/" + name);
  }
  EXPECT_THAT(Search("alice@a.example"), IsOk());
  service_.log() = MakeLog(2);
  for (const auto& [name, content] : StateFiles()) {
    if (name.ends_with(".state")) std::filesystem::remove(directory_.File("state") + "/" + name);
  }
  EXPECT_THAT(Search("alice@a.example"), FailsCheck("configuration-pin"));
}

TEST_F(LogSessionTest, UnusableConfigurationIsRefused) {
  service_.configuration = base::Bytes{1, 2, 3};
  EXPECT_THAT(Open(), FailsCheck("configuration"));
  core::Configuration config = service_.log().config();
  config.maximum_lifetime = 0;
  service_.configuration = base::codec::Encode(config);
  EXPECT_THAT(Open(), FailsCheck("configuration"));
}

TEST_F(LogSessionTest, AnswersWithoutAResultAreRefused) {
  service_.lie = [](v1::SearchResponse* response) {
    response->Clear();
    return grpc::Status::OK;
  };
  EXPECT_THAT(Search("alice@a.example"), FailsCheck("malformed-response"));
}

TEST_F(LogSessionTest, NoStatusMeansThatTheAddressIsAbsent) {
  const std::pair<grpc::StatusCode, absl::StatusCode> codes[] = {
      {grpc::StatusCode::NOT_FOUND, absl::StatusCode::kUnavailable},
      {grpc::StatusCode::UNIMPLEMENTED, absl::StatusCode::kUnavailable},
      {grpc::StatusCode::INTERNAL, absl::StatusCode::kUnavailable},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, absl::StatusCode::kUnavailable},
      {grpc::StatusCode::INVALID_ARGUMENT, absl::StatusCode::kInvalidArgument},
      {grpc::StatusCode::OUT_OF_RANGE, absl::StatusCode::kOutOfRange},
      {grpc::StatusCode::PERMISSION_DENIED, absl::StatusCode::kPermissionDenied},
      {grpc::StatusCode::UNAUTHENTICATED, absl::StatusCode::kPermissionDenied},
  };
  for (const auto& [sent, expected] : codes) {
    service_.lie = [code = sent](v1::SearchResponse*) { return grpc::Status(code, "because"); };
    const auto result = Search("alice@a.example");
    EXPECT_THAT(result, StatusIs(expected, HasSubstr("because")));
    EXPECT_FALSE(base::IsVerificationFailure(result.status()));
  }
}

TEST_F(LogSessionTest, StaleHeadIsRefused) {
  clock_.Advance(service_.log().config().max_behind);
  EXPECT_THAT(Search("alice@a.example"), IsOk());
  clock_.Advance(1);
  EXPECT_THAT(Search("alice@a.example"), FailsCheck("timestamp-bounds"));
}

}  // namespace
}  // namespace kt::client
