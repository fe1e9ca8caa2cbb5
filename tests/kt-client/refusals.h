// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_CLIENT_REFUSALS_H_
#define TESTS_KT_CLIENT_REFUSALS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "kt-client/kept_refusal.h"
#include "kt-client/state_store.h"

namespace kt::testing {

inline absl::StatusOr<client::KeptRefusal> ReadRefusal(const std::string& path) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes,
                      base::ReadFile(path, client::StateStore::kMaxRefusalBytes));
  return client::DecodeKeptRefusal(bytes);
}

// How many refusals a state directory holds for each check. Each must be repeated by what is kept.
inline std::map<std::string, int> ReplayRefusals(const std::string& directory) {
  std::map<std::string, int> checks;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() != ".refused") continue;
    const auto kept = ReadRefusal(file.path());
    EXPECT_TRUE(kept.ok()) << kept.status();
    if (!kept.ok()) continue;
    const std::string check = base::ToText(kept->check);
    const absl::Status replayed = client::Replay(*kept);
    EXPECT_EQ(base::FailedCheck(replayed), check) << replayed;
    ++checks[check];
  }
  return checks;
}

}  // namespace kt::testing
#endif  // TESTS_KT_CLIENT_REFUSALS_H_
