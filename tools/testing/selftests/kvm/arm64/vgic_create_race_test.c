// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_VCPU against the configuration and the initialization of the VM's
 * vGICv3, in other threads.
 *
 *  - A vCPU is created before the vGIC is initialized, or it isn't created.
 *    There's no vCPU that the initialization hasn't seen.
 *  - A vCPU has a redistributor, no matter which regions were set, and which
 *    other vCPUs failed, while it was being created.
 *  - Which one it has depends on the order in which the vCPUs there are came to
 *    be, and on nothing else: creating them in this order in another VM gives the
 *    same association.
 *  - When a creation fails, the redistributor is gone before its memory.
 *
 * kvm_lifecycle's pause points keep one of the threads where the others must
 * not overtake it.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#include "gic.h"
#include "gic_v3.h"

#define MAX_VCPUS	3
#define NR_IRQS		64

/* How long to wait for something that takes milliseconds at worst. */
#define WAIT_S		10

/* How long a thread that should have to wait for another one is watched. */
#define OVERTAKE_MS	50

/* A thread that is seen to sleep in a call as often as that, one after the other, waits. */
#define WAITS_LOOKS	20

/* Where vgic_init() is nearly over, with config_lock held. */
#define END_OF_INIT	"kvm_vgic_setup_default_irq_routing"

/* Where a vCPU that is being created has been through kvm_vgic_vcpu_init(). */
#define END_OF_CREATE	"kvm_share_hyp"

/* Where it has looked for a region, and nobody can find it yet. */
#define BEFORE_ONLINE	"anon_inode_getfd"

/* Where the redistributor of a vCPU that isn't created goes. */
#define END_OF_REDIST	"kvm_io_bus_unregister_dev"

#define REDIST_GPA(_i)	(GICR_BASE_GPA + (_i) * KVM_VGIC_V3_REDIST_SIZE)

#define SGI_BASE	SZ_64K

#define ICC_CTLR_ATTR(_vcpu)							\
	(((u64)(_vcpu) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT) |			\
	 (KVM_ARM64_SYS_REG(SYS_ICC_CTLR_EL1) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK))

struct vm_gic {
	struct kvm_vm *vm;
	int fd;
	struct kvm_vcpu *vcpu0;
};

/* The address of a redistributor's register, which is mapped one to one. */
static u64 guest_gpa;

static void guest_code(void)
{
	for (;;)
		GUEST_SYNC(readl((void *)READ_ONCE(guest_gpa)));
}

/* vCPU0, and a vGIC that is configured but for the redistributors. */
static void vm_gic_create(struct vm_gic *gic)
{
	gic->vm = vm_create_with_vgic(MAX_VCPUS, NR_IRQS, &gic->fd);
	virt_map(gic->vm, GICR_BASE_GPA, GICR_BASE_GPA,
		 vm_calc_num_guest_pages(gic->vm->mode, MAX_VCPUS * KVM_VGIC_V3_REDIST_SIZE));
	gic->vcpu0 = vm_vcpu_add(gic->vm, 0, guest_code);
}

static void vm_gic_destroy(struct vm_gic *gic)
{
	close(gic->fd);
	kvm_vm_free(gic->vm);
}

static int set_region(struct vm_gic *gic, int count)
{
	return vgic_set_region(gic->fd, GICR_BASE_GPA, count, 0);
}

static int vgic_init(struct vm_gic *gic)
{
	return vgic_ctrl_init(gic->fd);
}

static void expect_vgic_init(struct __test_metadata *_metadata, struct vm_gic *gic)
{
	int r = vgic_init(gic);

	ASSERT_EQ(0, r)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(r));
}

static void expect_vcpu(struct __test_metadata *_metadata, int id, int fd)
{
	ASSERT_GE(fd, 0)
		TH_LOG("KVM_CREATE_VCPU(%d): want a vCPU, got %s", id, ret_name(fd));
	close(fd);
}

/*
 * Run vCPU0, which reads a redistributor's register.  Returns 1 and the value
 * if there is one, 0 if there is none, or the error of KVM_RUN.
 */
