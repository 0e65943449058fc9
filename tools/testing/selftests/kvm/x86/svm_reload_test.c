// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_amd is unloaded and loaded again while KVM is in use.
 *
 * An open /dev/kvm, VM or vCPU, or the open statistics of one, keep kvm_amd loaded,
 * and so does a caller that hands it an entry of the GA Log:
 *
 *  - unloading is done, or is refused because somebody uses the module;
 *  - a user that comes when kvm_amd is gone, is going or is coming gets an errno
 *    that says so, or gets all of KVM;
 *  - kvm_amd comes back as it was, VMs work, and nothing has leaked.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	200

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			60

/* How long references to a VM or to the module may outlive the last close(). */
#define IDLE_S			2

/* kvm_amd is unloaded so often, or for so long if that's often enough to show anything. */
#define NR_UNLOADS		10
#define MIN_UNLOADS		3
#define RELOAD_S		15
#define RELOAD_MAX_S		90

/* The longest that kvm_amd stays away. */
#define MAX_AWAY_US		20000

/*
 * A thread of the load rests for up to so many times as long as it has worked, and
 * a bit longer, so that there are moments at which nobody uses kvm_amd.
 */
#define REST_FACTOR		8
#define MIN_REST_US		10000
#define LOAD_NICE		10

#define MAX_VCPUS		3
#define MAX_VCPU_IDX		3
#define MAX_VM_ID		0xff
#define MAX_ENTRIES		200

/* A leak that kmemleak reports is older than this. */
#define KMEMLEAK_S		6
#define KMEMLEAK_SCANS		3
#define KMEMLEAK_FILE		"/sys/kernel/debug/kmemleak"
#define TASK_COMM_LEN		16

#define KVM_DEBUGFS		"/sys/kernel/debug/kvm"
#define MODULE_DIR		"/sys/module/kvm_amd"
#define PARAMETERS		MODULE_DIR "/parameters"

/* All that tells one kvm_amd from another, and its parameters. */
#define MAX_IDENTITY		16384

struct reload_test {
	char identity[MAX_IDENTITY];
	int kmsg;
};

FIXTURE(reload) {
	struct reload_test t;
};

/* The command that loads kvm_amd as it was in the beginning. */
static char load_command[4096];

/* Like strerror() of the errno of open(), read() etc., if @r is -1. */
static int sys_ret(int r)
{
	return r < 0 ? -errno : r;
}

/* Failures of the load.  The first one is reported. */
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static char load_error[512];

static int __printf(1, 2) load_failed(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&load_lock);
	if (!load_error[0]) {
		va_start(ap, fmt);
		vsnprintf(load_error, sizeof(load_error), fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&load_lock);
	return -ECANCELED;
}

/*
 * One thread of the load does one thing over and over again.  @op returns 0, or
 * -errno of the call that finds out that there's no kvm_amd; all that comes after
 * that call must succeed.
 */
struct load {
	const char *name;
	int (*op)(unsigned int *seed);
	int absent[4];		/* its allowed results besides 0 */
};

struct load_thread {
	const struct load *load;
	pthread_t thread;
	unsigned int seed;
	u64 done;
	u64 absent[ARRAY_SIZE(((struct load *)0)->absent)];
};

static bool load_stop;

static int open_kvm(void)
{
	return sys_ret(open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC));
}

static int use_dev_kvm(unsigned int *seed)
{
	int fd = open_kvm(), r;

	if (fd < 0)
		return fd;

	r = sys_ret(ioctl(fd, KVM_GET_API_VERSION, 0));
	if (r != KVM_API_VERSION)
		r = load_failed("KVM_GET_API_VERSION: want %d, got %s", KVM_API_VERSION,
				ret_name(r));
	else
		r = 0;
	close(fd);
	return r;
}

/* Run a vCPU for as long as it takes to come back. */
static int touch_vcpu(int vcpu)
{
	struct kvm_run *run;
	int r;

	run = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return load_failed("mmap() of a vCPU: %s", strerror(errno));

	run->immediate_exit = 1;
	r = sys_ret(ioctl(vcpu, KVM_RUN, NULL));
	munmap(run, getpagesize());
	return r == -EINTR ? 0 :
	       load_failed("KVM_RUN with immediate_exit: want -1 (EINTR), got %s", ret_name(r));
}

