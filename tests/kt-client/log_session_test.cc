// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_session.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <utility>

#include "kt-client/failure.h"
#include "kt-client/kept_refusal.h"
#include "tests/kt-client/refusals.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::client {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::ElementsAre;
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
  std::optional<base::TreeSize> last_seen;  // of the newest SearchRequest
  std::optional<base::Version> last_version;

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
    last_version = decoded->version;
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

// Accepts every publication.
class TestPublisher : public v1::Publisher::Service {
 public:
  int publications = 0;
  grpc::Status Publish(grpc::ServerContext*, const v1::PublishRequest*,
                       v1::PublishResponse* response) override {
    ++publications;
    response->set_version(7);
    return grpc::Status::OK;
  }
};

class LogSessionTest : public ::testing::Test {
 protected:
  LogSessionTest() : service_(MakeLog(1)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    builder.RegisterService(&publisher_);
    server_ = builder.BuildAndStart();
    auto store = StateStore::Open(directory_.File("state"));
    EXPECT_THAT(store, IsOk());
    store_.emplace(*std::move(store));
    clock_.Set(service_.log().RightmostMs());
  }
  ~LogSessionTest() override {
    server_->Shutdown();
    // Whatever was refused in any of these tests can be refused again.
    testing::ReplayRefusals(directory_.File("state"));
  }

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
  TestPublisher publisher_;
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
  auto after = StateFiles();
  std::erase_if(after, [](const auto& file) {
    return file.first.ends_with(".refused") || file.first == "refused.lock";
  });
  EXPECT_EQ(after, before);
}

TEST_F(LogSessionTest, WhatContradictsTheStateIsKeptWithAllThatTheRefusalDependsOn) {
  service_.log().Append(clock_.NowMs(), {{"alice@a.example", "two"}});
  const testing::TestLog fork = service_.log().Prefix(2);
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  service_.log().Append(clock_.NowMs(), {{"bob@a.example", "bob"}});
  ASSERT_THAT(Search("bob@a.example"), IsOk());
  const testing::TestLog honest = service_.log();
  service_.log() = fork;
  for (int i = 0; i < 4; ++i) service_.log().Append(clock_.NowMs(), {{"bob@a.example", "x"}});
  const absl::Status refused = Search("alice@a.example").status();
  ASSERT_THAT(refused, testing::IsVerificationFailure());
  const std::optional<std::string> path = KeptAt(refused);
  ASSERT_TRUE(path.has_value());
  struct stat info;
  ASSERT_EQ(stat(path->c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  ASSERT_OK_AND_ASSIGN(KeptRefusal kept, testing::ReadRefusal(*path));
  EXPECT_EQ(base::ToText(kept.check), base::FailedCheck(refused));
  EXPECT_EQ(Replay(kept).message(), refused.message());
  // Whom else the user writes to is not in it.
  const std::string bytes = testing::ReadText(*path);
  EXPECT_THAT(bytes, HasSubstr("alice@a.example"));
  EXPECT_THAT(bytes, ::testing::Not(HasSubstr("bob@a.example")));
  // It is what was answered that is refused: the honest answer verifies against the same state.
  service_.log() = honest;
  service_.log().Append(clock_.NowMs());
  const auto request = base::codec::Decode<core::SearchRequest>(kept.exchanges[0].request);
  kept.exchanges[0].answer = *service_.log().Search(*request);
  EXPECT_THAT(Replay(kept), IsOk());
}

TEST_F(LogSessionTest, NothingIsKeptThatContradictsNoState) {
  service_.lie = [](v1::SearchResponse* response) {
    response->mutable_found()->back() ^= 1;
    return grpc::Status::OK;
  };
  const absl::Status first_use = Search("alice@a.example").status();
  EXPECT_THAT(first_use, testing::IsVerificationFailure());
  EXPECT_EQ(KeptAt(first_use), std::nullopt);
  EXPECT_THAT(testing::ReplayRefusals(directory_.File("state")), ::testing::IsEmpty());
}

// A log that answers wrong each time does not fill the disk, and the first ones stay.
TEST_F(LogSessionTest, FirstRefusalsAreKeptAndNotMoreOfOneCheck) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  service_.lie = [](v1::SearchResponse* response) {
    response->Clear();
    return grpc::Status::OK;
  };
  std::string last;
  for (int i = 0; i < 6; ++i) {
    clock_.Advance(1);  // none is like another
    const absl::Status refused = Search("alice@a.example").status();
    EXPECT_EQ(KeptAt(refused).has_value(), i < 4) << i;
    last = std::string(refused.message());
  }
  EXPECT_THAT(last, HasSubstr("not kept"));
  service_.lie = [](v1::SearchResponse*) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "too short");
  };
  EXPECT_TRUE(KeptAt(Search("alice@a.example").status()).has_value()) << "of another check";
  EXPECT_THAT(
      testing::ReplayRefusals(directory_.File("state")),
      ::testing::ElementsAre(std::pair("malformed-response", 4), std::pair("rolled-back", 1)));
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
      {grpc::StatusCode::PERMISSION_DENIED, absl::StatusCode::kPermissionDenied},  // erased
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

