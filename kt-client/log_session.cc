// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_session.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-client/kept_refusal.h"
#include "kt-client/rpc.h"
#include "kt-core/operations.h"

namespace kt::client {
namespace {

constexpr int kMaxAttempts = 8;

}  // namespace

LogSession::LogSession(const StateStore& store, std::string domain, Connection connection,
                       int timeout_ms, const base::Clock& clock)
    : store_(store),
      domain_(std::move(domain)),
      connection_(std::move(connection)),
      timeout_ms_(timeout_ms),
      clock_(clock),
      stub_(v1::KeyTransparency::NewStub(connection_.channel)),
      monitoring_(v1::Monitoring::NewStub(connection_.channel)) {
  info_.server = absl::StrCat(connection_.used.host, " (", connection_.used.address.ToString(),
                              ", certificate for ", connection_.used.tls_name, ")");
}

absl::StatusOr<std::unique_ptr<LogSession>> LogSession::Open(
    const StateStore& store, const std::string& domain, Connection connection,
    const Discovery& discovery, int timeout_ms, const base::Clock& clock) {
  std::unique_ptr<LogSession> session(
      new LogSession(store, domain, std::move(connection), timeout_ms, clock));
  KT_RETURN_IF_ERROR(session->Load(discovery));
  return session;
}

absl::Status LogSession::Load(const Discovery& discovery) {
  KT_ASSIGN_OR_RETURN(const std::optional<base::Hash> pinned, store_.ReadPin(domain_));
  info_.first_use = !pinned.has_value();
  std::optional<core::Configuration> config;
  if (pinned.has_value()) {
    info_.configuration_fingerprint = *pinned;
    KT_ASSIGN_OR_RETURN(record_, store_.Read(*pinned));
    if (record_.has_value()) config = record_->config;
  }
  if (!config.has_value()) {
    KT_ASSIGN_OR_RETURN(config, FetchConfiguration());
    info_.configuration_fingerprint = core::ConfigurationFingerprint(*config);
    if (pinned.has_value() && *pinned != info_.configuration_fingerprint) {
      return base::VerificationFailed(
          "configuration-pin", absl::StrCat("the server shows another configuration, sha256:",
                                            base::ToHex(info_.configuration_fingerprint.bytes),
                                            ", than the one pinned for ", domain_));
    }
  }
  if (discovery.pinned_configuration.has_value() &&
      *discovery.pinned_configuration != info_.configuration_fingerprint) {
    return base::VerificationFailed(
        "configuration-pin",
        absl::StrCat("the DNS of ", domain_, " says that its log has the configuration sha256:",
                     base::ToHex(discovery.pinned_configuration->bytes),
                     info_.first_use ? ", but the server shows sha256:"
                                     : ", but the one pinned here is sha256:",
                     base::ToHex(info_.configuration_fingerprint.bytes)));
  }
  if (!record_.has_value()) {
    KT_ASSIGN_OR_RETURN(record_, store_.Read(info_.configuration_fingerprint));
  }
  KT_ASSIGN_OR_RETURN(verifier_, core::ResponseVerifier::Create(*std::move(config)));
  return absl::OkStatus();
}

absl::StatusOr<core::Configuration> LogSession::FetchConfiguration() {
  grpc::ClientContext context;
  SetDeadline(&context, timeout_ms_);
  v1::GetConfigurationResponse response;
  KT_RETURN_IF_ERROR(
      FromGrpc(stub_->GetConfiguration(&context, {}, &response), connection_.used.host));
  absl::StatusOr<core::Configuration> config =
      core::DecodeConfiguration(base::AsBytes(response.configuration()));
  if (config.ok()) return config;
  return base::VerificationFailed("configuration", std::string(config.status().message()));
}

absl::Status LogSession::Ask(const core::SearchRequest& request, Exchange* exchange) {
  KT_ASSIGN_OR_RETURN(exchange->request, base::codec::TryEncode(request));
  v1::SearchRequest body;
  body.set_request(base::ToText(exchange->request));
  grpc::ClientContext context;
  SetDeadline(&context, timeout_ms_);
  v1::SearchResponse response;
  const grpc::Status status = stub_->Search(&context, body, &response);
  const uint64_t now_ms = clock_.NowMs();
  if (!status.ok()) {
    exchange->SetStatus(status, now_ms);
  } else if (response.result_case() == v1::SearchResponse::kFound) {
    exchange->SetAnswer(AnswerKind::kResponse, response.found(), now_ms);
  } else if (response.result_case() == v1::SearchResponse::kAbsent) {
    exchange->SetAnswer(AnswerKind::kAbsence, response.absent(), now_ms);
  } else {
    exchange->SetAnswer(AnswerKind::kNothing, "", now_ms);
  }
  return Judge(*exchange, CheckAnswered(*exchange, RecordOrNew(), connection_.used.host));
}

absl::Status LogSession::AskMonitoring(MonitoringMethod method, Exchange* exchange) {
  v1::MonitoringRequest body;
  body.set_request(base::ToText(exchange->request));
  grpc::ClientContext context;
  SetDeadline(&context, timeout_ms_);
  v1::MonitoringResponse response;
  const grpc::Status status = (monitoring_.get()->*method)(&context, body, &response);
  if (status.ok()) {
    exchange->SetAnswer(AnswerKind::kResponse, response.response(), clock_.NowMs());
  } else {
    exchange->SetStatus(status, clock_.NowMs());
  }
  return Judge(*exchange, CheckAnswered(*exchange, RecordOrNew(), connection_.used.host));
}

absl::Status LogSession::Judge(const Exchange& exchange, const absl::Status& verdict) {
  // At first use there is nothing yet that a log could contradict.
  if (!base::IsVerificationFailure(verdict) || !record_.has_value()) return verdict;
  return Keep(*record_, {exchange}, verdict);
}

absl::Status LogSession::JudgeBoth(const Exchange& exchange, const absl::Status& verdict) {
  if (!base::IsVerificationFailure(verdict) || !verified_.has_value()) return verdict;
  return Keep(verified_->before, {verified_->exchange, exchange}, verdict);
}

absl::Status LogSession::Keep(const LogRecord& before, std::vector<Exchange> exchanges,
                              const absl::Status& verdict) {
  const std::string check = *base::FailedCheck(verdict);
  const absl::StatusOr<std::string> path =
      store_.KeepRefusal(MakeKeptRefusal(before, std::move(exchanges), check), timeout_ms_);
  if (path.ok()) return KeptIn(verdict, *path);
  return base::Annotate(verdict, absl::StrCat("this answer is not kept (",
                                              std::string(path.status().message()), ")"));
}

absl::StatusOr<v1::PublishResponse> LogSession::Publish(const v1::PublishRequest& request,
                                                        const std::string& token) {
  grpc::ClientContext context;
  KT_RETURN_IF_ERROR(SetToken(token, &context));
  SetDeadline(&context, timeout_ms_ + kPublishTimeoutMs);
  v1::PublishResponse response;
  const auto stub = v1::Publisher::NewStub(connection_.channel);
  const grpc::Status status = stub->Publish(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return NotAnsweredInTime(connection_.used.host);
  }
  KT_RETURN_IF_ERROR(FromGrpc(status, connection_.used.host));
  return response;
}

LogRecord LogSession::RecordOrNew() const {
  if (record_.has_value()) return *record_;
  LogRecord record;
  record.config = verifier_->config();
  return record;
}

absl::Status LogSession::Retain(const LogUser& user, const Exchange* exchange) {
  std::optional<Verified> verified;
  if (exchange != nullptr) verified = {RecordOrNew(), *exchange};
  verified_.reset();
  if (user.record() != record_) {
    KT_ASSIGN_OR_RETURN(StateStore::Session locked,
                        store_.Lock(info_.configuration_fingerprint, timeout_ms_));
    if (locked.record() != record_) {
      record_ = locked.record();
      return absl::AbortedError("the state was changed by another process");
    }
    KT_RETURN_IF_ERROR(locked.Save(user.record()));
    record_ = locked.record();
  }
  KT_RETURN_IF_ERROR(store_.WritePin(domain_, info_.configuration_fingerprint, timeout_ms_));
  const core::UserState& state = *user.record().state;
  info_.tree_size = state.tree_size();
  info_.head_timestamp_ms = state.frontier.back().timestamp;
  verified_ = std::move(verified);
  return absl::OkStatus();
}

absl::Status LogSession::Retry(const std::function<absl::Status()>& once) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    absl::Status status = once();
    if (status.code() != absl::StatusCode::kAborted) return status;
  }
  return absl::UnavailableError(
      "the client's state keeps being changed by other processes; try again");
}

