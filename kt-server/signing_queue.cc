// SPDX-License-Identifier: Apache-2.0
#include "kt-server/signing_queue.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/update.h"

namespace kt::server {
namespace {

// How often something is asked for again because the log has changed in the meantime.
constexpr int kMaxAttempts = 3;

// Who verifies the response herself.
bool HasOwner(const SigningQueue::Job& job) { return job.submission.last.has_value(); }

absl::Status Malformed() {
  return absl::UnavailableError("the log's manager has sent a malformed response");
}

}  // namespace

// A search for a label's greatest version.
struct SigningQueue::Lookup {
  core::SearchRequest request;
  std::shared_ptr<const core::UserState> state;
  v1::SearchResponse response;
  Found done;
  int attempts = 0;
  size_t versions = 0;  // that were looked for because the greatest one has no value

  base::ByteView body() const {
    return base::AsBytes(response.has_found() ? response.found() : response.absent());
  }
};

SigningQueue::SigningQueue(const WaitingRoom::Limits& limits, OperatorKeys& keys,
                           const core::ResponseVerifier& verifier, ManagerClient& manager,
                           HeadFollower& follower, const base::Clock& clock, EventLog& events)
    : keys_(keys),
      verifier_(verifier),
      manager_(manager),
      follower_(follower),
      clock_(clock),
      events_(events),
      room_(limits) {}

absl::Status SigningQueue::Submit(Submission submission) {
  KT_RETURN_IF_ERROR(follower_.trust());
  const auto job = std::make_shared<Job>();
  job->submission = std::move(submission);
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::UnavailableError("the server is stopping");
    KT_RETURN_IF_ERROR(
        room_.Enter(job->submission.label, job->submission.submitter, job->submission.bytes));
    std::deque<JobPtr>& queue = jobs_[job->submission.label];
    queue.push_back(job);
    if (queue.size() > 1) return absl::OkStatus();
  }
  Begin(job);
  return absl::OkStatus();
}

void SigningQueue::Drain(absl::Duration grace) {
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return jobs_.empty(); };
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  mutex_.AwaitWithTimeout(absl::Condition(&idle), grace);
}

void SigningQueue::Begin(const JobPtr& job) {
  FindCurrent(job->submission.label,
              [this, job](const absl::StatusOr<std::optional<CurrentValue>>& current) {
                if (!current.ok()) return End(job, current.status());
                Sign(job, *current);
              });
}

void SigningQueue::Sign(const JobPtr& job, const std::optional<CurrentValue>& current) {
  const absl::StatusOr<core::ManagerUpdateRequest> request = MakeRequest(*job, current);
  if (!request.ok()) return End(job, request.status());
  Send(job, *request);
}

absl::StatusOr<core::ManagerUpdateRequest> SigningQueue::MakeRequest(
    Job& job, const std::optional<CurrentValue>& current) {
  KT_ASSIGN_OR_RETURN(const NewValues added,
                      job.submission.mutation(current.has_value() ? &*current : nullptr));
  job.request = {job.submission.last, job.submission.label, std::nullopt, {}};
  if (current.has_value()) job.request.greatest_version = current->version;
  std::vector<base::Bytes> values;
  for (const core::UpdateValue& update : added.values) {
    values.push_back(update.value);
    job.request.values.push_back({update.value});
  }
  KT_RETURN_IF_ERROR(core::DecideUpdate(job.request, job.request.greatest_version).status());
  const absl::StatusOr<base::Version> first =
      keys_.record->Take(job.request.label, job.request.greatest_version, values);
  if (!first.ok()) {
    events_.Error("not_signed", {{"error", std::string(first.status().message())}});
    return absl::UnavailableError("the operator could not sign the publication; its log says why");
  }
  job.first = *first;
  const uint64_t next = current.has_value() ? uint64_t{current->version} + 1 : 0;
  job.skipped_versions = static_cast<uint32_t>(job.first - next);
  events_.Write(EventLog::Level::kDebug, "signed",
                {{"versions", values.size()}, {"skipped", job.skipped_versions}});
  return core::SignUpdateRequest(keys_.config, *keys_.leaf, job.request, job.first);
}

