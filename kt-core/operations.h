// SPDX-License-Identifier: Apache-2.0
//
// Requests, responses, credentials and auditor updates: draft-ietf-keytrans-protocol, "User
// Operations", "Credentials" and "Third Parties", in the order of the draft.
#ifndef KT_CORE_OPERATIONS_H_
#define KT_CORE_OPERATIONS_H_

#include <optional>
#include <vector>

#include "kt-core/structures.h"

namespace kt::core {

// --- "Search" ----------------------------------------------------------------------------

// struct {
//   optional<uint64> last;
//
//   opaque label<0..2^8-1>;
//   optional<uint32> version;
// } SearchRequest;
struct SearchRequest {
  std::optional<TreeSize> last;
  Bytes label;
  std::optional<Version> version;

  bool operator==(const SearchRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&SearchRequest::last, codec::Opaque<uint8_t>(&SearchRequest::label),
                       &SearchRequest::version);
  }
};

// struct {
//   opaque proof[VRF.Np];
//   optional<HashValue> commitment;
// } BinaryLadderStep;
struct BinaryLadderStep {
  Bytes proof;
  std::optional<Hash> commitment;

  bool operator==(const BinaryLadderStep&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Sized(&BinaryLadderStep::proof,
                                    [](const WireContext& c) { return c.vrf_proof_size; }),
                       &BinaryLadderStep::commitment);
  }
};

// struct {
//   FullTreeHead full_tree_head;
//
//   select (SearchRequest.version) {
//     case absent:
//       uint32 version;
//   };
//   opaque opening[Nc];
//   UpdateValue value;
//
//   BinaryLadderStep binary_ladder<0..2^8-1>;
//   CombinedTreeProof search;
// } SearchResponse;
struct SearchResponse {
  FullTreeHead full_tree_head;
  Version version = 0;  // on the wire only if the request had none
  Opening opening{};
  UpdateValue value;
  std::vector<BinaryLadderStep> binary_ladder;
  CombinedTreeProof search;

  bool operator==(const SearchResponse&) const = default;
  static constexpr auto Fields() {
    constexpr auto version_not_in_request = [](const SearchResponse&, const WireContext& context) {
      return !context.version_in_request;
    };
    return codec::List(&SearchResponse::full_tree_head,
                       codec::If(version_not_in_request, &SearchResponse::version),
                       &SearchResponse::opening, &SearchResponse::value,
                       codec::Vector<uint8_t>(&SearchResponse::binary_ladder),
                       &SearchResponse::search);
  }
};

// Our extension for a negative search result; docs/extensions.md, "Absence":
//
//   struct {
//     FullTreeHead full_tree_head;
//     opaque proof[VRF.Np];
//     CombinedTreeProof absence;
//   } AbsenceResponse;
struct AbsenceResponse {
  FullTreeHead full_tree_head;
  Bytes proof;  // VRF proof of the version that is shown to be absent
  CombinedTreeProof absence;

  bool operator==(const AbsenceResponse&) const = default;
  static constexpr auto Fields() {
    return codec::List(&AbsenceResponse::full_tree_head,
                       codec::Sized(&AbsenceResponse::proof,
                                    [](const WireContext& c) { return c.vrf_proof_size; }),
                       &AbsenceResponse::absence);
  }
};

// --- "Contact Monitor" -------------------------------------------------------------------

// struct { uint64 position; uint32 version; } MonitorMapEntry;
struct MonitorMapEntry {
  LogPosition position = 0;
  Version version = 0;

  bool operator==(const MonitorMapEntry&) const = default;
  static constexpr auto Fields() {
    return codec::List(&MonitorMapEntry::position, &MonitorMapEntry::version);
  }
};

// struct {
//   optional<uint64> last;
//
//   opaque label<0..2^8-1>;
//   MonitorMapEntry entries<0..2^8-1>;
// } ContactMonitorRequest;
struct ContactMonitorRequest {
  std::optional<TreeSize> last;
  Bytes label;
  std::vector<MonitorMapEntry> entries;

  bool operator==(const ContactMonitorRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&ContactMonitorRequest::last,
                       codec::Opaque<uint8_t>(&ContactMonitorRequest::label),
                       codec::Vector<uint8_t>(&ContactMonitorRequest::entries));
  }
};

// struct { FullTreeHead full_tree_head; CombinedTreeProof monitor; } ContactMonitorResponse;
struct ContactMonitorResponse {
  FullTreeHead full_tree_head;
  CombinedTreeProof monitor;

  bool operator==(const ContactMonitorResponse&) const = default;
  static constexpr auto Fields() {
    return codec::List(&ContactMonitorResponse::full_tree_head, &ContactMonitorResponse::monitor);
  }
};

// --- "Owner Initialization" --------------------------------------------------------------

// struct { optional<uint64> last; opaque label<0..2^8-1>; uint64 start; } OwnerInitRequest;
struct OwnerInitRequest {
  std::optional<TreeSize> last;
  Bytes label;
  LogPosition start = 0;

