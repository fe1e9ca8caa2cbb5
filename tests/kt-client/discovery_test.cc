// SPDX-License-Identifier: Apache-2.0
#include "kt-client/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
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
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::SeededRandom;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr uint16_t kRecursiveAnswer = kQr | kRd | kRa;
const char kHex[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

// --- the order of RFC 2782 -----------------------------------------------------------------

std::vector<std::string> TargetsOf(const std::vector<SrvRecord>& records) {
  std::vector<std::string> targets;
  for (const SrvRecord& record : records) targets.push_back(record.target);
  return targets;
}

TEST(OrderSrvRecords, PutsLowerPrioritiesFirst) {
  SeededRandom random(3);
  const std::vector<SrvRecord> records = {
      {30, 65535, 1, "c"}, {10, 0, 1, "a"}, {20, 1, 1, "b"}, {65535, 9, 1, "d"}};
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(TargetsOf(OrderSrvRecords(records, random)), ElementsAre("a", "b", "c", "d"));
  }
  EXPECT_THAT(OrderSrvRecords({}, random), IsEmpty());
}

// How often each order comes in `kDraws` draws.
constexpr int kDraws = 20'000;
std::map<std::string, int> CountOrders(const std::vector<SrvRecord>& records, uint64_t seed) {
  SeededRandom random(seed);
  std::map<std::string, int> counts;
  for (int i = 0; i < kDraws; ++i) {
    std::string order;
    for (const SrvRecord& record : OrderSrvRecords(records, random)) order += record.target;
    ++counts[order];
  }
  return counts;
}

// Within five standard deviations of a binomial distribution.
void ExpectShare(int count, double probability) {
  const double tolerance = 5 * std::sqrt(kDraws * probability * (1 - probability));
  EXPECT_NEAR(count, kDraws * probability, tolerance);
}

TEST(OrderSrvRecords, ChoosesByWeight) {
  const uint64_t seed = testing::TestSeed(11);
  SCOPED_TRACE(seed);
  auto counts = CountOrders({{1, 100, 1, "a"}, {1, 300, 1, "b"}, {1, 600, 1, "c"}}, seed);
  // A draw from 0 to 1000 inclusive: to whichever record stands first falls 0 besides its weight,
  // which the tolerance covers. Then the same among those that are left.
  ExpectShare(counts["abc"], 0.1 * 300 / 900);
  ExpectShare(counts["acb"], 0.1 * 600 / 900);
  ExpectShare(counts["bac"], 0.3 * 100 / 700);
  ExpectShare(counts["bca"], 0.3 * 600 / 700);
  ExpectShare(counts["cab"], 0.6 * 100 / 400);
  ExpectShare(counts["cba"], 0.6 * 300 / 400);
}

TEST(OrderSrvRecords, GivesWeightZeroASmallChance) {
  const uint64_t seed = testing::TestSeed(12);
  SCOPED_TRACE(seed);
  auto counts = CountOrders({{1, 9, 1, "b"}, {1, 0, 1, "a"}}, seed);
  ExpectShare(counts["ab"], 0.1);  // the draw is 0, of 0 to 9
  ExpectShare(counts["ba"], 0.9);
}

TEST(OrderSrvRecords, SpreadsLoadWhenAllWeightsAreZero) {
  const uint64_t seed = testing::TestSeed(13);
  SCOPED_TRACE(seed);
  auto counts = CountOrders({{1, 0, 1, "a"}, {1, 0, 1, "b"}, {1, 0, 1, "c"}}, seed);
  ASSERT_THAT(counts, SizeIs(6));
  for (const auto& [order, count] : counts) ExpectShare(count, 1.0 / 6);
}

TEST(OrderSrvRecords, KeepsEveryRecord) {
  SeededRandom random(5);
  for (int i = 0; i < 200; ++i) {
    std::vector<SrvRecord> records;
    for (uint64_t n = random.Below(32); n > 0; --n) {
      records.push_back({static_cast<uint16_t>(random.Below(3)),
                         static_cast<uint16_t>(random.Below(65536)), static_cast<uint16_t>(n),
                         "x"});
    }
    EXPECT_THAT(OrderSrvRecords(records, random), ::testing::UnorderedElementsAreArray(records));
  }
}

