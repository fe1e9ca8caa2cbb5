// SPDX-License-Identifier: Apache-2.0
//
// What an erasure takes away, and all that it leaves as it was.
#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kt-server/admin_grpc.h"
#include "kt-server/eraser.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/pruner.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "kt-server/update_service.h"
#include "kt-server/version_rows.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kAlice[] = "alice@x.example";
constexpr auto kErased = absl::StatusCode::kPermissionDenied;

class EraseTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  EraseTest()
      : fixture_(GetParam()),
        events_("error"),
        eraser_(fixture_.log(), fixture_.store(), events_, fixture_.clock()) {
    for (base::Version version = 0; version < 6; ++version) {
      EXPECT_THAT(fixture_.Add(kAlice, version, "v" + std::to_string(version)), IsOk());
    }
    EXPECT_THAT(fixture_.Add("bob@x.example", 0, "v2"), IsOk()) << "the same as one of Alice's";
  }

  // The value, verified as a client does; or the server's status.
  absl::StatusOr<std::string> Search(const std::string& label,
                                     std::optional<base::Version> version) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    request.version = version;
    const auto answer = SearchService(fixture_.log()).Search(base::codec::Encode(request));
    if (!answer.ok()) return answer.status();
    EXPECT_TRUE(answer->found);
    const auto verified = fixture_.verifier().VerifySearch(request, answer->response, nullptr,
                                                           fixture_.clock().NowMs());
    EXPECT_THAT(verified, IsOk());
    return base::ToText(verified->value);
  }

  LogFixture fixture_;
  EventLog events_;
  Eraser eraser_;
};

INSTANTIATE_TEST_SUITE_P(Suites, EraseTest,
                         ::testing::Values(core::CipherSuite::kEd25519, core::CipherSuite::kP256));

TEST_P(EraseTest, TakesOneVersionAndLeavesTheOthers) {
  ASSERT_OK_AND_ASSIGN(const ErasureReport report, eraser_.Erase(kAlice, 2));
  EXPECT_EQ(report.versions, 1u);
  EXPECT_EQ(report.erased, 1u);
  EXPECT_THAT(Search(kAlice, 2), StatusIs(kErased, HasSubstr("erased version 2")));
  // The ladders of these lead through the erased version, whose commitment is still there.
  for (const base::Version version : {0, 1, 3, 4, 5}) {
    EXPECT_THAT(Search(kAlice, version), IsOkAndHolds("v" + std::to_string(version)));
  }
  EXPECT_THAT(Search(kAlice, std::nullopt), IsOkAndHolds("v5"));
  EXPECT_THAT(Search("bob@x.example", 0), IsOkAndHolds("v2"));
}

TEST_P(EraseTest, TakesAllVersions) {
  ASSERT_OK_AND_ASSIGN(const ErasureReport report, eraser_.Erase(kAlice, std::nullopt));
  EXPECT_EQ(report.versions, 6u);
  EXPECT_EQ(report.erased, 6u);
  for (base::Version version = 0; version < 6; ++version) {
    EXPECT_THAT(Search(kAlice, version), StatusIs(kErased));
  }
  EXPECT_THAT(Search(kAlice, std::nullopt), StatusIs(kErased)) << "never: no such address";
  EXPECT_THAT(Search("bob@x.example", std::nullopt), IsOkAndHolds("v2"));
  // A version that comes later is a version like any other.
  ASSERT_THAT(fixture_.Add(kAlice, 6, "v6"), IsOk());
  EXPECT_THAT(Search(kAlice, std::nullopt), IsOkAndHolds("v6"));
}

