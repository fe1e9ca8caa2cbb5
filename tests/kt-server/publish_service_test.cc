// SPDX-License-Identifier: Apache-2.0
#include "kt-server/publish_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "kt-server/sequencer.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::testing::HasSubstr;

class PublishServiceTest : public ::testing::Test {
 protected:
  PublishServiceTest() {
    SequencerOptions options;
    options.epoch_interval_ms = 5;
    sequencer_ = std::make_unique<Sequencer>(
        options, fixture_.log(), fixture_.clock(), [](const Sequencer::CommitReport&) {},
        [](const absl::Status&) {});
    EXPECT_THAT(sequencer_->Start(), IsOk());
    Tokens tokens;
    auto secret = tokens.Create({"smime.example"}, fixture_.random());
    EXPECT_THAT(secret, IsOk());
    secret_ = *secret;
    PublishService::Options service_options;
    service_options.domains = {"smime.example"};
    service_options.publishes_per_second = 3;
    service_ = std::make_unique<PublishService>(std::move(service_options), std::move(tokens),
                                                *sequencer_, fixture_.clock());
  }

  absl::Status Publish(const Publication& publication) {
    const absl::StatusOr<Token> token = service_->Authorize(secret_);
    if (!token.ok()) return token.status();
    std::promise<absl::Status> result;
    service_->Publish(*token, publication, [&](const absl::StatusOr<Submitter::Outcome>& outcome) {
      result.set_value(outcome.status());
    });
    return result.get_future().get();
  }

  LogFixture fixture_;
  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<PublishService> service_;
  std::string secret_;
};

TEST_F(PublishServiceTest, RequestsOfATokenCountBeforeTheirBodyIsRead) {
  EXPECT_THAT(service_->Authorize("guess"), StatusIs(absl::StatusCode::kUnauthenticated));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(service_->Authorize(secret_), IsOk());
  EXPECT_THAT(service_->Authorize(secret_), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(service_->Authorize("guess"), StatusIs(absl::StatusCode::kUnauthenticated));
  fixture_.clock().Advance(1000);
  EXPECT_THAT(service_->Authorize(secret_), IsOk());
}

// What is to be removed passes no admission check, and would be carried until the epoch ends.
TEST_F(PublishServiceTest, RemovalTakesNothingButCertificatesOfUsualSize) {
  Publication publication;
  publication.address = "a@smime.example";
  publication.operation = Publication::Operation::kRemove;
  publication.certificates.resize(1);
  smime::CertificateEntry& entry = publication.certificates[0];
  entry.der = base::Bytes(smime::AdmissionPolicy().max_certificate_size, 1);
  EXPECT_THAT(Publish(publication), StatusIs(absl::StatusCode::kFailedPrecondition))
      << "it is not there";
  entry.der.push_back(1);
  EXPECT_THAT(Publish(publication),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
  entry.der = {1};
  entry.chain = {{base::Bytes{1}}};
  EXPECT_THAT(Publish(publication),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("chain")));
  fixture_.clock().Advance(1000);
  entry.chain.clear();
  entry.smime_capabilities = {1};
  EXPECT_THAT(Publish(publication),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("capabilities")));
}

}  // namespace
}  // namespace kt::server
