/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who asks for memory: the call stack of each allocation of the calling thread
 * that fault injection could make fail, in the order in which fail-nth counts
 * them.
 *
 * The function tracer records the stacks, in a tracing instance and a mount
 * namespace of the test's own.  They are read in binary, and the addresses named
 * here: having the kernel print them takes longer than all the rest.
 */
#ifndef SELFTEST_KVM_ALLOC_TRACE_H
#define SELFTEST_KVM_ALLOC_TRACE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mount.h>
#include <sys/stat.h>

#include <linux/kernel.h>

#include "kvm_lifecycle.h"

#define TRACE_DIR		"/sys/kernel/tracing"
#define TRACE_BUFFER_KB		"1024"

#define TRACE_MAX_FRAMES	48

/* Of one creation, with all that a kernel's debugging allocates. */
#define TRACE_MAX_CALLS		4096

/* Of struct trace_entry. */
#define TRACE_IN_INTERRUPT	(0x08 | 0x10)

struct trace_stack {
	int nr;
	u64 ip[TRACE_MAX_FRAMES];	/* innermost first */
};

struct alloc_trace {
	char instance[64];
	int on_fd;
	int raw_fd;
	int stack_id;		/* of an event with a stack ... */
	int size_offset;	/* ... the number of its frames ... */
	int caller_offset;	/* ... and the frames */
	int nr;
	struct trace_stack *stacks;
};

struct kernel_symbol {
	u64 addr;
	char *name;
};

static struct kernel_symbol *kernel_symbols;
static int nr_kernel_symbols;

static int cmp_kernel_symbols(const void *a, const void *b)
{
	const struct kernel_symbol *l = a, *r = b;

	return l->addr < r->addr ? -1 : l->addr > r->addr;
}

/* Read all of the kernel's functions, once.  Returns NULL, or why they can't be had. */
static inline const char *load_kernel_symbols(void)
{
	char line[512], name[256], type;
	unsigned long long addr;
	int max = 0;
	FILE *f;

	if (nr_kernel_symbols)
		return NULL;

	f = fopen("/proc/kallsyms", "re");
	if (!f)
		return "the kernel has no /proc/kallsyms";
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %255s", &addr, &type, name) != 3 || !strchr("tTwW", type))
			continue;
		if (!addr)
			break;
		if (nr_kernel_symbols == max) {
			max += 16384;
			kernel_symbols = realloc(kernel_symbols, max * sizeof(*kernel_symbols));
			TEST_ASSERT(kernel_symbols, "no memory for the kernel's symbols");
		}
		kernel_symbols[nr_kernel_symbols].addr = addr;
		kernel_symbols[nr_kernel_symbols++].name = strdup(name);
	}
	fclose(f);
	if (!nr_kernel_symbols)
		return "/proc/kallsyms hides the addresses, see kptr_restrict";

	qsort(kernel_symbols, nr_kernel_symbols, sizeof(*kernel_symbols), cmp_kernel_symbols);
	return NULL;
}

/* The function that a return address is in: the call may be the function's last instruction. */
static inline const char *name_of_address(u64 ip, u64 *offset)
{
	int lo = 0, hi = nr_kernel_symbols, mid;

	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if (kernel_symbols[mid].addr <= ip - 1)
			lo = mid;
		else
			hi = mid;
	}
	*offset = ip - kernel_symbols[lo].addr;
	return kernel_symbols[lo].name;
}

/* Write to a file of the instance.  Returns 0 or -errno. */
static inline int trace_write(struct alloc_trace *t, const char *file, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", t->instance, file);
	return fault_knob_write(path, value);
}

static inline void alloc_trace_end(struct alloc_trace *t)
{
	if (!t->instance[0])
		return;

	if (t->on_fd >= 0)
		close(t->on_fd);
	if (t->raw_fd >= 0)
		close(t->raw_fd);
	trace_write(t, "current_tracer", "nop");
	rmdir(t->instance);
	t->instance[0] = '\0';
	free(t->stacks);
}

/* How the kernel lays out a recorded stack. */
static inline bool trace_read_format(struct alloc_trace *t)
{
	char line[256], *offset;
	FILE *f;

	t->stack_id = -1;
	t->size_offset = -1;
	t->caller_offset = -1;

	f = fopen(TRACE_DIR "/events/ftrace/kernel_stack/format", "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		offset = strstr(line, "offset:");
		if (!strncmp(line, "ID: ", 4))
			t->stack_id = atoi(line + 4);
		else if (offset && strstr(line, "int size;"))
			t->size_offset = atoi(offset + strlen("offset:"));
		else if (offset && strstr(line, " caller"))
			t->caller_offset = atoi(offset + strlen("offset:"));
	}
	fclose(f);
	return t->stack_id >= 0 && t->size_offset >= 0 && t->caller_offset >= 0;
}

/*
 * Record this thread, which stays on the CPU that it is on.  Returns NULL, or the
 * reason why nothing can be recorded.
 */
