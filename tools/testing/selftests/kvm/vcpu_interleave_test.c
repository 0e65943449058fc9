// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every function that creates, uses or destroys a VM, a vCPU or a vGIC is held
 * once while others use the same VM.
 *
 * An operation A is recorded by the function tracer: the functions that it runs
 * through, in the order in which it enters them first.  Then A is done again and
 * again, each time on a new VM, and each time another one of these functions is
 * held at its entry (kvm_lifecycle's pause).  Meanwhile operations B are done on
 * the same VM by other threads on other CPUs.  Afterwards:
 *
 *  - A and each B have returned one of the values that are listed for them;
 *  - nobody is stuck, i.e. all have returned soon after A was let go;
 *  - each vCPU has its ID at its index, and AVIC's table has its entry;
 *  - each vCPU is as the vGIC leaves it, and can be run;
 *  - the VM can be destroyed and is gone, and no file descriptor is left;
 *  - the kernel has reported nothing.
 *
 * The test isn't told what to find, or where.
 *
 * The Bs of a group are done at the same time, by a thread each.  If that fails,
 * each of them is done alone, so as to see which of them it takes.
 *
 * All of it takes too long for each run of a test suite.  INTERLEAVE=full in the
 * environment asks for all functions, else as many of them are held as there is
 * time for: KVM's own functions first, else in a random order, which
 * INTERLEAVE_SEED determines.  INTERLEAVE_FUNC names the only one to be held.
 */
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"
#include "func_trace.h"
#ifdef __aarch64__
#include "gic_v3.h"
#endif

/* Of one operation A, all of its functions. */
#define SUBTEST_TIMEOUT_S	1800

#define DEFAULT_SEED		1

/* The longest that A is held; twice as long if the Bs came too late, and so on. */
#define PAUSE_US		50000

/* A B that sleeps for so long is taken to wait for A. */
#define ASLEEP_MS		6

/* A thread that hasn't returned so long after A was let go is stuck. */
#define STUCK_S			10

/* To destroy VMs takes long if all that RCU calls comes to a probe. */
#define VM_LEFT_S		30

/* How long what refers to a VM, and thus to kvm_amd, may outlive the last close(). */
#define IDLE_S			5

/* The longest that one hold may take, with all that comes before and after it. */
#define HOLD_TIMEOUT_S		60

/* The longest that it takes to record an operation. */
#define RECORD_TIMEOUT_S	120

#define MAX_FUNCS		4096

/* VMs that are being destroyed at the same time, and the lowest of their file descriptors. */
#define MAX_REAPED		8
#define REAPED_FDS		256

/*
 * A VM in debugfs is named after its file descriptor.  Hence those of VMs that live
 * at the same time must differ, and each VM starts so far from the one before it.
 */
#define FDS_PER_VM		8

#define REASON_SIZE		4096

/* For the trace of one operation on one CPU. */
#define FUNC_BUFFER_KB		"16384"

/* How often A is traced: what is allocated at first may be cached later. */
#define NR_TRACES		2

/* How often A is done again if it was held too early, or the Bs came too late. */
#define MAX_TRIES		4

/* A B may come too late so often, or in this part of the holds that it came in time for. */
#define MAX_LATE		4
#define LATE_PART		4

/* What is red goes on being red: enough is enough. */
#define MAX_REDS		12

/* vCPUs that are there before, their IDs, and those that are created. */
#define NR_VCPUS		2
#define VCPU_ID(idx)		((idx) + 2)
#define ID_A			8
#define ID_OTHER		9
#define ID_LATER		10

#define MAX_BS			24

/* Of finit_module(), in a header of the kernel that one of tools/include hides. */
#define MODULE_INIT_COMPRESSED_FILE	4

/* What became of a function and a B. */
enum {
	CELL_NONE	= ' ',	/* this B doesn't go with this A */
	CELL_DONE	= '.',	/* B began and ended while A was held there */
	CELL_WAITED	= 'w',	/* B began while A was held, and ended after it went on */
	CELL_LATE	= 'l',	/* B didn't come to begin before A went on */
	CELL_RED	= 'R',
	CELL_UNPROBED	= 'p',	/* the kernel doesn't let this function be probed */
	CELL_AMBIGUOUS	= 'a',	/* there are several functions of that name */
	CELL_UNREACHED	= 'u',	/* A didn't come through there this time */
	CELL_FATAL	= 'f',	/* what handles a probe runs through there itself */
	CELL_KEPT	= 'k',	/* to hold kvm_amd there keeps it from being unloaded */
	CELL_UNTRIED	= '-',	/* not in the sample */
};

static const char * const legend[] = {
	". done, w waited, l late, R red, u unreached, - untried",
	"p can't be probed, a ambiguous, f fatal, k keeps kvm_amd",
};

struct world;

/* What an operation may return, besides success: 0, or 1 for a file descriptor. */
#define MAX_ERRS 5

struct op {
	const char *name;
	int (*fn)(struct world *w);
	bool ok;			/* it may succeed ... */
	int errs[MAX_ERRS];		/* ... or fail so, 0 ends the list */
	bool creates_fd;
	bool preinit_reg;		/* accesses a register before the vGIC's initialization */
	const char *as;			/* of Bs: the As that it goes with */
	unsigned int group;		/* of Bs: who is done at the same time */
	bool patient;			/* of Bs: it may sleep for reasons of its own */
};

struct op_a {
	struct op op;
	bool no_vm;			/* there's no VM before */
	bool kthread;			/* it's kvm_lifecycle's ga_log thread that does it */
	bool unloads;			/* kvm_amd, which nobody may use before */
	int setup;			/* of arm64's vGIC */
	const char *first;		/* the function with which it begins */
	int sample_s;			/* how long a sample of it may take */
};

enum { GROUP_USE, GROUP_INIT, GROUP_RUN, GROUP_CLOSE, GROUP_DIE, NR_GROUPS };

enum { VGIC_NONE, VGIC_CONFIGURED };

struct doer {
	pthread_t thread;
	sem_t go;
	int tid;
	int stat_fd;
	bool begun;
	bool done;
	int ret;
	int (*fn)(struct world *w);
	struct world *w;
	u64 asleep_since;
};

/* What the process that does it all shares among its threads. */
struct world {
	const struct op_a *a;
	int cpu;			/* A's own */
	int dev_kvm;
	int run_size;
	int pause;
	int armed;			/* the function that the probe is at, or -1 */
	int delay_us;
	int ga_log;
	int kmsg;
	bool avic;

	int vm;
	int gic;
	int vcpu[NR_VCPUS];
	bool closed;			/* VM and vCPUs, by an operation */
	bool guess_closed;
	int guess_vm;			/* what A is about to create, or what there is */
	int guess_vcpu;
	u32 vm_id;
	u32 iidr;
	int next_fd;

	pthread_t reaper;
	int reap[2];
	int nr_reaped;
	int pad[FDS_PER_VM * MAX_REAPED];
	int nr_pad;

	struct doer doer_a;
	int stage;			/* of A's thread */
	struct doer doer_b[MAX_BS];
};

enum { STAGE_IDLE, STAGE_READY, STAGE_SPINNING, STAGE_GO };

/* One function held once. */
struct hold {
	int func;
	u32 mask;			/* of the Bs */
};

enum { HELD, RED, UNPROBED, UNREACHED };

struct result {
	int status;
	char cell[MAX_BS];
	char why[512];
};

struct func {
	int symbol;
	char cell[MAX_BS];
};

/* What the recording of an operation leaves behind. */
struct program {
	int nr_funcs;
	struct func funcs[MAX_FUNCS];
	char missing[512];
};

/* Of all processes: a program for each A. */
static struct program *programs;

/* The one that is dealt with. */
static struct program *program;

static int fd_or_errno(int fd)
{
	return fd < 0 ? -errno : fd;
}

/* KVM_CREATE_VM of a VM that nobody else knows. */
static int new_vm(struct world *w)
{
	int dev = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -errno;
	fd = fd_or_errno(ioctl(dev, KVM_CREATE_VM, 0ul));
	close(dev);
	return fd;
}

static int create_vm(struct world *w)
{
	return fd_or_errno(ioctl(w->dev_kvm, KVM_CREATE_VM, 0ul));
}

static int create_vcpu(struct world *w)
{
	return fd_or_errno(ioctl(w->guess_vm, KVM_CREATE_VCPU, (unsigned long)ID_A));
}

static int create_other(struct world *w)
{
	return fd_or_errno(ioctl(w->guess_vm, KVM_CREATE_VCPU, (unsigned long)ID_OTHER));
}

static int check_extension(struct world *w)
{
	return ioctl(w->guess_vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) < 0 ? -errno : 0;
}

static int run_fd(struct world *w, int fd, bool immediate)
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

static int die(struct world *w)
{
	kill(getpid(), SIGKILL);
	pause();
	return 0;
}

#ifdef __x86_64__
static int run_guessed(struct world *w)
{
	return run_fd(w, w->guess_vcpu, true);
}

static int run_vcpu0(struct world *w)
{
	return run_fd(w, w->vcpu[0], true);
}

static int run_guessed_blocked(struct world *w)
{
	return run_fd(w, w->guess_vcpu, false);
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

static int enable_split_irqchip(struct world *w)
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

/* A thread of kvm_lifecycle's does what the calling B is there for: not on A's CPU. */
static void run_beside_a(int tid)
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

/* By the driver of the IOMMU, to whoever is registered there. */
static int process_entry(struct world *w)
{
	int fd = __kvm_lifecycle_open("iommu"), r;

	if (fd < 0)
		return fd;
	run_beside_a(injector_read(fd).tid);
	r = wait_for_entry(fd, __kvm_lifecycle_write(fd, "process 1"));
	close(fd);
	return r;
}

static int unload(struct world *w)
{
	return unload_kvm_amd();
}

static char load_command[4096];

/* As modprobe does it, if what kvm_amd depends on is loaded. */
static int load(struct world *w)
{
	const char *params = load_command + strlen(KVM_AMD_LOAD);
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

/* What takes modprobe a process or two is done without it, if it can be. */
static int ensure_loaded(void)
{
	char state[16];

	if (!fault_knob_read("/sys/module/kvm_amd/initstate", state, sizeof(state)) &&
	    !strcmp(state, "live\n"))
		return 0;
	return load(NULL) && system(load_command) ? -EIO : 0;
}

static int use_new_vm(struct world *w)
{
	int vm = new_vm(w), fd;

	if (vm < 0)
		return vm;
	fd = fd_or_errno(ioctl(vm, KVM_CREATE_VCPU, 0ul));
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
static int create_vgic(struct world *w)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	return ioctl(w->guess_vm, KVM_CREATE_DEVICE, &dev) ? -errno : (int)dev.fd;
}

static int init_vgic(struct world *w)
{
	return vgic_ctrl_init(w->gic);
}

static int access_iidr(struct world *w, unsigned long cmd, u32 *val)
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

	return access_iidr(w, KVM_GET_DEVICE_ATTR, &val);
}

/* What it reads as can be written. */
static int write_iidr(struct world *w)
{
	u32 val = w->iidr;

	return access_iidr(w, KVM_SET_DEVICE_ATTR, &val);
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
 * What is done while A is held.  EBADF is due to a guessed file descriptor that
 * doesn't exist yet, or not any more; EINVAL to one that is something else by then,
 * e.g. a vCPU where there was a VM.
 */
static const struct op ops_b[] = {
	{
		.name = "create_other", .fn = create_other, .creates_fd = true,
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
		.name = "create_same", .fn = create_vcpu, .creates_fd = true,
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
		.name = "die", .fn = die, .patient = true,
		.as = "create_vm destroy_vm unload " WITH_VM,
		.group = IN(DIE),
	}, {
		.name = "new_vm", .fn = new_vm, .creates_fd = true,
		.as = "create_vm destroy_vm",
		.group = IN(INIT),
		.ok = true,
	},
#ifdef __x86_64__
	/* No such file, or nothing behind it: kvm_amd isn't there, not yet or not any more. */
	{
		.name = "use_new_vm", .fn = use_new_vm,
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
		.name = "irqchip", .fn = enable_split_irqchip,
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
		.name = "run_blocked", .fn = run_guessed_blocked,
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
		.name = "create_vgic", .fn = create_vgic, .creates_fd = true,
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

static_assert(ARRAY_SIZE(ops_b) <= MAX_BS);

/* What is held. */
static const struct op_a ops_a[] = {
	{
		.op = { .name = "create_vm", .fn = create_vm, .ok = true, .creates_fd = true },
		.no_vm = true,
		.first = "sys_ioctl",
		.sample_s = 10,
	}, {
		.op = {
			.name = "create_vcpu", .fn = create_vcpu, .ok = true, .creates_fd = true,
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
			.name = "create_vgic", .fn = create_vgic, .ok = true, .creates_fd = true,
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

/* Why no register can be accessed before the vGIC is initialized, or NULL. */
static const char *no_preinit_regs;

struct interleave {
	const struct op_a *a;
	int kmsg;
	int kept_vm;
};

FIXTURE(interleave) {
	struct interleave i;
};

FIXTURE_VARIANT(interleave) {
	const char *name;
};

FIXTURE_VARIANT_ADD(interleave, create_vm) { .name = "create_vm" };
FIXTURE_VARIANT_ADD(interleave, create_vcpu) { .name = "create_vcpu" };
FIXTURE_VARIANT_ADD(interleave, destroy_vm) { .name = "destroy_vm" };
#ifdef __x86_64__
FIXTURE_VARIANT_ADD(interleave, ga_log) { .name = "ga_log" };
FIXTURE_VARIANT_ADD(interleave, unload) { .name = "unload" };
#endif
#ifdef __aarch64__
FIXTURE_VARIANT_ADD(interleave, create_vgic) { .name = "create_vgic" };
FIXTURE_VARIANT_ADD(interleave, init_vgic) { .name = "init_vgic" };
FIXTURE_VARIANT_ADD(interleave, vgic_reg) { .name = "vgic_reg" };
FIXTURE_VARIANT_ADD(interleave, vcpu_reg) { .name = "vcpu_reg" };
#endif

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

static bool may_return(const struct op *op, int ret)
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
static bool goes_with(const struct op *b, const struct op_a *a)
{
	return is_listed(b->as, a->op.name) && !(b->preinit_reg && no_preinit_regs);
}

/* The Bs that are done at the same time with A. */
static u32 group_mask(const struct op_a *a, int group)
{
	u32 mask = 0;
	int i;

#ifdef __aarch64__
	/* Without a KVM_RUN it's a part of GROUP_USE. */
	if (group == GROUP_RUN)
		return 0;
#endif
	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if ((ops_b[i].group & BIT(group)) && goes_with(&ops_b[i], a))
			mask |= BIT(i);
	}
	return mask;
}

/* The first thing that is wrong counts. */
static void __printf(2, 3) red(struct result *res, const char *fmt, ...)
{
	va_list ap;

	if (res->status == RED)
		return;
	res->status = RED;
	va_start(ap, fmt);
	vsnprintf(res->why, sizeof(res->why), fmt, ap);
	va_end(ap);
}

static void kick(int sig)
{
}

/* A signal that was to end a KVM_RUN may come when that has ended. */
static void wait_to_go(struct doer *d)
{
	while (sem_wait(&d->go))
		;
}

/* A thread does nothing in the kernel while A is about to begin, nor after it has ended. */
static void *do_a(void *arg)
{
	struct doer *d = arg;
	struct world *w = d->w;

	pin_tid_to_cpu(0, w->cpu);
	__atomic_store_n(&d->tid, gettid(), __ATOMIC_SEQ_CST);
	for (;;) {
		wait_to_go(d);
		__atomic_store_n(&w->stage, STAGE_SPINNING, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&w->stage, __ATOMIC_SEQ_CST) != STAGE_GO)
			cpu_relax();
		d->ret = d->fn(w);
		__atomic_store_n(&d->done, true, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&w->stage, __ATOMIC_SEQ_CST) == STAGE_GO)
			cpu_relax();
	}
	return NULL;
}

static void *do_b(void *arg)
{
	struct doer *d = arg;

	__atomic_store_n(&d->tid, gettid(), __ATOMIC_SEQ_CST);
	for (;;) {
		wait_to_go(d);
		__atomic_store_n(&d->begun, true, __ATOMIC_SEQ_CST);
		d->ret = d->fn(d->w);
		__atomic_store_n(&d->done, true, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void start_doer(struct world *w, struct doer *d, void *(*thread)(void *),
		       int (*fn)(struct world *w))
{
	char path[64];

	d->w = w;
	d->fn = fn;
	sem_init(&d->go, 0, 0);
	TEST_ASSERT(!pthread_create(&d->thread, NULL, thread, d), "pthread_create()");
	while (!__atomic_load_n(&d->tid, __ATOMIC_SEQ_CST))
		usleep(100);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", d->tid);
	d->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	TEST_ASSERT(d->stat_fd >= 0, "%s: %s", path, strerror(errno));
}

static bool is_done(struct doer *d)
{
	return __atomic_load_n(&d->done, __ATOMIC_SEQ_CST);
}

static bool has_begun(struct doer *d)
{
	return __atomic_load_n(&d->begun, __ATOMIC_SEQ_CST);
}

/* Has this thread been asleep for a while? */
static bool is_asleep(struct doer *d)
{
	char buf[128] = "", *p;

	if (pread(d->stat_fd, buf, sizeof(buf) - 1, 0) <= 0)
		return false;
	p = strrchr(buf, ')');
	if (!p || (p[2] != 'D' && p[2] != 'S')) {
		d->asleep_since = 0;
		return false;
	}
	if (!d->asleep_since)
		d->asleep_since = now_ms();
	return now_ms() - d->asleep_since >= ASLEEP_MS;
}

static bool a_is_done(struct world *w)
{
	if (w->a->kthread)
		return !injector_read(w->ga_log).running;
	return is_done(&w->doer_a);
}

static int a_tid(struct world *w)
{
	return w->a->kthread ? injector_read(w->ga_log).tid : w->doer_a.tid;
}

/* A's thread waits on its CPU, and not in the kernel. */
static void make_a_ready(struct world *w)
{
	if (w->a->kthread)
		return;
	w->doer_a.done = false;
	__atomic_store_n(&w->stage, STAGE_READY, __ATOMIC_SEQ_CST);
	sem_post(&w->doer_a.go);
	while (__atomic_load_n(&w->stage, __ATOMIC_SEQ_CST) != STAGE_SPINNING)
		usleep(100);
}

static void let_a_go(struct world *w)
{
	if (w->a->kthread)
		w->doer_a.ret = w->a->op.fn(w);
	else
		__atomic_store_n(&w->stage, STAGE_GO, __ATOMIC_SEQ_CST);
}

static void end_a(struct world *w)
{
	if (!w->a->kthread)
		__atomic_store_n(&w->stage, STAGE_IDLE, __ATOMIC_SEQ_CST);
}

static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

#ifdef __x86_64__
/* AVIC's tables are right: an entry for each vCPU, with its own page, and no other. */
static void check_avic(struct world *w, struct result *res)
{
	int i, nr_vcpus = 0;
	struct avic_state a;
	u64 entry, backing;

	if (avic_read(w->vm, &a)) {
		red(res, "AVIC's tables can't be read");
		return;
	}
	if (!!a.vm_id != a.listed || (a.listed && (!a.physical || !a.logical)))
		red(res, "AVIC: VM ID %u, listed %d, physical %d, logical %d", a.vm_id, a.listed,
		    a.physical, a.logical);
	for (i = 0; i < a.nr_vcpus; i++) {
		backing = a.backing[i].val;
		if (!backing)
			continue;
		nr_vcpus++;
		entry = avic_entry(&a, a.backing[i].id);
		if (!entry)
			red(res, "vCPU%u: want an entry in AVIC's table, got none",
			    a.backing[i].id);
		else if (!avic_entry_is_of(entry, backing))
			red(res, "vCPU%u: entry 0x%llx, but the APIC's page is 0x%llx",
			    a.backing[i].id, (unsigned long long)entry,
			    (unsigned long long)backing);
	}
	if (a.nr_entries != nr_vcpus)
		red(res, "want %d entries in AVIC's table, got %d", nr_vcpus, a.nr_entries);
}
#endif

/* Each index has one of these IDs, each ID one index, and there are no more. */
static void check_indices(struct world *w, struct result *res, const u32 *ids, int nr)
{
	int fd = __kvm_lifecycle_open("get_vcpu"), i, j;
	u32 found = 0, id;
	char buf[64];

	for (i = 0; i <= nr; i++) {
		if (fd < 0 || __kvm_lifecycle_write(fd, "%d %d", w->vm, i) ||
		    kvm_lifecycle_read(fd, buf, sizeof(buf)) <= 0) {
			red(res, "kvm_get_vcpu(kvm, %d) can't be asked for", i);
			break;
		}
		if (!strncmp(buf, "none", 4)) {
			if (i < nr)
				red(res, "index %d: want one of %d vCPUs, got none", i, nr);
			break;
		}
		id = atoi(buf);
		for (j = 0; j < nr && ids[j] != id; j++)
			;
		if (j == nr || (found & BIT(j)))
			red(res, "index %d: want another one of %d vCPUs, got vCPU%u", i, nr, id);
		found |= BIT(j);
	}
	if (fd >= 0)
		close(fd);
}

#ifdef __aarch64__
static void configure_vgic(struct world *w)
{
	u32 nr_irqs = 64;
	u64 addr = GICD_BASE_GPA;

	w->gic = create_vgic(w);
	TEST_ASSERT(w->gic >= 0, "KVM_CREATE_DEVICE: %s", ret_name(w->gic));
	kvm_device_attr_set(w->gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
	kvm_device_attr_set(w->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &addr);
	TEST_ASSERT(!vgic_set_region(w->gic, GICR_BASE_GPA, 8, 0), "redistributors");
}

static int init_vcpu_fd(struct world *w, int fd)
{
	struct kvm_vcpu_init init;

	if (ioctl(w->vm, KVM_ARM_PREFERRED_TARGET, &init))
		return -errno;
	return ioctl(fd, KVM_ARM_VCPU_INIT, &init) ? -errno : 0;
}

#define ICC_CTLR_ATTR(_mpidr)								\
	(((u64)(_mpidr) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT) |				\
	 (KVM_ARM64_SYS_REG(SYS_ICC_CTLR_EL1) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK))

static int get_vgic_reg(int gic, u32 group, u64 id, u64 *val)
{
	struct kvm_device_attr attr = {
		.group = group,
		.attr = id,
		.addr = (u64)(unsigned long)val,
	};

	return ioctl(gic, KVM_GET_DEVICE_ATTR, &attr) ? -errno : 0;
}

/* The vGIC can be initialized, if it isn't, and has then reset each vCPU. */
static void check_vgic(struct world *w, struct result *res, const int *fds, const u32 *ids, int nr)
{
	u64 ctlr, first = 0, val;
	int i, r;

	if (w->gic < 0)
		return;
	r = vgic_ctrl_init(w->gic);
	if (r)
		red(res, "KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(r));
	for (i = 0; i < nr; i++) {
		r = init_vcpu_fd(w, fds[i]);
		if (r)
			red(res, "KVM_ARM_VCPU_INIT of vCPU%u: want 0, got %s", ids[i],
			    ret_name(r));
	}
	for (i = 0; i < nr; i++) {
		r = get_vgic_reg(w->gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_CTLR_ATTR(ids[i]),
				 &ctlr);
		if (r)
			red(res, "ICC_CTLR_EL1 of vCPU%u: want 0, got %s", ids[i], ret_name(r));
		else if (i && ctlr != first)
			red(res, "ICC_CTLR_EL1 of vCPU%u: want 0x%llx as of vCPU%u, got 0x%llx",
			    ids[i], (unsigned long long)first, ids[0], (unsigned long long)ctlr);
		else
			first = ctlr;
		val = 0;
		r = get_vgic_reg(w->gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
				 ((u64)ids[i] << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT) | GICR_CTLR,
				 &val);
		if (r)
			red(res, "GICR_CTLR of vCPU%u: want 0, got %s", ids[i], ret_name(r));
	}
}
#endif

/* The VM, and what else A and the Bs find. */
static void create_world(struct world *w)
{
	int i;

	w->closed = false;
	w->guess_closed = false;
	w->vm = -1;
	w->gic = -1;
	w->guess_vcpu = -1;
	w->vm_id = 0;
	for (i = 0; i < NR_VCPUS; i++)
		w->vcpu[i] = -1;
	for (w->nr_pad = 0; w->nr_pad < w->nr_reaped % MAX_REAPED * FDS_PER_VM; w->nr_pad++)
		w->pad[w->nr_pad] = kvm_dup(w->pause);
	w->next_fd = lowest_fd();
	w->guess_vm = w->next_fd;
#ifdef __x86_64__
	if (w->a->unloads) {
		int users;

		TEST_ASSERT(!ensure_loaded(), "kvm_amd can't be loaded");
		users = kvm_amd_users_left(IDLE_S);
		TEST_ASSERT(!users, "want 0 users of kvm_amd, got %d", users);
	}
#endif
	if (w->a->no_vm)
		return;

	w->vm = create_vm(w);
	TEST_ASSERT(w->vm >= 0, "KVM_CREATE_VM: %s", ret_name(w->vm));
	w->guess_vm = w->vm;
#ifdef __x86_64__
	TEST_ASSERT(!enable_split_irqchip(w), "KVM_CAP_SPLIT_IRQCHIP");
#endif
#ifdef __aarch64__
	if (w->a->setup == VGIC_CONFIGURED)
		configure_vgic(w);
#endif
	for (i = 0; i < NR_VCPUS; i++) {
		w->vcpu[i] = fd_or_errno(ioctl(w->vm, KVM_CREATE_VCPU, (unsigned long)VCPU_ID(i)));
		TEST_ASSERT(w->vcpu[i] >= 0, "KVM_CREATE_VCPU: %s", ret_name(w->vcpu[i]));
#ifdef __aarch64__
		TEST_ASSERT(!init_vcpu_fd(w, w->vcpu[i]), "KVM_ARM_VCPU_INIT");
#endif
	}
#ifdef __x86_64__
	if (w->avic) {
		int r = avic_vm_id(w->vm);

		TEST_ASSERT(r > 0, "a VM with a split irqchip has no ID, got %s", ret_name(r));
		w->vm_id = r;
	}
#endif
#ifdef __aarch64__
	if (w->gic >= 0 && !no_preinit_regs)
		TEST_ASSERT(!access_iidr(w, KVM_GET_DEVICE_ATTR, &w->iidr), "GICD_IIDR");
#endif
	w->guess_vcpu = w->a->op.fn == create_vcpu ? lowest_fd() : w->vcpu[1];
}

/* Has this process a VM, as far as KVM knows? */
static bool has_vm(int pid)
{
	struct dirent *e;
	bool found = false;
	char prefix[16];
	DIR *d;

	snprintf(prefix, sizeof(prefix), "%d-", pid);
	d = opendir("/sys/kernel/debug/kvm");
	if (!d)
		return false;
	while (!found && (e = readdir(d)))
		found = !strncmp(e->d_name, prefix, strlen(prefix));
	closedir(d);
	return found;
}

static void expect_no_vm(struct result *res, int pid)
{
	u64 start = now_ms();

	while (has_vm(pid)) {
		if (timed_out(start, VM_LEFT_S)) {
			red(res, "a VM is left %d s after all of its file descriptors were closed",
			    VM_LEFT_S);
			return;
		}
		usleep(POLL_US);
	}
}

static void expect_no_report(struct world *w, struct result *res)
{
	char line[256];

	while (kmsg_find_splat(w->kmsg, line, sizeof(line)))
		red(res, "kernel splat: %s", line);
}

static bool can_run(const struct world *w)
{
#ifdef __aarch64__
	return w->gic >= 0;
#else
	return true;
#endif
}

/* All is as it must be after A and these Bs. */
static void check_world(struct world *w, struct result *res, u32 mask)
{
	int fds[NR_VCPUS + 3], nr = 0, winners = 0, i, r, fd;
	u32 ids[NR_VCPUS + 3];
	const struct op *op;

	/* Before A has looked at its file descriptor, a B may have closed it. */
	if (!may_return(&w->a->op, w->doer_a.ret) && !(w->closed && w->doer_a.ret == -EBADF))
		red(res, "%s: want %s, got %s", w->a->op.name,
		    w->a->op.errs[0] ? "success or another errno" : "success",
		    ret_name(w->doer_a.ret));
#ifdef __x86_64__
	if (w->a->unloads) {
		r = ensure_loaded() ?: use_new_vm(w);
		if (r)
			red(res, "a vCPU of a new VM, afterwards: want a vCPU, got %s",
			    ret_name(r));
	}
#endif
	for (i = 0; i < NR_VCPUS && w->vm >= 0; i++) {
		ids[nr] = VCPU_ID(i);
		fds[nr++] = w->vcpu[i];
	}
	if (w->a->op.fn == create_vm && w->doer_a.ret >= 0)
		w->vm = w->doer_a.ret;
	if (w->a->op.fn == create_vcpu && w->doer_a.ret >= 0) {
		ids[nr] = ID_A;
		fds[nr++] = w->doer_a.ret;
		winners++;
	}
	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		op = &ops_b[i];
		r = w->doer_b[i].ret;
		if (!(mask & BIT(i)))
			continue;
		if (!may_return(op, r))
			red(res, "%s: want %s, got %s", op->name,
			    op->ok && !op->errs[0] ? "success" : "what is listed", ret_name(r));
		if (op->fn == create_other && r >= 0) {
			ids[nr] = ID_OTHER;
			fds[nr++] = r;
		}
		if (op->fn == create_vcpu && r >= 0) {
			ids[nr] = ID_A;
			fds[nr++] = r;
			winners++;
		}
	}
	if (winners > 1)
		red(res, "want one vCPU %d, got %d", ID_A, winners);
	if (w->a->op.fn == create_vcpu && !winners && w->doer_a.ret == -EEXIST)
		red(res, "want a vCPU %d, got none: it exists already", ID_A);

	if (w->vm >= 0 && !w->closed && !w->guess_closed) {
#ifdef __aarch64__
		check_vgic(w, res, fds, ids, nr);
#endif
#ifdef __x86_64__
		if (w->avic && nr)
			check_avic(w, res);
#endif
		check_indices(w, res, ids, nr);
		for (i = 0; i < nr; i++) {
			/* Without a vGIC that is initialized, there's no KVM_RUN on arm64. */
			if (!can_run(w))
				continue;
			r = run_fd(w, fds[i], true);
			if (r != -EINTR)
				red(res, "KVM_RUN of vCPU%u, with immediate_exit: want %s, got %s",
				    ids[i], ret_name(-EINTR), ret_name(r));
		}
		if (w->a->op.fn == create_vm) {
			fd = fd_or_errno(ioctl(w->vm, KVM_CREATE_VCPU, (unsigned long)ID_LATER));
			if (fd < 0)
				red(res, "a vCPU of the new VM: want a vCPU, got %s", ret_name(fd));
			else
				close(fd);
		}
	}
}

/*
 * To destroy a VM takes long, mostly waiting for RCU.  Do that while the next one is
 * in use.  Its file descriptors must not be those that the next one gets.
 */
static void reap(struct world *w, int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, REAPED_FDS);

	TEST_ASSERT(high >= 0, "F_DUPFD_CLOEXEC: %s", strerror(errno));
	close(fd);
	TEST_ASSERT(write(w->reap[1], &high, sizeof(high)) == sizeof(high), "write to a pipe");
}

static void *do_reap(void *arg)
{
	struct world *w = arg;
	int fd;

	while (read(w->reap[0], &fd, sizeof(fd)) == sizeof(fd))
		close(fd);
	return NULL;
}

static void destroy_world(struct world *w, struct result *res, u32 mask)
{
	int i;

	if (w->a->op.creates_fd && w->doer_a.ret >= 0 && !w->guess_closed)
		reap(w, w->doer_a.ret);
	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if ((mask & BIT(i)) && ops_b[i].creates_fd && w->doer_b[i].ret >= 0)
			reap(w, w->doer_b[i].ret);
	}
	if (!w->closed && !w->a->no_vm) {
		for (i = 0; i < NR_VCPUS; i++) {
			if (w->vcpu[i] >= 0)
				reap(w, w->vcpu[i]);
		}
		if (w->gic >= 0)
			reap(w, w->gic);
		if (w->vm >= 0)
			reap(w, w->vm);
	}
	i = lowest_fd();
	if (i != w->next_fd)
		red(res, "want %d to be the next file descriptor, got %d", w->next_fd, i);
	while (w->nr_pad)
		close(w->pad[--w->nr_pad]);
	if (++w->nr_reaped % MAX_REAPED == 0)
		expect_no_vm(res, getpid());
}

/* Threads that still do what they were told to. */
static bool all_done(struct world *w, u32 mask, bool kickable)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (!(mask & BIT(i)) || is_done(&w->doer_b[i]))
			continue;
#ifdef __x86_64__
		if (!kickable && ops_b[i].fn == run_guessed_blocked)
			continue;
#endif
		return false;
	}
	return true;
}

/* All Bs have ended, or wait, for A as it seems. */
static bool all_settled(struct world *w, u32 mask)
{
	bool settled = true;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		struct doer *d = &w->doer_b[i];

		if (!(mask & BIT(i)) || is_done(d))
			continue;
		if (!has_begun(d) || ops_b[i].patient || !is_asleep(d))
			settled = false;
	}
	return settled;
}

/* Do the Bs while A is held, as long as it is. */
static void do_bs(struct world *w, struct result *res, u32 mask)
{
	bool inside;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (!(mask & BIT(i)))
			continue;
		w->doer_b[i].begun = false;
		w->doer_b[i].done = false;
		w->doer_b[i].asleep_since = 0;
		w->doer_b[i].ret = 0;
		res->cell[i] = CELL_LATE;
		sem_post(&w->doer_b[i].go);
	}

	do {
		usleep(200);
		for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
			struct doer *d = &w->doer_b[i];
			bool done, begun;

			if (!(mask & BIT(i)) || res->cell[i] == CELL_DONE)
				continue;
			/* In this order, so that what was seen was while A was held. */
			begun = has_begun(d);
			done = is_done(d);
			if (begun && pause_read(w->pause).inside)
				res->cell[i] = done ? CELL_DONE : CELL_WAITED;
		}
		inside = pause_read(w->pause).inside;
	} while (inside && !all_settled(w, mask));
}

/* A is let go: all return, without anybody's help. */
static bool wait_for_all(struct world *w, struct result *res, u32 mask)
{
	u64 start = now_ms();
	int i;

	while (!a_is_done(w) || !all_done(w, mask, false)) {
		if (!timed_out(start, STUCK_S)) {
			usleep(200);
			continue;
		}
		if (!a_is_done(w))
			red(res, "%s: want it to return, is stuck for %d s", w->a->op.name,
			    STUCK_S);
		for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
			if ((mask & BIT(i)) && !is_done(&w->doer_b[i]))
				red(res, "%s: want it to return, is stuck for %d s",
				    ops_b[i].name, STUCK_S);
		}
		return false;
	}

	start = now_ms();
	while (!all_done(w, mask, true)) {
		for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
			if ((mask & BIT(i)) && !is_done(&w->doer_b[i]))
				pthread_kill(w->doer_b[i].thread, SIGUSR1);
		}
		usleep(200);
		if (timed_out(start, STUCK_S)) {
			red(res, "KVM_RUN: want it to return when it's interrupted, is stuck");
			return false;
		}
	}
	return true;
}

