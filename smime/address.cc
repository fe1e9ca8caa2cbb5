// SPDX-License-Identifier: Apache-2.0
#include "smime/address.h"

#include <idn2.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::smime {
namespace {

constexpr size_t kMaxDnsLabelSize = 63;
constexpr ucs4_t kZeroWidthNonJoiner = 0x200C;
constexpr ucs4_t kZeroWidthJoiner = 0x200D;
constexpr char kGiveAlone[] =
    "give the address alone, as local@domain, without a display name, angle brackets or a route";

absl::Status Invalid(const std::string& reason) { return absl::InvalidArgumentError(reason); }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }
bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return IsAscii(c); });
}
char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// RFC 5322 §3.2.3 atext, extended by RFC 6531 §3.3 with everything beyond ASCII.
bool IsAtext(char c) {
  return !IsAscii(c) || IsLetter(c) || IsDigit(c) ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

// How an error message names a character: printable ASCII as it is, anything else by its number.
std::string CharacterName(ucs4_t c) {
  if (c > 0x20 && c < 0x7F) return absl::StrCat("'", std::string(1, static_cast<char>(c)), "'");
  char name[16];
  std::snprintf(name, sizeof(name), "U+%04X", static_cast<unsigned>(c));
  return name;
}

std::vector<ucs4_t> CodePoints(const std::string& utf8) {
  std::vector<ucs4_t> points;
  const auto* at = reinterpret_cast<const uint8_t*>(utf8.data());
  const uint8_t* const end = at + utf8.size();
  while (at < end) {
    ucs4_t c;
    const int size = u8_mbtouc(&c, at, static_cast<size_t>(end - at));
    KT_CHECK(size > 0);
    points.push_back(c);
    at += size;
  }
  return points;
}

absl::StatusOr<std::string> ToNfc(const std::string& text) {
  const auto* in = reinterpret_cast<const uint8_t*>(text.data());
  if (u8_check(in, text.size()) != nullptr) return Invalid("the address is not valid UTF-8");
  size_t size = 0;
  const std::unique_ptr<uint8_t, decltype(&std::free)> out(
      u8_normalize(UNINORM_NFC, in, text.size(), nullptr, &size), &std::free);
  if (out == nullptr) return Invalid("the address cannot be normalised");
  return std::string(reinterpret_cast<const char*>(out.get()), size);
}

// --- local part --------------------------------------------------------------------------

// RFC 5892 Appendix A.1 and A.2: joiners are visible after a virama; the non-joiner also between
// two letters that would otherwise connect.
bool JoinerIsVisible(const std::vector<ucs4_t>& points, size_t i) {
  if (i > 0 && uc_combining_class(points[i - 1]) == UC_CCC_VR) return true;
  if (points[i] != kZeroWidthNonJoiner) return false;
  const auto joining = [&](size_t at) { return uc_joining_type(points[at]); };
  size_t before = i;
  while (before > 0 && joining(before - 1) == UC_JOINING_TYPE_T) --before;
  size_t after = i + 1;
  while (after < points.size() && joining(after) == UC_JOINING_TYPE_T) ++after;
  if (before == 0 || after == points.size()) return false;
  const int left = joining(before - 1);
  const int right = joining(after);
  return (left == UC_JOINING_TYPE_L || left == UC_JOINING_TYPE_D) &&
         (right == UC_JOINING_TYPE_R || right == UC_JOINING_TYPE_D);
}

// RFC 6532 §3.1 allows all characters beyond ASCII. Those that cannot be seen, or that have no
// meaning yet, would let two different labels look the same, so they are refused.
absl::Status CheckUnicodeOfLocalPart(const std::string& local) {
  const std::vector<ucs4_t> points = CodePoints(local);
  for (size_t i = 0; i < points.size(); ++i) {
    const ucs4_t c = points[i];
    if (c < 0x80) continue;
    if (c == kZeroWidthJoiner || c == kZeroWidthNonJoiner) {
      if (JoinerIsVisible(points, i)) continue;
    } else if (!uc_is_property_default_ignorable_code_point(c) &&
               !uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Cf |
                                                        UC_CATEGORY_MASK_Cn | UC_CATEGORY_MASK_Co |
                                                        UC_CATEGORY_MASK_Cs | UC_CATEGORY_MASK_Z)) {
      continue;
    }
    return Invalid(absl::StrCat("the local part holds the invisible or unassigned character ",
                                CharacterName(c), "; type the address anew instead of copying it"));
  }
  if (uc_is_general_category_withtable(points.front(), UC_CATEGORY_MASK_M)) {
    return Invalid("the local part begins with a combining mark");
  }
  return absl::OkStatus();
}

