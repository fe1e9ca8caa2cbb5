// SPDX-License-Identifier: Apache-2.0
#include "kt-core/implicit_tree.h"

#include <bit>

#include "base/check.h"

namespace kt::core {

using base::LogPosition;
using base::TreeSize;

namespace {

// Leaves of the search tree are at level 0; otherwise the number of trailing one bits.
int Level(LogPosition x) { return std::countr_one(x); }

}  // namespace

LogPosition RootEntry(TreeSize size) {
  KT_CHECK(size > 0);
  return std::bit_floor(size) - 1;
}

std::optional<LogPosition> LeftChild(LogPosition x) {
  const int level = Level(x);
  if (level == 0) return std::nullopt;
  return x ^ (LogPosition{1} << (level - 1));
}

std::optional<LogPosition> RightChild(LogPosition x, TreeSize size) {
  KT_CHECK(x < size);
  const int level = Level(x);
  if (level == 0 || x == size - 1) return std::nullopt;
  LogPosition child = x ^ (LogPosition{3} << (level - 1));
  // The subtree on the right may be cut off by the end of the log; its root is then the first entry
  // to the left, going down, that exists.
  while (child >= size) child = *LeftChild(child);
  return child;
}

std::vector<LogPosition> PathFromRoot(LogPosition x, TreeSize size) {
  KT_CHECK(x < size);
  std::vector<LogPosition> path;
  for (LogPosition entry = RootEntry(size); entry != x;) {
    path.push_back(entry);
    entry = x < entry ? *LeftChild(entry) : *RightChild(entry, size);
  }
  return path;
}

bool IsInLeftSubtree(LogPosition entry, LogPosition x) {
  // The left subtree spans the 2^level - 1 entries before.
  return x < entry && entry - x < LogPosition{1} << Level(entry);
}

std::vector<LogPosition> Frontier(TreeSize size) {
  std::vector<LogPosition> frontier = {RootEntry(size)};
  while (const auto right = RightChild(frontier.back(), size)) frontier.push_back(*right);
  return frontier;
}

}  // namespace kt::core
