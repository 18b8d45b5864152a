/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What observed programs write while they serve a request: an event for each write(2) to standard output, standard
 * error or a file that is appended to, with the request's trace. An object of its own, which is loaded when it is
 * asked for. It traps nothing; it runs at the end of each system call of the host.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "wire.h"
#include "go_abi.h"
#include "found_headers.h"
#include "served.h"
#include "span_of.h"
#include "logs.h"

char LICENSE[] SEC("license") = "GPL";

/* Which streams lines are wanted from, a bit for each, and bytes of their texts: set before loading. */
const volatile u32 wanted_streams;
const volatile u32 wanted_text;

/* By process id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GT_LOG_PROCESSES);
	__type(key, u32);
	__type(value, struct gt_logging);
} logging SEC(".maps");

/* Indexes: enum gt_log_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GT_LOG_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} log_counts SEC(".maps");

/* User space sets the size. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} log_lines SEC(".maps");

/* What is used of the kernel's structures beyond vmlinux.h. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inode___logs {
	unsigned short i_mode;
};

struct file___logs {
	unsigned int f_flags;
	struct inode___logs *f_inode;
};

struct fdtable___logs {
	unsigned int max_fds;
	struct file___logs **fd;
};

struct files_struct___logs {
	struct fdtable___logs *fdt;
};

struct thread_struct___logs {
	unsigned long fsbase;
};

struct task_struct___logs {
	struct files_struct___logs *files;
	struct thread_struct___logs thread;
};
#pragma clang attribute pop

/* Of asm/unistd_64.h, asm/segment.h, linux/stat.h and linux/fcntl.h: fixed by the kernel's interface. */
#define NR_WRITE 1
#define USER32_CS 0x23
#define S_IFMT 0170000
#define S_IFREG 0100000
#define O_APPEND 02000

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&log_counts, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline bool is_appended_to(u64 fd)
{
	struct task_struct___logs *task = (void *)bpf_get_current_task();
	struct fdtable___logs *table = BPF_CORE_READ(task, files, fdt);
	struct file___logs **files, *file = NULL;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return false;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd) || !file)
		return false;
	return BPF_CORE_READ(file, f_flags) & O_APPEND &&
	       (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFREG;
}

static __always_inline u32 stream_of(u64 fd)
{
	if (fd == 1 || fd == 2)
		return wanted_streams & 1 << fd ? fd : 0;
	return wanted_streams & 1 << GT_LOG_FILE && is_appended_to(fd) ? GT_LOG_FILE : 0;
}

/* The structure of the goroutine that the current thread runs; 0 where it can't be read. */
static __always_inline u64 current_goroutine(const struct gt_logging *proc)
{
	struct task_struct___logs *task = (void *)bpf_get_current_task();
	u64 g = read_u64(BPF_CORE_READ(task, thread.fsbase) + proc->tls_g);

	return g ? read_field(read_field(g, proc->g_m), proc->m_curg) : 0;
}

static __always_inline void fill(struct gt_log *log, const struct gt_log *known, char *text, u32 room, u64 from)
{
	u64 length = known->length;

	*log = *known;
	if (length > wanted_text)
		length = wanted_text;
	if (length > room)
		length = room;
	if (length && bpf_probe_read_user(text, length, (void *)from)) {
		count(GT_LOG_TEXT_UNREAD);
		log->unread = 1;
		length = 0;
	}
	log->text_len = length;
}

#define TELL(room, known, from)                                                          \
	({                                                                               \
		struct {                                                                 \
			struct gt_log head;                                              \
			char text[room];                                                 \
		} *told = bpf_ringbuf_reserve(&log_lines, sizeof(*told), 0);              \
		if (told) {                                                              \
			fill(&told->head, known, told->text, room, from);                \
			bpf_ringbuf_submit(told, BPF_RB_NO_WAKEUP);                      \
		} else {                                                                 \
			count(GT_LOG_RING_FULL);                                         \
		}                                                                        \
	})

static __always_inline void written_by(const struct gt_logging *proc, u32 stream, u64 from, u64 length)
{
	const struct gt_descent of = DESCENT_OF(proc);
	struct gt_log log = { .length = length, .instance = proc->instance, .stream = stream };
	u64 g = current_goroutine(proc);
	struct server_state *state;

	if (g)
		log.goid = read_field(g, proc->g_goid);
	if (!log.goid) {
		count(GT_LOG_G_UNREAD);
		return;
	}
	state = served_by(&of, g, log.goid);
	if (!state) {
		count(GT_LOG_NO_SPAN);
		return;
	}
	log.span_id = state->span_id;
	__builtin_memcpy(log.trace_id, state->trace_id, sizeof(log.trace_id));
	log.trace_flags = state->trace_flags;
	asm volatile("" ::: "memory");
	/* Another goroutine's request may have ended meanwhile, and given its place to the next one. */
	if (state->span_id != log.span_id || !state->active) {
		count(GT_LOG_NO_SPAN);
		return;
	}
	log.time_ns = bpf_ktime_get_ns();
	if (length > GT_LOG_SHORT && wanted_text > GT_LOG_SHORT)
		TELL(GT_LOG_LONG, &log, from);
	else
		TELL(GT_LOG_SHORT, &log, from);
}

/* sys_exit(registers, result) */
SEC("raw_tp/sys_exit")
int log_written(struct bpf_raw_tracepoint_args *ctx)
{
#if defined(__TARGET_ARCH_x86)
	struct pt_regs *regs = (void *)ctx->args[0];
	long written = ctx->args[1];
	u32 tgid = bpf_get_current_pid_tgid() >> 32, stream;
	const struct gt_logging *proc;
	u64 number = 0;
	struct {
		u64 dx, si, di, orig_ax, ip, cs;
	} saved;

	if (written <= 0)
		return 0;
	bpf_probe_read_kernel(&number, sizeof(number), &regs->orig_ax);
	if (number != NR_WRITE)
		return 0;
	proc = bpf_map_lookup_elem(&logging, &tgid);
	if (!proc || bpf_probe_read_kernel(&saved, sizeof(saved), &regs->dx) || saved.cs == USER32_CS)
		return 0;
	stream = stream_of(saved.di);
	if (!stream)
		return 0;
	count(GT_LOG_WRITES);
	written_by(proc, stream, saved.si, written);
#endif
	return 0;
}
