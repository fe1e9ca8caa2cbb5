// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace kt::base {
namespace {

TEST(PartCount, IsAtLeastOneAndNoPartTooSmall) {
  const size_t processors = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  EXPECT_EQ(PartCount(0, 10), 1u);
  EXPECT_EQ(PartCount(19, 10), 1u);
  EXPECT_EQ(PartCount(20, 10), std::min<size_t>(2, processors));
  EXPECT_EQ(PartCount(10 * processors, 10), processors);
  EXPECT_EQ(PartCount(1'000'000, 10), processors);
}

TEST(RunInParts, ComesToEachItemOnce) {
  for (const size_t parts : {1, 2, 3, 7}) {
    for (const size_t items : {0, 1, 6, 7, 8, 1'000}) {
      std::vector<std::atomic<int>> seen(items);
      std::vector<std::atomic<int>> called(parts);
      const auto work = [&](size_t part, size_t begin, size_t end) {
        ++called.at(part);
        EXPECT_LE(end - begin, items / parts + 1);
        for (size_t i = begin; i < end; ++i) ++seen.at(i);
        return absl::OkStatus();
      };
      EXPECT_TRUE(RunInParts(parts, items, work).ok());
      for (const auto& times : seen) EXPECT_EQ(times, 1);
      for (const auto& times : called) EXPECT_EQ(times, 1);
    }
  }
}

TEST(RunInParts, DoesTheFirstOnThisThread) {
  std::vector<std::thread::id> ids(3);
  const auto work = [&](size_t part, size_t, size_t) {
    ids[part] = std::this_thread::get_id();
    return absl::OkStatus();
  };
  EXPECT_TRUE(RunInParts(3, 3, work).ok());
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[0]);
}

TEST(RunInParts, TellsTheErrorOfTheFirstPartThatHasOne) {
  std::atomic<int> called = 0;
  const auto work = [&](size_t part, size_t, size_t) {
    ++called;
    return part == 0 ? absl::OkStatus() : absl::DataLossError(std::to_string(part));
  };
  EXPECT_EQ(RunInParts(4, 4, work), absl::DataLossError("1"));
  EXPECT_EQ(called, 4);
}

}  // namespace
}  // namespace kt::base
