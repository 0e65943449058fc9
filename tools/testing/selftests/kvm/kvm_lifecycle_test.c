// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle takes commands from root that go as far as holding up a chosen
 * task in the kernel: any command is done wholly or fails and changes nothing,
 * every number has its bounds, and no effect outlives the open file, however the
 * process ends.
 *
 * Other tests rely on the module, this one tests the module itself.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/capability.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "kvm_lifecycle_harness.h"

#define SUBTEST_TIMEOUT_S	60

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

/* A function that the test can have called by its own task at any time. */
#define PAUSED_FUNCTION		"kvm_dev_ioctl"
/* One that KVM_CREATE_VCPU calls with kvm->lock held. */
#define LOCKED_FUNCTION		"kvm_arch_vcpu_precreate"

/* Documented bounds. */
#define MAX_DELAY_US		1000000
#define MAX_HITS		1000
#define MAX_COUNT		1000000
#define MAX_GAP_US		100000
#define MAX_TOTAL_US		20000000
#define MAX_BUSY_US		5000000
#define MAX_OPEN		64

/* Called by each look for a function. */
#define LOOK_FUNCTION		"register_kprobe"

/* Longer than any command may be. */
#define TOO_LONG		4096

/* Not the ID of any vCPU that could be taken for an index. */
#define VCPU_ID			5

#define NOBODY			65534

static const char * const files[] = {
	"parts", "vcpu_index", "trylock", "get_vcpu", "avic", "ga_log", "iommu", "ipiv", "vgic",
	"pause", "unlocked",
};

struct lifecycle_test {
	struct kvm_vm *vm;
	int kvm_fd;
	int vcpu_fd;
	int pipe[2];
	int kmsg;
};

FIXTURE(lifecycle) {
	struct lifecycle_test t;
};

FIXTURE_SETUP(lifecycle)
{
	struct lifecycle_test *t = &self->t;

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));

	t->kvm_fd = open_kvm_dev_path_or_exit();
	ASSERT_EQ(0, pipe(t->pipe));
	t->vm = vm_create_barebones();
	t->vcpu_fd = __vcpu_fd_create(t->vm, VCPU_ID);
	ASSERT_LE(0, t->vcpu_fd);
}

FIXTURE_TEARDOWN(lifecycle)
{
	struct lifecycle_test *t = &self->t;

	if (t->kmsg < 0)
		return;

	close(t->vcpu_fd);
	close(t->pipe[0]);
	close(t->pipe[1]);
	close(t->kvm_fd);
	kvm_vm_free(t->vm);
	kmsg_close(_metadata, t->kmsg);
}

static void expect_text(struct __test_metadata *_metadata, int fd, const char *want,
			const char *when)
{
	char got[256];

	ASSERT_LE(0, kvm_lifecycle_read(fd, got, sizeof(got)));
	EXPECT_STREQ(want, got)
		TH_LOG("after '%s': wanted '%s', got '%s'", when, want, got);
}

/* A command that must fail with -@err, and leave the file's text as it was. */
static void expect_refused(struct __test_metadata *_metadata, int fd, int err,
			   const char *command)
{
	char before[256], after[256];
	ssize_t r;

	r = kvm_lifecycle_read(fd, before, sizeof(before));

	EXPECT_EQ(err, -__kvm_lifecycle_write(fd, "%s", command))
		TH_LOG("'%s': wanted %s", command, strerror(err));

	EXPECT_EQ(r, kvm_lifecycle_read(fd, after, sizeof(after)));
	EXPECT_STREQ(before, after)
		TH_LOG("'%s' was refused, but changed '%s' to '%s'", command, before, after);
}

