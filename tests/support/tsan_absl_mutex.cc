// SPDX-License-Identifier: Apache-2.0
//
// Tells ThreadSanitizer about absl::Mutex and absl::CondVar.
//
// Debian's abseil is built without ThreadSanitizer, so the sanitizer sees neither its locks nor its
// unlocks and reports a race on all data that an absl::Mutex guards. Every executable of a thread
// sanitizer build links this file. Its definitions come before those of the shared library, for
// this program and for the libraries that it loads (gRPC locks with abseil too); each announces the
// operation, then calls the library's own. Nothing else links it.
//
// Memory that a thread touches inside an announced operation is ignored by the sanitizer, so the
// conditions of Await() and LockWhen() are not checked when another thread evaluates them.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <type_traits>

#include "absl/synchronization/mutex.h"

namespace {

constexpr unsigned kExclusive = 0;
constexpr unsigned kShared = __tsan_mutex_read_lock;

// The library's definition that ours stands in front of. The symbol is the mangled name; a member
// function is called as a function whose first argument is the object (Itanium C++ ABI).
template <typename Function>
Function* Next(const char* symbol) {
  void* address = dlsym(RTLD_NEXT, symbol);
  if (address == nullptr) abort();
  return reinterpret_cast<Function*>(address);
}

// The library calls some of its own functions through ours, as WaitWithTimeout() calls
// WaitWithDeadline(). Only the outermost operation of a thread is announced.
thread_local bool announcing = false;

template <typename Before, typename Operation, typename After>
auto Announced(Before before, Operation operation, After after) {
  if (announcing) return operation();
  announcing = true;
  before();
  if constexpr (std::is_void_v<decltype(operation())>) {
    operation();
    after(true);
    announcing = false;
  } else {
    const auto result = operation();
    after(result);
    announcing = false;
    return result;
  }
}

// The mutexes that this thread has locked for reading, null where there is none: whether a waiter
// has, abseil does not tell. Not a container, since threads lock until after those are destroyed.
thread_local const absl::Mutex* shared[16] = {};

const absl::Mutex** FindShared(const absl::Mutex* mutex) {
  return std::find(std::begin(shared), std::end(shared), mutex);
}
bool IsShared(const absl::Mutex* mutex) { return FindShared(mutex) != std::end(shared); }

void NoteLocked(const absl::Mutex* mutex, unsigned flags) {
  if ((flags & kShared) == 0) return;
  const absl::Mutex** const free = FindShared(nullptr);
  if (free == std::end(shared)) abort();
  *free = mutex;
}
void NoteUnlocked(const absl::Mutex* mutex, unsigned flags) {
  if ((flags & kShared) != 0 && IsShared(mutex)) *FindShared(mutex) = nullptr;
}

template <typename Lock>
void AnnouncedLock(absl::Mutex* mutex, unsigned flags, Lock lock) {
  Announced([=] { __tsan_mutex_pre_lock(mutex, flags); }, lock,
            [=](bool) {
              __tsan_mutex_post_lock(mutex, flags, 0);
              NoteLocked(mutex, flags);
            });
}

template <typename TryLock>
bool AnnouncedTryLock(absl::Mutex* mutex, unsigned flags, TryLock try_lock) {
  const unsigned try_flags = flags | __tsan_mutex_try_lock;
  return Announced([=] { __tsan_mutex_pre_lock(mutex, try_flags); }, try_lock,
                   [=](bool locked) {
                     const unsigned outcome = locked ? 0 : __tsan_mutex_try_lock_failed;
                     __tsan_mutex_post_lock(mutex, try_flags | outcome, 0);
                     if (locked) NoteLocked(mutex, flags);
                   });
}

template <typename Unlock>
void AnnouncedUnlock(absl::Mutex* mutex, unsigned flags, Unlock unlock) {
  const auto before = [=] {
    __tsan_mutex_pre_unlock(mutex, flags);
    NoteUnlocked(mutex, flags);
  };
  Announced(before, unlock, [=](bool) { __tsan_mutex_post_unlock(mutex, flags); });
}

// As the sanitizer sees it, a waiter unlocks before it waits and locks again afterwards; that the
// true unlock comes a little later hides nothing, because the waiter touches no data in between.
template <typename Wait>
auto AnnouncedWait(absl::Mutex* mutex, Wait wait) {
  const unsigned flags = IsShared(mutex) ? kShared : kExclusive;
  return Announced(
      [=] {
        __tsan_mutex_pre_unlock(mutex, flags);
        __tsan_mutex_post_unlock(mutex, flags);
        __tsan_mutex_pre_lock(mutex, flags);
      },
      wait, [=](bool) { __tsan_mutex_post_lock(mutex, flags, 0); });
}

}  // namespace

