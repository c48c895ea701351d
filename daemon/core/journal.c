/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Journal */

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "core/journal.h"

#define MAGIC      "vfio-broker-state"
#define VERSION    1
#define SEAL_BYTES 64
#define UNFINISHED ".new"

struct Journal {
        int dir;
};

int journal_new(Journal **ret, const char *path) {
        _cleanup_(closep) int dir = -EBADF;
        Journal *journal;

        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;

        journal = calloc(1, sizeof(*journal));
        if (!journal)
                return -ENOMEM;

        journal->dir = TAKE_FD(dir);
        *ret = journal;
        return 0;
}

Journal *journal_free(Journal *journal) {
        if (!journal)
                return NULL;

        close(journal->dir);
        free(journal);
        return NULL;
}

int journal_dir(const Journal *journal) {
        return journal ? journal->dir : -EBADF;
}

static uint32_t checksum(const char *text, size_t size) {
        return (uint32_t) crc32(crc32(0, NULL, 0), (const unsigned char *) text, (uInt) size);
}

static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

static int write_sealed(int fd, const char *text) {
        size_t size = strlen(text);
        char seal[SEAL_BYTES];
        int r;

        snprintf(seal, sizeof(seal), MAGIC " %d %08" PRIx32 " %zu\n", VERSION, checksum(text, size), size);
        r = write_all(fd, seal, strlen(seal));
        return r < 0 ? r : write_all(fd, text, size);
}

int journal_write(Journal *journal, const char *name, const char *text) {
        _cleanup_(closep) int fd = -EBADF;
        char unfinished[JOURNAL_NAME_MAX + sizeof(UNFINISHED)];
        int r;

        if (!journal)
                return 0;
        if (strlen(name) >= JOURNAL_NAME_MAX || strlen(text) > JOURNAL_TEXT_MAX)
                return -E2BIG;

        snprintf(unfinished, sizeof(unfinished), "%s" UNFINISHED, name);
        fd = openat(journal->dir, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;

        r = write_sealed(fd, text);
        if (r >= 0 && renameat(journal->dir, unfinished, journal->dir, name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(journal->dir, unfinished, 0);
        return r;
}

int journal_unseal(char *data, size_t size, char **ret) {
        unsigned version;
        uint32_t sum;
        size_t length;
        char *text;

        text = memchr(data, '\n', size < SEAL_BYTES ? size : SEAL_BYTES);
        if (!text || memchr(data, '\0', size))
                return -EBADMSG;

        *text++ = '\0';
        if (sscanf(data, MAGIC " %u %" SCNx32 " %zu", &version, &sum, &length) != 3)
                return -EBADMSG;
        if (version > VERSION)
                return -EPROTONOSUPPORT;
        if (version < VERSION || length != size - (size_t) (text - data) || sum != checksum(text, length))
                return -EBADMSG;

        *ret = text;
        return 0;
}

static int read_all(int fd, char *data, size_t max, size_t *ret_size) {
        size_t size = 0;
        ssize_t n;

        while ((n = read(fd, data + size, max - size)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                size += (size_t) n;
                if (size == max)
                        return -EBADMSG; /* it grows while we read: not ours */
        }

        *ret_size = size;
        return 0;
}

int journal_read(Journal *journal, const char *name, char **ret) {
        _cleanup_(closep) int fd = -EBADF;
        _cleanup_(freep) char *data = NULL;
        char *text;
        struct stat st;
        size_t size = 0;
        int r;

        if (!journal)
                return -ENOENT;

        fd = openat(journal->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return errno == ELOOP ? -EBADMSG : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size > SEAL_BYTES + JOURNAL_TEXT_MAX)
                return -EBADMSG; /* we never write so much */

        data = malloc((size_t) st.st_size + 2);
        if (!data)
                return -ENOMEM;
        r = read_all(fd, data, (size_t) st.st_size + 1, &size);
        if (r < 0)
                return r;
        data[size] = '\0';

        r = journal_unseal(data, size, &text);
        if (r < 0)
                return r;

        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

void journal_remove(Journal *journal, const char *name) {
        if (journal)
                (void) unlinkat(journal->dir, name, 0);
}

static bool is_unfinished(const char *name) {
        size_t n = strlen(name), suffix = strlen(UNFINISHED);

        return n > suffix && strcmp(name + n - suffix, UNFINISHED) == 0;
}

int journal_list(Journal *journal, const char *prefix, JournalEntry entry, void *userdata) {
        struct dirent **entries;
        int n;

        if (!journal)
                return 0;

        n = scandirat(journal->dir, ".", &entries, NULL, alphasort);
        if (n < 0)
                return -errno;

        for (int i = 0; i < n; i++) {
                const char *name = entries[i]->d_name;

                if (strncmp(name, prefix, strlen(prefix)) == 0) {
                        if (is_unfinished(name))
                                journal_remove(journal, name);
                        else if (strlen(name) < JOURNAL_NAME_MAX)
                                entry(name, userdata);
                }
                free(entries[i]);
        }

        free(entries);
        return 0;
}
