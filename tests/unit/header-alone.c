/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The public header needs no other before it. */
#include "vfio-broker.h"
