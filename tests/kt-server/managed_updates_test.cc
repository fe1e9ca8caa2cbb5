// SPDX-License-Identifier: Apache-2.0
//
// kt.v1.Manager/Update, from the call to the store, with an owner who verifies every response.
#include "kt-server/managed_updates.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "kt-server/grpc_service.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/update_service.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/kt-server/verifying_owner.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@smime.example";

struct Reply {
  grpc::Status status;
  std::vector<core::UpdateResponse> responses;
};

base::Bytes Text(const std::string& text) { return base::ToBytes(text); }

class ManagedUpdatesTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  ManagedUpdatesTest()
      : fixture_(GetParam(), core::DeploymentMode::kThirdPartyManagement),
        gate_({.requests_per_second = 1e6}, fixture_.clock()),
        alice_(fixture_, kAlice) {
    Start();
  }
  ~ManagedUpdatesTest() override { Stop(); }

  void Start() {
    SequencerOptions options;
    options.epoch_interval_ms = 5;
    sequencer_ = std::make_unique<Sequencer>(
        options, fixture_.log(), fixture_.clock(), [](const Sequencer::CommitReport&) {},
        [](const absl::Status&) {});
    ASSERT_THAT(sequencer_->Start(), IsOk());
    auto managed = ManagedUpdates::Create(fixture_.log(), *sequencer_);
    ASSERT_THAT(managed, IsOk());
    managed_ = *std::move(managed);
    updates_ = std::make_unique<UpdateService>(fixture_.log());
    grpc_ = std::make_unique<ManagerGrpc>(*managed_, *updates_, gate_);
    grpc::ServerBuilder builder;
    builder.RegisterService(grpc_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::Manager::NewStub(server_->InProcessChannel({}));
  }
  void Stop() {
    sequencer_->Stop();
    server_->Shutdown();
    server_ = nullptr;
  }

  core::ManagerUpdateRequest Sign(const core::UpdateRequest& request,
                                  base::Version signed_version) const {
    const auto forwarded =
        core::SignUpdateRequest(fixture_.config(), fixture_.leaf(), request, signed_version);
    EXPECT_THAT(forwarded, IsOk());
    return *forwarded;
  }
  Reply CallRaw(const base::Bytes& body) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::ManagerUpdateRequest request;
    request.set_request(base::ToText(body));
    const auto reader = stub_->Update(&context, request);
    Reply reply;
    v1::UpdateResponse response;
    while (reader->Read(&response)) {
      const auto decoded =
          base::codec::Decode<core::UpdateResponse>(base::AsBytes(response.response()), context_);
      EXPECT_THAT(decoded, IsOk());
      if (decoded.ok()) reply.responses.push_back(*decoded);
    }
    reply.status = reader->Finish();
    return reply;
  }
  Reply Call(const core::ManagerUpdateRequest& request) {
    return CallRaw(base::codec::Encode(request, context_));
  }
  // Refused before anything was created.
  void ExpectRefused(const core::ManagerUpdateRequest& request, grpc::StatusCode code,
                     const std::string& message) {
    const base::TreeSize before = fixture_.log().newest()->size();
    const Reply reply = Call(request);
    EXPECT_EQ(reply.status.error_code(), code) << reply.status.error_message();
    EXPECT_THAT(reply.status.error_message(), HasSubstr(message));
    EXPECT_THAT(reply.responses, SizeIs(0));
    EXPECT_EQ(fixture_.log().newest()->size(), before);
  }
  // The value of the greatest version, or of `version`, verified.
  absl::StatusOr<core::VerifiedSearch> Search(std::optional<base::Version> version = std::nullopt) {
    const core::SearchRequest request{std::nullopt, Text(kAlice), version};
    const SearchService service(fixture_.log());
    KT_ASSIGN_OR_RETURN(const SearchAnswer answer, service.Search(base::codec::Encode(request)));
    EXPECT_TRUE(answer.found);
    return fixture_.verifier().VerifySearch(request, answer.response, nullptr,
                                            fixture_.clock().NowMs());
  }

  LogFixture fixture_;
  const core::WireContext context_ = core::WireContext::For(fixture_.config());
  CallGate gate_;
  VerifyingOwner alice_;
  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<ManagedUpdates> managed_;
  std::unique_ptr<UpdateService> updates_;
  std::unique_ptr<ManagerGrpc> grpc_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Manager::Stub> stub_;
};
const auto kSuites = ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519);
INSTANTIATE_TEST_SUITE_P(Suites, ManagedUpdatesTest, kSuites,
                         [](const auto& param_info) { return core::NameOf(param_info.param); });