bool IsDotString(const std::string& local) {
  if (local.empty() || local.front() == '.' || local.back() == '.') return false;
  if (local.find("..") != std::string::npos) return false;
  return std::all_of(local.begin(), local.end(), [](char c) { return c == '.' || IsAtext(c); });
}

absl::Status ExplainBadDotString(const std::string& local) {
  if (local.empty()) return Invalid("the local part before '@' is missing");
  if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string::npos) {
    return Invalid("the local part has a dot at its start or end, or two in a row");
  }
  const auto bad =
      std::find_if(local.begin(), local.end(), [](char c) { return c != '.' && !IsAtext(c); });
  KT_CHECK(bad != local.end());
  if (*bad == ' ') return Invalid("the local part holds a space; remove it");
  return Invalid(absl::StrCat("the local part holds ",
                              CharacterName(static_cast<unsigned char>(*bad)),
                              ", which is allowed only inside quotes"));
}

// The content of the quoted string (RFC 5321 Quoted-string) at the start of `text`, with
// *rest_begins set to the position after the closing quote.
absl::StatusOr<std::string> ReadQuotedString(const std::string& text, size_t* rest_begins) {
  std::string content;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      *rest_begins = i + 1;
      return content;
    }
    if (text[i] == '\\') {
      ++i;
      if (i == text.size()) break;
      if (!IsAscii(text[i])) {
        return Invalid("a backslash in a quoted local part stands before a non-ASCII character");
      }
    }
    content += text[i];
  }
  return Invalid("the quoted local part has no closing quote");
}

