// SPDX-License-Identifier: Apache-2.0
//
// Comparing what two users were shown of one log, and proving to others that it has forked:
// draft-ietf-keytrans-protocol, "Walking Distinguished Heads / Detecting Forks", and
// docs/extensions.md, "Evidence of a fork".
#ifndef KT_CORE_DISTINGUISHED_FORKS_H_
#define KT_CORE_DISTINGUISHED_FORKS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "kt-core/configuration.h"
#include "kt-core/distinguished.h"
#include "kt-core/operations.h"
#include "kt-core/structures.h"

namespace kt::core {

// The root values to exchange: of what a user is aware of, in left-to-right order. At most 255, the
// rightmost ones.
DistinguishedHead ToDistinguishedHead(const DistinguishedState& aware);

enum class HeadComparison {
  kConsistent,       // the lists overlap, and agree wherever they do
  kFork,             // they share a root, and disagree beside it
  kNothingInCommon,  // no root is in both
};

// "Each list is either a prefix or a suffix of the other, having at least one root value in
// common", which also is asked of lists of different lengths: one may begin earlier, end later, or
// both. The draft takes everything but kConsistent for a failure.
HeadComparison CompareDistinguishedHeads(const DistinguishedHead& a, const DistinguishedHead& b);

// docs/extensions.md, "Evidence of a fork":
//
//   struct {
//     opaque configuration<0..2^16-1>;
//     uint8 recent_rightmost;
//     optional<uint64> recent_max_age;
//     DistinguishedRequest first_request;
//     opaque first_response<0..2^32-1>;
//     DistinguishedRequest second_request;
//     opaque second_response<0..2^32-1>;
//   } ForkEvidence;
struct ForkEvidence {
  Bytes configuration;  // an encoded Configuration
  uint8_t recent_rightmost = 0;
  std::optional<uint64_t> recent_max_age;
  DistinguishedRequest first_request;
  Bytes first_response;  // an encoded DistinguishedResponse
  DistinguishedRequest second_request;
  Bytes second_response;

  bool operator==(const ForkEvidence&) const = default;
  static constexpr auto Fields() {
    return codec::List(
        codec::Opaque<uint16_t>(&ForkEvidence::configuration), &ForkEvidence::recent_rightmost,
        &ForkEvidence::recent_max_age, &ForkEvidence::first_request,
        codec::Opaque<uint32_t>(&ForkEvidence::first_response), &ForkEvidence::second_request,
        codec::Opaque<uint32_t>(&ForkEvidence::second_response));
  }
};

// What evidence proves of the log with this configuration.
struct ForkFinding {
  Configuration config;
  TreeSize first_size = 0;  // of the two signed heads
  TreeSize second_size = 0;
  std::string contradiction;  // for people: what no honest log could have signed both of
};

// Checks encoded evidence offline, whatever its age: that both responses are completely proven and
// their heads are signed by the log's key, and that they cannot both be of one honest log. That is
// so if they give a balanced subtree of the log tree two values, or if one of them shows a log
// entry to be distinguished that the other shows not to be.
//
// A verification failure if the evidence proves nothing: "malformed-evidence" if it cannot be
// decoded, "no-contradiction" if both responses can be of one log, and otherwise as
// VerifyDistinguished, annotated with which of the two it is.
absl::StatusOr<ForkFinding> CheckForkEvidence(ByteView evidence);

}  // namespace kt::core
#endif  // KT_CORE_DISTINGUISHED_FORKS_H_
