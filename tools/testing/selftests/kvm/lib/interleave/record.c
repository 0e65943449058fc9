// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which functions an operation runs through, in the order of their first entry.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include "interleave.h"

/* The longest that it takes to record an operation. */
#define RECORD_TIMEOUT_S	120

#define REASON_SIZE		4096

/* For the trace of one operation on one CPU. */
#define FUNC_BUFFER_KB		"16384"

/* How often A is traced: an allocation may come from a cache later. */
#define NR_TRACES		2

/* Of all processes: a program for each A. */
struct program *il_programs;

/* The one that is dealt with. */
struct program *il_program;

struct recording {
	int id;
	int ip_offset;
	const char *first;
	bool begun;
	bool *seen;
};

/* One function that was entered, if that was not by an interrupt. */
static void record_func(void *arg, const u8 *data)
{
	struct recording *rec = arg;
	const char *name;
	int symbol;
	u16 id;
	u64 ip;

	memcpy(&id, data, sizeof(id));
	if (id != rec->id || (data[2] & TRACE_IN_INTERRUPT))
		return;
	memcpy(&ip, data + rec->ip_offset, sizeof(ip));
	symbol = symbol_of_address(ip);
	name = kernel_symbols[symbol].name;
	if (!rec->begun && strstr(name, rec->first))
		rec->begun = true;
	if (!rec->begun || rec->seen[symbol])
		return;
	rec->seen[symbol] = true;
	TEST_ASSERT(il_program->nr_funcs < MAX_FUNCS, "more than %d functions", MAX_FUNCS);
	il_program->funcs[il_program->nr_funcs++].symbol = symbol;
}

/* Which functions A runs through, if nobody gets in its way.  Returns NULL or why not. */
static const char *record_a(struct world *w, struct func_trace *t, struct recording *rec)
{
	static struct result res;
	char tid[16];
	int i;

	memset(&res, 0, sizeof(res));
	snprintf(tid, sizeof(tid), "%d", il_a_tid(w));
	if (trace_write(t, "set_ftrace_pid", tid))
		return "the function tracer can't be told whom to record";
	for (i = 0; i < (w->a->unloads ? 1 : NR_TRACES); i++) {
		il_create_world(w);
		il_make_a_ready(w);
		func_trace_switch(t, true);
		il_let_a_go(w);
		if (!il_wait_for_all(w, &res, 0))
			return res.why;
		func_trace_switch(t, false);
		il_end_a(w);
		rec->begun = false;
		func_trace_read(t, record_func, rec);
		il_check_world(w, &res, 0);
		il_destroy_world(w, &res, 0);
	}
	/* Open files keep kvm_amd. */
	if (w->dev_kvm >= 0)
		close(w->dev_kvm);
	if (w->ga_log >= 0)
		close(w->ga_log);
	if (res.status == RED)
		return res.why;
	return il_program->nr_funcs ? NULL : "the function tracer has recorded nothing";
}

/*
 * Record all As.  To have all functions traced, or not any more, takes long, hence
 * it's done once; for a sample it's KVM's functions alone.
 */
const char *il_record_all(bool full)
{
	static const char * const fields[] = { " ip;" };
	static const char * const filters[] = {
		"*sys_ioctl", "*sys_close",
#ifdef __x86_64__
		"*:mod:kvm", "*:mod:kvm_amd", "*sys_delete_module", "amd_iommu_*",
#else
		"kvm_*", "__kvm_*", "vgic_*", "__vgic_*",
#endif
	};
	struct trace_setting settings[ARRAY_SIZE(filters) + 3];
	int i, n = 0, cpu = set_cpu_aside();
	struct recording rec = {};
	const char *missing;
	struct func_trace t;

	missing = mount_tracefs();
	if (missing)
		return missing;
	if (!trace_read_format("function", &rec.id, 1, fields, &rec.ip_offset))
		return TRACE_DIR "/events/ftrace/function/format can't be understood";

	settings[n++] = (struct trace_setting) { "tracing_on", "0" };
	settings[n++] = (struct trace_setting) { "buffer_size_kb", FUNC_BUFFER_KB };
	for (i = 0; i < (int)ARRAY_SIZE(filters) && !full; i++)
		settings[n++] = (struct trace_setting) { "set_ftrace_filter", filters[i] };
	settings[n++] = (struct trace_setting) { "current_tracer", "function" };
	missing = func_trace_begin(&t, "kvm_interleave", cpu, settings, n);
	if (missing)
		return missing;

	for (i = 0; i < il_nr_ops_a; i++) {
		if (il_unusable(&il_ops_a[i]))
			continue;
		il_program = &il_programs[i];
		rec.first = il_ops_a[i].first;
		rec.seen = calloc(nr_kernel_symbols, sizeof(*rec.seen));
		TEST_ASSERT(rec.seen, "no memory");
		missing = record_a(il_open_world(&il_ops_a[i], kmsg_open(), cpu), &t, &rec);
		if (missing)
			snprintf(il_program->missing, sizeof(il_program->missing), "%s", missing);
		free(rec.seen);
	}
	func_trace_end(&t);
	return NULL;
}

/*
 * In a process of its own, whose threads and files are gone afterwards.  Returns why
 * nothing can be recorded here, or NULL.  A process that doesn't come to its end is
 * no such reason, but a failure of all that follows: @failed says how it ended.
 */
const char *il_record_in_process(const char *(*record)(bool full), bool full, char *failed,
				 size_t size)
{
	char *reason;
	int status = 0;
	pid_t pid;

	reason = mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(reason != MAP_FAILED, "no memory");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		const char *missing;

		alarm(RECORD_TIMEOUT_S);
		missing = record(full);
		if (missing)
			snprintf(reason, REASON_SIZE, "%s", missing);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		snprintf(failed, size, "the recording process has ended with SIG%s",
			 sigabbrev_np(WTERMSIG(status)) ?: "?");
	else if (status)
		snprintf(failed, size, "the recording process has ended with exit %d",
			 WEXITSTATUS(status));
	return !failed[0] && reason[0] ? reason : NULL;
}
