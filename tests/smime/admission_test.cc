// SPDX-License-Identifier: Apache-2.0
#include "smime/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/smime/test_certificates.h"
#include "tests/support/status_matchers.h"

namespace kt::smime {
namespace {

using kt::testing::IsOk;
using kt::testing::StatusIs;
using ::testing::AllOf;
using testing::Authority;
using ::testing::HasSubstr;
using testing::kDayS;
using testing::Key;
using testing::kNowMs;
using testing::kNowS;
using ::testing::Not;
using testing::ReadVector;
using testing::Spec;
using ::testing::StartsWith;
using testing::TestKey;

const Authority& Root() {
  static const auto* const root = new Authority(Authority::RootSpec("Test Root"));
  return *root;
}
const Authority& OtherRoot() {
  static const auto* const root = new Authority(Authority::RootSpec("Other Root"));
  return *root;
}
const Authority& Intermediate() {
  static const auto* const intermediate =
      new Authority(Authority::RootSpec("Test Intermediate"), Root());
  return *intermediate;
}

TrustAnchors Anchors(const std::string& pem) {
  absl::StatusOr<TrustAnchors> anchors = TrustAnchors::FromPem(pem);
  EXPECT_THAT(anchors, IsOk());
  return *std::move(anchors);
}

AdmissionPolicy Policy() {
  AdmissionPolicy policy;
  policy.trust_anchors = Anchors(Root().pem());
  return policy;
}

Address Mailbox(const std::string& text) {
  absl::StatusOr<Address> address = ParseAddress(text);
  EXPECT_THAT(address, IsOk());
  return *std::move(address);
}

CertificateEntry Entry(base::Bytes der, const std::vector<base::Bytes>& chain = {}) {
  CertificateEntry entry{std::move(der), {}, {}};
  for (const base::Bytes& issuer : chain) entry.chain.push_back({issuer});
  return entry;
}

absl::Status Check(const CertificateEntry& entry, const std::string& address = "alice@example.com",
                   const AdmissionPolicy& policy = Policy(), uint64_t now_ms = kNowMs) {
  return CheckAdmission(entry, Mailbox(address), policy, now_ms);
}
absl::Status Check(const Spec& spec, const std::string& address = "alice@example.com") {
  return Check(Entry(Root().Issue(spec)), address);
}

// "CHECK: ...", on one line, with advice after a semicolon.
auto RefusedBy(const std::string& check, const std::string& reason) {
  return StatusIs(
      absl::StatusCode::kFailedPrecondition,
      AllOf(StartsWith(check + ": "), HasSubstr(reason), HasSubstr("; "), Not(HasSubstr("\n"))));
}
auto MalformedBy(const std::string& check, const std::string& reason) {
  return StatusIs(absl::StatusCode::kInvalidArgument,
                  AllOf(StartsWith(check + ": "), HasSubstr(reason), Not(HasSubstr("\n"))));
}

base::Bytes VectorDer(const std::string& file) {
  absl::StatusOr<std::vector<Certificate>> certificates = ParsePem(ReadVector(file));
  EXPECT_THAT(certificates, IsOk());
  return certificates->front().der();
}

TEST(CheckAdmission, AdmitsRfc9216UnderTheirRoots) {
  const struct {
    const char* name;
    const char* root;
  } kPeople[] = {{"alice", "ca.rsa.crt.pem"},
                 {"bob", "ca.rsa.crt.pem"},
                 {"carlos", "ca.ed25519.crt.pem"},
                 {"dana", "ca.ed25519.crt.pem"}};
  for (const auto& person : kPeople) {
    AdmissionPolicy policy;
    policy.trust_anchors = Anchors(ReadVector(person.root));
    for (const char* use : {".sign.crt.pem", ".encr.crt.pem"}) {
      const std::string file = std::string(person.name) + use;
      SCOPED_TRACE(file);
      const CertificateEntry entry = Entry(VectorDer(file));
      const std::string address = std::string(person.name) + "@smime.example";
      EXPECT_THAT(Check(entry, address, policy), IsOk());
      EXPECT_THAT(Check(entry, "eve@smime.example", policy), RefusedBy("address", "not for eve@"));
      EXPECT_THAT(Check(entry, address, Policy()), RefusedBy("chain", "issuer"));
      // Before 2019-11-20 and after 2053.
      EXPECT_THAT(Check(entry, address, policy, 1'574'000'000'000),
                  RefusedBy("validity", "not valid yet"));
      EXPECT_THAT(Check(entry, address, policy, 2'650'000'000'000),
                  RefusedBy("validity", "expired"));
    }
  }
}

TEST(CheckAdmission, AdmitsRfc9216ThroughCrossCertificates) {
  AdmissionPolicy rsa;
  rsa.trust_anchors = Anchors(ReadVector("ca.rsa.crt.pem"));
  AdmissionPolicy ed25519;
  ed25519.trust_anchors = Anchors(ReadVector("ca.ed25519.crt.pem"));
  for (const char* file : {"carlos.sign.crt.pem", "carlos.encr.crt.pem"}) {
    SCOPED_TRACE(file);
    const base::Bytes der = VectorDer(file);
    EXPECT_THAT(Check(Entry(der), "carlos@smime.example", rsa), RefusedBy("chain", "issuer"));
    EXPECT_THAT(
        Check(Entry(der, {VectorDer("ca.ed25519.cross.crt.pem")}), "carlos@smime.example", rsa),
        IsOk());
  }
  EXPECT_THAT(Check(Entry(VectorDer("alice.encr.crt.pem"), {VectorDer("ca.rsa.cross.crt.pem")}),
                    "alice@smime.example", ed25519),
              IsOk());
}

TEST(CheckAdmission, AdmitsSoundCertificates) {
  EXPECT_THAT(Check(Spec()), IsOk());
  const struct {
    const char* key;
    const char* key_usage;
  } kCases[] = {{"RSA-2048", "critical,digitalSignature,keyEncipherment"},
                {"P-384", "digitalSignature"},
                {"P-521", "keyAgreement"},
                {"ED25519", "nonRepudiation"},
                {"ED448", "digitalSignature"},
                {"X25519", "keyAgreement"},
                {"X448", "keyAgreement"}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.key);
    Spec spec;
    spec.key = TestKey(c.key);
    spec.key_usage = c.key_usage;
    EXPECT_THAT(Check(spec), IsOk());
  }
  Spec bare;  // RFC 8550 §4.4.2: without keyUsage every use is allowed
  bare.key_usage.reset();
  bare.basic_constraints.reset();
  EXPECT_THAT(Check(bare), IsOk());
}

TEST(CheckAdmission, ComparesAddressesByNormalForm) {
  Spec spec;
  spec.emails = {"Alice@EXAMPLE.Com", "bob@xn--mnchen-3ya.example"};
  spec.utf8_mailboxes = {"m\xC3\xBCller@xn--mnchen-3ya.example"};
  EXPECT_THAT(Check(spec, "Alice@example.com"), IsOk());
  EXPECT_THAT(Check(spec, "\"Alice\"@Example.com"), IsOk());
  EXPECT_THAT(Check(spec, "bob@M\xC3\xBCnchen.example"), IsOk());
  EXPECT_THAT(Check(spec, "mu\xCC\x88ller@xn--mnchen-3ya.example"), IsOk());
  // The local part belongs to its domain: no folding of case.
  EXPECT_THAT(Check(spec, "alice@example.com"), RefusedBy("address", "not for alice@example.com"));
  EXPECT_THAT(Check(spec, "Alice+x@example.com"), RefusedBy("address", "Alice@example.com and 2"));
  EXPECT_THAT(Check(spec, "Alice@sub.example.com"), RefusedBy("address", "not for"));
  EXPECT_THAT(Check(spec, "muller@xn--mnchen-3ya.example"), RefusedBy("address", "not for"));
}

TEST(CheckAdmission, RefusesMissingSubjectAltName) {
  Spec spec;
  spec.subject = "alice@example.com";
  spec.emails.clear();
  EXPECT_THAT(Check(spec), RefusedBy("address", "no e-mail address in its subjectAltName"));
  // RFC 9598 §3: an ASCII local part belongs into an rfc822Name.
  spec.utf8_mailboxes = {"alice@example.com"};
  EXPECT_THAT(Check(spec), RefusedBy("address", "no e-mail address in its subjectAltName"));
  spec.utf8_mailboxes.clear();
  spec.emails = {std::string("alice@example.com\0.evil.example", 31)};
  EXPECT_THAT(Check(spec), RefusedBy("address", "no e-mail address in its subjectAltName"));
}

TEST(CheckAdmission, RefusesCertificationAuthorities) {
  const std::pair<const char*, const char*> kCases[] = {
      {"critical,CA:TRUE", "digitalSignature"},
      {"critical,CA:FALSE", "digitalSignature,keyCertSign"},
      {"critical,CA:FALSE", "digitalSignature,cRLSign"}};
  for (const auto& [constraints, usage] : kCases) {
    SCOPED_TRACE(usage);
    Spec spec;
    spec.basic_constraints = constraints;
    spec.key_usage = usage;
    EXPECT_THAT(Check(spec), RefusedBy("authority", "certification authority"));
  }
  Spec implied;  // keyCertSign without basicConstraints
  implied.basic_constraints.reset();
  implied.key_usage = "keyCertSign,digitalSignature";
  EXPECT_THAT(Check(implied), RefusedBy("authority", "certification authority"));
}

TEST(CheckAdmission, RequiresEmailProtection) {
  for (const std::optional<std::string>& usages :
       {std::optional<std::string>(), std::optional<std::string>("clientAuth,serverAuth"),
        std::optional<std::string>("anyExtendedKeyUsage")}) {
    SCOPED_TRACE(usages.value_or("(none)"));
    Spec spec;
    spec.extended_key_usage = usages;
    EXPECT_THAT(Check(spec), RefusedBy("extended-key-usage", "emailProtection"));
  }
  Spec both;
  both.extended_key_usage = "clientAuth,emailProtection";
  EXPECT_THAT(Check(both), IsOk());
}

TEST(CheckAdmission, RefusesWeakAndUnknownKeys) {
  Spec spec;
  spec.key_usage = "digitalSignature,keyEncipherment";
  spec.key = TestKey("RSA-1024");
  EXPECT_THAT(Check(spec), RefusedBy("key", "RSA key has 1024 bits"));
  spec.key = testing::KeyWithExponentOne();
  EXPECT_THAT(Check(spec), RefusedBy("key", "exponent"));
  spec.key = testing::RsaPublicKey(2048, 256);
  EXPECT_THAT(Check(spec), IsOk());
  spec.key = testing::RsaPublicKey(2048, 257);
  EXPECT_THAT(Check(spec), RefusedBy("key", "exponent"));
  spec.key = TestKey("secp256k1");
  EXPECT_THAT(Check(spec), RefusedBy("key", "algorithm (secp256k1)"));

  // Explicit parameters can describe another curve than the one that they resemble.
  spec.key = testing::KeyWithExplicitCurve();
  spec.key_usage = "digitalSignature";
  EXPECT_THAT(Check(spec), RefusedBy("key", "(explicit curve parameters) is not allowed"));

  spec.key = TestKey("RSA-2048");
  const CertificateEntry entry = Entry(Root().Issue(spec));
  AdmissionPolicy policy = Policy();
  EXPECT_THAT(Check(entry, "alice@example.com", policy), IsOk());
  policy.min_rsa_bits = 3072;
  EXPECT_THAT(Check(entry, "alice@example.com", policy), RefusedBy("key", "3072"));
  policy = Policy();
  policy.max_rsa_bits = 2047;
  EXPECT_THAT(Check(entry, "alice@example.com", policy), RefusedBy("key", "2047"));
  policy = Policy();
  policy.key_algorithms = {KeyAlgorithm::kP256, KeyAlgorithm::kX25519};
  EXPECT_THAT(Check(entry, "alice@example.com", policy),
              RefusedBy("key", "use one of P-256, X25519"));
}

TEST(CheckAdmission, RefusesUnfitKeyUsage) {
  const std::pair<const char*, const char*> kCases[] = {
      {"RSA-2048", "dataEncipherment"}, {"RSA-2048", "keyAgreement"},
      {"P-256", "keyEncipherment"},     {"P-256", "keyAgreement,encipherOnly"},
      {"ED25519", "keyAgreement"},      {"X25519", "digitalSignature"}};
  for (const auto& [key, usage] : kCases) {
    SCOPED_TRACE(std::string(key) + " " + usage);
    Spec spec;
    spec.key = TestKey(key);
    spec.key_usage = usage;
    EXPECT_THAT(Check(spec), RefusedBy("key-usage", "neither sign nor decrypt"));
  }
}

TEST(CheckAdmission, RefusesBrokenSignatureAlgorithms) {
  for (const char* digest : {"SHA1", "MD5"}) {
    SCOPED_TRACE(digest);
    Spec root_spec = Authority::RootSpec("RSA Root");
    root_spec.key = TestKey("RSA-2048", "RSA Root");
    const Authority root(root_spec);
    AdmissionPolicy policy;
    policy.trust_anchors = Anchors(root.pem());
    EXPECT_THAT(Check(Entry(root.Issue(Spec())), "alice@example.com", policy), IsOk());
    Spec spec;
    spec.digest = digest;
    EXPECT_THAT(Check(Entry(root.Issue(spec)), "alice@example.com", policy),
                RefusedBy("signature-algorithm", "SHA-1"));
    // The same in an intermediate certificate.
    Spec weak_spec = Authority::RootSpec("Weak Intermediate");
    weak_spec.digest = digest;
    const Authority weak(weak_spec, root);
    EXPECT_THAT(Check(Entry(weak.Issue(Spec()), {weak.der()}), "alice@example.com", policy),
                RefusedBy("chain", "too weak"));
  }
}

TEST(CheckAdmission, RefusesOutsideValidity) {
  Spec spec;
  spec.not_before_s = kNowS;
  spec.not_after_s = kNowS + kDayS;
  const CertificateEntry entry = Entry(Root().Issue(spec));
  const uint64_t end_ms = kNowMs + 1000 * kDayS;
  EXPECT_THAT(Check(entry, "alice@example.com", Policy(), kNowMs - 1),
              RefusedBy("validity", "not valid yet"));
  EXPECT_THAT(Check(entry, "alice@example.com", Policy(), kNowMs), IsOk());
  EXPECT_THAT(Check(entry, "alice@example.com", Policy(), end_ms - 1), IsOk());
  EXPECT_THAT(Check(entry, "alice@example.com", Policy(), end_ms),
              RefusedBy("validity", "expired"));
  EXPECT_THAT(Check(entry, "alice@example.com", Policy(), UINT64_MAX),
              RefusedBy("validity", "expired"));
}

TEST(CheckAdmission, NeedsTheWholeChain) {
  const base::Bytes der = Intermediate().Issue(Spec());
  EXPECT_THAT(Check(Entry(der, {Intermediate().der()})), IsOk());
  EXPECT_THAT(Check(Entry(der, {Intermediate().der(), Root().der()})), IsOk());
  EXPECT_THAT(Check(Entry(der)), RefusedBy("chain", "issued by CN=Test Intermediate"));
  AdmissionPolicy no_chain = Policy();
  no_chain.require_chain = false;
  EXPECT_THAT(Check(Entry(der), "alice@example.com", no_chain), IsOk());
}

TEST(CheckAdmission, RefusesUntrustedRoots) {
  const base::Bytes der = OtherRoot().Issue(Spec());
  EXPECT_THAT(Check(Entry(der)), RefusedBy("chain", "does not trust"));
  EXPECT_THAT(Check(Entry(der, {OtherRoot().der()})), RefusedBy("chain", "does not trust"));
  const Authority self(Spec{});
  EXPECT_THAT(Check(Entry(self.der())), RefusedBy("chain", "does not trust"));
  EXPECT_THAT(Check(Entry(der), "alice@example.com", AdmissionPolicy()),
              StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("chain: no trusted")));
  // A trusted intermediate is no end of a chain.
  EXPECT_THAT(TrustAnchors::FromPem(Intermediate().pem()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("self-signed")));
}

