// SPDX-License-Identifier: Apache-2.0
//
// Which versions of a label are looked up to bound its greatest version:
// draft-ietf-keytrans-protocol, "Binary Ladder" and the appendix of that name.
#ifndef KT_CORE_BINARY_LADDER_H_
#define KT_CORE_BINARY_LADDER_H_

#include <vector>

#include "base/types.h"

namespace kt::core {

// The lookups, in order, that establish `greatest` as the greatest version. At most 64.
//
// Search ladders and monitoring ladders are made of these too: a search ladder for target t is the
// part of BaseBinaryLadder(t) up to the first outcome that decides (see SearchLadder in
// algorithms.h), since the two sequences agree until then.
std::vector<base::Version> BaseBinaryLadder(base::Version greatest);

// The lookups of a monitoring ladder: those of the base ladder up to `target`.
// "Monitoring the Tree / Binary Ladder".
std::vector<base::Version> MonitoringBinaryLadder(base::Version target);

}  // namespace kt::core
#endif  // KT_CORE_BINARY_LADDER_H_
