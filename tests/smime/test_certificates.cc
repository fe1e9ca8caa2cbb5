// SPDX-License-Identifier: Apache-2.0
#include "tests/smime/test_certificates.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <map>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "smime/certificate.h"
#include "tests/support/paths.h"

namespace kt::smime::testing {
namespace {

void SetName(X509_NAME* name, const std::string& common_name) {
  KT_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(common_name.data()),
                                      static_cast<int>(common_name.size()), -1, 0) == 1);
}

void AddExtension(X509* x509, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  KT_CHECK(extension != nullptr);
  KT_CHECK(X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void AddRawExtension(X509* x509, const Spec::Raw& raw) {
  ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(value, raw.value.data(), static_cast<int>(raw.value.size()));
  ASN1_OBJECT* oid = OBJ_txt2obj(raw.oid.c_str(), 1);
  KT_CHECK(oid != nullptr);
  X509_EXTENSION* extension =
      X509_EXTENSION_create_by_OBJ(nullptr, oid, raw.critical ? 1 : 0, value);
  KT_CHECK(X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  ASN1_OBJECT_free(oid);
  ASN1_OCTET_STRING_free(value);
}

GENERAL_NAME* EmailName(const std::string& email) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, email.data(), static_cast<int>(email.size()));
  GENERAL_NAME_set0_value(name, GEN_EMAIL, text);
  return name;
}

GENERAL_NAME* Utf8MailboxName(const std::string& mailbox) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_TYPE* value = ASN1_TYPE_new();
  ASN1_UTF8STRING* text = ASN1_UTF8STRING_new();
  ASN1_STRING_set(text, mailbox.data(), static_cast<int>(mailbox.size()));
  ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
  GENERAL_NAME_set0_othername(name, OBJ_nid2obj(NID_id_on_SmtpUTF8Mailbox), value);
  return name;
}

void AddSubjectAltName(X509* x509, const Spec& spec) {
  if (spec.emails.empty() && spec.utf8_mailboxes.empty()) return;
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  for (const std::string& email : spec.emails) sk_GENERAL_NAME_push(names, EmailName(email));
  for (const std::string& mailbox : spec.utf8_mailboxes) {
    sk_GENERAL_NAME_push(names, Utf8MailboxName(mailbox));
  }
  KT_CHECK(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1);
  GENERAL_NAMES_free(names);
}

base::Bytes MakeCertificate(const Spec& spec, const std::string& issuer, const Key& issuer_key,
                            const std::string& digest) {
  const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), &X509_free);
  KT_CHECK(X509_set_version(x509.get(), X509_VERSION_3) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509.get()), spec.serial);
  SetName(X509_get_subject_name(x509.get()), spec.subject);
  SetName(X509_get_issuer_name(x509.get()), issuer);
  ASN1_TIME_set(X509_getm_notBefore(x509.get()), spec.not_before_s);
  ASN1_TIME_set(X509_getm_notAfter(x509.get()), spec.not_after_s);
  KT_CHECK(X509_set_pubkey(x509.get(), spec.key.get()) == 1);
  const std::pair<int, const std::optional<std::string>&> extensions[] = {
      {NID_basic_constraints, spec.basic_constraints},
      {NID_key_usage, spec.key_usage},
      {NID_ext_key_usage, spec.extended_key_usage},
      {NID_name_constraints, spec.name_constraints}};
  for (const auto& [nid, value] : extensions) {
    if (value.has_value()) AddExtension(x509.get(), nid, *value);
  }
  AddSubjectAltName(x509.get(), spec);
  for (const Spec::Raw& raw : spec.raw_extensions) AddRawExtension(x509.get(), raw);
  const EVP_MD* md = digest.empty() ? nullptr : EVP_get_digestbyname(digest.c_str());
  KT_CHECK(X509_sign(x509.get(), issuer_key.get(), md) > 0);
  unsigned char* out = nullptr;
  const int size = i2d_X509(x509.get(), &out);
  KT_CHECK(size > 0);
  base::Bytes der(out, out + size);
  OPENSSL_free(out);
  return der;
}

EVP_PKEY* Generate(const std::string& kind) {
  if (kind.starts_with("RSA-")) {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA",
                             static_cast<size_t>(std::stoul(kind.substr(4))));
  }
  if (kind.starts_with("P-") || kind.starts_with("secp") || kind.starts_with("brainpool")) {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
  }
  return EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str());
}

Key RsaKeyFrom(const BIGNUM* n, const BIGNUM* e) {
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  EVP_PKEY* key = nullptr;
  KT_CHECK(EVP_PKEY_fromdata_init(context) == 1);
  KT_CHECK(EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  return Key(key, &EVP_PKEY_free);
}

}  // namespace

Key TestKey(const std::string& kind, const std::string& owner) {
  static auto* const keys = new std::map<std::pair<std::string, std::string>, Key>();
  Key& key = (*keys)[{kind, owner}];
  if (key == nullptr) key = Key(Generate(kind), &EVP_PKEY_free);
  KT_CHECK(key != nullptr);
  return key;
}

Key KeyWithExponentOne() {
  BIGNUM* n = nullptr;
  KT_CHECK(EVP_PKEY_get_bn_param(TestKey("RSA-2048").get(), OSSL_PKEY_PARAM_RSA_N, &n) == 1);
  Key key = RsaKeyFrom(n, BN_value_one());
  BN_free(n);
  return key;
}

Key RsaPublicKey(int modulus_bits, int exponent_bits) {
  BIGNUM* n = BN_new();
  BIGNUM* e = BN_new();
  KT_CHECK(BN_rand(n, modulus_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) == 1);
  KT_CHECK(BN_rand(e, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) == 1);
  Key key = RsaKeyFrom(n, e);
  BN_free(n);
  BN_free(e);
  return key;
}

Key KeyWithExplicitCurve() {
  Key key(Generate("P-256"), &EVP_PKEY_free);
  KT_CHECK(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING,
                                          OSSL_PKEY_EC_ENCODING_EXPLICIT) == 1);
  return key;
}

Spec Authority::RootSpec(const std::string& name) {
  Spec spec;
  spec.subject = name;
  spec.key = TestKey("P-256", name);
  spec.emails.clear();
  spec.key_usage = "critical,keyCertSign,cRLSign";
  spec.extended_key_usage = std::nullopt;
  spec.basic_constraints = "critical,CA:TRUE";
  spec.not_before_s = kNowS - 365 * kDayS;
  spec.not_after_s = kNowS + 365 * kDayS;
  return spec;
}

Authority::Authority(const Spec& spec)
    : name_(spec.subject),
      key_(spec.key),
      digest_(spec.digest),
      der_(MakeCertificate(spec, spec.subject, spec.key, spec.digest)) {}

Authority::Authority(const Spec& spec, const Authority& issuer)
    : name_(spec.subject), key_(spec.key), digest_(spec.digest), der_(issuer.Issue(spec)) {}

base::Bytes Authority::Issue(const Spec& spec) const {
  return MakeCertificate(spec, name_, key_, digest_.empty() ? "" : spec.digest);
}

std::string Authority::pem() const {
  const absl::StatusOr<Certificate> certificate = Certificate::Parse(der_);
  KT_CHECK(certificate.ok());
  return certificate->ToPem();
}

std::string ReadVector(const std::string& name) {
  const absl::StatusOr<base::Bytes> text =
      base::ReadFile(kt::testing::SourceDir() + "/tests/vectors/rfc9216/" + name, 1u << 20);
  KT_CHECK(text.ok());
  return base::ToText(*text);
}

}  // namespace kt::smime::testing
