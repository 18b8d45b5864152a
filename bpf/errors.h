/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What an error says, of those kinds that clients of databases return. HTTP's are in http.h. */
#ifndef GOTAP_ERRORS_H
#define GOTAP_ERRORS_H

struct found_error {
	u64 subject; /* the outermost error's type descriptor, 0 without an error */
	u64 number;
	struct go_string text; /* still in the target */
	u64 role; /* enum gt_type_role of the error that it was read from, 0 none */
	u32 unread; /* bits of enum gt_unread */
	u32 pad;
};

/* Follows an error to what has a code, else to a text or an errno. */
static __noinline int find_error(const struct gt_process *proc, const struct go_iface *given,
				 struct found_error *out)
{
	struct go_iface error = *given;

	__builtin_memset(out, 0, sizeof(*out));
	for (u32 i = 0; i < 4 && error.tab; i++) {
		u64 type_at = dynamic_type(error.tab);
		struct gt_key key = key_of(proc, type_at);
		struct gt_type *type = bpf_map_lookup_elem(&go_types, &key);

		if (!i)
			out->subject = type_at;
		if (!type_at)
			out->unread |= UNREAD(ERROR);
		if (!type)
			break;
		out->role = type->role;
		if (type->role == GT_TYPE_SQLSTATE || type->role == GT_TYPE_ERROR_STRING ||
		    type->role == GT_TYPE_ANSWER) {
			out->text = read_text(error.data, type->first);
			break;
		}
		if (type->role == GT_TYPE_SQL_NUMBER) {
			out->number = read_noted(error.data + type->first, UNREAD(STATUS),
						 &out->unread);
			if (type->second == 2)
				out->number &= 0xffff;
			break;
		}
		/* An interface holds a number by a pointer to it. */
		if (type->role == GT_TYPE_ERRNO)
			out->number = read_noted(error.data + type->first, UNREAD(ERROR),
						 &out->unread);
		if (type->role != GT_TYPE_ERROR_WRAP)
			break;
		error = read_iface_noted(error.data + type->first, UNREAD(ERROR), &out->unread);
	}
	return 0;
}

#endif