// Another process has talked to the log while this one waited for its answer.
TEST_F(LogSessionTest, AsksAgainWhenTheStateHasChangedMeanwhile) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  int other_processes = 1;
  service_.lie = [&](v1::SearchResponse*) {
    if (other_processes-- == 1) {
      service_.log().Append(clock_.NowMs());
      EXPECT_THAT(Search("nobody@a.example"), IsOk());
    }
    return grpc::Status::OK;
  };
  service_.log().Append(clock_.NowMs());
  EXPECT_THAT(Search("alice@a.example"), IsOk());
  EXPECT_EQ(service_.last_seen, 4u);
  const base::Hash fingerprint = core::ConfigurationFingerprint(service_.log().config());
  ASSERT_OK_AND_ASSIGN(const std::optional<LogRecord> record, store_->Read(fingerprint));
  EXPECT_EQ(record->state, service_.log().StateAt(4));
}

// The other process was shown a fork of the log: both extend the older state, and the second to
// come must not just be saved over the first.
TEST_F(LogSessionTest, TwoProcessesCannotBeShownAForkEach) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  testing::TestLog fork = service_.log().Prefix(2);
  fork.Append(clock_.NowMs(), {{"bob@a.example", "forged"}});
  const testing::TestLog honest = service_.log();
  bool forked = false;
  service_.lie = [&](v1::SearchResponse*) {
    if (std::exchange(forked, true)) return grpc::Status::OK;
    service_.log() = fork;
    EXPECT_THAT(Search("alice@a.example"), IsOk());
    service_.log() = honest;
    service_.log().Append(clock_.NowMs(), {{"bob@a.example", "real"}});
    return grpc::Status::OK;
  };
  service_.log().Append(clock_.NowMs(), {{"bob@a.example", "real"}});
  EXPECT_THAT(Search("alice@a.example"), testing::IsVerificationFailure());
}

