/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fakes themselves: what the other tests of this folder stand on. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

/* linux/iommufd.h is younger than some build machines. */
#define IOMMU_IOAS_ALLOC _IO(';', 0x81)

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .no_daemon = true });
}

static void end_world(void) {
        world = world_stop(world);
}

static int open_below_root(const char *name) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", tree_root(world->tree), name);
        return open(path, O_RDWR | O_CLOEXEC);
}

/* A container with @group attached and the IOMMU set */
static int attach(int group) {
        int container = open_below_root("dev/vfio/vfio");

        ck_assert_int_ge(container, 0);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
        ck_assert_int_eq(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
        return container;
}

static int get_device(int group, const char *address) {
        return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
}

static int enabled(const char *address) {
        char path[128], value[8] = "";
        int fd;

        snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/enable", address);
        fd = open_below_root(path);
        ck_assert_int_gt(read(fd, value, sizeof(value) - 1), 0);
        close(fd);
        return atoi(value);
}

static uint32_t device_flags(int device) {
        struct vfio_device_info info = { .argsz = sizeof(info) };

        ck_assert_int_eq(ioctl(device, VFIO_DEVICE_GET_INFO, &info), 0);
        return info.flags;
}

#define ck_assert_errno(call, number)              \
        do {                                       \
                errno = 0;                         \
                ck_assert_int_eq(call, -1);        \
                ck_assert_int_eq(errno, number);   \
        } while (0)

START_TEST(group_opens_once) {
        int group = open_below_root("dev/vfio/26");

        ck_assert_int_ge(group, 0);
        ck_assert_errno(open_below_root("dev/vfio/26"), EBUSY);
        close(group);
        group = open_below_root("dev/vfio/26");
        ck_assert_int_ge(group, 0);
        close(group);
}
END_TEST

START_TEST(group_stays_open_while_a_copy_is) {
        int group = open_below_root("dev/vfio/26");
        pid_t holder = world_spawn_holder(group);

        close(group);
        ck_assert_errno(open_below_root("dev/vfio/26"), EBUSY);
        world_kill(holder, SIGKILL);
        group = open_below_root("dev/vfio/26");
        ck_assert_int_ge(group, 0);
        close(group);
}
END_TEST

START_TEST(group_stays_open_when_its_node_goes) {
        int group = open_below_root("dev/vfio/12"), container = attach(group);

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:01:00.0", NULL), 0);
        ck_assert_errno(open_below_root("dev/vfio/12"), ENOENT);
        ck_assert_errno(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), EINVAL);
        ck_assert_errno(get_device(group, "0000:01:00.0"), ENODEV);
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:01:00.0", "vfio-pci"), 0);
        ck_assert_errno(open_below_root("dev/vfio/12"), EBUSY);
        close(container);
        close(group);
}
END_TEST

START_TEST(group_of_the_host_does_not_open) {
        ck_assert_errno(open_below_root("dev/vfio/13"), ENOENT);
        ck_assert_int_eq(tree_write(world->tree, "dev/vfio/13", ""), 0);
        ck_assert_errno(open_below_root("dev/vfio/13"), ENODEV);
}
END_TEST

START_TEST(steps_have_an_order) {
        int container = open_below_root("dev/vfio/vfio"), group = open_below_root("dev/vfio/26"), none = -1;

        ck_assert_int_eq(ioctl(container, VFIO_GET_API_VERSION), VFIO_API_VERSION);
        ck_assert_int_eq(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1);
        ck_assert_int_eq(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_IOMMU), 0);
        ck_assert_errno(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), EINVAL);
        ck_assert_errno(ioctl(container, IOMMU_IOAS_ALLOC, NULL), EINVAL);
        ck_assert_errno(get_device(group, "0000:06:0d.0"), EINVAL);
        ck_assert_errno(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EINVAL);
        ck_assert_errno(ioctl(group, VFIO_GROUP_SET_CONTAINER, &none), EBADF);
        ck_assert_errno(ioctl(group, VFIO_GROUP_SET_CONTAINER, &group), EBADFD);

        ck_assert_int_eq(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
        ck_assert_errno(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), EINVAL);
        ck_assert_errno(get_device(group, "0000:06:0d.0"), EINVAL);
        ck_assert_errno(ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU), ENODEV);
        ck_assert_int_eq(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0);
        ck_assert_errno(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), EINVAL);

        ck_assert_errno(get_device(group, "0000:01:00.0"), ENODEV);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), 0);
        ck_assert_errno(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EINVAL);
        close(container);
        close(group);
}
END_TEST

