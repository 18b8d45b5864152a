/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Clients of Redis: go-redis, where each attempt of a command and each pipeline is a span, of a
 * cluster's pipeline each part that goes to a node; and redigo, see redigo.h. The command's name and
 * how many arguments it has are read, and nothing else of it.
 */

/* Commands of a pipeline whose errors are looked at. */
#define MAX_PIPELINE 16

static __always_inline const struct gt_go_redis *library_of(const struct gt_process *proc,
							   const struct gt_site *site)
{
	return &proc->instruments.redis.go_redis[site->library & 1];
}

/* Reads a command's name: its first argument, where that is a string. */
static __always_inline void fill_name(const struct gt_go_redis *redis, struct redis_call *state)
{
	u32 unread = 0;
	struct go_iface arg = read_iface_noted(state->arg, UNREAD(COMMAND), &unread);

	state->event.span.unread &= ~UNREAD(COMMAND);
	state->event.span.unread |= unread;
	if (arg.tab == redis->string)
		state->event.name_len = copy_bytes(state->event.name, sizeof(state->event.name),
						   read_text(arg.data, 0));
}

/* Whether an operation is what a node of a cluster gets. */
static __always_inline bool is_for_node(u32 operation)
{
	return operation == GT_REDIS_BATCH || operation == GT_REDIS_TRANSACTION;
}

/* The baseClient that is at work. */
static __always_inline u64 client_at(struct pt_regs *ctx, const struct gt_go_redis *redis,
				     const struct gt_site *site)
{
	if (!is_for_node(site->operation))
		return GO_ARG0(ctx);
	return read_u64(read_u64(x86_register(ctx, site->base) + redis->node_client) +
			redis->client_base);
}

/*
 * A command, or several, of go-redis: (*baseClient)._process(c, ctx, cmd, attempt) and the like;
 * of a cluster (*ClusterClient).processPipelineNode(c, ctx, node, cmds, ...) and the like.
 */
static __noinline int start_go_redis(struct pt_regs *ctx, const struct gt_process *proc,
				     const struct gt_site *site, struct redis_call *state)
{
	const struct gt_go_redis *redis = library_of(proc, site);
	u32 unread = 0;
	u64 options = read_noted(client_at(ctx, redis, site) + redis->client_opt,
				 UNREAD(DATABASE) | UNREAD(ADDRESS), &unread);
	u64 command = x86_register(ctx, 6);
	struct go_string args;

	state->event.batch = 1;
	if (site->operation != GT_REDIS_COMMAND) {
		state->commands = x86_register(ctx, site->text[0]);
		state->event.batch = x86_register(ctx, site->text[1]);
		command = read_u64(state->commands + 8);
	}
	args = read_text(command, redis->cmd_args);
	state->arg = args.ptr;
	state->event.args = args.len;
	if (args.ptr)
		fill_name(redis, state);
	else if (args.len)
		unread |= UNREAD(COMMAND);
	state->event.db = read_noted(options + redis->opt_db, UNREAD(DATABASE), &unread);
	state->event.address_len = copy_bytes(state->event.address, sizeof(state->event.address),
					      read_text(options, redis->opt_addr));
	state->event.span.unread |= unread;
	return 1;
}

/* What starts: an operation of the goroutine, or one of the connection. */
enum redis_starts { REDIS_AT_GOROUTINE = 1, REDIS_AT_CONNECTION = 2 };

/* Gives what starts, if anything, and its context. */
static __noinline int redis_call_start(struct pt_regs *ctx, const struct gt_process *proc,
				       u32 probe, u64 goid, struct go_iface *context)
{
	u64 depth = read_u64(GO_G(ctx) + 8) - ctx->sp;
	struct gt_key key = key_of(proc, goid);
	const struct gt_site *site = site_of(ctx, proc);
	struct redis_call *state;
	bool redigo;

	if (!site)
		return 0;
	if (site->operation == GT_REDIS_FLUSH)
		return start_pipeline(ctx, proc) ? REDIS_AT_CONNECTION : 0;
	redigo = site->operation == GT_REDIS_DO;
	state = state_of(&redis_calls, &key, &new_redis_call, GT_DROP_CLIENT_MAP_FULL);
	if (!state)
		return 0;
	if (!redigo) {
		const struct gt_go_redis *redis = library_of(proc, site);
		u64 pool = dynamic_type(read_u64(client_at(ctx, redis, site) + redis->client_pool));

		if (!pool)
			count_drop(GT_DROP_READ_FAULT);
		/* A connection is set up, or may be, or a sentinel asked for the address. */
		if ((state->active && depth > state->depth) || !pool ||
		    pool == redis->set_up_pool) {
			state->nested++;
			return 0;
		}
		context->tab = x86_register(ctx, site->context[0]);
		context->data = x86_register(ctx, site->context[1]);
	}
	if (state->active)
		count_drop(GT_DROP_CLIENT_UNFINISHED);
	clear_call(state, site->operation);
	state->depth = depth;
	return redigo ? start_redigo(ctx, proc, state) : start_go_redis(ctx, proc, site, state);
}

