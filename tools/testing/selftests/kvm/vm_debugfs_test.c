// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody opens a file of a VM in debugfs while KVM_CREATE_VM fails.
 *
 * The files appear before the VM is complete, and an open one is a reference to the
 * VM.  So a creation that fails for lack of memory must not have shown a file that
 * can be opened.
 *
 * One allocation after the other fails.  kvm_lifecycle holds the thread that creates
 * the VM where the files are about to be removed, be it because the creation has
 * failed or because the VM was closed.
 */
#include <dirent.h>
#include <string.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	240

/* Far more allocations than KVM_CREATE_VM takes. */
#define MAX_NTH			2000

#define DEBUGFS_KVM		"/sys/kernel/debug/kvm"

/* debugfs_remove_recursive() is another name of it. */
#define REMOVE_FUNCTION		"debugfs_remove"

struct creator {
	int dev_kvm;
	bool stop;
	int nth;		/* the allocation that fails */
	int nr_failed;		/* so many of them made the creation fail */
	int err;		/* of the last creation that failed */
	const char *missing;	/* why none can be made to fail */
};

/* For a racer: KVM_CREATE_VM, with a failure of each of its allocations. */
static int race_create_vms(void *arg, u64 unused)
{
	struct creator *c = arg;
	struct fault_injection fi;
	bool failed = true;
	int vm;

	c->missing = fault_injection_begin(&fi);
	if (c->missing)
		return 0;

	while (failed && c->nth < MAX_NTH && !__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		c->nth++;
		fault_arm(&fi, c->nth);
		vm = ioctl(c->dev_kvm, KVM_CREATE_VM, 0ul);
		if (vm < 0)
			c->err = -errno;
		failed = fault_disarm(&fi);
		if (vm >= 0)
			close(vm);
		else
			c->nr_failed++;
		if (vm < 0 && c->err != -ENOMEM)
			break;
	}
	fault_injection_end(&fi);
	return 0;
}

/* Open the first file in the folder @path, or return -errno. */
static int open_first_file(const char *path)
{
	char name[PATH_MAX + 512];
	int fd = -ENOENT;
	struct dirent *e;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		break;
	}
	closedir(dir);
	return fd;
}

/* The same, of the VM that the thread @tid has created: the folder is TID-FD. */
static int open_file_of_vm(int tid)
{
	char path[PATH_MAX], prefix[32];
	int fd = -ENOENT;
	struct dirent *e;
	DIR *dir;

	snprintf(prefix, sizeof(prefix), "%d-", tid);
	dir = opendir(DEBUGFS_KVM);
	TEST_ASSERT(dir, DEBUGFS_KVM ": %s", strerror(errno));
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(path, sizeof(path), DEBUGFS_KVM "/%s", e->d_name);
		fd = open_first_file(path);
		break;
	}
	closedir(dir);
	return fd;
}

FIXTURE(debugfs) {
	struct creator c;
	int kmsg;
};

FIXTURE_SETUP(debugfs)
{
	self->c = (struct creator) { .dev_kvm = open_path_or_exit(KVM_DEV_PATH, O_RDWR) };
	self->kmsg = kmsg_open();
}

FIXTURE_TEARDOWN(debugfs)
{
	close(self->c.dev_kvm);
	kmsg_close(_metadata, self->kmsg);
}

TEST_F_TIMEOUT(debugfs, open_while_creation_fails, SUBTEST_TIMEOUT_S)
{
	struct creator *c = &self->c;
	struct racer r = { .fn = race_create_vms, .arg = c };
	const char *missing = kvm_lifecycle_missing("pause");
	int cpu, pause, fd = -1, nr_held = 0;

	if (missing)
		SKIP(return, "%s", missing);
	if (access(DEBUGFS_KVM, R_OK))
		SKIP(return, DEBUGFS_KVM ": %s", strerror(errno));
	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");

	pause = kvm_lifecycle_open(_metadata, "pause");
	racer_start(&r, cpu);
	pause_arm(pause, REMOVE_FUNCTION, r.tid, PAUSE_MAX_US);
	racer_go(&r);
	while (!racer_done(&r)) {
		if (!pause_read(pause).inside) {
			usleep(POLL_US);
			continue;
		}
		nr_held++;
		fd = open_file_of_vm(r.tid);
		if (fd >= 0)
			break;
		ASSERT_EQ(0, __kvm_lifecycle_write(pause, "again"));
	}
	__atomic_store_n(&c->stop, true, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, __kvm_lifecycle_write(pause, "release"));
	racer_join(&r);
	close(pause);
	if (c->missing)
		SKIP(return, "%s", c->missing);

	/* Before the file is closed: its VM may be gone. */
	EXPECT_NO_SPLAT(self->kmsg);
	EXPECT_GT(0, fd)
		TH_LOG("allocation %d failed: want no file of the VM, opened one", c->nth);
	if (fd >= 0)
		close(fd);
	EXPECT_EQ(-ENOMEM, c->err)
		TH_LOG("KVM_CREATE_VM: want %s, got %s", ret_name(-ENOMEM), ret_name(c->err));
	EXPECT_LT(0, nr_held);
	ASSERT_LT(c->nth, MAX_NTH);
	ksft_print_msg("%d of %d allocations fail KVM_CREATE_VM, held %d times\n",
		       c->nr_failed, c->nth, nr_held);
}

TEST_HARNESS_MAIN
