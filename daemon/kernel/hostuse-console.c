/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: consoles
 *
 * Where the kernel's messages go, and where somebody may have to log in when nothing else works: serial ports that the
 * command line names, and the screen of the text console. The lists that the kernel has of them (/proc/consoles,
 * "active", "bind" of vtconsole) are shown under the lock of the consoles only, which a driver that hangs may have.
 */

#include <string.h>

#include "hostuse-internal.h"
#include "sysfs.h"

/* "root=/dev/sda1 console=tty0 console=ttyS4,115200n8" */
static bool is_console(const char *parameters, const char *tty) {
        size_t n = strlen(tty);

        for (const char *at = strstr(parameters, "console="); at; at = strstr(at + 1, "console=")) {
                const char *name = at + strlen("console=");

                if ((at == parameters || at[-1] == ' ') && strncmp(name, tty, n) == 0 &&
                    (name[n] == '\0' || name[n] == ',' || name[n] == ' ' || name[n] == '\n'))
                        return true;
        }
        return false;
}

static void find_ports(Uses *uses) {
        const HostLinks *ttys = &uses->view->ttys;
        _cleanup_(freep) char *parameters = NULL;
        size_t size = 0;

        for (unsigned i = 0; i < ttys->n; i++) {
                if (!uses_are_below(uses, ttys->items[i].target))
                        continue;
                if (!parameters) {
                        _cleanup_(filep) FILE *file = hostview_open(uses->view, "cmdline");

                        if (!file || getline(&parameters, &size, file) < 0)
                                return;
                }
                if (is_console(parameters, ttys->items[i].name))
                        uses_add(uses, false, "console", "%.32s is the kernel's console", ttys->items[i].name);
        }
}

/* The name stays when another console has taken over, so this is true a little too often. */
static bool look_at_vtconsole(HostView *view, const char *name, void *userdata) {
        char path[HOSTUSE_NAME_MAX + 32], text[128];
        bool *found = userdata;

        snprintf(path, sizeof(path), "class/vtconsole/%s/name", name);
        *found = sysfs_read(view->sys, path, text, sizeof(text)) >= 0 && strstr(text, "frame buffer device");
        return !*found;
}

/* "../../devices/platform/efi-framebuffer.0/graphics/fb0": before Linux 6.9 that of the firmware is below no device. */
static bool is_of_firmware(const char *target) {
        return strstr(target, "/platform/") && strstr(target, "-framebuffer.");
}

/* The text console is on the first framebuffer; others show it only if somebody has asked for that. */
static void find_framebuffer(Uses *uses) {
        const HostLinks *links = &uses->view->framebuffers;
        bool has_console = false;

        for (unsigned i = 0; i < links->n; i++) {
                const HostLink *link = &links->items[i];

                if (strcmp(link->name, "fb0") != 0 ||
                    (!uses_are_below(uses, link->target) && !(uses->shows_firmware && is_of_firmware(link->target))))
                        continue;
                hostview_visit(uses->view, "class/vtconsole", look_at_vtconsole, &has_console);
                if (has_console)
                        uses_add(uses, false, "console", "the text console is shown by it (fb0)");
        }
}

void console_find_uses(Uses *uses) {
        find_ports(uses);
        find_framebuffer(uses);
}
