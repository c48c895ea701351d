/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library as programs see it: linked as they link it, by its header alone */

#include "suite.h"
#include "vfio-broker.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOL(name) \
        { #name, (void (*)(void))(name) }

static const struct {
        const char *name;
        void (*function)(void);
} symbols[] = {
        SYMBOL(vfb_acquire),
        SYMBOL(vfb_claim),
        SYMBOL(vfb_dispatch),
        SYMBOL(vfb_dma_alloc),
        SYMBOL(vfb_dma_map),
        SYMBOL(vfb_dma_unmap),
        SYMBOL(vfb_error_exit_code),
        SYMBOL(vfb_error_free),
        SYMBOL(vfb_error_hint),
        SYMBOL(vfb_error_name),
        SYMBOL(vfb_error_new),
        SYMBOL(vfb_error_number),
        SYMBOL(vfb_error_text),
        SYMBOL(vfb_explain),
        SYMBOL(vfb_free),
        SYMBOL(vfb_get_events),
        SYMBOL(vfb_get_fd),
        SYMBOL(vfb_get_timeout),
        SYMBOL(vfb_lease_attribute),
        SYMBOL(vfb_lease_container_fd),
        SYMBOL(vfb_lease_device_fd),
        SYMBOL(vfb_lease_device_fd_by_id),
        SYMBOL(vfb_lease_device_id),
        SYMBOL(vfb_lease_expires),
        SYMBOL(vfb_lease_fd),
        SYMBOL(vfb_lease_free),
        SYMBOL(vfb_lease_group),
        SYMBOL(vfb_lease_group_fd),
        SYMBOL(vfb_lease_id),
        SYMBOL(vfb_lease_lifeline_fd),
        SYMBOL(vfb_lease_mode),
        SYMBOL(vfb_lease_model),
        SYMBOL(vfb_lease_n_devices),
        SYMBOL(vfb_lease_n_groups),
        SYMBOL(vfb_lease_n_roles),
        SYMBOL(vfb_lease_offer),
        SYMBOL(vfb_lease_release),
        SYMBOL(vfb_lease_renew),
        SYMBOL(vfb_lease_reset_used),
        SYMBOL(vfb_lease_revoke_complete),
        SYMBOL(vfb_lease_role),
        SYMBOL(vfb_lease_take_fd),
        SYMBOL(vfb_list_devices),
        SYMBOL(vfb_open),
        SYMBOL(vfb_request_add_device),
        SYMBOL(vfb_request_free),
        SYMBOL(vfb_request_new),
        SYMBOL(vfb_request_set_companions),
        SYMBOL(vfb_request_set_duration),
        SYMBOL(vfb_request_set_interactive),
        SYMBOL(vfb_request_set_label),
        SYMBOL(vfb_request_set_lifetime),
        SYMBOL(vfb_request_set_mode),
        SYMBOL(vfb_request_set_near_cpu),
        SYMBOL(vfb_request_set_on_host_use),
        SYMBOL(vfb_request_set_one_time),
        SYMBOL(vfb_request_set_pidfd),
        SYMBOL(vfb_request_set_reset),
        SYMBOL(vfb_request_set_restore),
        SYMBOL(vfb_request_set_timeout),
        SYMBOL(vfb_request_set_unit),
};

#define N_SYMBOLS (sizeof(symbols) / sizeof(*symbols))

START_TEST(the_symbol_list_has_what_the_header_has) {
        FILE *file = fopen(SYMBOL_FILE, "re");
        char line[256], name[64];
        size_t n = 0;

        ck_assert_ptr_nonnull(file);
        while (fgets(line, sizeof(line), file)) {
                if (sscanf(line, " vfb_%63[a-z_];", name) != 1)
                        continue;

                ck_assert_uint_lt(n, N_SYMBOLS);
                ck_assert_str_eq(name, symbols[n].name + strlen("vfb_"));
                ck_assert(symbols[n].function);
                n++;
        }
        fclose(file);
        ck_assert_uint_eq(n, N_SYMBOLS);
}
END_TEST

START_TEST(destructors_take_null) {
        ck_assert_ptr_null(vfb_free(NULL));
        ck_assert_ptr_null(vfb_request_free(NULL));
        ck_assert_ptr_null(vfb_lease_free(NULL));
        ck_assert_ptr_null(vfb_error_free(NULL));
}
END_TEST

START_TEST(a_request_takes_what_it_is_given_and_refuses_nothing_as_a_device) {
        vfb_request *request;

        ck_assert_int_eq(vfb_request_new(&request), 0);
        ck_assert_int_eq(vfb_request_add_device(request, "", NULL), -EINVAL);
        ck_assert_int_eq(vfb_request_add_device(request, NULL, NULL), -EINVAL);
        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(vfb_request_add_device(request, "0000:06:0d.0", i % 2 ? "token" : NULL), 0);
                ck_assert_int_eq(vfb_request_set_mode(request, i % 2 ? "legacy" : NULL), 0);
                ck_assert_int_eq(vfb_request_set_label(request, "label"), 0);
                ck_assert_int_eq(vfb_request_set_lifetime(request, i % 2 ? "unit" : NULL), 0);
                ck_assert_int_eq(vfb_request_set_unit(request, i % 2 ? "soak.service" : NULL), 0);
                ck_assert_int_eq(vfb_request_set_pidfd(request, i % 2 ? 0 : -1), 0);
        }
        ck_assert_int_eq(vfb_request_set_pidfd(request, 1000000), -EBADF);
        vfb_request_free(request);
}
END_TEST

