// SPDX-License-Identifier: Apache-2.0
#include "kt-server/log_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/key_file.h"
#include "base/signature.h"
#include "base/status.h"
#include "kt-server/key_files.h"
#include "vrf/vrf.h"

namespace kt::server {
namespace {

constexpr size_t kMaxConfigurationBytes = 64 << 10;
constexpr mode_t kPublicMode = 0644;

absl::Status CreateDatabase(const ServerConfig& config, const core::Configuration& public_config,
                            const merkle::PrefixTreeLayout& layout) {
  // The directory itself is made here, so that it is its owner's only, whatever lies above it.
  KT_RETURN_IF_ERROR(MakeParentDirectory(config.log.database + "/CURRENT"));
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      OpenRocksDbStore({.path = config.log.database, .create_if_missing = true}));
  LogProperties properties;
  properties.configuration = base::codec::Encode(public_config);
  properties.bucket_depth = layout.bucket_depth;
  properties.rows_per_snapshot = layout.rows_per_snapshot;
  properties.deepest_from_leaves = layout.deepest_from_leaves ? 1 : 0;
  KT_RETURN_IF_ERROR(store->WriteProperties(base::codec::Encode(properties)));
  KT_RETURN_IF_ERROR(MakeParentDirectory(config.log.head_guard));
  return HeadGuard::Open(config.log.head_guard, core::ConfigurationFingerprint(public_config),
                         HeadGuard::IfMissing::kCreate)
      .status();
}

absl::Status NameOtherServer(const absl::Status& status) {
  if (!absl::IsAborted(status)) return status;
  return base::Annotate(status, "another kt-server is running on this log");
}

absl::StatusOr<std::unique_ptr<HeadGuard>> OpenGuard(const ServerConfig& config,
                                                     const core::Configuration& log,
                                                     HeadGuard::IfMissing if_missing) {
  auto guard =
      HeadGuard::Open(config.log.head_guard, core::ConfigurationFingerprint(log), if_missing);
  KT_RETURN_IF_ERROR(NameOtherServer(guard.status()));
  return guard;
}

// Checks what the database says that it is.
absl::StatusOr<LogProperties> CheckProperties(const absl::StatusOr<base::Bytes>& bytes,
                                              const ServerConfig& config,
                                              const core::Configuration& log) {
  KT_RETURN_IF_ERROR(bytes.status());
  absl::StatusOr<LogProperties> properties = base::codec::Decode<LogProperties>(*bytes);
  if (!properties.ok() || properties->deepest_from_leaves > 1) {
    return absl::DataLossError("the database's properties are malformed");
  }
  if (properties->format != LogProperties::kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database has format ", properties->format,
                     ", which this version of kt-server does not know"));
  }
  if (properties->configuration != base::codec::Encode(log)) {
    return absl::FailedPreconditionError(
        absl::StrCat(config.log.database, " belongs to a log with another configuration than ",
                     config.log.configuration));
  }
  return properties;
}

// Opening a database for writing removes what its manifest does not name, so one whose manifest
// ends torn must be this log's before, and the one that `guard` knows; if that is null, at least
// one whose log tree has the root of its head.
absl::StatusOr<std::unique_ptr<Store>> OpenDatabase(const ServerConfig& config,
                                                    const core::Configuration& log,
                                                    const HeadGuard* guard,
                                                    merkle::PrefixTreeLayout* layout,
                                                    bool read_only = false) {
  RocksDbOptions options;
  options.path = config.log.database;
  options.read_only = read_only;
  options.min_free_bytes = static_cast<uint64_t>(config.log.min_free_bytes);
  options.block_cache_bytes = static_cast<size_t>(config.log.cache_bytes);
  options.check_torn = [&](const Snapshot& snapshot,
                           const absl::StatusOr<base::Bytes>& properties) {
    KT_RETURN_IF_ERROR(CheckProperties(properties, config, log).status());
    if (guard != nullptr) return CheckGuarded(*guard, snapshot);
    const base::TreeSize size = snapshot.head().tree_size;
    return size == 0 ? absl::OkStatus() : LogRootAt(snapshot, size).status();
  };
  auto store = OpenRocksDbStore(options);
  KT_RETURN_IF_ERROR(NameOtherServer(store.status()));
  KT_ASSIGN_OR_RETURN(const LogProperties properties,
                      CheckProperties((*store)->ReadProperties(), config, log));
  *layout = {.bucket_depth = properties.bucket_depth,
             .rows_per_snapshot = properties.rows_per_snapshot,
             .deepest_from_leaves = properties.deepest_from_leaves != 0};
  return store;
}

}  // namespace

