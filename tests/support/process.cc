// SPDX-License-Identifier: Apache-2.0
#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/check.h"

namespace kt::testing {
namespace {

using Clock = std::chrono::steady_clock;

int ExitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Only async-signal-safe calls between fork and exec.
pid_t Spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
            const std::string& out_path, const std::string& err_path, bool append) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> all = environment;
  for (char** variable = environ; *variable != nullptr; ++variable) all.emplace_back(*variable);
  std::vector<char*> variables;
  for (const std::string& variable : all) variables.push_back(const_cast<char*>(variable.c_str()));
  variables.push_back(nullptr);

  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC);
  const int out = open(out_path.c_str(), flags, 0600);
  const int err = open(err_path.c_str(), flags, 0600);
  KT_CHECK(out >= 0 && err >= 0);
  const pid_t pid = fork();
  KT_CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out, 1);
    dup2(err, 2);
    execve(arguments[0], arguments.data(), variables.data());
    _exit(127);
  }
  close(out);
  close(err);
  return pid;
}

}  // namespace

ProcessResult RunProcess(const std::vector<std::string>& argv,
                         const std::vector<std::string>& environment, int timeout_ms) {
  const TemporaryDirectory directory;
  const std::string out = directory.File("out");
  const std::string err = directory.File("err");
  const pid_t pid = Spawn(argv, environment, out, err, /*append=*/false);
  ProcessResult result;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      result.err = "(ran into the time-out)\n";
      result.out = ReadText(out);
      result.err += ReadText(err);
      return result;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  result.exit_code = ExitCodeOf(status);
  result.out = ReadText(out);
  result.err = ReadText(err);
  return result;
}

BackgroundProcess::BackgroundProcess(const std::vector<std::string>& argv, std::string log_path)
    : log_path_(std::move(log_path)), pid_(Spawn(argv, {}, log_path_, log_path_, true)) {}

BackgroundProcess::~BackgroundProcess() {
  if (HasEnded()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool BackgroundProcess::HasEnded() {
  int status = 0;
  if (!ended_ && waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ = true;
    exit_code_ = ExitCodeOf(status);
  }
  return ended_;
}

bool BackgroundProcess::WaitForLog(const std::string& text, int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (Clock::now() < deadline) {
    if (Log().find(text) != std::string::npos) return true;
    if (HasEnded()) return Log().find(text) != std::string::npos;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

std::string BackgroundProcess::Log() const { return ReadText(log_path_); }

void BackgroundProcess::Signal(int signal) {
  if (!HasEnded()) kill(pid_, signal);
}

int BackgroundProcess::Wait(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!HasEnded() && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return exit_code_;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "kt-test.XXXXXX").string();
  KT_CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void WriteText(const std::string& path, const std::string& text, mode_t mode) {
  std::ofstream(path, std::ios::binary) << text;
  KT_CHECK(chmod(path.c_str(), mode) == 0);
}

}  // namespace kt::testing
