/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Namespace
 *
 * For tests of what has its one place on a machine, such as /etc: a machine of their own in that respect, in which they
 * are root.
 */

#include <stdbool.h>

/* @flags: CLONE_NEWNS and whatever else is to be the test's own. False: it is not to be had here. */
bool namespace_enter(int flags);