#define expect_refused_fmt(fd, err, fmt, ...)				\
do {									\
	char __command[128];						\
									\
	snprintf(__command, sizeof(__command), fmt, ##__VA_ARGS__);	\
	expect_refused(_metadata, fd, err, __command);			\
} while (0)

/* Commands that no file takes. */
static void expect_junk_refused(struct __test_metadata *_metadata, int fd, bool is_writable)
{
	static const char * const junk[] = {
		" ", "\n", "junk", "-", "0x", "\x01\x02", "%n%s", "1 2 3 4 5 6 7 8",
		"99999999999999999999", "-99999999999999999999", "1.5", "1,2", "+",
	};
	char text[TOO_LONG], *mem;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(junk); i++)
		expect_refused(_metadata, fd, EINVAL, junk[i]);

	memset(text, '1', sizeof(text));
	EXPECT_EQ(-1, write(fd, text, sizeof(text)));
	EXPECT_EQ(EINVAL, errno)
		TH_LOG("%zu bytes: wanted EINVAL, got %s", sizeof(text), strerror(errno));

	mem = kvm_mmap(getpagesize(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	EXPECT_EQ(-1, write(fd, mem, 8));
	EXPECT_EQ(is_writable ? EFAULT : EINVAL, errno)
		TH_LOG("unreadable command: got %s", strerror(errno));
	kvm_munmap(mem, getpagesize());

	/* A NUL within the text doesn't hide the rest. */
	EXPECT_EQ(-1, write(fd, "release\0x", 9));
	EXPECT_EQ(EINVAL, errno);
}

/* A descriptor that isn't that of a VM; @after completes the command. */
static void expect_vm_checked(struct __test_metadata *_metadata, struct lifecycle_test *t,
			      int fd, const char *after)
{
	int closed = kvm_dup(t->vm->fd);

	kvm_close(closed);

	expect_refused_fmt(fd, EBADF, "%d%s", closed, after);
	expect_refused_fmt(fd, EBADF, "-1%s", after);
	expect_refused_fmt(fd, EBADF, "%d%s", INT_MAX, after);
	expect_refused_fmt(fd, EINVAL, "%lld%s", 1ll << 32, after);
	expect_refused_fmt(fd, EINVAL, "%d%s", t->pipe[0], after);
	expect_refused_fmt(fd, EINVAL, "%d%s", t->kvm_fd, after);
	expect_refused_fmt(fd, EINVAL, "%d%s", t->vcpu_fd, after);
	expect_refused_fmt(fd, EINVAL, "%d%s", fd, after);
	expect_refused_fmt(fd, EINVAL, "%dx%s", t->vm->fd, after);
	expect_refused_fmt(fd, EINVAL, "%d%s 0", t->vm->fd, after);
}

static int become_nobody(void)
{
	return setgid(NOBODY) || setuid(NOBODY) ? -errno : 0;
}

/* As root of a container: still the owner of the files. */
static int lose_privilege(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* A module that was built without the parts that drive KVM has no files for them. */
static bool left_out(const char *file)
{
	const char *missing = kvm_lifecycle_missing(file);

	return missing && strstr(missing, "built without UNSAFE=1");
}

/* A process that has done @give_up can open none of the files, with @err. */
static void expect_none_opens(struct __test_metadata *_metadata, int (*give_up)(void), int err,
			      const char *who)
{
	bool there[ARRAY_SIZE(files)];
	int i, status;
	pid_t pid;

	for (i = 0; i < (int)ARRAY_SIZE(files); i++)
		there[i] = !left_out(files[i]);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (give_up())
			_exit(255);
		for (i = 0; i < (int)ARRAY_SIZE(files); i++) {
			if (there[i] && __kvm_lifecycle_open(files[i]) != -err)
				_exit(i + 1);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_NE(255, WEXITSTATUS(status));
	EXPECT_EQ(0, WEXITSTATUS(status))
		TH_LOG("%s could open '%s', or got another error than %s", who,
		       files[max(WEXITSTATUS(status) - 1, 0)], strerror(err));
}

/*
 * Root only, and each file is there whether or not this kernel has the part.  One that nobody may
 * write could be opened in lockdown mode.
 */
TEST_F_TIMEOUT(lifecycle, root_only, SUBTEST_TIMEOUT_S)
{
	char path[128];
	struct stat st;
	int i;

	ASSERT_EQ(0, stat(KVM_LIFECYCLE_DIR, &st));
	EXPECT_EQ(0700, st.st_mode & 0777);
	EXPECT_EQ(0, st.st_uid);

	for (i = 0; i < (int)ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), KVM_LIFECYCLE_DIR "/%s", files[i]);
		if (left_out(files[i])) {
			EXPECT_EQ(-1, stat(path, &st))
				TH_LOG("%s is there, and parts says that it was left out", path);
			continue;
		}
		ASSERT_EQ(0, stat(path, &st))
			TH_LOG("%s: %s", path, strerror(errno));
		EXPECT_EQ(0600, st.st_mode & 0777)
			TH_LOG("%s: wanted mode 600, got %o", path, st.st_mode & 0777);
		EXPECT_EQ(0, st.st_uid);
	}

	expect_none_opens(_metadata, become_nobody, EACCES, "a user other than root");
	expect_none_opens(_metadata, lose_privilege, EPERM, "root without CAP_SYS_ADMIN");
}

/* An open file takes memory, and probes in KVM's code. */
TEST_F_TIMEOUT(lifecycle, open_limit, SUBTEST_TIMEOUT_S)
{
	int fds[MAX_OPEN + 1], nr, r = 0;

	for (nr = 0; nr <= MAX_OPEN; nr++) {
		r = __kvm_lifecycle_open("parts");
		if (r < 0)
			break;
		fds[nr] = r;
	}
	EXPECT_EQ(-ENFILE, r)
		TH_LOG("open number %d: wanted ENFILE, got %s", nr + 1, ret_name(r));
	EXPECT_EQ(MAX_OPEN, nr);

	close(fds[--nr]);
	r = __kvm_lifecycle_open("parts");
	EXPECT_LE(0, r)
		TH_LOG("one was closed, and another one can't be opened: %s", ret_name(r));
	close(r);
	while (nr)
		close(fds[--nr]);
}

/* For each part, the line in parts agrees with the result of open(). */
TEST_F_TIMEOUT(lifecycle, parts, SUBTEST_TIMEOUT_S)
{
	int fd, i, r, want;
	const char *missing;

	for (i = 1; i < (int)ARRAY_SIZE(files); i++) {
		missing = kvm_lifecycle_missing(files[i]);
		if (missing) {
			EXPECT_NE(NULL, strstr(missing, "unavailable: "))
				TH_LOG("%s", missing);
			want = left_out(files[i]) ? -ENOENT :
			       strstr(missing, "unsafe=1") ? -EPERM : -EOPNOTSUPP;
		} else {
			want = 0;
		}

		r = __kvm_lifecycle_open(files[i]);
		fd = r;
		EXPECT_EQ(want, min(r, 0))
			TH_LOG("%s: %s", files[i], missing ?: "ready");
		if (fd >= 0)
			close(fd);
	}

	fd = kvm_lifecycle_open(_metadata, "parts");
	expect_junk_refused(_metadata, fd, false);
	expect_refused(_metadata, fd, EINVAL, "release");
	close(fd);
}

/* A look for a function takes a probe, and that a grace period: it isn't taken for each read. */
TEST_F_TIMEOUT(lifecycle, parts_are_known, SUBTEST_TIMEOUT_S)
{
	/* Those that are ready only if KVM, or the kernel, has a function. */
	static const char * const looked_up[] = {
		"trylock",
#ifdef __x86_64__
		"avic", "ga_log", "iommu",
#endif
	};
	const char *missing = kvm_lifecycle_missing("pause");
	int i, fd, hits, allowed = 0;

	if (missing)
		SKIP(return, "%s", missing);

	/* What isn't there is looked for each time. */
	for (i = 0; i < (int)ARRAY_SIZE(looked_up); i++)
		allowed += kvm_lifecycle_available(looked_up[i]) ? 0 : 2;

	fd = kvm_lifecycle_open(_metadata, "pause");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%s %d 1 %d", LOOK_FUNCTION, gettid(), MAX_HITS));
	kvm_lifecycle_missing("pause");
	hits = pause_read(fd).hits;
	EXPECT_GE(allowed, hits)
		TH_LOG("a read of parts has looked for %d functions, wanted %d at most", hits,
		       allowed);
	close(fd);
}

/* Each recording has every event, and hands it out once. */
TEST_F_TIMEOUT(lifecycle, vcpu_index, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	char one[1024], two[1024], small[8];
	const char *missing = kvm_lifecycle_missing("vcpu_index");
	int fd, fd2, vcpu;

	if (missing)
		SKIP(return, "%s", missing);

	fd = kvm_lifecycle_open(_metadata, "vcpu_index");
	fd2 = kvm_lifecycle_open(_metadata, "vcpu_index");

	/* Reading doesn't wait for something to happen. */
	while (kvm_lifecycle_read(fd, one, sizeof(one)) > 0)
		;

	vcpu = __vcpu_fd_create(t->vm, VCPU_ID + 1);
	ASSERT_LE(0, vcpu);

	/* No room for a line: nothing is handed out, and nothing is lost. */
	EXPECT_EQ(-EINVAL, kvm_lifecycle_read(fd, small, sizeof(small)));

	/* Commands are for other files. */
	EXPECT_EQ(-EINVAL, __kvm_lifecycle_write(fd, "release"));
	EXPECT_EQ(-EINVAL, __kvm_lifecycle_write(fd, "%d", t->vm->fd));

	EXPECT_LT(0, kvm_lifecycle_read(fd, one, sizeof(one)));
	EXPECT_NE(NULL, strstr(one, "create "));
	EXPECT_NE(NULL, strstr(one, "postcreate "));
	EXPECT_EQ(0, kvm_lifecycle_read(fd, two, sizeof(two)));

	EXPECT_LT(0, kvm_lifecycle_read(fd2, two, sizeof(two)));
	EXPECT_STREQ(one, two);

	close(vcpu);
	close(fd2);
	close(fd);
}

TEST_F_TIMEOUT(lifecycle, trylock, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("trylock");
	int fd;

	if (missing)
		SKIP(return, "%s", missing);

	fd = kvm_lifecycle_open(_metadata, "trylock");
	expect_text(_metadata, fd, "calls 0 failed 0 total_ns 0 max_ns 0\n", "open");
	expect_junk_refused(_metadata, fd, false);
	expect_refused_fmt(fd, EINVAL, "%d", t->vm->fd);
	close(fd);
}

TEST_F_TIMEOUT(lifecycle, get_vcpu, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("get_vcpu");
	char buf[32];
	int fd, i;

	if (missing)
		SKIP(return, "%s", missing);

	fd = kvm_lifecycle_open(_metadata, "get_vcpu");
	EXPECT_EQ(-ENODATA, kvm_lifecycle_read(fd, buf, sizeof(buf)));

	/* Before and after there is an answer that a bad command could change. */
	for (i = 0; i < 2; i++) {
		expect_junk_refused(_metadata, fd, true);
		expect_vm_checked(_metadata, t, fd, " 1");
		expect_refused_fmt(fd, EINVAL, "%d", t->vm->fd);
		expect_refused_fmt(fd, EINVAL, "%d x", t->vm->fd);
		expect_refused_fmt(fd, EINVAL, "%d %lld", t->vm->fd, 1ll + INT_MAX);
		expect_refused_fmt(fd, EINVAL, "%d %lld", t->vm->fd, -1ll + INT_MIN);

		ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%d 0\n", t->vm->fd));
		snprintf(buf, sizeof(buf), "%d\n", VCPU_ID);
		expect_text(_metadata, fd, buf, "VM 0");
	}
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%d 1", t->vm->fd));
	expect_text(_metadata, fd, "none\n", "VM 1");
	close(fd);
}

static void *create_vcpu_thread(void *arg)
{
	struct lifecycle_test *t = arg;

	close(__vcpu_fd_create(t->vm, VCPU_ID + 1));
	return NULL;
}

/*
 * A vCPU that isn't online yet may be freed again, and a kernel may give it out for a negative
 * index: it isn't asked while a vCPU comes or goes.
 */
TEST_F_TIMEOUT(lifecycle, get_vcpu_during_creation, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("pause");
	struct pause_state p;
	pthread_t thread;
	int get, pause;
	u64 start;

	if (!missing)
		missing = kvm_lifecycle_missing("get_vcpu");
	if (missing)
		SKIP(return, "%s", missing);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "two CPUs are needed");

	get = kvm_lifecycle_open(_metadata, "get_vcpu");
	pause = kvm_lifecycle_open(_metadata, "pause");
	pause_arm(pause, LOCKED_FUNCTION, 0, MAX_DELAY_US);
	ASSERT_EQ(0, pthread_create(&thread, NULL, create_vcpu_thread, t));
	start = now_ms();
	while (!pause_read(pause).hits)
		ASSERT_FALSE(timed_out(start, WAIT_S));

	ASSERT_EQ(0, __kvm_lifecycle_write(get, "%d -1", t->vm->fd));
	p = pause_read(pause);
	EXPECT_EQ(1, p.done)
		TH_LOG("get_vcpu was asked in the middle of KVM_CREATE_VCPU");

	pthread_join(thread, NULL);
	close(pause);
	close(get);
}

#if defined(__x86_64__) || defined(__aarch64__)
static void test_vm_file(struct __test_metadata *_metadata, struct lifecycle_test *t,
			 const char *file)
{
	char buf[1024];
	int fd, i;

	fd = kvm_lifecycle_open(_metadata, file);
	EXPECT_EQ(-ENODATA, kvm_lifecycle_read(fd, buf, sizeof(buf)));

	for (i = 0; i < 2; i++) {
		expect_junk_refused(_metadata, fd, true);
		expect_vm_checked(_metadata, t, fd, "");

		ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%d\n", t->vm->fd));
		EXPECT_LT(0, kvm_lifecycle_read(fd, buf, sizeof(buf)));
	}
	close(fd);
}
#endif

#ifdef __x86_64__
TEST_F_TIMEOUT(lifecycle, avic, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("avic");

	if (missing)
		SKIP(return, "%s", missing);

	test_vm_file(_metadata, t, "avic");
}
#endif

#ifdef __aarch64__
TEST_F_TIMEOUT(lifecycle, vgic, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("vgic");

	if (missing)
		SKIP(return, "%s", missing);

	test_vm_file(_metadata, t, "vgic");
}
#endif

static bool thread_lives(int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", tid);
	return !access(path, F_OK);
}

/* A thread that has exited may be seen for a moment. */
static bool thread_goes(int tid)
{
	u64 start = now_ms();

	while (thread_lives(tid)) {
		if (timed_out(start, WAIT_S))
			return false;
		usleep(POLL_US);
	}
	return true;
}

#ifdef __x86_64__
TEST_F_TIMEOUT(lifecycle, ga_log, SUBTEST_TIMEOUT_S)
{
	static const char * const bad[] = {
		"inject", "inject 1 0 1", "inject 1 0 1 0 0", "inject x 0 1 0", "inject 0 0 1 0",
		"inject -1 0 1 0", "inject 4294967295 0 1 0", "inject 1 -1 1 0",
		"inject 1 4096 1 0", "inject 1 0 0 0", "inject 1 0 1 -1", "stop 1", "stopp",
	};
	const char *missing = kvm_lifecycle_missing("ga_log");
	struct injector_state s, last;
	char buf[128];
	int fd, tid, i;

	if (missing)
		SKIP(return, "%s", missing);

	fd = kvm_lifecycle_open(_metadata, "ga_log");
	tid = injector_read(fd).tid;
	ASSERT_LT(0, tid);
	EXPECT_TRUE(thread_lives(tid));
	snprintf(buf, sizeof(buf), "tid %d sent 0 running 0\n", tid);
	expect_text(_metadata, fd, buf, "open");

	expect_junk_refused(_metadata, fd, true);
	for (i = 0; i < (int)ARRAY_SIZE(bad); i++)
		expect_refused(_metadata, fd, EINVAL, bad[i]);
	expect_refused_fmt(fd, EINVAL, "inject 1 0 %d 0", MAX_COUNT + 1);
	expect_refused_fmt(fd, EINVAL, "inject 1 0 1 %d", MAX_GAP_US + 1);

	/* The largest command there is: one at a time, and it can be stopped. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "inject 1 0 %d %d\n", MAX_COUNT, MAX_GAP_US));
	EXPECT_EQ(-EBUSY, __kvm_lifecycle_write(fd, "inject 1 0 1 0"));
	EXPECT_EQ(-EINVAL, __kvm_lifecycle_write(fd, "inject 0 0 1 0"));
	last = injector_read(fd);
	EXPECT_EQ(1, last.running);
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "stop"));
	s = injector_read(fd);
	EXPECT_EQ(0, s.running);
	EXPECT_LE(last.sent, s.sent);
	EXPECT_GT(MAX_COUNT, s.sent);

	/* There is nothing to stop, which is no error, and it can start again. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "stop"));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "inject 1 0 %d %d", MAX_COUNT, MAX_GAP_US));

	close(fd);
	EXPECT_TRUE(thread_goes(tid))
		TH_LOG("the file was closed, the injecting thread lives on");
}

/* Let the IOMMU's driver process an entry.  Did KVM's notifier get it? */
static bool kvm_is_notified(struct __test_metadata *_metadata, int iommu)
{
	int pause = kvm_lifecycle_open(_metadata, "pause");
	int hits;

	pause_arm(pause, "avic_ga_log_notifier", injector_read(iommu).tid, 1);
	ASSERT_EQ(0, __kvm_lifecycle_write(iommu, "process 1"));
	do {
		usleep(POLL_US);
	} while (injector_read(iommu).running);
	hits = pause_read(pause).hits;
	close(pause);
	return hits;
}

/* KVM's notifier is back after all of this. */
static void expect_notifier_back(struct __test_metadata *_metadata, const char *after)
{
	int fd = kvm_lifecycle_open(_metadata, "iommu");

	EXPECT_TRUE(kvm_is_notified(_metadata, fd))
		TH_LOG("after %s: KVM's notifier isn't called any more", after);
	close(fd);
}

TEST_F_TIMEOUT(lifecycle, iommu, SUBTEST_TIMEOUT_S)
{
	static const char * const bad[] = {
		"process", "process 0", "process -1", "process 1 1", "register", "register -1",
		"register 1 1", "unregister 1", "restore 1", "stop 1", "overflow", "overflow 1",
		"overflow early 1",
	};
	const char *missing = kvm_lifecycle_missing("iommu");
	struct injector_state s;
	int fd, tid, i, status;
	char buf[256];
	u32 calls;
	pid_t pid;

	/* Whose notifier it is that is replaced. */
	if (!missing)
		missing = kvm_lifecycle_missing("ga_log");
	if (missing)
		SKIP(return, "%s", missing);

	fd = kvm_lifecycle_open(_metadata, "iommu");
	tid = injector_read(fd).tid;
	ASSERT_LT(0, tid);
	EXPECT_TRUE(thread_lives(tid));
	snprintf(buf, sizeof(buf), "tid %d sent 0 running 0 calls 0 inside 0\n"
				   "unregistered 0 overlapped 0 early 0 going 0\n"
				   "overflows 0 restarts 0 log 0 told 0\n", tid);
	expect_text(_metadata, fd, buf, "open");

	/* There is one notifier. */
	EXPECT_EQ(-EBUSY, __kvm_lifecycle_open("iommu"));

	expect_junk_refused(_metadata, fd, true);
	for (i = 0; i < (int)ARRAY_SIZE(bad); i++)
		expect_refused(_metadata, fd, EINVAL, bad[i]);
	expect_refused_fmt(fd, EINVAL, "process %d", MAX_COUNT + 1);
	expect_refused_fmt(fd, EINVAL, "register %d", MAX_BUSY_US + 1);
	expect_refused(_metadata, fd, ENOENT, "unregister");

	/* One notifier at a time, and none when there is none. */
	EXPECT_TRUE(kvm_is_notified(_metadata, fd));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "register 0"));
	EXPECT_FALSE(kvm_is_notified(_metadata, fd));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "unregister"));
	EXPECT_FALSE(kvm_is_notified(_metadata, fd));
	snprintf(buf, sizeof(buf), "tid %d sent 1 running 0 calls 1 inside 0\n"
				   "unregistered 1 overlapped 0 early 0 going 0\n"
				   "overflows 0 restarts 0 log 0 told 0\n", tid);
	expect_text(_metadata, fd, buf, "unregister");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "restore"));
	EXPECT_TRUE(kvm_is_notified(_metadata, fd));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "restore"));
	EXPECT_TRUE(kvm_is_notified(_metadata, fd));

	/* Whether the notifier is told is the driver's matter. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "overflow early"));
	do {
		usleep(POLL_US);
	} while (injector_read(fd).running);
	snprintf(buf, sizeof(buf), "tid %d sent 1 running 0 calls 1 inside 0\n"
				   "unregistered 1 overlapped 0 early 0 going 0\n"
				   "overflows 1 restarts 1 log 1 told 0\n", tid);
	expect_text(_metadata, fd, buf, "overflow");

	/* The longest commands there are: one at a time, and they can be stopped. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "register %d", MAX_BUSY_US));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "process %d\n", MAX_COUNT));
	EXPECT_EQ(-EBUSY, __kvm_lifecycle_write(fd, "process 1"));
	EXPECT_EQ(-EBUSY, __kvm_lifecycle_write(fd, "restore"));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "stop"));
	s = injector_read(fd);
	kvm_lifecycle_scan(fd, 1, "tid %*d sent %*u running %*d calls %u", &calls);
	EXPECT_EQ(0, s.running);
	EXPECT_EQ(calls, s.sent + 1);
	EXPECT_GT(MAX_COUNT, s.sent);

	/* Closed in the middle of all of it. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "process %d", MAX_COUNT));
	close(fd);
	EXPECT_TRUE(thread_goes(tid))
		TH_LOG("the file was closed, its thread lives on");
	expect_notifier_back(_metadata, "close");

	/* And killed. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fd = __kvm_lifecycle_open("iommu");
		if (__kvm_lifecycle_write(fd, "register %d", MAX_BUSY_US) ||
		    __kvm_lifecycle_write(fd, "process %d", MAX_COUNT) ||
		    __kvm_lifecycle_write(fd, "unregister"))
			_exit(1);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	expect_notifier_back(_metadata, "the end of the process");
}
#endif

/* One entry of the paused function, in ms. */
static long paused_call(struct lifecycle_test *t)
{
	u64 start = now_ms();

	ioctl(t->kvm_fd, KVM_GET_API_VERSION, 0);
	return now_ms() - start;
}

