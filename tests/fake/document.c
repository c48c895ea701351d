/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tree that most tests live in */

#include <stddef.h>

#include "tree.h"

int tree_add_document(Tree *tree) {
        static const TreePci document[] = {
                { "0000:00:02.0", NULL, NULL, NULL, NULL,
                  0x030000, 0x1234, 0x1111, 0x1af4, 0x1100, -1, -1, true },
                { "0000:00:10.0", NULL, "vfio-pci", NULL, NULL,
                  0x00ff00, 0x1234, 0x11e8, 0x1af4, 0x1100, 9, -1, false },
                { "0000:00:1e.0", NULL, NULL, NULL, NULL,
                  0x060401, 0x1b36, 0x000e, 0, 0, -1, -1, false },
                { "0000:06:0d.0", "0000:00:1e.0", "vfio-pci", "pm", NULL,
                  0x00ff00, 0x1234, 0x11e8, 0x1af4, 0x1100, 26, -1, false },
                { "0000:06:0d.1", "0000:00:1e.0", "vfio-pci", NULL, NULL,
                  0x020000, 0x8086, 0x100e, 0x1af4, 0x1100, 26, -1, false },
                { "0000:01:00.0", NULL, "vfio-pci", "bus", NULL,
                  0x00ff00, 0x1234, 0x11e8, 0x1af4, 0x1100, 12, 0, false },
                { "0000:02:00.0", NULL, "e1000e", "flr", NULL,
                  0x020000, 0x8086, 0x10d3, 0x8086, 0x0000, 13, 0, false },
                { "0000:03:00.0", NULL, "vfio-pci", "flr bus", NULL,
                  0x010802, 0x1b36, 0x0010, 0x1af4, 0x1100, 14, 1, false },
                { "0000:04:00.0", NULL, "vfio-pci", "flr", NULL,
                  0x020000, 0x8086, 0x10c9, 0x8086, 0x0000, 15, -1, false },
                { "0000:04:00.1", NULL, "vfio-pci", "flr", NULL,
                  0x020000, 0x8086, 0x10c9, 0x8086, 0x0000, 15, -1, false },
        };
        int r;

        for (size_t i = 0; i < sizeof(document) / sizeof(document[0]); i++) {
                r = tree_add_pci(tree, &document[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int tree_add_document_with_functions(Tree *tree, unsigned total) {
        int r;

        r = tree_add_document(tree);
        if (r >= 0)
                r = tree_set_driver(tree, "0000:03:00.0", "nvme");
        return r < 0 ? r : tree_add_sriov(tree, "0000:03:00.0", total);
}

int tree_add_document_on_the_host(Tree *tree) {
        int r;

        r = tree_add_document(tree);
        if (r >= 0)
                r = tree_set_driver(tree, "0000:06:0d.0", "uio");
        return r < 0 ? r : tree_set_driver(tree, "0000:06:0d.1", "e1000");
}
