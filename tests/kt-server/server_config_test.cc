// SPDX-License-Identifier: Apache-2.0
#include "kt-server/server_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace kt::server {
namespace {

using ::kt::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kMinimal[] = "[log]\ndomains = [\"smime.example\"]\n";

TEST(ServerConfig, DefaultsAreFilledInAndPathsResolved) {
  ASSERT_OK_AND_ASSIGN(const ServerConfig config, ParseServerConfig(kMinimal, "/etc/kt"));
  EXPECT_THAT(config.log.domains, ElementsAre("smime.example"));
  EXPECT_EQ(config.log.database, "/etc/kt/db");
  EXPECT_EQ(config.log.head_guard, "/etc/kt/guard/head");
  EXPECT_EQ(config.epoch.interval_ms, 10'000);
  EXPECT_EQ(config.log.leaf_memory_bytes, int64_t{1} << 30);
  EXPECT_EQ(config.log.proof_memory_bytes, 256 << 20);
  EXPECT_EQ(config.admission.trust_anchors, "");
}

TEST(ServerConfig, AbsolutePathsStay) {
  ASSERT_OK_AND_ASSIGN(
      const ServerConfig config,
      ParseServerConfig(std::string(kMinimal) + "database = \"/var/lib/kt/db\"\n", "/etc/kt"));
  EXPECT_EQ(config.log.database, "/var/lib/kt/db");
}

TEST(ServerConfig, WrittenConfigurationReadsBack) {
  ServerConfig config;
  config.log.domains = {"a.example", "xn--bcher-kva.example"};
  config.listen.address = "[::1]:443";
  config.listen.tls_certificate = "/a \"quoted\" path.pem";
  config.log.leaf_memory_bytes = 0;
  config.log.proof_memory_bytes = 0;
  config.epoch.interval_ms = 77;
  config.limits.requests_per_second = 2.5;
  config.crypto.vrf_implementation = "portable";
  config.logging.level = "warn";
  ASSERT_OK_AND_ASSIGN(const ServerConfig read,
                       ParseServerConfig(FormatServerConfig(config), "/etc/kt"));
  EXPECT_EQ(read.log.domains, config.log.domains);
  EXPECT_EQ(read.listen.address, config.listen.address);
  EXPECT_EQ(read.listen.tls_certificate, config.listen.tls_certificate);
  EXPECT_EQ(read.log.leaf_memory_bytes, 0);
  EXPECT_EQ(read.log.proof_memory_bytes, 0);
  EXPECT_EQ(read.epoch.interval_ms, 77);
  EXPECT_EQ(read.limits.requests_per_second, 2.5);
  EXPECT_EQ(read.crypto.vrf_implementation, "portable");
  EXPECT_EQ(read.logging.level, "warn");
}

TEST(ServerConfig, RolesReadBackWithWhatBelongsToThem) {
  ServerConfig manager;
  manager.management.role = ServerConfig::Role::kManager;
  manager.management.operators = "/etc/kt/operators.pem";
  const std::string managers_text = FormatServerConfig(manager);
  ASSERT_OK_AND_ASSIGN(const ServerConfig hosts, ParseServerConfig(managers_text, "/etc/kt"));
  EXPECT_EQ(hosts.management.role, ServerConfig::Role::kManager);
  EXPECT_EQ(hosts.management.operators, "/etc/kt/operators.pem");
  EXPECT_THAT(managers_text, Not(HasSubstr("[publishers]")));
  EXPECT_THAT(managers_text, Not(HasSubstr("leaf_key")));

  ServerConfig faces_users;
  faces_users.log.domains = {"smime.example"};
  faces_users.management.role = ServerConfig::Role::kOperator;
  faces_users.management.manager = "[::1]:8443";
  faces_users.management.manager_ca = "ca.pem";
  const std::string operators_text = FormatServerConfig(faces_users);
  ASSERT_OK_AND_ASSIGN(const ServerConfig read, ParseServerConfig(operators_text, "/etc/kt"));
  EXPECT_EQ(read.management.role, ServerConfig::Role::kOperator);
  EXPECT_EQ(read.management.manager, "[::1]:8443");
  EXPECT_EQ(read.management.manager_ca, "/etc/kt/ca.pem");
  EXPECT_EQ(read.management.signing_record, "/etc/kt/signed/record");
  EXPECT_THAT(operators_text, Not(HasSubstr("vrf_key")));
  EXPECT_THAT(operators_text, Not(HasSubstr("database")));
  EXPECT_THAT(operators_text, Not(HasSubstr("leaf_memory_bytes")));
}

struct BadConfig {
  const char* name;
  const char* text;
  const char* message;
};

class RefusesBadConfig : public ::testing::TestWithParam<BadConfig> {};

TEST_P(RefusesBadConfig, AndSaysWhere) {
  EXPECT_THAT(ParseServerConfig(GetParam().text, "/etc/kt"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusesBadConfig,
    ::testing::Values(
        BadConfig{"Empty", "", "domains"},
        BadConfig{"NoDomains", "[log]\ndomains = []\n", "domains"},
        BadConfig{"Syntax", "[log\n", "line 1"},
        BadConfig{"DomainsNotArray", "[log]\ndomains = \"x.example\"\n", "line 2: [log] domains"},
        BadConfig{"DomainNotText", "[log]\ndomains = [1]\n", "line 2: [log] domains"},
        BadConfig{"DomainUpperCase", "[log]\ndomains = [\"X.example\"]\n", "lower-case"},
        BadConfig{"DomainSingleLabel", "[log]\ndomains = [\"localhost\"]\n", "localhost"},
        BadConfig{"UnknownSection", "[log]\ndomains=[\"x.example\"]\n[lgo]\n", "lgo"},
        BadConfig{"UnknownKey", "[log]\ndomains=[\"x.example\"]\ndatabse = \"x\"\n", "databse"},
        BadConfig{"SectionNotTable", "log = 1\n", "table"},
        BadConfig{"IntervalText", "[log]\ndomains=[\"x.example\"]\n[epoch]\ninterval_ms = \"1s\"\n",
                  "interval_ms"},
        BadConfig{"IntervalZero", "[log]\ndomains=[\"x.example\"]\n[epoch]\ninterval_ms = 0\n",
                  "interval_ms"},
        BadConfig{"IntervalLongerThanPublishersWait",
                  "[log]\ndomains=[\"x.example\"]\n[epoch]\ninterval_ms = 60001\n",
                  "from 10 to 60000"},
        BadConfig{"AddressWithoutPort",
                  "[log]\ndomains=[\"x.example\"]\n[listen]\naddress = \"localhost\"\n",
                  "HOST:PORT"},
        BadConfig{"AddressPortTooHigh",
                  "[log]\ndomains=[\"x.example\"]\n[listen]\naddress = \"[::1]:65536\"\n",
                  "HOST:PORT"},
        BadConfig{"WeakRsa", "[log]\ndomains=[\"x.example\"]\n[admission]\nmin_rsa_bits = 1024\n",
                  "min_rsa_bits"},
        BadConfig{"RateNan",
                  "[log]\ndomains=[\"x.example\"]\n[limits]\nrequests_per_second = nan\n",
                  "requests_per_second"},
        BadConfig{"RateNegative",
                  "[log]\ndomains=[\"x.example\"]\n[limits]\nrequests_per_second = -1\n",
                  "requests_per_second"},
        BadConfig{
            "VrfImplementation",
            "[log]\ndomains=[\"x.example\"]\n[crypto]\nvrf_implementation = \"avx512-ifma\"\n",
            "vrf_implementation"},
        BadConfig{"NoRole", "[log]\ndomains=[\"x.example\"]\n[management]\n", "role"},
        BadConfig{"OtherRole", "[log]\ndomains=[\"x.example\"]\n[management]\nrole = \"auditor\"\n",
                  "manager or operator"},
        BadConfig{"OperatorWithoutManager",
                  "[log]\ndomains=[\"x.example\"]\n[management]\nrole = \"operator\"\n",
                  "HOST:PORT"},
        BadConfig{"OperatorWithoutDomains",
                  "[management]\nrole = \"operator\"\nmanager = \"x:1\"\n", "domain"},
        BadConfig{"Level", "[log]\ndomains=[\"x.example\"]\n[logging]\nlevel = \"loud\"\n",
                  "level"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace kt::server
