/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What redigo does, and what its operations have in common with go-redis's: how they end. Do awaits the
 * answers to all that was sent before. What Flush sends is a pipeline of its connection until
 * Receive got as many answers, or until a Do that awaits the rest. Where more is flushed after some
 * answers came, those are one pipeline and the others the next, so that none lasts as long as a
 * program that never awaits all. Subscriptions are none: what comes after them answers nothing.
 */
#ifndef GOTAP_REDIGO_H
#define GOTAP_REDIGO_H

static const struct redis_call new_redis_call;

/* Eight bytes as they lie in memory. */
#define WORD(a, b, c, d, e, f, g, h)                                                        \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |      \
	 (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)
/* Makes eight letters small. */
#define SMALL WORD(0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20)
/* More digits than a number in a command's head is read with. */
#define MAX_DIGITS 5

static __noinline int fill_redis_error(const struct gt_process *proc, struct gt_redis_event *event,
				       const struct go_iface *given)
{
	struct found_error error;

	find_error(proc, given, &error);
	event->subject = error.subject;
	event->number = error.number;
	event->error = error.role;
	event->span.unread |= error.unread;
	event->span.outcome = given->tab ? GT_OUTCOME_ERROR : GT_OUTCOME_DONE;
	event->message_len = copy_bytes(event->message, sizeof(event->message), error.text);
	return 0;
}

static __noinline int send_redis(const struct gt_process *proc, struct redis_call *state, u64 end_ns)
{
	struct gt_redis_event *event = &state->event;

	event->header.kind = GT_EVENT_REDIS;
	event->header.size = sizeof(*event);
	event->header.process = proc->instance;
	event->span.end_ns = end_ns;
	state->active = 0;
	if (!(event->span.trace_flags & 1) &&
	    !is_sent(event->span.trace_flags, end_ns - event->span.start_ns,
		     event->span.outcome != GT_OUTCOME_DONE))
		return 0;
	if (event->operation == GT_REDIS_BATCH && state->multi) {
		event->operation = GT_REDIS_TRANSACTION;
		event->batch -= 1 + state->exec;
	}
	if (bpf_ringbuf_output(&events, event, sizeof(*event), wakeup_flags()))
		count_drop(GT_DROP_RING_FULL);
	return 0;
}

/* An operation that may begin; nothing is known of it yet. */
static __always_inline void clear_call(struct redis_call *state, u8 operation)
{
	state->active = 0;
	state->joins = 0;
	state->multi = 0;
	state->exec = 0;
	state->nested = 0;
	state->arg = 0;
	state->event.operation = operation;
	state->event.span.outcome = GT_OUTCOME_DONE;
	state->event.span.unread = 0;
	state->event.subject = 0;
	state->event.number = 0;
	state->event.error = 0;
	state->event.args = 0;
	state->event.name_len = 0;
	state->event.message_len = 0;
	state->event.address_len = 0;
	state->event.peer_len = 0;
}

/* What a connection is known by in `redis_calls`. */
static __always_inline struct gt_key conn_key(const struct gt_process *proc, u64 conn)
{
	struct gt_key key = key_of(proc, conn);

	key.pad = 1;
	return key;
}

/* The pipeline of a connection that is under way. */
static __always_inline struct redis_call *pipeline_of(const struct gt_process *proc, u64 conn)
{
	struct gt_key key = conn_key(proc, conn);
	struct redis_call *call = bpf_map_lookup_elem(&redis_calls, &key);

	return call && call->active ? call : NULL;
}

/* Nobody will await the rest of a pipeline, or not as such: those commands that were answered are it. */
static __noinline int cut_pipeline(const struct gt_process *proc, struct redis_call *call)
{
	if (call->event.batch <= call->replies) {
		call->active = 0;
		count_drop(GT_DROP_CLIENT_UNFINISHED);
		return 0;
	}
	call->event.batch -= call->replies;
	call->multi = 0;
	return send_redis(proc, call, call->event.span.end_ns);
}

/* The other side of a connection, also below TLS. */
static __always_inline void fill_redigo_peer(const struct gt_process *proc, u64 conn,
					     struct gt_redis_event *event)
{
	event->db = -1;
	event->peer_len = copy_peer(proc, read_iface(conn + proc->instruments.redis.redigo.conn), event->peer,
				    &event->peer_port);
}

