// SPDX-License-Identifier: Apache-2.0
#include "smime/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/smime/test_certificates.h"
#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::smime {
namespace {

using kt::testing::IsOk;
using kt::testing::SeededRandom;
using kt::testing::StatusIs;
using kt::testing::TestSeed;
using testing::Authority;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ReadVector;
using ::testing::SizeIs;
using testing::Spec;
using testing::TestKey;

const Authority& Root() {
  static const auto* const root = new Authority(Authority::RootSpec("Test Root"));
  return *root;
}

Certificate Make(const Spec& spec) {
  absl::StatusOr<Certificate> certificate = Certificate::Parse(Root().Issue(spec));
  EXPECT_THAT(certificate, IsOk());
  return *std::move(certificate);
}

std::vector<std::string> AddressTexts(const Certificate& certificate) {
  std::vector<std::string> texts;
  for (const Address& address : certificate.addresses()) texts.push_back(address.text());
  return texts;
}

// RFC 9216 §4.3: Alice's encryption certificate; the numbers as another program reads them.
TEST(CertificateParse, ReadsRfc9216Alice) {
  ASSERT_OK_AND_ASSIGN(const auto certificates, ParsePem(ReadVector("alice.encr.crt.pem")));
  ASSERT_THAT(certificates, SizeIs(1));
  const Certificate& alice = certificates[0];
  EXPECT_EQ(alice.subject(), "CN=Alice Lovelace,OU=LAMPS WG,O=IETF");
  EXPECT_EQ(alice.issuer(), "CN=Sample LAMPS RSA Certification Authority,OU=LAMPS WG,O=IETF");
  EXPECT_EQ(alice.serial_hex(), "0f2d25bd1139974ace425487a1ee3d34068ab4");
  EXPECT_EQ(base::ToHex(alice.fingerprint().bytes),
            "0250898d924f4ff95775ebc6c0b038343ac22d405afebaf329ea81483aa85a74");
  EXPECT_EQ(alice.not_before_ms(), 1'574'232'858'000);  // 2019-11-20 06:54:18
  EXPECT_EQ(alice.not_after_ms(), 2'611'032'858'000);   // 2052-09-27 06:54:18
  EXPECT_THAT(AddressTexts(alice), ElementsAre("alice@smime.example"));
  EXPECT_EQ(alice.key_algorithm(), KeyAlgorithm::kRsa);
  EXPECT_EQ(alice.key_bits(), 2048u);
  EXPECT_EQ(alice.key_text(), "RSA 2048");
  EXPECT_EQ(alice.key_usage(), kKeyEncipherment);
  EXPECT_THAT(*alice.extended_key_usage(), ElementsAre("1.3.6.1.5.5.7.3.4"));
  EXPECT_TRUE(alice.has_email_protection());
  EXPECT_FALSE(alice.is_ca());
  EXPECT_GE(alice.signature_security_bits(), 128u);
}

TEST(CertificateParse, TellsRfc9216CertificatesApart) {
  const struct {
    const char* file;
    KeyAlgorithm algorithm;
    bool can_sign, can_encrypt, is_ca;
  } kCases[] = {
      {"alice.sign.crt.pem", KeyAlgorithm::kRsa, true, false, false},
      {"alice.encr.crt.pem", KeyAlgorithm::kRsa, false, true, false},
      {"bob.sign.crt.pem", KeyAlgorithm::kRsa, true, false, false},
      {"bob.encr.crt.pem", KeyAlgorithm::kRsa, false, true, false},
      {"carlos.sign.crt.pem", KeyAlgorithm::kEd25519, true, false, false},
      {"carlos.encr.crt.pem", KeyAlgorithm::kX25519, false, true, false},
      {"dana.sign.crt.pem", KeyAlgorithm::kEd25519, true, false, false},
      {"dana.encr.crt.pem", KeyAlgorithm::kX25519, false, true, false},
      {"ca.rsa.crt.pem", KeyAlgorithm::kRsa, false, false, true},
      {"ca.rsa.cross.crt.pem", KeyAlgorithm::kRsa, false, false, true},
      {"ca.ed25519.crt.pem", KeyAlgorithm::kEd25519, false, false, true},
      {"ca.ed25519.cross.crt.pem", KeyAlgorithm::kEd25519, false, false, true},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.file);
    ASSERT_OK_AND_ASSIGN(const auto certificates, ParsePem(ReadVector(c.file)));
    ASSERT_THAT(certificates, SizeIs(1));
    EXPECT_EQ(certificates[0].key_algorithm(), c.algorithm);
    EXPECT_EQ(certificates[0].can_sign(), c.can_sign);
    EXPECT_EQ(certificates[0].can_encrypt(), c.can_encrypt);
    EXPECT_EQ(certificates[0].is_ca(), c.is_ca);
  }
}

