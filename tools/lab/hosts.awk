# SPDX-License-Identifier: GPL-2.0-only
#
# Common to the scripts that judge the log of a host.

# Reports of the kernel.  What the lab itself says begins with "lab: ".
BEGIN {
	splat = "BUG: |WARNING: |KASAN|kernel BUG at|Oops|general protection fault|refcount_t: |INFO: task |INFO: rcu|trying to register non-static key|" \
		"stalls on CPUs|soft lockup|suspicious RCU|UBSAN:|list_(add|del) corruption|" \
		"possible (circular|recursive) locking|new suspected memory leaks|Kernel panic|" \
		"BUG [^ ]+ \\(|Internal error: |Unable to handle|unchecked MSR access|printk messages dropped|" \
		"Kernel memory leak detector disabled|DEBUG_LOCKS_WARN_ON|lockdep is turned off|nobody cared"
}

# How a table calls a host.
function host(arch)
{
	return arch == "x86" ? "AMD" : arch == "arm64" ? "ARM" : "RISC-V"
}
