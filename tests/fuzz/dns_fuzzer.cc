// SPDX-License-Identifier: Apache-2.0
//
// What anybody on the path may put into an answer of the DNS, and what people type: read exactly or
// refused.
#include <string>
#include <vector>

#include "base/check.h"
#include "kt-client/discovery.h"
#include "kt-client/dns_message.h"
#include "kt-client/failure.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace kt::client;  // all parsers, by name: NOLINT(google-build-using-namespace)

void ReadMessage(kt::base::ByteView message) {
  const absl::Status answer = CheckAnswer(message);
  HasAuthenticatedDataBit(message);
  if (!answer.ok()) {
    KT_CHECK(FailureOf(answer).has_value());
    return;
  }
  const auto services = ParseSrvAnswer(message);
  KT_CHECK(services.ok() || FailureOf(services.status()).has_value());
  if (services.ok()) KT_CHECK(!services->empty() && services->size() <= kMaxSrvRecords);
  const auto texts = ParseTxtAnswer(message);
  KT_CHECK(texts.ok() || FailureOf(texts.status()).has_value());
  if (texts.ok()) {
    KT_CHECK(!texts->empty() && texts->size() <= kMaxTxtRecords);
    ParsePin(*texts).status().IgnoreError();
  }
  for (const DnsType type : {DnsType::kA, DnsType::kAaaa}) {
    const auto addresses = ParseAddressAnswer(message, type);
    KT_CHECK(addresses.ok() || FailureOf(addresses.status()).has_value());
    if (!addresses.ok()) continue;
    KT_CHECK(!addresses->empty() && addresses->size() <= kMaxAddresses);
    for (const std::string& address : *addresses) KT_CHECK(IsIpAddress(address));
  }
}

void ReadPin(const std::string& text) {
  std::vector<std::string> texts(1);
  for (const char c : text) {
    if (c == '\n') {
      texts.emplace_back();
    } else {
      texts.back().push_back(c);
    }
  }
  ParsePin(texts).status().IgnoreError();
}

void ReadHostPort(const std::string& text) {
  for (const auto& port : {std::optional<uint16_t>(), std::optional<uint16_t>(443)}) {
    const auto read = ParseHostPort(text, port);
    if (!read.ok()) {
      KT_CHECK(absl::IsInvalidArgument(read.status()));
      continue;
    }
    KT_CHECK(IsHostName(read->host) || IsIpAddress(read->host));
    // What it is written as is read as the same.
    const auto again = ParseHostPort(read->ToString(), std::nullopt);
    KT_CHECK(again.ok() && *again == *read);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const unsigned kind = input.Below(4);
  if (kind < 2) ReadMessage(input.Rest());
  if (kind == 2) ReadPin(kt::base::ToText(input.Rest()));
  if (kind == 3) ReadHostPort(kt::base::ToText(input.Rest()));
  return 0;
}
