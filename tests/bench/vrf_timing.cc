// SPDX-License-Identifier: Apache-2.0
//
// Does the time of a proof tell of the secret? Runs the curve steps of each of our own
// implementations of Ed25519 with fixed and with random scalars, in random order, and compares the
// two populations of times by Welch's t-test, as dudect does: over all samples, and over those
// below a row of percentiles, since what interrupts a measurement only adds to it. |t| beyond 10 is
// a leak for certain, beyond 4.5 a reason to look; noise alone stays below.
//
//   vrf_timing [SAMPLES]
//
// A measurement, not a test: a busy machine hides small leaks. tests/vrf/ed25519_secret_tracking.cc
// proves the absence of branches.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "tests/support/fakes.h"
#include "vrf/ed25519_kernel.h"

namespace kt::vrf {
namespace {

using ed25519::AffineBytes;
using ed25519::Kernel;
using ed25519::PointBytes;

struct Sample {
  bool fixed;
  double ns;
};

// Mean and variance, one value after the other.
struct Population {
  void Add(double value) {
    ++count;
    const double delta = value - mean;
    mean += delta / count;
    squares += delta * (value - mean);
  }
  double count = 0;
  double mean = 0;
  double squares = 0;
};

double WelchT(const std::vector<Sample>& samples, double limit_ns) {
  std::array<Population, 2> populations;
  for (const Sample& sample : samples) {
    if (sample.ns <= limit_ns) populations[sample.fixed ? 1 : 0].Add(sample.ns);
  }
  const auto& [a, b] = populations;
  if (a.count < 100 || b.count < 100) return 0;
  const double variance = a.squares / (a.count - 1) / a.count + b.squares / (b.count - 1) / b.count;
  return variance > 0 ? (a.mean - b.mean) / std::sqrt(variance) : 0;
}

// The t that is farthest from 0, over the percentiles.
double WorstT(const std::vector<Sample>& samples) {
  std::vector<double> times;
  for (const Sample& sample : samples) times.push_back(sample.ns);
  std::sort(times.begin(), times.end());
  double worst = 0;
  for (double part : {0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0}) {
    const auto last = static_cast<size_t>(part * static_cast<double>(times.size() - 1));
    const double t = WelchT(samples, times[last]);
    if (std::abs(t) > std::abs(worst)) worst = t;
  }
  return worst;
}

struct Scalar {
  uint8_t bytes[32];
};

Scalar RandomScalar(testing::SeededRandom& random) {
  Scalar scalar;
  random.Fill(scalar.bytes);
  scalar.bytes[31] &= 0x0f;
  return scalar;
}

// Times `operation(scalar)` for the fixed scalar and for random ones.
template <typename Operation>
void Measure(const std::string& name, size_t samples, const Scalar& fixed, Operation operation) {
  testing::SeededRandom random(2);
  std::vector<Sample> measured;
  for (size_t i = 0; i < samples; ++i) {
    const Scalar other = RandomScalar(random);
    const bool is_fixed = random.Below(2) == 1;
    const Scalar scalar = is_fixed ? fixed : other;
    const auto start = std::chrono::steady_clock::now();
    operation(scalar.bytes);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    measured.push_back({is_fixed, took.count()});
  }
  std::printf("%-52s t = %7.2f\n", name.c_str(), WorstT(measured));
}

void MeasureKernel(const std::string& name, const Kernel& kernel, size_t samples) {
  // A point to multiply: one that some small ordinate decodes to, with its cofactor cleared.
  AffineBytes h{};
  uint8_t valid = 0;
  for (uint8_t y = 2; valid == 0; ++y) {
    PointBytes encoded{};
    encoded.bytes[0] = y;
    AffineBytes candidate;
    kernel.decode(&encoded, 1, &candidate, &valid);
    if (valid == 1) kernel.clear_cofactor(&candidate, 1, &h);
  }
  const Scalar zero = {};
  Scalar ones = {};
  for (uint8_t& byte : ones.bytes) byte = 0x11;
  testing::SeededRandom random(3);
  const Scalar other = RandomScalar(random);
  for (const auto& [scalar, scalar_name] :
       {std::pair{zero, "0"}, std::pair{ones, "0x11...11"}, std::pair{other, "some"}}) {
    const std::string against = std::string(" against scalar ") + scalar_name;
    Measure(name + " evaluate" + against, samples, scalar, [&](const uint8_t* x) {
      PointBytes out;
      kernel.evaluate(x, &h, 1, &out);
    });
    Measure(name + " prove, x" + against, samples, scalar, [&](const uint8_t* x) {
      ed25519::ProveInput input{h, {}};
      std::copy_n(other.bytes, sizeof(input.k), input.k);
      ed25519::ProveOutput out;
      kernel.prove(x, &input, 1, &out);
    });
    // Verification is not constant time where that helps: what a leak looks like.
    Measure(name + " control: verify, s" + against, samples, scalar, [&](const uint8_t* s) {
      ed25519::VerifyInput input{h, h, {}, {}};
      std::copy_n(s, sizeof(input.s), input.s);
      ed25519::VerifyOutput out;
      kernel.verify(h, &input, 1, &out);
    });
    Measure(name + " prove, k" + against, samples, scalar, [&](const uint8_t* k) {
      ed25519::ProveInput input{h, {}};
      std::copy_n(k, sizeof(input.k), input.k);
      ed25519::ProveOutput out;
      kernel.prove(other.bytes, &input, 1, &out);
    });
  }
}

}  // namespace
}  // namespace kt::vrf

int main(int argc, char** argv) {
  const size_t samples = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000;
  kt::vrf::MeasureKernel("portable", kt::vrf::ed25519::PortableKernel(), samples);
#if defined(KT_WITH_AVX512_IFMA)
  if (kt::base::HasAvx512Ifma()) {
    kt::vrf::MeasureKernel("avx512-ifma", kt::vrf::ed25519::Avx512IfmaKernel(), samples);
  }
#endif
}