static inline const char *alloc_trace_begin(struct alloc_trace *t)
{
	int cpu = sched_getcpu(), i, r = 0;
	static char reason[192];
	char buf[256], text[256];
	const char *missing;
	const struct {
		const char *file;
		const char *value;
	} settings[] = {
		{ "tracing_on", "0" },
		{ "buffer_size_kb", TRACE_BUFFER_KB },
		/* What asks fail-nth, which can't be traced itself. */
		{ "set_ftrace_filter", "should_failslab" },
		{ "set_ftrace_filter", "should_fail_alloc_page" },
		{ "set_ftrace_pid", buf },
		{ "current_tracer", "function" },
		{ "options/func_stack_trace", "1" },
	};

	*t = (struct alloc_trace) { .on_fd = -1, .raw_fd = -1 };

	missing = load_kernel_symbols();
	if (missing)
		return missing;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", TRACE_DIR, "tracefs", 0, NULL)) {
		snprintf(reason, sizeof(reason), "no tracefs (CONFIG_FUNCTION_TRACER): %s",
			 strerror(errno));
		return reason;
	}
	if (!trace_read_format(t))
		return TRACE_DIR "/events/ftrace/kernel_stack/format can't be understood";

	pin_tid_to_cpu(0, cpu);
	snprintf(t->instance, sizeof(t->instance), TRACE_DIR "/instances/kvm_alloc_%d", getpid());
	if (mkdir(t->instance, 0700)) {
		snprintf(reason, sizeof(reason), "no tracing instance: %s", strerror(errno));
		t->instance[0] = '\0';
		return reason;
	}
	t->stacks = calloc(TRACE_MAX_CALLS, sizeof(*t->stacks));
	TEST_ASSERT(t->stacks, "no memory for %d stacks", TRACE_MAX_CALLS);

	snprintf(buf, sizeof(buf), "%d", gettid());
	for (i = 0; i < (int)ARRAY_SIZE(settings) && !r; i++)
		r = trace_write(t, settings[i].file, settings[i].value);
	/* Names that aren't known show only here. */
	snprintf(buf, sizeof(buf), "%s/set_ftrace_filter", t->instance);
	if (!r && (fault_knob_read(buf, text, sizeof(text)) || !strstr(text, "should_failslab") ||
		   !strstr(text, "should_fail_alloc_page")))
		r = -ENOENT;
	if (r) {
		snprintf(reason, sizeof(reason), "no function tracer: %s: %s",
			 settings[i - 1].file, strerror(-r));
		alloc_trace_end(t);
		return reason;
	}

	snprintf(buf, sizeof(buf), "%s/tracing_on", t->instance);
	t->on_fd = open(buf, O_WRONLY | O_CLOEXEC);
	snprintf(buf, sizeof(buf), "%s/per_cpu/cpu%d/trace_pipe_raw", t->instance, cpu);
	t->raw_fd = open(buf, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	TEST_ASSERT(t->on_fd >= 0 && t->raw_fd >= 0, "%s: %s", buf, strerror(errno));
	return NULL;
}

static inline void alloc_trace_switch(struct alloc_trace *t, bool on)
{
	TEST_ASSERT(write(t->on_fd, on ? "1" : "0", 1) == 1, "tracing_on: %s", strerror(errno));
}

/* One recorded event, if it is a stack and not an interrupt's. */
static inline void trace_add(struct alloc_trace *t, const u8 *data)
{
	struct trace_stack *s = &t->stacks[t->nr];
	u16 id;
	int i;

	memcpy(&id, data, sizeof(id));
	if (id != t->stack_id || (data[2] & TRACE_IN_INTERRUPT))
		return;
	TEST_ASSERT(t->nr < TRACE_MAX_CALLS, "more than %d allocations", TRACE_MAX_CALLS);

	memcpy(&s->nr, data + t->size_offset, sizeof(s->nr));
	s->nr = min_t(int, s->nr, TRACE_MAX_FRAMES);
	for (i = 0; i < s->nr; i++)
		memcpy(&s->ip[i], data + t->caller_offset + i * sizeof(s->ip[0]),
		       sizeof(s->ip[0]));
	t->nr++;
}

/*
 * A page of the ring buffer: its time, its length, and events, of which each has
 * a head of 32 bits, the lowest five of which say what it is, or how long.
 */
static inline void trace_parse_page(struct alloc_trace *t, const u8 *page)
{
	const u32 padding = 29, extended_time = 30;
	u64 len, pos, at;
	u32 head, extra;

	memcpy(&len, page + sizeof(u64), sizeof(len));
	TEST_ASSERT(!(len & BIT(31)), "events were lost: the tracing buffer is too small");
	len &= BIT(20) - 1;

	for (pos = 0; pos < len;) {
		at = 2 * sizeof(u64) + pos;
		memcpy(&head, page + at, sizeof(head));
		memcpy(&extra, page + at + sizeof(head), sizeof(extra));
		if ((head & 31) >= extended_time) {
			pos += sizeof(head) + sizeof(extra);
		} else if ((head & 31) == padding) {
			if (!(head >> 5))
				break;
			pos += sizeof(head) + extra;
		} else if (head & 31) {
			trace_add(t, page + at + sizeof(head));
			pos += sizeof(head) + (head & 31) * 4;
		} else {
			trace_add(t, page + at + sizeof(head) + sizeof(extra));
			pos += sizeof(head) + extra;
		}
	}
}

/* What was recorded since the last call. */
static inline void alloc_trace_read(struct alloc_trace *t)
{
	static u8 page[65536];

	t->nr = 0;
	while (read(t->raw_fd, page, sizeof(page)) > 0)
		trace_parse_page(t, page);
}

#endif /* SELFTEST_KVM_ALLOC_TRACE_H */
