/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Replay
 *
 * Feeds a corpus to a fuzz target without libFuzzer. A corpus is one text file: an input a line, with \n, \\ and \xNN
 * for what does not fit into one; lines that begin with # are comments. Each input is also
 * tried with its end cut off at each place.
 *
 * With a folder as second argument the inputs are written there, one file each, as seeds for libFuzzer.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static unsigned digit(char c) {
        return isdigit((unsigned char) c) ? (unsigned) (c - '0') : (unsigned) (tolower((unsigned char) c) - 'a' + 10);
}

/* In place: what comes out is never longer. */
static size_t decode(char *line) {
        char *to = line;

        for (const char *p = line; *p && *p != '\n'; p++) {
                if (*p != '\\') {
                        *to++ = *p;
                } else if (p[1] == 'x' && isxdigit((unsigned char) p[2]) && isxdigit((unsigned char) p[3])) {
                        *to++ = (char) (digit(p[2]) << 4 | digit(p[3]));
                        p += 3;
                } else {
                        p++;
                        *to++ = *p == 'n' ? '\n' : *p;
                }
        }
        return (size_t) (to - line);
}

/* From memory of that very size, so that a sanitizer sees a step too far. */
static void try_input(const char *input, size_t size) {
        uint8_t *copy = malloc(size ? size : 1);

        must(copy);
        memcpy(copy, input, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

static void write_seed(const char *folder, unsigned n, const char *input, size_t size) {
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%03u", folder, n);
        f = fopen(path, "we");
        must(f && fwrite(input, 1, size, f) == size && fclose(f) == 0);
}

int main(int argc, char **argv) {
        char *line = NULL;
        size_t room = 0, size;
        unsigned n = 0;
        FILE *corpus;

        corpus = argc > 1 ? fopen(argv[1], "re") : NULL;
        if (!corpus) {
                fprintf(stderr, "Usage: %s CORPUS [FOLDER]\n", argv[0]);
                return 2;
        }

        while (getline(&line, &room, corpus) >= 0) {
                if (line[0] == '#')
                        continue;
                size = decode(line);
                n++;
                if (argc > 2)
                        write_seed(argv[2], n, line, size);
                for (size_t end = 0; argc == 2 && end <= size; end++)
                        try_input(line, end);
        }

        free(line);
        fclose(corpus);
        printf("%u inputs\n", n);
        return n > 0 ? 0 : 1;
}