START_TEST(last_group_takes_the_model_along) {
        int group = open_below_root("dev/vfio/26"), other = open_below_root("dev/vfio/12"), container = attach(group);
        struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ, .size = 4096 };

        ck_assert_int_eq(ioctl(other, VFIO_GROUP_SET_CONTAINER, &container), 0);
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), 0);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), 0);
        map.iova = 4096;
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), 0);
        close(other);
        ck_assert_errno(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), EINVAL);
        ck_assert_errno(get_device(group, "0000:06:0d.0"), EINVAL);
        close(container);
        close(group);
}
END_TEST

START_TEST(mappings_do_not_overlap_and_go_whole) {
        int group = open_below_root("dev/vfio/26"), container = attach(group);
        struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ, .iova = 4096, .size = 8192 };
        struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = 4096, .size = 4096 };

        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), 0);
        map.iova = 8192;
        ck_assert_errno(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), EEXIST);
        map.iova = 12288;
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), 0);
        ck_assert_errno(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap), EINVAL);
        unmap.size = 8192;
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
        unmap = (struct vfio_iommu_type1_dma_unmap) { .argsz = sizeof(unmap), .flags = VFIO_DMA_UNMAP_FLAG_ALL };
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
        ck_assert_int_eq(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), 0);
        close(container);
        close(group);
}
END_TEST

START_TEST(container_outlives_its_descriptors_while_a_group_is_attached) {
        int group = open_below_root("dev/vfio/26"), device;

        close(attach(group));
        device = get_device(group, "0000:06:0d.0");
        ck_assert_int_ge(device, 0);
        close(device);
        close(group);

        /* and not longer */
        group = open_below_root("dev/vfio/26");
        ck_assert_errno(get_device(group, "0000:06:0d.0"), EINVAL);
        close(group);
}
END_TEST

START_TEST(group_stays_attached_while_a_device_is_open_in_another_process) {
        int group = open_below_root("dev/vfio/26"), container = attach(group), device;
        pid_t holder;

        device = get_device(group, "0000:06:0d.1");
        holder = world_spawn_holder(device);
        ck_assert_int_ge(fcntl(device, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(device);
        ck_assert_errno(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
        ck_assert_int_eq(enabled("0000:06:0d.1"), 1);
        ck_assert_int_eq(enabled("0000:06:0d.0"), 0);

        /* the device keeps the group from everybody, even when its descriptor has gone */
        close(group);
        ck_assert_errno(open_below_root("dev/vfio/26"), EBUSY);
        world_kill(holder, SIGKILL);
        ck_assert_int_eq(enabled("0000:06:0d.1"), 0);
        group = open_below_root("dev/vfio/26");
        ck_assert_int_ge(group, 0);
        close(group);
        close(container);
}
END_TEST

START_TEST(mapping_or_message_in_flight_keeps_the_device_open) {
        int group = open_below_root("dev/vfio/12"), container = attach(group), pair[2], device;
        char control[CMSG_SPACE(sizeof(int))] = "", byte = 'x';
        struct iovec data = { &byte, 1 };
        struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        void *map;

        device = get_device(group, "0000:01:00.0");
        map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr) { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &device, sizeof(int));
        ck_assert_int_eq(sendmsg(pair[0], &m, 0), 1);
        close(device);

        ck_assert_errno(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
        munmap(map, 4096);
        ck_assert_errno(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
        close(pair[0]);
        close(pair[1]);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), 0);
        close(container);
        close(group);
}
END_TEST

START_TEST(first_open_resets_and_others_do_not) {
        int group = open_below_root("dev/vfio/12"), container = attach(group), device, again;
        uint32_t value = 0x12345678;

        device = get_device(group, "0000:01:00.0");
        ck_assert_uint_eq(device_flags(device), VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
        ck_assert_int_eq(pwrite(device, &value, sizeof(value), 16), sizeof(value));
        again = get_device(group, "0000:01:00.0");
        ck_assert_uint_eq(vfio_resets(world, "0000:01:00.0"), 1);
        ck_assert_int_eq(pread(again, &value, sizeof(value), 16), sizeof(value));
        ck_assert_uint_eq(value, 0x12345678);
        close(device);
        close(again);

        device = get_device(group, "0000:01:00.0");
        ck_assert_uint_eq(vfio_resets(world, "0000:01:00.0"), 2);
        ck_assert_int_eq(pread(device, &value, sizeof(value), 16), sizeof(value));
        ck_assert_uint_eq(value, 0);
        ck_assert_int_eq(ioctl(device, VFIO_DEVICE_RESET), 0);
        ck_assert_uint_eq(vfio_resets(world, "0000:01:00.0"), 3);
        close(device);
        close(container);
        close(group);
}
END_TEST

START_TEST(device_without_a_reset_keeps_its_registers) {
        int group = open_below_root("dev/vfio/9"), container = attach(group), device;
        uint32_t value = 0x12345678;

        device = get_device(group, "0000:00:10.0");
        ck_assert_uint_eq(device_flags(device), VFIO_DEVICE_FLAGS_PCI);
        ck_assert_errno(ioctl(device, VFIO_DEVICE_RESET), EINVAL);
        ck_assert_int_eq(pwrite(device, &value, sizeof(value), 16), sizeof(value));
        close(device);
        value = 0;
        device = get_device(group, "0000:00:10.0");
        ck_assert_int_eq(pread(device, &value, sizeof(value), 16), sizeof(value));
        ck_assert_uint_eq(value, 0x12345678);
        close(device);
        close(container);
        close(group);
}
END_TEST

START_TEST(driver_of_the_host_spoils_the_group) {
        int container = open_below_root("dev/vfio/vfio"), group = open_below_root("dev/vfio/26");
        struct vfio_group_status status = { .argsz = sizeof(status) };

        ck_assert_int_eq(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0);
        ck_assert_uint_eq(status.flags, VFIO_GROUP_FLAGS_VIABLE);
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "e1000"), 0);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0);
        ck_assert_uint_eq(status.flags, 0);
        ck_assert_errno(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), EPERM);
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "pci-stub"), 0);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
        ck_assert_int_eq(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0);
        ck_assert_uint_eq(status.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
        ck_assert_int_eq(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0);
        ck_assert_errno(get_device(group, "0000:06:0d.1"), ENODEV);
        close(container);
        close(group);
}
END_TEST