// --- the pin -------------------------------------------------------------------------------

std::string Pin(const std::string& hex) { return "v=kt1; cfg=sha256:" + hex; }

TEST(ParsePin, ReadsOne) {
  ASSERT_OK_AND_ASSIGN(const auto pin, ParsePin({"v=spf1 -all", Pin(kHex), Pin(kHex), ""}));
  ASSERT_TRUE(pin.has_value());
  EXPECT_EQ(base::ToHex(pin->view()),
            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
}

TEST(ParsePin, AllowsNone) {
  EXPECT_THAT(ParsePin({}), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(ParsePin({"v=spf1 -all", "v=kt10; cfg=sha256:00", "v=kt2; x", " v=kt1;", "V=KT1"}),
              IsOkAndHolds(std::nullopt));
}

TEST(ParsePin, RejectsWhatIsNotQuiteOurs) {
  const std::string hex = kHex;
  for (const std::string& text : std::vector<std::string>{
           "v=kt1", "v=kt1;", "v=kt1; cfg=", "v=kt1 cfg=sha256:" + hex, "v=kt1;cfg=sha256:" + hex,
           "v=kt1;  cfg=sha256:" + hex, "v=kt1; cfg=sha512:" + hex, "v=kt1; cfg=SHA256:" + hex,
           Pin(hex.substr(1)), Pin(hex.substr(2)), Pin(hex + "0"), Pin(hex + "00"), Pin(hex + " "),
           Pin(hex + ";"), Pin(absl::StrCat("g", hex.substr(1))), Pin(""),
           "v=kt1\t; cfg=sha256:" + hex}) {
    EXPECT_THAT(ParsePin({text}), Fails(Failure::kMalformedPin)) << text;
    EXPECT_THAT(ParsePin({Pin(kHex), text}), Fails(Failure::kMalformedPin)) << text;
  }
}

TEST(ParsePin, RejectsContradictions) {
  std::string other = kHex;
  other.back() = 'e';
  EXPECT_THAT(ParsePin({Pin(kHex), Pin(other)}), Fails(Failure::kConflictingPins));
}

// --- the whole, against a real server ------------------------------------------------------

std::unique_ptr<Resolver> NewResolver(const std::string& servers, int timeout_ms = 2000) {
  static SeededRandom random(1);
  auto resolver = Resolver::Create({servers, DnsTrust::kLoopback, timeout_ms}, random);
  EXPECT_THAT(resolver, IsOk());
  return *std::move(resolver);
}

MATCHER_P3(Attempts, address, host, tls_name, "connects there and demands that name") {
  return arg.address.ToString() == address && arg.host == host && arg.tls_name == tls_name;
}

class DiscoverTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string srv = "_sm._keytransparency._https SRV ";
    const std::string txt = "_sm._keytransparency TXT ";
    const std::string pin = "\"v=kt1; cfg=sha256:\" \"" + std::string(kHex) + "\"\n";
    std::string many;
    for (int i = 0; i < 32; ++i) {
      const std::string host = "kt" + std::to_string(i);
      many += srv + "1 1 443 " + host + "\n";
      for (int a = 0; a < 4; ++a) {
        many += host + " A 192.0.2." + std::to_string(4 * i + a) + "\n";
      }
    }
    auto server = DnsServer::Start({
        {"good.test", srv + "20 0 444 backup\n" + srv + "10 5 443 kt.provider.test.\n" + txt + pin +
                          txt + "\"v=spf1 -all\"\n" + "backup A 192.0.2.3\n"},
        {"provider.test",
         "kt A 192.0.2.1\nkt AAAA 2001:db8::1\nv6 AAAA 2001:db8::6\n"
         "empty TXT \"nothing\"\n"},
        {"self.test", srv + "0 0 443 self.test.\n@ A 192.0.2.9\n"},
        {"v6.test", srv + "0 0 443 v6.provider.test.\n"},
        {"dot.test", srv + "0 0 443 .\n"},
        {"mixed.test", srv + "0 0 0 .\n" + srv + "1 0 443 kt.provider.test.\n"},
        {"absent.test", "www A 192.0.2.1\n"},
        {"nodata.test", "_sm._keytransparency._https TXT \"only this\"\n"},
        {"lost.test", srv + "0 0 443 nosuch.provider.test.\n" + srv +
                          "1 0 443 empty.provider.test.\n" + srv + "2 0 443 kt.broken.test.\n"},
        {"partly.test",
         srv + "0 0 443 nosuch.provider.test.\n" + srv + "1 0 443 kt.provider.test.\n"},
        {"port0.test", srv + "0 0 0 kt.provider.test.\n"},
        {"odd.test", srv + "0 0 443 not\\032a\\.host.provider.test.\n"},
        {"badpin.test", srv + "0 0 443 kt.provider.test.\n" + txt + "\"v=kt1; cfg=md5:00\"\n"},
        {"twopins.test", srv + "0 0 443 kt.provider.test.\n" + txt + pin + txt +
                             "\"v=kt1; cfg=sha256:" + std::string(64, '1') + "\"\n"},
        {"twice.test", srv + "0 0 443 kt.provider.test.\n" + srv + "1 0 443 KT.Provider.TEST.\n"},
        {"many.test", many},
        {"broken.test", "", /*loadable=*/false},
    });
    ASSERT_THAT(server, IsOk());
    server_ = std::move(*server).release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  absl::StatusOr<Discovery> Find(const std::string& domain) {
    return Discover(*resolver_, domain, random_);
  }

  static DnsServer* server_;
  SeededRandom random_{2};
  std::unique_ptr<Resolver> resolver_ = NewResolver(server_->address());
};
DnsServer* DiscoverTest::server_ = nullptr;

TEST_F(DiscoverTest, ListsTargetsInOrderAndDemandsTheMailDomain) {
  ASSERT_OK_AND_ASSIGN(const Discovery found, Find("Good.TEST"));
  EXPECT_THAT(found.attempts,
              ElementsAre(Attempts("[2001:db8::1]:443", "kt.provider.test", "good.test"),
                          Attempts("192.0.2.1:443", "kt.provider.test", "good.test"),
                          Attempts("192.0.2.3:444", "backup.good.test", "good.test")));
  EXPECT_THAT(found.attempts[0].why, HasSubstr("DNSSEC"));
  EXPECT_FALSE(found.srv_authenticated);
  ASSERT_TRUE(found.pinned_configuration.has_value());
  EXPECT_EQ(found.pinned_configuration->bytes[1], 0x11);
  EXPECT_FALSE(found.pin_authenticated);
  EXPECT_THAT(found.notes, IsEmpty());
}

TEST_F(DiscoverTest, HandlesPlainCases) {
  ASSERT_OK_AND_ASSIGN(const Discovery self, Find("self.test"));
  EXPECT_THAT(self.attempts, ElementsAre(Attempts("192.0.2.9:443", "self.test", "self.test")));
  EXPECT_FALSE(self.pinned_configuration.has_value());
  ASSERT_OK_AND_ASSIGN(const Discovery ipv6, Find("v6.test"));
  EXPECT_THAT(ipv6.attempts,
              ElementsAre(Attempts("[2001:db8::6]:443", "v6.provider.test", "v6.test")));
  ASSERT_OK_AND_ASSIGN(const Discovery twice, Find("twice.test"));
  EXPECT_THAT(twice.attempts, SizeIs(2));  // not the same addresses a second time
}

TEST_F(DiscoverTest, SaysThatTheServiceIsNotOffered) {
  EXPECT_THAT(Find("dot.test"),
              AllOf(Fails(Failure::kRootTarget),
                    StatusIs(absl::StatusCode::kNotFound,
                             "dot.test offers no Key Transparency service (SRV target is \".\"); "
                             "ask the recipient's provider, or use --server")));
  EXPECT_THAT(Find("absent.test"),
              AllOf(Fails(Failure::kNoSuchName),
                    StatusIs(absl::StatusCode::kNotFound,
                             HasSubstr("absent.test offers no Key Transparency service"))));
  EXPECT_THAT(Find("nodata.test"),
              AllOf(Fails(Failure::kNoRecords),
                    StatusIs(absl::StatusCode::kNotFound,
                             HasSubstr("_sm._keytransparency._https.nodata.test"))));
}

TEST_F(DiscoverTest, NeverTakesFailureForAbsence) {
  EXPECT_THAT(Find("broken.test"),
              AllOf(Fails(Failure::kServerFailure),
                    StatusIs(absl::StatusCode::kUnavailable,
                             HasSubstr("cannot find out whether broken.test"))));
  EXPECT_THAT(Find("elsewhere.test"),
              AllOf(Fails(Failure::kRefused), StatusIs(absl::StatusCode::kUnavailable)));
  StubDns silent([](ByteView, bool) { return Bytes{}; });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(Discover(*NewResolver(silent.address(), 300), "good.test", random_),
              AllOf(Fails(Failure::kTimeout), StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(2000));
}

TEST_F(DiscoverTest, IgnoresTheRootBesideOtherTargets) {
  ASSERT_OK_AND_ASSIGN(const Discovery found, Find("mixed.test"));
  EXPECT_THAT(found.attempts, SizeIs(2));
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("\".\"")));
}

