// SPDX-License-Identifier: Apache-2.0
//
// How all parties set up the channels over which they ask others.
#ifndef PROTO_CHANNEL_ARGUMENTS_H_
#define PROTO_CHANNEL_ARGUMENTS_H_

#include <grpc/grpc.h>
#include <grpcpp/support/channel_arguments.h>

namespace kt {

// A channel with a connection of its own, to exactly the address that it is made for: neither the
// environment's proxy nor a service configuration in the DNS can lead elsewhere.
// `max_message_bytes` bounds a message as it is received; what is compressed is refused, since it
// could be a thousand times as long.
inline grpc::ChannelArguments ChannelArgumentsForPeers(int max_message_bytes) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(max_message_bytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  return arguments;
}

}  // namespace kt
#endif  // PROTO_CHANNEL_ARGUMENTS_H_
