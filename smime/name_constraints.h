// SPDX-License-Identifier: Apache-2.0
//
// Name constraints on mailboxes. For the .cc files of this folder.
#ifndef SMIME_NAME_CONSTRAINTS_H_
#define SMIME_NAME_CONSTRAINTS_H_

#include <openssl/x509.h>

#include <span>

#include "absl/status/status.h"

namespace kt::smime {

// OK if the rfc822Names and SmtpUTF8Mailboxes of `certificate` lie within the name constraints of
// all `issuers`: the certificates above it in its verified path, in any order. Else
// kFailedPrecondition with a reason for people, without a period.
//
// RFC 5280 §4.2.1.10 and RFC 9598 §6, compared by the normal forms that become labels. OpenSSL
// evaluates constraints too, but on the bytes of a SmtpUTF8Mailbox and on U-labels: what it
// compares is not always what the log would file the certificate under, so this comes in addition.
// Whatever cannot be judged is refused:
//   a mailbox that counts as no address, under a constraint on mailboxes;
//   a constraint on rfc822Names that is no host, .domain or mailbox;
//   a SmtpUTF8Mailbox under a constraint on SmtpUTF8Mailboxes, which no standard defines.
absl::Status CheckMailboxConstraints(const X509* certificate, std::span<X509* const> issuers);

}  // namespace kt::smime
#endif  // SMIME_NAME_CONSTRAINTS_H_
