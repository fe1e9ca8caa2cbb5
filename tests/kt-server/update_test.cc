// SPDX-License-Identifier: Apache-2.0
//
// kt.v1.Publisher/Update, from the call to the store, with an owner who verifies every response.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "kt-server/grpc_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/update_call.h"
#include "kt-server/update_service.h"
#include "smime/certificate.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/kt-server/verifying_owner.h"
#include "tests/support/paths.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@smime.example";

std::string Vector(const std::string& name) {
  return testing::ReadText(testing::SourceDir() + "/tests/vectors/rfc9216/" + name);
}

// What one call came to.
struct Reply {
  grpc::Status status;
  std::vector<core::UpdateResponse> responses;
};

class UpdateTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  explicit UpdateTest(core::DeploymentMode mode = core::DeploymentMode::kContactMonitoring,
                      int epoch_ms = 5)
      : fixture_(GetParam(), mode),
        gate_({.requests_per_second = 1e6}, fixture_.clock()),
        alice_(fixture_, kAlice) {
    Start(epoch_ms);
  }
  ~UpdateTest() override { Stop(); }

  // As when the server is started, on the log that is there.
  void Start(int epoch_ms = 5) {
    SequencerOptions options;
    options.epoch_interval_ms = epoch_ms;
    sequencer_ = std::make_unique<Sequencer>(
        options, fixture_.log(), fixture_.clock(), [](const Sequencer::CommitReport&) {},
        [](const absl::Status&) {});
    EXPECT_THAT(sequencer_->Start(), IsOk());
    Tokens tokens;
    token_ = *tokens.Create({"smime.example"}, fixture_.random());
    bobs_token_ = *tokens.Create({"bob@smime.example"}, fixture_.random());
    PublishService::Options service_options;
    service_options.domains = {"smime.example"};
    service_options.publishes_per_second = 1e6;
    service_options.admission.trust_anchors =
        *smime::TrustAnchors::FromPem(Vector("ca.rsa.crt.pem") + Vector("ca.ed25519.crt.pem"));
    publish_ = std::make_unique<PublishService>(std::move(service_options), std::move(tokens),
                                                *sequencer_, fixture_.clock());
    updates_ = std::make_unique<UpdateService>(fixture_.log());
    grpc_ = std::make_unique<PublisherGrpc>(*publish_, *updates_, gate_);
    grpc::ServerBuilder builder;
    builder.RegisterService(grpc_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::Publisher::NewStub(server_->InProcessChannel({}));
  }
  void Stop() {
    sequencer_->Stop();
    server_->Shutdown();
    server_ = nullptr;
  }

  static smime::CertificateEntry Entry(const std::string& name) {
    smime::CertificateEntry entry;
    entry.der = smime::ParsePem(Vector(name))->front().der();
    return entry;
  }
  static base::Bytes Set(const std::vector<std::string>& names) {
    std::vector<smime::CertificateEntry> entries;
    entries.reserve(names.size());
    for (const std::string& name : names) entries.push_back(Entry(name));
    return smime::CertificateSet::Create(std::move(entries))->Encode();
  }
  static base::Bytes Signing() { return Set({"alice.sign.crt.pem"}); }
  static base::Bytes Encryption() { return Set({"alice.encr.crt.pem"}); }
  static base::Bytes Nothing() { return Set({}); }

  core::UpdateRequest Request(std::optional<base::Version> greatest,
                              const std::vector<base::Bytes>& values = {}) const {
    return alice_.Request(greatest, values);
  }
  Reply CallRaw(const std::string& body, const std::string& token) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    v1::UpdateRequest request;
    request.set_request(body);
    const auto reader = stub_->Update(&context, request);
    Reply reply;
    v1::UpdateResponse response;
    while (reader->Read(&response)) {
      const auto decoded = base::codec::Decode<core::UpdateResponse>(
          base::AsBytes(response.response()), core::WireContext::For(fixture_.config()));
      EXPECT_THAT(decoded, IsOk());
      if (decoded.ok()) reply.responses.push_back(*decoded);
    }
    reply.status = reader->Finish();
    return reply;
  }
  Reply Call(const core::UpdateRequest& request, const std::string& token) {
    return CallRaw(base::ToText(base::codec::Encode(request)), token);
  }
  Reply Call(const core::UpdateRequest& request) {
    return Call(request, request.values.empty() ? "" : token_);
  }
  // By somebody else than the owner.
  absl::Status Publish(const std::string& certificate) {
    Publication publication;
    publication.address = kAlice;
    publication.certificates = {Entry(certificate)};
    std::promise<absl::Status> result;
    publish_->Publish(*publish_->Authorize(token_), publication,
                      [&](const absl::StatusOr<Submitter::Outcome>& outcome) {
                        result.set_value(outcome.status());
                      });
    return result.get_future().get();
  }

  // Makes Alice the owner from the first log entry on.
  void Own() { alice_.Own(); }
  // What the owner makes of a reply to `request`: the positions and counts of versions.
  std::vector<std::pair<base::LogPosition, size_t>> Verify(core::UpdateRequest request,
                                                           const Reply& reply) {
    std::vector<std::pair<base::LogPosition, size_t>> entries;
    for (const core::VerifiedUpdate& update : alice_.Verify(std::move(request), reply.responses)) {
      entries.emplace_back(update.position, update.created.size());
    }
    return entries;
  }
  base::TreeSize size() { return fixture_.log().newest()->size(); }

  LogFixture fixture_;
  CallGate gate_;
  std::string token_;
  std::string bobs_token_;
  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<PublishService> publish_;
  std::unique_ptr<UpdateService> updates_;
  std::unique_ptr<PublisherGrpc> grpc_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Publisher::Stub> stub_;
  VerifyingOwner alice_;
};

