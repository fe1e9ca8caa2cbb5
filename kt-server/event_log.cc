// SPDX-License-Identifier: Apache-2.0
#include "kt-server/event_log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace kt::server {
namespace {

spdlog::level::level_enum SpdlogLevel(EventLog::Level level) {
  switch (level) {
    case EventLog::Level::kDebug:
      return spdlog::level::debug;
    case EventLog::Level::kInfo:
      return spdlog::level::info;
    case EventLog::Level::kWarn:
      return spdlog::level::warn;
    case EventLog::Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

const char* Name(EventLog::Level level) {
  constexpr const char* kNames[] = {"debug", "info", "warn", "error"};
  return kNames[static_cast<size_t>(level)];
}

}  // namespace

EventLog::EventLog(const std::string& level)
    : logger_(std::make_shared<spdlog::logger>("kt-server",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
  logger_->set_level(spdlog::level::from_str(level));
  logger_->flush_on(spdlog::level::debug);
}

EventLog::~EventLog() = default;

void EventLog::Write(Level level, const char* event, const nlohmann::ordered_json& fields) {
  if (!logger_->should_log(SpdlogLevel(level))) return;
  nlohmann::ordered_json line;
  line["t"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  line["level"] = Name(level);
  line["event"] = event;
  if (!fields.is_null()) line.update(fields);
  // Text from peers may hold invalid UTF-8, which must not turn logging into a crash.
  logger_->log(SpdlogLevel(level), "{}",
               line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace kt::server
