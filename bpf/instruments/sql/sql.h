/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The instrument of database/sql and pgx: a part of it for each GT_PART, see instruments.h. */
#if GT_PART == GT_CONTRACTS
#include "contract.h"
#elif GT_PART == GT_PROBES
/* database/sql and pgx: where an operation starts. */
PROBE(SQL_START, sql_start, CALL, sql)
/* Where it ends. */
PROBE(SQL_END, sql_end, SITE, sql_end)
#elif GT_PART == GT_STATE
#include "state.h"
#elif GT_PART == GT_CODE
#include "sql.bpf.c"
#endif
