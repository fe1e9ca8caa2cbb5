// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_UNSAVED_PROOFS_H_
#define KT_SERVER_UNSAVED_PROOFS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/synchronization/mutex.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-server/store.h"

namespace kt::server {

// VRF proofs of versions that do not exist yet, of labels that do. A search shows some; they are
// made when the first one asks, kept here for the next, and stored with the next commit. Nothing
// depends on their being here: what is not is made again. Thread-safe.
class UnsavedProofs {
 public:
  // About 16 MB of rows. When there are so many, more are not kept.
  static constexpr size_t kMaxRows = 65'536;

  std::optional<VersionRow> Find(base::ByteView label, base::Version version) const {
    absl::ReaderMutexLock lock(&mutex_);
    if (rows_.empty()) return std::nullopt;
    const auto found = rows_.find(Key(base::ToText(label), version));
    return found == rows_.end() ? std::nullopt : std::make_optional(found->second);
  }

  void Add(const VersionRow& row) {
    absl::MutexLock lock(&mutex_);
    if (rows_.size() >= kMaxRows) return;
    rows_.emplace(Key(base::ToText(row.label), row.version), row);
  }

  // Removes and returns some, at most `limit`: those that follow the last ones taken, in an order
  // that is the same in each run of a simulation.
  std::vector<VersionRow> Take(size_t limit) {
    std::vector<VersionRow> out;
    absl::MutexLock lock(&mutex_);
    while (out.size() < limit && !rows_.empty()) {
      auto row = rows_.upper_bound(last_taken_);
      if (row == rows_.end()) row = rows_.begin();
      last_taken_ = row->first;
      out.push_back(std::move(row->second));
      rows_.erase(row);
    }
    return out;
  }

 private:
  using Key = std::pair<std::string, base::Version>;

  mutable absl::Mutex mutex_;
  absl::btree_map<Key, VersionRow> rows_ ABSL_GUARDED_BY(mutex_);
  Key last_taken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_UNSAVED_PROOFS_H_
