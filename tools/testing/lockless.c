// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns lockdep off, and reports nothing: the lab must notice.
 */
#include <linux/debug_locks.h>
#include <linux/module.h>

static int __init lockless_init(void)
{
	debug_locks_off();
	return 0;
}
module_init(lockless_init);

static void __exit lockless_exit(void)
{
}
module_exit(lockless_exit);

MODULE_DESCRIPTION("Turn lockdep off");
MODULE_LICENSE("GPL");