// RFC 8550 §4.4.2: key, keyUsage and what follows from them.
TEST(CertificateUses, FollowKeyAndKeyUsage) {
  const struct {
    const char* key;
    std::optional<std::string> key_usage;
    bool can_sign, can_encrypt;
  } kCases[] = {
      {"RSA-2048", "digitalSignature", true, false},
      {"RSA-2048", "nonRepudiation", true, false},
      {"RSA-2048", "keyEncipherment", false, true},
      {"RSA-2048", "dataEncipherment", false, false},
      {"RSA-2048", "keyAgreement", false, false},
      {"RSA-2048", "digitalSignature,keyEncipherment,dataEncipherment", true, true},
      {"RSA-2048", std::nullopt, true, true},
      {"P-256", "digitalSignature", true, false},
      {"P-256", "keyAgreement", false, true},
      {"P-256", "keyAgreement,decipherOnly", false, true},
      {"P-256", "keyAgreement,encipherOnly", false, false},
      {"P-256", "keyEncipherment", false, false},
      {"P-384", std::nullopt, true, true},
      {"P-521", "digitalSignature,keyAgreement", true, true},
      {"ED25519", "digitalSignature", true, false},
      {"ED25519", "keyAgreement", false, false},
      {"ED448", std::nullopt, true, false},
      {"X25519", "keyAgreement", false, true},
      {"X25519", "digitalSignature", false, false},
      {"X448", std::nullopt, false, true},
      {"secp256k1", std::nullopt, false, false},
      {"P-256", "keyCertSign", false, false},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(std::string(c.key) + " " + c.key_usage.value_or("(none)"));
    Spec spec;
    spec.key = TestKey(c.key);
    spec.key_usage = c.key_usage;
    const Certificate certificate = Make(spec);
    EXPECT_EQ(certificate.can_sign(), c.can_sign);
    EXPECT_EQ(certificate.can_encrypt(), c.can_encrypt);
  }
}

// Keys that OpenSSL cannot read are shown and refused, not taken for malformed certificates: an
// Ed25519 certificate whose key's identifier is changed to 1.3.101.127.
TEST(CertificateParse, ReadsCertificatesWithUnknownKeys) {
  Spec spec;
  spec.key = TestKey("ED25519");
  base::Bytes der = Root().Issue(spec);
  const base::Bytes ed25519 = {0x06, 0x03, 0x2B, 0x65, 0x70};
  const auto at = std::search(der.begin(), der.end(), ed25519.begin(), ed25519.end());
  ASSERT_NE(at, der.end());
  at[4] = 0x7F;
  ASSERT_OK_AND_ASSIGN(const Certificate certificate, Certificate::Parse(der));
  EXPECT_EQ(certificate.key_algorithm(), KeyAlgorithm::kOther);
  EXPECT_EQ(certificate.key_text(), "1.3.101.127");
  EXPECT_EQ(certificate.key_bits(), 0u);
  EXPECT_FALSE(certificate.can_sign() || certificate.can_encrypt());
}

