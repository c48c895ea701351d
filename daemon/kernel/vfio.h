/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Vfio
 *
 * The container, its groups and their devices, as linux/vfio.h has them. All functions here block (a first
 * open resets the device, and so does a last close), so all run in a job's child, as JobWork: the
 * plan goes in, a result and descriptors come out. What is opened and not passed on is closed, and
 * so undone, when the child ends.
 */

#include <stdbool.h>
#include <stdint.h>

#include "job.h"

#define VFIO_DEVICES_MAX 64
#define VFIO_GROUPS_MAX  64

typedef enum VfioStep {
        VFIO_STEP_NONE,
        VFIO_STEP_CONTAINER, /* open /dev/vfio/vfio, VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION */
        VFIO_STEP_GROUP,     /* open /dev/vfio/N */
        VFIO_STEP_STATUS,    /* VFIO_GROUP_GET_STATUS: error is EPERM if not viable */
        VFIO_STEP_ATTACH,    /* VFIO_GROUP_SET_CONTAINER */
        VFIO_STEP_IOMMU,     /* VFIO_SET_IOMMU */
        VFIO_STEP_DEVICE,    /* VFIO_GROUP_GET_DEVICE_FD */
        VFIO_STEP_INFO,      /* VFIO_DEVICE_GET_INFO */
        VFIO_STEP_DETACH,    /* VFIO_GROUP_UNSET_CONTAINER */
        _VFIO_STEP_MAX,
} VfioStep;

typedef struct VfioDevicePlan {
        char address[64]; /* its id */
        unsigned name;    /* where in that the name begins that VFIO knows it by: behind "mdev:" */
        bool ask_reset;   /* by VFIO_DEVICE_RESET once it is open: only PCI functions are reset by that */
        char token[40]; /* VF token, a UUID; "" for none */
        bool made;      /* the token is no client's, so where it is not needed it is left out */
        bool pf;        /* it sets the token, so it is opened before those that need it */
        unsigned group; /* index into groups */
        char guard[32]; /* the PF, which nobody has, to be given the token first if this is refused; "": none */
        unsigned guard_group; /* its group's number */
        bool bus;    /* for the gate: its bus may be reset, as far as /sys tells */
        bool closed; /* likewise: it is not to be opened at all */
} VfioDevicePlan;

typedef struct VfioPlan {
        int dev; /* descriptor of /dev */
        bool noiommu; /* the groups are of VFIO's no-IOMMU mode: other nodes, and another model */
        char lease[16]; /* container and groups are kept in the fd store under its name; "": they are not */
        unsigned n_groups, n_devices;
        unsigned n_pass; /* how many of the devices, from the first, are passed on */
        uint32_t groups[VFIO_GROUPS_MAX];
        int group_fds[VFIO_GROUPS_MAX]; /* not used by vfio_open(); for the others, negative: open it */
        VfioDevicePlan devices[VFIO_DEVICES_MAX];

        /* For the gate. @idle: groups of nobody, whose devices a reset of a bus may hit as well, if the kernel
         * confirms that they are not open. */
        int sys; /* descriptor of /sys */
        unsigned n_idle;
        uint32_t idle[VFIO_GROUPS_MAX];
} VfioPlan;

typedef enum VfioResetHow {
        VFIO_RESET_NONE,     /* nothing worked by itself, and the bus cannot be reset, or not without others */
        VFIO_RESET_FUNCTION, /* the kernel's own, of the function alone */
        VFIO_RESET_BUS,      /* of its bus, and the device was as before afterwards */
        VFIO_RESET_FAILED,   /* of its bus, and the kernel says @error */
        VFIO_RESET_BROKEN,   /* of its bus, and the device was not as before afterwards, see @defect */
        _VFIO_RESET_HOW_MAX,
} VfioResetHow;

typedef enum VfioDefect {
        VFIO_DEFECT_NONE,
        VFIO_DEFECT_SILENT, /* its configuration cannot be read any more */
        VFIO_DEFECT_OTHER,  /* another device answers */
        VFIO_DEFECT_MASTER, /* it may still do DMA */
        VFIO_DEFECT_BARS,   /* its BARs were not restored */
        _VFIO_DEFECT_MAX,
} VfioDefect;

typedef struct VfioReset {
        VfioResetHow how;
        VfioDefect defect;
        int error;      /* errno, positive */
        unsigned scope; /* how many devices the reset of the bus has hit */
} VfioReset;

typedef struct VfioResult {
        VfioStep step; /* where it failed; NONE: it did not */
        int error;     /* errno, positive */
        unsigned index; /* of the group or the device that failed */
        unsigned model; /* VFIO_TYPE1v2_IOMMU or VFIO_TYPE1_IOMMU */
        bool told[VFIO_DEVICES_MAX]; /* vfio_request(): somebody listens */
        bool reset_works[VFIO_DEVICES_MAX]; /* VFIO_DEVICE_FLAGS_RESET at this open: a reset has just succeeded */
        VfioReset resets[VFIO_DEVICES_MAX]; /* of the gate: what it has come to */
} VfioResult;

/* One fresh container, all groups attached, the best model set, every device opened (and so reset).
 * Passes: container, groups (always: the daemon keeps them, and so does systemd's fd store), the first n_pass
 * devices. */
void vfio_open(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* Opens the first n_pass devices of groups that are attached already (group_fds). Passes the devices. */
void vfio_open_more(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* The kernel's own word that nobody has a device open: UNSET_CONTAINER of each group of group_fds, EBUSY
 * while somebody has. A group without a container is done already. A negative descriptor stands for
 * a group that the client had in its hands (legacy-raw), or whose descriptor was lost with an earlier daemon: it
 * is opened, EBUSY while somebody has it, and passed. Passes: the groups opened here, in order; on failure none. All
 * groups are tried, and the first that fails is named. */
void vfio_detach(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* Fires the interrupt by which the kernel itself asks for a device back (VFIO_PCI_REQ_IRQ_INDEX), as its holder has
 * set it up; told says where that is so. The devices are open already, or this opens and so resets them.
 * Passes nothing. */
void vfio_request(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* "type1v2", "type1", "noiommu" */
const char *vfio_model_name(unsigned model);
