// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's function tracer.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "func_trace.h"

struct kernel_symbol *kernel_symbols;
int nr_kernel_symbols;

static int cmp_kernel_symbols(const void *a, const void *b)
{
	const struct kernel_symbol *l = a, *r = b;

	return l->addr < r->addr ? -1 : l->addr > r->addr;
}

/* Read all of the kernel's functions, once.  Returns NULL, or why they can't be had. */
const char *load_kernel_symbols(void)
{
	char line[512], name[256], module[64], type;
	unsigned long long addr;
	int max = 0, n;
	FILE *f;

	if (nr_kernel_symbols)
		return NULL;

	f = fopen("/proc/kallsyms", "re");
	if (!f)
		return "the kernel has no /proc/kallsyms";
	while (fgets(line, sizeof(line), f)) {
		n = sscanf(line, "%llx %c %255s [%63[^]]", &addr, &type, name, module);
		if (n < 3 || !strchr("tTwW", type))
			continue;
		if (!addr)
			break;
		if (nr_kernel_symbols == max) {
			max += 16384;
			kernel_symbols = realloc(kernel_symbols, max * sizeof(*kernel_symbols));
			TEST_ASSERT(kernel_symbols, "no memory for the kernel's symbols");
		}
		kernel_symbols[nr_kernel_symbols].addr = addr;
		kernel_symbols[nr_kernel_symbols].module = n == 4 ? strdup(module) : NULL;
		kernel_symbols[nr_kernel_symbols++].name = strdup(name);
	}
	fclose(f);
	if (!nr_kernel_symbols)
		return "/proc/kallsyms hides the addresses, see kptr_restrict";

	qsort(kernel_symbols, nr_kernel_symbols, sizeof(*kernel_symbols), cmp_kernel_symbols);
	return NULL;
}

/* The function that an address is in, which is not that of a call's return. */
int symbol_of_address(u64 ip)
{
	int lo = 0, hi = nr_kernel_symbols, mid;

	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if (kernel_symbols[mid].addr <= ip)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* The function that a return address is in: the call may be the function's last instruction. */
const char *name_of_address(u64 ip, u64 *offset)
{
	int i = symbol_of_address(ip - 1);

	*offset = ip - kernel_symbols[i].addr;
	return kernel_symbols[i].name;
}

/* Write to a file of the instance.  Returns 0 or -errno. */
int trace_write(struct func_trace *t, const char *file, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", t->instance, file);
	return fault_knob_write(path, value);
}

void func_trace_end(struct func_trace *t)
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
}

/*
 * How the kernel lays out the events of ftrace's own type @event: the number of
 * the type, and where in an event each of the @nr fields is, which are given as
 * the format has them, e.g. " ip;".
 */
bool trace_read_format(const char *event, int *id, int nr, const char * const *fields,
		       int *offsets)
{
	char path[128], line[256], *offset;
	int i, found = 0;
	FILE *f;

	*id = -1;
	snprintf(path, sizeof(path), TRACE_DIR "/events/ftrace/%s/format", event);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "ID: ", 4))
			*id = atoi(line + 4);
		offset = strstr(line, "offset:");
		for (i = 0; i < nr && offset; i++) {
			if (!strstr(line, fields[i]))
				continue;
			offsets[i] = atoi(offset + strlen("offset:"));
			found++;
		}
	}
	fclose(f);
	return *id >= 0 && found == nr;
}

/* A mount namespace of our own, with tracefs.  Returns NULL or why there is none. */
const char *mount_tracefs(void)
{
	static char reason[192];

	if (!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !mount("tracefs", TRACE_DIR, "tracefs", 0, NULL))
		return NULL;

	snprintf(reason, sizeof(reason), "no tracefs (CONFIG_FUNCTION_TRACER): %s",
		 strerror(errno));
	return reason;
}

/*
 * Have functions on @cpu recorded, from func_trace_switch() on, by a new instance
 * with these settings.  Returns NULL, or why nothing can be recorded.
 */
const char *func_trace_begin(struct func_trace *t, const char *name, int cpu,
			     const struct trace_setting *settings, int nr)
{
	static char reason[192];
	char buf[256];
	int i, r = 0;

	*t = (struct func_trace) { .on_fd = -1, .raw_fd = -1 };

	snprintf(t->instance, sizeof(t->instance), TRACE_DIR "/instances/%s_%d", name, getpid());
	if (mkdir(t->instance, 0700)) {
		snprintf(reason, sizeof(reason), "no tracing instance: %s", strerror(errno));
		t->instance[0] = '\0';
		return reason;
	}

	for (i = 0; i < nr && !r; i++)
		r = trace_write(t, settings[i].file, settings[i].value);
	if (r) {
		snprintf(reason, sizeof(reason), "no function tracer: %s: %s",
			 settings[i - 1].file, strerror(-r));
		func_trace_end(t);
		return reason;
	}

	snprintf(buf, sizeof(buf), "%s/tracing_on", t->instance);
	t->on_fd = open(buf, O_WRONLY | O_CLOEXEC);
	snprintf(buf, sizeof(buf), "%s/per_cpu/cpu%d/trace_pipe_raw", t->instance, cpu);
	t->raw_fd = open(buf, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	TEST_ASSERT(t->on_fd >= 0 && t->raw_fd >= 0, "%s: %s", buf, strerror(errno));
	return NULL;
}

void func_trace_switch(struct func_trace *t, bool on)
{
	TEST_ASSERT(write(t->on_fd, on ? "1" : "0", 1) == 1, "tracing_on: %s", strerror(errno));
}

/*
 * A page of the ring buffer: its time, its length, and events, of which each has
 * a head of 32 bits, the lowest five of which are its type, or its length.
 */
static void trace_parse_page(const u8 *page, trace_event_fn add, void *arg)
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
			add(arg, page + at + sizeof(head));
			pos += sizeof(head) + (head & 31) * 4;
		} else {
			add(arg, page + at + sizeof(head) + sizeof(extra));
			pos += sizeof(head) + extra;
		}
	}
}

/* Hand out the events since the last call. */
void func_trace_read(struct func_trace *t, trace_event_fn add, void *arg)
{
	static u8 page[65536];

	while (read(t->raw_fd, page, sizeof(page)) > 0)
		trace_parse_page(page, add, arg);
}
