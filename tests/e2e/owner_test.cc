// SPDX-License-Identifier: Apache-2.0
//
// Owners of addresses, with the real programs: what they publish is proven to them, and what others
// publish for them is told.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/clock.h"
#include "kt-core/distinguished.h"
#include "kt-core/response_verifier.h"
#include "kt-core/update.h"
#include "proto/kt.grpc.pb.h"
#include "smime/certificate.h"
#include "smime/certificate_set.h"
#include "tests/e2e/deployment.h"
#include "tests/support/fakes.h"
#include "tests/support/paths.h"

namespace kt::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int kWindowMs = 1500;
constexpr char kAlice[] = "alice@smime.example";

class Owner : public ::testing::TestWithParam<std::string> {
 protected:
  explicit Owner(int epoch_ms = 50)
      : deployment_(GetParam(), epoch_ms, {"--rmw-ms", std::to_string(kWindowMs)}) {
    EXPECT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    deployment_.StartDns();
  }
  ~Owner() override { deployment_.StopServer(); }

  // A command of the owner, on one of her devices.
  ProcessResult Run(const std::string& command, std::vector<std::string> arguments,
                    const std::string& device = "laptop") {
    arguments.insert(arguments.end(), {"--state", deployment_.File(device)});
    return deployment_.Client(command, arguments);
  }
  ProcessResult Own(const std::string& device = "laptop") { return Run("own", {kAlice}, device); }
  std::vector<std::string> PublishArguments(const std::vector<std::string>& certificates,
                                            const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {kAlice, "--token-file", deployment_.token_file()};
    for (const std::string& certificate : certificates) {
      arguments.insert(arguments.end(), {"--cert", deployment_.Vector(certificate)});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  ProcessResult PublishAsOwner(const std::vector<std::string>& certificates,
                               const std::vector<std::string>& more = {},
                               const std::string& device = "laptop") {
    return Run("publish", PublishArguments(certificates, more), device);
  }
  // By somebody who has a token too.
  void PublishAsOther(const std::string& certificate = "alice.encr.crt.pem") {
    const ProcessResult published = deployment_.Publish(
        kAlice, {"--cert", deployment_.Vector(certificate), "--state", deployment_.File("other")});
    ASSERT_EQ(published.exit_code, 0) << published.err;
  }
  ProcessResult Monitor(const std::vector<std::string>& arguments = {"--all"},
                        const std::string& device = "laptop") {
    return Run("monitor", arguments, device);
  }
  void ExpectSilence(const std::string& device = "laptop") {
    const ProcessResult result = Monitor({"--all"}, device);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out + result.err, "");
  }
  void Accept(base::Version version, const std::string& device = "laptop") {
    const ProcessResult result = Run("own", {kAlice, "--accept", std::to_string(version)}, device);
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  void PassWindow() {
    for (int i = 0; i < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kWindowMs + 100));
      const ProcessResult published = deployment_.Publish(
          "bob@smime.example",
          {"--cert", deployment_.Vector("bob.encr.crt.pem"), "--state", deployment_.File("other")});
      ASSERT_EQ(published.exit_code, 0) << published.err;
    }
  }
  static size_t Lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  smime::Certificate Certificate(const std::string& name) const {
    return smime::ParsePem(ReadText(deployment_.Vector(name)))->front();
  }

  Deployment deployment_;
};

