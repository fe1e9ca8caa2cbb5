// SPDX-License-Identifier: Apache-2.0
#include "kt-server/grpc_log.h"

#include <grpc/support/log.h>

#include <chrono>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"

namespace kt::server {
namespace {

constexpr size_t kMaxMessageBytes = 200;
constexpr int kMaxLinesAMinute = 10;

// gRPC's log function takes no argument of ours.
class Sink {
 public:
  void SetEvents(EventLog* events) {
    absl::MutexLock lock(&mutex_);
    KT_CHECK(events == nullptr || events_ == nullptr);
    events_ = events;
  }

  void Log(const gpr_log_func_args& line) {
    if (line.severity < GPR_LOG_SEVERITY_ERROR) return;
    absl::MutexLock lock(&mutex_);
    if (events_ == nullptr) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - minute_ >= std::chrono::minutes(1)) {
      minute_ = now;
      lines_ = 0;
    }
    if (lines_ == kMaxLinesAMinute) {
      ++left_out_;
      return;
    }
    ++lines_;
    std::string file = line.file;
    file = file.substr(file.rfind('/') + 1);
    // The event log escapes control characters and what is not UTF-8.
    events_->Error("grpc_error",
                   {{"source", absl::StrCat(file, ":", line.line)},
                    {"message", std::string(line.message).substr(0, kMaxMessageBytes)},
                    {"left_out", std::exchange(left_out_, 0)}});
  }

 private:
  absl::Mutex mutex_;
  EventLog* events_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::chrono::steady_clock::time_point minute_ ABSL_GUARDED_BY(mutex_);
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Never destroyed: gRPC's threads may outlive everything.
Sink& TheSink() {
  static Sink* const sink = new Sink;
  return *sink;
}

void LogToSink(gpr_log_func_args* line) { TheSink().Log(*line); }

}  // namespace

GrpcLogRedirect::GrpcLogRedirect(EventLog& events) {
  TheSink().SetEvents(&events);
  gpr_set_log_function(LogToSink);
}

GrpcLogRedirect::~GrpcLogRedirect() { TheSink().SetEvents(nullptr); }

}  // namespace kt::server
