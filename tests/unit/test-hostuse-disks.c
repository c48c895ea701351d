/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host needs its disks for. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "suite.h"

#define P1 HOST_BLOCK "/nvme0n1p1"
#define P2 HOST_BLOCK "/nvme0n1p2"

static void put_mounts(const char *more) {
        char text[16384];

        snprintf(text, sizeof(text), HOST_MOUNTS "%s", more);
        host_put("proc/1/mountinfo", text);
}

static void put_swaps(const char *lines) {
        char text[1024];

        snprintf(text, sizeof(text), "Filename\tType\tSize\tUsed\tPriority\n%s", lines);
        host_put("proc/swaps", text);
}

START_TEST(mounted_disk_is_in_use) {
        put_mounts("40 1 259:2 / /srv/a\\040b rw,relatime shared:2 - ext4 /dev/nvme0n1p2 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is mounted on /srv/a b");
        ck_assert_str_eq(host_uses(HOST_NIC), "");

        /* the first place, of each */
        put_mounts("40 1 259:2 / /srv rw - ext4 /dev/x rw\n41 1 259:1 / /a rw - ext4 /dev/y rw\n42 1 259:2 /b /b rw - ext4 /dev/x rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /a\nblock: nvme0n1p2 is mounted on /srv");
        put_mounts("40 1 0:44 / /srv rw - fuse.x /dev/nvme0n1p2 rw\n"); /* anybody may call theirs so */
        ck_assert_str_eq(host_uses(HOST_NVME), "");
}
END_TEST

START_TEST(what_the_machine_stands_on_is_never_taken) {
        static const char *const places[] = { "/", "/usr", "/usr/local", "/boot", "/boot/efi", "/efi", "/etc", "/var", "/var/lib",
                                              "/var/log", "/run/vfio-broker" };
        char text[256], expected[256];

        for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
                snprintf(text, sizeof(text), "40 1 259:2 / /srv rw - ext4 x rw\n41 1 259:2 /a %s rw - ext4 x rw\n", places[i]);
                put_mounts(text);
                snprintf(expected, sizeof(expected), "block: nvme0n1p2 is mounted on %s (never taken)", places[i]);
                ck_assert_str_eq(host_uses(HOST_NVME), expected);
        }
        put_mounts("40 1 259:2 / /home rw - ext4 x rw\n41 1 259:1 / /var/lib/images rw - ext4 x rw\n");
        ck_assert_ptr_null(strstr(host_uses(HOST_NVME), "never"));
}
END_TEST

START_TEST(what_is_never_taken_is_found_among_many) {
        HostUse uses[HOSTUSE_MAX];
        bool never = false;

        for (unsigned i = 0; i < 40; i++) {
                char path[128], number[16];

                snprintf(path, sizeof(path), "dm-%u", i);
                snprintf(number, sizeof(number), "253:%u\n", i);
                host_put_virtual_disk(path, number);
                host_put_holder(P2, path);
        }
        put_mounts("40 1 253:1 / /a rw - ext4 x rw\n"
                   "41 1 253:2 / /b rw - ext4 x rw\n");
        ck_assert_ptr_nonnull(strstr(host_uses(HOST_NVME), "block: nvme0n1p2 is below dm-1, which is mounted on /a"));
        ck_assert_ptr_nonnull(strstr(host_uses(HOST_NVME), "block: nvme0n1p2 is below dm-2, which is mounted on /b"));
        for (unsigned i = 0; i < 40; i++) {
                char path[128];

                snprintf(path, sizeof(path), "sys/fs/xfs/dm-%u/stats", i);
                host_put(path, "");
        }
        put_mounts("40 1 253:39 / /usr rw - ext4 x rw\n");
        ck_assert_int_eq(host_find(HOST_NVME, uses), HOSTUSE_MAX);
        for (unsigned i = 0; i < HOSTUSE_MAX; i++)
                never |= uses[i].never;
        ck_assert(never);
}
END_TEST

START_TEST(all_disks_of_a_btrfs_are_in_use) {
        put_mounts("40 1 0:43 / /data rw - btrfs /dev/nvme0n1p2 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is mounted on /data");

        /* the mount names one of them, which need not be ours */
        host_put_virtual_disk("sdx", "8:0\n");
        host_put("sys/fs/btrfs/1234/devices/sdx", "");
        host_put("sys/fs/btrfs/1234/devices/nvme0n1p1", "");
        put_mounts("40 1 0:43 / /data rw - btrfs /dev/sdx rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /data");
        put_mounts("40 1 0:43 / / rw - btrfs /dev/sdx rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on / (never taken)");

        /* in another mount namespace */
        put_mounts("");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is part of a mounted btrfs");
}
END_TEST

