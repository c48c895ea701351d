/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* History, on entries of the test's own: its sd_journal functions take the place of the library's. */

/* Before check.h, which has a macro fail(). */
#include "ctl-history.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

#include "suite.h"

static const char *const *entry;
static size_t next;
static char *output;
static size_t output_size;

int sd_journal_get_realtime_usec(sd_journal *journal, uint64_t *ret) {
        *ret = UINT64_C(1700000000123456);
        return 0;
}

void sd_journal_restart_data(sd_journal *journal) {
        next = 0;
}

int sd_journal_enumerate_data(sd_journal *journal, const void **data, size_t *size) {
        if (!entry[next])
                return 0;
        *data = entry[next];
        *size = strlen(entry[next++]);
        return 1;
}

/* What is printed for the entry. */
static const char *line_of(const char *const *fields, bool json) {
        const Ctl ctl = { .json = json };
        json_object *event = NULL;
        FILE *was = stdout;

        entry = fields;
        ck_assert_int_eq(history_read(NULL, &event), 0);
        free(output);
        output = NULL;
        if (!event)
                return "";

        setenv("TZ", "UTC", 1);
        stdout = open_memstream(&output, &output_size);
        ck_assert_ptr_nonnull(stdout);
        history_print(&ctl, event);
        fclose(stdout);
        stdout = was;
        json_object_put(event);
        return output;
}

static const struct {
        const char *fields[12];
        const char *line;
} entries[] = {
        { { "MESSAGE_ID=" LOG_ID_ACQUIRED, "VFIO_BROKER_LEASE=l-7f3k2m", "VFIO_BROKER_UID=0", "VFIO_BROKER_DEVICE=0000:06:0d.1",
            "VFIO_BROKER_DEVICE=0000:06:0d.0", "VFIO_BROKER_DRIVER=vfio-pci", "MESSAGE=Lease begins", NULL },
          "2023-11-14 22:13:20  l-7f3k2m  root      0000:06:0d.0 0000:06:0d.1  begins, on vfio-pci\n" },
        { { "MESSAGE_ID=" LOG_ID_ENDED, "VFIO_BROKER_LEASE=l-7f3k2m", "VFIO_BROKER_UID=4000000000", "VFIO_BROKER_DEVICE=0000:06:0d.0",
            "VFIO_BROKER_REASON=expired", NULL },
          "2023-11-14 22:13:20  l-7f3k2m  4000000000  0000:06:0d.0  ends: expired\n" },
        { { "VFIO_BROKER_RESET=bus", "VFIO_BROKER_DEVICE=0000:06:0d.0", "MESSAGE_ID=" LOG_ID_RESET, NULL },
          "2023-11-14 22:13:20  -         -         0000:06:0d.0  reset: bus\n" },
        { { "MESSAGE_ID=" LOG_ID_RELEASED, "VFIO_BROKER_REASON=released", NULL },
          "2023-11-14 22:13:20  -         -         -             free again\n" },
        { { "MESSAGE_ID=" LOG_ID_REFUSED, "VFIO_BROKER_ERROR=org.vfiobroker1.Error.Leased", "VFIO_BROKER_UID=0", NULL },
          "2023-11-14 22:13:20  -         root      -             refused: Leased\n" },
        { { "MESSAGE_ID=" LOG_ID_REFUSED, "VFIO_BROKER_ERROR=org.vfiobroker1.Error.Leased",
            "MESSAGE=Refused to uid 0: IOMMU group 26 is leased: l-1\033[31m; wait until it is released; or not", NULL },
          "2023-11-14 22:13:20  -         -         -             refused: Leased (IOMMU group 26 is leased: l-1?[31m)\n" },
        { { "MESSAGE_ID=" LOG_ID_REFUSED, "VFIO_BROKER_ERROR=org.vfiobroker1.Error.Leased", "MESSAGE=Refused to uid 0: so", NULL },
          "2023-11-14 22:13:20  -         -         -             refused: Leased (so)\n" },
        { { "MESSAGE_ID=" LOG_ID_BOUND, "VFIO_BROKER_DEVICE=0000:06:0d.0",
            "MESSAGE=0000:06:0d.0 goes from nvme to vfio-pci", NULL },
          "2023-11-14 22:13:20  -         -         0000:06:0d.0  goes from nvme to vfio-pci\n" },
        { { "MESSAGE_ID=" LOG_ID_QUARANTINED, "VFIO_BROKER_REASON=smells\033[31m", NULL },
          "2023-11-14 22:13:20  -         -         -             quarantined: smells?[31m\n" },
        { { "MESSAGE_ID=" LOG_ID_RENEWED, "MESSAGE=Lease l-7f3k2m is renewed, for 60 s", NULL },
          "2023-11-14 22:13:20  -         -         -             Lease l-7f3k2m is renewed, for 60 s\n" },
        { { "MESSAGE_ID=00000000000000000000000000000000", "MESSAGE=Of a later version", NULL },
          "2023-11-14 22:13:20  -         -         -             Of a later version\n" },
        { { "MESSAGE=Only something to know", NULL }, "" },
        { { "MESSAGE_ID", "=", "MESSAGE=broken", NULL }, "" },
};

START_TEST(an_entry_is_a_line) {
        ck_assert_str_eq(line_of(entries[_i].fields, false), entries[_i].line);
}
END_TEST

START_TEST(an_entry_is_an_object) {
        static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_ENDED, "VFIO_BROKER_LEASE=l-7f3k2m", "VFIO_BROKER_UID=1000",
                                              "VFIO_BROKER_DEVICE=0000:06:0d.0", "VFIO_BROKER_REASON=released",
                                              "MESSAGE=Lease l-7f3k2m ends", "_PID=7", NULL };

        ck_assert_str_eq(line_of(fields, true),
                         "{\"time_usec\":1700000000123456,\"event\":\"ended\",\"message_id\":\"" LOG_ID_ENDED "\","
                         "\"lease\":\"l-7f3k2m\",\"uid\":1000,\"devices\":[\"0000:06:0d.0\"],\"reason\":\"released\","
                         "\"text\":\"Lease l-7f3k2m ends\"}\n");
}
END_TEST

START_TEST(an_entry_of_a_later_version_is_an_event_too) {
        static const char *const fields[] = { "MESSAGE_ID=00000000000000000000000000000000", "MESSAGE=x", NULL };

        ck_assert_ptr_nonnull(strstr(line_of(fields, true), "\"event\":\"other\""));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("history");
        TCase *tcase = suite_add_case(suite, "history", NULL, NULL);
        int r;

        tcase_add_loop_test(tcase, an_entry_is_a_line, 0, sizeof(entries) / sizeof(*entries));
        tcase_add_test(tcase, an_entry_is_an_object);
        tcase_add_test(tcase, an_entry_of_a_later_version_is_an_event_too);
        r = suite_run(suite);
        free(output);
        return r;
}