static int run_vcpu0(struct vm_gic *gic, u64 gpa, u64 *val)
{
	struct ucall uc;

	guest_gpa = gpa;
	sync_global_to_guest(gic->vm, guest_gpa);
	if (_vcpu_run(gic->vcpu0))
		return -errno;

	/* An access that nobody answers to goes to userspace. */
	if (get_ucall(gic->vcpu0, &uc) != UCALL_SYNC)
		return 0;

	*val = uc.args[1];
	return 1;
}

/* vCPU0 runs, i.e. all have a redistributor, and sees that of vCPU@owner. */
static void expect_redist(struct __test_metadata *_metadata, struct vm_gic *gic, int slot,
			  int owner)
{
	u64 typer = 0;
	int r;

	r = run_vcpu0(gic, REDIST_GPA(slot) + GICR_TYPER, &typer);
	ASSERT_GE(r, 0)
		TH_LOG("KVM_RUN of vCPU0: want 0, got %s", ret_name(r));
	ASSERT_EQ(1, r)
		TH_LOG("redistributor %d: want that of vCPU%d, got none", slot, owner);
	EXPECT_EQ(owner, (typer >> 8) & 0xffff)
		TH_LOG("redistributor %d: want that of vCPU%d, got that of vCPU%llu", slot,
		       owner, (unsigned long long)(typer >> 8) & 0xffff);
}

/*
 * The vCPUs @ids came to be in this order, after vCPU0 and a region for all of them:
 * so they do in a second VM, and each redistributor is that of the same vCPU there.
 */
static void expect_reproducible(struct __test_metadata *_metadata, struct vm_gic *gic,
				const int *ids, int nr)
{
	struct vm_gic second;
	int i;

	vm_gic_create(&second);
	ASSERT_EQ(0, set_region(&second, nr + 1));
	for (i = 0; i < nr; i++)
		expect_vcpu(_metadata, ids[i], __vcpu_fd_create(second.vm, ids[i]));

	expect_vgic_init(_metadata, gic);
	expect_vgic_init(_metadata, &second);
	expect_redist(_metadata, gic, 0, 0);
	expect_redist(_metadata, &second, 0, 0);
	for (i = 0; i < nr; i++) {
		expect_redist(_metadata, gic, i + 1, ids[i]);
		expect_redist(_metadata, &second, i + 1, ids[i]);
	}
	vm_gic_destroy(&second);
}

static int race_init(void *gic, u64 unused)
{
	return vgic_init(gic);
}

static int race_create_at_limit(void *vm, u64 id)
{
	return __vcpu_fd_create_at_limit(vm, id);
}

/* The thread was kept there until now. */
static void expect_inside(struct __test_metadata *_metadata, int pause, const char *function)
{
	EXPECT_TRUE(pause_read(pause).inside)
		TH_LOG("too slow: want a thread in %s() until it is released, it left",
		       function);
}

/*
 * It isn't too late for this vCPU: kvm_arch_vcpu_create() has been entered for it, or it
 * waits before that, for a thread that is held elsewhere.
 */
static bool vcpu_is_being_created(int recording, struct racer *create)
{
	char buf[1024], *line, *save;
	u64 start = now_ms();
	bool done = false;
	int id, looks = 0;

	while (!done && !timed_out(start, WAIT_S)) {
		done = racer_done(create);
		looks = thread_is_in(create->tid, "kvm_vm_ioctl") ? looks + 1 : 0;
		if (looks == WAITS_LOOKS)
			return true;
		if (kvm_lifecycle_read(recording, buf, sizeof(buf)) <= 0) {
			usleep(POLL_US);
			continue;
		}
		for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			if (sscanf(line, "create %*d %*d %d", &id) == 1 && id == create->val)
				return true;
		}
	}

	return false;
}

FIXTURE(create_race)
{
	struct vm_gic gic;
	int kmsg, pause, recording, cpu;
};

FIXTURE_SETUP(create_race)
{
	const char *missing;

	missing = kvm_lifecycle_missing("pause");
	if (!missing)
		missing = kvm_lifecycle_missing("vcpu_index");
	if (missing)
		SKIP(return, "%s", missing);

	self->cpu = set_cpu_aside();
	if (self->cpu < 0)
		SKIP(return, "one CPU, want two");

	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));
	self->pause = kvm_lifecycle_open(_metadata, "pause");
	self->recording = kvm_lifecycle_open(_metadata, "vcpu_index");

	vm_gic_create(&self->gic);
}

