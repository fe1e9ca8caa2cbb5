// SPDX-License-Identifier: Apache-2.0
#include "kt-client/dns.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kt-client/dns_message.h"
#include "kt-client/failure.h"
#include "tests/kt-client/failure_matchers.h"
#include "tests/kt-client/stub_dns.h"
#include "tests/support/dns_server.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::client {
namespace {

using base::Bytes;
using base::ByteView;
using ::testing::AllOf;
using testing::DnsServer;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::SizeIs;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

constexpr uint16_t kRecursiveAnswer = kQr | kRd | kRa;

// --- text forms ----------------------------------------------------------------------------

TEST(ParseHostPort, AcceptsNamesAndAddresses) {
  EXPECT_THAT(ParseHostPort("KT.Example:443", std::nullopt),
              IsOkAndHolds(HostPort{"kt.example", 443}));
  EXPECT_THAT(ParseHostPort("192.0.2.1:65535", std::nullopt),
              IsOkAndHolds(HostPort{"192.0.2.1", 65535}));
  EXPECT_THAT(ParseHostPort("[2001:DB8::1]:1", std::nullopt),
              IsOkAndHolds(HostPort{"2001:db8::1", 1}));
  EXPECT_THAT(ParseHostPort("192.0.2.1", 53), IsOkAndHolds(HostPort{"192.0.2.1", 53}));
  EXPECT_THAT(ParseHostPort("::1", 53), IsOkAndHolds(HostPort{"::1", 53}));
  EXPECT_THAT(ParseHostPort("[::1]", 53), IsOkAndHolds(HostPort{"::1", 53}));
  EXPECT_EQ((HostPort{"2001:db8::1", 443}.ToString()), "[2001:db8::1]:443");
  EXPECT_EQ((HostPort{"kt.example", 443}.ToString()), "kt.example:443");
}

TEST(ParseHostPort, RejectsEverythingElse) {
  for (const char* text : {"",
                           ":",
                           ":443",
                           "kt.example",
                           "kt.example:",
                           "kt.example:0",
                           "kt.example:65536",
                           "kt.example:-1",
                           "kt.example:+1",
                           "kt.example: 1",
                           "kt.example:443x",
                           "kt example:443",
                           "kt..example:443",
                           ".kt.example:443",
                           "kt.example.:443",
                           "-kt.example:443",
                           "1.2.3:443",
                           "127.1:443",
                           "2001:db8::1",
                           "[2001:db8::1]",
                           "[2001:db8::1]443",
                           "[2001:db8::1:443",
                           "[192.0.2.1]:443",
                           "[fe80::1%eth0]:443",
                           "kt_1.example:443",
                           "http://kt.example:443"}) {
    EXPECT_THAT(ParseHostPort(text, std::nullopt), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  // Not cut off at a zero.
  const std::string zero("192.0.2.1\0.example:443", 22);
  EXPECT_THAT(ParseHostPort(zero, std::nullopt), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(IsHostName, KnowsTheLimits) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  EXPECT_TRUE(IsHostName(longest));
  EXPECT_FALSE(IsHostName(longest + "b"));
  EXPECT_FALSE(IsHostName(label + "a"));
  EXPECT_TRUE(IsHostName("localhost"));
  EXPECT_TRUE(IsHostName("xn--exmple-cua.example"));
  EXPECT_TRUE(IsHostName("3com.example"));
  EXPECT_FALSE(IsHostName("ex\xc3\xa4mple.example"));
  EXPECT_FALSE(IsHostName(std::string_view("a\0b.example", 11)));
  EXPECT_FALSE(IsHostName("*.example"));
  EXPECT_FALSE(IsHostName("192.0.2.1"));
}

// --- reading answers -----------------------------------------------------------------------

Bytes Empty(uint16_t flags) { return MessageBuilder("x.test", DnsType::kSrv, flags).Build(); }

TEST(CheckAnswer, TellsErrorsApart) {
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer)), IsOk());
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 1)), Fails(Failure::kServerFailure));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 2)), Fails(Failure::kServerFailure));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 3)), Fails(Failure::kNoSuchName));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 4)), Fails(Failure::kServerFailure));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 5)), Fails(Failure::kRefused));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 15)), Fails(Failure::kServerFailure));
}

