// SPDX-License-Identifier: Apache-2.0
//
// E-mail addresses and their normal form, which is the label under which certificates are logged.
//
// The normal form, docs/certificate-set.md §1:
//   local part '@' domain, at most 254 bytes of UTF-8
//   - the whole is in Unicode normalisation form C;
//   - the local part is as given otherwise: case, dots and '+' belong to its domain (RFC 5321 §2.4)
//     and are never folded. It is quoted only if it has to be: a quoted string whose content is a
//     dot-string loses its quotes, and inside remaining quotes only '"' and '\' are escaped;
//   - the domain is two or more lower-case A-labels (RFC 5890), no trailing dot.
// Two texts name the same mailbox for this log exactly if their normal forms are equal bytes.
#ifndef SMIME_ADDRESS_H_
#define SMIME_ADDRESS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "base/bytes.h"

namespace kt::smime {

// RFC 5321 §4.5.3.1, in octets of the normal form. A path has 256 with its angle brackets.
inline constexpr size_t kMaxLocalPartSize = 64;
inline constexpr size_t kMaxDomainSize = 253;  // 255 in the DNS, which counts the root's label
inline constexpr size_t kMaxAddressSize = 254;
// What ParseAddress reads at most: U-labels can be longer than the A-labels that they become.
inline constexpr size_t kMaxAddressTextSize = 1024;

// An address in normal form.
struct Address {
  std::string local;   // UTF-8; with its quotes, if it needs them
  std::string domain;  // lower-case A-labels

  // local@domain. ParseAddress(text()) gives the same address again.
  std::string text() const { return local + "@" + domain; }
  // The same as bytes: what the draft calls the label, 1..254 bytes.
  base::Bytes label() const { return base::ToBytes(text()); }

  bool operator==(const Address&) const = default;
};

// The normal form of `text`, which holds one address and nothing else (RFC 5321 Mailbox with the
// extensions of RFC 6531). kInvalidArgument, with a reason that tells a user what to change, for:
//   display names, angle brackets, comments, white space, routes, address literals;
//   a single-label domain, a trailing dot, or a domain that IDNA2008 forbids;
//   invalid UTF-8, and in the local part control, unassigned, private-use and invisible characters
//   (zero-width joiners only where RFC 5892 Appendix A allows them);
//   more octets than RFC 5321 allows.
absl::StatusOr<Address> ParseAddress(const std::string& text);

// The address whose label is `label`. kInvalidArgument unless `label` is exactly a normal form.
absl::StatusOr<Address> AddressFromLabel(base::ByteView label);

}  // namespace kt::smime
#endif  // SMIME_ADDRESS_H_