merkle::PrefixTreeMemory MemoryFor(const ServerConfig& config) {
  return {.leaf_bytes = static_cast<size_t>(config.log.leaf_memory_bytes),
          .proof_bytes = static_cast<size_t>(config.log.proof_memory_bytes)};
}

uint64_t MaxIdleMs(const ServerConfig& config, const core::Configuration& log) {
  return config.epoch.max_idle_ms > 0 ? static_cast<uint64_t>(config.epoch.max_idle_ms)
                                      : log.max_behind / 2;
}

absl::Status CheckTiming(const ServerConfig& config, const core::Configuration& log) {
  // For signing, for transport, and for clocks that do not quite agree.
  const uint64_t slack_ms = log.max_behind / 10;
  const auto interval_ms = static_cast<uint64_t>(config.epoch.interval_ms);
  const uint64_t idle_ms = MaxIdleMs(config, log);
  const uint64_t room_ms = log.max_behind - slack_ms;
  if (idle_ms < room_ms && interval_ms < room_ms - idle_ms) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "max_idle_ms (", idle_ms, ") and the epoch's interval_ms (", interval_ms,
      ") must be together less than nine tenths of the log's max_behind (", log.max_behind,
      "), else clients will refuse the log because its newest entry is too old"));
}

absl::Status CreateLogFiles(const ServerConfig& config, core::Configuration public_config,
                            const merkle::PrefixTreeLayout& layout, base::Random& random) {
  for (const std::string* path :
       {&config.log.configuration, &config.log.signature_key, &config.log.vrf_key,
        &config.log.database, &config.log.head_guard}) {
    KT_RETURN_IF_ERROR(RefuseExisting(*path));
    KT_RETURN_IF_ERROR(MakeParentDirectory(*path));
  }
  const auto algorithm = core::SignatureAlgorithmOf(public_config.ciphersuite);
  const vrf::Suite suite = core::VrfSuiteOf(public_config.ciphersuite);
  const base::SecretBytes signature_secret = base::GenerateSignatureSecret(algorithm, random);
  const base::SecretBytes vrf_secret = vrf::GenerateSecret(suite, random);
  KT_ASSIGN_OR_RETURN(const auto signer, base::CreateSigner(algorithm, signature_secret));
  KT_ASSIGN_OR_RETURN(const auto prover, vrf::CreateProver(suite, vrf_secret));
  public_config.signature_public_key = signer->public_key();
  public_config.vrf_public_key = prover->public_key();
  KT_RETURN_IF_ERROR(core::ValidateConfiguration(public_config));
  KT_RETURN_IF_ERROR(CheckTiming(config, public_config));

  KT_RETURN_IF_ERROR(base::WriteSecretKey(config.log.signature_key, signature_secret));
  KT_RETURN_IF_ERROR(base::WriteSecretKey(config.log.vrf_key, vrf_secret));
  KT_RETURN_IF_ERROR(base::WriteFileAtomically(config.log.configuration,
                                               base::codec::Encode(public_config), kPublicMode));
  return CreateDatabase(config, public_config, layout);
}

absl::StatusOr<core::Configuration> ReadPublicConfiguration(const ServerConfig& config) {
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes,
                      base::ReadFile(config.log.configuration, kMaxConfigurationBytes));
  absl::StatusOr<core::Configuration> decoded = core::DecodeConfiguration(bytes);
  if (!decoded.ok()) return base::Annotate(decoded.status(), config.log.configuration);
  return decoded;
}

