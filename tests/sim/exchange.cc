// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-core/distinguished.h"
#include "kt-server/monitoring_service.h"
#include "kt-server/search_service.h"

namespace kt::sim {

using base::Bytes;
using base::ByteView;
using client::LogUser;
using core::WireContext;
using server::MonitoringService;
using server::TransparencyLog;

namespace {

template <typename Response>
std::function<Bytes(const Tamper&)> Altering(const absl::StatusOr<Bytes>& response,
                                             core::CombinedTreeProof Response::*proof,
                                             const WireContext& context) {
  if (!response.ok()) return nullptr;
  return [bytes = *response, proof, context](const Tamper& tamper) {
    auto decoded = base::codec::Decode<Response>(bytes, context);
    KT_CHECK(decoded.ok());
    tamper(decoded->full_tree_head, (*decoded).*proof);
    return base::codec::Encode(*decoded, context);
  };
}

// What a log that has shown more before makes of a request.
template <typename Request>
Bytes Received(const TransparencyLog& log, Request request) {
  const auto state = log.current();
  if (state != nullptr && request.last.has_value() && *request.last > state->size()) {
    request.last.reset();
  }
  return base::codec::Encode(request);
}

absl::StatusOr<Bytes> ResponseOf(absl::StatusOr<server::MonitoringAnswer> answer) {
  KT_RETURN_IF_ERROR(answer.status());
  return std::move(answer->response);
}

std::string Describe(const std::vector<core::DistinguishedEntry>& entries) {
  std::string text;
  for (const core::DistinguishedEntry& entry : entries) {
    absl::StrAppend(&text, entry.position, ":", base::ToHex(entry.root().bytes), " ");
  }
  return text;
}

std::string Describe(const client::UpdateResult& result) {
  std::string text = absl::StrCat(result.position, result.own ? " own" : " foreign");
  for (const core::NewVersion& version : result.versions) {
    absl::StrAppend(&text, " ", version.version, "=", base::ToHex(version.value));
  }
  return text;
}

Exchange WalkExchange(const core::DistinguishedRequest& request, absl::StatusOr<Bytes> response,
                      const WireContext& context) {
  Exchange exchange;
  exchange.operation = "walk";
  exchange.kind = client::Operation::kDistinguished;
  exchange.request = base::codec::Encode(request);
  exchange.response = std::move(response);
  exchange.altered =
      Altering(exchange.response, &core::DistinguishedResponse::distinguished, context);
  exchange.take = [request](LogUser& user, ByteView bytes,
                            uint64_t now_ms) -> absl::StatusOr<std::string> {
    KT_ASSIGN_OR_RETURN(const auto entries, user.Distinguished(request, bytes, now_ms));
    return Describe(entries);
  };
  return exchange;
}

}  // namespace

Exchange AskSearch(const LogUser& user, const TransparencyLog& log, const std::string& label,
                   std::optional<base::Version> version) {
  const core::SearchRequest request = user.MakeSearch(base::AsBytes(label), version);
  const auto answer = server::SearchService(log).Search(Received(log, request));
  const WireContext context = WireContext::For(log.config(), version.has_value());
  Exchange exchange;
  exchange.operation = "search";
  exchange.request = base::codec::Encode(request);
  exchange.found = !answer.ok() || answer->found;
  exchange.response = answer.ok() ? absl::StatusOr<Bytes>(answer->response) : answer.status();
  exchange.altered = exchange.found
                         ? Altering(exchange.response, &core::SearchResponse::search, context)
                         : Altering(exchange.response, &core::AbsenceResponse::absence, context);
  exchange.take = [request, found = exchange.found](
                      LogUser& asker, ByteView bytes,
                      uint64_t now_ms) -> absl::StatusOr<std::string> {
    KT_ASSIGN_OR_RETURN(
        const client::SearchResult result,
        found ? asker.Search(request, bytes, now_ms) : asker.Absence(request, bytes, now_ms));
    return absl::StrCat(result.found ? "version " : "no version ", result.version, " ",
                        base::ToHex(result.value));
  };
  return exchange;
}

Exchange AskWalk(const LogUser& user, const TransparencyLog& log) {
  const core::DistinguishedRequest request = user.MakeDistinguished();
  return WalkExchange(request,
                      ResponseOf(MonitoringService(log).Distinguished(Received(log, request))),
                      WireContext::For(log.config()));
}

Exchange AskWalk(const LogUser& user, const core::Configuration& config,
                 const server::LogState& state) {
  const core::DistinguishedRequest request = user.MakeDistinguished();
  const auto response =
      core::ProveDistinguished(config, core::RecentDefinition(), state, state.head(), request);
  const WireContext context = WireContext::For(config);
  return WalkExchange(request,
                      response.ok() ? base::codec::TryEncode(*response, context)
                                    : absl::StatusOr<Bytes>(response.status()),
                      context);
}

Exchange AskContactMonitor(const LogUser& user, const TransparencyLog& log, const Bytes& label) {
  const auto request = user.MakeContactMonitor(label);
  KT_CHECK(request.ok());
  Exchange exchange;
  exchange.operation = "contact monitoring";
  exchange.kind = client::Operation::kContactMonitor;
  exchange.request = base::codec::Encode(*request);
  exchange.response = ResponseOf(MonitoringService(log).ContactMonitor(Received(log, *request)));
  exchange.altered = Altering(exchange.response, &core::ContactMonitorResponse::monitor,
                              WireContext::For(log.config()));
  exchange.take = [request = *request](LogUser& asker, ByteView bytes,
                                       uint64_t now_ms) -> absl::StatusOr<std::string> {
    KT_RETURN_IF_ERROR(asker.ContactMonitor(request, bytes, now_ms));
    return "";
  };
  return exchange;
}

Exchange AskOwnerInit(const LogUser& user, const TransparencyLog& log, const std::string& label,
                      base::LogPosition start) {
  const auto request = user.MakeOwnerInit(base::AsBytes(label), start);
  KT_CHECK(request.ok());
  Exchange exchange;
  exchange.operation = "owner initialization";
  exchange.kind = client::Operation::kOwnerInit;
  exchange.request = base::codec::Encode(*request);
  exchange.response = ResponseOf(MonitoringService(log).OwnerInit(Received(log, *request)));
  exchange.altered =
      Altering(exchange.response, &core::OwnerInitResponse::init, WireContext::For(log.config()));
  exchange.take = [request = *request](LogUser& asker, ByteView bytes,
                                       uint64_t now_ms) -> absl::StatusOr<std::string> {
    KT_ASSIGN_OR_RETURN(const auto greatest, asker.OwnerInit(request, bytes, now_ms));
    std::string text;
    for (const core::MonitorMapEntry& entry : greatest) {
      absl::StrAppend(&text, entry.position, ":", entry.version, " ");
    }
    return text;
  };
  return exchange;
}

Exchange AskOwnerMonitor(const LogUser& user, const TransparencyLog& log,
                         const std::string& label) {
  const auto request = user.MakeOwnerMonitor(base::AsBytes(label));
  KT_CHECK(request.ok());
  Exchange exchange;
  exchange.operation = "owner monitoring";
  exchange.kind = client::Operation::kOwnerMonitor;
  exchange.request = base::codec::Encode(*request);
  exchange.response = ResponseOf(MonitoringService(log).OwnerMonitor(Received(log, *request)));
  exchange.altered = Altering(exchange.response, &core::OwnerMonitorResponse::monitor,
                              WireContext::For(log.config()));
  exchange.take = [request = *request](LogUser& asker, ByteView bytes,
                                       uint64_t now_ms) -> absl::StatusOr<std::string> {
    KT_ASSIGN_OR_RETURN(const bool complete, asker.OwnerMonitor(request, bytes, now_ms));
    return complete ? "complete" : "incomplete";
  };
  return exchange;
}

Exchange AskUpdate(const core::Configuration& config, const core::UpdateRequest& request,
                   absl::StatusOr<Bytes> answer) {
  Exchange exchange;
  exchange.operation = "update";
  exchange.kind = client::Operation::kUpdate;
  exchange.request = base::codec::Encode(request);
  exchange.response = std::move(answer);
  exchange.altered =
      Altering(exchange.response, &core::UpdateResponse::update, WireContext::For(config));
  exchange.take = [request](LogUser& asker, ByteView bytes,
                            uint64_t now_ms) -> absl::StatusOr<std::string> {
    KT_ASSIGN_OR_RETURN(const client::UpdateResult result, asker.Update(request, bytes, now_ms));
    return Describe(result);
  };
  return exchange;
}

}  // namespace kt::sim
