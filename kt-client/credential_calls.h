// SPDX-License-Identifier: Apache-2.0
//
// What Client does with credentials without asking anybody.
#ifndef KT_CLIENT_CREDENTIAL_CALLS_H_
#define KT_CLIENT_CREDENTIAL_CALLS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "kt-client/client.h"
#include "kt-client/log_user.h"
#include "kt-client/state_store.h"
#include "smime/address.h"

namespace kt::client {

// The address that an encoded Credential names, which nothing vouches for yet. kInvalidArgument if
// it names none.
absl::StatusOr<smime::Address> AddressOfCredential(base::ByteView credential);

// Client::CheckCredential.
absl::StatusOr<CredentialResult> CheckCredentialOffline(const StateStore& store,
                                                        base::ByteView credential,
                                                        base::ByteView update,
                                                        const base::Clock& clock, int timeout_ms);

// Client::PendingCredentials: what is remembered of `domain`'s log.
absl::StatusOr<std::vector<PendingCredential>> ListCredentials(const StateStore& store,
                                                               const std::string& domain);

// Client::ForgetCredential.
absl::Status ForgetCredential(const StateStore& store, const std::string& domain,
                              const base::Hash& id, int timeout_ms);

// Client::DropCredentialUpdate.
absl::Status DropCredentialUpdate(const StateStore& store, const std::string& domain,
                                  const base::Hash& id, int timeout_ms);

// For showing an event to a person or a program.
PendingCredential ToPending(const CredentialEvent& event);

}  // namespace kt::client
#endif  // KT_CLIENT_CREDENTIAL_CALLS_H_
