// SPDX-License-Identifier: Apache-2.0
//
// Between the protocol's structures and the JSON of the test vectors; README.md describes it.
#ifndef TESTS_VECTORS_VECTOR_JSON_H_
#define TESTS_VECTORS_VECTOR_JSON_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-core/configuration.h"
#include "kt-core/credential.h"
#include "kt-core/distinguished.h"
#include "kt-core/monitoring_state.h"
#include "kt-core/operations.h"
#include "kt-core/user_state.h"

namespace kt::vectors {

using Json = nlohmann::ordered_json;

// A file's vectors with its name; the paths are relative to the folder of the vectors.
using Files = std::map<std::string, Json>;

// The tests own what they read, so a file that is not as README.md says ends the program.
base::Bytes BytesOf(const Json& hex);
base::Hash HashOf(const Json& hex);
core::Configuration ConfigOf(const Json& vector);

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value.has_value() ? Json(*value) : Json(nullptr);
}
template <typename T>
std::optional<T> OptionalOf(const Json& value) {
  if (value.is_null()) return std::nullopt;
  return value.get<T>();
}

Json ToJson(base::ByteView bytes);  // lower-case hexadecimal
Json ToJson(const std::vector<core::LogEntry>& frontier);
Json ToJson(const std::vector<core::MonitorMapEntry>& map);
Json ToJson(const std::vector<core::RetainedVersion>& versions);

// What users, contacts, owners and auditors retain. null stands for nothing.
Json ToJson(const core::UserState* state);
std::optional<core::UserState> UserStateOf(const Json& json);
Json ToJson(const core::ContactState& state);
core::ContactState ContactStateOf(const Json& json);
Json ToJson(const core::OwnerState& state);
core::OwnerState OwnerStateOf(const Json& json);
Json ToJson(const core::DistinguishedState& state);
core::DistinguishedState DistinguishedStateOf(const Json& json);
Json ToJson(const core::AuditorState& state);
core::AuditorState AuditorStateOf(const Json& json);

// A request's fields, by the draft's names.
Json ToJson(const core::SearchRequest& request);
core::SearchRequest SearchRequestOf(const Json& json);
Json ToJson(const core::ContactMonitorRequest& request);
core::ContactMonitorRequest ContactMonitorRequestOf(const Json& json);
Json ToJson(const core::OwnerInitRequest& request);
core::OwnerInitRequest OwnerInitRequestOf(const Json& json);
Json ToJson(const core::OwnerMonitorRequest& request);
core::OwnerMonitorRequest OwnerMonitorRequestOf(const Json& json);
Json ToJson(const core::UpdateRequest& request);
core::UpdateRequest UpdateRequestOf(const Json& json);
Json ToJson(const core::DistinguishedRequest& request);
core::DistinguishedRequest DistinguishedRequestOf(const Json& json);

}  // namespace kt::vectors
#endif  // TESTS_VECTORS_VECTOR_JSON_H_
