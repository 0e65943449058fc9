// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to the kvm_lifecycle module, and VMs and vCPUs that are nothing but file
 * descriptors.
 */
#include <stdarg.h>

#include "kvm_lifecycle.h"

/*
 * The text of a system call's result, given the result or -errno, for a message.
 * It is good for the next three calls.
 */
const char *ret_name(int ret)
{
	const char *name = ret < 0 ? strerrorname_np(-ret) : NULL;
	static char buf[4][32];
	static int i;

	i = (i + 1) % ARRAY_SIZE(buf);
	if (name)
		snprintf(buf[i], sizeof(buf[i]), "-1 (%s)", name);
	else
		snprintf(buf[i], sizeof(buf[i]), "%d", ret);
	return buf[i];
}

/*
 * Open a file of the module.  Read-write where the file can be written, else
 * read-only.  Returns the file descriptor or -errno.
 */
int __kvm_lifecycle_open(const char *file)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), KVM_LIFECYCLE_DIR "/%s", file);

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EINVAL))
		fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Write one command.  Returns 0 or -errno. */
int __kvm_lifecycle_write(int fd, const char *fmt, ...)
{
	char buf[256];
	ssize_t len, r;
	va_list ap;

	va_start(ap, fmt);
	len = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);

	if (len < 0 || len >= (ssize_t)sizeof(buf))
		return -E2BIG;

	r = write(fd, buf, len);
	if (r < 0)
		return -errno;

	return r == len ? 0 : -EIO;
}

/*
 * Read a file's current text, NUL terminated.  Returns the number of bytes
 * without the NUL, or -errno.  Files that stream, i.e. hand out each line only
 * once, are read from where the last read ended.
 */
ssize_t kvm_lifecycle_read(int fd, char *buf, size_t len)
{
	ssize_t r;

	r = pread(fd, buf, len - 1, 0);
	if (r < 0 && errno == ESPIPE)
		r = read(fd, buf, len - 1);
	if (r < 0) {
		buf[0] = '\0';
		return -errno;
	}

	buf[r] = '\0';
	return r;
}

/*
 * Why a part of the module can't be used, as one line, or NULL if it can.  The
 * text is good until the next call.
 */
const char *kvm_lifecycle_missing(const char *part)
{
	static char reason[256];
	char buf[4096], *line, *save;
	size_t len = strlen(part);
	int fd, r;

	if (access(KVM_LIFECYCLE_DIR, F_OK)) {
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: %s: %s",
			 KVM_LIFECYCLE_DIR, strerror(errno));
		return reason;
	}

	fd = __kvm_lifecycle_open("parts");
	if (fd < 0) {
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: parts: %s",
			 strerror(-fd));
		return reason;
	}

	r = kvm_lifecycle_read(fd, buf, sizeof(buf));
	close(fd);
	if (r < 0) {
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: parts: %s",
			 strerror(-r));
		return reason;
	}

	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, part, len) || line[len] != ' ')
			continue;
		if (!strcmp(line + len + 1, "ready"))
			return NULL;
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: %.200s", line);
		return reason;
	}

	snprintf(reason, sizeof(reason), "module kvm_lifecycle has no part '%s'", part);
	return reason;
}

/* Get the @nr values that a file's current text must begin with. */
void kvm_lifecycle_scan(int fd, int nr, const char *fmt, ...)
{
	char buf[4096];
	va_list ap;
	int r, n;

	r = kvm_lifecycle_read(fd, buf, sizeof(buf));
	va_start(ap, fmt);
	n = vsscanf(buf, fmt, ap);
	va_end(ap);
	TEST_ASSERT(r > 0 && n == nr, "Want '%s', got '%s' (%d)", fmt, buf, r);
}

/*
 * The state of the VM @vm_fd in kvm_lifecycle's part "avic"; no reference to the VM is
 * kept.  Returns 0 or -errno: -EBADMSG if the text can't be understood.
 */
int avic_read(int vm_fd, struct avic_state *a)
{
	char buf[65536], *line, *save;
	unsigned long long val;
	int fd, r, nr = 0;
	u32 id;

	memset(a, 0, sizeof(*a));
	fd = __kvm_lifecycle_open("avic");
	if (fd < 0)
		return fd;
	r = __kvm_lifecycle_write(fd, "%d", vm_fd);
	if (!r)
		r = kvm_lifecycle_read(fd, buf, sizeof(buf));
	close(fd);
	if (r < 0)
		return r;
	if (r == sizeof(buf) - 1)
		return -E2BIG;

	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save), nr++) {
		if (!nr) {
			if (sscanf(line, "vm_id %u listed %d physical %d logical %d inhibited %lx",
				   &a->vm_id, &a->listed, &a->physical, &a->logical,
				   &a->inhibits) != 5)
				return -EBADMSG;
		} else if (sscanf(line, "entry %u 0x%llx", &id, &val) == 2) {
			if (a->nr_entries == AVIC_MAX_VCPUS)
				return -E2BIG;
			a->entries[a->nr_entries++] = (struct avic_value) { id, val };
		} else if (sscanf(line, "vcpu %u idx %*d backing 0x%llx", &id, &val) == 2) {
			if (a->nr_vcpus == AVIC_MAX_VCPUS)
				return -E2BIG;
			a->backing[a->nr_vcpus++] = (struct avic_value) { id, val };
		} else {
			return -EBADMSG;
		}
	}
	return nr ? 0 : -EBADMSG;
}

