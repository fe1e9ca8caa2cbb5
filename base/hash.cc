// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
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

// OpenSSL's HMAC() makes and frees so many objects that it takes three times as long. For keys that
// are no secrets, as that of commitments is none: nothing of them is wiped.
Hash HmacSha256(ByteView key, ByteView data) {
  constexpr size_t kBlockSize = 64;
  std::array<uint8_t, kBlockSize> inner = {};
  if (key.size() > kBlockSize) {
    std::ranges::copy(Sha256(key).bytes, inner.begin());
  } else {
    std::ranges::copy(key, inner.begin());
  }
  std::array<uint8_t, kBlockSize> outer = inner;
  for (uint8_t& byte : inner) byte ^= 0x36;
  for (uint8_t& byte : outer) byte ^= 0x5c;
  return Sha256({outer, Sha256({inner, data}).bytes});
}

}  // namespace kt::base
