// SPDX-License-Identifier: Apache-2.0
//
// The auditor's own file and files of exported logs, as they are or sealed like undamaged ones.
// What is read of a log goes on to be audited.
#include <string>

#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-auditor/export_file.h"
#include "kt-auditor/log_auditor.h"
#include "kt-auditor/state_file.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/process.h"

namespace {

using kt::base::Bytes;
using kt::base::ByteView;

std::string Write(ByteView bytes) {
  static const auto* const kDirectory = new kt::testing::TemporaryDirectory();
  const std::string path = kDirectory->File("file");
  kt::testing::WriteText(path, kt::base::ToText(bytes));
  return path;
}

// Its first bytes are an identifier and the hash of the configuration, its last a hash of all.
void ReadState(ByteView bytes, bool sealed) {
  Bytes file = kt::base::ToBytes(bytes);
  if (sealed) {
    file = kt::base::ToBytes(kt::base::AsBytes("ktaudit1"));
    file.resize(file.size() + kt::base::kHashSize);
    kt::base::Append(file, bytes);
    kt::base::Append(file, kt::base::Sha256(file).bytes);
  }
  const auto stored = kt::auditor::ReadStoredState(Write(file), kt::base::Hash{});
  if (!stored.ok()) {
    KT_CHECK(absl::IsDataLoss(stored.status()) || absl::IsFailedPrecondition(stored.status()));
    return;
  }
  KT_CHECK(kt::core::ValidateAuditorState(stored->state).ok());
}

// Sealed: parts are preceded by their lengths, in two bytes here and in four there, and chained.
Bytes SealExport(ByteView bytes) {
  Bytes file;
  kt::base::Hash chain;
  kt::fuzz::FuzzInput input(bytes.data(), bytes.size());
  for (;;) {
    const size_t wanted = static_cast<size_t>(input.Byte()) << 8 | input.Byte();
    const ByteView rest = input.Rest();
    const ByteView part = rest.first(std::min(wanted, rest.size()));
    Bytes frame = {0, 0, static_cast<uint8_t>(part.size() >> 8), static_cast<uint8_t>(part.size())};
    kt::base::Append(frame, part);
    kt::base::Append(file, frame);
    if (part.empty()) break;
    chain = kt::base::Sha256({chain.view(), frame});
    input = kt::fuzz::FuzzInput(rest.data() + part.size(), rest.size() - part.size());
  }
  kt::base::Append(file, chain.view());
  return file;
}

void ReadExport(ByteView bytes, bool sealed) {
  const auto reader =
      kt::auditor::ExportReader::Open(Write(sealed ? SealExport(bytes) : kt::base::ToBytes(bytes)));
  if (!reader.ok()) {
    KT_CHECK(absl::IsInvalidArgument(reader.status()));
    return;
  }
  auto auditor =
      kt::auditor::LogAuditor::Create((*reader)->header().config, (*reader)->header().state);
  for (;;) {
    const auto record = (*reader)->Next();
    KT_CHECK(record.ok() || absl::IsDataLoss(record.status()));
    if (!record.ok() || !record->has_value()) return;
    if (!auditor.ok()) continue;
    const kt::core::AuditorState before = auditor->state();
    const auto applied = auditor->Apply(**record);
    if (applied.ok()) continue;
    KT_CHECK(kt::base::IsVerificationFailure(applied.status()));
    KT_CHECK(auditor->state() == before);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const unsigned kind = input.Below(4);
  if (kind < 2) {
    ReadState(input.Rest(), kind == 1);
  } else {
    ReadExport(input.Rest(), kind == 3);
  }
  return 0;
}