  bool operator==(const OwnerInitRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&OwnerInitRequest::last, codec::Opaque<uint8_t>(&OwnerInitRequest::label),
                       &OwnerInitRequest::start);
  }
};

// struct {
//   FullTreeHead full_tree_head;
//
//   uint32 greatest_versions<0..2^8-1>;
//   BinaryLadderStep binary_ladder<0..2^16-1>;
//   CombinedTreeProof init;
// } OwnerInitResponse;
struct OwnerInitResponse {
  FullTreeHead full_tree_head;
  std::vector<Version> greatest_versions;
  std::vector<BinaryLadderStep> binary_ladder;
  CombinedTreeProof init;

  bool operator==(const OwnerInitResponse&) const = default;
  static constexpr auto Fields() {
    return codec::List(&OwnerInitResponse::full_tree_head,
                       codec::Vector<uint8_t>(&OwnerInitResponse::greatest_versions),
                       codec::Vector<uint16_t>(&OwnerInitResponse::binary_ladder),
                       &OwnerInitResponse::init);
  }
};

// --- "Owner Monitoring" ------------------------------------------------------------------

// struct {
//   optional <uint64> last;
//
//   opaque label<0..2^8-1>;
//   MonitorMapEntry entries<0..2^8-1>;
//   uint64 start;
//   optional<uint32> greatest_version;
// } OwnerMonitorRequest;
struct OwnerMonitorRequest {
  std::optional<TreeSize> last;
  Bytes label;
  std::vector<MonitorMapEntry> entries;
  LogPosition start = 0;
  std::optional<Version> greatest_version;

  bool operator==(const OwnerMonitorRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&OwnerMonitorRequest::last,
                       codec::Opaque<uint8_t>(&OwnerMonitorRequest::label),
                       codec::Vector<uint8_t>(&OwnerMonitorRequest::entries),
                       &OwnerMonitorRequest::start, &OwnerMonitorRequest::greatest_version);
  }
};

// struct { FullTreeHead full_tree_head; CombinedTreeProof monitor; } OwnerMonitorResponse;
struct OwnerMonitorResponse {
  FullTreeHead full_tree_head;
  CombinedTreeProof monitor;

  bool operator==(const OwnerMonitorResponse&) const = default;
  static constexpr auto Fields() {
    return codec::List(&OwnerMonitorResponse::full_tree_head, &OwnerMonitorResponse::monitor);
  }
};

// --- "User Operations / Updating a Label" ------------------------------------------------

// struct { opaque value<0..2^32-1>; } LabelValue;
struct LabelValue {
  Bytes value;

  bool operator==(const LabelValue&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Opaque<uint32_t>(&LabelValue::value));
  }
};

// struct {
//   optional<uint64> last;
//
//   opaque label<0..2^8-1>;
//   optional<uint32> greatest_version;
//   LabelValue values<0..2^8-1>;
// } UpdateRequest;
struct UpdateRequest {
  std::optional<TreeSize> last;
  Bytes label;
  std::optional<Version> greatest_version;
  std::vector<LabelValue> values;

  bool operator==(const UpdateRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&UpdateRequest::last, codec::Opaque<uint8_t>(&UpdateRequest::label),
                       &UpdateRequest::greatest_version,
                       codec::Vector<uint8_t>(&UpdateRequest::values));
  }
};

// struct { opaque opening[Nc]; UpdateSuffix suffix; } UpdateInfo;
struct UpdateInfo {
  Opening opening{};
  UpdateSuffix suffix;

  bool operator==(const UpdateInfo&) const = default;
  static constexpr auto Fields() { return codec::List(&UpdateInfo::opening, &UpdateInfo::suffix); }
};

// struct {
//   FullTreeHead full_tree_head;
//
//   uint64 position;
//   select (Configuration.mode) {
//     case thirdPartyManagement:
//       uint32 skipped_versions;
//   };
//   LabelValue values<0..2^8-1>;
//   UpdateInfo info<0..2^8-1>;
//
//   BinaryLadderStep binary_ladder<0..2^8-1>;
//   CombinedTreeProof update;
// } UpdateResponse;
struct UpdateResponse {
  FullTreeHead full_tree_head;
  LogPosition position = 0;
  uint32_t skipped_versions = 0;
  std::vector<LabelValue> values;
  std::vector<UpdateInfo> info;
  std::vector<BinaryLadderStep> binary_ladder;
  CombinedTreeProof update;

  bool operator==(const UpdateResponse&) const = default;
  static constexpr auto Fields() {
    return codec::List(&UpdateResponse::full_tree_head, &UpdateResponse::position,
                       codec::If(kIfManaged, &UpdateResponse::skipped_versions),
                       codec::Vector<uint8_t>(&UpdateResponse::values),
                       codec::Vector<uint8_t>(&UpdateResponse::info),
                       codec::Vector<uint8_t>(&UpdateResponse::binary_ladder),
                       &UpdateResponse::update);
  }
};

