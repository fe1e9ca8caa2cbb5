// SPDX-License-Identifier: Apache-2.0
//
// kt.v1.Monitoring: answers that a user verifies, what is refused, and the stream of heads.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kt-core/credential.h"
#include "kt-core/distinguished.h"
#include "kt-server/monitoring_grpc.h"
#include "kt-server/monitoring_service.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr char kAlice[] = "alice@x.example";

class MonitoringTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  MonitoringTest() : fixture_(GetParam()), service_(fixture_.log()) {
    EXPECT_THAT(fixture_.AddEmpty(), IsOk());
    for (base::Version version = 0; version < 3; ++version) {
      fixture_.clock().Advance(10);
      EXPECT_THAT(fixture_.Add(kAlice, version, "v"), IsOk());
    }
  }

  void PassWindows() {
    for (int i = 0; i < 4; ++i) {
      fixture_.clock().Advance(2 * fixture_.config().reasonable_monitoring_window);
      ASSERT_THAT(fixture_.AddEmpty(), IsOk());
    }
  }
  uint64_t now_ms() { return fixture_.clock().NowMs(); }
  const core::ResponseVerifier& verifier() const { return fixture_.verifier(); }

  static core::OwnerInitRequest InitRequest(base::LogPosition start) {
    return {std::nullopt, base::ToBytes(kAlice), start};
  }
  core::OwnerState Own(base::LogPosition start) {
    const core::OwnerInitRequest request = InitRequest(start);
    const auto answer = service_.OwnerInit(base::codec::Encode(request));
    EXPECT_THAT(answer, IsOk());
    const auto verified = verifier().VerifyOwnerInit(request, answer->response, nullptr, now_ms());
    EXPECT_THAT(verified, IsOk());
    return verified->owner;
  }

  LogFixture fixture_;
  const MonitoringService service_;
  AnswerCost cost_;  // of the last call that was given it
};

TEST_P(MonitoringTest, OwnersAnswersVerify) {
  PassWindows();
  core::OwnerState owner = Own(4);
  EXPECT_EQ(owner.greatest_version(), 2u);
  fixture_.clock().Advance(1);
  ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  PassWindows();
  const auto request = core::MakeOwnerMonitorRequest(base::AsBytes(kAlice), owner, std::nullopt);
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer answer,
                       service_.OwnerMonitor(base::codec::Encode(request), &cost_));
  EXPECT_EQ(cost_.vrf_proofs, 0u) << "all are stored";
  ASSERT_OK_AND_ASSIGN(
      const auto verified,
      verifier().VerifyOwnerMonitor(request, answer.response, owner, nullptr, now_ms()));
  EXPECT_TRUE(verified.complete);
  EXPECT_GT(verified.owner.start, owner.start);
}

TEST_P(MonitoringTest, OwnerOfALabelWithoutVersions) {
  core::OwnerInitRequest request = InitRequest(0);
  request.label = base::ToBytes("nobody@x.example");
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer answer,
                       service_.OwnerInit(base::codec::Encode(request), &cost_));
  EXPECT_GT(cost_.vrf_proofs, 0u);
  ASSERT_OK_AND_ASSIGN(const auto verified,
                       verifier().VerifyOwnerInit(request, answer.response, nullptr, now_ms()));
  EXPECT_EQ(verified.owner.greatest_version(), std::nullopt);
}

TEST_P(MonitoringTest, ContactsAndDistinguishedAnswersVerify) {
  core::SearchRequest search;
  search.label = base::ToBytes(kAlice);
  core::ContactState contact;
  core::RetainedVersion versions[] = {{0, {}, {}}, {1, {}, {}}};
  const base::Version ladder[] = {0, 1};
  ASSERT_OK_AND_ASSIGN(const auto rows,
                       fixture_.log().current()->snapshot().ReadVersionRows(search.label, ladder));
  for (size_t i = 0; i < 2; ++i) {
    versions[i].output = rows[i]->vrf_output;
    versions[i].commitment = rows[i]->existing->commitment;
  }
  contact.map = {{2, 1}};
  contact.versions.assign(std::begin(versions), std::end(versions));
  PassWindows();
  const core::ContactMonitorRequest request{std::nullopt, search.label, contact.map};
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer answer,
                       service_.ContactMonitor(base::codec::Encode(request)));
  ASSERT_OK_AND_ASSIGN(
      const auto verified,
      verifier().VerifyContactMonitor(request, answer.response, contact, nullptr, now_ms()));
  EXPECT_TRUE(verified.contact.done());

  const core::DistinguishedRequest walk;
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer walked,
                       service_.Distinguished(base::codec::Encode(walk)));
  ASSERT_OK_AND_ASSIGN(const auto heads,
                       core::VerifyDistinguished(verifier(), core::RecentDefinition(), walk,
                                                 walked.response, nullptr, now_ms()));
  EXPECT_GE(heads.entries.size(), 2u);
}