static int use_vm(unsigned int *seed)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { SPLIT_IRQCHIP_PINS },
	};
	int fds[2 + MAX_VCPUS], nr = 0, nr_vcpus, kvm, vm, i, r;

	kvm = open_kvm();
	if (kvm < 0)
		return kvm;
	fds[nr++] = kvm;

	vm = sys_ret(ioctl(kvm, KVM_CREATE_VM, 0));
	r = vm;
	if (vm < 0) {
		r = load_failed("KVM_CREATE_VM: %s", strerror(-vm));
		goto out;
	}
	fds[nr++] = vm;

	r = sys_ret(ioctl(vm, KVM_ENABLE_CAP, &cap));
	if (r) {
		load_failed("KVM_CAP_SPLIT_IRQCHIP: %s", strerror(-r));
		goto out;
	}

	nr_vcpus = rand_r(seed) % (MAX_VCPUS + 1);
	for (i = 0; i < nr_vcpus; i++) {
		r = sys_ret(ioctl(vm, KVM_CREATE_VCPU, i));
		if (r < 0) {
			load_failed("KVM_CREATE_VCPU: %s", strerror(-r));
			goto out;
		}
		fds[nr++] = r;
	}
	r = nr_vcpus ? touch_vcpu(fds[nr - 1]) : 0;

	/* The last one that is left keeps the module. */
out:
	while (nr) {
		i = rand_r(seed) % nr;
		close(fds[i]);
		fds[i] = fds[--nr];
	}
	return r;
}

/*
 * Read all files in a folder, not those of single VMs.  A file of sysfs whose
 * module is gone gives -ENODEV, one of debugfs -EIO, and none is there later.
 */
