/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "log.h"
#include "suite.h"

static char fields[1 << 15]; /* what went to the journal, one "NAME=value" a line */
static int n_fields, n_sent, log_fd;

/* Ours comes before the library's. */
int sd_journal_sendv(const struct iovec *iov, int n) {
        size_t used = 0;

        fields[0] = '\0';
        for (int i = 0; i < n; i++) {
                ck_assert_ptr_nonnull(memchr(iov[i].iov_base, '=', iov[i].iov_len));
                ck_assert_uint_lt(used + iov[i].iov_len + 2, sizeof(fields));
                memcpy(fields + used, iov[i].iov_base, iov[i].iov_len);
                used += iov[i].iov_len;
                fields[used++] = '\n';
                fields[used] = '\0';
        }
        n_fields = n;
        n_sent++;
        return 0;
}

static void make_world(void) {
        log_fd = memfd_create("log", MFD_CLOEXEC);
        ck_assert_int_ge(log_fd, 0);
        ck_assert_int_ge(dup2(log_fd, STDERR_FILENO), 0);
        unsetenv("JOURNAL_STREAM");
}

static void end_world(void) {
        close(log_fd);
}

static const char *stderr_text(void) {
        static char text[1 << 15];
        ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

        ck_assert_int_ge(n, 0);
        text[n] = '\0';
        return text;
}

static void check_field(const char *field) {
        char line[256];

        snprintf(line, sizeof(line), "%s\n", field);
        ck_assert_msg(strstr(fields, line), "%s is not in: %s", field, fields);
}

START_TEST(without_a_journal_an_event_is_one_line_on_stderr) {
        uid_t uid = 1000;

        log_event(&(LogEvent){ .id = LOG_ID_ENDED, .priority = LOG_INFO, .lease = "l-123456", .device = "0000:01:00.0 0000:02:00.0",
                               .error = "E", .reset = "flr", .reason = "released", .uid = &uid }, "Lease %s ends", "l-123456");
        ck_assert_str_eq(stderr_text(), "vfio-brokerd: Lease l-123456 ends [lease=l-123456 device=0000:01:00.0 0000:02:00.0 "
                                        "error=E reset=flr reason=released]\n");
        ck_assert_int_eq(n_sent, 0);
}
END_TEST

START_TEST(a_line_has_no_fields) {
        log_line(LOG_ERR, "Cannot %s: %d", "run", 5);
        ck_assert_str_eq(stderr_text(), "vfio-brokerd: Cannot run: 5\n");
}
END_TEST

START_TEST(an_event_without_fields_is_a_line) {
        log_event(&(LogEvent){ .id = LOG_ID_STARTED, .priority = LOG_INFO }, "Started");
        ck_assert_str_eq(stderr_text(), "vfio-brokerd: Started\n");
}
END_TEST

START_TEST(the_journal_gets_fields_and_stderr_nothing) {
        uid_t uid = 4294967294;

        setenv("JOURNAL_STREAM", "1:2", 1);
        log_event(&(LogEvent){ .id = LOG_ID_ENDED, .priority = LOG_WARNING, .lease = "l-123456", .device = "0000:01:00.0 0000:02:00.0",
                               .driver = "vfio-pci other", .error = "E", .reset = "flr", .reason = "two words", .uid = &uid },
                  "Lease %s ends", "l-123456");
        ck_assert_str_eq(stderr_text(), "");
        ck_assert_int_eq(n_sent, 1);
        ck_assert_int_eq(n_fields, 12);
        check_field("MESSAGE=Lease l-123456 ends");
        check_field("PRIORITY=4");
        check_field("MESSAGE_ID=" LOG_ID_ENDED);
        check_field("VFIO_BROKER_LEASE=l-123456");
        check_field("VFIO_BROKER_DEVICE=0000:01:00.0");
        check_field("VFIO_BROKER_DEVICE=0000:02:00.0");
        check_field("VFIO_BROKER_DRIVER=vfio-pci");
        check_field("VFIO_BROKER_DRIVER=other");
        check_field("VFIO_BROKER_ERROR=E");
        check_field("VFIO_BROKER_RESET=flr");
        check_field("VFIO_BROKER_REASON=two words");
        check_field("VFIO_BROKER_UID=4294967294");
}
END_TEST

START_TEST(fields_that_are_not_there_are_left_out) {
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_event(&(LogEvent){ .id = LOG_ID_STARTED, .priority = LOG_INFO, .device = "" }, "Started");
        ck_assert_int_eq(n_fields, 3);
        log_line(LOG_DEBUG, "line");
        ck_assert_int_eq(n_fields, 2);
        check_field("MESSAGE=line");
        check_field("PRIORITY=7");
}
END_TEST

