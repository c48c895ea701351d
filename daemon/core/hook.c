/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hook */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "core/hook.h"
#include "core/settings.h"

#define SUFFIX          ".hook"
#define TIMEOUT_SEC     60
#define TIMEOUT_SEC_MAX 86400

/* What programs that clean devices may need beside being root; a hook has none of them unless it says so. */
static const struct {
        const char *name;
        unsigned number;
} capabilities[] = {
        { "CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE },
        { "CAP_SYS_ADMIN", CAP_SYS_ADMIN }, /* commands to an NVMe controller by way of its driver */
        { "CAP_SYS_RAWIO", CAP_SYS_RAWIO }, /* likewise ATA and SCSI */
};

static void __attribute__((format(printf, 2, 3))) hook_set_wrong(Hook *hook, const char *format, ...) {
        va_list ap;

        if (hook->wrong[0])
                return; /* the first is what the others may come from */

        va_start(ap, format);
        vsnprintf(hook->wrong, sizeof(hook->wrong), format, ap);
        va_end(ap);
}

/* Once it was wrong, or there were two, nobody knows what it is meant for. */
static int set_match(void *object, const char *value) {
        Hook *hook = object;
        bool again = hook->says_match;

        hook->says_match = true;
        hook->has_match = !again && selector_parse(&hook->match, value) == 0 && selector_is_lasting(&hook->match);
        return hook->has_match ? 0 : -EINVAL;
}

/* As systemd will want it: absolute, and without detours. */
static int set_exec(void *object, const char *value) {
        size_t n = strlen(value);
        Hook *hook = object;

        if (hook->exec[0] || n >= sizeof(hook->exec) || value[0] != '/' || value[n - 1] == '/' ||
            strstr(value, "//") || strstr(value, "/./") || strstr(value, "/../") ||
            (n >= 2 && strcmp(value + n - 2, "/.") == 0) || (n >= 3 && strcmp(value + n - 3, "/..") == 0))
                return -EINVAL;

        strcpy(hook->exec, value);
        return 0;
}

static int set_timeout(void *object, const char *value) {
        unsigned long seconds;
        Hook *hook = object;
        char *end;

        if (hook->timeout_sec || *value < '0' || *value > '9')
                return -EINVAL;

        errno = 0;
        seconds = strtoul(value, &end, 10);
        if (errno != 0 || *end || seconds < 1 || seconds > TIMEOUT_SEC_MAX)
                return -EINVAL;

        hook->timeout_sec = (unsigned) seconds;
        return 0;
}

static int add_capability(Hook *hook, const char *name, size_t n) {
        for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++)
                if (strlen(capabilities[i].name) == n && memcmp(capabilities[i].name, name, n) == 0) {
                        hook->capabilities |= UINT64_C(1) << capabilities[i].number;
                        return 0;
                }

        return -EINVAL;
}

static int set_capabilities(void *object, const char *value) {
        int r = 0;

        for (size_t n; r == 0 && *(value += strspn(value, " \t")); value += n) {
                n = strcspn(value, " \t");
                r = add_capability(object, value, n);
        }
        return r;
}

static const Setting settings[] = {
        { "Hook", "Match", set_match,
          "one selector of devices, without alias, pool, serial number and network interface" },
        { "Hook", "Exec", set_exec, "one absolute path of a program, without . and .. in it" },
        { "Hook", "TimeoutSec", set_timeout, "one number from 1 to 86400" },
        { "Hook", "Capabilities", set_capabilities, "of CAP_DAC_OVERRIDE, CAP_SYS_ADMIN and CAP_SYS_RAWIO" },
};

static const char *kind_of(mode_t mode) {
        if (S_ISLNK(mode))
                return "a link";
        return S_ISDIR(mode) ? "a folder" : S_ISREG(mode) ? "a file" : "a special file";
}

/* Also against being replaced by another between this look and its use: only root could. */
static int check_owner(const char *path, mode_t kind, char ret_why[HOOK_WRONG_MAX]) {
        struct stat st;

        if (lstat(path, &st) < 0)
                snprintf(ret_why, HOOK_WRONG_MAX, "%.300s: %s", path, strerror(errno));
        else if ((st.st_mode & S_IFMT) != kind)
                snprintf(ret_why, HOOK_WRONG_MAX, "%.300s is %s, not %s", path, kind_of(st.st_mode), kind_of(kind));
        else if (st.st_uid != 0 && st.st_uid != geteuid())
                snprintf(ret_why, HOOK_WRONG_MAX, "%.300s belongs to user %u, not to root", path, (unsigned) st.st_uid);
        else if (st.st_mode & (S_IWGRP | S_IWOTH))
                snprintf(ret_why, HOOK_WRONG_MAX, "%.300s can be written by others than root", path);
        else
                return 0;

        return -EPERM;
}

/* The file or folder, and each folder on the way to it from the root on. */
static int check_path(const char *root, const char *path, mode_t kind, char ret_why[HOOK_WRONG_MAX]) {
        char below[PATH_MAX];
        int r;

        r = check_owner(*root ? root : "/", S_IFDIR, ret_why);
        for (const char *slash = strchr(path + 1, '/'); r == 0 && slash; slash = strchr(slash + 1, '/')) {
                snprintf(below, sizeof(below), "%s%.*s", root, (int) (slash - path), path);
                r = check_owner(below, S_IFDIR, ret_why);
        }
        if (r < 0)
                return r;

        snprintf(below, sizeof(below), "%s%s", root, path);
        return check_owner(below, kind, ret_why);
}

