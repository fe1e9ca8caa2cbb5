// SPDX-License-Identifier: Apache-2.0
#include "kt-server/publish_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace kt::server {
namespace {

absl::Status CheckExpectation(const Publication& publication, const CurrentValue* current) {
  if (publication.expect_absent && current != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the address already has version ", current->version));
  }
  if (!publication.expected_greatest_version.has_value()) return absl::OkStatus();
  if (current == nullptr) return absl::FailedPreconditionError("the address has no version yet");
  if (current->version != *publication.expected_greatest_version) {
    return absl::FailedPreconditionError(absl::StrCat("the greatest version is ", current->version,
                                                      ", not ",
                                                      *publication.expected_greatest_version));
  }
  return absl::OkStatus();
}

// The address's next CertificateSet, encoded.
absl::StatusOr<base::Bytes> NextValue(const Publication& publication, const CurrentValue* current) {
  KT_RETURN_IF_ERROR(CheckExpectation(publication, current));
  smime::CertificateSet set;
  if (current != nullptr && current->erased) {
    if (publication.operation != Publication::Operation::kReplace) {
      return absl::FailedPreconditionError(
          "the address's set was erased by the log's operator: publish a whole new one");
    }
  } else if (current != nullptr) {
    KT_ASSIGN_OR_RETURN(set, smime::CertificateSet::Decode(current->value));
  }
  const absl::Status applied = set.Apply(publication.operation, publication.certificates);
  // Certificates to be removed that are not there.
  if (absl::IsNotFound(applied)) {
    return absl::FailedPreconditionError(std::string(applied.message()));
  }
  KT_RETURN_IF_ERROR(applied);
  return set.Encode();
}

// What leaves the set is named by its DER; more would only be carried around.
absl::Status CheckRemoval(const Publication& publication, size_t max_certificate_size) {
  for (const smime::CertificateEntry& entry : publication.certificates) {
    if (!entry.chain.empty() || !entry.smime_capabilities.empty()) {
      return absl::InvalidArgumentError(
          "a certificate to be removed is given without chain and capabilities");
    }
    if (entry.der.size() > max_certificate_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("a certificate has at most ", max_certificate_size, " bytes"));
    }
  }
  return absl::OkStatus();
}

// Of memory that a publication takes while it waits.
size_t SizeOf(const Publication& publication) {
  constexpr size_t kOverhead = 4096;
  constexpr size_t kEntryOverhead = 128;
  size_t bytes = 0;
  for (const smime::CertificateEntry& entry : publication.certificates) {
    bytes += kEntryOverhead + entry.der.size() + entry.smime_capabilities.size();
    for (const smime::ChainCertificate& issuer : entry.chain) {
      bytes += kEntryOverhead + issuer.der.size();
    }
  }
  // The message that it came in is kept until it is answered.
  return kOverhead + 2 * bytes;
}

size_t SizeOf(const OwnerUpdate& update) {
  constexpr size_t kOverhead = 4096;
  size_t bytes = 0;
  for (const base::Bytes& value : update.values) bytes += value.size();
  // The message that it came in is kept until it is answered, and so is what it was decoded to.
  return kOverhead + 3 * bytes;
}

}  // namespace

PublishService::PublishService(Options options, Tokens tokens, Submitter& submitter,
                               const base::Clock& clock)
    : options_(std::move(options)),
      domains_(options_.domains.begin(), options_.domains.end()),
      submitter_(submitter),
      clock_(clock),
      limiter_(options_.publishes_per_second, clock),
      tokens_(std::move(tokens)) {}

void PublishService::SetTokens(Tokens tokens) {
  absl::MutexLock lock(&mutex_);
  tokens_ = std::move(tokens);
}

absl::StatusOr<Token> PublishService::Authorize(const std::string& secret) {
  Token token;
  {
    absl::MutexLock lock(&mutex_);
    const Token* const found = tokens_.Find(secret);
    if (found == nullptr) return absl::UnauthenticatedError("unknown publishing token");
    token = *found;
  }
  if (!limiter_.Allow(token.id)) {
    return absl::ResourceExhaustedError("this token publishes too fast; try again later");
  }
  return token;
}