FIXTURE_TEARDOWN(create_race)
{
	vm_gic_destroy(&self->gic);
	close(self->recording);
	close(self->pause);
	kmsg_close(_metadata, self->kmsg);
}

/* The vGIC is being initialized when the vCPU comes, or nearly so. */
TEST_F(create_race, create_during_init)
{
	struct racer create = { .fn = race_create, .arg = self->gic.vm, .val = 1 };
	struct racer init = { .fn = race_init, .arg = &self->gic };
	u64 ctlr[2] = {};
	int i;

	ASSERT_EQ(0, set_region(&self->gic, 2));
	racer_start(&init, self->cpu);
	racer_start(&create, -1);

	ASSERT_TRUE(racer_go_to(&init, self->pause, END_OF_INIT, WAIT_S))
		TH_LOG("want a thread in %s(), got none", END_OF_INIT);

	racer_go(&create);
	ASSERT_TRUE(vcpu_is_being_created(self->recording, &create))
		TH_LOG("want vCPU1 being created during init, got %s",
		       racer_done(&create) ? ret_name(create.ret) : "nothing");
	EXPECT_FALSE(racer_done_within(&create, OVERTAKE_MS))
		TH_LOG("want KVM_CREATE_VCPU to wait for init, got %s", ret_name(create.ret));
	expect_inside(_metadata, self->pause, END_OF_INIT);

	__kvm_lifecycle_write(self->pause, "release");
	racer_join(&init);
	racer_join(&create);

	EXPECT_EQ(0, init.ret)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(init.ret));
	EXPECT_EQ(-EBUSY, create.ret < 0 ? create.ret : 0)
		TH_LOG("KVM_CREATE_VCPU during init: want %s, got %s", ret_name(-EBUSY),
		       create.ret < 0 ? ret_name(create.ret) : "a vCPU");

	/* A vCPU that is there nevertheless has been reset by the vGIC. */
	if (create.ret >= 0) {
		struct kvm_vcpu_init vcpu_init;

		kvm_get_default_vcpu_target(self->gic.vm, &vcpu_init);
		ASSERT_EQ(0, ioctl(create.ret, KVM_ARM_VCPU_INIT, &vcpu_init));
		for (i = 0; i < 2; i++)
			kvm_device_attr_get(self->gic.fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
					    ICC_CTLR_ATTR(i), &ctlr[i]);
		EXPECT_EQ(ctlr[0], ctlr[1])
			TH_LOG("ICC_CTLR_EL1 of vCPU1: want 0x%llx as of vCPU0, got 0x%llx",
			       (unsigned long long)ctlr[0], (unsigned long long)ctlr[1]);
		close(create.ret);
	}

	/* A vCPU that isn't created doesn't harm those that are. */
	EXPECT_EQ(-EBUSY, __vcpu_fd_create(self->gic.vm, 2));
	expect_redist(_metadata, &self->gic, 0, 0);
}

/* Returns once vCPU1 is being created, and has got as far as @function, where it's held. */
static void begin_create(struct __test_metadata *_metadata, struct racer *create, int cpu,
			 int pause, const char *function)
{
	racer_start(create, cpu);
	ASSERT_TRUE(racer_go_to(create, pause, function, WAIT_S))
		TH_LOG("want a thread in %s(), got none", function);
}

static void end_create(struct __test_metadata *_metadata, struct racer *create, int pause,
		       const char *function)
{
	expect_inside(_metadata, pause, function);
	__kvm_lifecycle_write(pause, "release");
	expect_vcpu(_metadata, create->val, racer_join(create));
}

/*
 * Have another thread do something while a vCPU is being created, and has got as far as
 * @function.  It isn't done before the vCPU is.
 */
static void do_during_create(struct __test_metadata *_metadata, struct kvm_vm *vm, int cpu,
			     int pause, const char *function, struct racer *other,
			     const char *what)
{
	struct racer create = { .fn = race_create, .arg = vm, .val = 1 };

	racer_start(other, -1);
	begin_create(_metadata, &create, cpu, pause, function);
	racer_go(other);
	while (!racer_started(other))
		usleep(POLL_US);
	EXPECT_FALSE(racer_done_within(other, OVERTAKE_MS))
		TH_LOG("%s during KVM_CREATE_VCPU: want it to wait, it didn't", what);
	end_create(_metadata, &create, pause, function);
	racer_join(other);
	EXPECT_EQ(0, other->ret)
		TH_LOG("%s during KVM_CREATE_VCPU: want 0, got %s", what, ret_name(other->ret));
}

