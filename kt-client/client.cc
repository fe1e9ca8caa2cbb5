// SPDX-License-Identifier: Apache-2.0
#include "kt-client/client.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "kt-client/channel.h"
#include "kt-client/credential_calls.h"
#include "kt-client/discovery.h"
#include "kt-client/log_session.h"
#include "kt-client/owner_publication.h"
#include "kt-client/set_value.h"
#include "kt-client/state_store.h"
#include "proto/kt.grpc.pb.h"
#include "smime/address.h"

namespace kt::client {
namespace {

class ClientImpl : public Client {
 public:
  ClientImpl(ClientOptions options, std::unique_ptr<Resolver> resolver, StateStore store,
             std::string roots_pem)
      : options_(std::move(options)),
        resolver_(std::move(resolver)),
        store_(std::move(store)),
        roots_pem_(std::move(roots_pem)) {}

  absl::StatusOr<LookupResult> Lookup(const std::string& text) override {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(address.domain));
    KT_ASSIGN_OR_RETURN(const SearchResult search, session->Search(address.label(), std::nullopt));
    LookupResult result;
    result.found = search.found;
    result.version = search.version;
    result.monitoring_required = search.monitoring_required;
    result.log = session->info();
    if (!search.found) return result;
    KT_ASSIGN_OR_RETURN(result.set, DecodeSet(search.value));
    smime::SortedEntries sorted =
        smime::SortEntries(result.set, address, base::SystemClock().NowMs());
    std::stable_partition(sorted.usable.begin(), sorted.usable.end(),
                          [](const auto& usable) { return usable.certificate.can_encrypt(); });
    result.certificates = std::move(sorted.usable);
    result.passed_over = std::move(sorted.passed_over);
    return result;
  }

  absl::StatusOr<HistoryResult> History(const std::string& text, size_t limit) override {
    if (limit == 0) return absl::InvalidArgumentError("at least one version must be asked for");
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(address.domain));
    KT_ASSIGN_OR_RETURN(const SearchHistory history, session->History(address.label(), limit));
    HistoryResult result;
    result.found = !history.versions.empty();
    result.erased = history.erased;
    result.expired = history.expired;
    result.skipped = history.skipped;
    for (const SearchResult& version : history.versions) {
      HistoryEntry& entry = result.versions.emplace_back();
      entry.version = version.version;
      KT_ASSIGN_OR_RETURN(entry.certificates, DecodeSet(version.value));
    }
    result.log = session->info();
    return result;
  }

  absl::StatusOr<std::vector<std::string>> KnownDomains() override {
    return store_.PinnedDomains();
  }

