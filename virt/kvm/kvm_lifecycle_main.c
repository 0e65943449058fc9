// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: watch the life of a vCPU, and drive it if the module is built with UNSAFE=1 and
 * loaded with the parameter `unsafe`.
 *
 * The files, their formats, units and errors: Documentation/virt/kvm/kvm_lifecycle.rst.
 *
 * Nothing is imported from KVM, which exports its symbols to its own modules only, and KVM need not
 * be loaded: each file looks up its functions when it is opened.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>

#include "kvm_lifecycle.h"

/*
 * Of all files, also of those that are only read: in lockdown mode, debugfs lets files through that
 * nobody can write, and some of these arm probes.
 */
#define KVML_MODE	0600

/* In the whole system: an open file has up to 80 KiB of memory, and three probes. */
#define KVML_MAX_OPEN	64

/* The longest command: a function's name and three numbers. */
#define KVML_CMD_LEN	(KSYM_NAME_LEN + 64)

#ifdef CONFIG_KVM_LIFECYCLE_UNSAFE
static bool unsafe;
module_param_unsafe(unsafe, bool, 0444);
MODULE_PARM_DESC(unsafe, "also offer the files that drive KVM (ga_log, iommu, ipiv, pause, unlocked); taints the kernel");
#else
/* No code drives KVM here.  Whoever asks for it is told so, rather than left with a module without. */
static const bool unsafe;

static int kvml_refuse_unsafe(const char *val, const struct kernel_param *kp)
{
	bool on = true;

	if (!kstrtobool(val, &on) && !on)
		return 0;
	pr_err("built without UNSAFE=1, there are no files that drive KVM: load it without unsafe=1, or build it with UNSAFE=1\n");
	return -EOPNOTSUPP;
}

static const struct kernel_param_ops kvml_refuse_unsafe_ops = {
	.set = kvml_refuse_unsafe,
	.get = param_get_bool,
};
module_param_cb(unsafe, &kvml_refuse_unsafe_ops, (void *)&unsafe, 0444);
MODULE_PARM_DESC(unsafe, "refused: built without UNSAFE=1, the module observes and drives nothing");
#endif

static struct dentry *kvml_root;
static atomic_t kvml_nr_open = ATOMIC_INIT(0);

/**
 * kvml_module_get() - keep a module loaded
 * @name: its name
 *
 * Return: the module, or NULL if none of that name is there, or it is being loaded or unloaded.
 */
struct module *kvml_module_get(const char *name)
{
	struct kset *modules = THIS_MODULE->mkobj.kobj.kset;
	struct kobject *kobj;
	struct module *mod;

	/*
	 * All modules are in the kset that this one is in.  A module's kobject is part of
	 * struct module, which lives until the last reference to the kobject is dropped.
	 * Built-in code has no module behind its kobject.
	 */
	kobj = modules ? kset_find_obj(modules, name) : NULL;
	if (!kobj)
		return NULL;
	mod = container_of(kobj, struct module_kobject, kobj)->mod;
	if (!mod || !try_module_get(mod))
		mod = NULL;
	kobject_put(kobj);

	/* A reference doesn't keep a module that fails to load. */
	if (mod && READ_ONCE(mod->state) != MODULE_STATE_LIVE) {
		module_put(mod);
		mod = NULL;
	}
	return mod;
}

/**
 * kvml_module_param() - look a parameter of a module up by name
 * @mod: the module, which is held
 * @name: its name
 *
 * Return: the parameter, or NULL if there is none of that name.
 */
const struct kernel_param *kvml_module_param(struct module *mod, const char *name)
{
	int i;

	for (i = 0; i < mod->num_kp; i++) {
		if (!strcmp(mod->kp[i].name, name))
			return &mod->kp[i];
	}
	return NULL;
}

