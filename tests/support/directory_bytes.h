// SPDX-License-Identifier: Apache-2.0
#ifndef KT_TESTS_SUPPORT_DIRECTORY_BYTES_H_
#define KT_TESTS_SUPPORT_DIRECTORY_BYTES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

namespace kt::testing {

// Returns how many bytes the files below a directory have. A file that goes while they are counted,
// as RocksDB's do at any moment, counts for nothing.
inline uint64_t DirectoryBytes(const std::string& path) {
  namespace fs = std::filesystem;
  uint64_t bytes = 0;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(path)) {
    std::error_code gone;
    const uintmax_t size = file.is_regular_file(gone) ? file.file_size(gone) : 0;
    if (!gone) bytes += size;
  }
  return bytes;
}

}  // namespace kt::testing

#endif  // KT_TESTS_SUPPORT_DIRECTORY_BYTES_H_