// The name of a trusted root is not its signature.
TEST(CheckAdmission, RefusesForgedSignature) {
  Spec forged_root = Authority::RootSpec("Test Root");
  forged_root.key = TestKey("P-256", "forger");
  const Authority forger(forged_root);
  EXPECT_THAT(Check(Entry(forger.Issue(Spec()))), RefusedBy("chain", "signature"));
  base::Bytes damaged = Root().Issue(Spec());
  damaged.back() ^= 1;
  EXPECT_THAT(Check(Entry(damaged)), RefusedBy("chain", "signature"));
}

TEST(CheckAdmission, RefusesIntermediatesUnfitForMail) {
  Spec expired = Authority::RootSpec("Expired Intermediate");
  expired.not_after_s = kNowS - 1;
  Spec no_ca = Authority::RootSpec("No CA");
  no_ca.basic_constraints = "critical,CA:FALSE";
  Spec servers = Authority::RootSpec("Servers Only");
  servers.extended_key_usage = "serverAuth";
  const std::pair<Spec, const char*> kCases[] = {
      {expired, "expired"}, {no_ca, "CA"}, {servers, "purpose"}};
  for (const auto& [spec, reason] : kCases) {
    SCOPED_TRACE(spec.subject);
    const Authority issuer(spec, Root());
    EXPECT_THAT(Check(Entry(issuer.Issue(Spec()), {issuer.der()})), RefusedBy("chain", reason));
  }
}