// RFC 8550 §4.4.4.
TEST(CertificateUses, FollowExtendedKeyUsage) {
  const struct {
    std::optional<std::string> usages;
    bool usable, email;
  } kCases[] = {{std::nullopt, true, false},
                {"emailProtection", true, true},
                {"clientAuth,emailProtection", true, true},
                {"anyExtendedKeyUsage", true, false},
                {"clientAuth", false, false}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.usages.value_or("(none)"));
    Spec spec;
    spec.extended_key_usage = c.usages;
    const Certificate certificate = Make(spec);
    EXPECT_EQ(certificate.can_sign(), c.usable);
    EXPECT_EQ(certificate.can_encrypt(), c.usable);
    EXPECT_EQ(certificate.has_email_protection(), c.email);
  }
}

TEST(CertificateAddresses, AreThoseOfSubjectAltName) {
  Spec spec;
  spec.subject = "carol@example.com";  // the subject's names do not count
  spec.emails = {"Alice@EXAMPLE.com",
                 "bob@xn--mnchen-3ya.example",
                 "Alice@example.COM",
                 "no address",
                 "Alice <a@example.com>",
                 "\"alice\"@example.com",
                 std::string("evil@example.com\0.test", 22),
                 "m\xC3\xBCller@example.com"};
  spec.utf8_mailboxes = {"\xE5\xAD\xA6\xE7\x94\x9F@example.com",
                         "m\xC3\xBCller@xn--mnchen-3ya.example",
                         "ascii@example.com",            // belongs into an rfc822Name
                         "mu\xCC\x88ller@example.com"};  // not in NFC
  EXPECT_THAT(
      AddressTexts(Make(spec)),
      ElementsAre("Alice@example.com", "bob@xn--mnchen-3ya.example",
                  "\xE5\xAD\xA6\xE7\x94\x9F@example.com", "m\xC3\xBCller@xn--mnchen-3ya.example"));
  spec.emails.clear();
  spec.utf8_mailboxes.clear();
  EXPECT_THAT(AddressTexts(Make(spec)), IsEmpty());
}

// RFC 9598 §3. What our parser would have to map first, name constraints were not compared with.
TEST(CertificateAddresses, TakeSmtpUtf8MailboxesInNormalFormOnly) {
  const std::pair<const char*, bool> kCases[] = {
      {"m\xC3\xBCller@example.com", true},
      {"m\xC3\xBCller@xn--mnchen-3ya.example", true},
      {"\"m\xC3\xBC ller\"@example.com", true},
      {"m\xC3\xBCller@m\xC3\xBCnchen.example", false},  // U-label: RFC 8398
      {"m\xC3\xBCller@EXAMPLE.com", false},             // upper case
      {"m\xC3\xBCller@XN--MNCHEN-3YA.example", false},  // upper case
      {"m\xC3\xBCller@\xEF\xBD\x85xample.com", false},  // U+FF45, mapped to e
      {"m\xC3\xBCller@example\xE3\x80\x82"
       "com",
       false},  // U+3002, mapped to a dot
      {"m\xC3\xBCller@ex\xC2\xAD"
       "ample.com",
       false},                                        // U+00AD, mapped to nothing
      {"m\xC3\xBCller@xn--99999999.example", false},  // no A-label
      {"mu\xCC\x88ller@example.com", false},          // not in NFC
      {"\"m\xC3\xBCller\"@example.com", false},       // quotes without need
      {"m\xC3\xBCller", false},
      {"muller@example.com", false}};
  for (const auto& [mailbox, counts] : kCases) {
    SCOPED_TRACE(mailbox);
    Spec spec;
    spec.emails.clear();
    spec.utf8_mailboxes = {mailbox};
    if (counts) {
      EXPECT_THAT(AddressTexts(Make(spec)), ElementsAre(mailbox));
    } else {
      EXPECT_THAT(AddressTexts(Make(spec)), IsEmpty());
    }
  }
}

TEST(CertificateAddresses, AreNotWorkedOutForIssuers) {
  const base::Bytes der = Root().Issue(Spec());
  ASSERT_OK_AND_ASSIGN(const Certificate issuer, Certificate::ParseIssuer(der));
  EXPECT_THAT(issuer.addresses(), IsEmpty());
  EXPECT_EQ(issuer.der(), der);
  EXPECT_EQ(issuer.key_algorithm(), KeyAlgorithm::kP256);
}

