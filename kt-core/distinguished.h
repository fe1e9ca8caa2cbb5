// SPDX-License-Identifier: Apache-2.0
//
// The walk along the recent distinguished log entries and what users retain of it:
// draft-ietf-keytrans-protocol, "Walking Distinguished Heads".
#ifndef KT_CORE_DISTINGUISHED_H_
#define KT_CORE_DISTINGUISHED_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/operations.h"
#include "kt-core/proof_source.h"
#include "kt-core/prover.h"
#include "kt-core/response_verifier.h"
#include "kt-core/user_state.h"

namespace kt::core {

// The application's definition of a "recent" distinguished log entry, which a log and its users
// share: one of the `rightmost` rightmost ones, and, if `max_age_ms` is given, created less than
// that long before the rightmost log entry. An expired log entry is never recent. Both of the
// definitions that the draft names are cases of this one, and so it is monotonic.
struct RecentDefinition {
  size_t rightmost = 10;  // at least 1; the draft: SHOULD NOT be more than ten
  std::optional<uint64_t> max_age_ms;

  bool operator==(const RecentDefinition&) const = default;
};

// Whether a distinguished entry is recent, of which `newer` distinguished ones are to the right.
// `rightmost_ms` is the timestamp of the rightmost log entry.
bool IsRecent(const Configuration& config, const RecentDefinition& recent, size_t newer,
              uint64_t timestamp_ms, uint64_t rightmost_ms);

struct DistinguishedWalk {
  std::vector<LogPosition> positions;  // ascending
  // The distinguished entry to the left of them at which the walk ended, being the stop or not
  // recent; nullopt if it has passed all there are. No distinguished entry to the right of it is
  // left out.
  std::optional<LogPosition> ended_at;
};

// "Walking Distinguished Heads / Algorithm", after UpdateView: the recent distinguished entries to
// the right of `stop` (nullopt: all).
absl::StatusOr<DistinguishedWalk> WalkDistinguished(ProofSource& source,
                                                    const Configuration& config,
                                                    const RecentDefinition& recent,
                                                    std::optional<LogPosition> stop);

// What a user retains of a recent distinguished log entry: the log as it was when the entry was its
// rightmost one. "Walking Distinguished Heads / Detecting Forks" and "Credentials / Detecting
// Forks".
struct DistinguishedEntry {
  LogPosition position = 0;
  std::vector<Hash> full_subtrees;  // heads of merkle::FullSubtrees(position + 1)
  std::vector<LogEntry> frontier;   // entries at Frontier(position + 1); the last is the entry

  bool operator==(const DistinguishedEntry&) const = default;
  TreeSize tree_size() const { return position + 1; }
  const LogEntry& entry() const { return frontier.back(); }
  // The root value of the log tree of position + 1 entries.
  Hash root() const;
  // The same as the state of a user who has seen position + 1 entries; its head has no signature.
  UserState AsUserState() const;

  // For storing it; not part of the draft.
  static constexpr auto Fields() {
    return codec::List(&DistinguishedEntry::position,
                       codec::Vector<uint8_t>(&DistinguishedEntry::full_subtrees),
                       codec::Vector<uint8_t>(&DistinguishedEntry::frontier));
  }
};

// The recent distinguished log entries that a user is aware of.
struct DistinguishedState {
  std::vector<DistinguishedEntry> entries;  // ascending by position

  bool operator==(const DistinguishedState&) const = default;
  // nullptr if the user is not aware of a distinguished entry at `position`.
  const DistinguishedEntry* Find(LogPosition position) const;
  // The first one at or to the right of `position`; nullptr if there is none.
  const DistinguishedEntry* FirstFrom(LogPosition position) const;
  // The position to stop the next walk at; nullopt for a whole walk.
  std::optional<LogPosition> stop() const;

  // For storing it; not part of the draft.
  static constexpr auto Fields() {
    return codec::List(codec::Vector<uint8_t>(&DistinguishedState::entries));
  }
};

// kDataLoss unless positions ascend and each entry is one that a user can retain: stored state must
// not be able to break an invariant.
absl::Status ValidateDistinguishedState(const DistinguishedState& state);

// Answers a DistinguishedRequest. kInvalidArgument if request.last is out of range,
// kResourceExhausted if the definition of "recent" admits more entries than a response can carry.
absl::StatusOr<DistinguishedResponse> ProveDistinguished(const Configuration& config,
                                                         const RecentDefinition& recent,
                                                         const LogView& log, const SignedHead& head,
                                                         const DistinguishedRequest& request);

// What a verified walk says.
struct VerifiedDistinguished {
  std::vector<DistinguishedEntry> entries;  // recent and to the right of request.stop; ascending
  UserState state;                          // to be retained instead of the one that was passed
};

// "User Operations / Walking Distinguished Heads". `response` is an encoded DistinguishedResponse.
// `previous` (nullptr: none) is what the user retained; request.last must be its tree size
// (kInvalidArgument otherwise). `now_ms` is the user's clock when the response arrived.
absl::StatusOr<VerifiedDistinguished> VerifyDistinguished(const ResponseVerifier& verifier,
                                                          const RecentDefinition& recent,
                                                          const DistinguishedRequest& request,
                                                          ByteView response,
                                                          const UserState* previous,
                                                          uint64_t now_ms);

// What a user is aware of after a walk that she asked to stop at known.stop(), or at nothing.
// Entries that are not recent any more are dropped. A verification failure ("distinguished-heads")
// if the walk contradicts `known`: both then come from different views of the log.
absl::StatusOr<DistinguishedState> MergeWalk(const Configuration& config,
                                             const RecentDefinition& recent,
                                             const DistinguishedState& known,
                                             const DistinguishedRequest& request,
                                             const VerifiedDistinguished& walk);

}  // namespace kt::core
#endif  // KT_CORE_DISTINGUISHED_H_
