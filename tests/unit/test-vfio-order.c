/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is asked of the kernel, and in which order. openat() and ioctl() are the test's (the linker wraps
 * them): a model just large enough to refuse what VFIO refuses, and to fail where it is told to. That VFIO
 * itself is like that is proved in the guest suite.
 */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/reset.h"
#include "suite.h"
#include "tree.h"

#define TOKEN "5a7b5e4c-8f16-4d3c-8f0a-16a4b3dd8e4c"

int __real_openat(int dirfd, const char *path, int flags, ...);
int __real_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static Tree *tree;
static VfioPlan plan;
static VfioResult result;
static int fds[JOB_FDS_MAX];
static size_t n_fds;
static int n_fds_before;

static struct {
        bool iommufd;
        int models; /* one bit each */
        bool attached[64], iommu_set;
        const char *no_reset;
        struct {
                const char *what;
                int error, times;
        } failures[4];
        char log[4096];
} kernel;

/* Notes the call. true: it shall fail, and errno says how. */
static bool fails(const char *format, const char *argument) {
        char what[128];
        size_t used = strlen(kernel.log);

        snprintf(what, sizeof(what), format, argument);
        snprintf(kernel.log + used, sizeof(kernel.log) - used, "%s%s", used > 0 ? ", " : "", what);
        for (size_t i = 0; i < 4; i++) {
                if (!kernel.failures[i].what || kernel.failures[i].times == 0 ||
                    strcmp(kernel.failures[i].what, what) != 0)
                        continue;
                kernel.failures[i].times--;
                errno = kernel.failures[i].error;
                return true;
        }
        return false;
}

static int refuse(int error) {
        errno = error;
        return -1;
}

static int count_fds(const char *of) {
        DIR *dir = opendir("/proc/self/fd");
        struct dirent *entry;
        char target[256];
        int n = 0;

        while ((entry = readdir(dir))) {
                ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                target[size < 0 ? 0 : size] = '\0';
                n += strncmp(target, of, strlen(of)) == 0;
        }
        closedir(dir);
        return n;
}

int __wrap_openat(int dirfd, const char *path, int flags, ...) {
        va_list arguments;
        mode_t mode = 0;

        va_start(arguments, flags);
        if (flags & O_CREAT)
                mode = va_arg(arguments, mode_t);
        va_end(arguments);
        if (strncmp(path, "vfio/", 5) == 0 && fails("open %s", path))
                return -1;
        return __real_openat(dirfd, path, flags, mode);
}

int __wrap_openat64(int dirfd, const char *path, int flags, ...) {
        va_list arguments;
        mode_t mode = 0;

        va_start(arguments, flags);
        if (flags & O_CREAT)
                mode = va_arg(arguments, mode_t);
        va_end(arguments);
        if (strncmp(path, "vfio/", 5) == 0 && fails("open %s", path))
                return -1;
        return __real_openat64(dirfd, path, flags, mode);
}

static int ask_container(unsigned long request, unsigned long argument) {
        switch (request) {
        case VFIO_GET_API_VERSION:
                return fails("version", NULL) ? -1 : VFIO_API_VERSION;
        case VFIO_CHECK_EXTENSION:
                if (fails(argument == VFIO_TYPE1v2_IOMMU ? "v2?" : "v1?", NULL))
                        return -1;
                return kernel.models >> argument & 1;
        case VFIO_SET_IOMMU:
                if (fails(argument == VFIO_TYPE1v2_IOMMU ? "set v2" : "set v1", NULL))
                        return -1;
                kernel.iommu_set = true;
                return 0;
        case _IO(';', 0x81):
                return kernel.iommufd ? 0 : refuse(fails("iommufd?", NULL) ? errno : EINVAL);
        default:
                return refuse(ENOTTY);
        }
}

static int ask_group(const char *name, unsigned long request, void *argument) {
        bool *attached = &kernel.attached[strtoul(name, NULL, 10) % 64];

        switch (request) {
        case VFIO_GROUP_GET_STATUS:
                if (fails("status %s", name) && errno != EUCLEAN)
                        return -1;
                ((struct vfio_group_status *) argument)->flags = errno == EUCLEAN ? 0 : VFIO_GROUP_FLAGS_VIABLE;
                return 0;
        case VFIO_GROUP_SET_CONTAINER:
                if (fails("attach %s", name))
                        return -1;
                if (*attached)
                        return refuse(EINVAL);
                *attached = true;
                return 0;
        case VFIO_GROUP_UNSET_CONTAINER:
                if (fails("detach %s", name))
                        return -1;
                if (!*attached)
                        return refuse(EINVAL);
                if (count_fds("/memfd:") > 0)
                        return refuse(EBUSY);
                *attached = false;
                return 0;
        case VFIO_GROUP_GET_DEVICE_FD:
                if (fails("device %s", argument))
                        return -1;
                return *attached && kernel.iommu_set ? memfd_create(argument, MFD_CLOEXEC) : refuse(EINVAL);
        default:
                return refuse(ENOTTY);
        }
}

