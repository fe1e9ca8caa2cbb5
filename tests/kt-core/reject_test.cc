// SPDX-License-Identifier: Apache-2.0
//
// One response, changed in every way: whatever does not prove what it claims is a verification
// failure, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/response_verifier.h"
#include "tests/kt-core/random_history.h"
#include "tests/kt-core/reference.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

using base::kHashSize;
using testing::FailsCheck;
using testing::IsOk;
using testing::IsVerificationFailure;
using testing::StatusIs;
using testing::TestLog;
using testing::TestLogOptions;

constexpr uint64_t kNowMs = 1'000'000;

// What is asked, by whom.
enum class Operation { kGreatest, kFixed, kAbsence };
enum class User { kFresh, kReturning, kUpToDate };  // has seen none, three, all entries

struct Scenario {
  CipherSuite suite;
  DeploymentMode mode;
  Operation operation;
  User user;
  bool every_bit = false;  // flip every bit, not one in each byte
};

std::string Describe(const Scenario& scenario) {
  const char* const modes[] = {"", "Contact", "Managed", "Audited"};
  const char* const operations[] = {"Greatest", "Fixed", "Absence"};
  const char* const users[] = {"Fresh", "Returning", "UpToDate"};
  return absl::StrCat(scenario.suite == CipherSuite::kP256 ? "P256" : "Ed25519",
                      modes[static_cast<int>(scenario.mode)],
                      operations[static_cast<int>(scenario.operation)],
                      users[static_cast<int>(scenario.user)]);
}

// A log of seven entries. The greatest-version search is for "bob", who has version 0 only, the
// fixed-version search for version 0 of "alice", who has two more, and the absence is of "nobody".
// The auditor, if there is one, has seen five entries.
class Exchange {
 public:
  explicit Exchange(const Scenario& scenario) : scenario_(scenario), log_(Options(scenario)) {
    log_.SetAuditorLag(2);
    const std::vector<std::vector<testing::TestUpdate>> entries = {
        {{"carol", "c0"}}, {{"bob", "b0"}}, {{"carol", "c1"}},
        {{"alice", "a0"}}, {{"dave", "d"}}, {{"alice", "a1"}, {"alice", "a2"}},
        {{"carol", "c2"}}};
    for (size_t i = 0; i < entries.size(); ++i) {
      log_.Append(kNowMs - 100 * (entries.size() - i - 1), entries[i]);
    }
    const char* const labels[] = {"bob", "alice", "nobody"};
    label_ = labels[static_cast<int>(scenario.operation)];
    request_.label = base::ToBytes(label_);
    if (scenario.operation == Operation::kFixed) request_.version = 0;
    if (scenario.user != User::kFresh) {
      state_ = log_.StateAt(scenario.user == User::kReturning ? 3 : log_.size());
      request_.last = state_->tree_size();
    }
    verifier_ = ResponseVerifier::Create(log_.config()).value();
  }

  static TestLogOptions Options(const Scenario& scenario) {
    TestLogOptions options;
    options.suite = scenario.suite;
    options.mode = scenario.mode;
    options.max_ahead_ms = 250;
    options.reasonable_monitoring_window_ms = 250;  // entries 3 and 5 are distinguished
    return options;
  }

  const Scenario& scenario() const { return scenario_; }
  const TestLog& log() const { return log_; }
  const std::string& label() const { return label_; }
  const SearchRequest& request() const { return request_; }
  SearchRequest& request() { return request_; }
  const UserState* state() const { return state_.has_value() ? &*state_ : nullptr; }
  WireContext context() const { return log_.context(request_.version.has_value()); }

  Bytes HonestBytes() const {
    return scenario_.operation == Operation::kAbsence ? log_.Absence(request_).value()
                                                      : log_.Search(request_).value();
  }
  SearchResponse Honest() const { return log_.SearchResponse(request_).value(); }
  AbsenceResponse HonestAbsence() const { return log_.AbsenceResponse(request_).value(); }

  // What the user makes of a response: an error, or what she learns from it.
  struct Result {
    absl::Status status;
    VerifiedSearch search;
    UserState state;
  };
  Result Verify(ByteView response, const ResponseVerifier& verifier, uint64_t now_ms) const {
    Result result;
    if (scenario_.operation == Operation::kAbsence) {
      const auto absence = verifier.VerifyAbsence(request_, response, state(), now_ms);
      result.status = absence.status();
      if (absence.ok()) result.state = absence->state;
      return result;
    }
    const auto search = verifier.VerifySearch(request_, response, state(), now_ms);
    result.status = search.status();
    if (search.ok()) result.search = *search;
    result.state = result.search.state;
    return result;
  }
  Result Verify(ByteView response) const { return Verify(response, *verifier_, kNowMs); }
  absl::Status Status(const SearchResponse& response) const {
    return Verify(codec::Encode(response, context())).status;
  }
  absl::Status Status(const AbsenceResponse& response) const {
    return Verify(codec::Encode(response, context())).status;
  }
  absl::Status StatusUnder(const Configuration& config) const {
    const auto verifier = ResponseVerifier::Create(config);
    if (!verifier.ok()) return verifier.status();
    return Verify(HonestBytes(), **verifier, kNowMs).status;
  }

