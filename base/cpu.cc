// SPDX-License-Identifier: Apache-2.0
#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

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

// Of the registers that every operating system saves.
bool MachineHasShaExtensions() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_SSE4_1) == 0) return false;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_SHA) != 0;
#else
  return false;
#endif
}

// From the first question on the answer stands.
bool MayUseVectorPaths() {
  VectorPaths expected = VectorPaths::kUndecided;
  vector_paths.compare_exchange_strong(expected, VectorPaths::kDecided);
  return expected != VectorPaths::kDisabled;
}

}  // namespace

bool HasAvx512Ifma() {
  static const bool has = MayUseVectorPaths() && MachineHasAvx512Ifma();
  return has;
}

bool HasShaExtensions() {
  static const bool has = MayUseVectorPaths() && MachineHasShaExtensions();
  return has;
}

void DisableVectorPaths() {
  VectorPaths expected = VectorPaths::kUndecided;
  KT_CHECK(vector_paths.compare_exchange_strong(expected, VectorPaths::kDisabled) ||
           expected == VectorPaths::kDisabled);
}

}  // namespace kt::base
