// SPDX-License-Identifier: Apache-2.0
//
// ECDSA over NIST P-256 with SHA-256, over OpenSSL. On the wire a signature is r || s.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <utility>

#include "base/check.h"
#include "base/signature_internal.h"
#include "base/status.h"

namespace kt::base::internal {
namespace {

constexpr size_t kScalarSize = 32;
constexpr size_t kUncompressedPointSize = 65;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, Deleter<Free>>;

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using Group = Owned<EC_GROUP, EC_GROUP_free>;
using Point = Owned<EC_POINT, EC_POINT_free>;
using BigNum = Owned<BIGNUM, BN_free>;
using SecretBigNum = Owned<BIGNUM, BN_clear_free>;
using ParamBuild = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using EcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;

// Drops the errors that OpenSSL queues in this scope. The queue belongs to the thread, and a TLS
// connection on the same thread would take them for its own.
class ErrorQueueScope {
 public:
  ErrorQueueScope() { ERR_set_mark(); }
  ErrorQueueScope(const ErrorQueueScope&) = delete;
  ErrorQueueScope& operator=(const ErrorQueueScope&) = delete;
  ~ErrorQueueScope() { ERR_pop_to_mark(); }
};

// `secret` is null for a public key. Null if OpenSSL refuses the key.
Key MakeKey(ByteView public_key, const BIGNUM* secret) {
  const ParamBuild build(OSSL_PARAM_BLD_new());
  KT_CHECK(build != nullptr);
  KT_CHECK(OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                           0) == 1);
  KT_CHECK(OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, public_key.data(),
                                            public_key.size()) == 1);
  if (secret != nullptr) {
    KT_CHECK(OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret) == 1);
  }
  const Params params(OSSL_PARAM_BLD_to_param(build.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  KT_CHECK(params != nullptr && context != nullptr);
  KT_CHECK(EVP_PKEY_fromdata_init(context.get()) == 1);
  EVP_PKEY* key = nullptr;
  const int selection = secret != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
  if (EVP_PKEY_fromdata(context.get(), &key, selection, params.get()) != 1) return nullptr;
  return Key(key);
}

class P256Signer : public Signer {
 public:
  P256Signer(Key key, Bytes public_key)
      : key_(std::move(key)), public_key_(std::move(public_key)) {}

  absl::StatusOr<Bytes> Sign(ByteView message) const override {
    const DigestContext context(EVP_MD_CTX_new());
    uint8_t der[128];
    size_t der_size = sizeof(der);
    if (context == nullptr ||
        EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key_.get(),
                              nullptr) != 1 ||
        EVP_DigestSign(context.get(), der, &der_size, message.data(), message.size()) != 1) {
      return absl::InternalError("OpenSSL could not sign");
    }
    const uint8_t* in = der;
    const EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der_size)));
    Bytes out(2 * kScalarSize);
    KT_CHECK(signature != nullptr);
    KT_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out.data(), kScalarSize) > 0);
    KT_CHECK(
        BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out.data() + kScalarSize, kScalarSize) > 0);
    return out;
  }
  const Bytes& public_key() const override { return public_key_; }

 private:
  Key key_;
  Bytes public_key_;
};

class P256Verifier : public Verifier {
 public:
  explicit P256Verifier(Key key) : key_(std::move(key)) {}

  absl::Status Verify(ByteView message, ByteView signature) const override {
    if (signature.size() != 2 * kScalarSize) return BadSignature();
    const ErrorQueueScope errors;
    BigNum r(BN_bin2bn(signature.data(), kScalarSize, nullptr));
    BigNum s(BN_bin2bn(signature.data() + kScalarSize, kScalarSize, nullptr));
    const EcdsaSignature raw(ECDSA_SIG_new());
    KT_CHECK(r != nullptr && s != nullptr && raw != nullptr);
    KT_CHECK(ECDSA_SIG_set0(raw.get(), r.release(), s.release()) == 1);
    uint8_t der[128];
    uint8_t* end = der;
    const int der_size = i2d_ECDSA_SIG(raw.get(), &end);
    KT_CHECK(der_size > 0 && static_cast<size_t>(der_size) <= sizeof(der));
    const DigestContext context(EVP_MD_CTX_new());
    if (context == nullptr || EVP_DigestVerifyInit_ex(context.get(), nullptr, "SHA256", nullptr,
                                                      nullptr, key_.get(), nullptr) != 1) {
      return absl::InternalError("OpenSSL could not verify");
    }
    if (EVP_DigestVerify(context.get(), der, static_cast<size_t>(der_size), message.data(),
                         message.size()) != 1) {
      return BadSignature();
    }
    return absl::OkStatus();
  }

 private:
  Key key_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Signer>> CreateP256Signer(const SecretBytes& secret) {
  const Group group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  const SecretBigNum scalar(BN_secure_new());
  KT_CHECK(group != nullptr && scalar != nullptr);
  if (secret.size() != kScalarSize ||
      BN_bin2bn(secret.Expose().data(), kScalarSize, scalar.get()) == nullptr ||
      BN_is_zero(scalar.get()) || BN_cmp(scalar.get(), EC_GROUP_get0_order(group.get())) >= 0) {
    return absl::InvalidArgumentError("a P-256 secret is a scalar of 32 bytes, from 1 to n - 1");
  }
  BN_set_flags(scalar.get(), BN_FLG_CONSTTIME);
  const Point point(EC_POINT_new(group.get()));
  KT_CHECK(point != nullptr);
  KT_CHECK(EC_POINT_mul(group.get(), point.get(), scalar.get(), nullptr, nullptr, nullptr) == 1);
  Bytes public_key(kUncompressedPointSize);
  KT_CHECK(EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED,
                              public_key.data(), public_key.size(),
                              nullptr) == kUncompressedPointSize);
  Key key = MakeKey(public_key, scalar.get());
  KT_CHECK(key != nullptr);
  return std::make_unique<P256Signer>(std::move(key), std::move(public_key));
}

absl::StatusOr<std::unique_ptr<Verifier>> CreateP256Verifier(ByteView public_key) {
  const ErrorQueueScope errors;
  if (public_key.size() == kUncompressedPointSize && public_key[0] == 4) {
    Key key = MakeKey(public_key, nullptr);
    if (key != nullptr) return std::make_unique<P256Verifier>(std::move(key));
  }
  return absl::InvalidArgumentError("not an uncompressed P-256 public key");
}

}  // namespace kt::base::internal
