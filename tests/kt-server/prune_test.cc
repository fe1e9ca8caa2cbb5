// SPDX-License-Identifier: Apache-2.0
//
// A log that is pruned at random moments, in pieces and across crashes, and its twin that never is:
// whatever the twin can still be asked, both answer alike.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "kt-core/credential.h"
#include "kt-core/distinguished.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/update.h"
#include "kt-server/audit_service.h"
#include "kt-server/eraser.h"
#include "kt-server/event_log.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/pruner.h"
#include "kt-server/search_service.h"
#include "kt-server/update_service.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/kt-server/store_test_util.h"
#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::SeededRandom;
using ::kt::testing::StatusIs;
using ::kt::testing::TempDir;

constexpr auto kExpired = absl::StatusCode::kOutOfRange;
constexpr uint64_t kLifetimeMs = 5'000;  // the fixture's Reasonable Monitoring Window is 1 s

PrunerOptions TestOptions(size_t rows_per_step = 50) {
  return {.interval_ms = 100, .rows_per_step = rows_per_step, .pause_ms = 0};
}

std::string LabelAt(size_t index) { return std::string(1, static_cast<char>('a' + index)) + "@x"; }

// The answer to `request` of one of the services, verified or not.
using Answer = absl::StatusOr<base::Bytes>;

struct Services {
  explicit Services(const TransparencyLog& log) : search(log), monitoring(log) {}
  Answer Search(const core::SearchRequest& request) const {
    auto answer = search.Search(base::codec::Encode(request));
    if (!answer.ok()) return answer.status();
    base::Bytes bytes = std::move(answer->response);
    bytes.push_back(answer->found ? 1 : 0);
    return bytes;
  }
  static Answer Body(absl::StatusOr<MonitoringAnswer> answer) {
    if (!answer.ok()) return answer.status();
    return std::move(answer->response);
  }

  SearchService search;
  MonitoringService monitoring;
};

class TwinTest : public ::testing::TestWithParam<std::tuple<core::CipherSuite, bool, uint64_t>> {
 protected:
  TwinTest()
      : random_(std::get<2>(GetParam())),
        pruned_(suite(), core::DeploymentMode::kContactMonitoring, kLifetimeMs,
                [this] { return OpenStore(); }),
        twin_(suite(), core::DeploymentMode::kContactMonitoring, kLifetimeMs) {}

  static core::CipherSuite suite() { return std::get<0>(GetParam()); }
  static bool on_disk() { return std::get<1>(GetParam()); }
  // Signatures of this suite have no randomness, so that whole answers can be compared.
  static bool deterministic() { return suite() == core::CipherSuite::kEd25519; }

  std::unique_ptr<Store> OpenStore() {
    if (!on_disk()) return CreateMemoryStore();
    auto store = OpenRocksDbStore({.path = dir_.path("db"), .create_if_missing = true});
    KT_CHECK(store.ok());
    return *std::move(store);
  }

  void Grow() {
    const uint64_t step_ms = random_.Below(8) == 0 ? 3'000 : random_.Below(700);
    for (LogFixture* fixture : {&pruned_, &twin_}) fixture->clock().Advance(step_ms);
    NewEntry entry{pruned_.clock().NowMs(), {}};
    for (uint64_t i = random_.Below(3); i > 0; --i) {
      const std::string label = LabelAt(random_.Below(4));
      const base::Version version = greatest_.contains(label) ? greatest_[label] + 1 : 0;
      greatest_[label] = version;
      const std::string value = "value " + std::to_string(version) + " of " + label;
      entry.versions.push_back({base::ToBytes(label), version, {base::ToBytes(value), {}}});
      positions_[label].push_back(size());
    }
    for (LogFixture* fixture : {&pruned_, &twin_}) {
      ASSERT_THAT(fixture->log().Append({&entry, 1}), IsOk());
    }
  }

  base::TreeSize size() {
    const auto state = twin_.log().newest();
    return state == nullptr ? 0 : state->size();
  }
  base::LogPosition horizon() { return pruned_.log().current()->snapshot().horizon(); }

