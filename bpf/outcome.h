/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of wire.h: how an operation ended, and what of it could not be read. */
#ifndef GOTAP_OUTCOME_H
#define GOTAP_OUTCOME_H

/* How an operation ended. */
enum gt_outcome {
	GT_OUTCOME_DONE = 0,
	GT_OUTCOME_ABORTED = 1, /* the handler panicked or called runtime.Goexit */
	GT_OUTCOME_HIJACKED = 2,
	GT_OUTCOME_ERROR = 3, /* the round trip returned an error */
	GT_OUTCOME_CTX_DONE = 4, /* the context was done before anything was sent */
	GT_OUTCOME_GIVEN_UP = 5, /* the handler panicked with http.ErrAbortHandler */
	GT_OUTCOME_LEFT = 6, /* the same after the client had left */
	GT_OUTCOME_REFUSED = 7, /* the client takes the request for none that can be sent */
};

/*
 * What of an operation could not be read: bit numbers in gt_span.unread. It is unknown then, and
 * neither zero, nor empty, nor success. Texts say so by their length, GT_TEXT_UNREAD, addresses by theirs.
 */
enum gt_unread {
	GT_UNREAD_METHOD = 0,
	GT_UNREAD_TARGET = 1, /* path or, of gRPC, what was dialled */
	GT_UNREAD_SCHEME = 2,
	GT_UNREAD_HOST = 3,
	GT_UNREAD_PEER = 4,
	GT_UNREAD_USER_AGENT = 5,
	GT_UNREAD_ROUTE = 6,
	GT_UNREAD_STATUS = 7, /* status or code */
	GT_UNREAD_ERROR = 8, /* whether there is an error, or which */
	GT_UNREAD_MESSAGE = 9,
	GT_UNREAD_SIZE = 10, /* of the response */
	GT_UNREAD_RESEND = 11,
	GT_UNREAD_STATEMENT = 12,
	GT_UNREAD_COMMAND = 13, /* name and arguments of a command */
	GT_UNREAD_BATCH = 14,
	GT_UNREAD_DATABASE = 15,
	GT_UNREAD_ADDRESS = 16,
	GT_UNREAD_HEADERS = 17, /* of a served request, that the user asks for */
	GT_UNREAD_COUNT = 18,
};
#define GT_TEXT_UNREAD 0xffff
#define GT_ADDRESS_UNREAD 0xff

#endif
