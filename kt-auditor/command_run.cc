// SPDX-License-Identifier: Apache-2.0
//
// Commands of the service: init, run, status, resume.
#include <time.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status.h"
#include "kt-auditor/auditor.h"
#include "kt-auditor/auditor_config.h"
#include "kt-auditor/commands.h"
#include "kt-auditor/keys.h"
#include "kt-auditor/state_file.h"

namespace kt::auditor {
namespace {

namespace fs = std::filesystem;

constexpr char kFreshConfiguration[] =
    "# kt-auditor configuration. Relative paths start at this file's directory.\n\n"
    "# What was verified and signed, a file a log. Never restore it from a backup: an auditor "
    "that\n"
    "# forgets what it has signed could sign something else.\n"
    "state = \"state\"\n\n"
    "# One section for each log:\n"
    "#\n"
    "# [[log]]\n"
    "# name = \"smime.example\"            # in log lines and file names\n"
    "# server = \"kt.smime.example:443\"\n"
    "# tls_name = \"smime.example\"        # whom its certificate must name [the server's host]\n"
    "# ca = \"ca.pem\"                     # CAs that may vouch for it [the system's]\n"
    "# fingerprint = \"sha256:...\"        # as kt-server config shows it\n"
    "# key = \"auditor.key\"               # secret, mode 0600\n";

struct Options {
  std::string data;
  std::string suite = "ed25519";
  std::string config;
  std::string log;
  bool json = false;
};

absl::Status Init(const Options& options) {
  const fs::path directory = fs::absolute(options.data);
  const std::string config = (directory / "kt-auditor.toml").string();
  const std::string key = (directory / "auditor.key").string();
  std::error_code error;
  if (fs::exists(config, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(config, " exists; choose an empty directory for --data"));
  }
  if (fs::create_directories(directory, error)) {
    fs::permissions(directory, fs::perms::owner_all, error);
  }
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot create ", directory.string(), ": ", error.message()));
  }
  KT_RETURN_IF_ERROR(CreateKeyFiles(key,
                                    options.suite == "p256"
                                        ? base::SignatureAlgorithm::kEcdsaP256Sha256
                                        : base::SignatureAlgorithm::kEd25519,
                                    base::SystemRandom()));
  KT_RETURN_IF_ERROR(base::WriteFileAtomically(config, base::AsBytes(kFreshConfiguration), 0644));
  std::cout << "created " << config << "\n"
            << "public key " << key << ".pub, for kt-server init --auditor-key\n";
  return absl::OkStatus();
}

// Blocked in every thread, so that only the main thread takes them, at a point where it may act.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

absl::Status Run(const Options& options) {
  KT_ASSIGN_OR_RETURN(const AuditorConfig config, LoadAuditorConfig(options.config));
  const sigset_t signals = BlockSignals();
  EventLog events(std::cerr);
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Auditor> auditor,
                      Auditor::Start(config, events, base::SystemClock()));
  // With every log halted there is nothing left to do, and whoever supervises should see it.
  constexpr timespec kPollInterval = {.tv_sec = 0, .tv_nsec = 200'000'000};
  while (auditor->halted() < auditor->logs() &&
         sigtimedwait(&signals, nullptr, &kPollInterval) < 0) {
  }
  auditor->Stop();
  const size_t halted = auditor->halted();
  events.Info("stopped", {{"halted", halted}});
  if (halted == 0) return absl::OkStatus();
  return base::VerificationFailed(
      "halted", absl::StrCat(halted, " of ", auditor->logs(),
                             " logs were caught misbehaving; see kt-auditor status"));
}

