// SPDX-License-Identifier: Apache-2.0
//
// What a client keeps when a log contradicts what it showed before: everything that the refusal
// depends on, so that it can be repeated without the log.
#ifndef KT_CLIENT_KEPT_REFUSAL_H_
#define KT_CLIENT_KEPT_REFUSAL_H_

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/types.h"
#include "kt-client/exchange.h"
#include "kt-client/log_record.h"

namespace kt::client {

// The content of a file FINGERPRINT-CHECK-ID.refused; no part of the draft.
struct KeptRefusal {
  // The last byte counts the versions of the format.
  static constexpr std::array<uint8_t, 8> kMagic = {'k', 't', 'r', 'e', 'f', 'u', 's', '1'};
  static constexpr size_t kMaxExchanges = 2;

  std::array<uint8_t, 8> magic = kMagic;
  base::Hash fingerprint;  // of the log's configuration
  // An encoded LogRecord: what was retained before the first exchange, as far as it matters.
  base::Bytes record;
  // All but the last were verified, each against what the one before it left.
  std::vector<Exchange> exchanges;
  base::Bytes check;  // the failed check

  static constexpr auto Fields() {
    return base::codec::List(&KeptRefusal::magic, &KeptRefusal::fingerprint,
                             base::codec::Opaque<uint32_t>(&KeptRefusal::record),
                             base::codec::Vector<uint8_t>(&KeptRefusal::exchanges, kMaxExchanges),
                             base::codec::Opaque<uint8_t>(&KeptRefusal::check));
  }
};

// Of the refusal of the last of `exchanges` (1 or 2), whose requests are this client's own. Of
// `record` only what they are about is taken: who else is looked up concerns nobody.
KeptRefusal MakeKeptRefusal(const LogRecord& record, std::vector<Exchange> exchanges,
                            const std::string& check);

// kInvalidArgument if this is no kept refusal of a known format.
absl::StatusOr<KeptRefusal> DecodeKeptRefusal(base::ByteView bytes);

// Judges the exchanges again, by the clock of then: the verification failure, or OK if everything
// verifies. kInvalidArgument or kDataLoss if that cannot be done.
absl::Status Replay(const KeptRefusal& kept);

}  // namespace kt::client
#endif  // KT_CLIENT_KEPT_REFUSAL_H_
