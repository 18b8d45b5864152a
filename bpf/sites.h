/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A part of wire.h: constants of single probe sites, which user space gives to the programs. */
#ifndef GOTAP_SITES_H
#define GOTAP_SITES_H

/* Where an operation's site finds what it needs: x86 numbers of registers, GT_NO_REGISTER none, and
 * offsets, GT_NONE none. By the address of the instruction, as one probe has many sites. */
#define GT_NO_REGISTER 0xff
#define GT_SITE_STACK_CHECK 1 /* ignore hits at which the stack grows */
#define GT_SITE_QUIET 2 /* an end that comes by without an operation, too */
#define GT_SITE_ERRORS 4 /* an end only if there is an error */
#define GT_SITE_OWN_ERROR 8 /* the error is connect's own: its second word says all */
/* What an operation is known by from its start to its end. */
enum gt_site_key {
	GT_KEY_GOROUTINE = 0,
	GT_KEY_WITHIN = 1, /* the connection, perhaps in the middle of another operation */
	GT_KEY_RECEIVER = 2, /* the connection, which is the receiver or at `key_field` in it */
};
struct gt_site {
	__u8 operation; /* what it stands for: a number of the instrument's own */
	__u8 flags;
	__u8 base; /* the receiver */
	__u8 context[2];
	__u8 text[2];
	__u8 error[2];
	__u8 library; /* which of the libraries of the instrument it is of */
	__u16 base_slot; /* the receiver is at this offset behind the register `base` */
	__u16 context_field; /* of the receiver */
	__u16 text_field;
	__u16 db_field; /* none: the receiver is the sql.DB; connect: a call's response */
	__u16 error_slot; /* the error is at this distance from the stack pointer */
	__u16 error_closure; /* the error is where the word at this offset in the closure points to */
	__u16 error_field; /* of the receiver */
	__u16 key_field; /* of the receiver; connect: its call, none: it is the call */
	__u16 batch_field; /* a slice of statements, in what the fourth argument points to */
	__u8 key; /* enum gt_site_key */
	__u8 pad[3];
};
_Static_assert(sizeof(struct gt_site) == 32, "wire");

#endif
