// SPDX-License-Identifier: Apache-2.0
#include "base/cpu.h"

#include <atomic>

#include "base/check.h"

namespace kt::base {
namespace {

enum class VectorPaths { kUndecided, kDisabled, kDecided };
std::atomic<VectorPaths> vector_paths = VectorPaths::kUndecided;

bool MachineHasAvx512Ifma() {
#if defined(__x86_64__)
  // These look at the register state that the operating system saves, too.
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

bool Decide() {
  VectorPaths expected = VectorPaths::kUndecided;
  vector_paths.compare_exchange_strong(expected, VectorPaths::kDecided);
  return expected != VectorPaths::kDisabled && MachineHasAvx512Ifma();
}

}  // namespace

bool HasAvx512Ifma() {
  static const bool has = Decide();
  return has;
}

void DisableVectorPaths() {
  VectorPaths expected = VectorPaths::kUndecided;
  KT_CHECK(vector_paths.compare_exchange_strong(expected, VectorPaths::kDisabled) ||
           expected == VectorPaths::kDisabled);
}

}  // namespace kt::base
