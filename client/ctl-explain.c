/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker explain */

#include <errno.h>
#include <string.h>

#include "ctl.h"
#include "errors.h"

typedef struct Explanation {
        const Ctl *ctl;
        json_object *findings;
        bool many;       /* devices were asked for: say which is meant */
        int exit_status; /* of the first error, 0 before it */
} Explanation;

static const VfbErrorInfo *error_of(const char *code) {
        for (VfbError error = VFB_ERROR_NONE + 1; error < _VFB_ERROR_MAX; error++)
                if (strcmp(vfb_error_code(error), code) == 0)
                        return vfb_error_info(error);

        return NULL;
}

static int exit_status_of(const char *code) {
        const VfbErrorInfo *info = error_of(code);

        return info ? info->exit_code : EXIT_FAILURE;
}

/* What to do about it, in general if nothing is known about the very case. */
static const char *fix_of(const vfb_finding *finding) {
        const VfbErrorInfo *info = strcmp(finding->severity, "error") == 0 ? error_of(finding->code) : NULL;

        return finding->fix || !info ? finding->fix : hint_for_people(info->hint);
}

static json_object *string_or_null(const char *string) {
        return string ? json_object_new_string(string) : NULL;
}

static json_object *finding_json(const vfb_finding *finding) {
        json_object *object = json_object_new_object();

        json_object_object_add(object, "code", json_object_new_string(finding->code));
        json_object_object_add(object, "severity", json_object_new_string(finding->severity));
        json_object_object_add(object, "device", json_object_new_string(finding->device));
        json_object_object_add(object, "text", json_object_new_string(finding->text));
        json_object_object_add(object, "fix", string_or_null(finding->fix));
        json_object_object_add(object, "culprit", string_or_null(finding->culprit));
        json_object_object_add(object, "driver", string_or_null(finding->driver));
        json_object_object_add(object, "lease", string_or_null(finding->lease));
        json_object_object_add(object, "uid", finding->uid >= 0 ? json_object_new_int64(finding->uid) : NULL);
        return object;
}

static void print_finding(const Ctl *ctl, const vfb_finding *finding, bool many) {
        if (strcmp(finding->severity, "error") == 0)
                say_in_color(ctl, "31", "no");
        else if (strcmp(finding->severity, "warning") == 0)
                say_in_color(ctl, "33", "warning");
        else
                say_in_color(ctl, "2", "note");

        if (many && *finding->device)
                say(stdout, ": %s", finding->device);
        say(stdout, ": %s\n", finding->text);
        if (fix_of(finding))
                say(stdout, "    %s\n", fix_of(finding));
}

static void explanation_on_finding(const vfb_finding *finding, void *userdata) {
        Explanation *explanation = userdata;

        if (strcmp(finding->severity, "error") == 0 && explanation->exit_status == 0)
                explanation->exit_status = exit_status_of(finding->code);

        if (explanation->ctl->json)
                json_object_array_add(explanation->findings, finding_json(finding));
        else
                print_finding(explanation->ctl, finding, explanation->many);
}

static int explain(const Ctl *ctl, vfb *connection, const vfb_request *request, bool many) {
        _cleanup_(json_putp) json_object *object = json_object_new_object();
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        Explanation explanation = { .ctl = ctl, .findings = json_object_new_array(), .many = many };
        int r;

        json_object_object_add(object, "findings", explanation.findings);
        r = vfb_explain(connection, request, explanation_on_finding, &explanation, &error);
        if (r < 0)
                return fail(ctl, r, error);

        if (ctl->json) {
                json_object_object_add(object, "ok", json_object_new_boolean(r));
                print_json(ctl, object);
        } else if (r > 0) {
                say_in_color(ctl, "32", "yes");
                say(stdout, ": the lease would be granted\n");
        }

        /* The answer decides, should findings and answer disagree. */
        if (r > 0)
                return EXIT_SUCCESS;
        return explanation.exit_status ?: EXIT_FAILURE;
}

int ctl_explain(Ctl *ctl, char **args) {
        _cleanup_(vfb_request_freep) vfb_request *request = NULL;
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(vfb_freep) vfb *connection = NULL;
        size_t n = ctl->n_devices;
        int r;

        for (char **p = args; *p; p++)
                n++;

        r = request_new_from(&request, ctl, args);
        if (r < 0)
                return fail(ctl, r, NULL);

        r = vfb_open(&connection, NULL, NULL, &error);
        if (r < 0)
                return fail(ctl, r, error);

        return explain(ctl, connection, request, /* many= */ n > 1);
}