static const char *probe_name(const struct func *f)
{
	const struct kernel_symbol *s = &kernel_symbols[f->symbol];
	static char name[320];

	snprintf(name, sizeof(name), "%s%s%s", s->module ?: "", s->module ? ":" : "", s->name);
	return name;
}

/* Have A held, once, when it comes to the function.  Returns 0 or -errno. */
static int arm(struct world *w, int func, int delay_us)
{
	int r;

	/* A probe takes long to come and to go. */
	if (w->armed == func && w->delay_us == delay_us)
		return __kvm_lifecycle_write(w->pause, "again");
	__kvm_lifecycle_write(w->pause, "release");
	w->armed = -1;
	r = __kvm_lifecycle_write(w->pause, "%s %d %d 1", probe_name(&program->funcs[func]),
				  a_tid(w), delay_us);
	if (!r) {
		w->armed = func;
		w->delay_us = delay_us;
	}
	return r;
}

/* Returns false if this process can't be used any more. */
static bool hold_once(struct world *w, const struct hold *h, struct result *res, int result_fd)
{
	bool late, hit = false;
	int tries, r, i;
	u64 start;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		memset(res, 0, sizeof(*res));
		create_world(w);
		make_a_ready(w);
		r = arm(w, h->func, PAUSE_US << tries);
		if (r) {
			/* A is done all the same, so that its thread is as before. */
			res->status = UNPROBED;
			snprintf(res->why, sizeof(res->why), "%s", ret_name(r));
			hit = true;
		}
		/* An interrupt may have come through there. */
		if (!r && pause_read(w->pause).hits)
			res->status = UNREACHED;
		let_a_go(w);
		start = now_ms();
		while (!res->status && !(hit = pause_read(w->pause).hits) && !a_is_done(w) &&
		       !timed_out(start, STUCK_S))
			usleep(100);
		if (!res->status && !hit)
			hit = pause_read(w->pause).hits;
		if (!hit)
			res->status = UNREACHED;
		if (!res->status && (h->mask & group_mask(w->a, GROUP_DIE))) {
			for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
				if (h->mask & BIT(i))
					res->cell[i] = CELL_DONE;
			}
			if (write(result_fd, res, sizeof(*res)) != sizeof(*res))
				_exit(1);
			die(w);
		}

		if (!res->status)
			do_bs(w, res, h->mask);
		__kvm_lifecycle_write(w->pause, "open");
		if (!wait_for_all(w, res, res->status ? 0 : h->mask))
			return false;
		end_a(w);
		late = false;
		if (res->status == HELD) {
			check_world(w, res, h->mask);
			for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++)
				late |= res->cell[i] == CELL_LATE ||
					(res->cell[i] == CELL_WAITED && ops_b[i].patient);
			destroy_world(w, res, h->mask);
		} else {
			struct result ignored = {};

			destroy_world(w, &ignored, 0);
		}
		expect_no_report(w, res);
		if (res->status == RED || res->status == UNPROBED)
			break;
		if (res->status == HELD && !late)
			break;
		if (res->status == UNREACHED && tries)
			break;
	}
	return res->status != RED;
}

