/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests that are built on kselftest_harness.h.
 */
#ifndef SELFTEST_KVM_LIFECYCLE_HARNESS_H
#define SELFTEST_KVM_LIFECYCLE_HARNESS_H

#include <stdarg.h>

#include "kselftest_harness.h"

#include "kvm_lifecycle.h"

/* A subtest that has failed stays failed, also if a prerequisite is missing later. */
static inline void __printf(2, 3) skip_unless_failed(struct __test_metadata *_metadata,
						     const char *fmt, ...)
{
	char reason[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);

	if (!__test_passed(_metadata)) {
		TH_LOG("failed, and then: %s", reason);
		return;
	}
	fprintf(TH_LOG_STREAM, "#      SKIP      %s\n", reason);
	snprintf(_metadata->results->reason, sizeof(_metadata->results->reason), "%s", reason);
	_metadata->exit_code = KSFT_SKIP;
	_metadata->trigger = 0;
}

/* Upstream's makes a success of a failure before it. */
#undef SKIP
#define SKIP(statement, ...)				\
do {							\
	skip_unless_failed(_metadata, __VA_ARGS__);	\
	statement;					\
} while (0)

/* The test fails if the file can't be opened. */
static inline int kvm_lifecycle_open(struct __test_metadata *_metadata, const char *file)
{
	int fd = __kvm_lifecycle_open(file);

	ASSERT_LE(0, fd)
		TH_LOG("open %s: %s", file, strerror(-fd));
	return fd;
}

/*
 * Fail the subtest if the kernel has reported anything since kmsg_open(), for
 * use in tests and fixtures built on kselftest_harness.h.
 */
#define EXPECT_NO_SPLAT(kmsg_fd)						\
do {										\
	char __line[512];							\
										\
	while (kmsg_find_splat(kmsg_fd, __line, sizeof(__line))) {		\
		TH_LOG("kernel splat: %s", __line);				\
		_metadata->exit_code = KSFT_FAIL;				\
	}									\
} while (0)

/* The end of a fixture whose kmsg_open() may have failed. */
static inline void kmsg_close(struct __test_metadata *_metadata, int fd)
{
	if (fd < 0)
		return;

	EXPECT_NO_SPLAT(fd);
	close(fd);
}

enum vcpu_event { EV_CREATE, EV_POSTCREATE, EV_DESTROY, NR_VCPU_EVENTS };

static const char * const vcpu_event_names[] = { "create", "postcreate", "destroy" };

/* The record of vcpu_index for one vCPU ID since the last look. */
struct vcpu_events {
	int nr[NR_VCPU_EVENTS];
	int idx[NR_VCPU_EVENTS];	/* of the last one */
};

/* All that this process has done with vCPUs of the ID @id since the last look at @rec. */
static inline void read_vcpu_events(struct __test_metadata *_metadata, int rec, u32 id,
				    struct vcpu_events *ev)
{
	char buf[4096], what[16], *line, *save;
	int tgid, tid, ev_id, idx, i, n;
	unsigned long lost;
	ssize_t r;

	memset(ev, 0, sizeof(*ev));

	for (;;) {
		r = kvm_lifecycle_read(rec, buf, sizeof(buf));
		ASSERT_LE(0, r)
			TH_LOG("read vcpu_index: %s", strerror(-r));
		if (!r)
			break;

		for (line = strtok_r(buf, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			n = sscanf(line, "lost %lu", &lost);
			ASSERT_NE(1, n)
				TH_LOG("%lu events were lost", lost);

			n = sscanf(line, "%15s %d %d %d %d", what, &tgid, &tid, &ev_id, &idx);
			ASSERT_EQ(5, n)
				TH_LOG("vcpu_index: '%s'", line);
			if (tgid != getpid() || (u32)ev_id != id)
				continue;

			for (i = 0; i < NR_VCPU_EVENTS; i++) {
				if (strcmp(what, vcpu_event_names[i]))
					continue;
				ev->nr[i]++;
				ev->idx[i] = idx;
			}
		}
	}
}

/*
 * @function relies on the vCPU's mutex, and lockdep says so: @where, which is
 * @function or one that it calls, warns if the mutex isn't held, and doesn't if
 * it is.
 */
static inline void expect_mutex_asserted(struct __test_metadata *_metadata, int kmsg,
					 struct kvm_vm *vm, u32 vcpu_id, const char *function,
					 const char *where)
{
	const char *missing = kvm_lifecycle_missing("unlocked");
	char line[512], at[64];
	bool warned = false;
	int file, r;

	if (missing)
		SKIP(return, "%s", missing);
	if (panics_on_warning())
		SKIP(return, "panic_on_warn is set, and a warning is what is tested for");

	EXPECT_NO_SPLAT(kmsg);
	file = kvm_lifecycle_open(_metadata, "unlocked");

	r = __kvm_lifecycle_write(file, "%d %u %s locked", vm->fd, vcpu_id, function);
	if (r == -ENOENT)
		SKIP(return, "this kernel has no %s()", function);
	ASSERT_EQ(0, r)
		TH_LOG("%s() with vcpu->mutex: %s", function, strerror(-r));
	while (kmsg_find_splat(kmsg, line, sizeof(line))) {
		TH_LOG("%s() with vcpu->mutex: wanted no report, got '%s'", function, line);
		_metadata->exit_code = KSFT_FAIL;
	}

	ASSERT_EQ(0, __kvm_lifecycle_write(file, "%d %u %s", vm->fd, vcpu_id, function));
	snprintf(at, sizeof(at), " %s+", where);
	while (kmsg_find_splat(kmsg, line, sizeof(line))) {
		if (strstr(line, "WARNING:") && strstr(line, at)) {
			warned = true;
			continue;
		}
		TH_LOG("kernel splat: %s", line);
		_metadata->exit_code = KSFT_FAIL;
	}
	EXPECT_TRUE(warned)
		TH_LOG("%s() without vcpu->mutex: wanted a warning of lockdep, got none",
		       function);

	close(file);
}

#endif /* SELFTEST_KVM_LIFECYCLE_HARNESS_H */