  absl::StatusOr<MonitorResult> Monitor(const std::string& domain,
                                        const std::optional<std::string>& only) override {
    MonitorResult result;
    KT_ASSIGN_OR_RETURN(const std::set<std::string> labels, LabelsToMonitor(domain, only));
    if (labels.empty() && only.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(*only, " is neither watched nor owned here"));
    }
    if (labels.empty()) return result;
    const absl::StatusOr<std::unique_ptr<LogSession>> session = OpenSession(domain);
    result.status = session.status();
    for (const std::string& label : labels) {
      MonitoredAddress monitored;
      monitored.address = label;
      if (session.ok()) monitored.status = MonitorLabel(**session, base::AsBytes(label));
      KT_ASSIGN_OR_RETURN(const std::optional<LogRecord> record, ReadRecord(domain));
      if (record.has_value()) FillIn(*record, &monitored);
      if (session.ok() || !monitored.foreign.empty()) {
        result.addresses.push_back(std::move(monitored));
      }
    }
    if (session.ok()) result.log = (*session)->info();
    return result;
  }

  absl::Status Unwatch(const std::string& text) override {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    const auto not_watched = absl::FailedPreconditionError(
        absl::StrCat(address.text(), " is not one that is monitored because it was looked up"));
    KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pin, store_.ReadPin(address.domain));
    if (!pin.has_value()) return not_watched;
    KT_ASSIGN_OR_RETURN(StateStore::Session locked, store_.Lock(*pin, options_.timeout_ms));
    std::optional<LogRecord> record = locked.record();
    const bool watched = record.has_value() && record->FindWatched(address.label()) != nullptr;
    if (!watched) return not_watched;
    record->SetWatched(address.label(), {}, 0);
    return locked.Save(*std::move(record));
  }

  absl::StatusOr<HeadsResult> Heads(const std::string& domain) override {
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(domain));
    KT_ASSIGN_OR_RETURN(const auto entries, session->WalkHeads());
    HeadsResult result;
    for (const core::DistinguishedEntry& entry : entries) {
      result.heads.push_back({entry.position, entry.entry().timestamp, entry.root()});
    }
    result.log = session->info();
    return result;
  }

  absl::StatusOr<base::Bytes> SignedHeads(const std::string& domain) override {
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(domain));
    KT_ASSIGN_OR_RETURN(const core::SignedHeads heads, session->WalkAsStranger());
    return base::codec::TryEncode(heads);
  }

  absl::StatusOr<OwnResult> Own(const std::string& text) override {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    OwnResult result;
    KT_ASSIGN_OR_RETURN(const std::optional<LogRecord> known, ReadRecord(address.domain));
    const OwnedLabel* owned = known.has_value() ? known->FindOwned(address.label()) : nullptr;
    result.already = owned != nullptr;
    if (result.already) {
      result.found = owned->owner.greatest_version().has_value();
      result.version = owned->owner.greatest_version().value_or(0);
      result.start = owned->owner.start;
      return result;
    }
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(address.domain));
    KT_RETURN_IF_ERROR(session->BeginOwnership(address.label()));
    KT_ASSIGN_OR_RETURN(const SearchResult search, session->Search(address.label(), std::nullopt));
    result.start = session->record()->FindOwned(address.label())->owner.start;
    result.found = search.found;
    result.version = search.version;
    if (search.found) {
      KT_ASSIGN_OR_RETURN(result.certificates, DecodeSet(search.value));
    }
    result.log = session->info();
    KT_RETURN_IF_ERROR(ChangeOwned(text, [&](OwnedLabel* label) {
      result.older_versions = std::erase_if(label->foreign, [&](const auto& foreign) {
        return search.found && foreign.version < search.version;
      });
      std::erase_if(label->foreign, [&](const auto& foreign) {
        return search.found && foreign.version == search.version;
      });
      return absl::OkStatus();
    }));
    return result;
  }

  absl::Status Disown(const std::string& text) override { return ChangeOwned(text, nullptr); }

  absl::StatusOr<std::vector<base::Version>> AcceptVersions(
      const std::string& text, const std::vector<VersionRange>& ranges) override {
    std::set<base::Version> accepted;
    const absl::Status changed = ChangeOwned(text, [&](OwnedLabel* owned) {
      // Ranges may overlap.
      for (const VersionRange& range : ranges) {
        bool any = false;
        for (const ForeignVersionRecord& foreign : owned->foreign) {
          if (foreign.version < range.first || foreign.version > range.last) continue;
          accepted.insert(foreign.version);
          any = true;
        }
        if (!any) return NoneWaits(range);
      }
      std::erase_if(owned->foreign,
                    [&](const auto& foreign) { return accepted.contains(foreign.version); });
      return absl::OkStatus();
    });
    KT_RETURN_IF_ERROR(changed);
    return std::vector<base::Version>(accepted.begin(), accepted.end());
  }

  absl::Status MarkNotified(const std::string& text,
                            const std::vector<base::Version>& versions) override {
    return ChangeOwned(text, [&](OwnedLabel* owned) {
      for (const base::Version version : versions) {
        KT_ASSIGN_OR_RETURN(ForeignVersionRecord* const foreign, FindForeign(owned, version));
        foreign->notified = 1;
      }
      return absl::OkStatus();
    });
  }

  absl::StatusOr<MadeCredential> MakeCredential(const std::string& text,
                                                uint64_t known_for_ms) override {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(address.domain));
    KT_ASSIGN_OR_RETURN(SentCredential sent,
                        session->MakeCredential(address.label(), known_for_ms));
    MadeCredential made;
    made.log = session->info();
    made.found = !sent.credential.empty();
    if (!made.found) return made;
    made.credential = std::move(sent.credential);
    made.version = sent.version;
    made.position = sent.position;
    made.provisional = sent.provisional;
    return made;
  }

  absl::StatusOr<std::optional<base::Bytes>> UpdateCredential(base::ByteView credential) override {
    KT_ASSIGN_OR_RETURN(const smime::Address address, AddressOfCredential(credential));
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(address.domain));
    return session->UpdateCredential(credential);
  }

  absl::StatusOr<CredentialResult> CheckCredential(base::ByteView credential,
                                                   base::ByteView update) override {
    return CheckCredentialOffline(store_, credential, update, base::SystemClock(),
                                  options_.timeout_ms);
  }

  absl::StatusOr<std::vector<PendingCredential>> MonitorCredentials(
      const std::string& domain) override {
    std::vector<PendingCredential> result;
    KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pin, store_.ReadPin(domain));
    if (!pin.has_value()) return result;
    KT_ASSIGN_OR_RETURN(const std::optional<LogRecord> record, store_.Read(*pin));
    const bool interested = record.has_value() && !record->distinguished.entries.empty();
    if (!interested) return result;
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(domain));
    KT_ASSIGN_OR_RETURN(const std::vector<CredentialEvent> events, session->AdvanceCredentials());
    for (const CredentialEvent& event : events) result.push_back(ToPending(event));
    return result;
  }

  absl::StatusOr<std::vector<PendingCredential>> PendingCredentials(
      const std::string& domain) override {
    return ListCredentials(store_, domain);
  }

  absl::Status DropCredentialUpdate(const std::string& domain, const base::Hash& id) override {
    return client::DropCredentialUpdate(store_, domain, id, options_.timeout_ms);
  }

  absl::Status ForgetCredential(const std::string& domain, const base::Hash& id) override {
    return client::ForgetCredential(store_, domain, id, options_.timeout_ms);
  }

  absl::StatusOr<PublishResult> Publish(const PublishRequest& request,
                                        const std::string& token) override {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(request.address));
    KT_ASSIGN_OR_RETURN(const auto session, OpenSession(address.domain));
    const std::optional<LogRecord>& record = session->record();
    if (record.has_value() && record->FindOwned(address.label()) != nullptr) {
      return PublishAsOwner(*session, address.label(), request, token);
    }
    // The token does not go to a log that has just been caught. One that cannot be asked, such as
    // one that waits for its auditor, may still be published to.
    const absl::Status asked = session->Search(address.label(), std::nullopt).status();
    if (base::IsVerificationFailure(asked)) return asked;
    KT_ASSIGN_OR_RETURN(const v1::PublishResponse response,
                        session->Publish(ToProto(address, request), token));
    PublishResult result;
    result.version = response.version();
    result.position = response.position();
    result.tree_size = response.tree_size();
    return result;
  }

 private:
  using OwnedChange = std::function<absl::Status(OwnedLabel*)>;

  static absl::StatusOr<ForeignVersionRecord*> FindForeign(OwnedLabel* owned,
                                                           base::Version version) {
    for (ForeignVersionRecord& foreign : owned->foreign) {
      if (foreign.version == version) return &foreign;
    }
    return NoneWaits({version, version});
  }

  static absl::Status NoneWaits(const VersionRange& range) {
    if (range.first == range.last) {
      return absl::FailedPreconditionError(
          absl::StrCat("version ", range.first, " is not one that waits to be accepted"));
    }
    return absl::FailedPreconditionError(absl::StrCat("none of the versions ", range.first, " to ",
                                                      range.last, " waits to be accepted"));
  }

  // Changes what is remembered of an owned address, or with nullptr forgets it.
  absl::Status ChangeOwned(const std::string& text, const OwnedChange& change) const {
    KT_ASSIGN_OR_RETURN(const smime::Address address, smime::ParseAddress(text));
    KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pin, store_.ReadPin(address.domain));
    const auto not_owned = absl::FailedPreconditionError(
        absl::StrCat(address.text(), " is not owned here; see kt-client own"));
    if (!pin.has_value()) return not_owned;
    KT_ASSIGN_OR_RETURN(StateStore::Session locked, store_.Lock(*pin, options_.timeout_ms));
    std::optional<LogRecord> record = locked.record();
    const OwnedLabel* const known =
        record.has_value() ? record->FindOwned(address.label()) : nullptr;
    if (known == nullptr) return not_owned;
    if (change == nullptr) {
      record->EraseOwned(address.label());
    } else {
      OwnedLabel owned = *known;
      KT_RETURN_IF_ERROR(change(&owned));
      record->SetOwned(std::move(owned));
    }
    return locked.Save(*std::move(record));
  }

  absl::StatusOr<std::optional<LogRecord>> ReadRecord(const std::string& domain) const {
    KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pin, store_.ReadPin(domain));
    if (!pin.has_value()) return std::nullopt;
    return store_.Read(*pin);
  }

  // The labels of `domain` that are to be monitored; a log may serve several domains.
  absl::StatusOr<std::set<std::string>> LabelsToMonitor(
      const std::string& domain, const std::optional<std::string>& only) const {
    std::set<std::string> labels;
    KT_ASSIGN_OR_RETURN(const std::optional<LogRecord> record, ReadRecord(domain));
    if (!record.has_value()) return labels;
    for (const WatchedLabel& watched : record->watched) labels.insert(base::ToText(watched.label));
    for (const OwnedLabel& owned : record->owned) labels.insert(base::ToText(owned.label));
    std::erase_if(labels, [&](const std::string& label) {
      return !label.ends_with("@" + domain) || (only.has_value() && label != *only);
    });
    return labels;
  }

  // What is due for one label. The owner's comes first: it says more.
  static absl::Status MonitorLabel(LogSession& session, base::ByteView label) {
    if (session.record()->FindOwned(label) != nullptr) {
      KT_RETURN_IF_ERROR(session.MonitorOwner(label));
    }
    if (session.record()->FindWatched(label) == nullptr) return absl::OkStatus();
    return session.MonitorContact(label);
  }

  static void FillIn(const LogRecord& record, MonitoredAddress* monitored) {
    const base::ByteView label = base::AsBytes(monitored->address);
    monitored->done = record.FindWatched(label) == nullptr;
    const OwnedLabel* const owned = record.FindOwned(label);
    if (owned == nullptr) return;
    monitored->owned = true;
    for (const ForeignVersionRecord& stored : owned->foreign) {
      ForeignVersion& foreign = monitored->foreign.emplace_back();
      foreign.version = stored.version;
      foreign.position = stored.position;
      foreign.notified = stored.notified != 0;
      absl::StatusOr<smime::CertificateSet> set = smime::CertificateSet::Decode(stored.value);
      if (set.ok()) foreign.certificates = *std::move(set);
    }
  }

  static v1::PublishRequest ToProto(const smime::Address& address, const PublishRequest& request) {
    v1::PublishRequest proto;
    proto.set_address(address.text());
    switch (request.operation) {
      case PublishRequest::Operation::kReplace:
        proto.set_operation(v1::PublishRequest::REPLACE);
        break;
      case PublishRequest::Operation::kAdd:
        proto.set_operation(v1::PublishRequest::ADD);
        break;
      case PublishRequest::Operation::kRemove:
        proto.set_operation(v1::PublishRequest::REMOVE);
        break;
    }
    for (const smime::CertificateEntry& entry : request.certificates) {
      v1::Certificate* const certificate = proto.add_certificates();
      certificate->set_der(entry.der.data(), entry.der.size());
      // Its DER says which one is to leave; the server takes no more then.
      if (request.operation == PublishRequest::Operation::kRemove) continue;
      for (const smime::ChainCertificate& issuer : entry.chain) {
        certificate->add_chain_der(issuer.der.data(), issuer.der.size());
      }
      certificate->set_smime_capabilities(entry.smime_capabilities.data(),
                                          entry.smime_capabilities.size());
    }
    proto.set_expect_absent(request.expect_absent);
    if (request.expected_greatest_version.has_value()) {
      proto.set_expected_greatest_version(*request.expected_greatest_version);
    }
    return proto;
  }

  absl::StatusOr<Discovery> Find(const std::string& domain) const {
    if (!options_.server.empty()) return UseServer(*resolver_, options_.server, domain);
    return Discover(*resolver_, domain, base::SystemRandom());
  }

  absl::StatusOr<Connection> ConnectTo(const Discovery& discovery,
                                       const std::string& domain) const {
    return Connect(discovery.attempts, domain,
                   {.roots_pem = roots_pem_, .timeout_ms = options_.timeout_ms});
  }

  absl::StatusOr<std::unique_ptr<LogSession>> OpenSession(const std::string& domain) const {
    KT_ASSIGN_OR_RETURN(const Discovery discovery, Find(domain));
    KT_ASSIGN_OR_RETURN(Connection connection, ConnectTo(discovery, domain));
    return LogSession::Open(store_, domain, std::move(connection), discovery, options_.timeout_ms,
                            base::SystemClock());
  }

  const ClientOptions options_;
  const std::unique_ptr<Resolver> resolver_;
  const StateStore store_;
  const std::string roots_pem_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  if (options.timeout_ms <= 0) return absl::InvalidArgumentError("the time-out must be positive");
  KT_ASSIGN_OR_RETURN(StateStore store, StateStore::Open(options.state_directory));
  ResolverConfig resolver_config;
  resolver_config.servers = options.dns_servers;
  resolver_config.trust = options.dns_trust;
  resolver_config.timeout_ms = options.timeout_ms;
  KT_ASSIGN_OR_RETURN(auto resolver, Resolver::Create(resolver_config, base::SystemRandom()));
  std::string roots_pem;
  if (!options.ca_file.empty()) {
    KT_ASSIGN_OR_RETURN(roots_pem, LoadRoots(options.ca_file));
  }
  return std::make_unique<ClientImpl>(options, std::move(resolver), std::move(store),
                                      std::move(roots_pem));
}

}  // namespace kt::client