void SigningQueue::Send(const JobPtr& job, const core::ManagerUpdateRequest& request) {
  const absl::StatusOr<base::Bytes> encoded =
      core::codec::TryEncode(request, core::WireContext::For(keys_.config));
  if (!encoded.ok()) return End(job, encoded.status());
  // Of the first response, which says whether the values were added.
  const auto result = std::make_shared<absl::Status>(absl::UnavailableError(
      "the log's manager did not say whether it has added the versions; look before trying again"));
  ManagerClient::Updates::Handler handler;
  handler.on_response = [this, job, result](ManagerClient::Updates& updates,
                                            base::ByteView response) {
    follower_.Check(response, [this, job, result, &updates, response](const absl::Status& status) {
      // A head that is superseded already does not matter to what is confirmed with another one.
      const bool usable = status.ok() || (absl::IsAborted(status) && !HasOwner(*job));
      *result = usable ? Received(*job, response) : status;
      updates.Cancel();
    });
  };
  handler.on_end = [this, job, result](const absl::Status& status) {
    // The manager has reasons of its own to refuse; that it does not answer says nothing.
    Ended(job, status.ok() || absl::IsUnavailable(status) ? *result : status);
  };
  manager_.Update(*encoded, std::move(handler));
}

// What the manager says of the values. kAborted if they were disregarded, since the label has other
// versions by now.
absl::Status SigningQueue::Received(Job& job, base::ByteView bytes) const {
  const auto response =
      core::codec::Decode<core::UpdateResponse>(bytes, core::WireContext::For(keys_.config));
  if (!response.ok()) return Malformed();
  if (!response->values.empty()) {
    return absl::AbortedError("the address has another greatest version by now");
  }
  if (response->skipped_versions != job.skipped_versions) return Malformed();
  Outcome outcome;
  outcome.version = static_cast<base::Version>(job.first + job.request.values.size() - 1);
  outcome.position = response->position;
  outcome.tree_size = response->full_tree_head.tree_head.tree_size;
  outcome.update_response = base::ToBytes(bytes);
  job.outcome = std::move(outcome);
  return absl::OkStatus();
}

void SigningQueue::Ended(const JobPtr& job, const absl::Status& status) {
  if (status.ok()) return HasOwner(*job) ? End(job, *job->outcome) : Confirm(job);
  // Something that was sent earlier, and not answered, has arrived after all: a value for the same
  // version or before it.
  const bool overtaken = absl::IsAborted(status) || absl::IsInvalidArgument(status);
  if (!overtaken) return End(job, status);
  if (!HasOwner(*job) && ++job->attempts < kMaxAttempts) return Begin(job);
  End(job, absl::AbortedError(std::string(status.message())));
}

// Nobody else will: whoever publishes for others is told by the operator that it is done.
void SigningQueue::Confirm(const JobPtr& job) {
  FindCurrent(job->submission.label,
              [this, job](const absl::StatusOr<std::optional<CurrentValue>>& current) {
                if (!current.ok()) return End(job, current.status());
                const bool there = current->has_value() &&
                                   ((*current)->version > job->outcome->version ||
                                    ((*current)->version == job->outcome->version &&
                                     (*current)->value == job->request.values.back().value));
                if (there) return End(job, *job->outcome);
                events_.Error("manager_did_not_add", {});
                End(job, absl::UnavailableError("the log's manager has not added the versions"));
              });
}

void SigningQueue::End(const JobPtr& job, const absl::StatusOr<Outcome>& outcome) {
  JobPtr next;
  {
    absl::MutexLock lock(&mutex_);
    const Submission& submission = job->submission;
    room_.Leave(submission.label, submission.submitter, submission.bytes);
    const auto queue = jobs_.find(submission.label);
    queue->second.pop_front();
    if (queue->second.empty()) {
      jobs_.erase(queue);
    } else {
      next = queue->second.front();
    }
  }
  job->submission.done(outcome);
  if (next != nullptr) Begin(next);
}

