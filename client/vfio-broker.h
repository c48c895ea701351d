/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * libvfio-broker
 *
 * Gets open VFIO descriptors from vfio-brokerd over the system bus. In short:
 *
 *         vfb_request_new(&request);
 *         vfb_request_add_device(request, "0000:06:0d.0", NULL);
 *         vfb_open(&connection, &listener, userdata, NULL);
 *         r = vfb_acquire(connection, request, &lease, &error);
 *         vfb_dma_alloc(lease, size, iova, VFB_DMA_READ | VFB_DMA_WRITE, &address, &error);
 *         ioctl(vfb_lease_device_fd(lease, 0), VFIO_DEVICE_GET_REGION_INFO, ...);
 *         vfb_lease_free(lease);
 *
 * Functions that can fail return 0 (or what they say) and a negative errno otherwise. Where there is a
 * @ret_error, it may be NULL; on failure it receives an object that the caller frees with
 * vfb_error_free(). Other outputs are written on success only. -ENOMEM is possible wherever something
 * is made and is not repeated below. Errors named here in CamelCase are D-Bus errors of the service:
 * vfb_error_name() gives their full name, vfio-broker(1) lists them all.
 *
 * The library starts no thread, has no global state, installs no signal handler, prints nothing and
 * never ends the process. An object may be used by one thread at a time, and not in a child after
 * fork() (-ECHILD). Only vfb_open(), vfb_acquire(), vfb_claim(), vfb_lease_release(), vfb_lease_renew(),
 * vfb_lease_expires(), vfb_lease_offer(), vfb_list_devices() and vfb_explain() wait for another process, and in
 * mode "mediated" vfb_dma_alloc(), vfb_dma_map() and vfb_dma_unmap().
 *
 * Every descriptor is O_CLOEXEC, and belongs to the lease until vfb_lease_take_fd(). VFIO counts open
 * files: a device is not free before the last copy of its descriptor is closed, in whatever process,
 * and every mapping of it is gone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* A connection to the service, by way of the system bus. */
typedef struct vfb vfb;

/* What to ask for. May be used for any number of vfb_acquire() and vfb_explain(). */
typedef struct vfb_request vfb_request;

/* The right to use devices, with their descriptors. */
typedef struct vfb_lease vfb_lease;

/* Why something failed, for programs (name) and for people (text and hint). */
typedef struct vfb_error vfb_error;

/*
 * Events
 *
 * Callbacks are called from vfb_dispatch() only; what arrives while a function waits stays in the queue.
 * Strings are valid during the call. A callback may free its lease; it must not call vfb_free(),
 * vfb_dispatch(), or a function that waits (-EBUSY). Each may be NULL.
 */
typedef struct vfb_listener {
        /*
         * The lease is in another state: "active", "revoking" (to be given back), "lingering" (over, but
         * somebody still has a device open), "cleaning" (being reset) or "failed" (over, and not clean). Stands
         * on Lease.State.
         */
        void (*lease_state)(vfb_lease *lease, const char *state, void *userdata);

        /*
         * The lease is over and the devices are free again, or quarantined. reason: "released",
         * "holder-gone", "expired", "revoked", "removed" or "failed". The object and its descriptors stay until
         * vfb_lease_free(). Stands on Manager.LeaseRemoved.
         */
        void (*lease_ended)(vfb_lease *lease, const char *reason, void *userdata);

        /*
         * One of the lease's devices has gone, or the kernel waits for it to be closed so that it can go: close what
         * belongs to it. cause: "unplug" or "driver". Programs that want to hear of a removal at once, and on kernels
         * before Linux 6.6 at all, arm VFIO_PCI_REQ_IRQ_INDEX besides.
         * The lease ends by itself when it was the last. Stands on Lease.DeviceGone.
         */
        void (*device_gone)(vfb_lease *lease, const char *device_id, const char *cause, void *userdata);

        /*
         * The service has left the bus, or the connection to the bus is lost: until further notice no
         * event comes. Leases are not over by this and descriptors go on working. If it was the service
         * alone, events go on when it has come back; if it was the bus, vfb_dispatch() returns
         * -ENOTCONN from then on.
         */
        void (*disconnected)(vfb *connection, void *userdata);

        /*
         * The lease ends soon, at that time (microseconds since the epoch), unless vfb_lease_renew() comes
         * before: a quarter of its time is left, a minute at most. Stands on Lease.Expiring.
         */
        void (*expiring)(vfb_lease *lease, uint64_t expires_usec, void *userdata);

        /*
         * An administrator wants the lease back by that time (microseconds since the epoch): close what belongs to it,
         * then vfb_lease_revoke_complete(). Whoever has a device of it then is ended by force. May come again,
         * with an earlier deadline. Stands on Lease.RevokeRequested.
         */
        void (*revoke_requested)(vfb_lease *lease, const char *reason, uint64_t deadline_usec, void *userdata);

        /* For later versions. Must be NULL. */
        void (*reserved[2])(void);
} vfb_listener;

