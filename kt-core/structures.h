// SPDX-License-Identifier: Apache-2.0
//
// The structures of draft-ietf-keytrans-protocol that travel between a log and its users, in the
// order of the draft. Those of the trees' proofs are in merkle/, Configuration is in its own
// header.
#ifndef KT_CORE_STRUCTURES_H_
#define KT_CORE_STRUCTURES_H_

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/commitment.h"
#include "base/types.h"
#include "kt-core/configuration.h"
#include "merkle/prefix_proof.h"

namespace kt::core {

using base::Hash;
using base::LogPosition;
using base::Opening;
using base::TreeSize;
using base::Version;
using merkle::PrefixLeaf;
using merkle::PrefixProof;

// What the draft's `select`s refer to from outside a structure.
struct WireContext {
  DeploymentMode mode = DeploymentMode::kContactMonitoring;
  size_t vrf_proof_size = 0;        // VRF.Np
  bool version_in_request = false;  // SearchRequest.version is present

  static WireContext For(const Configuration& config, bool version_in_request = false) {
    return {config.mode, vrf::ProofSize(VrfSuiteOf(config.ciphersuite)), version_in_request};
  }
};

// The two conditions that fields depend on.
inline constexpr auto kIfManaged = [](const auto&, const WireContext& context) {
  return context.mode == DeploymentMode::kThirdPartyManagement;
};
inline constexpr auto kIfAudited = [](const auto&, const WireContext& context) {
  return context.mode == DeploymentMode::kThirdPartyAuditing;
};

// --- "Tree Head Signature" ---------------------------------------------------------------

// struct { uint64 tree_size; opaque signature<0..2^16-1>; } TreeHead;
struct TreeHead {
  TreeSize tree_size = 0;
  Bytes signature;

  bool operator==(const TreeHead&) const = default;
  static constexpr auto Fields() {
    return codec::List(&TreeHead::tree_size, codec::Opaque<uint16_t>(&TreeHead::signature));
  }
};

// struct { Configuration config; uint64 tree_size; opaque root[Hash.Nh]; } TreeHeadTBS;
struct TreeHeadTbs {
  Configuration config;
  TreeSize tree_size = 0;
  Hash root;

  static constexpr auto Fields() {
    return codec::List(&TreeHeadTbs::config, &TreeHeadTbs::tree_size, &TreeHeadTbs::root);
  }
};

// --- "Auditor Tree Head Signature" -------------------------------------------------------

// struct { uint64 timestamp; uint64 tree_size; opaque signature<0..2^16-1>; } AuditorTreeHead;
struct AuditorTreeHead {
  uint64_t timestamp = 0;
  TreeSize tree_size = 0;
  Bytes signature;

  bool operator==(const AuditorTreeHead&) const = default;
  static constexpr auto Fields() {
    return codec::List(&AuditorTreeHead::timestamp, &AuditorTreeHead::tree_size,
                       codec::Opaque<uint16_t>(&AuditorTreeHead::signature));
  }
};

// struct {
//   Configuration config;
//   uint64 timestamp;
//   uint64 tree_size;
//   opaque root[Hash.Nh];
// } AuditorTreeHeadTBS;
struct AuditorTreeHeadTbs {
  Configuration config;
  uint64_t timestamp = 0;
  TreeSize tree_size = 0;
  Hash root;

  static constexpr auto Fields() {
    return codec::List(&AuditorTreeHeadTbs::config, &AuditorTreeHeadTbs::timestamp,
                       &AuditorTreeHeadTbs::tree_size, &AuditorTreeHeadTbs::root);
  }
};

// --- "Full Tree Head Verification" -------------------------------------------------------

// enum { reserved(0), same(1), updated(2), (255) } FullTreeHeadType;
enum class FullTreeHeadType : uint8_t { kSame = 1, kUpdated = 2 };
constexpr bool IsKnown(FullTreeHeadType type) {
  return type == FullTreeHeadType::kSame || type == FullTreeHeadType::kUpdated;
}

// struct {
//   FullTreeHeadType head_type;
//   select (FullTreeHead.head_type) {
//     case updated:
//       TreeHead tree_head;
//       select (Configuration.mode) {
//         case thirdPartyAuditing:
//           AuditorTreeHead auditor_tree_head;
//       };
//   };
// } FullTreeHead;
struct FullTreeHead {
  FullTreeHeadType head_type = FullTreeHeadType::kSame;
  TreeHead tree_head;
  AuditorTreeHead auditor_tree_head;

