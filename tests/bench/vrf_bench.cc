// SPDX-License-Identifier: Apache-2.0
//
// What the verifiable random functions cost, by each implementation that this machine has: one
// thread, inputs of the size of a label-version. The times of Google Benchmark are of a batch,
// which for Verify/2 and Verify/4 is a search ladder; per_item is of one input, by CPU time.
//
//   vrf_bench --benchmark_filter=Ed25519/portable
#include <benchmark/benchmark.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tests/support/fakes.h"
#include "vrf/implementation.h"
#include "vrf/vrf.h"

namespace kt::vrf {
namespace {

using base::Bytes;

// More inputs than a batch, so that the mean number of attempts of try_and_increment is that of
// many inputs and not of a few lucky ones.
constexpr size_t kInputs = 256;
constexpr size_t kAlphaSize = 32;

struct Inputs {
  Inputs(Suite suite, Implementation implementation) {
    testing::SeededRandom random(1);
    auto created = CreateProver(suite, implementation, GenerateSecret(suite, random));
    KT_CHECK(created.ok());
    prover = *std::move(created);
    auto verifier_or = CreateVerifier(suite, implementation, prover->public_key());
    KT_CHECK(verifier_or.ok());
    verifier = *std::move(verifier_or);
    for (size_t i = 0; i < kInputs; ++i) {
      Bytes alpha(kAlphaSize);
      random.Fill(alpha);
      alphas.push_back(std::move(alpha));
    }
    proven = prover->Prove(alphas);
    for (size_t i = 0; i < kInputs; ++i) claims.push_back({alphas[i], proven[i].proof});
  }

  std::unique_ptr<Prover> prover;
  std::unique_ptr<Verifier> verifier;
  std::vector<Bytes> alphas;
  std::vector<ProvenOutput> proven;
  std::vector<Claim> claims;
};

// Calls `run` with batches of state.range(0) of `all` in turn.
template <typename T, typename Run>
void RunBatches(benchmark::State& state, const std::vector<T>& all, Run run) {
  const size_t batch = static_cast<size_t>(state.range(0));
  KT_CHECK(all.size() % batch == 0);
  size_t next = 0;
  for (auto _ : state) {
    run(std::span<const T>(all).subspan(next, batch));
    next = (next + batch) % all.size();
  }
  state.counters["per_item"] =
      benchmark::Counter(static_cast<double>(batch), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
}

void Evaluate(benchmark::State& state, const Inputs& inputs) {
  RunBatches(state, inputs.alphas, [&](std::span<const Bytes> alphas) {
    benchmark::DoNotOptimize(inputs.prover->Evaluate(alphas));
  });
}

void Prove(benchmark::State& state, const Inputs& inputs) {
  RunBatches(state, inputs.alphas, [&](std::span<const Bytes> alphas) {
    benchmark::DoNotOptimize(inputs.prover->Prove(alphas));
  });
}

void Verify(benchmark::State& state, const Inputs& inputs) {
  RunBatches(state, inputs.claims, [&](std::span<const Claim> claims) {
    KT_CHECK(inputs.verifier->Verify(claims).ok());
  });
}

void Register() {
  constexpr std::pair<Suite, const char*> kSuites[] = {{Suite::kP256Sha256Tai, "P256"},
                                                       {Suite::kEdwards25519Sha512Tai, "Ed25519"}};
  for (const auto& [suite, suite_name] : kSuites) {
    for (Implementation implementation :
         {Implementation::kLibrary, Implementation::kPortable, Implementation::kAvx512Ifma}) {
      if (!IsAvailable(suite, implementation)) continue;
      const auto inputs = std::make_shared<const Inputs>(suite, implementation);
      const std::string name =
          std::string(suite_name) + "/" + std::string(ImplementationName(implementation));
      const auto add = [&](const char* operation, auto function) {
        return benchmark::RegisterBenchmark(
            (operation + ("/" + name)).c_str(),
            [=](benchmark::State& state) { function(state, *inputs); });
      };
      add("Evaluate", Evaluate)->Arg(1)->Arg(64);
      add("Prove", Prove)->Arg(1)->Arg(64);
      add("Verify", Verify)->Arg(1)->Arg(2)->Arg(4)->Arg(64);
    }
  }
}

}  // namespace
}  // namespace kt::vrf

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  kt::vrf::Register();
  benchmark::RunSpecifiedBenchmarks();
}
