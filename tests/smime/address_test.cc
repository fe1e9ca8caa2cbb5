// SPDX-License-Identifier: Apache-2.0
#include "smime/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/status_matchers.h"

namespace kt::smime {
namespace {

using kt::testing::IsOk;
using kt::testing::SeededRandom;
using kt::testing::StatusIs;
using kt::testing::TestSeed;
using ::testing::HasSubstr;

struct Accepted {
  std::string given;
  std::string normal;
};

void ExpectNormalForms(const std::vector<Accepted>& cases) {
  for (const Accepted& c : cases) {
    SCOPED_TRACE(c.given);
    const absl::StatusOr<Address> address = ParseAddress(c.given);
    ASSERT_THAT(address, IsOk());
    EXPECT_EQ(address->text(), c.normal);
    EXPECT_EQ(address->label(), base::ToBytes(c.normal));
    // The normal form is a fixed point.
    const absl::StatusOr<Address> again = ParseAddress(c.normal);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(*again, *address);
  }
}

struct Refused {
  std::string given;
  std::string reason;
};

void ExpectRefusals(const std::vector<Refused>& cases) {
  for (const Refused& c : cases) {
    SCOPED_TRACE(c.given);
    EXPECT_THAT(ParseAddress(c.given),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.reason)));
  }
}