// The mangled prefix holds Debian's inline namespace; a mismatch aborts at the first lock.
#define KT_MUTEX "_ZN4absl7debian35Mutex"
#define KT_CONDVAR "_ZN4absl7debian37CondVar"

namespace absl {

Mutex::~Mutex() {
  static auto* const next = Next<void(Mutex*)>(KT_MUTEX "D1Ev");
  next(this);
  __tsan_mutex_destroy(this, __tsan_mutex_not_static);
}

void Mutex::Lock() {
  static auto* const next = Next<void(Mutex*)>(KT_MUTEX "4LockEv");
  AnnouncedLock(this, kExclusive, [this] { next(this); });
}

void Mutex::Unlock() {
  static auto* const next = Next<void(Mutex*)>(KT_MUTEX "6UnlockEv");
  AnnouncedUnlock(this, kExclusive, [this] { next(this); });
}

bool Mutex::TryLock() {
  static auto* const next = Next<bool(Mutex*)>(KT_MUTEX "7TryLockEv");
  return AnnouncedTryLock(this, kExclusive, [this] { return next(this); });
}

void Mutex::ReaderLock() {
  static auto* const next = Next<void(Mutex*)>(KT_MUTEX "10ReaderLockEv");
  AnnouncedLock(this, kShared, [this] { next(this); });
}

void Mutex::ReaderUnlock() {
  static auto* const next = Next<void(Mutex*)>(KT_MUTEX "12ReaderUnlockEv");
  AnnouncedUnlock(this, kShared, [this] { next(this); });
}

bool Mutex::ReaderTryLock() {
  static auto* const next = Next<bool(Mutex*)>(KT_MUTEX "13ReaderTryLockEv");
  return AnnouncedTryLock(this, kShared, [this] { return next(this); });
}

void Mutex::LockWhen(const Condition& condition) {
  static auto* const next =
      Next<void(Mutex*, const Condition&)>(KT_MUTEX "8LockWhenERKNS0_9ConditionE");
  AnnouncedLock(this, kExclusive, [&] { next(this, condition); });
}

void Mutex::ReaderLockWhen(const Condition& condition) {
  static auto* const next =
      Next<void(Mutex*, const Condition&)>(KT_MUTEX "14ReaderLockWhenERKNS0_9ConditionE");
  AnnouncedLock(this, kShared, [&] { next(this, condition); });
}

void Mutex::Await(const Condition& condition) {
  static auto* const next =
      Next<void(Mutex*, const Condition&)>(KT_MUTEX "5AwaitERKNS0_9ConditionE");
  AnnouncedWait(this, [&] { next(this, condition); });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const next = Next<bool(Mutex*, const Condition&, Duration)>(
      KT_MUTEX "16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  return AnnouncedWait(this, [&] { return next(this, condition, timeout); });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const next = Next<bool(Mutex*, const Condition&, Time)>(
      KT_MUTEX "17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  return AnnouncedWait(this, [&] { return next(this, condition, deadline); });
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const next = Next<void(CondVar*, Mutex*)>(KT_CONDVAR "4WaitEPNS0_5MutexE");
  AnnouncedWait(mutex, [&] { next(this, mutex); });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const next = Next<bool(CondVar*, Mutex*, Duration)>(
      KT_CONDVAR "15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  return AnnouncedWait(mutex, [&] { return next(this, mutex, timeout); });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const next =
      Next<bool(CondVar*, Mutex*, Time)>(KT_CONDVAR "16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  return AnnouncedWait(mutex, [&] { return next(this, mutex, deadline); });
}

}  // namespace absl
