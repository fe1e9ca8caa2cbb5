// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LAYERS_INCLUDE_RULES_H_
#define TESTS_LAYERS_INCLUDE_RULES_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kt::layers {

// What the sources of one folder may include. Headers of the C++ standard library (`<vector>`) are
// allowed unless forbidden; everything else must be listed.
struct Layer {
  std::string_view folder;
  // Folders of this project; its own need not be listed.
  std::vector<std::string_view> folders;
  // Prefixes of headers that come from elsewhere, such as "absl/" or "idn2.h".
  std::vector<std::string_view> libraries;
  // Prefixes refused although `folders` or `libraries` would allow them, or whole names of standard
  // headers.
  std::vector<std::string_view> forbidden;
};

// The project's rules, lowest layer first.
std::span<const Layer> Layers();

// What is wrong with the includes of `text`, a source file at `path` from the top of the tree; one
// sentence an offence, empty if there is none. `path` must lie in a folder of Layers().
std::vector<std::string> Offences(std::string_view path, std::string_view text);

}  // namespace kt::layers

#endif  // TESTS_LAYERS_INCLUDE_RULES_H_
