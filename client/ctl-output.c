/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What people and programs get to read */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "errors.h"

#define USAGE_HINT_MAX 64

/* C0 but for newline and tabulator, DEL, and C1, which UTF-8 spells 0xc2 0x80 to 0xc2 0x9f. */
static void defuse(char *text) {
        for (unsigned char *p = (unsigned char *) text; *p; p++) {
                if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f)
                        *p = '?';
                else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
                        p[0] = p[1] = '?';
        }
}

static void say_va(FILE *file, const char *format, va_list ap) {
        _cleanup_(freep) char *text = NULL;

        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                return;
        }

        defuse(text);
        fputs(text, file);
}

void say(FILE *file, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        say_va(file, format, ap);
        va_end(ap);
}

void say_in_color(const Ctl *ctl, const char *sequence, const char *word) {
        if (ctl->color)
                printf("\033[%sm%s\033[0m", sequence, word);
        else
                fputs(word, stdout);
}

void print_json(const Ctl *ctl, json_object *object) {
        int flags = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;

        puts(json_object_to_json_string_ext(object, flags));
}

void print_json_line(json_object *object) {
        puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        fflush(stdout);
}

static void tell_json(const char *name, const char *text, const char *hint, int status) {
        _cleanup_(json_putp) json_object *object = json_object_new_object();

        json_object_object_add(object, "error", json_object_new_string(name));
        json_object_object_add(object, "text", json_object_new_string(text));
        json_object_object_add(object, "hint", hint ? json_object_new_string(hint) : NULL);
        json_object_object_add(object, "exit_status", json_object_new_int(status));
        fprintf(stderr, "%s\n",
                json_object_to_json_string_ext(object,
                                               JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int tell_failure(bool json, const char *name, const char *text, const char *hint, int status) {
        if (json) {
                tell_json(name, text, hint, status);
        } else {
                say(stderr, "vfio-broker: %s\n", text);
                if (hint)
                        say(stderr, "  hint: %s\n", hint);
        }

        return status;
}

static void usage_hint(const Ctl *ctl, char *ret, size_t size) {
        snprintf(ret, size, "vfio-broker%s%s --help", ctl->command ? " " : "", ctl->command ?: "");
}

const char *hint_for_people(const char *hint) {
        bool for_programs = hint && (strcmp(hint, vfb_error_info(VFB_ERROR_INVALID_ARGS)->hint) == 0 ||
                                     strcmp(hint, vfb_error_info(VFB_ERROR_INVALID_OPTION)->hint) == 0);

        return for_programs ? NULL : hint;
}

static int fail_with(const Ctl *ctl, const vfb_error *error) {
        const char *hint = vfb_error_hint(error);
        char own[USAGE_HINT_MAX];

        if (hint && !hint_for_people(hint)) {
                usage_hint(ctl, own, sizeof(own));
                hint = own;
        }
        return tell_failure(ctl->json, vfb_error_name(error), vfb_error_text(error), hint, vfb_error_exit_code(error));
}

int fail(const Ctl *ctl, int r, const vfb_error *error) {
        _cleanup_(vfb_error_freep) vfb_error *local = NULL;
        char name[64];

        if (error)
                return fail_with(ctl, error);

        snprintf(name, sizeof(name), "System.Error.%s", strerrorname_np(-r) ?: "EIO");
        if (vfb_error_new(&local, name, strerror(-r)) < 0)
                return EXIT_FAILURE;

        return fail_with(ctl, local);
}

int fail_usage(const Ctl *ctl, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        char hint[USAGE_HINT_MAX];
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);

        usage_hint(ctl, hint, sizeof(hint));
        return tell_failure(ctl->json || ctl->json_wanted, SD_BUS_ERROR_INVALID_ARGS, text ?: "the call is wrong", hint,
                            EXIT_USAGE);
}

char *join_words(char **words) {
        _cleanup_(freep) char *text = NULL;
        size_t size = 1;

        for (size_t i = 0; words[i]; i++)
                size += strlen(words[i]) + 1;

        text = calloc(1, size);
        for (size_t i = 0; text && words[i]; i++) {
                if (i > 0)
                        strcat(text, " ");
                strcat(text, words[i]);
        }

        return TAKE_PTR(text);
}

bool output_has_colors(void) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

        return isatty(STDOUT_FILENO) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

int set_color(Ctl *ctl, const char *when) {
        if (strcmp(when, "always") == 0)
                ctl->color = true;
        else if (strcmp(when, "never") == 0)
                ctl->color = false;
        else if (strcmp(when, "auto") == 0)
                ctl->color = output_has_colors();
        else
                return -EINVAL;

        return 0;
}
