// SPDX-License-Identifier: Apache-2.0
#include "kt-server/head_follower.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/distinguished.h"

namespace kt::server {
namespace {

constexpr size_t kMaxHeadFileBytes = 1 << 20;
// Responses on their way have heads that are no older than this many.
constexpr size_t kMaxVerifiedHeads = 4096;
// A head that the manager has shown to a user, it has to show the follower.
constexpr int kMaxAttempts = 3;

// The file at Options.head_path, before a SHA-256 of its bytes.
struct StoredHead {
  base::Hash configuration;  // ConfigurationFingerprint
  core::UserState state;

  static constexpr auto Fields() {
    return base::codec::List(&StoredHead::configuration, &StoredHead::state);
  }
};

absl::Status Caught() {
  return absl::UnavailableError(
      "the log's manager has contradicted itself, so its operator does not pass on what it says");
}

}  // namespace

absl::Status LastWord(const absl::Status& checked) {
  if (!absl::IsAborted(checked)) return checked;
  return absl::UnavailableError(std::string(checked.message()));
}

// What shows that the manager has lied.
struct HeadFollower::Evidence {
  std::string what;
  std::shared_ptr<const core::UserState> previous;
  base::Bytes request;  // empty: a user's
  base::ByteView response;
};

HeadFollower::HeadFollower(Options options, const core::ResponseVerifier& verifier, Ask ask,
                           EventLog& events, const base::Clock& clock)
    : options_(std::move(options)),
      verifier_(verifier),
      ask_(std::move(ask)),
      events_(events),
      clock_(clock) {}

HeadFollower::~HeadFollower() { Stop(); }

absl::StatusOr<std::unique_ptr<HeadFollower>> HeadFollower::Open(
    const Options& options, const core::ResponseVerifier& verifier, Ask ask, EventLog& events,
    const base::Clock& clock) {
  if (access(options.evidence_path.c_str(), F_OK) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the manager has contradicted itself, as ", options.evidence_path,
                     " shows: nothing is passed on until somebody has looked into it and has moved "
                     "that file away"));
  }
  std::unique_ptr<HeadFollower> follower(
      new HeadFollower(options, verifier, std::move(ask), events, clock));
  KT_RETURN_IF_ERROR(follower->Load());
  return follower;
}

absl::Status HeadFollower::Load() {
  const absl::StatusOr<base::Bytes> file = base::ReadFile(options_.head_path, kMaxHeadFileBytes);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  KT_RETURN_IF_ERROR(file.status());
  const auto damaged = [&](const char* what) {
    return absl::DataLossError(absl::StrCat(options_.head_path, " ", what));
  };
  if (file->size() < base::kHashSize) return damaged("is damaged");
  const base::ByteView body = base::ByteView(*file).first(file->size() - base::kHashSize);
  const base::ByteView seal = base::ByteView(*file).last(base::kHashSize);
  const base::Hash expected = base::Sha256(body);
  absl::StatusOr<StoredHead> stored =
      base::codec::Decode<StoredHead>(body, core::WireContext::For(verifier_.config()));
  if (!std::equal(seal.begin(), seal.end(), expected.bytes.begin()) || !stored.ok() ||
      !core::ValidateUserState(stored->state).ok()) {
    return damaged("is damaged");
  }
  if (stored->configuration != core::ConfigurationFingerprint(verifier_.config())) {
    return damaged("is of another log");
  }
  absl::MutexLock lock(&mutex_);
  verified_[stored->state.tree_size()] = stored->state.tree_head.signature;
  newest_ = std::make_shared<const core::UserState>(std::move(stored->state));
  return absl::OkStatus();
}

absl::Status HeadFollower::Save(const core::UserState& state) const {
  const StoredHead stored{core::ConfigurationFingerprint(verifier_.config()), state};
  KT_ASSIGN_OR_RETURN(base::Bytes bytes,
                      base::codec::TryEncode(stored, core::WireContext::For(verifier_.config())));
  base::Append(bytes, base::Sha256(bytes).bytes);
  return base::WriteFileAtomically(options_.head_path, bytes, 0600);
}

void HeadFollower::Start() {
  thread_ = std::thread([this] { Run(); });
}

void HeadFollower::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  std::vector<Waiter> waiters;
  {
    absl::MutexLock lock(&mutex_);
    waiters.swap(waiting_);
  }
  for (const Waiter& waiter : waiters)
    waiter.done(absl::UnavailableError("the server is stopping"));
}

absl::Status HeadFollower::trust() const {
  absl::ReaderMutexLock lock(&mutex_);
  return trust_;
}

std::shared_ptr<const core::UserState> HeadFollower::newest() const {
  absl::ReaderMutexLock lock(&mutex_);
  return newest_;
}

std::shared_ptr<const core::UserState> HeadFollower::AwaitGrowth(base::TreeSize size,
                                                                 absl::Duration timeout) const {
  const auto has_grown = [this, size]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return newest_ != nullptr && newest_->tree_size() > size;
  };
  absl::ReaderMutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&has_grown), timeout);
  return newest_;
}

