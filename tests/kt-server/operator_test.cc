// SPDX-License-Identifier: Apache-2.0
//
// The operator's services from users' calls to a manager in the same process, who loses what it is
// sent, or lies.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "kt-server/eraser.h"
#include "kt-server/grpc_util.h"
#include "kt-server/managed_updates.h"
#include "kt-server/monitoring_grpc.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/operator_grpc.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/update_service.h"
#include "smime/certificate.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/kt-server/verifying_owner.h"
#include "tests/support/paths.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@smime.example";
constexpr char kSign[] = "alice.sign.crt.pem";
constexpr char kEncrypt[] = "alice.encr.crt.pem";

std::string Vector(const std::string& name) {
  return testing::ReadText(testing::SourceDir() + "/tests/vectors/rfc9216/" + name);
}

// A manager's services, and what they do wrong.
class Manager : public v1::Manager::Service {
 public:
  explicit Manager(LogFixture& fixture) : fixture_(fixture), search_(fixture, *this) {
    SequencerOptions options;
    options.epoch_interval_ms = 5;
    sequencer_ = std::make_unique<Sequencer>(
        options, fixture.log(), fixture.clock(), [](const Sequencer::CommitReport&) {},
        [](const absl::Status&) {});
    EXPECT_THAT(sequencer_->Start(), IsOk());
    managed_ = *ManagedUpdates::Create(fixture.log(), *sequencer_);
  }
  ~Manager() override { sequencer_->Stop(); }

  enum class Loss { kNone, kRequest, kAnswer };
  std::atomic<Loss> loss = Loss::kNone;  // of the next update
  std::atomic<bool> claims = false;      // to have added what it drops, with an old response
  std::function<void(SearchAnswer&)> tamper;
  std::atomic<grpc::StatusCode> refusal = grpc::StatusCode::OK;  // of whatever it is asked
  std::atomic<int> updates = 0;

  v1::KeyTransparency::Service& search() { return search_; }

  grpc::Status Update(grpc::ServerContext*, const v1::ManagerUpdateRequest* message,
                      grpc::ServerWriter<v1::UpdateResponse>* writer) override {
    ++updates;
    if (refusal != grpc::StatusCode::OK) return {refusal, "refused"};
    const Loss lost = loss.exchange(Loss::kNone);
    if (lost == Loss::kRequest) return {grpc::StatusCode::UNAVAILABLE, "lost"};
    if (claims) {
      writer->Write(old_);
      return grpc::Status::OK;
    }
    auto request = ManagedUpdates::Decode(base::AsBytes(message->request()));
    if (!request.ok()) return ToGrpc(request.status());
    if (const absl::Status status = managed_->Check(*request); !status.ok()) return ToGrpc(status);
    const core::UpdateRequest plain = ManagedUpdates::AsUpdateRequest(*request);
    const UpdateService service(fixture_.log());
    const auto decision = service.Decide(plain);
    if (!decision.ok()) return ToGrpc(decision.status());
    std::optional<base::LogPosition> created;
    if (*decision == core::UpdateDecision::kCreate) {
      std::promise<absl::StatusOr<Submitter::Outcome>> promise;
      managed_->Create(*std::move(request),
                       [&](absl::StatusOr<Submitter::Outcome> o) { promise.set_value(o); });
      const auto outcome = promise.get_future().get();
      if (!outcome.ok() && !absl::IsAborted(outcome.status())) return ToGrpc(outcome.status());
      if (outcome.ok()) created = outcome->position;
    }
    if (lost == Loss::kAnswer) return {grpc::StatusCode::UNAVAILABLE, "lost"};
    const auto answer = service.Answer(plain, created);
    if (!answer.ok()) return ToGrpc(answer.status());
    old_.set_response(base::ToText(answer->response));
    writer->Write(old_);
    return grpc::Status::OK;
  }

