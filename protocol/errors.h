/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Errors
 *
 * The refusals: everything the broker says no with. One table holds for each the D-Bus error name,
 * the errno that the library returns, the command's exit code, a sentence and a hint. The daemon
 * reads the table one way, the library the other, the manual prints it. Installed.
 *
 * Refusals are positive numbers, so that inside the daemon 0 is done, negative is an errno (we or
 * the kernel failed) and positive is a refusal. The numbers are no ABI: names are.
 */

#ifdef __cplusplus
extern "C" {
#endif

typedef enum VfbError {
        VFB_ERROR_NONE = 0,
        VFB_ERROR_INVALID_ARGS,
        VFB_ERROR_ACCESS_DENIED,
        VFB_ERROR_AUTHORIZATION_REQUIRED,
        VFB_ERROR_AUTHORITY_UNAVAILABLE,
        VFB_ERROR_INVALID_SELECTOR,
        VFB_ERROR_INVALID_OPTION,
        VFB_ERROR_NO_SUCH_DEVICE,
        VFB_ERROR_NO_SUCH_GROUP,
        VFB_ERROR_NO_SUCH_LEASE,
        VFB_ERROR_AMBIGUOUS_SELECTOR,
        VFB_ERROR_BACKEND_UNAVAILABLE,
        VFB_ERROR_IOMMU_DISABLED,
        VFB_ERROR_TAINTED,
        VFB_ERROR_NOT_VFIO,
        VFB_ERROR_NOT_VIABLE,
        VFB_ERROR_IN_USE_BY_HOST,
        VFB_ERROR_DRIVER_BIND_FAILED,
        VFB_ERROR_DRIVER_UNBIND_TIMEOUT,
        VFB_ERROR_LEASED,
        VFB_ERROR_POOL_EXHAUSTED,
        VFB_ERROR_HELD_ELSEWHERE,
        VFB_ERROR_QUARANTINED,
        VFB_ERROR_RESET_FAILED,
        VFB_ERROR_VF_TOKEN_REQUIRED,
        VFB_ERROR_VF_COUNT,
        VFB_ERROR_DEVICE_GONE,
        VFB_ERROR_NOT_HOLDER,
        VFB_ERROR_QUOTA_EXCEEDED,
        VFB_ERROR_RATE_LIMITED,
        VFB_ERROR_RESTARTING,
        _VFB_ERROR_MAX,
} VfbError;

typedef struct VfbErrorInfo {
        const char *name;  /* the D-Bus error name */
        int number;        /* errno, positive; several names may share one */
        int exit_code;     /* of the vfio-broker command */
        const char *text;  /* what is wrong, a sentence without its full stop */
        const char *hint;  /* what to do about it, likewise */
} VfbErrorInfo;

/* Static storage; NULL if @error is none of the table's. */
const VfbErrorInfo *vfb_error_info(VfbError error);

/* The refusal that @name stands for, VFB_ERROR_NONE if it is not one of ours. @name may be NULL. */
VfbError vfb_error_from_name(const char *name);

/* The last word of the D-Bus name, as findings carry it: "NotViable". */
const char *vfb_error_code(VfbError error);

#ifdef __cplusplus
}
#endif
