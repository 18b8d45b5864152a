/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of wire.h: what the programs know of Go types that interface values hold. */
#ifndef GOTAP_TYPES_H
#define GOTAP_TYPES_H

enum gt_type_role {
	GT_TYPE_CONTEXT = 1, /* a context whose parent interface is at `first` */
	GT_TYPE_CONTEXT_VIA = 2, /* the pointer at `first`, then the interface at `second` */
	GT_TYPE_ERROR_WRAP = 3, /* an error that holds another one at `first` */
	GT_TYPE_ERROR_STRING = 4, /* an error whose text is the string at `first` */
	GT_TYPE_ERRNO = 5, /* syscall.Errno */
	GT_TYPE_HTTP2_CODE = 6, /* an error whose HTTP/2 error code is at `first` */
	GT_TYPE_NOTHING_SENT = 7, /* HTTP/2's: there was no connection to use, another is dialled */
	GT_TYPE_NO_BODY = 8, /* a request's body that is none */
	GT_TYPE_SQLSTATE = 10, /* an error whose SQLSTATE is the string at `first` */
	GT_TYPE_SQL_NUMBER = 11, /* an error whose number is at `first`, of `second` bytes */
	GT_TYPE_GRPC_STATUS = 9, /* gRPC's error: `first` pointers lead from it to the status's message */
	GT_TYPE_ANSWER = 12, /* what a server answered, as the string at `first` */
	GT_TYPE_CONNECT_ERROR = 14, /* connect's: code at `first`, the error that it holds at `second` */
	GT_TYPE_REQUEST_CONTEXT = 13, /* of fasthttp: the pointer at `first`; GT_NONE: itself */
	GT_TYPE_CONTEXT_FORK = 15, /* contexts at `first`, `second` and `third`; GT_NONE: none */
	GT_TYPE_CONTEXT_FORK_MORE = 16, /* the same, and the type holds contexts that are not followed */
	GT_TYPE_CONN = 18, /* a net.Conn whose netFD `first` points to, which has its descriptor at `second` */
	GT_TYPE_CONN_VIA = 19, /* a net.Conn that holds another one at `first` */
	GT_TYPE_CONTEXT_ROOT = 17, /* a context that can hold no other one */
};

/* What is known of a type that interface values hold. */
struct gt_type {
	__u16 role; /* enum gt_type_role */
	__u16 first;
	__u16 second;
	__u16 third;
};
_Static_assert(sizeof(struct gt_type) == 8, "wire");

#endif
