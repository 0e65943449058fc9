// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that watches a program, and reports its failures.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/syscall.h>
#include <sys/wait.h>

#include "lifecycle_stress.h"

/* After so long, the stack of a call that waits is looked at. */
#define ASK_S		3

/* A whole program, and the objects that others free later. */
#define PROGRAM_S	60
#define END_S		15

/* KVM_RUN is interrupted when each of the others has begun so many calls since. */
#define RUN_CALLS	3

int stress_kmsg;
u64 stress_nr_programs;

/* May the others go on while @w is in KVM_RUN?  Those that must wait for it don't count. */
static bool others_go_on(const struct program *p, const struct watched *w)
{
	int i;

	for (i = 0; i < p->threads; i++) {
		struct watched *o = &stress_shared->threads[i];

		if (o == w || stress_is_away(p, o))
			continue;
		if (__atomic_load_n(&o->calls, __ATOMIC_SEQ_CST) < w->calls_at_run[i] + RUN_CALLS)
			return false;
	}
	return true;
}

/*
 * Tell threads to leave KVM_RUN once that has held up nobody.  Returns the thread
 * that is stuck, or NULL.
 */
static struct watched *watch(const struct program *p, pid_t pid, unsigned int stuck_s)
{
	u64 now = now_ms();
	int i;

	for (i = 0; i < p->threads; i++) {
		struct watched *w = &stress_shared->threads[i];
		enum doing doing = __atomic_load_n(&w->doing, __ATOMIC_SEQ_CST);
		u64 since = __atomic_load_n(&w->since, __ATOMIC_SEQ_CST);
		u64 kicked = __atomic_load_n(&w->kicked, __ATOMIC_SEQ_CST);

		if (doing == IN_CALL && !stress_ops[p->calls[w->call].op].may_wait) {
			/*
			 * Has it come to a vCPU where the call is for a VM?  Descriptors are
			 * guessed, and numbers reused: any ioctl waits for the vCPU's mutex then.
			 */
			if (now > since + ASK_S * 1000 && w->at_vcpu != since &&
			    thread_is_in(w->tid, " kvm_vcpu_ioctl+"))
				w->at_vcpu = since;
			if (now > since + stuck_s * 1000 && w->at_vcpu != since)
				return w;
		}
		if (doing != IN_RUN)
			continue;
		if (kicked && now > kicked + stuck_s * 1000)
			return w;
		if (!others_go_on(p, w))
			continue;
		if (!kicked)
			__atomic_store_n(&w->kicked, now, __ATOMIC_SEQ_CST);
		syscall(SYS_tgkill, pid, w->tid, SIGUSR1);
	}
	return NULL;
}

/* The VMs that there are, by the folders that KVM has for them: a hash and a number. */
static int count_vms(void)
{
	DIR *dir = opendir("/sys/kernel/debug/kvm");
	struct dirent *e;
	int nr = 0, a, b;

	while (dir && (e = readdir(dir)))
		nr += sscanf(e->d_name, "%d-%d", &a, &b) == 2;
	if (dir)
		closedir(dir);
	return nr;
}

/* How many files and VMs keep KVM's module in use, or -1 if it isn't a module. */
static int count_uses(void)
{
	static const char * const modules[] = { "kvm_amd", "kvm_intel" };
	char path[64], buf[16];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(modules); i++) {
		snprintf(path, sizeof(path), "/sys/module/%s/refcnt", modules[i]);
		if (!fault_knob_read(path, buf, sizeof(buf)))
			return atoi(buf);
	}
	return -1;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* Wait for all that descends from this process.  Returns false if some of it doesn't end. */
static bool reap_all(pid_t group)
{
	u64 start = now_ms();
	pid_t pid;

	for (;;) {
		kill(-group, SIGKILL);
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return true;
		if (timed_out(start, END_S))
			return false;
		if (!pid)
			usleep(POLL_US);
	}
}

/* Only the first one counts, later ones may be its consequence. */
void stress_fails(struct failure *f, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (f->key[0])
		return;
	snprintf(f->key, sizeof(f->key), "%s", key);
	va_start(ap, fmt);
	vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
}

