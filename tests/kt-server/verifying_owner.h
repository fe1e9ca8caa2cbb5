// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_SERVER_VERIFYING_OWNER_H_
#define TESTS_KT_SERVER_VERIFYING_OWNER_H_

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "kt-core/commitment_value.h"
#include "kt-core/monitoring_prover.h"
#include "kt-core/update.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/support/status_matchers.h"

namespace kt::server {

// The owner of a label, who verifies every update.
class VerifyingOwner {
 public:
  // Borrows `fixture`.
  VerifyingOwner(LogFixture& fixture, std::string label)
      : fixture_(fixture), label_(std::move(label)) {}

  // Makes her the owner from the first log entry on; the label must have no version yet.
  void Own() {
    core::OwnerInitRequest request;
    request.label = base::ToBytes(label_);
    const auto state = fixture_.log().current();
    core::LabelRecord record;
    for (const base::Version version : core::OwnerInitVersions(request, state->size(), {})) {
      const auto proven = fixture_.log().vrf().Prove(
          std::vector<base::Bytes>{*core::EncodeVrfInput(request.label, version)});
      record[version] = {proven[0].output, proven[0].proof, std::nullopt};
    }
    const auto response =
        core::ProveOwnerInit(fixture_.config(), *state, state->head(), request, {}, record);
    ASSERT_THAT(response, testing::IsOk());
    const auto verified = fixture_.verifier().VerifyOwnerInit(
        request, base::codec::Encode(*response, core::WireContext::For(fixture_.config())), nullptr,
        fixture_.clock().NowMs());
    ASSERT_THAT(verified, testing::IsOk());
    owner_ = verified->owner;
    state_ = verified->state;
  }

  core::UpdateRequest Request(std::optional<base::Version> greatest,
                              const std::vector<base::Bytes>& values = {}) const {
    core::UpdateRequest request;
    if (state_.has_value()) request.last = state_->tree_size();
    request.label = base::ToBytes(label_);
    request.greatest_version = greatest;
    for (const base::Bytes& value : values) request.values.push_back({value});
    return request;
  }

  // What she makes of the responses to `request`.
  std::vector<core::VerifiedUpdate> Verify(core::UpdateRequest request,
                                           const std::vector<core::UpdateResponse>& responses) {
    std::vector<core::VerifiedUpdate> updates;
    for (const core::UpdateResponse& response : responses) {
      auto verified = fixture_.verifier().VerifyUpdate(
          request, base::codec::Encode(response, core::WireContext::For(fixture_.config())), owner_,
          &*state_, fixture_.clock().NowMs());
      EXPECT_THAT(verified, testing::IsOk());
      if (!verified.ok()) break;
      owner_ = verified->owner;
      state_ = verified->state;
      updates.push_back(*std::move(verified));
      request = core::FollowingUpdateRequest(request, response, state_->tree_size());
    }
    return updates;
  }

  const core::OwnerState& owner() const { return owner_; }
  const std::optional<core::UserState>& state() const { return state_; }

 private:
  LogFixture& fixture_;
  const std::string label_;
  core::OwnerState owner_;
  std::optional<core::UserState> state_;
};

}  // namespace kt::server
#endif  // TESTS_KT_SERVER_VERIFYING_OWNER_H_