int __wrap_ioctl(int fd, unsigned long request, ...) {
        char link[64], target[256] = "";
        va_list arguments;
        void *argument;

        va_start(arguments, request);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        errno = 0;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof(target) - 1) < 0)
                return refuse(EBADF);
        if (strncmp(target, "/memfd:", 7) == 0) {
                if (request != VFIO_DEVICE_GET_INFO)
                        return refuse(ENOTTY);
                target[7 + 12] = '\0';
                if (fails("info %s", target + 7))
                        return -1;
                ((struct vfio_device_info *) argument)->flags =
                        kernel.no_reset && strcmp(kernel.no_reset, target + 7) == 0 ? 0 : VFIO_DEVICE_FLAGS_RESET;
                return 0;
        }
        if (strcmp(strrchr(target, '/'), "/vfio") == 0)
                return ask_container(request, (unsigned long) argument);
        return ask_group(strrchr(target, '/') + 1, request, argument);
}

static void make_world(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        plan = (VfioPlan){
                .dev = tree_open(tree, "dev"),
                .n_groups = 2,
                .groups = { 26, 12 },
                .group_fds = { -EBADF, -EBADF },
                .n_devices = 3,
                .n_pass = 3,
                .devices = {
                        { .address = "0000:06:0d.0", .group = 0 },
                        { .address = "0000:06:0d.1", .group = 0, .token = TOKEN },
                        { .address = "0000:01:00.0", .group = 1 },
                },
        };
        memset(&kernel, 0, sizeof(kernel));
        kernel.models = 1 << VFIO_TYPE1v2_IOMMU | 1 << VFIO_TYPE1_IOMMU;
        result = (VfioResult){ 0 };
        n_fds = 0;
        n_fds_before = count_fds("");
}

static void end_world(void) {
        for (size_t i = 0; i < n_fds; i++)
                close(fds[i]);
        close(plan.dev);
        tree = tree_free(tree);
}

static void fail_at(const char *what, int error, int times) {
        size_t i = 0;

        while (kernel.failures[i].what)
                i++;
        kernel.failures[i].what = what;
        kernel.failures[i].error = error;
        kernel.failures[i].times = times;
}

static void check_failure(VfioStep step, int error, unsigned index) {
        ck_assert_int_eq(result.step, step);
        ck_assert_int_eq(result.error, error);
        ck_assert_uint_eq(result.index, index);
        ck_assert_uint_eq(n_fds, 0);
        ck_assert_int_eq(count_fds(""), n_fds_before);
}

static int count_calls(const char *what) {
        int n = 0;

        for (const char *s = kernel.log; (s = strstr(s, what)); s++)
                n++;
        return n;
}

#define CONTAINER "open vfio/vfio, iommufd?, version, v2?, "

START_TEST(everything_is_opened_in_order) {
        kernel.no_reset = "0000:06:0d.1";
        vfio_open(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
        ck_assert_str_eq(kernel.log, CONTAINER "open vfio/26, status 26, attach 26, set v2, "
                                               "open vfio/12, status 12, attach 12, "
                                               "device 0000:06:0d.0, info 0000:06:0d.0, "
                                               "device 0000:06:0d.1 vf_token=" TOKEN ", info 0000:06:0d.1, "
                                               "device 0000:01:00.0, info 0000:01:00.0");
        ck_assert_uint_eq(result.model, VFIO_TYPE1v2_IOMMU);
        ck_assert_uint_eq(n_fds, 1 + 2 + 3);
        ck_assert(result.reset_works[0] && !result.reset_works[1] && result.reset_works[2]);
}
END_TEST

START_TEST(devices_that_are_not_passed_are_opened_and_closed) {
        plan.n_pass = 1;
        vfio_open(&plan, &result, fds, &n_fds);
        ck_assert_uint_eq(n_fds, 1 + 2 + 1);
        ck_assert_int_eq(count_fds("/memfd:"), 1);
        ck_assert_int_eq(count_calls("device "), 3);
        ck_assert(result.reset_works[2]);
}
END_TEST

START_TEST(the_older_model_is_taken_where_the_better_is_missing) {
        kernel.models = 1 << VFIO_TYPE1_IOMMU;
        vfio_open(&plan, &result, fds, &n_fds);
        ck_assert_uint_eq(result.model, VFIO_TYPE1_IOMMU);
        ck_assert_int_eq(count_calls("set v1"), 1);
}
END_TEST

START_TEST(without_a_model_no_group_is_touched) {
        kernel.models = 0;
        vfio_open(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENODEV, 0);
        ck_assert_int_eq(count_calls("open vfio/26"), 0);
}
END_TEST

START_TEST(an_iommufd_in_disguise_is_refused) {
        kernel.iommufd = true;
        vfio_open(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOTSUP, 0);
        result = (VfioResult){ 0 };
        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOTSUP, 0);
        ck_assert_int_eq(count_calls("vfio/26"), 0);

        /* one that is short of memory is not taken for a container */
        result = (VfioResult){ 0 };
        kernel.iommufd = false;
        fail_at("iommufd?", ENOMEM, 1);
        vfio_open(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOMEM, 0);
}
END_TEST

