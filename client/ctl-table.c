/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tables and trees */

#include <errno.h>
#include <string.h>

#include "ctl.h"

int table_new(struct libscols_table **ret, const Ctl *ctl, bool tree, const char *const *columns) {
        _cleanup_(table_unrefp) struct libscols_table *table = scols_new_table();

        if (!table)
                return -ENOMEM;

        scols_table_enable_colors(table, ctl->color);
        if (ctl->full)
                scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);

        for (size_t i = 0; columns[i]; i++) {
                const char *name = columns[i];
                int flags = 0;

                if (*name == '>') {
                        flags |= SCOLS_FL_RIGHT;
                        name++;
                }
                if (tree && i == 0)
                        flags |= SCOLS_FL_TREE;
                if (!columns[i + 1])
                        flags |= SCOLS_FL_TRUNC;
                if (!scols_table_new_column(table, name, 0, flags))
                        return -ENOMEM;
        }

        *ret = TAKE_PTR(table);
        return 0;
}

int table_add(struct libscols_table *table, struct libscols_line *parent, const char *const *values,
              struct libscols_line **ret) {
        struct libscols_line *line = scols_table_new_line(table, parent);
        int r;

        if (!line)
                return -ENOMEM;

        for (size_t i = 0; i < scols_table_get_ncols(table); i++) {
                r = scols_line_set_data(line, i, values[i]);
                if (r < 0)
                        return r;
        }

        if (ret)
                *ret = line;
        return 0;
}

int table_print(struct libscols_table *table, const char *nothing) {
        if (scols_table_get_nlines(table) > 0)
                return scols_print_table(table);

        say(stderr, "%s\n", nothing);
        return 0;
}

void table_color_state(struct libscols_line *line, size_t column) {
        static const struct {
                const char *state, *color;
        } colors[] = {
                { "available", "green" },
                { "active", "green" },
                { "leased", "yellow" },
                { "preparing", "yellow" },
                { "lingering", "yellow" },
                { "cleaning", "yellow" },
                { "not-viable", "red" },
                { "quarantined", "red" },
                { "failed", "red" },
        };
        struct libscols_cell *cell = scols_line_get_cell(line, column);
        const char *state = scols_cell_get_data(cell);

        for (size_t i = 0; state && i < sizeof(colors) / sizeof(*colors); i++)
                if (strcmp(colors[i].state, state) == 0)
                        scols_cell_set_color(cell, colors[i].color);
}
