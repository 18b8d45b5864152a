/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The instruments, a line each. The list is included once for each part that they have, which GT_PART names:
 *
 *   GT_CONTRACTS  events and layouts, which user space knows, too
 *   GT_CONSTANTS  its constants of a process, if it has any: a member of struct gt_instruments
 *   GT_PROBES     lines of probes.h
 *   GT_STATE      maps, and what they hold
 *   GT_STARTS     functions that server_start() calls, where one begins that is served
 *   GT_CODE       other functions
 */
#define GT_CONTRACTS 1
#define GT_CONSTANTS 2
#define GT_PROBES 3
#define GT_STATE 4
#define GT_STARTS 5
#define GT_CODE 6
#include "instruments/fasthttp/fasthttp.h"
#include "instruments/grpc/grpc.h"
#include "instruments/connect/connect.h"
#include "instruments/sql/sql.h"
#include "instruments/redis/redis.h"
