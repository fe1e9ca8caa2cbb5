// SPDX-License-Identifier: Apache-2.0
#include "kt-server/waiting_room.h"

namespace kt::server {
namespace {

// Takes one off `key`'s count, and forgets keys that have none left.
template <typename Key>
void CountDown(absl::flat_hash_map<Key, size_t>& counts, const Key& key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
}

template <typename Key>
size_t CountOf(const absl::flat_hash_map<Key, size_t>& counts, const Key& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

absl::Status WaitingRoom::Enter(const base::Bytes& label, const std::string& submitter,
                                size_t bytes) {
  if (count_ >= limits_.max_count || bytes > limits_.max_bytes - bytes_) {
    return absl::ResourceExhaustedError("too many publications are waiting; try again later");
  }
  if (CountOf(of_submitter_, submitter) >= limits_.max_per_submitter) {
    return absl::ResourceExhaustedError(
        "too many publications of this token are waiting; try again later");
  }
  if (CountOf(of_label_, label) >= limits_.max_per_label) {
    return absl::ResourceExhaustedError(
        "too many publications for the address are waiting; try again later");
  }
  ++count_;
  bytes_ += bytes;
  ++of_label_[label];
  ++of_submitter_[submitter];
  return absl::OkStatus();
}

void WaitingRoom::Leave(const base::Bytes& label, const std::string& submitter, size_t bytes) {
  --count_;
  bytes_ -= bytes;
  CountDown(of_label_, label);
  CountDown(of_submitter_, submitter);
}

}  // namespace kt::server
