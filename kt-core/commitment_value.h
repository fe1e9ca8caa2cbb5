// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_COMMITMENT_VALUE_H_
#define KT_CORE_COMMITMENT_VALUE_H_

#include "kt-core/structures.h"

namespace kt::core {

// draft-ietf-keytrans-protocol, "Commitment". kInvalidArgument if `label` is over 255 bytes.
absl::StatusOr<Hash> CommitTo(const Configuration& config, const Opening& opening, ByteView label,
                              Version version, const UpdateValue& update);

// The encoded VrfInput of a label-version: "Verifiable Random Function". kInvalidArgument if
// `label` is over 255 bytes.
absl::StatusOr<Bytes> EncodeVrfInput(ByteView label, Version version);

inline constexpr size_t kMaxLabelSize = 255;

}  // namespace kt::core
#endif  // KT_CORE_COMMITMENT_VALUE_H_
