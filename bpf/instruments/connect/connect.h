/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The instrument of connect: a part of it for each GT_PART, see instruments.h. */
#if GT_PART == GT_CONTRACTS
#include "contract.h"
#elif GT_PART == GT_CONSTANTS
struct gt_connect connect;
#elif GT_PART == GT_PROBES
/* connect: where a handler's connection is given what the call ended with. */
PROBE(CONNECT_SERVER_END, connect_server_end, SITE, connect_server_end)
/* Where a call ends that was made. */
PROBE(CONNECT_CLIENT_END, connect_client_end, SITE, connect_client_end)
#elif GT_PART == GT_CODE
#include "connect.bpf.c"
#endif