struct recording {
	int id;
	int ip_offset;
	const char *first;
	bool begun;
	bool *seen;
};

/* One function that was entered, if that was not by an interrupt. */
static void record_func(void *arg, const u8 *data)
{
	struct recording *rec = arg;
	const char *name;
	int symbol;
	u16 id;
	u64 ip;

	memcpy(&id, data, sizeof(id));
	if (id != rec->id || (data[2] & TRACE_IN_INTERRUPT))
		return;
	memcpy(&ip, data + rec->ip_offset, sizeof(ip));
	symbol = symbol_of_address(ip);
	name = kernel_symbols[symbol].name;
	if (!rec->begun && strstr(name, rec->first))
		rec->begun = true;
	if (!rec->begun || rec->seen[symbol])
		return;
	rec->seen[symbol] = true;
	TEST_ASSERT(program->nr_funcs < MAX_FUNCS, "more than %d functions", MAX_FUNCS);
	program->funcs[program->nr_funcs++].symbol = symbol;
}

/* Which functions A runs through, if nobody gets in its way.  Returns NULL or why not. */
static const char *record_a(struct world *w, struct func_trace *t, struct recording *rec)
{
	static struct result res;
	char tid[16];
	int i;

	memset(&res, 0, sizeof(res));
	snprintf(tid, sizeof(tid), "%d", a_tid(w));
	if (trace_write(t, "set_ftrace_pid", tid))
		return "the function tracer can't be told whom to record";
	for (i = 0; i < (w->a->unloads ? 1 : NR_TRACES); i++) {
		create_world(w);
		make_a_ready(w);
		func_trace_switch(t, true);
		let_a_go(w);
		if (!wait_for_all(w, &res, 0))
			return res.why;
		func_trace_switch(t, false);
		end_a(w);
		rec->begun = false;
		func_trace_read(t, record_func, rec);
		check_world(w, &res, 0);
		destroy_world(w, &res, 0);
	}
	/* What is open keeps kvm_amd. */
	if (w->dev_kvm >= 0)
		close(w->dev_kvm);
	if (w->ga_log >= 0)
		close(w->ga_log);
	if (res.status == RED)
		return res.why;
	return program->nr_funcs ? NULL : "the function tracer has recorded nothing";
}

