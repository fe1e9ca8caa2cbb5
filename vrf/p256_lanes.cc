// SPDX-License-Identifier: Apache-2.0
#include "vrf/p256_lanes.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/cpu.h"
#include "base/secret.h"
#include "vrf/p256_base_table.h"
#include "vrf/p256_ifma.h"
#include "vrf/p256_portable.h"

namespace kt::vrf::p256 {
namespace {

using ifma::kLanes;
using ifma::kMaxVectors;
using ifma::LaneComb;
using ifma::LaneDigits;
using ifma::LaneJacobian;
using ifma::LanePoint;
using ifma::Lanes;
using ifma::LaneSignedDigits;

size_t VectorsFor(size_t count) { return (count + kLanes - 1) / kLanes; }

void SetLane(const Field& a, size_t lane, Lanes& out) {
  for (int i = 0; i < kLimbs; ++i) out.limb[i][lane] = a.limb[i];
}

Field GetLane(const Lanes& lanes, size_t lane) {
  Field a;
  for (int i = 0; i < kLimbs; ++i) a.limb[i] = lanes.limb[i][lane];
  return a;
}

void SetLane(const CurvePoint& point, size_t lane, LanePoint& out) {
  SetLane(point.x, lane, out.x);
  SetLane(point.y, lane, out.y);
}

void SetLane(const SecretDigits& digits, size_t lane, LaneDigits& out) {
  for (int i = 0; i < kDigits; ++i) out.value[i][lane] = digits.value[i];
  out.negate[lane] = digits.negate;
}

template <typename T>
void Wipe(std::vector<T>& objects) {
  base::SecureZero({reinterpret_cast<uint8_t*>(objects.data()), objects.size() * sizeof(T)});
}

// Calls `run(from, vectors)` for pairs of vectors, and for one that is left.
template <typename Run>
void ForPairs(size_t vectors, Run run) {
  for (size_t i = 0; i < vectors; i += kMaxVectors) {
    run(i, static_cast<int>(std::min<size_t>(kMaxVectors, vectors - i)));
  }
}

LaneComb* NewLaneComb() {
  LaneComb* const comb = new LaneComb();
  for (int j = 0; j < kCombTables; ++j) {
    for (int m = 0; m < kOddMultiples; ++m) {
      const CurvePoint& multiple = Base().comb[j][m];
      for (int i = 0; i < kLimbs; ++i) {
        comb->table[j].x[i][m] = multiple.x.limb[i];
        comb->table[j].y[i][m] = multiple.y.limb[i];
      }
    }
  }
  return comb;
}

// Never destroyed: threads may outlive the end of main().
const LaneComb& Comb() {
  static const LaneComb* const comb = NewLaneComb();
  return *comb;
}

// Results in lanes, and what became of them.
class Products {
 public:
  explicit Products(size_t vectors) : points_(vectors) {}
  ~Products() { Wipe(points_); }
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  LaneJacobian* data() { return points_.data(); }

  // To be called when all products are there.
  void Finish() {
    std::vector<Lanes> scratch(points_.size());
    plain_.resize(points_.size());
    z_is_zero_.resize(points_.size());
    ifma::ToPlain(static_cast<int>(points_.size()), points_.data(), scratch.data(), plain_.data(),
                  z_is_zero_.data());
    Wipe(scratch);
  }
  // The product in lane i % 8 of vector i / 8. Nothing if its Z is zero.
  PlainPoint Get(size_t i) const {
    const LanePoint& point = plain_[i / kLanes];
    return {false, GetLane(point.x, i % kLanes), GetLane(point.y, i % kLanes)};
  }
  bool HasResult(size_t i) const { return (z_is_zero_[i / kLanes] >> (i % kLanes) & 1) == 0; }

 private:
  std::vector<LaneJacobian> points_;
  std::vector<LanePoint> plain_;
  std::vector<uint8_t> z_is_zero_;
};

// Secret scalars times points, one of each a lane.
class SecretProducts {
 public:
  explicit SecretProducts(size_t count) : digits_(VectorsFor(count)), points_(VectorsFor(count)) {
    // Lanes that stay empty multiply something, too.
    for (LanePoint& point : points_) {
      for (size_t lane = 0; lane < kLanes; ++lane) SetLane(kGenerator, lane, point);
    }
  }
  ~SecretProducts() { Wipe(digits_); }
  SecretProducts(const SecretProducts&) = delete;
  SecretProducts& operator=(const SecretProducts&) = delete;

  void Set(size_t i, const SecretDigits& scalar, const CurvePoint& point) {
    SetLane(scalar, i % kLanes, digits_[i / kLanes]);
    SetLane(point, i % kLanes, points_[i / kLanes]);
  }
  void Run(LaneJacobian* out) const {
    ForPairs(digits_.size(), [&](size_t from, int vectors) {
      ifma::Multiply(vectors, &digits_[from], &points_[from], out + from);
    });
  }

