// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_GRPC_CALL_H_
#define TESTS_FUZZ_GRPC_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/fuzz/fuzz_input.h"

namespace kt::fuzz {

// A method of a service, as a fuzzer calls it.
struct Method {
  const char* name;
  bool endless = false;  // a stream that only its caller ends
  bool text = false;     // its first field is text, which not all bytes are
};

struct Reply {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string error;
  std::vector<std::string> messages;
};

// Calls methods with whatever bytes.
class GenericCaller {
 public:
  explicit GenericCaller(std::shared_ptr<grpc::Channel> channel) : stub_(std::move(channel)) {}

  // `token`: the bearer token; nullptr for none.
  Reply Call(const Method& method, const std::string& message, const char* token) {
    grpc::ClientContext context;
    // Enough for the first messages of a stream; other calls end by themselves.
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(method.endless ? 30 : 20'000));
    if (token != nullptr) context.AddMetadata("authorization", std::string("Bearer ") + token);
    grpc::CompletionQueue queue;
    const auto call = stub_.PrepareCall(&context, method.name, &queue);
    const auto await = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      KT_CHECK(queue.Next(&tag, &ok));
      return ok;
    };
    Reply reply;
    call->StartCall(nullptr);
    if (await()) {
      const grpc::Slice slice(message);
      call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
      await();
      grpc::ByteBuffer response;
      for (call->Read(&response, nullptr); await(); call->Read(&response, nullptr)) {
        grpc::Slice whole;
        KT_CHECK(response.DumpToSingleSlice(&whole).ok());
        reply.messages.emplace_back(whole.begin(), whole.end());
      }
    }
    grpc::Status status;
    call->Finish(&status, nullptr);
    await();
    reply.code = status.error_code();
    reply.error = status.error_message();
    return reply;
  }

 private:
  grpc::GenericStub stub_;
};

// As field 1 of a message, where all methods have the body.
inline std::string Wrapped(base::ByteView body) {
  std::string message = "\x0a";
  size_t left = body.size();
  for (; left >= 0x80; left >>= 7) message.push_back(static_cast<char>(left | 0x80));
  message.push_back(static_cast<char>(left));
  return message.append(body.begin(), body.end());
}

// KT_CHECKs that whatever was wrong with a call was its caller's fault. `wrapped`: it was a
// message; what is none at all, gRPC calls INTERNAL.
inline void CheckCallersFault(const Method& method, bool wrapped, grpc::StatusCode code) {
  KT_CHECK(code != grpc::StatusCode::UNKNOWN && code != grpc::StatusCode::DATA_LOSS);
  KT_CHECK(code != grpc::StatusCode::INTERNAL || !wrapped || method.text);
  KT_CHECK(code != grpc::StatusCode::DEADLINE_EXCEEDED || method.endless);
}

}  // namespace kt::fuzz
#endif  // TESTS_FUZZ_GRPC_CALL_H_
