// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_HASH_H_
#define BASE_HASH_H_

#include <initializer_list>

#include "base/bytes.h"
#include "base/types.h"

namespace kt::base {

// SHA-256 of the concatenation of `parts`. Thread-safe; keeps one OpenSSL context a thread,
// since fetching the digest at each call would triple the cost of a tree node.
Hash Sha256(std::initializer_list<ByteView> parts);
inline Hash Sha256(ByteView data) { return Sha256({data}); }

// HMAC-SHA-256 (RFC 2104) of `data`. Any key length.
Hash HmacSha256(ByteView key, ByteView data);

}  // namespace kt::base
#endif  // BASE_HASH_H_