TEST(CheckAdmission, RefusesUnknownCriticalExtension) {
  Spec spec;
  spec.raw_extensions = {{"1.2.3.4", false, {0x05, 0x00}}};
  EXPECT_THAT(Check(spec), IsOk());
  spec.raw_extensions[0].critical = true;
  EXPECT_THAT(Check(spec), RefusedBy("chain", "critical extension"));
}

// Certificates that bear an issuer's name, and not its key, must not travel with a sound one.
TEST(CheckAdmission, RefusesForgedIssuers) {
  std::vector<base::Bytes> forged;
  for (uint64_t i = 0; i < kMaxChainCertificates; ++i) {
    Spec spec = Authority::RootSpec("Test Root");
    spec.key = TestKey("P-256", "forger");
    spec.serial = 100 + i;
    forged.push_back(Authority(spec).der());
  }
  const base::Bytes der = Root().Issue(Spec());
  AdmissionPolicy no_chain = Policy();
  no_chain.require_chain = false;
  for (const AdmissionPolicy& policy : {Policy(), no_chain}) {
    EXPECT_THAT(Check(Entry(der, {Root().der()}), "alice@example.com", policy), IsOk());
    EXPECT_THAT(Check(Entry(der, forged), "alice@example.com", policy),
                MalformedBy("chain-format", "issuer 1: its key did not make the signature"));
    EXPECT_THAT(Check(Entry(der, {Root().der(), forged[0]}), "alice@example.com", policy),
                MalformedBy("chain-format", "issuer 2: its key did not make the signature"));
    EXPECT_THAT(Check(Entry(Intermediate().Issue(Spec()), {Intermediate().der(), forged[0]}),
                      "alice@example.com", policy),
                MalformedBy("chain-format", "issuer 2: its key did not make the signature"));
  }
}

