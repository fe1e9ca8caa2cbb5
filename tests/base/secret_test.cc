// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <new>
#include <ostream>
#include <type_traits>
#include <utility>

namespace {

// What a freed block may not contain: the secret of the test that is running.
constexpr uint8_t kMarker = 0xa7;
constexpr size_t kMarkerSize = 48;
bool watching = false;
int freed_with_marker = 0;

void Inspect(void* block) {
  if (!watching || block == nullptr) return;
  const auto* bytes = static_cast<const uint8_t*>(block);
  size_t run = 0;
  for (size_t i = 0; i < malloc_usable_size(block); ++i) {
    run = bytes[i] == kMarker ? run + 1 : 0;
    if (run >= 8) {
      ++freed_with_marker;
      return;
    }
  }
}

}  // namespace

// This binary's own allocation, so that a test sees what memory holds when it is given back.
void* operator new(size_t size) {
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) std::abort();
  return block;
}
void operator delete(void* block) noexcept {
  Inspect(block);
  std::free(block);
}
void operator delete(void* block, size_t) noexcept {
  Inspect(block);
  std::free(block);
}

namespace kt::base {
namespace {

using ::testing::Each;

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Printable<SecretBytes>);

class SecretBytesMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    freed_with_marker = 0;
    watching = true;
  }
  void TearDown() override { watching = false; }

  static SecretBytes Marked() {
    SecretBytes secret(kMarkerSize);
    for (uint8_t& byte : secret.ExposeMutable()) byte = kMarker;
    return secret;
  }
};

TEST_F(SecretBytesMemory, TheWatchSeesWhatIsNotWiped) {
  { const Bytes not_secret(kMarkerSize, kMarker); }
  EXPECT_EQ(freed_with_marker, 1);
}

TEST_F(SecretBytesMemory, IsWipedWhenItGoes) {
  { const SecretBytes secret = Marked(); }
  EXPECT_EQ(freed_with_marker, 0);
}

TEST_F(SecretBytesMemory, IsWipedWhenItIsReplaced) {
  SecretBytes secret = Marked();
  secret = SecretBytes(3);
  EXPECT_EQ(freed_with_marker, 0);
}

TEST_F(SecretBytesMemory, IsWipedAfterMovesAndClones) {
  {
    SecretBytes first = Marked();
    SecretBytes second(std::move(first));
    SecretBytes third = second.Clone();
    second = std::move(third);
    EXPECT_EQ(second.size(), kMarkerSize);
  }
  EXPECT_EQ(freed_with_marker, 0);
}

TEST(SecretBytes, StartsAsZeros) {
  const SecretBytes secret(5);
  EXPECT_THAT(secret.Expose(), Each(0));
  EXPECT_EQ(secret.size(), 5u);
  EXPECT_EQ(SecretBytes().size(), 0u);
}

TEST(SecretBytes, LeavesNothingBehindWhenMovedFrom) {
  SecretBytes from(Bytes{1, 2, 3});
  const SecretBytes to(std::move(from));
  EXPECT_EQ(from.size(), 0u);  // NOLINT: what is left is what is tested
  EXPECT_EQ(ToBytes(to.Expose()), (Bytes{1, 2, 3}));
  SecretBytes assigned;
  SecretBytes source(Bytes{4});
  assigned = std::move(source);
  EXPECT_EQ(source.size(), 0u);  // NOLINT
  EXPECT_EQ(ToBytes(assigned.Expose()), Bytes{4});
}

TEST(SecretBytes, SurvivesMovingToItself) {
  SecretBytes secret(Bytes{1, 2, 3});
  SecretBytes& same = secret;
  secret = std::move(same);
  EXPECT_EQ(ToBytes(secret.Expose()), (Bytes{1, 2, 3}));
}

TEST(SecretBytes, ComparesContentAndLength) {
  EXPECT_EQ(SecretBytes(Bytes{1, 2}), SecretBytes(Bytes{1, 2}));
  EXPECT_FALSE(SecretBytes(Bytes{1, 2}) == SecretBytes(Bytes{1, 3}));
  EXPECT_FALSE(SecretBytes(Bytes{0, 2}) == SecretBytes(Bytes{1, 2}));
  EXPECT_FALSE(SecretBytes(Bytes{1, 2}) == SecretBytes(Bytes{1, 2, 0}));
  EXPECT_EQ(SecretBytes(), SecretBytes());
  EXPECT_TRUE(ConstantTimeEqual({}, {}));
}

TEST(SecureZero, OverwritesEveryByte) {
  Bytes bytes(33, 0xff);
  SecureZero(bytes);
  EXPECT_THAT(bytes, Each(0));
  SecureZero({});
}

}  // namespace
}  // namespace kt::base
