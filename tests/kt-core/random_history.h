// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_CORE_RANDOM_HISTORY_H_
#define TESTS_KT_CORE_RANDOM_HISTORY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/kt-core/reference.h"
#include "tests/support/fakes.h"
#include "tests/support/test_log.h"

namespace kt::core {

// A log's configuration drawn at random: windows from none to longer than the whole history of
// `entries` entries a second apart, with and without a lifetime.
inline testing::TestLogOptions RandomOptions(testing::SeededRandom& random,
                                             base::TreeSize entries) {
  testing::TestLogOptions options;
  const uint64_t span_ms = 1000 * entries;
  options.reasonable_monitoring_window_ms = random.Below(3) == 0 ? 0 : random.Below(span_ms + 1000);
  if (random.Below(2) == 0) {
    options.maximum_lifetime_ms =
        options.reasonable_monitoring_window_ms + 1 + random.Below(span_ms + 1);
  }
  return options;
}

// Grows a log by entries at random times, each with a random batch: nothing, or versions of some of
// `labels` labels ("label0" and so on), several of one label among them.
class RandomHistory {
 public:
  RandomHistory(testing::SeededRandom& random, int labels)
      : random_(random), labels_(labels), now_ms_(1'000'000 * random.Below(2)) {}

  std::string AnyLabel() const { return absl::StrCat("label", random_.Below(labels_)); }

  void Grow(testing::TestLog& log) {
    std::vector<testing::TestUpdate> updates;
    const uint64_t kind = random_.Below(4);  // none, one, a few, a few of one label
    const std::string label = AnyLabel();
    const uint64_t count = kind < 2 ? kind : 1 + random_.Below(4);
    for (uint64_t i = 0; i < count; ++i) {
      updates.push_back(
          {kind == 3 ? label : AnyLabel(), absl::StrCat("value ", random_.Below(1000))});
    }
    log.Append(now_ms_, updates);
    if (random_.Below(5) != 0) now_ms_ += random_.Below(2000);
  }

 private:
  testing::SeededRandom& random_;
  const int labels_;
  uint64_t now_ms_;
};

// The reference's view of a log's first `size` entries.
inline ReferenceLog ReferenceOf(const testing::TestLog& log, base::TreeSize size) {
  std::vector<uint64_t> timestamps;
  for (base::LogPosition position = 0; position < size; ++position) {
    timestamps.push_back(log.TimestampOf(position));
  }
  return ReferenceLog(std::move(timestamps), log.config());
}

inline GreatestAt GreatestIn(const testing::TestLog& log, const std::string& label) {
  return [&log, label](base::LogPosition position) { return log.Greatest(label, position + 1); };
}

}  // namespace kt::core
#endif  // TESTS_KT_CORE_RANDOM_HISTORY_H_
