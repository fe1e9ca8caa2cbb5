// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CLIENT_DNS_TRUST_H_
#define KT_CLIENT_DNS_TRUST_H_

namespace kt::client {

// Which DNS servers may say that they have verified an answer with DNSSEC (the AD bit). A server
// that is believed must validate, and nobody may be able to change its answers on the way. A plain
// forwarder passes the bit on from whoever claims it: some containers come with one on loopback.
enum class DnsTrust {
  kLoopback,  // servers on loopback addresses
  kAlways,
  kNever,
};

}  // namespace kt::client
#endif  // KT_CLIENT_DNS_TRUST_H_
