// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: is it the very KVM that this module was built for?
 *
 * KVM's structures are read as they are laid out in one build, and two builds with one vermagic may
 * differ in that.  The linker's build ID is a hash of a whole module, or of the kernel, hence of
 * their layouts as well; srcversion leaves out the headers in include/.  virt/kvm/identity.sh puts
 * in the build IDs that this module is for, as "NAME=ID NAME=ID ...".
 */
#include <linux/elf.h>
#include <linux/hex.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "kvm_lifecycle.h"
#include "kvm_lifecycle_built_for.h"

#define KVML_NT_BUILD_ID	3
#define KVML_ID_SIZE		20	/* SHA-1 */
#define KVML_ID_DIGITS		(2 * KVML_ID_SIZE)
#define KVML_ID_SHOWN		12	/* as many as a person compares */

static const char kvml_built_for[] = KVML_BUILT_FOR;
MODULE_INFO(built_for, KVML_BUILT_FOR);

/* By the names that their kobjects have. */
static const char *const kvml_kvm_modules[KVML_KVM_MODULES] = { "kvm", "kvm_amd", "kvm_intel" };

/* The build ID that @name has to have, or NULL if it isn't known. */
static const char *kvml_wanted(const char *name)
{
	size_t len = strlen(name);
	const char *s;

	for (s = kvml_built_for; s; s = strchr(s, ' ')) {
		s += *s == ' ';
		if (!strncmp(s, name, len) && s[len] == '=')
			return s + len + 1;
	}
	return NULL;
}

/*
 * The build ID that sysfs shows, among other ELF notes, in the file @name of @dir, which is part of
 * @kobj.  Takes no memory: a look is to work where allocations are made to fail.
 */
static bool kvml_read_id(struct kobject *kobj, struct kernfs_node *dir, const char *name, char *id)
{
	struct kernfs_node *node = sysfs_get_dirent(dir, name);
	struct {
		struct elf64_note note;
		char name[sizeof("GNU")];
		u8 id[KVML_ID_SIZE];
	} n;
	struct bin_attribute *attr;	/* not const, up to 6.12 */
	bool found = false;
	size_t at = 0;

	if (!node)
		return false;

	attr = node->priv;
	while (!found && attr->read && at + sizeof(n) <= attr->size) {
		if (attr->read(NULL, kobj, attr, (char *)&n, at, sizeof(n)) != sizeof(n))
			break;
		found = n.note.n_type == KVML_NT_BUILD_ID && n.note.n_namesz == sizeof(n.name) &&
			n.note.n_descsz == sizeof(n.id) && !memcmp(n.name, "GNU", sizeof(n.name));
		at += sizeof(n.note) + ALIGN((size_t)n.note.n_namesz, 4) +
		      ALIGN((size_t)n.note.n_descsz, 4);
	}
	if (found)
		*bin2hex(id, n.id, sizeof(n.id)) = '\0';
	sysfs_put(node);
	return found;
}

static bool kvml_module_id(struct module *mod, char *id)
{
	struct kobject *kobj = &mod->mkobj.kobj;
	struct kernfs_node *notes = sysfs_get_dirent(kobj->sd, "notes");
	bool found;

	if (!notes)
		return false;
	found = kvml_read_id(kobj, notes, ".note.gnu.build-id", id);
	sysfs_put(notes);
	return found;
}

/* Compare, @id is NULL if there is none.  Return: NULL, or a sentence in @kvm->why. */
static const char *kvml_compare(struct kvml_kvm *kvm, const char *name, const char *id)
{
	const char *wanted = kvml_wanted(name);
	const char *the = strcmp(name, "kernel") ? "" : "the ";

	if (wanted && id && !strncmp(wanted, id, KVML_ID_DIGITS))
		return NULL;

	if (!wanted)
		scnprintf(kvm->why, sizeof(kvm->why),
			  "kvm_lifecycle was built without the build ID of %s%s: build it again with KVML_KVM=",
			  the, name);
	else
		scnprintf(kvm->why, sizeof(kvm->why),
			  "%s%s has the build ID %.*s, and kvm_lifecycle was built for %.*s: use that one, or build kvm_lifecycle for this one",
			  the, name, KVML_ID_SHOWN, id ?: "none", KVML_ID_SHOWN, wanted);
	return kvm->why;
}

static const char *kvml_compare_kernel(struct kvml_kvm *kvm)
{
	char id[KVML_ID_DIGITS + 1];

	return kvml_compare(kvm, "kernel",
			    kvml_read_id(kernel_kobj, kernel_kobj->sd, "notes", id) ? id : NULL);
}

/**
 * kvml_kvm_get() - hold the KVM that is loaded, if it is the one that this module was built for
 * @kvm: the KVM that is held, for kvml_kvm_put(); also tells whether KVM is loaded at all
 * @kernel: also compare the kernel, which is compared anyway if KVM is built in
 *
 * Where nothing of KVM is loaded there is nothing to compare, unless it isn't known with what.
 *
 * Return: NULL, or one sentence that is good as long as @kvm is; then nothing is held.
 */
const char *kvml_kvm_get(struct kvml_kvm *kvm, bool kernel)
{
	char id[KVML_ID_DIGITS + 1];
	const char *why = NULL;
	struct module *mod;
	int i;

	*kvm = (struct kvml_kvm){ .loaded = IS_BUILTIN(CONFIG_KVM) };

	if (!IS_BUILTIN(CONFIG_KVM) && !kvml_wanted("kvm"))
		why = kvml_compare(kvm, "kvm", NULL);
	if (!why && (IS_BUILTIN(CONFIG_KVM) || kernel))
		why = kvml_compare_kernel(kvm);

	for (i = 0; !why && i < KVML_KVM_MODULES; i++) {
		mod = kvml_module_get(kvml_kvm_modules[i]);
		if (!mod)
			continue;
		kvm->owner[i] = mod;
		kvm->loaded |= !i;
		why = kvml_compare(kvm, kvml_kvm_modules[i], kvml_module_id(mod, id) ? id : NULL);
	}
	if (why)
		kvml_kvm_put(kvm);
	return why;
}

void kvml_kvm_put(struct kvml_kvm *kvm)
{
	int i;

	for (i = 0; i < KVML_KVM_MODULES; i++) {
		module_put(kvm->owner[i]);
		kvm->owner[i] = NULL;
	}
}