  // A whole run, or a few steps of one and then a crash.
  void PruneSomehow() {
    if (random_.Below(2) == 0) {
      Pruner pruner(TestOptions(1 + random_.Below(60)), pruned_.log(), pruned_.store(),
                    pruned_.clock(), [](const Pruner::Report&) {});
      const Pruner::Report report = pruner.Run();
      ASSERT_THAT(report.status, IsOk());
      rows_deleted_ += report.rows_deleted;
    } else {
      ASSERT_OK_AND_ASSIGN(const base::LogPosition horizon,
                           PruneHorizon(pruned_.config(), *pruned_.log().current()));
      ASSERT_THAT(pruned_.store().SetHorizon(horizon), IsOk());
      for (uint64_t steps = random_.Below(5); steps > 0; --steps) {
        ASSERT_THAT(pruned_.store().PruneSome(1 + random_.Below(20)), IsOk());
      }
      if (random_.Below(2) == 0) {
        ASSERT_THAT(pruned_.log().Renew(), IsOk());
      }
    }
    if (random_.Below(2) == 0) {
      ASSERT_THAT(on_disk() ? pruned_.ReopenStore() : pruned_.Reopen(), IsOk());
    }
  }

  // Both answers are alike; the pruned log may say that what is asked for has expired only if
  // `may_expire`. Returns whether it answered.
  bool Compare(const Answer& pruned, const Answer& twin, bool may_expire) {
    if (pruned.status().code() == kExpired && (may_expire || twin.ok())) {
      EXPECT_TRUE(may_expire) << std::string(pruned.status().message());
      return false;
    }
    EXPECT_EQ(pruned.status().code(), twin.status().code())
        << std::string(pruned.status().message()) << " / " << std::string(twin.status().message());
    if (!pruned.ok() || !twin.ok()) return false;
    if (deterministic()) {
      EXPECT_EQ(base::ToHex(*pruned), base::ToHex(*twin));
    } else {
      EXPECT_EQ(pruned->size(), twin->size());
    }
    return true;
  }