TEST_F_TIMEOUT(lifecycle, pause, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("pause");
	const int delay_ms = 300;
	int fd, fd2, tid = gettid();

	if (missing)
		SKIP(return, "%s", missing);

	fd = kvm_lifecycle_open(_metadata, "pause");
	expect_text(_metadata, fd, "hits 0 inside 0 done 0\n", "open");

	expect_junk_refused(_metadata, fd, true);
	expect_refused_fmt(fd, EINVAL, "%s", PAUSED_FUNCTION);
	expect_refused_fmt(fd, EINVAL, "%s %d 1000", PAUSED_FUNCTION, tid);
	expect_refused_fmt(fd, EINVAL, "%s %d 1000 1 1", PAUSED_FUNCTION, tid);
	expect_refused_fmt(fd, EINVAL, "%s %d 0 1", PAUSED_FUNCTION, tid);
	expect_refused_fmt(fd, EINVAL, "%s %d -1 1", PAUSED_FUNCTION, tid);
	expect_refused_fmt(fd, EINVAL, "%s %d %d 1", PAUSED_FUNCTION, tid, MAX_DELAY_US + 1);
	expect_refused_fmt(fd, EINVAL, "%s %d 1000 0", PAUSED_FUNCTION, tid);
	expect_refused_fmt(fd, EINVAL, "%s %d 1000 %d", PAUSED_FUNCTION, tid, MAX_HITS + 1);
	expect_refused_fmt(fd, EINVAL, "%s -1 1000 1", PAUSED_FUNCTION);
	expect_refused_fmt(fd, EINVAL, "%s %d 1000 1", PAUSED_FUNCTION, INT_MAX);
	expect_refused_fmt(fd, EINVAL, "%s %d %d %d", PAUSED_FUNCTION, tid, MAX_DELAY_US,
			   MAX_TOTAL_US / MAX_DELAY_US + 1);
	expect_refused_fmt(fd, EINVAL, "%s 0 %d %d", PAUSED_FUNCTION,
			   MAX_TOTAL_US / MAX_HITS + 1, MAX_HITS);
	expect_refused_fmt(fd, ENOENT, "no_such_function %d 1000 1", tid);
	expect_refused_fmt(fd, EINVAL, "release 1");
	expect_refused_fmt(fd, EINVAL, "open");
	expect_refused_fmt(fd, EINVAL, "again");

	/* None of these has armed anything. */
	paused_call(t);
	expect_text(_metadata, fd, "hits 0 inside 0 done 0\n", "all that was refused");

	/* So often, and no more. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%s %d %d 2\n", PAUSED_FUNCTION, tid,
					   delay_ms * 1000));
	EXPECT_LE(delay_ms, paused_call(t));
	expect_refused_fmt(fd, EBUSY, "%s %d 1000 1", PAUSED_FUNCTION, tid);
	expect_refused_fmt(fd, EINVAL, "%s %d 0 1", PAUSED_FUNCTION, tid);
	EXPECT_LE(delay_ms, paused_call(t));
	paused_call(t);
	expect_text(_metadata, fd, "hits 2 inside 0 done 2\n", "two hits");

	/* So often again, unless it's opened up. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "again"));
	expect_text(_metadata, fd, "hits 0 inside 0 done 0\n", "again");
	EXPECT_LE(delay_ms, paused_call(t));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "open"));
	paused_call(t);
	expect_text(_metadata, fd, "hits 1 inside 0 done 1\n", "open");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "again"));
	EXPECT_LE(delay_ms, paused_call(t));
	EXPECT_LE(delay_ms, paused_call(t));
	paused_call(t);
	expect_text(_metadata, fd, "hits 2 inside 0 done 2\n", "two more hits");

	/* Another file is another pause point. */
	fd2 = kvm_lifecycle_open(_metadata, "pause");
	expect_text(_metadata, fd2, "hits 0 inside 0 done 0\n", "open");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd2, "%s %d 1 %d", PAUSED_FUNCTION, tid, MAX_HITS));
	paused_call(t);
	expect_text(_metadata, fd2, "hits 1 inside 0 done 1\n", "one hit");
	expect_text(_metadata, fd, "hits 2 inside 0 done 2\n", "a hit of another file");
	close(fd2);

	/* Released, armed for somebody else, and armed again. */
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "release"));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "release"));
	paused_call(t);
	expect_text(_metadata, fd, "hits 2 inside 0 done 2\n", "release");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%s %d %d %d", PAUSED_FUNCTION, getppid(),
					   MAX_DELAY_US, MAX_TOTAL_US / MAX_DELAY_US));
	paused_call(t);
	expect_text(_metadata, fd, "hits 0 inside 0 done 0\n", "armed for another task");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "release"));
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%s 0 1 1", PAUSED_FUNCTION));
	paused_call(t);
	expect_text(_metadata, fd, "hits 1 inside 0 done 1\n", "armed for any task");
	close(fd);
}

