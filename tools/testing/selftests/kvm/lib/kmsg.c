// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own reports.
 */
#include <regex.h>

#include "kvm_lifecycle.h"

/*
 * Open the kernel log at its end, i.e. only records from now on count.
 * Returns the file descriptor or -errno.
 */
int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;

	if (lseek(fd, 0, SEEK_END) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}

	return fd;
}

/*
 * Is this line of the log the head of a report that the kernel has broken one
 * of its own rules?  Memory leaks aren't looked for: kmemleak reports minutes
 * later, in whichever test then runs.
 */
static bool kmsg_is_splat(const char *text)
{
	/* Extended regular expressions, the same as the lab's. */
	static const char * const kmsg_splats[] = {
		"BUG: ",
		"BUG [^ ]+ \\(",
		"WARNING: ",
		"K[AC]SAN",
		"UBSAN:",
		"kernel BUG at",
		"Oops",
		"Kernel panic",
		"general protection fault",
		"[Uu]nable to handle",
		"Internal error: ",
		"refcount_t: ",
		"list_(add|del) corruption",
		"INFO: task ",
		"INFO: rcu",
		"stalls on CPUs",
		"soft lockup",
		"hard LOCKUP",
		"nobody cared",
		"unchecked MSR access",
		"trying to register non-static key",
		"possible (circular|recursive) locking",
		"suspicious RCU",
		"DEBUG_LOCKS_WARN_ON",
	};
	static regex_t any;
	static bool ready;
	char all[1024] = "";
	int i;

	for (i = 0; !ready && i < (int)ARRAY_SIZE(kmsg_splats); i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "|" : "",
			 kmsg_splats[i]);
	if (!ready)
		TEST_ASSERT(strlen(all) < sizeof(all) - 1 &&
			    !regcomp(&any, all, REG_EXTENDED | REG_NOSUB),
			    "no regular expression: %s", all);
	ready = true;

	return !regexec(&any, text, 0, NULL, 0);
}

/*
 * The first kernel report since kmsg_open() or since the last report that was
 * found.  The thread that provokes a report must have been joined before, reports
 * are in the log once the reporting task has gone on.  Records that were
 * overwritten before they were read count as one: their text is unknown.
 */
bool kmsg_find_splat(int fd, char *line, size_t len)
{
	char buf[8192], *text, *end;
	ssize_t r;

	for (;;) {
		r = read(fd, buf, sizeof(buf) - 1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EPIPE) {
			snprintf(line, len,
				 "the kernel's log: records were overwritten before they were read");
			return true;
		}
		if (r <= 0)
			return false;
		buf[r] = '\0';

		/* Records of processes have a facility other than the kernel's. */
		if (atoi(buf) >> 3)
			continue;

		/* "prio,sequence,time,flags;text\n key=value\n ..." */
		text = strchr(buf, ';');
		if (!text)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = '\0';

		if (!kmsg_is_splat(text))
			continue;

		snprintf(line, len, "%s", text);
		return true;
	}
}

/* Why lockdep can't report anything, or NULL. */
const char *lockdep_missing(void)
{
	static char reason[128];
	char line[128];
	int on = -1;
	FILE *f;

	f = fopen("/proc/lockdep_stats", "re");
	if (!f) {
		snprintf(reason, sizeof(reason),
			 "lockdep (CONFIG_PROVE_LOCKING): /proc/lockdep_stats: %s",
			 strerror(errno));
		return reason;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " debug_locks: %d", &on) == 1)
			break;
	}
	fclose(f);

	if (on == 1)
		return NULL;
	return on ? "/proc/lockdep_stats doesn't say whether lockdep is on" :
		    "lockdep has turned itself off after an earlier report";
}

bool panics_on_warning(void)
{
	FILE *f = fopen("/proc/sys/kernel/panic_on_warn", "re");
	int on = 0;

	if (!f)
		return false;
	if (fscanf(f, "%d", &on) != 1)
		on = 0;
	fclose(f);
	return on;
}

/*
 * A place in the code warns once.  Let it do so again, e.g. if the test is run
 * twice.  Where that isn't possible there is one warning per boot.
 */
void rearm_warnings(void)
{
	fault_knob_write("/sys/kernel/debug/clear_warn_once", "1");
}
