#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual against what it describes: test-docs.py SOURCE-ROOT"""

import pathlib
import re
import sys
import unittest
import xml.etree.ElementTree as ET

root = pathlib.Path(sys.argv[1])


def read(path):
    return (root / path).read_text()


def page(name):
    return read(f'docs/{name}.rst')


def sections(text, underline):
    """Titles with this underline, and what stands below each."""
    parts = re.split(rf'^(\S.*)\n{re.escape(underline)}{{3,}}$', text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def terms(text):
    """Names and what follows them in the line, of definition lists."""
    return re.findall(r'^\*\*([\w.]+)\*\* (.+)\n    \S', text, flags=re.M)


def signature(element):
    def arguments(direction):
        return ', '.join(f"{arg.get('name')} {arg.get('type')}" for arg in element.findall('arg')
                         if arg.get('direction', 'in') == direction)

    if element.tag == 'property':
        return element.get('type')
    out = arguments('out')
    return f"({arguments('in')})" + (f' -> ({out})' if out else '')


class Bus(unittest.TestCase):
    text = page('org.vfiobroker1.5')

    def test_each_member_of_the_interfaces_is_there_with_its_types_and_no_other(self):
        described = sections(sections(self.text, '=')['INTERFACES'], '-')
        interfaces = {element.get('name'): element for element in ET.parse(root / 'protocol/org.vfiobroker1.xml').getroot()}

        self.assertEqual(sorted(described), sorted(interfaces))
        for name, interface in interfaces.items():
            by_kind = sections(described[name], '~')
            for title, tag in (('Methods', 'method'), ('Signals', 'signal'), ('Properties', 'property')):
                members = [(element.get('name'), signature(element)) for element in interface.findall(tag)]
                self.assertEqual(terms(by_kind.get(title, '')), members, f'{name}: {title}')

    def test_each_error_is_there_with_its_numbers_text_and_hint_and_no_other(self):
        prefixes = dict(re.findall(r'#define (\w+)\(x\) "([^"]*)" x', read('protocol/errors.c')))
        # Strings that stand one after the other are one
        source = re.sub(r'"\s+"', '', read('protocol/errors.c'))
        rows = re.findall(r'(\w+)\("(\w+)"\), (\w+), (\d+),\s*"([^"]*)",\s*"([^"]*)" }', source)
        expected = [(prefixes[prefix] + name, f'({number}, exit status {code})', f'{text}. {hint}.')
                    for prefix, name, number, code, text, hint in rows]
        self.assertEqual(len(rows), len(re.findall(r'^ +\[VFB_ERROR_\w+\] = {', read('protocol/errors.c'), flags=re.M)))

        described = re.findall(r'^\*\*([\w.]+)\*\* (\(.*\))\n((?:    .+\n)+)', sections(self.text, '=')['ERRORS'], flags=re.M)
        described = [(name, numbers, ' '.join(words.split())) for name, numbers, words in described]
        self.assertEqual(described, expected)

    def test_each_action_is_there_and_no_other(self):
        actions = re.findall(r'#define VFB_ACTION_\w+\s+"([^"]*)"', read('protocol/names.h'))
        described = re.findall(r'^\*\*([\w.-]+)\*\*\n    \S', sections(self.text, '=')['POLKIT'], flags=re.M)
        self.assertEqual(described, actions)

    @unittest.skipUnless((root / 'daemon/bus/wish.c').exists(), 'needs the daemon')
    def test_each_option_of_acquire_is_there_and_among_the_features_and_no_other(self):
        options = re.search(r'\(Option\[\]\){ ({ "mode".*?)} },', read('daemon/bus/wish.c'), flags=re.S).group(1)
        options = sorted(re.findall(r'{ "([a-z-]+)"', options))
        features = re.search(r'manager_property_features\(.*?^}', read('daemon/bus/manager-bus.c'), flags=re.M | re.S).group(0)
        self.assertEqual(sorted(re.findall(r'[ "]option:([a-z-]+)', features)), options)
        acquire = re.search(r'^\*\*Acquire\*\*.*?^\*\*', self.text, flags=re.M | re.S).group(0)
        for option in options:
            self.assertIn(f'"{option}"', acquire)

    @unittest.skipUnless((root / 'daemon/bus/details.c').exists(), 'needs the daemon')
    def test_polkit_is_told_the_details_that_are_listed_and_no_others(self):
        sent = re.findall(r'"((?:device|lease)\.[a-z-]+)"', read('daemon/bus/details.c'))
        described = re.findall(r'\b((?:device|lease)\.[a-z-]+)', sections(self.text, '=')['POLKIT'])
        self.assertEqual(sorted(set(sent)), sorted(set(described)))


class Command(unittest.TestCase):
    text = page('vfio-broker.1')

    def test_each_exit_status_is_there_and_no_other(self):
        codes = set(re.findall(r', (\d+),$', read('protocol/errors.c'), flags=re.M))
        described = re.findall(r'^(\d)$', sections(self.text, '=')['EXIT STATUS'], flags=re.M)
        self.assertEqual(set(described), codes | {'0', '1'})

    @unittest.skipUnless((root / 'client/ctl.c').exists(), 'needs the command')
    def test_each_subcommand_and_each_option_is_there_and_no_other(self):
        source, by_title = read('client/ctl.c'), sections(self.text, '=')

        self.assertEqual(re.findall(r'^\*\*(\w+)\*\*$', by_title['COMMANDS'], flags=re.M),
                         re.findall(r'^        { "(\w+)", "', source, flags=re.M))
        described = re.findall(r'^(?:-\w[^,]*, )?--([\w-]+)(?:=\w+)?$', by_title['OPTIONS'], flags=re.M)
        self.assertEqual(sorted(described),
                         sorted(re.findall(r'{ "([\w-]+)", (?:no|required|optional)_argument', source)))


class Completion(unittest.TestCase):
    text = read('client/completion/bash')
    source = read('client/ctl.c')

    def test_each_subcommand_and_each_option_is_completed_and_no_other(self):
        commands = re.search(r"^        ''\) printf '%s\\n' (.*) ;;$", self.text, flags=re.M).group(1)
        self.assertEqual(commands.split(), sorted(re.findall(r'^        { "(\w+)", "', self.source, flags=re.M)))
        options = re.search(r'^_vfio_broker_options\(\) {\n(.*?)^}', self.text, flags=re.M | re.S).group(1)
        self.assertEqual(set(re.findall(r'--([\w-]+)', options)),
                         set(re.findall(r'{ "([\w-]+)", (?:no|required)_argument', self.source)))

    def test_no_value_of_an_option_is_taken_for_an_argument(self):
        cases = re.search(r'case \$previous in\n(.*?)^        esac', self.text, flags=re.M | re.S).group(1)
        self.assertEqual(set(re.findall(r'--([\w-]+)(?= \||\))', cases)),
                         set(re.findall(r'{ "([\w-]+)", required_argument', self.source)))


class Library(unittest.TestCase):
    @unittest.skipUnless((root / 'client/libvfio-broker.sym').exists(), 'needs the library')
    def test_each_symbol_is_there_and_no_other(self):
        self.assertEqual(sorted(set(re.findall(r'\*\*(vfb_\w+)\*\*', page('libvfio-broker.3')))),
                         sorted(re.findall(r'^ +(vfb_\w+);$', read('client/libvfio-broker.sym'), flags=re.M)))


class Config(unittest.TestCase):
    @unittest.skipUnless((root / 'daemon/config.c').exists(), 'needs the daemon')
    def test_each_setting_is_there_and_no_other(self):
        settings = re.findall(r'{ "(\w+)", "(\w+)", set_', read('daemon/config.c'))
        described = [(title.removeprefix('SECTION ').strip('[]'), key)
                     for title, text in sections(page('vfio-broker.conf.5'), '=').items()
                     for key in re.findall(r'^\*\*(\w+)=\*\*$', text, flags=re.M)]
        self.assertEqual(sorted(described), sorted(settings))


class Hook(unittest.TestCase):
    @unittest.skipUnless((root / 'daemon/core/hook.c').exists(), 'needs the daemon')
    def test_each_setting_is_there_and_no_other_and_the_sample_has_no_other(self):
        settings = re.findall(r'{ "(\w+)", "(\w+)", set_', read('daemon/core/hook.c'))
        text = sections(page('vfio-broker.hook.5'), '=')['SECTION [Hook]']
        self.assertEqual([('Hook', key) for key in re.findall(r'^\*\*(\w+)=\*\*$', text, flags=re.M)], settings)
        sample = re.findall(r'^(\w+)=', read('docs/hooks/50-nvme-format.hook'), flags=re.M)
        self.assertEqual([('Hook', key) for key in sample], settings)


class Pool(unittest.TestCase):
    @unittest.skipUnless((root / 'daemon/core/pool.c').exists(), 'needs the daemon')
    def test_each_setting_is_there_and_no_other(self):
        settings = re.findall(r'{ "(\w+)", "(\w+)", \w+, "', read('daemon/core/pool.c'))
        text = sections(page('vfio-broker.pool.5'), '=')['SECTION [Pool]']
        self.assertEqual([('Pool', key) for key in re.findall(r'^\*\*(\w+)=\*\*$', text, flags=re.M)], settings)


class Pages(unittest.TestCase):
    def test_each_page_says_what_it_is_under_its_own_section(self):
        pages = sorted(path.stem for path in (root / 'docs').glob('*.rst'))
        self.assertTrue(pages)
        for name in pages:
            title, section = name.rsplit('.', 1)
            self.assertIn(f'\n{title}\n', page(name), name)
            self.assertIn(f':Manual section: {section}\n', page(name), name)

    def test_pages_that_are_referred_to_and_are_ours_exist(self):
        for path in (root / 'docs').glob('*.rst'):
            for name, section in re.findall(r'\*\*([\w.-]*vfio-?broker[\w.-]*)\*\*\\\((\d)\)', path.read_text()):
                self.assertTrue((root / f'docs/{name}.{section}.rst').exists(), f'{path.name}: {name}({section})')


unittest.main(argv=sys.argv[:1])