 private:
  const Scenario scenario_;
  TestLog log_;
  std::string label_;
  SearchRequest request_;
  std::optional<UserState> state_;
  std::unique_ptr<ResponseVerifier> verifier_;
};

// Every suite, mode, operation and kind of user meets every other one in some scenario.
constexpr auto kContact = DeploymentMode::kContactMonitoring;
constexpr auto kManaged = DeploymentMode::kThirdPartyManagement;
constexpr auto kAudited = DeploymentMode::kThirdPartyAuditing;
const Scenario kScenarios[] = {
    {CipherSuite::kP256, kContact, Operation::kGreatest, User::kFresh, true},
    {CipherSuite::kP256, kAudited, Operation::kFixed, User::kReturning, true},
    {CipherSuite::kEd25519, kManaged, Operation::kAbsence, User::kReturning, true},
    {CipherSuite::kEd25519, kContact, Operation::kFixed, User::kReturning},
    {CipherSuite::kEd25519, kContact, Operation::kAbsence, User::kUpToDate},
    {CipherSuite::kEd25519, kManaged, Operation::kGreatest, User::kReturning},
    {CipherSuite::kP256, kManaged, Operation::kFixed, User::kUpToDate},
    {CipherSuite::kP256, kManaged, Operation::kAbsence, User::kFresh},
    {CipherSuite::kP256, kAudited, Operation::kAbsence, User::kReturning},
    {CipherSuite::kEd25519, kAudited, Operation::kGreatest, User::kUpToDate},
    {CipherSuite::kEd25519, kAudited, Operation::kFixed, User::kFresh},
};

class Reject : public ::testing::TestWithParam<Scenario> {
 protected:
  Reject() : exchange_(GetParam()) {}
  bool is_absence() const { return GetParam().operation == Operation::kAbsence; }
  bool is_search() const { return !is_absence(); }

  Exchange exchange_;
};
INSTANTIATE_TEST_SUITE_P(Scenarios, Reject, ::testing::ValuesIn(kScenarios),
                         [](const auto& param_info) { return Describe(param_info.param); });

TEST_P(Reject, NothingOfAnHonestResponse) {
  const Exchange::Result result = exchange_.Verify(exchange_.HonestBytes());
  ASSERT_THAT(result.status, IsOk());
  EXPECT_EQ(result.state, exchange_.log().StateAt(7));
  if (is_absence()) return;
  EXPECT_EQ(result.search.version, 0u);
  const bool fixed = GetParam().operation == Operation::kFixed;
  EXPECT_EQ(base::ToText(result.search.value), fixed ? "a0" : "b0");
}

TEST_P(Reject, EveryTruncation) {
  const Bytes bytes = exchange_.HonestBytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_THAT(exchange_.Verify(ByteView(bytes).first(size)).status,
                FailsCheck("malformed-response"))
        << size;
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_THAT(exchange_.Verify(longer).status, FailsCheck("malformed-response"));
}

// --- bits --------------------------------------------------------------------------------

// Positions of the bytes in which two encodings of one length differ.
std::set<size_t> Differences(const Bytes& a, const Bytes& b) {
  EXPECT_EQ(a.size(), b.size());
  std::set<size_t> differences;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) differences.insert(i);
  }
  return differences;
}

