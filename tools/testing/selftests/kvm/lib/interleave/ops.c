// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations: those that are held, those that are done meanwhile, and the values
 * that each may return.
 */
#include <signal.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "interleave.h"

/* Of finit_module(), in a header of the kernel that one of tools/include hides. */
#define MODULE_INIT_COMPRESSED_FILE	4

int il_fd_or_errno(int fd)
{
	return fd < 0 ? -errno : fd;
}

/* KVM_CREATE_VM of a VM that nobody else knows. */
int il_new_vm(struct world *w)
{
	int dev = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -errno;
	fd = il_fd_or_errno(ioctl(dev, KVM_CREATE_VM, 0ul));
	close(dev);
	return fd;
}

int il_create_vm(struct world *w)
{
	return il_fd_or_errno(ioctl(w->dev_kvm, KVM_CREATE_VM, 0ul));
}

int il_create_vcpu(struct world *w)
{
	return il_fd_or_errno(ioctl(w->guess_vm, KVM_CREATE_VCPU, (unsigned long)ID_A));
}

int il_create_other(struct world *w)
{
	return il_fd_or_errno(ioctl(w->guess_vm, KVM_CREATE_VCPU, (unsigned long)ID_OTHER));
}

static int check_extension(struct world *w)
{
	return ioctl(w->guess_vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) < 0 ? -errno : 0;
}

int il_run_fd(struct world *w, int fd, bool immediate)
{
	struct kvm_run *run;
	int r;

	run = mmap(NULL, w->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	WRITE_ONCE(run->immediate_exit, immediate);
	r = ioctl(fd, KVM_RUN, 0) ? -errno : 0;
	munmap(run, w->run_size);
	return r;
}

static int close_fd(int fd)
{
	return close(fd) ? -errno : 0;
}

/* All that refers to the VM, and the file descriptor that A may have got already. */
static int close_all(struct world *w)
{
	int i, r = 0;

	if (w->guess_vcpu >= 0 && w->guess_vcpu != w->vcpu[1])
		w->guess_closed = !close_fd(w->guess_vcpu);
	if (w->vm < 0) {
		w->guess_closed = !close_fd(w->guess_vm);
		return 0;
	}
	if (w->gic >= 0)
		r = close_fd(w->gic);
	r = close_fd(w->vm) ?: r;
	for (i = 0; i < NR_VCPUS; i++)
		r = close_fd(w->vcpu[i]) ?: r;
	w->closed = true;
	return r;
}

int il_die(struct world *w)
{
	kill(getpid(), SIGKILL);
	pause();
	return 0;
}

#ifdef __x86_64__
static int run_guessed(struct world *w)
{
	return il_run_fd(w, w->guess_vcpu, true);
}

static int run_vcpu0(struct world *w)
{
	return il_run_fd(w, w->vcpu[0], true);
}

int il_run_guessed_blocked(struct world *w)
{
	return il_run_fd(w, w->guess_vcpu, false);
}

static int get_regs(struct world *w)
{
	struct kvm_regs regs;

	return ioctl(w->guess_vcpu, KVM_GET_REGS, &regs) ? -errno : 0;
}

static int set_clock(struct world *w)
{
	struct kvm_clock_data clock = { .clock = 1000000 };

	return ioctl(w->guess_vm, KVM_SET_CLOCK, &clock) ? -errno : 0;
}

static int set_msr_filter(struct world *w)
{
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };

	return ioctl(w->guess_vm, KVM_X86_SET_MSR_FILTER, &filter) ? -errno : 0;
}

