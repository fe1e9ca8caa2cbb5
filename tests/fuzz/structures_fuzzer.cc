// SPDX-License-Identifier: Apache-2.0
//
// Decoding of each of the draft's structures, and of those that files consist of, is exact: what is
// accepted is what encoding gives back. The first byte chooses the structure, the second what its
// `select`s depend on.
#include "base/check.h"
#include "kt-core/distinguished_forks.h"
#include "kt-core/operations.h"
#include "kt-core/user_state.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace kt::core;  // every structure, by name: NOLINT(google-build-using-namespace)

template <typename T, typename Context>
void RoundTrip(ByteView bytes, const Context& context) {
  const auto value = codec::Decode<T>(bytes, context);
  if (!value.ok()) {
    KT_CHECK(value.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  KT_CHECK(codec::Encode(*value, context) == kt::base::ToBytes(bytes));
}

using Check = void (*)(ByteView, const WireContext&);
constexpr Check kChecks[] = {
    [](ByteView bytes, const WireContext&) {
      RoundTrip<Configuration>(bytes, codec::NoContext());
      // Whatever it holds, checking it must not crash.
      DecodeConfiguration(bytes).status().IgnoreError();
    },
    [](ByteView bytes, const WireContext&) {
      const auto state = codec::Decode<UserState>(bytes);
      if (state.ok()) ValidateUserState(*state).IgnoreError();
      RoundTrip<UserState>(bytes, codec::NoContext());
    },
    RoundTrip<TreeHead, WireContext>,
    RoundTrip<AuditorTreeHead, WireContext>,
    RoundTrip<FullTreeHead, WireContext>,
    RoundTrip<UpdateValue, WireContext>,
    RoundTrip<CommitmentValue, WireContext>,
    RoundTrip<VrfInput, WireContext>,
    RoundTrip<LogEntry, WireContext>,
    RoundTrip<CombinedTreeProof, WireContext>,
    RoundTrip<DistinguishedHead, WireContext>,
    RoundTrip<SearchRequest, WireContext>,
    RoundTrip<SearchResponse, WireContext>,
    RoundTrip<AbsenceResponse, WireContext>,
    RoundTrip<ContactMonitorRequest, WireContext>,
    RoundTrip<ContactMonitorResponse, WireContext>,
    RoundTrip<OwnerInitRequest, WireContext>,
    RoundTrip<OwnerInitResponse, WireContext>,
    RoundTrip<OwnerMonitorRequest, WireContext>,
    RoundTrip<OwnerMonitorResponse, WireContext>,
    RoundTrip<UpdateRequest, WireContext>,
    RoundTrip<UpdateResponse, WireContext>,
    RoundTrip<DistinguishedRequest, WireContext>,
    RoundTrip<DistinguishedResponse, WireContext>,
    RoundTrip<Credential, WireContext>,
    RoundTrip<CredentialUpdate, WireContext>,
    RoundTrip<ManagerUpdateRequest, WireContext>,
    RoundTrip<AuditorUpdate, WireContext>,
    [](ByteView bytes, const WireContext&) {
      const auto heads = codec::Decode<SignedHeads>(bytes);
      if (heads.ok()) CheckSignedHeads(*heads).status().IgnoreError();
      RoundTrip<SignedHeads>(bytes, codec::NoContext());
    },
    [](ByteView bytes, const WireContext&) {
      CheckForkEvidence(bytes).status().IgnoreError();
      RoundTrip<ForkEvidence>(bytes, codec::NoContext());
    },
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const Check check = kChecks[input.Below(std::size(kChecks))];
  WireContext context;
  const unsigned choice = input.Below(12);
  context.mode = static_cast<DeploymentMode>(1 + choice % 3);
  context.vrf_proof_size = choice / 3 % 2 == 0 ? 80 : 81;
  context.version_in_request = choice / 6 == 1;
  check(input.Rest(), context);
  return 0;
}