// The bytes of a search response that no signature covers. Only a fixed-version search has any: the
// draft has the log send the commitment of every version of the ladder that exists, and the one of
// a version that the search never shows to exist enters no hash. (The VRF proofs beside them are
// checked all the same.)
std::set<size_t> UnauthenticatedBytes(const Exchange& exchange) {
  const SearchResponse response = exchange.Honest();
  const std::string& label = exchange.label();
  const TestLog& log = exchange.log();
  std::set<Version> shown_to_exist;
  const ReferenceSearch search =
      exchange.request().version.has_value()
          ? ReferenceFixedVersionSearch(ReferenceOf(log, log.size()), response.version,
                                        GreatestIn(log, label))
          : ReferenceGreatestVersionSearch(ReferenceOf(log, log.size()), response.version,
                                           GreatestIn(log, label));
  for (const auto& [position, versions] : search.series) {
    for (const Version version : versions) {
      const TestLog::VersionData* data = log.Find(label, version);
      if (data != nullptr && data->position <= position) shown_to_exist.insert(version);
    }
  }
  std::set<size_t> bytes;
  const std::vector<Version> ladder = BaseBinaryLadder(response.version);
  for (size_t i = 0; i < ladder.size(); ++i) {
    if (!response.binary_ladder[i].commitment.has_value()) continue;
    if (shown_to_exist.contains(ladder[i])) continue;
    SearchResponse changed = response;
    for (uint8_t& byte : changed.binary_ladder[i].commitment->bytes) byte ^= 0xff;
    const std::set<size_t> range = Differences(codec::Encode(response, exchange.context()),
                                               codec::Encode(changed, exchange.context()));
    bytes.insert(range.begin(), range.end());
  }
  return bytes;
}

TEST_P(Reject, EveryFlippedBit) {
  const uint64_t seed = testing::TestSeed(41);
  SCOPED_TRACE(seed);
  testing::SeededRandom random(seed);
  const Bytes bytes = exchange_.HonestBytes();
  const Exchange::Result honest = exchange_.Verify(bytes);
  std::set<size_t> accepted;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint64_t chosen = random.Below(8);
    for (uint64_t bit = 0; bit < 8; ++bit) {
      if (!GetParam().every_bit && bit != chosen) continue;
      Bytes flipped = bytes;
      flipped[i] = static_cast<uint8_t>(flipped[i] ^ (1 << bit));
      const Exchange::Result result = exchange_.Verify(flipped);
      if (!result.status.ok()) {
        ASSERT_THAT(result.status, IsVerificationFailure()) << "byte " << i << ", bit " << bit;
        continue;
      }
      accepted.insert(i);
      // Not even then does the user learn anything else.
      ASSERT_EQ(result.state, honest.state);
      ASSERT_EQ(result.search.value, honest.search.value);
      ASSERT_EQ(result.search.version, honest.search.version);
      ASSERT_EQ(result.search.terminal, honest.search.terminal);
    }
  }
  std::set<size_t> expected;
  if (is_search()) expected = UnauthenticatedBytes(exchange_);
  EXPECT_EQ(accepted, expected);
  // The commitment of version 1.
  EXPECT_EQ(expected.size(), GetParam().operation == Operation::kFixed ? kHashSize : 0u);
}

// --- lists -------------------------------------------------------------------------------

// Calls `visit` with each way to take an element out of a list, to repeat one, to add one and to
// exchange two neighbours that differ.
template <typename T>
void ForEachChange(std::vector<T>& list, const std::function<void(const std::string&)>& visit) {
  const std::vector<T> original = list;
  for (size_t i = 0; i < original.size(); ++i) {
    list.erase(list.begin() + static_cast<ptrdiff_t>(i));
    visit(absl::StrCat("without element ", i));
    list = original;
    list.insert(list.begin() + static_cast<ptrdiff_t>(i), original[i]);
    visit(absl::StrCat("with element ", i, " twice"));
    list = original;
    if (i > 0 && !(original[i] == original[i - 1])) {
      std::swap(list[i], list[i - 1]);
      visit(absl::StrCat("with elements ", i - 1, " and ", i, " exchanged"));
      list = original;
    }
  }
  list.emplace_back();
  visit("with an empty element more");
  list = original;
  list.clear();
  if (!original.empty()) visit("empty");
  list = original;
}

void ForEachChange(CombinedTreeProof& proof, const std::function<void(const std::string&)>& visit) {
  const auto in = [&](const std::string& list) {
    return [&visit, list](const std::string& change) { visit(absl::StrCat(list, " ", change)); };
  };
  ForEachChange(proof.timestamps, in("timestamps"));
  ForEachChange(proof.prefix_proofs, in("prefix_proofs"));
  ForEachChange(proof.prefix_roots, in("prefix_roots"));
  ForEachChange(proof.inclusion.elements, in("inclusion.elements"));
  for (size_t i = 0; i < proof.prefix_proofs.size(); ++i) {
    ForEachChange(proof.prefix_proofs[i].results, in(absl::StrCat("results of proof ", i)));
    ForEachChange(proof.prefix_proofs[i].elements, in(absl::StrCat("elements of proof ", i)));
  }
}