/* The vCPU is being created when the vGIC is to be initialized. */
TEST_F(create_race, init_during_create)
{
	struct racer init = { .fn = race_init, .arg = &self->gic };

	ASSERT_EQ(0, set_region(&self->gic, 2));
	do_during_create(_metadata, self->gic.vm, self->cpu, self->pause, END_OF_CREATE, &init,
			 "KVM_DEV_ARM_VGIC_CTRL_INIT");
	expect_vgic_init(_metadata, &self->gic);
	expect_redist(_metadata, &self->gic, 1, 1);
}

static int race_region(void *gic, u64 count)
{
	return set_region(gic, count);
}

/*
 * The vCPU has looked for a region, and isn't there yet for the thread that sets
 * one.  The vCPU that is created next must not take its place.
 */
TEST_F(create_race, region_during_creation)
{
	struct racer region = { .fn = race_region, .arg = &self->gic, .val = MAX_VCPUS };
	static const int ids[] = { 1, 2 };

	do_during_create(_metadata, self->gic.vm, self->cpu, self->pause, BEFORE_ONLINE, &region,
			 "region");
	expect_vcpu(_metadata, 2, __vcpu_fd_create(self->gic.vm, 2));
	expect_reproducible(_metadata, &self->gic, ids, ARRAY_SIZE(ids));
}

/* Of two vCPUs the one whose creation began first may come to be last. */
TEST_F(create_race, overtaken)
{
	struct racer first = { .fn = race_create, .arg = self->gic.vm, .val = 1 };
	struct racer second = { .fn = race_create, .arg = self->gic.vm, .val = 2 };
	int ids[] = { 1, 2 };

	ASSERT_EQ(0, set_region(&self->gic, MAX_VCPUS));
	racer_start(&second, -1);
	begin_create(_metadata, &first, self->cpu, self->pause, END_OF_CREATE);

	/* Unless it has to wait. */
	racer_go(&second);
	racer_done_within(&second, OVERTAKE_MS);
	end_create(_metadata, &first, self->pause, END_OF_CREATE);
	expect_vcpu(_metadata, 2, racer_join(&second));

	/* Descriptors are handed out in the order in which vCPUs come to be. */
	if (second.ret < first.ret) {
		ids[0] = 2;
		ids[1] = 1;
	}

	expect_reproducible(_metadata, &self->gic, ids, ARRAY_SIZE(ids));
}

/*
 * A vCPU that isn't the last one to have got a redistributor fails, if vCPUs can
 * be created concurrently, and is created once more.  It comes last then.
 */
TEST_F(create_race, failure_in_the_middle)
{
	struct racer fail = { .fn = race_create, .arg = self->gic.vm, .val = 1 };
	struct racer create = { .fn = race_create, .arg = self->gic.vm, .val = 2 };
	static const int ids[] = { 2, 1 };
	struct rlimit old;

	ASSERT_EQ(0, set_region(&self->gic, MAX_VCPUS));
	racer_start(&create, -1);
	begin_create(_metadata, &fail, self->cpu, self->pause, END_OF_CREATE);

	/* If the other vCPU has to wait for this one, it fails for the same reason. */
	racer_go(&create);
	racer_done_within(&create, OVERTAKE_MS);

	old = exhaust_fds(self->gic.vm);
	expect_inside(_metadata, self->pause, END_OF_CREATE);

	__kvm_lifecycle_write(self->pause, "release");
	racer_join(&fail);
	racer_join(&create);
	restore_fds(&old);

	ASSERT_EQ(-EMFILE, fail.ret)
		TH_LOG("KVM_CREATE_VCPU without a free file descriptor: want %s, got %s",
		       ret_name(-EMFILE), ret_name(fail.ret));
	if (create.ret == -EMFILE)
		create.ret = __vcpu_fd_create(self->gic.vm, 2);
	expect_vcpu(_metadata, 2, create.ret);
	expect_vcpu(_metadata, 1, __vcpu_fd_create(self->gic.vm, 1));

	expect_reproducible(_metadata, &self->gic, ids, ARRAY_SIZE(ids));
}

