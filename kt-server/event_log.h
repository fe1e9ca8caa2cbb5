// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_EVENT_LOG_H_
#define KT_SERVER_EVENT_LOG_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace spdlog {
class logger;
}

namespace kt::server {

// One JSON object a line on standard error: {"t":"2026-03-01T10:00:00.000Z","level":"info",
// "event":"epoch_signed",...}. Addresses, certificates and tokens never go in. Thread-safe.
class EventLog {
 public:
  enum class Level { kDebug, kInfo, kWarn, kError };

  // `level`: debug, info, warn or error.
  explicit EventLog(const std::string& level);
  ~EventLog();

  void Write(Level level, const char* event, const nlohmann::ordered_json& fields);
  void Info(const char* event, const nlohmann::ordered_json& fields) {
    Write(Level::kInfo, event, fields);
  }
  void Error(const char* event, const nlohmann::ordered_json& fields) {
    Write(Level::kError, event, fields);
  }

 private:
  const std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace kt::server
#endif  // KT_SERVER_EVENT_LOG_H_
