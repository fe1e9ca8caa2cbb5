// SPDX-License-Identifier: Apache-2.0
#include "kt-client/channel.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "kt-client/failure.h"
#include "tests/kt-client/failure_matchers.h"
#include "tests/kt-client/stub_dns.h"
#include "tests/kt-client/tls_fixture.h"
#include "tests/support/dns_server.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;
using Kind = FailedAttempt::Kind;

constexpr char kDomain[] = "mail.test";
constexpr char kTarget[] = "kt.provider.test";

const TestCa& Ca() {
  static const TestCa ca("Test CA");
  return ca;
}

ConnectOptions Trusting(const TestCa& ca, int timeout_ms = 5000) {
  return {ca.root_pem(), timeout_ms};
}

ConnectAttempt At(const HostPort& address, const std::string& tls_name = kDomain) {
  return {address, kTarget, tls_name, "the test wants it"};
}

const TestCa& UnknownCa() {
  static const TestCa ca("Unknown CA");
  return ca;
}

MATCHER_P(FailedWith, kind, "failed in that way") {
  *result_listener << arg.reason;
  return arg.kind == kind;
}

grpc::Status GetConfiguration(const Connection& connection, std::string* configuration) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  v1::GetConfigurationResponse response;
  const grpc::Status status =
      v1::KeyTransparency::NewStub(connection.channel)->GetConfiguration(&context, {}, &response);
  *configuration = response.configuration();
  return status;
}

absl::StatusOr<Connection> ConnectTo(const TlsIdentity& identity,
                                     const std::string& tls_name = kDomain) {
  TlsServer server(identity);
  return Connect({At(server.address(), tls_name)}, kDomain, Trusting(Ca()));
}

TEST(Connect, AcceptsTheDemandedName) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    TlsServer server(Ca().Issue({"other.test", kDomain}), host);
    ASSERT_OK_AND_ASSIGN(const Connection connection,
                         Connect({At(server.address())}, kDomain, Trusting(Ca())));
    EXPECT_EQ(connection.used.address, server.address());
    EXPECT_EQ(connection.used.tls_name, kDomain);
    EXPECT_THAT(connection.failures, IsEmpty());
    std::string configuration;
    EXPECT_TRUE(GetConfiguration(connection, &configuration).ok());
    EXPECT_EQ(configuration, "configuration");
    EXPECT_EQ(server.last_authority(), kDomain);
  }
}

TEST(Connect, AcceptsAWildcardOneLabelDeep) {
  EXPECT_THAT(ConnectTo(Ca().Issue({"*.provider.test"}), kTarget), IsOk());
  EXPECT_THAT(ConnectTo(Ca().Issue({"*.test"}), kTarget), Fails(Failure::kTlsFailed));
  EXPECT_THAT(ConnectTo(Ca().Issue({"*.mail.test"})), Fails(Failure::kTlsFailed));
}

TEST(Connect, RejectsAnotherName) {
  for (const char* name : {kTarget, "mail.test.evil.test", "xmail.test", "www.mail.test", "test"}) {
    EXPECT_THAT(
        ConnectTo(Ca().Issue({name})),
        AllOf(Fails(Failure::kTlsFailed),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("may speak for mail.test"), HasSubstr(kTarget),
                             HasSubstr("certificate for mail.test, demanded because the test"),
                             HasSubstr("Peer name mail.test is not in peer certificate")))))
        << name;
  }
}

TEST(Connect, RejectsCertificatesThatAreNotGood) {
  const std::vector<std::string> names = {kDomain};
  EXPECT_THAT(ConnectTo(Ca().Issue(names, {-30, -1})), Fails(Failure::kTlsFailed));
  EXPECT_THAT(ConnectTo(Ca().Issue(names, {1, 30})), Fails(Failure::kTlsFailed));
  EXPECT_THAT(ConnectTo(Ca().Issue(names, {}, "clientAuth")), Fails(Failure::kTlsFailed));
  EXPECT_THAT(ConnectTo(UnknownCa().Issue(names)), Fails(Failure::kTlsFailed));
  // A CA of the trusted one's name, whose signatures only the key can tell apart.
  EXPECT_THAT(ConnectTo(TestCa("Test CA").Issue(names)), Fails(Failure::kTlsFailed));
  EXPECT_THAT(ConnectTo(Ca().Issue(names)), IsOk());
}

TEST(Connect, DoesNotTrustPrivateCasByDefault) {
  TlsServer server(Ca().Issue({kDomain}));
  EXPECT_THAT(Connect({At(server.address())}, kDomain, ConnectOptions{"", 5000}),
              Fails(Failure::kTlsFailed));
}

