/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Names of the kernel that stand in trees, from a leaf up to the root: the path of a process's
 * executable, and its cgroup. User space turns them around.
 */
#ifndef GOTAP_HOST_NAMES_H
#define GOTAP_HOST_NAMES_H

#define PATH_NAME 256 /* NAME_MAX and a NUL */
#define PATH_STEPS 40
#define CGROUP_NAME 128
#define CGROUP_STEPS 12

/*
 * Appends a name; gives whether it had room and could be read. The length is kept in the record and not
 * in a register: then the verifier knows as much of it in each round of a loop, and goes through one round
 * for all.
 */
#define APPEND(to, size, name_size, length, from)                                            \
	({                                                                                   \
		volatile u16 *kept = &(length);                                              \
		u32 at = *kept;                                                              \
		long got = 0;                                                                \
		if (at <= (size) - (name_size))                                              \
			got = bpf_probe_read_kernel_str((to) + at, name_size, from);         \
		if (got > 0)                                                                 \
			*kept = at + got;                                                    \
		got > 0;                                                                     \
	})

/* The path of the file that runs, as the mounts of its namespace have it. */
static __always_inline void tell_path(struct gt_exec_event *event, char *to, struct mm_struct___h *mm)
{
	struct file___h *file = BPF_CORE_READ(mm, exe_file);
	struct dentry___h *first = BPF_CORE_READ(file, f_path.dentry), *dentry = first;
	struct vfsmount___h *vfs = BPF_CORE_READ(file, f_path.mnt);

	if (!dentry || !vfs) {
		event->flags |= GT_EXEC_PATH_UNREAD;
		return;
	}
	event->flags |= GT_EXEC_PATH_CUT;
	for (u32 i = 0; i < PATH_STEPS; i++) {
		struct dentry___h *up = BPF_CORE_READ(dentry, d_parent);
		struct mount___h *mount, *above;

		if (dentry != BPF_CORE_READ(vfs, mnt_root) && dentry != up) {
			if (!APPEND(to, GT_EXEC_PATH, PATH_NAME, event->path_len,
				    BPF_CORE_READ(dentry, d_name.name)))
				break;
			dentry = up;
			continue;
		}
		mount = (void *)vfs - bpf_core_field_offset(struct mount___h, mnt);
		above = BPF_CORE_READ(mount, mnt_parent);
		if (!above)
			break;
		if (above == mount) {
			event->flags &= ~GT_EXEC_PATH_CUT;
			break;
		}
		dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		vfs = (void *)above + bpf_core_field_offset(struct mount___h, mnt);
	}
	if (event->path_len)
		return;
	/* It lies in no folder: a memfd. */
	event->flags &= ~GT_EXEC_PATH_CUT;
	event->flags |= GT_EXEC_NO_MOUNT;
	if (!APPEND(to, GT_EXEC_PATH, PATH_NAME, event->path_len,
		    BPF_CORE_READ(first, d_name.name)))
		event->flags |= GT_EXEC_PATH_UNREAD;
}

/* The cgroup of a controller in a hierarchy of version 1, if there is one. */
static __always_inline struct cgroup___h *cgroup_of(struct css_set___h *set, u64 controller)
{
	struct cgroup_subsys_state___h *css = NULL;
	void *all = (void *)set + bpf_core_field_offset(struct css_set___h, subsys);

	if (controller > 31)
		return NULL;
	bpf_probe_read_kernel(&css, sizeof(css), all + controller * sizeof(css));
	return BPF_CORE_READ(css, cgroup);
}

/*
 * The cgroup in the hierarchy of version 2; where the process has none there but the root, that of
 * version 1's memory or pids controller.
 */
static __always_inline struct cgroup___h *task_cgroup(struct task_struct___h *task)
{
	struct css_set___h *set = BPF_CORE_READ(task, cgroups);
	struct cgroup___h *unified = BPF_CORE_READ(set, dfl_cgrp), *found;

	if (BPF_CORE_READ(unified, level) > 0)
		return unified;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id___h, memory_cgrp_id___h)) {
		found = cgroup_of(set, bpf_core_enum_value(enum cgroup_subsys_id___h,
							   memory_cgrp_id___h));
		if (BPF_CORE_READ(found, level) > 0)
			return found;
	}
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id___h, pids_cgrp_id___h)) {
		found = cgroup_of(set, bpf_core_enum_value(enum cgroup_subsys_id___h,
							   pids_cgrp_id___h));
		if (BPF_CORE_READ(found, level) > 0)
			return found;
	}
	return unified;
}

static __always_inline void tell_cgroup(struct gt_exec_event *event, char *to,
					struct task_struct___h *task)
{
	struct cgroup___h *cgroup = task_cgroup(task);

	if (!cgroup) {
		event->flags |= GT_EXEC_CGROUP_UNREAD;
		return;
	}
	for (u32 i = 0; i < CGROUP_STEPS; i++) {
		if (!cgroup || BPF_CORE_READ(cgroup, level) <= 0)
			return;
		if (!APPEND(to, GT_EXEC_CGROUP, CGROUP_NAME, event->cgroup_len,
			    BPF_CORE_READ(cgroup, kn, name)))
			break;
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
	event->flags |= GT_EXEC_CGROUP_CUT;
}

#endif
