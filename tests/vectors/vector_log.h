// SPDX-License-Identifier: Apache-2.0
//
// The logs that the vectors are of, and their users: what makes a vector's inputs.
#ifndef TESTS_VECTORS_VECTOR_LOG_H_
#define TESTS_VECTORS_VECTOR_LOG_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/support/test_log.h"
#include "tests/vectors/vector_json.h"

namespace kt::vectors {

inline constexpr char kAlice[] = "alice@example.com";
inline constexpr char kBob[] = "bob@example.com";
inline constexpr char kNobody[] = "nobody@example.com";

// A log entry a second, 24 of them. Alice has a version in entries 2, 5, 8, ... (three in entry
// 14), Bob has one in entry 4, and each entry has one of somebody else.
testing::TestLog MakeLog(core::CipherSuite suite, core::DeploymentMode mode);

// What everyone needs to know of a log: configuration, secret keys, entries and versions.
Json DescribeLog(const testing::TestLog& log);

// Adds the member "expected" to a vector that must be sound.
Json Complete(Json vector);

// A vector without request and response: the operation, who asks and when. `state` as UserStateOf.
Json Beginning(const testing::TestLog& log, const std::string& operation, const std::string& name,
               const Json& state, core::TreeSize size);

// Somebody who asks one log, each time of the size that is given, and goes on from what she
// retained. Each call gives a complete vector.
class VectorUser {
 public:
  explicit VectorUser(const testing::TestLog& log) : log_(log) {}

  Json Search(const std::string& name, const std::string& label,
              std::optional<core::Version> version, core::TreeSize size);
  Json Absence(const std::string& name, const std::string& label,
               std::optional<core::Version> version, core::TreeSize size);
  // Monitors what the last search requires, or what is left of it.
  Json ContactMonitor(const std::string& name, core::TreeSize size);
  bool monitors() const { return !contact_.map.empty(); }

  Json OwnerInit(const std::string& name, const std::string& label, core::LogPosition start,
                 core::TreeSize size);
  Json OwnerMonitor(const std::string& name, core::TreeSize size, size_t max_ladders);
  // `values`: what the log has just created for this request; none if it tells of what is there.
  Json Update(const std::string& name, const std::vector<std::string>& values, core::TreeSize size);

  Json Distinguished(const std::string& name, core::TreeSize size);
  const Json& aware() const { return aware_; }

  void Forget() { state_ = nullptr; }

 private:
  std::optional<core::TreeSize> last() const;
  // Completes the vector and retains the state in it.
  Json Finish(Json vector);

  const testing::TestLog& log_;
  Json state_;
  std::string label_;
  core::ContactState contact_;
  core::OwnerState owner_;
  Json aware_ = Json::array();
};

}  // namespace kt::vectors
#endif  // TESTS_VECTORS_VECTOR_LOG_H_