absl::StatusOr<SearchResult> LogSession::Search(base::ByteView label,
                                                std::optional<base::Version> version) {
  absl::StatusOr<SearchResult> result;
  absl::Status status = Retry([&] {
    result = SearchOnce(label, version, /*below=*/false);
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

absl::Status LogSession::MonitorContact(base::ByteView label) {
  return Retry([&]() -> absl::Status {
    LogUser user = User();
    KT_ASSIGN_OR_RETURN(const core::ContactMonitorRequest request, user.MakeContactMonitor(label));
    Exchange exchange;
    exchange.operation = Operation::kContactMonitor;
    exchange.request = base::codec::Encode(request);
    KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::ContactMonitor, &exchange));
    KT_RETURN_IF_ERROR(
        Judge(exchange, user.ContactMonitor(request, exchange.answer, exchange.at_ms)));
    return Retain(user, &exchange);
  });
}

absl::StatusOr<std::vector<core::DistinguishedEntry>> LogSession::WalkHeads() {
  absl::Status walked = Retry([&]() -> absl::Status {
    LogUser user = User();
    const core::DistinguishedRequest request = user.MakeDistinguished();
    Exchange exchange;
    exchange.operation = Operation::kDistinguished;
    exchange.request = base::codec::Encode(request);
    KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::Distinguished, &exchange));
    KT_RETURN_IF_ERROR(
        Judge(exchange, user.Distinguished(request, exchange.answer, exchange.at_ms).status()));
    return Retain(user, &exchange);
  });
  if (!walked.ok()) return walked;
  return record_->distinguished.entries;
}