TEST_F(DiscoverTest, SkipsTargetsWithoutAddresses) {
  ASSERT_OK_AND_ASSIGN(const Discovery found, Find("partly.test"));
  EXPECT_THAT(found.attempts, SizeIs(2));
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("nosuch.provider.test")));
  EXPECT_THAT(Find("lost.test"),
              AllOf(Fails(Failure::kNoAddress),
                    StatusIs(absl::StatusCode::kUnavailable,
                             AllOf(HasSubstr("nosuch.provider.test"), HasSubstr("NXDOMAIN"),
                                   HasSubstr("empty.provider.test"), HasSubstr("no record"),
                                   HasSubstr("kt.broken.test"), HasSubstr("SERVFAIL")))));
}

TEST_F(DiscoverTest, RejectsTargetsThatNobodyCanConnectTo) {
  EXPECT_THAT(Find("port0.test"),
              AllOf(Fails(Failure::kNoUsableTarget),
                    StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("port 0"))));
  EXPECT_THAT(Find("odd.test"), Fails(Failure::kNoUsableTarget));
}

TEST_F(DiscoverTest, RejectsUnreadablePins) {
  EXPECT_THAT(Find("badpin.test"),
              AllOf(Fails(Failure::kMalformedPin),
                    StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("badpin.test"))));
  EXPECT_THAT(Find("twopins.test"), Fails(Failure::kConflictingPins));
}