TEST_P(MonitoringTest, MalformedRequestsAreRefused) {
  for (const base::Bytes& bytes : {base::Bytes(), base::Bytes{7}, base::Bytes(20, 0xff)}) {
    EXPECT_THAT(service_.ContactMonitor(bytes), StatusIs(kInvalid));
    EXPECT_THAT(service_.OwnerInit(bytes), StatusIs(kInvalid));
    EXPECT_THAT(service_.OwnerMonitor(bytes), StatusIs(kInvalid));
    EXPECT_THAT(service_.Distinguished(bytes), StatusIs(kInvalid));
  }
}

TEST_P(MonitoringTest, RulesThatTheLogChecksAreChecked) {
  const auto init = [&](base::LogPosition start) {
    return service_.OwnerInit(base::codec::Encode(InitRequest(start)));
  };
  EXPECT_THAT(init(3), IsOk()) << "the root";
  EXPECT_THAT(init(2), StatusIs(kInvalid)) << "not distinguished";
  EXPECT_THAT(init(4), StatusIs(kInvalid)) << "beyond the log";
  EXPECT_THAT(init(std::numeric_limits<uint64_t>::max()), StatusIs(kInvalid));

  const auto monitor = [&](const core::MonitoringMap& entries, base::LogPosition start,
                           std::optional<base::Version> greatest) {
    return service_.OwnerMonitor(base::codec::Encode(
        core::OwnerMonitorRequest{std::nullopt, base::ToBytes(kAlice), entries, start, greatest}));
  };
  EXPECT_THAT(monitor({}, 3, 2), IsOk());
  EXPECT_THAT(monitor({}, 4, 2), StatusIs(kInvalid)) << "start is beyond the log";
  EXPECT_THAT(monitor({}, 3, 1), StatusIs(kInvalid)) << "start has a greater version";
  EXPECT_THAT(monitor({}, 3, std::nullopt), StatusIs(kInvalid));
  EXPECT_THAT(monitor({{1, 1}, {2, 0}}, 0, 2), StatusIs(kInvalid)) << "positions of others";
  // Nobody orders curve work with a great version.
  for (const base::Version version : {3u, 1u << 31, std::numeric_limits<uint32_t>::max()}) {
    EXPECT_THAT(monitor({}, 3, version), StatusIs(kInvalid)) << version;
    EXPECT_THAT(monitor({{3, version}}, 3, 2), StatusIs(kInvalid)) << version;
  }
}

