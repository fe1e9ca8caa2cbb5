// SPDX-License-Identifier: Apache-2.0
//
// What both suites share. Internal to vrf/ and its tests.
#ifndef VRF_INTERNAL_H_
#define VRF_INTERNAL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/types.h"

namespace kt::vrf {

inline constexpr size_t kSecretSize = 32;     // of either suite
inline constexpr size_t kScalarSize = 32;     // qLen
inline constexpr size_t kChallengeSize = 16;  // cLen

// The byte after suite_string in each hash (RFC 9381 §5.4.1.1, §5.4.3, §5.2), and the last one.
inline constexpr uint8_t kEncodeToCurveFront = 0x01;
inline constexpr uint8_t kChallengeFront = 0x02;
inline constexpr uint8_t kProofToHashFront = 0x03;
inline constexpr uint8_t kDomainSeparatorBack = 0x00;

// try_and_increment counts its attempts in one byte. Each succeeds with a probability of about one
// half, so that the last is reached with one of 2^-255.
inline constexpr unsigned kMaxAttempts = 256;

using Scalar = std::array<uint8_t, kScalarSize>;
using Challenge = std::array<uint8_t, kChallengeSize>;

// Everything that a proof makes public, with the steps on the way (RFC 9381 §5.1, §5.2). All points
// are in the suite's encoding.
template <size_t PointSize, size_t HashSize>
struct Transcript {
  using Point = std::array<uint8_t, PointSize>;
  static constexpr size_t kProofSize = PointSize + kChallengeSize + kScalarSize;

  unsigned ctr = 0;                         // the attempt of try_and_increment that succeeded
  Point h{};                                // the input, encoded to the curve
  Point u{};                                // k*B
  Point v{};                                // k*H
  std::array<uint8_t, kProofSize> proof{};  // Gamma || c || s
  std::array<uint8_t, HashSize> beta{};     // before any truncation
};

// Truncates beta as draft-ietf-keytrans-protocol, "KT Cipher Suites", says.
base::VrfOutput ToOutput(base::ByteView beta);

// What every refusal of a proof is: a verification failure of the check "vrf-proof".
absl::Status BadProof(const char* reason);

}  // namespace kt::vrf
#endif  // VRF_INTERNAL_H_