TEST_P(ManagedUpdatesTest, AddsWhatTheOperatorSigned) {
  alice_.Own();
  auto request = alice_.Request(std::nullopt, {Text("one"), Text("two")});
  Reply reply = Call(Sign(request, 0));
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  auto updates = alice_.Verify(request, reply.responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_TRUE(updates[0].of_request);
  EXPECT_EQ(updates[0].skipped_versions, 0u);
  request = alice_.Request(1, {Text("three")});
  EXPECT_THAT(alice_.Verify(request, Call(Sign(request, 2)).responses), SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch found, Search());
  EXPECT_EQ(found.version, 2u);
  EXPECT_EQ(found.value, Text("three"));
}

TEST_P(ManagedUpdatesTest, SkipsWhatWasSignedAndNeverCame) {
  alice_.Own();
  auto request = alice_.Request(std::nullopt, {Text("one")});
  Reply reply = Call(Sign(request, 3));
  auto updates = alice_.Verify(request, reply.responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_TRUE(updates[0].of_request);
  EXPECT_EQ(updates[0].skipped_versions, 3u);
  EXPECT_THAT(updates[0].created, ElementsAre(core::NewVersion{3, Text("one")}));
  request = alice_.Request(3, {Text("two"), Text("three")});
  updates = alice_.Verify(request, Call(Sign(request, 6)).responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].skipped_versions, 2u);
  EXPECT_EQ(alice_.owner().greatest_version(), 7u);
  // For somebody who knew nothing of it, after a restart.
  Stop();
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  Start();
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch found, Search());
  EXPECT_EQ(found.version, 7u);
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch earlier, Search(3));
  EXPECT_EQ(earlier.value, Text("one"));
  EXPECT_THAT(Search(2), StatusIs(absl::StatusCode::kNotFound, HasSubstr("skipped")));
}