// An attacker who can drop packets must not be able to drop the pin alone.
TEST_F(DiscoverTest, RejectsAPinThatCannotBeLookedUp) {
  for (const uint16_t rcode : {2, 5}) {
    StubDns stub([rcode](ByteView query, bool) {
      if (QuestionType(query) == DnsType::kTxt) {
        return MessageBuilder(query, kRecursiveAnswer | rcode).Build();
      }
      return MessageBuilder(query, kRecursiveAnswer).Srv(0, 0, 443, "localhost").Build();
    });
    EXPECT_THAT(Discover(*NewResolver(stub.address()), "good.test", random_),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("pin of good.test")));
  }
}

TEST_F(DiscoverTest, BoundsTheNumberOfAttempts) {
  ASSERT_OK_AND_ASSIGN(const Discovery found, Find("many.test"));
  EXPECT_THAT(found.attempts, SizeIs(kMaxConnectAttempts));
}

TEST_F(DiscoverTest, RejectsWhatIsNoDomain) {
  for (const std::string& domain : {std::string(), std::string("alice@good.test"),
                                    std::string("good.test."), std::string("good..test"),
                                    std::string("g\xc3\xb6"
                                                "od.test"),
                                    std::string("192.0.2.1"), std::string("good.test/x"),
                                    std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                                        std::string(63, 'c') + "." + std::string(40, 'd')}) {
    const auto result = Find(domain);
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument)) << domain;
    EXPECT_EQ(FailureOf(result.status()), std::nullopt) << domain;
  }
}

// --- DNSSEC --------------------------------------------------------------------------------