START_TEST(token_opens_and_nothing_else_does) {
        static const char token[] = "2ab74924-c335-45f4-9b16-8569e5b08258";
        int group = open_below_root("dev/vfio/12"), container = attach(group), device;
        char name[128];

        snprintf(name, sizeof(name), "0000:01:00.0 vf_token=%s", token);
        ck_assert_errno(get_device(group, name), EINVAL);
        vfio_fail(world, "0000:01:00.0", "vf-token", token);
        ck_assert_errno(get_device(group, "0000:01:00.0"), EACCES);
        device = get_device(group, name);
        ck_assert_int_ge(device, 0);
        close(device);
        close(container);
        close(group);
}
END_TEST

START_TEST(faults_come_as_planned) {
        int group = open_below_root("dev/vfio/12"), container = attach(group), device;
        uint64_t begin;

        vfio_fail(world, "0000:01:00.0", "open-errno", "11 2");
        ck_assert_errno(get_device(group, "0000:01:00.0"), EAGAIN);
        ck_assert_errno(get_device(group, "0000:01:00.0"), EAGAIN);
        vfio_fail(world, "0000:01:00.0", "reset-fails", "");
        vfio_fail(world, "0000:01:00.0", "open-delay-ms", "200");
        begin = world_now();
        device = get_device(group, "0000:01:00.0");
        ck_assert_uint_ge(world_now() - begin, 200000);
        ck_assert_uint_eq(device_flags(device), VFIO_DEVICE_FLAGS_PCI);
        ck_assert_uint_eq(vfio_resets(world, "0000:01:00.0"), 0);
        close(device);
        close(container);
        close(group);

        vfio_fail(world, "group-12", "open-errno", "13");
        ck_assert_errno(open_below_root("dev/vfio/12"), EACCES);
        vfio_fail(world, "group-12", "open-errno", NULL);
        vfio_fail(world, "container", "extensions", "1");
        group = open_below_root("dev/vfio/12");
        container = open_below_root("dev/vfio/vfio");
        ck_assert_int_eq(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 0);
        ck_assert_int_eq(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
        close(container);
        close(group);
}
END_TEST

START_TEST(calls_are_logged_in_order) {
        int group = open_below_root("dev/vfio/12"), container = attach(group), device = get_device(group, "0000:01:00.0");
        char *log = world_read(world, "fake/log");

        ck_assert_int_lt(get_device(group, "0000:06:0d.0"), 0);
        free(log);
        log = world_read(world, "fake/log");
        ck_assert_str_eq(log, "test-fakes group-12 open 0\n"
                              "test-fakes container open 0\n"
                              "test-fakes group-12 set-container 0\n"
                              "test-fakes container set-iommu 0\n"
                              "test-fakes 0000:01:00.0 open 0\n"
                              "test-fakes 0000:06:0d.0 open 19\n");
        free(log);
        close(device);
        close(container);
        close(group);
}
END_TEST

#define CHECK(flags, id)                                                                                             \
        ask_at(world->bus, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",                    \
               "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization", "(sa{sv})sa{ss}us", "system-bus-name", 1, \
               "name", "s", ":1.7", "some.action", 1, "device.id", "one", flags, id)

START_TEST(polkit_answers_as_told) {
        ck_assert_str_eq(CHECK(0, ""), "(yes no [])");
        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(CHECK(0, ""), "(no no [])");
        polkit_set(world, "SetAnswer", "s", "challenge");
        ck_assert_str_eq(CHECK(0, ""), "(no yes [])");
        ck_assert_str_eq(CHECK(1, ""), "(yes no [])");
        polkit_set(world, "SetAnswer", "s", "error");
        ck_assert_str_eq(CHECK(1, ""), "!org.freedesktop.PolicyKit1.Error.Failed");
        polkit_set(world, "SetAnswerFor", "sss", "device.id", "one", "yes");
        ck_assert_str_eq(CHECK(0, ""), "(yes no [])");
        polkit_set(world, "SetAnswerFor", "sss", "device.id", "one", "no");
        ck_assert_str_eq(CHECK(0, "x"), "(no no [])");
        ck_assert_str_eq(ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "SetAnswer", "s", "maybe"), INVALID_ARGS);

        ck_assert_uint_eq(polkit_asked(world), 7);
        ck_assert_ptr_nonnull(strstr(ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""),
                                     "(system-bus-name :1.7 some.action [{device.id one}] 0 x)]"));
}
END_TEST

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char **ret = userdata;

        *ret = !sd_bus_message_is_method_error(m, NULL) ? "answered"
                : sd_bus_message_is_method_error(m, "org.freedesktop.PolicyKit1.Error.Cancelled") ? "cancelled" : "failed";
        return 0;
}

