/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * database/sql, and pgx without it: queries, statements and transactions, each attempt of which is a
 * span. Where they start and end, and what is found where then, is data of user space's (struct
 * gt_site). The text is copied at the start: nothing keeps it until the end.
 */

static const struct sql_call new_sql_call;

static __always_inline struct go_string text_of(struct pt_regs *ctx, const struct gt_site *site,
						u64 base)
{
	if (site->text[0] == GT_NO_REGISTER)
		return read_text(base, site->text_field);
	return (struct go_string){ x86_register(ctx, site->text[0]),
				   x86_register(ctx, site->text[1]) };
}

/*
 * What the operation at a site is known by. A goroutine may read rows of one connection and ask
 * another one meanwhile, or close the rows of another goroutine.
 */
static __always_inline struct gt_key site_key(const struct gt_process *proc,
					      const struct gt_site *site, u64 goid, u64 base)
{
	struct gt_key key = key_of(proc, goid);

	if (site->key != GT_KEY_GOROUTINE)
		key.id = site->key_field == GT_NONE ? base : read_u64(base + site->key_field);
	if (site->key == GT_KEY_WITHIN)
		key.pad = 1;
	return key;
}

/*
 * Whether what another operation needs is at work: database/sql on this goroutine, which tells of
 * what its driver does, or one of the same connection that prepares its statement.
 */
static __noinline int is_beneath(const struct gt_process *proc, const struct gt_site *site,
				 u64 goid, u64 conn)
{
	struct gt_key key = key_of(proc, goid);
	struct sql_call *outer;

	if (site->library == GT_SQL_STD)
		return 0;
	outer = bpf_map_lookup_elem(&sql_calls, &key);
	if (outer && outer->active)
		return 1;
	if (site->key != GT_KEY_WITHIN)
		return 0;
	key.id = conn;
	outer = bpf_map_lookup_elem(&sql_calls, &key);
	return outer && outer->active;
}

/* What a batch asks for: how much and, of a single statement, its text. */
static __noinline int read_batch(struct pt_regs *ctx, const struct gt_site *site,
				 struct sql_call *state, struct go_string *text)
{
	struct go_string statements = read_text(GO_ARG3(ctx), site->batch_field);

	if (!statements.ptr && statements.len) {
		/* Whether there is anything to ask for is unknown. */
		state->event.span.unread |= UNREAD(BATCH) | UNREAD(STATEMENT);
		state->event.batch = 0;
		return 1;
	}
	state->event.batch = statements.len;
	if (statements.len == 1)
		*text = read_text(read_u64(statements.ptr), 0);
	return statements.len != 0;
}

/* Gives whether an operation starts, and its context. */
static __noinline int sql_call_start(struct pt_regs *ctx, const struct gt_process *proc, u32 probe,
				     u64 goid, struct go_iface *context)
{
	u64 base;
	const struct gt_site *site = site_of(ctx, proc);
	struct go_string text = {};
	struct sql_call *state;
	struct gt_key key;
	u32 unread = 0;

	if (!site)
		return 0;
	base = site_base(ctx, site);
	key = site_key(proc, site, goid, base);
	state = state_of(&sql_calls, &key, &new_sql_call, GT_DROP_CLIENT_MAP_FULL);
	if (!state)
		return 0;
	if (is_beneath(proc, site, goid, key.id)) {
		/* The end will find that it is none of an operation of its own. */
		state->active = 0;
		return 0;
	}
	if (state->active && !state->again)
		count_drop(GT_DROP_CLIENT_UNFINISHED);
	state->active = 0;
	state->again = 0;
	state->event.operation = site->operation;
	state->event.library = site->library;
	state->event.batch = 0;
	/* The field is the connection's, which may be behind the receiver. */
	if (site->key != GT_KEY_GOROUTINE)
		base = key.id;
	state->event.db = base;
	if (site->db_field != GT_NONE)
		state->event.db = read_noted(base + site->db_field, UNREAD(DATABASE), &unread);
	state->event.span.unread = unread;
	if (site->batch_field == GT_NONE)
		text = text_of(ctx, site, base);
	else if (!read_batch(ctx, site, state, &text))
		return 0;
	state->text = text.ptr;
	state->text_len = text.len;
	state->event.text_len = copy_bytes(state->event.text, sizeof(state->event.text), text);
	if (site->context[0] == GT_NO_REGISTER) {
		if (site->context_field != GT_NONE)
			*context = read_iface(base + site->context_field);
	} else {
		context->tab = x86_register(ctx, site->context[0]);
		context->data = x86_register(ctx, site->context[1]);
	}
	return 1;
}

