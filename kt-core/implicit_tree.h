// SPDX-License-Identifier: Apache-2.0
//
// The implicit binary search tree over log entries: draft-ietf-keytrans-protocol, "Implicit Binary
// Search Tree" and the appendix of that name.
#ifndef KT_CORE_IMPLICIT_TREE_H_
#define KT_CORE_IMPLICIT_TREE_H_

#include <optional>
#include <vector>

#include "base/types.h"

namespace kt::core {

// The entry where a search begins. `size` is at least 1.
base::LogPosition RootEntry(base::TreeSize size);

// The children of entry `x`; nullopt where there is none. `x` is less than `size`.
std::optional<base::LogPosition> LeftChild(base::LogPosition x);
std::optional<base::LogPosition> RightChild(base::LogPosition x, base::TreeSize size);

// The entries from the root down to `x`, `x` excluded. `x` is less than `size`. At most 64.
std::vector<base::LogPosition> PathFromRoot(base::LogPosition x, base::TreeSize size);

// Whether `x` lies in the left subtree of `entry`, in every log that has both: relations of entries
// never change as a log grows. `entry` is less than 2^63.
bool IsInLeftSubtree(base::LogPosition entry, base::LogPosition x);

// The root, its right child, that one's right child and so on; ends with size - 1. `size` is at
// least 1; at most 64 entries.
std::vector<base::LogPosition> Frontier(base::TreeSize size);

}  // namespace kt::core
#endif  // KT_CORE_IMPLICIT_TREE_H_
