/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: the IOMMU, and what is without one
 *
 * A device without a group cannot be had, and is told why. In VFIO's no-IOMMU mode the kernel makes a group for it
 * all the same; such a device writes wherever it likes, so it is refused unless the configuration allows it, and marked
 * wherever it shows.
 */

#include <string.h>
#include <sys/utsname.h>

#include "broker-internal.h"
#include "errors.h"
#include "kernel/scan-bus.h"
#include "kernel/scan.h"

void broker_look_at_iommu(Broker *broker) {
        struct utsname name = { 0 };

        (void) uname(&name);
        iommu_state_read(broker->sys_fd, broker->host_fd, name.machine, &broker->iommu);
        broker->noiommu = scan_module_flag(broker->sys_fd, "vfio", "enable_unsafe_noiommu_mode");
}

void broker_look_at_group(Broker *broker, Group *group) {
        /* It can be switched on at any time; while all is scanned it was looked at just now. */
        if (!broker->scanning)
                broker->noiommu = scan_module_flag(broker->sys_fd, "vfio", "enable_unsafe_noiommu_mode");
        group->noiommu = broker->noiommu && scan_group_is_noiommu(broker->sys_fd, group->number);
}

bool broker_is_tainted(Broker *broker, const char *by) {
        if (strcmp(by, "noiommu") == 0)
                return scan_module_flag(broker->sys_fd, "vfio", "enable_unsafe_noiommu_mode");
        if (strcmp(by, "unsafe-interrupts") == 0)
                return scan_module_flag(broker->sys_fd, "vfio_iommu_type1", "allow_unsafe_interrupts");
        if (strcmp(by, "acs-override") == 0)
                return broker->iommu.acs_override;
        return false;
}

bool broker_device_is_noiommu(const Device *device) {
        return device->group && device->group->noiommu;
}

bool broker_allows_noiommu(const Device *device) {
        return broker_device_is_noiommu(device) && broker_of_device(device)->config.allow_noiommu;
}

static int find_no_group(Broker *broker, const char *id, Findings *findings) {
        char why[256], fix[256];
        Finding *finding;
        const char *name;
        DeviceKind kind = device_id_split(id, &name);
        int r;

        iommu_state_explain(&broker->iommu, device_kind_name(kind), name, why, sizeof(why), fix, sizeof(fix));
        r = findings_add_error(findings, &finding, VFB_ERROR_IOMMU_DISABLED, id, "%s is in no IOMMU group: %s", id,
                               why);
        return r < 0 ? r : finding_set_fix(finding, "%s", fix);
}

int broker_find_no_group(const Device *device, Findings *findings) {
        return find_no_group(broker_of_device(device), device_id(device), findings);
}

int broker_find_unlisted(Broker *broker, const char *selector, Findings *findings) {
        const char *name;
        DeviceKind kind = device_id_split(selector, &name);
        uint64_t instance;

        if (kind == DEVICE_KIND_PCI ||
            scan_bus_instance(broker->sys_fd, device_kind_name(kind), name, &instance) < 0)
                return 0;
        return find_no_group(broker, selector, findings);
}

int broker_find_noiommu(const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        if (!broker_device_is_noiommu(device) || broker_of_device(device)->config.allow_noiommu)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_TAINTED, device_id(device),
                               "%s is in VFIO's no-IOMMU mode: whoever had it could have it write to all of memory",
                               device_id(device));
        if (r < 0)
                return r;
        return finding_set_fix(finding, "switch an IOMMU on; or accept the risk: AllowNoIommu=yes in section [Iommu] "
                                        "of vfio-broker.conf");
}

int broker_warn_noiommu(const Device *device, Findings *findings) {
        if (!broker_allows_noiommu(device))
                return 0;
        return findings_add_note(findings, SEVERITY_WARNING, "NoIommu", device_id(device),
                                 "%s is used without an IOMMU: whoever has it can have it write to all of memory",
                                 device_id(device));
}

int broker_find_mix(const BrokerRequest *request, Findings *findings) {
        unsigned n = 0, n_noiommu = 0;

        for (unsigned i = 0; i < request->n_targets; i++) {
                n += request->targets[i].device != NULL;
                n_noiommu += request->targets[i].device && broker_device_is_noiommu(request->targets[i].device);
        }

        if (n_noiommu > 0 && n_noiommu < n)
                return findings_add_error(findings, NULL, VFB_ERROR_TAINTED, "",
                                          "Devices without an IOMMU cannot be in one lease with others");
        if (n_noiommu > 0 && request->mode == LEASE_MODE_MEDIATED)
                return findings_add_error(findings, NULL, VFB_ERROR_TAINTED, "",
                                          "Mode mediated maps memory by an IOMMU, and these devices have none");
        return 0;
}
