// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_TOKENS_H_
#define KT_SERVER_TOKENS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "base/types.h"
#include "smime/address.h"

namespace kt::server {

// Who may publish for what. A token is 32 random bytes in hexadecimal; only its SHA-256 is kept,
// which suffices since a token cannot be guessed.
struct Token {
  std::string id;  // public name, for listing, revoking and logs
  base::Hash sha256;
  std::vector<std::string> scopes;  // domains ("smime.example") and addresses in normal form

  bool Allows(const smime::Address& address) const;
};

// The tokens of one file. Immutable once loaded.
class Tokens {
 public:
  Tokens() = default;
  // An absent file has no tokens. kPermissionDenied if group or others have access to it,
  // kInvalidArgument if it is malformed; the message names the line and quotes nothing of the file,
  // since scopes are addresses.
  static absl::StatusOr<Tokens> Load(const std::string& path);
  // A file that is there keeps its mode, and its owner if root saves.
  absl::Status Save(const std::string& path) const;

  // Loads the file at `path`, applies `change` and saves the result, while no other Edit of the
  // file runs, in this process or another: two changes at once lose neither. kAborted if others
  // kept the file locked for several seconds, otherwise what loading, `change` or saving reports;
  // then the file is as it was.
  static absl::Status Edit(const std::string& path,
                           const std::function<absl::Status(Tokens& tokens)>& change);

  const std::vector<Token>& all() const { return tokens_; }

  // Adds a fresh token with `scopes` and returns its secret text, which is kept nowhere.
  // kInvalidArgument if a scope is neither a domain nor an address.
  absl::StatusOr<std::string> Create(const std::vector<std::string>& scopes, base::Random& random);
  // kNotFound if there is no token with this id.
  absl::Status Revoke(const std::string& id);

  // The token whose secret text is `secret`, or null. Takes the same time for every secret.
  const Token* Find(const std::string& secret) const;

 private:
  std::vector<Token> tokens_;
};

}  // namespace kt::server
#endif  // KT_SERVER_TOKENS_H_