TEST(ParseAddress, KeepsLocalPartAndLowersDomain) {
  ExpectNormalForms({
      {"alice@example.com", "alice@example.com"},
      {"Alice.B+tag@EXAMPLE.Com", "Alice.B+tag@example.com"},
      {"a.l.i.c.e@example.com", "a.l.i.c.e@example.com"},
      {"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
      {"alice@mail.sub-domain.example.co.uk", "alice@mail.sub-domain.example.co.uk"},
      {"alice@4you.example", "alice@4you.example"},
      {"alice@1.2.3.4a", "alice@1.2.3.4a"},
      {"alice@ab--cd.example", "alice@ab--cd.example"},
  });
}

TEST(ParseAddress, UnquotesWhatNeedsNoQuotes) {
  ExpectNormalForms({
      {"\"alice\"@example.com", "alice@example.com"},
      {"\"a\\l\\ice\"@example.com", "alice@example.com"},
      {"\"alice.b\"@example.com", "alice.b@example.com"},
      {"\"alice b\"@example.com", "\"alice b\"@example.com"},
      {"\"alice\\ b\"@example.com", "\"alice b\"@example.com"},
      {"\"a\\\"b\\\\c\"@example.com", "\"a\\\"b\\\\c\"@example.com"},
      {"\"a@b\"@example.com", "\"a@b\"@example.com"},
      {"\".alice\"@example.com", "\".alice\"@example.com"},
      {"\"<alice>(x)\"@example.com", "\"<alice>(x)\"@example.com"},
      {"\"m\xC3\xBCller\"@example.com", "m\xC3\xBCller@example.com"},
  });
}

TEST(ParseAddress, TakesDomainsToALabels) {
  ExpectNormalForms({
      {"a@m\xC3\xBCnchen.example", "a@xn--mnchen-3ya.example"},
      {"a@M\xC3\x9CNCHEN.example", "a@xn--mnchen-3ya.example"},
      {"a@mu\xCC\x88nchen.example", "a@xn--mnchen-3ya.example"},  // u and a combining diaeresis
      {"a@XN--Mnchen-3YA.example", "a@xn--mnchen-3ya.example"},
      {"a@fa\xC3\x9F.example", "a@xn--fa-hia.example"},  // non-transitional: not "fass"
      {"a@\xEF\xBC\xA5xample.com", "a@example.com"},     // full-width E
      {"a@example\xE3\x80\x82"
       "com",
       "a@example.com"},  // ideographic full stop
      {"a@\xD0\xBF\xD1\x80\xD0\xB8\xD0\xBC\xD0\xB5\xD1\x80.\xD1\x80\xD1\x84",
       "a@xn--e1afmkfd.xn--p1ai"},
  });
}

TEST(ParseAddress, NormalisesUnicodeLocalPartToNfc) {
  ExpectNormalForms({
      {"mu\xCC\x88ller@example.com", "m\xC3\xBCller@example.com"},
      {"\xE5\xAD\xA6\xE7\x94\x9F@example.com", "\xE5\xAD\xA6\xE7\x94\x9F@example.com"},
      {"\xE2\x84\xAA@example.com", "K@example.com"},  // KELVIN SIGN is K in NFC
      // No compatibility mapping: the ligature stays one.
      {"\xEF\xAC\x81@example.com", "\xEF\xAC\x81@example.com"},
  });
}

// The table of docs/certificate-set.md.
TEST(ParseAddress, GivesTheExamplesOfTheSpecification) {
  ExpectNormalForms({
      {"Alice.B+tag@EXAMPLE.com", "Alice.B+tag@example.com"},
      {"\"alice\"@example.com", "alice@example.com"},
      {"\"a\\lice b\"@example.com", "\"alice b\"@example.com"},
      {"bob@M\xC3\xBCnchen.example", "bob@xn--mnchen-3ya.example"},
      {"\xEF\xBD\x85@fa\xC3\x9F.example", "\xEF\xBD\x85@xn--fa-hia.example"},
  });
}

TEST(ParseAddress, RefusesMoreThanAnAddress) {
  ExpectRefusals({
      {"", "empty"},
      {"Alice <alice@example.com>", "without a display name"},
      {"<alice@example.com>", "without a display name"},
      {"\"Alice\" <alice@example.com>", "without a display name"},
      {"@relay.example:alice@example.com", "route"},
      {"alice@example.com (Alice)", "comment"},
      {"alice(work)@example.com", "comment"},
      {" alice@example.com", "space before or after"},
      {"alice@example.com ", "space before or after"},
      {"alice @example.com", "holds a space"},
      {"alice@ example.com", "holds a space"},
      {"alice@example.com, bob@example.com", "more than one '@'"},
      {"alice@example.com\n", "control character U+000A"},
      {"alice\r\n @example.com", "control character U+000D"},
      {std::string("al\0ice@example.com", 18), "control character U+0000"},
      {std::string("alice@example.com\0.evil.example", 31), "control character U+0000"},
      {"alice\x7F@example.com", "control character U+007F"},
      {"mailto:alice@example.com", "':'"},
      {std::string(1025, 'a'), "too long"},
  });
}

TEST(ParseAddress, RefusesBadLocalParts) {
  ExpectRefusals({
      {"alice", "no '@'"},
      {"@example.com", "missing"},
      {".alice@example.com", "dot"},
      {"alice.@example.com", "dot"},
      {"a..b@example.com", "dot"},
      {"a,b@example.com", "','"},
      {"a\"b@example.com", "'\"'"},
      {"a\\b@example.com", "'\\'"},
      {"a;b@example.com", "';'"},
      {"a\xCD\xBE"
       "b@example.com",
       "';'"},  // GREEK QUESTION MARK is a semicolon in NFC
      {"\"\"@example.com", "empty"},
      {"\"alice@example.com", "no closing quote"},
      {"\"alice\\", "no closing quote"},
      {"\"alice\"x@example.com", "closing quote"},
      {"\"a\".\"b\"@example.com", "closing quote"},
      {"\"\\\xC3\xBC\"@example.com", "backslash"},
      {std::string(65, 'a') + "@example.com", "longer than 64"},
  });
  EXPECT_THAT(ParseAddress(std::string(64, 'a') + "@example.com"), IsOk());
  // Counted in bytes, after normalisation.
  std::string umlauts;
  for (int i = 0; i < 32; ++i) umlauts += "u\xCC\x88";
  EXPECT_THAT(ParseAddress(umlauts + "@example.com"), IsOk());
  EXPECT_THAT(ParseAddress(umlauts + "a@example.com"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("longer than 64")));
}

TEST(ParseAddress, RefusesInvalidAndInvisibleUnicode) {
  ExpectRefusals({
      {"a\xFF@example.com", "UTF-8"},
      {"a\xC0\xAF@example.com", "UTF-8"},          // overlong
      {"a\xED\xA0\x80@example.com", "UTF-8"},      // surrogate
      {"a\xF4\x90\x80\x80@example.com", "UTF-8"},  // beyond U+10FFFF
      {"a\xE2\x80\x8B@example.com", "U+200B"},     // zero-width space
      {"a\xE2\x80\xAE"
       "b@example.com",
       "U+202E"},  // right-to-left override
      {"a\xE2\x81\xA6"
       "b@example.com",
       "U+2066"},  // left-to-right isolate
      {"a\xC2\xAD"
       "b@example.com",
       "U+00AD"},  // soft hyphen
      {"\xEF\xBB\xBF"
       "a@example.com",
       "U+FEFF"},  // byte order mark
      {"a\xC2\xA0"
       "b@example.com",
       "U+00A0"},  // no-break space
      {"a\xE3\x80\x80"
       "b@example.com",
       "U+3000"},  // ideographic space
      {"a\xC2\x85"
       "b@example.com",
       "U+0085"},  // a C1 control character
      {"a\xEE\x80\x80"
       "b@example.com",
       "U+E000"},  // private use
      {"a\xEF\xBF\xBF"
       "b@example.com",
       "U+FFFF"},  // not a character
      {"a\xCD\xB8"
       "b@example.com",
       "U+0378"},  // unassigned
      {"a\xEF\xB8\x8F"
       "b@example.com",
       "U+FE0F"},  // variation selector
      {"a\xE2\x80\x8C"
       "b@example.com",
       "U+200C"},  // joiners between Latin letters
      {"a\xE2\x80\x8D"
       "b@example.com",
       "U+200D"},
      {"\xCC\x88"
       "a@example.com",
       "combining mark"},
      {"alice\xEF\xBC\xA0"
       "example.com",
       "no '@'"},  // full-width @
  });
}

// RFC 5892 Appendix A.1 and A.2: where scripts need the joiners, they are kept.
TEST(ParseAddress, KeepsJoinersThatScriptsNeed) {
  ExpectNormalForms({
      // Devanagari KA, virama, joiner, SSA.
      {"\xE0\xA4\x95\xE0\xA5\x8D\xE2\x80\x8D\xE0\xA4\xB7@example.com",
       "\xE0\xA4\x95\xE0\xA5\x8D\xE2\x80\x8D\xE0\xA4\xB7@example.com"},
      // Persian: BEH, non-joiner, KEHEH.
      {"\xD8\xA8\xE2\x80\x8C\xDA\xA9@example.com", "\xD8\xA8\xE2\x80\x8C\xDA\xA9@example.com"},
  });
  // Nothing to join on the right.
  ExpectRefusals({{"\xD8\xA8\xE2\x80\x8C@example.com", "U+200C"}});
}

TEST(ParseAddress, RefusesBadDomains) {
  ExpectRefusals({
      {"a@", "missing"},
      {"a@localhost", "only one part"},
      {"a@example.com.", "ends in a dot"},
      {"a@example.com\xE3\x80\x82", "ends in a dot"},
      {"a@.example.com", "dot at its start"},
      {"a@example..com", "two in a row"},
      {"a@-example.com", "hyphen"},
      {"a@example-.com", "hyphen"},
      {"a@exa_mple.com", "'_'"},
      {"a@exa/mple.com", "'/'"},
      {"a@foo\xE2\x84\x80.com", "'/'"},  // a/c as one character: must not become "foo.com"
      {"a@exa\xC3\xBC_x.com", "'_'"},
      {"a@exa\xC3\xBC x.com", "space"},
      {"a@[192.0.2.1]", "address literal"},
      {"a@[IPv6:2001:db8::1]", "address literal"},
      {"a@192.0.2.1", "IP address"},
      {"a@xn--a.com", "internationalised"},
      {"a@xn--.com", "internationalised"},
      {"a@xn--zzzzzzz99999.com", "internationalised"},
      {"a@\xE2\x98\x83.example", "internationalised"},  // snowman: IDNA2008 disallows it
      {"a@\xD7\x90"
       "a.example",
       "internationalised"},                                // breaks the bidi rule
      {"a@\xE2\x80\xAEtest.example", "internationalised"},  // right-to-left override
      {"a@" + std::string(64, 'a') + ".com", "longer than 63"},
  });
}

TEST(ParseAddress, BoundsTheWholeAddress) {
  const std::string label(49, 'd');
  const std::string domain = label + "." + label + "." + label + "." + label + ".example";  // 207
  ASSERT_EQ(domain.size(), 207u);
  EXPECT_THAT(ParseAddress(std::string(46, 'a') + "@" + domain), IsOk());
  EXPECT_THAT(ParseAddress(std::string(47, 'a') + "@" + domain),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("longer than 254")));
  const std::string long_domain = domain + "." + label;
  EXPECT_THAT(ParseAddress("a@" + long_domain),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("253")));
}

