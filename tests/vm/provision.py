# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts the product into a booted machine as a package would, and makes the machine ready for tests."""

from machine import MachineError, PROGRAMS, SHARES

DROP_INS = '/etc/vfio-broker/vfio-broker.conf.d'
BASE = f'{SHARES}/tests/guest/base.py'


def shares(destdir=None, programs=None):
    """The folders that a Machine must share for provision()."""
    folders = {'product': destdir, 'programs': programs}
    return {name: folder for name, folder in folders.items() if folder}


def provision(machine):
    if 'product' in machine.shares:
        install(machine)
    if 'programs' in machine.shares:
        # Only the programs themselves: the folder is one of the build's and full of other things
        machine.check(f'mkdir -p {PROGRAMS} && find {SHARES}/programs -maxdepth 1 -type f -perm -100 -exec cp -t {PROGRAMS} {{}} +')
    # What a test leaves behind is told by comparison with now
    machine.check(['python3', BASE, 'baseline'])


def install(machine):
    # Folders that are there keep their owners and modes, links to folders stay links; all files become root's
    machine.check(f'tar -C {SHARES}/product --owner=0 --group=0 -c . | tar -C / -x --no-overwrite-dir --keep-directory-symlink')
    machine.check('ldconfig; systemd-sysusers')
    if machine.run('getent group vfio')[0]:
        raise MachineError('the installed tree makes no group "vfio": where is its sysusers file?')
    machine.check('systemd-tmpfiles --create; journalctl --quiet --update-catalog; '
                  'udevadm control --reload && udevadm trigger --settle --subsystem-match=vfio --subsystem-match=misc')
    machine.check('systemctl daemon-reload && systemctl reload dbus.service && systemctl restart polkit.service')
    # No test is to be about how fast the machine is; one that is about a limit has its own
    machine.check(f'mkdir -p {DROP_INS} && printf "[Binding]\\nDriverTimeoutSec=600\\n" >{DROP_INS}/10-guest.conf')
    # bob is who must be refused
    machine.check('gpasswd --add alice vfio && gpasswd --add carol vfio')