// A certificate with the right name and key, which the anchor's owner never made: anybody can copy
// a public key.
TEST(CheckAdmission, RefusesIssuersThatAreNotOnThePath) {
  Spec copied = Authority::RootSpec("Test Root");
  copied.raw_extensions = {{"1.2.3.4", false, base::Bytes(1000)}};
  base::Bytes copy = Authority(copied).der();
  copy.back() ^= 1;  // nobody checks a root's own signature
  EXPECT_THAT(Check(Entry(Root().Issue(Spec()), {copy})),
              RefusedBy("chain", "not those that lead"));
  EXPECT_THAT(Check(Entry(Intermediate().Issue(Spec()), {Intermediate().der(), copy})),
              RefusedBy("chain", "not those that lead"));
  EXPECT_THAT(Check(Entry(Intermediate().Issue(Spec()), {Intermediate().der(), Root().der()})),
              IsOk());

  Spec damaged_spec = Authority::RootSpec("Test Intermediate");
  damaged_spec.serial = 77;
  base::Bytes damaged = Authority(damaged_spec, Root()).der();
  damaged.back() ^= 1;
  EXPECT_THAT(Check(Entry(Intermediate().Issue(Spec()), {damaged})),
              RefusedBy("chain", "signature failure"));
}

// Where several ways lead to an anchor, the one that was given is verified, and no other.
TEST(CheckAdmission, VerifiesTheWayThatWasGiven) {
  const Authority cross(Authority::RootSpec("Test Root"), OtherRoot());
  const base::Bytes der = Intermediate().Issue(Spec());
  const CertificateEntry direct = Entry(der, {Intermediate().der()});
  const CertificateEntry through = Entry(der, {Intermediate().der(), cross.der()});
  AdmissionPolicy both;
  both.trust_anchors = Anchors(Root().pem() + OtherRoot().pem());
  AdmissionPolicy other;
  other.trust_anchors = Anchors(OtherRoot().pem());
  EXPECT_THAT(Check(direct, "alice@example.com", both), IsOk());
  EXPECT_THAT(Check(through, "alice@example.com", both), IsOk());
  EXPECT_THAT(Check(through, "alice@example.com", other), IsOk());
  EXPECT_THAT(Check(direct, "alice@example.com", other), RefusedBy("chain", "issuer"));
  // Only the cross-certificate is of no use to a log that trusts the root itself.
  EXPECT_THAT(Check(through), RefusedBy("chain", "not those that lead"));

  Spec expired_spec = Authority::RootSpec("Test Root");
  expired_spec.not_after_s = kNowS - kDayS;
  const Authority expired(expired_spec, OtherRoot());
  EXPECT_THAT(Check(Entry(der, {Intermediate().der(), expired.der()}), "alice@example.com", both),
              RefusedBy("chain", ""));
}

