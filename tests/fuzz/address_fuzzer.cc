// SPDX-License-Identifier: Apache-2.0
//
// Whatever text a user or a certificate brings: it is refused, or it has a normal form that is
// bounded, stable, and safe to compare and to print.
#include <string>

#include "base/check.h"
#include "smime/address.h"

namespace {

void CheckDomain(const std::string& domain) {
  char before = '.';
  for (const char c : domain) {
    KT_CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.');
    KT_CHECK(c != '.' || before != '.');
    before = c;
  }
  KT_CHECK(before != '.' && domain.find('.') != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<kt::smime::Address> address = kt::smime::ParseAddress(text);
  if (!address.ok()) {
    KT_CHECK(address.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  KT_CHECK(address->label().size() <= kt::smime::kMaxAddressSize);
  KT_CHECK(!address->local.empty() && address->local.size() <= kt::smime::kMaxLocalPartSize);
  for (const char c : address->local) KT_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  CheckDomain(address->domain);
  const absl::StatusOr<kt::smime::Address> again = kt::smime::AddressFromLabel(address->label());
  KT_CHECK(again.ok() && *again == *address);
  return 0;
}