StubDns::Handler Provider(uint16_t srv_flags, uint16_t txt_flags) {
  return [=](ByteView query, bool) {
    switch (QuestionType(query)) {
      case DnsType::kSrv:
        return MessageBuilder(query, kRecursiveAnswer | srv_flags)
            .Srv(0, 0, 443, "kt.provider.test")
            .Build();
      case DnsType::kTxt:
        return MessageBuilder(query, kRecursiveAnswer | txt_flags).Txt({Pin(kHex)}).Build();
      case DnsType::kA:
        return MessageBuilder(query, kRecursiveAnswer).A({192, 0, 2, 1}).Build();
      default:
        return MessageBuilder(query, kRecursiveAnswer).Build();
    }
  };
}

TEST(Discover, AllowsTheTargetsNameOnlyIfDnssecVerifiedTheSrvAnswer) {
  SeededRandom random(1);
  StubDns verified(Provider(kAd, 0));
  ASSERT_OK_AND_ASSIGN(const Discovery found,
                       Discover(*NewResolver(verified.address()), "mail.test", random));
  EXPECT_TRUE(found.srv_authenticated);
  EXPECT_FALSE(found.pin_authenticated);
  EXPECT_THAT(found.attempts,
              ElementsAre(Attempts("192.0.2.1:443", "kt.provider.test", "mail.test"),
                          Attempts("192.0.2.1:443", "kt.provider.test", "kt.provider.test")));

  StubDns plain(Provider(0, kAd));  // another answer's AD bit does not help
  ASSERT_OK_AND_ASSIGN(const Discovery doubted,
                       Discover(*NewResolver(plain.address()), "mail.test", random));
  EXPECT_FALSE(doubted.srv_authenticated);
  EXPECT_TRUE(doubted.pin_authenticated);
  EXPECT_THAT(doubted.attempts,
              ElementsAre(Attempts("192.0.2.1:443", "kt.provider.test", "mail.test")));
}

// --- a server that the person names --------------------------------------------------------

TEST_F(DiscoverTest, DemandsTheMailDomainOrTheNameThatThePersonTyped) {
  ASSERT_OK_AND_ASSIGN(const Discovery named,
                       UseServer(*resolver_, "KT.provider.test:8443", "good.test"));
  EXPECT_THAT(named.attempts,
              ElementsAre(Attempts("[2001:db8::1]:8443", "kt.provider.test", "good.test"),
                          Attempts("[2001:db8::1]:8443", "kt.provider.test", "kt.provider.test"),
                          Attempts("192.0.2.1:8443", "kt.provider.test", "good.test"),
                          Attempts("192.0.2.1:8443", "kt.provider.test", "kt.provider.test")));
  EXPECT_FALSE(named.pinned_configuration.has_value());
}

TEST_F(DiscoverTest, DemandsTheMailDomainOfAnAddress) {
  // Nothing is looked up: this resolver could not.
  StubDns silent([](ByteView, bool) { return Bytes{}; });
  const auto resolver = NewResolver(silent.address());
  ASSERT_OK_AND_ASSIGN(const Discovery ipv4, UseServer(*resolver, "192.0.2.7:443", "Good.test"));
  EXPECT_THAT(ipv4.attempts, ElementsAre(Attempts("192.0.2.7:443", "192.0.2.7", "good.test")));
  ASSERT_OK_AND_ASSIGN(const Discovery ipv6, UseServer(*resolver, "[::1]:443", "good.test"));
  EXPECT_THAT(ipv6.attempts, ElementsAre(Attempts("[::1]:443", "::1", "good.test")));
  EXPECT_EQ(silent.queries(), 0);
}

TEST_F(DiscoverTest, ReportsNamedServersThatAreNotThere) {
  EXPECT_THAT(UseServer(*resolver_, "nosuch.provider.test:443", "good.test"),
              AllOf(Fails(Failure::kNoAddress),
                    StatusIs(absl::StatusCode::kUnavailable, HasSubstr("nosuch.provider.test"))));
  EXPECT_THAT(UseServer(*resolver_, "kt.broken.test:443", "good.test"),
              Fails(Failure::kServerFailure));
  EXPECT_THAT(UseServer(*resolver_, "kt.provider.test", "good.test"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT")));
  EXPECT_THAT(UseServer(*resolver_, "192.0.2.1:443", "not a domain"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kt::client
