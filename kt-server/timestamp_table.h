// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_TIMESTAMP_TABLE_H_
#define KT_SERVER_TIMESTAMP_TABLE_H_

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/types.h"

namespace kt::server {

// The timestamps of all log entries that are kept, in memory: 8 bytes an entry, since the
// algorithms ask for one after the other and each answer may decide the next question.
//
// Grows without moving, so that one writer may append while readers read entries that were appended
// before they learned of the tree size (through a lock, which orders the two).
class TimestampTable {
 public:
  // Before the first Append: the table begins at `first`, and knows `earlier` besides. For a log
  // that is pruned up to `first`.
  void Begin(base::LogPosition first, std::map<base::LogPosition, uint64_t> earlier) {
    KT_CHECK(size_ == 0);
    first_ = size_ = first;
    earlier_ = std::move(earlier);
  }

  void Append(uint64_t timestamp_ms) {
    const Place place = PlaceOf(size_ - first_);
    if (segments_[place.segment] == nullptr) {
      segments_[place.segment] = std::make_unique<uint64_t[]>(kFirstSegment << place.segment);
    }
    segments_[place.segment][place.offset] = timestamp_ms;
    ++size_;
  }

  // `position` was appended before, or is one of the earlier ones.
  uint64_t At(base::LogPosition position) const {
    if (position < first_) return earlier_.at(position);
    const Place place = PlaceOf(position - first_);
    return segments_[place.segment][place.offset];
  }

  // For the writer only.
  base::TreeSize size() const { return size_; }

 private:
  static constexpr uint64_t kFirstSegment = 1024;
  struct Place {
    size_t segment;
    uint64_t offset;
  };
  // Segment i holds kFirstSegment * 2^i entries.
  static Place PlaceOf(uint64_t index) {
    const uint64_t shifted = index / kFirstSegment + 1;
    const size_t segment = static_cast<size_t>(std::bit_width(shifted)) - 1;
    return {segment, index - (std::bit_floor(shifted) - 1) * kFirstSegment};
  }

  std::array<std::unique_ptr<uint64_t[]>, 54> segments_;
  base::TreeSize size_ = 0;
  base::LogPosition first_ = 0;
  std::map<base::LogPosition, uint64_t> earlier_;
};

}  // namespace kt::server
#endif  // KT_SERVER_TIMESTAMP_TABLE_H_