 private:
  std::vector<LaneDigits> digits_;
  std::vector<LanePoint> points_;
};

// Digits from -15 to 16 of a public number below 2^(64 * words), lowest first.
template <int kWords, int kCount>
void SetSignedDigits(const uint64_t (&words)[kWords], size_t lane, int8_t (&out)[kCount][kLanes]) {
  static_assert(5 * kCount > 64 * kWords);
  int carry = 0;
  for (int i = 0; i < kCount; ++i) {
    const int bit = 5 * i;
    uint64_t window = words[bit / 64] >> (bit % 64);
    if (bit % 64 > 59 && bit / 64 + 1 < kWords) window |= words[bit / 64 + 1] << (64 - bit % 64);
    const int digit = static_cast<int>(window & 31) + carry;
    carry = digit > 16 ? 1 : 0;
    out[i][lane] = static_cast<int8_t>(digit - 32 * carry);
  }
  KT_CHECK(carry == 0);
}

// Of the eight lanes, V of four proofs takes the first and U the last four.
constexpr size_t kProofsPerVector = kLanes / 2;

size_t LaneOfV(size_t proof) {
  return proof / kProofsPerVector * kLanes + proof % kProofsPerVector;
}
size_t LaneOfU(size_t proof) { return LaneOfV(proof) + kProofsPerVector; }

}  // namespace

const LaneEngine& InLanes() {
  KT_CHECK(base::HasAvx512Ifma());
  static const LaneEngine* const engine = new LaneEngine();
  return *engine;
}

const Engine& LaneEngine::ForOne() const { return Portable(); }

size_t LaneEngine::lift_width() const { return kMaxVectors * kLanes; }

void LaneEngine::Lift(std::span<const Field> abscissas, std::span<Lifted> out) const {
  KT_CHECK(out.size() == abscissas.size());
  std::vector<Lanes> x(VectorsFor(abscissas.size()));
  std::vector<LanePoint> points(x.size());
  std::vector<uint8_t> on_curve(x.size());
  for (size_t i = 0; i < abscissas.size(); ++i) {
    SetLane(abscissas[i], i % kLanes, x[i / kLanes]);
  }
  ForPairs(x.size(), [&](size_t from, int vectors) {
    ifma::Lift(vectors, &x[from], &points[from], &on_curve[from]);
  });
  for (size_t i = 0; i < abscissas.size(); ++i) {
    const size_t lane = i % kLanes;
    const LanePoint& point = points[i / kLanes];
    out[i].on_curve = (on_curve[i / kLanes] >> lane & 1) != 0;
    out[i].point = {GetLane(point.x, lane), GetLane(point.y, lane)};
  }
}

void LaneEngine::Multiply(const SecretDigits& x, std::span<const CurvePoint> h,
                          std::span<PlainPoint> out) const {
  KT_CHECK(out.size() == h.size());
  if (h.empty()) return;
  SecretProducts work(h.size());
  for (size_t i = 0; i < h.size(); ++i) work.Set(i, x, h[i]);
  Products products(VectorsFor(h.size()));
  work.Run(products.data());
  products.Finish();
  for (size_t i = 0; i < h.size(); ++i) out[i] = products.Get(i);
}

void LaneEngine::Prove(const SecretDigits& x, std::span<const SecretDigits> k,
                       std::span<const CurvePoint> h, std::span<ProofPoints> out) const {
  KT_CHECK(out.size() == h.size() && k.size() == h.size());
  if (h.empty()) return;
  // First all of U, then Gamma and V of one proof after the other.
  const size_t vectors_of_u = VectorsFor(h.size());
  const size_t first_gamma = vectors_of_u * kLanes;
  Products products(vectors_of_u + VectorsFor(2 * h.size()));
  std::vector<LaneDigits> nonces(vectors_of_u);
  SecretProducts work(2 * h.size());
  for (size_t i = 0; i < h.size(); ++i) {
    SetLane(k[i], i % kLanes, nonces[i / kLanes]);
    work.Set(2 * i, x, h[i]);
    work.Set(2 * i + 1, k[i], h[i]);
  }
  for (size_t i = 0; i < vectors_of_u; ++i) {
    ifma::MultiplyBase(nonces[i], Comb(), products.data()[i]);
  }
  Wipe(nonces);
  work.Run(products.data() + vectors_of_u);
  products.Finish();
  for (size_t i = 0; i < h.size(); ++i) {
    out[i].gamma = products.Get(first_gamma + 2 * i);
    out[i].u = products.Get(i);
    out[i].v = products.Get(first_gamma + 2 * i + 1);
  }
}

void LaneEngine::Check(const KeyTable& key, std::span<const ProofTerms> terms,
                       std::span<CheckPoints> out) const {
  KT_CHECK(out.size() == terms.size());
  if (terms.empty()) return;
  const size_t vectors = (terms.size() + kProofsPerVector - 1) / kProofsPerVector;
  std::vector<LaneSignedDigits> digits(vectors);
  std::vector<LanePoint> p(vectors);
  std::vector<LanePoint> q(vectors);
  const auto set = [&](size_t i, const ProofTerms& of, const CurvePoint& s_point,
                       const CurvePoint& c_point) {
    SetSignedDigits(of.s, i % kLanes, digits[i / kLanes].s);
    SetSignedDigits(of.c, i % kLanes, digits[i / kLanes].c);
    SetLane(s_point, i % kLanes, p[i / kLanes]);
    SetLane(c_point, i % kLanes, q[i / kLanes]);
  };
  for (size_t i = 0; i < terms.size(); ++i) {
    set(LaneOfV(i), terms[i], terms[i].h, Negate(terms[i].gamma));
    set(LaneOfU(i), terms[i], kGenerator, key.minus_y[0]);
  }
  Products products(vectors);
  ForPairs(vectors, [&](size_t from, int count) {
    ifma::MultiplyTwo(count, &digits[from], &p[from], &q[from], products.data() + from);
  });
  products.Finish();
  for (size_t i = 0; i < terms.size(); ++i) {
    if (products.HasResult(LaneOfV(i)) && products.HasResult(LaneOfU(i))) {
      out[i] = {products.Get(LaneOfU(i)), products.Get(LaneOfV(i))};
    } else {
      Portable().Check(key, terms.subspan(i, 1), out.subspan(i, 1));
    }
  }
}

}  // namespace kt::vrf::p256
