// SPDX-License-Identifier: Apache-2.0
//
// Owners of OpenSSL objects. For the .cc files of this folder.
#ifndef SMIME_OPENSSL_PTR_H_
#define SMIME_OPENSSL_PTR_H_

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace kt::smime {

template <auto Free>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

inline void FreeMemory(void* memory) { OPENSSL_free(memory); }
inline void FreeX509Stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }
inline void FreeAlgorithms(X509_ALGORS* list) { sk_X509_ALGOR_pop_free(list, X509_ALGOR_free); }

using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using X509StorePtr = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;
using X509StoreCtxPtr = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;
using NameConstraintsPtr = std::unique_ptr<NAME_CONSTRAINTS, OpensslDeleter<NAME_CONSTRAINTS_free>>;
using ExtendedKeyUsagePtr =
    std::unique_ptr<EXTENDED_KEY_USAGE, OpensslDeleter<EXTENDED_KEY_USAGE_free>>;
using AlgorithmsPtr = std::unique_ptr<X509_ALGORS, OpensslDeleter<FreeAlgorithms>>;
using BorrowingX509StackPtr = std::unique_ptr<STACK_OF(X509), OpensslDeleter<FreeX509Stack>>;
template <typename T>
using OpensslMemory = std::unique_ptr<T, OpensslDeleter<FreeMemory>>;

// Leaves the thread's error queue empty, so that one failure is never reported as the cause of a
// later one.
class ErrorQueueGuard {
 public:
  ErrorQueueGuard() { ERR_clear_error(); }
  ~ErrorQueueGuard() { ERR_clear_error(); }
  ErrorQueueGuard(const ErrorQueueGuard&) = delete;
  ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;
};

}  // namespace kt::smime
#endif  // SMIME_OPENSSL_PTR_H_
