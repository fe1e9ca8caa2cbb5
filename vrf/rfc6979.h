// SPDX-License-Identifier: Apache-2.0
//
// Deterministic nonces for P-256 with SHA-256. Internal to vrf/ and its tests.
#ifndef VRF_RFC6979_H_
#define VRF_RFC6979_H_

#include "base/bytes.h"
#include "base/secret.h"

namespace kt::vrf {

// The candidates T of RFC 6979 §3.2, for hlen = qlen = 256: bits2int() is then the identity.
// Wipes its state when it goes.
class Rfc6979 {
 public:
  // `x`: int2octets of the secret scalar. `message`: bits2octets(h1), that is SHA-256 of the
  // message reduced modulo q. 32 bytes each; both are read here only. Steps a to g.
  Rfc6979(base::ByteView x, base::ByteView message);

  // The next candidate: 32 bytes, not yet compared with q. Step h; the first call has no update
  // before it, a further one means that the candidate before was refused.
  base::SecretBytes Next();

 private:
  base::SecretBytes key_;    // K
  base::SecretBytes value_;  // V
  bool first_ = true;
};

}  // namespace kt::vrf
#endif  // VRF_RFC6979_H_
