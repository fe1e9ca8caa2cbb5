// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_NODE_CACHE_H_
#define KT_SERVER_NODE_CACHE_H_

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "merkle/log_tree.h"

namespace kt::server {

// What proofs show of the log tree: heads of complete subtrees, and prefix tree roots of entries.
// All proofs at one tree size show nearly the same of it, and neither kind ever changes once an
// entry is published, so nothing is ever invalidated. Thread-safe.
class NodeCache {
 public:
  // The values of `ids`, in their order; nullopt for what is not here.
  std::vector<std::optional<base::Hash>> Nodes(std::span<const merkle::LogNodeId> ids) const {
    return Find(ids, [](const merkle::LogNodeId& id) { return Key(id.level, id.index); });
  }
  std::vector<std::optional<base::Hash>> Roots(std::span<const base::LogPosition> positions) const {
    return Find(positions, [](base::LogPosition position) { return Key(kRootLevel, position); });
  }

  // Only of published entries: what is stored beyond them may still be unacknowledged.
  void Put(std::span<const merkle::LogNodeId> ids, std::span<const base::Hash> nodes,
           std::span<const base::LogPosition> positions, std::span<const base::Hash> roots) {
    absl::MutexLock lock(&mutex_);
    // The few hundred that are asked for again come back at once, so forgetting all is cheap.
    if (hashes_.size() + ids.size() + positions.size() > kCapacity) hashes_.clear();
    for (size_t i = 0; i < ids.size(); ++i) hashes_[Key(ids[i].level, ids[i].index)] = nodes[i];
    for (size_t i = 0; i < positions.size(); ++i) hashes_[Key(kRootLevel, positions[i])] = roots[i];
  }

 private:
  static constexpr size_t kCapacity = 1u << 16;  // about 4 MB
  static constexpr uint8_t kRootLevel = 255;     // of no node: those are below 64
  using Key = std::pair<uint8_t, uint64_t>;

  template <typename Ids, typename KeyOf>
  std::vector<std::optional<base::Hash>> Find(const Ids& ids, KeyOf key_of) const {
    std::vector<std::optional<base::Hash>> out(ids.size());
    if (ids.empty()) return out;
    absl::ReaderMutexLock lock(&mutex_);
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto found = hashes_.find(key_of(ids[i]));
      if (found != hashes_.end()) out[i] = found->second;
    }
    return out;
  }

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<Key, base::Hash> hashes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_NODE_CACHE_H_
