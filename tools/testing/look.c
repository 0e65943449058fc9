// SPDX-License-Identifier: GPL-2.0-only
/*
 * look works: each file of kvm_lifecycle that is ready has the right text for a VM.
 * look refused: it opens no file, and has the reason.
 * look held COMMAND OTHER: an open file is refused while there is another KVM; COMMAND loads that
 * one, OTHER the first one again.
 *
 * For hosts that have this and busybox alone.  A line for each check, "right" or "wrong".
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#define DIR_NAME	"/sys/kernel/debug/kvm_lifecycle"
#define LEFT_OUT	"unavailable: the module was built without UNSAFE=1"
/* Parts that drive KVM: none of them, or all, are in a build. */
static const char * const driving[] = { "ga_log", "iommu", "ipiv", "pause", "unlocked" };

/* No number that a field of KVM's has by chance. */
#define VCPU_ID		6
#define OTHER_ID	7

static bool wrong;

__attribute__((format(printf, 2, 3)))
static void judge(bool right, const char *fmt, ...)
{
	va_list ap;

	printf("%s: ", right ? "right" : "wrong");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	wrong |= !right;
}

static int open_file(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), DIR_NAME "/%s", name);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* The text, or the error's name. */
static const char *text_of(int fd)
{
	static char buf[4096];
	ssize_t r = pread(fd, buf, sizeof(buf) - 1, 0);

	if (r < 0)
		return strerrorname_np(errno);
	buf[r] = '\0';
	while (r > 0 && buf[r - 1] == '\n')
		buf[--r] = '\0';
	return buf;
}

static const char *command(int fd, const char *fmt, ...)
{
	char buf[128];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return write(fd, buf, len) == len ? "done" : strerrorname_np(errno);
}

/* The line of a file in parts. */
static const char *part(const char *name)
{
	static char line[512];
	size_t len = strlen(name);
	FILE *f = fopen(DIR_NAME "/parts", "re");

	if (!f)
		err(2, DIR_NAME "/parts");
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, len) || line[len] != ' ')
			continue;
		fclose(f);
		*strchrnul(line, '\n') = '\0';
		return line + len + 1;
	}
	fclose(f);
	return "nothing";
}

static void create_vcpu(int vm, unsigned long id)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, id);

	if (vcpu < 0)
		err(2, "a vCPU");
	close(vcpu);
}

static int create_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0ul);

	if (vm < 0)
		err(2, "a VM");
	create_vcpu(vm, VCPU_ID);
	close(kvm);
	return vm;
}

/* Ask an open file about a VM; the answer, and whether that is right. */
static void look_at(const char *name, int fd, int vm)
{
	char want[64] = "", got[128];
	const char *done = "done";

	if (!strcmp(name, "get_vcpu")) {
		done = command(fd, "%d 0", vm);
		snprintf(want, sizeof(want), "%d", VCPU_ID);
	} else if (!strcmp(name, "avic")) {
		done = command(fd, "%d", vm);
		strcpy(want, "vm_id ");
	} else if (!strcmp(name, "vgic")) {
		done = command(fd, "%d", vm);
		strcpy(want, "initialized 0 implementation_rev 0 nassgireq 0 in_kernel 0");
	} else if (!strcmp(name, "vcpu_index")) {
		create_vcpu(vm, OTHER_ID);
		snprintf(want, sizeof(want), "create %d %d %d ", getpid(), getpid(), OTHER_ID);
	} else if (!strcmp(name, "unlocked")) {
#ifdef __aarch64__
		done = command(fd, "%d 0 vgic_v3_redist_uaccess locked", vm);
#else
		done = command(fd, "%d 0 kvm_hv_assist_page_enabled locked", vm);
#endif
		strcpy(want, "calls 1");
	}
	snprintf(got, sizeof(got), "%s", text_of(fd));
	*strchrnul(got, '\n') = '\0';
	judge(!strcmp(done, "done") && !strncmp(got, want, strlen(want)),
	      "%s: %s, and then '%s'", name, done, got);
}

static void each_file(bool refused)
{
	DIR *dir = opendir(DIR_NAME);
	int vm = create_vm(), fd, nr = 0;
	bool left_out;
	size_t i;
	struct dirent *e;
	const char *says;

	if (!dir)
		err(2, DIR_NAME);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || !strcmp(e->d_name, "parts"))
			continue;
		nr++;
		says = part(e->d_name);
		fd = open_file(e->d_name);
		if (refused || strcmp(says, "ready")) {
			judge(fd < 0 && errno == EOPNOTSUPP && !strncmp(says, "unavailable: ", 13),
			      "%s: open: %s; %s", e->d_name,
			      fd < 0 ? strerrorname_np(errno) : "done", says);
			if (fd < 0)
				continue;
		} else if (fd < 0) {
			judge(false, "%s: open: %s; %s", e->d_name, strerrorname_np(errno), says);
			continue;
		}
		look_at(e->d_name, fd, vm);
		close(fd);
	}
	closedir(dir);
	close(vm);
	left_out = !strcmp(part("pause"), LEFT_OUT);
	for (i = 0; i < sizeof(driving) / sizeof(driving[0]); i++) {
		says = part(driving[i]);
		fd = open_file(driving[i]);
		judge(left_out == !strcmp(says, LEFT_OUT) && left_out == (fd < 0 && errno == ENOENT),
		      "%s: %s", driving[i], says);
		if (fd >= 0)
			close(fd);
	}
	judge(nr == (left_out ? 5 : 10), "%d files", nr);
}

static void expect_open_file(int fd, const char *want)
{
	int vm = create_vm();
	char done[32];

	snprintf(done, sizeof(done), "%s", command(fd, "%d 0", vm));
	judge(!strcmp(done, want), "get_vcpu, open: %s", done);
	judge(strcmp(done, "done") ? !strcmp(text_of(fd), want) : atoi(text_of(fd)) == VCPU_ID,
	      "get_vcpu, open: then %s", text_of(fd));
	close(vm);
}

static void held(const char *other, const char *first)
{
	int fd = open_file("get_vcpu");

	if (fd < 0)
		err(2, "get_vcpu");
	expect_open_file(fd, "done");
	judge(!system(other), "another KVM is loaded");
	expect_open_file(fd, "EOPNOTSUPP");
	judge(!system(first), "and the first one again");
	expect_open_file(fd, "done");
	close(fd);
}

int main(int argc, char *argv[])
{
	if (argc == 2 && !strcmp(argv[1], "works"))
		each_file(false);
	else if (argc == 2 && !strcmp(argv[1], "refused"))
		each_file(true);
	else if (argc == 4 && !strcmp(argv[1], "held"))
		held(argv[2], argv[3]);
	else
		errx(2, "look works|refused|held COMMAND OTHER");
	return wrong;
}