TEST_F(LogSessionTest, StateThatKeepsChangingIsNoVerificationFailure) {
  ASSERT_THAT(Search("alice@a.example"), IsOk());
  int depth = 0;
  service_.lie = [&](v1::SearchResponse*) {
    if (depth++ > 0) return grpc::Status::OK;
    service_.log().Append(clock_.NowMs());
    EXPECT_THAT(Search("nobody@a.example"), IsOk());
    depth = 0;
    service_.log().Append(clock_.NowMs());
    return grpc::Status::OK;
  };
  service_.log().Append(clock_.NowMs());
  EXPECT_THAT(Search("alice@a.example"), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(LogSessionTest, HistoryGoesDownToTheFirstVersionOrTheLimit) {
  ASSERT_OK_AND_ASSIGN(const auto session, Open());
  ASSERT_OK_AND_ASSIGN(const SearchHistory all,
                       session->History(base::AsBytes("alice@a.example"), 10));
  ASSERT_EQ(all.versions.size(), 2u);
  EXPECT_EQ(base::ToText(all.versions[0].value), "one");
  EXPECT_EQ(base::ToText(all.versions[1].value), "zero");
  EXPECT_FALSE(all.expired);
  ASSERT_OK_AND_ASSIGN(const SearchHistory one,
                       session->History(base::AsBytes("alice@a.example"), 1));
  EXPECT_EQ(one.versions.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const SearchHistory none,
                       session->History(base::AsBytes("nobody@a.example"), 10));
  EXPECT_TRUE(none.versions.empty());
}

// A log that proves that version 3 exists and version 2 does not has removed one.
TEST_F(LogSessionTest, HistoryWithAGapIsRefused) {
  service_.log().AddVersion("alice@a.example", 3, "three");
  service_.log().Append(clock_.NowMs());
  {
    // It is so new that it is monitored from now on, and then nothing below it may be denied.
    ASSERT_OK_AND_ASSIGN(const auto session, Open());
    EXPECT_THAT(session->History(base::AsBytes("alice@a.example"), 10),
                FailsCheck("label-removed"));
  }
  for (int i = 0; i < 4; ++i) {
    clock_.Advance(5'000);
    service_.log().Append(clock_.NowMs());
  }
  auto store = StateStore::Open(directory_.File("other-state"));
  ASSERT_THAT(store, IsOk());
  store_.emplace(*std::move(store));
  ASSERT_OK_AND_ASSIGN(const auto session, Open());
  EXPECT_THAT(session->History(base::AsBytes("alice@a.example"), 10), FailsCheck("history-gap"));
  EXPECT_EQ(testing::ReplayRefusals(directory_.File("other-state"))["history-gap"], 1);
}

TEST_F(LogSessionTest, LookupOfANewVersionLeavesAnObligation) {
  clock_.Advance(100);
  service_.log().Append(clock_.NowMs(), {{"alice@a.example", "two"}});
  ASSERT_OK_AND_ASSIGN(const SearchResult result, Search("alice@a.example"));
  EXPECT_TRUE(result.monitoring_required);
  const base::Hash fingerprint = core::ConfigurationFingerprint(service_.log().config());
  ASSERT_OK_AND_ASSIGN(const std::optional<LogRecord> record, store_->Read(fingerprint));
  const core::ContactState* const contact = record->FindWatched(base::AsBytes("alice@a.example"));
  ASSERT_NE(contact, nullptr);
  ASSERT_EQ(contact->map.size(), 1u);
  EXPECT_EQ(contact->map[0].version, 2u);
}

TEST_F(LogSessionTest, OnlyALogWithALifetimeMaySayThatAVersionHasExpired) {
  const auto expire_older = [&](v1::SearchResponse*) {
    return service_.last_version.has_value()
               ? grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "expired")
               : grpc::Status::OK;
  };
  service_.lie = expire_older;
  ASSERT_OK_AND_ASSIGN(auto session, Open());
  EXPECT_THAT(session->History(base::AsBytes("alice@a.example"), 10),
              FailsCheck("expired-without-lifetime"));

  testing::TestLogOptions options;
  options.seed = 3;
  options.maximum_lifetime_ms = 1'000'000'000;
  service_.log() = testing::TestLog(options);
  service_.log().Append(1'000'000, {{"alice@a.example", "zero"}});
  service_.log().Append(1'000'100, {{"alice@a.example", "one"}});
  auto store = StateStore::Open(directory_.File("other-state"));
  ASSERT_THAT(store, IsOk());
  store_.emplace(*std::move(store));
  ASSERT_OK_AND_ASSIGN(session, Open());
  ASSERT_OK_AND_ASSIGN(const SearchHistory history,
                       session->History(base::AsBytes("alice@a.example"), 10));
  EXPECT_TRUE(history.expired);
  EXPECT_EQ(history.versions.size(), 1u);
}

// The newest version never expires, so the status is about what was seen before.
TEST_F(LogSessionTest, WhatWasSeenBeforeExpiresNoSoonerThanTheLifetime) {
  testing::TestLogOptions options;
  options.seed = 3;
  options.maximum_lifetime_ms = 1'000'000;
  service_.log() = testing::TestLog(options);
  service_.log().Append(clock_.NowMs(), {{"alice@a.example", "zero"}});
  ASSERT_OK_AND_ASSIGN(const auto session, Open());
  const auto expire = [](v1::SearchResponse*) {
    return grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "expired");
  };
  service_.lie = expire;
  EXPECT_THAT(session->Search(base::AsBytes("alice@a.example"), std::nullopt),
              FailsCheck("expired-too-early"))
      << "who has seen nothing has nothing that could expire";
  service_.lie = nullptr;
  EXPECT_THAT(session->Search(base::AsBytes("alice@a.example"), std::nullopt), IsOk());
  service_.lie = expire;
  clock_.Advance(1'000'000 - service_.log().config().max_ahead - 1);
  EXPECT_THAT(session->Search(base::AsBytes("alice@a.example"), std::nullopt),
              FailsCheck("expired-too-early"));
  clock_.Advance(1);
  EXPECT_THAT(session->Search(base::AsBytes("alice@a.example"), std::nullopt),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(LogSessionTest, ErasedVersionsAreToldAsWhatTheLogSays) {
  clock_.Advance(100);
  service_.log().Append(clock_.NowMs(), {{"alice@a.example", "two"}});
  ASSERT_OK_AND_ASSIGN(const auto session, Open());
  const auto erase = [&](std::optional<base::Version> version) {
    service_.lie = [this, version](v1::SearchResponse*) {
      return service_.last_version == version
                 ? grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "erased it")
                 : grpc::Status::OK;
    };
  };
  erase(std::nullopt);  // the greatest
  const auto greatest = session->Search(base::AsBytes("alice@a.example"), std::nullopt);
  EXPECT_EQ(FailureOf(greatest.status()), Failure::kErased);
  EXPECT_THAT(greatest, StatusIs(absl::StatusCode::kPermissionDenied,
                                 HasSubstr("erased by the log: cannot be verified")));
  EXPECT_EQ(FailureOf(session->History(base::AsBytes("alice@a.example"), 10).status()),
            Failure::kErased);

  for (const base::Version version : {base::Version{0}, base::Version{1}}) {
    erase(version);
    ASSERT_OK_AND_ASSIGN(const SearchHistory history,
                         session->History(base::AsBytes("alice@a.example"), 10));
    EXPECT_THAT(history.erased, ElementsAre(version));
    EXPECT_EQ(history.versions.size(), 2u);
    EXPECT_FALSE(history.expired);
  }
  // A log cannot keep a client busy with versions that it calls erased.
  service_.lie = [this](v1::SearchResponse*) {
    return service_.last_version.has_value()
               ? grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "erased it")
               : grpc::Status::OK;
  };
  ASSERT_OK_AND_ASSIGN(const SearchHistory history,
                       session->History(base::AsBytes("alice@a.example"), 2));
  EXPECT_EQ(history.versions.size(), 1u);
  EXPECT_EQ(history.erased.size(), 1u);
}

// gRPC would abort the process of a mail program that embeds this.
TEST_F(LogSessionTest, TokensThatCannotBeSentAreRefused) {
  ASSERT_OK_AND_ASSIGN(const auto session, Open());
  for (const std::string& token : {std::string(), std::string("abc\ndef"), std::string("a\0b", 3),
                                   std::string("t\xc3\xb6ken"), std::string("a b")}) {
    EXPECT_THAT(session->Publish({}, token), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(publisher_.publications, 0);
  ASSERT_OK_AND_ASSIGN(const v1::PublishResponse response, session->Publish({}, "kt_abc-123"));
  EXPECT_EQ(response.version(), 7u);
}

}  // namespace
}  // namespace kt::client
