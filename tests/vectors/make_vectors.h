// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_VECTORS_MAKE_VECTORS_H_
#define TESTS_VECTORS_MAKE_VECTORS_H_

#include "kt-core/cipher_suite.h"
#include "tests/vectors/vector_json.h"

namespace kt::vectors {

// All files of one suite; the same bytes each time. README.md describes them.
Files MakeVectors(core::CipherSuite suite);

// A file's text.
std::string ToText(const Json& file);

// The folder of a suite's files.
std::string FolderOf(core::CipherSuite suite);

}  // namespace kt::vectors
#endif  // TESTS_VECTORS_MAKE_VECTORS_H_
