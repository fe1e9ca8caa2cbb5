// SPDX-License-Identifier: Apache-2.0
#include "tests/support/auditor_answers.h"

#include <iterator>
#include <map>
#include <utility>

#include "kt-core/implicit_tree.h"

namespace kt::testing {

using base::Hash;
using base::LogPosition;
using base::VrfOutput;
using core::PrefixLeaf;
using core::PrefixProof;

void AddDistinguished(LogPosition entry, uint64_t left_ms, uint64_t right_ms, uint64_t window_ms,
                      const std::vector<uint64_t>& timestamps, std::set<LogPosition>* out) {
  if (right_ms - left_ms < window_ms) return;
  out->insert(entry);
  if (const auto left = core::LeftChild(entry)) {
    AddDistinguished(*left, left_ms, timestamps[entry], window_ms, timestamps, out);
  }
  if (const auto right = core::RightChild(entry, timestamps.size())) {
    AddDistinguished(*right, timestamps[entry], right_ms, window_ms, timestamps, out);
  }
}

std::optional<LogPosition> DistinguishedBefore(LogPosition position,
                                               const std::vector<uint64_t>& timestamps,
                                               uint64_t window_ms) {
  std::set<LogPosition> all;
  AddDistinguished(core::RootEntry(timestamps.size()), 0, timestamps.back(), window_ms, timestamps,
                   &all);
  const auto after = all.lower_bound(position);
  if (after == all.begin()) return std::nullopt;
  return *std::prev(after);
}

namespace {

using LeafMap = std::map<VrfOutput, Hash>;

unsigned Shared(const VrfOutput& a, const VrfOutput& b) {
  unsigned bits = 0;
  while (bits < 256 && a.bit(bits) == b.bit(bits)) ++bits;
  return bits;
}

// The leaves that may move up when those of `removed` go. They are named, so that the auditor sees
// that they are leaves.
LeafMap MayMoveUp(const NaivePrefixTree& after, const LeafMap& added, const LeafMap& removed) {
  LeafMap touched;
  for (const auto& [key, commitment] : removed) {
    if (added.contains(key)) continue;
    const NaivePrefixTree::Leaves::value_type* nearest = nullptr;
    for (const auto& leaf : after.leaves()) {
      if (nearest == nullptr || Shared(key, leaf.first) > Shared(key, nearest->first)) {
        nearest = &leaf;
      }
    }
    if (nearest != nullptr && !added.contains(nearest->first)) touched.insert(*nearest);
  }
  return touched;
}

}  // namespace

PrefixProof ProveBoth(const NaivePrefixTree& tree, const core::AuditorUpdate& update) {
  std::map<VrfOutput, size_t> index;
  for (const auto* list : {&update.added, &update.removed}) {
    for (const PrefixLeaf& leaf : *list) index[leaf.vrf_output] = 0;
  }
  std::vector<VrfOutput> keys;
  for (auto& [key, at] : index) {
    at = keys.size();
    keys.push_back(key);
  }
  PrefixProof proof = tree.Prove(keys);
  const std::vector<merkle::PrefixSearchResult> results = std::move(proof.results);
  proof.results.clear();
  for (const auto* list : {&update.added, &update.removed}) {
    for (const PrefixLeaf& leaf : *list) proof.results.push_back(results[index[leaf.vrf_output]]);
  }
  return proof;
}

AuditorMessage AnswerAuditor(const TestLog& log, LogPosition position) {
  const NaivePrefixTree before = position == 0 ? NaivePrefixTree() : log.PrefixTreeOf(position - 1);
  const NaivePrefixTree& after = log.PrefixTreeOf(position);
  LeafMap added, removed;
  for (const auto& [key, commitment] : after.leaves()) {
    const auto old = before.leaves().find(key);
    if (old != before.leaves().end() && old->second == commitment) continue;
    added[key] = commitment;
    if (old != before.leaves().end()) removed[key] = old->second;
  }
  for (const auto& [key, commitment] : before.leaves()) {
    if (!after.leaves().contains(key)) removed[key] = commitment;
  }
  const LeafMap touched = MayMoveUp(after, added, removed);
  added.insert(touched.begin(), touched.end());
  removed.insert(touched.begin(), touched.end());

  AuditorMessage message;
  message.update.timestamp = log.TimestampOf(position);
  for (const auto& [key, commitment] : added) message.update.added.push_back({key, commitment});
  for (const auto& [key, commitment] : removed) message.update.removed.push_back({key, commitment});
  message.update.proof = ProveBoth(before, message.update);
  if (removed.empty()) return message;
  std::vector<uint64_t> timestamps;
  for (LogPosition i = 0; i <= position; ++i) timestamps.push_back(log.TimestampOf(i));
  const auto distinguished =
      DistinguishedBefore(position, timestamps, log.config().reasonable_monitoring_window);
  std::vector<VrfOutput> keys;
  for (const auto& [key, commitment] : removed) keys.push_back(key);
  message.published =
      distinguished.has_value() ? log.PrefixTreeOf(*distinguished).Prove(keys) : PrefixProof();
  return message;
}

}  // namespace kt::testing
