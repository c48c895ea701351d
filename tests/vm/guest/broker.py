# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of the product share: asking the service, being a client of it, and seeing that nothing is left."""

import contextlib
import json
import os
import pwd
import re
import subprocess
import sys
import threading
import traceback

import lib
import topology

NAME = lib.BUS_NAME
ROOT = '/' + NAME.replace('.', '/')
MANAGER, DEVICE, LEASE = f'{NAME}.Manager', f'{NAME}.Device', f'{NAME}.Lease'
SAMPLES = '/usr/share/doc/vfio-broker/rules'
DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'

# As in protocol/events.h
ACQUIRED = '32fa23b17b5740248a57b32340692268'
REFUSED = '52ad674a91124ad99139d612eaeb61b8'
ENDED = '41a56754a8054554aa29e5b02900d75c'
LINGERING = '623fe8a83c9049669094a737b3502251'
RESET = '422945ccbc06412a9db7aeebbfcb0cc9'
RELEASED = 'def7b6c44b324a66bddccb4d0b72af92'
QUARANTINED = '838f402a2e4d489d96891cb1ff408d22'
RETURNED = '636d072bd9f8465ca3a5c338a8120d24'
RESTORED = '5ef8ad8a5f0d4fd0a5f2ad45bcb2d2a1'
NOT_BOUND = '9b5d1f60c58e4ed2b8f4cb1f8d3e6a71'
GIVEN_BACK = 'e0a8b34d4b6f4b6aa3a92a5ac1b2c7f4'
STATE = '0d5b3c8f8c4b4c3c9a2f41c67e1be0c4'
HOOK_STARTED = 'aec6a5b0e1e847c7a6f4865952475ad2'
HOOK_FAILED = 'cc258a15836b4a09a2733bd6a985e5ea'
HOOK_WRONG = 'da63e1c49dcc4ef593171cf012a3b332'
AWAITED = '1d3f8a6e5b7c4f0e8f5c2c9d4a61b7e3'
GONE = '6cab0c52f2724823b5dbc815343c7efd'
STOLEN = '5c0b6a1e3f7d4c19a8d2e94f7b60c3d5'
CUT = '0322fd3cbc76489cbb366bf0cca5cac2'
REVOKING = '68235eadc7be4369879c49856a21bbd5'
REVOKE_STEP = 'e753bde30b3e4d1899badc565011796d'
STILL_BUSY = 'ad24e35556b04b08ba35ff4afa7bbe69'
REVOKED = '2a25beb770e94b5d80a62115051a6e3f'

ALICE, BOB, CAROL = 1000, 1001, 1002


def refusal(word):
    return f'{NAME}.Error.{word}'


def enable(sample):
    """As the sample's own head says."""
    lib.check(['cp', f'{SAMPLES}/{sample}', '/etc/polkit-1/rules.d/'])
    lib.restart_polkit()


def let_group_in():
    enable('50-vfio-broker-group.rules')


# Asking


def busctl(method, signature='', *arguments, path=ROOT, interface=MANAGER, user=None):
    """The answer's values. For what succeeds: busctl does not tell the name of an error."""
    words = ['busctl', '--json=short', 'call', NAME, path, interface, method]
    output = lib.check(words + ([signature, *map(str, arguments)] if signature else []), user)
    return json.loads(output)['data'] if output else []


def leases():
    """Id to (uid, state)."""
    return {row[0]: (row[2], row[4]) for row in busctl('ListLeases', 't', 0)[0]}


def devices():
    """Address to (driver, availability)."""
    return {row[0]: (row[2], row[3]) for row in busctl('ListDevices', 'a{sv}t', 0, 0)[0]}


def availability(address):
    return devices()[address][1]


def command(*words, user=None):
    """vfio-broker with --json: exit status, and what it printed, or what was wrong."""
    result = lib.run(['vfio-broker', '--json', *words], user)
    text = result.stdout if result.stdout.strip() else result.stderr
    return result.returncode, json.loads(text) if text.strip() else None


def do(*words, user=None):
    """vfio-broker, which must succeed."""
    status, answer = command(*words, user=user)
    assert status == 0, (words, status, answer)


def host_uses(address):
    """What the host needs the device for: "kind: text" of each."""
    words = ['busctl', '--json=short', 'get-property', NAME, busctl('GetDevice', 's', address)[0], DEVICE, 'HostUses']
    return [': '.join(use) for use in json.loads(lib.check(words))['data']]


def check_in_use(address, text, *words, user=None):
    """Nobody gets it, and the answer says why: the first of the uses that the property has."""
    before = lib.device_state(address)
    status, answer = command('bind', address, *words, user=user)
    assert status == 5 and answer['error'] == refusal('InUseByHost'), (address, words, status, answer)
    assert text in answer['text'], (text, answer)
    assert lib.device_state(address) == before, (before, lib.device_state(address))
    uses = host_uses(address)
    assert any(text in use for use in uses), (text, uses)
    print(address, uses, flush=True)


def stolen():
    """What was told of devices that the host has lost."""
    return [entry['MESSAGE'] for entry in lib.journal(MESSAGE_ID=STOLEN)]


def await_free(address):
    lib.wait_for(lambda: availability(address) == 'available', f'{address} to be available')


def await_no_lease():
    lib.wait_for(lambda: not leases(), 'the end of all leases')


def restart_at_once():
    """The service after its death."""
    os.makedirs('/run/systemd/system/vfio-broker.service.d', exist_ok=True)
    lib.write('/run/systemd/system/vfio-broker.service.d/test.conf', '[Service]\nRestartSec=100ms\n')
    lib.check(['systemctl', 'daemon-reload'])


