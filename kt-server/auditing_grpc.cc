// SPDX-License-Identifier: Apache-2.0
#include "kt-server/auditing_grpc.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "kt-server/grpc_util.h"
#include "kt-server/peer.h"

namespace kt::server {
namespace {

// Entries that are made into updates together: about a megabyte, if all are full.
constexpr base::TreeSize kEntriesPerRound = 8;
// How soon a stream that waits for the log to grow notices that it should end.
constexpr absl::Duration kPollInterval = absl::Milliseconds(200);

void Set(base::ByteView bytes, std::string* field) { field->assign(base::AsText(bytes)); }

}  // namespace

grpc::Status AuditingGrpc::GetStart(grpc::ServerContext* context,
                                    const v1::GetStartRequest* request,
                                    v1::GetStartResponse* response) {
  if (!limiter_.Allow(RateKey(context->peer()))) return TooFast();
  const absl::StatusOr<base::Bytes> start = audit_.Start(request->tree_size());
  if (start.ok()) Set(*start, response->mutable_start());
  return ToGrpc(start.status());
}

grpc::Status AuditingGrpc::SubmitAuditorHead(grpc::ServerContext* context,
                                             const v1::SubmitAuditorHeadRequest* request,
                                             v1::SubmitAuditorHeadResponse*) {
  if (!limiter_.Allow(RateKey(context->peer()))) return TooFast();
  return ToGrpc(audit_.Submit(base::AsBytes(request->auditor_tree_head())));
}

grpc::Status AuditingGrpc::StreamUpdates(grpc::ServerContext* context,
                                         const v1::StreamUpdatesRequest* request, Writer* writer) {
  if (!limiter_.Allow(RateKey(context->peer()))) return TooFast();
  if (!streams_.Enter()) return Busy();
  const absl::Status status = Stream(*context, *request, *writer);
  streams_.Leave();
  return ToGrpc(status);
}

absl::Status AuditingGrpc::Stream(const grpc::ServerContext& context,
                                  const v1::StreamUpdatesRequest& request, Writer& writer) const {
  base::LogPosition next = request.start_position();
  const base::LogPosition end = request.has_end_position()
                                    ? request.end_position()
                                    : std::numeric_limits<base::LogPosition>::max();
  const TransparencyLog& log = audit_.log();
  std::shared_ptr<const LogState> state = log.newest();
  const base::TreeSize size = state == nullptr ? 0 : state->size();
  if (next > size) {
    return absl::FailedPreconditionError(
        absl::StrCat("this log has ", size, " entries, not ", next));
  }
  if (next == size && next > 0 && next < end) {
    v1::StreamUpdatesResponse message;
    message.set_position(next);
    Set(base::codec::Encode(state->head().tree_head), message.mutable_tree_head());
    state = nullptr;
    if (!writer.Write(message)) return absl::OkStatus();
  }
  while (next < end) {
    state = nullptr;  // not held while waiting
    state = log.AwaitGrowth(next, kPollInterval);
    if (ShouldEnd(context)) return absl::UnavailableError("the server is stopping");
    if (state == nullptr) continue;
    const core::TreeHead head = state->head().tree_head;
    const base::TreeSize count = std::min(kEntriesPerRound, std::min(end, state->size()) - next);
    KT_ASSIGN_OR_RETURN(const std::vector<core::AuditorUpdate> updates,
                        AuditService::MakeUpdates(*state, next, count));
    state = nullptr;  // nor while a peer that reads nothing is written to
    for (const core::AuditorUpdate& update : updates) {
      v1::StreamUpdatesResponse message;
      message.set_position(next++);
      Set(base::codec::Encode(update), message.mutable_update());
      if (next == head.tree_size) Set(base::codec::Encode(head), message.mutable_tree_head());
      // A peer that has gone needs no status.
      if (!writer.Write(message) || ShouldEnd(context)) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

}  // namespace kt::server