absl::StatusOr<smime::Address> PublishService::CheckAddress(const Token& token,
                                                            const std::string& text) const {
  KT_ASSIGN_OR_RETURN(smime::Address address, smime::ParseAddress(text));
  if (!token.Allows(address)) {
    return absl::PermissionDeniedError("this token may not publish for the address");
  }
  if (!domains_.contains(address.domain)) {
    return absl::PermissionDeniedError(
        absl::StrCat("this log does not host the domain ", address.domain));
  }
  return address;
}

absl::Status PublishService::CheckCertificates(const smime::Address& address,
                                               const Publication& publication) const {
  if (publication.certificates.empty() &&
      publication.operation != Publication::Operation::kReplace) {
    return absl::InvalidArgumentError("no certificates were given");
  }
  if (publication.certificates.size() > smime::kMaxSetCertificates) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", smime::kMaxSetCertificates, " certificates are taken at once"));
  }
  if (publication.operation == Publication::Operation::kRemove) {
    return CheckRemoval(publication, options_.admission.max_certificate_size);
  }
  for (const smime::CertificateEntry& entry : publication.certificates) {
    KT_RETURN_IF_ERROR(smime::CheckAdmission(entry, address, options_.admission, clock_.NowMs()));
  }
  return absl::OkStatus();
}

absl::Status PublishService::CheckSets(const smime::Address& address,
                                       const OwnerUpdate& update) const {
  std::set<base::Bytes> admitted;
  for (const smime::CertificateEntry& entry : update.current.entries()) {
    admitted.insert(base::codec::Encode(entry));
  }
  for (const base::Bytes& value : update.values) {
    const absl::StatusOr<smime::CertificateSet> set = smime::CertificateSet::Decode(value);
    if (!set.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("values: not a certificate set: ", std::string(set.status().message())));
    }
    for (const smime::CertificateEntry& entry : set->entries()) {
      if (!admitted.insert(base::codec::Encode(entry)).second) continue;
      KT_RETURN_IF_ERROR(smime::CheckAdmission(entry, address, options_.admission, clock_.NowMs()));
    }
  }
  return absl::OkStatus();
}

void PublishService::Update(const Token& token, OwnerUpdate update, const Submitter::Done& done) {
  const absl::StatusOr<smime::Address> address = CheckAddress(token, base::ToText(update.label));
  if (!address.ok()) return done(address.status());
  if (base::ToBytes(address->label()) != update.label) {
    return done(absl::InvalidArgumentError("label: the address is not in normal form"));
  }
  if (absl::Status status = CheckSets(*address, update); !status.ok()) return done(status);
  Submitter::Submission submission;
  submission.label = update.label;
  submission.submitter = token.id;
  submission.bytes = SizeOf(update);
  submission.alone = true;
  submission.last = update.last;
  submission.mutation =
      [greatest = update.greatest_version, values = std::move(update.values)](
          const CurrentValue* current) -> absl::StatusOr<std::vector<base::Bytes>> {
    const std::optional<base::Version> version =
        current == nullptr ? std::nullopt : std::optional(current->version);
    if (version != greatest) {
      return absl::AbortedError("the address has another greatest version by now");
    }
    return values;
  };
  submission.done = done;
  const absl::Status submitted = submitter_.Submit(std::move(submission));
  if (!submitted.ok()) done(submitted);
}

void PublishService::Publish(const Token& token, Publication publication,
                             const Submitter::Done& done) {
  const absl::StatusOr<smime::Address> address = CheckAddress(token, publication.address);
  if (!address.ok()) return done(address.status());
  if (absl::Status status = CheckCertificates(*address, publication); !status.ok()) {
    return done(status);
  }
  const size_t bytes = SizeOf(publication);
  const auto mutation =
      [publication = std::move(publication)](
          const CurrentValue* current) -> absl::StatusOr<std::vector<base::Bytes>> {
    KT_ASSIGN_OR_RETURN(base::Bytes value, NextValue(publication, current));
    return std::vector<base::Bytes>{std::move(value)};
  };
  const absl::Status submitted =
      submitter_.Submit({address->label(), token.id, bytes, mutation, done});
  if (!submitted.ok()) done(submitted);
}

}  // namespace kt::server
