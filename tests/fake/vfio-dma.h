/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: dma
 *
 * What is mapped in a container of the type 1 model, version 2: ranges that do not overlap, and are taken back
 * whole. Nothing is done with the memory.
 */

struct vfio_iommu_type1_dma_map;
struct vfio_iommu_type1_dma_unmap;

/* @container: its number. 0 or -errno. What was taken back is none, if nothing was there: that is no error. */
int dma_map(const char *container, const struct vfio_iommu_type1_dma_map *map);
int dma_unmap(const char *container, struct vfio_iommu_type1_dma_unmap *unmap);

/* With the last group all mappings go. */
void dma_forget(const char *container);
