/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What both sides of HTTP need. */
#ifndef GOTAP_HTTP_H
#define GOTAP_HTTP_H

/* Which structure the request is that the state holds. */
static __always_inline const struct gt_request *layout_of(const struct gt_process *proc,
							  const struct server_state *state)
{
	return &proc->requests[state->request_kind & (GT_REQUEST_KINDS - 1)];
}

static __always_inline void fill_span(const struct gt_process *proc, u16 kind, u16 size,
				      u64 end_ns, struct gt_http_head *head)
{
	head->header.kind = kind;
	head->header.size = size;
	head->header.process = proc->instance;
	head->span.end_ns = end_ns;
	head->span.resend = 0;
	head->span.unread = 0;
}

/*
 * Copies a string into the slot `name` of `event`, by way of the stack in events with small slots.
 * The length goes along, so that user space sees a cut.
 */
#define FILL(event, name, copy, from) \
	((event)->head.name##_len = copy((event)->name, sizeof((event)->name), from))

/*
 * Fills everything but the head: the strings of `strings`, which has one of each slot's name.
 * Method and target of a server stand together as they came, when `line` says so.
 */
#define FILL_STRINGS(event, strings, copy)                                     \
	do {                                                                   \
		if ((strings)->line) {                                         \
			(event)->head.flags |= GT_HTTP_LINE;                   \
			(event)->head.method_len = (strings)->method.len;      \
		} else {                                                       \
			FILL(event, method, copy, (strings)->method);          \
		}                                                              \
		FILL(event, target, copy, (strings)->target);                  \
		FILL(event, host, copy, (strings)->host);                      \
		FILL(event, user_agent, copy, (strings)->user_agent);          \
		FILL(event, route, copy, (strings)->route);                    \
	} while (0)

/* Whether all of them fit into the slots of the small event. */
static __always_inline bool are_short(const struct request_strings *strings)
{
	const struct gt_http_small_event *slots = NULL;

	return (strings->line || strings->method.len <= sizeof(slots->method)) &&
	       strings->target.len <= sizeof(slots->target) &&
	       strings->host.len <= sizeof(slots->host) &&
	       strings->user_agent.len <= sizeof(slots->user_agent) &&
	       strings->route.len <= sizeof(slots->route);
}

/* Follows an error to its type, and to what it wraps for a text or an errno. */
static __always_inline void fill_error(const struct gt_process *proc, struct go_iface error,
				       struct gt_http_event *event)
{
	u32 unread = 0;

	for (int i = 0; i < 4 && error.tab; i++) {
		u64 type_at = dynamic_type(error.tab);
		struct gt_key key = key_of(proc, type_at);
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);

		if (!i)
			event->head.subject = type_at;
		if (!type_at)
			unread |= UNREAD(ERROR);
		if (!type)
			break;
		if (type->role == GT_TYPE_ERROR_STRING) {
			FILL(event, text, copy_bytes, read_text(error.data, type->first));
			break;
		}
		if (type->role == GT_TYPE_ERRNO || type->role == GT_TYPE_HTTP2_CODE) {
			event->head.errno_value =
				read_noted(error.data + type->first, UNREAD(ERROR), &unread);
			break;
		}
		if (type->role != GT_TYPE_ERROR_WRAP)
			break;
		error = read_iface_noted(error.data + type->first, UNREAD(ERROR), &unread);
	}
	event->head.span.unread |= unread;
}

#endif
