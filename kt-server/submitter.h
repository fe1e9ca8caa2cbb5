// SPDX-License-Identifier: Apache-2.0
//
// How new versions are handed to whoever adds them to the log.
#ifndef KT_SERVER_SUBMITTER_H_
#define KT_SERVER_SUBMITTER_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "kt-core/structures.h"

namespace kt::server {

// What an address's newest version is when a submission's turn comes.
struct CurrentValue {
  base::Version version = 0;
  base::Bytes value;  // UpdateValue.value; empty if it was erased
  bool erased = false;
};

// The versions of a label that a submission adds, in ascending order.
struct NewValues {
  NewValues() = default;
  // Of a log without a Third-Party Manager, where a value has no suffix and no version is skipped.
  NewValues(std::vector<base::Bytes> plain) {
    for (base::Bytes& value : plain) values.push_back({std::move(value), {}});
  }

  uint32_t skipped_versions = 0;  // come first: "Third Parties / Management"
  std::vector<core::UpdateValue> values;
};

// Takes submissions of new versions and answers each when it is done.
class Submitter {
 public:
  virtual ~Submitter() = default;

  // Makes the next values, at least one, out of the current one (nullptr: the label has none), or
  // says why not. They become versions of one log entry. Runs on a thread of the submitter's, and
  // again if what came before it could not be committed, so it only computes.
  using Mutation = std::function<absl::StatusOr<NewValues>(const CurrentValue* current)>;

  struct Outcome {
    base::Version version = 0;  // the greatest of those that were added
    base::LogPosition position = 0;
    base::TreeSize tree_size = 0;  // of a published head that covers it
    // What the manager answered, encoded, if the log has one.
    base::Bytes update_response = {};
  };
  // Called once for each submission: when it is durable and published, or when it failed. A refusal
  // waits like the rest, since it may rest on what is being added.
  using Done = std::function<void(absl::StatusOr<Outcome>)>;

  struct Submission {
    base::Bytes label;
    std::string submitter;  // who answers for it; for limits only
    size_t bytes = 0;       // of memory that `mutation` holds
    Mutation mutation;
    Done done;
    // The label's versions in its log entry are those of this submission only.
    bool alone = false;
    // The tree size that the owner advertises to whom Outcome.update_response goes.
    std::optional<base::TreeSize> last = std::nullopt;
  };

  // kResourceExhausted if too much is waiting: altogether, of the submitter or for the label;
  // kUnavailable when stopping or when nothing can be added. `done` is called only if the result is
  // OK.
  virtual absl::Status Submit(Submission submission) = 0;
};

}  // namespace kt::server
#endif  // KT_SERVER_SUBMITTER_H_