# Other users, in children of the test


def call_as(user, function, *arguments, **options):
    """What @function returns in a child that is @user; it must be something that JSON knows."""
    ends = os.pipe()
    child = os.fork()
    if not child:
        run_as(user, lambda: function(*arguments, **options), ends[1])
    os.close(ends[1])
    with os.fdopen(ends[0], encoding='utf-8') as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f'{function.__name__} as {user} failed'
    return json.loads(text)


def run_as(user, function, pipe):
    status = 1
    try:
        entry = pwd.getpwnam(user or 'root')
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        result = json.dumps(function())
        with os.fdopen(pipe, 'w', encoding='utf-8') as file:
            file.write(result)
        status = 0
    except BaseException:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # pylint: disable=protected-access


def wants(*selectors, options=None):
    import dbus  # pylint: disable=import-outside-toplevel
    return dbus.Array([(selector, dbus.Dictionary(options or {}, signature='sv')) for selector in selectors], signature='(sa{sv})')


def try_acquire(*selectors, options=None, device_options=None, flags=0):
    """The name of the error; "" for none, and then the lease ends at once. As the user whose process it is."""
    import dbus  # pylint: disable=import-outside-toplevel
    try:
        lib.manager().Acquire(wants(*selectors, options=device_options), dbus.Dictionary(options or {}, signature='sv'),
                              dbus.UInt64(flags), timeout=lib.PATIENCE)
        return ''
    except dbus.DBusException as error:
        return error.get_dbus_name()


def try_each(selectors, times=1):
    """Selector to the name of the error, which must be the same every time."""
    answers = {}
    for selector in list(selectors) * times:
        answers.setdefault(selector, set()).add(try_acquire(selector))
        if answers[selector] == {''}:
            await_no_lease()
    return {selector: ' and '.join(sorted(names)) for selector, names in answers.items()}


def acquire_as(user, *selectors):
    return call_as(user, try_acquire, *selectors)


# A client


class Client:
    """The program "client", told what to do."""

    def __init__(self, user, *prefix):
        self.process = subprocess.Popen(lib.as_user([*prefix, 'client'], user), text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        assert self.read('open')['open'] == 'ok'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def tell(self, line):
        self.process.stdin.write(line + '\n')

    def read(self, last):
        """All "word: value" up to the line that begins with @last."""
        answer = {}
        for line in self.process.stdout:
            word, _, value = line.rstrip('\n').partition(': ')
            answer[word] = value
            if word == last:
                return answer
        raise AssertionError(f'the client ended with {self.process.wait()} before "{last}": {answer}')

    def ask(self, line):
        self.tell(line)
        return self.read(line.split()[0])

    def do(self, line):
        """What must work."""
        answer = self.ask(line)
        assert answer[line.split()[0]] == 'ok', f'{line}: {answer}'
        return answer

    def refused(self, line):
        """The name of the error that it must end with."""
        answer = self.ask(line)
        assert 'error' in answer, f'{line}: {answer}'
        return answer['error']

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# What happens


class Monitor:
    """vfio-broker monitor, read as it comes."""

    def __init__(self, process):
        self.events = []
        threading.Thread(target=self.read, args=(process,), daemon=True).start()

    def read(self, process):
        for line in process.stdout:
            self.events.append(json.loads(line))

    def wait(self, event, **members):
        """Until there is such an event. Returns all until then, and forgets them."""
        def seen():
            return any(one['event'] == event and members.items() <= one.items() for one in self.events)
        lib.wait_for(seen, f'{event} {members} among {self.events}')
        events, self.events = self.events, []
        return events


@contextlib.contextmanager
def monitoring():
    """As bob: it needs no right. It does not say when it listens, so it is given something to see until it does."""
    path, = busctl('GetDevice', 's', topology.BRIDGE)
    with lib.background(['vfio-broker', '--json', 'monitor'], 'bob') as process:
        monitor = Monitor(process)

        def seen():
            busctl('Quarantine', 'st', 'test', 0, path=path, interface=DEVICE)
            busctl('Unquarantine', 't', 0, path=path, interface=DEVICE)
            return monitor.events
        lib.wait_for(seen, 'the monitor to listen')
        yield monitor


# What is left


def children_of_daemon():
    pid = lib.daemon_pid()
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
        return file.read().split()


def open_groups():
    """Who has a group or a device open."""
    return {pid: files for pid, files in
            ((pid, [name for name in files if re.match(r'/dev/vfio/\d|anon_inode:\[vfio-dev', name)]) for pid, files in lib.holders().items())
            if files}


def state():
    """All that a request may leave behind when it should leave nothing."""
    return {'devices': lib.kernel_state(), 'leases': leases(), 'groups': open_groups(),
            'the descriptors of the daemon': lib.daemon_fds(), 'the children of the daemon': children_of_daemon(),
            'what systemd keeps': lib.unit_property('NFileDescriptorStore')}


def differences(before):
    now = state()
    return [f'{what}: {old} before, {now[what]} now' for what, old in before.items() if old != now[what]]


@contextlib.contextmanager
def nothing_left():
    """After the block all is as it was before."""
    before = state()
    yield
    left = []

    def same():
        left[:] = differences(before)
        return not left
    try:
        lib.wait_for(same, 'things to be as before')
    except AssertionError as error:
        raise AssertionError('\n'.join(left)) from error


def fields(entry, name):
    """A field of a journal entry; one that was written several times is a list."""
    value = entry.get(name, [])
    return value if isinstance(value, list) else [value]


def logged(message_id, since=None, **other):
    return lib.journal(since, MESSAGE_ID=message_id, **other)