TEST_P(EraseTest, ASecondTimeNothingIsNew) {
  ASSERT_THAT(eraser_.Erase(kAlice, 2), IsOk());
  fixture_.clock().Advance(1'000);
  ASSERT_OK_AND_ASSIGN(const ErasureReport again, eraser_.Erase(kAlice, std::nullopt));
  EXPECT_EQ(again.versions, 6u);
  EXPECT_EQ(again.erased, 5u);
}

TEST_P(EraseTest, WhatIsNotThereCannotBeErased) {
  EXPECT_THAT(eraser_.Erase(kAlice, 6), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(eraser_.Erase("nobody@x.example", std::nullopt),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(eraser_.Erase("no address", std::nullopt),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_OK_AND_ASSIGN(const auto snapshot, fixture_.store().GetSnapshot());
  EXPECT_THAT(snapshot->ReadErasures(), IsOkAndHolds(IsEmpty()));
}

TEST_P(EraseTest, IsRecordedWithoutTheAddressAndSurvivesARestart) {
  const uint64_t erased_at_ms = fixture_.clock().NowMs();
  ASSERT_THAT(eraser_.Erase(kAlice, 3), IsOk());
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  const auto state = fixture_.log().current();
  ASSERT_OK_AND_ASSIGN(const std::vector<ErasureRow> rows, state->snapshot().ReadErasures());
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].version, 3u);
  EXPECT_EQ(rows[0].position, 3u);
  EXPECT_EQ(rows[0].erased_at_ms, erased_at_ms);
  ASSERT_OK_AND_ASSIGN(const LabelRows label,
                       ReadWholeLabel(state->snapshot(), base::AsBytes(kAlice)));
  EXPECT_EQ(rows[0].vrf_output, label.rows.at(3).vrf_output);
  EXPECT_THAT(Search(kAlice, 3), StatusIs(kErased));
}

// As long as an answer is made from an older state, what was erased is still there.
TEST_P(EraseTest, SaysWhenAnOlderStateStillHoldsTheValues) {
  auto held = fixture_.log().current();
  ASSERT_OK_AND_ASSIGN(const ErasureReport first, eraser_.Erase(kAlice, 2));
  EXPECT_EQ(first.erased, 1u);
  EXPECT_THAT(first.reclaimed, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Search(kAlice, 2), StatusIs(kErased)) << "none the less";
  held = nullptr;
  ASSERT_OK_AND_ASSIGN(const ErasureReport again, eraser_.Erase(kAlice, 2));
  EXPECT_EQ(again.erased, 0u);
  EXPECT_THAT(again.reclaimed, IsOk());
}

TEST_P(EraseTest, OneThatIsCancelledIsRecordedAndSaysThatItIsNotFinished) {
  eraser_.Cancel();
  ASSERT_OK_AND_ASSIGN(const ErasureReport report, eraser_.Erase(kAlice, 2));
  EXPECT_EQ(report.erased, 1u);
  EXPECT_THAT(report.reclaimed, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Search(kAlice, 2), StatusIs(kErased));
}

// A log without a maximum lifetime, of which nothing is ever pruned.
TEST_P(EraseTest, ThePrunerFinishesIt) {
  auto held = fixture_.log().current();
  absl::Mutex mutex;
  std::vector<Pruner::Report> reports;  // guarded by mutex
  Pruner pruner({.interval_ms = 3'600'000, .erasure_interval_ms = 5}, fixture_.log(),
                fixture_.store(), fixture_.clock(), [&](const Pruner::Report& report) {
                  absl::MutexLock lock(&mutex);
                  reports.push_back(report);
                });
  const auto await = [&](const std::function<bool()>& is_so) {
    absl::MutexLock lock(&mutex);
    return mutex.AwaitWithTimeout(absl::Condition(&is_so, &std::function<bool()>::operator()),
                                  absl::Seconds(60));
  };
  pruner.Start();
  ASSERT_OK_AND_ASSIGN(const ErasureReport erased, eraser_.Erase(kAlice, std::nullopt));
  EXPECT_THAT(erased.reclaimed, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(await([&] { return !reports.empty(); }));
  {
    absl::MutexLock lock(&mutex);
    EXPECT_THAT(reports[0].status, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_EQ(reports[0].erasures_reclaimed, 0u);
    EXPECT_EQ(reports[0].erasures_left, 6u);
  }
  held = nullptr;
  EXPECT_TRUE(await([&] { return reports.back().status.ok(); }));
  pruner.Stop();
  EXPECT_EQ(reports.back().erasures_reclaimed, 6u);
  EXPECT_EQ(reports.back().erasures_left, 0u);
  EXPECT_EQ(fixture_.store().UnreclaimedErasures(), 0u);
}

TEST_P(EraseTest, MonitoringGoesOnThroughAnErasedVersion) {
  ASSERT_THAT(eraser_.Erase(kAlice, std::nullopt), IsOk());
  for (int i = 0; i < 4; ++i) {
    fixture_.clock().Advance(2 * fixture_.config().reasonable_monitoring_window);
    ASSERT_THAT(fixture_.AddEmpty(), IsOk());
  }
  const MonitoringService monitoring(fixture_.log());
  const base::LogPosition start = 7;
  const core::OwnerInitRequest request{std::nullopt, base::ToBytes(kAlice), start};
  ASSERT_OK_AND_ASSIGN(const MonitoringAnswer answer,
                       monitoring.OwnerInit(base::codec::Encode(request)));
  ASSERT_OK_AND_ASSIGN(const auto verified,
                       fixture_.verifier().VerifyOwnerInit(request, answer.response, nullptr,
                                                           fixture_.clock().NowMs()));
  EXPECT_EQ(verified.owner.greatest_version(), 5u);
}

// --- owners and publishers ---------------------------------------------------------------------

class ErasedSetTest : public EraseTest {
 protected:
  ErasedSetTest() {
    SequencerOptions options;
    options.epoch_interval_ms = 5;
    sequencer_ = std::make_unique<Sequencer>(
        options, fixture_.log(), fixture_.clock(), [](const Sequencer::CommitReport&) {},
        [](const absl::Status&) {});
    EXPECT_THAT(sequencer_->Start(), IsOk());
    Tokens tokens;
    auto secret = tokens.Create({"x.example"}, fixture_.random());
    EXPECT_THAT(secret, IsOk());
    PublishService::Options service_options;
    service_options.domains = {"x.example"};
    publish_ = std::make_unique<PublishService>(std::move(service_options), std::move(tokens),
                                                *sequencer_, fixture_.clock());
    token_ = *publish_->Authorize(*secret);
  }
  ~ErasedSetTest() override { sequencer_->Stop(); }

  absl::Status Publish(Publication::Operation operation, const std::string& der) {
    Publication publication;
    publication.address = kAlice;
    publication.operation = operation;
    if (!der.empty()) publication.certificates.emplace_back().der = base::ToBytes(der);
    std::promise<absl::Status> result;
    publish_->Publish(token_, std::move(publication),
                      [&](const absl::StatusOr<Submitter::Outcome>& outcome) {
                        result.set_value(outcome.status());
                      });
    return result.get_future().get();
  }

  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<PublishService> publish_;
  Token token_;
};

INSTANTIATE_TEST_SUITE_P(Suites, ErasedSetTest, ::testing::Values(core::CipherSuite::kEd25519));

TEST_P(ErasedSetTest, CatchingUpOverAnErasedVersionHasAClearStatus) {
  ASSERT_THAT(eraser_.Erase(kAlice, 2), IsOk());
  const UpdateService updates(fixture_.log());
  core::UpdateRequest request;
  request.label = base::ToBytes(kAlice);
  request.greatest_version = 1;
  EXPECT_THAT(updates.Answer(request, std::nullopt), StatusIs(kErased));
  request.greatest_version = 2;
  EXPECT_THAT(updates.Answer(request, std::nullopt), IsOk());
}

TEST_P(ErasedSetTest, AnErasedSetCanOnlyBeReplaced) {
  ASSERT_THAT(eraser_.Erase(kAlice, std::nullopt), IsOk());
  EXPECT_THAT(Publish(Publication::Operation::kRemove, "der"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("erased")));
  EXPECT_THAT(Publish(Publication::Operation::kReplace, ""), IsOk());
  EXPECT_THAT(Search(kAlice, 6), IsOk());
  EXPECT_THAT(Search(kAlice, 5), StatusIs(kErased));
}

// --- the operator's socket ---------------------------------------------------------------------

TEST_P(ErasedSetTest, TheOperatorAsksOverASocket) {
  testing::TemporaryDirectory directory;
  AdminGrpc service(eraser_, fixture_.store());
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<grpc::Server> server,
                       ServeAdmin(directory.path(), service));
  const auto stub = admin::Admin::NewStub(grpc::CreateChannel(
      "unix:" + AdminSocket(directory.path()), grpc::InsecureChannelCredentials()));
  admin::EraseRequest request;
  admin::EraseResponse response;
  request.set_address("nobody@x.example");
  {
    grpc::ClientContext context;
    EXPECT_EQ(stub->Erase(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  }
  request.set_address(kAlice);
  request.set_version(4);
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Erase(&context, request, &response).ok());
  }
  EXPECT_EQ(response.versions(), 1u);
  EXPECT_EQ(response.erased(), 1u);
  EXPECT_EQ(response.unreclaimed(), "");
  EXPECT_THAT(Search(kAlice, 4), StatusIs(kErased));
  {
    const auto held = fixture_.log().current();
    request.set_version(5);
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Erase(&context, request, &response).ok());
    EXPECT_EQ(response.erased(), 1u);
    EXPECT_THAT(response.unreclaimed(), HasSubstr("snapshot"));
  }
  grpc::ClientContext context;
  admin::ListErasuresResponse list;
  ASSERT_TRUE(stub->ListErasures(&context, {}, &list).ok());
  ASSERT_EQ(list.erasures_size(), 2);
  EXPECT_EQ(list.erasures(0).version() + list.erasures(1).version(), 4u + 5u);
  EXPECT_EQ(list.erasures(0).vrf_output().size(), base::kVrfOutputSize);
  server->Shutdown();
}

TEST(AdminSocket, PathsThatDoNotFitOrLetOthersInAreRefused) {
  LogFixture fixture;
  EventLog events("error");
  Eraser eraser(fixture.log(), fixture.store(), events, fixture.clock());
  AdminGrpc service(eraser, fixture.store());
  const testing::TemporaryDirectory directory;
  std::filesystem::permissions(directory.path(), std::filesystem::perms(0750));
  EXPECT_THAT(ServeAdmin(directory.path(), service),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("0700")));
  EXPECT_THAT(ServeAdmin("/tmp/" + std::string(120, 'x'), service),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too long")));
}

}  // namespace
}  // namespace kt::server
