/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The traceparent that a program gives a gRPC call: in the metadata that a context of the call holds. It is
 * searched for in programs that may send one, without a trap of its own. How it is read is in tracecontext.h.
 */
#ifndef GOTAP_GRPC_SENT_H
#define GOTAP_GRPC_SENT_H

/* Contexts of a call that are looked through: interceptors and handlers of statistics add few. */
#define METADATA_CONTEXTS 12
/* Calls of AppendToOutgoingContext that are looked through, and keys of each. */
#define METADATA_APPENDED 8
#define METADATA_KEYS 4

/*
 * The metadata.rawMD{md MD; added [][]string} that a call by the context {tab, data} sends, 0 none. What
 * is nearest holds, as it has what those behind it have. A global function, so that it is verified once.
 */
__noinline u64 outgoing_metadata(u64 tab, u64 data)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct gt_process *proc = bpf_map_lookup_elem(&processes, &tgid);
	u64 words[VALUE_WORDS];

	if (!proc)
		return 0;
	for (u32 i = 0; i < METADATA_CONTEXTS && tab && data; i++) {
		struct incoming read;

		words[2] = 0;
		read = read_context(proc, tab, data, words);
		if (words[2] && words[2] == proc->instruments.grpc.outgoing_key)
			return words[5];
		tab = read.up.tab;
		data = read.up.data;
	}
	return 0;
}

/*
 * Where the value of the only Traceparent is among keys and values that were appended to metadata: the
 * array of slices of strings at `added`. 0 where there is none, or several. Global for the same reason.
 */
__noinline u64 appended_parent(u64 added, u64 count)
{
	u64 found = 0;

	for (u32 i = 0; i < METADATA_APPENDED && i < count; i++) {
		struct go_string texts = read_string(added + 24 * i, 0);

		for (u32 k = 0; k < METADATA_KEYS && 2 * k + 1 < texts.len; k++) {
			struct go_string key = read_string(texts.ptr + 32 * k, 0);

			if (!(match_slot(key.ptr, key.len, 0, 1, false) >> 4 & 15))
				continue;
			if (found)
				return 0;
			found = texts.ptr + 32 * k + 16;
		}
	}
	return found;
}

/* Where the traceparent is that a call by this context sends, a Go string; 0 where there is none, or several. */
static __always_inline u64 sent_parent(const struct gt_process *proc, struct go_iface context)
{
	u64 metadata = outgoing_metadata(context.tab, context.data), value;
	struct {
		u64 map;
		u64 added, count;
	} raw = {};

	if (!metadata || bpf_probe_read_user(&raw, sizeof(raw), (void *)metadata))
		return 0;
	value = only_value(
		header_elem(raw.map, proc->map_slots, proc->map_group_size, HEADER_TRACEPARENT));
	return value ? value : appended_parent(raw.added, raw.count);
}

#endif
