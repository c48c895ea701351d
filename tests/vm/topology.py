#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The test machine's PCI devices: how QEMU is asked for them, and what the guest must then find.

Both sides read this file. Run in the guest it compares the machine with the declaration and prints
each difference, so that a topology that changes by itself (another QEMU, another kernel) is noticed
before a test draws conclusions from it. It declares what is there at boot; hot-plugging comes later.
"""

import collections
import os
import sys

SYSFS = '/sys/bus/pci/devices'

# driver: what the kernel binds by itself. reset: what reset_method says at boot, empty for no reset; the
# kernel finds it out before it has seen the second function of a slot, so "bus" is wrong for the first.
Device = collections.namedtuple('Device', 'address model driver reset group')

# The example of the kernel's vfio.rst: a bridge and the two functions behind it, in one group.
BRIDGE = '0000:00:1e.0'
EDU = '0000:06:0d.0'
NIC = '0000:06:0d.1'
# Alone in its group, with a bus reset; QEMU's edu keeps its registers over it all the same.
EDU_RESET = '0000:01:00.0'
# Alone in its group; nothing resets it, so its register tells the next user about the last one.
EDU_NO_RESET = '0000:00:10.0'
NIC_ALONE = '0000:02:00.0'
NVME = '0000:03:00.0'
# Two functions of one slot without ACS: one group.
EDU_PAIR = ('0000:04:00.0', '0000:04:00.1')
# The bus behind this root port is empty and can be hot-plugged.
HOTPLUG_PORT = 'port5'
HOTPLUG_ADDRESS = '0000:05:00.0'
ROOT_DISK = '0000:00:02.0'
DISPLAY, SERIAL, USB = '0000:00:11.0', '0000:00:12.0', '0000:00:13.0'

DEVICES = [
    Device(BRIDGE, 'i82801b11-bridge', None, '', 'document'),
    Device(EDU, 'edu', None, 'bus', 'document'),
    Device(NIC, 'e1000', 'e1000', '', 'document'),
    Device(EDU_NO_RESET, 'edu', None, '', 'no-reset'),
    Device(EDU_RESET, 'edu', None, 'bus', 'reset'),
    Device(NIC_ALONE, 'e1000e', 'e1000e', 'pm bus', 'nic'),
    Device(NVME, 'nvme', 'nvme', 'flr bus', 'nvme'),
    Device(EDU_PAIR[0], 'edu', None, 'bus', 'pair'),
    Device(EDU_PAIR[1], 'edu', None, '', 'pair'),
]

# What a machine has besides if a test asks for it: "# devices: display serial usb". The display shows what the firmware
# has left there, the serial port is the console in place of the board's own, and a keyboard is at the USB controller.
EXTRAS = {
    'display': Device(DISPLAY, 'VGA', None, '', 'display'),
    'serial': Device(SERIAL, 'pci-serial', 'serial', '', 'serial'),
    'usb': Device(USB, 'qemu-xhci', 'xhci_hcd', '', 'usb'),
}
# The kernel takes no notice of it, and the guest learns what it must find.
EXTRAS_ARGUMENT = 'tests.devices='


def kernel_arguments(extras):
    # QEMU hands the mode to the kernel's first part, which asks the firmware for it: 800 x 600
    return [EXTRAS_ARGUMENT + ','.join(extras)] + (['vga=0x314'] if 'display' in extras else [])


def asked_for():
    """In the guest: the names of the extras that its machine was made with."""
    with open('/proc/cmdline', encoding='ascii') as file:
        found = [word.removeprefix(EXTRAS_ARGUMENT) for word in file.read().split() if word.startswith(EXTRAS_ARGUMENT)]
    return [name for name in ''.join(found).split(',') if name]


DEVICES += [EXTRAS[name] for name in asked_for()]


def find(address):
    return next(device for device in DEVICES if device.address == address)


def companions(address):
    """The addresses of all devices in the group of @address, itself included."""
    group = find(address).group
    return sorted(device.address for device in DEVICES if device.group == group)


def qemu_arguments(disk, extras=()):
    """@disk is a disk image with a file system that the NVMe device offers, its changes thrown away. @extras: names of EXTRAS."""
    arguments = ['-device', 'intel-iommu,intremap=on']
    # SeaBIOS numbers buses in the order of slots: five root ports before it make the bridge's bus 06.
    for port in range(1, 6):
        arguments += ['-device', f'pcie-root-port,id=port{port},bus=pcie.0,addr={7 + port:02x}.0,chassis={port},slot={port}']
    for nic in ('nic', 'nic2'):
        arguments += ['-netdev', f'hubport,id={nic},hubid=1']
    arguments += ['-device', 'i82801b11-bridge,id=bridge,bus=pcie.0,addr=1e.0',
                  '-device', 'edu,bus=bridge,addr=0d.0,multifunction=on',
                  '-device', 'e1000,bus=bridge,addr=0d.1,multifunction=on,netdev=nic,romfile=',
                  '-device', 'edu,bus=pcie.0,addr=10.0',
                  '-device', 'edu,bus=port1',
                  '-device', 'e1000e,bus=port2,netdev=nic2,romfile=',
                  '-drive', f'if=none,id=nvme-disk,file={disk},format=raw,snapshot=on,cache=unsafe',
                  '-device', 'nvme-subsys,id=subsystem',
                  # Of one that may be plugged in; subsystems themselves may not
                  '-device', 'nvme-subsys,id=storm',
                  '-device', 'nvme,id=nvme,bus=port3,serial=test,subsys=subsystem,'
                             'sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=4',
                  '-device', 'nvme-ns,bus=nvme,drive=nvme-disk',
                  '-device', 'edu,bus=port4,addr=00.0,multifunction=on',
                  '-device', 'edu,bus=port4,addr=00.1,multifunction=on']
    for name in extras:
        model, slot = EXTRAS[name].model, EXTRAS[name].address.removeprefix('0000:00:')
        arguments += ['-device', f'{model},id={name},bus=pcie.0,addr={slot}' + (',chardev=serial' if name == 'serial' else '')]
    if 'usb' in extras:
        arguments += ['-device', 'usb-kbd,bus=usb.0']
    return arguments


def read(address, attribute):
    try:
        with open(f'{SYSFS}/{address}/{attribute}', encoding='ascii') as file:
            return file.read().strip()
    except FileNotFoundError:
        # reset_method is only there if there is a method
        return ''


def driver_of(address):
    try:
        return os.path.basename(os.readlink(f'{SYSFS}/{address}/driver'))
    except FileNotFoundError:
        return None


def group_members(address):
    try:
        return sorted(os.listdir(f'{SYSFS}/{address}/iommu_group/devices'))
    except FileNotFoundError:
        return []


def has_iommu():
    return bool(os.listdir('/sys/class/iommu'))


def differences():
    """What the guest has, other than declared, as sentences."""
    found = []
    for device in DEVICES:
        path = f'{SYSFS}/{device.address}'
        if not os.path.exists(path):
            found.append(f'{device.address} ({device.model}) is not there')
            continue
        facts = [('driver', driver_of(device.address), device.driver),
                 ('reset_method', read(device.address, 'reset_method'), device.reset),
                 ('group', group_members(device.address), companions(device.address) if has_iommu() else [])]
        found += [f'{device.address} ({device.model}): {what} is {is_!r}, not {expected!r}'
                  for what, is_, expected in facts if is_ != expected]
    if os.path.exists(f'{SYSFS}/{HOTPLUG_ADDRESS}'):
        found.append(f'{HOTPLUG_ADDRESS} should be free for hot-plugging')
    return found


if __name__ == '__main__':
    sys.exit('\n'.join(differences()) or None)