// What an issuer's key costs is known before it is used.
TEST(CheckAdmission, RefusesCostlyIssuerKeys) {
  // The certificate's signature is of the kind that the issuer's key makes, as its names say.
  const auto check = [](const Key& key, const char* signer, const char* reason) {
    Spec spec = Authority::RootSpec("Costly");
    spec.key = key;
    const base::Bytes issuer = Root().Issue(spec);
    Spec impostor = Authority::RootSpec("Costly");
    impostor.key = TestKey(signer, "impostor");
    EXPECT_THAT(Check(Entry(Authority(impostor).Issue(Spec()), {issuer})),
                MalformedBy("chain-format", reason));
  };
  check(testing::RsaPublicKey(8192, 17), "RSA-2048", "did not make the signature");
  check(testing::RsaPublicKey(8193, 17), "RSA-2048", "issuer 1: its key (RSA 8193)");
  check(testing::RsaPublicKey(16384, 17), "RSA-2048", "issuer 1: its key (RSA 16384)");
  check(testing::RsaPublicKey(2048, 256), "RSA-2048", "did not make the signature");
  check(testing::RsaPublicKey(2048, 257), "RSA-2048", "issuer 1: its key (RSA 2048)");
  check(testing::KeyWithExplicitCurve(), "P-256", "its key (explicit curve parameters)");
  check(TestKey("secp256k1"), "P-256", "its key (secp256k1)");
  check(TestKey("X25519"), "P-256", "issuer 1: it did not issue");

  Spec brainpool = Authority::RootSpec("Brainpool");
  brainpool.key = TestKey("brainpoolP256r1");
  const Authority issuer(brainpool, Root());
  EXPECT_THAT(Check(Entry(issuer.Issue(Spec()), {issuer.der()})), IsOk());
}

