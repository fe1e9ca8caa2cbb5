// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_TIMESTAMP_TABLE_H_
#define KT_SERVER_TIMESTAMP_TABLE_H_

#include <array>
#include <bit>
#include <cstdint>
#include <memory>

#include "base/types.h"

namespace kt::server {

// The timestamps of all log entries, in memory: 8 bytes an entry, since the algorithms ask for one
// after the other and each answer may decide the next question.
//
// Grows without moving, so that one writer may append while readers read entries that were appended
// before they learned of the tree size (through a lock, which orders the two).
class TimestampTable {
 public:
  void Append(uint64_t timestamp_ms) {
    const Place place = PlaceOf(size_);
    if (segments_[place.segment] == nullptr) {
      segments_[place.segment] = std::make_unique<uint64_t[]>(kFirstSegment << place.segment);
    }
    segments_[place.segment][place.offset] = timestamp_ms;
    ++size_;
  }

  // `position` was appended before.
  uint64_t At(base::LogPosition position) const {
    const Place place = PlaceOf(position);
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
  static Place PlaceOf(base::LogPosition position) {
    const uint64_t shifted = position / kFirstSegment + 1;
    const size_t segment = static_cast<size_t>(std::bit_width(shifted)) - 1;
    return {segment, position - (std::bit_floor(shifted) - 1) * kFirstSegment};
  }

  std::array<std::unique_ptr<uint64_t[]>, 54> segments_;
  base::TreeSize size_ = 0;
};

}  // namespace kt::server
#endif  // KT_SERVER_TIMESTAMP_TABLE_H_
