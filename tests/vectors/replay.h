// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VECTORS_REPLAY_H_
#define TESTS_VECTORS_REPLAY_H_

#include "absl/status/statusor.h"
#include "tests/vectors/vector_json.h"

namespace kt::vectors {

// Does what the vector describes through the library's public interface, from the vector's JSON and
// nothing else, and returns what must be in its member "expected". Errors are those of the
// operation, such as verification failures; kInvalidArgument for an operation that README.md does
// not name.
absl::StatusOr<Json> Replay(const Json& vector);

}  // namespace kt::vectors
#endif  // TESTS_VECTORS_REPLAY_H_