static const struct {
        const char *what;
        int error, told;
        VfioStep step;
        unsigned index;
} failures[] = {
        { "open vfio/vfio", EACCES, EACCES, VFIO_STEP_CONTAINER, 0 },
        { "version", ENOTTY, ENOTTY, VFIO_STEP_CONTAINER, 0 },
        { "open vfio/12", ENODEV, ENODEV, VFIO_STEP_GROUP, 1 },
        { "open vfio/26", EBUSY, EBUSY, VFIO_STEP_GROUP, 0 },
        { "status 12", ENODEV, ENODEV, VFIO_STEP_STATUS, 1 },
        { "status 26", EUCLEAN, EPERM, VFIO_STEP_STATUS, 0 }, /* that is: not viable */
        { "attach 26", EPERM, EPERM, VFIO_STEP_ATTACH, 0 },
        { "attach 12", EINVAL, EINVAL, VFIO_STEP_ATTACH, 1 },
        { "set v2", EPERM, EPERM, VFIO_STEP_IOMMU, 0 },
        { "device 0000:06:0d.0", EAGAIN, EAGAIN, VFIO_STEP_DEVICE, 0 },
        { "device 0000:06:0d.1 vf_token=" TOKEN, EACCES, EACCES, VFIO_STEP_DEVICE, 1 },
        { "info 0000:01:00.0", EIO, EIO, VFIO_STEP_INFO, 2 },
};

START_TEST(a_failure_names_its_step_and_leaves_nothing_open) {
        fail_at(failures[_i].what, failures[_i].error, 1000);
        vfio_open(&plan, &result, fds, &n_fds);
        check_failure(failures[_i].step, failures[_i].told, failures[_i].index);
}
END_TEST