 private:
  class SearchGrpc : public v1::KeyTransparency::Service {
   public:
    SearchGrpc(LogFixture& fixture, Manager& manager) : fixture_(fixture), manager_(manager) {}
    grpc::Status Search(grpc::ServerContext*, const v1::SearchRequest* request,
                        v1::SearchResponse* response) override {
      if (manager_.refusal != grpc::StatusCode::OK) return {manager_.refusal, "refused"};
      const SearchService service(fixture_.log());
      auto answer = service.Search(base::AsBytes(request->request()));
      if (!answer.ok()) return ToGrpc(answer.status());
      if (manager_.tamper) manager_.tamper(*answer);
      (answer->found ? response->mutable_found() : response->mutable_absent())
          ->assign(base::AsText(answer->response));
      return grpc::Status::OK;
    }

   private:
    LogFixture& fixture_;
    Manager& manager_;
  };

  LogFixture& fixture_;
  SearchGrpc search_;
  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<ManagedUpdates> managed_;
  v1::UpdateResponse old_;
};

class OperatorTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  OperatorTest()
      : fixture_(GetParam(), core::DeploymentMode::kThirdPartyManagement),
        gate_({.requests_per_second = 1e6}, fixture_.clock()),
        streams_(4),
        alice_(fixture_, kAlice),
        manager_(fixture_),
        monitoring_(fixture_.log()),
        monitoring_grpc_(monitoring_, fixture_.log(), gate_, streams_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&manager_);
    builder.RegisterService(&manager_.search());
    builder.RegisterService(&monitoring_grpc_);
    manager_server_ = builder.BuildAndStart();
    EXPECT_THAT(SigningRecord::Create(record_path(), fixture_.leaf().public_key()), IsOk());
    Start();
  }
  ~OperatorTest() override {
    Stop();
    monitoring_grpc_.Stop();
    manager_server_->Shutdown();
  }

  std::string record_path() const { return directory_.File("record"); }
  std::string evidence_path() const { return directory_.File("evidence"); }

  void Start() {
    keys_.config = fixture_.config();
    keys_.leaf = fixture_.MakeLeaf();
    keys_.record = *SigningRecord::Open(record_path(), fixture_.leaf().public_key());
    client_ = ManagerClient::ForChannel(manager_server_->InProcessChannel({}));
    HeadFollower::Options options;
    options.head_path = directory_.File("head");
    options.evidence_path = evidence_path();
    follower_ = *HeadFollower::Open(
        options, fixture_.verifier(),
        [this](base::ByteView request) { return client_->Distinguished(request); }, events_,
        fixture_.clock());
    queue_ = std::make_unique<SigningQueue>(WaitingRoom::Limits(), keys_, fixture_.verifier(),
                                            *client_, *follower_, fixture_.clock(), events_);
    Tokens tokens;
    token_ = *tokens.Create({"smime.example"}, fixture_.random());
    PublishService::Options service_options;
    service_options.domains = {"smime.example"};
    service_options.publishes_per_second = 1e6;
    service_options.admission.trust_anchors =
        *smime::TrustAnchors::FromPem(Vector("ca.rsa.crt.pem") + Vector("ca.ed25519.crt.pem"));
    publish_ = std::make_unique<PublishService>(std::move(service_options), std::move(tokens),
                                                *queue_, fixture_.clock());
    key_transparency_ = std::make_unique<OperatorKeyTransparencyGrpc>(
        base::codec::Encode(fixture_.config()), *client_, *follower_, gate_);
    operator_monitoring_ =
        std::make_unique<OperatorMonitoringGrpc>(*client_, *follower_, gate_, streams_);
    publisher_ =
        std::make_unique<OperatorPublisherGrpc>(*publish_, *queue_, *client_, *follower_, gate_);
    grpc::ServerBuilder builder;
    builder.RegisterService(key_transparency_.get());
    builder.RegisterService(operator_monitoring_.get());
    builder.RegisterService(publisher_.get());
    server_ = builder.BuildAndStart();
    follower_->Start();
  }
  void Stop() {
    queue_->Drain(absl::Seconds(5));
    client_->Shutdown();
    follower_->Stop();
    operator_monitoring_->Stop();
    server_->Shutdown();
    server_ = nullptr;
    keys_.record = nullptr;
  }

  static base::Bytes Der(const std::string& name) {
    return base::ToBytes(smime::ParsePem(Vector(name))->front().der());
  }
  static base::Bytes Set(const std::string& name) {
    smime::CertificateEntry entry;
    entry.der = Der(name);
    return smime::CertificateSet::Create({std::move(entry)})->Encode();
  }
  struct Published {
    grpc::Status status;
    v1::PublishResponse response;
  };
  Published Publish(const std::string& certificate, const std::string& who = kAlice,
                    v1::PublishRequest::Operation operation = v1::PublishRequest::REPLACE) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    context.AddMetadata("authorization", "Bearer " + token_);
    v1::PublishRequest request;
    request.set_address(who);
    request.set_operation(operation);
    request.add_certificates()->set_der(base::ToText(Der(certificate)));
    Published result;
    result.status = v1::Publisher::NewStub(server_->InProcessChannel({}))
                        ->Publish(&context, request, &result.response);
    return result;
  }
  // The version that it becomes.
  base::Version MustPublish(const std::string& certificate) {
    const Published published = Publish(certificate);
    EXPECT_TRUE(published.status.ok()) << published.status.error_message();
    return published.response.version();
  }
  void ExpectUnavailable(const Published& published, const std::string& message) {
    EXPECT_EQ(published.status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(published.status.error_message(), HasSubstr(message));
  }
  // An owner's update.
  struct Reply {
    grpc::Status status;
    std::vector<core::UpdateResponse> responses;
  };
  Reply Update(const core::UpdateRequest& update) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!update.values.empty()) context.AddMetadata("authorization", "Bearer " + token_);
    v1::UpdateRequest request;
    request.set_request(base::ToText(base::codec::Encode(update)));
    const auto reader =
        v1::Publisher::NewStub(server_->InProcessChannel({}))->Update(&context, request);
    Reply reply;
    v1::UpdateResponse response;
    while (reader->Read(&response)) {
      reply.responses.push_back(*base::codec::Decode<core::UpdateResponse>(
          base::AsBytes(response.response()), core::WireContext::For(fixture_.config())));
    }
    reply.status = reader->Finish();
    return reply;
  }
  // A user who knows nothing.
  absl::StatusOr<core::VerifiedSearch> Search() {
    const core::SearchRequest request{std::nullopt, base::ToBytes(kAlice), std::nullopt};
    grpc::ClientContext context;
    v1::SearchRequest message;
    message.set_request(base::ToText(base::codec::Encode(request)));
    v1::SearchResponse response;
    const grpc::Status status = v1::KeyTransparency::NewStub(server_->InProcessChannel({}))
                                    ->Search(&context, message, &response);
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    return fixture_.verifier().VerifySearch(request, base::AsBytes(response.found()), nullptr,
                                            fixture_.clock().NowMs());
  }
  void Erase() {
    Eraser eraser(fixture_.log(), fixture_.store(), events_, fixture_.clock());
    ASSERT_THAT(eraser.Erase(kAlice, std::nullopt), IsOk());
  }
  bool HasEvidence() const { return access(evidence_path().c_str(), F_OK) == 0; }

  testing::TemporaryDirectory directory_;
  LogFixture fixture_;
  EventLog events_{"error"};
  CallGate gate_;
  ConcurrencyLimit streams_;
  VerifyingOwner alice_;
  Manager manager_;
  MonitoringService monitoring_;
  MonitoringGrpc monitoring_grpc_;
  std::unique_ptr<grpc::Server> manager_server_;
  OperatorKeys keys_;
  std::unique_ptr<ManagerClient> client_;
  std::unique_ptr<HeadFollower> follower_;
  std::unique_ptr<SigningQueue> queue_;
  std::unique_ptr<PublishService> publish_;
  std::unique_ptr<OperatorKeyTransparencyGrpc> key_transparency_;
  std::unique_ptr<OperatorMonitoringGrpc> operator_monitoring_;
  std::unique_ptr<OperatorPublisherGrpc> publisher_;
  std::unique_ptr<grpc::Server> server_;
  std::string token_;
};
const auto kSuites = ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519);
INSTANTIATE_TEST_SUITE_P(Suites, OperatorTest, kSuites,
                         [](const auto& param_info) { return core::NameOf(param_info.param); });

