/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The instrument of fasthttp and fiber: a part of it for each GT_PART, see instruments.h. */
#if GT_PART == GT_CONTRACTS
#include "contract.h"
#elif GT_PART == GT_CONSTANTS
struct gt_fasthttp fasthttp;
#elif GT_PART == GT_PROBES
/* fasthttp: in (*Server).serveConn, before the handler is called; or fiber's handler. */
PROBE(FASTHTTP_SERVER_START, fasthttp_server_start, SITE, server_start)
/* After the response was written; or fiber's (*App).ReleaseCtx. */
PROBE(FASTHTTP_SERVER_FINISH, fasthttp_server_finish, SITE, fasthttp_end)
/* Where the connection is taken over. */
PROBE(FASTHTTP_SERVER_HIJACK, fasthttp_server_hijack, SITE, fasthttp_end)
/* What (*Server).serveConn defers: the connection is over, perhaps by a panic. */
PROBE(FASTHTTP_CONN_CLOSE, fasthttp_conn_close, SITE, fasthttp_end)
#elif GT_PART == GT_STATE
#include "state.h"
#elif GT_PART == GT_STARTS
#include "fasthttp_start.h"
#elif GT_PART == GT_CODE
#include "fasthttp.bpf.c"
#endif