// Nothing is spent on issuers of a certificate that may not be published anyway.
TEST(CheckAdmission, ChecksTheCertificateBeforeItsIssuers) {
  const std::vector<base::Bytes> garbage = {{0x30, 0x00}};
  Spec expired;
  expired.not_after_s = kNowS - 1;
  Spec server;
  server.extended_key_usage = "serverAuth";
  EXPECT_THAT(Check(Entry(Root().Issue(Spec()), garbage), "bob@example.com"),
              RefusedBy("address", "not for"));
  EXPECT_THAT(Check(Entry(Root().Issue(server), garbage)),
              RefusedBy("extended-key-usage", "emailProtection"));
  EXPECT_THAT(Check(Entry(Root().Issue(expired), garbage)), RefusedBy("validity", "expired"));
  EXPECT_THAT(Check(Entry(Root().Issue(Spec()), garbage)), MalformedBy("chain-format", "issuer 1"));
}

TEST(CheckAdmission, BoundsNamesAndExtensionsOfIssuers) {
  Spec many = Authority::RootSpec("Many");
  many.emails.assign(kMaxSubjectAltNames, "a@example.com");
  const Authority fits(many, Root());
  EXPECT_THAT(Check(Entry(fits.Issue(Spec()), {fits.der()})), IsOk());
  many.emails.emplace_back("b@example.com");
  const Authority exceeds(many, Root());
  EXPECT_THAT(Check(Entry(exceeds.Issue(Spec()), {exceeds.der()})),
              MalformedBy("chain-format", "issuer 1: subjectAltName holds more than 64 names"));
}

