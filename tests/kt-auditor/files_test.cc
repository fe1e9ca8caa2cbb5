// SPDX-License-Identifier: Apache-2.0
//
// What the auditor keeps and reads: state, exported logs, keys, configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <string>

#include "base/file.h"
#include "base/key_file.h"
#include "kt-auditor/auditor_config.h"
#include "kt-auditor/export_file.h"
#include "kt-auditor/keys.h"
#include "kt-auditor/log_auditor.h"
#include "kt-auditor/state_file.h"
#include "tests/kt-auditor/mini_log.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"

namespace kt::auditor {
namespace {

using ::kt::testing::IsOk;
using ::kt::testing::IsOkAndHolds;
using ::kt::testing::ReadText;
using ::kt::testing::StatusIs;
using ::kt::testing::WriteText;
using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    for (int i = 0; i < 6; ++i) log_.Append(1'000 + 10 * i, 1 + i);
  }
  std::string Path(const std::string& name) const { return directory_.File(name); }
  // The state of one who verified `size` entries.
  core::AuditorState StateAt(base::TreeSize size) const {
    return core::BeginAuditing(log_.StartAt(size)).value();
  }
  StoredState Stored(base::TreeSize size) const {
    return {StateAt(size), core::AuditorTreeHead{log_.TimestampOf(size - 1), size, {1, 2}}, {}};
  }