START_TEST(mounts_of_others_are_seen_where_the_file_system_says_so) {
        host_put("sys/fs/ext4/nvme0n1p1/session_write_kbytes", "0\n");
        host_put("sys/fs/ext4/features/x", "");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted where the first process does not see it");
        put_mounts("40 1 259:1 / /srv rw - ext4 x rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /srv");
}
END_TEST

START_TEST(mounts_of_others_are_seen_where_they_live) {
        host_put_link("proc/1/ns/mnt", "mnt:[4026531841]");
        host_put_link("proc/76/ns/mnt", "mnt:[4026531841]");
        host_put("proc/76/mountinfo", "41 1 259:1 / /never/read rw - vfat x rw\n");
        host_put_link("proc/77/ns/mnt", "mnt:[4026532999]");
        host_put("proc/77/mountinfo", HOST_MOUNTS);
        host_put_link("proc/78/ns/mnt", "mnt:[4026533000]"); /* which has just ended */
        host_put("proc/net/x", "");
        ck_assert_str_eq(host_uses(HOST_NVME), "");
        host_put("proc/77/mountinfo", HOST_MOUNTS "41 1 259:1 / /usr rw - vfat x rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted where the first process does not see it");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
        put_mounts("40 1 259:1 / /srv rw - vfat x rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /srv");
}
END_TEST

START_TEST(swap_is_never_taken) {
        put_swaps("/dev/nvme0n1p2 partition\t1\t0\t-2\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is swap space (never taken)");

        /* and a file that is swapped to is on a disk */
        put_swaps("/srv/a\\040b/swap file\t1\t0\t-2\n");
        put_mounts("40 1 259:1 / /srv rw - ext4 x rw\n41 1 259:2 / /srv/a\\040b rw - ext4 x rw\n42 1 259:1 /c /srv/a\\040b/swapper rw - ext4 x rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /srv\n"
                                               "block: nvme0n1p2 is mounted on /srv/a b (never taken)");
}
END_TEST

START_TEST(what_lies_on_top_of_a_disk_is_named_with_its_use) {
        host_put_holder(P2, "dm-0");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is held by dm-0"); /* which has no entry of its own (yet) */

        host_put_virtual_disk("dm-0", "253:0\n");
        host_put("sys/devices/virtual/block/dm-0/dm/name", "vg-root\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is held by dm-0");
        put_mounts("40 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is below dm-0 (vg-root), which is mounted on / (never taken)");
        put_mounts("");
        put_swaps("/dev/mapper/vg-root partition\t1\t0\t-2\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is below dm-0 (vg-root), which is swap space (never taken)");
        ck_assert_str_eq(host_uses(HOST_NIC), "");
}
END_TEST

START_TEST(towers_are_climbed_to_their_top) {
        /* a partition of a RAID of a crypt device of the whole disk; and a ring, which is a lie */
        host_put_virtual_disk("dm-1", "253:1\n");
        host_put_virtual_disk("md0", "9:0\n");
        host_put_virtual_disk("md0/md0p1", "259:9\n");
        host_put_holder(HOST_BLOCK, "dm-1");
        host_put_holder("sys/devices/virtual/block/dm-1", "md0");
        host_put_holder("sys/devices/virtual/block/md0", "dm-1");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1 is held by dm-1");
        put_mounts("40 1 259:9 / /data rw - ext4 /dev/md0p1 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1 is below md0p1, which is mounted on /data");
}
END_TEST

START_TEST(loop_device_of_a_disk_is_on_top_of_it) {
        host_put_virtual_disk("loop0", "7:0\n");
        host_put("sys/devices/virtual/block/loop0/loop/backing_file", "/dev/nvme0n1p2\n");
        put_mounts("40 1 7:0 / /data rw - ext4 /dev/loop0 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is below loop0, which is mounted on /data");

        /* a file of a disk that is mounted is no other use, unless the machine stands on it */
        host_put("sys/devices/virtual/block/loop0/loop/backing_file", "/media/live/root.img\n");
        put_mounts("39 1 259:1 / /media/live rw - vfat x rw\n40 1 7:0 / /data rw - ext4 /dev/loop0 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /media/live");
        put_mounts("39 1 259:1 / /media/live rw - vfat x rw\n40 1 7:0 / /usr rw - ext4 /dev/loop0 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /media/live\n"
                                               "block: nvme0n1p1 has the file of loop0, which is mounted on /usr (never taken)");
        host_put("proc/1/mountinfo", "39 1 259:1 / /media/live rw - vfat x rw\n"
                                     "23 1 0:9 / / rw - overlay root rw,lowerdir=/media/live/a:/b,upperdir=/run/c,workdir=/run/d\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is mounted on /media/live (never taken)");
}
END_TEST

