// SPDX-License-Identifier: Apache-2.0
//
// Values as the users of one provider have them: what of a certificate differs from one user to the
// next cannot be compressed, and all the rest is the same.
#ifndef KT_TESTS_BENCH_CERTIFICATE_VALUES_H_
#define KT_TESTS_BENCH_CERTIFICATE_VALUES_H_

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace kt::bench {

class CertificateValues {
 public:
  // Reads tests/vectors/rfc9216: Alice's certificate of 2,048 bits RSA and that of its issuer.
  CertificateValues();

  // An encoded CertificateSet of one certificate with its issuer's. The certificate is Alice's,
  // with serial number, modulus, key identifier and signature from `random`, and `user`, of at most
  // 14 bytes, in the place of her name.
  base::Bytes Next(const std::string& user, base::Random& random) const;

 private:
  struct Range {
    size_t offset;
    size_t size;
  };

  base::Bytes certificate_;
  base::Bytes issuer_;
  std::vector<Range> random_;
  Range name_{};
};

}  // namespace kt::bench
#endif  // KT_TESTS_BENCH_CERTIFICATE_VALUES_H_