int il_enable_split_irqchip(struct world *w)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { SPLIT_IRQCHIP_PINS },
	};

	return ioctl(w->guess_vm, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static int send_entry(struct world *w)
{
	return __kvm_lifecycle_write(w->ga_log, "inject %u 1 1 0", w->vm_id ?: 1);
}

/* A thread of kvm_lifecycle's does the work of the calling B: not on A's CPU. */
void il_run_beside_a(int tid)
{
	cpu_set_t cpus;

	TEST_ASSERT(!sched_getaffinity(0, sizeof(cpus), &cpus) &&
		    !sched_setaffinity(tid, sizeof(cpus), &cpus),
		    "sched_setaffinity() of another thread: %s", strerror(errno));
}

/* An entry that hasn't been handled yet is no B that has been done. */
static int wait_for_entry(int fd, int r)
{
	while (!r && injector_read(fd).running)
		usleep(100);
	return r;
}

static int ga_log_entry(struct world *w)
{
	return wait_for_entry(w->ga_log, send_entry(w));
}

/* By the driver of the IOMMU, to the notifier that is registered there. */
static int process_entry(struct world *w)
{
	int fd = __kvm_lifecycle_open("iommu"), r;

	if (fd < 0)
		return fd;
	il_run_beside_a(injector_read(fd).tid);
	r = wait_for_entry(fd, __kvm_lifecycle_write(fd, "process 1"));
	close(fd);
	return r;
}

static int unload(struct world *w)
{
	return unload_kvm_amd();
}

char il_load_command[4096];

/* As modprobe does it, if the modules that kvm_amd depends on are loaded. */
static int load(struct world *w)
{
	const char *params = il_load_command + strlen(KVM_AMD_LOAD);
	char path[1280];
	int fd, r;

	if (!kvm_amd_file(path, sizeof(path)))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = syscall(SYS_finit_module, fd, params,
		    strstr(path, ".ko.") ? MODULE_INIT_COMPRESSED_FILE : 0) ? -errno : 0;
	close(fd);
	return r;
}

/* Without modprobe, which takes a process or two, if that is possible. */
int il_ensure_loaded(void)
{
	char state[16];

	if (!fault_knob_read("/sys/module/kvm_amd/initstate", state, sizeof(state)) &&
	    !strcmp(state, "live\n"))
		return 0;
	return load(NULL) && system(il_load_command) ? -EIO : 0;
}

int il_use_new_vm(struct world *w)
{
	int vm = il_new_vm(w), fd;

	if (vm < 0)
		return vm;
	fd = il_fd_or_errno(ioctl(vm, KVM_CREATE_VCPU, 0ul));
	if (fd >= 0)
		close(fd);
	close(vm);
	return fd < 0 ? fd : 0;
}

static int read_parameter(struct world *w)
{
	int fd = open("/sys/module/kvm_amd/parameters/avic", O_RDONLY | O_CLOEXEC), r;
	char c;

	if (fd < 0)
		return -errno;
	r = read(fd, &c, 1) == 1 ? 0 : -errno;
	close(fd);
	return r;
}
#endif

#ifdef __aarch64__
int il_create_vgic(struct world *w)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	return ioctl(w->guess_vm, KVM_CREATE_DEVICE, &dev) ? -errno : (int)dev.fd;
}

static int init_vgic(struct world *w)
{
	return vgic_ctrl_init(w->gic);
}

int il_access_iidr(struct world *w, unsigned long cmd, u32 *val)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
		.attr = GICD_IIDR,
		.addr = (u64)(unsigned long)val,
	};

	return ioctl(w->gic, cmd, &attr) ? -errno : 0;
}

static int read_iidr(struct world *w)
{
	u32 val;

	return il_access_iidr(w, KVM_GET_DEVICE_ATTR, &val);
}

/* The value that is read can be written. */
static int write_iidr(struct world *w)
{
	u32 val = w->iidr;

	return il_access_iidr(w, KVM_SET_DEVICE_ATTR, &val);
}

static int add_region(struct world *w)
{
	return vgic_set_region(w->gic, GICR_BASE_GPA + 8 * KVM_VGIC_V3_REDIST_SIZE, 2, 1);
}

static int save_pending(struct world *w)
{
	return __kvm_device_attr_set(w->gic, KVM_DEV_ARM_VGIC_GRP_CTRL,
				     KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL) ? -errno : 0;
}

static int get_pc(int fd)
{
	u64 pc;
	struct kvm_one_reg reg = {
		.id = ARM64_CORE_REG(regs.pc),
		.addr = (u64)(unsigned long)&pc,
	};

	return ioctl(fd, KVM_GET_ONE_REG, &reg) ? -errno : 0;
}