/* What A and the Bs need, from the first to the last hold. */
static struct world *open_world(const struct op_a *a, int kmsg, int cpu)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sigaction sa = { .sa_handler = kick };
	int i;

	TEST_ASSERT(w, "no memory");
	w->a = a;
	w->kmsg = kmsg;
	w->cpu = cpu;
	w->ga_log = -1;
	w->armed = -1;
	sigaction(SIGUSR1, &sa, NULL);
#ifdef __x86_64__
	w->avic = !a->unloads && !kvm_lifecycle_missing("avic");
	if (w->avic) {
		w->ga_log = __kvm_lifecycle_open("ga_log");
		if (a->kthread)
			pin_tid_to_cpu(injector_read(w->ga_log).tid, w->cpu);
		else
			run_beside_a(injector_read(w->ga_log).tid);
	}
#endif
	w->pause = __kvm_lifecycle_open("pause");
	TEST_ASSERT(w->pause >= 0, "kvm_lifecycle's pause: %s", strerror(-w->pause));
	w->dev_kvm = -1;
	if (!a->unloads) {
		w->dev_kvm = open_path_or_exit(KVM_DEV_PATH, O_RDWR);
		w->run_size = ioctl(w->dev_kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	}

	TEST_ASSERT(!pipe2(w->reap, O_CLOEXEC), "pipe2: %s", strerror(errno));
	TEST_ASSERT(!pthread_create(&w->reaper, NULL, do_reap, w), "pthread_create()");
	start_doer(w, &w->doer_a, do_a, a->op.fn);
	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (goes_with(&ops_b[i], a))
			start_doer(w, &w->doer_b[i], do_b, ops_b[i].fn);
	}
	return w;
}

