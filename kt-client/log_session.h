// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_LOG_SESSION_H_
#define KT_CLIENT_LOG_SESSION_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kt-client/channel.h"
#include "kt-client/client.h"
#include "kt-client/discovery.h"
#include "kt-client/state_store.h"
#include "kt-core/response_verifier.h"
#include "proto/kt.grpc.pb.h"

namespace kt::client {

// A verified answer to a search.
struct SearchResult {
  bool found = false;
  base::Version version = 0;
  base::Bytes value;
  bool monitoring_required = false;
};

// A conversation with one log: its pinned configuration, the state that is carried from answer to
// answer and saved after each, and the channel. Not thread-safe.
class LogSession {
 public:
  // A session with `domain`'s log over `connection`. If no log is pinned for the domain yet, the
  // server is asked for its configuration, which is pinned with the first verified answer. The
  // domain's own pin (`discovery`) is compared in any case. Verification failures:
  // "configuration-pin" if two of these differ, "configuration" if the server's cannot be used.
  // Borrows `store` and `clock`.
  static absl::StatusOr<std::unique_ptr<LogSession>> Open(const StateStore& store,
                                                          const std::string& domain,
                                                          Connection connection,
                                                          const Discovery& discovery,
                                                          int timeout_ms, const base::Clock& clock);

  // Searches for the greatest version, or for `version`. Verifies the answer, then saves the state.
  // kOutOfRange if the log says that the version has expired, which nobody can verify.
  absl::StatusOr<SearchResult> Search(base::ByteView label, std::optional<base::Version> version);

  const LogInfo& info() const { return info_; }

 private:
  LogSession(const StateStore& store, std::string domain, Connection connection, int timeout_ms,
             const base::Clock& clock);

  absl::Status Load(const Discovery& discovery);
  absl::StatusOr<core::Configuration> FetchConfiguration();
  absl::StatusOr<v1::SearchResponse> Ask(const core::SearchRequest& request);
  absl::Status Retain(const core::UserState& state);

  const StateStore& store_;
  const std::string domain_;
  const Connection connection_;
  const int timeout_ms_;
  const base::Clock& clock_;
  const std::unique_ptr<v1::KeyTransparency::Stub> stub_;
  std::optional<StateStore::Session> state_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  LogInfo info_;
};

// What a failed call means to the caller of the library: see client.h.
absl::Status FromGrpc(const grpc::Status& status, const std::string& server);

}  // namespace kt::client
#endif  // KT_CLIENT_LOG_SESSION_H_