TEST_P(ManagedUpdatesTest, TellsOfSkippedVersionsToAnOwnerWhoWasAway) {
  alice_.Own();
  for (const base::Version version : {2u, 3u, 9u}) {
    auto request = alice_.Request(
        version == 2 ? std::nullopt : std::optional(version == 3 ? 2u : 3u), {Text("v")});
    request.last = std::nullopt;
    ASSERT_TRUE(Call(Sign(request, version)).status.ok());
  }
  const auto request = alice_.Request(std::nullopt);
  const auto updates = alice_.Verify(request, Call(Sign(request, 0)).responses);
  ASSERT_THAT(updates, SizeIs(3));
  EXPECT_EQ(updates[0].skipped_versions, 2u);
  EXPECT_EQ(updates[1].skipped_versions, 0u);
  EXPECT_EQ(updates[2].skipped_versions, 5u);
  EXPECT_EQ(alice_.owner().greatest_version(), 9u);
  const Reply nothing = Call(Sign(alice_.Request(9), 0));
  EXPECT_EQ(nothing.status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_P(ManagedUpdatesTest, RefusesWhatTheOperatorDidNotSign) {
  const auto request = alice_.Request(std::nullopt, {Text("one"), Text("two")});
  constexpr auto kDenied = grpc::StatusCode::PERMISSION_DENIED;
  core::ManagerUpdateRequest altered = Sign(request, 0);
  altered.values[1].value.back() ^= 1;
  ExpectRefused(altered, kDenied, "signature");
  altered = Sign(request, 0);
  altered.values[0].suffix.signature.back() ^= 1;
  ExpectRefused(altered, kDenied, "signature");
  altered.values[0].suffix.signature.clear();
  ExpectRefused(altered, kDenied, "signature");
  altered = Sign(request, 0);
  altered.label = Text("mallory@smime.example");
  ExpectRefused(altered, kDenied, "signature");
  altered = Sign(request, 0);
  altered.signed_version = 1;
  ExpectRefused(altered, kDenied, "signature");
  std::swap(altered.values[0], altered.values[1]);
  ExpectRefused(altered, kDenied, "signature");
  // Signed with the log's own key.
  const auto by_manager =
      core::SignUpdateRequest(fixture_.config(), *fixture_.MakeSigner(), request, 0);
  ASSERT_THAT(by_manager, IsOk());
  ExpectRefused(*by_manager, kDenied, "signature");
  // For the same log under another configuration.
  core::Configuration other = fixture_.config();
  ++other.max_ahead;
  const auto elsewhere = core::SignUpdateRequest(other, fixture_.leaf(), request, 0);
  ASSERT_THAT(elsewhere, IsOk());
  ExpectRefused(*elsewhere, kDenied, "signature");
}

TEST_P(ManagedUpdatesTest, RefusesVersionsThatCannotFollow) {
  constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
  ASSERT_TRUE(Call(Sign(alice_.Request(std::nullopt, {Text("one")}), 1)).status.ok());
  // Behind: also for an owner who does not know of the newest version.
  ExpectRefused(Sign(alice_.Request(1, {Text("two")}), 1), kInvalid, "signed_version: 1 exists");
  ExpectRefused(Sign(alice_.Request(std::nullopt, {Text("two")}), 0), kInvalid, "exists");
  // Too far ahead, to the exact bound: a mistake must not fill the tree.
  const base::Version most = 2 + core::kMaxVersionsInEntry - 1;
  ExpectRefused(Sign(alice_.Request(1, {Text("two")}), most + 1), kInvalid, "too many");
  ExpectRefused(Sign(alice_.Request(1, {Text("two"), Text("three")}), most), kInvalid, "too many");
  ExpectRefused(Sign(alice_.Request(1, {Text("two")}), 0xFFFFFFFE), kInvalid, "too many");
  ExpectRefused(Sign(alice_.Request(7, {Text("two")}), 8), grpc::StatusCode::OUT_OF_RANGE,
                "greatest_version");
  core::ManagerUpdateRequest empty = Sign(alice_.Request(1), 0);
  empty.signed_version = 2;
  ExpectRefused(empty, kInvalid, "signed_version");
  EXPECT_TRUE(Call(Sign(alice_.Request(1, {Text("two")}), most)).status.ok());
  ASSERT_OK_AND_ASSIGN(const core::VerifiedSearch found, Search());
  EXPECT_EQ(found.version, most);
}

TEST_P(ManagedUpdatesTest, RefusesWhatIsNoRequest) {
  const base::Bytes whole =
      base::codec::Encode(Sign(alice_.Request(std::nullopt, {Text("one")}), 0), context_);
  for (size_t size = 0; size < whole.size(); ++size) {
    const Reply reply = CallRaw({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    ASSERT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  base::Bytes longer = whole;
  longer.push_back(0);
  EXPECT_EQ(CallRaw(longer).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// Whoever does not know the newest version is told of it; her values are not created.
TEST_P(ManagedUpdatesTest, ValuesForAnOlderVersionAreDisregarded) {
  alice_.Own();
  ASSERT_TRUE(Call(Sign(alice_.Request(std::nullopt, {Text("other")}), 0)).status.ok());
  const auto request = alice_.Request(std::nullopt, {Text("mine")});
  const Reply reply = Call(Sign(request, 1));
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  const auto updates = alice_.Verify(request, reply.responses);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_FALSE(updates[0].of_request);
  EXPECT_THAT(updates[0].created, ElementsAre(core::NewVersion{0, Text("other")}));
  EXPECT_EQ(Search()->version, 0u);
}

TEST(ManagedUpdates, IsForLogsWithAManagerOnly) {
  LogFixture fixture;
  Sequencer sequencer(
      {}, fixture.log(), fixture.clock(), [](const Sequencer::CommitReport&) {},
      [](const absl::Status&) {});
  EXPECT_THAT(ManagedUpdates::Create(fixture.log(), sequencer),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kt::server