absl::StatusOr<core::SignedHeads> LogSession::WalkAsStranger() {
  core::SignedHeads heads;
  heads.configuration = base::codec::Encode(config());
  constexpr core::RecentDefinition kRecent;
  heads.recent_rightmost = static_cast<uint8_t>(kRecent.rightmost);
  heads.recent_max_age = kRecent.max_age_ms;
  const absl::Status walked = Retry([&]() -> absl::Status {
    KT_RETURN_IF_ERROR(WalkHeads().status());
    Exchange exchange;
    exchange.operation = Operation::kStrangersWalk;
    exchange.request = base::codec::Encode(heads.request);
    KT_RETURN_IF_ERROR(AskMonitoring(&v1::Monitoring::Stub::Distinguished, &exchange));
    KT_RETURN_IF_ERROR(
        Judge(exchange, User().StrangersWalk(heads.request, exchange.answer, exchange.at_ms)));
    heads.response = exchange.answer;
    return absl::OkStatus();
  });
  if (!walked.ok()) return walked;
  return heads;
}

absl::StatusOr<SearchResult> LogSession::SearchOnce(base::ByteView label,
                                                    std::optional<base::Version> version,
                                                    bool below) {
  LogUser user = User();
  const core::SearchRequest request = user.MakeSearch(label, version);
  Exchange exchange;
  exchange.operation = Operation::kSearch;
  KT_RETURN_IF_ERROR(Ask(request, &exchange));
  absl::StatusOr<SearchResult> result =
      exchange.kind == AnswerKind::kResponse
          ? user.Search(request, exchange.answer, exchange.at_ms)
          : user.Absence(request, exchange.answer, exchange.at_ms);
  KT_RETURN_IF_ERROR(Judge(exchange, result.status()));
  if (below && !result->found) return JudgeBoth(exchange, HistoryGap(result->version));
  KT_RETURN_IF_ERROR(Retain(user, &exchange));
  return result;
}

absl::StatusOr<SearchHistory> LogSession::History(base::ByteView label, size_t limit) {
  SearchHistory history;
  std::optional<base::Version> version;  // nullopt: the greatest
  while (history.versions.size() + history.erased.size() + history.skipped.size() < limit) {
    // Of an erased version nothing was verified that an absence below it could contradict.
    const bool follows_erased = !history.erased.empty() && *version + 1 == history.erased.back();
    absl::StatusOr<SearchResult> result;
    const absl::Status status = Retry([&] {
      result = SearchOnce(label, version, /*below=*/version.has_value() && !follows_erased);
      return result.status();
    });
    const bool erased = FailureOf(status) == Failure::kErased;
    const bool skipped = absl::IsNotFound(status) && !FailureOf(status).has_value();
    if (version.has_value() && (erased || skipped)) {
      (erased ? history.erased : history.skipped).push_back(*version);
      if (*version == 0) break;
      --*version;
      continue;
    }
    // What was retained cannot have expired since the search before, so this is about the version.
    if (version.has_value() && status.code() == absl::StatusCode::kOutOfRange) {
      history.expired = true;
      break;
    }
    KT_RETURN_IF_ERROR(status);
    if (!result->found && follows_erased) return HistoryGap(*version);
    if (!result->found) break;
    version = result->version;
    history.versions.push_back(*std::move(result));
    if (*version == 0) break;
    --*version;
  }
  return history;
}

}  // namespace kt::client
