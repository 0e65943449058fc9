/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_LIFECYCLE_H
#define KVM_LIFECYCLE_H

#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

struct kvm;
struct kvm_vcpu;

/*
 * A part is one file in debugfs.  All state belongs to the open file: close() undoes the work of
 * open() and write(), and also runs when the process dies.  show(), read() and write() of one open
 * file never run at the same time.
 *
 * @name:	name of the file
 * @unsafe:	whether it drives KVM: it needs the module parameter of that name, and with @absent
 *		there is no file
 * @absent:	the reason if the part isn't in this build at all, else NULL
 * @kvm:	whether it uses KVM, which must be loaded then; before each show(), read() and
 *		write() it is compared again, and held until that is over.  Only a pause, at a
 *		function of any name, and entries that the IOMMU's driver is to process, do
 *		without it: there a KVM that is loaded later can be any.
 * @kernel:	whether it relies on structures of the kernel itself, which is compared as well
 * @missing:	the piece that the running kernel lacks as a whole sentence, or NULL; may change
 *		whenever a module is loaded or unloaded, and a NULL holds until then
 * @state_size:	bytes of zeroed memory that an open file gets as its state
 * @open:	can't assume that the result of missing() still holds
 * @show:	the whole picture, for each read from offset 0
 * @read:	for a stream, instead of show(): whole lines only, 0 if there is nothing new
 * @write:	one command without its newline; on error the state must be as it was
 */
struct kvml_part {
	const char *name;
	bool unsafe, kvm, kernel;
	const char *absent;
	const char *(*missing)(void);
	size_t state_size;
	int (*open)(void *state);
	void (*close)(void *state);
	int (*show)(struct seq_file *m, void *state);
	ssize_t (*read)(void *state, char __user *buf, size_t len);
	int (*write)(void *state, char *cmd);
};

extern const struct kvml_part kvml_vcpu_index, kvml_trylock, kvml_get_vcpu, kvml_pause;
extern const struct kvml_part kvml_avic, kvml_ga_log, kvml_iommu_part, kvml_ipiv;
extern const struct kvml_part kvml_vgic, kvml_unlocked;

/* A function of the kernel or of a module.  While it is held, the module can't be unloaded. */
struct kvml_func {
	unsigned long entry;
	struct module *owner;
};

struct module *kvml_module_get(const char *name);
const struct kernel_param *kvml_module_param(struct module *mod, const char *name);
int kvml_func_get(const char *name, struct kvml_func *func);
void kvml_func_put(struct kvml_func *func);
bool kvml_func_exists(const char *name);

/* KVM as it is loaded.  While it is held, it can't be unloaded, hence not be another one. */
#define KVML_KVM_MODULES	3

struct kvml_kvm {
	struct module *owner[KVML_KVM_MODULES];
	bool loaded;
	char why[192];
};

const char *kvml_kvm_get(struct kvml_kvm *kvm, bool kernel);
void kvml_kvm_put(struct kvml_kvm *kvm);

/* A VM.  It can't be destroyed while it is held. */
struct kvml_vm {
	struct file *file;
	struct kvm *kvm;
};

int kvml_vm_get(const char *fd, struct kvml_vm *vm);
int kvml_vm_select(struct kvml_vm *vm, char *cmd);
void kvml_vm_put(struct kvml_vm *vm);
int kvml_vcpu_find(struct kvm *kvm, int index, struct kvm_vcpu **vcpu);

int kvml_split(char *cmd, char **field, int max);

#ifdef KVML_GA_LOG
const char *kvml_avic_missing(void);
int kvml_avic_get(struct kvml_func *notifier);
#endif

#endif /* KVM_LIFECYCLE_H */