/* Begins the span of an operation, whose parent is known now. */
static __noinline int redis_call_join(struct pt_regs *ctx, const struct gt_process *proc, u64 goid,
				      u32 starts, const struct parent *parent)
{
	bool of_goroutine = starts == REDIS_AT_GOROUTINE;
	struct gt_key key = of_goroutine ? key_of(proc, goid) : conn_key(proc, GO_ARG0(ctx));
	struct redis_call *state = bpf_map_lookup_elem(&redis_calls, &key);

	if (!state)
		return 0;
	begin_span(&state->event.span, goid, parent);
	state->active = 1;
	return 0;
}

/* The first error among a pipeline's commands. */
static __noinline int find_pipeline_error(const struct gt_go_redis *redis, struct redis_call *state,
					  struct go_iface *out)
{
	u32 unread = 0;

	for (u32 i = 0; i < MAX_PIPELINE && i < state->event.batch; i++) {
		u64 command = read_noted(state->commands + 16 * (u64)i + 8, UNREAD(ERROR), &unread);

		*out = read_iface_noted(command + redis->cmd_err, UNREAD(ERROR), &unread);
		if (out->tab)
			break;
	}
	/* One that was found says enough. */
	if (!out->tab)
		state->event.span.unread |= unread;
	return 0;
}

/* Whether an end belongs to something nested, which is over then. */
static __always_inline bool ends_nested(struct redis_call *state, u32 operation, bool failed)
{
	if (!state->nested || operation == GT_REDIS_REPLY || operation == GT_REDIS_FATAL)
		return false;
	if (operation != GT_REDIS_RETRY || failed)
		state->nested--;
	return true;
}

/* The same that was started, at whichever of its ends. */
static __always_inline bool is_under_way(struct pt_regs *ctx, const struct redis_call *state,
					 u32 operation)
{
	if (!state->active)
		return false;
	if (operation == GT_REDIS_FATAL)
		return state->event.operation == GT_REDIS_DO && state->client == GO_ARG0(ctx);
	if (operation == GT_REDIS_REPLY)
		return state->event.operation == GT_REDIS_DO;
	if (operation == GT_REDIS_RETRY)
		return state->event.operation == GT_REDIS_COMMAND;
	return state->event.operation == operation;
}

static __noinline int redis_end(struct pt_regs *ctx, const struct gt_process *proc, u32 probe)
{
	struct gt_key key = key_of(proc, goid_of(proc, GO_G(ctx)));
	struct redis_call *state = bpf_map_lookup_elem(&redis_calls, &key);
	const struct gt_site *site = site_of(ctx, proc);
	struct go_iface error;
	u32 operation, unread = 0;

	if (!site)
		return 0;
	operation = unrelated(site->operation);
	if (operation == GT_REDIS_RECEIVE || (operation == GT_REDIS_REPLY && state && state->joins)) {
		state = pipeline_of(proc, operation == GT_REDIS_RECEIVE ? site_base(ctx, site) :
									   state->client);
		return state ? redigo_reply(ctx, proc, state) : 0;
	}
	if (operation == GT_REDIS_CLOSE)
		return forget_pipeline(proc, GO_ARG0(ctx));
	error = site->error_field == GT_NONE ?
			site_error(ctx, site, &unread) :
			read_iface_noted(site_base(ctx, site) + site->error_field, UNREAD(ERROR),
					 &unread);
	if (state && ends_nested(state, operation, error.tab != 0))
		return 0;
	if (operation == GT_REDIS_FATAL && !(state && is_under_way(ctx, state, operation)))
		state = pipeline_of(proc, GO_ARG0(ctx));
	else if (state && !is_under_way(ctx, state, operation))
		state = NULL;
	if (!state) {
		/* A connection may fail without an operation. */
		if (!(site->flags & GT_SITE_QUIET))
			count_drop(GT_DROP_START_UNSEEN);
		return 0;
	}
	if (operation == GT_REDIS_REPLY)
		return redigo_reply(ctx, proc, state);
	if (operation == GT_REDIS_RETRY && !error.tab) {
		/* The pause is not the attempt's. */
		state->event.span.start_ns = bpf_ktime_get_ns();
		return 0;
	}
	if ((operation == GT_REDIS_PIPELINE || is_for_node(operation)) && !error.tab)
		find_pipeline_error(library_of(proc, site), state, &error);
	/* A constant may lie in a page that nobody had touched yet. */
	if ((!state->event.name_len || state->event.name_len == GT_TEXT_UNREAD) && state->arg)
		fill_name(library_of(proc, site), state);
	state->event.span.unread |= unread;
	state->failed = operation == GT_REDIS_FATAL;
	fill_redis_error(proc, &state->event, &error);
	return send_redis(proc, state, bpf_ktime_get_ns());
}