int hook_check(const Hook *hook, const char *root, char ret_why[HOOK_WRONG_MAX]) {
        char path[PATH_MAX];
        struct stat st;
        int r;

        if (hook->wrong[0]) {
                snprintf(ret_why, HOOK_WRONG_MAX, "%s", hook->wrong);
                return -EPERM;
        }

        r = check_path(root, hook->exec, S_IFREG, ret_why);
        if (r < 0)
                return r;

        snprintf(path, sizeof(path), "%s%s", root, hook->exec);
        if (lstat(path, &st) < 0 || (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
                snprintf(ret_why, HOOK_WRONG_MAX, "%.300s is not executable", path);
                return -EPERM;
        }
        return 0;
}

bool hook_matches(const Hook *hook, const Device *device) {
        return !hook->has_match || selector_matches(&hook->match, device);
}

static void hook_parse(Hook *hook, const char *root, const char *path) {
        char why[HOOK_WRONG_MAX], below[PATH_MAX];
        SettingsFault fault;
        int r;

        if (check_path(root, path, S_IFREG, why) < 0) {
                hook_set_wrong(hook, "%s", why);
                return;
        }

        snprintf(below, sizeof(below), "%s%s", root, path);
        r = settings_load(below, settings, sizeof(settings) / sizeof(*settings), hook, &fault);
        if (r < 0 && fault.line > 0)
                hook_set_wrong(hook, "%s:%u: %s", path, fault.line, fault.why);
        else if (r < 0)
                hook_set_wrong(hook, "%s: %s", path, fault.why);
        else if (!hook->has_match || !hook->exec[0])
                hook_set_wrong(hook, "%s: there is no %s=", path, hook->has_match ? "Exec" : "Match");
}

/* A link to /dev/null says that there is none of that name, as with systemd's units. */
static bool is_masked(const char *root, const char *path) {
        char below[PATH_MAX], target[sizeof("/dev/null")];
        ssize_t n;

        snprintf(below, sizeof(below), "%s%s", root, path);
        n = readlink(below, target, sizeof(target));
        return n == (ssize_t) strlen("/dev/null") && memcmp(target, "/dev/null", (size_t) n) == 0;
}

static Hook *hooks_add(HookList *hooks, const char *name) {
        Hook *hook;

        /* There is always room for one that says that there was none. */
        if (hooks->n == HOOKS_MAX) {
                hook = &hooks->items[HOOKS_MAX - 1];
                *hook = (Hook){ .name = "release.d" };
                hook_set_wrong(hook, "there are more than %d release hooks", HOOKS_MAX - 1);
                return NULL;
        }

        hook = &hooks->items[hooks->n++];
        *hook = (Hook){};
        snprintf(hook->name, sizeof(hook->name), "%s", name);
        return hook;
}

static void hooks_add_file(HookList *hooks, const char *root, const char *folder, const char *file) {
        char name[NAME_MAX + 1], path[PATH_MAX];
        Hook *hook;

        snprintf(path, sizeof(path), "%s/%s", folder, file);
        if (is_masked(root, path))
                return;

        snprintf(name, sizeof(name), "%.*s", (int) (strlen(file) - strlen(SUFFIX)), file);
        hook = hooks_add(hooks, name);
        if (!hook)
                return;

        if (strlen(name) >= sizeof(hook->name))
                hook_set_wrong(hook, "%s: the name is too long", path);
        hook_parse(hook, root, path);
        if (hook->timeout_sec == 0)
                hook->timeout_sec = TIMEOUT_SEC;
}

static int is_hook(const struct dirent *entry) {
        size_t n = strlen(entry->d_name), suffix = strlen(SUFFIX);

        return n > suffix && entry->d_name[0] != '.' && strcmp(entry->d_name + n - suffix, SUFFIX) == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

typedef struct Folder {
        const char *path;
        struct dirent **entries;
        int n, next;
} Folder;

static void folder_done(Folder *folder) {
        for (int i = 0; i < folder->n; i++)
                free(folder->entries[i]);
        free(folder->entries);
}

/* What nobody can list, or anybody can take from, may hold a hook for anything. */
static void folder_read(Folder *folder, HookList *hooks, const char *root) {
        char below[PATH_MAX], why[HOOK_WRONG_MAX];
        Hook *hook;

        snprintf(below, sizeof(below), "%s%s", root, folder->path);
        if (access(below, F_OK) < 0 && errno == ENOENT)
                return;

        if (check_path(root, folder->path, S_IFDIR, why) == 0) {
                folder->n = scandir(below, &folder->entries, is_hook, compare_names);
                if (folder->n >= 0)
                        return;
                folder->n = 0;
                snprintf(why, sizeof(why), "%s: %s", folder->path, strerror(errno));
        }

        hook = hooks_add(hooks, "release.d");
        if (hook)
                hook_set_wrong(hook, "%s", why);
}

static const char *folder_name(const Folder *folder) {
        return folder->next < folder->n ? folder->entries[folder->next]->d_name : NULL;
}

void hooks_load(HookList *ret, const char *root) {
        Folder ours = { HOOK_FOLDER }, vendors = { HOOK_FOLDER_VENDOR };

        ret->n = 0;
        folder_read(&ours, ret, root);
        folder_read(&vendors, ret, root);
        while (folder_name(&ours) || folder_name(&vendors)) {
                const char *our = folder_name(&ours), *vendor = folder_name(&vendors);
                int order = !our ? 1 : !vendor ? -1 : strcmp(our, vendor);

                if (order <= 0)
                        hooks_add_file(ret, root, ours.path, our);
                else
                        hooks_add_file(ret, root, vendors.path, vendor);
                ours.next += order <= 0;
                vendors.next += order >= 0;
        }
        folder_done(&ours);
        folder_done(&vendors);
}
