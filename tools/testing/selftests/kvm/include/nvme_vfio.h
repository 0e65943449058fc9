/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An NVMe controller as a source of interrupts: driven from userspace, by means of
 * VFIO, it completes a command that does nothing and raises vector 0 each time
 * that it is told to.  It has no queues but those of the admin commands, and none
 * of its data is touched.
 *
 * VFIO is used by its group and container.  /dev/vfio/vfio is there with the type 1
 * driver and, if the kernel has IOMMUFD_VFIO_CONTAINER, on top of iommufd as well,
 * in every kernel that this is for; the character devices of iommufd aren't.
 */
#ifndef SELFTEST_KVM_NVME_VFIO_H
#define SELFTEST_KVM_NVME_VFIO_H

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/compiler.h>
#include <linux/pci_regs.h>
#include <linux/types.h>
#include <linux/vfio.h>

#include "test_util.h"

/* Where the queues are for the device: neither memory of the machine nor an MSI. */
#define NVME_IOVA		0x10000000ull

#define NVME_PAGE		4096
#define NVME_DEPTH		64
#define NVME_SQE_SHIFT		6
#define NVME_CQE_SHIFT		4
#define NVME_CLASS		0x010802

/* The registers, and the doorbells of queue 0 with the widest stride that is known. */
#define NVME_BAR_SIZE		0x2000
#define NVME_CAP		0x00
#define NVME_CC			0x14
#define NVME_CSTS		0x1c
#define NVME_AQA		0x24
#define NVME_ASQ		0x28
#define NVME_ACQ		0x30
#define NVME_DOORBELLS		0x1000

#define NVME_CAP_TO(cap)	(((cap) >> 24) & 0xff)	/* in 500 ms */
#define NVME_CAP_DSTRD(cap)	(((cap) >> 32) & 0xf)
#define NVME_CAP_MPSMIN(cap)	(((cap) >> 48) & 0xf)
#define NVME_CC_EN		1
#define NVME_CSTS_RDY		1

#define NVME_GET_FEATURES	0x0a
#define NVME_NR_QUEUES		0x07			/* a feature that all have */

struct nvme_vfio {
	int container;
	int group;
	int device;
	int eventfd;		/* of the interrupt */
	u8 *bar;
	u8 *queues;		/* commands, then completions */
	u32 stride;
	u16 sq_tail;
	u16 cq_head;
	u16 phase;
	bool enabled;
};

#define NVME_VFIO_CLOSED \
	((struct nvme_vfio) { .container = -1, .group = -1, .device = -1, .eventfd = -1 })

static inline u32 nvme_read(struct nvme_vfio *n, u32 reg)
{
	return READ_ONCE(*(u32 *)(n->bar + reg));
}

static inline void nvme_write(struct nvme_vfio *n, u32 reg, u32 val)
{
	WRITE_ONCE(*(u32 *)(n->bar + reg), val);
}

static inline u64 nvme_read64(struct nvme_vfio *n, u32 reg)
{
	return nvme_read(n, reg) | (u64)nvme_read(n, reg + 4) << 32;
}

static inline void nvme_write64(struct nvme_vfio *n, u32 reg, u64 val)
{
	nvme_write(n, reg, val);
	nvme_write(n, reg + 4, val >> 32);
}