/*
 * Connects to the system bus (to DBUS_SYSTEM_BUS_ADDRESS where the environment has it). @listener is
 * copied and may be NULL: then there are no events, and no need for vfb_dispatch(). The service need not
 * run yet: it is started by the first call to it.
 *
 * Errors: -EINVAL (@listener uses a reserved callback), -EHOSTDOWN (the system bus cannot be reached).
 */
int vfb_open(vfb **ret, const vfb_listener *listener, void *userdata, vfb_error **ret_error);

/*
 * Closes the connection. Leases that came through it stay as they are, but have no events any more and
 * cannot be released with vfb_lease_release(). Takes NULL, returns NULL.
 */
vfb *vfb_free(vfb *connection);

/*
 * For poll(2) or an event loop of your own: the descriptor (borrowed; never read from it), the events to
 * wait for, and after how many milliseconds to call vfb_dispatch() anyway (-1: no limit). Ask for the
 * latter two anew before each wait. A call that waits may leave events behind in the queue; then the
 * time is 0 although the descriptor has nothing to read.
 *
 * Errors: -ENOTCONN after the connection was lost.
 */
int vfb_get_fd(vfb *connection);
int vfb_get_events(vfb *connection);
int vfb_get_timeout(vfb *connection, int *ret_msec);

/*
 * Handles what has arrived and calls the listener. Never waits. Returns how many messages were handled.
 *
 * Errors: -ENOTCONN if the connection is lost, after the listener's disconnected() was called.
 */
int vfb_dispatch(vfb *connection);

/*
 * Requests
 *
 * The setters copy what they are given. What the values mean is checked by the service.
 */
int vfb_request_new(vfb_request **ret);

/* Takes NULL, returns NULL. */
vfb_request *vfb_request_free(vfb_request *request);

/*
 * Adds a device. @selector: any free one of a pool ("pool:lab-vf"), an address ("0000:06:0d.0", "06:0d.0"), a name
 * that survives a new card ("alias:lab-nic", "serial:S3X9NX0M", "path:pci-0000:00:03.1/00.0"), "group:26" for all
 * devices of the group that are on a VFIO driver, or terms that one device alone matches ("class=nvme vendor=8086").
 * @vf_token: the UUID that guards the device's SR-IOV family, as the PF's holder has it; NULL: the service makes one
 * where the kernel wants it.
 *
 * Errors: -EINVAL (@selector is empty).
 */
int vfb_request_add_device(vfb_request *request, const char *selector, const char *vf_token);

/*
 * How the descriptors are to be: "auto" (as if never set; the service chooses), "legacy" (a container
 * that is ready for use, and devices), "legacy-raw" (group descriptors, too, for programs that open devices
 * themselves), "mediated" (devices only: the service maps memory, so that it can end DMA with the lease). NULL
 * takes it back.
 */
int vfb_request_set_mode(vfb_request *request, const char *mode);

/* A few words that tell people what the lease is for, at most 64 characters. NULL takes it back. */
int vfb_request_set_label(vfb_request *request, const char *label);

/*
 * What ends the lease when it goes: "lifeline" (as if never set: the last close of its lifeline), "bus" (the
 * connection leaves the bus: vfb_free(), or the end of the process), "pidfd" (a process ends; needs
 * vfb_request_set_pidfd()), "unit" (a systemd unit ends, or is started anew; the caller's own unless
 * vfb_request_set_unit() names one). With the latter three closing the lifeline ends nothing, and so
 * vfb_lease_free() does not. NULL takes it back.
 */
int vfb_request_set_lifetime(vfb_request *request, const char *lifetime);

/* Keeps a copy of @pidfd; a negative one takes it back. Errors: -EBADF, -EMFILE. */
int vfb_request_set_pidfd(vfb_request *request, int pidfd);

/* "name.service". NULL takes it back. */
int vfb_request_set_unit(vfb_request *request, const char *unit);

