/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the kernel answers, in words. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "broker-world.h"
#include "errors.h"
#include "suite.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static Lease *lease; /* over 0000:06:0d.0 */
static char node[128];

static void make_world(void) {
        User *user;

        broker_world_begin();
        ck_assert_int_eq(user_get(&user, &broker->users, 1000), 0);
        ck_assert_int_eq(user_charge(user, 100), 0);
        ck_assert_int_eq(lease_new(&lease, &broker->leases, user, 1, NULL), 0);
        lease_add_device(lease, find("0000:06:0d.0"), NULL);
        snprintf(node, sizeof(node), "%s/dev/vfio/26", tree_root(tree));
}

static const struct {
        VfioStep step;
        int error, r;
        const char *text;
} answers[] = {
        { VFIO_STEP_CONTAINER, ENOENT, VFB_ERROR_BACKEND_UNAVAILABLE, "There is no /dev/vfio/vfio" },
        { VFIO_STEP_CONTAINER, ENODEV, VFB_ERROR_BACKEND_UNAVAILABLE, "There is no /dev/vfio/vfio" },
        { VFIO_STEP_CONTAINER, ENOTSUP, VFB_ERROR_BACKEND_UNAVAILABLE, "not the container interface" },
        { VFIO_STEP_CONTAINER, EMFILE, -EMFILE, NULL },
        { VFIO_STEP_GROUP, EBUSY, VFB_ERROR_HELD_ELSEWHERE, "fuser -v /dev/vfio/26" },
        { VFIO_STEP_GROUP, ENOENT, VFB_ERROR_NOT_VFIO, "IOMMU group 26" },
        { VFIO_STEP_GROUP, ENODEV, VFB_ERROR_NOT_VFIO, "IOMMU group 26" },
        { VFIO_STEP_GROUP, EPERM, -EPERM, NULL },
        { VFIO_STEP_STATUS, EPERM, VFB_ERROR_NOT_VIABLE, "somebody else does DMA in IOMMU group 26" },
        { VFIO_STEP_ATTACH, EPERM, VFB_ERROR_NOT_VIABLE, "somebody else does DMA in IOMMU group 26" },
        { VFIO_STEP_ATTACH, EINVAL, VFB_ERROR_TAINTED, "IOMMU group 26 cannot be isolated" },
        { VFIO_STEP_ATTACH, EBUSY, -EBUSY, NULL },
        { VFIO_STEP_IOMMU, EPERM, VFB_ERROR_TAINTED, "no interrupt remapping" },
        { VFIO_STEP_IOMMU, ENODEV, VFB_ERROR_BACKEND_UNAVAILABLE, "modprobe vfio_iommu_type1" },
        { VFIO_STEP_IOMMU, EIO, -EIO, NULL },
        { VFIO_STEP_DEVICE, EACCES, VFB_ERROR_VF_TOKEN_REQUIRED, "0000:06:0d.0 is guarded by a VF token" },
        { VFIO_STEP_DEVICE, ENODEV, VFB_ERROR_DEVICE_GONE, "0000:06:0d.0 has gone" },
        { VFIO_STEP_DEVICE, EAGAIN, VFB_ERROR_HELD_ELSEWHERE, "try again" },
        { VFIO_STEP_DEVICE, EIO, -EIO, NULL },
        { VFIO_STEP_INFO, EIO, -EIO, NULL },
        { VFIO_STEP_DETACH, EBUSY, -EBUSY, NULL },
        { VFIO_STEP_NONE, 0, -EIO, NULL },
};

static int explain(const VfioResult *result) {
        VfioPlan plan = { .n_groups = 1, .groups = { 26 }, .n_devices = 1 };
        const Finding *why;
        int r;

        strcpy(plan.devices[0].address, "0000:06:0d.0");
        findings_done(&findings);
        r = broker_explain_result(broker, lease, &plan, result, &findings);
        why = findings_first_error(&findings);
        return why ? (int) why->error : r;
}

START_TEST(the_kernels_answer_is_explained) {
        VfioResult result = { .step = answers[_i].step, .error = answers[_i].error };

        ck_assert_int_eq(explain(&result), answers[_i].r);
        if (answers[_i].text)
                ck_assert_ptr_nonnull(strstr(findings_first_error(&findings)->text, answers[_i].text));

        /* An index that makes no sense is no reason to fall. */
        result.index = 5000;
        if (answers[_i].error != EACCES)
                ck_assert_int_eq(explain(&result), answers[_i].r);
}
END_TEST

START_TEST(the_culprit_is_looked_for_when_the_kernel_says_no) {
        VfioResult result = { .step = VFIO_STEP_STATUS, .error = EPERM };

        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.1", "e1000"), 0);
        ck_assert_int_eq(explain(&result), VFB_ERROR_NOT_VIABLE);
        ck_assert_str_eq(findings_first_error(&findings)->culprit, "0000:06:0d.1");
        ck_assert_str_eq(findings_first_error(&findings)->driver, "e1000");
}
END_TEST

/* Of the group in the client's hands only what it did not want is left, and it may have that open. */
START_TEST(a_raw_lease_does_not_end_before_its_group_was_asked) {
        lease_advance(lease, LEASE_ACTIVE);
        lease->mode = LEASE_MODE_LEGACY_RAW;
        ck_assert_int_eq(tree_remove(tree, "0000:06:0d.0"), 0);
        ck_assert_int_eq(unlink(node), 0); /* as good as busy */
        ck_assert_int_eq(broker_refresh(broker, "0000:06:0d.0"), 0);
        for (int i = 0; i < 20; i++)
                ck_assert_int_ge(sd_event_run(event, 10000), 0);
        ck_assert_uint_eq(broker_leases(broker)->n, 1);

        ck_assert_int_eq(tree_write(tree, "dev/vfio/26", ""), 0);
        while (broker_leases(broker)->n > 0)
                ck_assert_int_ge(sd_event_run(event, 10000), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("broker-answers");
        TCase *tcase = suite_add_case(suite, "broker-answers", make_world, broker_world_end);

        tcase_add_loop_test(tcase, the_kernels_answer_is_explained, 0, N_ELEMENTS(answers));
        tcase_add_test(tcase, the_culprit_is_looked_for_when_the_kernel_says_no);
        tcase_add_test(tcase, a_raw_lease_does_not_end_before_its_group_was_asked);
        return suite_run(suite);
}
