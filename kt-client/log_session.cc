// SPDX-License-Identifier: Apache-2.0
#include "kt-client/log_session.h"

#include <grpcpp/client_context.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "kt-core/operations.h"

namespace kt::client {
namespace {

void SetDeadline(grpc::ClientContext* context, int timeout_ms) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status, const std::string& server) {
  const std::string message = absl::StrCat(server, ": ", status.error_message());
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return absl::PermissionDeniedError(message);
    default:
      return FailedBecause(Failure::kNoServer, message);
  }
}

LogSession::LogSession(const StateStore& store, std::string domain, Connection connection,
                       int timeout_ms, const base::Clock& clock)
    : store_(store),
      domain_(std::move(domain)),
      connection_(std::move(connection)),
      timeout_ms_(timeout_ms),
      clock_(clock),
      stub_(v1::KeyTransparency::NewStub(connection_.channel)) {
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
    KT_ASSIGN_OR_RETURN(state_, store_.Lock(*pinned, timeout_ms_));
    if (state_->record().has_value()) config = state_->record()->config;
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
  if (!state_.has_value()) {
    KT_ASSIGN_OR_RETURN(state_, store_.Lock(info_.configuration_fingerprint, timeout_ms_));
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
  // The one precondition of a search is that the log has the entries that it showed before.
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
    return base::VerificationFailed(
        "rolled-back",
        absl::StrCat("the log has been rolled back or replaced: ", request.last.value_or(0),
                     " entries were verified before, but it says: ", status.error_message()));
  }
  KT_RETURN_IF_ERROR(FromGrpc(status, connection_.used.host));
  return response;
}

absl::Status LogSession::Retain(const core::UserState& state) {
  if (!state_->record().has_value() || state_->record()->state != state) {
    KT_RETURN_IF_ERROR(state_->Save({LogRecord::kFormat, verifier_->config(), state}));
  }
  KT_RETURN_IF_ERROR(store_.WritePin(domain_, info_.configuration_fingerprint));
  info_.tree_size = state.tree_size();
  info_.head_timestamp_ms = state.frontier.back().timestamp;
  return absl::OkStatus();
}

absl::StatusOr<SearchResult> LogSession::Search(base::ByteView label,
                                                std::optional<base::Version> version) {
  const core::UserState* const previous =
      state_->record().has_value() && state_->record()->state.has_value()
          ? &*state_->record()->state
          : nullptr;
  core::SearchRequest request;
  request.label = base::ToBytes(label);
  request.version = version;
  if (previous != nullptr) request.last = previous->tree_size();

  KT_ASSIGN_OR_RETURN(const v1::SearchResponse response, Ask(request));
  SearchResult result;
  switch (response.result_case()) {
    case v1::SearchResponse::kFound: {
      KT_ASSIGN_OR_RETURN(const core::VerifiedSearch verified,
                          verifier_->VerifySearch(request, base::AsBytes(response.found()),
                                                  previous, clock_.NowMs()));
      result = {true, verified.version, verified.value, verified.monitoring_required};
      KT_RETURN_IF_ERROR(Retain(verified.state));
      return result;
    }
    case v1::SearchResponse::kAbsent: {
      KT_ASSIGN_OR_RETURN(const core::VerifiedAbsence verified,
                          verifier_->VerifyAbsence(request, base::AsBytes(response.absent()),
                                                   previous, clock_.NowMs()));
      result.version = verified.version;
      KT_RETURN_IF_ERROR(Retain(verified.state));
      return result;
    }
    case v1::SearchResponse::RESULT_NOT_SET:
      break;
  }
  return base::VerificationFailed("malformed-response", "the response holds no result");
}

}  // namespace kt::client
