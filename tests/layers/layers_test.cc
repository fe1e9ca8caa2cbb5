// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tests/layers/include_rules.h"
#include "tests/support/paths.h"

namespace kt::layers {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

std::string Line(std::string_view header) { return "#include \"" + std::string(header) + "\"\n"; }

std::vector<std::string> OffencesOf(std::string_view folder, std::string_view header) {
  return Offences(std::string(folder) + "/file.cc", Line(header));
}

// The folder's sources, their paths from the top of the tree.
std::vector<fs::path> SourcesOf(const fs::path& folder) {
  const fs::path top = kt::testing::SourceDir();
  std::vector<fs::path> sources;
  for (const auto& entry : fs::recursive_directory_iterator(top / folder)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".h" || extension == ".cc") sources.push_back(fs::relative(entry, top));
  }
  return sources;
}

// The folders at the top of the tree that hold sources which the rules speak of.
std::vector<std::string> FoldersWithSources() {
  std::vector<std::string> folders;
  for (const auto& entry : fs::directory_iterator(kt::testing::SourceDir())) {
    const std::string folder = entry.path().filename();
    if (!entry.is_directory() || folder.starts_with(".")) continue;
    if (folder == "build" || folder == "out" || folder == "tests") continue;
    if (!SourcesOf(folder).empty()) folders.push_back(folder);
  }
  return folders;
}

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Tree, IncludesFollowTheArrows) {
  const std::vector<std::string> folders = FoldersWithSources();
  EXPECT_THAT(folders, IsSupersetOf({"base", "kt-auditor", "kt-client", "kt-core", "kt-server",
                                     "merkle", "smime", "vrf"}));
  for (const std::string& folder : folders) {
    for (const fs::path& source : SourcesOf(folder)) {
      const std::string text = Read(fs::path(kt::testing::SourceDir()) / source);
      EXPECT_THAT(text, Not(IsEmpty())) << source;
      EXPECT_THAT(Offences(source.string(), text), IsEmpty());
    }
  }
}

// One row an arrow that must not be: from the first folder to the second's header.
class ForbiddenArrow
    : public ::testing::TestWithParam<std::tuple<std::string_view, std::string_view>> {};

TEST_P(ForbiddenArrow, IsReported) {
  const auto [folder, header] = GetParam();
  EXPECT_THAT(OffencesOf(folder, header), ElementsAre(HasSubstr(header)));
}

constexpr std::tuple<std::string_view, std::string_view> kForbiddenArrows[] = {
    // The three programs do not know each other.
    {"kt-server", "kt-client/discovery.h"},
    {"kt-server", "kt-auditor/replay.h"},
    {"kt-client", "kt-server/store.h"},
    {"kt-client", "kt-auditor/replay.h"},
    {"kt-auditor", "kt-server/store.h"},
    {"kt-auditor", "kt-client/discovery.h"},
    {"kt-auditor", "smime/address.h"},
    // merkle and vrf know base alone.
    {"merkle", "vrf/vrf.h"},
    {"merkle", "kt-core/structures.h"},
    {"merkle", "kt-server/store.h"},
    {"merkle", "rocksdb/db.h"},
    {"vrf", "merkle/log_tree.h"},
    {"vrf", "kt-core/structures.h"},
    // smime knows base, OpenSSL and the libraries of internationalised names.
    {"smime", "kt-core/structures.h"},
    {"smime", "merkle/log_tree.h"},
    {"smime", "vrf/vrf.h"},
    {"smime", "proto/kt.pb.h"},
    {"smime", "sodium.h"},
    // base knows nobody.
    {"base", "vrf/vrf.h"},
    {"base", "merkle/types.h"},
    {"base", "kt-core/structures.h"},
    {"base", "grpcpp/grpcpp.h"},
    // kt-core: no I/O, clock, randomness, threads, transport or S/MIME.
    {"kt-core", "smime/address.h"},
    {"kt-core", "proto/kt.pb.h"},
    {"kt-core", "grpcpp/grpcpp.h"},
    {"kt-core", "rocksdb/db.h"},
    {"kt-core", "kt-server/store.h"},
    {"kt-core", "kt-client/discovery.h"},
    {"kt-core", "base/clock.h"},
    {"kt-core", "base/random.h"},
    {"kt-core", "base/file.h"},
    {"kt-core", "absl/synchronization/mutex.h"},
    {"kt-core", "absl/time/clock.h"},
    {"kt-core", "sys/stat.h"},
    {"kt-core", "unistd.h"},
    {"kt-core", "time.h"},
    {"kt-core", "openssl/rand.h"},
    {"kt-core", "sodium.h"},
    // The client is free of the database.
    {"kt-client", "rocksdb/db.h"},
    {"kt-auditor", "rocksdb/db.h"},
    // The transport stays in the programs.
    {"vrf", "proto/kt.pb.h"},
    {"merkle", "proto/kt.grpc.pb.h"},
    {"base", "proto/kt.pb.h"},
    // Nothing that ships leans on the tests.
    {"base", "tests/support/fakes.h"},
    {"kt-server", "tests/support/fakes.h"},
    // Ways around the rules.
    {"kt-client", "../kt-server/store.h"},
    {"kt-client", "kt-core/../kt-server/store.h"},
    {"kt-client", "store.h"},
};

