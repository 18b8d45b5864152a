/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What user space needs of a served request to look its route up: whether it still has the path that
 * was sent, as middleware may have changed it, and what did not fit into the event.
 */
#ifndef GOTAP_PATHS_H
#define GOTAP_PATHS_H

/* What a GT_EVENT_PATH tells. */
enum gt_path_part {
	GT_PATH_SENT = 1, /* the request target, which is too long for its slot */
	GT_PATH_AT_END = 2, /* the URL's path when the request ended, where it may be another one */
};

/* Sent with a text of GT_PATH_SHORT bytes where that is enough. */
#define GT_PATH_SHORT 488
struct gt_path_event {
	struct gt_event_header header;
	__u8 span_id[8] GT_WORDS;
	__u16 part; /* enum gt_path_part */
	__u16 len;
	__u16 raw_len; /* of the URL's RawPath */
	__u16 pad;
	char text[4072] GT_WORDS;
};
_Static_assert(sizeof(struct gt_path_event) == 4096, "wire");

/* Targets that may not fit into their slot, which holds the method, too; and paths that do in any case. */
#define LONG_TARGET (sizeof(((struct gt_http_event *)NULL)->target) - 32)
#define SHORT_PATH 200

struct path_text {
	struct go_string text;
	u16 part; /* enum gt_path_part */
	u16 raw_len;
};

/* Sends an event with so many bytes of room for the text. */
#define SEND_PATH(proc, span, path, room)                                                   \
	do {                                                                                \
		const u32 whole = __builtin_offsetof(struct gt_path_event, text) + (room);            \
		struct gt_path_event *event = bpf_ringbuf_reserve(&events, whole, 0);       \
                                                                                            \
		if (!event)                                                                 \
			break;                                                              \
		event->header.kind = GT_EVENT_PATH;                                         \
		event->header.size = whole;                                                 \
		event->header.process = (proc)->instance;                                   \
		__builtin_memcpy(event->span_id, &(span), 8);                               \
		event->part = (path)->part;                                                 \
		event->raw_len = (path)->raw_len;                                           \
		event->pad = 0;                                                             \
		event->len = copy_bytes(event->text, room, (path)->text);                   \
		bpf_ringbuf_submit(event, wakeup_flags());                                  \
		return 0;                                                                   \
	} while (0)

/* Tells of a path ahead of its request's event. A request whose path is lost has no route. */
static __noinline int send_path(const struct gt_process *proc, u64 span_id,
				const struct path_text *path)
{
	if (path->text.len <= GT_PATH_SHORT)
		SEND_PATH(proc, span_id, path, GT_PATH_SHORT);
	else
		SEND_PATH(proc, span_id, path, sizeof(((struct gt_path_event *)NULL)->text));
	count_drop(GT_DROP_RING_FULL);
	return 0;
}

/*
 * Looks whether the request still has the method and the path that were sent. A path without escapes
 * is a part of the request target, so that addresses tell; of another one user space compares the text. Of a
 * request that `is_there` no more the URL is, which its stream keeps.
 */
static __noinline int compare_path(const struct gt_process *proc, struct server_state *state, u32 is_there)
{
	const struct gt_request *layout = layout_of(proc, state);
	struct go_string sent = request_string(state, layout->request_uri);
	struct go_string method = request_string(state, layout->method);
	struct path_text path = {};
	u64 now[3] = { method.ptr, method.len, request_u64(state, layout->url) }, url[8] = {}, raw_len;
	u32 raw = proc->url_raw_path - proc->url_path;
	char next = '?';
	bool kept;

	if (layout->url != layout->method + 16 || raw > sizeof(url) - 16)
		return 0;
	if ((is_there &&
	     bpf_probe_read_user(now, sizeof(now), (void *)(state->req + layout->method))) ||
	    now[0] != method.ptr || now[1] != method.len ||
	    bpf_probe_read_user(url, sizeof(url), (void *)(now[2] + proc->url_path)))
		return 0;
	/* The stack is read by the word only. */
	raw_len = copied_u64(url, sizeof(url), (u32)(raw + 8) & ~7U);
	kept = url[0] == sent.ptr && url[1] <= sent.len && !raw_len;
	if (kept && url[1] < sent.len)
		bpf_probe_read_user(&next, 1, (void *)(sent.ptr + url[1]));
	if (kept && next == '?') {
		state->flags |= GT_HTTP_PATH_KEPT;
	} else {
		path.text = (struct go_string){ url[0], url[1] };
		path.raw_len = raw_len > 0xfffe ? 0xfffe : raw_len;
		path.part = GT_PATH_AT_END;
		send_path(proc, state->span_id, &path);
		url[1] = sent.len;
	}
	/* A slot has room for method and path, escaped, if that is so much shorter. */
	if (sent.len > LONG_TARGET && url[1] > SHORT_PATH) {
		path.text = sent;
		path.part = GT_PATH_SENT;
		send_path(proc, state->span_id, &path);
	}
	return 0;
}

#endif