TEST_P(Owner, WhatTheOwnerPublishesIsProvenToHer) {
  const ProcessResult owned = Own();
  ASSERT_EQ(owned.exit_code, 0) << owned.err;
  EXPECT_THAT(owned.out, HasSubstr("without any version"));
  EXPECT_THAT(Own().out, HasSubstr("owned already"));

  const ProcessResult published =
      PublishAsOwner({"alice.sign.crt.pem"}, {"--json", "--expect-version", "0"});
  EXPECT_EQ(published.exit_code, 5) << "there is none: " << published.err;
  const ProcessResult first = PublishAsOwner({"alice.sign.crt.pem"}, {"--json", "--expect-absent"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(PublishAsOwner({"alice.sign.crt.pem"}, {"--expect-absent"}).exit_code, 5);
  const auto json = nlohmann::json::parse(first.out);
  EXPECT_EQ(json["version"], 0);
  EXPECT_EQ(json["verified"], true);
  EXPECT_EQ(json["foreign_versions"], 0);
  const ProcessResult second = PublishAsOwner({"alice.encr.crt.pem"}, {"--add"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("version 1 is in log entry"));
  EXPECT_THAT(second.out, HasSubstr("verified"));
  ExpectSilence();
  PassWindow();
  ExpectSilence();

  const ProcessResult found = deployment_.Client("lookup", {kAlice, "--json"});
  ASSERT_EQ(found.exit_code, 0) << found.err;
  EXPECT_EQ(nlohmann::json::parse(found.out)["certificates"].size(), 2u);
  ASSERT_EQ(PublishAsOwner({"alice.sign.crt.pem"}, {"--remove"}).exit_code, 0);
  EXPECT_EQ(PublishAsOwner({"alice.sign.crt.pem"}, {"--remove"}).exit_code, 5) << "it has gone";
  EXPECT_EQ(PublishAsOwner({"bob.sign.crt.pem"}).exit_code, 5) << "not hers";
  ExpectSilence();
}

TEST_P(Owner, SeveralVersionsAreAcceptedAtOnce) {
  ASSERT_EQ(Own().exit_code, 0);
  constexpr int kVersions = 6;  // one a log entry, from entry 1 on
  for (int i = 0; i < kVersions / 2; ++i) {
    PublishAsOther("alice.encr.crt.pem");
    PublishAsOther("alice.sign.crt.pem");
  }
  // Who begins now is shown the newest set, and told of the others that count as known with it.
  const ProcessResult phone = Run("own", {kAlice, "--json"}, "phone");
  ASSERT_EQ(phone.exit_code, 0) << phone.err;
  const auto begun = nlohmann::json::parse(phone.out);
  const int older = std::max(0, kVersions - begun["start"].get<int>() - 1);
  EXPECT_EQ(begun["older_versions"], older);
  if (older > 0) {
    const std::string told = Own("tablet").err;
    EXPECT_THAT(told, HasSubstr(std::to_string(older) + " older version(s)"));
    EXPECT_THAT(told, HasSubstr("kt-client history"));
  }
  ExpectSilence("phone");

  const ProcessResult told = Monitor();
  EXPECT_EQ(told.exit_code, 3);
  EXPECT_EQ(Lines(told.err), 6u) << told.err;
  for (const char* wrong : {"", "x", "-1", "3..1", "1..", "..", "1...2", "4294967296", "7..9"}) {
    EXPECT_EQ(Run("own", {kAlice, "--accept=" + std::string(wrong)}).exit_code, 2) << wrong;
  }
  EXPECT_EQ(Lines(Monitor().err), 6u) << "nothing was accepted";
  const auto accept = [&](const std::string& range) {
    const ProcessResult result = Run("own", {kAlice, "--accept", range, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out)["accepted"];
  };
  EXPECT_EQ(accept("..1"), nlohmann::json({0, 1}));
  EXPECT_EQ(accept("2..9"), nlohmann::json({2, 3, 4, 5}));
  ExpectSilence();
}

TEST_P(Owner, WhatOthersPublishIsToldUntilItIsAccepted) {
  ASSERT_EQ(Own().exit_code, 0);
  ASSERT_EQ(PublishAsOwner({"alice.sign.crt.pem"}).exit_code, 0);
  PublishAsOther();

  const std::string told = deployment_.File("told.json");
  // Nobody was told if the command fails, so it is run again. It need not even read.
  for (const char* command : {"false", "exit 7"}) {
    const ProcessResult failed = Monitor({"--all", "--notify", command});
    EXPECT_EQ(failed.exit_code, 3);
    EXPECT_THAT(failed.err, HasSubstr("the command of --notify failed"));
  }
  const ProcessResult result = Monitor({"--all", "--notify", "cat >>" + told});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(Lines(result.err), 1u) << result.err;
  const smime::Certificate certificate = Certificate("alice.encr.crt.pem");
  const std::string fingerprint = "sha256:" + base::ToHex(certificate.fingerprint().bytes);
  EXPECT_THAT(result.err, HasSubstr("version 1"));
  EXPECT_THAT(result.err, HasSubstr("issuer " + certificate.issuer()));
  EXPECT_THAT(result.err, HasSubstr("serial " + certificate.serial_hex()));
  EXPECT_THAT(result.err, HasSubstr(fingerprint));
  EXPECT_THAT(result.err, HasSubstr("2052-09-27T06:54:18Z")) << "its end";
  EXPECT_THAT(result.err, HasSubstr("kt-client own alice@smime.example --accept 1"));

  const auto event = nlohmann::json::parse(ReadText(told));
  EXPECT_EQ(event["subject"], kAlice);
  EXPECT_EQ(event["result"], "foreign-version");
  EXPECT_EQ(event["version"], 1);
  ASSERT_EQ(event["certificates"].size(), 1u);
  EXPECT_EQ(event["certificates"][0]["issuer"], certificate.issuer());
  EXPECT_EQ(event["certificates"][0]["serial"], certificate.serial_hex());
  EXPECT_EQ(event["certificates"][0]["fingerprint"], fingerprint);
  EXPECT_EQ(event["certificates"][0]["not_after"], "2052-09-27T06:54:18Z");
  EXPECT_EQ(event["certificates"][0]["der"], base::ToBase64(certificate.der()));

  // The command is told once, whoever reads the lines until she says that she knows.
  EXPECT_EQ(Monitor({"--all", "--notify", "cat >>" + told}).exit_code, 3);
  EXPECT_EQ(Lines(ReadText(told)), 1u);
  // Adding to a set that somebody else made is refused; taking the address back is not.
  const ProcessResult added = PublishAsOwner({"alice.sign.crt.pem"}, {"--add"});
  EXPECT_EQ(added.exit_code, 3);
  EXPECT_THAT(added.err, HasSubstr("foreign-version"));
  const ProcessResult replaced = PublishAsOwner({"alice.sign.crt.pem"});
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_THAT(replaced.err, HasSubstr("not published from here"));
  EXPECT_EQ(Run("own", {kAlice, "--accept", "2"}).exit_code, 2) << "that one is hers";
  Accept(1);
  ExpectSilence();
  EXPECT_EQ(Run("own", {kAlice, "--accept", "1"}).exit_code, 2) << "once is enough";
}

TEST_P(Owner, WhatIsThereAtTheBeginningIsShownAndNotToldAgain) {
  PublishAsOther("alice.sign.crt.pem");
  PassWindow();
  PublishAsOther();
  const ProcessResult owned = Own();
  ASSERT_EQ(owned.exit_code, 0) << owned.err;
  EXPECT_THAT(owned.out, HasSubstr("version 1"));
  EXPECT_THAT(owned.out, HasSubstr(Certificate("alice.encr.crt.pem").serial_hex()));
  ExpectSilence();
  ASSERT_EQ(Run("own", {kAlice, "--forget"}).exit_code, 0);
  EXPECT_EQ(Run("own", {kAlice, "--forget"}).exit_code, 2);
  PublishAsOther();
  ExpectSilence();
  const ProcessResult again = Run("own", {kAlice, "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out)["version"], 2);
  ExpectSilence();
}

TEST_P(Owner, DevicesLearnOfEachOthersVersionsAcrossARestart) {
  ASSERT_EQ(Own().exit_code, 0);
  ASSERT_EQ(Own("phone").exit_code, 0);
  ASSERT_EQ(PublishAsOwner({"alice.sign.crt.pem"}).exit_code, 0);
  deployment_.StopServer();
  ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
  ASSERT_EQ(PublishAsOwner({"alice.encr.crt.pem"}, {"--add"}).exit_code, 0);
  PassWindow();
  const ProcessResult told = Monitor({"--json"}, "phone");
  EXPECT_EQ(told.exit_code, 3);
  EXPECT_EQ(Lines(told.err), 2u) << told.err;
  const auto report = nlohmann::json::parse(told.out)["monitored"];
  ASSERT_EQ(report.size(), 3u);
  EXPECT_EQ(report[0]["version"], 0);
  EXPECT_EQ(report[1]["certificates"].size(), 2u);
  EXPECT_EQ(report[2]["result"], "owned");
  Accept(0, "phone");
  Accept(1, "phone");
  ExpectSilence("phone");
  ExpectSilence();
  // Both publish at once: each version is somebody's, and nobody's is lost or doubled.
  auto laptop =
      std::async(std::launch::async, [&] { return PublishAsOwner({"alice.sign.crt.pem"}); });
  auto phone = std::async(std::launch::async,
                          [&] { return PublishAsOwner({"alice.encr.crt.pem"}, {}, "phone"); });
  EXPECT_EQ(laptop.get().exit_code, 0);
  EXPECT_EQ(phone.get().exit_code, 0);
  const ProcessResult found = deployment_.Client("lookup", {kAlice, "--json"});
  EXPECT_EQ(nlohmann::json::parse(found.out)["version"], 3);
  EXPECT_EQ(Monitor().exit_code, 3);
  EXPECT_EQ(Monitor({"--all"}, "phone").exit_code, 3);
}

TEST_P(Owner, LogThatGoesBackIsNoticed) {
  ASSERT_EQ(Own().exit_code, 0);
  ASSERT_EQ(PublishAsOwner({"alice.sign.crt.pem"}).exit_code, 0);
  deployment_.StopServer();
  const std::string log = deployment_.File("log");
  fs::copy(log, deployment_.File("older"), fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer());
  ASSERT_EQ(PublishAsOwner({"alice.encr.crt.pem"}).exit_code, 0);
  deployment_.StopServer();
  fs::remove_all(log);
  fs::copy(deployment_.File("older"), log, fs::copy_options::recursive);
  ASSERT_TRUE(deployment_.StartServer());
  const std::string told = deployment_.File("told.json");
  const ProcessResult rolled_back = Monitor({"--all", "--notify", "cat >" + told});
  EXPECT_EQ(rolled_back.exit_code, 3) << rolled_back.err;
  EXPECT_THAT(rolled_back.err, HasSubstr("rolled-back"));
  EXPECT_EQ(nlohmann::json::parse(ReadText(told))["failed_check"], "rolled-back");
  // And it stays so when the other history has become as long.
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(deployment_
                  .Publish("bob@smime.example", {"--cert", deployment_.Vector("bob.encr.crt.pem"),
                                                 "--state", deployment_.File("newcomer")})
                  .exit_code,
              0);
  }
  const ProcessResult forked = Monitor();
  EXPECT_EQ(forked.exit_code, 3);
  EXPECT_THAT(forked.err, HasSubstr("VERIFICATION FAILED"));
  EXPECT_EQ(PublishAsOwner({"alice.encr.crt.pem"}).exit_code, 3) << "the token stays here";
}

TEST_P(Owner, ServerThatIsDownHidesNothingThatIsKnown) {
  ASSERT_EQ(Own().exit_code, 0);
  PublishAsOther();
  EXPECT_EQ(Monitor().exit_code, 3);
  deployment_.StopServer();
  const ProcessResult down = Monitor({"--all", "--timeout", "500"});
  EXPECT_EQ(down.exit_code, 3) << down.err;
  EXPECT_THAT(down.err, HasSubstr("version 0"));
  Accept(0);
  EXPECT_EQ(Monitor({"--all", "--timeout", "500"}).exit_code, 4);
  EXPECT_EQ(PublishAsOwner({"alice.encr.crt.pem"}, {"--timeout", "500"}).exit_code, 4);
  ASSERT_TRUE(deployment_.StartServer());
  ExpectSilence();
}

// Whatever became of a publication, the owner's next run knows it.
TEST_P(Owner, KilledServerNeitherDoublesNorDisownsWhatSheSent) {
  ASSERT_EQ(Own().exit_code, 0);
  std::mt19937 random(static_cast<unsigned>(TestSeed(11)));
  SCOPED_TRACE(TestSeed(11));
  unsigned acknowledged = 0;
  constexpr unsigned kKills = 6;
  for (unsigned i = 0; i < kKills; ++i) {
    auto publication = std::async(std::launch::async, [&] {
      return PublishAsOwner({i % 2 == 0 ? "alice.sign.crt.pem" : "alice.encr.crt.pem"},
                            {"--timeout", "3000"});
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 250));
    deployment_.server().Signal(SIGKILL);
    deployment_.server().Wait();
    const ProcessResult result = publication.get();
    EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 4) << result.err;
    if (result.exit_code == 0) ++acknowledged;
    ASSERT_TRUE(deployment_.StartServer()) << deployment_.server().Log();
    ExpectSilence();
  }
  ASSERT_EQ(PublishAsOwner({"alice.sign.crt.pem"}).exit_code, 0);
  const ProcessResult found = deployment_.Client("lookup", {kAlice, "--json"});
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const auto version = nlohmann::json::parse(found.out)["version"].get<unsigned>();
  EXPECT_GE(version, acknowledged);
  EXPECT_LE(version, kKills) << "one for each publication at most";
}

INSTANTIATE_TEST_SUITE_P(Suites, Owner, ::testing::Values("p256", "ed25519"),
                         [](const auto& test) { return test.param; });

// --- with time between the request and the log's answer ------------------------------------

class SlowOwner : public Owner {
 protected:
  static constexpr int kEpochMs = 1500;
  SlowOwner() : Owner(kEpochMs) {}
};

TEST_P(SlowOwner, OwnVersionIsRecognizedThoughTheClientWasKilledWhileItWaited) {
  ASSERT_EQ(Own().exit_code, 0);
  std::vector<std::string> argv = {ClientProgram(), "publish",
                                   "--dns-server",  deployment_.dns(),
                                   "--ca",          deployment_.ca_file(),
                                   "--state",       deployment_.File("laptop")};
  const auto arguments = PublishArguments({"alice.sign.crt.pem"}, {});
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  // Killed at the latest moment at which it still waits, if it is sent at the earliest.
  bool published = false;
  for (int attempt = 0; attempt < 6 && !published; ++attempt) {
    BackgroundProcess publisher(argv, deployment_.File("publisher.log"));
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    publisher.Signal(SIGKILL);
    publisher.Wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(kEpochMs + 200));
    published = deployment_.Client("lookup", {kAlice}).exit_code == 0;
  }
  ASSERT_TRUE(published) << "it never got to sending its request";
  ExpectSilence();
  const ProcessResult next = PublishAsOwner({"alice.encr.crt.pem"}, {"--add", "--json"});
  ASSERT_EQ(next.exit_code, 0) << next.err;
  EXPECT_EQ(nlohmann::json::parse(next.out)["version"], 1);
}

TEST_P(SlowOwner, SeveralVersionsInOneEntryAreToldApart) {
  ASSERT_EQ(Own().exit_code, 0);
  auto one = std::async(std::launch::async, [&] { PublishAsOther("alice.sign.crt.pem"); });
  auto two = std::async(std::launch::async, [&] { PublishAsOther("alice.encr.crt.pem"); });
  one.get();
  two.get();
  const ProcessResult told = Monitor({"--json"});
  EXPECT_EQ(told.exit_code, 3);
  EXPECT_EQ(Lines(told.err), 2u) << told.err;
  const auto report = nlohmann::json::parse(told.out)["monitored"];
  ASSERT_EQ(report.size(), 3u);
  EXPECT_NE(report[0]["certificates"][0]["serial"], report[1]["certificates"][0]["serial"]);
  // A monitor that runs meanwhile does not get in the way of a publication.
  auto publication =
      std::async(std::launch::async, [&] { return PublishAsOwner({"alice.sign.crt.pem"}); });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Monitor().exit_code, 3);
  const ProcessResult published = publication.get();
  EXPECT_EQ(published.exit_code, 0) << published.err;
  EXPECT_THAT(published.out, HasSubstr("version 2 is in log entry"));
}

INSTANTIATE_TEST_SUITE_P(Suites, SlowOwner, ::testing::Values("p256", "ed25519"),
                         [](const auto& test) { return test.param; });

// --- responses that were saved -------------------------------------------------------------

// Talks to the server itself, and lets kt-client verify what it heard, offline.
class SavedResponses : public Owner {
 protected:
  SavedResponses() {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = ReadText(deployment_.ca_file());
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("smime.example");
    channel_ = grpc::CreateCustomChannel("ipv4:127.0.0.1:" + std::to_string(deployment_.port()),
                                         grpc::SslCredentials(tls), arguments);
    v1::GetConfigurationResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(
        v1::KeyTransparency::NewStub(channel_)->GetConfiguration(&context, {}, &response).ok());
    WriteText(deployment_.File("config"), response.configuration());
    const auto config = core::DecodeConfiguration(base::AsBytes(response.configuration()));
    verifier_ = *core::ResponseVerifier::Create(*config);
  }

  std::string Value(const std::string& name) const {
    smime::CertificateEntry entry;
    entry.der = Certificate(name).der();
    return base::ToText(smime::CertificateSet::Create({entry})->Encode());
  }
  nlohmann::json Verify(const std::string& operation, base::ByteView request,
                        const std::string& response, int exit_code = 0) {
    WriteText(deployment_.File("request"), base::ToText(request));
    WriteText(deployment_.File("response"), response);
    const ProcessResult result = RunProcess(
        {ClientProgram(), "verify", "--operation", operation, "--config",
         deployment_.File("config"), "--request", deployment_.File("request"), "--response",
         deployment_.File("response"), "--state", deployment_.File("offline"), "--json"});
    EXPECT_EQ(result.exit_code, exit_code) << operation << ": " << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }
  using Method = grpc::Status (v1::Monitoring::Stub::*)(grpc::ClientContext*,
                                                        const v1::MonitoringRequest&,
                                                        v1::MonitoringResponse*);
  std::string Ask(Method method, base::ByteView request) {
    v1::MonitoringRequest body;
    body.set_request(request.data(), request.size());
    v1::MonitoringResponse response;
    grpc::ClientContext context;
    const auto stub = v1::Monitoring::NewStub(channel_);
    const grpc::Status status = (stub.get()->*method)(&context, body, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.response();
  }
  // All responses to one UpdateRequest, each verified against what the one before left.
  std::vector<nlohmann::json> Update(const std::vector<std::string>& values) {
    core::UpdateRequest request;
    request.last = state_.tree_size();
    request.label = base::ToBytes(kAlice);
    request.greatest_version = owner_.greatest_version();
    for (const std::string& value : values) request.values.push_back({base::ToBytes(value)});
    v1::UpdateRequest body;
    body.set_request(base::ToText(base::codec::Encode(request)));
    grpc::ClientContext context;
    if (!values.empty()) {
      std::string token = ReadText(deployment_.token_file());
      token.erase(token.find_last_not_of("\r\n") + 1);
      context.AddMetadata("authorization", "Bearer " + token);
    }
    const auto stub = v1::Publisher::NewStub(channel_);
    const auto reader = stub->Update(&context, body);
    std::vector<nlohmann::json> reports;
    v1::UpdateResponse message;
    while (reader->Read(&message)) {
      std::string damaged = message.response();
      damaged.back() = static_cast<char>(damaged.back() ^ 1);
      Verify("update", base::codec::Encode(request), damaged, 3);
      reports.push_back(Verify("update", base::codec::Encode(request), message.response()));
      const auto bytes = base::AsBytes(message.response());
      const auto verified =
          verifier_->VerifyUpdate(request, bytes, owner_, &state_, base::SystemClock().NowMs());
      EXPECT_TRUE(verified.ok()) << verified.status();
      if (!verified.ok()) break;
      owner_ = verified->owner;
      state_ = verified->state;
      const auto decoded = base::codec::Decode<core::UpdateResponse>(
          bytes, core::WireContext::For(verifier_->config()));
      request = core::FollowingUpdateRequest(request, *decoded, state_.tree_size());
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reports;
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  core::OwnerState owner_;
  core::UserState state_;
};

TEST_P(SavedResponses, AreVerifiedOfflineAgainstTheStateThatTheOthersLeft) {
  const core::OwnerInitRequest init{std::nullopt, base::ToBytes(kAlice), 0};
  const std::string initialized = Ask(&v1::Monitoring::Stub::OwnerInit, base::codec::Encode(init));
  EXPECT_EQ(Verify("owner-init", base::codec::Encode(init), initialized)["start"], 0);
  const auto begun = verifier_->VerifyOwnerInit(init, base::AsBytes(initialized), nullptr,
                                                base::SystemClock().NowMs());
  ASSERT_TRUE(begun.ok()) << begun.status();
  owner_ = begun->owner;
  state_ = begun->state;

  auto reports = Update({Value("alice.sign.crt.pem"), Value("alice.encr.crt.pem")});
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0]["own"], true);
  EXPECT_EQ(reports[0]["created"].size(), 2u) << "both in one entry";
  for (const char* certificate : {"alice.sign.crt.pem", "alice.encr.crt.pem"}) {
    PublishAsOther(certificate);
  }
  reports = Update({});
  ASSERT_EQ(reports.size(), 2u) << "two responses to one request";
  EXPECT_EQ(reports[0]["own"], false);
  EXPECT_EQ(reports[1]["created"][0]["version"], 3);
  EXPECT_EQ(reports[1]["created"][0]["value"],
            base::ToBase64(base::AsBytes(Value("alice.encr.crt.pem"))));

  PassWindow();
  const auto monitor =
      core::MakeOwnerMonitorRequest(base::AsBytes(kAlice), owner_, state_.tree_size());
  const std::string monitored =
      Ask(&v1::Monitoring::Stub::OwnerMonitor, base::codec::Encode(monitor));
  std::string damaged = monitored;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  Verify("owner-monitor", base::codec::Encode(monitor), damaged, 3);
  const auto report = Verify("owner-monitor", base::codec::Encode(monitor), monitored);
  EXPECT_EQ(report["complete"], true);
  EXPECT_GT(report["start"], 0);
}

TEST_P(SavedResponses, HeadsAreStreamedAndBelongToTheLogThatIsProven) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const auto stub = v1::Monitoring::NewStub(channel_);
  const auto reader = stub->WatchHeads(&context, {});
  const auto next = [&]() -> core::TreeHead {
    v1::WatchHeadsResponse response;
    if (!reader->Read(&response)) return {};
    return base::codec::Decode<core::TreeHead>(base::AsBytes(response.tree_head())).value();
  };
  EXPECT_EQ(next().tree_size, 1u) << "the first at once";
  for (base::TreeSize size = 2; size < 5; ++size) {
    PublishAsOther();
    const core::TreeHead head = next();
    EXPECT_EQ(head.tree_size, size);
    // What is proven at that size is signed by the same signature.
    const core::DistinguishedRequest walk;
    const std::string answer = Ask(&v1::Monitoring::Stub::Distinguished, base::codec::Encode(walk));
    const auto verified =
        core::VerifyDistinguished(*verifier_, core::RecentDefinition(), walk, base::AsBytes(answer),
                                  nullptr, base::SystemClock().NowMs());
    ASSERT_TRUE(verified.ok()) << verified.status();
    EXPECT_EQ(verified->state.tree_head, head);
  }
  context.TryCancel();
}

INSTANTIATE_TEST_SUITE_P(Suites, SavedResponses, ::testing::Values("p256", "ed25519"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kt::testing