  void CheckSearch(const core::UserState* user, const std::string& label,
                   std::optional<base::Version> version) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    request.version = version;
    if (user != nullptr) request.last = user->tree_size();
    const Answer answer = Services(pruned_.log()).Search(request);
    const bool returns_from_before = user != nullptr && user->tree_size() < horizon();
    if (!Compare(answer, Services(twin_.log()).Search(request), returns_from_before)) {
      expired_ += answer.status().code() == kExpired ? 1 : 0;
      return;
    }
    ++answered_;
    const base::ByteView body = base::ByteView(*answer).first(answer->size() - 1);
    const uint64_t now_ms = pruned_.clock().NowMs();
    if (answer->back() == 1) {
      const auto verified = pruned_.verifier().VerifySearch(request, body, user, now_ms);
      ASSERT_THAT(verified, IsOk());
      EXPECT_EQ(base::ToText(verified->value),
                "value " + std::to_string(verified->version) + " of " + label);
      if (user == nullptr && !version.has_value()) users_.push_back(verified->state);
    } else {
      const auto verified = pruned_.verifier().VerifyAbsence(request, body, user, now_ms);
      ASSERT_THAT(verified, IsOk());
    }
  }

  void CheckSearches() {
    std::vector<const core::UserState*> users = {nullptr};
    const std::vector<core::UserState> retained = users_;  // users_ may grow
    for (int i = 0; i < 3 && !retained.empty(); ++i) {
      users.push_back(&retained[random_.Below(retained.size())]);
    }
    for (const core::UserState* user : users) {
      for (size_t i = 0; i < 5; ++i) {  // one label more than there are
        const std::string label = LabelAt(i);
        CheckSearch(user, label, std::nullopt);
        const base::Version end = greatest_.contains(label) ? greatest_[label] + 2 : 1;
        for (base::Version version = 0; version < end; ++version) {
          CheckSearch(user, label, version);
        }
      }
    }
  }

  bool IsExpired(base::LogPosition position) {
    const auto state = twin_.log().current();
    return *state->Timestamp(state->size() - 1) - *state->Timestamp(position) >= kLifetimeMs;
  }

  // Updates without values from each version on; those of unexpired entries must be told.
  void CheckUpdates() {
    for (const auto& [label, positions] : positions_) {
      for (size_t known = 0; known < positions.size(); ++known) {
        core::UpdateRequest request;
        request.label = base::ToBytes(label);
        if (known > 0) request.greatest_version = static_cast<base::Version>(known - 1);
        const auto answer = [&](TransparencyLog& log) -> Answer {
          auto made = UpdateService(log).Answer(request, std::nullopt);
          // Expired, in the words of this call.
          if (absl::IsAborted(made.status())) return absl::OutOfRangeError("expired");
          if (!made.ok()) return made.status();
          return std::move(made->response);
        };
        Compare(answer(pruned_.log()), answer(twin_.log()), IsExpired(positions[known]));
      }
      // Nothing is published for one who could not be shown its insertion.
      core::UpdateRequest create;
      create.label = base::ToBytes(label);
      create.greatest_version = static_cast<base::Version>(positions.size() - 1);
      create.values.resize(1);
      for (const base::TreeSize last : {horizon(), horizon() - 1}) {
        if (horizon() == 0) break;
        create.last = last;
        const auto decision = UpdateService(pruned_.log()).Decide(create);
        EXPECT_EQ(absl::IsAborted(decision.status()), last < horizon()) << decision.status();
        EXPECT_TRUE(decision.ok() || last < horizon()) << decision.status();
      }
    }
  }

  void CheckMonitoring() {
    const Services pruned(pruned_.log());
    const Services twin(twin_.log());
    const auto ask = [&](auto method, const base::Bytes& request, bool may_expire) {
      return Compare(Services::Body((pruned.monitoring.*method)(request, nullptr)),
                     Services::Body((twin.monitoring.*method)(request, nullptr)), may_expire);
    };
    EXPECT_TRUE(ask(&MonitoringService::Distinguished,
                    base::codec::Encode(core::DistinguishedRequest()), false));
    for (const auto& [label, positions] : positions_) {
      for (base::Version version = 0; version < positions.size(); ++version) {
        const base::LogPosition position = positions[version];
        const core::ContactMonitorRequest contact{
            std::nullopt, base::ToBytes(label), {{position, version}}};
        ask(&MonitoringService::ContactMonitor, base::codec::Encode(contact), IsExpired(position));
        const core::OwnerMonitorRequest owner{std::nullopt,
                                              base::ToBytes(label),
                                              {},
                                              position,
                                              static_cast<base::Version>(positions.size() - 1)};
        ask(&MonitoringService::OwnerMonitor, base::codec::Encode(owner), IsExpired(position));
      }
      for (base::LogPosition start = 0; start < size(); ++start) {
        const core::OwnerInitRequest init{std::nullopt, base::ToBytes(label), start};
        const Answer answer =
            Services::Body(pruned.monitoring.OwnerInit(base::codec::Encode(init)));
        const Answer other = Services::Body(twin.monitoring.OwnerInit(base::codec::Encode(init)));
        // What has expired is no starting position, by whichever of the two names.
        if (IsExpired(start)) {
          EXPECT_FALSE(answer.ok());
          EXPECT_FALSE(other.ok());
          EXPECT_NE(answer.status().code(), absl::StatusCode::kInternal);
        } else {
          Compare(answer, other, false);
        }
      }
    }
  }

  void CheckCredentialUpdates() {
    const auto state = twin_.log().current();
    for (const auto& [label, positions] : positions_) {
      const auto version = static_cast<base::Version>(positions.size() - 1);
      for (base::LogPosition distinguished = positions.back(); distinguished < size();
           ++distinguished) {
        const core::CredentialUpdateRequest request{base::ToBytes(label), version, positions.back(),
                                                    positions.back() + 1, distinguished};
        const base::Bytes encoded = base::codec::Encode(request);
        Compare(Services::Body(MonitoringService(pruned_.log()).UpdateCredential(encoded)),
                Services::Body(MonitoringService(twin_.log()).UpdateCredential(encoded)),
                IsExpired(positions.back()));
      }
    }
  }

  TempDir dir_;
  SeededRandom random_;
  LogFixture pruned_;
  LogFixture twin_;
  std::map<std::string, base::Version> greatest_;
  std::map<std::string, std::vector<base::LogPosition>> positions_;  // of each version
  std::vector<core::UserState> users_;
  uint64_t rows_deleted_ = 0;
  int answered_ = 0;
  int expired_ = 0;
};

