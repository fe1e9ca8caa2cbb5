// SPDX-License-Identifier: Apache-2.0
#include "kt-client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "kt-client/failure.h"
#include "proto/channel_arguments.h"
#include "proto/kt.grpc.pb.h"

namespace kt::client {
namespace {

constexpr size_t kMaxRootsBytes = 1 << 20;
constexpr int kMinAttemptMs = 1500;
constexpr int kReasonTimeoutMs = 500;
constexpr size_t kMaxListed = 5;  // failures in an error message

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

std::chrono::system_clock::time_point GrpcDeadline(int ms) {
  return std::chrono::system_clock::now() + std::chrono::milliseconds(ms);
}

std::shared_ptr<grpc::Channel> MakeChannel(const ConnectAttempt& attempt,
                                           const std::string& roots_pem) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = roots_pem;
  grpc::ChannelArguments args = ChannelArgumentsForPeers(kMaxMessageBytes);
  // The name for SNI, for the certificate's check, and for the :authority of calls.
  args.SetSslTargetNameOverride(attempt.tls_name);
  const bool is_ipv6 = attempt.address.host.find(':') != std::string::npos;
  return grpc::CreateCustomChannel(
      absl::StrCat(is_ipv6 ? "ipv6:" : "ipv4:", attempt.address.ToString()),
      grpc::SslCredentials(tls), args);
}

// What gRPC says about a channel that has just failed to connect, without its preamble. It tells
// only the callers of that channel, so this makes a call, which fails without reaching anybody.
std::string ReasonOfFailure(const std::shared_ptr<grpc::Channel>& channel, uint16_t port) {
  grpc::ClientContext context;
  context.set_deadline(GrpcDeadline(kReasonTimeoutMs));
  v1::GetConfigurationResponse response;
  const grpc::Status status = v1::KeyTransparency::NewStub(channel)->GetConfiguration(
      &context, v1::GetConfigurationRequest(), &response);
  // "failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:443: REASON"
  const std::string& text = status.error_message();
  const std::string marker = absl::StrCat(":", port, ": ");
  const size_t at = text.find(marker);
  return at == std::string::npos ? text : text.substr(at + marker.size());
}

// gRPC has one state for all failures to connect; that TCP did not get through is in its words
// only. To misread them costs time, when a second name is tried at a dead address, and a word in
// a message, but never lets a server pass.
FailedAttempt::Kind KindOf(const std::string& reason) {
  for (const char* tcp_failure : {"Failed to connect to remote host", "connect() timed out"}) {
    if (reason.find(tcp_failure) != std::string::npos) return FailedAttempt::Kind::kNoAnswer;
  }
  return FailedAttempt::Kind::kRejected;
}

// nullopt once the channel is ready.
std::optional<FailedAttempt> WaitUntilReady(const std::shared_ptr<grpc::Channel>& channel,
                                            const ConnectAttempt& attempt, int timeout_ms) {
  const auto deadline = GrpcDeadline(timeout_ms);
  grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
      const std::string reason = ReasonOfFailure(channel, attempt.address.port);
      return FailedAttempt{attempt, KindOf(reason), reason};
    }
    if (!channel->WaitForStateChange(state, deadline)) {
      return FailedAttempt{attempt, FailedAttempt::Kind::kNoAnswer,
                           absl::StrCat("no answer within ", timeout_ms, " ms")};
    }
    state = channel->GetState(/*try_to_connect=*/true);
  }
  return std::nullopt;
}

std::string Describe(const FailedAttempt& failure) {
  const ConnectAttempt& attempt = failure.attempt;
  const std::string address = attempt.address.ToString();
  const std::string server = attempt.host == attempt.address.host
                                 ? address
                                 : absl::StrCat(attempt.host, " (", address, ")");
  if (failure.kind == FailedAttempt::Kind::kNoAnswer) {
    return absl::StrCat(server, ": ", failure.reason);
  }
  return absl::StrCat(server, ": no TLS with a certificate for ", attempt.tls_name,
                      ", demanded because ", attempt.why, ": ", failure.reason);
}

absl::Status Explain(const std::vector<FailedAttempt>& failures, const std::string& domain) {
  bool answered = false;
  std::string list;
  size_t listed = 0;
  size_t left_out = 0;
  for (const FailedAttempt& failure : failures) {
    answered = answered || failure.kind == FailedAttempt::Kind::kRejected;
    if (failure.kind == FailedAttempt::Kind::kNotTried || listed == kMaxListed) {
      ++left_out;
      continue;
    }
    absl::StrAppend(&list, listed == 0 ? "" : "; ", Describe(failure));
    ++listed;
  }
  if (left_out > 0) absl::StrAppend(&list, "; and ", left_out, " more");
  if (!answered) {
    return FailedBecause(Failure::kNoServer, absl::StrCat("no Key Transparency server of ", domain,
                                                          " answered: ", list));
  }
  return FailedBecause(
      Failure::kTlsFailed,
      absl::StrCat("no Key Transparency server proved that it may speak for ", domain, ": ", list));
}

}  // namespace

absl::StatusOr<std::string> LoadRoots(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(path, kMaxRootsBytes));
  const std::unique_ptr<BIO, FreeBio> bio(
      BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  size_t count = 0;
  while (std::unique_ptr<X509, FreeX509>(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))) {
    ++count;
  }
  // At the end of the file OpenSSL complains that no further certificate starts.
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (count == 0 || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": certificate ", count + 1, " cannot be read; CAs are given in PEM"));
  }
  return base::ToText(bytes);
}

absl::StatusOr<Connection> Connect(const std::vector<ConnectAttempt>& attempts,
                                   const std::string& domain, const ConnectOptions& options) {
  if (attempts.empty()) return absl::InvalidArgumentError("no server to connect to");
  if (options.timeout_ms <= 0) {
    return absl::InvalidArgumentError("the time-out of connecting must be positive");
  }
  using Kind = FailedAttempt::Kind;
  const Deadline deadline = DeadlineAfter(options.timeout_ms);
  std::vector<FailedAttempt> failures;
  for (size_t i = 0; i < attempts.size(); ++i) {
    const ConnectAttempt& attempt = attempts[i];
    const int left_ms = RemainingMs(deadline);
    if (left_ms == 0) {
      failures.push_back({attempt, Kind::kNotTried, "the time is over"});
      continue;
    }
    if (i > 0 && attempt.address == attempts[i - 1].address &&
        failures.back().kind != Kind::kRejected) {
      failures.push_back({attempt, Kind::kNotTried, "the address does not answer"});
      continue;
    }
    const int share_ms =
        std::max(left_ms / static_cast<int>(attempts.size() - i), std::min(left_ms, kMinAttemptMs));
    auto channel = MakeChannel(attempt, options.roots_pem);
    auto failure = WaitUntilReady(channel, attempt, share_ms);
    if (!failure.has_value()) return Connection{std::move(channel), attempt, std::move(failures)};
    failures.push_back(*std::move(failure));
  }
  return Explain(failures, domain);
}

}  // namespace kt::client
