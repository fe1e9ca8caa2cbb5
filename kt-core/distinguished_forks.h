// SPDX-License-Identifier: Apache-2.0
//
// Comparing what two users were shown of one log, and proving to others that it has forked:
// draft-ietf-keytrans-protocol, "Walking Distinguished Heads / Detecting Forks", and
// docs/extensions.md, "Evidence of a fork".
#ifndef KT_CORE_DISTINGUISHED_FORKS_H_
#define KT_CORE_DISTINGUISHED_FORKS_H_

#include <array>
#include <cstdint>
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

// docs/extensions.md, "Signed heads":
//
//   struct {
//     opaque magic[8];
//     opaque configuration<0..2^16-1>;
//     uint8 recent_rightmost;
//     optional<uint64> recent_max_age;
//     DistinguishedRequest request;
//     opaque response<0..2^32-1>;
//   } SignedHeads;
//
// What a user exchanges who wants a fork to be provable: the DistinguishedHead follows from it.
struct SignedHeads {
  // The last byte counts the versions of the format.
  static constexpr std::array<uint8_t, 8> kMagic = {'k', 't', 'h', 'e', 'a', 'd', 's', '1'};

  std::array<uint8_t, 8> magic = kMagic;
  Bytes configuration;  // an encoded Configuration
  uint8_t recent_rightmost = 0;
  std::optional<uint64_t> recent_max_age;
  DistinguishedRequest request;
  Bytes response;  // an encoded DistinguishedResponse

  bool operator==(const SignedHeads&) const = default;
  static constexpr auto Fields() {
    return codec::List(&SignedHeads::magic, codec::Opaque<uint16_t>(&SignedHeads::configuration),
                       &SignedHeads::recent_rightmost, &SignedHeads::recent_max_age,
                       &SignedHeads::request, codec::Opaque<uint32_t>(&SignedHeads::response));
  }
};

// The definition of "recent" that signed heads or evidence answer.
RecentDefinition RecentOf(const SignedHeads& heads);

// What verified signed heads say.
struct CheckedHeads {
  Configuration config;
  TreeSize size = 0;        // of the signed head
  DistinguishedHead heads;  // at most 255 roots, the rightmost ones
};

// Checks signed heads offline, whatever their age: that the response is completely proven, and its
// head signed by the log's key. Verification failures: "malformed-heads" if `heads` cannot be used,
// and otherwise as VerifyDistinguished.
absl::StatusOr<CheckedHeads> CheckSignedHeads(const SignedHeads& heads);

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

// What two users were shown, as evidence. kInvalidArgument if it cannot be: the configurations or
// the definitions of "recent" differ.
absl::StatusOr<ForkEvidence> MakeForkEvidence(const SignedHeads& first, const SignedHeads& second);

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
