// SPDX-License-Identifier: Apache-2.0
//
// The mailboxes in a certificate's subjectAltName. For the .cc files of this folder.
#ifndef SMIME_SUBJECT_ALT_NAME_H_
#define SMIME_SUBJECT_ALT_NAME_H_

#include <openssl/x509v3.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "smime/address.h"
#include "smime/openssl_ptr.h"

namespace kt::smime {

// The decoded extension, or null if the certificate does not have it. kInvalidArgument if it is
// malformed or there twice.
template <typename Pointer>
absl::StatusOr<Pointer> Extension(const X509* x509, int nid) {
  int critical = 0;
  Pointer value(
      static_cast<typename Pointer::pointer>(X509_get_ext_d2i(x509, nid, &critical, nullptr)));
  if (value == nullptr && critical != -1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the extension ", OBJ_nid2sn(nid), " is malformed or repeated"));
  }
  return value;
}

std::string AsnText(const ASN1_STRING* string);

// Whether `name` is an otherName of type SmtpUTF8Mailbox, whatever its value.
bool IsSmtpUtf8Mailbox(const GENERAL_NAME* name);

// One rfc822Name or SmtpUTF8Mailbox.
struct MailboxName {
  bool is_smtp_utf8 = false;
  // The address that it counts as, docs/certificate-set.md §1; nullopt if it counts as none.
  std::optional<Address> address;
};

// All rfc822Names and SmtpUTF8Mailboxes, in the order of the certificate. kInvalidArgument if
// subjectAltName is malformed or holds more than kMaxSubjectAltNames names of any kind.
absl::StatusOr<std::vector<MailboxName>> MailboxNames(const X509* x509);

// kInvalidArgument if subjectAltName is malformed or too long: what MailboxNames says, but nothing
// is computed for the names.
absl::Status CheckSubjectAltNameCount(const X509* x509);

}  // namespace kt::smime
#endif  // SMIME_SUBJECT_ALT_NAME_H_
