/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a device on the bus has besides if it is a PCI function. */

#include <systemd/sd-bus.h>

extern const sd_bus_vtable pci_vtable[];
