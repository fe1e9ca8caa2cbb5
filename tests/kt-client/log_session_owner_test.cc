// SPDX-License-Identifier: Apache-2.0
//
// An owner's session with a log in the same process, which lies when told to.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kt-client/failure.h"
#include "kt-client/log_session.h"
#include "kt-client/owner_publication.h"
#include "kt-core/distinguished.h"
#include "tests/kt-client/refusals.h"
#include "tests/support/fakes.h"
#include "tests/support/monitoring_answers.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::client {
namespace {

using ::kt::testing::FailsCheck;
using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::IsVerificationFailure;
using ::kt::testing::StatusIs;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@a.example";
const grpc::Status kNothingNewer(grpc::StatusCode::NOT_FOUND, "no newer version");

// The log that all services answer from.
struct SharedLog {
  SharedLog() : log(testing::TestLogOptions()) { Begin(); }
  void Begin() {
    log.Append(1'000'000);
    log.Append(1'000'010);
  }
  testing::TestLog log;
  testing::FakeClock clock{1'000'010};

  // A log entry soon after the last one, or windows in which distinguished ones appear.
  void Append(const std::vector<std::string>& alices = {}) {
    std::vector<testing::TestUpdate> updates;
    updates.reserve(alices.size());
    for (const std::string& value : alices) updates.push_back({kAlice, value});
    log.Append(log.RightmostMs() + 10, updates);
    clock.Set(log.RightmostMs());
  }
  void PassWindows() {
    for (int i = 0; i < 4; ++i) log.Append(log.RightmostMs() + 2'000);
    clock.Set(log.RightmostMs());
  }
  template <typename Response>
  std::string Encode(const Response& response) const {
    return base::ToText(base::codec::Encode(response, log.context()));
  }
};

class TestKeyTransparency : public v1::KeyTransparency::Service {
 public:
  explicit TestKeyTransparency(SharedLog& shared) : shared_(shared) {}
  grpc::Status GetConfiguration(grpc::ServerContext*, const v1::GetConfigurationRequest*,
                                v1::GetConfigurationResponse* response) override {
    response->set_configuration(base::ToText(base::codec::Encode(shared_.log.config())));
    return grpc::Status::OK;
  }
  grpc::Status Search(grpc::ServerContext*, const v1::SearchRequest* request,
                      v1::SearchResponse* response) override {
    const auto decoded =
        base::codec::Decode<core::SearchRequest>(base::AsBytes(request->request()));
    const auto found = shared_.log.Search(*decoded);
    if (found.ok()) {
      response->set_found(base::ToText(*found));
    } else {
      response->set_absent(base::ToText(*shared_.log.Absence(*decoded)));
    }
    return grpc::Status::OK;
  }

 private:
  SharedLog& shared_;
};

class TestMonitoring : public v1::Monitoring::Service {
 public:
  explicit TestMonitoring(SharedLog& shared) : shared_(shared) {}
  std::optional<grpc::Status> refuse;  // instead of an answer
  size_t max_ladders = core::kMaxOwnerLadders;
  int monitored = 0;

  grpc::Status OwnerInit(grpc::ServerContext*, const v1::MonitoringRequest* request,
                         v1::MonitoringResponse* response) override {
    return Answer<core::OwnerInitRequest>(*request, response, [&](const auto& decoded) {
      return AnswerOwnerInit(shared_.log, decoded);
    });
  }
  grpc::Status OwnerMonitor(grpc::ServerContext*, const v1::MonitoringRequest* request,
                            v1::MonitoringResponse* response) override {
    ++monitored;
    return Answer<core::OwnerMonitorRequest>(*request, response, [&](const auto& decoded) {
      return AnswerOwnerMonitor(shared_.log, decoded, std::nullopt, max_ladders);
    });
  }
  grpc::Status ContactMonitor(grpc::ServerContext*, const v1::MonitoringRequest*,
                              v1::MonitoringResponse*) override {
    return refuse.value_or(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not here"));
  }
  grpc::Status Distinguished(grpc::ServerContext*, const v1::MonitoringRequest* request,
                             v1::MonitoringResponse* response) override {
    return Answer<core::DistinguishedRequest>(*request, response, [&](const auto& decoded) {
      const base::TreeSize size = shared_.log.size();
      return core::ProveDistinguished(shared_.log.config(), core::RecentDefinition(),
                                      *shared_.log.ViewAt(size), shared_.log.HeadAt(size), decoded);
    });
  }

 private:
  template <typename Request, typename Prove>
  grpc::Status Answer(const v1::MonitoringRequest& request, v1::MonitoringResponse* response,
                      const Prove& prove) {
    if (refuse.has_value()) return *refuse;
    const auto decoded = base::codec::Decode<Request>(base::AsBytes(request.request()));
    const auto answer = prove(*decoded);
    if (!answer.ok()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, std::string(answer.status().message())};
    }
    response->set_response(shared_.Encode(*answer));
    return grpc::Status::OK;
  }

