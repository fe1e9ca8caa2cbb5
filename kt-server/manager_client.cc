// SPDX-License-Identifier: Apache-2.0
#include "kt-server/manager_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-server/tls_files.h"
#include "proto/channel_arguments.h"

namespace kt::server {
namespace {

constexpr size_t kMaxPemBytes = 4 << 20;
constexpr int kMaxMessageBytes = 4 << 20;  // as clients do
constexpr int kQueryTimeoutMs = 10'000;
// New versions are answered when their epoch ends.
constexpr int kUpdateTimeoutMs = static_cast<int>(kMaxEpochMs) + 15'000;

absl::Status NoAnswer() {
  return absl::UnavailableError("the log's manager does not answer; try again later");
}

// What a user can have caused, or can do something about, comes from the manager as it is.
absl::Status FromGrpc(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    default:
      return NoAnswer();
  }
}

std::shared_ptr<grpc::Channel> MakeChannel(const ServerConfig::Management& config,
                                           const grpc::SslCredentialsOptions& tls) {
  grpc::ChannelArguments args = ChannelArgumentsForPeers(kMaxMessageBytes);
  constexpr int kMaxReconnectMs = 2'000;
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  return grpc::CreateCustomChannel(config.manager, grpc::SslCredentials(tls), args);
}

}  // namespace

// One unary call, which deletes itself when it is over.
template <typename Request, typename Response>
struct ManagerClient::Call {
  grpc::ClientContext context;
  Request request;
  Response response;
  Reply<Response> done;

  static void Start(ManagerClient& client, const Request& request, Reply<Response> done,
                    const std::function<void(Call*, std::function<void(grpc::Status)>)>& method,
                    IfDown if_down = IfDown::kFail) {
    auto* const call = new Call{{}, request, {}, std::move(done)};
    call->context.set_wait_for_ready(if_down == IfDown::kWait);
    if (!client.Begin(call->context, kQueryTimeoutMs)) {
      const Reply<Response> refused = std::move(call->done);
      delete call;
      return refused(NoAnswer());
    }
    method(call, [&client, call](const grpc::Status& status) {
      if (status.ok()) {
        call->done(std::move(call->response));
      } else {
        call->done(FromGrpc(status));
      }
      client.Forget(call->context);
      delete call;
      client.Finished();
    });
  }
};

ManagerClient::ManagerClient(std::shared_ptr<grpc::Channel> queries,
                             std::shared_ptr<grpc::Channel> updates)
    : key_transparency_(v1::KeyTransparency::NewStub(queries)),
      monitoring_(v1::Monitoring::NewStub(queries)),
      manager_(v1::Manager::NewStub(updates)) {}

absl::StatusOr<std::unique_ptr<ManagerClient>> ManagerClient::Create(
    const ServerConfig::Management& config) {
  KT_ASSIGN_OR_RETURN(TlsFiles files,
                      ReadTlsFiles({"", config.certificate, config.certificate_key}));
  grpc::SslCredentialsOptions tls;
  if (!config.manager_ca.empty()) {
    KT_ASSIGN_OR_RETURN(const base::Bytes roots, base::ReadFile(config.manager_ca, kMaxPemBytes));
    tls.pem_root_certs = base::ToText(roots);
  }
  tls.pem_cert_chain = std::move(files.certificates);
  tls.pem_private_key = base::ToText(files.key.Expose());
  // Updates wait for epochs, so they have a connection of their own.
  return std::unique_ptr<ManagerClient>(
      new ManagerClient(MakeChannel(config, tls), MakeChannel(config, tls)));
}

std::unique_ptr<ManagerClient> ManagerClient::ForChannel(std::shared_ptr<grpc::Channel> channel) {
  return std::unique_ptr<ManagerClient>(new ManagerClient(channel, channel));
}

ManagerClient::~ManagerClient() { Shutdown(); }

bool ManagerClient::Begin(grpc::ClientContext& context, int timeout_ms) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  active_.insert(&context);
  ++unfinished_;
  return true;
}