/**
 * kvml_func_get() - look a function up by name and keep its module loaded
 * @name: name of the function, or "module:function"
 * @func: the result
 *
 * kprobes know the address of any function that may be probed; a disabled probe touches no code.
 * The probe sits behind the compiler's landing pad for indirect calls (ENDBR, BTI), the symbol's
 * offset leads back to the entry.
 *
 * Return: 0, -ENOENT if there is no such function, -EINVAL if it can't be probed, -ENXIO if its
 * module is being loaded or unloaded, -EOPNOTSUPP if the kernel has no kprobes.
 */
int kvml_func_get(const char *name, struct kvml_func *func)
{
	struct kprobe kp = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	char sym[KSYM_SYMBOL_LEN], *module;
	struct module *owner = NULL;
	unsigned long offset;
	int ret;

	ret = register_kprobe(&kp);
	if (ret)
		return ret;
	unregister_kprobe(&kp);

	/* "function+0xoffset/0xsize", then " [module]" if it is in one. */
	sprint_symbol(sym, (unsigned long)kp.addr);
	module = strstr(sym, " [");
	if (module) {
		*module = '\0';
		module += strlen(" [");
		*strchrnul(module, ']') = '\0';
	}
	name = strchr(sym, '+');
	if (!name || sscanf(name, "+0x%lx/", &offset) != 1)
		return -ENOENT;

	if (module) {
		owner = kvml_module_get(module);
		if (!owner)
			return -ENXIO;

		/* It may have been unloaded and loaded again since the look-up. */
		if (!within_module((unsigned long)kp.addr, owner)) {
			module_put(owner);
			return -ENXIO;
		}
	}

	func->entry = (unsigned long)kp.addr - offset;
	func->owner = owner;
	return 0;
}

void kvml_func_put(struct kvml_func *func)
{
	module_put(func->owner);
	*func = (struct kvml_func){};
}

bool kvml_func_exists(const char *name)
{
	struct kvml_func func;

	if (kvml_func_get(name, &func))
		return false;
	kvml_func_put(&func);
	return true;
}

/**
 * kvml_vm_get() - take the VM behind a file descriptor of the calling process
 * @fd: the descriptor in decimal
 * @vm: the result
 *
 * The function behind the file's ioctl() tells a VM from any other file; its name alone would not
 * do, another module may have one of the same name.
 *
 * Return: 0, -EBADF if nothing is open there, -EINVAL if it is no KVM VM or @fd is no number.
 */
int kvml_vm_get(const char *fd, struct kvml_vm *vm)
{
	char sym[KSYM_SYMBOL_LEN];
	struct file *file;
	int nr;

	if (kstrtoint(fd, 10, &nr))
		return -EINVAL;

	file = fget(nr);
	if (!file)
		return -EBADF;

	sprint_symbol_no_offset(sym, (unsigned long)file->f_op->unlocked_ioctl);
	if (strcmp(sym, "kvm_vm_ioctl") && strcmp(sym, "kvm_vm_ioctl [kvm]")) {
		fput(file);
		return -EINVAL;
	}

	vm->file = file;
	vm->kvm = file->private_data;
	return 0;
}

/**
 * kvml_vm_select() - the command of a file that shows one VM
 * @vm: the VM that the file shows, is replaced
 * @cmd: the command, a file descriptor
 *
 * Return: 0, or as kvml_vm_get(), with @vm as it was.
 */
int kvml_vm_select(struct kvml_vm *vm, char *cmd)
{
	struct kvml_vm new;
	char *field[1];
	int ret;

	if (kvml_split(cmd, field, 1) != 1)
		return -EINVAL;
	ret = kvml_vm_get(field[0], &new);
	if (ret)
		return ret;

	kvml_vm_put(vm);
	*vm = new;
	return 0;
}

void kvml_vm_put(struct kvml_vm *vm)
{
	if (vm->file)
		fput(vm->file);
	*vm = (struct kvml_vm){};
}

/**
 * kvml_vcpu_find() - kvm_get_vcpu() as long as no vCPU comes or goes
 * @kvm: the VM
 * @index: any number
 * @vcpu: the vCPU, which stays with its VM, or NULL
 *
 * For a negative index, older kernels look at index 0 even if no vCPU is online.  Without the lock
 * that could be one whose creation fails, and that is freed.
 *
 * Return: 0, or -EINTR if a fatal signal arrives.
 */
