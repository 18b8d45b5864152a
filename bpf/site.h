/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What user space said of single sites: where an operation's site finds what it needs. */
#ifndef GOTAP_SITE_H
#define GOTAP_SITE_H

static __always_inline const struct gt_site *site_of(struct pt_regs *ctx,
						     const struct gt_process *proc)
{
	struct gt_key key = key_of(proc, GO_IP(ctx));
	struct gt_site *site = bpf_map_lookup_elem(&sites, &key);

	if (site && (site->flags & GT_SITE_STACK_CHECK) && GO_STACK_GROWS(ctx))
		return NULL;
	return site;
}

/* The receiver at a site, or whatever else it takes fields of. */
static __always_inline u64 site_base(struct pt_regs *ctx, const struct gt_site *site)
{
	u64 base = x86_register(ctx, site->base);

	return site->base_slot == GT_NONE ? base : read_u64(base + site->base_slot);
}

/* The error at a site; sets a bit of `unread` where it is not known whether there is one. */
static __always_inline struct go_iface site_error(struct pt_regs *ctx, const struct gt_site *site,
						  u32 *unread)
{
	u64 at = ctx->sp + site->error_slot;

	if (site->error_slot == GT_NONE && site->error_closure != GT_NONE)
		at = read_u64(GO_CLOSURE(ctx) + site->error_closure);
	if (site->error_slot != GT_NONE || site->error_closure != GT_NONE)
		return read_iface_noted(at, UNREAD(ERROR), unread);
	return (struct go_iface){ x86_register(ctx, site->error[0]),
				  x86_register(ctx, site->error[1]) };
}

#endif