/* A splat without addresses, files, numbers of lines, CPUs and processes. */
static void splat_key(char *key, size_t size, const char *text)
{
	const char *end = text + strcspn(text, "+"), *function = end;

	/* The text of WARN() ends with "FUNCTION+", after "at FILE:LINE" in older kernels. */
	if (!strncmp(text, "WARNING: ", strlen("WARNING: ")) && strstr(text, " at ") && *end) {
		while (function[-1] != ' ')
			function--;
		snprintf(key, size, "at %.*s", (int)(end - function), function);
	} else {
		snprintf(key, size, "%.*s", (int)(end - text), text);
	}
}

/* Reports that are not about a vCPU's life, by their key, and the reason. */
static struct known {
	const char *key;
	const char *why;
	u64 nr;
} known[] = {
	{ "at __kvm_gpc_refresh",
	  "KVM_XEN_HVM_EVTCHN_SEND to a vCPU with vcpu_info, in a VM without shared_info" },
	{ "BUG: KCSAN: data-race in kvm_arch_vcpu_put",
	  "KVM_XEN_HVM_CONFIG while a vCPU is scheduled out, which asks for the MSR's number" },
};

static bool is_known(const char *key)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].key, key))
			continue;
		known[i].nr++;
		return true;
	}
	return false;
}

void stress_print_known(void)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(known); i++) {
		if (known[i].nr)
			ksft_print_msg("known: %llu reports \"%s\": %s\n",
				       (unsigned long long)known[i].nr, known[i].key, known[i].why);
	}
}

static void check_kmsg(struct failure *f)
{
	char text[512], key[128];

	while (kmsg_find_splat(stress_kmsg, text, sizeof(text))) {
		splat_key(key, sizeof(key), text);
		if (!is_known(key))
			stress_fails(f, key, "kernel splat: %s", text);
	}
}

static void stuck_call(const struct program *p, pid_t pid, struct watched *w, unsigned int s,
		       struct failure *f)
{
	const struct call *c = &p->calls[w->call];
	char text[128], key[64];

	stress_call_text(text, sizeof(text), c);
	snprintf(key, sizeof(key), "stuck %s", stress_ops[c->op].name);
	stress_fails(f, key, "stuck: %s: not back after %u s", text, s);
	print_stack(w->tid);
}

/* How a program's process ends that nobody has killed. */
static void expect_end(const struct program *p, int status, struct failure *f)
{
	char key[32];

	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_PASS)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && stress_has_call(p, "die"))
		return;
	if (WIFSIGNALED(status))
		snprintf(key, sizeof(key), "SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
	else
		snprintf(key, sizeof(key), "exit %d", WEXITSTATUS(status));
	stress_fails(f, key, "the process that runs the program has ended with %s", key);
}

/* Run a program once.  Returns true if it doesn't fail. */
bool stress_run_program(const struct program *p, unsigned int stuck_s, struct failure *f)
{
	int vms_before = count_vms(), uses_before = count_uses(), fds_before = count_fds();
	pid_t pid, ended = 0;
	u64 start = now_ms();
	struct watched *w;
	int status = 0;

	f->key[0] = '\0';
	memset(stress_shared->threads, 0, sizeof(stress_shared->threads));
	stress_shared->failed = 0;
	stress_nr_programs++;

	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		stress_run_in_child(p);

	while (!f->key[0] && !(ended = waitpid(pid, &status, WNOHANG))) {
		w = watch(p, pid, stuck_s);
		if (w)
			stuck_call(p, pid, w, stuck_s, f);
		else if (timed_out(start, PROGRAM_S))
			stress_fails(f, "stuck", "stuck: the program isn't over after %d s",
				     PROGRAM_S);
		usleep(POLL_US);
	}
	if (!reap_all(pid))
		stress_fails(f, "left process", "left: a process doesn't end %d s after SIGKILL",
			     END_S);
	if (stress_has_call(p, "set_param") && !change_missing("parameters"))
		stress_restore_params();

	start = now_ms();
	while (!f->key[0] && (count_vms() > vms_before || count_uses() > uses_before)) {
		if (timed_out(start, END_S))
			stress_fails(f, "left VM", "left: %d VMs, %d uses of KVM's module",
				     count_vms() - vms_before, count_uses() - uses_before);
		usleep(POLL_US);
	}
	if (count_fds() != fds_before)
		stress_fails(f, "left fd", "left: %d file descriptors, there were %d", count_fds(),
			     fds_before);
	check_kmsg(f);
	if (stress_shared->failed)
		stress_fails(f, stress_shared->key, "%s", stress_shared->why);
	if (ended == pid)
		expect_end(p, status, f);
	return !f->key[0];
}