TEST(CheckAnswer, RejectsWhatIsNoAnswer) {
  EXPECT_THAT(CheckAnswer(Bytes{}), Fails(Failure::kMalformedAnswer));
  EXPECT_THAT(CheckAnswer(Empty(kRd | kRa)), Fails(Failure::kMalformedAnswer));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | 0x2800)), Fails(Failure::kMalformedAnswer));
  EXPECT_THAT(CheckAnswer(Empty(kRecursiveAnswer | kTc)), Fails(Failure::kMalformedAnswer));
}

TEST(CheckAnswer, RejectsTooManyRecords) {
  MessageBuilder builder("x.test", DnsType::kA, kRecursiveAnswer);
  for (size_t i = 0; i < kMaxAnswerRecords; ++i) builder.A({192, 0, 2, 1});
  EXPECT_THAT(CheckAnswer(builder.Build()), IsOk());
  EXPECT_THAT(CheckAnswer(builder.A({192, 0, 2, 1}).Build()), Fails(Failure::kMalformedAnswer));
}

TEST(CheckAnswer, RejectsWrongCounts) {
  const Bytes good =
      MessageBuilder("x.test", DnsType::kA, kRecursiveAnswer).A({192, 0, 2, 1}).Build();
  ASSERT_THAT(CheckAnswer(good), IsOk());
  for (const size_t count : {4, 6, 8, 10}) {  // questions, answers, authorities, additions
    for (const uint8_t octet : {0, 1, 2}) {
      Bytes bad = good;
      if (bad[count + 1] == octet) continue;
      bad[count + 1] = octet;
      EXPECT_THAT(CheckAnswer(bad), Fails(Failure::kMalformedAnswer)) << count << " " << int{octet};
    }
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_THAT(CheckAnswer(longer), Fails(Failure::kMalformedAnswer));
}

// A server that is neither authoritative nor recursive sends empty answers for what it does not
// know; they must not pass for "the service is not offered".
TEST(CheckAnswer, RejectsAbsenceFromBystanders) {
  EXPECT_THAT(CheckAnswer(Empty(kQr)), Fails(Failure::kRefused));
  EXPECT_THAT(CheckAnswer(Empty(kQr | 3)), Fails(Failure::kRefused));
  EXPECT_THAT(CheckAnswer(Empty(kQr | kAa)), IsOk());
  EXPECT_THAT(CheckAnswer(Empty(kQr | kAa | 3)), Fails(Failure::kNoSuchName));
}

TEST(ParseSrvAnswer, ReadsRecordsBehindAliases) {
  const Bytes message = MessageBuilder("_sm.example", DnsType::kSrv, kRecursiveAnswer)
                            .Cname("elsewhere.example")
                            .Srv(10, 5, 443, "KT1.Provider.Example")
                            .Srv(20, 0, 8443, "")
                            .Build();
  EXPECT_THAT(ParseSrvAnswer(message),
              IsOkAndHolds(UnorderedElementsAre(SrvRecord{10, 5, 443, "kt1.provider.example"},
                                                SrvRecord{20, 0, 8443, ""})));
}

TEST(ParseSrvAnswer, TellsAbsenceFromDanglingAlias) {
  const auto message = [](uint16_t flags) {
    return MessageBuilder("_sm.example", DnsType::kSrv, flags).Cname("a.example").Build();
  };
  EXPECT_THAT(ParseSrvAnswer(message(kRecursiveAnswer)), Fails(Failure::kNoRecords));
  EXPECT_THAT(ParseSrvAnswer(message(kQr | kAa)), Fails(Failure::kRefused));
}

TEST(ParseSrvAnswer, RejectsTooManyRecords) {
  MessageBuilder builder("_sm.example", DnsType::kSrv, kRecursiveAnswer);
  for (size_t i = 0; i < kMaxSrvRecords; ++i) builder.Srv(0, 0, 443, "kt.example");
  EXPECT_THAT(ParseSrvAnswer(builder.Build()), IsOkAndHolds(SizeIs(kMaxSrvRecords)));
  EXPECT_THAT(ParseSrvAnswer(builder.Srv(0, 0, 443, "kt.example").Build()),
              Fails(Failure::kMalformedAnswer));
}

TEST(ParseTxtAnswer, JoinsChunksAndKeepsRecordsApart) {
  const Bytes message = MessageBuilder("_sm.example", DnsType::kTxt, kRecursiveAnswer)
                            .Txt({"v=kt1; ", "cfg"})
                            .Txt({"other"})
                            .Build();
  EXPECT_THAT(ParseTxtAnswer(message), IsOkAndHolds(UnorderedElementsAre("v=kt1; cfg", "other")));
}

TEST(ParseTxtAnswer, RejectsTooManyRecords) {
  MessageBuilder builder("_sm.example", DnsType::kTxt, kRecursiveAnswer);
  for (size_t i = 0; i <= kMaxTxtRecords; ++i) builder.Txt({"x"});
  EXPECT_THAT(ParseTxtAnswer(builder.Build()), Fails(Failure::kMalformedAnswer));
}

TEST(ParseAddressAnswer, ReadsAtMostItsLimit) {
  MessageBuilder ipv4("kt.example", DnsType::kA, kRecursiveAnswer);
  MessageBuilder ipv6("kt.example", DnsType::kAaaa, kRecursiveAnswer);
  for (uint8_t i = 0; i < 2 * kMaxAddresses; ++i) {
    ipv4.A({192, 0, 2, i});
    ipv6.Aaaa({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, i});
  }
  EXPECT_THAT(ParseAddressAnswer(ipv4.Build(), DnsType::kA),
              IsOkAndHolds(AllOf(SizeIs(kMaxAddresses), ::testing::Contains("192.0.2.7"))));
  EXPECT_THAT(ParseAddressAnswer(ipv6.Build(), DnsType::kAaaa),
              IsOkAndHolds(AllOf(SizeIs(kMaxAddresses), ::testing::Contains("2001:db8::107"))));
  EXPECT_THAT(ParseAddressAnswer(ipv4.Build(), DnsType::kAaaa), Fails(Failure::kNoRecords));
}

// Everything that reads answers, as Resolver and Discover apply it.
bool AnyParserAccepts(ByteView message) {
  if (!CheckAnswer(message).ok()) return false;
  const auto srv = ParseSrvAnswer(message);
  const auto txt = ParseTxtAnswer(message);
  const auto ipv4 = ParseAddressAnswer(message, DnsType::kA);
  const auto ipv6 = ParseAddressAnswer(message, DnsType::kAaaa);
  EXPECT_TRUE(!srv.ok() || srv->size() <= kMaxSrvRecords);
  EXPECT_TRUE(!txt.ok() || txt->size() <= kMaxTxtRecords);
  return srv.ok() || txt.ok() || ipv4.ok() || ipv6.ok();
}

std::vector<Bytes> SampleAnswers() {
  const auto builder = [](DnsType type) {
    return MessageBuilder("_sm._keytransparency._https.example.com", type, kRecursiveAnswer);
  };
  return {
      builder(DnsType::kSrv).Srv(1, 2, 443, "a.example").Srv(3, 4, 8443, "b.example").Build(),
      builder(DnsType::kTxt).Txt({"v=kt1; cfg=sha256:", std::string(64, 'a')}).Build(),
      builder(DnsType::kA).Cname("c.example").A({192, 0, 2, 1}).Build(),
      builder(DnsType::kAaaa).Aaaa({0x20, 0x01, 0x0d, 0xb8}).Build(),
  };
}

TEST(DnsMessage, RejectsEveryTruncation) {
  for (const Bytes& whole : SampleAnswers()) {
    ASSERT_TRUE(AnyParserAccepts(whole)) << base::ToHex(whole);
    for (size_t size = 0; size < whole.size(); ++size) {
      // A copy of its own, so that the sanitizer sees a read beyond its end.
      const Bytes part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_FALSE(AnyParserAccepts(part)) << size << " of " << whole.size();
    }
  }
}

TEST(DnsMessage, SurvivesRandomDamage) {
  const uint64_t seed = testing::TestSeed(20261121);
  SCOPED_TRACE(seed);
  testing::SeededRandom random(seed);
  const std::vector<Bytes> samples = SampleAnswers();
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    Bytes message = samples[random.Below(samples.size())];
    for (uint64_t flips = 1 + random.Below(8); flips > 0; --flips) {
      message[random.Below(message.size())] ^= static_cast<uint8_t>(1u << random.Below(8));
    }
    accepted += AnyParserAccepts(message) ? 1 : 0;
  }
  // Damage to a port or an address goes unnoticed; all else must not.
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 16'000);
}