static void *paused_thread(void *arg)
{
	struct lifecycle_test *t = arg;

	paused_call(t);
	return NULL;
}

/* release lets the task that is inside go on, and returns when it has. */
TEST_F_TIMEOUT(lifecycle, release, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("pause");
	pthread_t thread;
	u64 start;
	int fd;

	if (missing)
		SKIP(return, "%s", missing);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "two CPUs are needed");

	fd = kvm_lifecycle_open(_metadata, "pause");
	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%s 0 %d 1", PAUSED_FUNCTION, MAX_DELAY_US));
	ASSERT_EQ(0, pthread_create(&thread, NULL, paused_thread, t));

	start = now_ms();
	while (!pause_read(fd).hits)
		ASSERT_FALSE(timed_out(start, WAIT_S));

	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "release"));
	expect_text(_metadata, fd, "hits 1 inside 0 done 1\n", "release");
	pthread_join(thread, NULL);
	close(fd);
}

/* A process that is killed takes its pause point and its injector with it. */
TEST_F_TIMEOUT(lifecycle, killed_process, SUBTEST_TIMEOUT_S)
{
	struct lifecycle_test *t = &self->t;
	bool inject = kvm_lifecycle_available("ga_log");
	const char *missing = kvm_lifecycle_missing("pause");
	int tid = gettid();
	int ready[2], injector, status, i;
	long ms;
	pid_t pid;

	if (missing)
		SKIP(return, "%s", missing);

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int pause_fd = __kvm_lifecycle_open("pause");
		int ga_log_fd = inject ? __kvm_lifecycle_open("ga_log") : -1;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		injector = -1;
		if (inject) {
			injector = injector_read(ga_log_fd).tid;
			if (__kvm_lifecycle_write(ga_log_fd, "inject 1 0 %d %d", MAX_COUNT,
						  MAX_GAP_US))
				_exit(1);
		}
		if (__kvm_lifecycle_write(pause_fd, "%s %d %d %d", PAUSED_FUNCTION, tid,
					  MAX_DELAY_US, MAX_TOTAL_US / MAX_DELAY_US))
			_exit(2);
		if (write(ready[1], &injector, sizeof(injector)) != sizeof(injector))
			_exit(3);
		for (;;)
			pause();
	}
	close(ready[1]);
	ASSERT_EQ(sizeof(injector), read(ready[0], &injector, sizeof(injector)));
	close(ready[0]);

	EXPECT_LE(MAX_DELAY_US / 1000, paused_call(t));
	if (inject)
		EXPECT_TRUE(thread_lives(injector));

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));

	/* A busy machine may take its time once, but not each time. */
	ms = paused_call(t);
	for (i = 0; i < 5 && ms >= MAX_DELAY_US / 1000; i++)
		ms = paused_call(t);
	EXPECT_GT(MAX_DELAY_US / 1000, ms)
		TH_LOG("the process that armed the pause is gone, the pause isn't");
	if (inject)
		EXPECT_TRUE(thread_goes(injector))
			TH_LOG("the process that injected is gone, its thread isn't");
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));
	__TEST_REQUIRE(!access(KVM_LIFECYCLE_DIR, F_OK),
		       "module kvm_lifecycle: " KVM_LIFECYCLE_DIR ": %s", strerror(errno));

	return test_harness_run(argc, argv);
}
