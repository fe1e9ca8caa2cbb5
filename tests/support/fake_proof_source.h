// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_SUPPORT_FAKE_PROOF_SOURCE_H_
#define TESTS_SUPPORT_FAKE_PROOF_SOURCE_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kt-core/proof_source.h"

namespace kt::testing {

// Answers from a table and records every question, in order.
class FakeProofSource : public core::ProofSource {
 public:
  // Tells whether a version is in the prefix tree of a log entry.
  using Included = std::function<bool(base::LogPosition, base::Version)>;

  // One series of lookups, which is one PrefixProof on the wire.
  struct Series {
    base::LogPosition position = 0;
    std::vector<base::Version> versions;
    bool operator==(const Series&) const = default;
  };

  explicit FakeProofSource(std::vector<uint64_t> timestamps, Included included = nullptr)
      : timestamps_(std::move(timestamps)), included_(std::move(included)) {}

  base::TreeSize size() const override { return timestamps_.size(); }

  absl::StatusOr<uint64_t> Timestamp(base::LogPosition position) override {
    KT_CHECK(position < size() && !open_);
    timestamps_asked_.push_back(position);
    log_.push_back(absl::StrCat("T", position));
    if (fail_at_timestamp_ == position) return absl::UnavailableError("no timestamp");
    return timestamps_[position];
  }

  absl::Status BeginLookups(base::LogPosition position) override {
    KT_CHECK(position < size() && !open_);
    open_ = true;
    series_.push_back({position, {}});
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Lookup(base::Version version) override {
    KT_CHECK(open_);
    series_.back().versions.push_back(version);
    if (fail_at_version_ == version) return absl::UnavailableError("no lookup");
    return included_(series_.back().position, version);
  }
  absl::Status EndLookups() override {
    KT_CHECK(open_);
    open_ = false;
    std::string text = absl::StrCat("L", series_.back().position, ":");
    for (base::Version version : series_.back().versions) absl::StrAppend(&text, " ", version);
    log_.push_back(text);
    return absl::OkStatus();
  }

  // Every question: "T7" for a timestamp, "L7: 0 1 3" for a series of lookups.
  const std::vector<std::string>& log() const { return log_; }
  const std::vector<base::LogPosition>& timestamps_asked() const { return timestamps_asked_; }
  const std::vector<Series>& series() const { return series_; }

  // Questions that are not answered, as when a store fails.
  void FailAtTimestamp(base::LogPosition position) { fail_at_timestamp_ = position; }
  void FailAtVersion(base::Version version) { fail_at_version_ = version; }

 private:
  const std::vector<uint64_t> timestamps_;
  const Included included_;
  std::optional<base::LogPosition> fail_at_timestamp_;
  std::optional<base::Version> fail_at_version_;
  bool open_ = false;
  std::vector<std::string> log_;
  std::vector<base::LogPosition> timestamps_asked_;
  std::vector<Series> series_;
};

}  // namespace kt::testing
#endif  // TESTS_SUPPORT_FAKE_PROOF_SOURCE_H_
