// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_amd as a module: its users, and how it comes and goes.
 */
#include <dirent.h>

#include <sys/utsname.h>

#include "kvm_lifecycle.h"

/*
 * The references to kvm_amd, of which each VM, i.e. each of its file descriptors,
 * has one.  -1: it isn't loaded, or is built in.
 */
int kvm_amd_users(void)
{
	char buf[32] = "";
	int fd = open("/sys/module/kvm_amd/refcnt", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = '\0';
	close(fd);
	return atoi(buf);
}

/* The same, once those that leave within @s seconds, by late frees, are gone. */
int kvm_amd_users_left(unsigned int s)
{
	u64 start = now_ms();
	int users;

	while ((users = kvm_amd_users()) > 0 && !timed_out(start, s))
		usleep(POLL_US);
	return users;
}

/* The file that modprobe loads kvm_amd from. */
bool kvm_amd_file(char *path, size_t size)
{
	char dir[128], line[1024];
	struct utsname name;
	bool found = false;
	FILE *f;

	uname(&name);
	snprintf(dir, sizeof(dir), "/lib/modules/%s", name.release);
	snprintf(path, size, "%s/modules.dep", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		*strchrnul(line, ':') = '\0';
		found = strstr(line, "kvm-amd.ko");
	}
	fclose(f);
	snprintf(path, size, "%s/%s", dir, line);
	return found;
}

/* Why kvm_amd can't be unloaded and loaded again, or NULL if it can. */
const char *kvm_amd_not_reloadable(void)
{
	char path[1280];

	if (kvm_amd_file(path, sizeof(path)))
		return change_missing("modules");
	return "kvm_amd isn't a module that modprobe finds";
}

/* The command that loads kvm_amd as it is loaded now: KVM_AMD_LOAD and parameters. */
void kvm_amd_load_command(char *cmd, size_t size)
{
	const char *dir = "/sys/module/kvm_amd/parameters";
	char path[512], value[128];
	struct dirent *e;
	ssize_t r;
	DIR *d;
	int fd;

	snprintf(cmd, size, KVM_AMD_LOAD);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);
		if (fd >= 0)
			close(fd);
		if (r <= 0)
			continue;
		value[r] = '\0';
		*strchrnul(value, '\n') = '\0';
		snprintf(cmd + strlen(cmd), size - strlen(cmd), " %s=%s", e->d_name, value);
	}
	if (d)
		closedir(d);
}

/* Returns 0 or -errno; doesn't wait for users of the module. */
int unload_kvm_amd(void)
{
	return syscall(SYS_delete_module, "kvm_amd", O_NONBLOCK) ? -errno : 0;
}

/* For a racer. */
int race_unload_kvm_amd(void *unused, u64 unused2)
{
	return unload_kvm_amd();
}
