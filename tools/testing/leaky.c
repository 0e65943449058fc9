// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loses its allocations: the host that has loaded this must report them at its
 * end.  The last pointers may be left on a stack.
 */
#include <linux/module.h>
#include <linux/slab.h>

#define NR_LOST	10

static int __init leaky_init(void)
{
	u8 *lost;
	int i;

	for (i = 0; i < NR_LOST; i++) {
		lost = kmalloc(96, GFP_KERNEL);
		if (!lost)
			return -ENOMEM;
		memset(lost, i + 1, 96);
		OPTIMIZER_HIDE_VAR(lost);
	}
	return 0;
}

static void __exit leaky_exit(void)
{
}

module_init(leaky_init);
module_exit(leaky_exit);
MODULE_DESCRIPTION("Loses what it has allocated");
MODULE_LICENSE("GPL");