void HeadFollower::Check(base::ByteView response, Done done) {
  base::codec::Reader reader(response);
  core::FullTreeHead head;
  if (!base::codec::ReadValue(reader, &head, core::WireContext::For(verifier_.config()))) {
    return done(absl::UnavailableError("the log's manager has sent a malformed response"));
  }
  if (head.head_type == core::FullTreeHeadType::kSame) return done(trust());
  std::optional<absl::Status> judged = Judge(head.tree_head, response);
  if (!judged.has_value()) {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      waiting_.push_back({std::move(head.tree_head), response, std::move(done)});
      return;
    }
    judged = absl::UnavailableError("the server is stopping");
  }
  done(*judged);
}

std::optional<absl::Status> HeadFollower::Judge(const core::TreeHead& head,
                                                base::ByteView response) {
  std::shared_ptr<const core::UserState> newest;
  {
    absl::ReaderMutexLock lock(&mutex_);
    if (!trust_.ok()) return trust_;
    if (newest_ == nullptr || head.tree_size > newest_->tree_size()) return std::nullopt;
    const auto found = verified_.find(head.tree_size);
    if (found == verified_.end()) {
      return absl::AbortedError("the log has grown; try again");
    }
    if (found->second == head.signature) return absl::OkStatus();
    newest = newest_;
  }
  // An honest log signs each size once.
  return Condemn({absl::StrCat("two tree heads of size ", head.tree_size), newest, {}, response});
}

void HeadFollower::Run() {
  const auto should_wake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !waiting_.empty();
  };
  for (;;) {
    std::vector<Waiter> waiters;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&should_wake), options_.poll_interval);
      if (stopping_) return;
      waiters.swap(waiting_);
    }
    const absl::Status polled = Poll();
    ReportPoll(polled);
    Answer(std::move(waiters), polled);
  }
}

void HeadFollower::ReportPoll(const absl::Status& status) {
  if (status.ok() == answering_) return;
  answering_ = status.ok();
  if (answering_) {
    events_.Info("manager_followed", {});
  } else {
    events_.Error("manager_not_followed", {{"error", std::string(status.message())}});
  }
}

absl::Status HeadFollower::Poll() {
  KT_RETURN_IF_ERROR(trust());
  return AskForHead(newest());
}

absl::Status HeadFollower::AskForHead(const std::shared_ptr<const core::UserState>& previous) {
  core::DistinguishedRequest request;
  if (previous != nullptr) {
    request.last = previous->tree_size();
    request.stop = previous->tree_size() - 1;
  }
  const base::Bytes encoded = base::codec::Encode(request);
  KT_ASSIGN_OR_RETURN(const base::Bytes response, ask_(encoded));
  const auto verified = core::VerifyDistinguished(verifier_, core::RecentDefinition(), request,
                                                  response, previous.get(), clock_.NowMs());
  // A head that is too old, or in the future, is no contradiction: it may be our clock.
  if (base::FailedCheck(verified.status()) == "timestamp-bounds") {
    return absl::UnavailableError(std::string(verified.status().message()));
  }
  if (base::IsVerificationFailure(verified.status())) {
    return Condemn({absl::StrCat(*base::FailedCheck(verified.status()), ": ",
                                 std::string(verified.status().message())),
                    previous, encoded, response});
  }
  KT_RETURN_IF_ERROR(verified.status());
  if (previous != nullptr && verified->state.tree_size() == previous->tree_size()) {
    return absl::OkStatus();
  }
  // First on the disk, so that after a restart the log cannot go back behind what users have seen.
  KT_RETURN_IF_ERROR(Save(verified->state));
  absl::MutexLock lock(&mutex_);
  newest_ = std::make_shared<const core::UserState>(verified->state);
  verified_[newest_->tree_size()] = newest_->tree_head.signature;
  if (verified_.size() > kMaxVerifiedHeads) verified_.erase(verified_.begin());
  return absl::OkStatus();
}

void HeadFollower::Answer(std::vector<Waiter> waiters, const absl::Status& polled) {
  for (Waiter& waiter : waiters) {
    std::optional<absl::Status> judged = Judge(waiter.head, waiter.response);
    if (!judged.has_value() && !polled.ok()) {
      judged = absl::UnavailableError("the log's manager does not answer; try again later");
    }
    if (!judged.has_value() && ++waiter.attempts == kMaxAttempts) {
      judged = absl::UnavailableError(
          "the log's manager shows a tree head to users only; try again later");
    }
    if (judged.has_value()) {
      waiter.done(*judged);
      continue;
    }
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(std::move(waiter));
  }
}

absl::Status HeadFollower::Condemn(const Evidence& evidence) {
  const core::WireContext context = core::WireContext::For(verifier_.config());
  nlohmann::ordered_json json = {
      {"what", evidence.what},
      {"t_ms", clock_.NowMs()},
      {"configuration", base::ToHex(base::codec::Encode(verifier_.config()))}};
  if (evidence.previous != nullptr) {
    json["verified_state"] = base::ToHex(base::codec::Encode(*evidence.previous, context));
  }
  if (!evidence.request.empty()) json["request"] = base::ToHex(evidence.request);
  json["response"] = base::ToHex(evidence.response);
  {
    absl::MutexLock lock(&mutex_);
    if (!trust_.ok()) return trust_;
    trust_ = Caught();
  }
  const absl::Status kept =
      base::WriteFileAtomically(options_.evidence_path, base::AsBytes(json.dump(1) + "\n"), 0600);
  events_.Error("manager_lied",
                {{"what", evidence.what},
                 {"evidence", kept.ok() ? options_.evidence_path : std::string(kept.message())}});
  return Caught();
}

}  // namespace kt::server
