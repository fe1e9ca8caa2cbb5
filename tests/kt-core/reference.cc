// SPDX-License-Identifier: Apache-2.0
#include "tests/kt-core/reference.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kt::core {

using base::LogPosition;
using base::TreeSize;
using base::Version;

ReferenceLog::ReferenceLog(std::vector<uint64_t> timestamps, const Configuration& config)
    : timestamps_(std::move(timestamps)), config_(config), nodes_(timestamps_.size()) {
  root_ = Build(0, size(), std::nullopt);
  Distinguish(root_, 0, timestamps_.back());
}

// "Implicit Binary Search Tree": i_root = 2^floor(log2(n)) - 1.
LogPosition ReferenceLog::Build(LogPosition first, LogPosition end,
                                std::optional<LogPosition> parent) {
  TreeSize power = 1;
  while (power * 2 <= end - first) power *= 2;
  const LogPosition root = first + power - 1;
  nodes_[root].parent = parent;
  if (root > first) nodes_[root].left = Build(first, root, root);
  if (root + 1 < end) nodes_[root].right = Build(root + 1, end, root);
  return root;
}

std::vector<LogPosition> ReferenceLog::DirectPath(LogPosition position) const {
  std::vector<LogPosition> path;
  for (auto up = node(position).parent; up.has_value(); up = node(*up).parent) path.push_back(*up);
  return path;
}

std::vector<LogPosition> ReferenceLog::Frontier() const {
  std::vector<LogPosition> frontier = {root_};
  while (node(frontier.back()).right) frontier.push_back(*node(frontier.back()).right);
  return frontier;
}

// "Maximum Lifetime".
bool ReferenceLog::IsExpired(LogPosition position) const {
  return config_.maximum_lifetime.has_value() &&
         timestamps_.back() - timestamps_[position] >= *config_.maximum_lifetime;
}

// "Reasonable Monitoring Window", steps 1 to 4.
void ReferenceLog::Distinguish(LogPosition position, uint64_t left_ms, uint64_t right_ms) {
  if (right_ms - left_ms < config_.reasonable_monitoring_window) return;
  distinguished_.insert(position);
  if (node(position).left) Distinguish(*node(position).left, left_ms, timestamps_[position]);
  if (node(position).right) Distinguish(*node(position).right, timestamps_[position], right_ms);
}

std::optional<LogPosition> ReferenceLog::RightmostDistinguished() const {
  if (distinguished_.empty()) return std::nullopt;
  return *distinguished_.rbegin();
}

// "Updating Views of the Tree / Algorithm".
std::vector<LogPosition> ReferenceLog::UpdateView(std::optional<TreeSize> last) const {
  if (!last.has_value()) return Frontier();
  std::vector<LogPosition> asked;
  for (const LogPosition entry : DirectPath(*last - 1)) {
    if (entry >= *last) asked.push_back(entry);
  }
  const LogPosition on_frontier = asked.empty() ? *last - 1 : asked.back();
  const std::vector<LogPosition> frontier = Frontier();
  auto rest = std::find(frontier.begin(), frontier.end(), on_frontier);
  KT_CHECK(rest != frontier.end());
  asked.insert(asked.end(), rest + 1, frontier.end());
  return asked;
}

std::vector<Version> ReferenceSearchLadder(Version target, std::optional<Version> greatest,
                                           const std::set<Version>& left_inclusion,
                                           const std::set<Version>& right_non_inclusion) {
  constexpr int64_t kEnd = int64_t{1} << 32;
  const int64_t n = greatest.has_value() ? int64_t{*greatest} : -1;
  std::vector<int64_t> base = {0};
  while (base.back() <= n) base.push_back(2 * base.back() + 1);
  int64_t lower = base.size() > 1 ? base[base.size() - 2] : -1;
  int64_t upper = base.back();
  while (lower + 1 < upper) {
    const int64_t middle = (lower + upper) / 2;
    base.push_back(middle);
    (middle <= n && middle < kEnd ? lower : upper) = middle;
  }

  std::vector<Version> ladder;
  for (const int64_t value : base) {
    if (value >= kEnd) continue;
    const auto version = static_cast<Version>(value);
    if (!left_inclusion.contains(version) && !right_non_inclusion.contains(version)) {
      ladder.push_back(version);
    }
    const bool included = value <= n;
    if ((included && version > target) || (!included && version <= target)) break;
  }
  return ladder;
}

