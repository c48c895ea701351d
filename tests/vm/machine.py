# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A throw-away QEMU guest with an emulated IOMMU and the devices of topology.py.

    with Machine('trixie', say=print) as machine:
        machine.boot()
        status, output = machine.run('lspci')

Nothing of it has a name on the host: sockets are socket pairs, the disk's changes are in a file that
QEMU unlinks, and the kernel kills QEMU when we die. So several machines can run side by side, and
there is nothing to clean up, however we end.
"""

import base64
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty

import topology
from brake import Brake

HERE = os.path.dirname(os.path.abspath(__file__))
SHARES = '/run/shares'
PROGRAMS = '/usr/lib/vfio-broker-tests'
PATH = f'{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

BOOTS = 3
# Seconds of QEMU's processor time, of which a boot takes about 30 however busy the host is; and on the clock.
BOOT_EFFORT = 150
BOOT_TIMEOUT = 1200
# A guest that boots is at work all the time. One that was not for so long has lost an interrupt, and waits for good.
IDLE_TIME = 60
IDLE_EFFORT = 5
# Of a command in the guest: it ends what never ends
PATIENCE = 600
# oops=panic and no reboot: an early crash ends QEMU at once and need not be waited for.
# norandmaps: QEMU keeps what it has translated by virtual address, and would translate each library anew for each process.
KERNEL_ARGUMENTS = ['intel_iommu=on', 'console=ttyS0', 'panic=-1', 'oops=panic', 'loglevel=4', 'mitigations=off', 'audit=0',
                    'apparmor=0', 'net.ifnames=0', 'no_timer_check', 'random.trust_cpu=on', 'cryptomgr.notests', 'norandmaps',
                    'systemd.show_status=0', 'systemd.getty_auto=0']


class MachineError(Exception):
    """The machine, not what runs in it, has failed."""


class MachineStalled(MachineError):
    """It is there and does nothing any more. A kernel that panics ends QEMU, and is no stall."""


def exit_on_signals():
    """Ends the program in an orderly way, with its machine, where it would just die."""
    def leave(number, _frame):
        sys.exit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def build_image(suite, say):
    """The folder with the image of @suite; built if it is not there or its script has changed."""
    command = ['setpriv', '--pdeathsig', 'TERM', '--', f'{HERE}/image', suite]
    begin = time.monotonic()
    # A session of its own, so that all of it can be ended at once.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        try:
            output = process.communicate(timeout=1)[0]
        except subprocess.TimeoutExpired:
            say(f'building the {suite} image (once, about a minute)')
            output = process.communicate()[0]
            say(f'image built in {time.monotonic() - begin:.0f} s')
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if process.returncode:
        raise MachineError(f'no image of {suite}')
    return output.strip()


class Lines:
    """JSON objects, one per line, over a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b''

    def send(self, value):
        self.sock.sendall(json.dumps(value).encode() + b'\n')

    def receive(self, timeout):
        end = time.monotonic() + timeout
        while b'\n' not in self.buffer:
            self.sock.settimeout(max(end - time.monotonic(), 0.001))
            data = self.sock.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self.buffer += data
        line, self.buffer = self.buffer.split(b'\n', 1)
        # The agent marks the answer to guest-sync-delimited this way
        return json.loads(line.lstrip(b'\xff'))

    def ask(self, command, arguments=None, timeout=180):
        request = {'execute': command}
        if arguments:
            request['arguments'] = arguments
        self.send(request)
        while True:
            answer = self.receive(timeout)
            if 'error' in answer:
                raise MachineError(f'{command}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']


