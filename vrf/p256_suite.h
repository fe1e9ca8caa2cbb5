// SPDX-License-Identifier: Apache-2.0
//
// What ECVRF-P256-SHA256-TAI hashes, whoever computes its points. Internal to vrf/ and its tests.
#ifndef VRF_P256_SUITE_H_
#define VRF_P256_SUITE_H_

#include "base/bytes.h"
#include "base/secret.h"
#include "base/types.h"
#include "vrf/internal.h"

namespace kt::vrf {

inline constexpr size_t kP256PointSize = 33;  // SEC 1 §2.3.3, compressed
inline constexpr size_t kP256ProofSize = 81;

using P256Transcript = Transcript<kP256PointSize, base::kHashSize>;

// The tags of SEC 1 §2.3.3.
inline constexpr uint8_t kEvenY = 0x02;
inline constexpr uint8_t kOddY = 0x03;
inline constexpr uint8_t kInfinity = 0x00;

// suite_string || 0x01 || PK_string: what each attempt of try_and_increment hashes first.
base::Bytes P256EncodePrefix(base::ByteView public_key);

// The abscissa that attempt `ctr` tries, 32 big-endian bytes. RFC 9381 §5.4.1.1.
base::Hash P256Candidate(base::ByteView prefix, base::ByteView alpha, unsigned ctr);

// Of encoded points, of which U and V may be infinity. RFC 9381 §5.4.3.
Challenge P256Challenge(base::ByteView public_key, base::ByteView h, base::ByteView gamma,
                        base::ByteView u, base::ByteView v);

// RFC 9381 §5.2; the cofactor is 1.
base::Hash P256ProofToHash(base::ByteView gamma);

// k for the encoded point H, big-endian, 1 <= k < q. `secret`: x, 32 bytes. RFC 9381 §5.4.2.1.
base::SecretBytes P256Nonce(const base::SecretBytes& secret, base::ByteView h);

}  // namespace kt::vrf
#endif  // VRF_P256_SUITE_H_
