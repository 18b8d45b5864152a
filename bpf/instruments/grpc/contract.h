/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Events of gRPC, and its constants of a process. */
#ifndef GOTAP_GRPC_CONTRACT_H
#define GOTAP_GRPC_CONTRACT_H

#define GT_EVENT_RPC_SERVER 8
#define GT_EVENT_RPC_CLIENT 9
/* Of the HTTP request with this span id, whose event follows. */
#define GT_EVENT_RPC_STATUS 10

/* Bits of gt_rpc_event.flags. */
#define GT_RPC_NO_CODE 4 /* the error is no status: `subject` is its type */
#define GT_RPC_CONNECT 8 /* connect's: the request says what is called, and in which protocol */

/* A call of gRPC. Addresses are those of TCP; other ones have length 0. */
struct gt_rpc_event {
	struct gt_event_header header;
	struct gt_span span;
	__u64 subject; /* the error's type descriptor, 0 none */
	__u32 code; /* of the status */
	__u16 flags;
	__u16 method_len;
	__u16 target_len;
	__u16 message_len;
	__u16 peer_port;
	__u16 local_port;
	__u8 peer_len;
	__u8 local_len;
	__u8 pad[6];
	__u8 peer[16] GT_WORDS;
	__u8 local[16] GT_WORDS;
	char method[128] GT_WORDS; /* /package.Service/Method */
	char target[96] GT_WORDS; /* client: what was dialled */
	char message[128] GT_WORDS; /* of the status, or the error's text */
};
_Static_assert(sizeof(struct gt_rpc_event) == 488, "wire");

/* google.golang.org/grpc: type descriptors, and offsets in structures of its own. */
struct gt_grpc {
	__u64 incoming_key; /* metadata.mdIncomingKey */
	__u64 outgoing_key; /* metadata.mdOutgoingKey, 0 unknown */
	__u64 handler_transport; /* *transport.serverHandlerTransport */
	__u16 server_workers; /* Server.opts.numServerWorkers */
	__u16 stream_method, stream_ctx, stream_state;
	__u16 transport_peer, transport_local; /* net.Addr in a server's transport */
	__u16 status_code, status_message;
	__u16 attempt_call, attempt_transport, attempt_stream, attempt_transparent;
	__u16 call_ctx, call_hdr, call_cc, call_finished;
	__u16 hdr_method, cc_target;
	__u16 client_peer; /* net.Addr in a client's transport */
	__u16 starts_attempt; /* a client's start has the attempt, and not the call, as receiver */
	__u16 stream_inner; /* *Stream in a ServerStream, from 1.69 to 1.76 */
	__u16 server_number, client_number; /* of a connection, in a transport */
	__u16 attempt_ctx;
	__u64 data; /* variables that were there at the start, and are never freed; 0 unknown */
	__u32 data_size;
	__u32 pad;
};
_Static_assert(sizeof(struct gt_grpc) == 88, "wire");

#endif