  SharedLog& shared_;
};

class TestPublisher : public v1::Publisher::Service {
 public:
  explicit TestPublisher(SharedLog& shared) : shared_(shared) {}

  using Writer = grpc::ServerWriter<v1::UpdateResponse>;
  std::function<grpc::Status(const core::UpdateRequest&, Writer*)> lie;  // instead of an answer
  std::function<void()> before_answer;                                   // once
  bool lose_answers = false;                                             // to requests with values
  int created = 0;
  std::string token;  // of the last request with values

  grpc::Status Update(grpc::ServerContext* context, const v1::UpdateRequest* request,
                      Writer* writer) override {
    auto decoded = *base::codec::Decode<core::UpdateRequest>(base::AsBytes(request->request()));
    if (lie) return lie(decoded, writer);
    const auto greatest = shared_.log.Greatest(kAlice, shared_.log.size());
    const bool create = decoded.greatest_version == greatest && !decoded.values.empty();
    if (!decoded.values.empty()) {
      const auto found = context->client_metadata().find("authorization");
      token = std::string(found->second.data(), found->second.size());
    }
    if (create) {
      std::vector<std::string> values;
      for (const auto& value : decoded.values) values.push_back(base::ToText(value.value));
      shared_.Append(values);
      ++created;
    }
    if (auto run = std::exchange(before_answer, nullptr)) run();
    if (lose_answers && !decoded.values.empty()) {
      return {grpc::StatusCode::UNAVAILABLE, "the answer was lost"};
    }
    return SendAll(decoded, writer, create);
  }
  grpc::Status SendAll(core::UpdateRequest request, Writer* writer, bool of_request) {
    bool sent = false;
    for (;; sent = true) {
      const auto answer = AnswerUpdate(shared_.log, request, of_request);
      if (!answer.ok()) return sent ? grpc::Status::OK : kNothingNewer;
      v1::UpdateResponse message;
      message.set_response(shared_.Encode(*answer));
      writer->Write(message);
      request = core::FollowingUpdateRequest(request, *answer, shared_.log.size());
      if (of_request) return grpc::Status::OK;
    }
  }

 private:
  SharedLog& shared_;
};

class LogSessionOwnerTest : public ::testing::Test {
 protected:
  LogSessionOwnerTest() : key_transparency_(shared_), monitoring_(shared_), publisher_(shared_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&key_transparency_);
    builder.RegisterService(&monitoring_);
    builder.RegisterService(&publisher_);
    server_ = builder.BuildAndStart();
    UseStore("state");
  }
  void UseStore(const std::string& name) {
    auto store = StateStore::Open(directory_.File(name));
    EXPECT_THAT(store, IsOk());
    store_.emplace(*std::move(store));
  }
  ~LogSessionOwnerTest() override {
    server_->Shutdown();
    // Whatever was refused in any of these tests can be refused again.
    testing::ReplayRefusals(directory_.File("state"));
  }

  std::unique_ptr<LogSession> Open() {
    Connection connection;
    connection.channel = server_->InProcessChannel({});
    connection.used.host = "kt.a.example";
    auto session = LogSession::Open(*store_, "a.example", std::move(connection), Discovery(), 5'000,
                                    shared_.clock);
    EXPECT_THAT(session, IsOk());
    return *std::move(session);
  }
  std::unique_ptr<LogSession> OpenOwned() {
    auto session = Open();
    EXPECT_THAT(session->BeginOwnership(label_), IsOk());
    return session;
  }
  // What is stored, as the next run will find it.
  OwnedLabel Stored() const {
    const auto record = store_->Read(core::ConfigurationFingerprint(shared_.log.config()));
    EXPECT_THAT(record, IsOk());
    return *(*record)->FindOwned(label_);
  }
  static std::vector<base::Bytes> Values(const std::vector<std::string>& values) {
    std::vector<base::Bytes> bytes;
    bytes.reserve(values.size());
    for (const std::string& value : values) bytes.push_back(base::ToBytes(value));
    return bytes;
  }

