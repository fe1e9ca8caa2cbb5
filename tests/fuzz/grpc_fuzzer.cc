// SPDX-License-Identifier: Apache-2.0
//
// Bytes as they reach the server's methods: whole messages as they come, or the TLS-encoded body of
// a message that is one. Real services over a real log answer, in the same process. An input is a
// method, flags, and the bytes.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "base/check.h"
#include "kt-server/audit_service.h"
#include "kt-server/auditing_grpc.h"
#include "kt-server/grpc_service.h"
#include "kt-server/monitoring_grpc.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/search_service.h"
#include "kt-server/sequencer.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/grpc_call.h"
#include "tests/kt-server/log_fixture.h"

namespace {

using kt::core::DeploymentMode;
using kt::fuzz::Method;

constexpr Method kMethods[] = {
    {"/kt.v1.KeyTransparency/GetConfiguration"},
    {"/kt.v1.KeyTransparency/Search"},
    {"/kt.v1.Monitoring/ContactMonitor"},
    {"/kt.v1.Monitoring/OwnerInit"},
    {"/kt.v1.Monitoring/OwnerMonitor"},
    {"/kt.v1.Monitoring/Distinguished"},
    {"/kt.v1.Monitoring/UpdateCredential"},
    {"/kt.v1.Publisher/Publish", false, true},
    {"/kt.v1.Publisher/Update"},
    {"/kt.v1.Auditing/GetStart"},
    {"/kt.v1.Auditing/SubmitAuditorHead"},
    {"/kt.v1.Auditing/StreamUpdates", true},
    {"/kt.v1.Monitoring/WatchHeads", true},
};

// The services over a log of some entries. Nothing is published, since the sequencer is not
// started: an input must not change what the next one meets.
class Server {
 public:
  explicit Server(DeploymentMode mode)
      : log_(kt::core::CipherSuite::kEd25519, mode),
        sequencer_({}, log_.log(), log_.clock(), nullptr, nullptr),
        gate_({.requests_per_second = 1e15}, log_.clock()),
        auditors_(1e15, log_.clock()) {
    for (kt::base::Version version = 0; version < 9; ++version) {
      log_.clock().Advance(500);
      KT_CHECK(log_.Add("alice@a.example", version, "value").ok());
      if (version < 2) KT_CHECK(log_.Add("b@a.example", version, "value").ok());
    }
    if (mode == DeploymentMode::kThirdPartyAuditing) {
      KT_CHECK(log_.log().SubmitAuditorHead(log_.AuditorHead(log_.log().newest()->size())).ok());
    }
    kt::server::Tokens tokens;
    token_ = tokens.Create({"a.example"}, log_.random()).value();
    kt::server::PublishService::Options options;
    options.domains = {"a.example"};
    options.publishes_per_second = 1e15;
    publish_ = std::make_unique<kt::server::PublishService>(std::move(options), std::move(tokens),
                                                            sequencer_, log_.clock());
    updates_ = std::make_unique<kt::server::UpdateService>(log_.log());
    search_ = std::make_unique<kt::server::SearchService>(log_.log());
    monitoring_ = std::make_unique<kt::server::MonitoringService>(log_.log());
    audit_ = std::make_unique<kt::server::AuditService>(log_.log());
    transparency_grpc_ = std::make_unique<kt::server::KeyTransparencyGrpc>(
        kt::base::codec::Encode(log_.config()), *search_, gate_);
    publisher_grpc_ = std::make_unique<kt::server::PublisherGrpc>(*publish_, *updates_, gate_);
    monitoring_grpc_ =
        std::make_unique<kt::server::MonitoringGrpc>(*monitoring_, log_.log(), gate_, streams_);
    auditing_grpc_ = std::make_unique<kt::server::AuditingGrpc>(*audit_, auditors_, streams_);
    grpc::ServerBuilder builder;
    builder.RegisterService(transparency_grpc_.get());
    builder.RegisterService(publisher_grpc_.get());
    builder.RegisterService(monitoring_grpc_.get());
    if (mode == DeploymentMode::kThirdPartyAuditing) builder.RegisterService(auditing_grpc_.get());
    server_ = builder.BuildAndStart();
    caller_ = std::make_unique<kt::fuzz::GenericCaller>(server_->InProcessChannel({}));
  }

  // `token`: "" for the right one, nullptr for none.
  grpc::StatusCode Call(const Method& method, const std::string& message, const char* token) {
    if (token != nullptr && *token == '\0') token = token_.c_str();
    return caller_->Call(method, message, token).code;
  }

 private:
  kt::server::LogFixture log_;
  kt::server::Sequencer sequencer_;
  kt::server::CallGate gate_;
  kt::server::RateLimiter auditors_;
  kt::server::ConcurrencyLimit streams_{8};
  std::string token_;
  std::unique_ptr<kt::server::PublishService> publish_;
  std::unique_ptr<kt::server::UpdateService> updates_;
  std::unique_ptr<kt::server::SearchService> search_;
  std::unique_ptr<kt::server::MonitoringService> monitoring_;
  std::unique_ptr<kt::server::AuditService> audit_;
  std::unique_ptr<kt::server::KeyTransparencyGrpc> transparency_grpc_;
  std::unique_ptr<kt::server::PublisherGrpc> publisher_grpc_;
  std::unique_ptr<kt::server::MonitoringGrpc> monitoring_grpc_;
  std::unique_ptr<kt::server::AuditingGrpc> auditing_grpc_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<kt::fuzz::GenericCaller> caller_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // They outlive the process: its end need not wait for gRPC's threads.
  static Server* const kServers[] = {new Server(DeploymentMode::kContactMonitoring),
                                     new Server(DeploymentMode::kThirdPartyAuditing)};
  static constexpr const char* kTokens[] = {nullptr, "", "wrong"};
  kt::fuzz::FuzzInput input(data, size);
  const Method& method = kMethods[input.Below(std::size(kMethods))];
  const unsigned flags = input.Byte();
  const bool wrapped = (flags & 2) != 0;
  const std::string message =
      wrapped ? kt::fuzz::Wrapped(input.Rest()) : std::string(kt::base::AsText(input.Rest()));
  const grpc::StatusCode code =
      kServers[flags & 1]->Call(method, message, kTokens[(flags >> 2) % 3]);
  kt::fuzz::CheckCallersFault(method, wrapped, code);
  return 0;
}
