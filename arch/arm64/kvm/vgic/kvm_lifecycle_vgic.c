// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: the settings of a VM's vGIC, and whether it is initialised.
 */
#include <linux/kvm_host.h>

#include "kvm_lifecycle.h"

struct kvml_vgic_vm {
	struct kvml_vm vm;
};

static void kvml_vgic_close(void *state)
{
	struct kvml_vgic_vm *vgic = state;

	kvml_vm_put(&vgic->vm);
}

static int kvml_vgic_write(void *state, char *cmd)
{
	struct kvml_vgic_vm *vgic = state;

	return kvml_vm_select(&vgic->vm, cmd);
}

/* Takes no lock: it shows the progress of a paused task that holds config_lock. */
static int kvml_vgic_show(struct seq_file *m, void *state)
{
	struct kvml_vgic_vm *vgic = state;
	struct vgic_dist *dist;

	if (!vgic->vm.kvm)
		return -ENODATA;

	dist = &vgic->vm.kvm->arch.vgic;
	seq_printf(m, "initialized %d implementation_rev %u nassgireq %d ",
		   READ_ONCE(dist->initialized), READ_ONCE(dist->implementation_rev),
		   READ_ONCE(dist->nassgireq));
	seq_printf(m, "in_kernel %d model %u ready %d nr_spis %d\n",
		   READ_ONCE(dist->in_kernel), READ_ONCE(dist->vgic_model),
		   READ_ONCE(dist->ready), READ_ONCE(dist->nr_spis));
	return 0;
}

const struct kvml_part kvml_vgic = {
	.name = "vgic",
	.kvm = true,
	.state_size = sizeof(struct kvml_vgic_vm),
	.close = kvml_vgic_close,
	.show = kvml_vgic_show,
	.write = kvml_vgic_write,
};