  const base::ByteView label_ = base::AsBytes(kAlice);
  testing::TemporaryDirectory directory_;
  SharedLog shared_;
  TestKeyTransparency key_transparency_;
  TestMonitoring monitoring_;
  TestPublisher publisher_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<StateStore> store_;
};

TEST_F(LogSessionOwnerTest, OwnershipBeginsAtTheRightmostDistinguishedEntry) {
  shared_.Append({"zero"});
  shared_.PassWindows();
  shared_.Append({"one"});
  const auto session = OpenOwned();
  EXPECT_GT(Stored().owner.start, 2u);
  EXPECT_EQ(Stored().owner.greatest_version(), 1u) << "what came after it was told";
  EXPECT_THAT(session->BeginOwnership(label_), StatusIs(absl::StatusCode::kFailedPrecondition));
  // How old the start is at most is noted, of this one and of those that follow.
  const auto* const start = session->record()->distinguished.Find(Stored().owner.start);
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(Stored().not_before_ms, start->entry().timestamp);
  shared_.PassWindows();
  EXPECT_THAT(session->MonitorOwner(label_), IsOk());
  EXPECT_EQ(Stored().not_before_ms, shared_.log.RightmostMs() - 1'000);
}

TEST_F(LogSessionOwnerTest, UpdateIsProvenAndStored) {
  const auto session = OpenOwned();
  ASSERT_OK_AND_ASSIGN(const auto published,
                       session->Update(label_, Values({"a", "b"}), "token-1"));
  EXPECT_EQ(published, (core::MonitorMapEntry{2, 1}));
  EXPECT_EQ(publisher_.token, "Bearer token-1");
  EXPECT_EQ(Stored().published, published);
  EXPECT_THAT(Stored().pending, IsEmpty());
  EXPECT_THAT(session->MonitorOwner(label_), IsOk());
  EXPECT_THAT(Stored().foreign, IsEmpty());
}

// "created [...] is proven only by the owner monitoring that covers it".
TEST_F(LogSessionOwnerTest, UpdateInADistinguishedEntryIsMonitoredBeforeItIsTold) {
  const auto session = OpenOwned();
  const int before = monitoring_.monitored;
  bool distinguished = false;
  for (int i = 0; i < 4 && !distinguished; ++i) {
    publisher_.before_answer = [&] { shared_.PassWindows(); };
    ASSERT_THAT(session->Update(label_, Values({std::to_string(i)}), "token"), IsOk());
    distinguished = monitoring_.monitored > before;
  }
  EXPECT_TRUE(distinguished);
  EXPECT_GE(Stored().owner.start, Stored().published->position);
}

TEST_F(LogSessionOwnerTest, LostAnswerIsNoLostVersionAndNoSecondOne) {
  {
    const auto session = OpenOwned();
    publisher_.lose_answers = true;
    EXPECT_THAT(session->Update(label_, Values({"mine"}), "token"),
                StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(Stored().pending, SizeIs(1));
  }
  publisher_.lose_answers = false;
  const auto session = Open();
  EXPECT_THAT(session->CatchUp(label_), IsOkAndHolds(1u));
  EXPECT_THAT(Stored().foreign, IsEmpty());
  EXPECT_EQ(Stored().published, (core::MonitorMapEntry{2, 0}));
  EXPECT_EQ(publisher_.created, 1);
}

// Such as a timer's monitor, while this process waits for the end of the epoch.
TEST_F(LogSessionOwnerTest, AnotherProcessMayLearnOfTheVersionFirst) {
  const auto session = OpenOwned();
  publisher_.before_answer = [&] {
    const auto other = Open();
    EXPECT_THAT(other->MonitorOwner(label_), IsOk());
  };
  ASSERT_OK_AND_ASSIGN(const auto published, session->Update(label_, Values({"mine"}), "token"));
  EXPECT_EQ(published, (core::MonitorMapEntry{2, 0}));
  EXPECT_EQ(publisher_.created, 1);
  EXPECT_THAT(Stored().foreign, IsEmpty());
}

// Two devices or two processes of one owner, of which the second has sent before the first was
// answered.
TEST_F(LogSessionOwnerTest, WhatTwoProcessesPublishAtOnceIsForeignToNeither) {
  const auto session = OpenOwned();
  absl::Status other;
  publisher_.before_answer = [&] {
    // The first one's version is in the log by now, and its answer under way.
    other = Open()->Update(label_, Values({"second"}), "token").status();
  };
  ASSERT_OK_AND_ASSIGN(const auto published, session->Update(label_, Values({"first"}), "token"));
  EXPECT_EQ(published, (core::MonitorMapEntry{2, 0}));
  EXPECT_THAT(other, StatusIs(absl::StatusCode::kAborted)) << "it was made for another version";
  EXPECT_EQ(publisher_.created, 1);
  EXPECT_THAT(Stored().foreign, IsEmpty());
  EXPECT_THAT(Stored().pending, IsEmpty());
}

TEST_F(LogSessionOwnerTest, SomebodyElseWasFaster) {
  const auto session = OpenOwned();
  shared_.Append({"theirs"});
  EXPECT_THAT(session->Update(label_, Values({"mine"}), "token"),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(publisher_.created, 0);
  EXPECT_THAT(Stored().foreign, SizeIs(1));
}

// What is to be published was made of the version that this process knew.
TEST_F(LogSessionOwnerTest, NothingIsPublishedOverWhatOnlyAnotherProcessHasLearntOf) {
  const auto session = OpenOwned();
  shared_.Append({"theirs"});
  EXPECT_THAT(Open()->CatchUp(label_), IsOkAndHolds(1u));
  EXPECT_THAT(session->Update(label_, Values({"mine"}), "token"),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(publisher_.created, 0);
  EXPECT_THAT(Stored().foreign, SizeIs(1));
  // Now it is known here too.
  EXPECT_THAT(session->Update(label_, Values({"mine"}), "token"), IsOk());
  EXPECT_EQ(Stored().published->version, 1u);
}

TEST_F(LogSessionOwnerTest, FailureAfterTheProofOfAnUpdateIsNotPassedOver) {
  const auto session = OpenOwned();
  publisher_.lie = [&](const core::UpdateRequest& request, TestPublisher::Writer* writer) {
    shared_.Append({base::ToText(request.values[0].value)});
    v1::UpdateResponse message;
    message.set_response(shared_.Encode(*AnswerUpdate(shared_.log, request, true)));
    writer->Write(message);
    message.set_response("nonsense");
    writer->Write(message);
    return grpc::Status::OK;
  };
  EXPECT_THAT(session->Update(label_, Values({"mine"}), "token"), IsVerificationFailure());
  // What was proven is kept.
  EXPECT_EQ(Stored().published, (core::MonitorMapEntry{2, 0}));
  EXPECT_THAT(Stored().foreign, IsEmpty());
}

TEST_F(LogSessionOwnerTest, SetsAreMadeOfTheGreatestVersionAsItWasVerified) {
  const auto session = OpenOwned();
  PublishRequest request;
  request.certificates.resize(1);
  request.certificates[0].der = base::Bytes{1};
  ASSERT_OK_AND_ASSIGN(PublishResult result, PublishAsOwner(*session, label_, request, "token"));
  EXPECT_TRUE(result.verified);
  EXPECT_EQ(result.version, 0u);
  request.operation = PublishRequest::Operation::kAdd;
  request.certificates[0].der = base::Bytes{2};
  request.expected_greatest_version = 7;
  EXPECT_EQ(FailureOf(PublishAsOwner(*session, label_, request, "token").status()),
            Failure::kRefusedByPolicy);
  request.expected_greatest_version = 0;
  ASSERT_THAT(PublishAsOwner(*session, label_, request, "token"), IsOk());
  const auto set = smime::CertificateSet::Decode(shared_.log.Find(kAlice, 1)->update.value);
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->entries(), SizeIs(2));
  // In between, somebody else publishes.
  request.expected_greatest_version.reset();
  shared_.Append({base::ToText(set->Encode())});
  EXPECT_THAT(PublishAsOwner(*session, label_, request, "token"), FailsCheck("foreign-version"));
  request.operation = PublishRequest::Operation::kReplace;
  ASSERT_OK_AND_ASSIGN(result, PublishAsOwner(*session, label_, request, "token"));
  EXPECT_EQ(result.version, 3u);
  EXPECT_EQ(result.foreign_versions, 1u);
  EXPECT_EQ(publisher_.created, 3);
}

TEST_F(LogSessionOwnerTest, EveryResponseOfAStreamIsTakenInByItself) {
  const auto session = OpenOwned();
  for (const char* value : {"a", "b", "c"}) shared_.Append({value});
  // The second response is damaged: the first one stays.
  publisher_.lie = [&](const core::UpdateRequest& request, TestPublisher::Writer* writer) {
    v1::UpdateResponse message;
    const auto first = AnswerUpdate(shared_.log, request);
    message.set_response(shared_.Encode(*first));
    writer->Write(message);
    std::string second = shared_.Encode(*AnswerUpdate(
        shared_.log, core::FollowingUpdateRequest(request, *first, shared_.log.size())));
    second.pop_back();
    message.set_response(second);
    writer->Write(message);
    return grpc::Status::OK;
  };
  EXPECT_THAT(session->CatchUp(label_), IsVerificationFailure());
  EXPECT_EQ(Stored().owner.greatest_version(), 0u);
  EXPECT_THAT(Stored().foreign, SizeIs(1));
  publisher_.lie = nullptr;
  EXPECT_THAT(session->CatchUp(label_), IsOkAndHolds(2u));
  EXPECT_THAT(Stored().foreign, SizeIs(3));
}

TEST_F(LogSessionOwnerTest, StreamsWithoutSenseAreRefused) {
  const auto session = OpenOwned();
  publisher_.lie = [](const auto&, auto*) { return grpc::Status::OK; };
  EXPECT_THAT(session->CatchUp(label_), FailsCheck("malformed-response"));
  const std::pair<grpc::StatusCode, const char*> checks[] = {
      {grpc::StatusCode::OUT_OF_RANGE, "rolled-back"},
      {grpc::StatusCode::INVALID_ARGUMENT, "monitoring-refused"}};
  for (const auto& [sent, check] : checks) {
    publisher_.lie = [code = sent](const auto&, auto*) { return grpc::Status(code, "because"); };
    EXPECT_THAT(session->CatchUp(label_), FailsCheck(check));
  }
  for (const auto code : {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::UNIMPLEMENTED,
                          grpc::StatusCode::RESOURCE_EXHAUSTED}) {
    publisher_.lie = [code](const auto&, auto*) { return grpc::Status(code, "because"); };
    EXPECT_THAT(session->CatchUp(label_), StatusIs(absl::StatusCode::kUnavailable));
  }
  // What is wrong with values is no lie of the log's.
  publisher_.lie = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "values");
  };
  EXPECT_THAT(session->Update(label_, Values({"x"}), "token"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("values")));
}

// A log must not say so instead of being caught: in `Update`, nor in the calls beside it.
TEST_F(LogSessionOwnerTest, OwnershipExpiresNoSoonerThanTheLifetime) {
  const auto expire = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::ABORTED, "expired");
  };
  // What each call says when the log says that what it needs has expired.
  const auto expired = [&](LogSession& session) {
    std::vector<absl::Status> statuses;
    publisher_.lie = expire;
    statuses.push_back(session.CatchUp(label_).status());
    statuses.push_back(session.Update(label_, Values({"x"}), "token").status());
    publisher_.lie = nullptr;
    monitoring_.refuse = grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "expired");
    statuses.push_back(session.WalkHeads().status());
    statuses.push_back(session.MonitorOwner(label_));
    monitoring_.refuse.reset();
    return statuses;
  };
  auto session = OpenOwned();
  EXPECT_THAT(expired(*session), Each(FailsCheck("expired-without-lifetime")));

  testing::TestLogOptions options;
  options.seed = 3;
  options.maximum_lifetime_ms = 1'000'000;
  shared_.log = testing::TestLog(options);
  shared_.Begin();
  UseStore("another-state");
  session = OpenOwned();
  shared_.clock.Set(1'000'000 + 1'000'000 - options.max_ahead_ms - 1);
  // The log's answers would be too old by now, but what comes first is what it says of expiry.
  publisher_.lie = expire;
  EXPECT_THAT(session->CatchUp(label_), FailsCheck("expired-too-early"));
  EXPECT_THAT(session->Update(label_, Values({"x"}), "token"), FailsCheck("expired-too-early"));
  EXPECT_EQ(testing::ReplayRefusals(directory_.File("another-state"))["expired-too-early"], 2);

  shared_.clock.Set(1'000'010 + 1'000'000 - options.max_ahead_ms);
  EXPECT_EQ(FailureOf(session->CatchUp(label_).status()), Failure::kExpired);
  EXPECT_EQ(FailureOf(session->Update(label_, Values({"x"}), "token").status()), Failure::kExpired);
  // That the log has less than was verified is no less of a failure for that.
  publisher_.lie = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "less");
  };
  EXPECT_THAT(session->CatchUp(label_), FailsCheck("rolled-back"));
}

