/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: the memory of mediated leases
 *
 * Their holders have the devices but never the container, so what the devices can reach is the daemon's to give and to
 * take. A mapping is recorded before the kernel is asked and forgotten after the kernel has taken it back. A cut takes
 * back everything, whatever is recorded; since a map that is still under way would come after it, it is done again when
 * that one has ended.
 */

#include <inttypes.h>
#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "errors.h"
#include "log.h"
#include "names.h"

static int find_lease_state(const Lease *lease, bool map, Findings *findings) {
        Finding *finding;
        int r;

        if (lease->mode != LEASE_MODE_MEDIATED) {
                r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, "",
                                       "The memory of lease %s is its holder's to map in the container: its mode is %s",
                                       lease->id, lease_mode_name(lease->mode));
                return r < 0 ? r : finding_set_fix(finding, "acquire it with mode=" VFB_MODE_MEDIATED);
        }

        /* What is to end soon may still be tidied up, but not grow. */
        if (lease->state == LEASE_PREPARING || lease_is_over(lease) || lease->dma_stopped ||
            (map && lease->state != LEASE_ACTIVE))
                return findings_add_error(findings, NULL, VFB_ERROR_NO_SUCH_LEASE, "", "Lease %s is over", lease->id);
        if (lease->container_fd < 0)
                return findings_add_error(findings, NULL, VFB_ERROR_HELD_ELSEWHERE, "",
                                          "The container of lease %s was lost with an earlier run of the service: what "
                                          "is mapped stays so until the devices are closed", lease->id);
        if (lease->n_tasks >= LEASE_TASKS_MAX)
                return findings_add_error(findings, NULL, VFB_ERROR_RATE_LIMITED, "",
                                          "%u calls for lease %s are waiting already", lease->n_tasks, lease->id);
        return 0;
}

static int find_range(uint64_t iova, uint64_t size, Findings *findings) {
        uint64_t page = dma_page_size();

        if (iova % page != 0 || size % page != 0)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "iova and size are not multiples of the page size, %" PRIu64, page);
        if (size == 0 || size - 1 > UINT64_MAX - iova)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "The range is empty, or ends beyond the last address");
        return 0;
}

static int find_flags(uint64_t flags, Findings *findings) {
        if (flags != 0 && !(flags & ~(uint64_t) (VFB_MAP_READ | VFB_MAP_WRITE)))
                return 0;

        return findings_add_error(findings, NULL, VFB_ERROR_INVALID_OPTION, "",
                                  "Flags are 0x%" PRIx64 "; may be 1 (the device may read), 2 (it may write), both",
                                  flags);
}

static int find_memory(const BrokerMemory *memory, Findings *findings) {
        Finding *finding;
        uint64_t size;
        int r;

        r = dma_check_memory(memory->fd, &size);
        if (r == -EINVAL || r == -EPERM) {
                r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, "",
                                       r == -EINVAL ? "The descriptor is none of a memfd"
                                                    : "The memfd is not sealed against shrinking");
                if (r < 0)
                        return r;
                return finding_set_fix(finding, "make it with memfd_create(..., MFD_ALLOW_SEALING), then give it its "
                                                "size, then fcntl(..., F_ADD_SEALS, F_SEAL_SHRINK)");
        }
        if (r < 0)
                return r;

        if (memory->offset % dma_page_size() != 0)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "offset is not a multiple of the page size, %" PRIu64, dma_page_size());
        if (memory->offset > size || memory->size > size - memory->offset)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "The memfd ends at %" PRIu64 ", before the end of what is to be mapped",
                                          size);
        return 0;
}

static int find_lease_limits(Broker *broker, const Lease *lease, uint64_t size, Findings *findings) {
        const Mappings *mappings = &lease->mappings;
        const Config *config = &broker->config;
        uint64_t bytes_max = config->mediated_bytes_per_lease_max;

        if (mappings->n >= config->mappings_per_lease_max)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "The lease has %u mappings, and may have %u", mappings->n,
                                          config->mappings_per_lease_max);
        if (size > bytes_max || mappings->bytes > bytes_max - size)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "The lease has %" PRIu64 " bytes mapped, and may have %" PRIu64,
                                          mappings->bytes, bytes_max);
        return 0;
}

