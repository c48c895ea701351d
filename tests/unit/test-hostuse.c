/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host needs its devices for, but for disks and networks. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "suite.h"

START_TEST(what_nobody_uses_is_free) {
        ck_assert_str_eq(host_uses(HOST_NVME), "");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        ck_assert_str_eq(host_uses("0000:0f:00.0"), ""); /* which is not there */
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "display: it is the display that the firmware has chosen");
}
END_TEST

static void put_function(unsigned n, const char *address) {
        char path[128], target[64];

        snprintf(path, sizeof(path), "sys/devices/pci0000:00/" HOST_NIC "/virtfn%u", n);
        snprintf(target, sizeof(target), "../%s", address);
        host_put_link(path, target);
}

START_TEST(functions_on_host_drivers_would_go_with_the_driver) {
        put_function(0, "0000:02:10.0");
        put_function(1, "0000:02:10.2");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put_link("sys/bus/pci/devices/0000:02:10.0/driver", "../../../../bus/pci/drivers/vfio-pci");
        host_put("sys/bus/pci/devices/0000:02:10.0/vfio-dev/vfio0/dev", "");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put_link("sys/bus/pci/devices/0000:02:10.2/driver", "../../../../bus/pci/drivers/igbvf");
        ck_assert_str_eq(host_uses(HOST_NIC), "sriov: its virtual function 0000:02:10.2 is on driver igbvf");

        /* and with them what they are used for */
        host_put_link("sys/class/net/vf1", "../../devices/pci0000:00/0000:02:10.2/net/vf1");
        host_put("sys/devices/pci0000:00/0000:02:10.2/net/vf1/flags", "0x1003\n");
        host_put("proc/self/net/route", "vf1\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "sriov: its virtual function 0000:02:10.2 is on driver igbvf\n"
                                              "network: the default route goes by vf1");
}
END_TEST

START_TEST(picture_of_the_firmware_is_in_the_memory_of_its_device) {
        /* The addresses are zero for the service */
        static const char before[] = "00000000-00000000 : PCI Bus 0000:00\n"
                                     "  00000000-00000000 : 0000:00:10.0\n"
                                     "    00000000-00000000 : BOOTFB\n"
                                     "  00000000-00000000 : 0000:00:02.0\n";
        char text[512];

        host_put("sys/devices/pci0000:00/" HOST_DISPLAY "/boot_vga", "0\n");
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "");
        host_put("proc/iomem", before);
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "");
        snprintf(text, sizeof(text), "%s    00000000-00000000 : BOOTFB\n", before);
        host_put("proc/iomem", text);
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "display: it shows the picture of the firmware (BOOTFB)");
        snprintf(text, sizeof(text), "%s    00000000-00000000 : bochs\n      00000000-00000000 : efifb:bad\x01\n", before);
        host_put("proc/iomem", text);
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "display: it shows the picture of the firmware (efifb:bad?)");
        snprintf(text, sizeof(text), "%s  00000000-00000000 : BOOTFB\n", before);
        host_put("proc/iomem", text);
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "");
}
END_TEST

START_TEST(text_console_is_on_the_first_framebuffer) {
        host_put("sys/devices/pci0000:00/" HOST_DISPLAY "/boot_vga", "0\n");
        host_put_link("sys/class/graphics/fb0", "../../devices/pci0000:00/" HOST_DISPLAY "/vesa-framebuffer.0/graphics/fb0");
        host_put_link("sys/class/graphics/fb1", "../../devices/pci0000:00/" HOST_EDU "/graphics/fb1");
        host_put("sys/class/vtconsole/vtcon0/name", "(S) VGA+\n");
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "");
        host_put("sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "console: the text console is shown by it (fb0)");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
}
END_TEST

START_TEST(framebuffer_of_the_firmware_may_be_below_no_device) {
        host_put("sys/devices/pci0000:00/" HOST_DISPLAY "/boot_vga", "0\n");
        host_put("sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
        host_put_link("sys/class/graphics/fb0", "../../devices/platform/vesa-framebuffer.0/graphics/fb0");
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "");
        host_put("proc/iomem", "  00000000-00000000 : " HOST_DISPLAY "\n    00000000-00000000 : vesafb\n");
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "display: it shows the picture of the firmware (vesafb)\n"
                                                  "console: the text console is shown by it (fb0)");
        ck_assert_str_eq(host_uses(HOST_EDU), "");

        /* the board's own, which has to do with neither */
        host_remove("sys/class/graphics/fb0");
        host_put_link("sys/class/graphics/fb0", "../../devices/platform/soc/1c0c000.lcd/graphics/fb0");
        ck_assert_str_eq(host_uses(HOST_DISPLAY), "display: it shows the picture of the firmware (vesafb)");
}
END_TEST

