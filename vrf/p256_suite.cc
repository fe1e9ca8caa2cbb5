// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_suite.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/hash.h"
#include "vrf/p256_scalar.h"
#include "vrf/rfc6979.h"

namespace kt::vrf {
namespace {

using base::ByteView;

constexpr uint8_t kSuite = 0x01;  // suite_string

}  // namespace

base::Bytes P256EncodePrefix(ByteView public_key) {
  base::Bytes prefix(2 + public_key.size());
  prefix[0] = kSuite;
  prefix[1] = kEncodeToCurveFront;
  std::copy(public_key.begin(), public_key.end(), prefix.begin() + 2);
  return prefix;
}

base::Hash P256Candidate(ByteView prefix, ByteView alpha, unsigned ctr) {
  KT_CHECK(ctr < kMaxAttempts);
  const std::array<uint8_t, 2> suffix = {static_cast<uint8_t>(ctr), kDomainSeparatorBack};
  return base::Sha256({prefix, alpha, suffix});
}

Challenge P256Challenge(ByteView public_key, ByteView h, ByteView gamma, ByteView u, ByteView v) {
  const std::array<uint8_t, 2> front = {kSuite, kChallengeFront};
  const base::Hash hash =
      base::Sha256({front, public_key, h, gamma, u, v, ByteView(&kDomainSeparatorBack, 1)});
  Challenge challenge;
  std::copy_n(hash.bytes.begin(), challenge.size(), challenge.begin());
  return challenge;
}

base::Hash P256ProofToHash(ByteView gamma) {
  const std::array<uint8_t, 2> front = {kSuite, kProofToHashFront};
  return base::Sha256({front, gamma, ByteView(&kDomainSeparatorBack, 1)});
}

base::SecretBytes P256Nonce(const base::SecretBytes& secret, ByteView h) {
  Rfc6979 candidates(secret.Expose(), p256::ReduceModOrder(base::Sha256(h).view()));
  base::SecretBytes k = candidates.Next();
  while (!p256::ScalarInRange(k.Expose())) k = candidates.Next();
  return k;
}

}  // namespace kt::vrf
