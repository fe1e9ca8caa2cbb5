// SPDX-License-Identifier: Apache-2.0
#include "kt-server/call_gate.h"

#include "base/status.h"
#include "kt-server/peer.h"

namespace kt::server {
namespace {

// What a call takes besides its response.
constexpr size_t kCallBytes = 4096;
// A response is there twice: as a message, and encoded.
constexpr size_t kCopies = 2;

absl::Status Unread() {
  return absl::ResourceExhaustedError("too many responses wait to be read; try again later");
}

}  // namespace

GatedCall::GatedCall(grpc::CallbackServerContext& context, CallGate& gate)
    : context_(context), gate_(gate), peer_(RateKey(context.peer())) {}

GatedCall::~GatedCall() {
  EndWork();
  ReturnRoom();
}

absl::Status GatedCall::Begin() {
  if (!gate_.rate.Allow(peer_)) {
    return absl::ResourceExhaustedError("too many requests; try again later");
  }
  if (!Take(kCallBytes)) return Unread();
  if (!gate_.concurrency.Enter()) {
    return absl::ResourceExhaustedError("the server is busy; try again later");
  }
  working_ = true;
  return absl::OkStatus();
}

void GatedCall::EndWork() {
  if (working_.exchange(false)) gate_.concurrency.Leave();
}

absl::Status GatedCall::TakeRoom(size_t response_bytes) {
  return Take(kCopies * response_bytes) ? absl::OkStatus() : Unread();
}

void GatedCall::ReturnRoom() {
  gate_.responses.Return(peer_, held_bytes_);
  held_bytes_ = 0;
}

bool GatedCall::Take(size_t bytes) {
  if (!gate_.responses.Take(peer_, bytes)) return false;
  held_bytes_ += bytes;
  return true;
}

void GatedCall::ExpectTaken() { gate_.drain.Watch(context_.c_call()); }

void GatedCall::Taken() { gate_.drain.Forget(context_.c_call()); }

void UnaryCall::End(const grpc::Status& status) {
  call_.EndWork();
  call_.ExpectTaken();
  Finish(status);
}

void UnaryCall::OnDone() {
  call_.Taken();
  delete this;
}

}  // namespace kt::server