int kvml_vcpu_find(struct kvm *kvm, int index, struct kvm_vcpu **vcpu)
{
	int ret = mutex_lock_killable(&kvm->lock);

	if (ret)
		return ret;
	*vcpu = kvm_get_vcpu(kvm, index);
	mutex_unlock(&kvm->lock);
	return 0;
}

/**
 * kvml_split() - split a command at its spaces
 * @cmd: the command, is changed
 * @field: the fields
 * @max: room in @field
 *
 * Return: number of fields, @max + 1 if there are more than that.
 */
int kvml_split(char *cmd, char **field, int max)
{
	char *s;
	int n = 0;

	while ((s = strsep(&cmd, " \t"))) {
		if (!*s)
			continue;
		if (n == max)
			return max + 1;
		field[n++] = s;
	}
	return n;
}

static int kvml_parts_show(struct seq_file *m, void *state);

static const struct kvml_part kvml_parts = {
	.name = "parts",
	.show = kvml_parts_show,
};

#define KVML_ABSENT(_name, _why) (&(const struct kvml_part) {		\
	.name = (_name), .absent = (_why),				\
})

/* A part that drives KVM and isn't in this build: a line in parts, and no file. */
#define KVML_LEFT_OUT(_name) (&(const struct kvml_part) {		\
	.name = (_name), .unsafe = true,				\
	.absent = "the module was built without UNSAFE=1",		\
})

static const struct kvml_part *const kvml_table[] = {
	&kvml_parts,
	&kvml_vcpu_index,
	&kvml_trylock,
	&kvml_get_vcpu,
#ifdef KVML_AVIC
	&kvml_avic,
#elif defined(KVML_GA_LOG)
	KVML_ABSENT("avic", "KVM's private headers were not there when the module was built"),
#else
	KVML_ABSENT("avic", "AVIC is in x86-64 only"),
#endif
#ifdef KVML_VGIC
	&kvml_vgic,
#else
	KVML_ABSENT("vgic", "the vGIC is in arm64 only"),
#endif
#ifndef CONFIG_KVM_LIFECYCLE_UNSAFE
	KVML_LEFT_OUT("ga_log"),
	KVML_LEFT_OUT("iommu"),
	KVML_LEFT_OUT("ipiv"),
	KVML_LEFT_OUT("pause"),
	KVML_LEFT_OUT("unlocked"),
#else
#ifdef KVML_GA_LOG
	&kvml_ga_log,
#else
	KVML_ABSENT("ga_log", "AVIC is in x86-64 only"),
#endif
#ifdef KVML_IOMMU
	&kvml_iommu_part,
#elif defined(KVML_AMD_IOMMU)
	KVML_ABSENT("iommu", "the private headers of the AMD IOMMU's driver were not there when the module was built"),
#else
	KVML_ABSENT("iommu", "the kernel is built without the AMD IOMMU's interrupt remapping"),
#endif
#ifdef KVML_IPIV
	&kvml_ipiv,
#elif defined(KVML_GA_LOG)
	KVML_ABSENT("ipiv", "KVM's private headers were not there when the module was built"),
#else
	KVML_ABSENT("ipiv", "VMX is in x86-64 only"),
#endif
	&kvml_pause,
#ifdef KVML_UNLOCKED
	&kvml_unlocked,
#else
	KVML_ABSENT("unlocked", "no function to call is known but in x86-64 and arm64"),
#endif
#endif
};

/* An open file. */
struct kvml_file {
	const struct kvml_part *part;
	struct mutex lock;	/* one show(), read() or write() at a time */
	u64 state[];
};

/*
 * The answers of missing() take probes, and each of these a grace period.  So a NULL is remembered
 * until a module comes or goes, by the number of such events so far.  No other answer is: it may
 * be a lack of memory.
 */
static atomic_t kvml_module_events = ATOMIC_INIT(1);
static int kvml_not_missing[ARRAY_SIZE(kvml_table)];

