/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Suite
 *
 * What the main() of each test program is made of. A test may take five minutes before it counts as hung: the machine may
 * be slow and have much else to do, and whoever waits in vain says so by itself long before.
 */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* @begin and @end run in each test's own process; NULL: there is nothing to do. */
static inline TCase *suite_add_case(Suite *suite, const char *name, void (*begin)(void), void (*end)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_set_timeout(tcase, 300);
        tcase_add_checked_fixture(tcase, begin, end);
        suite_add_tcase(suite, tcase);
        return tcase;
}

/* Which line it was: TAP has the file only, and an assertion may be there twice. */
static inline void suite_say_where(SRunner *runner) {
        TestResult **failures = srunner_failures(runner);

        for (int i = 0; i < srunner_ntests_failed(runner); i++) {
                const char *text = tr_msg(failures[i]);

                printf("# --- failed: %s:%d: %.*s\n", tr_lfile(failures[i]), tr_lno(failures[i]), (int) strcspn(text, "\n"), text);
        }
        free(failures);
}

/* Returns what main() is to return; the suite is gone then. */
static inline int suite_run(Suite *suite) {
        SRunner *runner = srunner_create(suite);
        int n_failed;

        srunner_run_all(runner, CK_ENV);
        suite_say_where(runner);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
