# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The second half of tests/demo: boots a machine, puts the product into it, and types what people would
type there. Every command must end with the status that is expected of it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import topology  # noqa: E402
from machine import Machine, MachineError, exit_on_signals  # noqa: E402
from provision import provision, shares  # noqa: E402

EDU = topology.EDU.removeprefix('0000:')
BIND = ('for device in 0000:06:0d.0 0000:06:0d.1; do\n'
        '    cd /sys/bus/pci/devices/$device\n'
        '    echo vfio-pci >driver_override\n'
        '    [ ! -e driver ] || echo $device >driver/unbind\n'
        '    echo $device >/sys/bus/pci/drivers_probe\n'
        'done')


class Wrong(Exception):
    pass


class Paper:
    """What is said, in colours where there is somebody to see them."""

    def __init__(self):
        self.colors = sys.stdout.isatty() and not os.environ.get('NO_COLOR')

    def paint(self, color, text):
        return f'\x1b[{color}m{text}\x1b[0m' if self.colors else text

    def say(self, color, text):
        print(self.paint(color, text), flush=True)

    def note(self, text):
        self.say('2', text)

    def title(self, text):
        self.say('1;34', f'\n{text}')

    def prompt(self, user, line):
        mark = '#' if user == 'root' else '$'
        print(self.paint({'root': '31', 'bob': '33'}.get(user, '32'), f'{user}@guest{mark}') + ' ' + self.paint('1', line), flush=True)


class Demo:
    def __init__(self, machine, paper):
        self.machine = machine
        self.paper = paper
        self.steps = 0

    def type(self, user, line, status=0, has=()):
        """Runs what @user types in a shell, and shows both. @has: what its output must have in it."""
        self.steps += 1
        self.paper.prompt(user, line)
        got, output = self.machine.run(['sh', '-c', f'cd ~{user} && {line}'], user=None if user == 'root' else user)
        for text in output.splitlines():
            print('    ' + text, flush=True)
        if got != status:
            raise Wrong(f'it ended with status {got}, not with {status}')
        for words in has:
            if words not in output:
                raise Wrong(f'its output should have "{words}" in it')
        if status:
            self.paper.note(f'    (status {status}, as it should be)')

    def wait(self, user, line):
        """Until @line succeeds. Not shown: a person would just look again."""
        end = time.monotonic() + 60
        while self.machine.run(line, user=user)[0]:
            if time.monotonic() > end:
                raise Wrong(f'waited in vain for: {line}')
            time.sleep(0.2)

    def prepare(self):
        self.paper.title('The service, and what there is')
        self.type('root', 'systemctl start vfio-broker')
        self.type('root', 'systemctl show --property=ActiveState,StatusText vfio-broker', has=['ActiveState=active'])
        self.type('alice', 'vfio-broker tree', has=[topology.EDU])

        self.paper.title('alice wants the edu device. Why can she not have it?')
        self.type('alice', f'vfio-broker explain {EDU}', 4, has=['Policy does not let you have it', 'e1000'])
        self.type('root', BIND)
        self.type('root', 'cp /usr/share/doc/vfio-broker/rules/50-vfio-broker-group.rules /etc/polkit-1/rules.d/')
        self.type('root', 'usermod --append --groups vfio alice')
        # polkit hears of it by itself, a moment later
        self.wait('alice', f'vfio-broker explain {EDU}')
        self.type('alice', f'vfio-broker explain {EDU}', has=['yes'])

    def use(self):
        self.paper.title('An unprivileged program drives it: DMA both ways, and an interrupt')
        self.type('alice', 'id; ls -l /dev/vfio')
        self.type('alice', f"vfio-broker run -d {EDU} --label demo -- edu-driver '{{container}}' '{{dev:0}}' stay >driver.log 2>&1 &")
        self.wait('alice', 'grep -q unmapped ~alice/driver.log')
        self.type('alice', 'cat driver.log', has=['DMA to the device and back, data compared  ok', 'an MSI through an eventfd                  ok'])
        self.type('alice', 'vfio-broker leases', has=['alice', 'demo', 'active'])

        self.paper.title('Meanwhile nobody else gets it')
        self.type('carol', f'vfio-broker run -d {EDU} -- edu-driver', 5, has=['leased'])
        self.type('bob', f'vfio-broker run -d {EDU} -- edu-driver', 4, has=['Not allowed by policy'])

    def give_back(self):
        self.paper.title('alice gives it back; the machine is as it was')
        self.type('alice', 'pkill edu-driver')
        self.wait('alice', f'vfio-broker explain {EDU}')
        self.type('alice', 'vfio-broker leases')
        self.type('alice', f'vfio-broker list group:$(basename $(readlink /sys/bus/pci/devices/{topology.EDU}/iommu_group))', has=['available'])
        self.type('root', 'journalctl --unit=vfio-broker --identifier=vfio-brokerd --output=cat', has=['begins', 'Refused', 'is over'])
        self.type('root', 'journalctl --catalog --output=short --no-hostname --identifier=vfio-brokerd MESSAGE_ID=32fa23b17b5740248a57b32340692268',
                  has=['There is nothing to do'])

    def run(self):
        self.prepare()
        self.use()
        self.give_back()


def install(build, folder):
    """The product as a package would have it. What meson prints is of no interest unless it fails."""
    result = subprocess.run(['meson', 'install', '--quiet', '--no-rebuild', '-C', build, '--destdir', folder],
                            capture_output=True, text=True, check=False)
    if result.returncode:
        raise MachineError('the build cannot be installed:\n' + result.stdout + result.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('build', help='a build of meson')
    parser.add_argument('--suite', default='trixie', choices=['trixie', 'bookworm'])
    options = parser.parse_args()
    exit_on_signals()
    paper = Paper()
    begin = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix='vfio-broker-') as folder:
            install(options.build, folder)
            with Machine(options.suite, shares(folder, f'{options.build}/tests/vm/programs'), paper.note) as machine:
                machine.boot()
                provision(machine)
                demo = Demo(machine, paper)
                demo.run()
    except (Wrong, MachineError) as error:
        paper.say('1;31', f'\nThat went wrong: {error}')
        return 1
    paper.say('1;32', f'\nAll {demo.steps} steps did what they should, in {time.monotonic() - begin:.0f} s.')
    return 0


if __name__ == '__main__':
    sys.exit(main())