/* Why this A can't be done on this host, or NULL. */
static const char *unusable(const struct op_a *a)
{
	const char *missing = a->op.preinit_reg ? no_preinit_regs : NULL;

	if (a->kthread)
		missing = kvm_lifecycle_missing("ga_log") ?: kvm_lifecycle_missing("avic");
#ifdef __x86_64__
	if (a->unloads) {
		int users = kvm_amd_users_left(IDLE_S);

		missing = users < 0 ? "kvm_amd isn't loaded" :
			  users ? "others use kvm_amd" : kvm_amd_not_reloadable();
	}
#endif
	return missing;
}

/*
 * Record all As.  To have all functions traced, or not any more, takes long, hence
 * it's done once; for a sample it's KVM's functions alone.
 */
static const char *record_all(bool full)
{
	static const char * const fields[] = { " ip;" };
	static const char * const filters[] = {
		"*sys_ioctl", "*sys_close",
#ifdef __x86_64__
		"*:mod:kvm", "*:mod:kvm_amd", "*sys_delete_module", "amd_iommu_*",
#else
		"kvm_*", "__kvm_*", "vgic_*", "__vgic_*",
#endif
	};
	struct trace_setting settings[ARRAY_SIZE(filters) + 3];
	int i, n = 0, cpu = set_cpu_aside();
	struct recording rec = {};
	const char *missing;
	struct func_trace t;

	missing = mount_tracefs();
	if (missing)
		return missing;
	if (!trace_read_format("function", &rec.id, 1, fields, &rec.ip_offset))
		return TRACE_DIR "/events/ftrace/function/format can't be understood";

	settings[n++] = (struct trace_setting) { "tracing_on", "0" };
	settings[n++] = (struct trace_setting) { "buffer_size_kb", FUNC_BUFFER_KB };
	for (i = 0; i < (int)ARRAY_SIZE(filters) && !full; i++)
		settings[n++] = (struct trace_setting) { "set_ftrace_filter", filters[i] };
	settings[n++] = (struct trace_setting) { "current_tracer", "function" };
	missing = func_trace_begin(&t, "kvm_interleave", cpu, settings, n);
	if (missing)
		return missing;

	for (i = 0; i < (int)ARRAY_SIZE(ops_a); i++) {
		if (unusable(&ops_a[i]))
			continue;
		program = &programs[i];
		rec.first = ops_a[i].first;
		rec.seen = calloc(nr_kernel_symbols, sizeof(*rec.seen));
		TEST_ASSERT(rec.seen, "no memory");
		missing = record_a(open_world(&ops_a[i], kmsg_open(), cpu), &t, &rec);
		if (missing)
			snprintf(program->missing, sizeof(program->missing), "%s", missing);
		free(rec.seen);
	}
	func_trace_end(&t);
	return NULL;
}

