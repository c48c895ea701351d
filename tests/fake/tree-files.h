/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tree: files
 *
 * What is below a tree's root, one after the other. Paths begin there, without a slash.
 */

#include "tree.h"

/* The root's, borrowed. */
int tree_fd(const Tree *tree);

/* The folders that the last part of @path, which may be empty, is in. */
int tree_make_parents(Tree *tree, const char *path);

__attribute__((format(printf, 3, 4)))
int tree_link(Tree *tree, const char *target, const char *format, ...);

/* With all that is below it. What is not there is gone. */
__attribute__((format(printf, 2, 3)))
int tree_remove_all(Tree *tree, const char *format, ...);