class Machine:
    def __init__(self, suite, shares=None, say=lambda text: None, kernel='', devices=(), brake=None):
        """
        @shares: name to folder on the host; the guest sees it, read-only, as SHARES/name. @kernel: more arguments for it.
        @devices: names of topology.EXTRAS. @brake: what makes it slow.
        """
        self.suite = suite
        self.kernel = kernel
        self.devices = devices
        self.brake = brake or Brake()
        self.shares = {'tests': HERE, **(shares or {})}
        self.say = say
        self.process = None
        self.boots = 0
        self.ready = False
        self.units = 0
        self.terminal = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # Starting and stopping

    def boot(self):
        """Takes up to three boots: under emulation the kernel now and then dies while it patches its own code."""
        image = build_image(self.suite, self.say)
        for attempt in range(1, BOOTS + 1):
            self.say(f'booting {self.suite}' + (f', attempt {attempt} of {BOOTS}' if attempt > 1 else ''))
            begin = time.monotonic()
            self.boots += 1
            self.start(image)
            self.wait_for_qemu()
            if self.wait_for_agent():
                break
            self.say(f'the guest did not come up in {time.monotonic() - begin:.0f} s, {self.effort():.0f} s of them on a '
                     f'processor; its last words:\n{self.last_words()}')
            self.stop()
        else:
            raise MachineError(f'the {self.suite} guest did not boot {BOOTS} times')
        self.prepare()
        self.ready = True
        self.say(f'booted in {time.monotonic() - begin:.0f} s')

    def start(self, image):
        ours, theirs = {}, {}
        for name in ('qmp', 'agent', 'hotplug', 'serial'):
            ours[name], theirs[name] = socket.socketpair()
        self.stderr = tempfile.TemporaryFile()
        # Not KVM, even if it is there: nested or partial virtualisation hangs.
        self.process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', '--', *self.command(image, theirs)],
            stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr, start_new_session=True,
            pass_fds=[end.fileno() for end in theirs.values()])
        for end in theirs.values():
            end.close()
        self.brake.begin(self.process.pid)
        self.serial = bytearray()
        self.serial_socket = ours['serial']
        self.monitor = Lines(ours['qmp'])
        self.monitor_lock = threading.Lock()
        self.agent = Lines(ours['agent'])
        threading.Thread(target=self.keep_serial, args=(ours['serial'],), daemon=True).start()
        threading.Thread(target=self.serve_hotplug, args=(ours['hotplug'],), daemon=True).start()

    def command(self, image, sockets):
        # One processor: while one of several changes the memory map (each open of a device does), QEMU before 8.1 lets
        # the others write by an outdated one, and an interrupt that goes to the IOMMU's registers is lost for good.
        # The firmware's picture is looked for by a first part of the kernel, which is in front of what is compressed.
        kernel = 'vmlinuz' if 'display' in self.devices else 'vmlinux'
        arguments = [*KERNEL_ARGUMENTS, *topology.kernel_arguments(self.devices), self.kernel]
        command = ['qemu-system-x86_64', '-nodefaults', '-display', 'none', '-no-reboot',
                   '-machine', 'q35,kernel-irqchip=split', '-accel', 'tcg,thread=single,tb-size=512',
                   '-cpu', 'Nehalem', '-smp', '1', '-m', '1024',
                   '-kernel', f'{image}/{kernel}', '-initrd', f'{image}/initrd', '-append', ' '.join(arguments)]
        command += topology.qemu_arguments(f'{image}/root.ext4', self.devices)
        command += ['-drive', f'if=none,id=root,file={image}/root.ext4,format=raw,snapshot=on,cache=unsafe',
                    '-device', 'virtio-blk-pci,drive=root,bus=pcie.0,addr=02.0',
                    '-device', 'virtio-serial-pci,id=ports,bus=pcie.0,addr=03.0']
        for name, end in sockets.items():
            command += ['-chardev', f'socket,id={name},fd={end.fileno()}']
        if 'serial' not in self.devices:
            command += ['-serial', 'chardev:serial']
        command += ['-mon', 'chardev=qmp,mode=control',
                    '-device', 'virtserialport,bus=ports.0,chardev=agent,name=org.qemu.guest_agent.0',
                    '-device', 'virtserialport,bus=ports.0,chardev=hotplug,name=hotplug']
        for slot, (name, folder) in enumerate(self.shares.items(), 4):
            command += ['-fsdev', f'local,id={name},path={os.path.abspath(folder)},security_model=none,readonly=on,multidevs=remap',
                        '-device', f'virtio-9p-pci,fsdev={name},mount_tag={name},bus=pcie.0,addr={slot:02x}.0']
        return command

    def wait_for_qemu(self):
        try:
            self.monitor.receive(60)
            self.monitor.ask('qmp_capabilities')
        except OSError as error:
            raise MachineError(f'QEMU does not start: {self.last_words()}') from error

    def wait_for_agent(self):
        """Asks again and again: a question from before the agent was there may be lost, or answered late."""
        begin = seen = time.monotonic()
        number = effort = 0
        while time.monotonic() < begin + BOOT_TIMEOUT and self.effort() < BOOT_EFFORT:
            if time.monotonic() > seen + IDLE_TIME:
                if self.effort() < effort + IDLE_EFFORT:
                    return False
                seen, effort = time.monotonic(), self.effort()
            number += 1
            try:
                self.agent.send({'execute': 'guest-sync', 'arguments': {'id': number}})
                while self.agent.receive(5).get('return') != number:
                    pass
                return True
            except TimeoutError:
                continue
            except OSError:
                return False
        return False

    def effort(self):
        with open(f'/proc/{self.process.pid}/stat', encoding='ascii') as file:
            user, system = file.read().rsplit(')', 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')

    def prepare(self):
        status, state = self.run('systemctl is-system-running --wait')
        if status:
            raise MachineError(f'the guest is {state.strip()}: {self.run("systemctl --failed --no-legend")[1]}')
        # Before udev has bound the transport there is nothing of that name to mount
        self.check('udevadm settle; modprobe -a 9pnet_virtio 9p')
        for name in self.shares:
            self.check(f'mkdir -p {SHARES}/{name} && mount -t 9p -o '
                       f'ro,trans=virtio,version=9p2000.L,msize=512000,cache=mmap {name} {SHARES}/{name}')
        # The agent's clock is the emulator's; udev may still be at work on what the mounts loaded.
        self.check('udevadm settle')
        status, output = self.run(f'python3 {SHARES}/tests/topology.py')
        if status:
            raise MachineError('the topology is not as declared:\n' + output.rstrip())

    def stop(self):
        if not self.process:
            return
        self.brake.end()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def last_words(self, lines=40):
        """The end of the serial console, and what QEMU itself complained about."""
        self.stderr.seek(0)
        text = self.serial.decode(errors='replace') + self.stderr.read().decode(errors='replace')
        return '\n'.join(line.rstrip() for line in text.splitlines()[-lines:])

    # Commands in the guest

    def ask_agent(self, command, **arguments):
        try:
            return self.agent.ask(command, arguments)
        except OSError as error:
            kind = MachineStalled if isinstance(error, TimeoutError) else MachineError
            raise kind(f'the guest does not answer ({error!r}), its last words:\n{self.last_words()}') from error

    def run(self, command, user=None, timeout=PATIENCE):
        """Runs @command (a shell line, or a list) and returns its status and its output, errors included."""
        arguments = command_list(command)
        if user:
            arguments = ['runuser', '-u', user, '--', *arguments]
        # timeout(1) in the guest, because what the agent has started nobody else can end
        arguments = ['timeout', '--kill-after=5', str(timeout), 'sh', '-c', 'exec "$@" 2>&1', 'sh', *arguments]
        pid = self.ask_agent('guest-exec', **{'path': '/usr/bin/env', 'arg': [f'PATH={PATH}', *arguments], 'capture-output': True})['pid']
        state = self.wait_for_exit(pid, timeout)
        output = base64.b64decode(state.get('out-data', '')).decode(errors='replace')
        return state.get('exitcode', 128 + state.get('signal', 0)), output

    def check(self, command, **arguments):
        """Like run(), for what must succeed; returns its output."""
        status, output = self.run(command, **arguments)
        if status:
            raise MachineError(f'{command} failed in the guest with status {status}: {output}')
        return output

    def stream(self, command, sink, user=None, timeout=600, environment=None):
        """
        Runs @command as a unit of its own and passes its output to @sink as it comes. Returns its status,
        or None if @timeout was over; then all of its processes are killed. Nothing of it survives it.
        """
        self.units += 1
        unit, output = f'host-{self.units}', f'/run/host-{self.units}.output'
        arguments = ['systemd-run', '--quiet', '--wait', '--collect', f'--unit={unit}', '-p', f'StandardOutput=file:{output}',
                     '-p', 'KillMode=control-group', '-p', 'TimeoutStopSec=5', '-p', f'RuntimeMaxSec={timeout}', '-E', f'PATH={PATH}']
        for name, value in (environment or {}).items():
            arguments += ['-E', f'{name}={value}']
        if user:
            arguments += ['-p', f'User={user}']
        begin = time.monotonic()
        pid = self.ask_agent('guest-exec', path='systemd-run', arg=arguments[1:] + ['--', *command_list(command)])['pid']
        # Touched first, because systemd makes it only when it starts the command
        self.check(f'touch {output}')
        file = self.ask_agent('guest-file-open', path=output, mode='r')
        state = self.wait_for_exit(pid, timeout + 30, lambda: self.drain(file, sink))
        self.drain(file, sink)
        self.ask_agent('guest-file-close', handle=file)
        if state.get('exitcode') and time.monotonic() - begin >= timeout:
            return None
        return state.get('exitcode', 128 + state.get('signal', 0))

    def drain(self, file, sink):
        while True:
            data = self.ask_agent('guest-file-read', handle=file, count=1 << 16)
            if data['count']:
                sink(base64.b64decode(data['buf-b64']).decode(errors='replace'))
            if data['eof'] or not data['count']:
                return

    def wait_for_exit(self, pid, timeout, meanwhile=lambda: None):
        end = time.monotonic() + timeout + 30
        pause = 0.01
        while True:
            state = self.ask_agent('guest-exec-status', pid=pid)
            if state['exited']:
                return state
            if time.monotonic() > end:
                raise MachineError(f'a command in the guest cannot be ended, last words:\n{self.last_words()}')
            meanwhile()
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)

    # Hot-plug

    def qmp(self, command, **arguments):
        with self.monitor_lock:
            try:
                return self.monitor.ask(command, arguments)
            except OSError as error:
                raise MachineError(f'QEMU does not answer: {error}') from error

    def serve_hotplug(self, sock):
        """Passes QMP commands from the guest's port to QEMU: a test plugs its devices itself."""
        port = Lines(sock)
        try:
            while True:
                request = port.receive(threading.TIMEOUT_MAX)
                try:
                    answer = {'return': self.qmp(request['execute'], **request.get('arguments', {}))}
                except MachineError as error:
                    answer = {'error': str(error)}
                port.send(answer)
        except OSError:
            pass

    # The console

    def keep_serial(self, sock):
        while True:
            try:
                data = sock.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            self.serial += data
            if self.terminal is not None:
                os.write(self.terminal, data)

    def shell(self):
        """A root shell on our terminal, until Ctrl-] or the end of the input."""
        self.check('systemctl start serial-getty@ttyS0.service')
        self.say('a root shell in the guest; Ctrl-] ends it')
        keyboard = sys.stdin.fileno()
        saved = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None
        self.terminal = sys.stdout.fileno()
        try:
            if saved:
                tty.setraw(keyboard)
            while self.process.poll() is None:
                if not select.select([keyboard], [], [], 0.5)[0]:
                    continue
                data = os.read(keyboard, 1024)
                if not data or b'\x1d' in data:
                    break
                self.serial_socket.sendall(data)
        finally:
            self.terminal = None
            if saved:
                termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)


def command_list(command):
    return ['sh', '-c', command] if isinstance(command, str) else list(command)
