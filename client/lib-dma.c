/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory for DMA, by whoever has the container: this process, or the service */

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib.h"

/* The service may have to find the memory first. */
#define MAP_TIMEOUT_USEC (5 * 60 * UINT64_C(1000000))

_Static_assert(VFB_DMA_READ == VFB_MAP_READ && VFB_DMA_WRITE == VFB_MAP_WRITE, "one number, two names");

static bool lease_is_mediated(const vfb_lease *lease) {
        return strcmp(vfb_lease_mode(lease), VFB_MODE_MEDIATED) == 0;
}

static int lease_call_memory(vfb_lease *lease, sd_bus_message *m, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        return connection_call(lease->connection, m, MAP_TIMEOUT_USEC, "", &reply, ret_error);
}

static int lease_new_call(vfb_lease *lease, const char *method, sd_bus_message **ret, vfb_error **ret_error) {
        int r;

        if (!lease->connection)
                return error_local(ret_error, -ENOTCONN, "The connection that the lease came through is closed");

        r = sd_bus_message_new_method_call(lease->connection->bus, ret, VFB_BUS_NAME, lease->path, VFB_INTERFACE_LEASE,
                                           method);
        return r < 0 ? error_local(ret_error, r, NULL) : 0;
}

static int map_by_service(vfb_lease *lease, int fd, uint64_t offset, size_t size, uint64_t iova, unsigned flags,
                          vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = lease_new_call(lease, "MapMemory", &m, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "htttt", fd, offset, (uint64_t) size, iova, (uint64_t) flags);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        return lease_call_memory(lease, m, ret_error);
}

static int unmap_by_service(vfb_lease *lease, uint64_t iova, size_t size, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = lease_new_call(lease, "UnmapMemory", &m, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "tt", iova, (uint64_t) size);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        return lease_call_memory(lease, m, ret_error);
}

/* The kernel's errno, in the words that the service would use. */
static int refuse_map(vfb_error **ret_error, int number) {
        switch (number) {
        case ENOMEM:
                return error_local(ret_error, -ENOMEM,
                                   "The memory cannot be pinned: RLIMIT_MEMLOCK of this process is too low "
                                   "(ulimit -l), or the machine is short of memory");
        case EEXIST:
                return error_local(ret_error, -EINVAL, "Part of the range is mapped already");
        case EINVAL:
                return error_local(ret_error, -EINVAL,
                                   "The range is empty or not in whole pages, or the IOMMU does not translate it");
        case ENOSPC:
                return error_local(ret_error, -EDQUOT,
                                   "The kernel lets a container have no more mappings (dma_entry_limit)");
        default:
                return error_local(ret_error, -number, NULL);
        }
}

static int map_in_container(const vfb_lease *lease, void *address, size_t size, uint64_t iova, unsigned flags,
                            vfb_error **ret_error) {
        struct vfio_iommu_type1_dma_map map = {
                .argsz = sizeof(map),
                .flags = (flags & VFB_DMA_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
                         (flags & VFB_DMA_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
                .vaddr = (uintptr_t) address,
                .iova = iova,
                .size = size,
        };

        return ioctl(vfb_lease_container_fd(lease), VFIO_IOMMU_MAP_DMA, &map) < 0 ? refuse_map(ret_error, errno) : 0;
}

static int map_here(const vfb_lease *lease, int fd, uint64_t offset, size_t size, uint64_t iova, unsigned flags,
                    vfb_error **ret_error) {
        void *address;
        int r;

        address = mmap(NULL, size, PROT_READ | (flags & VFB_DMA_WRITE ? PROT_WRITE : 0), MAP_SHARED, fd,
                       (off_t) offset);
        if (address == MAP_FAILED)
                return error_local(ret_error, -errno, "The memory cannot be mapped into this process");

        /* The kernel has pinned the pages, and needs the address no longer. */
        r = map_in_container(lease, address, size, iova, flags, ret_error);
        (void) munmap(address, size);
        return r;
}

static int unmap_in_container(const vfb_lease *lease, uint64_t iova, size_t size, vfb_error **ret_error) {
        struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = iova, .size = size };
        int r = 0;

        if (ioctl(vfb_lease_container_fd(lease), VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
                r = -errno;
        else if (unmap.size == 0)
                r = -EINVAL; /* to the kernel this is no error */

        return r < 0 ? error_local(ret_error, r, r == -EINVAL ? "There is no such mapping" : NULL) : 0;
}

static int check_flags(unsigned flags, vfb_error **ret_error) {
        if (flags != 0 && !(flags & ~(VFB_DMA_READ | VFB_DMA_WRITE)))
                return 0;

        return error_local(ret_error, -EINVAL, "The flags are neither VFB_DMA_READ, nor VFB_DMA_WRITE, nor both");
}

int vfb_dma_map(vfb_lease *lease, int fd, uint64_t offset, size_t size, uint64_t iova, unsigned flags,
                vfb_error **ret_error) {
        int r;

        r = check_flags(flags, ret_error);
        if (r < 0)
                return r;
        if (fd < 0)
                return error_local(ret_error, -EBADF, NULL);

        return lease_is_mediated(lease) ? map_by_service(lease, fd, offset, size, iova, flags, ret_error)
                                        : map_here(lease, fd, offset, size, iova, flags, ret_error);
}

int vfb_dma_unmap(vfb_lease *lease, uint64_t iova, size_t size, vfb_error **ret_error) {
        return lease_is_mediated(lease) ? unmap_by_service(lease, iova, size, ret_error)
                                        : unmap_in_container(lease, iova, size, ret_error);
}

/* A descriptor, or a negative errno. */
static int new_memory(size_t size) {
        int r, fd = memfd_create("vfio-broker", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t) size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
                r = -errno;
                (void) close(fd);
                return r;
        }

        return fd;
}

static int map_memory(vfb_lease *lease, int fd, size_t size, uint64_t iova, unsigned flags, void **ret_address,
                      vfb_error **ret_error) {
        void *address;
        int r;

        address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (address == MAP_FAILED)
                return error_local(ret_error, -errno, NULL);

        r = lease_is_mediated(lease) ? map_by_service(lease, fd, 0, size, iova, flags, ret_error)
                                     : map_in_container(lease, address, size, iova, flags, ret_error);
        if (r < 0)
                (void) munmap(address, size);
        else
                *ret_address = address;
        return r;
}

int vfb_dma_alloc(vfb_lease *lease, size_t size, uint64_t iova, unsigned flags, void **ret_address,
                  vfb_error **ret_error) {
        int fd, r;

        r = check_flags(flags, ret_error);
        if (r < 0)
                return r;
        if (size == 0 || size % (size_t) sysconf(_SC_PAGESIZE) != 0)
                return error_local(ret_error, -EINVAL, "The size is not that of whole pages");

        fd = new_memory(size);
        if (fd < 0)
                return error_local(ret_error, fd, NULL);

        r = map_memory(lease, fd, size, iova, flags, ret_address, ret_error);
        (void) close(fd);
        return r;
}
