/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdlib.h>

#include "core/user.h"
#include "errors.h"
#include "suite.h"

static struct UserList users;

static void make_world(void) {
        LIST_INIT(&users);
}

static void end_world(void) {
        ck_assert_msg(LIST_EMPTY(&users), "a user who holds nothing is still there");
}

START_TEST(the_same_uid_is_the_same_user) {
        User *a, *b, *other;

        ck_assert_int_eq(user_get(&a, &users, 1000), 0);
        ck_assert_int_eq(user_get(&other, &users, 1001), 0);
        ck_assert_int_eq(user_get(&b, &users, 1000), 0);
        ck_assert_ptr_eq(a, b);
        ck_assert_ptr_ne(a, other);
        ck_assert_uint_eq(a->uid, 1000);
        ck_assert_uint_eq(a->n_leases, 0);
        user_free(a);
        user_free(other);
}
END_TEST

START_TEST(who_has_as_much_as_they_may_gets_no_more) {
        User *user, *other;

        ck_assert_int_eq(user_get(&user, &users, 1000), 0);
        ck_assert_int_eq(user_get(&other, &users, 1001), 0);
        ck_assert_int_eq(user_charge(user, 2), 0);
        ck_assert_int_eq(user_charge(user, 2), 0);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(user_charge(user, 2), VFB_ERROR_QUOTA_EXCEEDED);
        ck_assert_uint_eq(user->n_leases, 2);
        ck_assert_int_eq(user_charge(other, 2), 0);
        ck_assert_uint_eq(other->n_leases, 1);

        user_discharge(user);
        ck_assert_int_eq(user_charge(user, 2), 0);
        user_discharge(user);
        user_discharge(user);
        user_discharge(other);
}
END_TEST

START_TEST(a_refused_user_who_holds_nothing_is_forgotten) {
        User *user;

        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(user_get(&user, &users, 1000), 0);
                ck_assert_int_eq(user_charge(user, 0), VFB_ERROR_QUOTA_EXCEEDED);
                ck_assert(LIST_EMPTY(&users));
        }
}
END_TEST

START_TEST(with_the_last_lease_goes_the_user) {
        User *user;

        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(user_get(&user, &users, 1000), 0);
                ck_assert_int_eq(user_charge(user, 2), 0);
                ck_assert_int_eq(user_charge(user, 2), 0);
                user_discharge(user);
                ck_assert(!LIST_EMPTY(&users));
                user_discharge(user);
                ck_assert(LIST_EMPTY(&users));
        }
}
END_TEST

START_TEST(memory_is_charged_up_to_both_limits) {
        User *user;

        ck_assert_int_eq(user_get(&user, &users, 1000), 0);
        ck_assert_int_eq(user_charge(user, 1), 0);
        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(user_charge_memory(user, 600, 2, 1000), 0);
                ck_assert_int_eq(user_charge_memory(user, 401, 2, 1000), VFB_ERROR_QUOTA_EXCEEDED);
                ck_assert_int_eq(user_charge_memory(user, UINT64_MAX, 2, 1000), VFB_ERROR_QUOTA_EXCEEDED);
                ck_assert_int_eq(user_charge_memory(user, 399, 2, 1000), 0);
                ck_assert_int_eq(user_charge_memory(user, 1, 2, 1000), VFB_ERROR_QUOTA_EXCEEDED);
                ck_assert_uint_eq(user->n_mappings, 2);
                ck_assert_uint_eq(user->mapped_bytes, 999);
                user_discharge_memory(user, 2, 999);
        }
        ck_assert_uint_eq(user->n_mappings, 0);
        ck_assert_uint_eq(user->mapped_bytes, 0);
        user_discharge(user);
}
END_TEST

START_TEST(nobody_is_freed_twice) {
        ck_assert_ptr_null(user_free(NULL));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("user");
        TCase *tcase = suite_add_case(suite, "user", make_world, end_world);

        tcase_add_test(tcase, the_same_uid_is_the_same_user);
        tcase_add_test(tcase, who_has_as_much_as_they_may_gets_no_more);
        tcase_add_test(tcase, a_refused_user_who_holds_nothing_is_forgotten);
        tcase_add_test(tcase, with_the_last_lease_goes_the_user);
        tcase_add_test(tcase, memory_is_charged_up_to_both_limits);
        tcase_add_test(tcase, nobody_is_freed_twice);
        return suite_run(suite);
}
