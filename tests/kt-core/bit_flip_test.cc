// SPDX-License-Identifier: Apache-2.0
//
// Everything that a log or a sender sends, in both suites and all modes, with one bit flipped: it
// is refused, or the bit is among those that this file lists as not authenticated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/response_verifier.h"
#include "tests/kt-core/credential_fixture.h"
#include "tests/support/monitoring_answers.h"
#include "tests/support/status_matchers.h"

namespace kt::core {
namespace {

using base::kHashSize;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::TestLog;
using testing::TestLogOptions;

constexpr uint64_t kNowMs = 1'000'000;
const RecentDefinition kRecent = {4, std::nullopt};

// A message, and what its receiver makes of it.
struct Message {
  Bytes bytes;
  std::function<absl::Status(ByteView)> verify;
  std::set<size_t> unauthenticated;  // positions of bytes
  bool each_bit = true;              // in one deployment, and one of each byte in the others
};

// Where two encodings of one length differ.
std::set<size_t> Differences(const Bytes& a, const Bytes& b) {
  KT_CHECK(a.size() == b.size());
  std::set<size_t> differences;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) differences.insert(i);
  }
  return differences;
}

template <typename T>
void Invert(T& bytes) {
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(~byte);
}

// Entries a second apart and a window of three: 3, 5 and 7 are distinguished once there are nine,
// and 11 is later. "alice" gets a version in the entries 2, 5 and 8, "erin" eight of them in entry
// 4. The auditor, if there is one, lags two entries behind.
class BitFlips : public ::testing::TestWithParam<Deployment> {
 protected:
  BitFlips()
      : log_([] {
          TestLogOptions options = OptionsOf(GetParam());
          options.reasonable_monitoring_window_ms = 3000;
          return options;
        }()),
        verifier_(ResponseVerifier::Create(log_.config()).value()) {
    log_.SetAuditorLag(2);
    Grow(9);
  }

  void Grow(TreeSize size) {
    while (log_.size() < size) {
      const LogPosition next = log_.size();
      std::vector<testing::TestUpdate> updates = {{absl::StrCat("label", next % 3), "x"}};
      if (next % 3 == 2 && next < 9) updates.push_back({"alice", absl::StrCat("a", next)});
      if (next == 4) updates.insert(updates.end(), 8, {"erin", "e"});
      log_.Append(kNowMs + 1000 * next, updates);
    }
  }
  uint64_t now_ms() const { return log_.RightmostMs(); }
  template <typename Response>
  Bytes Encode(const Response& response, bool version_in_request = false) const {
    return codec::Encode(response, log_.context(version_in_request));
  }

  static SearchRequest RequestOf(const std::string& label, std::optional<TreeSize> last,
                                 std::optional<Version> version = std::nullopt) {
    SearchRequest request;
    request.last = last;
    request.label = base::ToBytes(label);
    request.version = version;
    return request;
  }
  std::function<absl::Status(ByteView)> SearchWith(const SearchRequest& request,
                                                   const UserState* state) const {
    return [this, request, state](ByteView bytes) {
      return verifier_->VerifySearch(request, bytes, state, now_ms()).status();
    };
  }
  // An owner of "alice" from `start` on.
  OwnerState OwnerFrom(LogPosition start) const {
    const OwnerInitRequest request{std::nullopt, base::ToBytes("alice"), start};
    const Bytes bytes = Encode(testing::AnswerOwnerInit(log_, request).value());
    return verifier_->VerifyOwnerInit(request, bytes, nullptr, now_ms()).value().owner;
  }

  void ExpectRefused(const Message& message) const {
    const bool every_bit = message.each_bit && GetParam().suite == CipherSuite::kEd25519 &&
                           GetParam().mode == DeploymentMode::kContactMonitoring;
    ASSERT_THAT(message.verify(message.bytes), IsOk());
    std::set<size_t> accepted;
    for (size_t i = 0; i < message.bytes.size(); ++i) {
      for (size_t bit = 0; bit < 8; ++bit) {
        // One bit of each byte, another one in each mode.
        const size_t chosen = (i + static_cast<size_t>(GetParam().mode)) % 8;
        if (!every_bit && bit != chosen) continue;
        Bytes flipped = message.bytes;
        flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << bit));
        const absl::Status status = message.verify(flipped);
        if (status.ok()) {
          accepted.insert(i);
        } else {
          ASSERT_THAT(status, IsVerificationFailure()) << "byte " << i << ", bit " << bit;
        }
      }
    }
    EXPECT_EQ(accepted, message.unauthenticated);
  }

  TestLog log_;
  std::unique_ptr<ResponseVerifier> verifier_;
};
constexpr DeploymentMode kModes[] = {DeploymentMode::kContactMonitoring,
                                     DeploymentMode::kThirdPartyManagement,
                                     DeploymentMode::kThirdPartyAuditing};
