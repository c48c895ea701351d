/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Host use: the display of the firmware */

#include <string.h>

#include "hostuse-internal.h"
#include "sysfs.h"

#define FIRMWARE_NAME_MAX 33

/* Drivers of what the firmware has set up, and the kernel's own name for it. */
static bool is_firmware(const char *name) {
        static const char *const names[] = { "BOOTFB", "efifb", "simplefb", "vesafb",
                                             "efidrm", "vesadrm", "simpledrm", "simple-framebuffer",
                                             "efi-framebuffer", "vesa-framebuffer" };

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (strncmp(name, names[i], strlen(names[i])) == 0)
                        return true;
        return false;
}

/*
 *     fd000000-fdffffff : 0000:00:02.0
 *       fd000000-fd7fffff : BOOTFB
 *
 * What lies in whose memory is told by the indent. The addresses are zero for who is not CAP_SYS_ADMIN.
 */
static bool find_memory(HostView *view, const char *address, char ret[FIRMWARE_NAME_MAX]) {
        _cleanup_(filep) FILE *file = hostview_open(view, "iomem");
        char line[512], *name;
        int indent, inside = -1;

        while (file && fgets(line, sizeof(line), file)) {
                indent = (int) strspn(line, " ");
                name = strstr(line, " : ");
                if (!name)
                        continue;
                name += strlen(" : ");
                name[strcspn(name, "\n")] = '\0';
                if (inside >= 0 && indent > inside && is_firmware(name)) {
                        snprintf(ret, FIRMWARE_NAME_MAX, "%.*s", FIRMWARE_NAME_MAX - 1, name);
                        return true;
                }
                if (indent <= inside)
                        inside = -1;
                if (inside < 0 && strcmp(name, address) == 0)
                        inside = indent;
        }
        if (file && ferror(file))
                hostview_fail(view, -EIO);
        return false;
}

static bool is_display(HostView *view, const char *address) {
        char path[64], class[16];

        snprintf(path, sizeof(path), "bus/pci/devices/%s/class", address);
        return sysfs_read(view->sys, path, class, sizeof(class)) >= 0 && strncmp(class, "0x03", 4) == 0;
}

void display_find_uses(Uses *uses, const char *address) {
        char name[FIRMWARE_NAME_MAX];

        if (scan_pci_boot_vga(uses->view->sys, address))
                uses_add(uses, false, "display", "it is the display that the firmware has chosen");
        if (!is_display(uses->view, address) || !find_memory(uses->view, address, name))
                return;
        uses->shows_firmware = true;
        uses_add(uses, false, "display", "it shows the picture of the firmware (%s)", name);
}
