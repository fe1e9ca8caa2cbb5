// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/monitoring.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"

namespace kt::core {

// "User Operations / Contact Monitor".
absl::StatusOr<VerifiedContactMonitor> ResponseVerifier::VerifyContactMonitor(
    const ContactMonitorRequest& request, ByteView response_bytes, const ContactState& contact,
    const UserState* previous, uint64_t now_ms) const {
  KT_RETURN_IF_ERROR(CheckAdvertised(request.last, previous));
  KT_RETURN_IF_ERROR(ValidateContactState(contact));
  if (request.entries != contact.map) {
    return absl::InvalidArgumentError("the request monitors other versions than the state");
  }
  KT_ASSIGN_OR_RETURN(const auto response, DecodeResponse<ContactMonitorResponse>(
                                               response_bytes, WireContext::For(config())));
  KT_ASSIGN_OR_RETURN(const TreeSize size, PresentedTreeSize(response.full_tree_head, previous));
  if (!contact.map.empty() && contact.map.back().position >= size) {
    return base::VerificationFailed("tree-size",
                                    absl::StrCat("the log presents ", size, " entries, but entry ",
                                                 contact.map.back().position, " was seen before"));
  }

  ProofVerifier proof(response.monitor, size, previous, ToKnownVersions(contact.versions));
  KT_RETURN_IF_ERROR(UpdateView(proof, request.last));
  KT_ASSIGN_OR_RETURN(const std::vector<MonitoredEntry> monitored,
                      ContactMonitor(proof, contact.map, std::nullopt, config()));
  VerifiedContactMonitor result;
  KT_ASSIGN_OR_RETURN(result.state,
                      context_->VerifyHead(response.full_tree_head, proof, previous, now_ms));
  for (const MonitoredEntry& entry : monitored) {
    KT_RETURN_IF_ERROR(InsertIntoMap(entry.entry, &result.contact.map));
  }
  RetainVersions(contact.versions, &result.contact);
  return result;
}

absl::Status AddObligation(const VerifiedSearch& search, ContactState* contact) {
  if (!search.monitoring_required) return absl::OkStatus();
  return InsertMonitored({search.terminal, search.version}, search.ladder, contact);
}

}  // namespace kt::core