TEST(CheckAdmission, RefusesMalformedCertificates) {
  const base::Bytes der = Root().Issue(Spec());
  base::Bytes truncated(der.begin(), der.end() - 1);
  base::Bytes trailing = der;
  trailing.push_back(0);
  EXPECT_THAT(Check(Entry({})), MalformedBy("certificate", "empty"));
  EXPECT_THAT(Check(Entry(truncated)), MalformedBy("certificate", "not an X.509 certificate"));
  EXPECT_THAT(Check(Entry(trailing)), MalformedBy("certificate", "bytes follow"));
  EXPECT_THAT(Check(Entry(base::ToBytes("-----BEGIN CERTIFICATE-----"))),
              MalformedBy("certificate", "not an X.509 certificate"));
}

TEST(CheckAdmission, RefusesDisorderedChains) {
  const base::Bytes der = Intermediate().Issue(Spec());
  const base::Bytes intermediate = Intermediate().der();
  const base::Bytes root = Root().der();
  EXPECT_THAT(Check(Entry(der, {root, intermediate})),
              MalformedBy("chain-format", "issuer 1: it did not issue"));
  EXPECT_THAT(Check(Entry(der, {intermediate, OtherRoot().der()})),
              MalformedBy("chain-format", "issuer 2: it did not issue"));
  EXPECT_THAT(Check(Entry(der, {intermediate, root, root})),
              MalformedBy("chain-format", "issuer 3 is there already"));
  EXPECT_THAT(Check(Entry(der, {{0x30, 0x00}})), MalformedBy("chain-format", "issuer 1: "));
  Spec self_spec;
  self_spec.key_usage.reset();  // which lets it issue certificates, its own first
  const Authority self(self_spec);
  EXPECT_THAT(Check(Entry(self.der(), {self.der()})),
              MalformedBy("chain-format", "issuer 1 is there already"));
}

