/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: looks
 *
 * How often a program and its children have looked at something below a folder that they have open, as the daemon does
 * with all of /sys: opened, read as a link, or asked whether it is there. Counted in fake/looks, if that file is there when
 * the program first does so.
 */

void look_count(int dirfd);
