// SPDX-License-Identifier: Apache-2.0
//
// The TLS presentation language (RFC 8446 §3) with the two changes of
// draft-ietf-keytrans-protocol, "Presentation Language": optional<T>, and vectors whose length
// prefix counts elements instead of bytes.
//
// A structure lists its fields once and gets both directions from it:
//
//   struct PrefixProof {
//     std::vector<PrefixSearchResult> results;
//     std::vector<Hash> elements;
//     static constexpr auto Fields() {
//       return codec::List(codec::Vector<uint8_t>(&PrefixProof::results),
//                          codec::Vector<uint16_t>(&PrefixProof::elements));
//     }
//   };
//
// What a `select` of the draft depends on from outside the structure (the deployment mode, the
// size of a VRF proof) is passed as a context of a type that the caller chooses; structures that
// need none use NoContext. A field that is present in some cases only is wrapped in If().
//
// Decoding is exact: unknown enumerators, presence octets other than 0 and 1, vectors longer than
// their bound and trailing bytes are refused, and nothing is allocated beyond what arrived.
#ifndef BASE_CODEC_H_
#define BASE_CODEC_H_

#include <array>
#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/types.h"

namespace kt::base::codec {

struct NoContext {};

// Appends to a byte string. The first error sticks and is reported by TryEncode.
class Writer {
 public:
  Writer() { out_.reserve(kReserved); }

  template <std::unsigned_integral T>
  void Int(T value) {
    std::array<uint8_t, sizeof(T)> bytes;
    for (size_t i = 0; i < sizeof(T); ++i) {
      bytes[i] = static_cast<uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
    }
    Raw(bytes);
  }
  void Raw(ByteView bytes) { Append(out_, bytes); }
  void Fail(const char* what) {
    if (error_ == nullptr) error_ = what;
  }
  const char* error() const { return error_; }
  Bytes Take() && { return std::move(out_); }

 private:
  // Most of what is written is shorter: a key, a row, what a commitment commits to.
  static constexpr size_t kReserved = 128;

  Bytes out_;
  const char* error_ = nullptr;
};

// Reads from a borrowed byte string. After the first failure every read fails.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  template <std::unsigned_integral T>
  bool Int(T* out) {
    ByteView raw;
    if (!Raw(sizeof(T), &raw)) return false;
    uint64_t value = 0;
    for (uint8_t byte : raw) value = (value << 8) | byte;
    *out = static_cast<T>(value);
    return true;
  }
  bool Raw(size_t size, ByteView* out) {
    if (error_ != nullptr || size > in_.size()) return Fail("truncated");
    *out = in_.first(size);
    in_ = in_.subspan(size);
    return true;
  }
  // Always false, so that a caller can return it.
  bool Fail(const char* what) {
    if (error_ == nullptr) error_ = what;
    return false;
  }
  size_t remaining() const { return in_.size(); }
  const char* error() const { return error_; }

 private:
  ByteView in_;
  const char* error_ = nullptr;
};

// --- single values -----------------------------------------------------------------------

template <typename T>
concept HasFields = requires {
  T::Fields();
};

// Hash, VrfOutput and their like: a structure around a fixed array of bytes.
template <typename T>
concept FixedBytesStruct = !HasFields<T> && requires(T t) {
  { t.bytes.size() } -> std::convertible_to<size_t>;
  requires std::same_as<typename decltype(t.bytes)::value_type, uint8_t>;
};

// Enumerations need `bool IsKnown(E)` beside them: reserved and unassigned values are refused.
template <typename T>
concept KnownEnum = std::is_enum_v<T> && requires(T t) {
  { IsKnown(t) } -> std::same_as<bool>;
};

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename T>
struct IsByteArray : std::false_type {};
template <size_t N>
struct IsByteArray<std::array<uint8_t, N>> : std::true_type {};