void ManagerClient::Forget(grpc::ClientContext& context) {
  absl::MutexLock lock(&mutex_);
  active_.erase(&context);
}

void ManagerClient::Finished() {
  absl::MutexLock lock(&mutex_);
  --unfinished_;
}

void ManagerClient::Shutdown() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  for (grpc::ClientContext* const context : active_) context->TryCancel();
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return unfinished_ == 0; };
  mutex_.Await(absl::Condition(&idle));
}

void ManagerClient::Search(const v1::SearchRequest& request, Reply<v1::SearchResponse> done,
                           IfDown if_down) {
  using SearchCall = Call<v1::SearchRequest, v1::SearchResponse>;
  const auto start = [this](SearchCall* call, std::function<void(grpc::Status)> end) {
    key_transparency_->async()->Search(&call->context, &call->request, &call->response,
                                       std::move(end));
  };
  SearchCall::Start(*this, request, std::move(done), start, if_down);
}

void ManagerClient::Monitor(Query query, const v1::MonitoringRequest& request,
                            Reply<v1::MonitoringResponse> done) {
  using MonitorCall = Call<v1::MonitoringRequest, v1::MonitoringResponse>;
  const auto start = [this, query](MonitorCall* call, std::function<void(grpc::Status)> end) {
    auto* const stub = monitoring_->async();
    switch (query) {
      case Query::kContactMonitor:
        return stub->ContactMonitor(&call->context, &call->request, &call->response,
                                    std::move(end));
      case Query::kOwnerInit:
        return stub->OwnerInit(&call->context, &call->request, &call->response, std::move(end));
      case Query::kOwnerMonitor:
        return stub->OwnerMonitor(&call->context, &call->request, &call->response, std::move(end));
      case Query::kDistinguished:
        return stub->Distinguished(&call->context, &call->request, &call->response, std::move(end));
      case Query::kUpdateCredential:
        return stub->UpdateCredential(&call->context, &call->request, &call->response,
                                      std::move(end));
    }
  };
  MonitorCall::Start(*this, request, std::move(done), start);
}

absl::StatusOr<base::Bytes> ManagerClient::Distinguished(base::ByteView request) {
  v1::MonitoringRequest message;
  v1::MonitoringResponse response;
  grpc::Status status;
  message.set_request(base::ToText(request));
  {
    grpc::ClientContext context;
    if (!Begin(context, kQueryTimeoutMs)) return NoAnswer();
    status = monitoring_->Distinguished(&context, message, &response);
    Forget(context);
  }
  Finished();
  // For the operator's own eyes: why there is no answer.
  if (!status.ok()) return absl::UnavailableError(status.error_message());
  return base::ToBytes(response.response());
}

void ManagerClient::Update(base::ByteView request, Updates::Handler handler) {
  auto* const updates = new Updates(*this, std::move(handler));
  if (!Begin(updates->context_, kUpdateTimeoutMs)) {
    const auto on_end = std::move(updates->handler_.on_end);
    delete updates;
    return on_end(NoAnswer());
  }
  updates->request_.set_request(base::ToText(request));
  manager_->async()->Update(&updates->context_, &updates->request_, updates);
  // For reads that do not begin in one of the reactor's own methods.
  updates->AddHold();
  updates->StartRead(&updates->response_);
  updates->StartCall();
}

ManagerClient::Updates::Updates(ManagerClient& client, Handler handler)
    : client_(client), handler_(std::move(handler)) {}

void ManagerClient::Updates::Next() { StartRead(&response_); }

void ManagerClient::Updates::Cancel() {
  cancelled_ = true;
  context_.TryCancel();
  RemoveHold();
}

void ManagerClient::Updates::OnReadDone(bool ok) {
  if (!ok) return RemoveHold();
  handler_.on_response(*this, base::AsBytes(response_.response()));
}

void ManagerClient::Updates::OnDone(const grpc::Status& status) {
  handler_.on_end(cancelled_ ? absl::OkStatus() : FromGrpc(status));
  ManagerClient& client = client_;
  client.Forget(context_);
  delete this;
  client.Finished();
}

}  // namespace kt::server