/*
 * A creation fails late, after the vGIC has been initialized and while vCPU0
 * runs, if the kernel lets it come that far.
 *
 * If vCPU0 then crashes in the kernel, a wait for it never ends, so all of this is
 * done by a process that nobody has to wait for.
 *
 * The pauses aren't released: that waits for all CPUs, i.e. for the next pause to
 * end.  On a slow host a pause may be too short, even though the creation is
 * paused several times.  Then nothing has been tested, and it's done again.
 */
#define INIT_PAUSE_US	500000
#define NR_ATTEMPTS	5
#define CRASH_TIMEOUT_S	90

/* Where a creation comes through after kvm_vgic_vcpu_init(), and until it fails. */
static const char * const late_create[] = {
	END_OF_CREATE,
	"__xa_insert",
	"anon_inode_getfd",
};

enum outcome {
	TOO_SLOW,
	REFUSED,		/* the creation, as the vGIC is initialized */
	ACCESSED,		/* vCPU1's redistributor, which is about to go */
};

struct failed_vcpu {
	bool done;
	int attempts;
	const char *at;		/* its current step */
	enum outcome outcome;
	int init;		/* the result of KVM_DEV_ARM_VGIC_CTRL_INIT */
	int create;		/* the result of KVM_CREATE_VCPU */
	int run;		/* the first result of run_vcpu0() */
	int access;		/* its result for the other redistributor */
};

static void fail_vcpu_after_init(struct failed_vcpu *result, int *cpus)
{
	int recording, at_init, at_create[ARRAY_SIZE(late_create)], at_redist, i;
	struct racer create = { .fn = race_create_at_limit, .val = 1 };
	struct racer init = { .fn = race_init };
	struct vm_gic gic;
	bool late, refused;
	u64 val;

	at_init = __kvm_lifecycle_open("pause");
	at_redist = __kvm_lifecycle_open("pause");
	recording = __kvm_lifecycle_open("vcpu_index");
	TEST_ASSERT(at_init >= 0 && at_redist >= 0 && recording >= 0,
		    "kvm_lifecycle: want three files, got %d %d %d", at_init, at_redist,
		    recording);
	for (i = 0; i < ARRAY_SIZE(late_create); i++) {
		at_create[i] = __kvm_lifecycle_open("pause");
		TEST_ASSERT(at_create[i] >= 0, "kvm_lifecycle: want another file, got %d",
			    at_create[i]);
	}

	result->outcome = TOO_SLOW;
	result->at = "creation of the VM";
	vm_gic_create(&gic);
	TEST_ASSERT_EQ(set_region(&gic, 2), 0);
	init.arg = &gic;
	racer_start(&init, cpus[0]);
	create.arg = gic.vm;
	racer_start(&create, cpus[1]);
	pause_arm(at_init, END_OF_INIT, init.tid, INIT_PAUSE_US);
	for (i = 0; i < ARRAY_SIZE(late_create); i++)
		pause_arm(at_create[i], late_create[i], create.tid, PAUSE_MAX_US);
	pause_arm(at_redist, END_OF_REDIST, create.tid, PAUSE_MAX_US);

	/* The creation finds an uninitialized vGIC, and goes on when init is over. */
	result->at = "KVM_DEV_ARM_VGIC_CTRL_INIT";
	racer_go(&init);
	TEST_ASSERT(racer_wait_for_pause(&init, at_init, WAIT_S),
		    "Want a thread in " END_OF_INIT);
	racer_go(&create);
	late = !vcpu_is_being_created(recording, &create) || !pause_read(at_init).inside;
	result->init = racer_join(&init);
	if (late)
		goto out;

	/* vCPU0 has to have run before vCPU1 fails, as both take slots_lock. */
	refused = !racer_wait_for_pause(&create, at_create[0], WAIT_S);
	result->at = "first KVM_RUN of vCPU0";
	result->run = run_vcpu0(&gic, REDIST_GPA(0) + GICR_TYPER, &val);
	if (!refused) {
		result->at = "failure of KVM_CREATE_VCPU";
		if (pause_read(at_redist).hits ||
		    !racer_wait_for_pause(&create, at_redist, WAIT_S))
			goto out;
	}

	result->at = "access to vCPU1's redistributor";
	result->access = run_vcpu0(&gic, REDIST_GPA(1) + SGI_BASE + GICR_ISENABLER0, &val);
	if (refused)
		result->outcome = REFUSED;
	else if (pause_read(at_redist).inside)
		result->outcome = ACCESSED;
out:
	result->at = "end of KVM_CREATE_VCPU";
	result->create = racer_join(&create);
	vm_gic_destroy(&gic);
	close(recording);
	close(at_redist);
	for (i = 0; i < ARRAY_SIZE(late_create); i++)
		close(at_create[i]);
	close(at_init);
}

