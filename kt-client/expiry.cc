// SPDX-License-Identifier: Apache-2.0
#include "kt-client/expiry.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-core/configuration.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/operations.h"

namespace kt::client {
namespace {

// What a request refers to that may have expired.
struct References {
  std::optional<base::TreeSize> last;
  std::optional<base::LogPosition> oldest;  // of the log entries that it is about
  std::optional<base::Version> version;     // that is searched for
  std::string advice;                       // if the entry has expired, and `last` has not
  uint64_t not_before_ms = 0;               // that entry's timestamp at least
};

template <typename Request>
Request Decode(const Exchange& exchange) {
  // The request is this client's own; a kept one that is malformed refers to nothing.
  return base::codec::Decode<Request>(exchange.request).value_or(Request());
}

References OfContactMonitor(const Exchange& exchange, const LogRecord& record) {
  const auto request = Decode<core::ContactMonitorRequest>(exchange);
  References references{request.last, std::nullopt, std::nullopt, {}};
  if (!request.entries.empty()) references.oldest = request.entries.front().position;
  const WatchedLabel* const watched = record.FindWatchedLabel(request.label);
  if (watched != nullptr) references.not_before_ms = watched->not_before_ms;
  const std::string label = base::ToText(request.label);
  references.advice = absl::StrCat("what was looked up of ", label,
                                   " was not monitored in time; to begin anew: kt-client monitor ",
                                   label, " --forget, then look it up again");
  return references;
}

std::string OwnAnew(base::ByteView label) {
  const std::string text = base::ToText(label);
  return absl::StrCat("the ownership of ", text,
                      " cannot be continued; to begin anew: kt-client own ", text,
                      " --forget, then kt-client own ", text);
}

References OfUpdate(const Exchange& exchange, const LogRecord& record) {
  const auto request = Decode<core::UpdateRequest>(exchange);
  References references{request.last, std::nullopt, std::nullopt, OwnAnew(request.label)};
  // What is not known of the label yet was added after all that is.
  const OwnedLabel* const owned = record.FindOwned(request.label);
  if (owned == nullptr) return references;
  references.oldest = owned->owner.LastPosition();
  references.not_before_ms = owned->not_before_ms;
  return references;
}

References OfOwnerMonitor(const Exchange& exchange, const LogRecord& record) {
  const auto request = Decode<core::OwnerMonitorRequest>(exchange);
  References references{request.last, request.start, std::nullopt, OwnAnew(request.label)};
  if (!request.entries.empty() && request.entries.front().position < request.start) {
    references.oldest = request.entries.front().position;
    return references;
  }
  const OwnedLabel* const owned = record.FindOwned(request.label);
  if (owned != nullptr) references.not_before_ms = owned->not_before_ms;
  return references;
}

References Of(const Exchange& exchange, const LogRecord& record) {
  switch (exchange.operation) {
    case Operation::kSearch: {
      const auto request = Decode<core::SearchRequest>(exchange);
      return {request.last, std::nullopt, request.version, {}};
    }
    case Operation::kCredentialSearch:
      return {Decode<core::SearchRequest>(exchange).last, std::nullopt, std::nullopt, {}};
    case Operation::kContactMonitor:
      return OfContactMonitor(exchange, record);
    case Operation::kDistinguished:
      return {Decode<core::DistinguishedRequest>(exchange).last, std::nullopt, std::nullopt, {}};
    case Operation::kStrangersWalk:
      break;
    case Operation::kOwnerInit: {
      const auto request = Decode<core::OwnerInitRequest>(exchange);
      return {request.last, request.start, std::nullopt, "try again"};
    }
    case Operation::kOwnerMonitor:
      return OfOwnerMonitor(exchange, record);
    case Operation::kUpdate:
      return OfUpdate(exchange, record);
    case Operation::kCredentialUpdate:
    case Operation::kOverdueUpdate: {
      const auto request = Decode<core::CredentialUpdateRequest>(exchange);
      return {std::nullopt, request.terminal, std::nullopt,
              "the credential is of no use any more; a new one is needed"};
    }
  }
  return {};
}

// The greatest of the timestamps that `record` knows of entries at or left of `position`, which are
// not later than that one's; 0 if it knows none.
uint64_t NotBeforeMs(const LogRecord& record, base::LogPosition position) {
  uint64_t not_before_ms = 0;
  const auto add = [&](base::TreeSize size, std::span<const core::LogEntry> frontier) {
    const std::vector<base::LogPosition> positions = core::Frontier(size);
    for (size_t i = 0; i < positions.size(); ++i) {
      if (positions[i] > position) break;
      not_before_ms = std::max(not_before_ms, frontier[i].timestamp);
    }
  };
  if (record.state.has_value()) add(record.state->tree_size(), record.state->frontier);
  for (const core::DistinguishedEntry& entry : record.distinguished.entries) {
    add(entry.tree_size(), entry.frontier);
  }
  return not_before_ms;
}

// Whether a log entry that is not before this can have expired by now. The log's rightmost entry,
// from which it counts, may be ahead of the clock by max_ahead.
bool CanHaveExpired(const LogRecord& record, uint64_t not_before_ms, uint64_t now_ms) {
  const uint64_t latest_ms = now_ms + std::min(record.config.max_ahead, ~now_ms);
  return latest_ms >= not_before_ms && latest_ms - not_before_ms >= *record.config.maximum_lifetime;
}

}  // namespace

absl::Status JudgeExpiry(const Exchange& exchange, const LogRecord& record) {
  if (!record.config.maximum_lifetime.has_value()) {
    return base::VerificationFailed(
        "expired-without-lifetime",
        "the log says that something has expired, but its entries never expire");
  }
  const References references = Of(exchange, record);
  const bool last_can =
      references.last.has_value() && *references.last > 0 &&
      CanHaveExpired(record, NotBeforeMs(record, *references.last - 1), exchange.at_ms);
  if (last_can) {
    const base::Hash fingerprint = core::ConfigurationFingerprint(record.config);
    return FailedBecause(
        Failure::kExpired,
        absl::StrCat("the log says that what was seen of it before has expired, and it is that "
                     "old: nobody can tell any more whether the log goes on from there; to begin "
                     "anew, remove ",
                     base::ToHex(fingerprint.bytes),
                     ".state from the client's state directory, and own again what was owned"));
  }
  const uint64_t oldest_ms =
      std::max(references.not_before_ms, NotBeforeMs(record, references.oldest.value_or(0)));
  if (references.oldest.has_value() && CanHaveExpired(record, oldest_ms, exchange.at_ms)) {
    return FailedBecause(Failure::kExpired,
                         "the log says that what was seen of it has expired: " + references.advice);
  }
  if (references.version.has_value()) {
    return absl::OutOfRangeError(absl::StrCat("the log says that version ", *references.version,
                                              " has expired, which nobody can verify"));
  }
  return base::VerificationFailed(
      "expired-too-early",
      "the log says that what was seen of it before has expired, but it is not that old");
}

}  // namespace kt::client
