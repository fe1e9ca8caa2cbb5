// SPDX-License-Identifier: Apache-2.0
//
// The server's side of a search, on whatever bytes a peer sends: it answers or refuses, and an
// answer to somebody who remembers nothing verifies.
#include "base/check.h"
#include "base/status.h"
#include "kt-server/search_service.h"
#include "tests/kt-server/log_fixture.h"

namespace {

kt::server::LogFixture* MakeFixture() {
  auto* const fixture = new kt::server::LogFixture();
  for (kt::base::Version version = 0; version < 9; ++version) {
    fixture->clock().Advance(500);
    KT_CHECK(fixture->Add("alice@a.example", version, "value").ok());
    if (version < 2) KT_CHECK(fixture->Add("b@a.example", version, "value").ok());
  }
  return fixture;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static kt::server::LogFixture* const fixture = MakeFixture();
  const kt::base::ByteView bytes(data, size);
  const kt::server::SearchService service(fixture->log());
  const auto answer = service.Search(bytes);
  const auto request = kt::base::codec::Decode<kt::core::SearchRequest>(bytes);
  if (!answer.ok()) {
    KT_CHECK(answer.status().code() == absl::StatusCode::kInvalidArgument ||
             answer.status().code() == absl::StatusCode::kFailedPrecondition);
    return 0;
  }
  KT_CHECK(request.ok());
  if (request->last.has_value()) return 0;
  const uint64_t now_ms = fixture->clock().NowMs();
  const absl::Status status =
      answer->found
          ? fixture->verifier().VerifySearch(*request, answer->response, nullptr, now_ms).status()
          : fixture->verifier().VerifyAbsence(*request, answer->response, nullptr, now_ms).status();
  KT_CHECK(status.ok());
  return 0;
}