TEST(CertificateParse, BoundsSubjectAltNames) {
  Spec spec;
  spec.emails.assign(kMaxSubjectAltNames - 1, "alice@example.com");
  spec.utf8_mailboxes = {"m\xC3\xBCller@example.com"};
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)), IsOk());
  EXPECT_THAT(Certificate::ParseIssuer(Root().Issue(spec)), IsOk());
  spec.emails.emplace_back("no address");  // what is no address counts too
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 64 names")));
  EXPECT_THAT(Certificate::ParseIssuer(Root().Issue(spec)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 64 names")));
}

TEST(CertificateParse, BoundsExtensions) {
  Spec spec;
  constexpr size_t kOthers = 4;  // those of Spec
  for (size_t i = 0; i + kOthers < kMaxExtensions; ++i) {
    spec.raw_extensions.push_back({"1.2.3." + std::to_string(i), false, {0x05, 0x00}});
  }
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)), IsOk());
  spec.raw_extensions.push_back({"1.2.4", false, {0x05, 0x00}});
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 32 extensions")));
}

TEST(CertificateParse, ReadsDatesOutsideTheUsualRange) {
  Spec spec;
  spec.not_before_s = -86'400;         // 1969-12-31
  spec.not_after_s = 253'402'300'799;  // 9999-12-31 23:59:59, RFC 5280 §4.1.2.5
  const Certificate certificate = Make(spec);
  EXPECT_EQ(certificate.not_before_ms(), -86'400'000);
  EXPECT_EQ(certificate.not_after_ms(), 253'402'300'799'000);
}

TEST(CertificateParse, EscapesControlCharactersInNames) {
  Spec spec;
  spec.subject = "Ev\nil \x1B[31m \xC3\xBC";
  EXPECT_EQ(Make(spec).subject(), "CN=Ev\\0Ail \\1B[31m \xC3\xBC");
}

TEST(CertificateParse, RefusesEveryTruncation) {
  const base::Bytes der = Root().Issue(Spec());
  for (size_t size = 0; size < der.size(); ++size) {
    ASSERT_THAT(Certificate::Parse(base::ByteView(der).first(size)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << size;
  }
}

TEST(CertificateParse, RefusesTrailingBytes) {
  base::Bytes der = Root().Issue(Spec());
  der.push_back(0);
  EXPECT_THAT(Certificate::Parse(der),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes follow")));
}

TEST(CertificateParse, RefusesOversized) {
  Spec spec;
  spec.raw_extensions = {{"1.2.3.4", false, base::Bytes(65'000)}};
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)), IsOk());
  spec.raw_extensions[0].value.resize(65'600);
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("65535")));
}

// The same certificate with the outermost length in five bytes instead of three.
TEST(CertificateParse, RefusesBer) {
  const base::Bytes der = Root().Issue(Spec());
  ASSERT_EQ(der[1], 0x82);
  base::Bytes ber = {0x30, 0x84, 0x00, 0x00};
  ber.insert(ber.end(), der.begin() + 2, der.end());
  EXPECT_THAT(Certificate::Parse(ber),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("DER")));
}

// The same certificate with bits set that the signature's BIT STRING declares unused: a second
// encoding of one certificate, of the same length.
TEST(CertificateParse, RefusesPaddingBits) {
  base::Bytes der = Root().Issue(Spec());
  size_t at = der.size() - 3;
  while (at > 0 && !(der[at] == 0x03 && der[at + 1] == der.size() - at - 2 && der[at + 2] == 0))
    --at;
  ASSERT_GT(at, 0u);
  der[at + 2] = 1;
  der.back() |= 1;
  EXPECT_THAT(Certificate::Parse(der),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("DER")));
}

