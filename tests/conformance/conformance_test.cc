// SPDX-License-Identifier: Apache-2.0
//
// docs/conformance.md says the truth about this tree: its files are there, and its tests are in the
// binaries that ctest runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/paths.h"

namespace kt::conformance {
namespace {

struct Row {
  std::string demand, place, tests;
};

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) cells.push_back(cell);
  return cells;
}

// The rows of all tables with three columns, without their headings.
std::vector<Row> RowsOf(std::istream& text) {
  std::vector<Row> rows;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("| ") || line.starts_with("| demand") || line.starts_with("| ---"))
      continue;
    const std::vector<std::string> cells = Cells(line);
    rows.push_back(cells.size() < 3 ? Row{line, "", ""} : Row{cells[0], cells[1], cells[2]});
  }
  return rows;
}

// What stands between backquotes.
std::vector<std::string> Quoted(const std::string& cell) {
  std::vector<std::string> quoted;
  size_t begin = cell.find('`');
  while (begin != std::string::npos) {
    const size_t end = cell.find('`', begin + 1);
    if (end == std::string::npos) break;
    quoted.push_back(cell.substr(begin + 1, end - begin - 1));
    begin = cell.find('`', end + 1);
  }
  return quoted;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

// "Suite.Name" of what --gtest_list_tests prints, without instantiations; no disabled tests.
std::set<std::string> TestsIn(const std::string& listing) {
  std::set<std::string> tests;
  std::string suite;
  std::istringstream in(listing);
  for (std::string line; std::getline(in, line);) {
    line = line.substr(0, line.find("  #"));
    if (line.empty()) continue;
    if (line[0] != ' ') {
      suite = line.substr(0, line.find('.'));
      const size_t slash = suite.find('/');
      // "Instantiation/Suite", but "Suite/0" of a typed one.
      if (slash != std::string::npos) {
        const std::string after = suite.substr(slash + 1);
        suite = IsNumber(after) ? suite.substr(0, slash) : after.substr(0, after.find('/'));
      }
      continue;
    }
    const std::string name = line.substr(2, line.find('/') - 2);
    if (name.starts_with("DISABLED_") || suite.starts_with("DISABLED_")) continue;
    std::string test = suite;
    test.append(".").append(name);
    tests.insert(std::move(test));
  }
  return tests;
}

std::string OutputOf(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string output;
  std::array<char, 4096> buffer;
  while (const size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), size);
  }
  return pclose(pipe) == 0 ? output : "";
}

TEST(ConformanceTable, NamesFilesAndTestsThatExist) {
  std::set<std::string> tests;
  std::ifstream binaries(KT_TEST_BINARIES);
  int count = 0;
  for (std::string binary; std::getline(binaries, binary); ++count) {
    const std::set<std::string> more = TestsIn(OutputOf("'" + binary + "' --gtest_list_tests"));
    EXPECT_FALSE(more.empty()) << binary;
    tests.insert(more.begin(), more.end());
  }
  ASSERT_GT(count, 8);

  std::ifstream table(testing::SourceDir() + "/docs/conformance.md");
  const std::vector<Row> rows = RowsOf(table);
  EXPECT_GT(rows.size(), 60u);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.demand);
    const bool built = row.place.find("not built") == std::string::npos;
    const std::vector<std::string> places = Quoted(row.place);
    EXPECT_EQ(places.empty(), !built);
    for (const std::string& place : places) {
      EXPECT_TRUE(std::filesystem::exists(testing::SourceDir() + "/" + place)) << place;
    }
    const std::vector<std::string> named = Quoted(row.tests);
    // Who names no test has to say so.
    EXPECT_EQ(named.empty(), row.tests == " none ");
    for (const std::string& name : named) EXPECT_TRUE(tests.contains(name)) << name;
  }
}

TEST(TestsIn, KnowsEveryKindOfTest) {
  EXPECT_THAT(TestsIn("Plain.\n  One\n  DISABLED_Two\nAll/Param.\n  Three/P256  # GetParam() = 1\n"
                      "Typed/0.  # TypeParam = int\n  Four\n"),
              ::testing::ElementsAre("Param.Three", "Plain.One", "Typed.Four"));
}

TEST(RowsOf, TakesTheRowsOnly) {
  std::istringstream text(
      "| demand | place | test |\n| --- | --- | --- |\ntext\n| a | `b` | `c.d` |\n");
  const std::vector<Row> rows = RowsOf(text);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_THAT(Quoted(rows[0].place), ::testing::ElementsAre("b"));
  EXPECT_THAT(Quoted(rows[0].tests), ::testing::ElementsAre("c.d"));
}

}  // namespace
}  // namespace kt::conformance
