// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/log_connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status.h"
#include "proto/channel_arguments.h"
#include "proto/kt.grpc.pb.h"

namespace kt::auditor {
namespace {

constexpr size_t kMaxRootsBytes = 1 << 20;
// An AuditorUpdate holds at most 255 results and 65,535 elements; with a proof of publication that
// is five megabytes.
constexpr int kMaxMessageBytes = 8 << 20;
constexpr auto kCallTimeout = std::chrono::seconds(30);
// A stream is opened anew this often, so that a connection that died unnoticed is no trap.
constexpr auto kStreamTimeout = std::chrono::minutes(10);

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

class GrpcConnection : public LogConnection {
 public:
  explicit GrpcConnection(const std::shared_ptr<grpc::Channel>& channel)
      : channel_(channel),
        key_transparency_(v1::KeyTransparency::NewStub(channel)),
        auditing_(v1::Auditing::NewStub(channel)) {}

  absl::StatusOr<base::Bytes> GetConfiguration() override {
    v1::GetConfigurationResponse response;
    KT_RETURN_IF_ERROR(Call(kCallTimeout, [&](grpc::ClientContext* context) {
      return key_transparency_->GetConfiguration(context, v1::GetConfigurationRequest(), &response);
    }));
    return base::ToBytes(response.configuration());
  }

  absl::StatusOr<base::Bytes> GetStart(base::TreeSize tree_size) override {
    v1::GetStartRequest request;
    request.set_tree_size(tree_size);
    v1::GetStartResponse response;
    KT_RETURN_IF_ERROR(Call(kCallTimeout, [&](grpc::ClientContext* context) {
      return auditing_->GetStart(context, request, &response);
    }));
    return base::ToBytes(response.start());
  }

  absl::Status StreamUpdates(base::LogPosition first, std::optional<base::LogPosition> end,
                             const Visit& visit) override {
    v1::StreamUpdatesRequest request;
    request.set_start_position(first);
    if (end.has_value()) request.set_end_position(*end);
    absl::Status visited;
    const absl::Status streamed = Call(kStreamTimeout, [&](grpc::ClientContext* context) {
      const auto reader = auditing_->StreamUpdates(context, request);
      v1::StreamUpdatesResponse message;
      while (visited.ok() && reader->Read(&message)) visited = visit(ToRecord(message));
      if (!visited.ok()) context->TryCancel();
      return reader->Finish();
    });
    return visited.ok() ? streamed : visited;
  }

  absl::Status SubmitAuditorHead(base::ByteView head) override {
    v1::SubmitAuditorHeadRequest request;
    request.set_auditor_tree_head(head.data(), head.size());
    v1::SubmitAuditorHeadResponse response;
    return Call(kCallTimeout, [&](grpc::ClientContext* context) {
      return auditing_->SubmitAuditorHead(context, request, &response);
    });
  }

  // gRPC moves a connection on while a thread waits in one of its calls, and otherwise every five
  // seconds only, in each step of TCP, TLS and HTTP/2.
  void AwaitConnection(absl::Duration at_most) override {
    constexpr absl::Duration kSlice = absl::Milliseconds(200);  // for noticing Cancel
    const absl::Time end = absl::Now() + at_most;
    grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
    bool stands = state == GRPC_CHANNEL_READY;
    while (absl::Now() < end && !cancelled()) {
      if (state == GRPC_CHANNEL_READY && !stands) return;
      stands = stands && state == GRPC_CHANNEL_READY;
      channel_->WaitForStateChange(state, absl::ToChronoTime(std::min(end, absl::Now() + kSlice)));
      state = channel_->GetState(/*try_to_connect=*/true);
    }
  }

  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (current_ != nullptr) current_->TryCancel();
  }

 private:
  bool cancelled() {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  static AuditRecord ToRecord(const v1::StreamUpdatesResponse& message) {
    AuditRecord record;
    record.position = message.position();
    record.update = base::ToBytes(message.update());
    record.published = base::ToBytes(message.published());
    record.tree_head = base::ToBytes(message.tree_head());
    return record;
  }

  template <typename Duration, typename Method>
  absl::Status Call(Duration timeout, Method method) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    // A head is submitted from within the stream that brought the update.
    grpc::ClientContext* outer = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return absl::CancelledError("the auditor is stopping");
      outer = std::exchange(current_, &context);
    }
    const grpc::Status status = method(&context);
    absl::MutexLock lock(&mutex_);
    current_ = outer;
    if (cancelled_ && outer != nullptr) outer->TryCancel();
    return FromGrpc(status);
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::KeyTransparency::Stub> key_transparency_;
  const std::unique_ptr<v1::Auditing::Stub> auditing_;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* current_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogConnection>> ConnectToLog(const LogServer& server) {
  const size_t colon = server.address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == server.address.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", server.address, "\" is not a server's HOST:PORT"));
  }
  grpc::SslCredentialsOptions tls;
  if (!server.ca_file.empty()) {
    KT_ASSIGN_OR_RETURN(const base::Bytes roots, base::ReadFile(server.ca_file, kMaxRootsBytes));
    tls.pem_root_certs = base::ToText(roots);
  }
  grpc::ChannelArguments arguments = ChannelArgumentsForPeers(kMaxMessageBytes);
  if (!server.tls_name.empty()) arguments.SetSslTargetNameOverride(server.tls_name);
  // A server that is started again is back within seconds.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);  // how long an attempt may take
  return std::make_unique<GrpcConnection>(
      grpc::CreateCustomChannel("dns:///" + server.address, grpc::SslCredentials(tls), arguments));
}

}  // namespace kt::auditor
