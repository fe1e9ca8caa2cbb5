// SPDX-License-Identifier: Apache-2.0
//
// What it costs to encode and decode the structures that travel, and to hash as both trees do.
//
//   codec_bench --benchmark_filter=Decode
#include <benchmark/benchmark.h>

#include <string>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "kt-core/response_verifier.h"
#include "smime/certificate_set.h"
#include "tests/support/fakes.h"
#include "tests/support/test_log.h"

namespace kt::core {
namespace {

constexpr base::TreeSize kEntries = 500;
constexpr size_t kValueSize = 2'048;

// A greatest-version search in a log of 500 entries by a user who knows nothing of it.
struct Sample {
  Sample() : log({}) {
    testing::SeededRandom random(1);
    for (base::TreeSize i = 0; i < kEntries; ++i) {
      std::string value(kValueSize, 'c');
      log.Append(1'000 * (i + 1), {{"user" + std::to_string(i) + "@bench.example", value}});
    }
    request.label = base::ToBytes("user77@bench.example");
    auto found = log.SearchResponse(request);
    KT_CHECK(found.ok());
    response = *std::move(found);
    encoded = base::codec::Encode(response, log.context(false));
  }
  testing::TestLog log;
  SearchRequest request;
  SearchResponse response;
  base::Bytes encoded;
};

const Sample& TheSample() {
  static const Sample sample;
  return sample;
}

void Report(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
  state.counters["bytes"] = static_cast<double>(bytes);
}

void BM_EncodeSearchResponse(benchmark::State& state) {
  const Sample& sample = TheSample();
  for (auto _ : state) {
    benchmark::DoNotOptimize(base::codec::Encode(sample.response, sample.log.context(false)));
  }
  Report(state, sample.encoded.size());
}
BENCHMARK(BM_EncodeSearchResponse);

void BM_DecodeSearchResponse(benchmark::State& state) {
  const Sample& sample = TheSample();
  for (auto _ : state) {
    auto decoded = base::codec::Decode<SearchResponse>(sample.encoded, sample.log.context(false));
    KT_CHECK(decoded.ok());
    benchmark::DoNotOptimize(decoded);
  }
  Report(state, sample.encoded.size());
}
BENCHMARK(BM_DecodeSearchResponse);

void BM_DecodeSearchRequest(benchmark::State& state) {
  const base::Bytes encoded = base::codec::Encode(TheSample().request);
  for (auto _ : state) {
    auto decoded = base::codec::Decode<SearchRequest>(encoded);
    KT_CHECK(decoded.ok());
    benchmark::DoNotOptimize(decoded);
  }
  Report(state, encoded.size());
}
BENCHMARK(BM_DecodeSearchRequest);

// A set of four certificates of 900 bytes; what is in them does not matter to the codec.
void BM_DecodeCertificateSet(benchmark::State& state) {
  smime::CertificateSet set;
  testing::SeededRandom random(2);
  std::vector<smime::CertificateEntry> entries(4);
  for (smime::CertificateEntry& entry : entries) {
    entry.der.resize(900);
    random.Fill(entry.der);
  }
  auto made = smime::CertificateSet::Create(std::move(entries));
  KT_CHECK(made.ok());
  const base::Bytes encoded = made->Encode();
  for (auto _ : state) {
    auto decoded = smime::CertificateSet::Decode(encoded);
    KT_CHECK(decoded.ok());
    benchmark::DoNotOptimize(decoded);
  }
  Report(state, encoded.size());
}
BENCHMARK(BM_DecodeCertificateSet);

void BM_Sha256(benchmark::State& state) {
  const base::Bytes data(static_cast<size_t>(state.range(0)), 7);
  for (auto _ : state) benchmark::DoNotOptimize(base::Sha256(data));
  Report(state, data.size());
}
BENCHMARK(BM_Sha256)->Arg(64)->Arg(2'048)->Arg(65'536);

}  // namespace
}  // namespace kt::core

BENCHMARK_MAIN();