static int get_reg_guessed(struct world *w)
{
	return get_pc(w->guess_vcpu);
}

static int get_reg(struct world *w)
{
	return get_pc(w->vcpu[0]);
}

static int set_counter(struct world *w)
{
	struct kvm_arm_counter_offset offset = {};

	return ioctl(w->guess_vm, KVM_ARM_SET_COUNTER_OFFSET, &offset) ? -errno : 0;
}
#endif

static int destroy_vm(struct world *w)
{
	return close_all(w);
}

#define IN(_group) BIT(GROUP_##_group)

/* The As that find a VM, and leave it alone. */
#define WITH_VM "create_vcpu ga_log create_vgic init_vgic vgic_reg vcpu_reg"

/*
 * The Bs, done while A is held.  EBADF is due to a guessed file descriptor that
 * doesn't exist yet, or not any more; EINVAL to one that is something else by then,
 * e.g. a vCPU where there was a VM.
 */
const struct op il_ops_b[] = {
	{
		.name = "create_other", .fn = il_create_other, .creates_fd = true,
		.as = "create_vm destroy_vm " WITH_VM,
		.group = IN(USE) | IN(INIT) | IN(RUN),
		.ok = true,
#ifdef __aarch64__
		/* There's no new vCPU once the vGIC is initialized. */
		.errs = { EBADF, EINVAL, EBUSY },
#else
		.errs = { EBADF, EINVAL },
#endif
	}, {
		/* Either this one or A gets the ID. */
		.name = "create_same", .fn = il_create_vcpu, .creates_fd = true,
		.as = "create_vcpu",
		.group = IN(USE),
		.ok = true, .errs = { EEXIST },
	}, {
		.name = "check_extension", .fn = check_extension,
		.as = "create_vm destroy_vm " WITH_VM,
		.group = IN(USE) | IN(RUN),
		.ok = true, .errs = { EBADF, EINVAL },
	}, {
		.name = "close", .fn = close_all, .patient = true,
		.as = "create_vm " WITH_VM,
		.group = IN(CLOSE),
		.ok = true,
	}, {
		.name = "die", .fn = il_die, .patient = true,
		.as = "create_vm destroy_vm unload " WITH_VM,
		.group = IN(DIE),
	}, {
		.name = "new_vm", .fn = il_new_vm, .creates_fd = true,
		.as = "create_vm destroy_vm",
		.group = IN(INIT),
		.ok = true,
	},
#ifdef __x86_64__
	/* No such file, or nothing behind it: kvm_amd isn't there, not yet or not any more. */
	{
		.name = "use_new_vm", .fn = il_use_new_vm,
		.as = "unload",
		.group = IN(USE),
		.ok = true, .errs = { ENOENT, ENODEV },
	}, {
		.name = "read_parameter", .fn = read_parameter,
		.as = "unload",
		.group = IN(USE),
		.ok = true, .errs = { ENOENT, ENODEV },
	}, {
		/* ENOENT: nobody is registered. */
		.name = "process_entry", .fn = process_entry,
		.as = "unload",
		.group = IN(USE),
		.ok = true, .errs = { ENOENT },
	}, {
		/* EWOULDBLOCK: it's in use; EBUSY: it's being unloaded, or loaded. */
		.name = "unload_too", .fn = unload,
		.as = "unload",
		.group = IN(USE),
		.ok = true, .errs = { EWOULDBLOCK, EBUSY, ENOENT },
	}, {
		/* EBUSY: it's being loaded. */
		.name = "load", .fn = load,
		.as = "unload",
		.group = IN(USE),
		.ok = true, .errs = { EEXIST, EBUSY },
	}, {
		.name = "run_guessed", .fn = run_guessed,
		.as = "create_vcpu ga_log destroy_vm",
		.group = IN(USE),
		/* ENODEV: a file that can't be mapped. */
		.errs = { EINTR, EBADF, EINVAL, ENODEV },
	}, {
		.name = "run_vcpu0", .fn = run_vcpu0,
		.as = "create_vcpu ga_log destroy_vm",
		.group = IN(USE),
		.errs = { EINTR, EBADF, EINVAL, ENODEV },
	}, {
		.name = "get_regs", .fn = get_regs,
		.as = "create_vcpu ga_log destroy_vm",
		.group = IN(USE),
		.ok = true, .errs = { EBADF, EINVAL },
	}, {
		.name = "set_clock", .fn = set_clock,
		.as = "create_vm create_vcpu ga_log destroy_vm",
		.group = IN(USE) | IN(RUN),
		.ok = true, .errs = { EBADF, EINVAL },
	}, {
		.name = "msr_filter", .fn = set_msr_filter,
		.as = "create_vm create_vcpu ga_log destroy_vm",
		.group = IN(USE) | IN(RUN),
		.ok = true, .errs = { EBADF, EINVAL },
	}, {
		/* EEXIST: there's one already, EINVAL: there's a vCPU already. */
		.name = "irqchip", .fn = il_enable_split_irqchip,
		.as = "create_vm create_vcpu ga_log destroy_vm",
		.group = IN(USE),
		.ok = true, .errs = { EBADF, EINVAL, EEXIST },
	}, {
		.name = "ga_log_entry", .fn = ga_log_entry,
		.as = "create_vm create_vcpu destroy_vm",
		.group = IN(USE),
		.ok = true,
	}, {
		/* Until it's interrupted, which is after all others have returned. */
		.name = "run_blocked", .fn = il_run_guessed_blocked,
		.as = "create_vcpu ga_log destroy_vm",
		.group = IN(RUN),
		.errs = { EINTR, EBADF, ENODEV, EINVAL },
	},
#endif
#ifdef __aarch64__
	/* No KVM_RUN: without an initialized vGIC it fails, and KVM then gives the VM up. */
	{
		.name = "get_reg0", .fn = get_reg,
		.as = "create_vcpu destroy_vm create_vgic init_vgic vgic_reg vcpu_reg",
		.group = IN(USE),
		.ok = true, .errs = { EBADF, ENOEXEC, EINVAL },
	}, {
		.name = "get_reg", .fn = get_reg_guessed,
		.as = "create_vcpu destroy_vm create_vgic init_vgic vgic_reg vcpu_reg",
		.group = IN(USE),
		.ok = true, .errs = { EBADF, ENOEXEC, EINVAL },
	}, {
		/* It needs all vCPUs for itself, and doesn't wait for them. */
		.name = "counter", .fn = set_counter,
		.as = "create_vm create_vcpu destroy_vm create_vgic init_vgic vgic_reg vcpu_reg",
		.group = IN(USE),
		.ok = true, .errs = { EBADF, EINVAL, EBUSY },
	}, {
		/* EBUSY: some vCPU is in use; EEXIST: there's one. */
		.name = "create_vgic", .fn = il_create_vgic, .creates_fd = true,
		.as = "create_vm create_vcpu destroy_vm create_vgic init_vgic",
		.group = IN(USE),
		.ok = true, .errs = { EBADF, EINVAL, EBUSY, EEXIST },
	}, {
		/* It isn't initialized: no vCPU has a say in it. */
		.name = "read_iidr", .fn = read_iidr, .preinit_reg = true,
		.as = "create_vcpu vgic_reg vcpu_reg",
		.group = IN(USE),
		.ok = true,
	}, {
		.name = "write_iidr", .fn = write_iidr, .preinit_reg = true,
		.as = "create_vcpu vgic_reg vcpu_reg",
		.group = IN(USE),
		.ok = true,
	}, {
		/* EBUSY: a vCPU is being created, or is in use. */
		.name = "init_vgic", .fn = init_vgic,
		.as = "create_vcpu vgic_reg vcpu_reg",
		.group = IN(INIT),
		.ok = true, .errs = { EBUSY },
	}, {
		.name = "save_pending", .fn = save_pending,
		.as = "create_vcpu init_vgic vgic_reg vcpu_reg",
		.group = IN(INIT),
		.ok = true, .errs = { ENXIO, EBUSY },
	}, {
		.name = "add_region", .fn = add_region,
		.as = "create_vcpu vgic_reg vcpu_reg",
		.group = IN(USE),
		.ok = true, .errs = { EBUSY },
	},
#endif
};