static int read_files(const char *path)
{
	char file[PATH_MAX], buf[4096];
	struct dirent *e;
	struct stat st;
	int fd, r = 0;
	DIR *d;

	d = opendir(path);
	if (!d)
		return -errno;

	while (!r && (e = readdir(d))) {
		/* The folder of a VM may be gone while kvm_amd is there. */
		if (e->d_type != DT_REG)
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (stat(file, &st)) {
			r = -errno;
			continue;
		}
		if (!(st.st_mode & 0444))
			continue;
		fd = open(file, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : sys_ret(read(fd, buf, sizeof(buf)));
		if (fd >= 0)
			close(fd);
		if (r > 0)
			r = 0;
	}
	closedir(d);
	return r;
}

static int read_parameters(unsigned int *seed)
{
	return read_files(PARAMETERS);
}

static int read_debugfs(unsigned int *seed)
{
	return read_files(KVM_DEBUGFS);
}

/* As many as it takes for VMs to come and go meanwhile. */
static int inject_entries(unsigned int *seed)
{
	int fd = __kvm_lifecycle_open("ga_log"), r;

	if (fd < 0)
		return fd;
	r = __kvm_lifecycle_write(fd, "inject %u %u %u 10", 1 + rand_r(seed) % MAX_VM_ID,
				  rand_r(seed) % (MAX_VCPU_IDX + 1), MAX_ENTRIES);
	if (r)
		load_failed("inject: %s", strerror(-r));
	/* close() waits until the one that is being handled is done, and drops the others. */
	usleep(rand_r(seed) % 2000);
	close(fd);
	return r;
}

/*
 * The driver of the IOMMU hands entries to the registered notifier, and nothing
 * keeps that one loaded but the driver's own rules.
 */
static int process_entries(unsigned int *seed)
{
	u64 start = now_ms();
	int fd, r;

	/*
	 * One file at a time.  The process that loads kvm_amd is a child of this one, and
	 * has the last file open as well until it has executed modprobe.
	 */
	while ((fd = __kvm_lifecycle_open("iommu")) == -EBUSY && !timed_out(start, WAIT_S))
		usleep(POLL_US);
	if (fd < 0)
		return fd;
	r = __kvm_lifecycle_write(fd, "process %u", MAX_ENTRIES);
	usleep(rand_r(seed) % 20000);
	close(fd);
	return r;
}

static const struct load loads[] = {
	/* There's no such file, or no device behind it: not any more, or the module is going. */
	{ "open /dev/kvm",	use_dev_kvm,	{ -ENOENT, -ENODEV } },
	{ "use a VM",		use_vm,		{ -ENOENT, -ENODEV } },
	{ "use another VM",	use_vm,		{ -ENOENT, -ENODEV } },
	{ "read parameters",	read_parameters, { -ENOENT, -ENODEV } },
	{ "read debugfs",	read_debugfs,	{ -ENOENT, -EIO } },
	/* Functions of kvm_amd can't be found. */
	{ "inject entries",	inject_entries,	{ -EOPNOTSUPP } },
	{ "process entries",	process_entries, { -ENOENT } },
};

#define NR_PLAIN_LOADS	5

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void *load_thread(void *arg)
{
	struct load_thread *l = arg;
	const struct load *load = l->load;
	u64 start;
	int r, i;

	/* The process that loads the module has enough to do. */
	setpriority(PRIO_PROCESS, gettid(), LOAD_NICE);

	while (!READ_ONCE(load_stop)) {
		start = now_us();
		r = load->op(&l->seed);
		for (i = 0; r && i < (int)ARRAY_SIZE(load->absent); i++) {
			if (r == load->absent[i])
				break;
		}
		if (!r)
			WRITE_ONCE(l->done, l->done + 1);
		else if (i < (int)ARRAY_SIZE(load->absent))
			WRITE_ONCE(l->absent[i], l->absent[i] + 1);
		else if (load_failed("%s: %s", load->name, strerror(-r)))
			break;
		usleep(rand_r(&l->seed) % (MIN_REST_US + REST_FACTOR * (now_us() - start)));
	}
	return NULL;
}

/* A line for each file of a folder, and of those in it, sorted by nature. */
static void add_files(char *buf, size_t size, const char *path)
{
	char file[PATH_MAX], text[4096];
	struct dirent **e;
	struct stat st;
	ssize_t r, j;
	int n, i, fd;

	n = scandir(path, &e, NULL, alphasort);
	for (i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, e[i]->d_name);
		free(e[i]);
		if (lstat(file, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & 0444))
			continue;
		fd = open(file, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -1 : read(fd, text, sizeof(text));
		if (fd >= 0)
			close(fd);
		snprintf(buf + strlen(buf), size - strlen(buf), "%s=", file);
		for (j = 0; j < r; j++)
			snprintf(buf + strlen(buf), size - strlen(buf),
				 text[j] >= ' ' && text[j] <= '~' ? "%c" : "%%%02x",
				 (unsigned char)text[j]);
		snprintf(buf + strlen(buf), size - strlen(buf), "\n");
	}
	if (n >= 0)
		free(e);
}

/* Where a module lies, and how many use it, may change. */
static void get_identity(char *buf, size_t size)
{
	static const char * const files[] = { "srcversion", "version", "taint", "coresize" };
	char path[128], text[128];
	ssize_t r;
	int i, fd;

	buf[0] = '\0';
	for (i = 0; i < (int)ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), MODULE_DIR "/%s", files[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[r > 0 ? r : 0] = '\0';
		snprintf(buf + strlen(buf), size - strlen(buf), "%s=%s", path, text);
	}
	add_files(buf, size, MODULE_DIR "/notes");
	add_files(buf, size, PARAMETERS);
	add_files(buf, size, "/sys/module/kvm/parameters");
}

static void guest_code(void)
{
	GUEST_DONE();
}

static void expect_vm_works(struct __test_metadata *_metadata)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vcpu_run(vcpu);
	EXPECT_EQ(UCALL_DONE, get_ucall(vcpu, &uc));
	kvm_vm_free(vm);
}

/* Leaks of this test, and of its loaders of kvm_amd.  Returns their number, or -errno. */
static int scan_for_leaks(void)
{
	char line[512], comm[32];
	int nr = 0, r;
	FILE *f;

	r = fault_knob_write(KMEMLEAK_FILE, "scan");
	if (r)
		return r;
	f = fopen(KMEMLEAK_FILE, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " comm \"%31[^\"]", comm) == 1 &&
		    (!strncmp(comm, program_invocation_short_name, TASK_COMM_LEN - 1) ||
		     !strcmp(comm, "modprobe")))
			nr++;
	}
	fclose(f);
	return nr;
}

static bool kvm_amd_loaded(void)
{
	return !access(MODULE_DIR, F_OK);
}

FIXTURE_SETUP(reload)
{
	struct reload_test *t = &self->t;
	const char *missing = kvm_amd_not_reloadable();
	int users;

	t->kmsg = -1;
	if (missing)
		SKIP(return, "%s", missing);

	/* Where a subtest ran out of time. */
	if (!kvm_amd_loaded())
		ASSERT_EQ(0, system(load_command));
	users = kvm_amd_users_left(IDLE_S);
	if (users < 0)
		SKIP(return, "kvm_amd isn't a module that can be unloaded");
	if (users)
		SKIP(return, "others use kvm_amd, which has %d references", users);

	get_identity(t->identity, sizeof(t->identity));

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));
}

