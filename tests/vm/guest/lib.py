# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What guest tests share. They run as root in the guest unless their header says otherwise:

    #!/usr/bin/env python3
    # SPDX-License-Identifier: LGPL-2.1-or-later
    # A lease ends when its holder is killed.
    # timeout: 900
    # run-as: alice

The first sentence is the test's name. A test fails by ending with anything but 0, so a plain assert will do.
"""

import collections
import contextlib
import errno
import glob
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Found in the folder above; tests take the addresses from there
import topology  # noqa: E402
from topology import driver_of, read  # noqa: E402,F401

PCI = '/sys/bus/pci'
SERVICE = 'vfio-broker.service'
BUS_NAME = 'org.vfiobroker1'
PROGRAMS = '/usr/lib/vfio-broker-tests'
# Seconds, of what happens in a moment: on any machine, however busy, and whatever else is in its guest
PATIENCE = 300
# Those of the programs that speak to the bus, ours and systemd's, which have 25 s by themselves
os.environ['SYSTEMD_BUS_TIMEOUT'] = str(PATIENCE)

# Waiting and running


def wait_for(condition, what, patience=PATIENCE):
    """Returns the first true value of @condition(); never a bare sleep. Fails with @what after @patience seconds."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'waited {patience} s in vain for: {what}')
        time.sleep(0.05)


def as_user(command, user):
    words = ['sh', '-c', command] if isinstance(command, str) else list(command)
    return ['setpriv', f'--reuid={user}', f'--regid={user}', '--init-groups', '--', *words] if user else words


def run(command, user=None, timeout=PATIENCE, **options):
    """A finished command (a shell line, or a list): .returncode, .stdout and .stderr. It may have failed."""
    return subprocess.run(as_user(command, user), text=True, capture_output=True, timeout=timeout, check=False, **options)


def check(command, user=None, timeout=PATIENCE, **options):
    """The output of a command that must succeed."""
    result = run(command, user, timeout, **options)
    assert result.returncode == 0, f'{command} as {user or "root"}: status {result.returncode}\n{result.stdout}{result.stderr}'
    return result.stdout


@contextlib.contextmanager
def background(command, user=None, **options):
    """A Popen with pipes, killed at the end of the block if it is still there."""
    with subprocess.Popen(as_user(command, user), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process, text):
    """Reads what a background() command prints until a line has @text in it, and returns that line."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line.rstrip('\n')
    raise AssertionError(f'it ended with {process.wait()} and never said "{text}":\n{"".join(seen)}')


@contextlib.contextmanager
def mounted(device, where='/mnt'):
    check(['mount', device, where])
    try:
        yield
    finally:
        check(['umount', where])


@contextlib.contextmanager
def mounted_elsewhere(device):
    """In a mount namespace of its own."""
    with background(['unshare', '--mount', 'sh', '-c', f'mount {device} /mnt && echo done && exec sleep infinity']) as elsewhere:
        wait_for_line(elsewhere, 'done')
        yield
        elsewhere.kill()
        elsewhere.wait()


def codename():
    """Of the guest's Debian, which is the suite's name."""
    with open('/etc/os-release', encoding='ascii') as file:
        return re.search(r'^VERSION_CODENAME=(\w+)$', file.read(), re.MULTILINE).group(1)


# Devices


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def bind(address, driver):
    """Binds a device to @driver, as the kernel asks for it: driver_override, then a probe; then looks if it happened."""
    check(['modprobe', driver])
    unbind(address)
    write(f'{PCI}/devices/{address}/driver_override', driver)
    write(f'{PCI}/drivers_probe', address)
    assert driver_of(address) == driver, f'{address} is on {driver_of(address)}, not on {driver}'


def unbind(address):
    if driver_of(address):
        write(f'{PCI}/devices/{address}/driver/unbind', address)
    assert driver_of(address) is None, f'{address} is still on {driver_of(address)}'


def bind_group(address, driver='vfio-pci'):
    """Binds all of the group but its bridges, which no VFIO driver takes."""
    for companion in topology.companions(address):
        if topology.find(companion).model != 'i82801b11-bridge':
            bind(companion, driver)


def restore(address):
    """The driver that the kernel would choose by itself, as after boot."""
    expected = topology.find(address).driver
    override = f'{PCI}/devices/{address}/driver_override'
    # Reads "(null)" if there is none; an empty line takes one away
    if read(address, 'driver_override') not in ('', '(null)'):
        write(override, '\n')
    if driver_of(address) == expected:
        return
    unbind(address)
    if expected:
        write(f'{PCI}/drivers_probe', address)


def group_of(address):
    return os.path.basename(os.readlink(f'{PCI}/devices/{address}/iommu_group'))


def group_node(address):
    return f'/dev/vfio/{group_of(address)}'


DeviceState = collections.namedtuple('DeviceState', 'driver override enable')


def device_state(address):
    """enable counts who has enabled the device: with a VFIO driver it is 1 while somebody has it open."""
    override = read(address, 'driver_override')
    return DeviceState(driver_of(address), '' if override == '(null)' else override, read(address, 'enable'))


def kernel_state():
    """All that a use of devices may leave behind, for a comparison of before and after."""
    return {device.address: device_state(device.address) for device in topology.DEVICES}


def compare(before, after):
    """What has changed between two kernel_state()s, as sentences."""
    return [f'{address}: {name} was {old or "nothing"}, is {new or "nothing"}'
            for address in before
            for name, old, new in zip(DeviceState._fields, before[address], after[address]) if old != new]


def holders():
    """
    Who has a VFIO file open: process id to the names of those files. One in flight or only mapped does not show, and
    neither does what systemd keeps for the daemon.
    """
    found = collections.defaultdict(list)
    for link in glob.glob('/proc/[0-9]*/fd/*'):
        if link.startswith('/proc/1/'):
            continue
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith(('/dev/vfio/', '/dev/iommu', 'anon_inode:[vfio-')):
            found[int(link.split('/')[2])].append(target)
    return dict(found)


# Hot-plug: QEMU does it, asked through a port of the machine


def open_port():
    """The port takes one reader. A child that another thread has forked has it, too, until it begins its program."""
    try:
        return open('/dev/virtio-ports/hotplug', 'r+b', buffering=0)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return None


def qmp(command, **arguments):
    with wait_for(open_port, 'the port to QEMU to be free') as port:
        port.write(json.dumps({'execute': command, 'arguments': arguments}).encode() + b'\n')
        answer = b''
        while not answer.endswith(b'\n'):
            answer += port.read(4096)
    answer = json.loads(answer)
    assert 'error' not in answer, f'{command}: {answer["error"]}'
    return answer['return']


def plug(model='edu', **properties):
    """Plugs a device into the free root port and returns its address once the kernel has it."""
    # The kernel forgets a device first, and tells the emulator then
    wait_for(lambda: not is_plugged(), 'QEMU to let go of what was plugged before')
    qmp('device_add', driver=model, id='plugged', bus=topology.HOTPLUG_PORT, **properties)
    address = topology.HOTPLUG_ADDRESS
    wait_for(lambda: os.path.exists(f'{PCI}/devices/{address}/iommu_group'), f'{address} to appear')
    check(['udevadm', 'settle'])
    return address


def is_plugged():
    """As the emulator has it."""
    return any(child['name'] == 'plugged' for child in qmp('qom-list', path='/machine/peripheral'))


def unplug():
    """Asks for the removal; the device is there until its driver lets it go."""
    qmp('device_del', id='plugged')


def wait_for_unplug():
    wait_for(lambda: not os.path.exists(f'{PCI}/devices/{topology.HOTPLUG_ADDRESS}'), 'the removal of the plugged device')


def find_again():
    """
    The kernel looks for what is in the slot still. It is to look behind that port only: wherever else it looks it writes back
    what it has read of each bridge, and if that was in the middle of a reset, which others do meanwhile, the bus stays in it
    and what is on it has lost its registers (pci_scan_bridge_extend() and pci_reset_secondary_bus() of 6.1 and 6.12).
    """
    path, = glob.glob(f'{PCI}/devices/*/pci_bus/{topology.HOTPLUG_ADDRESS[:7]}/rescan')
    write(path, '1')


def kernel_waits():
    """Whether it waits for who has a device open, in some thread of its own or of root's, to take it from vfio-pci."""
    for path in glob.glob('/proc/[0-9]*/task/*/wchan'):
        with contextlib.suppress(OSError), open(path, encoding='ascii') as file:
            if file.read() == 'vfio_unregister_group_dev':
                return True
    return False


