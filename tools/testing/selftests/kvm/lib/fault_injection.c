// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection into the allocations of the calling thread.
 */
#include "kvm_lifecycle.h"

int fault_knob_write(const char *path, const char *value)
{
	int fd, r = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int fault_knob_read(const char *path, char *value, size_t len)
{
	ssize_t r;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = read(fd, value, len - 1);
	if (r < 0)
		r = -errno;
	close(fd);
	value[r < 0 ? 0 : r] = '\0';
	return r < 0 ? r : 0;
}

void fault_injection_end(struct fault_injection *fi)
{
	int i;

	if (fi->nth_fd < 0)
		return;

	for (i = ARRAY_SIZE(fi->knobs) - 1; i >= 0; i--) {
		if (fi->knobs[i].old[0])
			fault_knob_write(fi->knobs[i].path, fi->knobs[i].old);
	}
	if (fi->make_fd >= 0)
		close(fi->make_fd);
	close(fi->nth_fd);
	fi->nth_fd = -1;
}

/*
 * Let allocations that may sleep fail, too, as nearly all of KVM's do.  Returns
 * NULL, or the reason why faults can't be injected.
 */
const char *fault_injection_begin(struct fault_injection *fi)
{
	static char reason[192];
	int i, r;

	*fi = (struct fault_injection) {
		.knobs = {
			{ FAULT_FAILSLAB "verbose", "0" },
			{ FAULT_FAILSLAB "times", "-1" },
			{ FAULT_FAILSLAB "task-filter", "Y" },
			{ FAULT_FAILSLAB "probability", "0" },
			{ FAULT_FAILSLAB "ignore-gfp-wait", "N" },
			{ FAULT_PAGE "verbose", "0" },
			{ FAULT_PAGE "times", "-1" },
			{ FAULT_PAGE "task-filter", "Y" },
			{ FAULT_PAGE "probability", "0" },
			{ FAULT_PAGE "min-order", "0" },
			{ FAULT_PAGE "ignore-gfp-wait", "N" },
			/* vmalloc()'s pages, on any machine. */
			{ FAULT_PAGE "ignore-gfp-highmem", "N" },
		},
	};

	fi->nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fi->nth_fd < 0) {
		snprintf(reason, sizeof(reason), "no fault injection: fail-nth: %s",
			 strerror(errno));
		return reason;
	}
	fi->make_fd = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);

	for (i = 0; i < (int)ARRAY_SIZE(fi->knobs); i++) {
		r = fault_knob_read(fi->knobs[i].path, fi->knobs[i].old,
				    sizeof(fi->knobs[i].old));
		if (!r)
			r = fault_knob_write(fi->knobs[i].path, fi->knobs[i].value);
		if (r) {
			snprintf(reason, sizeof(reason), "no fault injection: %s: %s",
				 fi->knobs[i].path, strerror(-r));
			fi->knobs[i].old[0] = '\0';
			fault_injection_end(fi);
			return reason;
		}
	}

	return NULL;
}

/* Fail the @nth allocation from now on. */
int fault_arm(struct fault_injection *fi, unsigned int nth)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", nth);

	return pwrite(fi->nth_fd, buf, len, 0) == len ? 0 : -errno;
}

/* How many allocations are left until one fails, 0 if it has. */
unsigned int fault_left(struct fault_injection *fi)
{
	char buf[16] = "";

	TEST_ASSERT(pread(fi->nth_fd, buf, sizeof(buf) - 1, 0) > 0,
		    "fail-nth: %s", strerror(errno));
	return strtoul(buf, NULL, 10);
}

/* Stop failing.  Returns true if an allocation did fail. */
bool fault_disarm(struct fault_injection *fi)
{
	unsigned int left = fault_left(fi);

	fault_arm(fi, 0);
	return !left;
}

/*
 * Like fault_injection_begin(), and allocations may fail with certainty, if
 * fault_arm_onwards() asks for it.
 */
const char *fault_injection_begin_onwards(struct fault_injection *fi)
{
	const char *missing = fault_injection_begin(fi);

	if (missing)
		return missing;
	if (fault_knob_write(FAULT_FAILSLAB "probability", "100") ||
	    fault_knob_write(FAULT_PAGE "probability", "100"))
		return "no fault injection: probability";
	return NULL;
}

/*
 * Fail the @nth allocation from now on, and each one after it: fail-nth comes
 * first, and the probability counts as soon as it has run out.
 */
int fault_arm_onwards(struct fault_injection *fi, unsigned int nth)
{
	int r = fault_arm(fi, nth);

	return r ?: write(fi->make_fd, "1", 1) == 1 ? 0 : -errno;
}

/* Like fault_disarm().  A write to an open file takes no memory. */
bool fault_disarm_onwards(struct fault_injection *fi)
{
	TEST_ASSERT(write(fi->make_fd, "0", 1) == 1, "make-it-fail: %s", strerror(errno));
	return fault_disarm(fi);
}

/* Let allocations from one slab cache fail, and no others: none from other caches, no pages. */
int fault_filter_cache(struct fault_injection *fi, const char *cache)
{
	int r;

	snprintf(fi->slab_knob, sizeof(fi->slab_knob), "/sys/kernel/slab/%s/failslab", cache);

	r = fault_knob_write(fi->slab_knob, "1");
	if (!r)
		r = fault_knob_write(FAULT_FAILSLAB "cache-filter", "Y");
	if (!r)
		r = fault_knob_write(FAULT_PAGE "min-order", "99");
	return r;
}

/* Fail each allocation from one slab cache, and none from any other. */
int fault_arm_cache(struct fault_injection *fi, const char *cache)
{
	int r;

	r = fault_filter_cache(fi, cache);
	if (!r)
		r = fault_knob_write("/proc/thread-self/make-it-fail", "1");
	if (!r)
		r = fault_knob_write(FAULT_FAILSLAB "probability", "100");
	return r;
}

void fault_disarm_cache(struct fault_injection *fi)
{
	fault_knob_write(FAULT_FAILSLAB "probability", "0");
	fault_knob_write("/proc/thread-self/make-it-fail", "0");
	fault_knob_write(FAULT_PAGE "min-order", "0");
	fault_knob_write(FAULT_FAILSLAB "cache-filter", "N");
	fault_knob_write(fi->slab_knob, "0");
}
