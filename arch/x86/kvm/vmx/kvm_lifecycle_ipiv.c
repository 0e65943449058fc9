// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: the PID-pointer table of IPI virtualization, on any processor with VMX.
 *
 * KVM puts a vCPU's posted-interrupt descriptor into the table in vmx_vcpu_create(), and takes it
 * out in vmx_vcpu_free(), if the processor has IPI virtualization.  For the length of these
 * functions, and of the one that allocates the table, KVM is told that it has.  The processor
 * isn't: nothing but memory is written.
 *
 * Built with KVM's private headers, as AVIC's part is.
 */
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include <asm/cpufeature.h>

#include "vmx/vmx.h"

#include "kvm_lifecycle.h"

/* More are counted, and not recorded. */
#define KVML_IPIV_EVENTS	64

/* Calls of one function at a time. */
#define KVML_IPIV_ACTIVE	16

/* The functions, and what has become of the vCPU when they return, for those that have one. */
static const struct {
	const char *name, *event;
} kvml_ipiv_funcs[] = {
	{ "vmx_vcpu_precreate" },
	{ "vmx_vcpu_create", "created" },
	{ "vmx_vcpu_free", "freed" },
};

/*
 * A vCPU, its entry, and its descriptor's control bits, when a function returned.  Handlers run in
 * any context, and take no lock: a slot is the reader's once it has a name.
 */
struct kvml_ipiv_event {
	const char *name;
	unsigned int id;
	u64 entry, control;
};

struct kvml_ipiv {
	struct module *owner;
	bool *enabled;		/* KVM's variable */
	bool fake;		/* it is off without us */
	pid_t tgid;
	atomic_t inside;
	atomic_t nr;
	struct kvml_ipiv_event event[KVML_IPIV_EVENTS];
	struct kvml_ipiv_probe {
		struct kretprobe rp;
		const char *event;
		struct kvml_ipiv *ipiv;
	} probe[ARRAY_SIZE(kvml_ipiv_funcs)];
};

/* A call: the vCPU, or NULL for the table's allocation. */
struct kvml_ipiv_call {
	struct kvm_vcpu *vcpu;
};

static atomic_t kvml_ipiv_opened = ATOMIC_INIT(0);

static struct kvml_ipiv_probe *kvml_ipiv_probe(struct kretprobe_instance *ri)
{
	return container_of(get_kretprobe(ri), struct kvml_ipiv_probe, rp);
}

static u64 *kvml_ipiv_table(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(to_kvm_vmx(vcpu->kvm)->pid_table);
}

static struct pi_desc *kvml_ipiv_desc(struct kvm_vcpu *vcpu)
{
#ifdef KVML_PI_DESC_IN_VT
	return &to_vmx(vcpu)->vt.pi_desc;
#else
	return &to_vmx(vcpu)->pi_desc;
#endif
}

static int __kprobes notrace kvml_ipiv_begin(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kvml_ipiv_probe *probe = kvml_ipiv_probe(ri);
	struct kvml_ipiv_call *call = (void *)ri->data;
	struct kvml_ipiv *ipiv = probe->ipiv;

	if (current->tgid != ipiv->tgid)
		return 1;

	call->vcpu = NULL;
	if (probe->event) {
		call->vcpu = (void *)regs_get_kernel_argument(regs, 0);
		/* A VM whose first vCPU is older than this open file has none. */
		if (!kvml_ipiv_table(call->vcpu))
			return 1;
	}

	atomic_inc(&ipiv->inside);
	if (ipiv->fake)
		WRITE_ONCE(*ipiv->enabled, true);
	return 0;
}

static int __kprobes notrace kvml_ipiv_end(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kvml_ipiv_probe *probe = kvml_ipiv_probe(ri);
	struct kvml_ipiv_call *call = (void *)ri->data;
	struct kvml_ipiv *ipiv = probe->ipiv;
	struct kvm_vcpu *vcpu = call->vcpu;
	struct kvml_ipiv_event *event;
	int nr;

	if (atomic_dec_and_test(&ipiv->inside) && ipiv->fake)
		WRITE_ONCE(*ipiv->enabled, false);
	if (!vcpu)
		return 0;

	nr = atomic_inc_return(&ipiv->nr) - 1;
	if (nr >= KVML_IPIV_EVENTS)
		return 0;
	event = &ipiv->event[nr];
	event->id = vcpu->vcpu_id;
	event->entry = READ_ONCE(kvml_ipiv_table(vcpu)[vcpu->vcpu_id]);
	event->control = READ_ONCE(kvml_ipiv_desc(vcpu)->control);
	/* Pairs with the reader's acquire: all of the slot is written. */
	smp_store_release(&event->name, probe->event);
	return 0;
}