TEST(AddressFromLabel, TakesOnlyNormalForms) {
  const absl::StatusOr<Address> address = AddressFromLabel(base::AsBytes("Alice@example.com"));
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->local, "Alice");
  EXPECT_EQ(address->domain, "example.com");
  for (const std::string label :
       {"alice@EXAMPLE.com", "\"alice\"@example.com", "a@m\xC3\xBCnchen.example",
        "mu\xCC\x88ller@example.com", "alice", ""}) {
    SCOPED_TRACE(label);
    EXPECT_THAT(AddressFromLabel(base::AsBytes(label)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// Text made of pieces that matter to the grammar and to normalisation; most of it is refused.
std::string RandomText(SeededRandom& random) {
  static const std::vector<std::string> kPieces = {"a",
                                                   "B",
                                                   "z9",
                                                   "+",
                                                   ".",
                                                   "-",
                                                   "\"",
                                                   "\\",
                                                   "@",
                                                   " ",
                                                   "(",
                                                   "<",
                                                   "xn--",
                                                   "XN--",
                                                   "mnchen-3ya",
                                                   ".com",
                                                   "\t",
                                                   ",",
                                                   "\xC3\xBC",
                                                   "u\xCC\x88",
                                                   "\xCC\x88",
                                                   "\xCC\xB8",
                                                   "\xE2\x84\xAA",
                                                   "\xEF\xBC\xA5",
                                                   "\xE3\x80\x82",
                                                   "\xE2\x80\x8D",
                                                   "\xE0\xA5\x8D",
                                                   "\xEF\xAC\x81",
                                                   "\xCD\xBE",
                                                   "\xC3\x9F",
                                                   "\xFF",
                                                   "\xEF\xBD\x98",
                                                   "\xD8\xA8",
                                                   "\xE2\x80\x8C",
                                                   "\xDA\xA9",
                                                   "\xEA\xB0\x80",
                                                   "\xE1\x84\x80"};
  const auto part = [&](size_t most) {
    std::string text;
    for (size_t n = 1 + random.Below(most); n > 0; --n)
      text += kPieces[random.Below(kPieces.size())];
    return text;
  };
  return random.Below(8) == 0
             ? part(12)
             : part(4) + "@" + part(4) + (random.Below(2) == 0 ? ".com" : ".example");
}

TEST(ParseAddress, IsIdempotentOnRandomText) {
  const uint64_t seed = TestSeed(20260101);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string text = RandomText(random);
    const absl::StatusOr<Address> address = ParseAddress(text);
    if (!address.ok()) continue;
    ++accepted;
    ASSERT_LE(address->label().size(), kMaxAddressSize) << text;
    const absl::StatusOr<Address> again = ParseAddress(address->text());
    ASSERT_TRUE(again.ok()) << text << " -> " << address->text() << ": " << again.status();
    ASSERT_EQ(*again, *address) << text;
    ASSERT_THAT(AddressFromLabel(address->label()), IsOk()) << text;
  }
  EXPECT_GT(accepted, 1000);  // else the test shows nothing
}

// Every printable ASCII local part can be written in quotes, and quoting it twice changes nothing.
TEST(ParseAddress, QuotedFormsOfOneLocalPartAreOneAddress) {
  EXPECT_TRUE(rc::check([] {
    const auto content =
        *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange<char>(0x20, 0x7F)));
    RC_PRE(content.size() <= 30);
    std::string all_escaped;
    std::string few_escaped;
    for (const char c : content) {
      all_escaped += std::string("\\") + c;
      if (c == '"' || c == '\\') few_escaped += '\\';
      few_escaped += c;
    }
    const auto one = ParseAddress("\"" + all_escaped + "\"@example.com");
    const auto other = ParseAddress("\"" + few_escaped + "\"@example.com");
    RC_ASSERT(one.ok() && other.ok());
    RC_ASSERT(*one == *other);
  }));
}

}  // namespace
}  // namespace kt::smime
