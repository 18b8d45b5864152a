/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The list of all probes, which the numbers, the dispatch, the programs and Rust's enumeration come from
 * (crates/wire/build.rs reads it, too): PROBE(name, label, program, handler), under a comment that says where it
 * stands. It is included once for each use.
 *
 *   SITE  handler(ctx, proc, probe) is called
 *   CALL  a call starts: handler_call_start(ctx, proc, probe, goid, context) finds its context and gives what starts, if
 *         anything, and handler_call_join(ctx, proc, goid, starts, parent) begins its span, see call_start.h
 *   CALL_LIKE  the same handler as that of another probe, which is named instead
 *   JOIN  a call has got its connection: as SITE, in a program of its own
 */
/* net/http.serverHandler.ServeHTTP. */
PROBE(HTTP_SERVER_START, http_server_start, SITE, server_start)
/* net/http.(*response).finishRequest. */
PROBE(HTTP_SERVER_FINISH, http_server_finish, SITE, server_end)
/* net/http.(*response).Hijack. */
PROBE(HTTP_SERVER_HIJACK, http_server_hijack, SITE, server_end)
/* net/http.(*conn).close: ends requests whose handler panicked. */
PROBE(HTTP_CONN_CLOSE, http_conn_close, SITE, server_end)
/* net/http.(*Transport).roundTrip. */
PROBE(HTTP_CLIENT_START, http_client_start, CALL, http)
/* In it, after (*persistConn).roundTrip. */
PROBE(HTTP_CLIENT_DONE, http_client_done, SITE, client_end)
/* In it, where getConn failed. */
PROBE(HTTP_CLIENT_NO_CONN, http_client_no_conn, SITE, client_end)
/* In it, where the context was done before anything was sent. */
PROBE(HTTP_CLIENT_CTX_DONE, http_client_ctx_done, SITE, client_end)
/* In runtime.newproc1, where the goroutine id is stored. */
PROBE(NEW_GOROUTINE, new_goroutine, SITE, new_goroutine)
/* In (*Transport).roundTrip, after an alternate protocol's round tripper: HTTP/2. */
PROBE(HTTP_CLIENT_ALTERNATE, http_client_alternate, SITE, client_end)
/* net/http's HTTP/2: (*responseWriter).handlerDone. */
PROBE(HTTP2_SERVER_FINISH, http2_server_finish, SITE, server_end)
/* In its (*serverConn).runHandler, where a panic is recovered. */
PROBE(HTTP2_SERVER_PANIC, http2_server_panic, SITE, server_end)
/* Its (*serverConn).runHandler, where programs give it handlers of their own. */
PROBE(HTTP2_STREAM_START, http2_stream_start, SITE, server_start)
/* golang.org/x/net/http2: (*serverConn).runHandler. */
PROBE(XNET_SERVER_START, xnet_server_start, SITE, server_start)
/* Its (*responseWriter).handlerDone. */
PROBE(XNET_SERVER_FINISH, xnet_server_finish, SITE, server_end)
/* In its (*serverConn).runHandler, where a panic is recovered. */
PROBE(XNET_SERVER_PANIC, xnet_server_panic, SITE, server_end)
/* Its (*Transport).RoundTripOpt. */
PROBE(XNET_CLIENT_START, xnet_client_start, CALL_LIKE, HTTP_CLIENT_START)
/* In it, after (*ClientConn).roundTrip. */
PROBE(XNET_CLIENT_DONE, xnet_client_done, SITE, client_end)
/* In net/http.(*Transport).roundTrip, where it says why it refuses a request. */
PROBE(HTTP_CLIENT_REFUSED, http_client_refused, SITE, client_end)
/* In it, where a call has got its connection and nothing of it is written yet. */
PROBE(HTTP_CLIENT_JOIN, http_client_join, JOIN, join_call)
/* The same in HTTP/2: (*clientStream).encodeAndWriteHeaders. */
PROBE(HTTP2_CLIENT_JOIN, http2_client_join, JOIN, join_call)
/* That of golang.org/x/net/http2. */
PROBE(XNET_CLIENT_JOIN, xnet_client_join, JOIN, join_call)
#define GT_PART GT_PROBES
#include "instruments.h"
#undef GT_PART
