// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_AUDIT_RECORD_H_
#define KT_AUDITOR_AUDIT_RECORD_H_

#include "base/bytes.h"
#include "base/codec.h"
#include "base/types.h"

namespace kt::auditor {

// What a log says of one entry, undecoded: a message of kt.v1.Auditing/StreamUpdates, and a record
// of an export file. docs/extensions.md, "Auditing":
//
//   struct {
//     uint64 position;
//     opaque update<0..2^32-1>;
//     opaque published<0..2^32-1>;
//     opaque tree_head<0..2^16-1>;
//   } AuditRecord;
//
// Parts that are not there are empty.
struct AuditRecord {
  base::LogPosition position = 0;
  base::Bytes update;     // AuditorUpdate
  base::Bytes published;  // PrefixProof
  base::Bytes tree_head;  // TreeHead of the entries up to this one

  bool operator==(const AuditRecord&) const = default;
  static constexpr auto Fields() {
    return base::codec::List(&AuditRecord::position,
                             base::codec::Opaque<uint32_t>(&AuditRecord::update),
                             base::codec::Opaque<uint32_t>(&AuditRecord::published),
                             base::codec::Opaque<uint16_t>(&AuditRecord::tree_head));
  }
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_AUDIT_RECORD_H_