/*
 * In a process of its own, whose threads and files are gone afterwards.  Returns why
 * nothing can be recorded here, or NULL.  A process that doesn't come to its end is
 * no such reason, but a failure of all that follows: @failed says how it ended.
 */
static const char *record_in_process(const char *(*record)(bool full), bool full, char *failed,
				     size_t size)
{
	char *reason;
	int status = 0;
	pid_t pid;

	reason = mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(reason != MAP_FAILED, "no memory");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		const char *missing;

		alarm(RECORD_TIMEOUT_S);
		missing = record(full);
		if (missing)
			snprintf(reason, REASON_SIZE, "%s", missing);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		snprintf(failed, size, "the recording process has ended with SIG%s",
			 sigabbrev_np(WTERMSIG(status)) ?: "?");
	else if (status)
		snprintf(failed, size, "the recording process has ended with exit %d",
			 WEXITSTATUS(status));
	return !failed[0] && reason[0] ? reason : NULL;
}

/* The process that does it all, and may be killed.  Holds come in, results go out. */
static void __noreturn work(const struct op_a *a, int kmsg, int in, int out)
{
	struct world *w;
	struct result res;
	struct hold h;
	bool go_on = true;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w = open_world(a, kmsg, set_cpu_aside());
	while (go_on && read(in, &h, sizeof(h)) == sizeof(h)) {
		memset(&res, 0, sizeof(res));
		go_on = hold_once(w, &h, &res, out);
		if (write(out, &res, sizeof(res)) != sizeof(res))
			break;
	}
	_exit(0);
}

struct worker {
	pid_t pid;
	int to;
	int from;
	int output;		/* what it says if an assertion of its fails */
};

static void start_worker(struct worker *wk, const struct op_a *a, int kmsg)
{
	int to[2], from[2];

	TEST_ASSERT(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC), "pipe2: %s", strerror(errno));
	wk->output = memfd_create("output", MFD_CLOEXEC);
	wk->pid = fork();
	TEST_ASSERT(wk->pid >= 0, "fork: %s", strerror(errno));
	if (!wk->pid) {
		close(to[1]);
		close(from[0]);
		/* It mustn't hold on to the pipe that the test's output goes to. */
		dup2(wk->output, 0);
		dup2(wk->output, 1);
		dup2(wk->output, 2);
		work(a, kmsg, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	wk->to = to[1];
	wk->from = from[0];
}

/* Its VMs and its file descriptors go, whatever it was doing. */
static void end_worker(struct worker *wk, struct result *res)
{
	u64 start = now_ms();
	int status;

	if (wk->pid <= 0)
		return;
	kill(wk->pid, SIGKILL);
	while (waitpid(wk->pid, &status, WNOHANG) != wk->pid) {
		if (timed_out(start, 2 * STUCK_S)) {
			red(res, "the process: want it to die when it's killed, is stuck");
			break;
		}
		usleep(POLL_US);
	}
	if (!timed_out(start, 2 * STUCK_S))
		expect_no_vm(res, wk->pid);
	close(wk->to);
	close(wk->from);
	close(wk->output);
	wk->pid = 0;
}

/* Where the threads of a process that has no end are. */
static void print_threads(pid_t pid)
{
	struct dirent *e;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		ksft_print_msg("thread %s:\n", e->d_name);
		print_stack(atoi(e->d_name));
	}
	if (d)
		closedir(d);
}

static void hold(struct worker *wk, const struct op_a *a, int kmsg, const struct hold *h,
		 struct result *res)
{
	bool dies = h->mask & group_mask(a, GROUP_DIE);
	struct world reports = { .kmsg = kmsg };
	struct pollfd pfd;
	char text[256];
	ssize_t r;

	memset(res, 0, sizeof(*res));
	if (!wk->pid)
		start_worker(wk, a, kmsg);
	pfd = (struct pollfd) { .fd = wk->from, .events = POLLIN };
	if (write(wk->to, h, sizeof(*h)) != sizeof(*h) ||
	    poll(&pfd, 1, HOLD_TIMEOUT_S * 1000) != 1) {
		red(res, "want an end after %d s, got none", HOLD_TIMEOUT_S);
		print_threads(wk->pid);
		end_worker(wk, res);
	} else {
		r = read(wk->from, res, sizeof(*res));
		if (r != sizeof(*res)) {
			memset(res, 0, sizeof(*res));
			r = pread(wk->output, text, sizeof(text) - 1, 0);
			text[r > 0 ? r : 0] = '\0';
			red(res, "the process has ended: %s", text);
			end_worker(wk, res);
		} else if (res->status == RED || (dies && res->status == HELD)) {
			end_worker(wk, res);
		}
	}
	expect_no_report(&reports, res);
}