def shows_waiting():
    """Since Linux 6.6 it can be seen that the kernel waits for who has a device open."""
    return tuple(map(int, os.uname().release.split('-')[0].split('.')[:2])) >= (6, 6)


# The daemon


def installed():
    return os.path.exists(f'/usr/lib/systemd/system/{SERVICE}')


def start_service():
    if installed():
        check(['systemctl', 'start', SERVICE])


def stop_service():
    """Ends the daemon and forgets what it knew. What it has left to the kernel stays."""
    if not installed():
        return
    check(['systemctl', 'stop', SERVICE])
    # Not its configuration, which "all" would include; systemd before 254 keeps no fd store over a stop
    clean = ['systemctl', 'clean', SERVICE, '--what=runtime', '--what=state', '--what=cache']
    if run(clean + ['--what=fdstore']).returncode:
        run(clean)


def unit_property(name):
    return check(['systemctl', 'show', '--value', '-p', name, SERVICE]).strip()


def daemon_pid():
    return int(unit_property('MainPID'))


def daemon_fds():
    """What the daemon has open, sorted; anonymous files without their numbers, so that two lists can be compared."""
    folder = f'/proc/{daemon_pid()}/fd'
    targets = []
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(f'{folder}/{number}').split(':[')[0])
    return sorted(targets)


def manager():
    """The broker's manager interface, called as the user that the test runs as."""
    # Not every test needs it, and importing takes a while in the guest
    import dbus  # pylint: disable=import-outside-toplevel
    path = '/' + BUS_NAME.replace('.', '/')
    return dbus.Interface(dbus.SystemBus().get_object(BUS_NAME, path, introspect=False), f'{BUS_NAME}.Manager')


def journal(since=None, **fields):
    """The entries that have all of @fields (VFIO_BROKER_LEASE='l-2c9d'), oldest first, as dicts."""
    check(['journalctl', '--sync'])
    command = ['journalctl', '--output=json', '--quiet', *(f'{name}={value}' for name, value in fields.items())]
    if since:
        command.append(f'--since=@{since}')
    return [json.loads(line) for line in check(command).splitlines()]


def restart_polkit():
    """By itself it notices new rules too late. Tests restart it more often than systemd likes."""
    check('systemctl reset-failed polkit.service; systemctl restart polkit.service')


def polkit_rule(text):
    """Puts a rule before all others; reset() takes it away."""
    path = '/etc/polkit-1/rules.d/00-test.rules'
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, 0o644)
    restart_polkit()