TEST_P(OperatorTest, PublishesWhatItSigned) {
  EXPECT_EQ(MustPublish(kSign), 0u);
  const Published second = Publish(kEncrypt, kAlice, v1::PublishRequest::ADD);
  ASSERT_TRUE(second.status.ok()) << second.status.error_message();
  EXPECT_EQ(second.response.version(), 1u);
  EXPECT_EQ(second.response.position(), 2u);
  EXPECT_GE(second.response.tree_size(), 3u);
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch found, Search());
  EXPECT_EQ(found.version, 1u);
  EXPECT_THAT(smime::CertificateSet::Decode(found.value)->entries(), SizeIs(2));
  // The operator decides who publishes what, before anything is signed.
  const int before = manager_.updates;
  EXPECT_EQ(Publish("bob.encr.crt.pem").status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Publish(kSign, "alice@other.example").status.error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(manager_.updates, before);
}

TEST_P(OperatorTest, OwnersUpdatesAreProvenToThem) {
  alice_.Own();
  auto request = alice_.Request(std::nullopt, {Set(kSign), Set(kEncrypt)});
  auto updates = alice_.Verify(request, Update(request).responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_TRUE(updates[0].of_request);
  EXPECT_EQ(MustPublish(kSign), 2u);
  // Behind: told of what she does not know, and nothing is signed for her.
  request = alice_.Request(1, {Set(kEncrypt)});
  updates = alice_.Verify(request, Update(request).responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_FALSE(updates[0].of_request);
  EXPECT_EQ(keys_.record->Greatest(base::AsBytes(kAlice)), 2u);
  EXPECT_EQ(Update(alice_.Request(2)).status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Update(alice_.Request(7, {Set(kSign)})).status.error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
}

TEST_P(OperatorTest, LostRequestIsMadeUpForByTheSameValue) {
  manager_.loss = Manager::Loss::kRequest;
  ExpectUnavailable(Publish(kSign), "did not say whether");
  EXPECT_EQ(MustPublish(kSign), 0u);
  EXPECT_EQ(keys_.record->Greatest(base::AsBytes(kAlice)), 0u);
}

TEST_P(OperatorTest, LostRequestIsSkippedByAnotherValue) {
  alice_.Own();
  for (int i = 0; i < 3; ++i) {
    manager_.loss = Manager::Loss::kRequest;
    ExpectUnavailable(Publish(i % 2 == 0 ? kSign : kEncrypt), "did not say whether");
    // Also over a restart of the operator.
    Stop();
    Start();
  }
  EXPECT_EQ(MustPublish(kEncrypt), 3u);
  const auto request = alice_.Request(std::nullopt);
  const auto updates = alice_.Verify(request, Update(request).responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].skipped_versions, 3u);
  EXPECT_THAT(updates[0].created, ElementsAre(core::NewVersion{3, Set(kEncrypt)}));
}

TEST_P(OperatorTest, LostAnswerCostsNoVersion) {
  manager_.loss = Manager::Loss::kAnswer;
  ExpectUnavailable(Publish(kSign), "did not say whether");
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch found, Search());
  EXPECT_EQ(found.version, 0u);
  EXPECT_EQ(MustPublish(kEncrypt), 1u);
}

TEST_P(OperatorTest, OneAddressTakesTurnsAndSkipsNothing) {
  constexpr int kPublishers = 6;
  std::vector<std::future<Published>> results;
  results.reserve(kPublishers);
  for (int i = 0; i < kPublishers; ++i) {
    results.push_back(std::async(std::launch::async,
                                 [this, i] { return Publish(i % 2 == 0 ? kSign : kEncrypt); }));
  }
  std::set<base::Version> versions;
  for (auto& result : results) {
    const Published published = result.get();
    EXPECT_TRUE(published.status.ok()) << published.status.error_message();
    versions.insert(published.response.version());
  }
  EXPECT_THAT(versions, ElementsAre(0, 1, 2, 3, 4, 5));
}

// Two values for one version are never signed, so an old record signs nothing.
TEST_P(OperatorTest, RecordThatTheLogIsAheadOfSignsNothing) {
  const std::string old = testing::ReadText(record_path());
  EXPECT_EQ(MustPublish(kSign), 0u);
  Stop();
  testing::WriteText(record_path(), old, 0600);
  Start();
  const int before = manager_.updates;
  ExpectUnavailable(Publish(kEncrypt), "could not sign");
  EXPECT_EQ(manager_.updates, before);
  EXPECT_THAT(Search(), IsOk()) << "queries go on";
}

TEST_P(OperatorTest, ErasedVersionsAreFollowedByOthers) {
  EXPECT_EQ(MustPublish(kSign), 0u);
  Erase();
  const int before = manager_.updates;
  const Published added = Publish(kEncrypt, kAlice, v1::PublishRequest::ADD);
  EXPECT_EQ(added.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(added.status.error_message(), HasSubstr("erased"));
  EXPECT_EQ(manager_.updates, before);
  EXPECT_EQ(MustPublish(kEncrypt), 1u);
  // The erased version is found below versions that were skipped and one that never arrived.
  manager_.loss = Manager::Loss::kRequest;
  ExpectUnavailable(Publish(kSign), "did not say whether");
  EXPECT_EQ(MustPublish(kEncrypt), 3u);
  manager_.loss = Manager::Loss::kRequest;
  ExpectUnavailable(Publish(kSign), "did not say whether");
  Erase();
  EXPECT_EQ(MustPublish(kEncrypt), 5u);
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch found, Search());
  EXPECT_EQ(found.version, 5u);
}

TEST_P(OperatorTest, OwnersGoOnAfterAnErasure) {
  alice_.Own();
  auto request = alice_.Request(std::nullopt, {Set(kSign)});
  ASSERT_THAT(alice_.Verify(request, Update(request).responses), SizeIs(1));
  Erase();
  request = alice_.Request(0, {Set(kEncrypt)});
  const Reply reply = Update(request);
  const auto updates = alice_.Verify(request, reply.responses);
  ASSERT_THAT(updates, SizeIs(1)) << reply.status.error_message();
  EXPECT_TRUE(updates[0].of_request);
}

// A user could have caused such a status with a question of her own; the operator's has no fault.
TEST_P(OperatorTest, ManagerThatDoesNotSayWhatThereIsIsNoPublishersFault) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::FAILED_PRECONDITION,
        grpc::StatusCode::NOT_FOUND, grpc::StatusCode::OUT_OF_RANGE,
        grpc::StatusCode::INVALID_ARGUMENT}) {
    manager_.refusal = code;
    ExpectUnavailable(Publish(kSign), "does not say what");
    EXPECT_EQ(Update(alice_.Request(std::nullopt, {Set(kSign)})).status.error_code(),
              grpc::StatusCode::UNAVAILABLE);
  }
  EXPECT_EQ(keys_.record->Greatest(base::AsBytes(kAlice)), std::nullopt) << "nothing was signed";
  manager_.refusal = grpc::StatusCode::OK;
  EXPECT_EQ(MustPublish(kSign), 0u);
  EXPECT_EQ(keys_.record->Greatest(base::AsBytes(kAlice)), 0u);
}