static bool is_kvms(const struct func *f)
{
	static const char * const prefixes[] = {
		"kvm_", "__kvm_", "vgic_", "__vgic_", "its_", "avic_", "svm_",
	};
	const struct kernel_symbol *s = &kernel_symbols[f->symbol];
	int i;

	if (s->module)
		return !strncmp(s->module, "kvm", 3);
	for (i = 0; i < (int)ARRAY_SIZE(prefixes); i++) {
		if (!strncmp(s->name, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

/* The stack is unwound for KASAN and lockdep, also on behalf of what handles a probe. */
static bool is_fatal(const struct func *f)
{
	const char *name = kernel_symbols[f->symbol].name;

	return strstr(name, "unwind") || strstr(name, "stack_walk") || strstr(name, "stack_trace");
}

/* A pause point keeps the module that it is in. */
static bool is_of_kvm_amd(const struct func *f)
{
	const char *module = kernel_symbols[f->symbol].module;

	return module && !strcmp(module, "kvm_amd");
}

/* Which one would be held is not up to us if there are several in one place. */
static bool is_ambiguous(const struct func *f)
{
	const struct kernel_symbol *s = &kernel_symbols[f->symbol], *o;

	for (o = kernel_symbols; o < kernel_symbols + nr_kernel_symbols; o++) {
		if (o == s || strcmp(o->name, s->name))
			continue;
		if (s->module ? o->module && !strcmp(o->module, s->module) : !o->module)
			return o->addr != s->addr;
	}
	return false;
}

/* Why A can't be held in this function at all, or 0. */
static char never_held(const struct op_a *a, const struct func *f)
{
	if (is_ambiguous(f))
		return CELL_AMBIGUOUS;
	if (is_fatal(f))
		return CELL_FATAL;
	return a->unloads && is_of_kvm_amd(f) ? CELL_KEPT : 0;
}

static void fill_cells(struct func *f, u32 mask, char cell)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (mask & BIT(i))
			f->cell[i] = cell;
	}
}

static void take_cells(struct func *f, const struct result *res, u32 mask)
{
	static const char order[] = { CELL_NONE, CELL_UNTRIED, CELL_UNREACHED, CELL_LATE,
				      CELL_WAITED, CELL_DONE, CELL_RED };
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		char new = res->status == UNPROBED ? CELL_UNPROBED :
			   res->status == UNREACHED ? CELL_UNREACHED : res->cell[i];

		if (!(mask & BIT(i)))
			continue;
		/* A B that is in several groups: the best that was seen of it. */
		if (new == CELL_UNPROBED ||
		    (memchr(order, new, sizeof(order)) ?: (void *)order) >=
		    (memchr(order, f->cell[i], sizeof(order)) ?: (void *)order))
			f->cell[i] = new;
	}
}

/* KVM's own first in a sample, each part in a random order; else as A enters them. */
static void order_funcs(int *order, int nr, bool full, unsigned int seed)
{
	int i, j, n, *shuffled = calloc(nr, sizeof(int));

	for (i = 0; i < nr; i++)
		shuffled[i] = i;
	for (i = nr - 1; i > 0 && !full; i--) {
		j = rand_r(&seed) % (i + 1);
		n = shuffled[i];
		shuffled[i] = shuffled[j];
		shuffled[j] = n;
	}
	n = 0;
	for (i = 0; i < nr; i++) {
		if (full || is_kvms(&program->funcs[shuffled[i]]))
			order[n++] = shuffled[i];
	}
	for (i = 0; i < nr && !full; i++) {
		if (!is_kvms(&program->funcs[shuffled[i]]))
			order[n++] = shuffled[i];
	}
	free(shuffled);
}

/* The matrix: a line for each function, with a letter for each B that goes with A. */
static void print_matrix_head(const struct op_a *a, int nr)
{
	char names[512] = "";
	int i, len = 0;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (goes_with(&ops_b[i], a))
			len += snprintf(names + len, sizeof(names) - len, " %s", ops_b[i].name);
	}
	for (i = 0; i < (int)ARRAY_SIZE(legend); i++)
		ksft_print_msg("legend: %s\n", legend[i]);
	ksft_print_msg("matrix %s functions %d operations%s\n", a->op.name, nr, names);
}

static void print_matrix_row(const struct op_a *a, const struct func *f)
{
	char line[MAX_BS + 1];
	int i, n = 0;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (goes_with(&ops_b[i], a))
			line[n++] = f->cell[i];
	}
	line[n] = '\0';
	ksft_print_msg("matrix %s [%s] %s\n", a->op.name, line, probe_name(f));
	fflush(stdout);
}

static const char *not_recorded;
static char recording_failed[128];

static void begin(struct __test_metadata *_metadata, struct interleave *t, const char *name)
{
	const char *missing = not_recorded;
	int i;

	t->kmsg = -1;
	t->kept_vm = -1;
	for (i = 0; strcmp(ops_a[i].op.name, name); i++)
		;
	t->a = &ops_a[i];
	program = &programs[i];
	ASSERT_STREQ("", recording_failed);
	if (!missing)
		missing = unusable(t->a);
	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ('\0', program->missing[0])
		TH_LOG("recording %s: %s", name, program->missing);
	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));
	/* Else each VM is the first and the last one, which turn virtualization on and off. */
	if (!t->a->unloads)
		t->kept_vm = new_vm(NULL);
}

static void end(struct interleave *t)
{
#ifdef __x86_64__
	if (t->a->unloads && t->kmsg >= 0)
		ensure_loaded();
#endif
	if (t->kept_vm >= 0)
		close(t->kept_vm);
	if (t->kmsg >= 0)
		close(t->kmsg);
}

FIXTURE_SETUP(interleave)
{
	begin(_metadata, &self->i, variant->name);
}

FIXTURE_TEARDOWN(interleave)
{
	end(&self->i);
}

/* What is wrong with the recording of anything, and how that has to show. */
static const char *record_badly(bool crash)
{
	if (crash)
		raise(SIGSEGV);
	_exit(KSFT_FAIL);
}

static const char *record_nothing(bool full)
{
	return "there is nothing";
}

TEST(recording)
{
	char failed[128] = "";

	EXPECT_STREQ("there is nothing",
		     record_in_process(record_nothing, false, failed, sizeof(failed)));
	EXPECT_STREQ("", failed);
	EXPECT_EQ(NULL, record_in_process(record_badly, false, failed, sizeof(failed)));
	EXPECT_STREQ("the recording process has ended with exit 1", failed);
	EXPECT_EQ(NULL, record_in_process(record_badly, true, failed, sizeof(failed)));
	EXPECT_STREQ("the recording process has ended with SIGSEGV", failed);
}

/* The cells of a sweep in which a B came while A was held, and in which it came too late. */
struct tally {
	int met[MAX_BS];
	int late[MAX_BS];
};

static void count_cells(struct tally *t, const char *cell)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		t->met[i] += cell[i] == CELL_DONE || cell[i] == CELL_WAITED || cell[i] == CELL_RED;
		t->late[i] += cell[i] == CELL_LATE;
	}
}

/* Which B shows too little for a sweep, or -1. */
static int find_late_b(const struct tally *t)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops_b); i++) {
		if (t->late[i] > MAX_LATE && t->late[i] > t->met[i] / LATE_PART)
			return i;
		if (t->late[i] && !t->met[i])
			return i;
	}
	return -1;
}

TEST(tally)
{
	char cell[MAX_BS], *last = &cell[ARRAY_SIZE(ops_b) - 1];
	struct tally t = {};
	int i;

	EXPECT_EQ(-1, find_late_b(&t));
	memset(cell, CELL_UNREACHED, sizeof(cell));
	count_cells(&t, cell);
	EXPECT_EQ(-1, find_late_b(&t));
	/* Never in time. */
	*last = CELL_LATE;
	count_cells(&t, cell);
	EXPECT_EQ(last - cell, find_late_b(&t));
	/* Once too late. */
	*last = CELL_WAITED;
	count_cells(&t, cell);
	EXPECT_EQ(-1, find_late_b(&t));
	/* More often than not. */
	*last = CELL_LATE;
	for (i = 0; i < MAX_LATE; i++)
		count_cells(&t, cell);
	EXPECT_EQ(last - cell, find_late_b(&t));
	/* In some of very many. */
	*last = CELL_DONE;
	for (i = 0; i < LATE_PART * (MAX_LATE + 1); i++)
		count_cells(&t, cell);
	EXPECT_EQ(-1, find_late_b(&t));
}