/*
 * What has to be proved of the devices' reset after the lease, before anybody else may have them: "required" (without
 * that nobody may), "preferred" (what has a reset that works is reset, what has none stays with its last user), "none"
 * (they are not reset). NULL, as if never set, is what the service's configuration says of each device, and less than
 * that is refused (InvalidOption).
 */
int vfb_request_set_reset(vfb_request *request, const char *policy);

/*
 * Where the service is configured to take devices from host drivers for a lease: what of the other devices of their
 * IOMMU groups that are on host drivers, "auto" and "include" (they go along) or "refuse"; and what becomes of all
 * these after the lease, "previous" (they go back to the drivers that they had), "keep" or "none" (without a driver).
 * NULL, as if never set, is "auto" and "previous".
 */
int vfb_request_set_companions(vfb_request *request, const char *companions);
int vfb_request_set_restore(vfb_request *request, const char *restore);

/*
 * Likewise, what of devices that the host itself needs (a mounted disk, the default route, ...): "refuse", as if never
 * set or NULL; or "steal", which an administrator has to agree to. What the machine stands on, such as the disk of the
 * root file system, is refused in any case.
 */
int vfb_request_set_on_host_use(vfb_request *request, const char *on_host_use);

/*
 * Of a pool ("pool:lab-vf") rather a device that is near this processor, if one is free. Negative, as if never set:
 * wherever it is.
 */
void vfb_request_set_near_cpu(vfb_request *request, int cpu);

/*
 * Whether nobody is to get the devices afterwards before an administrator brings them back. vfb_explain() does not
 * look at it.
 */
void vfb_request_set_one_time(vfb_request *request, bool one_time);

/*
 * For how long to have the lease, in microseconds: then it ends, unless it is renewed before. 0, as if never set, is
 * for as long as the service's configuration allows, which may be for ever.
 */
void vfb_request_set_duration(vfb_request *request, uint64_t usec);

/* Whether polkit may ask the user. Off unless set. */
void vfb_request_set_interactive(vfb_request *request, bool interactive);

/*
 * How long vfb_acquire() waits, in microseconds; UINT64_MAX for ever. Unless set it is ten minutes,
 * because a human may have to find a password.
 */
void vfb_request_set_timeout(vfb_request *request, uint64_t usec);

/*
 * Asks for one lease over all the devices and their whole IOMMU groups, and waits for it: for polkit and
 * whom it asks, for devices to be reset, and for further messages where the descriptors do not fit into
 * one. All or nothing: after an error there is no lease and no descriptor is open. The caller frees
 * *@ret_lease with vfb_lease_free(). Stands on Manager.Acquire and Lease.GetFds.
 *
 * Errors, by errno:
 *   -EINVAL     InvalidArgs (no device, one twice), InvalidSelector, InvalidOption, AmbiguousSelector
 *   -EACCES     AccessDenied, InteractiveAuthorizationRequired, VfTokenRequired
 *   -EPERM      NotViable, Tainted
 *   -EAGAIN     AuthorityUnavailable, RateLimited, Restarting: try again later
 *   -ENODEV     NoSuchDevice, IommuDisabled, DeviceGone
 *   -ENOSYS     BackendUnavailable
 *   -ENXIO      NotVfio
 *   -EBUSY      Leased, HeldElsewhere, PoolExhausted
 *   -EUCLEAN    Quarantined, ResetFailed
 *   -EDQUOT     QuotaExceeded
 *   -EHOSTUNREACH  the service is not running and could not be started
 *   -ETIMEDOUT  no answer in time; a lease that is granted later ends at once
 *   -ENOTCONN   the connection is lost
 *   -EMFILE     this process has no room for the descriptors
 *   -EBADMSG    the answer does not follow the protocol
 */
int vfb_acquire(vfb *connection, const vfb_request *request, vfb_lease **ret_lease, vfb_error **ret_error);

/*
 * Takes over a lease that was offered with vfb_lease_offer(). Of @request, which may be NULL, only what
 * vfb_request_set_interactive() and vfb_request_set_timeout() have set counts. As vfb_acquire() for all else; the
 * lease hangs on its new lifeline. What the old holder has mapped for DMA stays mapped until somebody unmaps it.
 * Stands on Manager.Claim and Lease.GetFds.
 *
 * Errors, besides those of any call: -EACCES (AccessDenied: no such offer, used, timed out, for somebody else, or
 * polkit's no; InteractiveAuthorizationRequired), -EDQUOT (QuotaExceeded), -ENODEV (DeviceGone), -ENOENT
 * (NoSuchLease), -EBUSY (HeldElsewhere), -EAGAIN (AuthorityUnavailable, RateLimited), -EMFILE, -EBADMSG.
 */
