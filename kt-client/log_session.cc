// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_session.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
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

absl::StatusOr<v1::SearchResponse> LogSession::Ask(const core::SearchRequest& request) {
  KT_ASSIGN_OR_RETURN(const base::Bytes encoded, base::codec::TryEncode(request));
  v1::SearchRequest body;
  body.set_request(encoded.data(), encoded.size());
  grpc::ClientContext context;
  SetDeadline(&context, timeout_ms_);
  v1::SearchResponse response;
  const grpc::Status status = stub_->Search(&context, body, &response);
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) return RolledBack(status);
  if (status.error_code() == grpc::StatusCode::OUT_OF_RANGE &&
      !verifier_->config().maximum_lifetime.has_value()) {
    return base::VerificationFailed(
        "expired-without-lifetime",
        "the log says that the version has expired, but its entries never expire");
  }
  KT_RETURN_IF_ERROR(FromGrpc(status, connection_.used.host));
  return response;
}

absl::StatusOr<base::Bytes> LogSession::AskMonitoring(MonitoringMethod method,
                                                      base::ByteView request) {
  v1::MonitoringRequest body;
  body.set_request(request.data(), request.size());
  grpc::ClientContext context;
  SetDeadline(&context, timeout_ms_);
  v1::MonitoringResponse response;
  const grpc::Status status = (monitoring_.get()->*method)(&context, body, &response);
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) return RolledBack(status);
  // The request is made of what the log has proven, so a log that calls it wrong contradicts
  // itself.
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) return RequestRefused(status);
  KT_RETURN_IF_ERROR(FromGrpc(status, connection_.used.host));
  return base::ToBytes(response.response());
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

LogUser LogSession::User() const {
  if (record_.has_value()) return LogUser(*verifier_, *record_);
  LogRecord record;
  record.config = verifier_->config();
  return LogUser(*verifier_, std::move(record));
}

absl::Status LogSession::Retain(const LogUser& user) {
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
    result = SearchOnce(label, version);
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

absl::Status LogSession::MonitorContact(base::ByteView label) {
  return Retry([&]() -> absl::Status {
    LogUser user = User();
    KT_ASSIGN_OR_RETURN(const core::ContactMonitorRequest request, user.MakeContactMonitor(label));
    KT_ASSIGN_OR_RETURN(
        const base::Bytes response,
        AskMonitoring(&v1::Monitoring::Stub::ContactMonitor, base::codec::Encode(request)));
    KT_RETURN_IF_ERROR(user.ContactMonitor(request, response, clock_.NowMs()));
    return Retain(user);
  });
}

absl::StatusOr<std::vector<core::DistinguishedEntry>> LogSession::WalkHeads() {
  absl::Status walked = Retry([&]() -> absl::Status {
    LogUser user = User();
    const core::DistinguishedRequest request = user.MakeDistinguished();
    KT_ASSIGN_OR_RETURN(
        const base::Bytes response,
        AskMonitoring(&v1::Monitoring::Stub::Distinguished, base::codec::Encode(request)));
    KT_RETURN_IF_ERROR(user.Distinguished(request, response, clock_.NowMs()).status());
    return Retain(user);
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
    KT_ASSIGN_OR_RETURN(heads.response, AskMonitoring(&v1::Monitoring::Stub::Distinguished,
                                                      base::codec::Encode(heads.request)));
    return User().StrangersWalk(heads.request, heads.response, clock_.NowMs());
  });
  if (!walked.ok()) return walked;
  return heads;
}

absl::StatusOr<SearchResult> LogSession::SearchOnce(base::ByteView label,
                                                    std::optional<base::Version> version) {
  LogUser user = User();
  const core::SearchRequest request = user.MakeSearch(label, version);
  KT_ASSIGN_OR_RETURN(const v1::SearchResponse response, Ask(request));
  absl::StatusOr<SearchResult> result;
  switch (response.result_case()) {
    case v1::SearchResponse::kFound:
      result = user.Search(request, base::AsBytes(response.found()), clock_.NowMs());
      break;
    case v1::SearchResponse::kAbsent:
      result = user.Absence(request, base::AsBytes(response.absent()), clock_.NowMs());
      break;
    case v1::SearchResponse::RESULT_NOT_SET:
      return base::VerificationFailed("malformed-response", "the response holds no result");
  }
  KT_RETURN_IF_ERROR(result.status());
  KT_RETURN_IF_ERROR(Retain(user));
  return result;
}

absl::StatusOr<SearchHistory> LogSession::History(base::ByteView label, size_t limit) {
  SearchHistory history;
  std::optional<base::Version> version;  // nullopt: the greatest
  while (history.versions.size() < limit) {
    absl::StatusOr<SearchResult> result = Search(label, version);
    if (version.has_value() && result.status().code() == absl::StatusCode::kOutOfRange) {
      history.expired = true;
      break;
    }
    KT_RETURN_IF_ERROR(result.status());
    if (!result->found) {
      if (!version.has_value()) break;
      // Versions are assigned without gaps, and only expire from the oldest on.
      return base::VerificationFailed(
          "history-gap",
          absl::StrCat("the log has version ", history.versions.front().version,
                       " of the address, but proves that it has no version ", *version));
    }
    version = result->version;
    history.versions.push_back(*std::move(result));
    if (*version == 0) break;
    --*version;
  }
  return history;
}

}  // namespace kt::client