// --- asking --------------------------------------------------------------------------------

std::unique_ptr<Resolver> NewResolver(const std::string& servers, int timeout_ms = 2000,
                                      DnsTrust trust = DnsTrust::kLoopback) {
  static testing::SeededRandom random(1);
  auto resolver = Resolver::Create({servers, trust, timeout_ms}, random);
  EXPECT_THAT(resolver, IsOk());
  return *std::move(resolver);
}

absl::StatusOr<DnsAnswer> AskOne(const Resolver& resolver, const std::string& name, DnsType type) {
  const std::vector<DnsQuestion> questions = {{name, type}};
  return resolver.Ask(questions, resolver.NewDeadline()).front();
}

absl::StatusOr<std::vector<SrvRecord>> AskSrv(const Resolver& resolver, const std::string& name) {
  const auto answer = AskOne(resolver, name, DnsType::kSrv);
  if (!answer.ok()) return answer.status();
  return ParseSrvAnswer(answer->message);
}

absl::StatusOr<std::vector<std::string>> AddressesOf(const Resolver& resolver,
                                                     const std::string& host) {
  const std::vector<std::string> hosts = {host};
  return resolver.LookupAddresses(hosts, resolver.NewDeadline()).front();
}

int ElapsedMs(std::chrono::steady_clock::time_point start) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(
                              std::chrono::steady_clock::now() - start)
                              .count());
}

class ResolverTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string large;
    for (int i = 0; i < 32; ++i) {
      large += "large SRV 1 2 " + std::to_string(1000 + i) + " a-host-with-a-rather-long-name-" +
               std::to_string(i) + ".of.a.provider.test.\n";
    }
    auto server = DnsServer::Start({
        {"example.com", large + "_kt SRV 10 1 443 kt1\n_kt SRV 20 0 444 kt2.example.org.\n"
                                "dot SRV 0 0 0 .\n"
                                "alias CNAME _kt\n"
                                "text TXT \"one\" \"two\"\n"
                                "both A 192.0.2.1\nboth A 192.0.2.2\nboth AAAA 2001:db8::1\n"
                                "only4 A 192.0.2.4\nonly6 AAAA 2001:db8::6\n"
                                "aliased CNAME both\n"},
        {"broken.test", "", /*loadable=*/false},
    });
    ASSERT_THAT(server, IsOk());
    server_ = std::move(*server).release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static DnsServer* server_;
};
DnsServer* ResolverTest::server_ = nullptr;

TEST_F(ResolverTest, FindsSrvRecords) {
  for (const std::string& address : {server_->address(), server_->address_ipv6()}) {
    const auto resolver = NewResolver(address);
    EXPECT_THAT(AskSrv(*resolver, "_kt.example.com"),
                IsOkAndHolds(UnorderedElementsAre(SrvRecord{10, 1, 443, "kt1.example.com"},
                                                  SrvRecord{20, 0, 444, "kt2.example.org"})));
    EXPECT_THAT(AskSrv(*resolver, "dot.example.com"),
                IsOkAndHolds(ElementsAre(SrvRecord{0, 0, 0, ""})));
    EXPECT_THAT(AskSrv(*resolver, "alias.example.com"), IsOkAndHolds(SizeIs(2)));
    EXPECT_THAT(AskSrv(*resolver, "_KT.EXAMPLE.COM"), IsOkAndHolds(SizeIs(2)));
  }
}

