// SPDX-License-Identifier: Apache-2.0
#include "kt-client/output.h"

#include <unictype.h>
#include <unistr.h>

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/status.h"

namespace kt::client {

std::string FormatTime(int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

std::string FormatUsage(const smime::Certificate& certificate) {
  if (certificate.can_sign() && certificate.can_encrypt()) return "signing, encryption";
  if (certificate.can_encrypt()) return "encryption";
  if (certificate.can_sign()) return "signing";
  return "none";
}

std::vector<smime::Certificate> ParseSet(const smime::CertificateSet& set) {
  std::vector<smime::Certificate> certificates;
  for (const smime::CertificateEntry& entry : set.entries()) {
    absl::StatusOr<smime::Certificate> certificate = smime::Certificate::Parse(entry.der);
    if (certificate.ok()) certificates.push_back(*std::move(certificate));
  }
  std::stable_partition(
      certificates.begin(), certificates.end(),
      [](const smime::Certificate& certificate) { return certificate.can_encrypt(); });
  return certificates;
}

std::string OneLine(const std::string& text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  std::string line;
  for (size_t i = 0; i < text.size();) {
    ucs4_t c = 0;
    const auto length = static_cast<size_t>(u8_mbtouc(&c, bytes + i, text.size() - i));
    const bool hidden = uc_is_general_category_withtable(
        c, UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp);
    line.append(hidden || c == 0xfffd ? " " : text.substr(i, length));
    i += length;
  }
  return line;
}

nlohmann::ordered_json ToJson(const smime::Certificate& certificate) {
  return {{"fingerprint", "sha256:" + base::ToHex(certificate.fingerprint().bytes)},
          {"subject", certificate.subject()},
          {"issuer", certificate.issuer()},
          {"serial", certificate.serial_hex()},
          {"not_before", FormatTime(certificate.not_before_ms())},
          {"not_after", FormatTime(certificate.not_after_ms())},
          {"key", certificate.key_text()},
          {"can_encrypt", certificate.can_encrypt()},
          {"can_sign", certificate.can_sign()},
          {"der", base::ToBase64(certificate.der())}};
}

nlohmann::ordered_json ToJson(const LogInfo& log) {
  return {{"configuration", "sha256:" + base::ToHex(log.configuration_fingerprint.bytes)},
          {"first_use", log.first_use},
          {"server", log.server},
          {"tree_size", log.tree_size},
          {"head_time", FormatTime(static_cast<int64_t>(log.head_timestamp_ms))}};
}

void PrintJson(const nlohmann::ordered_json& json) {
  std::cout << json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << "\n";
}

std::string DescribeIssue(const smime::Certificate& certificate) {
  return absl::StrCat("issuer ", OneLine(certificate.issuer()), ", serial ",
                      certificate.serial_hex(), ", valid ", FormatTime(certificate.not_before_ms()),
                      " to ", FormatTime(certificate.not_after_ms()),
                      ", sha256:", base::ToHex(certificate.fingerprint().bytes));
}

std::string Describe(const smime::Certificate& certificate) {
  return absl::StrCat(FormatUsage(certificate), "; ", certificate.key_text(), "; until ",
                      FormatTime(certificate.not_after_ms()),
                      "; sha256:", base::ToHex(certificate.fingerprint().bytes));
}

}  // namespace kt::client