  bool operator==(const FullTreeHead&) const = default;
  static constexpr auto Fields() {
    constexpr auto updated = [](const FullTreeHead& head, const WireContext&) {
      return head.head_type == FullTreeHeadType::kUpdated;
    };
    constexpr auto updated_and_audited = [](const FullTreeHead& head, const WireContext& context) {
      return head.head_type == FullTreeHeadType::kUpdated && kIfAudited(head, context);
    };
    return codec::List(&FullTreeHead::head_type, codec::If(updated, &FullTreeHead::tree_head),
                       codec::If(updated_and_audited, &FullTreeHead::auditor_tree_head));
  }
};

// --- "Update Format" and "Commitment" ----------------------------------------------------

// struct {
//   select (Configuration.mode) {
//     case thirdPartyManagement:
//       opaque signature<0..2^16-1>;
//   };
// } UpdateSuffix;
struct UpdateSuffix {
  Bytes signature;

  bool operator==(const UpdateSuffix&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::If(kIfManaged, codec::Opaque<uint16_t>(&UpdateSuffix::signature)));
  }
};

// struct { opaque value<0..2^32-1>; UpdateSuffix suffix; } UpdateValue;
struct UpdateValue {
  Bytes value;
  UpdateSuffix suffix;

  bool operator==(const UpdateValue&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Opaque<uint32_t>(&UpdateValue::value), &UpdateValue::suffix);
  }
};

// struct {
//   Configuration config;
//   opaque label<0..2^8-1>;
//   uint32 version;
//   opaque value<0..2^32-1>;
// } UpdateTBS;
struct UpdateTbs {
  Configuration config;
  Bytes label;
  Version version = 0;
  Bytes value;

  static constexpr auto Fields() {
    return codec::List(&UpdateTbs::config, codec::Opaque<uint8_t>(&UpdateTbs::label),
                       &UpdateTbs::version, codec::Opaque<uint32_t>(&UpdateTbs::value));
  }
};

// struct {
//   opaque opening[Nc];
//   opaque label<0..2^8-1>;
//   uint32 version;
//   UpdateValue update;
// } CommitmentValue;
struct CommitmentValue {
  Opening opening{};
  Bytes label;
  Version version = 0;
  UpdateValue update;

  static constexpr auto Fields() {
    return codec::List(&CommitmentValue::opening, codec::Opaque<uint8_t>(&CommitmentValue::label),
                       &CommitmentValue::version, &CommitmentValue::update);
  }
};

// --- "Verifiable Random Function" and "Log Tree" -----------------------------------------

// struct { opaque label<0..2^8-1>; uint32 version; } VrfInput;
struct VrfInput {
  Bytes label;
  Version version = 0;

  static constexpr auto Fields() {
    return codec::List(codec::Opaque<uint8_t>(&VrfInput::label), &VrfInput::version);
  }
};

// struct { uint64 timestamp; opaque prefix_tree[Hash.Nh]; } LogEntry;
struct LogEntry {
  uint64_t timestamp = 0;
  Hash prefix_tree;

  bool operator==(const LogEntry&) const = default;
  static constexpr auto Fields() {
    return codec::List(&LogEntry::timestamp, &LogEntry::prefix_tree);
  }
};

// --- "Tree Proofs" -----------------------------------------------------------------------

// struct { HashValue elements<0..2^16-1>; } InclusionProof;
struct InclusionProof {
  std::vector<Hash> elements;

  bool operator==(const InclusionProof&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Vector<uint16_t>(&InclusionProof::elements));
  }
};

// struct {
//   uint64 timestamps<0..2^8-1>;
//   PrefixProof prefix_proofs<0..2^8-1>;
//   HashValue prefix_roots<0..2^8-1>;
//
//   InclusionProof inclusion;
// } CombinedTreeProof;
struct CombinedTreeProof {
  std::vector<uint64_t> timestamps;
  std::vector<PrefixProof> prefix_proofs;
  std::vector<Hash> prefix_roots;
  InclusionProof inclusion;

  bool operator==(const CombinedTreeProof&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Vector<uint8_t>(&CombinedTreeProof::timestamps),
                       codec::Vector<uint8_t>(&CombinedTreeProof::prefix_proofs),
                       codec::Vector<uint8_t>(&CombinedTreeProof::prefix_roots),
                       &CombinedTreeProof::inclusion);
  }
};

// --- "Detecting Forks" -------------------------------------------------------------------

// struct { HashValue heads<0..2^8-1>; } DistinguishedHead;
struct DistinguishedHead {
  std::vector<Hash> heads;

  bool operator==(const DistinguishedHead&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Vector<uint8_t>(&DistinguishedHead::heads));
  }
};

}  // namespace kt::core
#endif  // KT_CORE_STRUCTURES_H_