int vfb_claim(vfb *connection, const char *token, const vfb_request *request, vfb_lease **ret_lease,
              vfb_error **ret_error);

/*
 * Leases
 *
 * Strings belong to the lease. Descriptors are borrowed: they are valid until vfb_lease_release() or
 * vfb_lease_free(), and must not be closed. Indices count from 0; devices and groups stand in the order
 * in which the service named them, which is that of the request. A function that returns a string
 * returns NULL, one that returns a descriptor -ENOENT, for an index or a role that the lease does not
 * have; and -EBADF for a descriptor that was taken or closed.
 */

/* As in "vfio-broker leases". */
const char *vfb_lease_id(const vfb_lease *lease);

/* "legacy", "legacy-raw" or "mediated", also where "auto" was asked for. */
const char *vfb_lease_mode(const vfb_lease *lease);

/* The container's IOMMU model: "type1v2" or "type1". NULL if the service did not say. */
const char *vfb_lease_model(const vfb_lease *lease);

/* /dev/vfio/vfio, open, with groups and IOMMU set. -ENOENT in mode "mediated". */
int vfb_lease_container_fd(const vfb_lease *lease);

/* The devices that there is a descriptor of. */
size_t vfb_lease_n_devices(const vfb_lease *lease);
const char *vfb_lease_device_id(const vfb_lease *lease, size_t i);
int vfb_lease_device_fd(const vfb_lease *lease, size_t i);
int vfb_lease_device_fd_by_id(const vfb_lease *lease, const char *device_id);

/*
 * What has reset the device since its last user: the kernel's method as it was opened ("flr", "pm", ...), or a
 * reset of its whole bus after the last lease ("bus (scope: 2 devices)"), or "none available": then it may hold
 * what its last user left there. NULL if the service did not say.
 */
const char *vfb_lease_reset_used(const vfb_lease *lease, size_t i);

/* The groups that there is a descriptor of: none but in mode "legacy-raw". Number, or -ENOENT. */
size_t vfb_lease_n_groups(const vfb_lease *lease);
int64_t vfb_lease_group(const vfb_lease *lease, size_t i);
int vfb_lease_group_fd(const vfb_lease *lease, size_t i);

/*
 * Holding it keeps the lease: its last close, in whatever process, ends the lease, unless
 * vfb_request_set_lifetime() said otherwise. It carries no data.
 * Pass it on to the program that gets the devices if that is to keep them without this one.
 */
int vfb_lease_lifeline_fd(const vfb_lease *lease);

/*
 * All descriptors by their roles: "container", "device:ID", "group:N"; attributes are what the service
 * says of each ("model", "reset", "vf-token"), NULL where it says nothing. "lifeline" is no role of the service and
 * not counted by vfb_lease_n_roles(), but vfb_lease_fd() and vfb_lease_take_fd() know it.
 */
#define VFB_ROLE_LIFELINE "lifeline"
size_t vfb_lease_n_roles(const vfb_lease *lease);
const char *vfb_lease_role(const vfb_lease *lease, size_t i);
const char *vfb_lease_attribute(const vfb_lease *lease, const char *role, const char *attribute);
int vfb_lease_fd(const vfb_lease *lease, const char *role);

/* As vfb_lease_fd(), but the descriptor is the caller's from now on, who closes it. */
int vfb_lease_take_fd(vfb_lease *lease, const char *role);

