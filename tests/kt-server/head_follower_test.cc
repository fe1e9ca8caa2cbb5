// SPDX-License-Identifier: Apache-2.0
//
// The operator's watch over its manager, who is honest first and then is not.
#include "kt-server/head_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "kt-core/distinguished.h"
#include "kt-core/tree_head.h"
#include "tests/support/fakes.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::StatusIs;
using ::kt::testing::TestLog;
using ::testing::HasSubstr;

constexpr uint64_t kStartMs = 1'767'225'600'000;
constexpr auto kUnavailable = absl::StatusCode::kUnavailable;

class HeadFollowerTest : public ::testing::TestWithParam<core::CipherSuite> {
 protected:
  HeadFollowerTest() : shown_(Options()), clock_(kStartMs) {
    Grow(shown_, 5);
    verifier_ = core::ResponseVerifier::Create(shown_.config()).value();
    Open();
  }
  ~HeadFollowerTest() override {
    if (follower_ != nullptr) follower_->Stop();
  }

  static testing::TestLogOptions Options() {
    testing::TestLogOptions options;
    options.suite = GetParam();
    options.mode = core::DeploymentMode::kThirdPartyManagement;
    options.reasonable_monitoring_window_ms = 300;
    return options;
  }
  static void Grow(TestLog& log, base::TreeSize size, const std::string& value = "value") {
    while (log.size() < size) {
      log.Append(kStartMs + 100 * log.size(), {{"alice", value + std::to_string(log.size())}});
    }
  }

  absl::Status TryOpen() {
    HeadFollower::Options options;
    options.head_path = directory_.File("head");
    options.evidence_path = directory_.File("evidence.json");
    // Only responses cause it to ask.
    options.poll_interval = absl::Hours(1);
    auto opened = HeadFollower::Open(
        options, *verifier_, [this](base::ByteView request) { return Answer(request); }, events_,
        clock_);
    if (!opened.ok()) return opened.status();
    follower_ = *std::move(opened);
    follower_->Start();
    return absl::OkStatus();
  }
  void Open() { ASSERT_THAT(TryOpen(), IsOk()); }
  void Reopen() {
    follower_->Stop();
    follower_ = nullptr;
    Open();
  }

  // What the manager answers the follower.
  absl::StatusOr<base::Bytes> Answer(base::ByteView bytes) {
    ++asked_;
    if (silent_) return absl::UnavailableError("nobody there");
    KT_ASSIGN_OR_RETURN(const auto request, base::codec::Decode<core::DistinguishedRequest>(bytes));
    KT_ASSIGN_OR_RETURN(auto response,
                        core::ProveDistinguished(shown_.config(), core::RecentDefinition(),
                                                 *shown_.ViewAt(shown_.size()),
                                                 shown_.HeadAt(shown_.size()), request));
    if (tamper_) tamper_(response);
    return base::codec::Encode(response, shown_.context());
  }
  // The start of a response of `log` to a user who knows nothing.
  static base::Bytes Response(const TestLog& log, base::TreeSize size) {
    core::FullTreeHead head;
    head.head_type = core::FullTreeHeadType::kUpdated;
    head.tree_head = log.HeadAt(size).tree_head;
    base::Bytes out = base::codec::Encode(head, log.context());
    base::Append(out, base::ToBytes("and whatever follows"));
    return out;
  }
  absl::Status Check(const base::Bytes& response) {
    std::promise<absl::Status> result;
    follower_->Check(response, [&](const absl::Status& status) { result.set_value(status); });
    return result.get_future().get();
  }
  bool HasEvidence() const { return access(directory_.File("evidence.json").c_str(), F_OK) == 0; }
  // Nothing passes any more, and a restart does not help.
  void ExpectCaught(const std::string& what) {
    EXPECT_THAT(follower_->trust(), StatusIs(kUnavailable));
    EXPECT_THAT(Check(Response(shown_, shown_.size())),
                StatusIs(kUnavailable, HasSubstr("contradicted itself")));
    EXPECT_THAT(Check({1}), StatusIs(kUnavailable)) << "same";
    const auto json = nlohmann::json::parse(testing::ReadText(directory_.File("evidence.json")));
    EXPECT_THAT(json["what"].get<std::string>(), HasSubstr(what));
    EXPECT_EQ(json["configuration"], base::ToHex(base::codec::Encode(verifier_->config())));
    EXPECT_TRUE(json.contains("verified_state"));
    EXPECT_TRUE(json.contains("response"));
    follower_->Stop();
    follower_ = nullptr;
    EXPECT_THAT(TryOpen(), StatusIs(absl::StatusCode::kFailedPrecondition));
  }