static u64 avic_value_of(const struct avic_value *values, int nr, u32 id)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (values[i].id == id)
			return values[i].val;
	}
	return 0;
}

/* The entry of the physical ID table for the vCPU ID @id. */
u64 avic_entry(const struct avic_state *a, u32 id)
{
	return avic_value_of(a->entries, a->nr_entries, id);
}

/* The page of the local APIC of the vCPU @id, or 0. */
u64 avic_backing(const struct avic_state *a, u32 id)
{
	return avic_value_of(a->backing, a->nr_vcpus, id);
}

/* The ID under which the GA Log knows a VM, 0 for none, or -errno. */
int avic_vm_id(int vm_fd)
{
	struct avic_state a;

	return avic_read(vm_fd, &a) ?: (int)a.vm_id;
}

struct injector_state injector_read(int fd)
{
	struct injector_state s;

	kvm_lifecycle_scan(fd, 3, "tid %d sent %u running %d", &s.tid, &s.sent, &s.running);
	return s;
}

struct pause_state pause_read(int fd)
{
	struct pause_state p;

	kvm_lifecycle_scan(fd, 3, "hits %d inside %d done %d", &p.hits, &p.inside, &p.done);
	return p;
}

/* Hold a thread at the next entry of @function for @us at most. */
void pause_arm(int fd, const char *function, int tid, int us)
{
	int r = __kvm_lifecycle_write(fd, "%s %d %d 1", function, tid, us);

	TEST_ASSERT(!r, "pause at %s(): want 0, got %s", function, ret_name(r));
}

/*
 * A change by a test for all VMs of the host, and not for its own alone, has to be
 * allowed: MAY_CHANGE in the environment names it, e.g. "parameters modules".
 * Returns NULL, or why @what isn't changed.
 */
const char *change_missing(const char *what)
{
	const char *may = getenv("MAY_CHANGE");
	static char reason[64];

	if (may && strstr(may, what))
		return NULL;
	snprintf(reason, sizeof(reason), "MAY_CHANGE in the environment doesn't name %s", what);
	return reason;
}

/*
 * A VM for raw vCPUs, i.e. nothing but file descriptors.  On x86 it may have an
 * in-kernel local APIC.
 */
struct kvm_vm *vm_create_raw(bool split_irqchip)
{
	struct kvm_vm *vm = vm_create_barebones();

#ifdef __x86_64__
	if (split_irqchip)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, SPLIT_IRQCHIP_PINS);
#endif
	return vm;
}

/* KVM_CREATE_VCPU, returns the vCPU's file descriptor or -errno. */
int __vcpu_fd_create(struct kvm_vm *vm, u32 id)
{
	int fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)(unsigned long)id);

	return fd < 0 ? -errno : fd;
}

/* For a racer: the same, of the VM @arg. */
int race_create(void *arg, u64 id)
{
	return __vcpu_fd_create(arg, id);
}

/* The lowest free file descriptor, i.e. the next one that is handed out. */
int next_fd(struct kvm_vm *vm)
{
	int fd = kvm_dup(vm->fd);

	kvm_close(fd);
	return fd;
}

/* There's no free file descriptor until they are restored.  Returns the limit. */
struct rlimit exhaust_fds(struct kvm_vm *vm)
{
	struct rlimit old, limit;

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &old), "getrlimit: %s", strerror(errno));

	/* The lowest free descriptor is just beyond the limit. */
	limit.rlim_cur = next_fd(vm);
	limit.rlim_max = old.rlim_max;
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit: %s", strerror(errno));
	return old;
}

void restore_fds(const struct rlimit *old)
{
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, old), "setrlimit: %s", strerror(errno));
}

/* KVM_CREATE_VCPU without a free file descriptor, the last step that can fail. */
int __vcpu_fd_create_at_limit(struct kvm_vm *vm, u32 id)
{
	struct rlimit old = exhaust_fds(vm);
	int fd = __vcpu_fd_create(vm, id);

	restore_fds(&old);
	return fd;
}
