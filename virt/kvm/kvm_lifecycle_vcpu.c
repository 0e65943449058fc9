// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: the index of a vCPU while it is created and destroyed, the result of
 * kvm_get_vcpu(), and the failures of all-vCPU trylocks.
 */
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "kvm_lifecycle.h"

/*
 * vcpu_index
 *
 * Probe handlers run in any context, NMI-like ones included: they take no lock.  A handler
 * reserves a slot by moving head, and gives it to the reader by setting ready; the reader gives it
 * back by moving tail.  A full ring drops new events, and counts them.
 */
#define KVML_RING_SIZE	4096

static const char *const kvml_events[] = { "create", "postcreate", "destroy" };

static const char *const kvml_event_funcs[] = {
	"kvm_arch_vcpu_create", "kvm_arch_vcpu_postcreate", "kvm_arch_vcpu_destroy",
};

struct kvml_slot {
	int tgid, tid, vcpu_id, vcpu_idx;
	u8 event;
	bool ready;
};

struct kvml_recorder {
	struct kvml_func kvm;
	struct kvml_event_probe {
		struct kprobe kp;
		struct kvml_recorder *rec;
	} probe[ARRAY_SIZE(kvml_event_funcs)];
	atomic_t head;
	u32 tail;
	atomic_t lost;
	struct kvml_slot ring[KVML_RING_SIZE];
};

static int __kprobes notrace kvml_record(struct kprobe *kp, struct pt_regs *regs)
{
	struct kvml_event_probe *probe = container_of(kp, struct kvml_event_probe, kp);
	struct kvm_vcpu *vcpu = (void *)regs_get_kernel_argument(regs, 0);
	struct kvml_recorder *rec = probe->rec;
	int head = atomic_read(&rec->head);
	struct kvml_slot *slot;

	do {
		/* Pairs with the reader's release: it has done with the slot. */
		if ((u32)head - smp_load_acquire(&rec->tail) >= KVML_RING_SIZE) {
			atomic_inc(&rec->lost);
			return 0;
		}
	} while (!atomic_try_cmpxchg(&rec->head, &head, head + 1));

	slot = &rec->ring[(u32)head % KVML_RING_SIZE];
	slot->tgid = current->tgid;
	slot->tid = current->pid;
	slot->vcpu_id = vcpu->vcpu_id;
	slot->vcpu_idx = vcpu->vcpu_idx;
	slot->event = probe - rec->probe;
	/* Pairs with the reader's acquire: all of the slot is written. */
	smp_store_release(&slot->ready, true);
	return 0;
}

static void kvml_vcpu_index_close(void *state)
{
	struct kvml_recorder *rec = state;
	int i;

	for (i = 0; i < ARRAY_SIZE(rec->probe); i++) {
		/* Set from registration on, and by nothing else. */
		if (rec->probe[i].rec)
			unregister_kprobe(&rec->probe[i].kp);
	}
	kvml_func_put(&rec->kvm);
}

static int kvml_vcpu_index_open(void *state)
{
	struct kvml_recorder *rec = state;
	int ret, i;

	ret = kvml_func_get(kvml_event_funcs[0], &rec->kvm);
	if (ret)
		return -EOPNOTSUPP;

	for (i = 0; i < ARRAY_SIZE(rec->probe); i++) {
		rec->probe[i].kp.symbol_name = kvml_event_funcs[i];
		rec->probe[i].kp.pre_handler = kvml_record;
		rec->probe[i].rec = rec;
		ret = register_kprobe(&rec->probe[i].kp);
		if (ret) {
			rec->probe[i].rec = NULL;
			kvml_vcpu_index_close(rec);
			return ret;
		}
	}
	return 0;
}

static ssize_t kvml_vcpu_index_read(void *state, char __user *buf, size_t len)
{
	struct kvml_recorder *rec = state;
	struct kvml_slot *slot;
	size_t done = 0, n;
	char line[80];
	int lost;

	for (;;) {
		slot = &rec->ring[rec->tail % KVML_RING_SIZE];
		lost = 0;
		/* Pairs with the handler's release. */
		if (smp_load_acquire(&slot->ready)) {
			n = scnprintf(line, sizeof(line), "%s %d %d %d %d\n",
				      kvml_events[slot->event], slot->tgid, slot->tid,
				      slot->vcpu_id, slot->vcpu_idx);
		} else {
			/* The lost events came after all events of the ring. */
			lost = atomic_read(&rec->lost);
			if (!lost)
				return done;
			n = scnprintf(line, sizeof(line), "lost %d\n", lost);
		}

		if (n > len - done)
			return done ?: -EINVAL;
		if (copy_to_user(buf + done, line, n))
			return done ?: -EFAULT;
		done += n;

		if (lost) {
			atomic_sub(lost, &rec->lost);
			continue;
		}
		slot->ready = false;
		/* Pairs with the handler's acquire. */
		smp_store_release(&rec->tail, rec->tail + 1);
	}
}

const struct kvml_part kvml_vcpu_index = {
	.name = "vcpu_index",
	.kvm = true,
	.state_size = sizeof(struct kvml_recorder),
	.open = kvml_vcpu_index_open,
	.close = kvml_vcpu_index_close,
	.read = kvml_vcpu_index_read,
};

/*
 * trylock
 *
 * Both functions try to take the mutex of each vCPU of a VM; the older one, of arm64, says whether
 * it could, the newer one returns an error.
 */