START_TEST(sixty_four_devices_and_the_uid_fit) {
        char devices[64 * 32] = "";
        uid_t uid = 1000;

        for (int i = 0; i < 64; i++)
                snprintf(devices + strlen(devices), sizeof(devices) - strlen(devices), "%s0000:%02x:00.0", i ? " " : "", i);
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_event(&(LogEvent){ .id = LOG_ID_ACQUIRED, .priority = LOG_INFO, .lease = "l-123456", .device = devices, .uid = &uid },
                  "Lease begins: %s", devices);
        ck_assert_int_eq(n_fields, 4 + 64 + 1);
        check_field("VFIO_BROKER_DEVICE=0000:3f:00.0");
        check_field("VFIO_BROKER_UID=1000");
}
END_TEST

START_TEST(what_is_too_long_is_cut_or_left_out) {
        static char huge[1 << 14];

        memset(huge, 'x', sizeof(huge) - 1);
        for (int i = 0; i < 2; i++) {
                log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR, .lease = huge, .device = huge, .error = huge, .reason = huge },
                          "%s", huge);
                setenv("JOURNAL_STREAM", "1:2", 1);
        }
        ck_assert_uint_lt(strlen(stderr_text()), 5000);
        ck_assert_int_eq(n_fields, 3);
        ck_assert_int_eq(strncmp(fields, "MESSAGE=xxx", 11), 0);
        ck_assert_uint_lt(strlen(fields), 3000);
}
END_TEST

START_TEST(hundreds_of_words_are_bounded) {
        static char words[4000];

        memset(words, ' ', sizeof(words) - 1);
        for (size_t i = 0; i < sizeof(words) - 1; i += 4)
                words[i] = 'a';
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR, .device = words }, "words");
        ck_assert_int_le(n_fields, 160);
        check_field("MESSAGE=words");
}
END_TEST

START_TEST(what_is_hostile_stays_text) {
        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR, .device = "%s%n", .reason = "%n" }, "%s", "%n%s");
        ck_assert_str_eq(stderr_text(), "vfio-brokerd: %n%s [device=%s%n reason=%n]\n");
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR, .device = "%s%n" }, "%s", "%n%s");
        check_field("MESSAGE=%n%s");
        check_field("VFIO_BROKER_DEVICE=%s%n");
}
END_TEST

START_TEST(no_two_events_share_an_id) {
        static const char *const ids[] = {
                LOG_ID_ACQUIRED, LOG_ID_REFUSED, LOG_ID_ENDED, LOG_ID_LINGERING, LOG_ID_RESET, LOG_ID_RELEASED,
                LOG_ID_QUARANTINED, LOG_ID_RETURNED, LOG_ID_DEVICE_GONE, LOG_ID_STARTED, LOG_ID_STOPPED, LOG_ID_CONFIG,
                LOG_ID_RENEWED, LOG_ID_CLAIMED, LOG_ID_REVOKING, LOG_ID_REVOKE_STEP, LOG_ID_STILL_BUSY, LOG_ID_REVOKED,
                LOG_ID_RESTORED, LOG_ID_STATE, LOG_ID_CUT, LOG_ID_NOT_CUT,
        };

        for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
                ck_assert_uint_eq(strspn(ids[i], "0123456789abcdef"), 32);
                ck_assert_uint_eq(strlen(ids[i]), 32);
                for (size_t j = 0; j < i; j++)
                        ck_assert_str_ne(ids[i], ids[j]);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("log");
        TCase *tcase = suite_add_case(suite, "log", make_world, end_world);

        tcase_add_test(tcase, without_a_journal_an_event_is_one_line_on_stderr);
        tcase_add_test(tcase, a_line_has_no_fields);
        tcase_add_test(tcase, an_event_without_fields_is_a_line);
        tcase_add_test(tcase, the_journal_gets_fields_and_stderr_nothing);
        tcase_add_test(tcase, fields_that_are_not_there_are_left_out);
        tcase_add_test(tcase, sixty_four_devices_and_the_uid_fit);
        tcase_add_test(tcase, what_is_too_long_is_cut_or_left_out);
        tcase_add_test(tcase, hundreds_of_words_are_bounded);
        tcase_add_test(tcase, what_is_hostile_stays_text);
        tcase_add_test(tcase, no_two_events_share_an_id);
        return suite_run(suite);
}
