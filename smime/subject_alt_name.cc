// SPDX-License-Identifier: Apache-2.0
#include "smime/subject_alt_name.h"

#include <openssl/obj_mac.h>
#include <openssl/objects.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "smime/certificate.h"

namespace kt::smime {
namespace {

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::optional<Address> Rfc822Address(const std::string& text) {
  if (!IsAscii(text)) return std::nullopt;
  absl::StatusOr<Address> address = ParseAddress(text);
  // RFC 9598 §5: a certificate's local part is compared as it stands, without normalisation.
  if (!address.ok() || !text.starts_with(address->local + "@")) return std::nullopt;
  return *std::move(address);
}

// RFC 9598 §3: a local part that is not ASCII only, and a domain of lower-case A-labels and LDH
// labels. Every program that verifies the path compares these very bytes with name constraints;
// so a name that our parser would have to change first names nobody.
std::optional<Address> SmtpUtf8Address(const std::string& text) {
  const size_t at = text.rfind('@');
  if (at == std::string::npos || IsAscii(text.substr(0, at)) || !IsAscii(text.substr(at + 1))) {
    return std::nullopt;
  }
  absl::StatusOr<Address> address = ParseAddress(text);
  if (!address.ok() || address->text() != text) return std::nullopt;
  return *std::move(address);
}

absl::StatusOr<GeneralNamesPtr> SubjectAltName(const X509* x509) {
  KT_ASSIGN_OR_RETURN(GeneralNamesPtr names,
                      Extension<GeneralNamesPtr>(x509, NID_subject_alt_name));
  if (names != nullptr &&
      sk_GENERAL_NAME_num(names.get()) > static_cast<int>(kMaxSubjectAltNames)) {
    return absl::InvalidArgumentError(
        absl::StrCat("subjectAltName holds more than ", kMaxSubjectAltNames, " names"));
  }
  return names;
}

}  // namespace

std::string AsnText(const ASN1_STRING* string) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                     static_cast<size_t>(ASN1_STRING_length(string)));
}

bool IsSmtpUtf8Mailbox(const GENERAL_NAME* name) {
  return name->type == GEN_OTHERNAME &&
         OBJ_obj2nid(name->d.otherName->type_id) == NID_id_on_SmtpUTF8Mailbox;
}

absl::StatusOr<std::vector<MailboxName>> MailboxNames(const X509* x509) {
  KT_ASSIGN_OR_RETURN(const GeneralNamesPtr names, SubjectAltName(x509));
  std::vector<MailboxName> mailboxes;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_EMAIL) {
      mailboxes.push_back({false, Rfc822Address(AsnText(name->d.rfc822Name))});
    } else if (IsSmtpUtf8Mailbox(name)) {
      const ASN1_TYPE* const value = name->d.otherName->value;
      const bool is_text = value != nullptr && value->type == V_ASN1_UTF8STRING;
      mailboxes.push_back(
          {true, is_text ? SmtpUtf8Address(AsnText(value->value.utf8string)) : std::nullopt});
    }
  }
  return mailboxes;
}

absl::Status CheckSubjectAltNameCount(const X509* x509) { return SubjectAltName(x509).status(); }

}  // namespace kt::smime