// Also if nothing else is retained that tells how old it is.
TEST_F(LogSessionOwnerTest, WhatIsWatchedExpiresNoSoonerThanTheLifetime) {
  testing::TestLogOptions options;
  options.maximum_lifetime_ms = 1'000'000;
  shared_.log = testing::TestLog(options);
  shared_.Begin();
  shared_.Append({"zero"});  // at 1,000,020
  const auto session = Open();
  ASSERT_THAT(session->Search(label_, std::nullopt), IsOk());
  const WatchedLabel* const watched = session->record()->FindWatchedLabel(label_);
  ASSERT_NE(watched, nullptr);
  EXPECT_THAT(watched->contact.map, SizeIs(1));
  const uint64_t not_before_ms = 1'000'020 - options.reasonable_monitoring_window_ms;
  EXPECT_EQ(watched->not_before_ms, not_before_ms);
  for (int i = 0; i < 2; ++i) shared_.Append();
  ASSERT_THAT(session->Search(base::AsBytes("bob@a.example"), std::nullopt), IsOk());
  EXPECT_EQ(session->record()->state->frontier.size(), 2u) << "entries 3 and 4";

  monitoring_.refuse = grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "expired");
  shared_.clock.Set(not_before_ms + 1'000'000 - options.max_ahead_ms - 1);
  EXPECT_THAT(session->MonitorContact(label_), FailsCheck("expired-too-early"));
  shared_.clock.Advance(1);
  const absl::Status expired = session->MonitorContact(label_);
  EXPECT_EQ(FailureOf(expired), Failure::kExpired);
  EXPECT_THAT(expired.message(), HasSubstr("kt-client monitor alice@a.example --forget"));
}

