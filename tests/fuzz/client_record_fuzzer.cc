// SPDX-License-Identifier: Apache-2.0
//
// What a client reads from its own disk: a record is refused, or it is one that could have been
// written, and every request can be made of it and every answer be taken. A kept refusal, which its
// first bytes tell, is judged, and always the same way.
#include <algorithm>

#include "base/check.h"
#include "base/status.h"
#include "kt-client/kept_refusal.h"
#include "kt-client/log_record.h"
#include "kt-client/log_user.h"

namespace {

using kt::base::Bytes;
using kt::client::LogRecord;
using kt::client::LogUser;

constexpr uint64_t kNowMs = 1'000'000;

// Answers that are none must be refused, and must not crash.
void Use(const LogRecord& record) {
  const auto verifier = kt::core::ResponseVerifier::Create(record.config);
  if (!verifier.ok()) return;
  LogUser user(**verifier, record);
  const Bytes answer = {1, 0, 0};
  const auto search = user.MakeSearch(kt::base::AsBytes("a@b.example"), std::nullopt);
  KT_CHECK(!user.Search(search, answer, kNowMs).ok());
  KT_CHECK(!user.Absence(search, answer, kNowMs).ok());
  KT_CHECK(!user.Distinguished(user.MakeDistinguished(), answer, kNowMs).ok());
  for (const auto& watched : record.watched) {
    const auto request = user.MakeContactMonitor(watched.label);
    KT_CHECK(request.ok() && !user.ContactMonitor(*request, answer, kNowMs).ok());
  }
  for (const auto& owned : record.owned) {
    const auto monitor = user.MakeOwnerMonitor(owned.label);
    KT_CHECK(monitor.ok() && !user.OwnerMonitor(*monitor, answer, kNowMs).ok());
    const auto update = user.MakeUpdate(owned.label, {});
    KT_CHECK(update.ok() && !user.Update(*update, answer, kNowMs).ok());
  }
  KT_CHECK(user.record() == record);
  user.AdvanceCredentials(kNowMs);
}

void JudgeRefusal(kt::base::ByteView bytes) {
  const auto kept = kt::client::DecodeKeptRefusal(bytes);
  if (!kept.ok()) {
    KT_CHECK(absl::IsInvalidArgument(kept.status()));
    return;
  }
  KT_CHECK(kt::base::codec::Encode(*kept) == kt::base::ToBytes(bytes));
  KT_CHECK(kt::client::Replay(*kept) == kt::client::Replay(*kept));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const kt::base::ByteView bytes(data, size);
  constexpr auto kMagic = kt::client::KeptRefusal::kMagic;
  if (size >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), data)) {
    JudgeRefusal(bytes);
    return 0;
  }
  const auto loose = kt::base::codec::Decode<LogRecord>(bytes);
  // Which log it is of is known from the file's name.
  const kt::base::Hash fingerprint =
      loose.ok() ? kt::core::ConfigurationFingerprint(loose->config) : kt::base::Hash{};
  const auto record = kt::client::DecodeLogRecord(bytes, fingerprint);
  if (!record.ok()) {
    KT_CHECK(absl::IsDataLoss(record.status()));
    return 0;
  }
  KT_CHECK(kt::base::codec::Encode(*record) == kt::base::ToBytes(bytes));
  Use(*record);
  return 0;
}
