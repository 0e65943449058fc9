// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that fails is made smaller for as long as it still fails.
 */
#include <string.h>

#include "lifecycle_stress.h"

/* How often a smaller one may try to fail. */
#define MINIMISE_TRIES	3

static bool still_fails(const struct program *p, const struct failure *failure)
{
	struct failure f;
	int i;

	for (i = 0; i < MINIMISE_TRIES; i++) {
		rearm_warnings();
		if (!stress_run_program(p, STUCK_AGAIN_S, &f) && !strcmp(failure->key, f.key))
			return true;
	}
	return false;
}

static void remove_calls(struct program *p, int first, int nr)
{
	memmove(&p->calls[first], &p->calls[first + nr],
		(p->nr - first - nr) * sizeof(p->calls[0]));
	p->nr -= nr;
}

/* Leave out the calls that can be left out, halves first, then single calls. */
void stress_minimise(const struct program *failing, const struct failure *f, unsigned int seconds)
{
	struct program p = *failing, smaller;
	u64 start = now_ms();
	int first, nr;
	bool removed;

	if (lockdep_missing() && strstr(f->why, "kernel splat: ") && strstr(f->why, "lock")) {
		ksft_print_msg("can't be made smaller: lockdep reports once per boot\n");
		return;
	}
	if (!still_fails(&p, f)) {
		ksft_print_msg("can't be made smaller: it didn't fail again in %d trials\n",
			       MINIMISE_TRIES);
		return;
	}
	for (nr = p.nr / 2; nr; nr = removed ? nr : nr / 2) {
		removed = false;
		for (first = p.nr - nr; first >= 0; first -= nr) {
			if (timed_out(start, seconds))
				goto out;
			smaller = p;
			remove_calls(&smaller, first, nr);
			if (!still_fails(&smaller, f))
				continue;
			p = smaller;
			removed = true;
			first = first < p.nr ? first : p.nr;
		}
		if (nr > p.nr)
			nr = p.nr;
	}
	smaller = p;
	smaller.rounds = 1;
	if (still_fails(&smaller, f))
		p = smaller;
out:
	ksft_print_msg("made smaller, from %d calls to %d%s: %s\n", failing->nr, p.nr,
		       timed_out(start, seconds) ? " when time was up" : "", f->why);
	if (p.nr < failing->nr || p.rounds < failing->rounds)
		stress_print_program(&p);
}