/*
 * Memory for DMA
 *
 * Lets the lease's devices reach memory at the address @iova, in the same way in every mode: in the lease's
 * container where there is one (VFIO_IOMMU_MAP_DMA), and in mode "mediated" by the service, which takes everything
 * back when the lease ends (Lease.MapMemory, Lease.UnmapMemory). Sizes, offsets and addresses are multiples of the
 * page size, and no part of a range may be mapped already. Mapped memory is pinned. It counts against
 * RLIMIT_MEMLOCK of this process, or, in mode "mediated", against the limits of the service; there each call waits
 * for the service.
 *
 * Errors:
 *   -EINVAL     InvalidArgs: a range or flags that cannot be, an overlap, addresses that the IOMMU does not
 *               translate, no such mapping; in mode "mediated" memory that is no memfd, or is not sealed against
 *               shrinking
 *   -EACCES     @fd is not open for what the flags say (-EINVAL in mode "mediated")
 *   -ENOMEM     RLIMIT_MEMLOCK of this process is too low (not in mode "mediated"), or there is not enough memory
 *   -EDQUOT     QuotaExceeded: more memory or more mappings than the lease or the user may have, or than the kernel
 *               lets a container have
 *   -EBADF      the container was taken or closed, or @fd is none
 *   -ENOENT     NoSuchLease: the lease is over
 *   -EAGAIN     RateLimited: too many calls are waiting
 *   -EBUSY      HeldElsewhere: the service has lost the container with an earlier run of its own
 *   -ETIMEDOUT  no answer in time; vfb_dma_unmap() takes back what was mapped all the same
 *   -ENOTCONN, -EHOSTUNREACH  as with every function that waits
 * The last six are of mode "mediated" alone.
 */
#define VFB_DMA_READ  1U /* the devices may read it */
#define VFB_DMA_WRITE 2U /* they may write it */

/*
 * New memory, filled with zeroes. *@ret_address is the caller's, who ends it with munmap(2) and the same @size,
 * after vfb_dma_unmap() or when the lease has ended: before, the devices would go on with memory that nobody sees.
 */
int vfb_dma_alloc(vfb_lease *lease, size_t size, uint64_t iova, unsigned flags, void **ret_address,
                  vfb_error **ret_error);

/*
 * Part of a memfd, which stays the caller's and may be closed afterwards: the devices reach the memory until
 * vfb_dma_unmap() or the end of the lease. With VFB_DMA_WRITE it must be open for writing.
 */
int vfb_dma_map(vfb_lease *lease, int fd, uint64_t offset, size_t size, uint64_t iova, unsigned flags,
                vfb_error **ret_error);

/* Takes back what one call of the others gave, with @iova and @size of that call. */
int vfb_dma_unmap(vfb_lease *lease, uint64_t iova, size_t size, vfb_error **ret_error);

/*
 * Ends the lease: closes all its descriptors, tells the service and waits until it has taken note; the
 * devices are free when lease_ended() comes. What was taken is not closed and keeps the lease
 * "lingering". The object stays, for its events, until vfb_lease_free(). Closing a device may take a
 * while: the kernel resets it. Stands on Lease.Release.
 *
 * Everything is closed after an error, too, so that the lease ends unless the lifeline was taken.
 *
 * Errors: -EACCES (AccessDenied), -ENOTCONN (also if vfb_free() came first), -EHOSTUNREACH, -ETIMEDOUT.
 * A lease that has ended already is none.
 */
int vfb_lease_release(vfb_lease *lease, vfb_error **ret_error);

/*
 * From now on the lease lasts that long; 0 is for as long as the configuration allows. *@ret_expires_usec, if not
 * NULL, receives when it ends: microseconds since the epoch, 0 for never. Waits for the service. Stands on
 * Lease.Renew.
 *
 * Errors: -EINVAL (InvalidArgs: more than a hundred years), -EDQUOT (QuotaExceeded: longer than allowed), -ENOENT
 * (NoSuchLease: it is over), -EPERM (NotHolder), -ENOTCONN (also if vfb_free() came first), -EHOSTUNREACH,
 * -ETIMEDOUT.
 */
int vfb_lease_renew(vfb_lease *lease, uint64_t duration_usec, uint64_t *ret_expires_usec, vfb_error **ret_error);

/*
 * Offers the lease to any process of the user @uid, or, if @pidfd is not negative, to the process that it is of: who
 * calls vfb_claim() with the token takes it over. @timeout_usec: how long the offer stands; 0 is five minutes. The
 * token is the caller's, for free(), and a secret. The lease must be kept until the other side has it; then
 * vfb_lease_free() closes what is open here, and ends nothing. Waits for the service. Stands on Lease.Offer.
 *
 * Errors: -EINVAL (InvalidOption), -ENOENT (NoSuchLease: it is over), -EPERM (NotHolder), -ENOTCONN, -EHOSTUNREACH,
 * -ETIMEDOUT.
 */
int vfb_lease_offer(vfb_lease *lease, uid_t uid, int pidfd, uint64_t timeout_usec, char **ret_token,
                    vfb_error **ret_error);

