// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/vector_log.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/support/monitoring_answers.h"
#include "tests/vectors/replay.h"

namespace kt::vectors {

using core::DeploymentMode;
using core::LogPosition;
using core::TreeSize;
using core::Version;
using testing::TestLog;

namespace {

constexpr uint64_t kStartMs = 1'767'225'600'000;
constexpr TreeSize kEntries = 24;

template <typename Request>
void AddRequest(const Request& request, Json* vector) {
  (*vector)["fields"] = ToJson(request);
  (*vector)["request"] = ToJson(core::codec::Encode(request));
}

}  // namespace

TestLog MakeLog(core::CipherSuite suite, DeploymentMode mode) {
  testing::TestLogOptions options;
  options.suite = suite;
  options.mode = mode;
  options.seed = 100 * static_cast<uint64_t>(suite) + static_cast<uint64_t>(mode);
  options.reasonable_monitoring_window_ms = 2'500;
  options.max_auditor_lag_ms = 10'000;
  options.deterministic_signatures = true;
  TestLog log(options);
  if (mode == DeploymentMode::kThirdPartyAuditing) log.SetAuditorLag(3);
  while (log.size() < kEntries) {
    const TreeSize i = log.size();
    std::vector<testing::TestUpdate> updates = {{absl::StrCat("user", i, "@example.com"), "value"}};
    const int versions = i % 3 != 2 ? 0 : i == 14 ? 3 : 1;
    for (int k = 0; k < versions; ++k) {
      updates.push_back({kAlice, absl::StrCat("Alice's value of entry ", i, ", ", k)});
    }
    if (i == 4) updates.push_back({kBob, "Bob's value"});
    // A manager skips versions that the operator has signed already.
    if (mode == DeploymentMode::kThirdPartyManagement && i == 9) log.SkipVersion(kBob, 1);
    if (mode == DeploymentMode::kThirdPartyManagement && i == 9) log.SkipVersion(kBob, 2);
    if (mode == DeploymentMode::kThirdPartyManagement && i == 9) {
      updates.push_back({kBob, "Bob's value after skipped ones"});
    }
    log.Append(kStartMs + 1'000 * i, updates);
  }
  return log;
}

Json DescribeLog(const TestLog& log) {
  Json entries = Json::array();
  std::vector<std::string> labels = {kAlice, kBob};
  for (TreeSize i = 0; i < log.size(); ++i)
    labels.push_back(absl::StrCat("user", i, "@example.com"));
  for (LogPosition position = 0; position < log.size(); ++position) {
    Json versions = Json::array();
    for (const std::string& label : labels) {
      for (Version version = 0; log.Find(label, version) != nullptr; ++version) {
        const TestLog::VersionData& data = *log.Find(label, version);
        if (data.position != position) continue;
        Json json{{"label", label},
                  {"version", version},
                  {"vrf_output", ToJson(log.OutputOf(label, version).view())},
                  {"commitment", ToJson(data.commitment.view())}};
        if (!data.commitment.IsZero()) {  // of a skipped version
          json["opening"] = ToJson(data.opening);
          json["value"] = ToJson(data.update.value);
          json["update_suffix"] = ToJson(core::codec::Encode(data.update.suffix, log.context()));
        }
        versions.push_back(std::move(json));
      }
    }
    entries.push_back({{"timestamp", log.TimestampOf(position)},
                       {"prefix_root", ToJson(log.PrefixRootOf(position).view())},
                       {"log_root", ToJson(log.RootAt(position + 1).view())},
                       {"versions", versions}});
  }
  const testing::TestLogKeys& keys = log.keys();
  Json vector{{"name", "the log"},
              {"operation", "keys"},
              {"configuration", ToJson(core::codec::Encode(log.config()))},
              {"signature_secret", ToJson(keys.log_secret.Expose())},
              {"leaf_secret", ToJson(keys.leaf_secret.Expose())},
              {"auditor_secret", ToJson(keys.auditor_secret.Expose())},
              {"vrf_secret", ToJson(keys.vrf_secret.Expose())},
              {"entries", entries}};
  return Complete(std::move(vector));
}

Json Complete(Json vector) {
  const absl::StatusOr<Json> expected = Replay(vector);
  if (!expected.ok()) {
    fprintf(stderr, "%s: %s\n", vector.at("name").get<std::string>().c_str(),
            expected.status().ToString().c_str());
  }
  KT_CHECK(expected.ok());
  vector["expected"] = *expected;
  return vector;
}

Json Beginning(const TestLog& log, const std::string& operation, const std::string& name,
               const Json& state, TreeSize size) {
  return {{"name", name},
          {"operation", operation},
          {"configuration", ToJson(core::codec::Encode(log.config()))},
          {"tree_size", size},
          {"now", log.TimestampOf(size - 1) + 500},
          {"state", state}};
}

std::optional<TreeSize> VectorUser::last() const {
  const std::optional<core::UserState> state = UserStateOf(state_);
  if (!state.has_value()) return std::nullopt;
  return state->tree_size();
}

Json VectorUser::Finish(Json vector) {
  vector = Complete(std::move(vector));
  state_ = vector.at("expected").at("state");
  return vector;
}

Json VectorUser::Search(const std::string& name, const std::string& label,
                        std::optional<Version> version, TreeSize size) {
  Json vector = Beginning(log_, "search", name, state_, size);
  const core::SearchRequest request{last(), base::ToBytes(label), version};
  AddRequest(request, &vector);
  vector["response"] = ToJson(log_.Search(request, size).value());
  vector = Finish(std::move(vector));
  // As core::AddObligation.
  const Json& expected = vector.at("expected");
  if (expected.at("monitoring_required").get<bool>()) {
    const core::MonitorMapEntry entry{expected.at("terminal").get<LogPosition>(),
                                      expected.at("version").get<Version>()};
    const core::ContactState ladder =
        ContactStateOf({{"map", Json::array()}, {"versions", expected.at("ladder")}});
    contact_ = core::ContactState();
    KT_CHECK(core::InsertMonitored(entry, ladder.versions, &contact_).ok());
    label_ = label;
  }
  return vector;
}

Json VectorUser::Absence(const std::string& name, const std::string& label,
                         std::optional<Version> version, TreeSize size) {
  Json vector = Beginning(log_, "absence", name, state_, size);
  const core::SearchRequest request{last(), base::ToBytes(label), version};
  AddRequest(request, &vector);
  vector["response"] = ToJson(log_.Absence(request, size).value());
  return Finish(std::move(vector));
}

Json VectorUser::ContactMonitor(const std::string& name, TreeSize size) {
  Json vector = Beginning(log_, "contact-monitor", name, state_, size);
  vector["contact"] = ToJson(contact_);
  const auto request = core::MakeContactMonitorRequest(base::AsBytes(label_), contact_, last());
  AddRequest(request, &vector);
  const auto response = testing::AnswerContactMonitor(log_, request, size).value();
  vector["response"] = ToJson(core::codec::Encode(response, log_.context()));
  vector = Finish(std::move(vector));
  contact_ = ContactStateOf(vector.at("expected").at("contact"));
  return vector;
}

Json VectorUser::OwnerInit(const std::string& name, const std::string& label, LogPosition start,
                           TreeSize size) {
  label_ = label;
  Json vector = Beginning(log_, "owner-init", name, state_, size);
  const core::OwnerInitRequest request{last(), base::ToBytes(label), start};
  AddRequest(request, &vector);
  const auto response = testing::AnswerOwnerInit(log_, request, size).value();
  vector["response"] = ToJson(core::codec::Encode(response, log_.context()));
  vector = Finish(std::move(vector));
  owner_ = OwnerStateOf(vector.at("expected").at("owner"));
  return vector;
}

Json VectorUser::OwnerMonitor(const std::string& name, TreeSize size, size_t max_ladders) {
  Json vector = Beginning(log_, "owner-monitor", name, state_, size);
  vector["owner"] = ToJson(owner_);
  const auto request = core::MakeOwnerMonitorRequest(base::AsBytes(label_), owner_, last());
  AddRequest(request, &vector);
  const auto response = testing::AnswerOwnerMonitor(log_, request, size, max_ladders).value();
  vector["response"] = ToJson(core::codec::Encode(response, log_.context()));
  vector = Finish(std::move(vector));
  owner_ = OwnerStateOf(vector.at("expected").at("owner"));
  return vector;
}

Json VectorUser::Update(const std::string& name, const std::vector<std::string>& values,
                        TreeSize size) {
  Json vector = Beginning(log_, "update", name, state_, size);
  vector["owner"] = ToJson(owner_);
  core::UpdateRequest request{last(), base::ToBytes(label_), owner_.greatest_version(), {}};
  for (const std::string& value : values) request.values.push_back({base::ToBytes(value)});
  AddRequest(request, &vector);
  const auto response = testing::AnswerUpdate(log_, request, !values.empty(), size).value();
  vector["response"] = ToJson(core::codec::Encode(response, log_.context()));
  vector = Finish(std::move(vector));
  owner_ = OwnerStateOf(vector.at("expected").at("owner"));
  return vector;
}

Json VectorUser::Distinguished(const std::string& name, TreeSize size) {
  Json vector = Beginning(log_, "distinguished", name, state_, size);
  vector["aware"] = aware_;
  const core::DistinguishedRequest request{last(), DistinguishedStateOf(aware_).stop()};
  AddRequest(request, &vector);
  const auto response =
      core::ProveDistinguished(log_.config(), {}, *log_.ViewAt(size), log_.HeadAt(size), request)
          .value();
  vector["response"] = ToJson(core::codec::Encode(response, log_.context()));
  vector = Finish(std::move(vector));
  aware_ = vector.at("expected").at("aware");
  return vector;
}

}  // namespace kt::vectors