TEST(CheckAdmission, ChecksSmimeCapabilities) {
  CertificateEntry entry = Entry(Root().Issue(Spec()));
  // RFC 8551 §2.5.2: aes256-GCM and aes128-CBC; then an empty list.
  const char* kGood[] = {"301a300b060960864801650304012e300b0609608648016503040102", "3000"};
  // Trailing byte, no sequence, an entry that is no sequence, no identifier, length in BER.
  const char* kBad[] = {"300000", "0500", "30020500", "30023000", "308100", "3003300106"};
  for (const char* hex : kGood) {
    SCOPED_TRACE(hex);
    entry.smime_capabilities = base::FromHex(hex).value();
    EXPECT_THAT(Check(entry), IsOk());
  }
  for (const char* hex : kBad) {
    SCOPED_TRACE(hex);
    entry.smime_capabilities = base::FromHex(hex).value();
    EXPECT_THAT(Check(entry), MalformedBy("smime-capabilities", "not a DER"));
  }
  entry.smime_capabilities.assign(kMaxSmimeCapabilitiesSize + 1, 0);
  EXPECT_THAT(Check(entry), MalformedBy("smime-capabilities", "4096"));
}

TEST(CheckAdmission, RefusesOversized) {
  Spec spec;
  spec.raw_extensions = {{"1.2.3.4", false, base::Bytes(17'000)}};
  EXPECT_THAT(Check(spec), RefusedBy("size", "16384"));
  Spec big_issuer = Authority::RootSpec("Big");
  big_issuer.raw_extensions = spec.raw_extensions;
  const Authority issuer(big_issuer, Root());
  EXPECT_THAT(Check(Entry(issuer.Issue(Spec()), {issuer.der()})), RefusedBy("size", "16384"));
  EXPECT_THAT(Check(Entry(Root().Issue(Spec()), std::vector<base::Bytes>(9, Root().der()))),
              RefusedBy("size", "more than 8"));
}

// What is in a certificate must not stretch a message without bound.
TEST(CheckAdmission, KeepsReasonsShort) {
  Spec spec;
  spec.subject = std::string(64, 'x');
  Spec issuer_spec = Authority::RootSpec(std::string(60, '\n'));
  const Authority issuer(issuer_spec);
  const absl::Status status = Check(Entry(issuer.Issue(spec)));
  EXPECT_THAT(status, RefusedBy("chain", "issued by"));
  EXPECT_LT(status.message().size(), 400u);
}

TEST(TrustAnchors, LoadSeveralRoots) {
  const TrustAnchors anchors = Anchors("# roots\n" + Root().pem() + OtherRoot().pem());
  EXPECT_EQ(anchors.size(), 2u);
  AdmissionPolicy policy;
  policy.trust_anchors = anchors;
  EXPECT_THAT(Check(Entry(OtherRoot().Issue(Spec())), "alice@example.com", policy), IsOk());
  EXPECT_THAT(Check(Entry(Root().Issue(Spec())), "alice@example.com", policy), IsOk());
}

TEST(TrustAnchors, RefuseWhatIsNoRoot) {
  const Authority self(Spec{});
  for (const std::string& pem :
       {std::string(), std::string("roots"), self.pem(), Root().pem() + Intermediate().pem(),
        ReadVector("ca.rsa.key.pem")}) {
    EXPECT_THAT(TrustAnchors::FromPem(pem),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("trust anchors: ")));
  }
}

}  // namespace
}  // namespace kt::smime