static_assert(ARRAY_SIZE(il_ops_b) <= MAX_BS);

const int il_nr_ops_b = ARRAY_SIZE(il_ops_b);

/* The As, which are held. */
const struct op_a il_ops_a[] = {
	{
		.op = { .name = "create_vm", .fn = il_create_vm, .ok = true, .creates_fd = true },
		.no_vm = true,
		.first = "sys_ioctl",
		.sample_s = 10,
	}, {
		.op = {
			.name = "create_vcpu", .fn = il_create_vcpu, .ok = true, .creates_fd = true,
			/* B has that ID, or has initialized the vGIC. */
			.errs = { EEXIST, EBUSY },
		},
		.setup = VGIC_CONFIGURED,
		.first = "sys_ioctl",
		.sample_s = 45,
	}, {
		.op = { .name = "destroy_vm", .fn = destroy_vm, .ok = true },
		.setup = VGIC_CONFIGURED,
		.first = "sys_close",
		.sample_s = 20,
	},
#ifdef __x86_64__
	{
		.op = { .name = "ga_log", .fn = send_entry, .ok = true },
		.kthread = true,
		.first = "avic_ga_log_notifier",
		.sample_s = 20,
	}, {
		/* The last one: afterwards kvm_amd lies elsewhere. */
		.op = {
			.name = "unload", .fn = unload, .ok = true,
			/* A B uses it, or unloads it as well. */
			.errs = { EWOULDBLOCK, EBUSY, ENOENT },
		},
		.no_vm = true,
		.unloads = true,
		.first = "sys_delete_module",
		.sample_s = 15,
	},
#endif
#ifdef __aarch64__
	{
		.op = {
			.name = "create_vgic", .fn = il_create_vgic, .ok = true, .creates_fd = true,
			/* A vCPU is in use or being created, or B was first. */
			.errs = { EBUSY, EEXIST },
		},
		.first = "sys_ioctl",
		.sample_s = 15,
	}, {
		.op = {
			.name = "init_vgic", .fn = init_vgic, .ok = true,
			/* A vCPU is being created. */
			.errs = { EBUSY },
		},
		.setup = VGIC_CONFIGURED,
		.first = "sys_ioctl",
		.sample_s = 20,
	}, {
		.op = { .name = "vgic_reg", .fn = write_iidr, .ok = true, .preinit_reg = true },
		.setup = VGIC_CONFIGURED,
		.first = "sys_ioctl",
		.sample_s = 10,
	}, {
		.op = { .name = "vcpu_reg", .fn = get_reg, .ok = true },
		.setup = VGIC_CONFIGURED,
		.first = "sys_ioctl",
		.sample_s = 10,
	},
#endif
};