/* Returns 0, or -ETIMEDOUT. */
static inline int nvme_enable(struct nvme_vfio *n, bool on)
{
	u64 cap = nvme_read64(n, NVME_CAP);
	u32 cc = NVME_SQE_SHIFT << 16 | NVME_CQE_SHIFT << 20;
	int ms;

	nvme_write(n, NVME_CC, on ? cc | NVME_CC_EN : 0);
	for (ms = 0; ms <= (int)(NVME_CAP_TO(cap) + 1) * 500; ms++) {
		if (!!(nvme_read(n, NVME_CSTS) & NVME_CSTS_RDY) == on)
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* Let the device complete one more command.  There's room for NVME_DEPTH - 1. */
static inline void nvme_submit(struct nvme_vfio *n)
{
	u32 *sqe = (u32 *)(n->queues + (n->sq_tail << NVME_SQE_SHIFT));

	memset(sqe, 0, 1 << NVME_SQE_SHIFT);
	sqe[0] = NVME_GET_FEATURES | n->sq_tail << 16;
	sqe[10] = NVME_NR_QUEUES;
	n->sq_tail = (n->sq_tail + 1) % NVME_DEPTH;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	nvme_write(n, NVME_DOORBELLS, n->sq_tail);
}

/* Take what has been completed.  Returns how many commands, or -EIO if one has failed. */
static inline int nvme_reap(struct nvme_vfio *n)
{
	int nr = 0, r = 0;
	u32 status, *cqe;

	for (;;) {
		cqe = (u32 *)(n->queues + NVME_PAGE + (n->cq_head << NVME_CQE_SHIFT));
		status = READ_ONCE(cqe[3]);
		if ((status >> 16 & 1) != n->phase)
			break;
		if (status >> 17)
			r = -EIO;
		nr++;
		n->cq_head = (n->cq_head + 1) % NVME_DEPTH;
		n->phase ^= !n->cq_head;
	}
	if (nr)
		nvme_write(n, NVME_DOORBELLS + n->stride, n->cq_head);
	return r ?: nr;
}

static inline void nvme_vfio_close(struct nvme_vfio *n)
{
	if (n->enabled)
		nvme_enable(n, false);
	if (n->bar)
		munmap(n->bar, NVME_BAR_SIZE);
	/* The device is reset, and its mappings are gone. */
	if (n->device >= 0)
		close(n->device);
	if (n->group >= 0)
		close(n->group);
	if (n->container >= 0)
		close(n->container);
	if (n->eventfd >= 0)
		close(n->eventfd);
	if (n->queues)
		munmap(n->queues, 2 * NVME_PAGE);
	*n = NVME_VFIO_CLOSED;
}

/* Vector 0 signals the eventfd.  Returns 0 or -errno. */
static inline int nvme_vfio_enable_irq(struct nvme_vfio *n)
{
	static const u32 kinds[] = { VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX };
	struct {
		struct vfio_irq_set set;
		s32 fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.count = 1,
		},
		.fd = n->eventfd,
	};
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(kinds); i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = kinds[i] };

		if (ioctl(n->device, VFIO_DEVICE_GET_IRQ_INFO, &info) || !info.count)
			continue;

		irq.set.index = kinds[i];
		return ioctl(n->device, VFIO_DEVICE_SET_IRQS, &irq) ? -errno : 0;
	}
	return -ENXIO;
}

/* The last part of the target of a link in sysfs, or "" if there is none. */
static inline const char *nvme_sysfs_link(const char *bdf, const char *name, char *buf)
{
	char path[128];
	ssize_t r;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	r = readlink(path, buf, PATH_MAX - 1);
	buf[r > 0 ? r : 0] = '\0';
	return r > 0 ? basename(buf) : buf;
}

/* Why a device can't be used.  The text is good until the next call. */
static inline const char *__printf(2, 3) nvme_why(const char *bdf, const char *fmt, ...)
{
	static char why[512];
	va_list ap;
	int n;

	n = snprintf(why, sizeof(why), "device %s: ", bdf);
	va_start(ap, fmt);
	if (n < (int)sizeof(why))
		vsnprintf(why + n, sizeof(why) - n, fmt, ap);
	va_end(ap);
	return why;
}

