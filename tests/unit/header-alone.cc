/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The public header is C++ as well. */
#include "vfio-broker.h"
