// SPDX-License-Identifier: Apache-2.0
//
// Name constraints on mailboxes, as admission obeys them.
#include "smime/name_constraints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "smime/admission.h"
#include "tests/smime/test_certificates.h"
#include "tests/support/status_matchers.h"

namespace kt::smime {
namespace {

using kt::testing::IsOk;
using kt::testing::StatusIs;
using ::testing::AllOf;
using testing::Authority;
using ::testing::HasSubstr;
using testing::kNowMs;
using testing::Spec;
using ::testing::StartsWith;

constexpr char kSmtpUtf8MailboxOid[] = "1.3.6.1.5.5.7.8.9";

const Authority& Root() {
  static const auto* const root = new Authority(Authority::RootSpec("Test Root"));
  return *root;
}

Authority Constrained(const std::string& constraints) {
  Spec spec = Authority::RootSpec("Constrained");
  spec.name_constraints = "critical," + constraints;
  return Authority(spec, Root());
}

// Only what CheckMailboxConstraints says, without OpenSSL's own evaluation before it.
absl::Status Ours(const Spec& spec, const Authority& issuer) {
  const absl::StatusOr<Certificate> leaf = Certificate::Parse(issuer.Issue(spec));
  const absl::StatusOr<Certificate> above = Certificate::ParseIssuer(issuer.der());
  EXPECT_THAT(leaf, IsOk());
  EXPECT_THAT(above, IsOk());
  X509* const issuers[] = {above->x509()};
  return CheckMailboxConstraints(leaf->x509(), issuers);
}
absl::Status Ours(const std::string& email, const std::string& constraints) {
  Spec spec;
  spec.emails = {email};
  return Ours(spec, Constrained(constraints));
}
absl::Status OursOfUtf8(const std::string& mailbox, const std::string& constraints) {
  Spec spec;
  spec.utf8_mailboxes = {mailbox};
  spec.emails.clear();
  return Ours(spec, Constrained(constraints));
}

// The whole admission of a certificate for `address`, its first name.
absl::Status Admit(const Spec& spec, const std::string& constraints, const std::string& address) {
  const Authority issuer = Constrained(constraints);
  AdmissionPolicy policy;
  absl::StatusOr<TrustAnchors> anchors = TrustAnchors::FromPem(Root().pem());
  EXPECT_THAT(anchors, IsOk());
  policy.trust_anchors = *std::move(anchors);
  const absl::StatusOr<Address> parsed = ParseAddress(address);
  EXPECT_THAT(parsed, IsOk());
  return CheckAdmission({issuer.Issue(spec), {{issuer.der()}}, {}}, *parsed, policy, kNowMs);
}

auto Unfit(const std::string& reason) {
  return StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(reason));
}
auto RefusedByChain(const std::string& reason) {
  return StatusIs(absl::StatusCode::kFailedPrecondition,
                  AllOf(StartsWith("chain: "), HasSubstr(reason), HasSubstr("; ")));
}

TEST(MailboxConstraints, FollowRfc5280) {
  const struct {
    const char* subtree;
    const char* mailbox;
    bool within;
  } kCases[] = {
      {"example.com", "alice@example.com", true},
      {"EXAMPLE.com", "alice@Example.COM", true},
      {"example.com", "alice@sub.example.com", false},
      {"example.com", "alice@notexample.com", false},
      {".example.com", "alice@sub.example.com", true},
      {".example.com", "alice@a.b.example.com", true},
      {".example.com", "alice@example.com", false},
      {".example.com", "alice@subexample.com", false},
      {".com", "alice@example.com", true},
      {".com", "alice@example.org", false},
      {"alice@example.com", "alice@example.com", true},
      {"alice@example.com", "alice@EXAMPLE.com", true},
      {"alice@example.com", "Alice@example.com", false},
      {"alice@example.com", "bob@example.com", false},
      {"alice@example.com", "alice@sub.example.com", false},
      {"xn--mnchen-3ya.example", "bob@xn--mnchen-3ya.example", true},
      {"XN--mnchen-3ya.example", "bob@XN--MNCHEN-3YA.example", true},
      {".xn--mnchen-3ya.example", "bob@a.xn--mnchen-3ya.example", true},
      {"xn--mnchen-3ya.example", "bob@munchen.example", false},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(std::string(c.subtree) + " " + c.mailbox);
    const std::string subtree = std::string(";email:") + c.subtree;
    if (c.within) {
      EXPECT_THAT(Ours(c.mailbox, "permitted" + subtree), IsOk());
      EXPECT_THAT(Ours(c.mailbox, "excluded" + subtree), Unfit("excluded by"));
    } else {
      EXPECT_THAT(Ours(c.mailbox, "permitted" + subtree), Unfit("not permitted by"));
      EXPECT_THAT(Ours(c.mailbox, "excluded" + subtree), IsOk());
    }
  }
}

TEST(MailboxConstraints, HoldForSmtpUtf8MailboxesToo) {
  const char* const kMunich = "m\xC3\xBCller@xn--mnchen-3ya.example";
  EXPECT_THAT(OursOfUtf8(kMunich, "permitted;email:xn--mnchen-3ya.example"), IsOk());
  EXPECT_THAT(OursOfUtf8(kMunich, "excluded;email:xn--mnchen-3ya.example"), Unfit("excluded by"));
  EXPECT_THAT(OursOfUtf8(kMunich, "excluded;email:.example"), Unfit("excluded by"));
  EXPECT_THAT(OursOfUtf8(kMunich, "permitted;email:example.com"), Unfit("not permitted by"));
  EXPECT_THAT(OursOfUtf8(kMunich, "excluded;email:example.com"), IsOk());
  EXPECT_THAT(OursOfUtf8(kMunich, "permitted;DNS:example.com"), IsOk());
}

TEST(MailboxConstraints, CombineSubtrees) {
  const std::string several = "permitted;email:example.com,permitted;email:.example.com,";
  EXPECT_THAT(Ours("a@example.com", several + "excluded;email:x.example.com"), IsOk());
  EXPECT_THAT(Ours("a@y.example.com", several + "excluded;email:x.example.com"), IsOk());
  EXPECT_THAT(Ours("a@x.example.com", several + "excluded;email:x.example.com"),
              Unfit("excluded by"));
  EXPECT_THAT(Ours("a@example.org", several + "excluded;email:x.example.com"),
              Unfit("not permitted by"));
  // Every name of the certificate must be within, not only that under which it is published.
  Spec two;
  two.emails = {"alice@example.com", "alice@example.org"};
  EXPECT_THAT(Ours(two, Constrained("permitted;email:example.com")), Unfit("alice@example.org"));
  EXPECT_THAT(Ours(two, Constrained("excluded;email:example.org")), Unfit("alice@example.org"));
  EXPECT_THAT(Ours(two, Constrained("permitted;email:example.com,permitted;email:example.org")),
              IsOk());
}

TEST(MailboxConstraints, OfEveryIssuerHold) {
  ASSERT_OK_AND_ASSIGN(const Certificate leaf, Certificate::Parse(Root().Issue(Spec())));
  ASSERT_OK_AND_ASSIGN(const Certificate good,
                       Certificate::ParseIssuer(Constrained("permitted;email:.com").der()));
  ASSERT_OK_AND_ASSIGN(const Certificate wide,
                       Certificate::ParseIssuer(Constrained("permitted;email:example.com").der()));
  ASSERT_OK_AND_ASSIGN(const Certificate bad,
                       Certificate::ParseIssuer(Constrained("permitted;email:example.org").der()));
  X509* const both[] = {good.x509(), wide.x509()};
  X509* const last_bad[] = {good.x509(), bad.x509()};
  X509* const first_bad[] = {bad.x509(), good.x509()};
  EXPECT_THAT(CheckMailboxConstraints(leaf.x509(), {}), IsOk());
  EXPECT_THAT(CheckMailboxConstraints(leaf.x509(), both), IsOk());
  EXPECT_THAT(CheckMailboxConstraints(leaf.x509(), last_bad), Unfit("not permitted by"));
  EXPECT_THAT(CheckMailboxConstraints(leaf.x509(), first_bad), Unfit("not permitted by"));
}

TEST(MailboxConstraints, RefuseWhatCannotBeJudged) {
  // Subtrees that are no host, domain or mailbox.
  for (const char* subtree : {".", "com", "@example.com", "a b.example", "exa_mple.com",
                              "m\xC3\xBCnchen.example", "xn--99999999.example", "a@b@c.example"}) {
    SCOPED_TRACE(subtree);
    EXPECT_THAT(Ours("alice@example.com", std::string("excluded;email:") + subtree),
                Unfit("cannot be understood"));
    EXPECT_THAT(Ours("alice@example.com", std::string("permitted;email:") + subtree),
                Unfit("cannot be understood"));
  }
  Spec empty_subtree = Authority::RootSpec("Constrained");
  empty_subtree.raw_extensions = {{"2.5.29.30", true, {0x30, 6, 0xA1, 4, 0x30, 2, 0x81, 0}}};
  EXPECT_THAT(Ours(Spec(), Authority(empty_subtree, Root())), Unfit("cannot be understood"));
  // Names that count as no address: another program could take them for one.
  for (const char* mailbox : {"m\xC3\xBCller@m\xC3\xBCnchen.example",
                              "m\xC3\xBCller@\xEF\xBD\x85xample.org", "ascii@example.com"}) {
    SCOPED_TRACE(mailbox);
    EXPECT_THAT(OursOfUtf8(mailbox, "excluded;email:example.org"), Unfit("not in the form"));
    EXPECT_THAT(OursOfUtf8(mailbox, "excluded;DNS:example.org"), IsOk());
  }
  EXPECT_THAT(Ours("\"alice\"@example.com", "excluded;email:example.org"),
              Unfit("not in the form"));
  // No standard says what a constraint on SmtpUTF8Mailboxes means.
  const std::string other = std::string("otherName:") + kSmtpUtf8MailboxOid + ";UTF8:example.com";
  for (const std::string& constraints : {"permitted;" + other, "excluded;" + other}) {
    EXPECT_THAT(OursOfUtf8("m\xC3\xBCller@example.com", constraints), Unfit("no rules exist"));
    EXPECT_THAT(Ours("alice@example.com", constraints), IsOk());
  }
}

TEST(CheckAdmission, ObeysNameConstraints) {
  Spec spec;
  spec.emails = {"alice@example.org"};
  EXPECT_THAT(Admit(spec, "permitted;email:example.org", "alice@example.org"), IsOk());
  EXPECT_THAT(Admit(spec, "permitted;email:example.com", "alice@example.org"),
              RefusedByChain("permitted"));
  EXPECT_THAT(Admit(spec, "excluded;email:example.org", "alice@example.org"),
              RefusedByChain("excluded"));
  EXPECT_THAT(Admit(spec, "excluded;email:com", "alice@example.org"),
              RefusedByChain("cannot be understood"));
}

// The log must not file under an excluded address what OpenSSL compared in another form.
TEST(CheckAdmission, ObeysNameConstraintsOnSmtpUtf8Mailboxes) {
  Spec spec;
  spec.emails.clear();
  const auto admit = [&](const std::string& mailbox, const std::string& constraints,
                         const std::string& address) {
    spec.utf8_mailboxes = {mailbox};
    return Admit(spec, constraints, address);
  };
  const std::string ascii = "m\xC3\xBCller@example.org";
  const std::string munich = "m\xC3\xBCller@xn--mnchen-3ya.example";
  EXPECT_THAT(admit(ascii, "permitted;email:example.org", ascii), IsOk());
  EXPECT_THAT(admit(ascii, "permitted;email:example.com", ascii), RefusedByChain("permitted"));
  EXPECT_THAT(admit(ascii, "excluded;email:example.org", ascii), RefusedByChain("excluded"));
  EXPECT_THAT(admit(munich, "excluded;email:example.org", munich), IsOk());
  EXPECT_THAT(admit(munich, "excluded;email:xn--mnchen-3ya.example", munich),
              RefusedByChain("excluded"));
  // Forms that OpenSSL finds to be other domains do not name the address in the first place.
  for (const char* mapped :
       {"m\xC3\xBCller@m\xC3\xBCnchen.example", "m\xC3\xBCller@M\xC3\xBCnchen.example"}) {
    EXPECT_THAT(admit(mapped, "excluded;email:xn--mnchen-3ya.example", munich),
                StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("address: ")));
  }
  EXPECT_THAT(admit("m\xC3\xBCller@\xEF\xBD\x85xample.org", "excluded;email:example.org", ascii),
              StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("address: ")));
  // Nor may they stand beside a sound name.
  spec.emails = {"alice@example.com"};
  EXPECT_THAT(
      admit("m\xC3\xBCller@\xEF\xBD\x85xample.org", "excluded;email:example.org", spec.emails[0]),
      RefusedByChain("not in the form"));
  EXPECT_THAT(admit(munich, "permitted;email:example.com", spec.emails[0]),
              RefusedByChain("permitted"));
}

}  // namespace
}  // namespace kt::smime
