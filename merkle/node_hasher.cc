// SPDX-License-Identifier: Apache-2.0
#include "merkle/node_hasher.h"

#include <algorithm>
#include <array>

#include "base/cpu.h"
#include "merkle/node_lanes.h"
#include "merkle/prefix_node.h"

namespace kt::merkle {
namespace {

// Of a bucket, so that nothing has to grow for one.
constexpr size_t kLikelyLevels = 32;
constexpr size_t kLikelyJobs = 64;

#if defined(KT_WITH_AVX512_IFMA)
// Fewer are as fast two by two. The lanes need less than IFMA; but one question decides on all
// vector code, and processors with AVX-512 and without IFMA are old.
constexpr size_t kMinForLanes = 8;
#endif

}  // namespace

void NodeHasher::AddLeaf(const base::VrfOutput& key, const base::Hash& commitment,
                         base::Hash* hash) {
  Add(0, key.bytes.data(), commitment.bytes.data(), hash->bytes.data());
}

void NodeHasher::AddParent(size_t level, const base::Hash& left, const base::Hash& right,
                           base::Hash* hash) {
  Add(level + 1, left.bytes.data(), right.bytes.data(), hash->bytes.data());
}

void NodeHasher::Add(size_t level, const uint8_t* first, const uint8_t* second, uint8_t* hash) {
  if (level >= levels_.size()) levels_.resize(std::max<size_t>(level + 1, kLikelyLevels));
  if (jobs_.empty()) jobs_.reserve(kLikelyJobs);
  Level& jobs = levels_[level];
  jobs_.push_back({first, second, hash, jobs.begin});
  jobs.begin = static_cast<uint32_t>(jobs_.size() - 1);
  ++jobs.count;
}

void NodeHasher::Run() {
  if (jobs_.empty()) return;
  for (size_t i = 0; i < levels_.size(); ++i) {
    HashLevel(i == 0 ? kLeafPrefix : kParentPrefix, levels_[i]);
    levels_[i] = {};
  }
  jobs_.clear();
}

void NodeHasher::HashLevel(uint8_t prefix, const Level& level) const {
  uint32_t next = level.begin;
  size_t left = level.count;
  std::array<NodeInput, kNodeLanes> inputs;
  std::array<uint8_t*, kNodeLanes> hashes;
  const auto take = [&](size_t i) {
    const Job& job = jobs_[next];
    inputs[i] = {job.first, job.second};
    hashes[i] = job.hash;
    next = job.next;
    --left;
  };
#if defined(KT_WITH_AVX512_IFMA)
  while (left >= kMinForLanes && base::HasAvx512Ifma()) {
    const size_t count = std::min(left, kNodeLanes);
    for (size_t i = 0; i < count; ++i) take(i);
    // Lanes to spare do the last one again.
    std::fill(inputs.begin() + static_cast<ptrdiff_t>(count), inputs.end(), inputs[count - 1]);
    std::fill(hashes.begin() + static_cast<ptrdiff_t>(count), hashes.end(), hashes[count - 1]);
    HashNodeLanesByAvx512(prefix, inputs.data(), hashes.data());
  }
#endif
  while (left >= 2) {
    take(0);
    take(1);
    HashNodePair(prefix, inputs.data(), hashes.data());
  }
  if (left == 0) return;
  take(0);
  HashNode(prefix, inputs[0], hashes[0]);
}

}  // namespace kt::merkle
