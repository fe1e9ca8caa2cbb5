// SPDX-License-Identifier: Apache-2.0
//
// What operators write: configuration files, token files, addresses to listen at. Refused with a
// word about what is wrong, or read; and a token file that is read is written as what is read again
// the same.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/check.h"
#include "base/file.h"
#include "kt-auditor/auditor_config.h"
#include "kt-server/server_config.h"
#include "kt-server/tokens.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/process.h"

namespace {

using kt::server::Tokens;

void CheckRefusal(const absl::Status& status) {
  KT_CHECK(status.ok() || (absl::IsInvalidArgument(status) && !status.message().empty()));
}

const std::string& File() {
  static const auto* const kDirectory = new kt::testing::TemporaryDirectory();
  static const auto* const kPath = new std::string(kDirectory->File("tokens"));
  return *kPath;
}

void ReadTokens(const std::string& text) {
  kt::testing::WriteText(File(), text, 0600);
  const auto tokens = Tokens::Load(File());
  CheckRefusal(tokens.status());
  if (!tokens.ok()) return;
  KT_CHECK(tokens->Save(File()).ok());
  const auto again = Tokens::Load(File());
  KT_CHECK(again.ok() && again->all().size() == tokens->all().size());
  for (size_t i = 0; i < again->all().size(); ++i) {
    const kt::server::Token& before = tokens->all()[i];
    const kt::server::Token& after = again->all()[i];
    KT_CHECK(before.id == after.id && before.sha256 == after.sha256 &&
             before.scopes == after.scopes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const unsigned kind = input.Below(5);
  const std::string text = kt::base::ToText(input.Rest());
  if (kind == 0) CheckRefusal(kt::server::ParseServerConfig(text, "/etc/kt").status());
  if (kind == 1) CheckRefusal(kt::auditor::ParseAuditorConfig(text, "/etc/kt").status());
  if (kind == 2) ReadTokens(text);
  if (kind == 3) CheckRefusal(kt::server::ParseListenAddress(text).status());
  if (kind == 4) CheckRefusal(kt::auditor::ParseFingerprint(text).status());
  return 0;
}