/* The whole sweep, not a sample. */
static bool wants_all(void)
{
	const char *want = getenv("INTERLEAVE");

	return want && !strcmp(want, "full");
}

/* These Bs, at the same time, are red.  Which of them does it take? */
static void blame(struct __test_metadata *_metadata, struct worker *wk,
		  const struct interleave *t, struct func *f, const struct hold *all)
{
	bool found = false;
	struct result res;
	struct hold h;
	int b;

	for (b = 0; b < (int)ARRAY_SIZE(ops_b); b++) {
		if (!(all->mask & BIT(b)))
			continue;
		h = (struct hold) { .func = all->func, .mask = BIT(b) };
		if (h.mask != all->mask) {
			hold(wk, t->a, t->kmsg, &h, &res);
			if (res.status != RED)
				continue;
			TH_LOG("%s held in %s(), %s: %s", t->a->op.name, probe_name(f),
			       ops_b[b].name, res.why);
		}
		f->cell[b] = CELL_RED;
		found = true;
	}
	/* None of them alone: all of them. */
	if (!found)
		fill_cells(f, all->mask, CELL_RED);
}

/* The end of a process that is still there must be as that of any other. */
static void expect_end(struct __test_metadata *_metadata, struct worker *wk)
{
	struct result res = {};

	end_worker(wk, &res);
	EXPECT_NE(RED, res.status)
		TH_LOG("the last process: %s", res.why);
}

TEST_F_TIMEOUT(interleave, sweep, SUBTEST_TIMEOUT_S)
{
	const char *seed_text = getenv("INTERLEAVE_SEED"), *only = getenv("INTERLEAVE_FUNC");
	unsigned int seed = seed_text ? strtoul(seed_text, NULL, 10) : DEFAULT_SEED;
	const struct op_a *a = self->i.a;
	bool full = wants_all();
	struct hold h;
	struct worker wk = {};
	int i, g, n, nr, b, *order, nr_red = 0, nr_held = 0, nr_tried = 0;
	struct tally tally = {};
	struct result res;
	u64 start;
	u32 all = 0;

	nr = program->nr_funcs;
	ksft_print_msg("%s: %d functions recorded, seed %u\n", a->op.name, nr, seed);

	order = calloc(nr, sizeof(*order));
	ASSERT_NE(NULL, order);
	order_funcs(order, nr, full, seed);
	for (g = 0; g < NR_GROUPS; g++)
		all |= group_mask(a, g);
	for (i = 0; i < nr; i++)
		fill_cells(&program->funcs[i], all, CELL_UNTRIED);

	print_matrix_head(a, nr);
	start = now_ms();
	for (n = 0; n < nr && nr_red < MAX_REDS && (full || !timed_out(start, a->sample_s)); n++) {
		struct func *f = &program->funcs[order[n]];
		bool is_red = false, held = false;
		char never;

		if (only && strcmp(only, kernel_symbols[f->symbol].name))
			continue;
		nr_tried++;
		never = never_held(a, f);
		if (never)
			fill_cells(f, all, never);
		for (g = 0; g < NR_GROUPS && !never; g++) {
			h = (struct hold) { .func = order[n], .mask = group_mask(a, g) };
			if (!h.mask)
				continue;
			hold(&wk, a, self->i.kmsg, &h, &res);
			take_cells(f, &res, h.mask);
			held |= res.status == HELD;
			if (res.status == RED) {
				is_red = true;
				TH_LOG("%s held in %s(), group %d: %s", a->op.name, probe_name(f),
				       g, res.why);
				blame(_metadata, &wk, &self->i, f, &h);
			}
			/*
			 * It's the same with any other Bs.  A may have been there by chance when it
			 * was recorded, e.g. after an interrupt.
			 */
			if (res.status == UNPROBED ||
			    (res.status == UNREACHED && !held && !is_red)) {
				fill_cells(f, all, res.status == UNPROBED ? CELL_UNPROBED :
									    CELL_UNREACHED);
				break;
			}
		}
		nr_red += is_red;
		nr_held += held;
		count_cells(&tally, f->cell);
		print_matrix_row(a, f);
	}
	expect_end(_metadata, &wk);

	ksft_print_msg("%s: %d of %d functions tried, held in %d, red in %d, %llu s\n", a->op.name,
		       nr_tried, nr, nr_held, nr_red,
		       (unsigned long long)(now_ms() - start) / 1000);
	EXPECT_EQ(0, nr_red)
		TH_LOG("%s: %d functions in which it must not be held", a->op.name, nr_red);
	if (only && !nr_held)
		SKIP(return, "%s doesn't come through %s()", a->op.name, only);
	EXPECT_LT(0, nr_held)
		TH_LOG("%s was held nowhere, i.e. nothing was tested", a->op.name);
	b = find_late_b(&tally);
	EXPECT_EQ(-1, b)
		TH_LOG("%s came in time in %d functions, and too late in %d", ops_b[b].name,
		       tally.met[b], tally.late[b]);
	free(order);
}

/*
 * What sweeps of kernels without the series have found, one hold each: a sample may
 * not come as far.  Kernels with the series come through the same functions.
 */
FIXTURE(found) {
	struct interleave i;
};

FIXTURE_VARIANT(found) {
	const char *a;
	const char *function;
	const char *b;
};

#ifdef __x86_64__
FIXTURE_VARIANT_ADD(found, run_before_postcreate) {
	"create_vcpu", "kvm_arch_vcpu_postcreate", "run_blocked"
};

FIXTURE_VARIANT_ADD(found, destroy_during_wakeup) {
	"ga_log", "kvm_vcpu_wake_up", "close"
};
#endif
#ifdef __aarch64__
FIXTURE_VARIANT_ADD(found, create_during_init) {
	"init_vgic", "kvm_set_irq_routing", "create_other"
};

FIXTURE_VARIANT_ADD(found, iidr_while_vcpu_is_busy) {
	"vcpu_reg", "kvm_arm_get_reg", "read_iidr"
};
#endif

FIXTURE_SETUP(found)
{
	begin(_metadata, &self->i, variant->a);
}

FIXTURE_TEARDOWN(found)
{
	end(&self->i);
}

TEST_F_TIMEOUT(found, hold, SUBTEST_TIMEOUT_S)
{
	struct worker wk = {};
	struct hold h = {};
	struct result res;
	int b;

	while (h.func < program->nr_funcs &&
	       strcmp(kernel_symbols[program->funcs[h.func].symbol].name, variant->function))
		h.func++;
	ASSERT_GT(program->nr_funcs, h.func)
		TH_LOG("%s doesn't come through %s()", variant->a, variant->function);
	for (b = 0; strcmp(ops_b[b].name, variant->b); b++)
		;
#ifdef __aarch64__
	if (!goes_with(&ops_b[b], self->i.a))
		SKIP(return, "%s", no_preinit_regs);
#endif
	h.mask = BIT(b);
	hold(&wk, self->i.a, self->i.kmsg, &h, &res);
	expect_end(_metadata, &wk);
	EXPECT_EQ(HELD, res.status)
		TH_LOG("%s held in %s(), %s: %s", variant->a, variant->function, variant->b,
		       res.status == UNREACHED ? "it didn't come through there" : res.why);
	if (res.status == HELD)
		EXPECT_NE(CELL_LATE, res.cell[b])
			TH_LOG("%s didn't come to begin before %s went on", variant->b, variant->a);
}

int main(int argc, char *argv[])
{
	u64 start = now_ms();

#ifdef __aarch64__
	test_disable_default_vgic();
	TEST_REQUIRE(kvm_supports_vgic_v3());
	no_preinit_regs = vgic_preinit_missing();
#endif
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

#ifdef __x86_64__
	kvm_amd_load_command(load_command, sizeof(load_command));
#endif
	not_recorded = kvm_lifecycle_missing("pause");
	if (!not_recorded)
		not_recorded = kvm_lifecycle_missing("get_vcpu");
	if (!not_recorded)
		not_recorded = load_kernel_symbols();
	if (!not_recorded && sysconf(_SC_NPROCESSORS_ONLN) < 2)
		not_recorded = "two CPUs are needed";
	programs = mmap(NULL, ARRAY_SIZE(ops_a) * sizeof(*programs), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(programs != MAP_FAILED, "no memory");
	if (!not_recorded)
		not_recorded = record_in_process(record_all, wants_all(), recording_failed,
						 sizeof(recording_failed));
	ksft_print_msg("recorded in %llu ms\n", (unsigned long long)(now_ms() - start));

	return test_harness_run(argc, argv);
}
