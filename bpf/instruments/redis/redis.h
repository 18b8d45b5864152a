/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The instrument of clients of Redis: a part of it for each GT_PART, see instruments.h. */
#if GT_PART == GT_CONTRACTS
#include "contract.h"
#elif GT_PART == GT_CONSTANTS
struct gt_redis redis;
#elif GT_PART == GT_PROBES
/* Clients of Redis: where an operation starts. */
PROBE(REDIS_START, redis_start, CALL, redis)
/* Where it ends, or a part of it. */
PROBE(REDIS_END, redis_end, SITE, redis_end)
#elif GT_PART == GT_STATE
#include "state.h"
#elif GT_PART == GT_CODE
#include "redigo.h"
#include "redis.bpf.c"
#endif