/* 0: there may be findings all the same. */
static int find_about_map(Broker *broker, const Lease *lease, const BrokerMemory *memory, Findings *findings) {
        int r;

        r = find_lease_state(lease, true, findings);
        if (r < 0 || findings->n > 0)
                return r;
        r = find_flags(memory->flags, findings);
        if (r < 0 || findings->n > 0)
                return r;
        r = find_range(memory->iova, memory->size, findings);
        if (r < 0 || findings->n > 0)
                return r;
        r = find_memory(memory, findings);
        if (r < 0 || findings->n > 0)
                return r;

        return find_lease_limits(broker, lease, memory->size, findings);
}

/* Tells whoever waits. */
static void task_answer(Task *task, int r, const Finding *why) {
        if (task->mapped)
                task->mapped(r, why, task->userdata);
        task->mapped = NULL;
}

static int explain_dma(const DmaPlan *plan, const DmaResult *result, Findings *findings) {
        int error = result->error;

        if (result->step == DMA_STEP_MEMORY && (error == EACCES || error == EPERM))
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "The memfd may not be mapped like that: it is opened for less, "
                                          "or sealed against writing");
        if (result->step == DMA_STEP_MEMORY && error == EINVAL)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "The memfd cannot be mapped in such pieces: its pages are larger ones");
        if (result->step == DMA_STEP_MAP && error == EINVAL)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "The IOMMU does not translate 0x%" PRIx64 " to 0x%" PRIx64
                                          "; the ReservedRegions of the group are among what it leaves out",
                                          plan->range.iova, plan->range.iova + (plan->range.size - 1));
        if (result->step == DMA_STEP_MAP && error == ENOSPC)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "The kernel lets a container have no more mappings (dma_entry_limit)");
        return -error;
}

static void task_answer_result(Task *task, const DmaResult *result) {
        Findings findings = {};
        const Finding *why;
        int r;

        r = explain_dma(&task->dma, result, &findings);
        why = findings_first_error(&findings);
        task_answer(task, why ? (int) why->error : r < 0 ? r : -EIO, why);
        findings_done(&findings);
}

static int task_run_cut(Task *task);
static void cut_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata);

/* A cut that waits for maps which were under way when it ran. */
static Task *find_waiting_cut(const Lease *lease) {
        Task *task;

        LIST_FOREACH(task, &broker_of(lease)->tasks, all)
                if (task->lease == lease && task->is_cut && !task->job)
                        return task;

        return NULL;
}

/* What comes after a task. May free the lease. */
static void task_end(Task *task) {
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        Task *cut;
        int r;

        task_free(task);

        while (lease->mappings.n_coming == 0 && (cut = find_waiting_cut(lease))) {
                r = task_run_cut(cut);
                if (r < 0) {
                        cut_on_done(r, NULL, NULL, 0, cut);
                        return;
                }
        }

        if (lease_is_over(lease))
                broker_continue_end(broker, lease);
}

/* The mapping that the task is about; NULL if a cut has taken it. */
static Mapping *task_mapping(const Task *task) {
        return mappings_find(&task->lease->mappings, task->dma.range.iova, task->dma.range.size);
}

static void task_forget_mapping(Task *task) {
        Mapping *mapping = task_mapping(task);

        if (!mapping)
                return;

        lease_remove_mapping(task->lease, mapping);
        broker_note_lease(task->broker, task->lease);
}

static void undo_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const DmaResult *result = data;
        Task *task = userdata;
        Mapping *mapping = task_mapping(task);

        task->job = NULL;
        if (r >= 0 && result->step == DMA_STEP_NONE)
                task_forget_mapping(task);
        else if (mapping)
                mappings_set_state(&task->lease->mappings, mapping, MAPPING_THERE); /* for all we know */

        task_answer(task, task->error, NULL);
        task_end(task);
}

