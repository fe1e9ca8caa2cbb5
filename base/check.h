// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_CHECK_H_
#define BASE_CHECK_H_

namespace kt::base {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace kt::base

// Aborts when one of our own invariants does not hold; stays on in release builds.
// Never for data that a peer, a user or a disk can influence: those get a status.
#define KT_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::kt::base::CheckFailed(__FILE__, __LINE__, #condition))

#endif  // BASE_CHECK_H_