/* The kernel may be in a bad way afterwards, so this comes last. */
FIXTURE(last) {};
FIXTURE_SETUP(last) {}
FIXTURE_TEARDOWN(last) {}

TEST_F_TIMEOUT(last, redist_of_failed_vcpu, CRASH_TIMEOUT_S)
{
	const char *missing = kvm_lifecycle_missing("pause");
	int i, kmsg, out, status, cpus[2];
	struct failed_vcpu *result;
	u64 start = now_ms();
	char line[512] = "";
	bool splat = false;
	pid_t pid;

	if (!missing)
		missing = kvm_lifecycle_missing("vcpu_index");
	if (missing)
		SKIP(return, "%s", missing);

	for (i = 0; i < 2; i++) {
		cpus[i] = set_cpu_aside();
		if (cpus[i] < 0)
			SKIP(return, "%d CPUs, want three", i + 1);
	}

	kmsg = kmsg_open();
	if (kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-kmsg));

	result = kvm_mmap(getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);

	/* The process mustn't hold on to the pipe that the test's output goes to. */
	out = memfd_create("output", MFD_CLOEXEC);
	ASSERT_GE(out, 0);

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		dup2(out, 0);
		dup2(out, 1);
		dup2(out, 2);
		do {
			fail_vcpu_after_init(result, cpus);
		} while (result->outcome == TOO_SLOW && ++result->attempts < NR_ATTEMPTS);
		__atomic_store_n(&result->done, true, __ATOMIC_SEQ_CST);
		_exit(0);
	}

	while (!__atomic_load_n(&result->done, __ATOMIC_SEQ_CST) && !splat &&
	       !timed_out(start, CRASH_TIMEOUT_S / 2)) {
		usleep(10000);
		splat = kmsg_find_splat(kmsg, line, sizeof(line));
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	kill(pid, SIGKILL);

	ASSERT_FALSE(splat)
		TH_LOG("kernel splat: %s", line);
	if (!result->done && pread(out, line, sizeof(line) - 1, 0) > 0)
		TH_LOG("output of the process: %s", line);
	ASSERT_TRUE(result->done)
		TH_LOG("want vCPU1 created, or refused, got nothing: %s, attempt %d",
		       result->at, result->attempts + 1);
	close(out);

	ASSERT_NE(TOO_SLOW, result->outcome)
		TH_LOG("too slow: %u times, a pause of %u us was over too early", NR_ATTEMPTS,
		       PAUSE_MAX_US);
	EXPECT_EQ(0, result->init)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(result->init));
	EXPECT_EQ(1, result->run)
		TH_LOG("KVM_RUN of vCPU0: want 0, got %s", ret_name(result->run));

	if (result->outcome == REFUSED) {
		EXPECT_EQ(-EBUSY, result->create)
			TH_LOG("KVM_CREATE_VCPU: want %s, got %s", ret_name(-EBUSY),
			       ret_name(result->create));
		EXPECT_EQ(0, result->access)
			TH_LOG("redistributor 1: want none, got %s", ret_name(result->access));
	} else {
		EXPECT_EQ(-EMFILE, result->create)
			TH_LOG("KVM_CREATE_VCPU: want %s, got %s", ret_name(-EMFILE),
			       ret_name(result->create));
		EXPECT_GE(result->access, 0)
			TH_LOG("KVM_RUN of vCPU0: want 0, got %s", ret_name(result->access));
	}
	kmsg_close(_metadata, kmsg);
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();
	TEST_REQUIRE(kvm_supports_vgic_v3());

	return test_harness_run(argc, argv);
}