TEST_P(UpdateTest, CreatesAllVersionsOfARequestInOneEntry) {
  Own();
  const auto request = Request(std::nullopt, {Signing(), Encryption(), Nothing()});
  const Reply reply = Call(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  ASSERT_THAT(reply.responses, SizeIs(1));
  EXPECT_TRUE(reply.responses[0].values.empty()) << "they are the request's";
  EXPECT_THAT(Verify(request, reply), ElementsAre(std::pair(1, 3)));
  EXPECT_EQ(alice_.owner().greatest_version(), 2u);
  const auto next = Request(2, {Encryption()});
  EXPECT_THAT(Verify(next, Call(next)), ElementsAre(std::pair(2, 1)));
}

TEST_P(UpdateTest, NothingStartsInTheMiddleOfAnEntry) {
  ASSERT_THAT(Call(Request(std::nullopt, {Signing(), Encryption()})).responses, SizeIs(1));
  const Reply reply = Call(Request(0));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("not the last version of its log entry"));
  EXPECT_THAT(reply.responses, SizeIs(0));
}

// Nothing makes such an entry now, but early builds did.
TEST_P(UpdateTest, EntryThatNoResponseHoldsIsNamedAsTheReason) {
  Stop();
  for (const uint32_t count : {core::kMaxVersionsInEntry, core::kMaxVersionsInEntry + 1}) {
    NewEntry entry{fixture_.clock().NowMs(), {}};
    const auto greatest = count == core::kMaxVersionsInEntry ? 0 : core::kMaxVersionsInEntry;
    for (uint32_t i = 0; i < count; ++i) {
      entry.versions.push_back({base::ToBytes(kAlice), greatest + i, {Nothing(), {}}});
    }
    ASSERT_THAT(fixture_.log().Append({&entry, 1}), IsOk());
  }
  Start();
  const Reply longest = Call(Request(std::nullopt));
  ASSERT_THAT(longest.responses, SizeIs(1));
  EXPECT_THAT(longest.responses[0].values, SizeIs(core::kMaxVersionsInEntry));
  EXPECT_EQ(longest.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  const Reply too_long = Call(Request(core::kMaxVersionsInEntry - 1));
  EXPECT_THAT(too_long.responses, SizeIs(0));
  EXPECT_EQ(too_long.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(too_long.status.error_message(), HasSubstr("holds more than 191 versions"));
}

TEST_P(UpdateTest, TellsOfVersionsOfOthersOneResponseAnEntry) {
  Own();
  for (const char* name : {"alice.sign.crt.pem", "alice.encr.crt.pem"}) {
    ASSERT_THAT(Publish(name), IsOk());
  }
  ASSERT_TRUE(Call(Request(1, {Signing(), Nothing()})).status.ok());
  const auto request = Request(std::nullopt);
  const Reply reply = Call(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_THAT(Verify(request, reply),
              ElementsAre(std::pair(1, 1), std::pair(2, 1), std::pair(3, 2)));
  EXPECT_EQ(reply.responses[2].values[1].value, Nothing());
  EXPECT_EQ(Call(Request(3)).status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_P(UpdateTest, ManyEntriesTakeSeveralCalls) {
  Own();
  constexpr int kEntries = UpdateCall::kMaxResponses + 3;
  for (int i = 0; i < kEntries; ++i) {
    ASSERT_THAT(Publish(i % 2 == 0 ? "alice.sign.crt.pem" : "alice.encr.crt.pem"), IsOk());
  }
  auto request = Request(std::nullopt);
  Reply reply = Call(request);
  EXPECT_TRUE(reply.status.ok());
  EXPECT_THAT(Verify(request, reply), SizeIs(UpdateCall::kMaxResponses));
  request = Request(alice_.owner().greatest_version());
  reply = Call(request);
  EXPECT_TRUE(reply.status.ok());
  EXPECT_THAT(Verify(request, reply), SizeIs(3));
}

// The answer was lost, and the owner asks again.
TEST_P(UpdateTest, RetryPublishesNothingASecondTime) {
  Own();
  const auto request = Request(std::nullopt, {Signing(), Encryption()});
  ASSERT_TRUE(Call(request).status.ok());
  const base::TreeSize before = size();
  const Reply again = Call(request);
  ASSERT_TRUE(again.status.ok()) << again.status.error_message();
  EXPECT_EQ(size(), before);
  ASSERT_THAT(again.responses, SizeIs(1));
  ASSERT_THAT(again.responses[0].values, SizeIs(2)) << "what is there";
  EXPECT_EQ(again.responses[0].values[1].value, Encryption());
  EXPECT_THAT(Verify(request, again), ElementsAre(std::pair(1, 2)));
}

TEST_P(UpdateTest, ValuesOfAStaleRequestAreDisregarded) {
  Own();
  ASSERT_THAT(Publish("alice.sign.crt.pem"), IsOk());
  ASSERT_THAT(Publish("alice.encr.crt.pem"), IsOk());
  const base::TreeSize before = size();
  const auto request = Request(std::nullopt, {Nothing()});
  const Reply reply = Call(request);
  ASSERT_TRUE(reply.status.ok());
  EXPECT_THAT(Verify(request, reply), ElementsAre(std::pair(1, 1), std::pair(2, 1)));
  EXPECT_EQ(size(), before);
}

TEST_P(UpdateTest, PublishingNeedsATokenForTheAddress) {
  const base::TreeSize before = size();
  const auto request = Request(std::nullopt, {Signing()});
  EXPECT_EQ(Call(request, "").status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call(request, "kt_guess").status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call(request, bobs_token_).status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  auto elsewhere = request;
  elsewhere.label = base::ToBytes("alice@other.example");
  EXPECT_EQ(Call(elsewhere, token_).status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  auto spelled = request;
  spelled.label = base::ToBytes("alice@SMIME.example");
  EXPECT_EQ(Call(spelled, token_).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(size(), before);
}

TEST_P(UpdateTest, ValuesPassTheChecksOfAnyPublication) {
  const base::TreeSize before = size();
  EXPECT_EQ(Call(Request(std::nullopt, {base::Bytes{1, 2, 3}})).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  const Reply bobs = Call(Request(std::nullopt, {Signing(), Set({"bob.encr.crt.pem"})}));
  EXPECT_EQ(bobs.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION)
      << bobs.status.error_message();
  EXPECT_EQ(Call(Request(std::nullopt,
                         std::vector<base::Bytes>(core::kMaxVersionsInEntry + 1, Nothing())))
                .status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(size(), before) << "all or nothing";
  EXPECT_TRUE(
      Call(Request(std::nullopt, std::vector<base::Bytes>(core::kMaxVersionsInEntry, Nothing())))
          .status.ok());
}

// Such as one that has expired since: the owner must be able to change the rest of the set.
TEST_P(UpdateTest, WhatIsInTheSetAlreadyMayStay) {
  Stop();
  ASSERT_THAT(fixture_.Add(kAlice, 0, base::ToText(Set({"bob.encr.crt.pem"}))), IsOk());
  Start();
  const base::Bytes both = Set({"bob.encr.crt.pem", "alice.encr.crt.pem"});
  EXPECT_TRUE(Call(Request(0, {both})).status.ok());
  EXPECT_TRUE(Call(Request(1, {Encryption()})).status.ok());
  EXPECT_EQ(Call(Request(2, {both})).status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_P(UpdateTest, LogThatHasLessThanTheRequestSaysSo) {
  ASSERT_THAT(Publish("alice.sign.crt.pem"), IsOk());
  EXPECT_EQ(Call(Request(1)).status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Call(Request(1, {Signing()})).status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  auto request = Request(std::nullopt);
  request.last = size() + 1;
  EXPECT_EQ(Call(request).status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(CallRaw("x", "").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_P(UpdateTest, CallsCountForTheLimits) {
  CallGate strict({.requests_per_second = 1}, fixture_.clock());
  const PublisherGrpc service(*publish_, *updates_, strict);
  grpc::ServerBuilder builder;
  builder.RegisterService(const_cast<PublisherGrpc*>(&service));
  const auto server = builder.BuildAndStart();
  stub_ = v1::Publisher::NewStub(server->InProcessChannel({}));
  EXPECT_EQ(Call(Request(std::nullopt)).status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Call(Request(std::nullopt)).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  server->Shutdown();
  EXPECT_EQ(strict.responses.total(), 0u);
}

TEST_P(UpdateTest, NothingIsHeldOnceCallsAreOver) {
  ASSERT_THAT(Publish("alice.sign.crt.pem"), IsOk());
  Call(Request(std::nullopt));
  Call(Request(0, {Nothing()}));
  Call(Request(0, {base::Bytes{1}}));
  Call(Request(7));
  server_->Shutdown();
  EXPECT_EQ(gate_.responses.total(), 0u);
}

TEST_P(UpdateTest, FailedWriteIsAnErrorAndPublishesNothing) {
  const base::TreeSize before = size();
  fixture_.store().FailNextCommit(FaultyStore::Fault::kBeforeWrite);
  const Reply reply = Call(Request(std::nullopt, {Signing()}));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(reply.status.error_message(), ::testing::Not(HasSubstr("injected")));
  EXPECT_THAT(reply.responses, SizeIs(0));
  EXPECT_EQ(size(), before);
  Stop();
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  Start();
  EXPECT_EQ(Call(Request(std::nullopt)).status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Call(Request(std::nullopt, {Signing()})).status.ok());
}

// Nobody was told, but it is in the log: the owner who asks again finds what she wanted.
TEST_P(UpdateTest, WriteWhoseOutcomeWasLostIsFoundAfterARestart) {
  Own();
  fixture_.store().FailNextCommit(FaultyStore::Fault::kAfterWrite);
  const auto request = Request(std::nullopt, {Signing(), Encryption()});
  EXPECT_EQ(Call(request).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  Stop();
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  Start();
  const Reply again = Call(request);
  ASSERT_TRUE(again.status.ok()) << again.status.error_message();
  EXPECT_THAT(Verify(request, again), ElementsAre(std::pair(1, 2)));
  EXPECT_EQ(again.responses[0].values[0].value, Signing());
}

INSTANTIATE_TEST_SUITE_P(Suites, UpdateTest,
                         ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519),
                         [](const auto& test) {
                           return test.param == core::CipherSuite::kP256 ? "P256" : "Ed25519";
                         });

// --- several in one epoch ------------------------------------------------------------------

class SlowUpdateTest : public UpdateTest {
 protected:
  SlowUpdateTest() : UpdateTest(core::DeploymentMode::kContactMonitoring, /*epoch_ms=*/300) {}
};

TEST_P(SlowUpdateTest, OneOfTwoOwnersAtOnceIsToldOfTheOthersVersions) {
  Own();
  const auto first = Request(std::nullopt, {Signing()});
  const auto second = Request(std::nullopt, {Encryption(), Nothing()});
  auto one = std::async(std::launch::async, [&] { return Call(first); });
  auto two = std::async(std::launch::async, [&] { return Call(second); });
  const Reply a = one.get();
  const Reply b = two.get();
  ASSERT_TRUE(a.status.ok() && b.status.ok())
      << a.status.error_message() << b.status.error_message();
  ASSERT_THAT(a.responses, SizeIs(1));
  ASSERT_THAT(b.responses, SizeIs(1));
  EXPECT_NE(a.responses[0].values.empty(), b.responses[0].values.empty());
  const bool a_won = a.responses[0].values.empty();
  EXPECT_THAT(Verify(a_won ? second : first, a_won ? b : a),
              ElementsAre(std::pair(1, a_won ? 1 : 2)));
}

// What an answer says of a log entry is all that the entry holds of the label.
TEST_P(SlowUpdateTest, OthersVersionsOfTheSameEpochAreInAnotherEntry) {
  Own();
  const auto request = Request(std::nullopt, {Signing(), Encryption()});
  auto owner = std::async(std::launch::async, [&] { return Call(request); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  auto other = std::async(std::launch::async, [&] { return Publish("alice.sign.crt.pem"); });
  const Reply reply = owner.get();
  EXPECT_THAT(other.get(), IsOk());
  ASSERT_TRUE(reply.status.ok());
  const auto entries = Verify(request, reply);
  ASSERT_THAT(entries, SizeIs(1));
  // Whoever came first.
  const auto rest = Request(alice_.owner().greatest_version());
  const Reply more = Call(rest);
  if (more.status.ok()) {
    const auto later = Verify(rest, more);
    ASSERT_THAT(later, SizeIs(1));
    EXPECT_EQ(later[0].first, entries[0].first + 1);
  }
  EXPECT_TRUE(more.status.ok() || !reply.responses[0].values.empty());
}

INSTANTIATE_TEST_SUITE_P(Suites, SlowUpdateTest, ::testing::Values(core::CipherSuite::kEd25519));

// --- a log with an auditor -----------------------------------------------------------------

class AuditedUpdateTest : public UpdateTest {
 protected:
  AuditedUpdateTest() : UpdateTest(core::DeploymentMode::kThirdPartyAuditing) {
    EXPECT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(1)), IsOk());
  }
};

// The auditor lags, so nobody may be shown the new entry yet.
TEST_P(AuditedUpdateTest, WhatMayNotBeShownYetIsToldLater) {
  Own();
  fixture_.clock().Advance(fixture_.config().max_auditor_lag + 1);
  const auto request = Request(std::nullopt, {Signing()});
  const Reply early = Call(request);
  EXPECT_EQ(early.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(early.status.error_message(), HasSubstr("auditor"));
  EXPECT_EQ(size(), 2u);
  // Nor does a retry publish it again.
  const Reply retried = Call(request);
  EXPECT_EQ(retried.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(size(), 2u);
  EXPECT_THAT(fixture_.log().SubmitAuditorHead(fixture_.AuditorHead(2)), IsOk());
  EXPECT_THAT(Verify(request, Call(request)), ElementsAre(std::pair(1, 1)));
}

INSTANTIATE_TEST_SUITE_P(Suites, AuditedUpdateTest, ::testing::Values(core::CipherSuite::kP256));

}  // namespace
}  // namespace kt::server
