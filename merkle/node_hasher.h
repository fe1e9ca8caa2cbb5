// SPDX-License-Identifier: Apache-2.0
//
// Many nodes of the prefix tree hashed together. Internal to merkle/.
#ifndef MERKLE_NODE_HASHER_H_
#define MERKLE_NODE_HASHER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/types.h"

namespace kt::merkle {

// Collects nodes to be hashed, of which some are made of others, and hashes as many at once as the
// processor can: sixteen take little longer than three would one after another. All references and
// pointers must hold until Run.
class NodeHasher {
 public:
  // Of a leaf; `*hash` is there after Run.
  void AddLeaf(const base::VrfOutput& key, const base::Hash& commitment, base::Hash* hash);

  // Of a parent. `left` and `right` are there already, or come from leaves or from parents of a
  // lower level; `hash` may be one of them, if no other job of the level reads or writes it.
  void AddParent(size_t level, const base::Hash& left, const base::Hash& right, base::Hash* hash);

  // Hashes what was added since the last Run: leaves first, then one level after another.
  void Run();

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  struct Job {
    const uint8_t* first;
    const uint8_t* second;
    uint8_t* hash;
    uint32_t next;  // of the same level, in jobs_
  };
  // Jobs that do not depend on each other: a list through jobs_.
  struct Level {
    uint32_t begin = kNone;
    size_t count = 0;
  };

  void Add(size_t level, const uint8_t* first, const uint8_t* second, uint8_t* hash);
  void HashLevel(uint8_t prefix, const Level& level) const;

  std::vector<Job> jobs_;
  std::vector<Level> levels_;  // of leaves, then of parents
};

}  // namespace kt::merkle
#endif  // MERKLE_NODE_HASHER_H_
