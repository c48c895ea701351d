/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Errors */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "errors.h"

#define OURS(x) "org.vfiobroker1.Error." x
#define DBUS(x) "org.freedesktop.DBus.Error." x

/*
 * Exit codes: 2 the call is wrong, 3 no such thing, 4 not allowed, 5 somebody else has it, 6 the device
 * or the machine is not ready for it, 7 not clean, 8 too much, 9 try again later.
 */
static const VfbErrorInfo table[_VFB_ERROR_MAX] = {
        [VFB_ERROR_INVALID_ARGS] = {
                DBUS("InvalidArgs"), EINVAL, 2,
                "An argument is wrong",
                "See org.vfiobroker1(5) for what the method takes" },
        [VFB_ERROR_ACCESS_DENIED] = {
                DBUS("AccessDenied"), EACCES, 4,
                "Not allowed by policy",
                "An administrator can allow it with a polkit rule, see org.vfiobroker1(5); "
                "samples are in /usr/share/doc/vfio-broker/rules" },
        [VFB_ERROR_AUTHORIZATION_REQUIRED] = {
                DBUS("InteractiveAuthorizationRequired"), EACCES, 4,
                "An administrator has to agree, and the call did not allow a question",
                "Call again with interactive authorization allowed and an authentication agent running" },
        [VFB_ERROR_AUTHORITY_UNAVAILABLE] = {
                OURS("AuthorityUnavailable"), EAGAIN, 9,
                "polkit does not answer, and without it nothing is handed out",
                "Start polkit (systemctl start polkit) and try again" },
        [VFB_ERROR_INVALID_SELECTOR] = {
                OURS("InvalidSelector"), EINVAL, 2,
                "The selector cannot be read",
                "Selectors are 0000:06:0d.0, 06:0d.0, group:26, class=nvme, vendor=8086, device=100e, driver=vfio-pci, "
                "is-vf=yes, pf=03:00.0, vf=3, numa=0, path:, serial:, alias: and pool:NAME; see vfio-broker(1)" },
        [VFB_ERROR_INVALID_OPTION] = {
                OURS("InvalidOption"), EINVAL, 2,
                "An option or flag is unknown or has a wrong value",
                "The Manager's Features property lists what this version understands" },
        [VFB_ERROR_NO_SUCH_DEVICE] = {
                OURS("NoSuchDevice"), ENODEV, 3,
                "No device matches",
                "vfio-broker list shows what there is" },
        [VFB_ERROR_NO_SUCH_GROUP] = {
                OURS("NoSuchGroup"), ENODEV, 3,
                "No such IOMMU group",
                "vfio-broker tree shows the groups" },
        [VFB_ERROR_NO_SUCH_LEASE] = {
                OURS("NoSuchLease"), ENOENT, 3,
                "No such lease",
                "vfio-broker leases shows what there is; the lease may have ended" },
        [VFB_ERROR_AMBIGUOUS_SELECTOR] = {
                OURS("AmbiguousSelector"), EINVAL, 2,
                "More than one device matches",
                "Name one of them by its address; several terms for one device are one argument: 'pf=03:00.0 vf=3'" },
        [VFB_ERROR_BACKEND_UNAVAILABLE] = {
                OURS("BackendUnavailable"), ENOSYS, 6,
                "The kernel's VFIO interface is not there",
                "Load it: modprobe -a vfio-pci vfio_iommu_type1" },
        [VFB_ERROR_IOMMU_DISABLED] = {
                OURS("IommuDisabled"), ENODEV, 6,
                "The device is in no IOMMU group",
                "Switch the IOMMU on in the firmware and boot with intel_iommu=on, or what your platform calls it" },
        [VFB_ERROR_TAINTED] = {
                OURS("Tainted"), EPERM, 6,
                "The platform cannot isolate the device",
                "Use an IOMMU with interrupt remapping; vfio_iommu_type1.allow_unsafe_interrupts=1 would accept "
                "interrupts without that" },
        [VFB_ERROR_NOT_VFIO] = {
                OURS("NotVfio"), ENXIO, 6,
                "The device is not bound to a VFIO driver",
                "Bind it first: vfio-broker bind ADDRESS" },
        [VFB_ERROR_NOT_VIABLE] = {
                OURS("NotViable"), EPERM, 6,
                "Another device of the IOMMU group is in the host's hands",
                "Bind every device of the group: vfio-broker bind ADDRESS" },
        [VFB_ERROR_IN_USE_BY_HOST] = {
                OURS("InUseByHost"), EBUSY, 5,
                "The host itself needs the device",
                "End that use first, such as a mount or a route; or, unless it is never taken: --on-host-use=steal" },
        [VFB_ERROR_DRIVER_BIND_FAILED] = {
                OURS("DriverBindFailed"), EIO, 6,
                "The driver did not take the device",
                "See what the kernel says: journalctl --dmesg" },
        [VFB_ERROR_DRIVER_UNBIND_TIMEOUT] = {
                OURS("DriverUnbindTimeout"), ETIMEDOUT, 5,
                "The driver does not let go of the device",
                "End the processes that have it open; the broker goes on with it when the kernel does" },
        [VFB_ERROR_LEASED] = {
                OURS("Leased"), EBUSY, 5,
                "The device, or another one of its IOMMU group, is leased",
                "vfio-broker leases shows who has it; wait until it is released" },
        [VFB_ERROR_POOL_EXHAUSTED] = {
                OURS("PoolExhausted"), EBUSY, 5,
                "No device of the pool is free",
                "vfio-broker pools shows how many are free, and vfio-broker list pool:NAME who has them" },
        [VFB_ERROR_HELD_ELSEWHERE] = {
                OURS("HeldElsewhere"), EBUSY, 5,
                "A process outside the broker has the IOMMU group open",
                "Find it with: fuser -v /dev/vfio/GROUP" },
        [VFB_ERROR_QUARANTINED] = {
                OURS("Quarantined"), EUCLEAN, 7,
                "The device is quarantined: it could not be reset",
                "An administrator brings it back with vfio-broker unquarantine" },
        [VFB_ERROR_RESET_FAILED] = {
                OURS("ResetFailed"), EUCLEAN, 7,
                "The device was not reset since somebody else had it",
                "An administrator who knows it is clean lets it go with vfio-broker unquarantine" },
        [VFB_ERROR_VF_TOKEN_REQUIRED] = {
                OURS("VfTokenRequired"), EACCES, 6,
                "The device belongs to an SR-IOV family that is guarded by a VF token",
                "Pass the token in use with the vf-token option" },
        [VFB_ERROR_VF_COUNT] = {
                OURS("VfCount"), EIO, 6,
                "The number of virtual functions could not be changed",
                "The driver of the physical function makes them, vfio-pci with its option enable_sriov=1; "
                "see what the kernel says: journalctl --dmesg" },
        [VFB_ERROR_DEVICE_GONE] = {
                OURS("DeviceGone"), ENODEV, 3,
                "The device has gone, or another has taken its place",
                "Look again with vfio-broker list" },
        [VFB_ERROR_NOT_HOLDER] = {
                OURS("NotHolder"), EPERM, 4,
                "The lease is somebody else's",
                "Only its holder may do this" },
        [VFB_ERROR_QUOTA_EXCEEDED] = {
                OURS("QuotaExceeded"), EDQUOT, 8,
                "More than you may have",
                "Release something first; vfio-broker.conf(5) says where the limits are set" },
        [VFB_ERROR_RATE_LIMITED] = {
                OURS("RateLimited"), EAGAIN, 8,
                "Too many requests are waiting",
                "Wait until some of them are answered" },
        [VFB_ERROR_RESTARTING] = {
                OURS("Restarting"), EAGAIN, 9,
                "The service is stopping",
                "Try again in a moment" },
};

const VfbErrorInfo *vfb_error_info(VfbError error) {
        if ((int) error <= VFB_ERROR_NONE || error >= _VFB_ERROR_MAX)
                return NULL;

        return &table[error];
}

VfbError vfb_error_from_name(const char *name) {
        if (!name)
                return VFB_ERROR_NONE;

        for (int i = VFB_ERROR_NONE + 1; i < _VFB_ERROR_MAX; i++)
                if (strcmp(table[i].name, name) == 0)
                        return (VfbError) i;

        return VFB_ERROR_NONE;
}

const char *vfb_error_code(VfbError error) {
        const VfbErrorInfo *info = vfb_error_info(error);

        return info ? strrchr(info->name, '.') + 1 : NULL;
}
