// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>

#include "base/check.h"

namespace kt::base {
namespace {

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

const EVP_MD* FetchedSha256() {
  static EVP_MD* const digest = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  KT_CHECK(digest != nullptr);
  return digest;
}

EVP_MD_CTX* ThreadContext() {
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextFree> context(EVP_MD_CTX_new());
  KT_CHECK(context != nullptr);
  return context.get();
}

}  // namespace

Hash Sha256(std::initializer_list<ByteView> parts) {
  static const EVP_MD* const digest = FetchedSha256();
  EVP_MD_CTX* const context = ThreadContext();
  Hash out;
  KT_CHECK(EVP_DigestInit_ex2(context, digest, nullptr) == 1);
  for (ByteView part : parts) {
    KT_CHECK(EVP_DigestUpdate(context, part.data(), part.size()) == 1);
  }
  KT_CHECK(EVP_DigestFinal_ex(context, out.bytes.data(), nullptr) == 1);
  return out;
}

Hash HmacSha256(ByteView key, ByteView data) {
  static const EVP_MD* const digest = FetchedSha256();
  // HMAC() refuses a null pointer for an empty key.
  static const uint8_t kEmpty = 0;
  Hash out;
  unsigned size = 0;
  KT_CHECK(HMAC(digest, key.empty() ? &kEmpty : key.data(), static_cast<int>(key.size()),
                data.data(), data.size(), out.bytes.data(), &size) != nullptr);
  KT_CHECK(size == kHashSize);
  return out;
}

}  // namespace kt::base
