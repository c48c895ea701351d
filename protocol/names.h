/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names
 *
 * The names of the contract: what the service is called on the bus, where its objects are, which
 * polkit action guards what, and how descriptors are labelled. Installed, so that no client spells
 * one of them by hand.
 */

#define VFB_BUS_NAME "org.vfiobroker1"

#define VFB_PATH        "/org/vfiobroker1"
#define VFB_PATH_DEVICE "/org/vfiobroker1/device"
#define VFB_PATH_GROUP  "/org/vfiobroker1/group"
#define VFB_PATH_LEASE  "/org/vfiobroker1/lease"

#define VFB_INTERFACE_MANAGER "org.vfiobroker1.Manager"
#define VFB_INTERFACE_DEVICE  "org.vfiobroker1.Device"
#define VFB_INTERFACE_PCI     "org.vfiobroker1.Pci"
#define VFB_INTERFACE_SRIOV   "org.vfiobroker1.Sriov"
#define VFB_INTERFACE_GROUP   "org.vfiobroker1.Group"
#define VFB_INTERFACE_LEASE   "org.vfiobroker1.Lease"

/* polkit actions: one per risk */
#define VFB_ACTION_ACQUIRE    "org.vfiobroker1.acquire"
#define VFB_ACTION_REVOKE     "org.vfiobroker1.revoke"
#define VFB_ACTION_QUARANTINE "org.vfiobroker1.quarantine"
#define VFB_ACTION_BIND       "org.vfiobroker1.bind"
#define VFB_ACTION_SRIOV      "org.vfiobroker1.sriov"
#define VFB_ACTION_NO_IOMMU   "org.vfiobroker1.no-iommu"
#define VFB_ACTION_STEAL      "org.vfiobroker1.bind-in-use"
#define VFB_ACTION_INSPECT    "org.vfiobroker1.inspect-others"

/* lease modes */
#define VFB_MODE_AUTO       "auto"
#define VFB_MODE_LEGACY     "legacy"
#define VFB_MODE_LEGACY_RAW "legacy-raw"
#define VFB_MODE_MEDIATED   "mediated"

/* roles of descriptors: the container, "group:26", "device:0000:06:0d.0" */
#define VFB_ROLE_CONTAINER "container"
#define VFB_ROLE_GROUP     "group:"
#define VFB_ROLE_DEVICE    "device:"

/* flags of Acquire: afterwards nobody gets the devices before an administrator says so */
#define VFB_ACQUIRE_ONE_TIME 8

/* reset policies */
#define VFB_RESET_NONE      "none"
#define VFB_RESET_PREFERRED "preferred"
#define VFB_RESET_REQUIRED  "required"

/* flags of MapMemory: what the device may do with the memory */
#define VFB_MAP_READ  1
#define VFB_MAP_WRITE 2

/* The system bus of a stock dbus-daemon lets no more descriptors through in one message. */
#define VFB_FDS_PER_MESSAGE 16
