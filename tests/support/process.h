// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_PROCESS_H_
#define TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

namespace kt::testing {

// What a finished program left.
struct ProcessResult {
  int exit_code = -1;  // 128 + signal if a signal ended it; -1 if it ran into the time-out
  std::string out;
  std::string err;
};

// Runs a program to its end. `environment` holds additional "NAME=value" pairs.
ProcessResult RunProcess(const std::vector<std::string>& argv,
                         const std::vector<std::string>& environment = {}, int timeout_ms = 30'000);

// A program in the background; killed when the object goes, and with the test's own process.
class BackgroundProcess {
 public:
  // Standard output and error are appended to `log_path`.
  BackgroundProcess(const std::vector<std::string>& argv, std::string log_path);
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;
  ~BackgroundProcess();

  // Waits until the log holds `text`; false if the program ends or time runs out before.
  bool WaitForLog(const std::string& text, int timeout_ms = 20'000);
  std::string Log() const;
  pid_t pid() const { return pid_; }

  void Signal(int signal);
  // The exit code as in ProcessResult.
  int Wait(int timeout_ms = 30'000);

 private:
  bool HasEnded();

  const std::string log_path_;
  pid_t pid_ = -1;
  int exit_code_ = -1;
  bool ended_ = false;
};

// A directory that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string ReadText(const std::string& path);
void WriteText(const std::string& path, const std::string& text, mode_t mode = 0644);

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_PROCESS_H_
