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

uint64_t LoadBigEndian(const uint8_t* bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return be64toh(value);
}

}  // namespace

// 65 bytes, hence two blocks with the padding of FIPS 180-4 §5.1.1.
void HashNode(uint8_t prefix, const NodeInput& input, uint8_t* hash) {
  alignas(64) uint8_t blocks[128] = {};
  blocks[0] = prefix;
  std::memcpy(blocks + 1, input.first, 32);
  std::memcpy(blocks + 33, input.second, 32);
  blocks[65] = 0x80;
  blocks[126] = 65 * 8 >> 8;
  blocks[127] = 65 * 8 & 0xff;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Transform(&context, blocks);
  SHA256_Transform(&context, blocks + 64);
  for (size_t i = 0; i < 8; ++i) {
    const uint32_t word = htobe32(context.h[i]);
    std::memcpy(&hash[4 * i], &word, sizeof word);
  }
}

void HashNodePair(uint8_t prefix, const NodeInput inputs[2], uint8_t* const hashes[2]) {
#if defined(KT_WITH_SHA_EXTENSIONS)
  if (base::HasShaExtensions()) return HashNodePairByShaExtensions(prefix, inputs, hashes);
#endif
  for (size_t i = 0; i < 2; ++i) HashNode(prefix, inputs[i], hashes[i]);
}

base::Hash LeafNodeHash(const base::VrfOutput& key, const base::Hash& commitment) {
  base::Hash hash;
  HashNode(kLeafPrefix, {key.bytes.data(), commitment.bytes.data()}, hash.bytes.data());
  return hash;
}

base::Hash ParentNodeHash(const base::Hash& left, const base::Hash& right) {
  base::Hash hash;
  HashNode(kParentPrefix, {left.bytes.data(), right.bytes.data()}, hash.bytes.data());
  return hash;
}

std::array<base::Hash, 2> ParentNodeHashes(const Siblings& first, const Siblings& second) {
  const NodeInput inputs[2] = {{first.left.bytes.data(), first.right.bytes.data()},
                               {second.left.bytes.data(), second.right.bytes.data()}};
  std::array<base::Hash, 2> out;
  uint8_t* const hashes[2] = {out[0].bytes.data(), out[1].bytes.data()};
  HashNodePair(kParentPrefix, inputs, hashes);
  return out;
}

bool MakesParent(NodeKind left, NodeKind right) {
  if (right == NodeKind::kEmpty && left != NodeKind::kParent) return false;
  if (left == NodeKind::kEmpty && right != NodeKind::kParent) return false;
  return true;
}

unsigned SharedBits(const base::VrfOutput& a, const base::VrfOutput& b) {
  for (unsigned i = 0; i < base::kVrfOutputSize; i += 8) {
    const uint64_t differing = LoadBigEndian(&a.bytes[i]) ^ LoadBigEndian(&b.bytes[i]);
    if (differing != 0) return 8 * i + static_cast<unsigned>(std::countl_zero(differing));
  }
  return 8 * base::kVrfOutputSize;
}

}  // namespace kt::merkle
