// SPDX-License-Identifier: Apache-2.0
//
// The leaves of a bucket, kept in memory beside the newest tree, so that neither a change nor a
// proof has to read them. Internal to merkle/.
#ifndef MERKLE_BUCKET_LEAVES_H_
#define MERKLE_BUCKET_LEAVES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "merkle/prefix_store.h"

namespace kt::merkle {

// All leaves that a bucket ever had, of which none has ended. Immutable, and borrowed from an
// OwnedLeaves: a copy is another view of the same.
class BucketLeaves {
 public:
  // Of a bucket that never had a leaf.
  BucketLeaves() = default;

  size_t count() const { return count_; }
  // What they take, in bytes of memory.
  size_t bytes() const;
  // Appends the leaves, in the order in which they came.
  void AppendTo(std::vector<LeafRow>* rows) const;

 private:
  friend class OwnedLeaves;
  struct Leaf {
    base::VrfOutput key;
    base::Hash commitment;
    base::LogPosition insert_pos;
  };

  BucketLeaves(const Leaf* leaves, size_t count) : leaves_(leaves), count_(count) {}

  const Leaf* leaves_ = nullptr;  // null if there are none
  size_t count_ = 0;
};

// The memory that a BucketLeaves is a view of.
class OwnedLeaves {
 public:
  // Of a bucket that never had others than `rows`; nullopt if one of them has ended.
  static std::optional<OwnedLeaves> Of(std::span<const LeafRow> rows);
  // Takes over, from whoever called Release, what `leaves` is a view of.
  explicit OwnedLeaves(const BucketLeaves& leaves)
      : leaves_(leaves.leaves_), count_(leaves.count_) {}

  BucketLeaves view() const { return {leaves_.get(), count_}; }
  // From now on they are somebody else's.
  void Release() { static_cast<void>(leaves_.release()); }

 private:
  std::unique_ptr<const BucketLeaves::Leaf[]> leaves_;
  size_t count_;
};

}  // namespace kt::merkle
#endif  // MERKLE_BUCKET_LEAVES_H_