TEST_F(ResolverTest, FindsTextAndAddresses) {
  const auto resolver = NewResolver(server_->address());
  const auto text = AskOne(*resolver, "text.example.com", DnsType::kTxt);
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(ParseTxtAnswer(text->message), IsOkAndHolds(ElementsAre("onetwo")));
  EXPECT_THAT(AddressesOf(*resolver, "both.example.com"),
              IsOkAndHolds(AllOf(UnorderedElementsAre("192.0.2.1", "192.0.2.2", "2001:db8::1"),
                                 ::testing::Contains("2001:db8::1"))));
  EXPECT_EQ(AddressesOf(*resolver, "both.example.com")->front(), "2001:db8::1");
  EXPECT_THAT(AddressesOf(*resolver, "aliased.example.com"), IsOkAndHolds(SizeIs(3)));
  EXPECT_THAT(AddressesOf(*resolver, "only4.example.com"), IsOkAndHolds(ElementsAre("192.0.2.4")));
  EXPECT_THAT(AddressesOf(*resolver, "only6.example.com"),
              IsOkAndHolds(ElementsAre("2001:db8::6")));
}

TEST_F(ResolverTest, FetchesLargeAnswersOverTcp) {
  const auto resolver = NewResolver(server_->address());
  ASSERT_OK_AND_ASSIGN(const auto answer, AskOne(*resolver, "large.example.com", DnsType::kSrv));
  EXPECT_GT(answer.message.size(), 1232u);  // beyond what any EDNS would have let through
  EXPECT_THAT(ParseSrvAnswer(answer.message), IsOkAndHolds(SizeIs(32)));
}

