// SPDX-License-Identifier: Apache-2.0
//
// The portable implementation neither branches nor computes an address on a secret: valgrind is
// told that the secrets are undefined, follows what is made of them, and reports where it matters.
//
//   ed25519_secret_tracking          runs the two below under valgrind; 0 if they end as they
//                                    should, 77 if there is no valgrind here
//   ed25519_secret_tracking prove    proves and evaluates
//   ed25519_secret_tracking control  does what must be reported
//
// Evidence for this compiler and these settings; vrf_timing looks at the clock instead.
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/secret.h"
#include "tests/support/fakes.h"
#include "vrf/ed25519_batch.h"
#include "vrf/ed25519_kernel.h"
#include "vrf/ed25519_suite.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_UNDEFINED(address, size) static_cast<void>(0)
#define VALGRIND_MAKE_MEM_DEFINED(address, size) static_cast<void>(0)
#endif

extern char** environ;

namespace kt::vrf {
namespace {

constexpr int kSkipped = 77;
constexpr int kNoticed = 99;

void Classify(base::SecretBytes& secret) {
  VALGRIND_MAKE_MEM_UNDEFINED(secret.ExposeMutable().data(), secret.size());
}

Ed25519Key SecretKey() {
  testing::SeededRandom random(1);
  auto key = MakeEd25519Key(GenerateSecret(Suite::kEdwards25519Sha512Tai, random));
  KT_CHECK(key.ok());
  Classify(key->prefix);
  Classify(key->x);
  Classify(key->cofactor_x);
  return *std::move(key);
}

int Prove() {
  const Ed25519BatchProver prover(ed25519::PortableKernel(), SecretKey());
  std::vector<base::Bytes> alphas;
  for (uint8_t i = 0; i < 3; ++i) alphas.push_back({i});
  std::vector<ProvenOutput> proven = prover.Prove(alphas);
  std::vector<base::VrfOutput> outputs = prover.Evaluate(alphas);
  // Made of secrets, and public from here on.
  for (size_t i = 0; i < alphas.size(); ++i) {
    VALGRIND_MAKE_MEM_DEFINED(proven[i].output.bytes.data(), proven[i].output.bytes.size());
    VALGRIND_MAKE_MEM_DEFINED(proven[i].proof.data(), proven[i].proof.size());
    VALGRIND_MAKE_MEM_DEFINED(outputs[i].bytes.data(), outputs[i].bytes.size());
    if (proven[i].output != outputs[i]) return 1;
  }
  return 0;
}

// A branch on a digit of x.
int Control() {
  const Ed25519Key key = SecretKey();
  volatile int odd = 0;
  if ((key.x.Expose()[7] & 1) != 0) odd = 1;
  return odd >= 0 ? 0 : 1;
}

// The exit code of this program under valgrind; -1 if it could not be run.
int Run(const char* self, const char* what) {
  const std::string code = "--error-exitcode=" + std::to_string(kNoticed);
  const char* arguments[] = {"valgrind", "--quiet", code.c_str(), self, what, nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, arguments[0], nullptr, nullptr, const_cast<char**>(arguments),
                   environ) != 0) {
    return -1;
  }
  int status = 0;
  KT_CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int RunBoth(const char* self) {
#if __has_include(<valgrind/memcheck.h>)
  const int control = Run(self, "control");
#else
  const int control = -1;
#endif
  if (control == -1 || control == 127) {
    std::printf("skipped: there is no valgrind here, or was none to compile with\n");
    return kSkipped;
  }
  if (control != kNoticed) {
    std::printf("a branch on a secret went unnoticed: exit code %d\n", control);
    return 1;
  }
  return Run(self, "prove") == 0 ? 0 : 1;
}

}  // namespace
}  // namespace kt::vrf

int main(int argc, char** argv) {
  if (argc < 2) return kt::vrf::RunBoth(argv[0]);
  KT_CHECK(RUNNING_ON_VALGRIND != 0);
  return std::string(argv[1]) == "prove" ? kt::vrf::Prove() : kt::vrf::Control();
}
