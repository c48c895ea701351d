/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: its no-IOMMU mode */

#include <limits.h>
#include <linux/vfio.h>
#include <string.h>

#include "vfio-model.h"
#include "vfio-state.h"

bool group_is_noiommu(const char *group) {
        char path[PATH_MAX], text[STATE_MAX];

        state_path(path, "sys/kernel/iommu_groups/%s/name", group);
        text_read(path, text);
        return strcmp(text, "vfio-noiommu\n") == 0;
}

/* All groups are of the kind that the model is for. */
bool model_fits(unsigned long model, char *groups) {
        char *rest, *word;

        for (word = strtok_r(groups, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
                if (group_is_noiommu(word) != (model == VFIO_NOIOMMU_IOMMU))
                        return false;
        return true;
}
