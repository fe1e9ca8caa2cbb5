// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SIM_EXCHANGE_H_
#define TESTS_SIM_EXCHANGE_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-client/exchange.h"
#include "kt-client/log_user.h"
#include "kt-core/operations.h"
#include "kt-server/transparency_log.h"

namespace kt::sim {

// Changes a response before it is sent.
using Tamper = std::function<void(core::FullTreeHead&, core::CombinedTreeProof&)>;

// One operation of a user: what the log answers, and what the user makes of an answer.
struct Exchange {
  std::string operation;
  absl::StatusOr<base::Bytes> response;
  // What the user then has: a text that tells results apart. The time is the user's.
  std::function<absl::StatusOr<std::string>(client::LogUser& user, base::ByteView response,
                                            uint64_t now_ms)>
      take;
  // The response as a liar sends it.
  std::function<base::Bytes(const Tamper& tamper)> altered;
  bool found = true;  // of a search
  // What was asked, as the client keeps it.
  client::Operation kind = client::Operation::kSearch;
  base::Bytes request = {};
};

// The questions of `user`, answered by `log`. A log that has fewer entries than the user has seen,
// which only a liar's has, answers as if it had not been told.
Exchange AskSearch(const client::LogUser& user, const server::TransparencyLog& log,
                   const std::string& label, std::optional<base::Version> version);
Exchange AskWalk(const client::LogUser& user, const server::TransparencyLog& log);
// The same of a state that an honest log would not show yet.
Exchange AskWalk(const client::LogUser& user, const core::Configuration& config,
                 const server::LogState& state);
// Of a label that is watched or owned; the owner begins at `start`.
Exchange AskContactMonitor(const client::LogUser& user, const server::TransparencyLog& log,
                           const base::Bytes& label);
Exchange AskOwnerInit(const client::LogUser& user, const server::TransparencyLog& log,
                      const std::string& label, base::LogPosition start);
Exchange AskOwnerMonitor(const client::LogUser& user, const server::TransparencyLog& log,
                         const std::string& label);
// `answer`: what the log answers to `request`.
Exchange AskUpdate(const core::Configuration& config, const core::UpdateRequest& request,
                   absl::StatusOr<base::Bytes> answer);

}  // namespace kt::sim
#endif  // TESTS_SIM_EXCHANGE_H_