/* The next of sixteen bytes. */
static __always_inline u8 take(u64 *head)
{
	u8 byte = head[0];

	head[0] = head[0] >> 8 | head[1] << 56;
	head[1] >>= 8;
	return byte;
}

/* A number after `sign`, up to the end of its line; GT_NONE if that is not what comes. */
static __always_inline u32 take_number(u64 *head, u8 sign, u32 *at)
{
	u32 number = 0;

	if (take(head) != sign)
		return GT_NONE;
	for (u32 i = 0; i < MAX_DIGITS; i++) {
		u8 byte = take(head);

		if (byte == '\r') {
			*at += i + 3;
			return take(head) == '\n' ? number : GT_NONE;
		}
		if (byte < '0' || byte > '9')
			break;
		number = 10 * number + byte - '0';
	}
	return GT_NONE;
}

/*
 * Of what a connection has written and not sent yet, the name and the number of arguments of the first
 * command, and whether the last one is EXEC. What is too long for the buffer was sent before, so that
 * it may begin with anything.
 */
static __noinline int read_written(const struct gt_process *proc, u64 conn,
				   struct redis_call *call)
{
	u64 writer = read_u64(conn + proc->instruments.redis.redigo.bw), head[2] = {};
	struct go_string written = { read_u64(writer + proc->instruments.redis.redigo.writer_buf),
				     read_u64(writer + proc->instruments.redis.redigo.writer_n) };
	struct go_string name = {};
	u32 at = 0, args;

	if (written.len < sizeof("*1\r\n$4\r\nEXEC\r\n") - 1)
		return 0;
	call->exec = read_u64(written.ptr + written.len - 14) ==
			     WORD('*', '1', '\r', '\n', '$', '4', '\r', '\n') &&
		     (read_u64(written.ptr + written.len - 8) | SMALL) ==
			     (WORD('\r', '\n', 'e', 'x', 'e', 'c', '\r', '\n') | SMALL);
	if (call->event.name_len)
		return 0;
	if (bpf_probe_read_user(head, sizeof(head), (void *)written.ptr)) {
		call->event.span.unread |= UNREAD(COMMAND);
		return 0;
	}
	args = take_number(head, '*', &at);
	name.len = take_number(head, '$', &at);
	if (args == GT_NONE || name.len > sizeof(call->event.name) || at + name.len > written.len)
		return 0;
	name.ptr = written.ptr + at;
	call->event.args = args;
	call->event.name_len = copy_bytes(call->event.name, sizeof(call->event.name), name);
	return 0;
}

/* Eight letters of a name, made small. */
static __always_inline u64 letters(const struct redis_call *call, u32 at)
{
	u64 word;

	__builtin_memcpy(&word, call->event.name + at, sizeof(word));
	return word | SMALL;
}

static __always_inline bool is_named(const struct redis_call *call, u64 name, u16 len)
{
	u64 others = ~0ULL << (8 * len);

	return call->event.name_len == len && (letters(call, 0) | others) == (name | others);
}

/* SUBSCRIBE, PSUBSCRIBE, SUNSUBSCRIBE and the like. */
static __always_inline bool subscribes(const struct redis_call *call)
{
	bool found = false;

#pragma unroll
	for (u32 at = 1; at < 5; at++)
		found |= call->event.name_len == at + 8 &&
			 letters(call, at) == WORD('u', 'b', 's', 'c', 'r', 'i', 'b', 'e');
	return found;
}

/* More is sent, so that so many answers are awaited. */
static __always_inline void add_to_pipeline(struct redis_call *call, u64 replies)
{
	if (replies > call->replies) {
		call->event.batch += replies - call->replies;
		/* Something follows the transaction. */
		if (call->exec)
			call->multi = 0;
	}
	call->replies = replies;
}

/*
 * (*conn).Flush(c): what was sent and is not answered is a pipeline, unless it is the rest of one.
 * Gives whether one starts.
 */