/* The child died without a word, so whether it is mapped nobody knows. */
static void task_undo_map(Task *task, int error) {
        task->error = error;
        if (task_start_dma(task, dma_unmap, undo_on_done, -EBADF) < 0)
                undo_on_done(-EIO, NULL, NULL, 0, task);
}

static void map_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const DmaResult *result = data;
        Task *task = userdata;
        Lease *lease = task->lease;

        task->job = NULL;
        if (r < 0) {
                task_undo_map(task, r);
                return;
        }

        if (result->step != DMA_STEP_NONE) {
                task_forget_mapping(task);
                task_answer_result(task, result);
        } else {
                mappings_set_state(&lease->mappings, task_mapping(task), MAPPING_THERE);
                task_answer(task, lease_is_over(lease) || lease->dma_stopped ? VFB_ERROR_NO_SUCH_LEASE : 0, NULL);
        }
        task_end(task);
}

static int find_overlap_or_quota(const Lease *lease, int r, Findings *findings) {
        if (r == VFB_ERROR_INVALID_ARGS)
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                          "Part of the range is mapped already; UnmapMemory takes it back");
        if (r == VFB_ERROR_QUOTA_EXCEEDED)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "You have %u mappings of %" PRIu64 " bytes in all your leases, and this is "
                                          "more than you may have", lease->user->n_mappings, lease->user->mapped_bytes);
        return r;
}

static int broker_record_and_map(Broker *broker, Lease *lease, const BrokerMemory *memory, Findings *findings,
                                 Task **ret) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        task->dma.memory = memory->fd;
        task->dma.offset = memory->offset;
        task->dma.range = (DmaRange){ .iova = memory->iova, .size = memory->size };
        task->dma.read = memory->flags & VFB_MAP_READ;
        task->dma.write = memory->flags & VFB_MAP_WRITE;

        r = lease_add_mapping(lease, memory->iova, memory->size, broker->config.mappings_per_user_max,
                              broker->config.mediated_bytes_per_user_max);
        if (r != 0) {
                int q = find_overlap_or_quota(lease, r, findings);

                return q < 0 ? q : r;
        }

        r = broker_record_lease(broker, lease);
        if (r >= 0)
                r = task_start_dma(task, dma_map, map_on_done, memory->fd);
        if (r < 0) {
                task_forget_mapping(task);
                return r;
        }

        *ret = TAKE_PTR(task);
        return 0;
}

int broker_map_memory(Broker *broker, const Lease *borrowed, const BrokerMemory *memory, Findings *findings,
                      BrokerMapped done, void *userdata) {
        Lease *lease = (Lease *) borrowed;
        Task *task;
        int r;

        r = find_about_map(broker, lease, memory, findings);
        if (r >= 0)
                r = findings_refusal(findings);
        if (r != 0)
                return r;

        r = broker_record_and_map(broker, lease, memory, findings, &task);
        if (r != 0)
                return r;

        task->mapped = done;
        task->userdata = userdata;
        return 0;
}

static void unmap_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const DmaResult *result = data;
        Task *task = userdata;
        Mapping *mapping = task_mapping(task);

        task->job = NULL;
        if (r >= 0 && result->step == DMA_STEP_NONE) {
                task_forget_mapping(task);
                task_answer(task, 0, NULL);
        } else {
                if (mapping)
                        mappings_set_state(&task->lease->mappings, mapping, MAPPING_THERE);
                task_answer(task, r < 0 ? r : -result->error, NULL);
        }
        task_end(task);
}

static int broker_start_unmap(Broker *broker, Lease *lease, Mapping *mapping, Task **ret) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        task->dma.range = (DmaRange){ .iova = mapping->iova, .size = mapping->size };
        r = task_start_dma(task, dma_unmap, unmap_on_done, -EBADF);
        if (r < 0)
                return r;

        mappings_set_state(&lease->mappings, mapping, MAPPING_GOING);
        *ret = TAKE_PTR(task);
        return 0;
}

