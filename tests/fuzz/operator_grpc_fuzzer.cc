// SPDX-License-Identifier: Apache-2.0
//
// A Service Operator between its users, who send it whatever bytes, and a manager that answers what
// it likes: what it should, that altered, something older or nothing. All of the operator but its
// sockets. It signs no two values for one version, passes no tree head on that is not the log's,
// and says of nothing that it was published that the log does not have.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "kt-server/eraser.h"
#include "kt-server/operator_grpc.h"
#include "smime/certificate.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/grpc_call.h"
#include "tests/fuzz/managed_log.h"
#include "tests/support/paths.h"

namespace {

using kt::base::Bytes;
using kt::base::Version;
using kt::fuzz::FuzzInput;
using kt::fuzz::GenericCaller;
using kt::fuzz::kAlice;
using kt::fuzz::kBob;
using kt::fuzz::LabelVersionValue;
using kt::fuzz::ManagedLog;
using kt::fuzz::Method;
using kt::fuzz::Reply;

constexpr Method kSearch{"/kt.v1.KeyTransparency/Search"};
constexpr Method kPublish{"/kt.v1.Publisher/Publish", false, true};
constexpr Method kUpdate{"/kt.v1.Publisher/Update"};
constexpr Method kMonitoring[] = {
    {"/kt.v1.Monitoring/ContactMonitor"},   {"/kt.v1.Monitoring/OwnerInit"},
    {"/kt.v1.Monitoring/OwnerMonitor"},     {"/kt.v1.Monitoring/Distinguished"},
    {"/kt.v1.Monitoring/UpdateCredential"},
};
constexpr Method kOthers[] = {
    {"/kt.v1.KeyTransparency/GetConfiguration"},
    {"/kt.v1.Monitoring/WatchHeads", true},
};

std::string Vector(const std::string& name) {
  return kt::testing::ReadText(kt::testing::SourceDir() + "/tests/vectors/rfc9216/" + name);
}
const std::string& Der(unsigned which) {
  static const auto* const kDer = [] {
    auto* const der = new std::vector<std::string>();
    for (const char* name : {"alice.sign.crt.pem", "alice.encr.crt.pem"}) {
      der->push_back(kt::base::ToText(kt::smime::ParsePem(Vector(name)).value().front().der()));
    }
    return der;
  }();
  return (*kDer)[which];
}
const kt::smime::TrustAnchors& Anchors() {
  static const auto* const kAnchors = new kt::smime::TrustAnchors(
      kt::smime::TrustAnchors::FromPem(Vector("ca.rsa.crt.pem") + Vector("ca.ed25519.crt.pem"))
          .value());
  return *kAnchors;
}

// All heads that the log has signed, by size.
class Heads {
 public:
  explicit Heads(ManagedLog& log) : log_(log) { Note(); }

  void Note() {
    const auto state = log_.fixture().log().newest();
    absl::MutexLock lock(&mutex_);
    heads_[state->size()] = state->head().tree_head.signature;
  }
  // That `response`, which begins with a FullTreeHead, has one of them, or none.
  void Check(const std::string& response) {
    kt::base::codec::Reader reader(kt::base::AsBytes(response));
    kt::core::FullTreeHead head;
    KT_CHECK(kt::base::codec::ReadValue(reader, &head, log_.context()));
    if (head.head_type == kt::core::FullTreeHeadType::kSame) return;
    absl::MutexLock lock(&mutex_);
    const auto known = heads_.find(head.tree_head.tree_size);
    KT_CHECK(known != heads_.end() && known->second == head.tree_head.signature);
  }