TEST_F(ResolverTest, TellsAbsenceFromFailure) {
  const auto resolver = NewResolver(server_->address());
  EXPECT_THAT(AskSrv(*resolver, "nosuch.example.com"), Fails(Failure::kNoSuchName));
  EXPECT_THAT(AskSrv(*resolver, "both.example.com"), Fails(Failure::kNoRecords));
  EXPECT_THAT(AskSrv(*resolver, "broken.test"), Fails(Failure::kServerFailure));
  EXPECT_THAT(AskSrv(*resolver, "elsewhere.test"), Fails(Failure::kRefused));
  EXPECT_THAT(AddressesOf(*resolver, "nosuch.example.com"), Fails(Failure::kNoSuchName));
  EXPECT_THAT(AddressesOf(*resolver, "text.example.com"), Fails(Failure::kNoRecords));
  EXPECT_THAT(AddressesOf(*resolver, "kt.broken.test"), Fails(Failure::kServerFailure));
  EXPECT_THAT(AskSrv(*resolver, "hidden.onion"), Fails(Failure::kNoSuchName));
  EXPECT_THAT(AskSrv(*resolver, "a..b"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ResolverTest, AsksTheNextServer) {
  StubDns silent([](ByteView, bool) { return Bytes{}; });
  StubDns failing(
      [](ByteView query, bool) { return MessageBuilder(query, kRecursiveAnswer | 2).Build(); });
  StubDns malformed([](ByteView query, bool) {
    return MessageBuilder(query, kRecursiveAnswer | kAa | 0x2800).Build();
  });
  for (const StubDns* first : {&silent, &failing, &malformed}) {
    const auto resolver = NewResolver(first->address() + "," + server_->address(), 1000);
    EXPECT_THAT(AskSrv(*resolver, "_kt.example.com"), IsOkAndHolds(SizeIs(2)));
    EXPECT_GE(first->queries(), 1);
  }
  // A server's error says more than another's silence, in either order.
  EXPECT_THAT(AskSrv(*NewResolver(failing.address() + "," + silent.address(), 400), "x.test"),
              Fails(Failure::kServerFailure));
  EXPECT_THAT(AskSrv(*NewResolver(silent.address() + "," + failing.address(), 400), "x.test"),
              Fails(Failure::kServerFailure));
}

// A first server that says "does not exist" has answered; the next is not asked for a better one.
TEST_F(ResolverTest, BelievesTheFirstAnswer) {
  StubDns second([](ByteView query, bool) {
    return MessageBuilder(query, kRecursiveAnswer).Srv(0, 0, 443, "evil.test").Build();
  });
  const auto resolver = NewResolver(server_->address() + "," + second.address());
  EXPECT_THAT(AskSrv(*resolver, "nosuch.example.com"), Fails(Failure::kNoSuchName));
  EXPECT_EQ(second.queries(), 0);
}

TEST(Resolver, EndsInTimeWhenNobodyAnswers) {
  StubDns silent([](ByteView, bool) { return Bytes{}; });
  const auto resolver = NewResolver(silent.address(), 300);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(AskSrv(*resolver, "_kt.example.com"), Fails(Failure::kTimeout));
  EXPECT_THAT(ElapsedMs(start), AllOf(Ge(200), ::testing::Le(2000)));
  EXPECT_EQ(silent.queries(), 3);  // lost packets are asked for again
}

TEST(Resolver, EndsInTimeWhenTcpStalls) {
  StubDns stalling([](ByteView query, bool is_tcp) {
    if (is_tcp) std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    return is_tcp ? Bytes{} : MessageBuilder(query, kRecursiveAnswer | kTc).Build();
  });
  const auto resolver = NewResolver(stalling.address(), 300);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(AskSrv(*resolver, "_kt.example.com"), Fails(Failure::kTimeout));
  EXPECT_LT(ElapsedMs(start), 950);
}

TEST(Resolver, ReportsAClosedPort) {
  std::string address;
  {
    address = StubDns([](ByteView, bool) { return Bytes{}; }).address();
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(AskSrv(*NewResolver(address), "_kt.example.com"), Fails(Failure::kNoDnsServer));
  EXPECT_LT(ElapsedMs(start), 1000);
}

TEST(Resolver, IgnoresAnswersToOtherQuestions) {
  StubDns forging([](ByteView query, bool) {
    Bytes other_id = MessageBuilder(query, kRecursiveAnswer).Srv(0, 0, 1, "evil.test").Build();
    other_id[0] ^= 1;
    Bytes other_name = MessageBuilder(query, kRecursiveAnswer).Srv(0, 0, 1, "evil.test").Build();
    other_name[13] ^= 1;
    return query[1] % 2 == 0 ? other_id : other_name;
  });
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(AskSrv(*NewResolver(forging.address(), 100), "_kt.example.com"),
                Fails(Failure::kTimeout));
  }
}

TEST(Resolver, AsksForAuthenticatedDataOverPlainDns) {
  Bytes seen;
  {
    StubDns stub([&](ByteView query, bool) {
      seen = base::ToBytes(query);
      return MessageBuilder(query, kRecursiveAnswer).Srv(0, 0, 443, "kt.test").Build();
    });
    ASSERT_THAT(AskSrv(*NewResolver(stub.address()), "_kt.example.com"), IsOk());
  }
  ASSERT_GE(seen.size(), 12u);
  EXPECT_EQ(seen[2] << 8 | seen[3], kRd | kAd);
  EXPECT_EQ(seen[11], 0);  // no additional record, so no EDNS
}

StubDns::Handler Authenticating(uint16_t flags) {
  return [flags](ByteView query, bool) {
    return MessageBuilder(query, flags).Srv(0, 0, 443, "kt.test").Build();
  };
}

TEST(Resolver, BelievesAuthenticatedDataFromLoopback) {
  for (const std::string& host : std::vector<std::string>{"127.0.0.1", "127.3.2.1", "::1"}) {
    StubDns with(Authenticating(kRecursiveAnswer | kAd), host);
    StubDns without(Authenticating(kRecursiveAnswer), host);
    ASSERT_OK_AND_ASSIGN(const auto yes,
                         AskOne(*NewResolver(with.address()), "_kt.test", DnsType::kSrv));
    EXPECT_TRUE(yes.authenticated) << host;
    ASSERT_OK_AND_ASSIGN(const auto no,
                         AskOne(*NewResolver(without.address()), "_kt.test", DnsType::kSrv));
    EXPECT_FALSE(no.authenticated) << host;
  }
}

// An address of this machine that is not a loopback address; empty if it has none.
std::string OutwardAddress() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return "";
  std::string found;
  for (const ifaddrs* entry = list; entry != nullptr && found.empty(); entry = entry->ifa_next) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      if (ntohl(address->sin_addr.s_addr) >> 24 == 127) continue;
      inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      if (IN6_IS_ADDR_LOOPBACK(&address->sin6_addr) || address->sin6_scope_id != 0) continue;
      inet_ntop(AF_INET6, &address->sin6_addr, text.data(), text.size());
    }
    found = text.data();
  }
  freeifaddrs(list);
  return found;
}

