/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Requests that deliver telemetry, by which a back end that is observed itself would make spans without
 * end: exports by OTLP, and all that gotap sends. They are marked at their start, so that what is done
 * for them is known to belong to them.
 */
#ifndef GOTAP_TELEMETRY_H
#define GOTAP_TELEMETRY_H

/* The bounds of the lengths of OTLP's methods of gRPC. */
#define SHORTEST_EXPORT 57
#define LONGEST_EXPORT 76

enum export {
	EXPORT_NOT = 0,
	EXPORT_PATH = 1, /* OTLP over HTTP, if the content is, too */
	EXPORT_METHOD = 2, /* OTLP over gRPC */
};

/*
 * Whether a path or a method of `len` bytes is one of OTLP's: one that ends in /v1/traces, /v1/metrics,
 * /v1/logs or /v1development/profiles, or /opentelemetry.proto.collector.….…Service/Export. A global
 * function, so that it is verified once.
 */
__noinline u32 export_of(u64 text, u64 len)
{
	u64 end = 0, start = 0, words[4] = {}, want, whole;

	if (len < 8 || bpf_probe_read_user(&end, sizeof(end), (void *)(text + len - 8)))
		return EXPORT_NOT;
	switch (end) {
	case 0x73676f6c2f31762fULL: /* "/v1/logs" */
		return EXPORT_PATH;
	case 0x7365636172742f31ULL: /* "1/traces", "/v1/trac" */
		whole = 10;
		want = 0x636172742f31762fULL;
		break;
	case 0x7363697274656d2fULL: /* "/metrics", "/v1/metr" */
		whole = 11;
		want = 0x7274656d2f31762fULL;
		break;
	case 0x73656c69666f7270ULL: /* "profiles", "/v1devel" */
		whole = 23;
		want = 0x6c6576656431762fULL;
		break;
	case 0x74726f7078452f65ULL: /* "e/Export" */
		if (len < SHORTEST_EXPORT ||
		    bpf_probe_read_user(words, sizeof(words), (void *)text))
			return EXPORT_NOT;
		/* "/opentelemetry.proto.collector." */
		return words[0] == 0x6c65746e65706f2fULL && words[1] == 0x702e797274656d65ULL &&
				       words[2] == 0x6c6f632e6f746f72ULL &&
				       words[3] << 8 == 0x2e726f7463656c00ULL ?
			       EXPORT_METHOD :
			       EXPORT_NOT;
	default:
		return EXPORT_NOT;
	}
	if (len < whole ||
	    bpf_probe_read_user(&start, sizeof(start), (void *)(text + len - whole)))
		return EXPORT_NOT;
	return start == want ? EXPORT_PATH : EXPORT_NOT;
}

/* The same of a method of gRPC: most are too short or too long, and not read. */
static __always_inline bool is_export_method(struct go_string method)
{
	return method.len - SHORTEST_EXPORT <= LONGEST_EXPORT - SHORTEST_EXPORT &&
	       export_of(method.ptr, method.len) == EXPORT_METHOD;
}

/* Whether the content fits OTLP's paths. In JSON, programs send much else to paths of those names. */
static __always_inline bool is_export_content(const struct gt_process *proc, u32 flags)
{
	u32 content = flags / GT_HTTP_CONTENT % 8;

	return content == GT_CONTENT_PROTOBUF ||
	       (content == GT_CONTENT_JSON && proc->tells & GT_IS_COLLECTOR);
}

/*
 * What the Content-Type of an HTTP request says, where that is asked for, as bits of
 * gt_http_head.flags; and whether the request is an export. Only a POST is.
 */
static __always_inline u32 content_and_export(const struct gt_process *proc, u64 headers,
					      struct go_string method, struct go_string path,
					      u8 *trace_flags)
{
	u32 export = method.len == 4 ? export_of(path.ptr, path.len) : EXPORT_NOT, flags = 0;

	export = unrelated(export);
	if (proc->tells & GT_TELLS_CONTENT || export == EXPORT_PATH)
		flags = content_of(headers, proc->map_slots, proc->map_group_size);
	flags = unrelated(flags);
	if (export == EXPORT_METHOD || (export == EXPORT_PATH && is_export_content(proc, flags)))
		*trace_flags |= GT_TRACE_TELEMETRY;
	return flags;
}

/* Whether it is gotap itself that asks: "gotap-otlp-exporter/" and a version. */
__noinline u32 is_own_agent(u64 text, u64 len)
{
	u64 words[2] = {};

	if (len < 21 || len > 36 || bpf_probe_read_user(words, sizeof(words), (void *)text))
		return 0;
	return words[0] == 0x746f2d7061746f67ULL && words[1] == 0x726f7078652d706cULL;
}

#endif