TEST_P(TwinTest, AnswersWhatTheTwinAnswers) {
  SCOPED_TRACE(std::get<2>(GetParam()));
  for (int step = 0; step < 70 && !HasFailure(); ++step) {
    Grow();
    if (random_.Below(4) == 0) PruneSomehow();
    if (random_.Below(5) != 0) continue;
    SCOPED_TRACE(step);
    CheckSearches();
    CheckUpdates();
    CheckMonitoring();
    CheckCredentialUpdates();
  }
  EXPECT_GT(horizon(), 10u);
  EXPECT_GT(rows_deleted_, 0u);
  EXPECT_GT(answered_, 100);
  EXPECT_GT(expired_, 10);
}

std::string TwinName(const ::testing::TestParamInfo<TwinTest::ParamType>& info) {
  return std::string(std::get<0>(info.param) == core::CipherSuite::kEd25519 ? "Ed25519" : "P256") +
         (std::get<1>(info.param) ? "OnDisk" : "InMemory") +
         std::to_string(std::get<2>(info.param));
}
INSTANTIATE_TEST_SUITE_P(
    InMemory, TwinTest,
    ::testing::Combine(::testing::Values(core::CipherSuite::kEd25519), ::testing::Values(false),
                       ::testing::Range(testing::TestSeed(1), testing::TestSeed(1) + 6)),
    TwinName);
INSTANTIATE_TEST_SUITE_P(
    OnDisk, TwinTest,
    ::testing::Combine(::testing::Values(core::CipherSuite::kEd25519, core::CipherSuite::kP256),
                       ::testing::Values(true),
                       ::testing::Range(testing::TestSeed(1), testing::TestSeed(1) + 2)),
    TwinName);

// --- the horizon -----------------------------------------------------------------------------

class HorizonTest : public ::testing::Test {
 protected:
  base::LogPosition Horizon(LogFixture& fixture) {
    const auto horizon = PruneHorizon(fixture.config(), *fixture.log().current());
    KT_CHECK(horizon.ok());
    return *horizon;
  }
  // Entries a second apart.
  static void Grow(LogFixture& fixture, int entries) {
    for (int i = 0; i < entries; ++i) {
      fixture.clock().Advance(1'000);
      ASSERT_THAT(fixture.AddEmpty(), IsOk());
    }
  }
};

TEST_F(HorizonTest, LeavesTheLifetimeAndOneWindow) {
  LogFixture fixture(core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring,
                     kLifetimeMs);
  Grow(fixture, 6);
  EXPECT_EQ(Horizon(fixture), 0u) << "the first entry is as old as the lifetime, but no older";
  Grow(fixture, 1);
  EXPECT_EQ(Horizon(fixture), 1u) << "exactly lifetime and window old";
  Grow(fixture, 13);
  EXPECT_EQ(Horizon(fixture), 14u);
}

TEST_F(HorizonTest, AfterALongSilenceOnlyTheNewestEntryStays) {
  LogFixture fixture(core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring,
                     kLifetimeMs);
  Grow(fixture, 5);
  fixture.clock().Advance(1'000'000);
  ASSERT_THAT(fixture.AddEmpty(), IsOk());
  EXPECT_EQ(Horizon(fixture), 5u);
}

TEST_F(HorizonTest, WithoutALifetimeNothingIsPruned) {
  LogFixture fixture;
  Grow(fixture, 50);
  EXPECT_EQ(Horizon(fixture), 0u);
}

TEST_F(HorizonTest, AnImmenseLifetimeDoesNotOverflow) {
  LogFixture fixture(core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring,
                     std::numeric_limits<uint64_t>::max());
  Grow(fixture, 20);
  EXPECT_EQ(Horizon(fixture), 0u);
}

// --- audited logs ------------------------------------------------------------------------------

class AuditedPruneTest : public HorizonTest {
 protected:
  AuditedPruneTest()
      : fixture_(core::CipherSuite::kEd25519, core::DeploymentMode::kThirdPartyAuditing,
                 kLifetimeMs) {}