static int kvml_module_notify(struct notifier_block *nb, unsigned long state, void *data)
{
	atomic_inc(&kvml_module_events);
	return NOTIFY_DONE;
}

static struct notifier_block kvml_module_nb = { .notifier_call = kvml_module_notify };

static const char *kvml_ask_missing(const struct kvml_part *part)
{
	int events = atomic_read(&kvml_module_events);
	const char *why;
	int i = 0;

	while (kvml_table[i] != part)
		i++;
	if (READ_ONCE(kvml_not_missing[i]) == events)
		return NULL;

	why = part->missing();
	if (!why)
		WRITE_ONCE(kvml_not_missing[i], events);
	return why;
}

/* Why a part can't be used now, or NULL: then KVM is held, if the part uses it. */
static const char *kvml_missing(const struct kvml_part *part, struct kvml_kvm *kvm)
{
	const char *why;

	if (part->absent)
		return part->absent;
	if (!IS_ENABLED(CONFIG_KPROBES))
		return "the kernel is built without kprobes";

	why = kvml_kvm_get(kvm, part->kernel);
	if (why)
		return why;
	if (part->kvm && !kvm->loaded)
		why = "KVM is not loaded";
	else if (part->missing)
		why = kvml_ask_missing(part);
	if (why || !part->kvm)
		kvml_kvm_put(kvm);
	return why;
}

static int kvml_parts_show(struct seq_file *m, void *state)
{
	const struct kvml_part *part;
	struct kvml_kvm kvm;
	const char *why;
	int i;

	for (i = 0; i < ARRAY_SIZE(kvml_table); i++) {
		part = kvml_table[i];
		if (part == &kvml_parts)
			continue;

		why = kvml_missing(part, &kvm);
		if (!why) {
			kvml_kvm_put(&kvm);
			if (part->unsafe && !unsafe)
				why = "the module was loaded without unsafe=1";
		}
		if (why)
			seq_printf(m, "%s unavailable: %s\n", part->name, why);
		else
			seq_printf(m, "%s ready\n", part->name);
	}
	return 0;
}

/* KVM may have been unloaded, and another one loaded, since the last look. */
static int kvml_look_begin(struct kvml_file *f, struct kvml_kvm *kvm)
{
	int ret;

	ret = mutex_lock_interruptible(&f->lock);
	if (ret)
		return ret;

	*kvm = (struct kvml_kvm){};
	if (f->part->kvm && (kvml_kvm_get(kvm, f->part->kernel) || !kvm->loaded)) {
		kvml_kvm_put(kvm);
		mutex_unlock(&f->lock);
		return -EOPNOTSUPP;
	}
	return 0;
}

static void kvml_look_end(struct kvml_file *f, struct kvml_kvm *kvm)
{
	kvml_kvm_put(kvm);
	mutex_unlock(&f->lock);
}

static int kvml_show(struct seq_file *m, void *v)
{
	struct kvml_file *f = m->private;
	struct kvml_kvm kvm;
	int ret;

	ret = kvml_look_begin(f, &kvm);
	if (ret)
		return ret;
	ret = f->part->show(m, f->state);
	kvml_look_end(f, &kvm);
	return ret;
}

static int kvml_open(struct inode *inode, struct file *file)
{
	const struct kvml_part *part = inode->i_private;
	struct kvml_kvm kvm = {};
	struct kvml_file *f;
	int ret;

	/* Root of a container owns the files as well, and may have no privilege. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (part != &kvml_parts && kvml_missing(part, &kvm))
		return -EOPNOTSUPP;
	ret = -EPERM;
	if (part->unsafe && !unsafe)
		goto err_put;

	ret = -ENFILE;
	if (!atomic_add_unless(&kvml_nr_open, 1, KVML_MAX_OPEN))
		goto err_put;

	ret = -ENOMEM;
	f = kvzalloc(sizeof(*f) + part->state_size, GFP_KERNEL_ACCOUNT);
	if (!f)
		goto err_uncount;
	f->part = part;
	mutex_init(&f->lock);

	ret = single_open(file, kvml_show, f);
	if (ret)
		goto err_free;

	if (part->open) {
		ret = part->open(f->state);
		if (ret)
			goto err_release;
	}
	/* part->open() holds a reference to its functions. */
	kvml_kvm_put(&kvm);
	return 0;

err_release:
	single_release(inode, file);
err_free:
	kvfree(f);
err_uncount:
	atomic_dec(&kvml_nr_open);
err_put:
	kvml_kvm_put(&kvm);
	return ret;
}

