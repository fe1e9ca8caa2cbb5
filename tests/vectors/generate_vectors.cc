// SPDX-License-Identifier: Apache-2.0
//
// Writes the test vectors of both suites below a folder: generate_vectors tests/vectors
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/vectors/make_vectors.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: generate_vectors FOLDER\n");
    return 2;
  }
  for (const auto suite : {kt::core::CipherSuite::kP256, kt::core::CipherSuite::kEd25519}) {
    const std::filesystem::path folder =
        std::filesystem::path(argv[1]) / kt::vectors::FolderOf(suite);
    std::filesystem::create_directories(folder);
    for (const auto& [name, json] : kt::vectors::MakeVectors(suite)) {
      std::ofstream file(folder / name, std::ios::binary);
      file << kt::vectors::ToText(json);
      if (!file.flush()) {
        fprintf(stderr, "cannot write %s\n", (folder / name).c_str());
        return 1;
      }
    }
  }
  return 0;
}
