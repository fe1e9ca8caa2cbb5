// SPDX-License-Identifier: Apache-2.0
#include "kt-server/managed_updates.h"

#include <optional>
#include <utility>

#include "base/status.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

// For limits on what waits; there is one operator.
constexpr char kSubmitter[] = "operator";

// Of memory that a request takes while it waits.
size_t SizeOf(const core::ManagerUpdateRequest& request) {
  constexpr size_t kOverhead = 4096;
  size_t bytes = 0;
  for (const core::UpdateValue& update : request.values) {
    bytes += update.value.size() + update.suffix.signature.size();
  }
  // The message that it came in is kept until it is answered, and so is what it was decoded to.
  return kOverhead + 3 * bytes;
}

}  // namespace

ManagedUpdates::ManagedUpdates(const TransparencyLog& log, Submitter& submitter,
                               std::unique_ptr<base::Verifier> leaf_key)
    : log_(log), submitter_(submitter), leaf_key_(std::move(leaf_key)) {}

absl::StatusOr<std::unique_ptr<ManagedUpdates>> ManagedUpdates::Create(const TransparencyLog& log,
                                                                       Submitter& submitter) {
  const core::Configuration& config = log.config();
  if (config.mode != core::DeploymentMode::kThirdPartyManagement) {
    return absl::InvalidArgumentError("the log is not one with a Third-Party Manager");
  }
  KT_ASSIGN_OR_RETURN(
      auto leaf_key,
      base::CreateVerifier(core::SignatureAlgorithmOf(config.ciphersuite), config.leaf_public_key));
  return std::unique_ptr<ManagedUpdates>(new ManagedUpdates(log, submitter, std::move(leaf_key)));
}

absl::StatusOr<core::ManagerUpdateRequest> ManagedUpdates::Decode(base::ByteView bytes) {
  const core::WireContext context{core::DeploymentMode::kThirdPartyManagement};
  auto request = core::codec::Decode<core::ManagerUpdateRequest>(bytes, context);
  if (request.ok()) return request;
  return base::Annotate(request.status(), "ManagerUpdateRequest");
}

core::UpdateRequest ManagedUpdates::AsUpdateRequest(const core::ManagerUpdateRequest& request) {
  core::UpdateRequest plain{request.last, request.label, request.greatest_version, {}};
  for (const core::UpdateValue& update : request.values) plain.values.push_back({update.value});
  return plain;
}

absl::Status ManagedUpdates::Check(const core::ManagerUpdateRequest& request) const {
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const LogState> state, log_.Present());
  KT_ASSIGN_OR_RETURN(const LabelRows rows, ReadLabel(state->snapshot(), request.label));
  return core::CheckManagerUpdateRequest(log_.config(), *leaf_key_, request, rows.greatest)
      .status();
}

void ManagedUpdates::Create(core::ManagerUpdateRequest request, const Submitter::Done& done) {
  Submitter::Submission submission;
  submission.label = request.label;
  submission.submitter = kSubmitter;
  submission.bytes = SizeOf(request);
  submission.alone = true;
  submission.mutation =
      [request = std::move(request)](const CurrentValue* current) -> absl::StatusOr<NewValues> {
    const std::optional<base::Version> greatest =
        current == nullptr ? std::nullopt : std::optional(current->version);
    if (greatest != request.greatest_version) {
      return absl::AbortedError("the label has another greatest version by now");
    }
    const uint64_t next = greatest.has_value() ? uint64_t{*greatest} + 1 : 0;
    // Check has seen to it when the greatest version was less or the same.
    if (request.signed_version < next) {
      return absl::AbortedError("signed_version exists by now");
    }
    NewValues added;
    added.skipped_versions = static_cast<uint32_t>(request.signed_version - next);
    added.values = request.values;
    return added;
  };
  submission.done = done;
  const absl::Status submitted = submitter_.Submit(std::move(submission));
  if (!submitted.ok()) done(submitted);
}

}  // namespace kt::server