static int kvml_release(struct inode *inode, struct file *file)
{
	struct kvml_file *f = ((struct seq_file *)file->private_data)->private;

	if (f->part->close)
		f->part->close(f->state);
	mutex_destroy(&f->lock);
	kvfree(f);
	atomic_dec(&kvml_nr_open);
	return single_release(inode, file);
}

static ssize_t kvml_read(struct file *file, char __user *buf, size_t len, loff_t *ppos)
{
	struct kvml_file *f = ((struct seq_file *)file->private_data)->private;
	struct kvml_kvm kvm;
	ssize_t ret;

	if (!f->part->read)
		return seq_read(file, buf, len, ppos);

	ret = kvml_look_begin(f, &kvm);
	if (ret)
		return ret;
	ret = f->part->read(f->state, buf, len);
	kvml_look_end(f, &kvm);
	return ret;
}

static ssize_t kvml_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	struct kvml_file *f = ((struct seq_file *)file->private_data)->private;
	struct kvml_kvm kvm;
	char *text;
	int ret;

	if (!f->part->write || !len || len > KVML_CMD_LEN)
		return -EINVAL;

	text = memdup_user_nul(buf, len);
	if (IS_ERR(text))
		return PTR_ERR(text);

	ret = strlen(text) == len ? kvml_look_begin(f, &kvm) : -EINVAL;
	if (!ret) {
		ret = f->part->write(f->state, strim(text));
		kvml_look_end(f, &kvm);
	}
	kfree(text);
	if (ret)
		return ret;

	/* The next read() is to return the result, from its beginning. */
	*ppos = 0;
	return len;
}

static const struct file_operations kvml_fops = {
	.owner = THIS_MODULE,
	.open = kvml_open,
	.release = kvml_release,
	.read = kvml_read,
	.write = kvml_write,
	.llseek = default_llseek,
};

static int __init kvml_init(void)
{
	struct kvml_kvm kvm;
	const char *why;
	int i, ret;

	/* KVM may be loaded later, and be another one each time: each file has its own check. */
	why = kvml_kvm_get(&kvm, false);
	if (why)
		pr_warn("%s; no file can be opened until then\n", why);
	else
		kvml_kvm_put(&kvm);

	kvml_root = debugfs_create_dir(KBUILD_MODNAME, NULL);
	if (IS_ERR(kvml_root)) {
		pr_err("no folder in debugfs (error %ld)\n", PTR_ERR(kvml_root));
		return PTR_ERR(kvml_root);
	}
	d_inode(kvml_root)->i_mode = S_IFDIR | 0700;

	ret = register_module_notifier(&kvml_module_nb);
	if (ret) {
		debugfs_remove(kvml_root);
		return ret;
	}

	for (i = 0; i < ARRAY_SIZE(kvml_table); i++) {
		if (kvml_table[i]->unsafe && kvml_table[i]->absent)
			continue;
		debugfs_create_file(kvml_table[i]->name, KVML_MODE, kvml_root,
				    (void *)kvml_table[i], &kvml_fops);
	}
	return 0;
}
module_init(kvml_init);

/* An open file holds the module: nothing is armed, running or held by now. */
static void __exit kvml_exit(void)
{
	debugfs_remove(kvml_root);
	unregister_module_notifier(&kvml_module_nb);
}
module_exit(kvml_exit);

#ifdef CONFIG_KVM_LIFECYCLE_UNSAFE
MODULE_DESCRIPTION("Watch and drive the life of KVM vCPUs");
#else
MODULE_DESCRIPTION("Watch the life of KVM vCPUs");
#endif
MODULE_LICENSE("GPL");
