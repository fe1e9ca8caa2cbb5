// SPDX-License-Identifier: Apache-2.0
//
// What a pruned log keeps of its expired entries: docs/decisions/0008 says why it suffices.
//
// A log with the horizon L keeps of its first L entries what a user who has seen L entries retains
// (draft-ietf-keytrans-protocol, "Updating Views of the Tree"): the entries of the frontier and the
// heads of the full subtrees, and what ties the two together. Everything at or after L is kept.
#ifndef KT_SERVER_RETENTION_H_
#define KT_SERVER_RETENTION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"
#include "merkle/log_tree.h"

namespace kt::server {

// Whether a log with this horizon keeps the log entry at `position`: one that is at or after the
// horizon, or on the frontier of the first `horizon` entries. Never again once it has been false.
bool KeepsEntry(base::LogPosition horizon, base::LogPosition position);

// Whether it keeps a node of the log tree: one over a leaf at or after the horizon, the head of a
// full subtree of the first `horizon` entries, or a node on the copath, within that subtree, of its
// last leaf, which is on the frontier. Never again once it has been false.
bool KeepsLogNode(base::LogPosition horizon, const merkle::LogNodeId& id);

// The entries before the horizon that are kept, ascending: at most 64.
std::vector<base::LogPosition> KeptEntries(base::LogPosition horizon);

// The nodes over leaves before the horizon alone that are kept: at most 64 of each level.
std::vector<merkle::LogNodeId> KeptLogNodes(base::LogPosition horizon);

// kOutOfRange: what the answer needs has expired, and is not kept.
absl::Status Expired(const std::string& what);

}  // namespace kt::server
#endif  // KT_SERVER_RETENTION_H_