TEST_P(OperatorTest, OwnersHearThatSomethingHasExpired) {
  alice_.Own();
  manager_.refusal = grpc::StatusCode::ABORTED;
  const Reply reply = Update(alice_.Request(std::nullopt));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("refused"));
}

TEST_P(OperatorTest, SwappedValueIsNotBelieved) {
  EXPECT_EQ(MustPublish(kSign), 0u);
  manager_.tamper = [this](SearchAnswer& answer) {
    const core::WireContext context = core::WireContext::For(fixture_.config());
    auto response = *base::codec::Decode<core::SearchResponse>(answer.response, context);
    response.value.value = Set(kEncrypt);
    answer.response = base::codec::Encode(response, context);
  };
  ExpectUnavailable(Publish(kEncrypt, kAlice, v1::PublishRequest::ADD), "does not verify");
  EXPECT_EQ(keys_.record->Greatest(base::AsBytes(kAlice)), 0u) << "nothing is made of it";
  EXPECT_TRUE(base::IsVerificationFailure(Search().status())) << "nor by a user";
}

TEST_P(OperatorTest, HiddenVersionIsNotBelieved) {
  std::optional<SearchAnswer> absent;
  manager_.tamper = [&](SearchAnswer& answer) { absent = answer; };
  EXPECT_EQ(Search().status().code(), absl::StatusCode::kFailedPrecondition);
  manager_.tamper = nullptr;
  EXPECT_EQ(MustPublish(kSign), 0u);
  ASSERT_TRUE(absent.has_value() && !absent->found);
  manager_.tamper = [&](SearchAnswer& answer) { answer = *absent; };
  const Published published = Publish(kEncrypt);
  EXPECT_EQ(published.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(keys_.record->Greatest(base::AsBytes(kAlice)), 0u);
}

TEST_P(OperatorTest, VersionThatWasNotAddedIsNotAcknowledged) {
  EXPECT_EQ(MustPublish(kSign), 0u);
  manager_.claims = true;
  const Published published = Publish(kEncrypt);
  ExpectUnavailable(published, "has not added");
  manager_.claims = false;
  EXPECT_EQ(MustPublish(kEncrypt), 1u);
}

TEST_P(OperatorTest, HeadThatTheOperatorWasNotShownDoesNotPass) {
  EXPECT_EQ(MustPublish(kSign), 0u);
  EXPECT_THAT(Search(), IsOk());
  // head_type (1), tree_size (8), length (2), signature
  manager_.tamper = [](SearchAnswer& answer) { answer.response[12] ^= 1; };
  EXPECT_THAT(Search(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("contradicted itself")));
  EXPECT_TRUE(HasEvidence());
  manager_.tamper = nullptr;
  EXPECT_THAT(Search(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Publish(kEncrypt).status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_P(OperatorTest, TellsOfHeadsThatItHasVerified) {
  EXPECT_EQ(MustPublish(kSign), 0u);
  grpc::ClientContext context;
  const auto reader = v1::Monitoring::NewStub(server_->InProcessChannel({}))
                          ->WatchHeads(&context, v1::WatchHeadsRequest());
  v1::WatchHeadsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  const auto head = base::codec::Decode<core::TreeHead>(base::AsBytes(response.tree_head()));
  ASSERT_THAT(head, IsOk());
  EXPECT_LE(head->tree_size, fixture_.log().newest()->size());
  context.TryCancel();
  reader->Finish();
}

// The last share in a channel must not be dropped on a thread of gRPC's, which would have to end
// itself. Nothing else here keeps these threads.
TEST(ManagerClient, CanGoAsSoonAsItsAnswerIsThere) {
  v1::KeyTransparency::Service service;  // implements nothing
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  for (int i = 0; i < 300; ++i) {
    auto client = ManagerClient::ForChannel(server->InProcessChannel({}));
    absl::Notification answered;
    client->Search({}, [&](const auto&) { answered.Notify(); });
    answered.WaitForNotification();
    client = nullptr;
  }
}

}  // namespace
}  // namespace kt::server