// --- "User Operations / Walking Distinguished Heads" -------------------------------------

// struct { optional<uint64> last; optional<uint64> stop; } DistinguishedRequest;
struct DistinguishedRequest {
  std::optional<TreeSize> last;
  std::optional<LogPosition> stop;

  bool operator==(const DistinguishedRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&DistinguishedRequest::last, &DistinguishedRequest::stop);
  }
};

// struct { FullTreeHead full_tree_head; CombinedTreeProof distinguished; } DistinguishedResponse;
struct DistinguishedResponse {
  FullTreeHead full_tree_head;
  CombinedTreeProof distinguished;

  bool operator==(const DistinguishedResponse&) const = default;
  static constexpr auto Fields() {
    return codec::List(&DistinguishedResponse::full_tree_head,
                       &DistinguishedResponse::distinguished);
  }
};

// --- "Credentials" -----------------------------------------------------------------------

// enum { reserved(0), standard(1), provisional(2), (255) } CredentialType;
enum class CredentialType : uint8_t { kStandard = 1, kProvisional = 2 };
constexpr bool IsKnown(CredentialType type) {
  return type == CredentialType::kStandard || type == CredentialType::kProvisional;
}

// struct {
//   opaque label<0..2^8-1>;
//
//   uint32 version;
//   opaque opening[Nc];
//   UpdateValue value;
//   BinaryLadderStep binary_ladder<0..2^8-1>;
//
//   uint64 position;
//   CredentialType credential_type;
//   select (Credential.credential_type) {
//     case standard:
//       PrefixProof distinguished;
//     case provisional:
//       TreeHead tree_head;
//       CombinedTreeProof search;
//   };
// } Credential;
struct Credential {
  Bytes label;
  Version version = 0;
  Opening opening{};
  UpdateValue value;
  std::vector<BinaryLadderStep> binary_ladder;
  LogPosition position = 0;
  CredentialType credential_type = CredentialType::kStandard;
  PrefixProof distinguished;  // standard
  TreeHead tree_head;         // provisional
  CombinedTreeProof search;   // provisional

  bool operator==(const Credential&) const = default;
  static constexpr auto Fields() {
    constexpr auto standard = [](const Credential& credential, const WireContext&) {
      return credential.credential_type == CredentialType::kStandard;
    };
    constexpr auto provisional = [](const Credential& credential, const WireContext&) {
      return credential.credential_type == CredentialType::kProvisional;
    };
    return codec::List(codec::Opaque<uint8_t>(&Credential::label), &Credential::version,
                       &Credential::opening, &Credential::value,
                       codec::Vector<uint8_t>(&Credential::binary_ladder), &Credential::position,
                       &Credential::credential_type,
                       codec::If(standard, &Credential::distinguished),
                       codec::If(provisional, &Credential::tree_head),
                       codec::If(provisional, &Credential::search));
  }
};

// struct { CombinedTreeProof monitor; } CredentialUpdate;
struct CredentialUpdate {
  CombinedTreeProof monitor;

  bool operator==(const CredentialUpdate&) const = default;
  static constexpr auto Fields() { return codec::List(&CredentialUpdate::monitor); }
};

// --- "Third Parties" ---------------------------------------------------------------------

// struct {
//   optional<uint64> last;
//
//   opaque label<0..2^8-1>;
//   optional<uint32> greatest_version;
//   UpdateValue values<0..2^8-1>;
//
//   uint32 signed_version;
// } ManagerUpdateRequest;
struct ManagerUpdateRequest {
  std::optional<TreeSize> last;
  Bytes label;
  std::optional<Version> greatest_version;
  std::vector<UpdateValue> values;
  Version signed_version = 0;

  bool operator==(const ManagerUpdateRequest&) const = default;
  static constexpr auto Fields() {
    return codec::List(&ManagerUpdateRequest::last,
                       codec::Opaque<uint8_t>(&ManagerUpdateRequest::label),
                       &ManagerUpdateRequest::greatest_version,
                       codec::Vector<uint8_t>(&ManagerUpdateRequest::values),
                       &ManagerUpdateRequest::signed_version);
  }
};

// struct {
//   uint64 timestamp;
//
//   PrefixLeaf added<0..2^16-1>;
//   PrefixLeaf removed<0..2^16-1>;
//
//   PrefixProof proof;
// } AuditorUpdate;
struct AuditorUpdate {
  uint64_t timestamp = 0;
  std::vector<PrefixLeaf> added;
  std::vector<PrefixLeaf> removed;
  PrefixProof proof;

  bool operator==(const AuditorUpdate&) const = default;
  static constexpr auto Fields() {
    return codec::List(&AuditorUpdate::timestamp, codec::Vector<uint16_t>(&AuditorUpdate::added),
                       codec::Vector<uint16_t>(&AuditorUpdate::removed), &AuditorUpdate::proof);
  }
};

}  // namespace kt::core
#endif  // KT_CORE_OPERATIONS_H_