TEST_P(Reject, EveryChangeOfAList) {
  int changes = 0;
  if (is_absence()) {
    AbsenceResponse response = exchange_.HonestAbsence();
    ForEachChange(response.absence, [&](const std::string& change) {
      ++changes;
      EXPECT_THAT(exchange_.Status(response), IsVerificationFailure()) << change;
    });
  } else {
    SearchResponse response = exchange_.Honest();
    const auto expect_refused = [&](const std::string& change) {
      ++changes;
      EXPECT_THAT(exchange_.Status(response), IsVerificationFailure()) << change;
    };
    ForEachChange(response.search, expect_refused);
    // An element that is added has a proof of the right size.
    std::vector<BinaryLadderStep>& ladder = response.binary_ladder;
    ForEachChange(ladder, [&](const std::string& change) {
      for (BinaryLadderStep& step : ladder) step.proof.resize(exchange_.context().vrf_proof_size);
      expect_refused(absl::StrCat("binary_ladder ", change));
    });
  }
  EXPECT_GT(changes, 10);
}

TEST_P(Reject, CommitmentsWhereNoneBelongOrMissingOnes) {
  if (is_absence()) return;
  const SearchResponse honest = exchange_.Honest();
  const std::vector<Version> ladder = BaseBinaryLadder(honest.version);
  for (size_t i = 0; i < ladder.size(); ++i) {
    SearchResponse response = honest;
    std::optional<Hash>& commitment = response.binary_ladder[i].commitment;
    if (ladder[i] == honest.version) {
      // "Verify [...] that no commitment value is provided for the target version."
      ASSERT_EQ(commitment, std::nullopt);
      commitment = exchange_.log().Find(exchange_.label(), ladder[i])->commitment;
      EXPECT_THAT(exchange_.Status(response), FailsCheck("binary-ladder"));
    } else if (ladder[i] < honest.version) {
      ASSERT_TRUE(commitment.has_value());
      commitment.reset();
      EXPECT_THAT(exchange_.Status(response), FailsCheck("commitment"));
    } else if (!exchange_.request().version.has_value()) {
      ASSERT_EQ(commitment, std::nullopt);
      commitment = Hash{};
      EXPECT_THAT(exchange_.Status(response), FailsCheck("binary-ladder"));
    }
  }
}

// --- another question --------------------------------------------------------------------

TEST_P(Reject, AnotherLabelOrVersion) {
  const Bytes bytes = exchange_.HonestBytes();
  Exchange other(GetParam());
  other.request().label = base::ToBytes("carol");
  EXPECT_THAT(other.Verify(bytes).status, IsVerificationFailure());
  other.request().label = {};
  EXPECT_THAT(other.Verify(bytes).status, IsVerificationFailure());
  other.request() = exchange_.request();
  for (const std::optional<Version>& version :
       {std::optional<Version>(), std::optional<Version>(0), std::optional<Version>(1),
        std::optional<Version>(2), std::optional<Version>(4), std::optional<Version>(~0u)}) {
    if (version == exchange_.request().version) continue;
    // The absence of a label is that of its version 0.
    if (is_absence() && version == Version{0}) continue;
    other.request().version = version;
    EXPECT_THAT(other.Verify(bytes).status, IsVerificationFailure()) << version.value_or(999);
  }
}

TEST_P(Reject, ALabelOfMoreThan255Bytes) {
  const Bytes bytes = exchange_.HonestBytes();
  exchange_.request().label.resize(256);
  EXPECT_THAT(exchange_.Verify(bytes).status, StatusIs(absl::StatusCode::kInvalidArgument));
}

// A mistake of the caller's, not of the log's.
TEST_P(Reject, ARequestThatDoesNotFitTheState) {
  const Bytes bytes = exchange_.HonestBytes();
  for (const std::optional<TreeSize>& last :
       {std::optional<TreeSize>(), std::optional<TreeSize>(3), std::optional<TreeSize>(4),
        std::optional<TreeSize>(7)}) {
    if (last == exchange_.request().last) continue;
    Exchange other(GetParam());
    other.request().last = last;
    const absl::Status status = other.Verify(bytes).status;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_FALSE(base::IsVerificationFailure(status));
  }
}

// --- another configuration ---------------------------------------------------------------