/*
 * When the lease ends by itself, in microseconds since the epoch as the clock is set now; 0 for never. Waits for the
 * service. Stands on Lease.ExpiresUSec.
 *
 * Errors: -ENOENT (NoSuchLease: it is over), -ENOTCONN, -EHOSTUNREACH, -ETIMEDOUT, -EBADMSG.
 */
int vfb_lease_expires(vfb_lease *lease, uint64_t *ret_usec, vfb_error **ret_error);

/*
 * The answer to revoke_requested(): the same as vfb_lease_release(), but says that the lease is given back as asked. If
 * nobody has asked, the lease ends by its lifeline, which is closed, and not by this. Stands on
 * Lease.RevokeComplete.
 */
int vfb_lease_revoke_complete(vfb_lease *lease, vfb_error **ret_error);

/*
 * Closes all descriptors that were not taken, and frees the object. Unless the lifeline was taken, or the
 * lease hangs on something else, the lease ends by it. Takes NULL, returns NULL.
 */
vfb_lease *vfb_lease_free(vfb_lease *lease);

/*
 * Inventory
 *
 * Structures and strings are valid during the callback. Later versions may add fields at their end.
 * Callbacks may be NULL; they must not call functions of the same connection.
 */
typedef struct vfb_device_info {
        const char *id;           /* "0000:06:0d.0" */
        const char *driver;       /* "" if none is bound */
        const char *availability; /* available, leased, host, not-viable, no-iommu, quarantined */
        const char *why;          /* why it is not available, for people; "" if it is */
} vfb_device_info;

typedef struct vfb_finding {
        const char *code;     /* "NotViable", as in the last word of an error's name */
        const char *severity; /* "error": it will not work; "warning"; "info" */
        const char *device;   /* the device wanted, "" if it is about the request as a whole */
        const char *text;     /* for people */
        const char *fix;      /* what to do about it, or NULL */
        const char *culprit;  /* the id of the device that stands in the way, or NULL */
        const char *driver;   /* its driver, or NULL */
        const char *lease;    /* the id of the lease that stands in the way, or NULL */
        int64_t uid;          /* whose that is, -1 if that is not said */
} vfb_finding;

/*
 * Calls @callback for each device that @selector matches, or for all if it is NULL. Waits for the
 * service. Stands on Manager.ListDevices.
 *
 * Errors: -EINVAL (InvalidSelector), -EHOSTUNREACH, -ETIMEDOUT, -ENOTCONN, -EBADMSG.
 */
int vfb_list_devices(vfb *connection,
                     const char *selector,
                     void (*callback)(const vfb_device_info *device, void *userdata),
                     void *userdata,
                     vfb_error **ret_error);

/*
 * Asks what vfb_acquire() would answer to @request now, with every reason. Changes nothing and never asks
 * the user. Returns 1 if the lease would be granted, 0 if not. Of several devices of one group the first has
 * findings about each of the others, the next ones about some. Waits for the service. Stands on Manager.Explain.
 *
 * Errors: -EINVAL (InvalidArgs, InvalidSelector, InvalidOption), -EHOSTUNREACH, -ETIMEDOUT, -ENOTCONN,
 * -EBADMSG. What vfb_acquire() would refuse for another reason is a finding and no error.
 */
int vfb_explain(vfb *connection,
                const vfb_request *request,
                void (*callback)(const vfb_finding *finding, void *userdata),
                void *userdata,
                vfb_error **ret_error);

/*
 * Errors
 *
 * Strings belong to the error.
 */

/*
 * An error as this library makes them, for programs that call the service on a bus connection of their
 * own: @name and @text as in the D-Bus error. @text may be NULL.
 */
int vfb_error_new(vfb_error **ret, const char *name, const char *text);

/* Takes NULL, returns NULL. */
vfb_error *vfb_error_free(vfb_error *error);

/*
 * The D-Bus name: "org.vfiobroker1.Error.NotViable", "org.freedesktop.DBus.Error.AccessDenied". Failures
 * on this side of the bus are called "System.Error.EBADMSG" and so on. Several names share an errno:
 * programs that care read the name.
 */
const char *vfb_error_name(const vfb_error *error);

/* The errno, positive. */
int vfb_error_number(const vfb_error *error);

/* What is wrong, for people. */
const char *vfb_error_text(const vfb_error *error);

/* What to do about it, for people, or NULL. */
const char *vfb_error_hint(const vfb_error *error);

/* What vfio-broker(1) exits with. */
int vfb_error_exit_code(const vfb_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