TEST_F(LogSessionOwnerTest, VersionThatIsProvenButNotToldOfIsWithheld) {
  const auto session = OpenOwned();
  shared_.Append({"not hers"});
  shared_.PassWindows();
  publisher_.lie = [](const auto&, auto*) { return kNothingNewer; };
  const absl::Status withheld = session->MonitorOwner(label_);
  EXPECT_THAT(withheld, FailsCheck("owner-withheld"));
  ASSERT_TRUE(KeptAt(withheld).has_value());
  ASSERT_OK_AND_ASSIGN(const KeptRefusal kept, testing::ReadRefusal(*KeptAt(withheld)));
  EXPECT_EQ(Replay(kept).message(), withheld.message()) << "it takes both answers";
  publisher_.lie = nullptr;
  EXPECT_THAT(session->MonitorOwner(label_), IsOk());
  EXPECT_THAT(Stored().foreign, SizeIs(1));
}

TEST_F(LogSessionOwnerTest, MonitoringGoesOnUntilItIsComplete) {
  const auto session = OpenOwned();
  for (int i = 0; i < 3; ++i) shared_.PassWindows();
  monitoring_.max_ladders = 1;
  EXPECT_THAT(session->MonitorOwner(label_), IsOk());
  EXPECT_GT(monitoring_.monitored, 3);
  // A log that gives nothing at all withholds a proof.
  shared_.PassWindows();
  monitoring_.max_ladders = 0;
  EXPECT_THAT(session->MonitorOwner(label_), FailsCheck("owner-withheld"));
  monitoring_.refuse = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no");
  EXPECT_THAT(session->MonitorOwner(label_), FailsCheck("monitoring-refused"));
}

TEST_F(LogSessionOwnerTest, TokensThatCannotBeSentAreRefused) {
  const auto session = OpenOwned();
  for (const std::string& token : {std::string(), std::string("a\nb"), std::string("a b")}) {
    EXPECT_THAT(session->Update(label_, Values({"x"}), token),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(publisher_.created, 0);
}

}  // namespace
}  // namespace kt::client
