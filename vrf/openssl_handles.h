// SPDX-License-Identifier: Apache-2.0
//
// Owners of the OpenSSL objects that the P-256 suite uses. Internal to vrf/.
#ifndef VRF_OPENSSL_HANDLES_H_
#define VRF_OPENSSL_HANDLES_H_

#include <openssl/bn.h>
#include <openssl/ec.h>

#include <memory>

namespace kt::vrf {

template <auto Free>
struct HandleDeleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

template <typename T, auto Free>
using Handle = std::unique_ptr<T, HandleDeleter<Free>>;

// Numbers are wiped whether they are secret or not: it costs nothing, and none is forgotten.
using BigNum = Handle<BIGNUM, BN_clear_free>;
// Temporaries taken from a context are wiped with it.
using BigNumContext = Handle<BN_CTX, BN_CTX_free>;
using MontgomeryContext = Handle<BN_MONT_CTX, BN_MONT_CTX_free>;
using CurveGroup = Handle<EC_GROUP, EC_GROUP_free>;
using CurvePoint = Handle<EC_POINT, EC_POINT_clear_free>;

}  // namespace kt::vrf
#endif  // VRF_OPENSSL_HANDLES_H_