 private:
  ManagedLog& log_;
  absl::Mutex mutex_;
  std::map<kt::base::TreeSize, Bytes> heads_ ABSL_GUARDED_BY(mutex_);
};

std::string* BodyOf(kt::v1::SearchResponse& response) {
  return response.has_found() ? response.mutable_found() : response.mutable_absent();
}
template <typename Response>
std::string* BodyOf(Response& response) {
  return response.mutable_response();
}
template <typename Message>
Message Parse(const std::string& bytes) {
  Message message;
  KT_CHECK(message.ParseFromString(bytes));
  return message;
}

// The manager as the operator meets it: the real one, and what becomes of its answers.
class Wire {
 public:
  // What becomes of an answer. kLost: so does what the operator asked for.
  enum class Fate { kHonest, kEdited, kReplaced, kRefused, kReplayed, kLost, kDropped, kTwice };

  Wire(ManagedLog& log, Heads& heads, FuzzInput& input)
      : context_(log.context()), heads_(heads), manager_(log.Channel()), input_(input) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&search_);
    builder.RegisterService(&monitoring_);
    builder.RegisterService(&updates_);
    server_ = builder.BuildAndStart();
  }
  ~Wire() { server_->Shutdown(); }

  std::shared_ptr<grpc::Channel> Channel() { return server_->InProcessChannel({}); }

  // From now on answers have the fates that the input says.
  void Spoil() {
    absl::MutexLock lock(&mutex_);
    honest_ = false;
  }
  // What the operator has signed for a version.
  std::optional<Bytes> Signed(const std::string& label, Version version) {
    absl::MutexLock lock(&mutex_);
    const auto found = signed_.find({label, version});
    return found == signed_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  struct SearchService final : kt::v1::KeyTransparency::Service {
    explicit SearchService(Wire& owner) : wire(owner) {}
    grpc::Status Search(grpc::ServerContext*, const kt::v1::SearchRequest* request,
                        kt::v1::SearchResponse* response) override {
      return wire.Unary(kSearch, *request, response);
    }
    Wire& wire;
  };
  struct MonitoringService final : kt::v1::Monitoring::Service {
    using Request = kt::v1::MonitoringRequest;
    using Response = kt::v1::MonitoringResponse;
    explicit MonitoringService(Wire& owner) : wire(owner) {}
    grpc::Status ContactMonitor(grpc::ServerContext*, const Request* request,
                                Response* response) override {
      return wire.Unary(kMonitoring[0], *request, response);
    }
    grpc::Status OwnerInit(grpc::ServerContext*, const Request* request,
                           Response* response) override {
      return wire.Unary(kMonitoring[1], *request, response);
    }
    grpc::Status OwnerMonitor(grpc::ServerContext*, const Request* request,
                              Response* response) override {
      return wire.Unary(kMonitoring[2], *request, response);
    }
    grpc::Status Distinguished(grpc::ServerContext*, const Request* request,
                               Response* response) override {
      return wire.Unary(kMonitoring[3], *request, response);
    }
    grpc::Status UpdateCredential(grpc::ServerContext*, const Request* request,
                                  Response* response) override {
      return wire.Unary(kMonitoring[4], *request, response);
    }
    Wire& wire;
  };
  struct UpdateService final : kt::v1::Manager::Service {
    explicit UpdateService(Wire& owner) : wire(owner) {}
    grpc::Status Update(grpc::ServerContext*, const kt::v1::ManagerUpdateRequest* request,
                        grpc::ServerWriter<kt::v1::UpdateResponse>* writer) override {
      wire.NoteSigned(request->request());
      const Reply reply = wire.Deal<kt::v1::UpdateResponse>(kt::fuzz::kManagerUpdate, *request);
      for (const std::string& message : reply.messages) {
        if (!writer->Write(Parse<kt::v1::UpdateResponse>(message))) break;
      }
      return {reply.code, reply.error};
    }
    Wire& wire;
  };

  // Never two values for one version: the draft, "Third Parties / Management".
  void NoteSigned(const std::string& body) {
    const auto request =
        kt::base::codec::Decode<kt::core::ManagerUpdateRequest>(kt::base::AsBytes(body), context_);
    KT_CHECK(request.ok());
    absl::MutexLock lock(&mutex_);
    Version version = request->signed_version;
    for (const kt::core::UpdateValue& update : request->values) {
      const auto [known, fresh] =
          signed_.try_emplace({kt::base::ToText(request->label), version++}, update.value);
      KT_CHECK(fresh || known->second == update.value);
    }
  }

  template <typename Request, typename Response>
  grpc::Status Unary(const Method& method, const Request& request, Response* response) {
    const Reply reply = Deal<Response>(method, request);
    if (!reply.messages.empty()) *response = Parse<Response>(reply.messages.front());
    return {reply.code, reply.error};
  }

  template <typename Response, typename Request>
  Reply Deal(const Method& method, const Request& request) {
    const Fate fate = AnyFate();
    const Reply lost{grpc::StatusCode::UNAVAILABLE, "lost", {}};
    if (fate == Fate::kLost) return lost;
    const Reply honest = manager_.Call(method, request.SerializeAsString(), nullptr);
    heads_.Note();
    if (fate == Fate::kDropped) return lost;
    absl::MutexLock lock(&mutex_);
    Reply reply = honest;
    if (fate == Fate::kReplayed && older_.contains(method.name)) reply = older_[method.name];
    older_[method.name] = honest;
    if (fate == Fate::kRefused) {
      reply = {static_cast<grpc::StatusCode>(1 + input_.Below(16)), "refused", {}};
    }
    if (fate == Fate::kEdited || fate == Fate::kReplaced) {
      Response response;
      if (!reply.messages.empty()) response = Parse<Response>(reply.messages.front());
      Alter(fate, BodyOf(response));
      reply = {grpc::StatusCode::OK, "", {response.SerializeAsString()}};
    }
    if (fate == Fate::kTwice && !reply.messages.empty()) {
      reply.messages.push_back(reply.messages.front());
    }
    return reply;
  }
  Fate AnyFate() {
    absl::MutexLock lock(&mutex_);
    return honest_ ? Fate::kHonest : static_cast<Fate>(input_.Below(8));
  }
  void Alter(Fate fate, std::string* body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Bytes bytes = kt::base::ToBytes(kt::base::AsBytes(*body));
    if (fate == Fate::kReplaced) {
      bytes.resize(input_.Below(64));
      for (uint8_t& byte : bytes) byte = input_.Byte();
    }
    for (unsigned edits = 1 + input_.Below(4); edits > 0; --edits) input_.Edit(&bytes);
    *body = kt::base::ToText(bytes);
  }

  const kt::core::WireContext context_;
  Heads& heads_;
  GenericCaller manager_;
  SearchService search_{*this};
  MonitoringService monitoring_{*this};
  UpdateService updates_{*this};
  absl::Mutex mutex_;
  bool honest_ ABSL_GUARDED_BY(mutex_) = true;
  // Read by one thread after the other: each step waits for the one before it.
  FuzzInput& input_;
  std::map<std::string, Reply> older_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, Version>, Bytes> signed_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

// All of the operator's server but its sockets, and its users.
class World {
 public:
  explicit World(FuzzInput& input)
      : input_(input),
        heads_(log_),
        wire_(log_, heads_, input),
        gate_({.requests_per_second = 1e15}, clock()) {
    KT_CHECK(kt::server::SigningRecord::Create(directory_.File("record"),
                                               log_.fixture().leaf().public_key())
                 .ok());
    keys_.config = log_.fixture().config();
    keys_.leaf = log_.fixture().MakeLeaf();
    keys_.record = kt::server::SigningRecord::Open(directory_.File("record"),
                                                   log_.fixture().leaf().public_key())
                       .value();
    manager_ = kt::server::ManagerClient::ForChannel(wire_.Channel());
    kt::server::HeadFollower::Options options;
    options.head_path = directory_.File("head");
    options.evidence_path = directory_.File("evidence");
    // It asks when there is something to ask for, so that a run is the same each time.
    options.poll_interval = absl::Hours(1);
    follower_ = kt::server::HeadFollower::Open(
                    options, log_.fixture().verifier(),
                    [this](kt::base::ByteView request) { return manager_->Distinguished(request); },
                    events_, clock())
                    .value();
    queue_ = std::make_unique<kt::server::SigningQueue>(kt::server::WaitingRoom::Limits(), keys_,
                                                        log_.fixture().verifier(), *manager_,
                                                        *follower_, clock(), events_);
    Serve();
  }
  ~World() {
    queue_->Drain(absl::Seconds(5));
    manager_->Shutdown();
    follower_->Stop();
    monitoring_->Stop();
    server_->Shutdown();
  }

  void Run() {
    if (input_.Below(2) == 0) Publish(kt::v1::PublishRequest::REPLACE, 0);
    wire_.Spoil();
    constexpr int kMaxSteps = 8;
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) Step();
  }

 private:
  kt::testing::FakeClock& clock() { return log_.fixture().clock(); }

  void Serve() {
    kt::server::Tokens tokens;
    token_ = tokens.Create({"smime.example"}, log_.fixture().random()).value();
    kt::server::PublishService::Options options;
    options.domains = {"smime.example"};
    options.publishes_per_second = 1e15;
    options.admission.trust_anchors = Anchors();
    publish_ = std::make_unique<kt::server::PublishService>(std::move(options), std::move(tokens),
                                                            *queue_, clock());
    transparency_ = std::make_unique<kt::server::OperatorKeyTransparencyGrpc>(
        kt::base::codec::Encode(keys_.config), *manager_, *follower_, gate_);
    monitoring_ = std::make_unique<kt::server::OperatorMonitoringGrpc>(*manager_, *follower_, gate_,
                                                                       streams_);
    publisher_ = std::make_unique<kt::server::OperatorPublisherGrpc>(*publish_, *queue_, *manager_,
                                                                     *follower_, gate_);
    grpc::ServerBuilder builder;
    builder.RegisterService(transparency_.get());
    builder.RegisterService(monitoring_.get());
    builder.RegisterService(publisher_.get());
    server_ = builder.BuildAndStart();
    follower_->Start();
    caller_ = std::make_unique<GenericCaller>(server_->InProcessChannel({}));
  }

  void Step() {
    switch (input_.Below(8)) {
      case 0:
      case 1: {
        constexpr kt::v1::PublishRequest::Operation kOperations[] = {
            kt::v1::PublishRequest::REPLACE, kt::v1::PublishRequest::ADD,
            kt::v1::PublishRequest::REMOVE};
        const auto operation = kOperations[input_.Below(3)];
        return Publish(operation, input_.Below(2));
      }
      case 2:
        return Update();
      case 3: {
        kt::core::SearchRequest request;
        request.label = kt::base::ToBytes(AnyLabel());
        if (input_.Below(2) == 0) request.version = input_.Below(4);
        return Ask(kSearch, kt::base::codec::Encode(request));
      }
      case 4:
        return Ask(kMonitoring[3], kt::base::codec::Encode(kt::core::DistinguishedRequest{}));
      case 5:
        return AskAnything();
      case 6:
        clock().Advance(1'000 * input_.Byte());
        return;
      default:
        Erase();
    }
  }
  std::string AnyLabel() { return input_.Below(4) == 0 ? kBob : kAlice; }

  // What is acknowledged is in the log, as it was signed.
  void Publish(kt::v1::PublishRequest::Operation operation, unsigned certificate) {
    kt::v1::PublishRequest request;
    request.set_address(kAlice);
    request.set_operation(operation);
    request.add_certificates()->set_der(Der(certificate));
    const Reply reply = Call(kPublish, request.SerializeAsString(), token_.c_str(), true);
    if (reply.code != grpc::StatusCode::OK) return;
    CheckPublished(Parse<kt::v1::PublishResponse>(reply.messages.front()).version());
  }
  void CheckPublished(Version version) {
    const auto signed_value = wire_.Signed(kAlice, version);
    KT_CHECK(signed_value.has_value());
    uint64_t count = 0;
    const std::vector<LabelVersionValue> versions = log_.Versions(kAlice, &count);
    KT_CHECK(version < count);
    bool found = erased_;
    for (const LabelVersionValue& added : versions) {
      if (added.version != version) continue;
      found = true;
      KT_CHECK(added.value == *signed_value);
    }
    KT_CHECK(found);
  }

  void Update() {
    kt::core::UpdateRequest request;
    request.label = kt::base::ToBytes(AnyLabel());
    if (const unsigned next = input_.Below(4); next > 0) request.greatest_version = next - 1;
    for (unsigned n = input_.Below(3); n > 0; --n) {
      kt::smime::CertificateEntry entry;
      entry.der = kt::base::ToBytes(kt::base::AsBytes(Der(input_.Below(2))));
      request.values.push_back(
          {kt::smime::CertificateSet::Create({std::move(entry)}).value().Encode()});
    }
    Ask(kUpdate, kt::base::codec::Encode(request));
  }
  void Erase() {
    kt::server::Eraser eraser(log_.fixture().log(), log_.fixture().store(), events_, clock());
    erased_ = eraser.Erase(kAlice, std::nullopt).ok() || erased_;
  }
  void AskAnything() {
    std::vector<Method> methods = {kSearch, kPublish, kUpdate, kOthers[0], kOthers[1]};
    methods.insert(methods.end(), std::begin(kMonitoring), std::end(kMonitoring));
    const Method& method = methods[input_.Below(static_cast<unsigned>(methods.size()))];
    const unsigned flags = input_.Byte();
    Bytes bytes(input_.Byte());
    for (uint8_t& byte : bytes) byte = input_.Byte();
    const bool wrapped = (flags & 1) != 0;
    const char* const token = (flags & 2) != 0 ? token_.c_str() : nullptr;
    Call(method, wrapped ? kt::fuzz::Wrapped(bytes) : kt::base::ToText(bytes), token, wrapped);
  }
  void Ask(const Method& method, const Bytes& request) {
    Call(method, kt::fuzz::Wrapped(request), token_.c_str(), true);
  }

  // Users see no head but the log's.
  Reply Call(const Method& method, const std::string& message, const char* token, bool wrapped) {
    Reply reply = caller_->Call(method, message, token);
    kt::fuzz::CheckCallersFault(method, wrapped, reply.code);
    const std::string name = method.name;
    for (const std::string& received : reply.messages) {
      if (name == kSearch.name) {
        auto response = Parse<kt::v1::SearchResponse>(received);
        heads_.Check(*BodyOf(response));
      } else if (name == kUpdate.name) {
        heads_.Check(Parse<kt::v1::UpdateResponse>(received).response());
      } else if (name.starts_with("/kt.v1.Monitoring/") && name != kMonitoring[4].name &&
                 name != kOthers[1].name) {
        heads_.Check(Parse<kt::v1::MonitoringResponse>(received).response());
      }
    }
    return reply;
  }

  FuzzInput& input_;
  ManagedLog log_;
  Heads heads_;
  Wire wire_;
  kt::testing::TemporaryDirectory directory_;
  kt::server::EventLog events_{"off"};
  kt::server::CallGate gate_;
  kt::server::ConcurrencyLimit streams_{4};
  kt::server::OperatorKeys keys_;
  std::unique_ptr<kt::server::ManagerClient> manager_;
  std::unique_ptr<kt::server::HeadFollower> follower_;
  std::unique_ptr<kt::server::SigningQueue> queue_;
  std::unique_ptr<kt::server::PublishService> publish_;
  std::unique_ptr<kt::server::OperatorKeyTransparencyGrpc> transparency_;
  std::unique_ptr<kt::server::OperatorMonitoringGrpc> monitoring_;
  std::unique_ptr<kt::server::OperatorPublisherGrpc> publisher_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<GenericCaller> caller_;
  std::string token_;
  bool erased_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzInput input(data, size);
  World(input).Run();
  return 0;
}