std::vector<Deployment> Deployments() {
  std::vector<Deployment> deployments;
  for (const DeploymentMode mode : kModes) {
    deployments.push_back({CipherSuite::kP256, mode});
    deployments.push_back({CipherSuite::kEd25519, mode});
  }
  return deployments;
}
INSTANTIATE_TEST_SUITE_P(Deployments, BitFlips, ::testing::ValuesIn(Deployments()),
                         NameOfDeployment);

TEST_P(BitFlips, SearchResponseOfTheGreatestVersion) {
  const UserState state = log_.StateAt(4);
  const SearchRequest request = RequestOf("alice", 4);
  ExpectRefused({log_.Search(request).value(), SearchWith(request, &state), {}});
}

TEST_P(BitFlips, SearchResponseWithTheRetainedHead) {
  const UserState state = log_.StateAt(9);
  const SearchRequest request = RequestOf("alice", 9);
  ExpectRefused({log_.Search(request).value(), SearchWith(request, &state), {}});
}

// The search for version 6 of eight ends at version 7, before version 5, and then looks up version
// 6 itself: no hash depends on the commitment of version 5.
TEST_P(BitFlips, SearchResponseOfAFixedVersion) {
  const SearchRequest request = RequestOf("erin", std::nullopt, 6);
  const SearchResponse response = log_.SearchResponse(request).value();
  ASSERT_THAT(BaseBinaryLadder(6), ::testing::ElementsAre(0, 1, 3, 7, 5, 6));
  SearchResponse changed = response;
  Invert(changed.binary_ladder[4].commitment->bytes);
  const Bytes bytes = Encode(response, /*version_in_request=*/true);
  const std::set<size_t> unauthenticated =
      Differences(bytes, Encode(changed, /*version_in_request=*/true));
  EXPECT_EQ(unauthenticated.size(), kHashSize);
  // Six VRF proofs to verify; Reject.EveryFlippedBit takes its time for such a response.
  ExpectRefused({bytes, SearchWith(request, nullptr), unauthenticated, /*each_bit=*/false});
}

TEST_P(BitFlips, AbsenceResponse) {
  const UserState state = log_.StateAt(4);
  const SearchRequest request = RequestOf("nobody", 4);
  ExpectRefused({log_.Absence(request).value(),
                 [&](ByteView bytes) {
                   return verifier_->VerifyAbsence(request, bytes, &state, now_ms()).status();
                 },
                 {}});
}

// Contacts may monitor in every mode, though they must in one only.
TEST_P(BitFlips, ContactMonitorResponse) {
  const SearchRequest search = RequestOf("alice", std::nullopt);
  ASSERT_OK_AND_ASSIGN(
      const VerifiedSearch found,
      verifier_->VerifySearch(search, log_.Search(search).value(), nullptr, now_ms()));
  ASSERT_EQ(found.terminal, 8u);
  ContactState contact;
  ASSERT_THAT(InsertMonitored({found.terminal, found.version}, found.ladder, &contact), IsOk());
  Grow(12);
  const auto request = MakeContactMonitorRequest(base::AsBytes("alice"), contact, 9);
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerContactMonitor(log_, request));
  EXPECT_FALSE(response.monitor.prefix_proofs.empty());
  ExpectRefused({Encode(response),
                 [&](ByteView bytes) {
                   return verifier_
                       ->VerifyContactMonitor(request, bytes, contact, &found.state, now_ms())
                       .status();
                 },
                 {}});
}

TEST_P(BitFlips, OwnerInitResponse) {
  const UserState state = log_.StateAt(4);
  const OwnerInitRequest request{4, base::ToBytes("alice"), 5};
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerOwnerInit(log_, request));
  EXPECT_THAT(response.greatest_versions, ::testing::ElementsAre(1, 0));  // entries 5 and 3
  ExpectRefused({Encode(response),
                 [&](ByteView bytes) {
                   return verifier_->VerifyOwnerInit(request, bytes, &state, now_ms()).status();
                 },
                 {}});
}

TEST_P(BitFlips, UpdateResponse) {
  const OwnerState owner = OwnerFrom(7);
  const UserState state = log_.StateAt(9);
  const UpdateRequest request{9, base::ToBytes("alice"), owner.greatest_version(), {}};
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerUpdate(log_, request));
  ASSERT_EQ(response.position, 8u);
  ExpectRefused({Encode(response),
                 [&](ByteView bytes) {
                   return verifier_->VerifyUpdate(request, bytes, owner, &state, now_ms()).status();
                 },
                 {}});
}

