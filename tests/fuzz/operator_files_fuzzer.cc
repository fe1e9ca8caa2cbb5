// SPDX-License-Identifier: Apache-2.0
//
// The files of a Service Operator whose log a manager hosts. The signing record: written by the
// fuzzer and sealed as if undamaged, or a real one that its operator uses while power cuts, failed
// syncs and a failing disk spoil it. It is refused, or never gives a version two values. And the
// newest verified tree head.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "kt-core/update.h"
#include "kt-server/head_follower.h"
#include "kt-server/signing_record.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/kt-server/log_fixture.h"
#include "tests/kt-server/sync_control.h"
#include "tests/support/process.h"

namespace {

using kt::base::Bytes;
using kt::base::ByteView;
using kt::base::Hash;
using kt::base::Version;
using kt::fuzz::FuzzInput;
using kt::server::SigningRecord;

constexpr size_t kRecordSize = 128;
constexpr unsigned kLabels = 4;
constexpr char kKey[] = "leaf key";

Bytes Text(char kind, unsigned number) {
  return kt::base::ToBytes(std::string(1, kind) + std::to_string(number));
}

const std::string& File(const std::string& name) {
  static const auto* const kDirectory = new kt::testing::TemporaryDirectory();
  static auto* const paths = new std::map<std::string, std::string>();
  return paths->try_emplace(name, kDirectory->File(name)).first->second;
}
Bytes ReadFile(const std::string& path) {
  return kt::base::ToBytes(kt::base::AsBytes(kt::testing::ReadText(path)));
}
void WriteFile(const std::string& path, ByteView bytes) {
  kt::testing::WriteText(path, kt::base::ToText(bytes), 0600);
}

// A record as the file has it; nullopt if that is not sealed, or says that one is missing.
std::optional<SigningRecord::Record> RecordAt(const Bytes& file, size_t index) {
  const ByteView bytes = ByteView(file).subspan(index * kRecordSize, kRecordSize);
  constexpr size_t kFields = 68;
  auto record = kt::base::codec::Decode<SigningRecord::Record>(bytes.first(kFields));
  KT_CHECK(record.ok());
  if (*record == SigningRecord::Record{}) return std::nullopt;
  return *std::move(record);
}

Bytes Sealed(uint64_t index, const SigningRecord::Record& record) {
  kt::base::codec::Writer writer;
  writer.Int(index);
  Bytes bytes = kt::base::codec::Encode(record);
  writer.Raw(bytes);
  kt::base::Append(bytes, kt::base::Sha256(std::move(writer).Take()).bytes);
  bytes.resize(kRecordSize);
  return bytes;
}

// An operator who signs what its record gives it.
class Operator {
 public:
  Operator() {
    std::remove(File("record").c_str());
    KT_CHECK(SigningRecord::Create(File("record"), kt::base::AsBytes(kKey)).ok());
  }

  // Opens the file as it is. False if it is refused; `must`: it must not be.
  bool Open(bool must) {
    record_ = nullptr;
    auto opened = SigningRecord::Open(File("record"), kt::base::AsBytes(kKey));
    KT_CHECK(opened.ok() || (!must && absl::IsDataLoss(opened.status())));
    if (!opened.ok()) return false;
    record_ = *std::move(opened);
    return true;
  }
  void Close() { record_ = nullptr; }

  // That the values of the records that there are were signed. False if one version has two.
  bool SignRecorded() {
    const Bytes file = ReadFile(File("record"));
    for (size_t index = 1; index < file.size() / kRecordSize; ++index) {
      const auto record = RecordAt(file, index);
      if (!record.has_value()) continue;
      if (!signed_.try_emplace({record->label, record->version}, record->value).second) {
        return false;
      }
    }
    return true;
  }

  struct Wanted {
    Bytes label;
    unsigned number = 0;
    std::vector<Bytes> values;
  };
  static Wanted AnyWanted(FuzzInput& input) {
    Wanted wanted;
    wanted.number = input.Below(kLabels);
    wanted.label = Text('l', wanted.number);
    for (unsigned n = 1 + input.Below(4); n > 0; --n) {
      wanted.values.push_back(Text('v', input.Below(4)));
    }
    return wanted;
  }
  absl::StatusOr<Version> Take(const Wanted& wanted) {
    auto first = record_->Take(wanted.label, in_log_[wanted.number], wanted.values);
    KT_CHECK(first.ok() || absl::IsFailedPrecondition(first.status()) ||
             absl::IsResourceExhausted(first.status()) || absl::IsUnavailable(first.status()));
    return first;
  }
  // Signs what it is given, and the log may then have it.
  void Sign(FuzzInput& input) {
    const Wanted wanted = AnyWanted(input);
    const auto first = Take(wanted);
    if (!first.ok()) return;
    Version version = *first;
    for (const Bytes& value : wanted.values) {
      const Hash hash = kt::base::Sha256(value);
      const auto [known, fresh] =
          signed_.try_emplace({kt::base::Sha256(wanted.label), version++}, hash);
      KT_CHECK(fresh || known->second == hash);
    }
    KT_CHECK(record_->Greatest(wanted.label) == version - 1);
    if (input.Below(2) == 0) in_log_[wanted.number] = version - 1;
  }