namespace {

// Collects what a search looks up, leaving out what it has shown before.
class Ladders {
 public:
  Ladders(Version target, const GreatestAt& greatest_at, ReferenceSearch* search)
      : target_(target), greatest_at_(greatest_at), search_(search) {}

  // Returns the greatest version.
  std::optional<Version> Obtain(LogPosition position) {
    std::set<Version> left_inclusion, right_non_inclusion;
    for (const Shown& shown : shown_) {
      if (shown.included && shown.position < position) left_inclusion.insert(shown.version);
      if (!shown.included && shown.position > position) right_non_inclusion.insert(shown.version);
    }
    const std::optional<Version> greatest = greatest_at_(position);
    const std::vector<Version> ladder =
        ReferenceSearchLadder(target_, greatest, left_inclusion, right_non_inclusion);
    for (const Version version : ladder) {
      shown_.push_back({position, version, greatest.has_value() && version <= *greatest});
    }
    search_->series.push_back({position, ladder});
    return greatest;
  }

 private:
  struct Shown {
    LogPosition position;
    Version version;
    bool included;
  };
  const Version target_;
  const GreatestAt& greatest_at_;
  ReferenceSearch* const search_;
  std::vector<Shown> shown_;
};

void Found(const ReferenceLog& log, LogPosition terminal, ReferenceSearch* search) {
  search->result = ReferenceSearch::kFound;
  search->terminal = terminal;
  const auto rightmost = log.RightmostDistinguished();
  search->right_of_distinguished = !rightmost.has_value() || terminal > *rightmost;
}

}  // namespace

// "Greatest-Version Search / Algorithm".
ReferenceSearch ReferenceGreatestVersionSearch(const ReferenceLog& log, Version target,
                                               const GreatestAt& greatest_at) {
  ReferenceSearch search;
  Ladders ladders(target, greatest_at, &search);
  std::optional<LogPosition> terminal;
  std::optional<LogPosition> entry = log.RightmostDistinguished().value_or(log.root());
  for (; entry.has_value(); entry = log.node(*entry).right) {
    search.touched.push_back(*entry);
    const std::optional<Version> greatest = ladders.Obtain(*entry);
    if (greatest == target && !terminal.has_value()) terminal = *entry;
  }
  KT_CHECK(terminal.has_value());
  Found(log, *terminal, &search);
  return search;
}

// "Fixed-Version Search / Algorithm".
ReferenceSearch ReferenceFixedVersionSearch(const ReferenceLog& log, Version target,
                                            const GreatestAt& greatest_at) {
  ReferenceSearch search;
  Ladders ladders(target, greatest_at, &search);
  std::set<LogPosition> greater;
  for (std::optional<LogPosition> entry = log.root(); entry.has_value();) {
    search.touched.push_back(*entry);
    if (log.IsExpired(*entry)) {  // 1
      entry = log.node(*entry).right;
      continue;
    }
    const std::optional<Version> greatest = ladders.Obtain(*entry);  // 2
    if (!greatest.has_value() || *greatest < target) {               // 3
      entry = log.node(*entry).right;
    } else if (*greatest > target) {  // 4
      greater.insert(*entry);
      entry = log.node(*entry).left;
    } else {  // 5
      const std::vector<LogPosition> path = log.DirectPath(*entry);
      const bool any_expired =
          std::any_of(path.begin(), path.end(), [&](LogPosition x) { return log.IsExpired(x); });
      const bool vouched =
          log.IsDistinguished(*entry) || std::any_of(path.begin(), path.end(), [&](LogPosition x) {
            return x < *entry && log.IsDistinguished(x) && !log.IsExpired(x);
          });
      if (!any_expired || vouched) {
        Found(log, *entry, &search);
      } else {
        search.result = ReferenceSearch::kExpired;
      }
      return search;
    }
  }
  // 6
  if (greater.empty()) {
    search.result = ReferenceSearch::kNotFound;
    return search;
  }
  const LogPosition identified = *greater.begin();
  bool any_expired = false, vouched = false;
  for (const LogPosition x : search.touched) {
    if (log.IsExpired(x)) any_expired = true;
    if (!log.IsExpired(x) && log.IsDistinguished(x) && x < identified) vouched = true;
  }
  if (any_expired && !vouched) {
    search.result = ReferenceSearch::kExpired;
    return search;
  }
  search.series.push_back({identified, {target}});
  Found(log, identified, &search);
  return search;
}

}  // namespace kt::core