const int il_nr_ops_a = ARRAY_SIZE(il_ops_a);

/* Why no register can be accessed before the vGIC is initialized, or NULL. */
const char *il_no_preinit_regs;

/* Is @word one of the words in @list? */
static bool is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p = list;

	for (; (p = strstr(p, word)); p += len) {
		if ((p == list || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	}
	return false;
}

bool il_may_return(const struct op *op, int ret)
{
	int i;

	if (ret >= 0)
		return op->ok;
	for (i = 0; i < MAX_ERRS && op->errs[i]; i++) {
		if (ret == -op->errs[i])
			return true;
	}
	return false;
}

/* Does this B go with this A, on this host? */
bool il_goes_with(const struct op *b, const struct op_a *a)
{
	return is_listed(b->as, a->op.name) && !(b->preinit_reg && il_no_preinit_regs);
}

/* The Bs that are done at the same time with A. */
u32 il_group_mask(const struct op_a *a, int group)
{
	u32 mask = 0;
	int i;

#ifdef __aarch64__
	/* Without a KVM_RUN it's a part of GROUP_USE. */
	if (group == GROUP_RUN)
		return 0;
#endif
	for (i = 0; i < (int)ARRAY_SIZE(il_ops_b); i++) {
		if ((il_ops_b[i].group & BIT(group)) && il_goes_with(&il_ops_b[i], a))
			mask |= BIT(i);
	}
	return mask;
}
