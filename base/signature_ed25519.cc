// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 (RFC 8032) over libsodium.
#include <sodium.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/signature_internal.h"
#include "base/status.h"

namespace kt::base::internal {
namespace {

class Ed25519Signer : public Signer {
 public:
  Ed25519Signer(SecretBytes secret_key, Bytes public_key)
      : secret_key_(std::move(secret_key)), public_key_(std::move(public_key)) {}

  absl::StatusOr<Bytes> Sign(ByteView message) const override {
    Bytes signature(crypto_sign_BYTES);
    crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                         secret_key_.Expose().data());
    return signature;
  }
  const Bytes& public_key() const override { return public_key_; }

 private:
  SecretBytes secret_key_;  // seed || public key, as libsodium keeps it
  Bytes public_key_;
};

class Ed25519Verifier : public Verifier {
 public:
  explicit Ed25519Verifier(Bytes public_key) : public_key_(std::move(public_key)) {}

  absl::Status Verify(ByteView message, ByteView signature) const override {
    if (signature.size() != crypto_sign_BYTES ||
        crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                    public_key_.data()) != 0) {
      return BadSignature();
    }
    return absl::OkStatus();
  }

 private:
  Bytes public_key_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Signer>> CreateEd25519Signer(const SecretBytes& secret) {
  KT_CHECK(sodium_init() >= 0);
  if (secret.size() != crypto_sign_SEEDBYTES) {
    return absl::InvalidArgumentError("an Ed25519 secret is a seed of 32 bytes");
  }
  SecretBytes secret_key(crypto_sign_SECRETKEYBYTES);
  Bytes public_key(crypto_sign_PUBLICKEYBYTES);
  crypto_sign_seed_keypair(public_key.data(), secret_key.ExposeMutable().data(),
                           secret.Expose().data());
  return std::make_unique<Ed25519Signer>(std::move(secret_key), std::move(public_key));
}

absl::StatusOr<std::unique_ptr<Verifier>> CreateEd25519Verifier(ByteView public_key) {
  KT_CHECK(sodium_init() >= 0);
  // Refuses wrong encodings, points outside the prime-order group and small-order points.
  if (public_key.size() != crypto_sign_PUBLICKEYBYTES ||
      crypto_core_ed25519_is_valid_point(public_key.data()) != 1) {
    return absl::InvalidArgumentError("not an Ed25519 public key");
  }
  return std::make_unique<Ed25519Verifier>(ToBytes(public_key));
}

}  // namespace kt::base::internal
