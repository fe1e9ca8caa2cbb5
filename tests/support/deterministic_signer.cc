// SPDX-License-Identifier: Apache-2.0
#include "tests/support/deterministic_signer.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "base/check.h"
#include "base/hash.h"
#include "vrf/openssl_handles.h"
#include "vrf/rfc6979.h"

namespace kt::testing {
namespace {

using base::Bytes;
using base::ByteView;

constexpr int kScalarSize = 32;

vrf::BigNum NewNumber() {
  vrf::BigNum number(BN_new());
  KT_CHECK(number != nullptr);
  return number;
}
vrf::BigNum FromBytes(ByteView bytes) {
  vrf::BigNum number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  KT_CHECK(number != nullptr);
  return number;
}

class P256Signer : public base::Signer {
 public:
  explicit P256Signer(const base::SecretBytes& secret)
      : public_key_(base::CreateSigner(base::SignatureAlgorithm::kEcdsaP256Sha256, secret)
                        .value()
                        ->public_key()),
        secret_(secret.Clone()),
        group_(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)),
        context_(BN_CTX_new()) {
    KT_CHECK(group_ != nullptr && context_ != nullptr);
  }

  // FIPS 186-4 §6.4 with the nonce of RFC 6979 §3.2.
  absl::StatusOr<Bytes> Sign(ByteView message) const override {
    const BIGNUM* const q = EC_GROUP_get0_order(group_.get());
    const vrf::BigNum x = FromBytes(secret_.Expose());
    const vrf::BigNum z = FromBytes(base::Sha256(message).view());
    KT_CHECK(BN_nnmod(z.get(), z.get(), q, context_.get()) == 1);
    Bytes reduced(kScalarSize);
    KT_CHECK(BN_bn2binpad(z.get(), reduced.data(), kScalarSize) == kScalarSize);
    vrf::Rfc6979 nonces(secret_.Expose(), reduced);
    for (;;) {
      const vrf::BigNum k = FromBytes(nonces.Next().Expose());
      if (BN_is_zero(k.get()) || BN_cmp(k.get(), q) >= 0) continue;
      const vrf::BigNum r = NewNumber();
      const vrf::BigNum s = NewNumber();
      const vrf::CurvePoint point(EC_POINT_new(group_.get()));
      KT_CHECK(EC_POINT_mul(group_.get(), point.get(), k.get(), nullptr, nullptr, context_.get()));
      KT_CHECK(EC_POINT_get_affine_coordinates(group_.get(), point.get(), r.get(), nullptr,
                                               context_.get()));
      KT_CHECK(BN_nnmod(r.get(), r.get(), q, context_.get()));
      // s = (z + r x) / k
      KT_CHECK(BN_mod_mul(s.get(), r.get(), x.get(), q, context_.get()));
      KT_CHECK(BN_mod_add(s.get(), s.get(), z.get(), q, context_.get()));
      const vrf::BigNum inverse(BN_mod_inverse(nullptr, k.get(), q, context_.get()));
      KT_CHECK(inverse != nullptr);
      KT_CHECK(BN_mod_mul(s.get(), s.get(), inverse.get(), q, context_.get()));
      if (BN_is_zero(r.get()) || BN_is_zero(s.get())) continue;
      Bytes signature(2 * kScalarSize);
      KT_CHECK(BN_bn2binpad(r.get(), signature.data(), kScalarSize) == kScalarSize);
      KT_CHECK(BN_bn2binpad(s.get(), signature.data() + kScalarSize, kScalarSize) == kScalarSize);
      return signature;
    }
  }
  const Bytes& public_key() const override { return public_key_; }

 private:
  const Bytes public_key_;
  const base::SecretBytes secret_;
  const vrf::CurveGroup group_;
  const vrf::BigNumContext context_;
};

}  // namespace

std::unique_ptr<base::Signer> CreateDeterministicSigner(base::SignatureAlgorithm algorithm,
                                                        const base::SecretBytes& secret) {
  if (algorithm == base::SignatureAlgorithm::kEcdsaP256Sha256) {
    return std::make_unique<P256Signer>(secret);
  }
  return base::CreateSigner(algorithm, secret).value();
}

}  // namespace kt::testing