nlohmann::ordered_json Describe(const LogConfig& log, const absl::StatusOr<StoredState>& stored) {
  nlohmann::ordered_json json = {{"log", log.name}};
  if (!stored.ok()) {
    json["error"] = std::string(stored.status().message());
    return json;
  }
  json["tree_size"] = stored->state.tree_size;
  if (stored->state.tree_size > 0) {
    json["root"] = base::ToHex(core::RootOf(stored->state).bytes);
    json["timestamp_ms"] = stored->state.frontier.back().timestamp;
  }
  if (stored->signed_head.has_value()) {
    json["signed_tree_size"] = stored->signed_head->tree_size;
    json["signed_timestamp_ms"] = stored->signed_head->timestamp;
  }
  if (!stored->halted.empty()) json["halted"] = base::ToText(stored->halted);
  return json;
}

absl::Status Status(const Options& options) {
  KT_ASSIGN_OR_RETURN(const AuditorConfig config, LoadAuditorConfig(options.config));
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  size_t halted = 0;
  absl::Status trouble;
  for (const LogConfig& log : config.logs) {
    absl::StatusOr<StoredState> stored = ReadStoredState(config.StatePath(log), log.fingerprint);
    if (absl::IsNotFound(stored.status())) stored = StoredState();
    if (!stored.ok()) trouble = stored.status();
    all.push_back(Describe(log, stored));
    if (all.back().contains("halted")) ++halted;
    if (options.json) continue;
    std::cout << log.name;
    for (const auto& [key, value] : all.back().items()) {
      if (key == "log") continue;
      std::cout << "  " << key << " "
                << (value.is_string() ? value.get<std::string>() : value.dump());
    }
    std::cout << "\n";
  }
  if (options.json) {
    std::cout << all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  }
  if (halted > 0) {
    return base::VerificationFailed("halted", absl::StrCat(halted, " of ", config.logs.size(),
                                                           " logs were caught misbehaving"));
  }
  return trouble;
}

absl::Status Resume(const Options& options) {
  KT_ASSIGN_OR_RETURN(const AuditorConfig config, LoadAuditorConfig(options.config));
  const auto log = std::find_if(config.logs.begin(), config.logs.end(),
                                [&](const LogConfig& one) { return one.name == options.log; });
  if (log == config.logs.end()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no log \"", options.log, "\""));
  }
  KT_ASSIGN_OR_RETURN(const auto file, StateFile::Open(config.StatePath(*log), log->fingerprint));
  if (file->stored().halted.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(options.log, " is not halted"));
  }
  StoredState next = file->stored();
  next.halted.clear();
  return file->Save(std::move(next));
}

CLI::App* AddCommand(CLI::App& app, const char* name, const char* description, Options* options) {
  CLI::App* const command = app.add_subcommand(name, description);
  command->add_option("--config", options->config, "Configuration file")->required();
  command->footer(kExitCodesHelp);
  return command;
}

}  // namespace

void AddInitCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* const command =
      app.add_subcommand("init", "Create an auditor: a key and a configuration to fill in");
  command->add_option("--data", options->data, "Directory to create it in")->required();
  command->add_option("--suite", options->suite, "Cipher suite of the logs to audit")
      ->check(CLI::IsMember({"p256", "ed25519"}))
      ->capture_default_str();
  command->footer(kExitCodesHelp);
  command->callback([=] { *exit_code = ExitCodeOf(Init(*options)); });
}

void AddRunCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* const command =
      AddCommand(app, "run", "Audit the logs until SIGTERM or SIGINT", options.get());
  command->callback([=] { *exit_code = ExitCodeOf(Run(*options)); });
}

void AddStatusCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* const command =
      AddCommand(app, "status", "Show what was verified and signed", options.get());
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=] { *exit_code = ExitCodeOf(Status(*options)); });
}

void AddResumeCommand(CLI::App& app, int* exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* const command = AddCommand(
      app, "resume",
      "Audit a log again that was halted, from the last entry that verified; its evidence stays",
      options.get());
  command->add_option("--log", options->log, "The log's name")->required();
  command->callback([=] { *exit_code = ExitCodeOf(Resume(*options)); });
}

}  // namespace kt::auditor