void SigningQueue::FindCurrent(const base::Bytes& label, Found done) {
  const auto lookup = std::make_shared<Lookup>();
  lookup->request.label = label;
  lookup->done = std::move(done);
  Ask(lookup);
}

void SigningQueue::Ask(const std::shared_ptr<Lookup>& lookup) {
  lookup->state = follower_.newest();
  lookup->request.last = std::nullopt;
  if (lookup->state != nullptr) lookup->request.last = lookup->state->tree_size();
  v1::SearchRequest message;
  message.set_request(base::ToText(base::codec::Encode(lookup->request)));
  const auto answered = [this, lookup](absl::StatusOr<v1::SearchResponse> response) {
    if (!response.ok()) return Refused(lookup, response.status());
    lookup->response = *std::move(response);
    follower_.Check(lookup->body(), [this, lookup](const absl::Status& status) {
      if (absl::IsAborted(status) && ++lookup->attempts < kMaxAttempts) return Ask(lookup);
      if (!status.ok()) return lookup->done(LastWord(status));
      auto current = Verify(*lookup);
      const bool absent = current.ok() && !current->has_value();
      if (absent && lookup->request.version.has_value()) return AskForPrevious(lookup);
      lookup->done(std::move(current));
    });
  };
  manager_.Search(message, answered, ManagerClient::IfDown::kWait);
}

// A greatest version whose value was erased cannot be shown. It is one that was signed, so it is
// looked for among those: what the log says of it nobody can verify, but another signature for a
// version that was signed is not made for any answer.
void SigningQueue::Refused(const std::shared_ptr<Lookup>& lookup, const absl::Status& status) {
  std::optional<base::Version>& version = lookup->request.version;
  if (absl::IsPermissionDenied(status)) {
    if (version.has_value()) {
      return lookup->done(CurrentValue{.version = *version, .value = {}, .erased = true});
    }
    version = keys_.record->Greatest(lookup->request.label);
    if (version.has_value()) return Ask(lookup);
  } else if (absl::IsNotFound(status) && version.has_value()) {
    return AskForPrevious(lookup);
  }
  // What it has against the operator's question is not the publisher's business.
  if (absl::IsUnavailable(status) || absl::IsResourceExhausted(status)) return lookup->done(status);
  events_.Error("manager_not_believed", {{"error", std::string(status.message())}});
  lookup->done(absl::UnavailableError("the log's manager does not say what the address has"));
}

// The version is not there, or was skipped.
void SigningQueue::AskForPrevious(const std::shared_ptr<Lookup>& lookup) {
  std::optional<base::Version>& version = lookup->request.version;
  // No more were ever signed that the log does not have.
  if (*version == 0 || ++lookup->versions == core::kMaxVersionsInEntry) {
    events_.Error("manager_not_believed", {{"error", "an erased version that is not there"}});
    return lookup->done(
        absl::UnavailableError("the log's manager does not say what the address has"));
  }
  --*version;
  Ask(lookup);
}

absl::StatusOr<std::optional<CurrentValue>> SigningQueue::Verify(const Lookup& lookup) const {
  const uint64_t now_ms = clock_.NowMs();
  const core::UserState* const state = lookup.state.get();
  absl::Status failure;
  if (lookup.response.has_found()) {
    auto found = verifier_.VerifySearch(lookup.request, lookup.body(), state, now_ms);
    if (found.ok()) return CurrentValue{found->version, std::move(found->value)};
    failure = found.status();
  } else {
    const auto absent = verifier_.VerifyAbsence(lookup.request, lookup.body(), state, now_ms);
    if (absent.ok()) return std::nullopt;
    failure = absent.status();
  }
  events_.Error("manager_not_believed", {{"error", std::string(failure.message())}});
  return absl::UnavailableError("what the log's manager says of the address does not verify");
}

}  // namespace kt::server
