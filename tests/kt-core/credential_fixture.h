// SPDX-License-Identifier: Apache-2.0
//
// Credentials of a test log.
#ifndef TESTS_KT_CORE_CREDENTIAL_FIXTURE_H_
#define TESTS_KT_CORE_CREDENTIAL_FIXTURE_H_

#include <string>

#include "kt-core/binary_ladder.h"
#include "kt-core/credential.h"
#include "tests/kt-core/distinguished_fixture.h"
#include "tests/support/test_log.h"

namespace kt::core {

inline absl::StatusOr<Credential> Standard(const testing::TestLog& log, const std::string& label,
                                           Version version, LogPosition position) {
  const testing::TestLog::VersionData& data = *log.Find(label, version);
  const LabelRecord record = log.Record(label, BaseBinaryLadder(version));
  return ProveStandardCredential(
      *log.ViewAt(log.size()), position,
      {base::AsBytes(label), version, record, data.opening, data.update});
}

inline absl::StatusOr<Credential> Provisional(const testing::TestLog& log, const std::string& label,
                                              TreeSize size, LogPosition position) {
  const Version version = *log.Greatest(label, size);
  const testing::TestLog::VersionData& data = *log.Find(label, version);
  const LabelRecord record = log.Record(label, BaseBinaryLadder(version));
  return ProveProvisionalCredential(
      log.config(), *log.ViewAt(size), log.HeadAt(size).tree_head, position,
      {base::AsBytes(label), version, record, data.opening, data.update});
}

inline absl::StatusOr<ProvenCredentialUpdate> Update(const testing::TestLog& log,
                                                     const std::string& label,
                                                     const PendingCredential& pending,
                                                     TreeSize size) {
  const LabelRecord record = log.Record(label, MonitoringBinaryLadder(pending.version));
  return ProveCredentialUpdate(log.config(), *log.ViewAt(size), pending.view.tree_size(),
                               pending.terminal, pending.version, record);
}

inline Bytes Encoded(const testing::TestLog& log, const Credential& credential) {
  return codec::Encode(credential, log.context());
}
inline Bytes Encoded(const testing::TestLog& log, const CredentialUpdate& update) {
  return codec::Encode(update, log.context());
}

}  // namespace kt::core
#endif  // TESTS_KT_CORE_CREDENTIAL_FIXTURE_H_