  // The power goes while a write has not been synced: any of its records may be missing, and the
  // file may end anywhere in them.
  void CutPower(FuzzInput& input) {
    const size_t before = ReadFile(File("record")).size();
    const auto first = Take(AnyWanted(input));
    Close();
    Bytes file = ReadFile(File("record"));
    const unsigned missing = input.Byte();
    for (size_t at = before; at < file.size(); at += kRecordSize) {
      if ((missing >> ((at - before) / kRecordSize) & 1) == 0) continue;
      std::fill_n(file.begin() + static_cast<ptrdiff_t>(at), kRecordSize, uint8_t{0});
    }
    if (file.size() > before && input.Below(2) == 0) {
      const size_t high = input.Byte();
      file.resize(before + (high << 8 | input.Byte()) % (file.size() - before));
    }
    WriteFile(File("record"), file);
    KT_CHECK(Open(true));
  }
  void FailSync(FuzzInput& input) {
    const Wanted wanted = AnyWanted(input);
    {
      const kt::testing::FailingSyncs failing;
      const auto first = Take(wanted);
      // Without a new record nothing needs to be synced.
      if (first.ok()) return;
    }
    KT_CHECK(Open(true));
  }
  // The disk spoils what was synced. What it has lost at the end nobody can notice, and if it had
  // lost one just before that and the record was repaired, that one goes along.
  bool Rot(FuzzInput& input) {
    Close();
    const Bytes before = ReadFile(File("record"));
    for (size_t index = 0; index < before.size() / kRecordSize; ++index) {
      if (const auto record = RecordAt(before, index)) seen_[index] = *record;
    }
    Bytes file = before;
    if (input.Below(3) != 0) {
      input.Edit(&file);
    } else {
      const size_t index = input.Byte() % (file.size() / kRecordSize);
      const size_t count = std::min<size_t>(1 + input.Below(4), file.size() / kRecordSize - index);
      std::fill_n(file.begin() + static_cast<ptrdiff_t>(index * kRecordSize), count * kRecordSize,
                  uint8_t{0});
    }
    WriteFile(File("record"), file);
    if (!Open(false)) return false;
    const auto lost = seen_.lower_bound(ReadFile(File("record")).size() / kRecordSize);
    for (auto it = lost; it != seen_.end(); ++it) {
      signed_.erase({it->second.label, it->second.version});
    }
    seen_.erase(lost, seen_.end());
    return true;
  }

 private:
  std::unique_ptr<SigningRecord> record_;
  std::map<std::pair<Hash, Version>, Hash> signed_;
  std::map<size_t, SigningRecord::Record> seen_;  // what lay at an index of the file
  std::optional<Version> in_log_[kLabels];
};

// What is repaired when a record is opened is repaired.
void CheckOpensTheSame(Operator& signer) {
  signer.Close();
  const Bytes once = ReadFile(File("record"));
  KT_CHECK(signer.Open(true));
  KT_CHECK(ReadFile(File("record")) == once);
}

void UseRecord(Operator& signer, FuzzInput& input) {
  for (int i = 0; i < 40 && !input.empty(); ++i) {
    switch (input.Below(8)) {
      case 0:
        signer.CutPower(input);
        break;
      case 1:
        signer.FailSync(input);
        break;
      case 2:
        if (!signer.Rot(input)) return;
        break;
      case 3:
        CheckOpensTheSame(signer);
        break;
      default:
        signer.Sign(input);
    }
  }
  CheckOpensTheSame(signer);
}

void WriteRecord(FuzzInput& input) {
  Operator signer;
  Bytes file = ReadFile(File("record"));
  if (input.Below(4) == 0) file.clear();
  for (unsigned n = input.Byte(); n > 0; --n) {
    const unsigned kind = input.Byte();
    SigningRecord::Record record;
    record.label = kt::base::Sha256(Text('l', kind % kLabels));
    record.version = input.Byte();
    // Rarely needed: the greatest that there are.
    if (kind >= 248) record.version = ~record.version;
    record.value = kt::base::Sha256(Text('v', input.Below(4)));
    if (kind / kLabels % 8 == 1) record = {};
    Bytes sealed = Sealed(file.size() / kRecordSize, record);
    if (kind / kLabels % 8 == 2) sealed.assign(kRecordSize, 0);
    if (kind / kLabels % 8 == 3) input.Edit(&sealed);
    kt::base::Append(file, sealed);
  }
  WriteFile(File("record"), file);
  if (!signer.Open(false)) return;
  KT_CHECK(signer.SignRecorded());
  UseRecord(signer, input);
}

// Of the log of LogFixture, or whatever; sealed: with what the file of that log begins and ends.
void ReadHead(ByteView bytes, bool sealed) {
  static auto* const fixture = new kt::server::LogFixture(
      kt::core::CipherSuite::kEd25519, kt::core::DeploymentMode::kThirdPartyManagement);
  static auto* const events = new kt::server::EventLog("off");
  Bytes file = kt::base::ToBytes(bytes);
  if (sealed) {
    file = kt::base::ToBytes(kt::core::ConfigurationFingerprint(fixture->config()).bytes);
    kt::base::Append(file, bytes);
    kt::base::Append(file, kt::base::Sha256(file).bytes);
  }
  WriteFile(File("head"), file);
  kt::server::HeadFollower::Options options;
  options.head_path = File("head");
  options.evidence_path = File("evidence");
  const auto ask = [](ByteView) { return absl::UnavailableError("nobody is asked"); };
  const auto follower =
      kt::server::HeadFollower::Open(options, fixture->verifier(), ask, *events, fixture->clock());
  if (!follower.ok()) {
    KT_CHECK(absl::IsDataLoss(follower.status()));
    return;
  }
  KT_CHECK((*follower)->newest() != nullptr);
  KT_CHECK(kt::core::ValidateUserState(*(*follower)->newest()).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzInput input(data, size);
  switch (input.Below(4)) {
    case 0:
      ReadHead(input.Rest(), false);
      break;
    case 1:
      ReadHead(input.Rest(), true);
      break;
    case 2:
      WriteRecord(input);
      break;
    default: {
      Operator signer;
      KT_CHECK(signer.Open(true));
      UseRecord(signer, input);
    }
  }
  return 0;
}