START_TEST(what_is_busy_for_a_moment_is_asked_again) {
        fail_at("open vfio/26", EBUSY, 5);
        fail_at("device 0000:06:0d.0", EAGAIN, 3);
        vfio_open(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
        ck_assert_int_eq(count_calls("open vfio/26"), 6);
        ck_assert_int_eq(count_calls("device 0000:06:0d.0"), 4);
        ck_assert_uint_eq(n_fds, 6);
}
END_TEST

static void open_groups_as_daemon(bool attached) {
        plan.group_fds[0] = openat(plan.dev, "vfio/26", O_RDWR | O_CLOEXEC);
        plan.group_fds[1] = openat(plan.dev, "vfio/12", O_RDWR | O_CLOEXEC);
        kernel.attached[26] = kernel.attached[12] = kernel.iommu_set = attached;
        kernel.log[0] = '\0';
        n_fds_before = count_fds("");
}

START_TEST(more_devices_come_from_groups_that_are_attached) {
        open_groups_as_daemon(true);
        plan.n_pass = 2;
        vfio_open_more(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
        ck_assert_uint_eq(n_fds, 2);
        ck_assert_int_eq(count_calls("attach"), 0);
        ck_assert_int_eq(count_calls("device "), 2);
}
END_TEST

START_TEST(one_of_more_devices_failing_leaves_none_open) {
        open_groups_as_daemon(true);
        fail_at("device 0000:01:00.0", ENODEV, 1);
        vfio_open_more(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_DEVICE, ENODEV, 2);
}
END_TEST

START_TEST(an_open_device_holds_up_the_detaching) {
        int device;

        open_groups_as_daemon(true);
        device = memfd_create("0000:06:0d.0", MFD_CLOEXEC);
        vfio_detach(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_DETACH);
        ck_assert_int_eq(result.error, EBUSY);
        ck_assert(kernel.attached[26]);
        close(device);

        result = (VfioResult){ 0 };
        vfio_detach(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
        ck_assert(!kernel.attached[26] && !kernel.attached[12]);

        /* detached already is detached */
        vfio_detach(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
}
END_TEST

START_TEST(one_busy_group_does_not_keep_the_other_attached) {
        open_groups_as_daemon(true);
        fail_at("detach 26", EBUSY, 1);
        vfio_detach(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_DETACH, EBUSY, 0);
        ck_assert(kernel.attached[26] && !kernel.attached[12]);
}
END_TEST

START_TEST(cleaning_opens_each_device_alone_and_detaches) {
        open_groups_as_daemon(false);
        kernel.no_reset = "0000:01:00.0";
        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_NONE, 0, 0);
        ck_assert_str_eq(kernel.log, CONTAINER "detach 26, status 26, attach 26, set v2, detach 12, status 12, attach 12, "
                                               "device 0000:06:0d.0, info 0000:06:0d.0, "
                                               "device 0000:06:0d.1 vf_token=" TOKEN ", info 0000:06:0d.1, "
                                               "device 0000:01:00.0, info 0000:01:00.0, detach 26, detach 12");
        ck_assert(result.reset_works[0] && result.reset_works[1] && !result.reset_works[2]);
        ck_assert(!kernel.attached[26] && !kernel.attached[12]);
}
END_TEST

START_TEST(cleaning_opens_and_closes_groups_that_nobody_holds) {
        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_NONE, 0, 0);
        ck_assert_int_eq(count_calls("open vfio/26"), 1);
        ck_assert(result.reset_works[0] && result.reset_works[1] && result.reset_works[2]);
        ck_assert(!kernel.attached[26] && !kernel.attached[12]);
}
END_TEST

START_TEST(cleaning_passes_over_what_has_gone) {
        static const char *const gone[] = { "open vfio/26", "status 26", "attach 26" };

        fail_at(gone[_i], ENODEV, 1);
        fail_at("device 0000:01:00.0", ENODEV, 1);
        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_NONE, 0, 0);
        ck_assert_int_eq(count_calls("device 0000:06"), 0);
        ck_assert_int_eq(count_calls("device 0000:01"), 1);
        ck_assert_int_eq(count_calls("set v2"), 1);
        for (unsigned i = 0; i < 3; i++)
                ck_assert(!result.reset_works[i]);
        ck_assert(!kernel.attached[26] && !kernel.attached[12]);
}
END_TEST

START_TEST(a_cleaning_that_fails_detaches_all_the_same) {
        open_groups_as_daemon(false);
        fail_at(failures[_i].what, failures[_i].error, 1000);
        reset_gate(&plan, &result, fds, &n_fds);
        ck_assert_uint_eq(n_fds, 0);
        ck_assert_int_eq(count_fds(""), n_fds_before);
        ck_assert(!kernel.attached[26] && !kernel.attached[12]);
        ck_assert_int_ge(fcntl(plan.group_fds[0], F_GETFD), 0);
        if (failures[_i].error != ENODEV && strncmp(failures[_i].what, "open vfio/2", 11) != 0)
                check_failure(failures[_i].step, failures[_i].told, failures[_i].index);
}
END_TEST

static void add_tests(TCase *tcase) {
        int n = sizeof(failures) / sizeof(failures[0]);

        tcase_add_test(tcase, everything_is_opened_in_order);
        tcase_add_test(tcase, devices_that_are_not_passed_are_opened_and_closed);
        tcase_add_test(tcase, the_older_model_is_taken_where_the_better_is_missing);
        tcase_add_test(tcase, without_a_model_no_group_is_touched);
        tcase_add_test(tcase, an_iommufd_in_disguise_is_refused);
        tcase_add_loop_test(tcase, a_failure_names_its_step_and_leaves_nothing_open, 0, n);
        tcase_add_test(tcase, what_is_busy_for_a_moment_is_asked_again);
        tcase_add_test(tcase, more_devices_come_from_groups_that_are_attached);
        tcase_add_test(tcase, one_of_more_devices_failing_leaves_none_open);
        tcase_add_test(tcase, an_open_device_holds_up_the_detaching);
        tcase_add_test(tcase, one_busy_group_does_not_keep_the_other_attached);
        tcase_add_test(tcase, cleaning_opens_each_device_alone_and_detaches);
        tcase_add_test(tcase, cleaning_opens_and_closes_groups_that_nobody_holds);
        tcase_add_loop_test(tcase, cleaning_passes_over_what_has_gone, 0, 3);
        tcase_add_loop_test(tcase, a_cleaning_that_fails_detaches_all_the_same, 0, n);
}

int main(void) {
        Suite *suite = suite_create("vfio-order");
        TCase *tcase = suite_add_case(suite, "vfio-order", make_world, end_world);

        add_tests(tcase);
        return suite_run(suite);
}
