/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract between the BPF programs and user space: events, map keys and values, and the
 * numbers that name probes, drops and parents. Every structure is of fixed-width fields with
 * explicit padding and asserted in size; the Rust twin in crates/wire asserts the same sizes.
 */
#ifndef GOTAP_WIRE_H
#define GOTAP_WIRE_H

/* Lets clang copy bytes by the word; changes no layout, as the assertions show. */
#define GT_WORDS __attribute__((aligned(8)))
/* An offset that the binary does not have. */
#define GT_NONE 0xffff
/* Processors whose goroutine-id caches are remembered when a request starts. */
#define GT_MAX_P 64
#include "outcome.h"
/* What a uprobe stands for; also the cookie of uprobe_multi and the index of the hit counters. */
enum gt_probe {
#define PROBE(name, label, program, handler) GT_PROBE_##name,
#include "probes.h"
#undef PROBE
	GT_PROBE_COUNT
};
/* The last bit of gt_process.guards says something else. */
_Static_assert(GT_PROBE_COUNT < 128, "wire");

/* Why something seen was not reported; index of the drop counters. */
enum gt_drop {
	GT_DROP_RING_FULL = 0,
	GT_DROP_SERVER_MAP_FULL = 1,
	GT_DROP_CLIENT_MAP_FULL = 2,
	GT_DROP_START_UNSEEN = 3,
	GT_DROP_SERVER_UNFINISHED = 4,
	GT_DROP_CLIENT_UNFINISHED = 5,
	GT_DROP_PROTOCOL_UNSUPPORTED = 6,
	GT_DROP_LIFECYCLE_FULL = 7,
	GT_DROP_READ_FAULT = 8,
	GT_DROP_LINEAGE_LOST = 9,
	GT_DROP_TRACEPARENT_INVALID = 10,
	GT_DROP_HEADERS_UNSEEN = 11,
	GT_DROP_PROCESSORS_UNSEEN = 12,
	GT_DROP_MAP_LAYOUT_UNKNOWN = 13,
	GT_DROP_CONTEXT_UNFOLLOWED = 14,
	GT_DROP_CONTEXT_AMBIGUOUS = 15,
	GT_DROP_JOIN_UNREAD = 16,
	GT_DROP_JOIN_MAP_FULL = 17,
	GT_DROP_SAMPLED_OUT = 18,
	GT_DROP_UNSAMPLED = 19,
	GT_DROP_COUNT = 20,
};

enum gt_event_kind {
	GT_EVENT_EXEC = 1,
	GT_EVENT_EXIT = 2,
	GT_EVENT_HTTP_SERVER = 3,
	GT_EVENT_HTTP_CLIENT = 4,
	GT_EVENT_TRACESTATE = 5,
	GT_EVENT_HTTP_SERVER_SMALL = 6,
	GT_EVENT_HTTP_CLIENT_SMALL = 7,
	GT_EVENT_HEADER = 15, /* wanted_headers.h */
	GT_EVENT_PATH = 20, /* paths.h; of the HTTP request with this span id, whose event follows */
	GT_EVENT_MOVED = 14, /* the trace that a request began is another one */
};

/* How the parent of a span was found. */
enum gt_parent {
	GT_PARENT_NONE = 0,
	GT_PARENT_REMOTE = 1,
	GT_PARENT_CONTEXT = 2,
	GT_PARENT_GOROUTINE = 3,
	GT_PARENT_ANCESTOR = 4,
	GT_PARENT_SENT = 5, /* by the traceparent that the program sends along */
	GT_PARENT_CONNECTION = 6, /* the call at the other end of the connection, on this host */
};

/* Bits of gt_http_event.flags. */
#define GT_HTTP_TLS 1
#define GT_HTTP_RAW_PATH 2 /* the path is as sent; otherwise it is decoded */
#define GT_HTTP_TRACESTATE 4 /* a GT_EVENT_TRACESTATE of the same span went before */
#define GT_HTTP_LINE 8 /* `target` starts with the method and a space, target_len counts them */
#define GT_HTTP_PEER_ADDRESS 16 /* `peer` holds 4 or 16 bytes of address, and at 16 the port */
#define GT_HTTP_CONTENT 32 /* times one of enum gt_content */
#define GT_HTTP_OPAQUE 256 /* `target` is URL.Opaque */
#define GT_HTTP_UNKNOWN_SCHEME 512 /* the URL's scheme is neither http nor https */
#define GT_HTTP_PATH_KEPT 1024 /* at its end the request has method and path as they were sent */

/* What a request's Content-Type says, where connect is linked in or the path is one of OTLP's. */
enum gt_content {
	GT_CONTENT_OTHER = 0,
	GT_CONTENT_MESSAGE = 1, /* application/… but what follows */
	GT_CONTENT_CONNECT = 2, /* application/connect+… */
	GT_CONTENT_GRPC = 3, /* application/grpc… */
	GT_CONTENT_GRPC_WEB = 4, /* application/grpc-web… */
	GT_CONTENT_JSON = 5, /* application/json */
	GT_CONTENT_PROTOBUF = 6, /* application/x-protobuf */
};

