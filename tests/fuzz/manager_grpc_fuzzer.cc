// SPDX-License-Identifier: Apache-2.0
//
// What the Service Operator sends to its manager, or somebody in its name: whole messages, encoded
// requests, or altered ones of those that the operator has signed, one after the other. The manager
// adds only what was signed, and fails at nothing.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kt-core/update.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/grpc_call.h"
#include "tests/fuzz/managed_log.h"

namespace {

using kt::base::Bytes;
using kt::fuzz::FuzzInput;
using kt::fuzz::kAlice;
using kt::fuzz::kBob;
using kt::fuzz::LabelVersionValue;
using kt::fuzz::ManagedLog;

// The manager, and an operator that has signed some requests, of which it has sent the first.
class World {
 public:
  World() : caller_(log_.Channel()) {
    Sign(kAlice, {}, 0, {"zero", "one"});
    KT_CHECK(Call(requests_[0], true) == grpc::StatusCode::OK);
    before_ = log_.versions();
    KT_CHECK(before_ == 2);
    Sign(kAlice, 1, 2, {"two"});
    Sign(kAlice, 1, 5, {"five", "six"});
    Sign(kAlice, 6, 7, {"seven"});
    Sign(kAlice, 1, 0, {});
    Sign(kBob, {}, 0, {"bob"});
    Sign(kBob, {}, 190, {"as many as one entry holds"});
    Sign(kBob, {}, 255, {"more"});
  }

  // The requests, encoded.
  const std::vector<Bytes>& requests() const { return requests_; }

  // The status; all that comes is what it should be, and so is the log afterwards.
  grpc::StatusCode Call(const Bytes& bytes, bool wrapped) {
    const std::string message = wrapped ? kt::fuzz::Wrapped(bytes) : kt::base::ToText(bytes);
    const kt::fuzz::Reply reply = caller_.Call(kt::fuzz::kManagerUpdate, message, nullptr);
    kt::fuzz::CheckCallersFault(kt::fuzz::kManagerUpdate, wrapped, reply.code);
    for (const std::string& received : reply.messages) {
      kt::v1::UpdateResponse response;
      KT_CHECK(response.ParseFromString(received));
      KT_CHECK(kt::base::codec::Decode<kt::core::UpdateResponse>(
                   kt::base::AsBytes(response.response()), log_.context())
                   .ok());
    }
    uint64_t count = 0;
    for (const char* label : {kAlice, kBob}) {
      for (const LabelVersionValue& added : log_.Versions(label, &count)) {
        KT_CHECK(std::ranges::any_of(signed_, [&](const LabelVersionValue& known) {
          return known.label == added.label && known.version == added.version &&
                 known.value == added.value;
        }));
      }
    }
    // Nor anything under another label.
    KT_CHECK(count == log_.versions());
    return reply.code;
  }
  bool changed() const { return log_.versions() != before_; }

 private:
  void Sign(const std::string& label, std::optional<kt::base::Version> greatest,
            kt::base::Version first, const std::vector<std::string>& values) {
    kt::core::UpdateRequest request;
    request.label = kt::base::ToBytes(label);
    request.greatest_version = greatest;
    for (const std::string& value : values) {
      request.values.push_back({kt::base::ToBytes(value)});
      signed_.push_back({label, first + static_cast<kt::base::Version>(request.values.size() - 1),
                         kt::base::ToBytes(value)});
    }
    const auto forwarded =
        kt::core::SignUpdateRequest(log_.fixture().config(), log_.fixture().leaf(), request, first);
    KT_CHECK(forwarded.ok());
    requests_.push_back(kt::base::codec::Encode(*forwarded, log_.context()));
  }

  ManagedLog log_;
  kt::fuzz::GenericCaller caller_;
  std::vector<LabelVersionValue> signed_;
  std::vector<Bytes> requests_;
  uint64_t before_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const world = new std::unique_ptr<World>(std::make_unique<World>());
  FuzzInput input(data, size);
  const unsigned kind = input.Below(4);
  if (kind < 2) {
    (*world)->Call(kt::base::ToBytes(input.Rest()), kind == 0);
  } else {
    constexpr int kMaxCalls = 4;
    for (int calls = 0; calls < kMaxCalls && !input.empty(); ++calls) {
      const auto& requests = (*world)->requests();
      Bytes request = requests[input.Below(static_cast<unsigned>(requests.size()))];
      for (unsigned edits = input.Below(4); edits > 0; --edits) input.Edit(&request);
      (*world)->Call(request, true);
    }
  }
  // An input must not change what the next one meets.
  if ((*world)->changed()) *world = std::make_unique<World>();
  return 0;
}
