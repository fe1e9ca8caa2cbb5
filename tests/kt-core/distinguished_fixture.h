// SPDX-License-Identifier: Apache-2.0
//
// What tests of walks, credentials and forks share.
#ifndef TESTS_KT_CORE_DISTINGUISHED_FIXTURE_H_
#define TESTS_KT_CORE_DISTINGUISHED_FIXTURE_H_

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "kt-core/distinguished.h"
#include "tests/kt-core/random_history.h"
#include "tests/kt-core/reference.h"
#include "tests/support/fakes.h"
#include "tests/support/test_log.h"

namespace kt::core {

struct Deployment {
  CipherSuite suite;
  DeploymentMode mode;
};
inline std::string NameOfDeployment(const ::testing::TestParamInfo<Deployment>& info) {
  const char* const modes[] = {"", "Contact", "Managed", "Audited"};
  return absl::StrCat(info.param.suite == CipherSuite::kP256 ? "P256" : "Ed25519",
                      modes[static_cast<int>(info.param.mode)]);
}
inline testing::TestLogOptions OptionsOf(const Deployment& deployment) {
  testing::TestLogOptions options;
  options.suite = deployment.suite;
  options.mode = deployment.mode;
  return options;
}

// What a user retains who is aware of the distinguished entry at `position`.
inline DistinguishedEntry EntryOf(const testing::TestLog& log, LogPosition position) {
  const UserState state = log.StateAt(position + 1);
  return {position, state.full_subtrees, state.frontier};
}

inline RecentDefinition RandomRecent(testing::SeededRandom& random, TreeSize entries) {
  RecentDefinition recent;
  recent.rightmost = 1 + random.Below(12);
  if (random.Below(3) == 0) recent.max_age_ms = random.Below(1000 * entries + 1);
  return recent;
}

inline absl::StatusOr<Bytes> Respond(const testing::TestLog& log, const RecentDefinition& recent,
                                     TreeSize size, const DistinguishedRequest& request) {
  KT_ASSIGN_OR_RETURN(
      const DistinguishedResponse response,
      ProveDistinguished(log.config(), recent, *log.ViewAt(size), log.HeadAt(size), request));
  return codec::TryEncode(response, log.context());
}

// The recent entries of a log, from the definition.
inline std::set<LogPosition> ReferenceRecent(const ReferenceLog& reference,
                                             const testing::TestLog& log,
                                             const RecentDefinition& recent,
                                             std::optional<LogPosition> stop) {
  const uint64_t rightmost_ms = log.TimestampOf(reference.size() - 1);
  std::set<LogPosition> result;
  const std::set<LogPosition>& all = reference.distinguished();
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    if (result.size() == recent.rightmost) break;
    if (stop.has_value() && *entry <= *stop) break;
    if (reference.IsExpired(*entry)) break;
    if (recent.max_age_ms && rightmost_ms - log.TimestampOf(*entry) >= *recent.max_age_ms) break;
    result.insert(*entry);
  }
  return result;
}

// The rightmost distinguished entry that a walk does not give.
inline std::optional<LogPosition> EndOf(const ReferenceLog& reference,
                                        const std::set<LogPosition>& found) {
  std::optional<LogPosition> end;
  for (const LogPosition position : reference.distinguished()) {
    if (!found.contains(position)) end = position;
  }
  return end;
}

// What a user is aware of who has just walked the log's first `size` entries.
inline DistinguishedState AwareAt(const testing::TestLog& log, const RecentDefinition& recent,
                                  TreeSize size) {
  DistinguishedState aware;
  for (const LogPosition position :
       ReferenceRecent(ReferenceOf(log, size), log, recent, std::nullopt)) {
    aware.entries.push_back(EntryOf(log, position));
  }
  return aware;
}

}  // namespace kt::core
#endif  // TESTS_KT_CORE_DISTINGUISHED_FIXTURE_H_