START_TEST(without_a_bus_the_connection_is_refused_with_a_hint) {
        vfb_error *error = NULL;
        vfb *connection = NULL;

        setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, &error), -EHOSTDOWN);
        ck_assert_ptr_null(connection);
        ck_assert_int_eq(vfb_error_exit_code(error), 9);
        ck_assert_ptr_nonnull(vfb_error_hint(error));
        vfb_error_free(error);
        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), -EHOSTDOWN);
}
END_TEST

static void later_callback(void) {
}

START_TEST(a_listener_of_a_later_version_is_refused) {
        vfb_listener listener = { .reserved = { later_callback } };
        vfb *connection;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), -EINVAL);
}
END_TEST

static const struct {
        const char *name, *text;
        const char *expected_text; /* NULL: any */
        int number, exit_code;
        bool hint;
} errors[] = {
        { "org.vfiobroker1.Error.Leased", "uid 1002 has it", "uid 1002 has it", EBUSY, 5, true },
        { "org.vfiobroker1.Error.Leased", NULL, NULL, EBUSY, 5, true },
        { "org.vfiobroker1.Error.Leased", "", NULL, EBUSY, 5, true },
        { "org.vfiobroker1.Error.NotViable", "x", "x", EPERM, 6, true },
        { "org.freedesktop.DBus.Error.AccessDenied", "x", "x", EACCES, 4, true },
        { "org.freedesktop.DBus.Error.InvalidArgs", "x", "x", EINVAL, 2, true },
        { "org.freedesktop.DBus.Error.ServiceUnknown", "x", "The service is not running", EHOSTUNREACH, 9, true },
        { "org.freedesktop.DBus.Error.Spawn.ChildExited", "x", "The service is not running", EHOSTUNREACH, 9, true },
        { "org.freedesktop.systemd1.LoadFailed", "x", "The service is not running", EHOSTUNREACH, 9, true },
        { "org.freedesktop.DBus.Error.NoReply", "x", NULL, ETIMEDOUT, 9, true },
        { "org.freedesktop.DBus.Error.UnknownMethod", "x", "x", EBADR, 1, false },
        { "System.Error.ENOSPC", "x", "x", ENOSPC, 1, false },
        { "org.vfiobroker1.Error.OfALaterVersion", "x", "x", EIO, 1, false },
        { "", "x", "x", EIO, 1, false },
};

START_TEST(an_error_has_errno_text_hint_and_exit_code) {
        vfb_error *error;

        ck_assert_int_eq(vfb_error_new(&error, errors[_i].name, errors[_i].text), 0);
        ck_assert_str_eq(vfb_error_name(error), errors[_i].name);
        ck_assert_int_eq(vfb_error_number(error), errors[_i].number);
        ck_assert_int_eq(vfb_error_exit_code(error), errors[_i].exit_code);
        if (errors[_i].expected_text)
                ck_assert_str_eq(vfb_error_text(error), errors[_i].expected_text);
        ck_assert_str_ne(vfb_error_text(error), "");
        ck_assert(!!vfb_error_hint(error) == errors[_i].hint);
        vfb_error_free(error);
}
END_TEST

START_TEST(an_error_needs_a_name) {
        vfb_error *error;

        ck_assert_int_eq(vfb_error_new(&error, NULL, "text"), -EINVAL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("api");
        TCase *tcase = suite_add_case(suite, "api", NULL, NULL);

        tcase_add_test(tcase, the_symbol_list_has_what_the_header_has);
        tcase_add_test(tcase, destructors_take_null);
        tcase_add_test(tcase, a_request_takes_what_it_is_given_and_refuses_nothing_as_a_device);
        tcase_add_test(tcase, without_a_bus_the_connection_is_refused_with_a_hint);
        tcase_add_test(tcase, a_listener_of_a_later_version_is_refused);
        tcase_add_loop_test(tcase, an_error_has_errno_text_hint_and_exit_code, 0, sizeof(errors) / sizeof(*errors));
        tcase_add_test(tcase, an_error_needs_a_name);
        return suite_run(suite);
}
