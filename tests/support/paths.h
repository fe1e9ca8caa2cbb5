// SPDX-License-Identifier: Apache-2.0
// Where tests find the tree's own files and the programs that were built from it.
#ifndef KT_TESTS_SUPPORT_PATHS_H_
#define KT_TESTS_SUPPORT_PATHS_H_

#include <string>

namespace kt::testing {

// Returns the top of the source tree, without a slash at its end.
std::string SourceDir();

// Return the paths of the programs as built beside the tests, whether or not they have been built.
std::string ServerProgram();
std::string ClientProgram();
std::string AuditorProgram();

}  // namespace kt::testing

#endif  // KT_TESTS_SUPPORT_PATHS_H_
