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

// All leaves that a bucket ever had, of which none has ended. Immutable; copies share what they
// hold.
class BucketLeaves {
 public:
  // Of a bucket that never had a leaf.
  BucketLeaves() = default;
  // Of a bucket that never had others than `rows`; nullopt if one of them has ended.
  static std::optional<BucketLeaves> Of(std::span<const LeafRow> rows);

  size_t count() const { return count_; }
  // What they take, in bytes of memory.
  size_t bytes() const;
  // Appends the leaves, in the order in which they came.
  void AppendTo(std::vector<LeafRow>* rows) const;

 private:
  struct Leaf {
    base::VrfOutput key;
    base::Hash commitment;
    base::LogPosition insert_pos;
  };

  std::shared_ptr<const Leaf[]> leaves_;  // null if there are none
  size_t count_ = 0;
};

}  // namespace kt::merkle
#endif  // MERKLE_BUCKET_LEAVES_H_
