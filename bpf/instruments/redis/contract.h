/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Events of clients of Redis, and their constants of a process. */
#ifndef GOTAP_REDIS_CONTRACT_H
#define GOTAP_REDIS_CONTRACT_H

#define GT_EVENT_REDIS 12

/* What a site of a Redis client stands for; some are operations, too. */
enum gt_redis_site {
	GT_REDIS_COMMAND = 0, /* an attempt of a command of go-redis */
	GT_REDIS_PIPELINE = 1, /* its pipelines and transactions, with all their attempts */
	GT_REDIS_DO = 2, /* redigo's Do, with what was sent before */
	GT_REDIS_RETRY = 3, /* go-redis has waited before another attempt */
	GT_REDIS_REPLY = 4, /* redigo got a reply */
	GT_REDIS_FATAL = 5, /* redigo's connection failed */
	GT_REDIS_BATCH = 6, /* commands for a node of a cluster, an attempt of them; redigo's of Send and Flush */
	GT_REDIS_TRANSACTION = 7, /* the same between MULTI and EXEC, which are not counted */
	GT_REDIS_FLUSH = 8, /* redigo sends what it has, and nobody waits yet */
	GT_REDIS_RECEIVE = 9, /* redigo got a reply that Receive waited for */
	GT_REDIS_CLOSE = 10, /* redigo's connection is closed */
};

/* Commands of a client of Redis: one, or several that were sent together. */
struct gt_redis_event {
	struct gt_event_header header;
	struct gt_span span;
	__u64 subject; /* the error's type descriptor, 0 none */
	__u64 number; /* errno */
	__s64 db; /* index, -1 unknown */
	__u32 batch; /* commands; of redigo those sent ahead of the last one */
	__u32 args; /* of a single command, its name included */
	__u8 operation; /* enum gt_redis_site */
	__u8 error; /* enum gt_type_role of the error that was read, 0 none */
	__u16 name_len;
	__u16 message_len;
	__u16 address_len;
	__u16 peer_port;
	__u8 peer_len;
	__u8 pad[5];
	__u8 peer[16] GT_WORDS;
	char name[32] GT_WORDS; /* of the first command, or redigo's last */
	char message[48] GT_WORDS; /* the error's text */
	char address[64] GT_WORDS; /* host:port, or a path */
};
_Static_assert(sizeof(struct gt_redis_event) == 280, "wire");

/* One of two libraries of the same authors: github.com/go-redis/redis/v8, github.com/redis/go-redis/v9. */
struct gt_go_redis {
	__u64 set_up_pool; /* *pool.SingleConnPool, of clients that set up a connection */
	__u64 string; /* the type string */
	__u16 client_pool, client_opt; /* baseClient */
	__u16 opt_addr, opt_db; /* Options */
	__u16 cmd_args, cmd_err; /* baseCmd */
	__u16 node_client; /* clusterNode */
	__u16 client_base; /* Client */
};
_Static_assert(sizeof(struct gt_go_redis) == 32, "wire");

/* github.com/gomodule/redigo: its conn. */
struct gt_redigo {
	__u16 pending, conn;
	__u16 bw; /* GT_NONE: nothing is asked for by Send */
	__u16 writer_buf, writer_n; /* bufio.Writer */
	__u16 pad[3];
};
_Static_assert(sizeof(struct gt_redigo) == 16, "wire");

struct gt_redis {
	struct gt_go_redis go_redis[2];
	struct gt_redigo redigo;
};
_Static_assert(sizeof(struct gt_redis) == 80, "wire");

#endif
