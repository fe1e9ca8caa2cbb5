// SPDX-License-Identifier: Apache-2.0
#include "tests/support/paths.h"

// The only file that is compiled with paths of this checkout: the others compile to the same bytes
// in every checkout, and a compiler cache can then serve them all.
namespace kt::testing {

std::string SourceDir() { return KT_SOURCE_DIR; }
std::string ServerProgram() { return KT_BINARY_DIR "/kt-server/kt-server"; }
std::string ClientProgram() { return KT_BINARY_DIR "/kt-client/kt-client"; }
std::string AuditorProgram() { return KT_BINARY_DIR "/kt-auditor/kt-auditor"; }

}  // namespace kt::testing