START_TEST(disk_of_several_paths_is_found_by_its_subsystem) {
        host_put_link("sys/class/block/nvme1n1", "../../devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1");
        host_put("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1/dev", "259:7\n");
        host_put_link("sys/class/nvme-subsystem/nvme-subsys1", "../../devices/virtual/nvme-subsystem/nvme-subsys1");
        host_put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1", "../../../../pci0000:00/" HOST_NVME "/nvme/nvme1");
        host_put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme2", "../../../../pci0000:00/" HOST_NIC "/nvme/nvme2");
        put_mounts("40 1 259:7 / /data rw - ext4 /dev/nvme1n1 rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme1n1 is mounted on /data");
        ck_assert_str_eq(host_uses(HOST_NIC), "block: nvme1n1 is mounted on /data");
        ck_assert_str_eq(host_uses(HOST_EDU), "");
}
END_TEST

START_TEST(member_of_a_zfs_pool_is_in_use_while_that_is_imported) {
        host_put("udev/block/nvme0n1p1/ID_FS_TYPE", "zfs_member");
        host_put("udev/block/nvme0n1p1/ID_FS_LABEL", "tank");
        host_put("udev/block/nvme0n1p2/ID_FS_TYPE", "ext4");
        ck_assert_str_eq(host_uses(HOST_NVME), "");
        host_put("proc/spl/kstat/zfs/other/io", "");
        ck_assert_str_eq(host_uses(HOST_NVME), "");
        host_put("proc/spl/kstat/zfs/tank/io", "");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is part of the ZFS pool tank");
        put_mounts("40 1 0:50 / /boot rw - zfs tank/boot rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is part of the ZFS pool tank (never taken)");
        put_mounts("40 1 0:50 / /boot rw - zfs other/boot rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p1 is part of the ZFS pool tank");
}
END_TEST

START_TEST(torn_and_hostile_tables_do_no_harm) {
        static const char *const lines[] = {
                "", "\n", "40", "40 1 259:2", "40 1 259:2 / /a rw", "40 1 259:2 / /a rw -", "40 1 259:2 / /a rw -\n", "- - - - - - -\n",
                "40 1 99999999999999999999:2 / /a rw - x y z\n", "40 1 x / /a rw - x y z\n", "40 1 259:2 / \\ rw - x y z\n", "40 1 259:2 / \\1 rw - x y z",
                "40 1 259:2 / /\\000\\777\\01 rw - ext4 \\ \\", "\\040\\040\\040 - - - -", "40 1 0:0 / / rw - overlay o lowerdir,lowerdir=,lowerdir=:::,upperdir=",
        };
        char text[8192], path[5000];

        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
                put_mounts(lines[i]);
                put_swaps(lines[i]);
                host_uses(HOST_NVME);
                host_uses(HOST_EDU);
        }
        put_swaps("");
        memset(path, 'a', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        snprintf(text, sizeof(text), "40 1 259:2 / /%s\\012 rw - ext4 x rw\n", path);
        put_mounts(text);
        ck_assert_ptr_nonnull(strstr(host_uses(HOST_NVME), "nvme0n1p2 is mounted on /aaaa"));
        put_mounts("40 1 259:2 / /a\\012b\\033[2J\xff rw - ext4 x rw\n");
        ck_assert_str_eq(host_uses(HOST_NVME), "block: nvme0n1p2 is mounted on /a?b?[2J?");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hostuse-disks");
        TCase *tcase = suite_add_case(suite, "hostuse-disks", host_start, host_end);

        tcase_add_test(tcase, mounted_disk_is_in_use);
        tcase_add_test(tcase, what_the_machine_stands_on_is_never_taken);
        tcase_add_test(tcase, what_is_never_taken_is_found_among_many);
        tcase_add_test(tcase, all_disks_of_a_btrfs_are_in_use);
        tcase_add_test(tcase, mounts_of_others_are_seen_where_the_file_system_says_so);
        tcase_add_test(tcase, mounts_of_others_are_seen_where_they_live);
        tcase_add_test(tcase, swap_is_never_taken);
        tcase_add_test(tcase, what_lies_on_top_of_a_disk_is_named_with_its_use);
        tcase_add_test(tcase, towers_are_climbed_to_their_top);
        tcase_add_test(tcase, loop_device_of_a_disk_is_on_top_of_it);
        tcase_add_test(tcase, disk_of_several_paths_is_found_by_its_subsystem);
        tcase_add_test(tcase, member_of_a_zfs_pool_is_in_use_while_that_is_imported);
        tcase_add_test(tcase, torn_and_hostile_tables_do_no_harm);
        return suite_run(suite);
}
