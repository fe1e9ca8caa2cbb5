// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_EVENT_LOG_H_
#define KT_AUDITOR_EVENT_LOG_H_

#include <iosfwd>
#include <nlohmann/json.hpp>

#include "absl/synchronization/mutex.h"

namespace kt::auditor {

// One JSON object a line:
// {"t":"2026-03-01T10:00:00.000Z","level":"info","event":"head_signed",...}. Thread-safe.
class EventLog {
 public:
  // Borrows `out`.
  explicit EventLog(std::ostream& out) : out_(out) {}

  void Info(const char* event, const nlohmann::ordered_json& fields) {
    Write("info", event, fields);
  }
  void Error(const char* event, const nlohmann::ordered_json& fields) {
    Write("error", event, fields);
  }

 private:
  void Write(const char* level, const char* event, const nlohmann::ordered_json& fields);

  absl::Mutex mutex_;
  std::ostream& out_;
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_EVENT_LOG_H_
