/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The call stack of each allocation of the calling thread that fault injection
 * could make fail, in the order in which fail-nth counts them.  The function
 * tracer records the stacks.
 */
#ifndef SELFTEST_KVM_ALLOC_TRACE_H
#define SELFTEST_KVM_ALLOC_TRACE_H

#include "func_trace.h"

#define TRACE_BUFFER_KB		"1024"

#define TRACE_MAX_FRAMES	48

/* Of one creation, with all that a kernel's debugging allocates. */
#define TRACE_MAX_CALLS		4096

struct trace_stack {
	int nr;
	u64 ip[TRACE_MAX_FRAMES];	/* innermost first */
};

struct alloc_trace {
	struct func_trace func;
	int stack_id;		/* of an event with a stack ... */
	int size_offset;	/* ... the number of its frames ... */
	int caller_offset;	/* ... and the frames */
	int nr;
	struct trace_stack *stacks;
};

static inline void alloc_trace_end(struct alloc_trace *t)
{
	if (!t->func.instance[0])
		return;

	func_trace_end(&t->func);
	free(t->stacks);
}

/*
 * Record this thread, which stays on the CPU that it is on.  Returns NULL, or the
 * reason why nothing can be recorded.
 */
static inline const char *alloc_trace_begin(struct alloc_trace *t)
{
	static const char * const fields[] = { "int size;", " caller" };
	int cpu = sched_getcpu(), offsets[ARRAY_SIZE(fields)];
	char tid[16], path[256], text[256];
	const char *missing;
	const struct trace_setting settings[] = {
		{ "tracing_on", "0" },
		{ "buffer_size_kb", TRACE_BUFFER_KB },
		/* The functions that ask fail-nth, which can't be traced itself. */
		{ "set_ftrace_filter", "should_failslab" },
		{ "set_ftrace_filter", "should_fail_alloc_page" },
		{ "set_ftrace_pid", tid },
		{ "current_tracer", "function" },
		{ "options/func_stack_trace", "1" },
	};

	*t = (struct alloc_trace) {};

	missing = load_kernel_symbols();
	if (!missing)
		missing = mount_tracefs();
	if (missing)
		return missing;
	if (!trace_read_format("kernel_stack", &t->stack_id, ARRAY_SIZE(fields), fields, offsets))
		return TRACE_DIR "/events/ftrace/kernel_stack/format can't be understood";
	t->size_offset = offsets[0];
	t->caller_offset = offsets[1];

	pin_tid_to_cpu(0, cpu);
	snprintf(tid, sizeof(tid), "%d", gettid());
	missing = func_trace_begin(&t->func, "kvm_alloc", cpu, settings, ARRAY_SIZE(settings));
	if (missing)
		return missing;

	/* Names that aren't known show only here. */
	snprintf(path, sizeof(path), "%s/set_ftrace_filter", t->func.instance);
	if (fault_knob_read(path, text, sizeof(text)) || !strstr(text, "should_failslab") ||
	    !strstr(text, "should_fail_alloc_page")) {
		func_trace_end(&t->func);
		return "no function tracer: it can't trace should_failslab()";
	}

	t->stacks = calloc(TRACE_MAX_CALLS, sizeof(*t->stacks));
	TEST_ASSERT(t->stacks, "no memory for %d stacks", TRACE_MAX_CALLS);
	return NULL;
}

static inline void alloc_trace_switch(struct alloc_trace *t, bool on)
{
	func_trace_switch(&t->func, on);
}

/* One recorded event, if it is a stack and not an interrupt's. */
static inline void alloc_trace_add(void *arg, const u8 *data)
{
	struct alloc_trace *t = arg;
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

/* The stacks since the last call. */
static inline void alloc_trace_read(struct alloc_trace *t)
{
	t->nr = 0;
	func_trace_read(&t->func, alloc_trace_add, t);
}

#endif /* SELFTEST_KVM_ALLOC_TRACE_H */