std::string Quote(const std::string& content) {
  std::string quoted = "\"";
  for (const char c : content) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

struct Halves {
  std::string local;   // canonical
  std::string domain;  // as given
};

absl::StatusOr<Halves> SplitQuoted(const std::string& text) {
  size_t rest = 0;
  KT_ASSIGN_OR_RETURN(const std::string content, ReadQuotedString(text, &rest));
  if (rest == text.size() || text[rest] != '@') {
    return Invalid(absl::StrCat("after the closing quote comes no '@'; ", kGiveAlone));
  }
  if (content.empty()) return Invalid("the local part between the quotes is empty");
  return Halves{IsDotString(content) ? content : Quote(content), text.substr(rest + 1)};
}

absl::StatusOr<Halves> SplitUnquoted(const std::string& text) {
  if (text.find_first_of("<>") != std::string::npos) return Invalid(kGiveAlone);
  if (text.find_first_of("()") != std::string::npos) {
    return Invalid("the address holds a comment in parentheses; remove it");
  }
  const size_t at = text.find('@');
  if (at == std::string::npos) return Invalid("the address has no '@'; give it as local@domain");
  if (at == 0 && text.find(':') != std::string::npos) return Invalid(kGiveAlone);
  if (text.find('@', at + 1) != std::string::npos) {
    return Invalid("the address has more than one '@'; give one address");
  }
  const std::string local = text.substr(0, at);
  if (!IsDotString(local)) return ExplainBadDotString(local);
  return Halves{local, text.substr(at + 1)};
}

// --- domain ------------------------------------------------------------------------------

// Checks that `domain` is two or more LDH labels (RFC 5890 §2.3.1), lower case, that a host can
// have: the last one is not a number, else it would be an IPv4 address.
absl::Status CheckLdhDomain(const std::string& domain) {
  if (domain.size() > kMaxDomainSize) return Invalid("the domain is longer than 253 characters");
  size_t labels = 0;
  for (size_t begin = 0; begin <= domain.size(); ++labels) {
    const size_t end = std::min(domain.find('.', begin), domain.size());
    const std::string label = domain.substr(begin, end - begin);
    if (label.empty()) {
      return Invalid(end == domain.size() && labels > 0
                         ? "the domain ends in a dot; remove it"
                         : "the domain has a dot at its start, or two in a row");
    }
    if (label.size() > kMaxDnsLabelSize) {
      return Invalid("a part of the domain is longer than 63 characters");
    }
    for (const char c : label) {
      if (!IsLetter(c) && !IsDigit(c) && c != '-') {
        return Invalid(absl::StrCat("the domain holds ",
                                    CharacterName(static_cast<unsigned char>(c)),
                                    ", which no domain of a mail address has"));
      }
    }
    if (label.front() == '-' || label.back() == '-') {
      return Invalid("a part of the domain begins or ends with a hyphen");
    }
    const bool last = end == domain.size();
    if (last && std::all_of(label.begin(), label.end(), IsDigit)) {
      return Invalid("the domain is an IP address; certificates are published for domain names");
    }
    begin = end + 1;
  }
  if (labels < 2) return Invalid("the domain has only one part; give it in full (example.com)");
  return absl::OkStatus();
}

bool HasALabel(const std::string& lower_case) {
  return lower_case.starts_with("xn--") || lower_case.find(".xn--") != std::string::npos;
}

// IDNA2008 lookup (RFC 5891 §5) after the mapping of UTS #46, non-transitional. STD3 rules are
// checked by CheckLdhDomain instead: with IDN2_USE_STD3_ASCII_RULES libidn2 2.3 silently *drops*
// the characters that it should refuse, so that "ex@mple" would become "exmple".
absl::StatusOr<std::string> LookupIdna(const std::string& domain) {
  uint8_t* out = nullptr;
  const int rc = idn2_lookup_u8(reinterpret_cast<const uint8_t*>(domain.c_str()), &out,
                                IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (rc != IDN2_OK) {
    return Invalid(
        absl::StrCat("the domain is not a valid internationalised name (", idn2_strerror(rc), ")"));
  }
  std::string a_labels(reinterpret_cast<const char*>(out));
  idn2_free(out);
  return a_labels;
}

absl::StatusOr<std::string> NormaliseDomain(const std::string& given) {
  if (given.empty()) return Invalid("the domain after '@' is missing");
  if (given.front() == '[') {
    return Invalid("the domain is an address literal; certificates are published for domain names");
  }
  if (given.find(' ') != std::string::npos) return Invalid("the domain holds a space; remove it");
  std::string domain = given;
  std::transform(domain.begin(), domain.end(), domain.begin(), ToLower);
  // Plain ASCII needs no IDNA, which would refuse names such as "ab--cd.example" that work in mail.
  if (!IsAscii(domain) || HasALabel(domain)) {
    KT_ASSIGN_OR_RETURN(std::string mapped, LookupIdna(domain));
    if (mapped != domain) {
      // The mapping of a character may begin an A-label that has not been looked at yet.
      KT_ASSIGN_OR_RETURN(const std::string again, LookupIdna(mapped));
      if (again != mapped) return Invalid("the domain has no stable internationalised form");
    }
    domain = std::move(mapped);
  }
  KT_RETURN_IF_ERROR(CheckLdhDomain(domain));
  return domain;
}

}  // namespace

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  if (text.empty()) return Invalid("the address is empty");
  if (text.size() > kMaxAddressTextSize) return Invalid("the address is too long");
  // First of all, since NFC turns some characters into ASCII punctuation that must be seen below.
  KT_ASSIGN_OR_RETURN(const std::string nfc, ToNfc(text));
  if (nfc.front() == ' ' || nfc.back() == ' ') {
    return Invalid("there is a space before or after the address; remove it");
  }
  for (const char c : nfc) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      return Invalid(absl::StrCat("the address holds the control character ", CharacterName(byte),
                                  "; type it anew instead of copying it"));
    }
  }

  KT_ASSIGN_OR_RETURN(Halves halves, nfc.front() == '"' ? SplitQuoted(nfc) : SplitUnquoted(nfc));
  KT_RETURN_IF_ERROR(CheckUnicodeOfLocalPart(halves.local));
  if (halves.local.size() > kMaxLocalPartSize) {
    return Invalid("the local part before '@' is longer than 64 bytes");
  }
  Address address;
  address.local = std::move(halves.local);
  KT_ASSIGN_OR_RETURN(address.domain, NormaliseDomain(halves.domain));
  if (address.text().size() > kMaxAddressSize) {
    return Invalid("the address is longer than 254 bytes");
  }
  return address;
}

absl::StatusOr<Address> AddressFromLabel(base::ByteView label) {
  if (label.size() > kMaxAddressSize) return Invalid("the label is longer than 254 bytes");
  const std::string text = base::ToText(label);
  KT_ASSIGN_OR_RETURN(Address address, ParseAddress(text));
  if (address.text() != text) return Invalid("the label is not an address in normal form");
  return address;
}

}  // namespace kt::smime
