// SPDX-License-Identifier: Apache-2.0
//
// What verified responses to monitoring requests say. In each, `state` and the label's own state
// are to be retained together, instead of those that were passed.
#ifndef KT_CORE_MONITORING_RESULTS_H_
#define KT_CORE_MONITORING_RESULTS_H_

#include <vector>

#include "kt-core/monitoring_state.h"
#include "kt-core/user_state.h"

namespace kt::core {

struct VerifiedContactMonitor {
  ContactState contact;
  UserState state;
};

struct VerifiedOwnerInit {
  OwnerState owner;
  // The greatest version in the starting entry and in those to its left that were inspected, by
  // descending position, as far as the label existed.
  std::vector<MonitorMapEntry> greatest_versions;
  UserState state;
};

struct VerifiedOwnerMonitor {
  OwnerState owner;
  // The rightmost distinguished log entry was reached. Otherwise the owner asks again, and if
  // owner.start has not advanced, first for updates: the log may stop where it has a version that
  // the owner does not know of. A log that neither advances nor has updates withholds a proof.
  bool complete = false;
  UserState state;
};

// One new version of a label.
struct NewVersion {
  Version version = 0;
  Bytes value;
  bool operator==(const NewVersion&) const = default;
};

struct VerifiedUpdate {
  OwnerState owner;
  LogPosition position = 0;         // the log entry that added the versions
  uint32_t skipped_versions = 0;    // thirdPartyManagement
  std::vector<NewVersion> created;  // ascending; skipped versions left out
  bool of_request = false;          // created by this request, as opposed to found in the log
  // The log entry is distinguished: that nothing else was created there, and `created` unless a
  // lookup was needed, is proven only by the owner monitoring that covers it.
  bool awaits_owner_monitoring = false;
  UserState state;
};

}  // namespace kt::core
#endif  // KT_CORE_MONITORING_RESULTS_H_
