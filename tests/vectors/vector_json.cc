// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/vector_json.h"

#include <algorithm>

#include "base/check.h"

namespace kt::vectors {

using base::Bytes;
using base::Hash;

Bytes BytesOf(const Json& hex) {
  const std::optional<Bytes> bytes = base::FromHex(hex.get<std::string>());
  KT_CHECK(bytes.has_value());
  return *bytes;
}

Hash HashOf(const Json& hex) {
  const Bytes bytes = BytesOf(hex);
  Hash hash;
  KT_CHECK(bytes.size() == hash.bytes.size());
  std::copy(bytes.begin(), bytes.end(), hash.bytes.begin());
  return hash;
}

core::Configuration ConfigOf(const Json& vector) {
  return core::DecodeConfiguration(BytesOf(vector.at("configuration"))).value();
}

namespace {

template <typename Item, typename Make>
auto ListOf(const Json& json, const Make& make) {
  std::vector<Item> list;
  for (const Json& item : json) list.push_back(make(item));
  return list;
}

Json HashesToJson(const std::vector<Hash>& hashes) {
  Json json = Json::array();
  for (const Hash& hash : hashes) json.push_back(ToJson(hash.view()));
  return json;
}
std::vector<Hash> HashesOf(const Json& json) { return ListOf<Hash>(json, HashOf); }

std::vector<core::LogEntry> FrontierOf(const Json& json) {
  return ListOf<core::LogEntry>(json, [](const Json& entry) {
    return core::LogEntry{entry.at("timestamp").get<uint64_t>(), HashOf(entry.at("prefix_tree"))};
  });
}

std::vector<core::MonitorMapEntry> MapOf(const Json& json) {
  return ListOf<core::MonitorMapEntry>(json, [](const Json& entry) {
    return core::MonitorMapEntry{entry.at("position").get<uint64_t>(),
                                 entry.at("version").get<uint32_t>()};
  });
}

std::vector<core::RetainedVersion> VersionsOf(const Json& json) {
  return ListOf<core::RetainedVersion>(json, [](const Json& entry) {
    core::RetainedVersion version;
    version.version = entry.at("version").get<uint32_t>();
    version.output.bytes = HashOf(entry.at("vrf_output")).bytes;
    if (!entry.at("commitment").is_null()) version.commitment = HashOf(entry.at("commitment"));
    return version;
  });
}

Bytes LabelOf(const Json& request) { return base::ToBytes(request.at("label").get<std::string>()); }
std::optional<uint64_t> LastOf(const Json& request) {
  return OptionalOf<uint64_t>(request.at("last"));
}

}  // namespace

Json ToJson(base::ByteView bytes) { return base::ToHex(bytes); }

Json ToJson(const std::vector<core::LogEntry>& frontier) {
  Json json = Json::array();
  for (const core::LogEntry& entry : frontier) {
    json.push_back(
        {{"timestamp", entry.timestamp}, {"prefix_tree", ToJson(entry.prefix_tree.view())}});
  }
  return json;
}

Json ToJson(const std::vector<core::MonitorMapEntry>& map) {
  Json json = Json::array();
  for (const core::MonitorMapEntry& entry : map) {
    json.push_back({{"position", entry.position}, {"version", entry.version}});
  }
  return json;
}

Json ToJson(const std::vector<core::RetainedVersion>& versions) {
  Json json = Json::array();
  for (const core::RetainedVersion& version : versions) {
    Json commitment;
    if (version.commitment.has_value()) commitment = ToJson(version.commitment->view());
    json.push_back({{"version", version.version},
                    {"vrf_output", ToJson(version.output.view())},
                    {"commitment", commitment}});
  }
  return json;
}

// --- states ------------------------------------------------------------------------------

Json ToJson(const core::UserState* state) {
  if (state == nullptr) return nullptr;
  Json auditor;
  if (state->auditor_tree_head.has_value()) {
    auditor = ToJson(core::codec::Encode(*state->auditor_tree_head));
  }
  return {{"tree_head", ToJson(core::codec::Encode(state->tree_head))},
          {"auditor_tree_head", auditor},
          {"full_subtrees", HashesToJson(state->full_subtrees)},
          {"frontier", ToJson(state->frontier)}};
}

std::optional<core::UserState> UserStateOf(const Json& json) {
  if (json.is_null()) return std::nullopt;
  core::UserState state;
  state.tree_head = core::codec::Decode<core::TreeHead>(BytesOf(json.at("tree_head"))).value();
  if (!json.at("auditor_tree_head").is_null()) {
    state.auditor_tree_head =
        core::codec::Decode<core::AuditorTreeHead>(BytesOf(json.at("auditor_tree_head"))).value();
  }
  state.full_subtrees = HashesOf(json.at("full_subtrees"));
  state.frontier = FrontierOf(json.at("frontier"));
  return state;
}

Json ToJson(const core::ContactState& state) {
  return {{"map", ToJson(state.map)}, {"versions", ToJson(state.versions)}};
}

core::ContactState ContactStateOf(const Json& json) {
  return {MapOf(json.at("map")), VersionsOf(json.at("versions"))};
}

Json ToJson(const core::OwnerState& state) {
  return {{"start", state.start},
          {"greatest_at_start", OrNull(state.greatest_at_start)},
          {"upcoming", ToJson(state.upcoming)},
          {"map", ToJson(state.map)},
          {"versions", ToJson(state.versions)}};
}

core::OwnerState OwnerStateOf(const Json& json) {
  core::OwnerState state;
  state.start = json.at("start").get<uint64_t>();
  state.greatest_at_start = OptionalOf<uint32_t>(json.at("greatest_at_start"));
  state.upcoming = MapOf(json.at("upcoming"));
  state.map = MapOf(json.at("map"));
  state.versions = VersionsOf(json.at("versions"));
  return state;
}

Json ToJson(const core::DistinguishedState& state) {
  Json json = Json::array();
  for (const core::DistinguishedEntry& entry : state.entries) {
    json.push_back({{"position", entry.position},
                    {"root", ToJson(entry.root().view())},
                    {"full_subtrees", HashesToJson(entry.full_subtrees)},
                    {"frontier", ToJson(entry.frontier)}});
  }
  return json;
}

core::DistinguishedState DistinguishedStateOf(const Json& json) {
  return {ListOf<core::DistinguishedEntry>(json, [](const Json& entry) {
    return core::DistinguishedEntry{entry.at("position").get<uint64_t>(),
                                    HashesOf(entry.at("full_subtrees")),
                                    FrontierOf(entry.at("frontier"))};
  })};
}

Json ToJson(const core::AuditorState& state) {
  return {{"tree_size", state.tree_size},
          {"full_subtrees", HashesToJson(state.full_subtrees)},
          {"frontier", ToJson(state.frontier)}};
}

core::AuditorState AuditorStateOf(const Json& json) {
  return {json.at("tree_size").get<uint64_t>(), HashesOf(json.at("full_subtrees")),
          FrontierOf(json.at("frontier"))};
}

// --- requests ----------------------------------------------------------------------------

Json ToJson(const core::SearchRequest& request) {
  return {{"last", OrNull(request.last)},
          {"label", base::ToText(request.label)},
          {"version", OrNull(request.version)}};
}
core::SearchRequest SearchRequestOf(const Json& json) {
  return {LastOf(json), LabelOf(json), OptionalOf<uint32_t>(json.at("version"))};
}

Json ToJson(const core::ContactMonitorRequest& request) {
  return {{"last", OrNull(request.last)},
          {"label", base::ToText(request.label)},
          {"entries", ToJson(request.entries)}};
}
core::ContactMonitorRequest ContactMonitorRequestOf(const Json& json) {
  return {LastOf(json), LabelOf(json), MapOf(json.at("entries"))};
}

Json ToJson(const core::OwnerInitRequest& request) {
  return {{"last", OrNull(request.last)},
          {"label", base::ToText(request.label)},
          {"start", request.start}};
}
core::OwnerInitRequest OwnerInitRequestOf(const Json& json) {
  return {LastOf(json), LabelOf(json), json.at("start").get<uint64_t>()};
}

Json ToJson(const core::OwnerMonitorRequest& request) {
  return {{"last", OrNull(request.last)},
          {"label", base::ToText(request.label)},
          {"entries", ToJson(request.entries)},
          {"start", request.start},
          {"greatest_version", OrNull(request.greatest_version)}};
}
core::OwnerMonitorRequest OwnerMonitorRequestOf(const Json& json) {
  return {LastOf(json), LabelOf(json), MapOf(json.at("entries")), json.at("start").get<uint64_t>(),
          OptionalOf<uint32_t>(json.at("greatest_version"))};
}

Json ToJson(const core::UpdateRequest& request) {
  Json values = Json::array();
  for (const core::LabelValue& value : request.values) values.push_back(ToJson(value.value));
  return {{"last", OrNull(request.last)},
          {"label", base::ToText(request.label)},
          {"greatest_version", OrNull(request.greatest_version)},
          {"values", values}};
}
core::UpdateRequest UpdateRequestOf(const Json& json) {
  core::UpdateRequest request;
  request.last = LastOf(json);
  request.label = LabelOf(json);
  request.greatest_version = OptionalOf<uint32_t>(json.at("greatest_version"));
  for (const Json& value : json.at("values")) request.values.push_back({BytesOf(value)});
  return request;
}

Json ToJson(const core::DistinguishedRequest& request) {
  return {{"last", OrNull(request.last)}, {"stop", OrNull(request.stop)}};
}
core::DistinguishedRequest DistinguishedRequestOf(const Json& json) {
  return {LastOf(json), OptionalOf<uint64_t>(json.at("stop"))};
}

}  // namespace kt::vectors