absl::StatusOr<OpenedLog> OpenLog(const ServerConfig& config, base::Random& random) {
  LogKeys keys;
  KT_ASSIGN_OR_RETURN(keys.config, ReadPublicConfiguration(config));
  KT_RETURN_IF_ERROR(CheckTiming(config, keys.config));
  KT_ASSIGN_OR_RETURN(const base::SecretBytes signature_secret,
                      base::ReadSecretKey(config.log.signature_key));
  KT_ASSIGN_OR_RETURN(const base::SecretBytes vrf_secret, base::ReadSecretKey(config.log.vrf_key));
  KT_ASSIGN_OR_RETURN(
      keys.signer,
      base::CreateSigner(core::SignatureAlgorithmOf(keys.config.ciphersuite), signature_secret));
  KT_ASSIGN_OR_RETURN(keys.vrf,
                      vrf::CreateProver(core::VrfSuiteOf(keys.config.ciphersuite), vrf_secret));
  OpenedLog opened;
  // The guard first: its lock keeps a second instance away from the database.
  KT_ASSIGN_OR_RETURN(opened.guard, OpenGuard(config, keys.config, HeadGuard::IfMissing::kRefuse));
  KT_ASSIGN_OR_RETURN(opened.store,
                      OpenDatabase(config, keys.config, opened.guard.get(), &opened.layout));
  KT_ASSIGN_OR_RETURN(opened.log,
                      TransparencyLog::Open(std::move(keys), opened.layout, *opened.store,
                                            *opened.guard, random, MemoryFor(config)));
  return opened;
}

absl::StatusOr<GuardedHead> RebuildGuard(const ServerConfig& config) {
  KT_ASSIGN_OR_RETURN(const core::Configuration log, ReadPublicConfiguration(config));
  const auto existing = OpenGuard(config, log, HeadGuard::IfMissing::kRefuse);
  if (!existing.ok() && !absl::IsNotFound(existing.status())) return existing.status();
  merkle::PrefixTreeLayout layout;
  KT_ASSIGN_OR_RETURN(
      const std::unique_ptr<Store> store,
      OpenDatabase(config, log, existing.ok() ? existing->get() : nullptr, &layout));
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store->GetSnapshot());
  GuardedHead head;
  head.tree_size = snapshot->head().tree_size;
  if (existing.ok()) {
    KT_RETURN_IF_ERROR(CheckGuarded(**existing, *snapshot));
    return absl::AlreadyExistsError(
        absl::StrCat("head guard ", config.log.head_guard, " is there and in order"));
  }
  // All that can be found wrong is found before there is a guard, which would accept anything.
  if (head.tree_size > 0) {
    KT_ASSIGN_OR_RETURN(head.root, LogRootAt(*snapshot, head.tree_size));
  }
  KT_ASSIGN_OR_RETURN(const std::unique_ptr<HeadGuard> guard,
                      OpenGuard(config, log, HeadGuard::IfMissing::kCreate));
  if (head.tree_size > 0) KT_RETURN_IF_ERROR(guard->Advance(head.tree_size, head.root));
  return head;
}

absl::StatusOr<CheckReport> CheckLogFiles(const ServerConfig& config, const CheckOptions& options) {
  KT_ASSIGN_OR_RETURN(const core::Configuration log, ReadPublicConfiguration(config));
  std::vector<std::string> damage;
  // False if the check cannot go on for another reason than damage.
  const auto note = [&](const absl::Status& status) {
    const bool is_damage =
        absl::IsDataLoss(status) || absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
    if (is_damage) damage.emplace_back(status.message());
    return status.ok() || is_damage;
  };
  const auto guard = OpenGuard(config, log, HeadGuard::IfMissing::kRefuse);
  if (!note(guard.status())) return guard.status();
  CheckReport report;
  merkle::PrefixTreeLayout layout;
  const auto store = OpenDatabase(config, log, nullptr, &layout, /*read_only=*/true);
  if (!note(store.status())) return store.status();
  if (store.ok()) {
    if ((*store)->manifest_was_torn()) {
      damage.emplace_back(
          "the database's manifest ends in a damaged record, as after a power cut; the "
          "server replaces it when it is started, if the head guard misses nothing either");
    }
    const absl::Status files = (*store)->CheckFiles([] { return absl::OkStatus(); });
    if (!note(files)) return files;
    KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, (*store)->GetSnapshot());
    if (guard.ok()) {
      const absl::Status guarded = CheckGuarded(**guard, *snapshot);
      if (!note(guarded)) return guarded;
    }
    KT_ASSIGN_OR_RETURN(report, CheckLog(log, layout, *snapshot, options));
  }
  report.damage.insert(report.damage.begin(), damage.begin(), damage.end());
  return report;
}

}  // namespace kt::server