TEST(Resolver, DoubtsAuthenticatedDataFromAfarUnlessTrusted) {
  const std::string host = OutwardAddress();
  if (host.empty()) GTEST_SKIP() << "this machine has loopback addresses only";
  StubDns stub(Authenticating(kRecursiveAnswer | kAd), host);
  ASSERT_OK_AND_ASSIGN(const auto doubted,
                       AskOne(*NewResolver(stub.address()), "_kt.test", DnsType::kSrv));
  EXPECT_FALSE(doubted.authenticated);
  ASSERT_OK_AND_ASSIGN(
      const auto trusted,
      AskOne(*NewResolver(stub.address(), 2000, DnsTrust::kAlways), "_kt.test", DnsType::kSrv));
  EXPECT_TRUE(trusted.authenticated);
}

// A forwarder on loopback that passes the bit on from whoever claims it.
TEST(Resolver, DoubtsAuthenticatedDataFromLoopbackIfToldTo) {
  StubDns stub(Authenticating(kRecursiveAnswer | kAd));
  ASSERT_OK_AND_ASSIGN(
      const auto doubted,
      AskOne(*NewResolver(stub.address(), 2000, DnsTrust::kNever), "_kt.test", DnsType::kSrv));
  EXPECT_FALSE(doubted.authenticated);
  ASSERT_OK_AND_ASSIGN(const auto believed,
                       AskOne(*NewResolver(stub.address()), "_kt.test", DnsType::kSrv));
  EXPECT_TRUE(believed.authenticated);
}