// The greatest version in a distinguished log entry is looked up by the owner monitoring of that
// entry only ("Updating a Label / Algorithm", step 3). Until then nothing depends on its opening,
// nor on its value unless the operator has signed that.
TEST_P(BitFlips, UpdateResponseForADistinguishedEntry) {
  const OwnerState owner = OwnerFrom(3);
  const UserState state = log_.StateAt(9);
  const UpdateRequest request{9, base::ToBytes("alice"), owner.greatest_version(), {}};
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerUpdate(log_, request));
  ASSERT_EQ(response.position, 5u);
  const Bytes bytes = Encode(response);
  const auto verify = [&](ByteView altered) {
    return verifier_->VerifyUpdate(request, altered, owner, &state, now_ms());
  };
  ASSERT_OK_AND_ASSIGN(const VerifiedUpdate honest, verify(bytes));
  EXPECT_TRUE(honest.awaits_owner_monitoring);

  UpdateResponse changed = response;
  Invert(changed.info[0].opening);
  if (GetParam().mode != DeploymentMode::kThirdPartyManagement) Invert(changed.values[0].value);
  ExpectRefused({bytes, [&](ByteView altered) { return verify(altered).status(); },
                 Differences(bytes, Encode(changed))});

  // And then it is found.
  ASSERT_OK_AND_ASSIGN(const VerifiedUpdate deceived, verify(Encode(changed)));
  for (const VerifiedUpdate* update : {&honest, &deceived}) {
    const auto monitor = MakeOwnerMonitorRequest(base::AsBytes("alice"), update->owner, 9);
    ASSERT_OK_AND_ASSIGN(const auto answer, testing::AnswerOwnerMonitor(log_, monitor));
    const absl::Status status =
        verifier_->VerifyOwnerMonitor(monitor, Encode(answer), update->owner, &state, now_ms())
            .status();
    EXPECT_EQ(status.ok(), update == &honest) << status;
    EXPECT_EQ(base::IsVerificationFailure(status), update == &deceived);
  }
}

TEST_P(BitFlips, OwnerMonitorResponse) {
  UserState state = log_.StateAt(9);
  const UpdateRequest update{9, base::ToBytes("alice"), Version{1}, {}};
  const OwnerState before = OwnerFrom(7);
  ASSERT_OK_AND_ASSIGN(
      const VerifiedUpdate updated,
      verifier_->VerifyUpdate(update, Encode(testing::AnswerUpdate(log_, update).value()), before,
                              &state, now_ms()));
  Grow(14);
  const auto request = MakeOwnerMonitorRequest(base::AsBytes("alice"), updated.owner, 9);
  EXPECT_EQ(request.entries.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const auto response, testing::AnswerOwnerMonitor(log_, request));
  EXPECT_GT(response.monitor.prefix_proofs.size(), 1u);
  ExpectRefused({Encode(response),
                 [&](ByteView bytes) {
                   return verifier_
                       ->VerifyOwnerMonitor(request, bytes, updated.owner, &state, now_ms())
                       .status();
                 },
                 {}});
}

TEST_P(BitFlips, DistinguishedResponse) {
  const UserState state = log_.StateAt(4);
  const DistinguishedRequest request{4, std::nullopt};
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, Respond(log_, kRecent, 9, request));
  ExpectRefused({bytes,
                 [&](ByteView altered) {
                   return VerifyDistinguished(*verifier_, kRecent, request, altered, &state,
                                              now_ms())
                       .status();
                 },
                 {}});
}

TEST_P(BitFlips, CredentialsAndTheirUpdate) {
  const DistinguishedState aware = AwareAt(log_, kRecent, 9);
  const auto verify = [&](ByteView bytes) {
    absl::Status status = VerifyCredential(*verifier_, kRecent, bytes, aware, now_ms()).status();
    // Another position may be one that the user does not know: refused all the same.
    if (absl::IsUnavailable(status) || absl::IsOutOfRange(status)) {
      return base::VerificationFailed("credential-position", std::string(status.message()));
    }
    return status;
  };
  ExpectRefused({Encoded(log_, Standard(log_, "alice", 1, 7).value()), verify, {}});
  const Bytes provisional = Encoded(log_, Provisional(log_, "alice", 9, 7).value());
  ExpectRefused({provisional, verify, {}});

  ASSERT_OK_AND_ASSIGN(const VerifiedCredential verified,
                       VerifyCredential(*verifier_, kRecent, provisional, aware, now_ms()));
  Grow(16);
  const DistinguishedState later = AwareAt(log_, kRecent, 16);
  ASSERT_OK_AND_ASSIGN(const ProvenCredentialUpdate update,
                       Update(log_, "alice", *verified.pending, 16));
  ExpectRefused({Encoded(log_, update.update),
                 [&](ByteView bytes) {
                   PendingCredential pending = *verified.pending;
                   return ReceiveCredentialUpdate(*verifier_, kRecent, later, bytes, now_ms(),
                                                  &pending)
                       .status();
                 },
                 {}});
}

}  // namespace
}  // namespace kt::core
