/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Events of operations on databases. */
#ifndef GOTAP_SQL_CONTRACT_H
#define GOTAP_SQL_CONTRACT_H

#define GT_EVENT_SQL 11

/* What is asked of a database. */
enum gt_sql_operation {
	GT_SQL_QUERY = 0,
	GT_SQL_EXEC = 1,
	GT_SQL_PREPARE = 2,
	GT_SQL_STMT_QUERY = 3,
	GT_SQL_STMT_EXEC = 4,
	GT_SQL_BEGIN = 5,
	GT_SQL_COMMIT = 6,
	GT_SQL_ROLLBACK = 7,
	GT_SQL_BATCH = 8,
	GT_SQL_COPY = 9,
};

/* What of a program speaks to a database. */
enum gt_sql_library {
	GT_SQL_STD = 0, /* database/sql */
	GT_SQL_PGX4 = 1,
	GT_SQL_PGX5 = 2,
};

/* An operation on a database. Sent with as much of the text as there is. */
struct gt_sql_event {
	struct gt_event_header header;
	struct gt_span span;
	__u64 db; /* address of the sql.DB, or of pgx's configuration */
	__u64 subject; /* the error's type descriptor, 0 none */
	__u64 number; /* of the error, where its driver has numbers */
	__u8 operation; /* enum gt_sql_operation */
	__u8 error; /* enum gt_type_role of the error that was read, 0 none */
	__u16 text_len;
	__u16 message_len;
	__u16 state_len;
	__u32 batch; /* statements of a batch */
	__u8 library; /* enum gt_sql_library */
	__u8 pad[3];
	char state[8] GT_WORDS; /* SQLSTATE */
	char message[48] GT_WORDS; /* the error's text where it is a plain string */
	char text[1024] GT_WORDS; /* the statement */
};
_Static_assert(sizeof(struct gt_sql_event) == 1192, "wire");

#endif
