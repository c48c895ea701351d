/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: what the kernel has answered to an attempt, in words. What would be in its way is broker-examine.c's. */

#include <linux/vfio.h>
#include <string.h>

#include "broker-internal.h"
#include "errors.h"

static const char *planned_address(const VfioPlan *plan, const VfioResult *result) {
        return result->index < plan->n_devices ? plan->devices[result->index].address : "";
}

static unsigned planned_group(const VfioPlan *plan, const VfioResult *result) {
        return result->index < plan->n_groups ? plan->groups[result->index] : 0;
}

/* The kernel has the last word about viability; say which device it means, if we can see it. */
static int explain_not_viable(Broker *broker, const Lease *lease, const VfioResult *result, Findings *findings) {
        const Group *group = lease->groups[result->index < lease->n_groups ? result->index : 0];
        size_t before = findings->n;
        Device *device;
        int r;

        device = TAILQ_FIRST(&group->devices);
        if (device) {
                r = broker_refresh_group(broker, device_id(device));
                if (r < 0)
                        return r;
        }

        r = broker_find_blockers("", group, NULL, BROKER_NAMED_MAX, findings);
        if (r < 0 || findings->n > before)
                return r;

        return findings_add_error(findings, NULL, VFB_ERROR_NOT_VIABLE, "",
                                  "The kernel says that somebody else does DMA in IOMMU group %u", group->number);
}

static int explain_device_error(const VfioPlan *plan, const VfioResult *result, Findings *findings) {
        const char *address = planned_address(plan, result);

        switch (result->error) {
        case EACCES:
                return findings_add_error(findings, NULL, VFB_ERROR_VF_TOKEN_REQUIRED, address,
                                          "%s is guarded by a VF token%s", address,
                                          plan->devices[result->index].token[0] ? ", and it is not this one" : "");
        case ENODEV:
                return findings_add_error(findings, NULL, VFB_ERROR_DEVICE_GONE, address,
                                          "%s has gone, or is being unbound", address);
        case EAGAIN:
                return findings_add_error(findings, NULL, VFB_ERROR_HELD_ELSEWHERE, address,
                                          "%s is locked by another action of the kernel; try again", address);
        default:
                return -result->error;
        }
}

static int explain_group_error(const VfioPlan *plan, const VfioResult *result, Findings *findings) {
        unsigned group = planned_group(plan, result);

        switch (result->error) {
        case EBUSY:
                return findings_add_error(
                        findings, NULL, VFB_ERROR_HELD_ELSEWHERE, "",
                        "IOMMU group %u is open in a process outside the broker; find it with: fuser -v /dev/vfio/%u",
                        group, group);
        case ENOENT:
        case ENODEV:
                return findings_add_error(findings, NULL, VFB_ERROR_NOT_VFIO, "",
                                          "No device of IOMMU group %u is on a VFIO driver any more", group);
        default:
                return -result->error;
        }
}

static int explain_container_error(const VfioResult *result, Findings *findings) {
        switch (result->error) {
        case ENOTSUP:
                return findings_add_error(
                        findings, NULL, VFB_ERROR_BACKEND_UNAVAILABLE, "",
                        "/dev/vfio/vfio is not the container interface that this version speaks");
        case ENOENT:
        case ENODEV:
        case ENXIO:
                return findings_add_error(findings, NULL, VFB_ERROR_BACKEND_UNAVAILABLE, "",
                                          "There is no /dev/vfio/vfio");
        default:
                return -result->error;
        }
}

static int explain_attach_error(Broker *broker, const Lease *lease, const VfioPlan *plan, const VfioResult *result,
                                Findings *findings) {
        switch (result->error) {
        case EPERM:
                return explain_not_viable(broker, lease, result, findings);
        case EINVAL:
                return findings_add_error(findings, NULL, VFB_ERROR_TAINTED, "",
                                          "IOMMU group %u cannot be isolated: the firmware claims memory for it",
                                          planned_group(plan, result));
        default:
                return -result->error;
        }
}

static int explain_iommu_error(const VfioResult *result, Findings *findings) {
        switch (result->error) {
        case EPERM:
                return findings_add_error(findings, NULL, VFB_ERROR_TAINTED, "",
                                          "The kernel refuses the IOMMU: no interrupt remapping, "
                                          "or the firmware claims memory of the device");
        case ENODEV:
                return findings_add_error(findings, NULL, VFB_ERROR_BACKEND_UNAVAILABLE, "",
                                          "The kernel has no IOMMU model for containers: modprobe vfio_iommu_type1");
        default:
                return -result->error;
        }
}

int broker_explain_result(Broker *broker, const Lease *lease, const VfioPlan *plan, const VfioResult *result,
                          Findings *findings) {
        switch (result->step) {
        case VFIO_STEP_CONTAINER:
                return explain_container_error(result, findings);
        case VFIO_STEP_GROUP:
                return explain_group_error(plan, result, findings);
        case VFIO_STEP_STATUS:
        case VFIO_STEP_ATTACH:
                return explain_attach_error(broker, lease, plan, result, findings);
        case VFIO_STEP_IOMMU:
                return explain_iommu_error(result, findings);
        case VFIO_STEP_DEVICE:
                return explain_device_error(plan, result, findings);
        case VFIO_STEP_INFO:
        case VFIO_STEP_DETACH:
                return -result->error;
        case VFIO_STEP_NONE:
        case _VFIO_STEP_MAX:
                break;
        }

        return -EIO;
}