INSTANTIATE_TEST_SUITE_P(Rules, ForbiddenArrow, ::testing::ValuesIn(kForbiddenArrows));

TEST(KtCore, MayNotIncludeStandardHeadersOfTheOutsideWorld) {
  for (const char* header :
       {"chrono", "condition_variable", "cstdio", "ctime", "filesystem", "fstream", "future",
        "iostream", "mutex", "random", "shared_mutex", "thread"}) {
    EXPECT_THAT(Offences("kt-core/file.h", "#include <" + std::string(header) + ">\n"), SizeIs(1))
        << header;
  }
}

TEST(AllowedArrows, AreNotReported) {
  EXPECT_THAT(OffencesOf("kt-server", "kt-server/store.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-server", "rocksdb/db.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-client", "proto/kt.grpc.pb.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-client", "smime/address.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-auditor", "proto/kt.grpc.pb.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-auditor", "kt-core/auditor_update_verifier.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-core", "merkle/log_tree.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-core", "vrf/vrf.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("kt-core", "absl/status/status.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("smime", "base/bytes.h"), IsEmpty());
  EXPECT_THAT(OffencesOf("smime", "idn2.h"), IsEmpty());
  EXPECT_THAT(Offences("kt-core/file.h", "#include <vector>\n"), IsEmpty());
}

TEST(Offences, FindsEverySpellingOfAnInclude) {
  for (const char* line : {"#include <kt-server/store.h>", "  #  include\t\"kt-server/store.h\"",
                           "#include\"kt-server/store.h\"", "#include \"kt-server/store.h\" // why",
                           "#include \"kt-server/store.h\"\r", "#include KT_HEADER", "#include"}) {
    EXPECT_THAT(Offences("kt-client/file.cc", line), SizeIs(1)) << line;
  }
}

TEST(Offences, NamesEachLine) {
  EXPECT_THAT(Offences("merkle/a/file.h",
                       Line("vrf/vrf.h") + "\n" + Line("base/bytes.h") + Line("kt-core/prover.h")),
              ElementsAre(HasSubstr("merkle/a/file.h:1 includes \"vrf/vrf.h\""),
                          HasSubstr("merkle/a/file.h:4 includes \"kt-core/prover.h\"")));
}

TEST(Offences, RefusesAFolderThatNoRuleCovers) {
  EXPECT_THAT(Offences("elsewhere/file.cc", ""), SizeIs(1));
}

#ifdef KT_WITH_PROGRAMS
// The shared libraries that the loader brings in for `binary`, however far down they are needed.
std::string LoadedLibraries(const std::string& binary) {
  const std::string command = "ldd '" + binary + "'";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string output;
  std::array<char, 4096> buffer;
  while (const size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), size);
  }
  return pclose(pipe) == 0 ? output : "";
}

TEST(ClientBinary, LoadsNoDatabase) {
  const std::string client = LoadedLibraries(kt::testing::ClientProgram());
  EXPECT_THAT(client, HasSubstr("libgrpc"));
  EXPECT_THAT(client, Not(HasSubstr("librocksdb")));
  // The same look at the server finds it: the line above can fail.
  EXPECT_THAT(LoadedLibraries(kt::testing::ServerProgram()), HasSubstr("librocksdb"));
}

// Symbols of namespace kt::server, as the compiler writes them.
TEST(ClientBinary, HoldsNothingOfTheServer) {
  constexpr std::string_view kServerNamespace = "N2kt6server";
  EXPECT_THAT(Read(kt::testing::ClientProgram()), Not(HasSubstr(kServerNamespace)));
  EXPECT_THAT(Read(kt::testing::ServerProgram()), HasSubstr(kServerNamespace));
}

#ifdef KT_WITH_AUDITOR
// An auditor that shares code with the log's server or its users would share their faults.
TEST(AuditorBinary, HoldsNothingOfServerOrClient) {
  const std::string auditor = LoadedLibraries(kt::testing::AuditorProgram());
  EXPECT_THAT(auditor, HasSubstr("libgrpc"));
  EXPECT_THAT(auditor, Not(HasSubstr("librocksdb")));
  const std::string binary = Read(kt::testing::AuditorProgram());
  EXPECT_THAT(binary, HasSubstr("N2kt7auditor"));
  EXPECT_THAT(binary, Not(HasSubstr("N2kt6server")));
  EXPECT_THAT(binary, Not(HasSubstr("N2kt6client")));
}
#endif
#endif

}  // namespace
}  // namespace kt::layers
