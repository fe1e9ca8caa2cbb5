// SPDX-License-Identifier: Apache-2.0
//
// Runs the portable P-256 engine under memcheck with its secrets marked as undefined memory: a
// branch, or an address, that depends on one is then reported as an error.
//
//   valgrind --error-exitcode=1 p256_secret_tracking [branch|index]
//
// With an argument it does what must be found, to show that it would be. Exits with 77, "skipped",
// where memcheck does not watch.
#include <valgrind/memcheck.h>

#include <cstdio>
#include <string_view>
#include <vector>

#include "vrf/p256_field.h"
#include "vrf/p256_portable.h"
#include "vrf/p256_scalar.h"

namespace kt::vrf::p256 {
namespace {

constexpr int kSkipped = 77;

template <typename T>
void Hide(T& object) {
  VALGRIND_MAKE_MEM_UNDEFINED(&object, sizeof(object));
}

template <typename T>
void Publish(T& object) {
  VALGRIND_MAKE_MEM_DEFINED(&object, sizeof(object));
}

SecretScalar& Fill(SecretScalar& scalar, uint64_t seed) {
  for (uint64_t& word : scalar.word) word = seed = seed * 6364136223846793005 + 1442695040888963407;
  scalar.word[3] >>= 1;  // below q
  Hide(scalar.word);
  return scalar;
}

// What the result is does not matter here, but it must be looked at: what nobody needs is not
// computed.
uint64_t Look(PlainPoint& point) {
  Publish(point);
  uint64_t seen = 0;
  for (int i = 0; i < kLimbs; ++i) seen = 3 * seen + (point.x.limb[i] ^ point.y.limb[i]);
  return seen;
}

uint64_t MultiplyEverything(uint64_t seed) {
  SecretScalar x;
  std::vector<SecretScalar> k(3);
  Fill(x, seed);
  for (SecretScalar& one : k) Fill(one, ++seed);
  const SecretDigits x_digits(x);
  std::vector<SecretDigits> k_digits;
  for (const SecretScalar& one : k) k_digits.emplace_back(one);

  uint64_t seen = 0;
  PlainPoint public_key = MultiplyGenerator(x_digits);
  seen ^= Look(public_key);
  const std::vector<CurvePoint> h(k.size(), kGenerator);
  std::vector<PlainPoint> gammas(h.size());
  Portable().Multiply(x_digits, h, gammas);
  for (PlainPoint& gamma : gammas) seen ^= Look(gamma);
  std::vector<ProofPoints> points(h.size());
  Portable().Prove(x_digits, k_digits, h, points);
  for (ProofPoints& one : points) seen ^= Look(one.gamma) ^ Look(one.u) ^ Look(one.v);

  SecretScalar x_montgomery;
  ToMontgomeryModOrder(x, x_montgomery);
  SecretScalar c;
  c.word[0] = seen;
  for (const SecretScalar& one : k) {
    SecretScalar s;
    MulAddModOrder(one, c, x_montgomery, s);
    Publish(s.word);
    seen ^= s.word[0];
  }
  uint8_t bytes[kScalarSize];
  x.ToBytes(bytes);
  bool in_range = ScalarInRange(bytes);  // everybody may know
  Publish(in_range);
  return in_range ? seen : ~seen;
}

// The mistakes that this program is to find.
uint64_t BranchOnSecret() {
  SecretScalar x;
  return (Fill(x, 1).word[0] & 1) != 0 ? MultiplyEverything(1) : 1;
}

uint64_t IndexBySecret() {
  static const volatile uint64_t table[2] = {3, 4};
  SecretScalar x;
  uint64_t value = table[Fill(x, 1).word[0] & 1];
  Publish(value);
  return value;
}

}  // namespace
}  // namespace kt::vrf::p256

int main(int argc, char** argv) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::puts("skipped: not run under valgrind");
    return kt::vrf::p256::kSkipped;
  }
  const std::string_view mistake = argc > 1 ? argv[1] : "";
  uint64_t seen = 0;
  for (uint64_t seed = 1; seed <= 2; ++seed) seen ^= kt::vrf::p256::MultiplyEverything(seed);
  if (mistake == "branch") seen ^= kt::vrf::p256::BranchOnSecret();
  if (mistake == "index") seen ^= kt::vrf::p256::IndexBySecret();
  std::printf("%s\n", seen != 0 ? "done" : "done, by chance with zero");
  return 0;
}
