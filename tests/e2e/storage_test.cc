// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a running server whose disk is full, or damaged, and of an erasure that has to
// wait: the real program on a real file system.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/e2e/deployment.h"
#include "tests/e2e/publisher.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

namespace fs = std::filesystem;
using ::nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFound = 0;
constexpr int kUnavailable = 4;
constexpr int kDamage = 3;
constexpr int kUnfinished = 4;
constexpr char kAlice[] = "alice@smime.example";
constexpr char kBob[] = "bob@smime.example";

bool Await(const std::function<bool()>& is_so) {
  for (int i = 0; i < 300; ++i) {
    if (is_so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

// What grpc.health.v1 says of a service of the running server.
enum class Health : char { kUnknown = 0, kServing = 1, kNotServing = 2 };
Health HealthOf(const Deployment& deployment, const std::string& service) {
  const std::string message = "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
  const grpc::Slice slice(message);
  grpc::GenericStub stub(ConnectTo(deployment));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check",
                                          grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  KT_CHECK(queue.Next(&tag, &ok));
  grpc::Slice answer;
  if (!status.ok() || !response.DumpToSingleSlice(&answer).ok() || answer.size() != 2) {
    return Health::kUnknown;
  }
  return static_cast<Health>(answer.begin()[1]);  // field 1, a varint
}

// Flips a bit of the sorted file that holds `piece`; which one, or none.
fs::path Damage(const std::string& database, const std::string& piece) {
  for (const auto& entry : fs::directory_iterator(database)) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const size_t at = all.find(piece);
    if (at == std::string::npos) continue;
    file.clear();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(all[at] ^ 1));
    if (file.flush().good()) return entry.path();
  }
  return {};
}

class Disk : public ::testing::Test {
 protected:
  Disk() : deployment_("ed25519") {}

  ProcessResult Publish(const char* address, const std::string& certificate) {
    return deployment_.Publish(address, {"--cert", deployment_.Vector(certificate), "--replace"});
  }
  ProcessResult Lookup(const char* address) { return deployment_.Client("lookup", {address}); }
  bool Logged(const std::string& event) {
    return deployment_.server().WaitForLog("\"event\":\"" + event + "\"", 30'000);
  }
  std::string database() const { return deployment_.File("log/db"); }

  // As a power cut leaves it: lengthened by a record whose bytes never reached the disk.
  void TearManifest() {
    for (const auto& entry : fs::directory_iterator(database())) {
      if (!entry.path().filename().string().starts_with("MANIFEST-")) continue;
      std::ofstream file(entry.path(), std::ios::app | std::ios::binary);
      constexpr char kLength = 100;
      constexpr char kFull = 1;
      file << std::string("\x12\x34\x56\x78", 4) << kLength << '\0' << kFull
           << std::string(kLength, '\0');
    }
  }

  // Damages the file that holds `piece` until it is noticed. After a start RocksDB may just be
  // writing what the file holds anew: then the damage goes with the file, or with the new one.
  bool LoggedAfterDamageTo(const std::string& piece) {
    fs::path damaged;
    for (int second = 0; second < 30; ++second) {
      if (damaged.empty() || !fs::exists(damaged)) damaged = Damage(database(), piece);
      if (deployment_.server().WaitForLog("\"event\":\"damage_found\"", 1'000)) return true;
    }
    return false;
  }

  Deployment deployment_;
};

// --- a full disk -------------------------------------------------------------------------------

// Of the test's own, in which a server sees a disk of 160 MiB in place of its database's directory,
// with what was there.
const std::vector<std::string>& OnASmallDisk() {
  static const std::vector<std::string> kWrapper = {
      "/usr/bin/unshare",
      "--map-root-user",
      "--mount",
      "/bin/sh",
      "-c",
      "db=$1; shift; cp -a $db $db.before && mount -t tmpfs -o size=160m,mode=0700 tmpfs $db && "
      "cp -a $db.before/. $db && exec \"$@\"",
      "sh"};
  return kWrapper;
}

TEST_F(Disk, AFullOneMakesTheLogReadOnlyUntilItHasRoom) {
  if (RunProcess({"/usr/bin/unshare", "--map-root-user", "--mount", "/bin/mount", "-t", "tmpfs",
                  "tmpfs", "/mnt"})
          .exit_code != 0) {
    GTEST_SKIP() << "this machine lets no process have a file system of its own";
  }
  deployment_.SetOption("log", "min_free_bytes", "67108864");
  std::vector<std::string> wrapper = OnASmallDisk();
  wrapper.push_back(database());
  ASSERT_TRUE(deployment_.StartServer(wrapper)) << deployment_.server().Log();
  deployment_.StartDns();
  ASSERT_EQ(Publish(kAlice, "alice.sign.crt.pem").exit_code, 0);
  ASSERT_EQ(Publish(kAlice, "alice.encr.crt.pem").exit_code, 0);
  EXPECT_EQ(HealthOf(deployment_, "kt.v1.Publisher"), Health::kServing);

  const std::string filling =
      "/proc/" + std::to_string(deployment_.server().pid()) + "/root" + database() + "/filling";
  WriteText(filling, std::string(110 << 20, 'x'));
  EXPECT_TRUE(Await([&] { return Publish(kAlice, "alice.encr.crt.pem").exit_code != 0; }));
  EXPECT_TRUE(Logged("disk_full")) << deployment_.server().Log();
  const ProcessResult refused = Publish(kAlice, "alice.encr.crt.pem");
  EXPECT_EQ(refused.exit_code, kUnavailable);
  EXPECT_THAT(refused.err, Not(HasSubstr("VERIFICATION")));
  EXPECT_TRUE(
      Await([&] { return HealthOf(deployment_, "kt.v1.Publisher") == Health::kNotServing; }));
  EXPECT_EQ(HealthOf(deployment_, "kt.v1.KeyTransparency"), Health::kServing);
  EXPECT_EQ(Lookup(kAlice).exit_code, kFound) << "lookups go on";
  // What makes room works. The server's socket is on its own file system.
  const ProcessResult erased =
      RunProcess({"/usr/bin/nsenter", "--target", std::to_string(deployment_.server().pid()),
                  "--user", "--mount", "--preserve-credentials", ServerProgram(), "erase",
                  "--config", deployment_.config(), kAlice, "--version", "0"});
  EXPECT_EQ(erased.exit_code, 0) << erased.err;

  ASSERT_TRUE(fs::remove(filling));
  EXPECT_TRUE(Logged("disk_has_room")) << deployment_.server().Log();
  const ProcessResult published = Publish(kAlice, "alice.encr.crt.pem");
  EXPECT_EQ(published.exit_code, 0) << published.err;
  EXPECT_EQ(HealthOf(deployment_, "kt.v1.Publisher"), Health::kServing);
  EXPECT_EQ(Lookup(kAlice).exit_code, kFound);
  EXPECT_THAT(deployment_.server().Log(), Not(HasSubstr("epoch_failed")));
  deployment_.StopServer();
}

// --- damage ------------------------------------------------------------------------------------

TEST_F(Disk, DamageIsFoundInTheBackgroundAndNotSigned) {
  deployment_.SetOption("scrub", "interval_ms", "200");
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  deployment_.StartDns();
  base::Bytes der;
  {
    Publisher alice(deployment_, "alice");
    const auto published = alice.Publish();
    ASSERT_TRUE(published.ok()) << published.status();
    der = published->der;
  }
  ASSERT_EQ(Publish(kBob, "bob.encr.crt.pem").exit_code, 0);
  EXPECT_TRUE(Logged("scrubbed")) << "while all is well: " << deployment_.server().Log();
  // What is in the write-ahead log alone goes into sorted files at the next start.
  deployment_.StopServer();
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();

  // The signature at its end looks random, so no compression changes it.
  constexpr size_t kPiece = 48;
  const std::string piece = base::ToText(base::ByteView(der).last(kPiece));
  EXPECT_TRUE(LoggedAfterDamageTo(piece)) << deployment_.server().Log();
  const ProcessResult refused = Publish(kBob, "bob.encr.crt.pem");
  EXPECT_EQ(refused.exit_code, kUnavailable) << refused.err;
  EXPECT_EQ(HealthOf(deployment_, "kt.v1.Publisher"), Health::kNotServing);
  EXPECT_EQ(HealthOf(deployment_, "kt.v1.KeyTransparency"), Health::kServing);
  EXPECT_EQ(Lookup(kBob).exit_code, kFound) << "what is sound is answered";

  // In so small a log every block is read at a start. The damage may be gone with its file, if what
  // is sound had just been written anew.
  deployment_.StopServer();
  Damage(database(), piece);
  EXPECT_FALSE(deployment_.StartServer());
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("checksum"));
  const ProcessResult fsck =
      deployment_.ServerCommand({"fsck", "--config", deployment_.config(), "--json"});
  EXPECT_EQ(fsck.exit_code, kDamage) << fsck.err;
  EXPECT_FALSE(json::parse(fsck.out)["sound"]);
  EXPECT_FALSE(json::parse(fsck.out)["damage"].empty());
}

// --- a manifest that ends torn -----------------------------------------------------------------

TEST_F(Disk, AManifestThatEndsTornIsToldAndReplaced) {
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  deployment_.StartDns();
  ASSERT_EQ(Publish(kBob, "bob.encr.crt.pem").exit_code, 0);
  deployment_.StopServer();
  TearManifest();
  const auto fsck = [&] {
    return deployment_.ServerCommand({"fsck", "--config", deployment_.config()});
  };
  const ProcessResult torn = fsck();
  EXPECT_EQ(torn.exit_code, kDamage) << torn.err;
  EXPECT_THAT(torn.out, HasSubstr("manifest ends in a damaged record"));
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  EXPECT_TRUE(Logged("manifest_torn")) << deployment_.server().Log();
  EXPECT_EQ(Lookup(kBob).exit_code, kFound);
  deployment_.StopServer();
  const ProcessResult replaced = fsck();
  EXPECT_EQ(replaced.exit_code, 0) << replaced.out << replaced.err;
}

// RocksDB would remove files that such a manifest does not name; they may be all that is left of
// what the guard knows.
TEST_F(Disk, AManifestThatEndsTornIsNotOpenedBehindTheGuard) {
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  deployment_.StartDns();
  ASSERT_EQ(Publish(kBob, "bob.encr.crt.pem").exit_code, 0);
  deployment_.StopServer();
  const std::string earlier = deployment_.File("earlier");
  fs::copy(database(), earlier, fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  ASSERT_EQ(Publish(kBob, "bob.encr.crt.pem").exit_code, 0);
  deployment_.StopServer();
  fs::remove_all(database());
  fs::rename(earlier, database());
  TearManifest();
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(database())) {
      names.insert(entry.path().filename());
    }
    return names;
  };
  const std::set<std::string> before = files();
  EXPECT_FALSE(deployment_.StartServer());
  EXPECT_THAT(deployment_.server().Log(), HasSubstr("guard"));
  EXPECT_EQ(files(), before);
}

// --- an erasure that has to wait ---------------------------------------------------------------

// A check in the background reads the state from before for as long as it takes.
TEST_F(Disk, AnErasureThatHasToWaitSaysSoAndIsFinishedLater) {
  deployment_.SetOption("scrub", "interval_ms", "200");
  deployment_.SetOption("scrub", "rows_per_second", "1");
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  deployment_.StartDns();
  // So many rows take longer than an erasure waits.
  Publisher alice(deployment_, "alice");
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(alice.Publish().ok());
  deployment_.StopServer();
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  std::this_thread::sleep_for(std::chrono::seconds(1));  // the check has begun

  const std::vector<std::string> erase = {
      "erase", "--config", deployment_.config(), kAlice, "--version", "3", "--json"};
  ProcessResult erased = deployment_.ServerCommand(erase);
  EXPECT_EQ(erased.exit_code, kUnfinished) << erased.out << erased.err;
  EXPECT_THAT(erased.err, HasSubstr("not finished"));
  EXPECT_EQ(json::parse(erased.out)["erased"], 1);
  EXPECT_EQ(json::parse(erased.out)["files_gone"], false);
  EXPECT_TRUE(Logged("erasure_unfinished")) << deployment_.server().Log();

  // Nothing that reads from before outlives the server; it finishes what it finds at its start.
  deployment_.StopServer();
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  EXPECT_TRUE(Logged("erasure_finished")) << deployment_.server().Log();
  deployment_.StopServer();
  erased = deployment_.ServerCommand(erase);
  EXPECT_EQ(erased.exit_code, 0) << erased.err;
  EXPECT_EQ(json::parse(erased.out)["erased"], 0);
  EXPECT_EQ(json::parse(erased.out)["files_gone"], true);
}

}  // namespace
}  // namespace kt::testing
