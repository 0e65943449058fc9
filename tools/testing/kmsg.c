// SPDX-License-Identifier: GPL-2.0-only
/*
 * The selftests' reading of the kernel's log: kmsg_find_splat() of lib/kmsg.c,
 * with records that are made up here.  check.sh puts the functions into kmsg.h.
 */
#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))
#define TEST_ASSERT(c, ...) do { if (!(c)) { printf(__VA_ARGS__); exit(1); } } while (0)

/* A record, or the number of an error. */
struct record {
	const char *text;
	int err;
};

static const struct record *next;

static ssize_t read_record(int fd, void *buf, size_t len)
{
	const struct record *r = next;

	(void)fd;
	if (!r->text) {
		errno = r->err ? r->err : EAGAIN;
		next += !!r->err;
		return -1;
	}
	next++;
	return snprintf(buf, len, "%s", r->text);
}

#define read read_record
#include "kmsg.h"
#undef read

static const struct {
	const char *what;
	struct record records[4];
	const char *found;
} cases[] = {
	{ "nothing", { { "6,1,1,-;hello\n", 0 } }, NULL },
	{ "a report", { { "6,1,1,-;hello\n", 0 }, { "4,2,1,-;WARNING: made up\n", 0 } }, "WARNING: made up" },
	{ "poison", { { "3,1,1,-;BUG kmalloc-96 (Tainted: G): Poison overwritten\n", 0 } }, "BUG kmalloc-96" },
	{ "a process", { { "12,1,1,-;WARNING: made up\n", 0 } }, NULL },
	{ "a signal", { { NULL, EINTR }, { "4,1,1,-;WARNING: made up\n", 0 } }, "WARNING: made up" },
	{ "lost records", { { NULL, EPIPE }, { "6,9,1,-;hello\n", 0 } }, "were overwritten before they were read" },
};

int main(void)
{
	int i, failed = 0;

	for (i = 0; i < (int)ARRAY_SIZE(cases); i++) {
		char line[256] = "";
		bool found;

		next = cases[i].records;
		found = kmsg_find_splat(-1, line, sizeof(line));
		if (found == !cases[i].found || (found && !strstr(line, cases[i].found))) {
			printf("%s: found: %s\n", cases[i].what, found ? line : "nothing");
			failed = 1;
		}
	}
	return failed;
}
