// SPDX-License-Identifier: GPL-2.0-only
/*
 * One hold, and the process that does it.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "interleave.h"

/* The longest that A is held; twice as long if the Bs came too late, and so on. */
#define PAUSE_US		50000

/* The longest that one hold may take, with all that comes before and after it. */
#define HOLD_TIMEOUT_S		60

/* How often A is done again if it was held too early, or the Bs came too late. */
#define MAX_TRIES		4

const char *il_probe_name(const struct func *f)
{
	const struct kernel_symbol *s = &kernel_symbols[f->symbol];
	static char name[320];

	snprintf(name, sizeof(name), "%s%s%s", s->module ?: "", s->module ? ":" : "", s->name);
	return name;
}

/* Have A held, once, when it comes to the function.  Returns 0 or -errno. */
static int arm(struct world *w, int func, int delay_us)
{
	int r;

	/* A probe takes long to come and to go. */
	if (w->armed == func && w->delay_us == delay_us)
		return __kvm_lifecycle_write(w->pause, "again");
	__kvm_lifecycle_write(w->pause, "release");
	w->armed = -1;
	r = __kvm_lifecycle_write(w->pause, "%s %d %d 1", il_probe_name(&il_program->funcs[func]),
				  il_a_tid(w), delay_us);
	if (!r) {
		w->armed = func;
		w->delay_us = delay_us;
	}
	return r;
}

/* Returns false if this process can't be used any more. */
static bool hold_once(struct world *w, const struct hold *h, struct result *res, int result_fd)
{
	bool late, hit = false;
	int tries, r, i;
	u64 start;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		memset(res, 0, sizeof(*res));
		il_create_world(w);
		il_make_a_ready(w);
		r = arm(w, h->func, PAUSE_US << tries);
		if (r) {
			/* A is done all the same, so that its thread is as before. */
			res->status = UNPROBED;
			snprintf(res->why, sizeof(res->why), "%s", ret_name(r));
			hit = true;
		}
		/* An interrupt may have come through there. */
		if (!r && pause_read(w->pause).hits)
			res->status = UNREACHED;
		il_let_a_go(w);
		start = now_ms();
		while (!res->status && !(hit = pause_read(w->pause).hits) && !il_a_is_done(w) &&
		       !timed_out(start, STUCK_S))
			usleep(100);
		if (!res->status && !hit)
			hit = pause_read(w->pause).hits;
		if (!hit)
			res->status = UNREACHED;
		if (!res->status && (h->mask & il_group_mask(w->a, GROUP_DIE))) {
			for (i = 0; i < il_nr_ops_b; i++) {
				if (h->mask & BIT(i))
					res->cell[i] = CELL_DONE;
			}
			if (write(result_fd, res, sizeof(*res)) != sizeof(*res))
				_exit(1);
			il_die(w);
		}

		if (!res->status)
			il_do_bs(w, res, h->mask);
		__kvm_lifecycle_write(w->pause, "open");
		if (!il_wait_for_all(w, res, res->status ? 0 : h->mask))
			return false;
		il_end_a(w);
		late = false;
		if (res->status == HELD) {
			il_check_world(w, res, h->mask);
			for (i = 0; i < il_nr_ops_b; i++)
				late |= res->cell[i] == CELL_LATE ||
					(res->cell[i] == CELL_WAITED && il_ops_b[i].patient);
			il_destroy_world(w, res, h->mask);
		} else {
			struct result ignored = {};

			il_destroy_world(w, &ignored, 0);
		}
		il_expect_no_report(w, res);
		if (res->status == RED || res->status == UNPROBED)
			break;
		if (res->status == HELD && !late)
			break;
		if (res->status == UNREACHED && tries)
			break;
	}
	return res->status != RED;
}

/* The process that does it all, and may be killed.  Holds come in, results go out. */
static void __noreturn work(const struct op_a *a, int kmsg, int in, int out)
{
	struct world *w;
	struct result res;
	struct hold h;
	bool go_on = true;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w = il_open_world(a, kmsg, set_cpu_aside());
	while (go_on && read(in, &h, sizeof(h)) == sizeof(h)) {
		memset(&res, 0, sizeof(res));
		go_on = hold_once(w, &h, &res, out);
		if (write(out, &res, sizeof(res)) != sizeof(res))
			break;
	}
	_exit(0);
}

static void start_worker(struct worker *wk, const struct op_a *a, int kmsg)
{
	int to[2], from[2];

	TEST_ASSERT(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC), "pipe2: %s", strerror(errno));
	wk->output = memfd_create("output", MFD_CLOEXEC);
	wk->pid = fork();
	TEST_ASSERT(wk->pid >= 0, "fork: %s", strerror(errno));
	if (!wk->pid) {
		close(to[1]);
		close(from[0]);
		/* It mustn't hold on to the pipe that the test's output goes to. */
		dup2(wk->output, 0);
		dup2(wk->output, 1);
		dup2(wk->output, 2);
		work(a, kmsg, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	wk->to = to[1];
	wk->from = from[0];
}

/* Its VMs and its file descriptors go, in any state. */
void il_end_worker(struct worker *wk, struct result *res)
{
	u64 start = now_ms();
	int status;

	if (wk->pid <= 0)
		return;
	kill(wk->pid, SIGKILL);
	while (waitpid(wk->pid, &status, WNOHANG) != wk->pid) {
		if (timed_out(start, 2 * STUCK_S)) {
			il_red(res, "the process: want it to die when it's killed, is stuck");
			break;
		}
		usleep(POLL_US);
	}
	if (!timed_out(start, 2 * STUCK_S))
		il_expect_no_vm(res, wk->pid);
	close(wk->to);
	close(wk->from);
	close(wk->output);
	wk->pid = 0;
}

/* Where the threads of a process that has no end are. */
static void print_threads(pid_t pid)
{
	struct dirent *e;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		ksft_print_msg("thread %s:\n", e->d_name);
		print_stack(atoi(e->d_name));
	}
	if (d)
		closedir(d);
}

void il_hold(struct worker *wk, const struct op_a *a, int kmsg, const struct hold *h,
	     struct result *res)
{
	bool dies = h->mask & il_group_mask(a, GROUP_DIE);
	struct world reports = { .kmsg = kmsg };
	struct pollfd pfd;
	char text[256];
	ssize_t r;

	memset(res, 0, sizeof(*res));
	if (!wk->pid)
		start_worker(wk, a, kmsg);
	pfd = (struct pollfd) { .fd = wk->from, .events = POLLIN };
	if (write(wk->to, h, sizeof(*h)) != sizeof(*h) ||
	    poll(&pfd, 1, HOLD_TIMEOUT_S * 1000) != 1) {
		il_red(res, "want an end after %d s, got none", HOLD_TIMEOUT_S);
		print_threads(wk->pid);
		il_end_worker(wk, res);
	} else {
		r = read(wk->from, res, sizeof(*res));
		if (r != sizeof(*res)) {
			memset(res, 0, sizeof(*res));
			r = pread(wk->output, text, sizeof(text) - 1, 0);
			text[r > 0 ? r : 0] = '\0';
			il_red(res, "the process has ended: %s", text);
			il_end_worker(wk, res);
		} else if (res->status == RED || (dies && res->status == HELD)) {
			il_end_worker(wk, res);
		}
	}
	il_expect_no_report(&reports, res);
}