/* A group, if it's viable, and the device in it. */
static inline const char *nvme_vfio_open_device(struct nvme_vfio *n, const char *bdf)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char buf[PATH_MAX], path[128];
	unsigned int class = 0;
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", bdf);
	f = fopen(path, "re");
	if (!f)
		return nvme_why(bdf, "there is none; an address looks like 0000:01:00.0");
	r = fscanf(f, "%x", &class);
	fclose(f);
	if (r != 1 || class != NVME_CLASS)
		return nvme_why(bdf, "its class is 0x%06x, and an NVMe controller's is 0x%06x",
				class, NVME_CLASS);
	if (strcmp(nvme_sysfs_link(bdf, "driver", buf), "vfio-pci"))
		return nvme_why(bdf, "its driver is '%s', and has to be vfio-pci",
				nvme_sysfs_link(bdf, "driver", buf));
	snprintf(path, sizeof(path), "/dev/vfio/%.100s", nvme_sysfs_link(bdf, "iommu_group", buf));

	n->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (n->container < 0)
		return nvme_why(bdf, "/dev/vfio/vfio: %s", strerror(errno));
	n->group = open(path, O_RDWR | O_CLOEXEC);
	if (n->group < 0)
		return nvme_why(bdf, "%s: %s", path, strerror(errno));
	if (ioctl(n->group, VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return nvme_why(bdf, "others of its IOMMU group have drivers other than vfio-pci");
	if (ioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container) ||
	    ioctl(n->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return nvme_why(bdf, "VFIO_SET_IOMMU: %s", strerror(errno));
	n->device = ioctl(n->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (n->device < 0)
		return nvme_why(bdf, "VFIO_GROUP_GET_DEVICE_FD: %s", strerror(errno));
	return NULL;
}

/* Its registers, and memory that both sides see. */
static inline const char *nvme_vfio_map(struct nvme_vfio *n, const char *bdf)
{
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = NVME_IOVA,
		.size = 2 * NVME_PAGE,
	};
	u16 command;
	void *p;

	p = mmap(NULL, 2 * NVME_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return nvme_why(bdf, "mmap: %s", strerror(errno));
	n->queues = p;
	map.vaddr = (unsigned long)p;
	if (ioctl(n->container, VFIO_IOMMU_MAP_DMA, &map))
		return nvme_why(bdf, "VFIO_IOMMU_MAP_DMA: %s", strerror(errno));

	region.index = VFIO_PCI_CONFIG_REGION_INDEX;
	if (ioctl(n->device, VFIO_DEVICE_GET_REGION_INFO, &region) ||
	    pread(n->device, &command, 2, region.offset + PCI_COMMAND) != 2)
		return nvme_why(bdf, "read PCI_COMMAND: %s", strerror(errno));
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(n->device, &command, 2, region.offset + PCI_COMMAND) != 2)
		return nvme_why(bdf, "write PCI_COMMAND: %s", strerror(errno));

	region.argsz = sizeof(region);
	region.index = VFIO_PCI_BAR0_REGION_INDEX;
	if (ioctl(n->device, VFIO_DEVICE_GET_REGION_INFO, &region) || region.size < NVME_BAR_SIZE)
		return nvme_why(bdf, "BAR 0 is too small");
	p = mmap(NULL, NVME_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, n->device,
		 region.offset);
	if (p == MAP_FAILED)
		return nvme_why(bdf, "mmap of BAR 0: %s", strerror(errno));
	n->bar = p;
	return NULL;
}

/* With queues of its own, and an interrupt for each completion. */
static inline const char *nvme_vfio_start(struct nvme_vfio *n, const char *bdf)
{
	u64 cap = nvme_read64(n, NVME_CAP);
	int r;

	n->stride = 4 << NVME_CAP_DSTRD(cap);
	if (NVME_CAP_MPSMIN(cap) || NVME_DOORBELLS + n->stride >= NVME_BAR_SIZE)
		return nvme_why(bdf, "its pages are over 4 KiB, or its doorbells too far apart");

	n->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->eventfd < 0)
		return nvme_why(bdf, "eventfd: %s", strerror(errno));
	r = nvme_vfio_enable_irq(n);
	if (r)
		return nvme_why(bdf, "its interrupt can't be enabled: %s", strerror(-r));

	if (nvme_enable(n, false))
		return nvme_why(bdf, "it doesn't stop");
	nvme_write(n, NVME_AQA, (NVME_DEPTH - 1) << 16 | (NVME_DEPTH - 1));
	nvme_write64(n, NVME_ASQ, NVME_IOVA);
	nvme_write64(n, NVME_ACQ, NVME_IOVA + NVME_PAGE);
	n->phase = 1;
	n->enabled = true;
	if (nvme_enable(n, true))
		return nvme_why(bdf, "it doesn't start");
	return NULL;
}

/*
 * Open the controller at a PCI address like 0000:01:00.0, and start it.  Returns
 * NULL, or why it can't be used, as one line.
 */
static inline const char *nvme_vfio_open(struct nvme_vfio *n, const char *bdf)
{
	const char *why;

	*n = NVME_VFIO_CLOSED;
	why = nvme_vfio_open_device(n, bdf) ?: nvme_vfio_map(n, bdf) ?: nvme_vfio_start(n, bdf);
	if (why)
		nvme_vfio_close(n);
	return why;
}

#endif /* SELFTEST_KVM_NVME_VFIO_H */
