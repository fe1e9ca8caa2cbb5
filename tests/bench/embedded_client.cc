// SPDX-License-Identifier: Apache-2.0
//
// What a mail program's plug-in carries of the client library, all operations included: its size,
// stripped, is measured. Nothing loads it.
#include <memory>

#include "kt-client/client.h"

// The plug-in's only export, so that the linker can leave out whatever no operation needs.
extern "C" __attribute__((visibility("default"))) kt::client::Client* KtCreateClient(
    const kt::client::ClientOptions& options) {
  auto client = kt::client::Client::Create(options);
  return client.ok() ? std::move(client)->release() : nullptr;
}