  void Audit() { Audit(fixture_); }
  static void Audit(LogFixture& fixture) {
    const base::TreeSize size = fixture.log().newest()->size();
    ASSERT_THAT(fixture.log().SubmitAuditorHead(fixture.AuditorHead(size)), IsOk());
  }
  void Prune() {
    Pruner pruner(TestOptions(), fixture_.log(), fixture_.store(), fixture_.clock(),
                  [](const Pruner::Report&) {});
    ASSERT_THAT(pruner.Run().status, IsOk());
  }
  LogFixture fixture_;
};

TEST_F(AuditedPruneTest, KeepsWhatTheAuditorHasNotTaken) {
  Grow(fixture_, 10);
  Audit();
  Grow(fixture_, 20);
  // Users are shown the log as the auditor has last seen it, more or less.
  EXPECT_LE(Horizon(fixture_), 9u);
  Prune();
  const auto state = fixture_.log().newest();
  EXPECT_THAT(AuditService::MakeUpdates(*state, 10, 20), IsOk());
}

// Users are shown entries that the auditor has not seen for as long as max_auditor_lag allows; here
// that is longer than what a log keeps.
TEST_F(AuditedPruneTest, KeepsWhatAnAuditorWhoMayLagForLongHasNotTaken) {
  LogFixture fixture(core::CipherSuite::kEd25519, core::DeploymentMode::kThirdPartyAuditing,
                     kLifetimeMs, CreateMemoryStore, 10 * kLifetimeMs);
  Grow(fixture, 10);
  Audit(fixture);
  Grow(fixture, 30);
  ASSERT_EQ(fixture.log().current()->size(), 40u);
  EXPECT_EQ(Horizon(fixture), 9u) << "the update of entry 10 is proven from entry 9";
  Audit(fixture);
  EXPECT_EQ(Horizon(fixture), 34u) << "lifetime and window";
}

// Users are shown an older state, in which the value still is, since the auditor is late.
TEST_F(AuditedPruneTest, WhatIsErasedIsNotShownInAnOlderStateEither) {
  const std::string alice = "alice@x.example";
  ASSERT_THAT(fixture_.Add(alice, 0, "v0"), IsOk());
  ASSERT_THAT(fixture_.Add("bob@x.example", 0, "v0"), IsOk());
  Audit();
  Grow(fixture_, 20);
  const auto shown = fixture_.log().current();
  ASSERT_LT(shown->size(), fixture_.log().newest()->size());
  const SearchService service(fixture_.log());
  const auto search = [&](const std::string& label) {
    core::SearchRequest request;
    request.label = base::ToBytes(label);
    return service.Search(base::codec::Encode(request)).status();
  };
  ASSERT_THAT(search(alice), IsOk());
  EventLog events("error");
  Eraser eraser(fixture_.log(), fixture_.store(), events, fixture_.clock());
  ASSERT_OK_AND_ASSIGN(const ErasureReport report, eraser.Erase(alice, std::nullopt));
  EXPECT_EQ(report.erased, 1u);
  EXPECT_EQ(fixture_.log().current(), shown);
  EXPECT_THAT(search(alice), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(search("bob@x.example"), IsOk());
  Audit();
  EXPECT_THAT(search(alice), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(AuditedPruneTest, UpdatesFromBeforeTheHorizonHaveAClearStatus) {
  Grow(fixture_, 30);
  Audit();
  Prune();
  const auto state = fixture_.log().newest();
  const base::LogPosition horizon = state->snapshot().horizon();
  ASSERT_EQ(horizon, 24u);
  for (const base::LogPosition first : {base::LogPosition{0}, base::LogPosition{5}, horizon}) {
    EXPECT_THAT(AuditService::MakeUpdates(*state, first, 1), StatusIs(kExpired)) << first;
  }
  EXPECT_THAT(AuditService::MakeUpdates(*state, horizon + 1, 30 - horizon - 1), IsOk());
  // An auditor can begin at the horizon, and go on from there.
  AuditService service(fixture_.log());
  for (base::TreeSize size = 1; size <= 30; ++size) {
    const auto start = service.Start(size);
    if (size < horizon) {
      EXPECT_THAT(start, StatusIs(kExpired)) << size;
    } else {
      EXPECT_THAT(start, IsOk()) << size;
    }
  }
  EXPECT_THAT(service.Start(31), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(fixture_.log().SubmitAuditorHead(core::AuditorTreeHead{
                  .timestamp = 1, .tree_size = 4, .signature = base::Bytes(64)}),
              StatusIs(absl::StatusCode::kAlreadyExists))
      << "an auditor whose old state was restored must hear that it has signed more";
  ASSERT_THAT(fixture_.Reopen(), IsOk());
  EXPECT_NE(fixture_.log().current(), nullptr) << "the auditor's head is found again";
}

// --- the pruner --------------------------------------------------------------------------------

TEST_F(HorizonTest, ReadersOfAnOldStateAreNotDisturbed) {
  LogFixture fixture(core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring,
                     kLifetimeMs);
  ASSERT_THAT(fixture.Add("a@x", 0, "zero"), IsOk());
  Grow(fixture, 10);
  ASSERT_THAT(fixture.Add("a@x", 1, "one"), IsOk());
  const std::shared_ptr<const LogState> old = fixture.log().current();
  Grow(fixture, 30);
  Pruner pruner(TestOptions(), fixture.log(), fixture.store(), fixture.clock(),
                [](const Pruner::Report&) {});
  const Pruner::Report report = pruner.Run();
  ASSERT_THAT(report.status, IsOk());
  EXPECT_GT(report.rows_deleted, 50u);
  // All that the old state could be asked, it still answers.
  for (base::LogPosition position = 0; position < old->size(); ++position) {
    EXPECT_THAT(old->Timestamp(position), IsOk());
    EXPECT_THAT(old->PrefixRoots(std::vector{position}), IsOk());
    EXPECT_THAT(old->ProvePrefix(std::vector{merkle::PrefixProofRequest{position, {}}}), IsOk());
  }
  // And the new one says what is gone.
  const std::shared_ptr<const LogState> now = fixture.log().current();
  EXPECT_THAT(now->Timestamp(0), StatusIs(kExpired));
  EXPECT_THAT(now->PrefixRoots(std::vector<base::LogPosition>{0}), StatusIs(kExpired));
  EXPECT_THAT(now->ProvePrefix(std::vector{merkle::PrefixProofRequest{report.horizon - 1, {}}}),
              StatusIs(kExpired));
  EXPECT_THAT(now->ReadLogNodes(std::vector{merkle::LogNodeId{0, 1}}), StatusIs(kExpired));
}

TEST_F(HorizonTest, RunsInTheBackgroundBesideReadersAndAWriter) {
  TempDir dir;
  LogFixture fixture(
      core::CipherSuite::kEd25519, core::DeploymentMode::kContactMonitoring, kLifetimeMs,
      [&] { return *OpenRocksDbStore({.path = dir.path("db"), .create_if_missing = true}); });
  ASSERT_THAT(fixture.Add("a@x", 0, "v0"), IsOk());
  std::atomic<uint64_t> rows = 0;
  std::atomic<bool> failed = false;
  std::atomic<bool> done = false;
  Pruner pruner({.interval_ms = 1, .rows_per_step = 20, .pause_ms = 0}, fixture.log(),
                fixture.store(), fixture.clock(), [&](const Pruner::Report& report) {
                  rows += report.rows_deleted;
                  if (!report.status.ok()) failed = true;
                });
  pruner.Start();
  std::thread reader([&] {
    const SearchService search(fixture.log());
    core::SearchRequest request;
    request.label = base::ToBytes("a@x");
    while (!done) {
      const auto answer = search.Search(base::codec::Encode(request));
      EXPECT_THAT(answer, IsOk());
      if (!answer.ok()) break;
      EXPECT_THAT(fixture.verifier().VerifySearch(request, answer->response, nullptr,
                                                  fixture.clock().NowMs()),
                  IsOk());
    }
  });
  for (base::Version version = 1; version < 120; ++version) {
    fixture.clock().Advance(300);
    ASSERT_THAT(fixture.Add("a@x", version, "v" + std::to_string(version)), IsOk());
  }
  for (int i = 0; i < 500 && rows < 100; ++i) absl::SleepFor(absl::Milliseconds(20));
  done = true;
  reader.join();
  pruner.Stop();
  EXPECT_FALSE(failed);
  EXPECT_GE(rows, 100u);
}

}  // namespace
}  // namespace kt::server