TEST(CertificateParse, RefusesMalformedExtensions) {
  for (const char* oid : {"2.5.29.17", "2.5.29.37", "2.5.29.15", "2.5.29.19"}) {
    SCOPED_TRACE(oid);
    Spec spec;
    spec.emails.clear();
    spec.key_usage.reset();
    spec.extended_key_usage.reset();
    spec.basic_constraints.reset();
    spec.raw_extensions = {{oid, false, {0x30, 0x05, 0x01}}};
    EXPECT_THAT(Certificate::Parse(Root().Issue(spec)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("malformed")));
  }
}

// Two subjectAltNames could make two programs see two different owners.
TEST(CertificateParse, RefusesRepeatedExtension) {
  Spec spec;
  const base::Bytes other = {0x30, 0x09, 0x81, 0x07, 'e', '@', 'x', '.', 'o', 'r', 'g'};
  spec.raw_extensions = {{"2.5.29.17", false, other}};
  EXPECT_THAT(Certificate::Parse(Root().Issue(spec)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("repeated")));
}

// Whatever a peer changes, parsing returns: with an error, or with other bytes than before.
TEST(CertificateParse, SurvivesRandomDamage) {
  const uint64_t seed = TestSeed(9216);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  Spec spec;
  spec.utf8_mailboxes = {"m\xC3\xBCller@example.com"};
  const base::Bytes der = Root().Issue(spec);
  for (int i = 0; i < 3000; ++i) {
    base::Bytes damaged = der;
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      damaged[random.Below(damaged.size())] = static_cast<uint8_t>(random.Below(256));
    }
    const absl::StatusOr<Certificate> certificate = Certificate::Parse(damaged);
    if (certificate.ok()) {
      ASSERT_EQ(certificate->der(), damaged);
    }
  }
}

TEST(Pem, RoundTripsSeveralCertificates) {
  const std::string text = "some words\n" + ReadVector("alice.sign.crt.pem") + "between them\r\n" +
                           ReadVector("carlos.encr.crt.pem") + "and after";
  ASSERT_OK_AND_ASSIGN(const auto certificates, ParsePem(text));
  ASSERT_THAT(certificates, SizeIs(2));
  const std::string pem = ToPem(certificates);
  EXPECT_TRUE(pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
  EXPECT_TRUE(pem.ends_with("-----END CERTIFICATE-----\n"));
  ASSERT_OK_AND_ASSIGN(const auto again, ParsePem(pem));
  ASSERT_THAT(again, SizeIs(2));
  EXPECT_EQ(again[0].der(), certificates[0].der());
  EXPECT_EQ(again[1].der(), certificates[1].der());
}

TEST(Pem, RefusesWhatIsNoCertificate) {
  const std::string good = ReadVector("alice.sign.crt.pem");
  std::string damaged = good;
  damaged[good.size() / 2] = '!';
  std::string no_end = good.substr(0, good.find("-----END"));
  const struct {
    std::string text, reason;
  } kCases[] = {
      {"", "no certificate found"},
      {"alice", "no certificate found"},
      {base::ToText(Root().Issue(Spec())), "no certificate found"},
      {good + ReadVector("alice.sign.key.pem"), "PEM block 2 is a private key"},
      {good + damaged, "PEM block 2 is damaged"},
      {no_end, "PEM block 1 is damaged"},
      {"-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n", "pkcs7 -print_certs"},
      {"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "'PUBLIC KEY'"},
      {"-----BEGIN TRUSTED CERTIFICATE-----\nMAA=\n-----END TRUSTED CERTIFICATE-----\n",
       "'TRUSTED CERTIFICATE'"},
      {"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
       "PEM block 1: the bytes are not"},
      {std::string(kMaxPemSize + 1, '\n'), "4 MiB"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.reason);
    EXPECT_THAT(ParsePem(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.reason)));
  }
}

TEST(Pem, BoundsTheNumberOfCertificates) {
  const std::string one = ReadVector("carlos.encr.crt.pem");
  std::string text;
  for (size_t i = 0; i < kMaxPemCertificates; ++i) text += one;
  EXPECT_THAT(ParsePem(text), IsOk());
  EXPECT_THAT(ParsePem(text + one),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many")));
}

}  // namespace
}  // namespace kt::smime
