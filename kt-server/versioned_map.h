// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_VERSIONED_MAP_H_
#define KT_SERVER_VERSIONED_MAP_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace kt::server {

// Ordinal of a commit; a row is visible to snapshots taken at or after the commit that wrote it.
using CommitNumber = uint64_t;

// An ordered map that remembers every value that a key has had, and since when; nullopt since it
// was deleted.
template <typename Key, typename Row>
class VersionedMap {
 public:
  using History = std::vector<std::pair<CommitNumber, std::optional<Row>>>;
  using Map = std::map<Key, History>;

  void Put(const Key& key, CommitNumber commit, const Row& row) {
    map_[key].emplace_back(commit, row);
  }
  void Delete(const Key& key, CommitNumber commit) { map_[key].emplace_back(commit, std::nullopt); }
  // Calls `doomed(key, row)` for every row as of `commit`, and deletes those that it says.
  // Returns how many; at most `limit`.
  template <typename Doomed>
  size_t DeleteIf(CommitNumber commit, size_t limit, Doomed doomed) {
    size_t deleted = 0;
    for (auto it = map_.begin(); it != map_.end() && deleted < limit; ++it) {
      const Row* row = Newest(it->second, commit);
      if (row == nullptr || !doomed(it->first, *row)) continue;
      it->second.emplace_back(commit, std::nullopt);
      ++deleted;
    }
    return deleted;
  }
  // Forgets what no snapshot as of `commit` or later shows.
  void Forget(CommitNumber commit) {
    for (auto it = map_.begin(); it != map_.end();) {
      History& history = it->second;
      while (history.size() > 1 && history[1].first <= commit) history.erase(history.begin());
      const bool gone = history.size() == 1 && !history[0].second && history[0].first <= commit;
      it = gone ? map_.erase(it) : std::next(it);
    }
  }
  // The row as of `commit`, or null.
  const Row* Find(const Key& key, CommitNumber commit) const {
    const auto it = map_.find(key);
    return it == map_.end() ? nullptr : Newest(it->second, commit);
  }
  // Calls `visit(row)` in the order of keys from `begin`, until it returns false.
  template <typename Visit>
  void Scan(const Key& begin, CommitNumber commit, Visit visit) const {
    for (auto it = map_.lower_bound(begin); it != map_.end(); ++it) {
      const Row* row = Newest(it->second, commit);
      if (row != nullptr && !visit(*row)) return;
    }
  }

 private:
  static const Row* Newest(const History& rows, CommitNumber commit) {
    for (auto it = rows.rbegin(); it != rows.rend(); ++it) {
      if (it->first <= commit) return it->second.has_value() ? &*it->second : nullptr;
    }
    return nullptr;
  }

  Map map_;
};

}  // namespace kt::server
#endif  // KT_SERVER_VERSIONED_MAP_H_
