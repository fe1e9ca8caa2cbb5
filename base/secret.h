// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_SECRET_H_
#define BASE_SECRET_H_

#include <cstddef>

#include "base/bytes.h"

namespace kt::base {

// Bytes that are zeroed when they go. Not copyable and not printable; comparison takes the
// same time wherever the difference lies.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(size_t size) : bytes_(size) {}
  // Copies; the caller is left to wipe its own copy.
  explicit SecretBytes(ByteView bytes) : bytes_(bytes.begin(), bytes.end()) {}
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  size_t size() const { return bytes_.size(); }
  // The one way to read the secret; a reviewer can search for it.
  ByteView Expose() const { return bytes_; }
  std::span<uint8_t> ExposeMutable() { return bytes_; }
  SecretBytes Clone() const { return SecretBytes(Expose()); }

  friend bool operator==(const SecretBytes& a, const SecretBytes& b);

 private:
  void Wipe();
  Bytes bytes_;
};

// Compares in time that depends on the lengths only.
bool ConstantTimeEqual(ByteView a, ByteView b);

// Overwrites with zeros in a way that a compiler does not remove.
void SecureZero(std::span<uint8_t> bytes);

}  // namespace kt::base
#endif  // BASE_SECRET_H_