TEST_P(Reject, AnotherConfiguration) {
  TestLogOptions other_keys = Exchange::Options(GetParam());
  other_keys.seed = 2;
  const TestLog other(other_keys);
  const Configuration config = exchange_.log().config();
  const auto expect_refused = [&](const char* what, const std::function<void(Configuration&)>& f) {
    Configuration changed = config;
    f(changed);
    ASSERT_NE(changed, config);
    // `same` presents no signed head: what it says is tied to the retained one.
    const absl::Status status = exchange_.StatusUnder(changed);
    EXPECT_TRUE(GetParam().user == User::kUpToDate || base::IsVerificationFailure(status))
        << what << ": " << status;
  };
  expect_refused("log key", [&](Configuration& c) {
    c.signature_public_key = other.config().signature_public_key;
  });
  expect_refused("VRF key",
                 [&](Configuration& c) { c.vrf_public_key = other.config().vrf_public_key; });
  expect_refused("max_ahead", [](Configuration& c) { c.max_ahead += 1; });
  expect_refused("max_behind", [](Configuration& c) { c.max_behind += 1; });
  for (const uint64_t window_ms : {0, 249, 251, 1'000'000}) {
    expect_refused("window", [&](Configuration& c) { c.reasonable_monitoring_window = window_ms; });
  }
  for (const uint64_t lifetime_ms : {300, 1'000'000}) {
    expect_refused("lifetime", [&](Configuration& c) { c.maximum_lifetime = lifetime_ms; });
  }
  if (config.mode == DeploymentMode::kThirdPartyManagement) {
    expect_refused("leaf key",
                   [&](Configuration& c) { c.leaf_public_key = other.config().leaf_public_key; });
  } else {
    expect_refused("management", [&](Configuration& c) {
      c.mode = DeploymentMode::kThirdPartyManagement;
      c.leaf_public_key = exchange_.log().keys().leaf->public_key();
      c.max_auditor_lag = c.auditor_start_pos = 0;
      c.auditor_public_key.clear();
    });
  }
  if (config.mode == DeploymentMode::kThirdPartyAuditing) {
    expect_refused("auditor key", [&](Configuration& c) {
      c.auditor_public_key = other.config().auditor_public_key;
    });
    expect_refused("auditor lag", [](Configuration& c) { c.max_auditor_lag += 1; });
    expect_refused("auditor start", [](Configuration& c) { c.auditor_start_pos += 1; });
  } else {
    expect_refused("auditing", [&](Configuration& c) {
      c.mode = DeploymentMode::kThirdPartyAuditing;
      c.auditor_public_key = exchange_.log().keys().auditor->public_key();
      c.leaf_public_key.clear();
      c.max_auditor_lag = 1'000'000;
    });
  }
}

// Also for a user whose head is presented as `same`: the VRF key is always used, and so is the
// operator's key over values.
TEST_P(Reject, AnotherVrfOrLeafKey) {
  TestLogOptions other_keys = Exchange::Options(GetParam());
  other_keys.seed = 2;
  const TestLog other(other_keys);
  Configuration config = exchange_.log().config();
  config.vrf_public_key = other.config().vrf_public_key;
  // The operator's signature covers the configuration too, and is checked first.
  const bool signed_value = config.mode == DeploymentMode::kThirdPartyManagement && !is_absence();
  EXPECT_THAT(exchange_.StatusUnder(config),
              FailsCheck(signed_value ? "update-signature" : "vrf-proof"));
  if (config.mode != DeploymentMode::kThirdPartyManagement || is_absence()) return;
  config = exchange_.log().config();
  config.leaf_public_key = other.config().leaf_public_key;
  EXPECT_THAT(exchange_.StatusUnder(config), FailsCheck("update-signature"));
}

// --- the clock ---------------------------------------------------------------------------

TEST_P(Reject, TimesBeyondTheExactBounds) {
  const auto verifier = ResponseVerifier::Create(exchange_.log().config()).value();
  const Bytes bytes = exchange_.HonestBytes();
  const auto at = [&](uint64_t now_ms) {
    return exchange_.Verify(bytes, *verifier, now_ms).status;
  };
  const Configuration& config = exchange_.log().config();
  EXPECT_THAT(at(kNowMs + config.max_behind), IsOk());
  EXPECT_THAT(at(kNowMs + config.max_behind + 1), FailsCheck("timestamp-bounds"));
  EXPECT_THAT(at(kNowMs - config.max_ahead), IsOk());
  EXPECT_THAT(at(kNowMs - config.max_ahead - 1), FailsCheck("timestamp-bounds"));
}

// --- other operations' answers -----------------------------------------------------------

TEST_P(Reject, AnAnswerToAnotherKindOfUser) {
  for (const User user : {User::kFresh, User::kReturning, User::kUpToDate}) {
    if (user == GetParam().user) continue;
    Scenario scenario = GetParam();
    scenario.user = user;
    EXPECT_THAT(exchange_.Verify(Exchange(scenario).HonestBytes()).status, IsVerificationFailure())
        << Describe(scenario);
  }
}

}  // namespace
}  // namespace kt::core
