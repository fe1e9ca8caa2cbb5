// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_SERVER_CONFIG_H_
#define KT_SERVER_SERVER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace kt::server {

// The operator's configuration file (TOML). Paths are absolute or relative to the file's directory;
// after loading they are usable as they are. docs/operations.md explains each key.
struct ServerConfig {
  // What this server is to the log. "Third Parties / Management" divides the work between the
  // Service Operator, whom users know, and a manager, who hosts the log for it.
  enum class Role { kWholeLog, kManager, kOperator };
  struct Management {
    Role role = Role::kWholeLog;
    // The manager's: the certificates with which the operator's servers show who they are (PEM).
    std::string operators = "operators.pem";
    // The operator's.
    std::string manager;     // HOST:PORT
    std::string manager_ca;  // PEM; empty: the system's CAs
    std::string certificate = "operator.pem";
    std::string certificate_key = "keys/operator.key";
    std::string leaf_key = "keys/leaf.key";
    std::string signing_record = "signed/record";
    std::string manager_head = "manager/head";
    std::string evidence = "manager/evidence.json";
  } management;
  struct Log {
    std::vector<std::string> domains;                 // lower-case A-labels; a manager needs none
    std::string configuration = "configuration.tls";  // the draft's Configuration, TLS-encoded
    std::string signature_key = "keys/signature.key";
    std::string vrf_key = "keys/vrf.key";
    std::string database = "db";
    std::string head_guard = "guard/head";
    // On the database's disk; with less, nothing is signed.
    int64_t min_free_bytes = 256 << 20;
    // Of memory for what was read from the database lately.
    int64_t cache_bytes = 256 << 20;
    // Of memory for leaves of the prefix tree; 0: none are kept.
    int64_t leaf_memory_bytes = 1 << 30;
    // Of memory for proofs that were made before.
    int64_t proof_memory_bytes = 256 << 20;
  } log;
  struct Listen {
    std::string address = "127.0.0.1:8443";  // HOST:PORT; port 0 takes a free one
    std::string tls_certificate;             // PEM, the server's certificate first
    std::string tls_key;                     // PEM, a secret file
  } listen;
  struct Epoch {
    int64_t interval_ms = 10'000;
    int64_t max_idle_ms = 0;  // 0: half of the public configuration's max_behind
  } epoch;
  struct Admission {
    std::string trust_anchors;  // PEM
    int64_t min_rsa_bits = 2048;
  } admission;
  struct Publishers {
    std::string tokens = "tokens.toml";
  } publishers;
  struct Limits {
    int64_t max_request_bytes = 1 << 20;
    int64_t max_concurrent_requests = 256;
    // Of calls whose responses clients have not taken completely; then a call is given up.
    int64_t max_response_bytes = 256 << 20;
    int64_t max_response_bytes_per_client = 8 << 20;
    int64_t response_timeout_ms = 10'000;
    int64_t max_connections = 4096;
    int64_t max_connections_per_client = 128;
    double connections_per_second = 500;  // new ones
    double connections_per_second_per_client = 50;
    // Of publications that wait for their epoch to be signed.
    int64_t max_pending_publishes = 100'000;
    int64_t max_auditor_streams = 4;  // each holds a thread
    int64_t max_head_streams = 16;    // the same
    int64_t max_pending_publish_bytes = 256 << 20;
    int64_t max_pending_publishes_per_token = 1000;
    int64_t max_pending_publishes_per_address = 8;
    double requests_per_second = 100;  // for one client
    double publishes_per_second = 50;  // for one token
  } limits;
  struct Pruning {
    int64_t interval_ms = 3'600'000;  // between two runs, if the log has a maximum lifetime
  } pruning;
  struct Scrub {
    int64_t interval_ms = 86'400'000;  // between two runs; 0: none
    double rows_per_second = 2'000;
  } scrub;
  struct Crypto {
    std::string vrf_implementation = "auto";  // auto, portable, library
  } crypto;
  struct Logging {
    std::string level = "info";  // debug, info, warn, error
  } logging;
};

// Longer would keep publishers waiting, and their connections open.
inline constexpr int64_t kMinEpochMs = 10;
inline constexpr int64_t kMaxEpochMs = 60'000;

// Where to listen.
struct HostPort {
  std::string host;  // without brackets; empty: every address of this machine
  std::string port;  // 0..65535
};

// Takes HOST:PORT or [HOST]:PORT apart. kInvalidArgument if `address` is neither. Whether there is
// such a host is not looked at.
absl::StatusOr<HostPort> ParseListenAddress(const std::string& address);

// Parses a configuration file's text; `directory` resolves relative paths. kInvalidArgument, naming
// the key and line, for TOML errors, unknown keys, wrong types and values out of range.
absl::StatusOr<ServerConfig> ParseServerConfig(const std::string& text,
                                               const std::string& directory);

// Reads and parses the file at `path`.
absl::StatusOr<ServerConfig> LoadServerConfig(const std::string& path);

// The text of a fresh configuration file, every key with a comment.
std::string FormatServerConfig(const ServerConfig& config);

}  // namespace kt::server
#endif  // KT_SERVER_SERVER_CONFIG_H_
