/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel's structures that the host's instruments read, moved by CO-RE. The suffix lets them stand
 * beside those of vmlinux.h; libbpf ignores it.
 */
#ifndef GOTAP_HOST_KERNEL_H
#define GOTAP_HOST_KERNEL_H

#define BPF_NOEXIST 1

#define PF_KTHREAD 0x200000
#define SIGNAL_GROUP_EXIT 0x4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node___h {
	const char *name;
};

struct cgroup_subsys_state___h {
	struct cgroup___h *cgroup;
	struct cgroup_subsys_state___h *parent;
};

struct cgroup___h {
	struct cgroup_subsys_state___h self;
	int level;
	struct kernfs_node___h *kn;
};

struct css_set___h {
	struct cgroup_subsys_state___h *subsys[1];
	struct cgroup___h *dfl_cgrp;
};

struct qstr___h {
	const unsigned char *name;
};

struct dentry___h {
	struct dentry___h *d_parent;
	struct qstr___h d_name;
};

struct vfsmount___h {
	struct dentry___h *mnt_root;
};

struct mount___h {
	struct mount___h *mnt_parent;
	struct dentry___h *mnt_mountpoint;
	struct vfsmount___h mnt;
};

struct path___h {
	struct vfsmount___h *mnt;
	struct dentry___h *dentry;
};

struct file___h {
	struct path___h f_path;
};

struct mm_struct___h {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file___h *exe_file;
};

struct signal_struct___h {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
};

struct task_struct___h {
	unsigned int flags;
	int exit_state;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct___h *real_parent;
	struct task_struct___h *group_leader;
	u64 start_time;
	struct mm_struct___h *mm;
	struct css_set___h *cgroups;
	struct signal_struct___h *signal;
	char comm[16];
};

enum cgroup_subsys_id___h {
	memory_cgrp_id___h = 1,
	pids_cgrp_id___h = 2,
};

#pragma clang attribute pop

#endif
