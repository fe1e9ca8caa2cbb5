// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/certificate_values.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"
#include "smime/certificate.h"
#include "smime/certificate_set.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace kt::bench {
namespace {

constexpr size_t kModulusSize = 256;
constexpr size_t kKeyIdentifierSize = 20;
constexpr size_t kSerialSize = 19;

base::Bytes ReadDer(const std::string& name) {
  const auto certificates =
      smime::ParsePem(testing::ReadText(testing::SourceDir() + "/tests/vectors/rfc9216/" + name));
  KT_CHECK(certificates.ok() && certificates->size() == 1);
  return certificates->front().der();
}

// Where `der` has the one occurrence of `header`: the offset of what follows.
size_t After(const base::Bytes& der, const base::Bytes& header) {
  const auto found = std::search(der.begin(), der.end(), header.begin(), header.end());
  KT_CHECK(found != der.end());
  KT_CHECK(std::search(found + 1, der.end(), header.begin(), header.end()) == der.end());
  return static_cast<size_t>(found - der.begin()) + header.size();
}

}  // namespace

CertificateValues::CertificateValues()
    : certificate_(ReadDer("alice.sign.crt.pem")), issuer_(ReadDer("ca.rsa.cross.crt.pem")) {
  random_ = {
      // After the version: INTEGER. The first byte stays, so that it has no sign.
      {After(certificate_, {0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, kSerialSize}) + 1, kSerialSize - 1},
      // INTEGER of 257 bytes, of which the first is 0.
      {After(certificate_, {0x02, 0x82, 0x01, 0x01, 0x00}), kModulusSize},
      // subjectKeyIdentifier: OCTET STRING in an OCTET STRING.
      {After(certificate_, {0x55, 0x1d, 0x0e, 0x04, 0x16, 0x04, kKeyIdentifierSize}),
       kKeyIdentifierSize},
      {certificate_.size() - kModulusSize, kModulusSize},
  };
  const std::string name = "Alice Lovelace";
  name_ = {After(certificate_, base::ToBytes(name)) - name.size(), name.size()};
}

base::Bytes CertificateValues::Next(const std::string& user, base::Random& random) const {
  KT_CHECK(user.size() <= name_.size);
  smime::CertificateEntry entry;
  entry.der = certificate_;
  for (const Range& range : random_) {
    random.Fill(std::span(entry.der).subspan(range.offset, range.size));
  }
  std::copy(user.begin(), user.end(),
            entry.der.begin() + static_cast<std::ptrdiff_t>(name_.offset));
  entry.chain = {{issuer_}};
  const auto set = smime::CertificateSet::Create({std::move(entry)});
  KT_CHECK(set.ok());
  return set->Encode();
}

}  // namespace kt::bench
