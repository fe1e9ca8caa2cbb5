// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/publisher.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "smime/certificate.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

constexpr auto kTimeout = std::chrono::seconds(20);

base::Bytes Der(const Deployment& deployment, const std::string& name) {
  const auto parsed = smime::ParsePem(ReadText(deployment.Vector(name)));
  KT_CHECK(parsed.ok());
  return parsed->front().der();
}

}  // namespace

std::shared_ptr<grpc::Channel> ConnectTo(const Deployment& deployment) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ReadText(deployment.ca_file());
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("smime.example");
  // The server before may be dead.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("ipv4:127.0.0.1:", deployment.port()),
                                   grpc::SslCredentials(tls), arguments);
}

std::unique_ptr<core::ResponseVerifier> VerifierOf(Deployment& deployment) {
  const std::string file = deployment.File("configuration");
  const ProcessResult shown = deployment.ServerCommand(
      {"config", "--config", deployment.config(), "--public", "--out", file});
  KT_CHECK(shown.exit_code == 0);
  const auto config = core::DecodeConfiguration(base::AsBytes(ReadText(file)));
  KT_CHECK(config.ok());
  return core::ResponseVerifier::Create(*config).value();
}

Publisher::Publisher(const Deployment& deployment, const std::string& who)
    : address_(who + "@smime.example"),
      ders_({Der(deployment, who + ".encr.crt.pem"), Der(deployment, who + ".sign.crt.pem")}),
      token_(ReadText(deployment.token_file())),
      stub_(v1::Publisher::NewStub(ConnectTo(deployment))) {
  token_.pop_back();  // the end of its line
}

absl::StatusOr<Publisher::Published> Publisher::Publish() {
  const base::Bytes& der = ders_[calls_++ % ders_.size()];
  v1::PublishRequest request;
  request.set_address(address_);
  request.set_operation(v1::PublishRequest::REPLACE);
  request.add_certificates()->set_der(der.data(), der.size());
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token_);
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  v1::PublishResponse response;
  const grpc::Status status = stub_->Publish(&context, request, &response);
  if (status.ok()) return Published{response.version(), der};
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace kt::testing
