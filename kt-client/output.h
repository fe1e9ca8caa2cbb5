// SPDX-License-Identifier: Apache-2.0
//
// How results look: JSON for programs, lines for people.
#ifndef KT_CLIENT_OUTPUT_H_
#define KT_CLIENT_OUTPUT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kt-client/client.h"
#include "smime/certificate.h"
#include "smime/certificate_set.h"

namespace kt::client {

// "2026-03-01T10:00:00Z"
std::string FormatTime(int64_t unix_ms);

// "signing", "encryption", "signing, encryption" or "none".
std::string FormatUsage(const smime::Certificate& certificate);

// The certificates of a set as they were published, encryption-capable ones first, without those
// that do not parse.
std::vector<smime::Certificate> ParseSet(const smime::CertificateSet& set);

// `text` on one line and without anything that moves a terminal's cursor or turns text around:
// what comes from a peer must not look like ours.
std::string OneLine(const std::string& text);

nlohmann::ordered_json ToJson(const smime::Certificate& certificate);
nlohmann::ordered_json ToJson(const LogInfo& log);

// Prints `json` on standard output, one line of ASCII. Invalid UTF-8 is replaced, never fatal.
void PrintJson(const nlohmann::ordered_json& json);

// Who issued the certificate: "issuer NAME, serial HEX, valid FROM to UNTIL, sha256:HEX".
std::string DescribeIssue(const smime::Certificate& certificate);

// One line for each certificate: usage, key, expiry, fingerprint.
std::string Describe(const smime::Certificate& certificate);

}  // namespace kt::client
#endif  // KT_CLIENT_OUTPUT_H_
