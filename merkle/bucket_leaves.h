// SPDX-License-Identifier: Apache-2.0
//
// The leaves of a bucket, kept in memory beside the newest tree, so that neither a change nor a
// proof has to read them. Internal to merkle/.
#ifndef MERKLE_BUCKET_LEAVES_H_
#define MERKLE_BUCKET_LEAVES_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "merkle/prefix_store.h"

namespace kt::merkle {

// All leaves that a bucket ever had, if none of them has ended; otherwise unknown, which means that
// the store has to be asked. Immutable; copies share what they hold.
class BucketLeaves {
 public:
  // Of a bucket that never had a leaf.
  BucketLeaves() = default;
  static BucketLeaves Unknown();
  // Of a bucket that never had others than `rows`.
  static BucketLeaves Of(std::span<const LeafRow> rows);

  bool known() const { return count_ != kUnknown; }
  // What is held, in bytes of memory; nothing for an empty bucket or an unknown one.
  size_t bytes() const;
  // Appends the leaves, in the order in which they came. Only if they are known.
  void AppendTo(std::vector<LeafRow>* rows) const;

 private:
  static constexpr uint32_t kUnknown = std::numeric_limits<uint32_t>::max();

  struct Leaf {
    base::VrfOutput key;
    base::Hash commitment;
    base::LogPosition insert_pos;
  };

  std::shared_ptr<const Leaf[]> leaves_;
  uint32_t count_ = 0;
};

}  // namespace kt::merkle
#endif  // MERKLE_BUCKET_LEAVES_H_