FIXTURE_TEARDOWN(reload)
{
	struct reload_test *t = &self->t;
	char identity[MAX_IDENTITY];

	if (t->kmsg < 0)
		return;

	if (!kvm_amd_loaded())
		EXPECT_EQ(0, system(load_command));
	get_identity(identity, sizeof(identity));
	EXPECT_STREQ(t->identity, identity);
	EXPECT_EQ(0, kvm_amd_users_left(IDLE_S))
		TH_LOG("kvm_amd has %d references left", kvm_amd_users());
	expect_vm_works(_metadata);
	kmsg_close(_metadata, t->kmsg);
}

static const char *entries_missing(void)
{
	return kvm_lifecycle_missing("ga_log") ?: kvm_lifecycle_missing("iommu");
}

/* Unload and load kvm_amd again and again while threads use it, or try to. */
static void reload_under(struct __test_metadata *_metadata, struct reload_test *t,
			 const struct load *first, int nr_extra)
{
	struct load_thread threads[NR_PLAIN_LOADS + 2] = {};
	int unloads = 0, refused = 0, nr = NR_PLAIN_LOADS + nr_extra, i, r = 0;
	u64 start, at, took_ms, unloading_us = 0, loading_us = 0, absent = 0;
	u64 before[ARRAY_SIZE(threads)];
	unsigned int seed = 1;

	load_error[0] = '\0';
	load_stop = false;
	for (i = 0; i < nr; i++) {
		threads[i].load = i < NR_PLAIN_LOADS ? &loads[i] : &first[i - NR_PLAIN_LOADS];
		threads[i].seed = i + 1;
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, load_thread, &threads[i]));
	}

	start = now_ms();
	while (unloads < NR_UNLOADS && !READ_ONCE(load_error[0]) &&
	       !timed_out(start, unloads < MIN_UNLOADS ? RELOAD_MAX_S : RELOAD_S)) {
		at = now_us();
		r = unload_kvm_amd();
		if (r == -EWOULDBLOCK) {
			refused++;
			usleep(rand_r(&seed) % POLL_US);
			r = 0;
			continue;
		}
		if (r)
			break;
		unloads++;
		unloading_us += now_us() - at;
		usleep(rand_r(&seed) % MAX_AWAY_US);
		at = now_us();
		r = system(load_command);
		loading_us += now_us() - at;
		if (r)
			break;
	}
	took_ms = now_ms() - start;

	/* Each of them goes on once kvm_amd is there to stay. */
	for (i = 0; i < nr; i++)
		before[i] = READ_ONCE(threads[i].done);
	start = now_ms();
	for (i = 0; i < nr; i++) {
		while (!r && READ_ONCE(threads[i].done) == before[i] &&
		       !READ_ONCE(load_error[0]) && !timed_out(start, WAIT_S))
			usleep(POLL_US);
	}
	WRITE_ONCE(load_stop, true);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i].thread, NULL);

	TH_LOG("in %llu ms: unloaded %d times in %llu ms, loaded in %llu ms, refused %d times",
	       (unsigned long long)took_ms, unloads, (unsigned long long)unloading_us / 1000,
	       (unsigned long long)loading_us / 1000, refused);
	for (i = 0; i < nr; i++)
		TH_LOG("%s: %llu done, %llu and %llu times without kvm_amd", threads[i].load->name,
		       (unsigned long long)threads[i].done,
		       (unsigned long long)threads[i].absent[0],
		       (unsigned long long)threads[i].absent[1]);

	EXPECT_EQ(0, r)
		TH_LOG("unload and load kvm_amd: want 0 or -1 (EWOULDBLOCK), got %s", ret_name(r));
	EXPECT_STREQ("", load_error);

	/* Else nothing was tested. */
	EXPECT_LE(MIN_UNLOADS, unloads)
		TH_LOG("kvm_amd was unloaded only %d times in %d s", unloads, RELOAD_MAX_S);
	EXPECT_LT(0, refused)
		TH_LOG("kvm_amd was never in use when it was to be unloaded");
	for (i = 0; i < nr; i++) {
		EXPECT_LT(before[i], threads[i].done)
			TH_LOG("%s: doesn't work any more", threads[i].load->name);
		absent += threads[i].absent[0] + threads[i].absent[1];
	}
	EXPECT_LE(unloads, absent)
		TH_LOG("of %d times that kvm_amd was away, only %llu were noticed", unloads,
		       (unsigned long long)absent);
}

