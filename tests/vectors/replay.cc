// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/replay.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/signature.h"
#include "base/status.h"
#include "kt-core/commitment_value.h"
#include "kt-core/response_verifier.h"
#include "kt-core/tree_head.h"
#include "kt-core/update.h"
#include "vrf/vrf.h"

namespace kt::vectors {
namespace {

using base::Bytes;
using Verifier = std::unique_ptr<core::ResponseVerifier>;

// What the vectors of all operations of users share.
struct Context {
  Verifier verifier;
  std::optional<core::UserState> state;
  uint64_t now_ms = 0;
  Bytes response;

  const core::UserState* previous() const { return state.has_value() ? &*state : nullptr; }
};

absl::StatusOr<Context> ContextOf(const Json& vector) {
  Context context;
  KT_ASSIGN_OR_RETURN(context.verifier, core::ResponseVerifier::Create(ConfigOf(vector)));
  context.state = UserStateOf(vector.at("state"));
  context.now_ms = vector.at("now").get<uint64_t>();
  context.response = BytesOf(vector.at("response"));
  return context;
}

// The request of the vector's fields, if it is encoded as the vector says.
template <typename Request>
absl::StatusOr<Request> Checked(const Json& vector, Request request) {
  KT_ASSIGN_OR_RETURN(const Bytes encoded, core::codec::TryEncode(request));
  if (encoded == BytesOf(vector.at("request"))) return request;
  return absl::InternalError("the request is encoded otherwise");
}

absl::StatusOr<Json> Search(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::SearchRequest request,
                      Checked(vector, SearchRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(const core::VerifiedSearch result,
                      context.verifier->VerifySearch(request, context.response, context.previous(),
                                                     context.now_ms));
  return Json{
      {"version", result.version},       {"value", ToJson(result.value)},
      {"terminal", result.terminal},     {"monitoring_required", result.monitoring_required},
      {"ladder", ToJson(result.ladder)}, {"state", ToJson(&result.state)}};
}

absl::StatusOr<Json> Absence(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::SearchRequest request,
                      Checked(vector, SearchRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(const core::VerifiedAbsence result,
                      context.verifier->VerifyAbsence(request, context.response, context.previous(),
                                                      context.now_ms));
  return Json{{"version", result.version}, {"state", ToJson(&result.state)}};
}

absl::StatusOr<Json> ContactMonitor(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::ContactMonitorRequest request,
                      Checked(vector, ContactMonitorRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(const core::VerifiedContactMonitor result,
                      context.verifier->VerifyContactMonitor(request, context.response,
                                                             ContactStateOf(vector.at("contact")),
                                                             context.previous(), context.now_ms));
  return Json{{"contact", ToJson(result.contact)}, {"state", ToJson(&result.state)}};
}

absl::StatusOr<Json> OwnerInit(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::OwnerInitRequest request,
                      Checked(vector, OwnerInitRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(const core::VerifiedOwnerInit result,
                      context.verifier->VerifyOwnerInit(request, context.response,
                                                        context.previous(), context.now_ms));
  return Json{{"greatest_versions", ToJson(result.greatest_versions)},
              {"owner", ToJson(result.owner)},
              {"state", ToJson(&result.state)}};
}

absl::StatusOr<Json> OwnerMonitor(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::OwnerMonitorRequest request,
                      Checked(vector, OwnerMonitorRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(const core::VerifiedOwnerMonitor result,
                      context.verifier->VerifyOwnerMonitor(request, context.response,
                                                           OwnerStateOf(vector.at("owner")),
                                                           context.previous(), context.now_ms));
  return Json{{"complete", result.complete},
              {"owner", ToJson(result.owner)},
              {"state", ToJson(&result.state)}};
}

absl::StatusOr<Json> Update(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::UpdateRequest request,
                      Checked(vector, UpdateRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(
      const core::VerifiedUpdate result,
      context.verifier->VerifyUpdate(request, context.response, OwnerStateOf(vector.at("owner")),
                                     context.previous(), context.now_ms));
  Json created = Json::array();
  for (const core::NewVersion& version : result.created) {
    created.push_back({{"version", version.version}, {"value", ToJson(version.value)}});
  }
  return Json{{"position", result.position},
              {"skipped_versions", result.skipped_versions},
              {"created", created},
              {"of_request", result.of_request},
              {"awaits_owner_monitoring", result.awaits_owner_monitoring},
              {"owner", ToJson(result.owner)},
              {"state", ToJson(&result.state)}};
}

absl::StatusOr<Json> Distinguished(const Json& vector) {
  constexpr core::RecentDefinition kRecent;
  KT_ASSIGN_OR_RETURN(const Context context, ContextOf(vector));
  KT_ASSIGN_OR_RETURN(const core::DistinguishedRequest request,
                      Checked(vector, DistinguishedRequestOf(vector.at("fields"))));
  KT_ASSIGN_OR_RETURN(
      const core::VerifiedDistinguished result,
      core::VerifyDistinguished(*context.verifier, kRecent, request, context.response,
                                context.previous(), context.now_ms));
  KT_ASSIGN_OR_RETURN(const core::DistinguishedState aware,
                      core::MergeWalk(context.verifier->config(), kRecent,
                                      DistinguishedStateOf(vector.at("aware")), request, result));
  return Json{{"aware", ToJson(aware)}, {"state", ToJson(&result.state)}};
}

const char* NameOf(core::CredentialProgress progress) {
  switch (progress) {
    case core::CredentialProgress::kFinal:
      return "final";
    case core::CredentialProgress::kWaiting:
      return "waiting";
    case core::CredentialProgress::kUpdateNeeded:
      return "update needed";
    case core::CredentialProgress::kUpdateFromLog:
      return "update needed from the log";
  }
  return "";
}

// The credential, and if there is one what becomes of its update.
absl::StatusOr<Json> Credential(const Json& vector) {
  constexpr core::RecentDefinition kRecent;
  KT_ASSIGN_OR_RETURN(const Verifier verifier, core::ResponseVerifier::Create(ConfigOf(vector)));
  KT_ASSIGN_OR_RETURN(core::VerifiedCredential result,
                      core::VerifyCredential(*verifier, kRecent, BytesOf(vector.at("credential")),
                                             DistinguishedStateOf(vector.at("aware")),
                                             vector.at("now").get<uint64_t>()));
  Json expected{{"label", base::ToText(result.label)},
                {"version", result.version},
                {"value", ToJson(result.value)},
                {"position", result.position},
                {"provisional", result.pending.has_value()}};
  if (!vector.contains("credential_update")) return expected;
  if (!result.pending.has_value())
    return absl::InternalError("a standard credential has no update");
  expected["terminal"] = result.pending->terminal;
  KT_ASSIGN_OR_RETURN(const core::CredentialProgress progress,
                      core::ReceiveCredentialUpdate(
                          *verifier, kRecent, DistinguishedStateOf(vector.at("aware_later")),
                          BytesOf(vector.at("credential_update")),
                          vector.at("now_later").get<uint64_t>(), &*result.pending));
  expected["progress"] = NameOf(progress);
  return expected;
}

absl::StatusOr<Json> AuditorUpdate(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const core::AuditorUpdate update, core::codec::Decode<core::AuditorUpdate>(
                                                            BytesOf(vector.at("auditor_update"))));
  std::optional<core::PrefixProof> published;
  if (!vector.at("published").is_null()) {
    KT_ASSIGN_OR_RETURN(published,
                        core::codec::Decode<core::PrefixProof>(BytesOf(vector.at("published"))));
  }
  core::AuditorState state = AuditorStateOf(vector.at("auditor"));
  KT_RETURN_IF_ERROR(core::ApplyAuditorUpdate(
      ConfigOf(vector), update, published.has_value() ? &*published : nullptr, &state));
  return Json{{"auditor", ToJson(state)}, {"root", ToJson(core::RootOf(state).view())}};
}

absl::StatusOr<Json> AuditorStart(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const core::AuditorStart start,
                      core::codec::Decode<core::AuditorStart>(BytesOf(vector.at("auditor_start"))));
  KT_ASSIGN_OR_RETURN(const core::AuditorState state, core::BeginAuditing(start));
  return Json{{"auditor", ToJson(state)}, {"root", ToJson(core::RootOf(state).view())}};
}

// --- the parts ---------------------------------------------------------------------------

absl::StatusOr<Json> Configuration(const Json& vector) {
  KT_ASSIGN_OR_RETURN(const core::Configuration config,
                      core::DecodeConfiguration(BytesOf(vector.at("configuration"))));
  Json expected{{"ciphersuite", static_cast<uint16_t>(config.ciphersuite)},
                {"mode", static_cast<uint8_t>(config.mode)},
                {"signature_public_key", ToJson(config.signature_public_key)},
                {"vrf_public_key", ToJson(config.vrf_public_key)}};
  if (config.mode == core::DeploymentMode::kThirdPartyManagement) {
    expected["leaf_public_key"] = ToJson(config.leaf_public_key);
  }
  if (config.mode == core::DeploymentMode::kThirdPartyAuditing) {
    expected["max_auditor_lag"] = config.max_auditor_lag;
    expected["auditor_start_pos"] = config.auditor_start_pos;
    expected["auditor_public_key"] = ToJson(config.auditor_public_key);
  }
  expected["max_ahead"] = config.max_ahead;
  expected["max_behind"] = config.max_behind;
  expected["reasonable_monitoring_window"] = config.reasonable_monitoring_window;
  expected["maximum_lifetime"] = OrNull(config.maximum_lifetime);
  expected["fingerprint"] = ToJson(core::ConfigurationFingerprint(config).view());
  return expected;
}

// "Full Tree Head Verification", and what the signatures in it are over.
absl::StatusOr<Json> TreeHead(const Json& vector) {
  const core::Configuration config = ConfigOf(vector);
  KT_ASSIGN_OR_RETURN(const core::FullTreeHead head,
                      core::codec::Decode<core::FullTreeHead>(BytesOf(vector.at("full_tree_head")),
                                                              core::WireContext::For(config)));
  const base::SignatureAlgorithm algorithm = core::SignatureAlgorithmOf(config.ciphersuite);
  KT_ASSIGN_OR_RETURN(const auto log_key,
                      base::CreateVerifier(algorithm, config.signature_public_key));
  std::unique_ptr<base::Verifier> auditor_key;
  core::HeadEvidence evidence;
  evidence.root = HashOf(vector.at("root"));
  evidence.rightmost_ms = vector.at("rightmost_timestamp").get<uint64_t>();
  evidence.now_ms = vector.at("now").get<uint64_t>();
  Json expected{{"tree_head_tbs",
                 ToJson(core::EncodeTreeHeadTbs(config, head.tree_head.tree_size, evidence.root))}};
  if (config.mode == core::DeploymentMode::kThirdPartyAuditing) {
    KT_ASSIGN_OR_RETURN(auditor_key, base::CreateVerifier(algorithm, config.auditor_public_key));
    evidence.other_root = HashOf(vector.at("auditor_root"));
    const core::AuditorTreeHead& auditor = head.auditor_tree_head;
    expected["auditor_tree_head_tbs"] = ToJson(core::EncodeAuditorTreeHeadTbs(
        config, auditor.timestamp, auditor.tree_size, *evidence.other_root));
  }
  KT_RETURN_IF_ERROR(core::VerifyFullTreeHead(config, {log_key.get(), auditor_key.get()}, head,
                                              nullptr, evidence));
  return expected;
}

absl::StatusOr<Json> Commitment(const Json& vector) {
  const core::Configuration config = ConfigOf(vector);
  core::UpdateValue update{BytesOf(vector.at("value")), {}};
  core::Opening opening;
  const Bytes bytes = BytesOf(vector.at("opening"));
  if (bytes.size() != opening.size()) return absl::InvalidArgumentError("opening");
  std::copy(bytes.begin(), bytes.end(), opening.begin());
  const Bytes label = base::ToBytes(vector.at("label").get<std::string>());
  const auto version = vector.at("version").get<core::Version>();
  Json expected;
  if (config.mode == core::DeploymentMode::kThirdPartyManagement) {
    update.suffix.signature = BytesOf(vector.at("signature"));
    KT_ASSIGN_OR_RETURN(const Bytes tbs, core::codec::TryEncode(core::UpdateTbs{
                                             config, label, version, update.value}));
    expected["update_tbs"] = ToJson(tbs);
    KT_ASSIGN_OR_RETURN(const auto leaf,
                        base::CreateVerifier(core::SignatureAlgorithmOf(config.ciphersuite),
                                             config.leaf_public_key));
    KT_RETURN_IF_ERROR(leaf->Verify(tbs, update.suffix.signature));
  }
  KT_ASSIGN_OR_RETURN(const core::Hash commitment,
                      core::CommitTo(config, opening, label, version, update));
  KT_ASSIGN_OR_RETURN(const Bytes encoded,
                      core::codec::TryEncode(core::CommitmentValue{opening, label, version, update},
                                             core::WireContext::For(config)));
  expected["commitment_value"] = ToJson(encoded);
  expected["commitment"] = ToJson(commitment.view());
  return expected;
}

absl::StatusOr<Json> Vrf(const Json& vector) {
  const core::Configuration config = ConfigOf(vector);
  KT_ASSIGN_OR_RETURN(
      const Bytes alpha,
      core::EncodeVrfInput(base::AsBytes(vector.at("label").get_ref<const std::string&>()),
                           vector.at("version").get<core::Version>()));
  const Bytes proof = BytesOf(vector.at("proof"));
  KT_ASSIGN_OR_RETURN(const auto verifier, vrf::CreateVerifier(core::VrfSuiteOf(config.ciphersuite),
                                                               config.vrf_public_key));
  const vrf::Claim claims[] = {{alpha, proof}};
  KT_ASSIGN_OR_RETURN(const auto outputs, verifier->Verify(claims));
  return Json{{"vrf_input", ToJson(alpha)}, {"vrf_output", ToJson(outputs[0].view())}};
}

// "Management": the operator's signed request, as the manager takes it.
absl::StatusOr<Json> ManagerUpdate(const Json& vector) {
  const core::Configuration config = ConfigOf(vector);
  KT_ASSIGN_OR_RETURN(const core::ManagerUpdateRequest request,
                      core::codec::Decode<core::ManagerUpdateRequest>(
                          BytesOf(vector.at("request")), core::WireContext::For(config)));
  KT_ASSIGN_OR_RETURN(
      const auto leaf,
      base::CreateVerifier(core::SignatureAlgorithmOf(config.ciphersuite), config.leaf_public_key));
  KT_ASSIGN_OR_RETURN(
      const uint32_t skipped,
      core::CheckManagerUpdateRequest(config, *leaf, request,
                                      OptionalOf<core::Version>(vector.at("greatest_in_log"))));
  return Json{{"skipped_versions", skipped}};
}

// Keys are what the secrets give.
absl::StatusOr<Json> Keys(const Json& vector) {
  const core::Configuration config = ConfigOf(vector);
  const auto public_key = [&](const char* name) -> absl::StatusOr<Json> {
    const base::SecretBytes secret(BytesOf(vector.at(name)));
    KT_ASSIGN_OR_RETURN(const auto signer,
                        base::CreateSigner(core::SignatureAlgorithmOf(config.ciphersuite), secret));
    return ToJson(signer->public_key());
  };
  Json expected;
  KT_ASSIGN_OR_RETURN(expected["signature_public_key"], public_key("signature_secret"));
  KT_ASSIGN_OR_RETURN(expected["leaf_public_key"], public_key("leaf_secret"));
  KT_ASSIGN_OR_RETURN(expected["auditor_public_key"], public_key("auditor_secret"));
  KT_ASSIGN_OR_RETURN(const auto vrf,
                      vrf::CreateProver(core::VrfSuiteOf(config.ciphersuite),
                                        base::SecretBytes(BytesOf(vector.at("vrf_secret")))));
  expected["vrf_public_key"] = ToJson(vrf->public_key());
  return expected;
}

}  // namespace

absl::StatusOr<Json> Replay(const Json& vector) {
  using Operation = absl::StatusOr<Json> (*)(const Json&);
  static const auto* const kOperations = new std::map<std::string, Operation>{
      {"absence", Absence},
      {"auditor-start", AuditorStart},
      {"auditor-update", AuditorUpdate},
      {"commitment", Commitment},
      {"configuration", Configuration},
      {"contact-monitor", ContactMonitor},
      {"credential", Credential},
      {"distinguished", Distinguished},
      {"keys", Keys},
      {"manager-update", ManagerUpdate},
      {"owner-init", OwnerInit},
      {"owner-monitor", OwnerMonitor},
      {"search", Search},
      {"tree-head", TreeHead},
      {"update", Update},
      {"vrf", Vrf},
  };
  const auto operation = kOperations->find(vector.at("operation").get<std::string>());
  if (operation == kOperations->end()) return absl::InvalidArgumentError("unknown operation");
  return operation->second(vector);
}

}  // namespace kt::vectors