TEST_P(MonitoringTest, TreeThatTheLogHasNotReachedIsAPrecondition) {
  const base::TreeSize beyond = fixture_.log().current()->size() + 1;
  core::OwnerInitRequest init = InitRequest(0);
  init.last = beyond;
  EXPECT_THAT(service_.OwnerInit(base::codec::Encode(init)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  const core::DistinguishedRequest walk{beyond, std::nullopt};
  EXPECT_THAT(service_.Distinguished(base::codec::Encode(walk)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  LogFixture empty(GetParam());
  EXPECT_THAT(MonitoringService(empty.log()).OwnerInit(base::codec::Encode(InitRequest(0))),
              StatusIs(absl::StatusCode::kUnavailable));
}

// Whoever asks for what is refused in the end has had the same work done.
TEST_P(MonitoringTest, TheCostOfARefusedRequestIsTold) {
  core::OwnerInitRequest init = InitRequest(2);  // no distinguished entry
  init.label = base::ToBytes("nobody@x.example");
  EXPECT_THAT(service_.OwnerInit(base::codec::Encode(init), &cost_), StatusIs(kInvalid));
  EXPECT_GT(cost_.vrf_proofs, 0u);
  core::CredentialUpdateRequest update{base::ToBytes(kAlice), 2, 0, 1, 0};
  EXPECT_THAT(service_.UpdateCredential(base::codec::Encode(update), &cost_), StatusIs(kInvalid));
  EXPECT_GE(cost_.rows, 3u);
  EXPECT_THAT(service_.OwnerMonitor(base::Bytes(3, 1), &cost_), StatusIs(kInvalid));
}

TEST_P(MonitoringTest, OneLabelOfManyVersionsIsAnsweredForAtATime) {
  const std::string many = "many@x.example";
  for (base::Version version = 0; version < 40; ++version) {
    ASSERT_THAT(fixture_.Add(many, version, "v"), IsOk());
  }
  PassWindows();
  const MonitoringService service(fixture_.log(), /*large_label=*/30);
  core::OwnerInitRequest large = InitRequest(0);
  large.label = base::ToBytes(many);
  const core::OwnerInitRequest small = InitRequest(0);
  ASSERT_THAT(service.OwnerInit(base::codec::Encode(large), &cost_), IsOk());
  EXPECT_GE(cost_.rows, 40u) << "all of them, although that is beyond the limit";
  std::atomic<int> answered = 0;
  std::atomic<int> refused = 0;
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      const auto answer = service.OwnerInit(base::codec::Encode(small));
      EXPECT_THAT(answer, IsOk()) << "has nothing to do with it";
    }
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10'000 && (answered < 4 || refused == 0); ++round) {
        const auto answer = service.OwnerInit(base::codec::Encode(large));
        if (answer.ok()) {
          ++answered;
        } else {
          EXPECT_THAT(answer, StatusIs(absl::StatusCode::kResourceExhausted));
          ++refused;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  other.join();
  EXPECT_GE(answered, 4);
  EXPECT_GT(refused, 0);
  EXPECT_THAT(service.OwnerInit(base::codec::Encode(large)), IsOk()) << "the turn was given back";
}

TEST_P(MonitoringTest, CredentialUpdatesAreProvenAsFarAsTheLogAllows) {
  // Alice's version 2 is in entry 3; the entries after the next windows are distinguished.
  fixture_.clock().Advance(10);
  ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  const base::TreeSize size = fixture_.log().current()->size();
  PassWindows();
  const core::DistinguishedRequest walk;
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer walked,
                       service_.Distinguished(base::codec::Encode(walk)));
  ASSERT_OK_AND_ASSIGN(const auto heads,
                       core::VerifyDistinguished(verifier(), core::RecentDefinition(), walk,
                                                 walked.response, nullptr, now_ms()));
  core::CredentialUpdateRequest good{base::ToBytes(kAlice), 2, 3, size, 0};
  good.distinguished = heads.entries.back().position;
  ASSERT_GE(good.distinguished, size);
  const auto ask = [&](const core::CredentialUpdateRequest& request) {
    return service_.UpdateCredential(base::codec::Encode(request), &cost_);
  };
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer answer, ask(good));
  EXPECT_THAT(core::codec::Decode<core::CredentialUpdate>(
                  answer.response, core::WireContext::For(fixture_.config())),
              IsOk());
  EXPECT_EQ(cost_.vrf_proofs, 0u) << "all are stored";
  EXPECT_THAT(service_.UpdateCredential(base::Bytes(7, 1)), StatusIs(kInvalid));
  const auto refused = [&](auto change) {
    core::CredentialUpdateRequest request = good;
    change(request);
    return ask(request).status().code();
  };
  EXPECT_EQ(refused([](auto& r) { r.version = 3; }), kInvalid) << "does not exist";
  EXPECT_EQ(refused([](auto& r) { r.version = 0xffffffff; }), kInvalid);
  EXPECT_EQ(refused([](auto& r) { r.label.push_back('x'); }), kInvalid);
  EXPECT_EQ(refused([](auto& r) { r.terminal = 2; }), kInvalid) << "before the version";
  EXPECT_EQ(refused([&](auto& r) { r.terminal = size; }), kInvalid) << "beyond the tree";
  EXPECT_EQ(refused([](auto& r) { r.tree_size = 0; }), kInvalid);
  EXPECT_EQ(refused([](auto& r) { r.distinguished = 0; }), kInvalid) << "left of the tree";
  EXPECT_EQ(refused([](auto& r) { r.distinguished = 1'000; }), kInvalid) << "beyond the log";
  const core::CredentialUpdateRequest undistinguished{base::ToBytes(kAlice), 1, 2, 3, 2};
  EXPECT_THAT(ask(undistinguished), StatusIs(kInvalid));
  EXPECT_EQ(refused([](auto& r) { r.tree_size = 1'000; }), absl::StatusCode::kFailedPrecondition);
}

// --- what a peer pays for -------------------------------------------------------------------

TEST_P(MonitoringTest, WorkForARefusedRequestCountsForItsPeersRate) {
  CallGate gate({.requests_per_second = 3}, fixture_.clock());
  ConcurrencyLimit streams(1);
  MonitoringGrpc service(service_, fixture_.log(), gate, streams);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::Monitoring::NewStub(server->InProcessChannel({}));
  const auto ask = [&](const core::OwnerInitRequest& request) {
    grpc::ClientContext context;
    v1::MonitoringRequest message;
    message.set_request(base::ToText(base::codec::Encode(request)));
    v1::MonitoringResponse response;
    return stub->OwnerInit(&context, message, &response).error_code();
  };
  // All that Alice's answer takes is there: requests as cheap as they can be.
  EXPECT_THAT(service_.OwnerInit(base::codec::Encode(InitRequest(2))), StatusIs(kInvalid));
  EXPECT_EQ(ask(InitRequest(2)), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ask(InitRequest(2)), grpc::StatusCode::INVALID_ARGUMENT);
  fixture_.clock().Advance(1'000);
  core::OwnerInitRequest nobody = InitRequest(2);
  nobody.label = base::ToBytes("nobody@x.example");
  EXPECT_EQ(ask(nobody), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ask(InitRequest(2)), grpc::StatusCode::RESOURCE_EXHAUSTED) << "a VRF proof was made";
  server->Shutdown();
}

// --- WatchHeads ----------------------------------------------------------------------------

class WatchHeadsTest : public MonitoringTest {
 protected:
  WatchHeadsTest()
      : gate_({.requests_per_second = 1e6}, fixture_.clock()),
        streams_(2),
        grpc_(service_, fixture_.log(), gate_, streams_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&grpc_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Monitoring::NewStub(server_->InProcessChannel({}));
  }
  ~WatchHeadsTest() override {
    grpc_.Stop();
    server_->Shutdown();
  }

  struct Watch {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchHeadsResponse>> reader;
    // The size of the next head; 0 if the stream has ended.
    base::TreeSize Next(core::TreeHead* head = nullptr) {
      v1::WatchHeadsResponse response;
      if (!reader->Read(&response)) return 0;
      const auto decoded = base::codec::Decode<core::TreeHead>(base::AsBytes(response.tree_head()));
      EXPECT_THAT(decoded, IsOk());
      if (head != nullptr) *head = *decoded;
      return decoded->tree_size;
    }
  };
  std::unique_ptr<Watch> Start() {
    auto watch = std::make_unique<Watch>();
    watch->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    watch->reader = stub_->WatchHeads(&watch->context, {});
    return watch;
  }

  CallGate gate_;
  ConcurrencyLimit streams_;
  MonitoringGrpc grpc_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Monitoring::Stub> stub_;
};

TEST_P(WatchHeadsTest, TellsOfTheHeadThereIsAndOfEachNewOne) {
  const auto watch = Start();
  core::TreeHead head;
  EXPECT_EQ(watch->Next(&head), 4u);
  EXPECT_EQ(head, fixture_.log().current()->head().tree_head);
  for (base::TreeSize size = 5; size < 8; ++size) {
    ASSERT_THAT(fixture_.AddEmpty(), IsOk());
    EXPECT_EQ(watch->Next(), size);
  }
  watch->context.TryCancel();
  EXPECT_EQ(watch->Next(), 0u);
}

TEST_P(WatchHeadsTest, StreamsAreBoundedAndEndWithTheServer) {
  const auto first = Start();
  const auto second = Start();
  EXPECT_EQ(first->Next(), 4u);
  EXPECT_EQ(second->Next(), 4u);
  const auto third = Start();
  EXPECT_EQ(third->Next(), 0u);
  EXPECT_EQ(third->reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc_.Stop();
  EXPECT_EQ(first->Next(), 0u);
  EXPECT_TRUE(first->reader->Finish().ok());
  EXPECT_EQ(second->Next(), 0u);
}

const auto kSuites = ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519);
std::string NameOf(const ::testing::TestParamInfo<core::CipherSuite>& test) {
  return test.param == core::CipherSuite::kP256 ? "P256" : "Ed25519";
}
INSTANTIATE_TEST_SUITE_P(Suites, MonitoringTest, kSuites, NameOf);
INSTANTIATE_TEST_SUITE_P(Suites, WatchHeadsTest, kSuites, NameOf);

}  // namespace
}  // namespace kt::server