TEST_F_TIMEOUT(reload, under_load, SUBTEST_TIMEOUT_S)
{
	reload_under(_metadata, &self->t, NULL, 0);
}

/* Entries of the GA Log come all the time, from before kvm_amd goes until it's back. */
TEST_F_TIMEOUT(reload, under_load_with_entries, SUBTEST_TIMEOUT_S)
{
	const char *missing = entries_missing();

	if (missing)
		SKIP(return, "%s", missing);

	reload_under(_metadata, &self->t, &loads[NR_PLAIN_LOADS], 2);
}

/* References to a VM once its own file descriptor, and those of its vCPUs, are closed. */
static int open_stats_fd(int vm, int vcpu, const char *name)
{
	return sys_ret(ioctl(name ? vcpu : vm, KVM_GET_STATS_FD, NULL));
}

static int open_debugfs_stat(int vm, int vcpu, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), KVM_DEBUGFS "/%d-%d/%s", getpid(), vm, name);
	return sys_ret(open(path, O_RDONLY | O_CLOEXEC));
}

static const struct statistics {
	int (*open)(int vm, int vcpu, const char *name);
	const char *name;
	const char *text;
} statistics[] = {
	{ open_stats_fd,	NULL,			"KVM_GET_STATS_FD of the VM" },
	{ open_stats_fd,	"vcpu",			"KVM_GET_STATS_FD of a vCPU" },
	{ open_debugfs_stat,	"remote_tlb_flush",	"remote_tlb_flush in debugfs" },
	{ open_debugfs_stat,	"mmu_rmaps_stat",	"mmu_rmaps_stat in debugfs" },
};

/*
 * Statistics are all that's left of a VM, i.e. closing them destroys the VM, and
 * needs kvm_amd for that.  Don't unload kvm_amd if nobody uses it: a kernel that
 * lets it go uses freed memory then.
 */
TEST_F_TIMEOUT(reload, statistics, SUBTEST_TIMEOUT_S)
{
	int kvm, vm, vcpu, stats, users, i;

	for (i = 0; i < (int)ARRAY_SIZE(statistics); i++) {
		const struct statistics *s = &statistics[i];

		kvm = open_kvm();
		ASSERT_LE(0, kvm);
		vm = sys_ret(ioctl(kvm, KVM_CREATE_VM, 0));
		ASSERT_LE(0, vm);
		vcpu = sys_ret(ioctl(vm, KVM_CREATE_VCPU, 0));
		ASSERT_LE(0, vcpu);
		stats = s->open(vm, vcpu, s->name);
		ASSERT_LE(0, stats)
			TH_LOG("%s: %s", s->text, strerror(-stats));
		close(vcpu);
		close(vm);
		close(kvm);

		users = kvm_amd_users();
		EXPECT_LT(0, users)
			TH_LOG("%s: a VM is left, and kvm_amd can be unloaded", s->text);
		if (users)
			EXPECT_EQ(-EWOULDBLOCK, unload_kvm_amd());
		close(stats);
	}
}

/*
 * None of the above has lost memory.  kmemleak reports objects that it finds
 * unreferenced in one scan, or two, after the one in which they were new.  An object
 * that is being freed right now may look like a leak, once.
 */
TEST_F_TIMEOUT(reload, leaks, SUBTEST_TIMEOUT_S)
{
	int nr = 0, i;

	sleep(KMEMLEAK_S);
	for (i = 0; i < KMEMLEAK_SCANS && nr >= 0; i++)
		nr = scan_for_leaks();
	if (nr < 0)
		SKIP(return, "leaks can't be looked for: kmemleak: %s", strerror(-nr));
	EXPECT_EQ(0, nr)
		TH_LOG("%d allocations have leaked, see " KMEMLEAK_FILE, nr);
}

int main(int argc, char *argv[])
{
	int r;

	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));
	__TEST_REQUIRE(kvm_amd_loaded(), "kvm_amd isn't loaded");

	kvm_amd_load_command(load_command, sizeof(load_command));
	r = test_harness_run(argc, argv);
	if (!kvm_amd_loaded() && system(load_command))
		ksft_print_msg("kvm_amd can't be loaded again: %s\n", load_command);
	return r;
}
