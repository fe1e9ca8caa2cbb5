// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_PUBLISH_SERVICE_H_
#define KT_SERVER_PUBLISH_SERVICE_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "kt-server/rate_limiter.h"
#include "kt-server/submitter.h"
#include "kt-server/tokens.h"
#include "smime/admission.h"
#include "smime/certificate_set.h"

namespace kt::server {

// A wish to change the certificates of one address.
struct Publication {
  using Operation = smime::SetChange;
  std::string address;
  Operation operation = Operation::kReplace;
  std::vector<smime::CertificateEntry> certificates;
  // Publish only if this is the address's greatest version.
  std::optional<base::Version> expected_greatest_version;
  // Publish only if the address has no version.
  bool expect_absent = false;
};

// New versions of an address, in one log entry: "Updating a Label".
struct OwnerUpdate {
  base::Bytes label;
  std::optional<base::TreeSize> last;  // that the owner advertises
  // The greatest version, which these follow; nullopt if there is none. Its value is `current`.
  std::optional<base::Version> greatest_version;
  smime::CertificateSet current;
  std::vector<base::Bytes> values;  // encoded CertificateSets; at least one
};

// Decides who may publish what, and hands it on to who adds it to the log. Thread-safe.
class PublishService {
 public:
  struct Options {
    std::vector<std::string> domains;
    smime::AdmissionPolicy admission;
    double publishes_per_second = 50;  // of one token
  };

  // Borrows `submitter` and `clock`.
  PublishService(Options options, Tokens tokens, Submitter& submitter, const base::Clock& clock);

  // Replaces the tokens, for requests from now on.
  void SetTokens(Tokens tokens);

  // The token that a request with the bearer token `secret` uses; the request counts. Comes before
  // anything is done with the request's body. kUnauthenticated for an unknown token,
  // kResourceExhausted beyond its rate.
  absl::StatusOr<Token> Authorize(const std::string& secret);

  // Calls `done` exactly once, maybe before it returns. Errors: kPermissionDenied if the token or
  // this log does not cover the address; kInvalidArgument for malformed input; kFailedPrecondition
  // for what admission or the expected version forbid, and for removing what is not there;
  // kResourceExhausted if too much is waiting.
  void Publish(const Token& token, Publication publication, const Submitter::Done& done);

  // The same for an owner's versions. Entries that are in the current set already are not checked
  // again: what made them admissible may be over. kAborted if the address has another greatest
  // version by now.
  void Update(const Token& token, OwnerUpdate update, const Submitter::Done& done);

 private:
  absl::StatusOr<smime::Address> CheckAddress(const Token& token, const std::string& text) const;
  absl::Status CheckSets(const smime::Address& address, const OwnerUpdate& update) const;
  absl::Status CheckCertificates(const smime::Address& address,
                                 const Publication& publication) const;

  const Options options_;
  const std::set<std::string> domains_;
  Submitter& submitter_;
  const base::Clock& clock_;
  RateLimiter limiter_;

  absl::Mutex mutex_;
  Tokens tokens_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_PUBLISH_SERVICE_H_