// Over the network this time: c-ares looks at the bytes first. Question "tN" gets the first N
// bytes of a good answer, question "fN" a good answer with some bits flipped.
TEST(Resolver, SurvivesTruncatedAndDamagedAnswers) {
  const uint64_t seed = testing::TestSeed(7);
  SCOPED_TRACE(seed);
  testing::SeededRandom random(seed);
  StubDns stub([&](ByteView query, bool) {
    Bytes answer =
        MessageBuilder(query, kRecursiveAnswer).Srv(1, 2, 443, "kt.test").Txt({"xyz"}).Build();
    const std::string name = QuestionName(query);
    if (name[0] == 't') {
      answer.resize(std::min<size_t>(answer.size(), std::stoul(name.substr(1))));
    } else {
      for (uint64_t flips = 1 + random.Below(4); flips > 0; --flips) {
        answer[random.Below(answer.size())] ^= static_cast<uint8_t>(1u << random.Below(8));
      }
    }
    return answer;
  });
  std::vector<DnsQuestion> questions;
  for (int i = 1; i <= 60; ++i) {
    questions.push_back({absl::StrCat("t", i, ".test"), DnsType::kSrv});
    questions.push_back({absl::StrCat("f", i, ".test"), DnsType::kSrv});
  }
  const auto resolver = NewResolver(stub.address(), 700);
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const auto answers = resolver->Ask(questions, resolver->NewDeadline());
    EXPECT_LT(ElapsedMs(start), 2500);
    for (const auto& answer : answers) {
      if (answer.ok()) AnyParserAccepts(answer->message);
    }
    for (size_t i = 0; i < questions.size(); i += 2) {
      EXPECT_THAT(answers[i].status(), ::testing::Not(IsOk())) << questions[i].name;
    }
  }
}

TEST(Resolver, DoesNotWaitLongForStragglers) {
  StubDns stub([](ByteView query, bool) {
    const std::string name = QuestionName(query);
    if (name == "first.test" && QuestionType(query) == DnsType::kA) {
      return MessageBuilder(query, kRecursiveAnswer).A({192, 0, 2, 1}).Build();
    }
    if (name == "second.test" && QuestionType(query) == DnsType::kAaaa) {
      return MessageBuilder(query, kRecursiveAnswer).Aaaa({0x20, 1}).Build();
    }
    return Bytes{};
  });
  const auto resolver = NewResolver(stub.address(), 20'000);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> hosts = {"first.test", "second.test", "third.test"};
  const auto addresses = resolver->LookupAddresses(hosts, resolver->NewDeadline());
  EXPECT_LT(ElapsedMs(start), 2500);  // c-ares itself would wake at 2857 only
  EXPECT_THAT(addresses[0], IsOkAndHolds(ElementsAre("192.0.2.1")));
  EXPECT_THAT(addresses[1], IsOkAndHolds(ElementsAre("2001::")));
  EXPECT_THAT(addresses[2], Fails(Failure::kTimeout));
}

TEST(Resolver, LooksIntoTheHostsFile) {
  if (!std::filesystem::exists("/etc/hosts")) GTEST_SKIP() << "this machine has no hosts file";
  StubDns stub([](ByteView, bool) { return Bytes{}; });
  const auto resolver = NewResolver(stub.address(), 500);
  EXPECT_THAT(AddressesOf(*resolver, "localhost"), IsOkAndHolds(::testing::Contains("127.0.0.1")));
  EXPECT_EQ(stub.queries(), 0);
}

TEST(Resolver, RejectsUnreadableConfigurations) {
  testing::SeededRandom random(1);
  for (const std::string& servers : std::vector<std::string>{
           "dns.example:53", "127.0.0.1:0", "127.0.0.1:53,", ",127.0.0.1", "127.0.0.1:53:53", " ",
           "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,::1"}) {
    EXPECT_THAT(Resolver::Create({servers}, random).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << servers;
  }
  EXPECT_THAT(Resolver::Create({"127.0.0.1", DnsTrust::kLoopback, 0}, random).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("time-out")));
}

TEST(Resolver, TakesTheSystemsServersByDefault) {
  testing::SeededRandom random(1);
  EXPECT_THAT(Resolver::Create({}, random), IsOk());
}

TEST_F(ResolverTest, ServesSeveralThreads) {
  const auto resolver = NewResolver(server_->address());
  std::vector<std::thread> threads;
  std::atomic<int> found{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) found += AskSrv(*resolver, "_kt.example.com").ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found, 80);
}

}  // namespace
}  // namespace kt::client
