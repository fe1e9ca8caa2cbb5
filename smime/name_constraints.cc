// SPDX-License-Identifier: Apache-2.0
#include "smime/name_constraints.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "smime/openssl_ptr.h"
#include "smime/subject_alt_name.h"

namespace kt::smime {
namespace {

absl::Status Unfit(const std::string& reason) { return absl::FailedPreconditionError(reason); }

// The base of a subtree of rfc822Names, in normal form.
struct MailSubtree {
  std::optional<std::string> local;  // a particular mailbox
  std::string domain;                // A-labels; with a leading dot: all domains below it

  bool Holds(const Address& address) const {
    if (domain.front() == '.') return address.domain.ends_with(domain);
    return address.domain == domain && (!local.has_value() || address.local == *local);
  }
};

absl::StatusOr<MailSubtree> ParseMailSubtree(const std::string& base) {
  const bool is_domain = base.starts_with('.');
  const bool is_mailbox = base.find('@') != std::string::npos;
  // The parser of addresses is the one authority on domains: it is given an address at the host,
  // or at a host within the domain.
  const std::string text = is_domain ? "x@x" + base : is_mailbox ? base : "x@" + base;
  const absl::StatusOr<Address> address = ParseAddress(text);
  const bool is_ascii = std::all_of(base.begin(), base.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!address.ok() || !is_ascii) {
    return Unfit("an issuer's name constraint on e-mail addresses cannot be understood");
  }
  if (is_domain) return MailSubtree{std::nullopt, address->domain.substr(1)};
  if (is_mailbox) return MailSubtree{address->local, address->domain};
  return MailSubtree{std::nullopt, address->domain};
}

// What one list of subtrees says of mailboxes.
struct MailSubtrees {
  std::vector<MailSubtree> mail;
  bool smtp_utf8 = false;  // there is one of SmtpUTF8Mailboxes

  bool Hold(const Address& address) const {
    return std::any_of(mail.begin(), mail.end(),
                       [&](const MailSubtree& subtree) { return subtree.Holds(address); });
  }
};

absl::StatusOr<MailSubtrees> ReadSubtrees(const STACK_OF(GENERAL_SUBTREE) * list) {
  MailSubtrees subtrees;
  for (int i = 0; i < sk_GENERAL_SUBTREE_num(list); ++i) {
    const GENERAL_NAME* const base = sk_GENERAL_SUBTREE_value(list, i)->base;
    if (base->type == GEN_EMAIL) {
      KT_ASSIGN_OR_RETURN(MailSubtree subtree, ParseMailSubtree(AsnText(base->d.rfc822Name)));
      subtrees.mail.push_back(std::move(subtree));
    } else if (IsSmtpUtf8Mailbox(base)) {
      subtrees.smtp_utf8 = true;
    }
  }
  return subtrees;
}

absl::Status CheckName(const MailboxName& name, const MailSubtrees& permitted,
                       const MailSubtrees& excluded) {
  if (name.is_smtp_utf8 && (permitted.smtp_utf8 || excluded.smtp_utf8)) {
    return Unfit("an issuer constrains SmtpUTF8Mailbox names, for which no rules exist");
  }
  if (permitted.mail.empty() && excluded.mail.empty()) return absl::OkStatus();
  if (!name.address.has_value()) {
    return Unfit(
        "an issuer constrains e-mail addresses, and a mailbox in subjectAltName is not in the form "
        "in which it could be compared");
  }
  if (excluded.Hold(*name.address)) {
    return Unfit(absl::StrCat("an issuer may not issue for ", name.address->text(),
                              " (excluded by its name constraints)"));
  }
  if (!permitted.mail.empty() && !permitted.Hold(*name.address)) {
    return Unfit(absl::StrCat("an issuer may not issue for ", name.address->text(),
                              " (not permitted by its name constraints)"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMailboxConstraints(const X509* certificate, std::span<X509* const> issuers) {
  std::optional<std::vector<MailboxName>> names;
  for (const X509* const issuer : issuers) {
    KT_ASSIGN_OR_RETURN(const NameConstraintsPtr constraints,
                        Extension<NameConstraintsPtr>(issuer, NID_name_constraints));
    if (constraints == nullptr) continue;
    if (!names.has_value()) {
      KT_ASSIGN_OR_RETURN(names, MailboxNames(certificate));
    }
    KT_ASSIGN_OR_RETURN(const MailSubtrees permitted, ReadSubtrees(constraints->permittedSubtrees));
    KT_ASSIGN_OR_RETURN(const MailSubtrees excluded, ReadSubtrees(constraints->excludedSubtrees));
    for (const MailboxName& name : *names) {
      KT_RETURN_IF_ERROR(CheckName(name, permitted, excluded));
    }
  }
  return absl::OkStatus();
}

}  // namespace kt::smime