static const char kvml_trylock_new[] = "kvm_trylock_all_vcpus";
static const char kvml_trylock_old[] = "lock_all_vcpus";

/* Callers hold kvm->lock: there is one call per VM at a time. */
#define KVML_TRYLOCK_ACTIVE	128

struct kvml_trylock_stat {
	struct kvml_func func;
	struct kretprobe rp;
	bool returns_success;
	atomic64_t calls, failed, total_ns, max_ns;
};

static int __kprobes notrace kvml_trylock_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	*(u64 *)ri->data = ktime_get_mono_fast_ns();
	return 0;
}

static int __kprobes notrace kvml_trylock_return(struct kretprobe_instance *ri,
						struct pt_regs *regs)
{
	s64 ns = ktime_get_mono_fast_ns() - *(u64 *)ri->data;
	unsigned long ret = regs_return_value(regs);
	struct kretprobe *rp = get_kretprobe(ri);
	struct kvml_trylock_stat *stat;
	s64 longest;

	if (!rp)
		return 0;

	stat = container_of(rp, struct kvml_trylock_stat, rp);
	if (stat->returns_success ? !(u8)ret : !!(int)ret)
		atomic64_inc(&stat->failed);
	atomic64_inc(&stat->calls);
	/* This clock may step back a little while it is being adjusted. */
	ns = max_t(s64, ns, 0);
	atomic64_add(ns, &stat->total_ns);
	longest = atomic64_read(&stat->max_ns);
	while (ns > longest && !atomic64_try_cmpxchg(&stat->max_ns, &longest, ns))
		;
	return 0;
}

static const char *kvml_trylock_missing(void)
{
	if (!IS_ENABLED(CONFIG_KRETPROBES))
		return "the kernel is built without kretprobes";
	if (kvml_func_exists(kvml_trylock_new) || kvml_func_exists(kvml_trylock_old))
		return NULL;
	return "KVM has no trylock of all vCPUs";
}

static int kvml_trylock_open(void *state)
{
	struct kvml_trylock_stat *stat = state;
	int ret;

	stat->rp.kp.symbol_name = kvml_trylock_new;
	ret = kvml_func_get(kvml_trylock_new, &stat->func);
	if (ret) {
		stat->rp.kp.symbol_name = kvml_trylock_old;
		stat->returns_success = true;
		ret = kvml_func_get(kvml_trylock_old, &stat->func);
	}
	if (ret)
		return -EOPNOTSUPP;

	stat->rp.entry_handler = kvml_trylock_entry;
	stat->rp.handler = kvml_trylock_return;
	stat->rp.data_size = sizeof(u64);
	stat->rp.maxactive = KVML_TRYLOCK_ACTIVE;
	ret = register_kretprobe(&stat->rp);
	if (ret)
		kvml_func_put(&stat->func);
	return ret;
}

static void kvml_trylock_close(void *state)
{
	struct kvml_trylock_stat *stat = state;

	unregister_kretprobe(&stat->rp);
	kvml_func_put(&stat->func);
}

static int kvml_trylock_show(struct seq_file *m, void *state)
{
	struct kvml_trylock_stat *stat = state;

	seq_printf(m, "calls %lld failed %lld total_ns %lld max_ns %lld",
		   atomic64_read(&stat->calls), atomic64_read(&stat->failed),
		   atomic64_read(&stat->total_ns), atomic64_read(&stat->max_ns));
	if (stat->rp.nmissed)
		seq_printf(m, " missed %d", stat->rp.nmissed);
	seq_putc(m, '\n');
	return 0;
}

const struct kvml_part kvml_trylock = {
	.name = "trylock",
	.kvm = true,
	.missing = kvml_trylock_missing,
	.state_size = sizeof(struct kvml_trylock_stat),
	.open = kvml_trylock_open,
	.close = kvml_trylock_close,
	.show = kvml_trylock_show,
};

/* get_vcpu: kvm_get_vcpu() is inline, the result is that of the headers of this build. */
struct kvml_get_vcpu_answer {
	bool asked, found;
	int vcpu_id;
};

static int kvml_get_vcpu_write(void *state, char *cmd)
{
	struct kvml_get_vcpu_answer *answer = state;
	struct kvm_vcpu *vcpu;
	struct kvml_vm vm;
	char *field[2];
	int index, ret;

	if (kvml_split(cmd, field, 2) != 2 || kstrtoint(field[1], 10, &index))
		return -EINVAL;

	ret = kvml_vm_get(field[0], &vm);
	if (ret)
		return ret;

	ret = kvml_vcpu_find(vm.kvm, index, &vcpu);
	if (!ret) {
		answer->asked = true;
		answer->found = vcpu;
		answer->vcpu_id = vcpu ? vcpu->vcpu_id : 0;
	}
	kvml_vm_put(&vm);
	return ret;
}

static int kvml_get_vcpu_show(struct seq_file *m, void *state)
{
	struct kvml_get_vcpu_answer *answer = state;

	if (!answer->asked)
		return -ENODATA;
	if (answer->found)
		seq_printf(m, "%d\n", answer->vcpu_id);
	else
		seq_puts(m, "none\n");
	return 0;
}

const struct kvml_part kvml_get_vcpu = {
	.name = "get_vcpu",
	.kvm = true,
	.state_size = sizeof(struct kvml_get_vcpu_answer),
	.show = kvml_get_vcpu_show,
	.write = kvml_get_vcpu_write,
};
