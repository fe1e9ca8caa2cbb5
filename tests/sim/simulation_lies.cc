// SPDX-License-Identifier: Apache-2.0
//
// What a dishonest log may try after any honest history, and that those notice of whom
// docs/threat-model.md says so, at the time that it says.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/binary_ladder.h"
#include "kt-core/distinguished_forks.h"
#include "kt-server/audit_service.h"
#include "kt-server/version_rows.h"
#include "tests/sim/simulation.h"

namespace kt::sim {

using base::Bytes;
using base::TreeSize;
using base::Version;
using client::LogUser;
using core::CombinedTreeProof;
using core::FullTreeHead;

namespace {

// Time in which several log entries become distinguished.
constexpr int kEntriesUntilLater = 8;
constexpr uint64_t kMsBetween = 700;

template <typename T>
void Cut(std::vector<T>& list) {
  if (!list.empty()) list.pop_back();
}

// Each alters what everybody checks who is sent it.
std::vector<std::pair<std::string, Tamper>> Alterations() {
  return {
      {"TimestampAltered",
       [](FullTreeHead&, CombinedTreeProof& proof) {
         if (!proof.timestamps.empty()) ++proof.timestamps.back();
       }},
      {"TimestampsReordered",
       [](FullTreeHead&, CombinedTreeProof& proof) {
         std::reverse(proof.timestamps.begin(), proof.timestamps.end());
       }},
      {"TimestampsCut", [](FullTreeHead&, CombinedTreeProof& proof) { Cut(proof.timestamps); }},
      {"TimestampsPadded",
       [](FullTreeHead&, CombinedTreeProof& proof) {
         proof.timestamps.push_back(proof.timestamps.empty() ? 1 : proof.timestamps.back());
       }},
      {"PrefixProofsCut",
       [](FullTreeHead&, CombinedTreeProof& proof) { Cut(proof.prefix_proofs); }},
      {"PrefixProofsPadded",
       [](FullTreeHead&, CombinedTreeProof& proof) { proof.prefix_proofs.emplace_back(); }},
      {"PrefixRootsCut", [](FullTreeHead&, CombinedTreeProof& proof) { Cut(proof.prefix_roots); }},
      {"PrefixRootsPadded",
       [](FullTreeHead&, CombinedTreeProof& proof) { proof.prefix_roots.emplace_back(); }},
      {"InclusionCut",
       [](FullTreeHead&, CombinedTreeProof& proof) { Cut(proof.inclusion.elements); }},
      {"InclusionPadded",
       [](FullTreeHead&, CombinedTreeProof& proof) { proof.inclusion.elements.emplace_back(); }},
      {"HeadSignedWithAnotherKey",
       [](FullTreeHead& head, CombinedTreeProof&) {
         if (!head.tree_head.signature.empty()) head.tree_head.signature.back() ^= 1;
       }},
      {"AuditorsSignatureForged",
       [](FullTreeHead& head, CombinedTreeProof&) {
         if (!head.auditor_tree_head.signature.empty()) head.auditor_tree_head.signature[0] ^= 1;
       }},
  };
}

}  // namespace

// Entries `step_ms` apart, each of which adds something; the log of an auditor who conspires, or
// the honest one.
absl::Status Simulation::Grow(LogOperator& log, int entries, uint64_t step_ms) {
  for (int i = 0; i < entries; ++i) {
    Advance(step_ms);
    if (&log == &log_) {
      KT_RETURN_IF_ERROR(Submit(NewPublication(AnyLabel())));
      KT_RETURN_IF_ERROR(Epoch());
      KT_RETURN_IF_ERROR(Audit());
      continue;
    }
    server::Submitter::Submission submission;
    submission.label = base::ToBytes(i == 0 ? kOwned : AnyLabel());
    submission.mutation = [](const server::CurrentValue*) {
      return std::vector<Bytes>{base::ToBytes("forged")};
    };
    submission.done = [](const auto&) {};
    KT_RETURN_IF_ERROR(log.sequencer().Submit(std::move(submission)));
    log.sequencer().RunEpoch();
  }
  return absl::OkStatus();
}

// A fork whose last common entry is left of the last one that `size` entries have.
absl::StatusOr<std::unique_ptr<LogOperator>> Simulation::ForkBehind(TreeSize size) {
  size_t commits = log_.store().commits();
  while (commits > 1 && log_.store().SizeAfter(commits) >= size) --commits;
  if (commits > 1) commits -= random_.Below(std::min<size_t>(commits, 4));
  return log_.Fork(commits, random_.Below(1'000'000));
}

// Who has seen the log accepts nothing of its fork, whichever is larger.
absl::Status Simulation::ShowFork(const LogUser& user) {
  if (!user.record().state.has_value()) return absl::OkStatus();
  const TreeSize seen = user.record().state->tree_size();
  if (fork_ == nullptr || random_.Below(4) == 0) {
    if (log_.store().SizeAfter(1) >= seen) return absl::OkStatus();
    KT_ASSIGN_OR_RETURN(fork_, ForkBehind(seen));
    forked_at_ = fork_->log().newest()->size();
    KT_RETURN_IF_ERROR(Grow(*fork_, 1, 0));
  }
  if (forked_at_ >= seen) return absl::OkStatus();  // it is hers as well
  if (random_.Below(4) != 0) {
    while (fork_->log().newest()->size() < seen) KT_RETURN_IF_ERROR(Grow(*fork_, 1, 0));
  }
  KT_RETURN_IF_ERROR(Grow(*fork_, 1, 0));
  KT_RETURN_IF_ERROR(fork_->SignAsAuditor());
  const Exchange search = AskSearch(user, fork_->log(), AnyLabel(), std::nullopt);
  KT_RETURN_IF_ERROR(Refused(user, search));
  ++counts_.forks_refused;
  return absl::OkStatus();
}

// --- telling a lie -------------------------------------------------------------------------

absl::Status Simulation::TellLie() {
  struct Lie {
    const char* name;
    absl::Status (Simulation::*tell)();
    bool contact = true;  // in a log without an auditor
    bool audited = true;
  };
  static constexpr Lie kLies[] = {
      {"ForkForOneWhoHasSeenTheOther", &Simulation::LieForkForOneWhoHasSeenTheOther},
      {"ForkForANewcomer", &Simulation::LieForkForANewcomer, true, false},
      {"ForkForANewcomerBehindAnHonestAuditor", &Simulation::LieForkBehindAnHonestAuditor, false},
      {"Rollback", &Simulation::LieRollback},
      {"OldHeadReplayed", &Simulation::LieOldHeadReplayed},
      {"VersionInsertedAndKeptFromItsOwner", &Simulation::LieVersionInsertedAndKeptFromItsOwner},
      {"GreatestVersionClaimed", &Simulation::LieGreatestVersion},
      {"LabelDenied", &Simulation::LieLabelDenied},
      {"AlteredResponses", &Simulation::LieAlteredResponses},
      {"ChangeKeptFromTheAuditor", &Simulation::LieChangeKeptFromTheAuditor, false},
      {"EntryFromTheFuture", &Simulation::LieEntryFromTheFuture, true, false},
      {"AuditorLags", &Simulation::LieAuditorLags, false},
  };
  KT_RETURN_IF_ERROR(PrepareForLie());
  for (;;) {
    const Lie& lie = kLies[random_.Below(std::size(kLies))];
    if (!(audited() ? lie.audited : lie.contact)) continue;
    const absl::Status status = (this->*lie.tell)();
    if (!status.ok()) return Broken(lie.name, status);
    ++counts_.lies[lie.name];
    return status;
  }
}

// The log has all of whom a lie may be told: a user who has seen it, and an owner with versions.
absl::Status Simulation::PrepareForLie() {
  KT_RETURN_IF_ERROR(Audit());
  KT_RETURN_IF_ERROR(Epoch());
  KT_RETURN_IF_ERROR(Grow(log_, kEntriesUntilLater, kMsBetween));
  if (owner_ == nullptr) KT_RETURN_IF_ERROR(BecomeOwner());
  while (published_[kOwned].size() < 2) {
    KT_RETURN_IF_ERROR(Submit(NewPublication(kOwned)));
    KT_RETURN_IF_ERROR(Epoch());
  }
  KT_RETURN_IF_ERROR(Grow(log_, 1, kMsBetween));
  KT_RETURN_IF_ERROR(Own());
  KT_RETURN_IF_ERROR(Search(victim(), kOwned, std::nullopt));
  return Walk(victim());
}

// --- forks ---------------------------------------------------------------------------------

absl::Status Simulation::LieForkForOneWhoHasSeenTheOther() {
  const TreeSize seen = victim().record().state->tree_size();
  KT_ASSIGN_OR_RETURN(const auto fork, ForkBehind(seen));
  while (fork->log().newest()->size() <= seen) KT_RETURN_IF_ERROR(Grow(*fork, 1, kMsBetween));
  KT_RETURN_IF_ERROR(fork->SignAsAuditor());
  KT_RETURN_IF_ERROR(Refused(victim(), AskSearch(victim(), fork->log(), kOwned, std::nullopt)));
  KT_RETURN_IF_ERROR(Refused(victim(), AskSearch(victim(), fork->log(), AnyLabel(), 0)));
  KT_RETURN_IF_ERROR(Refused(victim(), AskWalk(victim(), fork->log())));
  const Exchange monitoring = AskOwnerMonitor(*owner_, fork->log(), kOwned);
  // Of versions that the fork does not have, or has elsewhere, it can give no proof.
  if (absl::IsInvalidArgument(monitoring.response.status())) return absl::OkStatus();
  return Refused(*owner_, monitoring);
}

// Kept up, it is sound in itself; those who compare distinguished heads find it.
absl::Status Simulation::LieForkForANewcomer() {
  KT_ASSIGN_OR_RETURN(const auto fork, ForkBehind(log_.log().newest()->size()));
  KT_RETURN_IF_ERROR(Grow(*fork, 1, kMsBetween));
  const std::unique_ptr<LogUser> newcomer = NewUser();
  const Exchange search = AskSearch(*newcomer, fork->log(), kOwned, std::nullopt);
  KT_RETURN_IF_ERROR(Take(*newcomer, search));
  for (int i = 0; i < kEntriesUntilLater; ++i) {
    KT_RETURN_IF_ERROR(Grow(*fork, 1, kMsBetween / 2));
    KT_RETURN_IF_ERROR(Grow(log_, 1, kMsBetween / 2));
  }
  KT_RETURN_IF_ERROR(Take(*newcomer, AskWalk(*newcomer, fork->log())));
  KT_RETURN_IF_ERROR(Walk(victim()));
  const auto heads = [](const LogUser& user) {
    return core::ToDistinguishedHead(user.record().distinguished);
  };
  if (core::CompareDistinguishedHeads(heads(*newcomer), heads(victim())) ==
      core::HeadComparison::kConsistent) {
    return Broken("two users who were shown a fork each find nothing");
  }
  return absl::OkStatus();
}

// The auditor has signed the entries before the fork, and signs none of it.
absl::Status Simulation::LieForkBehindAnHonestAuditor() {
  KT_ASSIGN_OR_RETURN(const auto fork, ForkBehind(log_.log().newest()->size()));
  KT_RETURN_IF_ERROR(fork->SignAsAuditor());
  const std::unique_ptr<LogUser> newcomer = NewUser();
  KT_RETURN_IF_ERROR(Grow(*fork, 1, log_.config().max_auditor_lag + 1));
  return Refused(*newcomer, AskWalk(*newcomer, fork->config(), *fork->log().newest()));
}

absl::Status Simulation::LieRollback() {
  const TreeSize seen = victim().record().state->tree_size();
  KT_ASSIGN_OR_RETURN(const auto old, ForkBehind(seen));
  KT_RETURN_IF_ERROR(old->SignAsAuditor());
  KT_RETURN_IF_ERROR(Refused(victim(), AskSearch(victim(), old->log(), AnyLabel(), std::nullopt)));
  return Refused(victim(), AskWalk(victim(), old->log()));
}

// --- heads and times -----------------------------------------------------------------------

absl::Status Simulation::LieOldHeadReplayed() {
  Advance(log_.config().max_behind + 5'000);
  const std::unique_ptr<LogUser> newcomer = NewUser();
  KT_RETURN_IF_ERROR(Refused(*newcomer, AskSearch(*newcomer, log_.log(), kOwned, std::nullopt)));
  KT_RETURN_IF_ERROR(Refused(*newcomer, AskWalk(*newcomer, log_.log())));
  KT_RETURN_IF_ERROR(Refused(victim(), AskSearch(victim(), log_.log(), kOwned, std::nullopt)));
  KT_RETURN_IF_ERROR(Refused(victim(), AskWalk(victim(), log_.log())));
  return Refused(*owner_, AskOwnerMonitor(*owner_, log_.log(), kOwned));
}

absl::Status Simulation::LieEntryFromTheFuture() {
  const server::NewEntry entry{now_ms() + log_.config().max_ahead + 1, {}};
  KT_RETURN_IF_ERROR(log_.log().Append({&entry, 1}));
  const std::unique_ptr<LogUser> newcomer = NewUser();
  KT_RETURN_IF_ERROR(Refused(*newcomer, AskSearch(*newcomer, log_.log(), kOwned, std::nullopt)));
  return Refused(victim(), AskSearch(victim(), log_.log(), kOwned, std::nullopt));
}

absl::Status Simulation::LieAuditorLags() {
  Advance(log_.config().max_auditor_lag + 3'000);
  KT_RETURN_IF_ERROR(Submit(NewPublication(AnyLabel())));
  KT_RETURN_IF_ERROR(Epoch());
  const std::unique_ptr<LogUser> newcomer = NewUser();
  const auto state = log_.log().newest();
  KT_RETURN_IF_ERROR(Refused(*newcomer, AskWalk(*newcomer, log_.config(), *state)));
  return Refused(victim(), AskWalk(victim(), log_.config(), *state));
}

// --- versions ------------------------------------------------------------------------------

// It is proven to be there when the next distinguished entry is monitored, whatever she is told.
absl::Status Simulation::LieVersionInsertedAndKeptFromItsOwner() {
  KT_RETURN_IF_ERROR(Submit(NewPublication(kOwned)));
  KT_RETURN_IF_ERROR(Epoch());
  KT_RETURN_IF_ERROR(Grow(log_, kEntriesUntilLater, kMsBetween));
  for (;;) {
    const Exchange exchange = AskOwnerMonitor(*owner_, log_.log(), kOwned);
    if (!exchange.response.ok()) return Broken("no answer", exchange.response.status());
    const auto before = owner_->record().FindOwned(base::AsBytes(kOwned))->owner.start;
    const auto result = exchange.take(*owner_, *exchange.response, now_ms());
    if (base::IsVerificationFailure(result.status())) return absl::OkStatus();
    if (!result.ok()) return Broken("an owner is deceived", result.status());
    if (*result == "complete") return Broken("an owner takes a hidden version for none");
    // A proof is withheld: LogSession::MonitorOwner says "owner-withheld".
    if (owner_->record().FindOwned(base::AsBytes(kOwned))->owner.start <= before) {
      return absl::OkStatus();
    }
  }
}

absl::Status Simulation::LieGreatestVersion() {
  const auto state = log_.log().current();
  const auto greatest = GreatestShown(kOwned, state->size());
  const Version claimed = random_.Below(2) == 0 ? *greatest + 1 + random_.Below(3)
                                                : static_cast<Version>(random_.Below(*greatest));
  KT_ASSIGN_OR_RETURN(server::LabelRows rows,
                      server::ReadWholeLabel(state->snapshot(), base::AsBytes(kOwned)));
  KT_RETURN_IF_ERROR(server::CompleteRows(state->snapshot(), log_.log().vrf(),
                                          log_.log().unsaved_proofs(), base::AsBytes(kOwned),
                                          core::BaseBinaryLadder(claimed), &rows));
  core::LabelRecord record = server::RecordOf(rows);
  for (auto& [version, row] : record) {
    if (version > claimed) row.existing.reset();
    if (version <= claimed && !row.existing.has_value()) row.existing.emplace();
  }
  const std::unique_ptr<LogUser> newcomer = NewUser();
  for (const LogUser* user : {&victim(), newcomer.get()}) {
    const auto request = user->MakeSearch(base::AsBytes(kOwned), std::nullopt);
    const auto response = core::ProveSearch(log_.config(), *state, state->head(), request, claimed,
                                            record, base::Opening{}, {base::ToBytes("forged"), {}});
    if (!response.ok()) return Broken("no answer", response.status());
    Exchange exchange = AskSearch(*user, log_.log(), kOwned, std::nullopt);
    exchange.response =
        base::codec::Encode(*response, core::WireContext::For(log_.config(), false));
    KT_RETURN_IF_ERROR(Refused(*user, exchange));
  }
  return absl::OkStatus();
}

absl::Status Simulation::LieLabelDenied() {
  const auto state = log_.log().current();
  KT_ASSIGN_OR_RETURN(const server::LabelRows rows,
                      server::ReadWholeLabel(state->snapshot(), base::AsBytes(kOwned)));
  core::LabelRecord record = server::RecordOf(rows);
  record.at(0).existing.reset();
  const std::unique_ptr<LogUser> newcomer = NewUser();
  for (const LogUser* user : {&victim(), newcomer.get()}) {
    const auto request = user->MakeSearch(base::AsBytes(kOwned), std::nullopt);
    const auto response = core::ProveAbsence(*state, state->head(), request, record);
    if (!response.ok()) return Broken("no answer", response.status());
    Exchange exchange;
    exchange.operation = "absence";
    exchange.response = base::codec::Encode(*response, core::WireContext::For(log_.config()));
    exchange.take = [request](LogUser& asker, base::ByteView bytes,
                              uint64_t now) -> absl::StatusOr<std::string> {
      KT_RETURN_IF_ERROR(asker.Absence(request, bytes, now).status());
      return "";
    };
    KT_RETURN_IF_ERROR(Refused(*user, exchange));
  }
  return absl::OkStatus();
}

// --- whole responses -----------------------------------------------------------------------

absl::Status Simulation::LieAlteredResponses() {
  KT_RETURN_IF_ERROR(Grow(log_, 2, kMsBetween));
  const std::unique_ptr<LogUser> newcomer = NewUser();
  std::vector<std::pair<const LogUser*, Exchange>> exchanges;
  for (const LogUser* user : {&victim(), newcomer.get()}) {
    exchanges.emplace_back(user, AskSearch(*user, log_.log(), kOwned, std::nullopt));
    exchanges.emplace_back(user, AskSearch(*user, log_.log(), "nobody@smime.example", {}));
    exchanges.emplace_back(user, AskWalk(*user, log_.log()));
    if (user->record().FindWatched(base::AsBytes(kOwned)) != nullptr) {
      exchanges.emplace_back(user, AskContactMonitor(*user, log_.log(), base::ToBytes(kOwned)));
    }
  }
  const base::LogPosition start = victim().record().distinguished.entries.back().position;
  exchanges.emplace_back(&victim(), AskOwnerInit(victim(), log_.log(), kOwned, start));
  exchanges.emplace_back(owner_.get(), AskOwnerMonitor(*owner_, log_.log(), kOwned));
  for (const auto& [name, tamper] : Alterations()) {
    for (const auto& [user, exchange] : exchanges) {
      const Bytes altered = exchange.altered(tamper);
      if (altered == *exchange.response) continue;  // there was nothing to alter
      // A log may prove less to an owner than she asks for; she then knows that it was less.
      LogUser told = *user;
      if (exchange.operation == "owner monitoring" &&
          exchange.take(told, altered, now_ms()).value_or("") == "incomplete") {
        continue;
      }
      const absl::Status status =
          Refused(*user, {exchange.operation, altered, exchange.take, nullptr, exchange.found});
      if (!status.ok()) return Broken(name, status);
    }
  }
  return absl::OkStatus();
}

absl::Status Simulation::LieChangeKeptFromTheAuditor() {
  KT_RETURN_IF_ERROR(Audit());
  KT_RETURN_IF_ERROR(Submit(NewPublication(kOwned)));
  KT_RETURN_IF_ERROR(Epoch());
  const auto state = log_.log().newest();
  const base::LogPosition first = auditor_->state().tree_size;
  KT_ASSIGN_OR_RETURN(auto updates,
                      server::AuditService::MakeUpdates(*state, first, state->size() - first));
  core::AuditorUpdate& update = updates.back();
  if (random_.Below(2) == 0) {
    update.added.pop_back();
    update.proof.results.pop_back();
  } else {
    ++update.timestamp;
  }
  const absl::Status status = ApplyUpdates(*state, updates);
  if (!base::IsVerificationFailure(status)) return Broken("an auditor is deceived", status);
  return absl::OkStatus();
}

}  // namespace kt::sim
