// SPDX-License-Identifier: Apache-2.0
// SHA256_Transform is deprecated in OpenSSL 3.0 in favour of EVP, whose contexts cost more than the
// two compressions of a node.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "merkle/prefix_node.h"

#include <endian.h>
#include <openssl/sha.h>

#include <bit>
#include <cstring>

#include "base/cpu.h"
#include "merkle/node_pair.h"

namespace kt::merkle {
namespace {

constexpr uint8_t kLeafPrefix = 0x02;
constexpr uint8_t kParentPrefix = 0x03;

uint64_t LoadBigEndian(const uint8_t* bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return be64toh(value);
}

// SHA-256 of prefix || a || b: 65 bytes, hence two blocks with the padding of FIPS 180-4 §5.1.1.
base::Hash HashNode(uint8_t prefix, const std::array<uint8_t, 32>& a,
                    const std::array<uint8_t, 32>& b) {
  alignas(64) uint8_t blocks[128] = {};
  blocks[0] = prefix;
  std::memcpy(blocks + 1, a.data(), a.size());
  std::memcpy(blocks + 33, b.data(), b.size());
  blocks[65] = 0x80;
  blocks[126] = 65 * 8 >> 8;
  blocks[127] = 65 * 8 & 0xff;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Transform(&context, blocks);
  SHA256_Transform(&context, blocks + 64);
  base::Hash hash;
  for (size_t i = 0; i < 8; ++i) {
    const uint32_t word = htobe32(context.h[i]);
    std::memcpy(&hash.bytes[4 * i], &word, sizeof word);
  }
  return hash;
}

struct Halves {
  const std::array<uint8_t, 32>& a;
  const std::array<uint8_t, 32>& b;
};

std::array<base::Hash, 2> HashNodes(uint8_t prefix, const Halves& first, const Halves& second) {
#if defined(KT_WITH_SHA_EXTENSIONS)
  if (base::HasShaExtensions()) {
    std::array<base::Hash, 2> hashes;
    const NodeInput inputs[2] = {{first.a.data(), first.b.data()},
                                 {second.a.data(), second.b.data()}};
    uint8_t* const out[2] = {hashes[0].bytes.data(), hashes[1].bytes.data()};
    HashNodePairByShaExtensions(prefix, inputs, out);
    return hashes;
  }
#endif
  return {HashNode(prefix, first.a, first.b), HashNode(prefix, second.a, second.b)};
}

}  // namespace

base::Hash LeafNodeHash(const base::VrfOutput& key, const base::Hash& commitment) {
  return HashNode(kLeafPrefix, key.bytes, commitment.bytes);
}

base::Hash ParentNodeHash(const base::Hash& left, const base::Hash& right) {
  return HashNode(kParentPrefix, left.bytes, right.bytes);
}

std::array<base::Hash, 2> LeafNodeHashes(const LeafInput& first, const LeafInput& second) {
  return HashNodes(kLeafPrefix, {first.key.bytes, first.commitment.bytes},
                   {second.key.bytes, second.commitment.bytes});
}

std::array<base::Hash, 2> ParentNodeHashes(const Siblings& first, const Siblings& second) {
  return HashNodes(kParentPrefix, {first.left.bytes, first.right.bytes},
                   {second.left.bytes, second.right.bytes});
}

NodeValue Combine(const NodeValue& left, const NodeValue& right) {
  if (right.kind == NodeKind::kEmpty && left.kind != NodeKind::kParent) return left;
  if (left.kind == NodeKind::kEmpty && right.kind != NodeKind::kParent) return right;
  return {NodeKind::kParent, ParentNodeHash(left.hash, right.hash)};
}

unsigned SharedBits(const base::VrfOutput& a, const base::VrfOutput& b) {
  for (unsigned i = 0; i < base::kVrfOutputSize; i += 8) {
    const uint64_t differing = LoadBigEndian(&a.bytes[i]) ^ LoadBigEndian(&b.bytes[i]);
    if (differing != 0) return 8 * i + static_cast<unsigned>(std::countl_zero(differing));
  }
  return 8 * base::kVrfOutputSize;
}

}  // namespace kt::merkle
