// SPDX-License-Identifier: Apache-2.0
//
// What a reader takes from a certificate set that it has looked up.
#ifndef SMIME_READER_POLICY_H_
#define SMIME_READER_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "smime/address.h"
#include "smime/certificate.h"
#include "smime/certificate_set.h"

namespace kt::smime {

// An entry that mail to or from the address can use now.
struct UsableCertificate {
  size_t index;  // in the set's entries()
  Certificate certificate;
};

// An entry that this reader does not use. That says nothing against the other entries, and nothing
// against the log, which stores certificates that one reader knows and another does not.
struct PassedOver {
  size_t index;        // in the set's entries()
  std::string reason;  // one short line for people, such as "it has expired"
};

// Every entry of the set is in exactly one of the two, each in the order of the set.
struct SortedEntries {
  std::vector<UsableCertificate> usable;
  std::vector<PassedOver> passed_over;
};

// Sorts the entries of `set`, which was looked up for `address`, at `now_ms` (milliseconds since
// the Unix epoch). Usable is a certificate that
//   - parses;
//   - names `address` in its subjectAltName, compared by normal form;
//   - is valid: not_before_ms <= now_ms < not_after_ms;
//   - has a use in e-mail: can_sign() or can_encrypt().
// Never fails: what one entry holds never spoils another. docs/certificate-set.md §2.
//
// Chains are not looked at: which issuers a reader trusts, and whether a certificate is revoked, is
// for the program that uses it.
SortedEntries SortEntries(const CertificateSet& set, const Address& address, uint64_t now_ms);

}  // namespace kt::smime
#endif  // SMIME_READER_POLICY_H_
