# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of drivers share: all that a change of a driver may change, and a quick way to ask the service."""

import contextlib
import os

import broker
import lib
import topology

STATE = '/run/vfio-broker'
LOST = 'lost'
# What VFIO and the kernel may leave behind, and "enable" tells whether somebody has the device
ATTRIBUTES = ['driver_override', 'power/control', 'enable', 'sriov_numvfs', 'reset_method']
ORIGIN = '"origin"'

# What there is


def raw(path):
    """Byte for byte: "(null)" is not the same as nothing here."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except FileNotFoundError:
        return None


def children(folder):
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def facts_of(address):
    folder = f'{lib.PCI}/devices/{address}'
    found = {name: raw(f'{folder}/{name}') for name in ATTRIBUTES}
    found['driver'] = lib.driver_of(address)
    # The interface's name may be udev's, so it comes back a moment later
    found['interfaces'] = {name: raw(f'{folder}/net/{name}/address') for name in children(f'{folder}/net')}
    found['controllers'] = children(f'{folder}/nvme')
    found['for VFIO'] = children(f'{folder}/vfio-dev')
    return found


def facts():
    """Address to all that must be the same again."""
    return {device.address: facts_of(device.address) for device in topology.DEVICES}


def changes(before, now):
    return [f'{address}: {what} was {old!r}, is {now[address][what]!r}'
            for address, of_device in before.items() for what, old in of_device.items() if old != now[address][what]]


def with_origin():
    """The devices that the service says it has taken from their drivers."""
    found = []
    for name in children(STATE):
        text = raw(f'{STATE}/{name}') if name.startswith('device-') and not name.endswith('~') else None
        if text and ORIGIN.encode() in text:
            found.append(name.removeprefix('device-'))
    return found


def back_as_before(before, what):
    """All of it, and the service does not think otherwise."""
    left = []

    def same():
        left[:] = changes(before, facts()) + [f'an origin of {address}' for address in with_origin()]
        return not left
    try:
        lib.wait_for(same, 'all to be as before')
    except AssertionError as error:
        raise AssertionError(f'not as before after {what}: {left}') from error


def interfaces():
    """Address of a NIC to its interface's name, and that to its hardware address."""
    return {address: found for address, found in ((address, facts_of(address)['interfaces']) for address in facts()) if found}


def name_interfaces():
    """
    Gives network interfaces names of their own, as Debian does out of the box. The guest boots without, and the kernel's
    names (eth0) go by the order in which the cards come back.
    """
    wanted = {}
    os.makedirs('/run/systemd/network', exist_ok=True)
    for address, ((name, hardware),) in ((address, found.items()) for address, found in interfaces().items()):
        wanted[address] = 'nic' + address.replace(':', '').replace('.', '')[-5:]
        lib.write(f'/run/systemd/network/10-{wanted[address]}.link',
                  f'[Match]\nPermanentMACAddress={hardware.decode().strip()}\n[Link]\nName={wanted[address]}\n')
        lib.check(['udevadm', 'control', '--reload'])
        lib.check(['udevadm', 'trigger', '--action=add', f'/sys/class/net/{name}'])  # its --settle would wait for the old name
    lib.wait_for(lambda: {address: list(found) for address, found in interfaces().items()} ==
                 {address: [name] for address, name in wanted.items()}, f'names of interfaces: {wanted}')


# Asking, some hundred times


class Service:
    """Over one connection, as root. An answer is "", or the name of the error, or LOST with the service."""

    def __init__(self):
        import dbus  # pylint: disable=import-outside-toplevel
        self.dbus = dbus
        # A shared one would still be root's in the children of broker.call_as()
        self.bus = dbus.SystemBus(private=True)
        self.paths = {device.address: self.ask('GetDevice', 's', device.address) for device in topology.DEVICES}

    def ask(self, method, signature, *arguments, path=broker.ROOT, interface=broker.MANAGER):
        """What the method returns; it must succeed."""
        return self.bus.call_blocking(broker.NAME, path, interface, method, signature, arguments, timeout=lib.PATIENCE)

    def tell(self, address, method, signature, *arguments):
        try:
            self.ask(method, signature, *arguments, path=self.paths[address], interface=broker.DEVICE)
            return ''
        except self.dbus.DBusException as error:
            name = error.get_dbus_name()
            return LOST if name.startswith('org.freedesktop.DBus.Error.') and name != broker.INVALID_ARGS else name

    def bind(self, address):
        return self.tell(address, 'Bind', 'sa{sv}t', '', self.dbus.Dictionary({}, signature='sv'), 0)

    def restore(self, address):
        return self.tell(address, 'Restore', 't', 0)

    @contextlib.contextmanager
    def acquired(self, address):
        """A lease of root's, and the device is free again after it."""
        empty = self.dbus.Dictionary({}, signature='sv')
        lease, lifeline, fds, _ = self.ask('Acquire', 'a(sa{sv})a{sv}t', [(address, empty)], empty, 0)
        try:
            yield lease
        finally:
            for fd in [lifeline] + [row[1] for row in fds]:
                os.close(fd.take())
            lib.wait_for(lambda: self.devices()[address] == 'available', f'{address} to be free again')

    def explain(self, address):
        """Whether it could be had."""
        empty = self.dbus.Dictionary({}, signature='sv')
        return bool(self.ask('Explain', 'a(sa{sv})a{sv}', [(address, empty)], empty)[0])

    def quarantine(self, address):
        return self.tell(address, 'Quarantine', 'st', 'test', 0)

    def unquarantine(self, address):
        return self.tell(address, 'Unquarantine', 't', 0)

    def devices(self):
        """Address to availability."""
        return {str(row[0]): str(row[3]) for row in self.ask('ListDevices', 'a{sv}t', self.dbus.Dictionary({}, signature='sv'), 0)}

    def leases(self):
        return [str(row[0]) for row in self.ask('ListLeases', 't', 0)]

    def pid(self):
        """0: it is not there."""
        try:
            return int(self.bus.call_blocking('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                                              'GetConnectionUnixProcessID', 's', (broker.NAME,)))
        except self.dbus.DBusException:
            return 0

    def await_next(self, old):
        lib.wait_for(lambda: self.pid() not in (0, old), 'the next service')

    def await_rest(self):
        """Until no device is on its way from one driver to another."""
        lib.wait_for(lambda: 'held' not in self.devices().values(), 'all devices to be at rest')

    def stored(self):
        """How many descriptors systemd keeps for it."""
        return int(self.bus.call_blocking('org.freedesktop.systemd1', '/org/freedesktop/systemd1/unit/vfio_2dbroker_2eservice',
                                          'org.freedesktop.DBus.Properties', 'Get', 'ss',
                                          ('org.freedesktop.systemd1.Service', 'NFileDescriptorStore')))