  testing::TemporaryDirectory directory_;
  TestLog shown_;
  testing::FakeClock clock_;
  EventLog events_{"error"};
  std::atomic<int> asked_ = 0;
  bool silent_ = false;
  std::function<void(core::DistinguishedResponse&)> tamper_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  std::unique_ptr<HeadFollower> follower_;
};
const auto kSuites = ::testing::Values(core::CipherSuite::kP256, core::CipherSuite::kEd25519);
INSTANTIATE_TEST_SUITE_P(Suites, HeadFollowerTest, kSuites,
                         [](const auto& param_info) { return core::NameOf(param_info.param); });

TEST_P(HeadFollowerTest, HonestHeadsPassOnceTheyAreVerified) {
  for (base::TreeSize size = 5; size < 30; ++size) {
    Grow(shown_, size);
    EXPECT_THAT(Check(Response(shown_, size)), IsOk());
    EXPECT_EQ(follower_->newest()->tree_size(), size);
    EXPECT_THAT(Check({1}), IsOk()) << "same";
    const int asked = asked_;
    EXPECT_THAT(Check(Response(shown_, size)), IsOk());
    EXPECT_EQ(asked_, asked) << "a verified head costs no question";
    EXPECT_THAT(Check(Response(shown_, 5)), IsOk()) << "an older one, which was verified too";
  }
  Reopen();
  EXPECT_EQ(follower_->newest()->tree_size(), 29u);
  Grow(shown_, 30);
  EXPECT_THAT(Check(Response(shown_, 30)), IsOk());
  EXPECT_FALSE(HasEvidence());
}

// The response came with a head that was superseded before the follower asked.
TEST_P(HeadFollowerTest, SupersededHeadHasToBeAskedForAgain) {
  const base::Bytes early = Response(shown_, 5);
  Grow(shown_, 6);
  EXPECT_THAT(Check(early), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Check(Response(shown_, 6)), IsOk());
}

TEST_P(HeadFollowerTest, SilentManagerIsNoLiar) {
  silent_ = true;
  EXPECT_THAT(Check(Response(shown_, 5)), StatusIs(kUnavailable, HasSubstr("does not answer")));
  silent_ = false;
  EXPECT_THAT(Check(Response(shown_, 5)), IsOk());
  clock_.Advance(2 * Options().max_behind_ms);
  EXPECT_THAT(Check(Response(shown_, 6 - 1)), IsOk()) << "known";
  EXPECT_FALSE(HasEvidence());
}

TEST_P(HeadFollowerTest, StaleHeadDoesNotPassAndIsNoContradiction) {
  clock_.Advance(2 * Options().max_behind_ms);
  EXPECT_THAT(Check(Response(shown_, 5)), StatusIs(kUnavailable));
  EXPECT_FALSE(HasEvidence());
  EXPECT_THAT(follower_->trust(), IsOk());
}