TEST(Connect, GoesOnToTheNextServer) {
  TlsServer wrong(Ca().Issue({"other.test"}));
  RawTcpServer garbage("220 mail.test ESMTP\r\n");
  TlsServer good(Ca().Issue({kDomain}));
  const HostPort closed = ClosedPort();
  ASSERT_OK_AND_ASSIGN(
      const Connection connection,
      Connect({At(closed), At(wrong.address()), At(garbage.address()), At(good.address())}, kDomain,
              Trusting(Ca())));
  EXPECT_EQ(connection.used.address, good.address());
  EXPECT_THAT(connection.failures,
              ElementsAre(FailedWith(Kind::kNoAnswer), FailedWith(Kind::kRejected),
                          FailedWith(Kind::kRejected)));
  std::string configuration;
  EXPECT_TRUE(GetConfiguration(connection, &configuration).ok());
}

TEST(Connect, GoesOnWhenAServerIsSilent) {
  RawTcpServer silent("");
  TlsServer good(Ca().Issue({kDomain}));
  const auto start = std::chrono::steady_clock::now();
  ASSERT_OK_AND_ASSIGN(
      const Connection connection,
      Connect({At(silent.address()), At(good.address())}, kDomain, Trusting(Ca(), 3000)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(2900));
  EXPECT_EQ(connection.used.address, good.address());
  EXPECT_THAT(connection.failures, ElementsAre(FailedWith(Kind::kNoAnswer)));
}

// Without DNSSEC there is one attempt, for the mail domain; with it a second, for the target.
TEST(Connect, TriesTheTargetsNameAtTheSameServer) {
  TlsServer server(Ca().Issue({kTarget}));
  ASSERT_OK_AND_ASSIGN(
      const Connection connection,
      Connect({At(server.address()), At(server.address(), kTarget)}, kDomain, Trusting(Ca())));
  EXPECT_EQ(connection.used.tls_name, kTarget);
  EXPECT_THAT(connection.failures, ElementsAre(FailedWith(Kind::kRejected)));
  std::string configuration;
  EXPECT_TRUE(GetConfiguration(connection, &configuration).ok());
}

TEST(Connect, DoesNotTryASecondNameWhereNobodyAnswers) {
  RawTcpServer silent("");
  const HostPort closed = ClosedPort();
  TlsServer good(Ca().Issue({kTarget}));
  ASSERT_OK_AND_ASSIGN(
      const Connection connection,
      Connect({At(closed), At(closed, kTarget), At(silent.address()), At(silent.address(), kTarget),
               At(good.address()), At(good.address(), kTarget)},
              kDomain, Trusting(Ca(), 9000)));
  EXPECT_THAT(connection.failures,
              ElementsAre(FailedWith(Kind::kNoAnswer), FailedWith(Kind::kNotTried),
                          FailedWith(Kind::kNoAnswer), FailedWith(Kind::kNotTried),
                          FailedWith(Kind::kRejected)));
  EXPECT_EQ(silent.connections(), 1);
}

TEST(Connect, EndsInTimeAndTellsWhoDidNotAnswer) {
  RawTcpServer silent("");
  std::vector<ConnectAttempt> attempts = {At(ClosedPort())};
  for (int i = 0; i < 8; ++i) {
    attempts.push_back(At(silent.address(), absl::StrCat("n", i, ".test")));
    attempts.push_back(At(ClosedPort()));
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(Connect(attempts, kDomain, Trusting(Ca(), 1000)),
              AllOf(Fails(Failure::kNoServer),
                    StatusIs(absl::StatusCode::kUnavailable,
                             AllOf(HasSubstr("no Key Transparency server of mail.test answered"),
                                   HasSubstr("Connection refused"), HasSubstr("no answer within"),
                                   HasSubstr("more")))));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(3000));
}

TEST(Connect, RejectsAnEmptyTask) {
  EXPECT_THAT(Connect({}, kDomain, Trusting(Ca())), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Connect({At(ClosedPort())}, kDomain, Trusting(Ca(), 0)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Connect, IgnoresProxies) {
  RawTcpServer proxy("");
  const std::string url = absl::StrCat("http://", proxy.address().ToString());
  TlsServer server(Ca().Issue({kDomain}));
  for (const char* variable : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    setenv(variable, url.c_str(), 1);
  }
  EXPECT_THAT(Connect({At(server.address())}, kDomain, Trusting(Ca())), IsOk());
  for (const char* variable : {"grpc_proxy", "https_proxy", "http_proxy"}) unsetenv(variable);
  EXPECT_EQ(proxy.connections(), 0);
}

TEST(Connect, BoundsMessages) {
  TlsServer server(Ca().Issue({kDomain}));
  ASSERT_OK_AND_ASSIGN(const Connection connection,
                       Connect({At(server.address())}, kDomain, Trusting(Ca())));
  std::string configuration;
  server.set_configuration(std::string(kMaxMessageBytes - 100, 'x'));
  EXPECT_TRUE(GetConfiguration(connection, &configuration).ok());
  EXPECT_THAT(configuration, SizeIs(kMaxMessageBytes - 100));
  server.set_configuration(std::string(kMaxMessageBytes, 'x'));
  EXPECT_EQ(GetConfiguration(connection, &configuration).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// A compressed message could unpack to a thousand times what the limit counts, so none is unpacked,
// however small.
TEST(Connect, DoesNotUnpackMessages) {
  TlsServer server(Ca().Issue({kDomain}));
  ASSERT_OK_AND_ASSIGN(const Connection connection,
                       Connect({At(server.address())}, kDomain, Trusting(Ca())));
  std::string configuration;
  server.set_configuration(std::string(1 << 20, 'x'), /*compressed=*/true);
  const grpc::Status status = GetConfiguration(connection, &configuration);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(configuration.size(), 0u);
}

// --- LoadRoots -----------------------------------------------------------------------------

class LoadRootsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  ~LoadRootsTest() override { std::filesystem::remove(path_); }
  const std::string path_ = absl::StrCat(::testing::TempDir(), "/kt-roots-", getpid(), ".pem");
};

TEST_F(LoadRootsTest, ReadsSeveralCertificates) {
  const std::string text = absl::StrCat("# ours\n", Ca().root_pem(), "\n", UnknownCa().root_pem());
  ASSERT_OK_AND_ASSIGN(const std::string roots, LoadRoots(Write(text)));
  TlsServer one(Ca().Issue({kDomain}));
  TlsServer two(UnknownCa().Issue({kDomain}));
  EXPECT_THAT(Connect({At(one.address())}, kDomain, {roots, 5000}), IsOk());
  EXPECT_THAT(Connect({At(two.address())}, kDomain, {roots, 5000}), IsOk());
}

TEST_F(LoadRootsTest, RejectsFilesWithoutCertificates) {
  std::string damaged = Ca().root_pem();
  damaged[damaged.size() / 2] = damaged[damaged.size() / 2] == 'A' ? 'B' : 'A';
  std::string cut = Ca().root_pem();
  cut.resize(cut.size() / 2);
  for (const std::string& text :
       {std::string(), std::string("no certificate"), Ca().Issue({kDomain}).key_pem, cut,
        Ca().root_pem() + cut,
        Ca().root_pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_THAT(LoadRoots(Write(text)), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
  EXPECT_THAT(LoadRoots(path_ + ".none"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(LoadRoots(Write(std::string((1 << 20) + 1, '\n'))),
              StatusIs(absl::StatusCode::kOutOfRange));
}

// --- from the domain to a call -------------------------------------------------------------

TEST(DiscoverAndConnect, FailsOverFromADeadServerToTheNext) {
  TlsServer server(Ca().Issue({kDomain}));
  auto dns = testing::DnsServer::Start(
      {{kDomain, absl::StrCat("_sm._keytransparency._https SRV 1 0 ", ClosedPort().port,
                              " dead\n_sm._keytransparency._https SRV 2 0 ", server.address().port,
                              " alive\ndead A 127.0.0.1\nalive A 127.0.0.1\n")}});
  ASSERT_THAT(dns, IsOk());
  testing::SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(const auto resolver, Resolver::Create({(*dns)->address()}, random));
  ASSERT_OK_AND_ASSIGN(const Discovery found, Discover(*resolver, kDomain, random));
  ASSERT_OK_AND_ASSIGN(const Connection connection,
                       Connect(found.attempts, kDomain, Trusting(Ca())));
  EXPECT_EQ(connection.used.host, "alive.mail.test");
  EXPECT_THAT(connection.failures, ElementsAre(FailedWith(Kind::kNoAnswer)));
  std::string configuration;
  EXPECT_TRUE(GetConfiguration(connection, &configuration).ok());
}

// The attack that the policy is for: a forged SRV answer names a host for which the attacker has
// a perfectly good certificate.
TEST(DiscoverAndConnect, RejectsAHijackedTargetWithAnHonestCertificate) {
  TlsServer attacker(Ca().Issue({kTarget}));
  const auto dns = [&](uint16_t flags) {
    return [&, flags](base::ByteView query, bool) {
      MessageBuilder answer(query, static_cast<uint16_t>(kQr | kRd | kRa | flags));
      if (QuestionType(query) == DnsType::kSrv) answer.Srv(0, 0, attacker.address().port, kTarget);
      if (QuestionType(query) == DnsType::kA) answer.A({127, 0, 0, 1});
      return answer.Build();
    };
  };
  testing::SeededRandom random(1);
  StubDns forged(dns(0));
  ASSERT_OK_AND_ASSIGN(const auto resolver, Resolver::Create({forged.address()}, random));
  ASSERT_OK_AND_ASSIGN(const Discovery found, Discover(*resolver, kDomain, random));
  EXPECT_THAT(Connect(found.attempts, kDomain, Trusting(Ca())),
              AllOf(Fails(Failure::kTlsFailed),
                    StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not verified by DNSSEC"))));

  // The same records, verified: now the target is whom the domain itself named.
  StubDns verified(dns(kAd));
  ASSERT_OK_AND_ASSIGN(const auto validating, Resolver::Create({verified.address()}, random));
  ASSERT_OK_AND_ASSIGN(const Discovery honest, Discover(*validating, kDomain, random));
  ASSERT_OK_AND_ASSIGN(const Connection connection,
                       Connect(honest.attempts, kDomain, Trusting(Ca())));
  EXPECT_EQ(connection.used.tls_name, kTarget);
}

}  // namespace
}  // namespace kt::client