struct gt_event_header {
	__u16 kind;
	__u16 size;
	__u32 process; /* instance for spans, process id for exec and exit */
};
_Static_assert(sizeof(struct gt_event_header) == 8, "wire");

/* GT_EVENT_EXEC, GT_EVENT_EXIT */
struct gt_lifecycle_event {
	struct gt_event_header header;
	__u64 time_ns; /* CLOCK_MONOTONIC */
};
_Static_assert(sizeof(struct gt_lifecycle_event) == 16, "wire");

/* Bits of gt_span.trace_flags; the others are W3C's. */
#define GT_TRACE_LEFT_OUT 0x20 /* gotap decided that it is not sampled */
#define GT_TRACE_OWN 0x40 /* gotap began the trace with a served request, and it may yet move */
#define GT_TRACE_TELEMETRY 0x80 /* it delivers telemetry, or belongs to what does */

struct gt_span {
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 end_ns;
	__u64 goid;
	__u8 trace_id[16] GT_WORDS;
	__u8 span_id[8] GT_WORDS;
	__u8 parent_span_id[8] GT_WORDS;
	__u8 trace_flags;
	__u8 parent; /* enum gt_parent */
	__u8 outcome; /* enum gt_outcome */
	__u8 resend; /* attempts before this one */
	__u32 unread; /* bits of enum gt_unread */
};
_Static_assert(sizeof(struct gt_span) == 64, "wire");

/* Lengths are those in the target, so longer than the array means truncated. */
struct gt_http_head {
	struct gt_event_header header;
	struct gt_span span;
	__s64 request_size; /* Content-Length, -1 unknown */
	__s64 response_size; /* server: bytes written; client: Content-Length, -1 unknown */
	__u64 subject; /* client: its response's http.Header, or the error's type; server: its http.Server; 0 none */
	__u32 errno_value; /* when the error wraps a syscall.Errno */
	__u16 status;
	__u8 proto_major;
	__u8 proto_minor;
	__u16 flags;
	__u16 method_len;
	__u16 target_len;
	__u16 host_len;
	__u16 peer_len;
	__u16 user_agent_len;
	__u16 route_len;
	__u16 text_len;
};
_Static_assert(sizeof(struct gt_http_head) == 120, "wire");

struct gt_http_event {
	struct gt_http_head head;
	char method[16] GT_WORDS;
	char peer[48] GT_WORDS; /* server: the peer's address and port */
	char host[112] GT_WORDS;
	char user_agent[128] GT_WORDS;
	char route[128] GT_WORDS; /* client: the query, when it is asked for */
	char text[64] GT_WORDS; /* the error's text where it is a plain string */
	char target[256] GT_WORDS; /* server: request target as sent; client: path */
};
_Static_assert(sizeof(struct gt_http_event) == 872, "wire");

/* GT_EVENT_HTTP_…_SMALL: the same where all strings are short, as most are: what is written
 * to the ring buffer is what its reader must fetch from the writer's cache. */
struct gt_http_small_event {
	struct gt_http_head head;
	char method[8] GT_WORDS;
	char peer[32] GT_WORDS;
	char host[40] GT_WORDS;
	char user_agent[48] GT_WORDS;
	char route[48] GT_WORDS;
	char target[88] GT_WORDS;
};
_Static_assert(sizeof(struct gt_http_small_event) == 384, "wire");

#include "wire_context.h"
#include "wanted_headers.h"

#include "sites.h"

/* Key of everything that belongs to one goroutine, context or type of one process. */
struct gt_key {
	__u64 id; /* goid, address of a context, or address of a type descriptor */
	__u32 instance;
	__u32 pad;
};
_Static_assert(sizeof(struct gt_key) == 16, "wire");

#include "types.h"

/* Which structure a server's request is. */
enum gt_request_kind {
	GT_REQUEST_HTTP = 0, /* net/http.Request */
	GT_REQUEST_HTTP2 = 1, /* net/http/internal/http2.ServerRequest of Go 1.27 */
	GT_REQUEST_KINDS = 2,
};

/* Offsets in a request, and its size as far as it matters. */
struct gt_request {
	__u16 size;
	__u16 method, url, proto_major, proto_minor, header, content_length, host;
	__u16 remote_addr, request_uri, tls, ctx;
	__u16 pattern; /* string */
	__u16 pat; /* *pattern, whose string is at pattern_str */
	__u16 response; /* the redirect that caused this request */
	__u16 body;
};
_Static_assert(sizeof(struct gt_request) == 32, "wire");

/* Which copy of the HTTP/2 implementation. */
enum gt_http2_kind {
	GT_HTTP2_STD = 0, /* net/http's own */
	GT_HTTP2_XNET = 1, /* golang.org/x/net/http2 */
	GT_HTTP2_KINDS = 2,
};

