/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI
 *
 * A device's registers through its VFIO descriptor, wherever that comes from: read and written, not mapped, since some
 * clients may hold no mapping. All functions return 0 or a negative errno.
 */

#include <stdint.h>
#include <sys/types.h>

/* Writes @command (PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER). VFIO leaves a device without it. */
int pci_enable(int device, uint16_t command);

/* Where BAR 0 is in the descriptor. */
int pci_registers(int device, off_t *ret);

int pci_read(int device, off_t at, uint32_t *ret);
int pci_write(int device, off_t at, uint32_t value);

/* Until the register's bits below @mask are @value, ten seconds at most. -ETIME */
int pci_await(int device, off_t at, uint32_t mask, uint32_t value);
