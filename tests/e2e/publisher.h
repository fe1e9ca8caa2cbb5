// SPDX-License-Identifier: Apache-2.0
//
// Publishing without kt-client, as fast as a server takes it.
#ifndef TESTS_E2E_PUBLISHER_H_
#define TESTS_E2E_PUBLISHER_H_

#include <grpcpp/channel.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-core/response_verifier.h"
#include "proto/kt.grpc.pb.h"
#include "tests/e2e/deployment.h"

namespace kt::testing {

// A connection of its own to the server that runs now.
std::shared_ptr<grpc::Channel> ConnectTo(const Deployment& deployment);

// Verifies responses of the deployment's log.
std::unique_ptr<core::ResponseVerifier> VerifierOf(Deployment& deployment);

// Publishes the two certificates of one of RFC 9216's people in turn, each in place of the other.
class Publisher {
 public:
  struct Published {
    uint32_t version = 0;
    base::Bytes der;  // of its certificate
  };

  // `who`: alice, bob, carlos or dana.
  Publisher(const Deployment& deployment, const std::string& who);

  const std::string& address() const { return address_; }
  // The next one, when it is acknowledged; otherwise the call's status, kDeadlineExceeded after
  // twenty seconds.
  absl::StatusOr<Published> Publish();

 private:
  const std::string address_;
  std::vector<base::Bytes> ders_;
  std::string token_;
  const std::unique_ptr<v1::Publisher::Stub> stub_;
  size_t calls_ = 0;
};

}  // namespace kt::testing
#endif  // TESTS_E2E_PUBLISHER_H_