TEST_P(HeadFollowerTest, MalformedResponseDoesNotPass) {
  const base::Bytes whole = Response(shown_, 5);
  for (size_t size = 0; size < 20; ++size) {
    EXPECT_THAT(Check({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                StatusIs(kUnavailable, HasSubstr("malformed")));
  }
}

// A user is shown another log of the same size than the operator.
TEST_P(HeadFollowerTest, TwoHeadsOfOneSizeAreAFork) {
  TestLog fork = shown_.Prefix(3);
  Grow(fork, 5, "forged");
  EXPECT_THAT(Check(Response(shown_, 5)), IsOk());
  EXPECT_THAT(Check(Response(fork, 5)), StatusIs(kUnavailable, HasSubstr("contradicted itself")));
  ExpectCaught("two tree heads of size 5");
}

// The user is shown the fork first; the operator has not seen that size yet.
TEST_P(HeadFollowerTest, ForkThatOnlyUsersAreShownNeverPasses) {
  TestLog fork = shown_.Prefix(3);
  Grow(fork, 7, "forged");
  EXPECT_THAT(Check(Response(fork, 7)),
              StatusIs(kUnavailable, HasSubstr("shows a tree head to users only")));
  Grow(shown_, 7);
  EXPECT_THAT(Check(Response(fork, 7)), StatusIs(kUnavailable));
  ExpectCaught("two tree heads of size 7");
}

// The operator itself is shown another history than before, also after a restart.
TEST_P(HeadFollowerTest, HistoryThatIsNoExtensionIsAFork) {
  EXPECT_THAT(Check(Response(shown_, 5)), IsOk());
  Reopen();
  TestLog fork = shown_.Prefix(3);
  Grow(fork, 9, "forged");
  shown_ = fork;
  EXPECT_THAT(Check(Response(shown_, 9)), StatusIs(kUnavailable));
  ExpectCaught("");
}

TEST_P(HeadFollowerTest, ForgedSignatureIsCaught) {
  EXPECT_THAT(Check(Response(shown_, 5)), IsOk());
  Grow(shown_, 6);
  tamper_ = [](core::DistinguishedResponse& response) {
    response.full_tree_head.tree_head.signature.back() ^= 1;
  };
  EXPECT_THAT(Check(Response(shown_, 6)), StatusIs(kUnavailable));
  ExpectCaught("signature");
}

// Behind what the operator has seen: its questions are not answered, and what grows anew in place
// of the old entries does not pass.
TEST_P(HeadFollowerTest, RolledBackLogDoesNotPass) {
  Grow(shown_, 8);
  EXPECT_THAT(Check(Response(shown_, 8)), IsOk());
  shown_ = shown_.Prefix(5);
  Grow(shown_, 7, "forged");
  EXPECT_THAT(Check(Response(shown_, 7)), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(follower_->newest()->tree_size(), 8u);
  Grow(shown_, 8, "forged");
  EXPECT_THAT(Check(Response(shown_, 8)), StatusIs(kUnavailable));
  ExpectCaught("two tree heads of size 8");
}

TEST_P(HeadFollowerTest, DamagedOrForeignHeadFileIsRefused) {
  EXPECT_THAT(Check(Response(shown_, 5)), IsOk());
  follower_->Stop();
  follower_ = nullptr;
  const std::string path = directory_.File("head");
  const std::string whole = testing::ReadText(path);
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    testing::WriteText(path, damaged);
    EXPECT_THAT(TryOpen(), StatusIs(absl::StatusCode::kDataLoss)) << i;
  }
  testing::WriteText(path, whole);
  testing::TestLogOptions other = Options();
  other.seed = 2;
  verifier_ = core::ResponseVerifier::Create(TestLog(other).config()).value();
  EXPECT_THAT(TryOpen(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another log")));
}

TEST_P(HeadFollowerTest, StopAnswersWhoeverWaits) {
  silent_ = true;
  follower_->Stop();
  EXPECT_THAT(Check(Response(shown_, 5)), StatusIs(kUnavailable, HasSubstr("stopping")));
}

TEST_P(HeadFollowerTest, AwaitGrowthTellsOfVerifiedHeadsOnly) {
  EXPECT_EQ(follower_->AwaitGrowth(0, absl::ZeroDuration()), nullptr);
  EXPECT_THAT(Check(Response(shown_, 5)), IsOk());
  EXPECT_EQ(follower_->AwaitGrowth(0, absl::Seconds(10))->tree_size(), 5u);
  EXPECT_EQ(follower_->AwaitGrowth(5, absl::Milliseconds(1))->tree_size(), 5u);
}

}  // namespace
}  // namespace kt::server
