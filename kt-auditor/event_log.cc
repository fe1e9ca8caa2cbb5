// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/event_log.h"

#include <ostream>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace kt::auditor {

void EventLog::Write(const char* level, const char* event, const nlohmann::ordered_json& fields) {
  nlohmann::ordered_json line;
  line["t"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  line["level"] = level;
  line["event"] = event;
  line.update(fields);
  // Text from peers may hold invalid UTF-8, which must not turn logging into a crash.
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  absl::MutexLock lock(&mutex_);
  out_ << text << "\n" << std::flush;
}

}  // namespace kt::auditor
