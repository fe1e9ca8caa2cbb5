// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_EXPIRY_H_
#define KT_CLIENT_EXPIRY_H_

#include "absl/status/status.h"
#include "kt-client/exchange.h"
#include "kt-client/log_record.h"

namespace kt::client {

// What it means that the log answered `exchange` by saying that what the request needs has expired
// (docs/extensions.md, "Expiry"). Nobody can verify that. But a log that was rolled back, or denies
// what it showed, must not get away with it: a request names entries that were verified, and the
// log's word counts only if one of them can be older than the lifetime, as far as `record`, which
// the request was made of, knows timestamps, and the clock at exchange.at_ms and max_ahead allow.
//
// kOutOfRange if so, with Failure::kExpired and what to do unless it is only about the version that
// a search asked for. Otherwise a verification failure: "expired-without-lifetime" if entries of
// this log never expire, "expired-too-early" if none of these can be that old.
absl::Status JudgeExpiry(const Exchange& exchange, const LogRecord& record);

}  // namespace kt::client
#endif  // KT_CLIENT_EXPIRY_H_
