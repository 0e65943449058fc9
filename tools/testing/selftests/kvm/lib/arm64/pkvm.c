// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hosts in protected mode.
 */
#include "kvm_lifecycle.h"

#define MODE	"arm.mode="

/*
 * Is KVM in protected mode, if the kernel has done as it was told?  Nothing else says so but
 * the kernel's log, which may have lost it by now.  As the kernel has it, kvm-arm and kvm_arm
 * are the same, and the last mode counts.
 */
bool kvm_is_protected(void)
{
	char cmdline[4096] = "", *word, *save;
	FILE *f = fopen("/proc/cmdline", "re");
	bool protected = false;

	TEST_ASSERT(f && fgets(cmdline, sizeof(cmdline), f), "/proc/cmdline: %s", strerror(errno));
	fclose(f);

	for (word = strtok_r(cmdline, "\n ", &save); word; word = strtok_r(NULL, "\n ", &save)) {
		if (!strncmp(word, "kvm-" MODE, strlen("kvm-" MODE)) ||
		    !strncmp(word, "kvm_" MODE, strlen("kvm_" MODE)))
			protected = !strcmp(word + strlen("kvm-" MODE), "protected");
	}
	return protected;
}
