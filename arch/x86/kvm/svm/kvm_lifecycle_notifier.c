// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: is kvm_amd, with AVIC, in use?  Its GA Log notifier is the function that tells.
 */
#include <linux/gfp.h>
#include <linux/moduleparam.h>

#include <asm/cpufeature.h>

#include "kvm_lifecycle.h"

/* Whether a parameter of a module reads as N.  No, if it is built in. */
static bool kvml_param_is_off(struct module *mod, const char *name)
{
	const struct kernel_param *kp = mod ? kvml_module_param(mod, name) : NULL;
	bool off;
	char *val;

	if (!kp || !kp->ops->get)
		return false;

	/* sysfs gives a page to a parameter's getter, and sysfs_emit() insists on it. */
	val = (char *)get_zeroed_page(GFP_KERNEL);
	if (!val)
		return false;

	kernel_param_lock(mod);
	off = kp->ops->get(val, kp) > 0 && val[0] == 'N';
	kernel_param_unlock(mod);
	free_page((unsigned long)val);
	return off;
}

static const char *kvml_avic_check(struct kvml_func *notifier)
{
	/*
	 * Where kvm_amd is built in, its functions are there with any processor; never take the VM
	 * of another vendor module for an SVM one.
	 */
	if (!boot_cpu_has(X86_FEATURE_SVM))
		return "the processor has no SVM";
	if (kvml_func_get("avic_ga_log_notifier", notifier))
		return "kvm_amd is not loaded";
	if (kvml_param_is_off(notifier->owner, "avic")) {
		kvml_func_put(notifier);
		return "AVIC is off in kvm_amd";
	}
	return NULL;
}

const char *kvml_avic_missing(void)
{
	struct kvml_func notifier;
	const char *why = kvml_avic_check(&notifier);

	if (!why)
		kvml_func_put(&notifier);
	return why;
}

/* Look the notifier up and keep kvm_amd, with AVIC in use, loaded. */
int kvml_avic_get(struct kvml_func *notifier)
{
	return kvml_avic_check(notifier) ? -EOPNOTSUPP : 0;
}