/* Begins the span of an operation, whose parent is known now. */
static __noinline int sql_call_join(struct pt_regs *ctx, const struct gt_process *proc, u64 goid,
				    u32 starts, const struct parent *parent)
{
	const struct gt_site *site = site_of(ctx, proc);
	struct sql_call *state;
	struct gt_key key;

	if (!site)
		return 0;
	key = site_key(proc, site, goid, site_base(ctx, site));
	state = bpf_map_lookup_elem(&sql_calls, &key);
	if (!state)
		return 0;
	begin_span(&state->event.span, goid, parent);
	state->active = 1;
	return 0;
}

/* What an error's driver says: an SQLSTATE or a number, else a text. */
static __noinline int fill_sql_error(const struct gt_process *proc, struct gt_sql_event *event,
				     const struct go_iface *given)
{
	struct found_error error;

	find_error(proc, given, &error);
	event->subject = error.subject;
	event->number = error.number;
	event->error = error.role;
	event->message_len = 0;
	event->state_len = 0;
	event->span.unread |= error.unread;
	event->span.outcome = given->tab ? GT_OUTCOME_ERROR : GT_OUTCOME_DONE;
	if (error.role == GT_TYPE_SQLSTATE)
		event->state_len = copy_bytes(event->state, sizeof(event->state), error.text);
	else
		event->message_len = copy_bytes(event->message, sizeof(event->message), error.text);
	return 0;
}

/* Whether the statement that failed is tried again, on another connection. */
static __always_inline bool is_tried_again(const struct gt_process *proc,
					   const struct gt_site *site, struct go_iface error)
{
	struct go_iface bad;

	if (!error.tab || !proc->bad_conn ||
	    (site->operation != GT_SQL_STMT_QUERY && site->operation != GT_SQL_STMT_EXEC))
		return false;
	bad = read_iface(proc->bad_conn);
	return bad.tab == error.tab && bad.data == error.data;
}

static __noinline int send_sql(const struct gt_process *proc, struct gt_sql_event *event)
{
	u64 len = event->text_len == GT_TEXT_UNREAD ? 0 : event->text_len;

	event->header.kind = GT_EVENT_SQL;
	event->header.process = proc->instance;
	event->span.end_ns = bpf_ktime_get_ns();
	if (!(event->span.trace_flags & 1) &&
	    !is_sent(event->span.trace_flags, event->span.end_ns - event->span.start_ns,
		     event->span.outcome != GT_OUTCOME_DONE))
		return 0;
	if (len > sizeof(event->text))
		len = sizeof(event->text);
	len += sizeof(*event) - sizeof(event->text);
	event->header.size = len;
	asm volatile("" : "+r"(len));
	if (len > sizeof(*event) || bpf_ringbuf_output(&events, event, len, wakeup_flags()))
		count_drop(GT_DROP_RING_FULL);
	return 0;
}

/*
 * The text as it is known at the end: of a statement that was asked for by its name, what it stands
 * for; and a constant may have lain in a page that nobody had touched yet.
 */
static __always_inline void complete_text(const struct gt_site *site, struct sql_call *state,
					  u64 base)
{
	struct go_string text = { state->text, state->text_len };
	u16 known = state->event.text_len;

	if (site->text_field != GT_NONE && state->event.operation == GT_SQL_QUERY)
		text = read_text(base, site->text_field);
	if (text.len && (!known || known == GT_TEXT_UNREAD || text.ptr != state->text))
		state->event.text_len =
			copy_bytes(state->event.text, sizeof(state->event.text), text);
}

static __noinline int sql_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	u64 goid = goid_of(proc, GO_G(ctx)), base;
	const struct gt_site *site = site_of(ctx, proc);
	struct sql_call *state;
	struct go_iface error;
	struct gt_key key;
	u32 unread = 0;

	if (!site)
		return 0;
	base = site_base(ctx, site);
	key = site_key(proc, site, goid, base);
	state = bpf_map_lookup_elem(&sql_calls, &key);
	if (!state || !state->active || state->event.operation != site->operation ||
	    state->event.library != site->library) {
		/* pgx comes by with rows of batches, with what is closed twice and beneath database/sql. */
		if (site->library == GT_SQL_STD ||
		    (!state && !(site->flags & GT_SITE_QUIET)))
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	error = site->error_field == GT_NONE ?
			site_error(ctx, site, &unread) :
			read_iface_noted(base + site->error_field, UNREAD(ERROR), &unread);
	if ((site->flags & GT_SITE_ERRORS) && !error.tab && !unread)
		return 0;
	complete_text(site, state, base);
	/* What an attempt before could not read of its error is not this one's. */
	state->event.span.unread &= ~(UNREAD(ERROR) | UNREAD(STATUS));
	state->event.span.unread |= unread;
	fill_sql_error(proc, &state->event, &error);
	send_sql(proc, &state->event);
	state->active = 0;
	if (is_tried_again(proc, site, error)) {
		renew_span(&state->event.span);
		state->event.span.start_ns = bpf_ktime_get_ns();
		state->active = 1;
		state->again = 1;
	}
	return 0;
}