  testing::TemporaryDirectory directory_;
  MiniLog log_;
};

using StateFileTest = FilesTest;

TEST_F(StateFileTest, RemembersWhatWasSavedLast) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, StateFile::Open(Path("s"), log_.fingerprint()));
    EXPECT_EQ(file->stored(), StoredState());
    ASSERT_THAT(file->Save(Stored(2)), IsOk());
    ASSERT_THAT(file->Save(Stored(5)), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const auto file, StateFile::Open(Path("s"), log_.fingerprint()));
  EXPECT_EQ(file->stored(), Stored(5));
  struct stat info;
  ASSERT_EQ(stat(Path("s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(StateFileTest, RefusesASecondProcess) {
  ASSERT_OK_AND_ASSIGN(const auto file, StateFile::Open(Path("s"), log_.fingerprint()));
  EXPECT_THAT(StateFile::Open(Path("s"), log_.fingerprint()), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(StateFileTest, RefusesAnotherLogsState) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, StateFile::Open(Path("s"), log_.fingerprint()));
    ASSERT_THAT(file->Save(Stored(2)), IsOk());
  }
  EXPECT_THAT(StateFile::Open(Path("s"), base::Hash{}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(StateFileTest, NeverGoesBackAndNeverSignsASizeTwice) {
  ASSERT_OK_AND_ASSIGN(const auto file, StateFile::Open(Path("s"), log_.fingerprint()));
  ASSERT_THAT(file->Save(Stored(4)), IsOk());
  const auto expect_refused = [&](StoredState next) {
    EXPECT_THAT(file->Save(std::move(next)), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(file->stored(), Stored(4));
    EXPECT_THAT(ReadStoredState(Path("s"), log_.fingerprint()), IsOkAndHolds(Stored(4)));
  };
  expect_refused(Stored(3));
  StoredState next = Stored(4);
  next.state.full_subtrees[0].bytes[0] ^= 1;
  expect_refused(next);
  next = Stored(4);
  next.signed_head->signature = {3};
  expect_refused(next);
  next = Stored(5);
  next.signed_head = Stored(3).signed_head;
  expect_refused(next);
  next.signed_head.reset();
  expect_refused(next);
  next = Stored(5);
  next.signed_head->tree_size = 6;
  expect_refused(next);
  next.signed_head = Stored(4).signed_head;
  EXPECT_THAT(file->Save(next), IsOk()) << "progress without a new head";
}

TEST_F(StateFileTest, AnyDamageIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, StateFile::Open(Path("s"), log_.fingerprint()));
    ASSERT_THAT(file->Save(Stored(3)), IsOk());
  }
  const std::string good = ReadText(Path("s"));
  const auto expect_loss = [&](const std::string& text) {
    WriteText(Path("s"), text, 0600);
    EXPECT_THAT(ReadStoredState(Path("s"), log_.fingerprint()),
                StatusIs(absl::StatusCode::kDataLoss));
  };
  for (size_t i = 0; i < good.size(); i += 3) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    expect_loss(bad);
    expect_loss(good.substr(0, i));
  }
  expect_loss(good + "x");
  expect_loss(std::string(1 << 20, 'x'));
}

using ExportFileTest = FilesTest;

TEST_F(ExportFileTest, ReplaysWhatWasWrittenFromAnyEntryOn) {
  for (const base::LogPosition first : {0, 1, 4}) {
    const core::AuditorState state = first == 0 ? core::AuditorState() : StateAt(first);
    ASSERT_OK_AND_ASSIGN(const auto writer,
                         ExportWriter::Create(Path("e"), {log_.config(), state}));
    for (base::LogPosition i = first; i < log_.size(); ++i) {
      ASSERT_THAT(writer->Add(log_.RecordOf(i, i % 2 == 1)), IsOk());
    }
    ASSERT_THAT(writer->Finish(), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto reader, ExportReader::Open(Path("e")));
    EXPECT_EQ(reader->header().config, log_.config());
    ASSERT_OK_AND_ASSIGN(LogAuditor auditor,
                         LogAuditor::Create(reader->header().config, reader->header().state));
    while (true) {
      ASSERT_OK_AND_ASSIGN(const auto record, reader->Next());
      if (!record.has_value()) break;
      EXPECT_THAT(auditor.Apply(*record), IsOkAndHolds(record->position % 2 == 1));
    }
    EXPECT_EQ(core::RootOf(auditor.state()), log_.RootAt(log_.size()));
    EXPECT_EQ(reader->bytes_read(), reader->file_bytes());
  }
}

TEST_F(ExportFileTest, UnfinishedFileDoesNotGetItsName) {
  {
    ASSERT_OK_AND_ASSIGN(const auto writer, ExportWriter::Create(Path("e"), {log_.config(), {}}));
    ASSERT_THAT(writer->Add(log_.RecordOf(0, false)), IsOk());
  }
  EXPECT_THAT(ExportReader::Open(Path("e")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(base::ReadFile(Path("e.new"), 1 << 20), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ExportFileTest, AnyDamageIsNoticed) {
  ASSERT_OK_AND_ASSIGN(const auto writer, ExportWriter::Create(Path("e"), {log_.config(), {}}));
  for (base::LogPosition i = 0; i < 3; ++i) {
    ASSERT_THAT(writer->Add(log_.RecordOf(i, true)), IsOk());
  }
  ASSERT_THAT(writer->Finish(), IsOk());
  const std::string good = ReadText(Path("e"));
  const auto expect_noticed = [&](const std::string& text, size_t at) {
    WriteText(Path("bad"), text);
    auto reader = ExportReader::Open(Path("bad"));
    if (!reader.ok()) return;
    while (true) {
      const auto record = (*reader)->Next();
      if (!record.ok()) {
        EXPECT_THAT(record, StatusIs(absl::StatusCode::kDataLoss)) << at;
        return;
      }
      ASSERT_TRUE(record->has_value()) << at;
    }
  };
  for (size_t i = 0; i < good.size(); i += 5) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    expect_noticed(bad, i);
    expect_noticed(good.substr(0, i), i);
  }
  expect_noticed(good + "x", good.size());
  expect_noticed(std::string("\xff\xff\xff\xff") + good, 0);
}

TEST_F(FilesTest, KeysAreMadeOnceAndKeptSecret) {
  testing::SeededRandom random(9);
  const auto algorithm = base::SignatureAlgorithm::kEd25519;
  ASSERT_THAT(CreateKeyFiles(Path("k"), algorithm, random), IsOk());
  ASSERT_OK_AND_ASSIGN(const base::SecretBytes secret, base::ReadSecretKey(Path("k")));
  ASSERT_OK_AND_ASSIGN(const auto signer, base::CreateSigner(algorithm, secret));
  EXPECT_EQ(ReadText(Path("k.pub")), base::ToHex(signer->public_key()) + "\n");
  EXPECT_THAT(CreateKeyFiles(Path("k"), algorithm, random),
              StatusIs(absl::StatusCode::kAlreadyExists));
  for (const mode_t loose : {0640, 0604, 0620}) {
    ASSERT_EQ(chmod(Path("k").c_str(), loose), 0);
    EXPECT_THAT(base::ReadSecretKey(Path("k")), StatusIs(absl::StatusCode::kPermissionDenied));
  }
  WriteText(Path("bad"), "not hexadecimal\n", 0600);
  EXPECT_THAT(base::ReadSecretKey(Path("bad")), StatusIs(absl::StatusCode::kInvalidArgument));
}

std::string LogSection(const std::string& more = "") {
  return "[[log]]\nname = \"a.example\"\nserver = \"kt.a.example:443\"\nkey = \"k\"\n"
         "fingerprint = \"sha256:" +
         std::string(64, 'a') + "\"\n" + more;
}

TEST(AuditorConfig, PathsAreResolvedAndDefaultsFilledIn) {
  ASSERT_OK_AND_ASSIGN(const AuditorConfig config,
                       ParseAuditorConfig(LogSection("ca = \"/etc/ca.pem\"\n"), "/etc/kt"));
  ASSERT_EQ(config.logs.size(), 1u);
  EXPECT_EQ(config.StatePath(config.logs[0]), "/etc/kt/state/a.example.state");
  EXPECT_EQ(config.EvidencePath(config.logs[0]), "/etc/kt/state/a.example.evidence");
  EXPECT_EQ(config.logs[0].key, "/etc/kt/k");
  EXPECT_EQ(config.logs[0].server.ca_file, "/etc/ca.pem");
  EXPECT_EQ(config.logs[0].fingerprint.bytes[0], 0xaa);
}

TEST(AuditorConfig, RefusesWhatItDoesNotUnderstand) {
  const auto expect_refused = [](const std::string& text, const std::string& part) {
    EXPECT_THAT(ParseAuditorConfig(text, "/"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(part)))
        << text;
  };
  expect_refused("state =", "line 1");
  expect_refused("sate = \"x\"\n", "sate");
  expect_refused("state = 1\n", "state");
  expect_refused("log = 1\n", "[[log]]");
  expect_refused("log = [1]\n", "[[log]]");
  expect_refused(LogSection("kex = \"x\"\n"), "kex");
  expect_refused(LogSection("ca = \"\"\n"), "ca");
  expect_refused(LogSection() + LogSection(), "two logs");
  expect_refused("[[log]]\nname = \"a\"\n", "server");
  for (const char* name : {"", ".hidden", "a/b", "a b"}) {
    std::string text = LogSection();
    text.replace(text.find("a.example"), 9, name);
    expect_refused(text, "name");
  }
  std::string text = LogSection();
  text.replace(text.find("sha256:"), 7, "sha255:");
  expect_refused(text, "fingerprint");
}

TEST(ConnectToLog, RefusesAnAddressWithoutPortAndAMissingCa) {
  for (const char* address : {"", "host", ":443", "host:"}) {
    EXPECT_THAT(ConnectToLog({address, "", ""}), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ConnectToLog({"host:443", "", "/nonexistent"}),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace kt::auditor
