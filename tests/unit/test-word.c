/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/word.h"
#include "suite.h"

START_TEST(text_is_kept_once) {
        char text[16] = "vfio-pci";
        const char *word = word_keep(text);

        ck_assert_ptr_ne(word, text);
        ck_assert_ptr_eq(word_keep("vfio-pci"), word);
        strcpy(text, "nvme");
        ck_assert_str_eq(word, "vfio-pci");
        ck_assert_str_eq(word_keep(text), "nvme");
        ck_assert_ptr_eq(word_keep("vfio-pci"), word);
}
END_TEST

START_TEST(many_are_told_apart) {
        const char *words[1000];
        char text[16];

        for (unsigned i = 0; i < 1000; i++) {
                snprintf(text, sizeof(text), "driver%u", i);
                words[i] = word_keep(text);
        }
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(text, sizeof(text), "driver%u", i);
                ck_assert_str_eq(words[i], text);
                ck_assert_ptr_eq(word_keep(text), words[i]);
        }
}
END_TEST

START_TEST(nothing_is_a_word_too) {
        ck_assert_str_eq(word_keep(""), "");
        ck_assert_ptr_eq(word_keep(""), word_keep(""));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("word");
        TCase *tcase = suite_add_case(suite, "word", NULL, NULL);

        tcase_add_test(tcase, text_is_kept_once);
        tcase_add_test(tcase, many_are_told_apart);
        tcase_add_test(tcase, nothing_is_a_word_too);
        return suite_run(suite);
}
