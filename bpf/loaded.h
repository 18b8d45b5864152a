/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which probes the programs of one load serve. User space sets it before the load, so that the verifier goes through
 * nothing that only other probes need, and the kernel does not keep it.
 */
#ifndef GOTAP_LOADED_H
#define GOTAP_LOADED_H

const volatile bool loaded_probes[GT_PROBE_COUNT] SEC(".rodata.loaded");

static __always_inline bool is_loaded(u32 probe)
{
	return loaded_probes[probe];
}

/* Whether it is this probe, as far as the verifier has to know. */
static __always_inline bool is_probe(u32 probe, u32 which)
{
	return is_loaded(which) && probe == which;
}

#endif