/* KVM's variable is that of a parameter of kvm_intel. */
static bool *kvml_ipiv_variable(struct module *mod)
{
	const struct kernel_param *kp = kvml_module_param(mod, "enable_ipiv");

	return kp ? kp->arg : NULL;
}

static const char *kvml_ipiv_check(struct module **owner)
{
	struct module *mod;

	if (!boot_cpu_has(X86_FEATURE_VMX))
		return "the processor has no VMX";
	mod = kvml_module_get("kvm_intel");
	if (!mod)
		return "the module kvm_intel is not loaded";
	if (!kvml_ipiv_variable(mod)) {
		module_put(mod);
		return "kvm_intel has no parameter enable_ipiv";
	}
	*owner = mod;
	return NULL;
}

static const char *kvml_ipiv_missing(void)
{
	struct module *owner;
	const char *why = kvml_ipiv_check(&owner);

	if (!why)
		module_put(owner);
	return why;
}

static void kvml_ipiv_close(void *state)
{
	struct kvml_ipiv *ipiv = state;
	int i;

	for (i = 0; i < ARRAY_SIZE(ipiv->probe); i++) {
		/* Set from registration on, and by nothing else. */
		if (ipiv->probe[i].ipiv)
			unregister_kretprobe(&ipiv->probe[i].rp);
	}
	/* A call that was inside has no return handler any more. */
	if (ipiv->fake)
		WRITE_ONCE(*ipiv->enabled, false);
	module_put(ipiv->owner);
	atomic_set(&kvml_ipiv_opened, 0);
}

static int kvml_ipiv_open(void *state)
{
	struct kvml_ipiv *ipiv = state;
	struct kretprobe *rp;
	int i, ret;

	if (atomic_xchg(&kvml_ipiv_opened, 1))
		return -EBUSY;
	if (kvml_ipiv_check(&ipiv->owner)) {
		atomic_set(&kvml_ipiv_opened, 0);
		return -EOPNOTSUPP;
	}

	ipiv->tgid = current->tgid;
	ipiv->enabled = kvml_ipiv_variable(ipiv->owner);
	ipiv->fake = !READ_ONCE(*ipiv->enabled);
	for (i = 0; i < ARRAY_SIZE(ipiv->probe); i++) {
		rp = &ipiv->probe[i].rp;
		rp->kp.symbol_name = kvml_ipiv_funcs[i].name;
		rp->entry_handler = kvml_ipiv_begin;
		rp->handler = kvml_ipiv_end;
		rp->data_size = sizeof(struct kvml_ipiv_call);
		rp->maxactive = KVML_IPIV_ACTIVE;
		ipiv->probe[i].event = kvml_ipiv_funcs[i].event;
		ipiv->probe[i].ipiv = ipiv;
		ret = register_kretprobe(rp);
		if (ret) {
			ipiv->probe[i].ipiv = NULL;
			kvml_ipiv_close(ipiv);
			return ret == -ENOENT ? -EOPNOTSUPP : ret;
		}
	}
	return 0;
}

static int kvml_ipiv_show(struct seq_file *m, void *state)
{
	struct kvml_ipiv *ipiv = state;
	const struct kvml_ipiv_event *event;
	const char *name;

	seq_printf(m, "events %d fake %d\n", atomic_read(&ipiv->nr), ipiv->fake);
	for (event = ipiv->event; event < ipiv->event + KVML_IPIV_EVENTS; event++) {
		/* Pairs with the handler's release. */
		name = smp_load_acquire(&event->name);
		if (name)
			seq_printf(m, "%s %u entry 0x%llx control 0x%llx\n", name, event->id,
				   event->entry, event->control);
	}
	return 0;
}

const struct kvml_part kvml_ipiv = {
	.name = "ipiv",
	.unsafe = true,
	.kvm = true,
	.missing = kvml_ipiv_missing,
	.state_size = sizeof(struct kvml_ipiv),
	.open = kvml_ipiv_open,
	.close = kvml_ipiv_close,
	.show = kvml_ipiv_show,
};
