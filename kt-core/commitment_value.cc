// SPDX-License-Identifier: Apache-2.0
#include "kt-core/commitment_value.h"

#include "base/commitment.h"
#include "base/status.h"

namespace kt::core {

absl::StatusOr<Hash> CommitTo(const Configuration& config, const Opening& opening, ByteView label,
                              Version version, const UpdateValue& update) {
  const CommitmentValue value{opening, base::ToBytes(label), version, update};
  KT_ASSIGN_OR_RETURN(const Bytes encoded, codec::TryEncode(value, WireContext::For(config)));
  return base::Commit(encoded);
}

absl::StatusOr<Bytes> EncodeVrfInput(ByteView label, Version version) {
  return codec::TryEncode(VrfInput{base::ToBytes(label), version});
}

}  // namespace kt::core
