# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The harness's hand in the guest: a program that notes the machine's base state, and after each test goes back to it and says
what would not go back.
"""

import contextlib
import filecmp
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import lib
import topology

BASELINE = '/run/baseline'
# What tests may change and reset() puts back
UNITS = ['/etc/systemd/system', '/etc/systemd/system.control', '/run/systemd/system']
POLKIT_RULES, UDEV_RULES = '/etc/polkit-1/rules.d', '/etc/udev/rules.d'
CONFIGURATION = [POLKIT_RULES, '/etc/vfio-broker', *UNITS, UDEV_RULES, '/etc/modprobe.d']


def files_below(folder):
    return {os.path.relpath(os.path.join(parent, name), folder)
            for parent, _, names in os.walk(folder) for name in names}


def same_file(one, other):
    if os.path.islink(one) or os.path.islink(other):
        return os.path.islink(one) and os.path.islink(other) and os.readlink(one) == os.readlink(other)
    return filecmp.cmp(one, other, shallow=False)


def put_back(folder):
    """Makes the files of @folder what they were. Returns whether something had to be done."""
    saved = BASELINE + folder
    now, then = files_below(folder), files_below(saved)
    extra = now - then
    missing = {name for name in then if name not in now or not same_file(f'{folder}/{name}', f'{saved}/{name}')}
    for name in extra | (missing & now):
        os.unlink(f'{folder}/{name}')
    for name in missing:
        os.makedirs(os.path.dirname(f'{folder}/{name}'), exist_ok=True)
        shutil.copy2(f'{saved}/{name}', f'{folder}/{name}', follow_symlinks=False)
        status = os.lstat(f'{saved}/{name}')
        os.lchown(f'{folder}/{name}', status.st_uid, status.st_gid)
    return bool(extra or missing)


def taint():
    """The kernel marks itself when it has warned or crashed."""
    with open('/proc/sys/kernel/tainted', encoding='ascii') as file:
        return int(file.read())


def save_baseline():
    for folder in CONFIGURATION:
        os.makedirs(BASELINE + folder)
        # cp, because it keeps the owners
        if os.path.isdir(folder):
            lib.check(['cp', '-a', f'{folder}/.', BASELINE + folder])
    lib.start_service()
    with open(f'{BASELINE}/state', 'w', encoding='ascii') as file:
        json.dump({'taint': taint(), 'devices': lib.kernel_state()}, file)


def load_baseline():
    with open(f'{BASELINE}/state', encoding='ascii') as file:
        state = json.load(file)
    return state['taint'], {address: lib.DeviceState(*values) for address, values in state['devices'].items()}


def end_holders():
    for pid in lib.holders():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    lib.wait_for(lambda: not lib.holders(), 'the end of who holds VFIO files')


def restore_devices():
    # First, because a driver that is taken away with its device leaves them to nobody
    for path in glob.glob(f'{lib.PCI}/devices/*/sriov_numvfs'):
        lib.write(path, '0')
        lib.write(path.replace('numvfs', 'drivers_autoprobe'), '1')
    if os.path.exists(f'{lib.PCI}/devices/{topology.HOTPLUG_ADDRESS}'):
        lib.unplug()
        lib.wait_for_unplug()
    for device in topology.DEVICES:
        lib.restore(device.address)
    lib.check(['udevadm', 'settle'])


def restore_host():
    """Mounts, networks and files as they were. Looks before it starts a program: that is slow in here."""
    with open('/proc/mounts', encoding='utf-8') as file:
        if '/dev/nvme' in file.read():
            lib.check('umount --all-targets /dev/nvme0n1')
    # Those of lo are of scope host
    lib.run('ip address flush scope global')
    for nic in set(os.listdir('/sys/class/net')) - {'lo'}:
        with open(f'/sys/class/net/{nic}/flags', encoding='ascii') as file:
            if int(file.read(), 16) & 1:
                lib.check(['ip', 'link', 'set', nic, 'down'])
    changed = {folder for folder in CONFIGURATION if put_back(folder)}
    # Takes seconds, and is seldom needed
    if changed & set(UNITS):
        lib.check(['systemctl', 'daemon-reload'])
    if UDEV_RULES in changed:
        lib.check(['udevadm', 'control', '--reload'])
    if POLKIT_RULES in changed:
        lib.restart_polkit()
    lib.run('systemctl reset-failed')


def reset():
    """Brings the machine back to its base state, whatever a test has done to it, with a fresh daemon: the old one is stopped."""
    end_holders()
    restore_devices()
    restore_host()
    lib.start_service()


def leftovers():
    """What is not in its base state, as sentences."""
    old_taint, devices = load_baseline()
    found = topology.differences()
    found += lib.compare(devices, lib.kernel_state())
    found += [f'process {pid} has {", ".join(files)} open' for pid, files in lib.holders().items()
              if any('iommu' not in name and name != '/dev/vfio/vfio' for name in files)]
    if taint() != old_taint:
        found.append(f'the kernel has warned or crashed (its taint is {taint()}, was {old_taint})')
    if lib.run('systemctl is-system-running').returncode:
        found.append('units have failed: ' + ' '.join(lib.check('systemctl --failed --no-legend --plain').split()))
    if lib.installed():
        leases = lib.check(['busctl', 'call', '--json=short', lib.BUS_NAME, '/org/vfiobroker1', f'{lib.BUS_NAME}.Manager', 'ListLeases', 't', '0'])
        found += [f'lease {lease[0]} is there' for lease in json.loads(leases)['data'][0]]
    return found


# Deadly signals that a test does not send: an assert, a bad pointer, the unit's system call filter; and the sanitizers
CRASH = re.compile(r'code=dumped|status=(4|6|7|8|11|31)/|[Ww]atchdog|AddressSanitizer|LeakSanitizer|runtime error:')


def faults(since):
    """What the daemon must never do, whatever a test is about."""
    lib.check(['journalctl', '--sync'])
    # systemd's words about the unit, and the unit's own
    output = lib.check(['journalctl', '--quiet', '--output=cat', f'--since=@{since}', f'UNIT={lib.SERVICE}', '+', f'_SYSTEMD_UNIT={lib.SERVICE}'])
    return [f'the daemon: {line}' for line in output.splitlines() if CRASH.search(line)]


def clean_up(since):
    """reset(), and what was wrong before it or still is after it."""
    try:
        # Stopped first, because some faults show at the end only
        lib.stop_service()
        found = faults(since)
        reset()
        return found + leftovers()
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        return [f'the base state cannot be had: {error}']


def main():
    if sys.argv[1:] == ['baseline']:
        save_baseline()
        return None
    command, since = sys.argv[1:]
    assert command == 'reset'
    return '\n'.join(clean_up(since)) or None


if __name__ == '__main__':
    sys.exit(main())