template <typename T, typename Context>
void WriteValue(Writer& w, const T& value, const Context& context) {
  if constexpr (std::unsigned_integral<T>) {
    w.Int(value);
  } else if constexpr (KnownEnum<T>) {
    w.Int(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (IsByteArray<T>::value) {
    w.Raw(value);
  } else if constexpr (FixedBytesStruct<T>) {
    w.Raw(value.bytes);
  } else if constexpr (IsOptional<T>::value) {
    w.Int<uint8_t>(value.has_value() ? 1 : 0);
    if (value.has_value()) WriteValue(w, *value, context);
  } else {
    static_assert(HasFields<T>, "no encoding for this type");
    std::apply([&](const auto&... field) { (field.Write(w, value, context), ...); }, T::Fields());
  }
}

template <typename T, typename Context>
bool ReadValue(Reader& r, T* value, const Context& context) {
  if constexpr (std::unsigned_integral<T>) {
    return r.Int(value);
  } else if constexpr (KnownEnum<T>) {
    std::underlying_type_t<T> raw;
    if (!r.Int(&raw)) return false;
    *value = static_cast<T>(raw);
    return IsKnown(*value) || r.Fail("unknown enumerator");
  } else if constexpr (IsByteArray<T>::value) {
    ByteView raw;
    if (!r.Raw(value->size(), &raw)) return false;
    std::copy(raw.begin(), raw.end(), value->begin());
    return true;
  } else if constexpr (FixedBytesStruct<T>) {
    return ReadValue(r, &value->bytes, context);
  } else if constexpr (IsOptional<T>::value) {
    uint8_t present;
    if (!r.Int(&present)) return false;
    if (present > 1) return r.Fail("presence octet is neither 0 nor 1");
    value->reset();
    return present == 0 || ReadValue(r, &value->emplace(), context);
  } else {
    static_assert(HasFields<T>, "no encoding for this type");
    return std::apply([&](const auto&... field) { return (field.Read(r, value, context) && ...); },
                      T::Fields());
  }
}

// --- fields ------------------------------------------------------------------------------

// A member whose type alone says how it is encoded.
template <typename T, typename M>
struct PlainField {
  M T::*member;
  template <typename Context>
  void Write(Writer& w, const T& object, const Context& context) const {
    WriteValue(w, object.*member, context);
  }
  template <typename Context>
  bool Read(Reader& r, T* object, const Context& context) const {
    return ReadValue(r, &(object->*member), context);
  }
};

// opaque name<0..max>, with a length of type Length.
template <typename Length, typename T>
struct OpaqueField {
  Bytes T::*member;
  size_t max;
  template <typename Context>
  void Write(Writer& w, const T& object, const Context&) const {
    const Bytes& bytes = object.*member;
    if (bytes.size() > max) return w.Fail("opaque value is too long");
    w.Int(static_cast<Length>(bytes.size()));
    w.Raw(bytes);
  }
  template <typename Context>
  bool Read(Reader& r, T* object, const Context&) const {
    Length size;
    ByteView raw;
    if (!r.Int(&size)) return false;
    if (size > max) return r.Fail("opaque value is too long");
    if (!r.Raw(size, &raw)) return false;
    (object->*member) = ToBytes(raw);
    return true;
  }
};

// opaque name[n], where n comes from the context.
template <typename T, typename SizeOf>
struct SizedField {
  Bytes T::*member;
  SizeOf size_of;
  template <typename Context>
  void Write(Writer& w, const T& object, const Context& context) const {
    if ((object.*member).size() != size_of(context))
      return w.Fail("fixed-size value is not of its size");
    w.Raw(object.*member);
  }
  template <typename Context>
  bool Read(Reader& r, T* object, const Context& context) const {
    ByteView raw;
    if (!r.Raw(size_of(context), &raw)) return false;
    (object->*member) = ToBytes(raw);
    return true;
  }
};

// U name<0..max>, with an element count of type Length.
template <typename Length, typename T, typename U>
struct VectorField {
  std::vector<U> T::*member;
  size_t max;
  template <typename Context>
  void Write(Writer& w, const T& object, const Context& context) const {
    const std::vector<U>& elements = object.*member;
    if (elements.size() > max) return w.Fail("vector has too many elements");
    w.Int(static_cast<Length>(elements.size()));
    for (const U& element : elements) WriteValue(w, element, context);
  }
  template <typename Context>
  bool Read(Reader& r, T* object, const Context& context) const {
    Length count;
    if (!r.Int(&count)) return false;
    // Every element takes at least a byte, so a count beyond the rest cannot be honest.
    if (count > max || count > r.remaining()) return r.Fail("vector has too many elements");
    std::vector<U>& elements = object->*member;
    elements.clear();
    for (Length i = 0; i < count; ++i) {
      if (!ReadValue(r, &elements.emplace_back(), context)) return false;
    }
    return true;
  }
};

// A field that is there only if predicate(object so far, context).
template <typename Field, typename Predicate>
struct ConditionalField {
  Field field;
  Predicate predicate;
  template <typename T, typename Context>
  void Write(Writer& w, const T& object, const Context& context) const {
    if (predicate(object, context)) field.Write(w, object, context);
  }
  template <typename T, typename Context>
  bool Read(Reader& r, T* object, const Context& context) const {
    return !predicate(*object, context) || field.Read(r, object, context);
  }
};

template <typename T, typename M>
constexpr auto AsField(M T::*member) {
  return PlainField<T, M>{member};
}
template <typename Field>
requires(!std::is_member_pointer_v<Field>) constexpr Field AsField(Field field) { return field; }

template <typename Length, typename T>
constexpr auto Opaque(Bytes T::*member, size_t max = std::numeric_limits<Length>::max()) {
  return OpaqueField<Length, T>{member, max};
}
template <typename T, typename SizeOf>
constexpr auto Sized(Bytes T::*member, SizeOf size_of) {
  return SizedField<T, SizeOf>{member, size_of};
}
template <typename Length, typename T, typename U>
constexpr auto Vector(std::vector<U> T::*member, size_t max = std::numeric_limits<Length>::max()) {
  return VectorField<Length, T, U>{member, max};
}
template <typename Predicate, typename F>
constexpr auto If(Predicate predicate, F field) {
  return ConditionalField<decltype(AsField(field)), Predicate>{AsField(field), predicate};
}
template <typename... F>
constexpr auto List(F... fields) {
  return std::make_tuple(AsField(fields)...);
}

// --- whole structures --------------------------------------------------------------------

// kInvalidArgument if a value is longer than its field allows.
template <typename T, typename Context = NoContext>
absl::StatusOr<Bytes> TryEncode(const T& value, const Context& context = {}) {
  Writer w;
  WriteValue(w, value, context);
  if (w.error() != nullptr) return absl::InvalidArgumentError(w.error());
  return std::move(w).Take();
}

// For structures whose sizes the caller has already bounded; aborts if one is too long.
template <typename T, typename Context = NoContext>
Bytes Encode(const T& value, const Context& context = {}) {
  absl::StatusOr<Bytes> bytes = TryEncode(value, context);
  KT_CHECK(bytes.ok());
  return *std::move(bytes);
}

// kInvalidArgument unless `bytes` is exactly one encoded T.
template <typename T, typename Context = NoContext>
absl::StatusOr<T> Decode(ByteView bytes, const Context& context = {}) {
  Reader r(bytes);
  T value{};
  if (ReadValue(r, &value, context) && r.remaining() > 0) r.Fail("trailing bytes");
  if (r.error() != nullptr) return absl::InvalidArgumentError(r.error());
  return value;
}

}  // namespace kt::base::codec
#endif  // BASE_CODEC_H_
