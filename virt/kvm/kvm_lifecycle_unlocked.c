// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: call functions that rely on vcpu->mutex without holding it, to see whether the
 * kernel notices.
 *
 * Only functions that read a few fields of the vCPU and change nothing are in the table: beside any
 * work of the task that holds the mutex, only their result can be wrong, and that isn't used.
 */
#include <linux/kvm_host.h>
#include <linux/mutex.h>

#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#endif

#include "kvm_lifecycle.h"

/* An indirect call must be of the very type that the function has. */
#ifdef CONFIG_X86_64
static void kvml_call_bool(unsigned long entry, struct kvm_vcpu *vcpu)
{
	bool (*fn)(struct kvm_vcpu *vcpu) = (void *)entry;

	fn(vcpu);
}

static void kvml_call_ulong(unsigned long entry, struct kvm_vcpu *vcpu)
{
	unsigned long (*fn)(struct kvm_vcpu *vcpu) = (void *)entry;

	fn(vcpu);
}

/*
 * Where kvm_amd is built in, its functions are there with any processor; with SVM in the processor
 * every VM is one of kvm_amd.
 */
static bool kvml_svm_usable(void)
{
	return boot_cpu_has(X86_FEATURE_SVM);
}
#endif

#ifdef CONFIG_ARM64
/* The register at offset 0, GICR_CTLR, is a field of the vCPU, with or without a vGIC. */
static void kvml_call_uaccess(unsigned long entry, struct kvm_vcpu *vcpu)
{
	int (*fn)(struct kvm_vcpu *vcpu, bool is_write, int offset, u32 *val) = (void *)entry;
	u32 val;

	fn(vcpu, false, 0, &val);
}
#endif

static const struct kvml_callee {
	const char *name;
	void (*call)(unsigned long entry, struct kvm_vcpu *vcpu);
	bool (*usable)(void);	/* whether any vCPU will do; NULL: it does */
} kvml_callees[] = {
#ifdef CONFIG_X86_64
	{ "kvm_hv_assist_page_enabled", kvml_call_bool },
	{ "nested_svm_get_tdp_cr3", kvml_call_ulong, kvml_svm_usable },
#endif
#ifdef CONFIG_ARM64
	{ "vgic_v3_redist_uaccess", kvml_call_uaccess },
#endif
};

struct kvml_unlocked_calls {
	unsigned int nr;
};

static int kvml_unlocked_call(const struct kvml_callee *callee, struct kvm *kvm, int index,
			      bool locked)
{
	struct kvm_vcpu *vcpu;
	struct kvml_func func;
	int ret;

	if (callee->usable && !callee->usable())
		return -ENOENT;

	ret = kvml_vcpu_find(kvm, index, &vcpu);
	if (ret)
		return ret;
	if (!vcpu)
		return -EINVAL;

	ret = kvml_func_get(callee->name, &func);
	if (ret)
		return ret == -ENOMEM ? ret : -ENOENT;

	if (locked) {
		ret = mutex_lock_killable(&vcpu->mutex);
		if (ret)
			goto out;
	}
	callee->call(func.entry, vcpu);
	if (locked)
		mutex_unlock(&vcpu->mutex);
out:
	kvml_func_put(&func);
	return ret;
}

static int kvml_unlocked_write(void *state, char *cmd)
{
	struct kvml_unlocked_calls *calls = state;
	const struct kvml_callee *callee;
	struct kvml_vm vm;
	char *field[4];
	int i, n, index, ret;

	n = kvml_split(cmd, field, ARRAY_SIZE(field));
	if (n < 3 || n > 4 || (n == 4 && strcmp(field[3], "locked")) ||
	    kstrtoint(field[1], 10, &index) || index < 0)
		return -EINVAL;

	for (i = 0; i < ARRAY_SIZE(kvml_callees); i++) {
		if (!strcmp(kvml_callees[i].name, field[2]))
			break;
	}
	if (i == ARRAY_SIZE(kvml_callees))
		return -EINVAL;
	callee = &kvml_callees[i];

	ret = kvml_vm_get(field[0], &vm);
	if (ret)
		return ret;
	ret = kvml_unlocked_call(callee, vm.kvm, index, n == 4);
	kvml_vm_put(&vm);
	if (!ret)
		calls->nr++;
	return ret;
}

static int kvml_unlocked_show(struct seq_file *m, void *state)
{
	struct kvml_unlocked_calls *calls = state;

	seq_printf(m, "calls %u\n", calls->nr);
	return 0;
}

const struct kvml_part kvml_unlocked = {
	.name = "unlocked",
	.unsafe = true,
	.kvm = true,
	.state_size = sizeof(struct kvml_unlocked_calls),
	.show = kvml_unlocked_show,
	.write = kvml_unlocked_write,
};
