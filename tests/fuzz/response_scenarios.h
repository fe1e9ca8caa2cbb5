// SPDX-License-Identifier: Apache-2.0
//
// Real responses to all operations of a user, and credentials, in each deployment; and what must
// become of them when they are altered.
#ifndef TESTS_FUZZ_RESPONSE_SCENARIOS_H_
#define TESTS_FUZZ_RESPONSE_SCENARIOS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-client/log_user.h"
#include "tests/support/lying_server.h"

namespace kt::fuzz {

inline constexpr char kAlice[] = "alice@a.example";

// What a user makes of a response: a text that tells results apart.
using Take =
    std::function<absl::StatusOr<std::string>(client::LogUser& user, base::ByteView response)>;

// How much of a response its signatures cover.
enum class Covered {
  kAll,
  // Commitments that no lookup reaches are not; nothing depends on them.
  kAllThatMatters,
  // A log may prove less than it was asked for, and says so.
  kUpToItsEnd,
  // What is new is proven by the owner monitoring that comes next.
  kLater,
};

struct Scenario {
  client::LogUser user;  // before the response
  Take take;
  base::Bytes response;
  Covered covered = Covered::kAll;
  std::string result;  // of the response as it is
  client::LogRecord after;
};

inline testing::TestLog MakeLog(core::CipherSuite suite, core::DeploymentMode mode) {
  testing::TestLogOptions options;
  options.suite = suite;
  options.mode = mode;
  options.reasonable_monitoring_window_ms = 350;
  testing::TestLog log(options);
  while (log.size() < 13) {
    std::vector<testing::TestUpdate> updates = {{absl::StrCat("other", log.size()), "value"}};
    if (log.size() % 3 == 0) updates.push_back({kAlice, absl::StrCat("value of ", log.size())});
    log.Append(1'000'000 + 100 * log.size(), updates);
  }
  return log;
}

class Deployment {
 public:
  Deployment(core::CipherSuite suite, core::DeploymentMode mode)
      : server_(MakeLog(suite, mode)),
        verifier_(core::ResponseVerifier::Create(log().config()).value()) {
    client::LogRecord record;
    record.config = log().config();
    const client::LogUser fresh(*verifier_, record);
    client::LogUser contact = fresh;
    AddSearch(&contact, std::nullopt);
    AddWalk(&contact);
    client::LogUser owner = contact;
    AddOwnerInit(&owner);
    AddCredentials(&contact, fresh);
    log().Append(log().RightmostMs() + 100, {{kAlice, "newer"}, {kAlice, "newest"}});
    for (int i = 0; i < 5; ++i) log().Append(log().RightmostMs() + 200);
    AddUpdate(&owner);
    AddOwnerMonitor(&owner);
    AddContactMonitor(&contact);
    AddSearch(&contact, 2);
    AddWalk(&contact);
    AddAbsence(contact);
    client::LogUser newcomer = fresh;
    AddSearch(&newcomer, 1);
  }

  size_t size() const { return scenarios_.size(); }
  const Scenario& at(size_t index) const { return scenarios_[index]; }

 private:
  testing::TestLog& log() { return server_.log(); }
  uint64_t now_ms() { return log().RightmostMs(); }

  // Remembers the exchange, and lets the user have it.
  void Add(client::LogUser* user, const absl::StatusOr<base::Bytes>& response, Covered covered,
           Take take) {
    KT_CHECK(response.ok());
    Scenario scenario{*user, std::move(take), *response, covered, "", {}};
    const auto result = scenario.take(*user, scenario.response);
    KT_CHECK(result.ok());
    scenario.result = *result;
    scenario.after = user->record();
    scenarios_.push_back(std::move(scenario));
  }

