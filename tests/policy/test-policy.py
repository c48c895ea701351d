#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The polkit actions and the bus policy against the contract: test-policy.py SOURCE-ROOT"""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ET

root = pathlib.Path(sys.argv[1])
protocol, policy = root / 'protocol', root / 'policy'
POLKIT_DTD = pathlib.Path('/usr/share/polkit-1/policyconfig-1.dtd')

names = dict(re.findall(r'#define (VFB_\w+)\s+"([^"]*)"', (protocol / 'names.h').read_text()))
interface = ET.parse(protocol / 'org.vfiobroker1.xml').getroot()
actions = ET.parse(policy / 'org.vfiobroker1.policy').getroot().findall('action')
bus = ET.parse(policy / 'org.vfiobroker1.conf').getroot()

# What the daemon tells polkit, as the manual has it; a message or a rule may use nothing else.
manual = (root / 'docs' / 'org.vfiobroker1.5.rst').read_text()
DEVICE = set(re.findall(r'^    (device\.[a-z-]+)  ', manual, flags=re.M))
DETAILS = {
    'org.vfiobroker1.acquire': DEVICE | {'lease.mode', 'lease.label'},
    'org.vfiobroker1.revoke': {'lease.id', 'lease.uid', 'lease.devices'},
    'org.vfiobroker1.quarantine': DEVICE,
    'org.vfiobroker1.bind': DEVICE,
    'org.vfiobroker1.sriov': DEVICE,
    'org.vfiobroker1.no-iommu': DEVICE,
    'org.vfiobroker1.bind-in-use': DEVICE,
    'org.vfiobroker1.inspect-others': {'lease.id', 'lease.uid', 'lease.devices'},
}


class Actions(unittest.TestCase):
    def test_each_action_of_the_contract_is_there_and_no_other(self):
        self.assertEqual(sorted(action.get('id') for action in actions),
                         sorted(value for name, value in names.items() if name.startswith('VFB_ACTION_')))

    def test_administrators_are_asked_each_time_wherever_the_caller_is(self):
        for action in actions:
            defaults = {element.tag: element.text for element in action.find('defaults')}
            self.assertEqual(defaults, dict.fromkeys(('allow_any', 'allow_inactive', 'allow_active'), 'auth_admin'))

    def test_messages_use_only_details_that_the_daemon_sends(self):
        for action in actions:
            used = re.findall(r'\$\(([^)]*)\)', action.findtext('message'))
            self.assertTrue(used, action.get('id'))
            self.assertLessEqual(set(used), DETAILS[action.get('id')])

    def test_rules_look_only_at_details_that_the_daemon_sends(self):
        samples = list(policy.glob('samples/*.rules'))
        self.assertTrue(samples)
        for rules in samples:
            used = re.findall(r'action\.lookup\("([^"]*)"\)', rules.read_text())
            self.assertLessEqual(set(used), DETAILS['org.vfiobroker1.acquire'], rules.name)

    @unittest.skipUnless(shutil.which('xmllint') and POLKIT_DTD.exists(), 'needs xmllint and the DTD of polkit')
    def test_the_file_is_valid_by_the_dtd_of_polkit(self):
        subprocess.run(['xmllint', '--noout', '--nonet', '--dtdvalid', POLKIT_DTD,
                        policy / 'org.vfiobroker1.policy'], check=True)


class Bus(unittest.TestCase):
    def test_only_root_owns_the_name(self):
        owners = [(section.attrib, rule.attrib) for section in bus.findall('policy')
                  for rule in section if 'own' in rule.attrib or 'own_prefix' in rule.attrib]
        self.assertEqual(owners, [({'user': 'root'}, {'own': names['VFB_BUS_NAME']})])

    def test_everybody_may_call_our_interfaces_and_the_standard_ones_and_no_other(self):
        ours = {element.get('name') for element in interface.findall('interface')}
        ours.remove(names['VFB_INTERFACE_PCI'])  # properties only
        standard = {'org.freedesktop.DBus.' + name for name in ('Introspectable', 'ObjectManager', 'Peer', 'Properties')}

        allowed = []
        for rule in bus.findall("policy[@context='default']/*"):
            self.assertEqual(rule.tag, 'allow')
            self.assertEqual(set(rule.attrib), {'send_destination', 'send_interface'})
            self.assertEqual(rule.get('send_destination'), names['VFB_BUS_NAME'])
            allowed.append(rule.get('send_interface'))
        self.assertEqual(sorted(allowed), sorted(ours | standard))


unittest.main(argv=sys.argv[:1])
