/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The instrument of gRPC: a part of it for each GT_PART, see instruments.h. */
#if GT_PART == GT_CONTRACTS
#include "contract.h"
#elif GT_PART == GT_CONSTANTS
struct gt_grpc grpc;
#elif GT_PART == GT_PROBES
/* google.golang.org/grpc: (*Server).handleStream. */
PROBE(GRPC_SERVER_START, grpc_server_start, SITE, server_start)
/* Its transport.(*http2Server).writeStatus. */
PROBE(GRPC_SERVER_STATUS, grpc_server_status, SITE, grpc_server_end)
/* Its transport.(*serverHandlerTransport).writeStatus: served by net/http. */
PROBE(GRPC_HANDLER_STATUS, grpc_handler_status, SITE, grpc_server_end)
/* Its (*csAttempt).getTransport, or (*clientStream).newAttemptLocked. */
PROBE(GRPC_CLIENT_START, grpc_client_start, CALL, grpc)
/* Its (*csAttempt).finish. */
PROBE(GRPC_CLIENT_FINISH, grpc_client_finish, SITE, grpc_client_end)
/* Where a call has got its connection: in a closure of (*http2Client).NewStream. */
PROBE(GRPC_CLIENT_JOIN, grpc_client_join, JOIN, join_call)
#elif GT_PART == GT_STATE
#include "state.h"
#elif GT_PART == GT_STARTS
#include "grpc_start.h"
#elif GT_PART == GT_CODE
#include "grpc_conns.h"
#include "grpc_sent.h"
#include "grpc.bpf.c"
#endif
