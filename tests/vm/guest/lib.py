# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What guest tests share. They run as root in the guest unless their header says otherwise:

    #!/usr/bin/env python3
    # SPDX-License-Identifier: LGPL-2.1-or-later
    # A lease ends when its holder is killed.
    # timeout: 900
    # run-as: alice

The first sentence is the test's name. A test fails by ending with anything but 0, so a plain assert
will do. As a program this file is the harness's hand in the guest: it notes the base state, and
after each test goes back to it and says what would not go back.
"""

import collections
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
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Found in the folder above; tests take the addresses from there
import topology  # noqa: E402
from topology import driver_of, read  # noqa: E402,F401

PCI = '/sys/bus/pci'
SERVICE = 'vfio-broker.service'
BUS_NAME = 'org.vfiobroker1'
PROGRAMS = '/usr/lib/vfio-broker-tests'
BASELINE = '/run/baseline'
# What tests may change and reset() puts back
UNITS = ['/etc/systemd/system', '/etc/systemd/system.control', '/run/systemd/system']
POLKIT_RULES, UDEV_RULES = '/etc/polkit-1/rules.d', '/etc/udev/rules.d'
CONFIGURATION = [POLKIT_RULES, '/etc/vfio-broker', *UNITS, UDEV_RULES, '/etc/modprobe.d']
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


def qmp(command, **arguments):
    # Opened anew each time: the port takes one reader
    with open('/dev/virtio-ports/hotplug', 'r+b', buffering=0) as port:
        port.write(json.dumps({'execute': command, 'arguments': arguments}).encode() + b'\n')
        answer = b''
        while not answer.endswith(b'\n'):
            answer += port.read(4096)
    answer = json.loads(answer)
    assert 'error' not in answer, f'{command}: {answer["error"]}'
    return answer['return']


def plug(model='edu', **properties):
    """Plugs a device into the free root port and returns its address once the kernel has it."""
    qmp('device_add', driver=model, id='plugged', bus=topology.HOTPLUG_PORT, **properties)
    address = topology.HOTPLUG_ADDRESS
    wait_for(lambda: os.path.exists(f'{PCI}/devices/{address}/iommu_group'), f'{address} to appear')
    check(['udevadm', 'settle'])
    return address


def unplug():
    """Asks for the removal; the device is there until its driver lets it go."""
    qmp('device_del', id='plugged')


def wait_for_unplug():
    wait_for(lambda: not os.path.exists(f'{PCI}/devices/{topology.HOTPLUG_ADDRESS}'), 'the removal of the plugged device')


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


# The base state


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
            check(['cp', '-a', f'{folder}/.', BASELINE + folder])
    start_service()
    with open(f'{BASELINE}/state', 'w', encoding='ascii') as file:
        json.dump({'taint': taint(), 'devices': kernel_state()}, file)


def load_baseline():
    with open(f'{BASELINE}/state', encoding='ascii') as file:
        state = json.load(file)
    return state['taint'], {address: DeviceState(*values) for address, values in state['devices'].items()}


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


def end_holders():
    for pid in holders():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not holders(), 'the end of who holds VFIO files')


def restore_devices():
    # First, because a driver that is taken away with its device leaves them to nobody
    for path in glob.glob(f'{PCI}/devices/*/sriov_numvfs'):
        write(path, '0')
        write(path.replace('numvfs', 'drivers_autoprobe'), '1')
    if os.path.exists(f'{PCI}/devices/{topology.HOTPLUG_ADDRESS}'):
        unplug()
        wait_for_unplug()
    for device in topology.DEVICES:
        restore(device.address)
    check(['udevadm', 'settle'])


def restore_host():
    """Mounts, networks and files as they were. Looks before it starts a program: that is slow in here."""
    with open('/proc/mounts', encoding='utf-8') as file:
        if '/dev/nvme' in file.read():
            check('umount --all-targets /dev/nvme0n1')
    # Those of lo are of scope host
    run('ip address flush scope global')
    for nic in set(os.listdir('/sys/class/net')) - {'lo'}:
        with open(f'/sys/class/net/{nic}/flags', encoding='ascii') as file:
            if int(file.read(), 16) & 1:
                check(['ip', 'link', 'set', nic, 'down'])
    changed = {folder for folder in CONFIGURATION if put_back(folder)}
    # Takes seconds, and is seldom needed
    if changed & set(UNITS):
        check(['systemctl', 'daemon-reload'])
    if UDEV_RULES in changed:
        check(['udevadm', 'control', '--reload'])
    if POLKIT_RULES in changed:
        restart_polkit()
    run('systemctl reset-failed')


def reset():
    """Brings the machine back to its base state, whatever a test has done to it, with a fresh daemon: the old one is stopped."""
    end_holders()
    restore_devices()
    restore_host()
    start_service()


def leftovers():
    """What is not in its base state, as sentences."""
    old_taint, devices = load_baseline()
    found = topology.differences()
    found += compare(devices, kernel_state())
    found += [f'process {pid} has {", ".join(files)} open' for pid, files in holders().items()
              if any('iommu' not in name and name != '/dev/vfio/vfio' for name in files)]
    if taint() != old_taint:
        found.append(f'the kernel has warned or crashed (its taint is {taint()}, was {old_taint})')
    if run('systemctl is-system-running').returncode:
        found.append('units have failed: ' + ' '.join(check('systemctl --failed --no-legend --plain').split()))
    if installed():
        leases = check(['busctl', 'call', '--json=short', BUS_NAME, '/org/vfiobroker1', f'{BUS_NAME}.Manager', 'ListLeases', 't', '0'])
        found += [f'lease {lease[0]} is there' for lease in json.loads(leases)['data'][0]]
    return found


# Deadly signals that a test does not send: an assert, a bad pointer, the unit's system call filter; and the sanitizers
CRASH = re.compile(r'code=dumped|status=(4|6|7|8|11|31)/|[Ww]atchdog|AddressSanitizer|LeakSanitizer|runtime error:')


def faults(since):
    """What the daemon must never do, whatever a test is about."""
    check(['journalctl', '--sync'])
    # systemd's words about the unit, and the unit's own
    output = check(['journalctl', '--quiet', '--output=cat', f'--since=@{since}', f'UNIT={SERVICE}', '+', f'_SYSTEMD_UNIT={SERVICE}'])
    return [f'the daemon: {line}' for line in output.splitlines() if CRASH.search(line)]


def clean_up(since):
    """reset(), and what was wrong before it or still is after it."""
    try:
        # Stopped first, because some faults show at the end only
        stop_service()
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
