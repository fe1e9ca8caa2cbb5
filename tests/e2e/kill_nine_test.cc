// SPDX-License-Identifier: Apache-2.0
//
// kill -9 of the server under publishing load, many times: every acknowledged version is there
// afterwards, and no two heads of one size exist.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "base/clock.h"
#include "kt-core/response_verifier.h"
#include "merkle/log_tree.h"
#include "proto/kt.grpc.pb.h"
#include "smime/certificate_set.h"
#include "tests/e2e/deployment.h"
#include "tests/e2e/publisher.h"
#include "tests/support/fakes.h"

namespace kt::testing {
namespace {

constexpr int kKills = 50;
constexpr int kEpochMs = 10;

// What a publisher was told: address -> version -> the certificate it published.
class Acknowledged {
 public:
  void Add(const std::string& address, uint32_t version, const base::Bytes& der) {
    std::lock_guard lock(mutex_);
    ders_[address][version] = der;
    ++count_;
  }
  std::map<std::string, std::map<uint32_t, base::Bytes>> all() const {
    std::lock_guard lock(mutex_);
    return ders_;
  }
  size_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::map<uint32_t, base::Bytes>> ders_;
  size_t count_ = 0;
};

class KillNine : public ::testing::Test {
 protected:
  KillNine() : deployment_("ed25519", kEpochMs) {
    deployment_.SetLimit("requests_per_second", "1000000");
    deployment_.SetLimit("publishes_per_second", "1000000");
  }

  // Publishes until the server dies.
  void PublishLoop(const std::string& who) {
    Publisher publisher(deployment_, who);
    for (;;) {
      const auto published = publisher.Publish();
      if (!published.ok()) return;
      acknowledged_.Add(publisher.address(), published->version, published->der);
    }
  }

  // A verified search of a version that was acknowledged, by a user in state `state`, which holds
  // on to what she saw (or has seen nothing).
  void Check(v1::KeyTransparency::Stub& stub, const std::string& address, uint32_t version,
             const base::Bytes& der, std::optional<core::UserState>* state) {
    core::SearchRequest request;
    request.label = base::ToBytes(address);
    request.version = version;
    if (state->has_value()) request.last = (*state)->tree_size();
    const base::Bytes encoded = base::codec::Encode(request);
    v1::SearchRequest body;
    body.set_request(encoded.data(), encoded.size());
    grpc::ClientContext context;
    v1::SearchResponse response;
    const grpc::Status status = stub.Search(&context, body, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_TRUE(response.has_found()) << address << " version " << version << " is gone";
    const auto verified = verifier_->VerifySearch(request, base::AsBytes(response.found()),
                                                  state->has_value() ? &**state : nullptr,
                                                  base::SystemClock().NowMs());
    ASSERT_TRUE(verified.ok()) << verified.status();
    const auto set = smime::CertificateSet::Decode(verified->value);
    ASSERT_TRUE(set.ok()) << set.status();
    ASSERT_EQ(set->entries().size(), 1u);
    EXPECT_EQ(set->entries().front().der, der) << address << " version " << version;
    *state = verified->state;
    RecordHead(verified->state);
  }

  void RecordHead(const core::UserState& state) {
    const base::Hash root = merkle::LogRoot(state.tree_size(), state.full_subtrees);
    const auto [known, fresh] = roots_.try_emplace(state.tree_size(), root);
    EXPECT_EQ(known->second, root) << "two heads of size " << state.tree_size();
  }

  Deployment deployment_;
  Acknowledged acknowledged_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  std::optional<core::UserState> remembering_;  // of a user who was there all the time
  std::map<base::TreeSize, base::Hash> roots_;
};

TEST_F(KillNine, LosesNoAcknowledgedVersionAndSignsNoSecondHead) {
  const uint64_t seed = TestSeed(20260301);
  SCOPED_TRACE("KT_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  // The greatest version of each address that was found again so far.
  std::map<std::string, uint32_t> checked;
  for (int kill = 0; kill <= kKills; ++kill) {
    ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    if (verifier_ == nullptr) verifier_ = VerifierOf(deployment_);
    // Everything acknowledged before the kill; in the last round, everything ever.
    const auto stub = v1::KeyTransparency::NewStub(ConnectTo(deployment_));
    for (const auto& [address, versions] : acknowledged_.all()) {
      auto first = kill == kKills ? versions.begin() : versions.upper_bound(checked[address]);
      for (; first != versions.end(); ++first) {
        Check(*stub, address, first->first, first->second, &remembering_);
        if (HasFatalFailure()) return;
        checked[address] = first->first;
      }
      std::optional<core::UserState> nothing;
      Check(*stub, address, versions.rbegin()->first, versions.rbegin()->second, &nothing);
    }
    if (kill == kKills) break;
    std::vector<std::thread> publishers;
    for (const char* who : {"alice", "bob", "carlos", "dana"}) {
      publishers.emplace_back([this, who] { PublishLoop(who); });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(40 + random() % 120));
    deployment_.server().Signal(SIGKILL);
    EXPECT_EQ(deployment_.server().Wait(), 128 + SIGKILL);
    for (std::thread& publisher : publishers) publisher.join();
  }
  std::cout << acknowledged_.count() << " acknowledged versions, " << roots_.size()
            << " tree heads, " << kKills << " kills\n";
  EXPECT_GT(acknowledged_.count(), static_cast<size_t>(kKills));
  EXPECT_GT(roots_.size(), 10u);
  deployment_.StopServer();
}

}  // namespace
}  // namespace kt::testing
