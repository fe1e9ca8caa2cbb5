// SPDX-License-Identifier: Apache-2.0
#include "kt-client/state_store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"

namespace kt::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxStateBytes = 64 << 20;
constexpr mode_t kStateMode = 0600;
constexpr char kPinExtension[] = ".pin";
constexpr char kRefusedExtension[] = ".refused";

// The content of a pin file.
struct DomainPin {
  static constexpr uint16_t kFormat = 1;
  uint16_t format = kFormat;
  base::Hash fingerprint;
  static constexpr auto Fields() {
    return base::codec::List(&DomainPin::format, &DomainPin::fingerprint);
  }
};

absl::Status Damaged(const std::string& path, const std::string& why) {
  return absl::DataLossError(absl::StrCat(
      path, " is damaged (", why,
      "); keep a copy, since it is evidence of what the log showed, and remove it to start anew"));
}

// The lock that protects `path`: a file beside it, since the file itself is replaced.
absl::StatusOr<base::FileLock> LockFile(const std::string& path, int timeout_ms) {
  const absl::Time deadline = absl::Now() + absl::Milliseconds(timeout_ms);
  absl::StatusOr<base::FileLock> lock = base::FileLock::Acquire(path + ".lock");
  while (lock.status().code() == absl::StatusCode::kAborted && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(5));
    lock = base::FileLock::Acquire(path + ".lock");
  }
  if (lock.status().code() != absl::StatusCode::kAborted) return lock;
  return absl::UnavailableError(
      absl::StrCat(path, " is in use by another process; try again when it has finished"));
}

}  // namespace

absl::StatusOr<StateStore> StateStore::Open(const std::string& directory) {
  if (directory.empty()) {
    return absl::InvalidArgumentError("a directory for the client's state is needed");
  }
  std::error_code error;
  if (fs::create_directories(directory, error)) {
    fs::permissions(directory, fs::perms::owner_all, error);
  }
  if (!error && !fs::is_directory(directory, error)) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use the state directory ", directory, ": ", error.message()));
  }
  return StateStore(directory);
}

std::string StateStore::PinPath(const std::string& domain) const {
  // Domains are A-labels, whose alphabet holds nothing that a path could stumble over.
  KT_CHECK(!domain.empty() && domain.front() != '.' && domain.find('/') == std::string::npos);
  return (fs::path(directory_) / (domain + kPinExtension)).string();
}

absl::StatusOr<std::vector<std::string>> StateStore::PinnedDomains() const {
  std::vector<std::string> domains;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == kPinExtension) domains.push_back(it->path().stem());
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot read ", directory_, ": ", error.message()));
  }
  std::sort(domains.begin(), domains.end());
  return domains;
}

absl::StatusOr<std::optional<base::Hash>> StateStore::ReadPin(const std::string& domain) const {
  const std::string path = PinPath(domain);
  const absl::StatusOr<base::Bytes> bytes = base::ReadFile(path, kMaxStateBytes);
  if (bytes.status().code() == absl::StatusCode::kNotFound) return std::nullopt;
  KT_RETURN_IF_ERROR(bytes.status());
  const absl::StatusOr<DomainPin> pin = base::codec::Decode<DomainPin>(*bytes);
  if (!pin.ok()) return Damaged(path, std::string(pin.status().message()));
  if (pin->format != DomainPin::kFormat) return Damaged(path, "unknown format");
  return pin->fingerprint;
}

std::string StateStore::StatePath(const base::Hash& fingerprint) const {
  return (fs::path(directory_) / (base::ToHex(fingerprint.bytes) + ".state")).string();
}

absl::Status StateStore::WritePin(const std::string& domain, const base::Hash& fingerprint,
                                  int timeout_ms) const {
  // The usual case needs no lock, since pins never change.
  KT_ASSIGN_OR_RETURN(std::optional<base::Hash> pinned, ReadPin(domain));
  if (pinned == fingerprint) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const base::FileLock lock, LockFile(PinPath(domain), timeout_ms));
  KT_ASSIGN_OR_RETURN(pinned, ReadPin(domain));
  if (pinned == fingerprint) return absl::OkStatus();
  if (pinned.has_value()) {
    return base::VerificationFailed(
        "configuration-pin", absl::StrCat("another log was pinned for ", domain, " meanwhile"));
  }
  return base::WriteFileAtomically(
      PinPath(domain), base::codec::Encode(DomainPin{DomainPin::kFormat, fingerprint}), kStateMode);
}

absl::StatusOr<std::optional<LogRecord>> StateStore::Read(const base::Hash& fingerprint) const {
  const std::string path = StatePath(fingerprint);
  const absl::StatusOr<base::Bytes> bytes = base::ReadFile(path, kMaxStateBytes);
  if (bytes.status().code() == absl::StatusCode::kNotFound) return std::nullopt;
  KT_RETURN_IF_ERROR(bytes.status());
  absl::StatusOr<LogRecord> record = DecodeLogRecord(*bytes, fingerprint);
  if (!record.ok()) return Damaged(path, std::string(record.status().message()));
  return std::make_optional<LogRecord>(*std::move(record));
}

absl::StatusOr<StateStore::Session> StateStore::Lock(const base::Hash& fingerprint,
                                                     int timeout_ms) const {
  const std::string path = StatePath(fingerprint);
  KT_ASSIGN_OR_RETURN(base::FileLock lock, LockFile(path, timeout_ms));
  Session session(path, std::move(lock));
  KT_ASSIGN_OR_RETURN(session.record_, Read(fingerprint));
  return session;
}

absl::StatusOr<std::string> StateStore::KeepRefusal(const KeptRefusal& refusal,
                                                    int timeout_ms) const {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::codec::TryEncode(refusal));
  const std::string log = absl::StrCat(base::ToHex(refusal.fingerprint.bytes).substr(0, 16), "-");
  // The names of checks are lower-case words joined by hyphens.
  const std::string check = absl::StrCat(log, base::ToText(refusal.check), "-");
  const std::string id = base::ToHex(base::Sha256(bytes).bytes).substr(0, 16);
  const fs::path directory(directory_);
  KT_ASSIGN_OR_RETURN(const base::FileLock lock,
                      LockFile((directory / "refused").string(), timeout_ms));
  size_t of_log = 0;
  size_t of_check = 0;
  uint64_t total = bytes.size();
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (it->path().extension() != kRefusedExtension || !name.starts_with(log)) continue;
    ++of_log;
    // The identifier holds no hyphen.
    if (name.substr(0, name.rfind('-') + 1) == check) ++of_check;
    total += it->file_size(error);
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot read ", directory_, ": ", error.message()));
  }
  if (of_log >= kMaxRefusals || of_check >= kMaxRefusalsOfACheck || total > kMaxRefusalBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("enough of the kind is kept in ", directory_, " already"));
  }
  const std::string path = (directory / (check + id + kRefusedExtension)).string();
  KT_RETURN_IF_ERROR(base::WriteFileAtomically(path, bytes, kStateMode));
  return path;
}

absl::Status StateStore::Session::Save(LogRecord record) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::codec::TryEncode(record));
  KT_RETURN_IF_ERROR(base::WriteFileAtomically(path_, bytes, kStateMode));
  record_ = std::move(record);
  return absl::OkStatus();
}

}  // namespace kt::client