/* Offsets in one of them: responseWriter.rws, then in responseWriterState and stream. */
struct gt_http2 {
	__u16 rws, status, written, stream, close_err, stream_state;
	__u16 pad[2];
};
_Static_assert(sizeof(struct gt_http2) == 16, "wire");

#include "libraries.h"

/*
 * Tables of interface values, as they are met: the runtime never moves nor frees one, so what it
 * stands for is read once. The programs write here, each word for itself.
 */
struct gt_learned {
	__u64 cancel_ctx; /* of a context.Context that is a *cancelCtx */
	__u64 value_ctx; /* … a *valueCtx */
	__u64 tcp_addr; /* of a net.Addr that is a *net.TCPAddr */
	__u64 transport; /* of a gRPC server's transport of its own, not net/http's */
	__u64 status_ok; /* no table, but gRPC's own status of success */
	__u64 server; /* a gRPC server that has no pool of workers */
	__u64 seed; /* random, of ids */
	__u64 second; /* of CLOCK_MONOTONIC, in which `began` traces began: see sampling.h */
	__u64 began;
};
_Static_assert(sizeof(struct gt_learned) == 72, "wire");

/* What instruments know of a process: each has a structure of its own. */
#define GT_PART GT_CONTRACTS
#include "instruments.h"
#undef GT_PART
struct gt_instruments {
#define GT_PART GT_CONSTANTS
#include "instruments.h"
#undef GT_PART
};

/* Bits of gt_process.tells. */
#define GT_TELLS_CONTENT 1 /* content types of requests */
#define GT_TELLS_PATHS 2 /* whether a request's path was changed, also of one that has a pattern */
#define GT_IS_COLLECTOR 4 /* OpenTelemetry's, or the like */
#define GT_SENDS_TRACE 8 /* may write traceparent into requests */
#define GT_READS_B3 64 /* requests may come with B3's trace context */
#define GT_TELLS_HEADERS 128 /* headers of requests that the user asks for */
#define GT_HAS_SDK 32 /* OpenTelemetry's SDK begins traces in it */
#define GT_FREES_REQUESTS 16 /* HTTP/2 keeps no net/http request: GC may free it during its handler */

/* Processes whose hits are counted by themselves; the first one stands for all others. */
#define GT_HIT_SLOTS 512

/* In the last word of gt_process.guards, set by the programs: a probe of the process was hit. */
#define GT_WAS_HIT (1ULL << 63)

/* Constants of one process, by tgid. Offsets are in bytes, GT_NONE where there is no such field. */
struct gt_process {
	__u32 instance;
	__u32 hits; /* index of its first counter in `hits` */
	__u64 dial_conn_size;
	__u64 guards[2]; /* bit per gt_probe: the site is the branch of a stack check */
	__u64 allgptr; /* address of runtime.allgptr, 0 unknown */
	__u64 allglen;
	__u64 allp; /* address of the slice runtime.allp, 0 unknown */
	__u64 goidgen; /* address of runtime.sched.goidgen, 0 unknown */
	__u64 cancel_ctx; /* address of the type descriptor of *context.cancelCtx */
	__u64 value_ctx; /* of *context.valueCtx */
	__u64 skip_alternate; /* address of net/http.ErrSkipAltProtocol */
	__u64 bad_conn; /* address of database/sql/driver.ErrBadConn, 0 unknown */
	__u64 abort_handler; /* address of net/http.ErrAbortHandler, 0 unknown */
	__u64 dial_conn; /* code that starts the goroutines of a client's connection, 0 unknown */
	__u16 g_goid, g_parent_goid, g_gopc, g_m, m_curg;
	__u16 p_goidcache;
	__u16 new_g_register; /* x86 register number that holds the new g */
	__u16 no_conn_error; /* stack offset of the error, GT_NONE: in its register */
	__u16 no_conn_error_data; /* the same for the error's data word */
	__u16 map_slots; /* how eight entries of a header map lie together: headers.h */
	__u16 map_group_size; /* bytes of a group of a Swiss table */
	__u16 pattern_str;
	__u16 resp_written, resp_status;
	__u16 url_scheme, url_host, url_path, url_raw_path;
	__u16 response_status, response_content_length;
	__u16 response_proto_major, response_proto_minor;
	__u16 response_request;
	__u16 alternate_response; /* stack offset of the response, GT_NONE: in its register */
	__u16 g_panic;
	__u16 tells; /* GT_TELLS_… */
	__u16 response_header;
	__u16 panic_arg; /* runtime._panic */
	__u16 resp_left; /* whether a response's client has left */
	__u16 conn_write_error;
	__u16 url_opaque;
	__u16 url_raw_query; /* GT_NONE also when queries are not asked for */
	struct gt_request requests[GT_REQUEST_KINDS];
	struct gt_http2 http2[GT_HTTP2_KINDS];
	struct gt_net net;
	struct gt_join join;
	struct gt_learned learned;
	struct gt_instruments instruments;
};
_Static_assert(sizeof(struct gt_process) - sizeof(struct gt_instruments) == 424, "wire");

#endif