START_TEST(serial_console_is_in_use) {
        host_put_link("sys/class/tty/ttyS4", "../../devices/pci0000:00/" HOST_EDU "/" HOST_EDU ":0/" HOST_EDU ":0.0/tty/ttyS4");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("proc/cmdline", "root=/dev/vda1 xconsole=ttyS4 console=ttyS40 console=tty0\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("proc/cmdline", "root=/dev/vda1 console=tty0 console=ttyS4,115200n8 quiet\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "console: ttyS4 is the kernel's console");
        host_put("proc/cmdline", "console=ttyS4\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "console: ttyS4 is the kernel's console");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_put_link("sys/class/tty/ttyS5", "../../devices/pci0000:00/" HOST_NIC "/tty/ttyS5"); /* before Linux 6.5 */
        host_put("proc/cmdline", "console=ttyS5\n");
        ck_assert_str_eq(host_uses(HOST_NIC), "console: ttyS5 is the kernel's console");
}
END_TEST

START_TEST(keys_of_an_active_seat_are_in_use) {
        host_put_link("sys/class/input/input5", "../../devices/pci0000:00/" HOST_EDU "/usb1/1-1/1-1:1.0/0003:0627:0001.0001/input/input5");
        host_put_link("sys/class/input/event5", "../../devices/pci0000:00/" HOST_EDU "/usb1/1-1/1-1:1.0/0003:0627:0001.0001/input/input5/event5");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("udev/input/input5/seat", "seat0");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("seats/seat1", "active");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("seats/seat0", "active");
        ck_assert_str_eq(host_uses(HOST_EDU), "input: input5 is used by who is logged in at seat0");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(mediated_devices_would_end_with_the_driver) {
        static const char device[] = "sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

        host_put_link(device, "../../../devices/pci0000:00/" HOST_EDU "/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
        ck_assert_str_eq(host_uses(HOST_EDU), "mdev: its mediated device 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 would end with its driver (never taken)");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        host_remove(device);
        ck_assert_str_eq(host_uses(HOST_EDU), "");
}
END_TEST

/* "virtio3", below that device */
static void put_virtio(const char *name, const char *address, const char *driver) {
        char path[128], target[128];

        snprintf(path, sizeof(path), "sys/bus/virtio/devices/%s", name);
        snprintf(target, sizeof(target), "../../../devices/pci0000:00/%s/%s", address, name);
        host_put_link(path, target);
        snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/%s/driver", address, name);
        snprintf(target, sizeof(target), "../../../../bus/virtio/drivers/%s", driver);
        host_put_link(path, target);
}

static void put_share(const char *type, const char *where) {
        char text[512];

        snprintf(text, sizeof(text), HOST_MOUNTS "40 1 0:44 / %s rw - %s build rw,trans=virtio\n", where, type);
        host_put("proc/1/mountinfo", text);
}

START_TEST(folder_of_the_machine_below_is_in_use_by_its_tag) {
        put_virtio("virtio3", HOST_EDU, "9pnet_virtio");
        put_virtio("virtio4", HOST_NIC, "9pnet_virtio");
        host_put("sys/devices/pci0000:00/" HOST_EDU "/virtio3/mount_tag", "build\n");
        host_put("sys/devices/pci0000:00/" HOST_NIC "/virtio4/mount_tag", "builds\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        put_share("9p", "/srv/x");
        ck_assert_str_eq(host_uses(HOST_EDU), "share: build (9p) is mounted on /srv/x");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        put_share("9p", "/");
        ck_assert_str_eq(host_uses(HOST_EDU), "share: build (9p) is mounted on / (never taken)");
        put_share("virtiofs", "/srv/x");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        put_share("ext4", "/srv/x");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
}
END_TEST

START_TEST(virtiofs_whose_tag_the_kernel_does_not_say_may_be_any) {
        put_virtio("virtio3", HOST_EDU, "virtiofs");
        put_virtio("virtio4", HOST_NIC, "virtiofs");
        put_virtio("virtio5", HOST_NVME, "virtio_blk");
        put_share("virtiofs", "/srv/x");
        ck_assert_str_eq(host_uses(HOST_EDU), "share: build (virtiofs) is mounted on /srv/x");
        ck_assert_str_eq(host_uses(HOST_NIC), "share: build (virtiofs) is mounted on /srv/x");
        ck_assert_str_eq(host_uses(HOST_NVME), "");

        /* since Linux 6.9 */
        host_put_link("sys/fs/virtiofs/1/device", "../../../devices/pci0000:00/" HOST_EDU "/virtio3");
        host_put("sys/fs/virtiofs/1/tag", "build\n");
        host_put_link("sys/fs/virtiofs/2/device", "../../../devices/pci0000:00/" HOST_NIC "/virtio4");
        host_put("sys/fs/virtiofs/2/tag", "other\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "share: build (virtiofs) is mounted on /srv/x");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(stick_in_a_usb_port_is_a_use_of_its_controller) {
        host_put_link("sys/class/block/sdb1", "../../devices/pci0000:00/" HOST_EDU "/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1");
        host_put("sys/devices/pci0000:00/" HOST_EDU "/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1/dev", "8:17\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
        host_put("proc/1/mountinfo", HOST_MOUNTS "40 1 8:17 / /media/stick rw - vfat /dev/sdb1 rw\n");
        ck_assert_str_eq(host_uses(HOST_EDU), "block: sdb1 is mounted on /media/stick");
}
END_TEST

/* Whatever the bus: what is below the device goes with its driver. */
START_TEST(device_of_another_bus_is_in_use_likewise) {
        HostUse uses[HOSTUSE_MAX];

        host_put("sys/devices/platform/fe010000.ethernet/net/end0/flags", "0x1003\n");
        host_put_link("sys/bus/platform/devices/fe010000.ethernet", "../../../devices/platform/fe010000.ethernet");
        host_put("sys/devices/platform/soc/dprc.1/dprc.2/dpni.1/net/eth1/flags", "0x1003\n");
        host_put_link("sys/class/net/end0", "../../devices/platform/fe010000.ethernet/net/end0");
        host_put_link("sys/class/net/eth1", "../../devices/platform/soc/dprc.1/dprc.2/dpni.1/net/eth1");
        ck_assert_str_eq(host_uses_on("platform", "fe010000.ethernet"), "");
        ck_assert_str_eq(host_uses_on("fsl-mc", "dprc.2"), "");

        host_put("proc/self/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80     end0\n"
                                           "20010db8000000000000000000000002 03 40 00 80     eth1\n");
        ck_assert_str_eq(host_uses_on("platform", "fe010000.ethernet"), "network: 2001:db8::1 is the address of end0");
        ck_assert_str_eq(host_uses_on("fsl-mc", "dprc.2"), "network: 2001:db8::2 is the address of eth1");
        ck_assert_str_eq(host_uses_on("fsl-mc", "dpni.1"), "network: 2001:db8::2 is the address of eth1");
        ck_assert_str_eq(host_uses_on("platform", "fe010000"), "");
        ck_assert_int_eq(host_find_on("platform", "../x", uses), -EINVAL);
        ck_assert_int_eq(host_find_on("platform", "", uses), -EINVAL);

        /* the folder is empty while the interface is elsewhere */
        host_put("sys/devices/platform/fe020000.ethernet/net/.folder", "");
        host_put_link("sys/bus/platform/devices/fe020000.ethernet", "../../../devices/platform/fe020000.ethernet");
        ck_assert_str_eq(host_uses_on("platform", "fe020000.ethernet"), "network: its interface is in another network namespace");
}
END_TEST

START_TEST(what_cannot_be_told_is_an_error) {
        HostUse uses[HOSTUSE_MAX];

        ck_assert_int_eq(host_find("../../x", uses), -EINVAL);
        ck_assert_int_eq(host_find("", uses), -EINVAL);
        host_put("proc/1/mountinfo", "");
        ck_assert_int_lt(host_find(HOST_NVME, uses), 0);
        host_remove("proc/1/mountinfo");
        ck_assert_int_lt(host_find(HOST_NVME, uses), 0);
        host_put("proc/1/mountinfo/folder", "");
        ck_assert_int_lt(host_find(HOST_NVME, uses), 0);
}
END_TEST

START_TEST(view_of_nothing_is_an_error) {
        _cleanup_(hostview_freep) HostView *view = NULL;
        int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
        HostUse uses[HOSTUSE_MAX];

        ck_assert_int_eq(hostview_new(&view, nowhere, nowhere), 0);
        ck_assert_int_lt(hostuse_find(view, "pci", HOST_NVME, uses), 0);
        close(nowhere);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hostuse");
        TCase *tcase = suite_add_case(suite, "hostuse", host_start, host_end);

        tcase_add_test(tcase, what_nobody_uses_is_free);
        tcase_add_test(tcase, functions_on_host_drivers_would_go_with_the_driver);
        tcase_add_test(tcase, picture_of_the_firmware_is_in_the_memory_of_its_device);
        tcase_add_test(tcase, text_console_is_on_the_first_framebuffer);
        tcase_add_test(tcase, framebuffer_of_the_firmware_may_be_below_no_device);
        tcase_add_test(tcase, serial_console_is_in_use);
        tcase_add_test(tcase, keys_of_an_active_seat_are_in_use);
        tcase_add_test(tcase, mediated_devices_would_end_with_the_driver);
        tcase_add_test(tcase, folder_of_the_machine_below_is_in_use_by_its_tag);
        tcase_add_test(tcase, virtiofs_whose_tag_the_kernel_does_not_say_may_be_any);
        tcase_add_test(tcase, stick_in_a_usb_port_is_a_use_of_its_controller);
        tcase_add_test(tcase, device_of_another_bus_is_in_use_likewise);
        tcase_add_test(tcase, what_cannot_be_told_is_an_error);
        tcase_add_test(tcase, view_of_nothing_is_an_error);
        return suite_run(suite);
}