  void AddSearch(client::LogUser* user, std::optional<base::Version> version) {
    const auto request = user->MakeSearch(base::AsBytes(kAlice), version);
    const auto answer = server_.Search("user", request);
    KT_CHECK(answer.ok() && answer->found);
    Add(user, answer->response, version.has_value() ? Covered::kAllThatMatters : Covered::kAll,
        [request, now = now_ms()](client::LogUser& asker,
                                  base::ByteView bytes) -> absl::StatusOr<std::string> {
          KT_ASSIGN_OR_RETURN(const auto result, asker.Search(request, bytes, now));
          return absl::StrCat(result.version, base::ToHex(result.value));
        });
  }
  void AddAbsence(client::LogUser user) {
    const auto request = user.MakeSearch(base::AsBytes("nobody@a.example"), std::nullopt);
    Add(&user, log().Absence(request), Covered::kAll,
        [request, now = now_ms()](client::LogUser& asker,
                                  base::ByteView bytes) -> absl::StatusOr<std::string> {
          KT_RETURN_IF_ERROR(asker.Absence(request, bytes, now).status());
          return "absent";
        });
  }
  void AddWalk(client::LogUser* user) {
    const auto request = user->MakeDistinguished();
    Add(user, server_.Distinguished("user", request), Covered::kAll,
        [request, now = now_ms()](client::LogUser& asker,
                                  base::ByteView bytes) -> absl::StatusOr<std::string> {
          KT_ASSIGN_OR_RETURN(const auto entries, asker.Distinguished(request, bytes, now));
          return absl::StrCat(entries.size());
        });
  }
  void AddContactMonitor(client::LogUser* user) {
    // With a third party there is nothing that contacts must monitor.
    if (user->record().FindWatched(base::AsBytes(kAlice)) == nullptr) return;
    const auto request = user->MakeContactMonitor(base::AsBytes(kAlice));
    KT_CHECK(request.ok());
    Add(user, server_.ContactMonitor("user", *request), Covered::kAll,
        [request = *request, now = now_ms()](client::LogUser& asker,
                                             base::ByteView bytes) -> absl::StatusOr<std::string> {
          KT_RETURN_IF_ERROR(asker.ContactMonitor(request, bytes, now));
          return "monitored";
        });
  }
  void AddOwnerInit(client::LogUser* user) {
    const auto start = user->record().distinguished.entries.back().position;
    const auto request = user->MakeOwnerInit(base::AsBytes(kAlice), start);
    KT_CHECK(request.ok());
    Add(user, server_.OwnerInit("user", *request), Covered::kAll,
        [request = *request, now = now_ms()](client::LogUser& asker,
                                             base::ByteView bytes) -> absl::StatusOr<std::string> {
          KT_ASSIGN_OR_RETURN(const auto greatest, asker.OwnerInit(request, bytes, now));
          return absl::StrCat(greatest.size());
        });
  }
  void AddOwnerMonitor(client::LogUser* user) {
    const auto request = user->MakeOwnerMonitor(base::AsBytes(kAlice));
    KT_CHECK(request.ok());
    Add(user, server_.OwnerMonitor("user", *request), Covered::kUpToItsEnd,
        [request = *request, now = now_ms()](client::LogUser& asker,
                                             base::ByteView bytes) -> absl::StatusOr<std::string> {
          KT_ASSIGN_OR_RETURN(const bool complete, asker.OwnerMonitor(request, bytes, now));
          return complete ? "complete" : "incomplete";
        });
  }
  // All that the owner does not know of.
  void AddUpdate(client::LogUser* user) {
    for (;;) {
      const auto request = user->MakeUpdate(base::AsBytes(kAlice), {});
      KT_CHECK(request.ok());
      const auto response = server_.Update("user", *request);
      if (absl::IsFailedPrecondition(response.status())) return;
      KT_CHECK(response.ok());
      client::LogUser probe = *user;
      const auto told = probe.Update(*request, *response, now_ms());
      KT_CHECK(told.ok());
      Add(user, response, told->awaits_owner_monitoring ? Covered::kLater : Covered::kAll,
          [request = *request, now = now_ms()](
              client::LogUser& asker, base::ByteView bytes) -> absl::StatusOr<std::string> {
            KT_ASSIGN_OR_RETURN(const auto result, asker.Update(request, bytes, now));
            return absl::StrCat(result.position, " ", result.versions.size(), " ", result.own);
          });
    }
  }
  // One of `sender` for somebody who has walked, and its update.
  void AddCredentials(client::LogUser* sender, client::LogUser receiver) {
    const auto walk = receiver.MakeDistinguished();
    const auto walked = server_.Distinguished("user", walk);
    KT_CHECK(walked.ok() && receiver.Distinguished(walk, *walked, now_ms()).ok());
    for (const auto& entry : sender->record().distinguished.entries) {
      const auto request = sender->MakeCredentialSearch(base::AsBytes(kAlice), entry.position);
      const auto answer = server_.Search("user", request);
      KT_CHECK(answer.ok());
      const auto sent = sender->MakeCredential(request, answer->response, now_ms());
      KT_CHECK(sent.ok());
      client::LogUser taker = receiver;
      Add(&taker, sent->credential, Covered::kAllThatMatters,
          [now = now_ms()](client::LogUser& asker,
                           base::ByteView bytes) -> absl::StatusOr<std::string> {
            KT_ASSIGN_OR_RETURN(const auto result, asker.Credential(bytes, {}, now));
            return absl::StrCat(base::ToText(result.label), result.version,
                                base::ToHex(result.value), result.position);
          });
    }
  }

  testing::LyingServer server_;
  std::unique_ptr<core::ResponseVerifier> verifier_;
  std::vector<Scenario> scenarios_;
};

// KT_CHECKs that `altered` is refused as it must be, or is not what signatures cover.
inline void CheckAltered(const Scenario& scenario, const base::Bytes& altered) {
  client::LogUser user = scenario.user;
  const auto result = scenario.take(user, altered);
  if (!result.ok()) {
    KT_CHECK(altered != scenario.response);
    // A credential may be of an entry that is not known yet, or not any more.
    KT_CHECK(base::IsVerificationFailure(result.status()) ||
             (scenario.covered == Covered::kAllThatMatters &&
              (absl::IsUnavailable(result.status()) || absl::IsOutOfRange(result.status()))));
    KT_CHECK(user.record() == scenario.user.record());
    return;
  }
  if (altered == scenario.response || scenario.covered == Covered::kLater) return;
  if (scenario.covered == Covered::kUpToItsEnd) {
    KT_CHECK(*result == "incomplete");
    return;
  }
  KT_CHECK(scenario.covered == Covered::kAllThatMatters && *result == scenario.result &&
           user.record() == scenario.after);
}

}  // namespace kt::fuzz
#endif  // TESTS_FUZZ_RESPONSE_SCENARIOS_H_