static __noinline int start_pipeline(struct pt_regs *ctx, const struct gt_process *proc)
{
	u32 unread = 0;
	u64 conn = GO_ARG0(ctx), pending = read_noted(conn + proc->instruments.redis.redigo.pending, 1, &unread);
	struct gt_key key = conn_key(proc, conn);
	struct redis_call *call;
	bool rest;

	if (unread)
		count_drop(GT_DROP_READ_FAULT);
	if (!pending)
		return 0;
	call = state_of(&redis_calls, &key, &new_redis_call, GT_DROP_CLIENT_MAP_FULL);
	if (!call)
		return 0;
	if (call->active && call->event.batch == call->replies) {
		add_to_pipeline(call, pending);
		read_written(proc, conn, call);
		return 0;
	}
	rest = call->active;
	if (rest)
		cut_pipeline(proc, call);
	clear_call(call, GT_REDIS_BATCH);
	call->failed = 0;
	read_written(proc, conn, call);
	call->listens |= subscribes(call);
	if (call->listens)
		return 0;
	/* The first command to be answered is an earlier one, of a name that nobody kept. */
	if (rest)
		call->event.name_len = 0;
	call->multi = is_named(call, WORD('m', 'u', 'l', 't', 'i', 0, 0, 0), 5);
	call->event.batch = pending;
	call->replies = pending;
	fill_redigo_peer(proc, conn, &call->event);
	return 1;
}

/* Whether what a Do awaits belongs to a pipeline, which then ends with it. */
static __noinline int joins_pipeline(const struct gt_process *proc, struct redis_call *state)
{
	struct gt_key key = conn_key(proc, state->client);
	struct redis_call *call = bpf_map_lookup_elem(&redis_calls, &key);

	if (!call)
		return 0;
	call->listens = 0;
	/* The event of what failed has the rest. */
	state->joins = call->active || (call->failed && !state->event.name_len);
	if (!call->active)
		return state->joins;
	/* All were answered, but some unseen. */
	if (!state->replies) {
		cut_pipeline(proc, call);
		return 1;
	}
	add_to_pipeline(call, state->replies);
	if (state->event.name_len)
		call->exec = is_named(state, WORD('e', 'x', 'e', 'c', 0, 0, 0, 0), 4);
	return 1;
}

/* (*conn).DoWithTimeout(c, timeout, cmd string, args ...interface{}) */
static __noinline int start_redigo(struct pt_regs *ctx, const struct gt_process *proc,
				   struct redis_call *state)
{
	struct go_string name = { GO_ARG2(ctx), GO_ARG3(ctx) };
	u64 conn = GO_ARG0(ctx);
	u32 unread = 0;

	state->client = conn;
	state->event.batch = read_noted(conn + proc->instruments.redis.redigo.pending, UNREAD(BATCH), &unread);
	state->event.span.unread = unread;
	state->replies = state->event.batch + (name.len != 0);
	state->event.name_len = copy_bytes(state->event.name, sizeof(state->event.name), name);
	if (proc->instruments.redis.redigo.bw != GT_NONE && joins_pipeline(proc, state))
		return 0;
	/* A pool asks for the rest of nothing when it takes a connection back. */
	if (!state->replies)
		return 0;
	state->event.args = x86_register(ctx, 8) + 1;
	fill_redigo_peer(proc, conn, &state->event);
	return 1;
}

/*
 * redigo got a reply, in AX and BX, or an error, in CX, after which the connection fails. One that is an
 * error is a value of type redis.Error.
 */
static __noinline int redigo_reply(struct pt_regs *ctx, const struct gt_process *proc,
				   struct redis_call *state)
{
	u64 type_at = GO_ARG0(ctx);
	struct gt_key key = key_of(proc, type_at);
	struct gt_type *type;

	if (GO_ARG2(ctx))
		return 0;
	type = bpf_map_lookup_elem(&go_types, &key);
	if (type && type->role == GT_TYPE_ANSWER && !state->event.subject) {
		state->event.subject = type_at;
		state->event.error = type->role;
		state->event.span.outcome = GT_OUTCOME_ERROR;
		state->event.message_len = copy_bytes(state->event.message,
						      sizeof(state->event.message),
						      read_text(GO_ARG1(ctx), type->first));
	}
	state->replies--;
	state->event.span.end_ns = bpf_ktime_get_ns();
	return state->replies ? 0 : send_redis(proc, state, state->event.span.end_ns);
}

/* A connection is closed, perhaps with answers that nobody has waited for. */
static __noinline int forget_pipeline(const struct gt_process *proc, u64 conn)
{
	struct gt_key key = conn_key(proc, conn);
	struct redis_call *call = pipeline_of(proc, conn);

	if (call)
		cut_pipeline(proc, call);
	bpf_map_delete_elem(&redis_calls, &key);
	return 0;
}

#endif
