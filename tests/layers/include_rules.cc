// SPDX-License-Identifier: Apache-2.0
#include "tests/layers/include_rules.h"

#include <algorithm>
#include <optional>

namespace kt::layers {
namespace {

// One line, in its three parts: # include <name> or "name".
struct Include {
  int line;
  std::string_view name;  // empty if the line names no header, as in `#include MACRO`
};

std::string_view SkipSpace(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

bool Consume(std::string_view& text, std::string_view prefix) {
  text = SkipSpace(text);
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<Include> ParseLine(int number, std::string_view line) {
  if (!Consume(line, "#") || !Consume(line, "include")) return std::nullopt;
  line = SkipSpace(line);
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return Include{number, {}};
  const char close = line[0] == '<' ? '>' : '"';
  const size_t end = line.find(close, 1);
  if (end == std::string_view::npos) return Include{number, {}};
  return Include{number, line.substr(1, end - 1)};
}

std::vector<Include> ParseIncludes(std::string_view text) {
  std::vector<Include> includes;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (auto include = ParseLine(number, text.substr(0, end))) includes.push_back(*include);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return includes;
}

std::string_view FirstFolder(std::string_view path) {
  const size_t slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

const Layer* FindLayer(std::string_view folder) {
  const auto layers = Layers();
  const auto found = std::ranges::find(layers, folder, &Layer::folder);
  return found == layers.end() ? nullptr : &*found;
}

bool IsProjectFolder(std::string_view folder) {
  return folder == "tests" || FindLayer(folder) != nullptr;
}

bool IsStandardHeader(std::string_view name) {
  return name.find_first_of("./") == std::string_view::npos;
}

bool AnyPrefixOf(const std::vector<std::string_view>& prefixes, std::string_view name) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) {
    return IsStandardHeader(prefix) ? name == prefix : name.starts_with(prefix);
  });
}

// Why `layer` may not include `name`; empty if it may.
std::string_view Objection(const Layer& layer, std::string_view name) {
  if (name.empty()) return "an include must name its header";
  if (name.find("..") != std::string_view::npos) return "includes start at the top of the tree";
  if (AnyPrefixOf(layer.forbidden, name)) return "forbidden in this layer";
  const std::string_view folder = FirstFolder(name);
  if (IsProjectFolder(folder)) {
    const bool allowed =
        folder == layer.folder || std::ranges::find(layer.folders, folder) != layer.folders.end();
    return allowed ? "" : "no arrow leads there from this layer";
  }
  if (IsStandardHeader(name) || AnyPrefixOf(layer.libraries, name)) return "";
  return "this layer does not use that library";
}

}  // namespace

std::span<const Layer> Layers() {
  static const auto* const layers = new std::vector<Layer>{
      {.folder = "base",
       .folders = {},
       .libraries = {"absl/", "openssl/", "sodium.h", "cpuid.h", "fcntl.h", "unistd.h", "sys/"},
       .forbidden = {}},
      {.folder = "vrf",
       .folders = {"base"},
       .libraries = {"absl/", "openssl/", "sodium.h", "immintrin.h"},
       .forbidden = {}},
      {.folder = "merkle",
       .folders = {"base"},
       .libraries = {"absl/", "openssl/", "endian.h", "immintrin.h"},
       .forbidden = {}},
      // The wire, of which most is generated.
      {.folder = "proto", .folders = {}, .libraries = {"grpc/", "grpcpp/"}, .forbidden = {}},
      // Time is an argument, and whoever calls brings the bytes: the draft's algorithms have no
      // clock, randomness, input, output or threads of their own.
      {.folder = "kt-core",
       .folders = {"base", "merkle", "vrf"},
       .libraries = {"absl/"},
       .forbidden = {"absl/random/", "absl/synchronization/",
                     "absl/time/",   "base/clock.h",
                     "base/file.h",  "base/random.h",
                     "chrono",       "condition_variable",
                     "cstdio",       "ctime",
                     "filesystem",   "fstream",
                     "future",       "iostream",
                     "mutex",        "random",
                     "semaphore",    "shared_mutex",
                     "stop_token",   "syncstream",
                     "thread"}},
      {.folder = "smime",
       .folders = {"base"},
       .libraries = {"absl/", "openssl/", "idn2.h", "time.h", "unicase.h", "uniconv.h",
                     "unictype.h", "uninorm.h", "unistr.h"},
       .forbidden = {}},
      {.folder = "kt-server",
       .folders = {"base", "vrf", "merkle", "kt-core", "smime", "proto"},
       .libraries = {"absl/", "openssl/", "grpc/", "grpcpp/", "google/protobuf/", "rocksdb/",
                     "CLI/", "nlohmann/", "spdlog/", "toml++/", "arpa/", "fcntl.h", "malloc.h",
                     "netdb.h", "netinet/", "poll.h", "signal.h", "sys/", "unistd.h"},
       .forbidden = {}},
      // A mail program embeds the client: no database.
      {.folder = "kt-client",
       .folders = {"base", "vrf", "merkle", "kt-core", "smime", "proto"},
       .libraries = {"absl/",    "openssl/", "grpc/",      "grpcpp/",  "google/protobuf/",
                     "ares.h",   "CLI/",     "unictype.h", "unistr.h", "nlohmann/",
                     "spdlog/",  "toml++/",  "arpa/",      "fcntl.h",  "netdb.h",
                     "netinet/", "poll.h",   "signal.h",   "sys/",     "unistd.h"},
       .forbidden = {}},
      {.folder = "kt-auditor",
       .folders = {"base", "vrf", "merkle", "kt-core", "proto"},
       .libraries = {"absl/", "openssl/", "grpc/", "grpcpp/", "google/protobuf/", "CLI/",
                     "nlohmann/", "time.h", "spdlog/", "toml++/", "arpa/", "fcntl.h", "netdb.h",
                     "netinet/", "poll.h", "signal.h", "sys/", "unistd.h"},
       .forbidden = {}},
  };
  return *layers;
}

std::vector<std::string> Offences(std::string_view path, std::string_view text) {
  const Layer* layer = FindLayer(FirstFolder(path));
  if (layer == nullptr) return {std::string(path) + " lies in no known layer"};
  std::vector<std::string> offences;
  for (const Include& include : ParseIncludes(text)) {
    const std::string_view objection = Objection(*layer, include.name);
    if (objection.empty()) continue;
    offences.push_back(std::string(path) + ":" + std::to_string(include.line) + " includes \"" +
                       std::string(include.name) + "\": " + std::string(objection));
  }
  return offences;
}

}  // namespace kt::layers
