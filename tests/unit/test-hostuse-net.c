/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host needs its networks for. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "suite.h"

#define ROUTES "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
#define ANY    "00000000000000000000000000000000"
#define BRIDGE "sys/devices/virtual/net/br0"

/* "interface destination gateway mask" */
#define ROUTE(interface, destination, gateway, mask) \
        interface "\t" destination "\t" gateway "\t0003\t0\t0\t100\t" mask "\t0\t0\t0\n"
#define DEFAULT(interface) ROUTE(interface, "00000000", "0102A8C0", "00000000")
#define NEAR(interface)    ROUTE(interface, "000200C0", "00000000", "00FFFFFF") /* 192.0.2.0/24 */

static void put_routes(const char *lines) {
        char text[4096];

        snprintf(text, sizeof(text), ROUTES "%s", lines);
        host_put("proc/self/net/route", text);
}

static void put_bridge(void) {
        host_put_link("sys/class/net/br0", "../../devices/virtual/net/br0");
        host_put(BRIDGE "/flags", "0x1003\n");
        host_put_link(HOST_NET "/upper_br0", "../../../../virtual/net/br0");
}

START_TEST(interface_of_the_default_route_is_in_use) {
        put_routes(DEFAULT("eth8") DEFAULT("eth77") DEFAULT("eth"));
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        put_routes(DEFAULT("eth7"));
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the default route goes by eth7");
        ck_assert_str_eq(host_uses(HOST_NVME), "");
        host_put(HOST_NET "/flags", "0x1002\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(default_route_of_ipv6_counts_as_well) {
        /* the kernel's own, that refuses */
        host_put("proc/self/net/ipv6_route", ANY " 00 " ANY " 00 " ANY " ffffffff 00000001 00000000 00200200       lo\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put("proc/self/net/ipv6_route", ANY " 00 " ANY " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth7\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the default route goes by eth7");
        /* one that refuses on this very interface, and one whose neighbours are everybody */
        host_put("proc/self/net/ipv6_route", ANY " 00 " ANY " 00 " ANY " 00000400 00000001 00000000 00200200     eth7\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put("proc/self/net/ipv6_route", ANY " 00 " ANY " 00 " ANY " 00000400 00000001 00000000 00000001     eth7\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the default route goes by eth7");
}
END_TEST

START_TEST(interface_with_an_address_is_in_use) {
        put_routes(NEAR("eth7"));
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the network 192.0.2.0 is reached by eth7");
        host_put("proc/self/net/fib_trie", "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.0\n        /24 link UNICAST\n"
                                           "     |-- 192.0.2.7\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n"
                                           "     |-- 198.51.100.9\n        /32 host LOCAL\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: 192.0.2.7 is the address of eth7");
        put_routes(NEAR("eth8") ROUTE("eth7", "006433C6", "0102A8C0", "00FFFFFF")); /* by a router: no address */
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        put_routes(NEAR("eth7"));
        host_put(HOST_NET "/flags", "0x1002\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(address_of_ipv6_counts_if_it_is_global) {
        host_put("proc/self/net/if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth7\n"
                                           "00000000000000000000000000000001 01 80 10 80       lo\n"
                                           "20010db8000000000000000000000002 03 40 00 80     eth8\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put("proc/self/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80     eth7\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: 2001:db8::1 is the address of eth7");
}
END_TEST

START_TEST(what_goes_by_a_bond_or_bridge_goes_by_its_ports) {
        put_bridge();
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        put_routes(DEFAULT("br0") NEAR("br0"));
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the default route goes by eth7 below br0\n"
                                              "network: the network 192.0.2.0 is reached by eth7 below br0");
        host_put(BRIDGE "/flags", "0x1002\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put(BRIDGE "/flags", "0x1003\n");
        ck_assert_str_ne(host_uses(HOST_NIC), "");
        host_put(HOST_NET "/flags", "0x1002\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(towers_and_rings_of_interfaces_have_an_end) {
        put_bridge();
        host_put_link("sys/class/net/vlan5", "../../devices/virtual/net/vlan5");
        host_put("sys/devices/virtual/net/vlan5/flags", "0x1003\n");
        host_put_link(BRIDGE "/upper_vlan5", "../vlan5");
        put_routes(DEFAULT("vlan5"));
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the default route goes by eth7 below vlan5");
        host_put_link("sys/devices/virtual/net/vlan5/upper_br0", "../br0");
        ck_assert_ptr_nonnull(strstr(host_uses(HOST_NIC), "network: the default route goes by eth7 below vlan5"));
}
END_TEST

#define LISTEN(table) "   0: " table ":0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1\n"

START_TEST(ssh_session_is_named) {
        static const char session[] = "   1: 070200C0:0016 096433C6:D431 01 00000000:00000000 02:0009 00000000     0        0 13 4\n";
        char text[1024];

        put_routes(NEAR("eth7"));
        host_put("proc/self/net/tcp", session); /* nobody listens there: it is something else */
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the network 192.0.2.0 is reached by eth7");
        snprintf(text, sizeof(text), LISTEN("00000000") "%s", session);
        host_put("proc/self/net/tcp", text);
        ck_assert_str_eq(host_uses(HOST_NIC), "network: an ssh session from 198.51.100.9 comes by eth7\n"
                                              "network: the network 192.0.2.0 is reached by eth7");
        put_routes(NEAR("eth8") ROUTE("eth7", "000000CB", "00000000", "000000FF"));
        ck_assert_ptr_null(strstr(host_uses(HOST_NIC), "ssh"));
        host_put("proc/self/net/tcp", LISTEN("00000000")
                 "   1: 070200C0:0017 096433C6:D431 01 0:0 0:0 0 0 0 13 4\n   2: 070200C0:0016 096433C6:D431 06 0:0 0:0 0 0 0 13 4\n");
        put_routes(NEAR("eth7"));
        ck_assert_ptr_null(strstr(host_uses(HOST_NIC), "ssh"));
}
END_TEST

START_TEST(ssh_session_by_ipv6_is_named) {
        host_put("proc/self/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80     eth7\n");
        host_put("proc/self/net/tcp6", LISTEN(ANY)
                 "   1: B80D0120000000000000000001000000:0016 B80D0120000000000000000009000000:D431 01 0:0 0:0 0 0 0 13 4\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: an ssh session from 2001:db8::9 comes by eth7\n"
                                              "network: 2001:db8::1 is the address of eth7");

        /* to an address that every interface has one of */
        host_put("proc/self/net/if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth7\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put("proc/self/net/tcp6", LISTEN(ANY)
                 "   1: 000080FE000000000000000001000000:0016 000080FE000000000000000009000000:D431 01 0:0 0:0 0 0 0 13 4\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: an ssh session from fe80::9 comes by eth7");

        /* and one of IPv4 at a socket of IPv6 */
        host_remove("proc/self/net/if_inet6");
        put_routes(NEAR("eth7"));
        host_put("proc/self/net/tcp6", LISTEN(ANY)
                 "   1: 0000000000000000FFFF0000070200C0:0016 0000000000000000FFFF0000096433C6:D431 01 0:0 0:0 0 0 0 13 4\n");
        ck_assert_ptr_nonnull(strstr(host_uses(HOST_NIC), "an ssh session from 198.51.100.9 comes by eth7"));
}
END_TEST

START_TEST(network_that_the_root_comes_by_is_never_taken) {
        put_routes(NEAR("eth7"));
        host_put("proc/1/mountinfo", "23 1 0:30 / / rw - nfs4 192.0.2.1:/root rw\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the network 192.0.2.0 is reached by eth7 (never taken)");
        host_put("proc/1/mountinfo", HOST_MOUNTS "24 1 0:30 / /home rw - nfs4 192.0.2.1:/home rw\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the network 192.0.2.0 is reached by eth7");
}
END_TEST

START_TEST(interface_in_the_hands_of_a_container_is_in_use) {
        host_put("sys/devices/pci0000:00/" HOST_EDU "/net/eth9/flags", "0x1002\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("sys/devices/pci0000:00/" HOST_NVME "/net/.x", "");
        ck_assert_str_eq(host_uses(HOST_NVME), "network: its interface is in another network namespace");
}
END_TEST

/* A router has a million routes: it is not waited for them, and what goes by which interface is not known then. */
START_TEST(table_without_an_end_is_not_read_to_its_end) {
        static const char line[] = ROUTE("eth8", "000200C0", "0102A8C0", "00FFFFFF");
        size_t n = 40000, size = n * strlen(line);
        char *text = malloc(size + 1);

        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i < n; i++)
                memcpy(text + i * strlen(line), line, strlen(line));
        text[size] = '\0';
        host_put("proc/self/net/route", text);
        free(text);
        ck_assert_str_eq(host_uses(HOST_NIC), "network: there are more routes than can be looked at, and some may go by eth7");
        host_put(HOST_NET "/flags", "0x1002\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(torn_and_hostile_tables_do_no_harm) {
        static const char *const lines[] = {
                "", "\n", "eth7", "eth7\t0\t0\t0", "eth7\tx\ty\tz\t0\t0\t0\tw\n", ANY " 00", ANY, "|-- ", "|-- 1.2.3\n /32 host LOCAL\n", "/32 host LOCAL\n",
                "zz010db8000000000000000000000001 02 40 00 80     eth7\n", "2001 02 40 00 80 eth7\n", " 1: ::: : 01\n", " 1: 0:16 0:0 01\n",
                " 1: 070200C0:0016 0016:0016 01\n", " 1: 070200C0 096433C6 01\n", " 1: GG0200C0:0016 096433C6:D431 01\n",
        };
        static const char *const tables[] = { "route", "ipv6_route", "fib_trie", "if_inet6", "tcp", "tcp6" };
        char path[64], text[5000];

        for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
                for (size_t j = 0; j < sizeof(lines) / sizeof(*lines); j++) {
                        snprintf(path, sizeof(path), "proc/self/net/%s", tables[i]);
                        host_put(path, lines[j]);
                        host_uses(HOST_NIC);
                }
        memset(text, 'e', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
                snprintf(path, sizeof(path), "proc/self/net/%s", tables[i]);
                host_put(path, text);
        }
        host_uses(HOST_NIC);
        put_routes(DEFAULT("eth7"));
        ck_assert_str_eq(host_uses(HOST_NIC), "network: the default route goes by eth7");
}
END_TEST

START_TEST(table_that_cannot_be_read_is_an_error) {
        static const char *const tables[] = { "route", "ipv6_route", "fib_trie", "if_inet6" };
        HostUse uses[HOSTUSE_MAX];
        char path[64];

        snprintf(path, sizeof(path), "proc/self/net/%s/folder", tables[_i]);
        ck_assert_int_ge(host_find(HOST_NIC, uses), 0);
        host_put(path, "");
        ck_assert_int_lt(host_find(HOST_NIC, uses), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hostuse-net");
        TCase *tcase = suite_add_case(suite, "hostuse-net", host_start, host_end);

        tcase_add_test(tcase, interface_of_the_default_route_is_in_use);
        tcase_add_test(tcase, default_route_of_ipv6_counts_as_well);
        tcase_add_test(tcase, interface_with_an_address_is_in_use);
        tcase_add_test(tcase, address_of_ipv6_counts_if_it_is_global);
        tcase_add_test(tcase, what_goes_by_a_bond_or_bridge_goes_by_its_ports);
        tcase_add_test(tcase, towers_and_rings_of_interfaces_have_an_end);
        tcase_add_test(tcase, ssh_session_is_named);
        tcase_add_test(tcase, ssh_session_by_ipv6_is_named);
        tcase_add_test(tcase, network_that_the_root_comes_by_is_never_taken);
        tcase_add_test(tcase, interface_in_the_hands_of_a_container_is_in_use);
        tcase_add_test(tcase, table_without_an_end_is_not_read_to_its_end);
        tcase_add_test(tcase, torn_and_hostile_tables_do_no_harm);
        tcase_add_loop_test(tcase, table_that_cannot_be_read_is_an_error, 0, 4);
        return suite_run(suite);
}