int broker_unmap_memory(Broker *broker, const Lease *borrowed, uint64_t iova, uint64_t size, Findings *findings,
                        BrokerMapped done, void *userdata) {
        Lease *lease = (Lease *) borrowed;
        Mapping *mapping;
        Task *task;
        int r;

        r = find_lease_state(lease, false, findings);
        if (r >= 0)
                r = findings_refusal(findings);
        if (r != 0)
                return r;

        mapping = mappings_find(&lease->mappings, iova, size);
        if (!mapping || mapping->state != MAPPING_THERE) {
                r = findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, "",
                                       "No mapping begins at 0x%" PRIx64 " and has %" PRIu64 " bytes", iova, size);
                return r < 0 ? r : VFB_ERROR_INVALID_ARGS;
        }

        r = broker_start_unmap(broker, lease, mapping, &task);
        if (r < 0)
                return r;

        task->mapped = done;
        task->userdata = userdata;
        return 0;
}

static void log_cut(const Lease *lease, unsigned n, uint64_t bytes, int error) {
        if (error == 0)
                broker_log_lease(lease, &(LogEvent){ .id = LOG_ID_CUT, .priority = LOG_INFO },
                                 "The DMA of lease %s is cut: %u mappings of %" PRIu64 " bytes", lease->id, n, bytes);
        else
                broker_log_lease(lease,
                                 &(LogEvent){ .id = LOG_ID_NOT_CUT, .priority = LOG_ERR,
                                              .error = strerrorname_np(error) },
                                 "The DMA of lease %s is not cut: %u mappings of %" PRIu64 " bytes stay: %s",
                                 lease->id, n, bytes, strerror(error));
}

static void cut_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const DmaResult *result = data;
        Task *task = userdata;
        Lease *lease = task->lease;
        uint64_t bytes = lease->mappings.bytes;
        unsigned n = lease->mappings.n;

        task->job = NULL;
        if (lease->mappings.n_coming > 0)
                return; /* task_end() of the last of them starts it again */

        if (r >= 0 && result->step != DMA_STEP_NONE)
                r = -result->error;
        lease->cut = r < 0 ? LEASE_CUT_FAILED : LEASE_CUT_NONE;
        if (r >= 0) {
                lease_clear_mappings(lease);
                broker_note_lease(task->broker, lease);
        }
        if (n > 0 && (r >= 0 || lease->wait_usec == 0)) /* and not each time it is tried again */
                log_cut(lease, n, bytes, r < 0 ? -r : 0);

        if (task->cut)
                task->cut(r < 0 ? r : 0, n, bytes, task->userdata);
        task_end(task);
}

/* With what is recorded now. */
static int task_run_cut(Task *task) {
        const Mappings *mappings = &task->lease->mappings;
        _cleanup_(freep) DmaRange *ranges = NULL;
        int r;

        ranges = calloc(mappings->n + 1, sizeof(*ranges));
        if (!ranges)
                return -ENOMEM;
        for (unsigned i = 0; i < mappings->n; i++)
                ranges[i] = (DmaRange){ .iova = mappings->items[i].iova, .size = mappings->items[i].size };

        /* The child has a copy of them. */
        task->dma.ranges = ranges;
        task->dma.n_ranges = mappings->n;
        r = task_start_dma(task, dma_unmap_all, cut_on_done, -EBADF);
        task->dma.ranges = NULL;
        return r;
}

int broker_cut_dma(Broker *broker, Lease *lease, BrokerCut done, void *userdata) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        lease->dma_stopped = true;
        if (lease->mappings.n == 0)
                return 1;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;
        task->is_cut = true;
        broker->n_cuts++;

        r = task_run_cut(task);
        if (r < 0)
                return r;

        lease->cut = LEASE_CUT_RUNNING;
        task->cut = done;
        task->userdata = userdata;
        TAKE_PTR(task);
        return 0;
}

bool broker_must_cut(const Lease *lease) {
        return lease->mappings.n > 0 && lease->cut == LEASE_CUT_NONE;
}
