// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SEARCH_SERVICE_H_
#define KT_SERVER_SEARCH_SERVICE_H_

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// An encoded SearchResponse, or an encoded AbsenceResponse (docs/extensions.md).
struct SearchAnswer {
  bool found = false;
  base::Bytes response;
  size_t vrf_proofs = 0;  // that had to be made, which costs more than all the rest
};

// Answers searches from the newest published state. Thread-safe.
class SearchService {
 public:
  explicit SearchService(const TransparencyLog& log) : log_(log) {}

  // `request` is an encoded SearchRequest. kInvalidArgument if it is not one,
  // kFailedPrecondition if it names a tree size that this log has not reached, kOutOfRange if the
  // version has expired, kUnavailable if the log has no entries yet, kDataLoss if what is stored
  // does not fit together.
  absl::StatusOr<SearchAnswer> Search(base::ByteView request) const;

 private:
  const TransparencyLog& log_;
};

}  // namespace kt::server
#endif  // KT_SERVER_SEARCH_SERVICE_H_