static void question(sd_bus_slot **slot, const char *id, const char **ret_answer) {
        *ret_answer = NULL;
        ck_assert_int_ge(sd_bus_call_method_async(world->bus, slot, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                                  "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization", on_reply, ret_answer,
                                                  "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", ":1.7", "some.action", 0, 1, id),
                         0);
}

START_TEST(polkit_keeps_silent_until_it_is_told_or_cancelled) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *one = NULL, *two = NULL;
        const char *first, *second;

        polkit_set(world, "SetAnswer", "s", "silent");
        question(&one, "a", &first);
        question(&two, "b", &second);
        WAIT_FOR(world, polkit_waiting(world) == 2);
        ask_at(world->bus, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
               "org.freedesktop.PolicyKit1.Authority", "CancelCheckAuthorization", "s", "b");
        WAIT_FOR(world, second);
        ck_assert_str_eq(second, "cancelled");
        ck_assert_ptr_null(first);
        ck_assert_uint_eq(polkit_cancelled(world), 1);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, first);
        ck_assert_str_eq(first, "answered");
        ck_assert_uint_eq(polkit_waiting(world), 0);
}
END_TEST

START_TEST(polkit_takes_its_time) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        uint64_t begin = world_now();
        const char *answer;

        polkit_set(world, "SetDelayMs", "u", 200);
        question(&slot, "a", &answer);
        WAIT_FOR(world, polkit_waiting(world) == 1);
        WAIT_FOR(world, answer);
        ck_assert_str_eq(answer, "answered");
        ck_assert_uint_ge(world_now() - begin, 200000);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("fakes");
        TCase *tcase = suite_add_case(suite, "fakes", make_world, end_world);

        tcase_add_test(tcase, group_opens_once);
        tcase_add_test(tcase, group_stays_open_while_a_copy_is);
        tcase_add_test(tcase, group_stays_open_when_its_node_goes);
        tcase_add_test(tcase, group_of_the_host_does_not_open);
        tcase_add_test(tcase, steps_have_an_order);
        tcase_add_test(tcase, last_group_takes_the_model_along);
        tcase_add_test(tcase, mappings_do_not_overlap_and_go_whole);
        tcase_add_test(tcase, container_outlives_its_descriptors_while_a_group_is_attached);
        tcase_add_test(tcase, group_stays_attached_while_a_device_is_open_in_another_process);
        tcase_add_test(tcase, mapping_or_message_in_flight_keeps_the_device_open);
        tcase_add_test(tcase, first_open_resets_and_others_do_not);
        tcase_add_test(tcase, device_without_a_reset_keeps_its_registers);
        tcase_add_test(tcase, driver_of_the_host_spoils_the_group);
        tcase_add_test(tcase, token_opens_and_nothing_else_does);
        tcase_add_test(tcase, faults_come_as_planned);
        tcase_add_test(tcase, calls_are_logged_in_order);
        tcase_add_test(tcase, polkit_answers_as_told);
        tcase_add_test(tcase, polkit_keeps_silent_until_it_is_told_or_cancelled);
        tcase_add_test(tcase, polkit_takes_its_time);
        return suite_run(suite);
}
