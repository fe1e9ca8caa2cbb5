// SPDX-License-Identifier: Apache-2.0
#include "kt-server/tokens.h"

#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/secret.h"
#include "base/status.h"

namespace kt::server {
namespace {

constexpr size_t kMaxTokensBytes = 4 << 20;
constexpr size_t kTokenBytes = 32;
constexpr size_t kIdBytes = 6;

absl::StatusOr<std::string> NormalizeScope(const std::string& scope) {
  const bool is_address = scope.find('@') != std::string::npos;
  absl::StatusOr<smime::Address> address =
      smime::ParseAddress(is_address ? scope : "postmaster@" + scope);
  if (!address.ok()) {
    return base::Annotate(address.status(), absl::StrCat("scope \"", scope, "\""));
  }
  return is_address ? address->text() : address->domain;
}

absl::StatusOr<Token> ReadToken(const toml::node& node) {
  const absl::Status malformed = absl::InvalidArgumentError(absl::StrCat(
      "line ", node.source().begin.line, ": a token has the keys id, sha256 and scopes"));
  const toml::table* table = node.as_table();
  if (table == nullptr || table->size() != 3) return malformed;
  const auto id = (*table)["id"].value_exact<std::string>();
  const auto sha256 = (*table)["sha256"].value_exact<std::string>();
  const toml::array* scopes = (*table)["scopes"].as_array();
  if (!id.has_value() || id->empty() || !sha256.has_value() || scopes == nullptr) return malformed;
  const std::optional<base::Bytes> hash = base::FromHex(*sha256);
  if (!hash.has_value() || hash->size() != base::kHashSize) return malformed;
  Token token;
  token.id = *id;
  std::copy(hash->begin(), hash->end(), token.sha256.bytes.begin());
  for (const toml::node& element : *scopes) {
    const auto scope = element.value_exact<std::string>();
    if (!scope.has_value()) return malformed;
    absl::StatusOr<std::string> normal = NormalizeScope(*scope);
    if (!normal.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", element.source().begin.line,
                                                     ": a scope is neither domain nor address"));
    }
    token.scopes.push_back(*std::move(normal));
  }
  return token;
}

std::string RandomHex(size_t size, base::Random& random) {
  base::Bytes bytes(size);
  random.Fill(bytes);
  std::string hex = base::ToHex(bytes);
  base::SecureZero(bytes);
  return hex;
}

}  // namespace

bool Token::Allows(const smime::Address& address) const {
  return std::any_of(scopes.begin(), scopes.end(), [&](const std::string& scope) {
    return scope == address.domain || scope == address.text();
  });
}

absl::StatusOr<Tokens> Tokens::Load(const std::string& path) {
  absl::StatusOr<base::SecretBytes> bytes = base::ReadSecretFile(path, kMaxTokensBytes);
  if (bytes.status().code() == absl::StatusCode::kNotFound) return Tokens();
  KT_RETURN_IF_ERROR(bytes.status());
  Tokens tokens;
  try {
    const toml::table file = toml::parse(base::AsText(bytes->Expose()));
    for (const auto& [key, node] : file) {
      const toml::array* array = node.as_array();
      if (key != "token" || array == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": only [[token]] is expected"));
      }
      for (const toml::node& element : *array) {
        absl::StatusOr<Token> token = ReadToken(element);
        if (!token.ok()) return base::Annotate(token.status(), path);
        tokens.tokens_.push_back(*std::move(token));
      }
    }
  } catch (const toml::parse_error& error) {
    // The parser's own description quotes the file.
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": line ", error.source().begin.line, ": not valid TOML"));
  }
  return tokens;
}

absl::Status Tokens::Save(const std::string& path) const {
  toml::array array;
  for (const Token& token : tokens_) {
    toml::array scopes;
    for (const std::string& scope : token.scopes) scopes.push_back(scope);
    array.push_back(toml::table{{"id", token.id},
                                {"sha256", base::ToHex(token.sha256.bytes)},
                                {"scopes", std::move(scopes)}});
  }
  std::ostringstream out;
  out << "# Written by kt-server token. Hashes only: the tokens themselves are kept nowhere.\n\n"
      << toml::table{{"token", std::move(array)}} << "\n";
  mode_t mode = S_IRUSR | S_IWUSR;
  struct stat info;
  if (stat(path.c_str(), &info) == 0) mode = info.st_mode & S_IRWXU;
  return base::WriteFileAtomically(path, base::AsBytes(out.str()), mode);
}

absl::Status Tokens::Edit(const std::string& path,
                          const std::function<absl::Status(Tokens& tokens)>& change) {
  constexpr auto kPatience = std::chrono::seconds(10);
  constexpr auto kPause = std::chrono::milliseconds(20);
  // The lock has a file of its own, because saving replaces the tokens file.
  const std::string lock_path = path + ".lock";
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  absl::StatusOr<base::FileLock> lock = base::FileLock::Acquire(lock_path);
  while (lock.status().code() == absl::StatusCode::kAborted &&
         std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(kPause);
    lock = base::FileLock::Acquire(lock_path);
  }
  KT_RETURN_IF_ERROR(lock.status());
  // When root does this for the server's user, that one must be able to do it next time.
  struct stat info;
  if (geteuid() == 0 && stat(path.c_str(), &info) == 0 &&
      lchown(lock_path.c_str(), info.st_uid, info.st_gid) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot give away ", lock_path, ": ", strerror(errno)));
  }
  KT_ASSIGN_OR_RETURN(Tokens tokens, Load(path));
  KT_RETURN_IF_ERROR(change(tokens));
  return tokens.Save(path);
}

absl::StatusOr<std::string> Tokens::Create(const std::vector<std::string>& scopes,
                                           base::Random& random) {
  if (scopes.empty()) return absl::InvalidArgumentError("a token needs at least one scope");
  Token token;
  for (const std::string& scope : scopes) {
    KT_ASSIGN_OR_RETURN(std::string normal, NormalizeScope(scope));
    token.scopes.push_back(std::move(normal));
  }
  token.id = RandomHex(kIdBytes, random);
  std::string secret = RandomHex(kTokenBytes, random);
  token.sha256 = base::Sha256(base::AsBytes(secret));
  tokens_.push_back(std::move(token));
  return secret;
}

absl::Status Tokens::Revoke(const std::string& id) {
  if (std::erase_if(tokens_, [&](const Token& token) { return token.id == id; }) > 0) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("there is no token with id ", id));
}

const Token* Tokens::Find(const std::string& secret) const {
  const base::Hash sha256 = base::Sha256(base::AsBytes(secret));
  const Token* found = nullptr;
  for (const Token& token : tokens_) {
    if (base::ConstantTimeEqual(token.sha256.view(), sha256.view())) found = &token;
  }
  return found;
}

}  // namespace kt::server
