/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Config */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "cleanup.h"
#include "config.h"
#include "core/lease.h"
#include "core/settings.h"
#include "log.h"

/* inih cuts a longer one off and says nothing; so one that may have been cut is refused. */
#define SECTION_MAX 48

static const struct {
        const char *section, *key;
        size_t offset;
        unsigned min, max;
} settings[] = {
        { "Limits", "LeasesMax", offsetof(Config, leases_max), 1, 100000 },
        { "Limits", "LeasesPerUserMax", offsetof(Config, leases_per_user_max), 0, 100000 },
        { "Limits", "DevicesPerLeaseMax", offsetof(Config, devices_per_lease_max), 1, LEASE_DEVICES_MAX },
        { "Limits", "LeaseDurationMaxSec", offsetof(Config, lease_duration_max_sec), 0, 1000000000 },
        { "Limits", "RevokeDelayMaxSec", offsetof(Config, revoke_delay_max_sec), 0, 1000000 },
        { "Limits", "RevokeKillSec", offsetof(Config, revoke_kill_sec), 0, 3600 },
        /* 65535 is what a container takes unless vfio_iommu_type1's dma_entry_limit is raised. */
        { "Limits", "MappingsPerLeaseMax", offsetof(Config, mappings_per_lease_max), 0, 65535 },
        { "Limits", "MappingsPerUserMax", offsetof(Config, mappings_per_user_max), 0, 1000000 },
        { "Binding", "DriverTimeoutSec", offsetof(Config, driver_timeout_sec), 1, 600 },
};

static const struct {
        const char *section, *key;
        size_t offset;
} sizes[] = {
        { "Limits", "MediatedBytesPerLeaseMax", offsetof(Config, mediated_bytes_per_lease_max) },
        { "Limits", "MediatedBytesPerUserMax", offsetof(Config, mediated_bytes_per_user_max) },
};

typedef struct ConfigParse {
        Config config;
        const char *path;
} ConfigParse;

void config_default(Config *ret) {
        *ret = (Config){
                .leases_max = 4096,
                .leases_per_user_max = 64,
                .devices_per_lease_max = LEASE_DEVICES_MAX,
                .revoke_delay_max_sec = 300,
                .revoke_kill_sec = 5,
                .mappings_per_lease_max = 1024,
                .mappings_per_user_max = 4096,
                .mediated_bytes_per_lease_max = UINT64_C(1) << 30,
                .mediated_bytes_per_user_max = UINT64_C(4) << 30,
                .driver_timeout_sec = 20,
        };
}

static int parse_number(const char *text, unsigned min, unsigned max, unsigned *ret) {
        unsigned long value;
        char *end;

        if (*text < '0' || *text > '9')
                return -EINVAL;

        errno = 0;
        value = strtoul(text, &end, 10);
        if (errno != 0 || *end || value < min || value > max)
                return -EINVAL;

        *ret = (unsigned) value;
        return 0;
}

/* "1073741824", "1024M", "1G" */
static int parse_size(const char *text, uint64_t *ret) {
        static const char suffixes[] = "KMGT";
        const char *suffix;
        uint64_t value;
        char *end;

        if (*text < '0' || *text > '9')
                return -EINVAL;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno != 0)
                return -EINVAL;

        suffix = *end ? strchr(suffixes, *end) : NULL;
        if (*end && (!suffix || end[1]))
                return -EINVAL;

        for (; suffix && suffix >= suffixes; suffix--) {
                if (value > UINT64_MAX / 1024)
                        return -EINVAL;
                value *= 1024;
        }

        *ret = value;
        return 0;
}

/* 1: it is none of them. */
static int config_set_size(ConfigParse *parse, const char *section, const char *key, const char *value) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
                if (strcmp(sizes[i].section, section) == 0 && strcmp(sizes[i].key, key) == 0)
                        return parse_size(value, (uint64_t *) ((char *) &parse->config + sizes[i].offset));

        return 1;
}

static int parse_policy(const char *text) {
        ResetPolicy policy = reset_policy_from_name(text);

        return policy == RESET_POLICY_UNSET ? -EINVAL : (int) policy;
}

static int parse_yes_no(const char *text) {
        return strcmp(text, "yes") == 0 ? 1 : strcmp(text, "no") == 0 ? 0 : -EINVAL;
}

static const struct {
        const char *section, *key;
        size_t offset;
        int (*parse)(const char *text);
        const char *wants;
} resets[] = { /* also in sections with a selector behind the name */
        { "Reset", "Policy", offsetof(ResetRule, policy), parse_policy, "required, preferred or none" },
        { "Reset", "OneTime", offsetof(ResetRule, one_time), parse_yes_no, "yes or no" },
};

/* 1: it is none of them. -EINVAL: wrong, and *@ret_wants says what is wanted. */
static int config_set_reset(ConfigParse *parse, const char *section, const char *key, const char *value,
                            const char **ret_wants) {
        size_t n = strcspn(section, " ");
        ResetRule *rule;
        int parsed;

        for (size_t i = 0; i < sizeof(resets) / sizeof(*resets); i++) {
                if (strncmp(resets[i].section, section, n) != 0 || resets[i].section[n] ||
                    strcmp(resets[i].key, key) != 0)
                        continue;

                *ret_wants = "below a selector that is one, of 40 characters at most and without alias, pool, serial "
                             "number and network interface, nor in one of 64 sections";
                if (strlen(section) > SECTION_MAX ||
                    reset_rules_take(&parse->config.reset, section + n + strspn(section + n, " "), &rule) != 0)
                        return -EINVAL;

                *ret_wants = resets[i].wants;
                parsed = resets[i].parse(value);
                if (parsed < 0)
                        return -EINVAL;
                *(int *) ((char *) rule + resets[i].offset) = parsed;
                return 0;
        }

        return 1;
}

static const struct {
        const char *section, *key;
        size_t offset;
} names[] = { /* in sections with the name behind theirs */
        { "Alias", "Device", offsetof(Config, aliases) },
};

/* Likewise. */
static int config_set_alias(ConfigParse *parse, const char *section, const char *key, const char *value,
                            const char **ret_wants) {
        size_t n = strcspn(section, " ");

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                if (strncmp(names[i].section, section, n) != 0 || names[i].section[n] || strcmp(names[i].key, key) != 0)
                        continue;

                *ret_wants = "a selector without alias and pool, below a name of letters, digits and -_. (32 at most), "
                             "nor in one of 64 sections";
                if (strlen(section) > SECTION_MAX ||
                    aliases_set((Aliases *) ((char *) &parse->config + names[i].offset),
                                section + n + strspn(section + n, " "), value) != 0)
                        return -EINVAL;
                return 0;
        }

        return 1;
}

static const struct {
        const char *section, *key;
        size_t offset;
} switches[] = {
        { "Binding", "OnAcquire", offsetof(Config, bind_on_acquire) },
        { "Iommu", "AllowNoIommu", offsetof(Config, allow_noiommu) },
};

/* Likewise. */
static int config_set_switch(ConfigParse *parse, const char *section, const char *key, const char *value,
                             const char **ret_wants) {
        int parsed = parse_yes_no(value);

        for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
                if (strcmp(switches[i].section, section) != 0 || strcmp(switches[i].key, key) != 0)
                        continue;

                *ret_wants = "yes or no";
                if (parsed < 0)
                        return -EINVAL;
                *(bool *) ((char *) &parse->config + switches[i].offset) = parsed;
                return 0;
        }

        return 1;
}

/* inih's convention: 1 is fine, 0 is an error on this line. */
static int config_on_setting(void *userdata, unsigned line, const char *section, const char *key, const char *value) {
        ConfigParse *parse = userdata;
        const char *wants;
        int r;

        for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
                unsigned *field = (unsigned *) ((char *) &parse->config + settings[i].offset);

                if (strcmp(settings[i].section, section) != 0 || strcmp(settings[i].key, key) != 0)
                        continue;

                if (parse_number(value, settings[i].min, settings[i].max, field) == 0)
                        return 1;

                log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR },
                          "%s: %s=%s is not a number from %u to %u", parse->path, key, value,
                          settings[i].min, settings[i].max);
                return 0;
        }

        r = config_set_size(parse, section, key, value);
        if (r == 0)
                return 1;
        if (r < 0) {
                log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR },
                          "%s: %s=%s is not a number of bytes; K, M, G or T may follow it", parse->path, key, value);
                return 0;
        }

        r = config_set_switch(parse, section, key, value, &wants);
        if (r > 0)
                r = config_set_alias(parse, section, key, value, &wants);
        if (r > 0)
                r = config_set_reset(parse, section, key, value, &wants);
        if (r == 0)
                return 1;
        if (r < 0) {
                log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR },
                          "%s: [%s] %s=%s is not %s", parse->path, section, key, value, wants);
                return 0;
        }

        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_WARNING },
                  "%s:%u: unknown key %s in section [%s], passed over", parse->path, line, key, section);
        return 1;
}

static int config_refuse(const ConfigParse *parse, unsigned line, const char *why) {
        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR },
                  "%s:%u: %s; nothing of the configuration is used", parse->path, line, why);
        return -EINVAL;
}

static int config_parse_file(ConfigParse *parse, const char *path) {
        _cleanup_(filep) FILE *file = NULL;
        SettingsFault fault;
        int r;

        file = fopen(path, "re");
        if (!file)
                return errno == ENOENT ? 0 : -errno;

        parse->path = path;
        r = settings_read(file, config_on_setting, parse, &fault);
        return r == -EINVAL ? config_refuse(parse, fault.line, fault.why) : r;
}

static int is_drop_in(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int config_parse_drop_ins(ConfigParse *parse, const char *directory) {
        struct dirent **entries;
        int n, r = 0;

        n = scandir(directory, &entries, is_drop_in, alphasort);
        if (n < 0)
                return errno == ENOENT ? 0 : -errno;

        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *path = NULL;

                if (r == 0)
                        r = asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0
                                    ? -ENOMEM
                                    : config_parse_file(parse, path);
                free(entries[i]);
        }

        free(entries);
        return r;
}

int config_load(Config *ret, const char *path) {
        _cleanup_(freep) char *directory = NULL;
        ConfigParse parse = {};
        int r;

        config_default(&parse.config);

        r = config_parse_file(&parse, path);
        if (r < 0)
                return r;

        if (asprintf(&directory, "%s.d", path) < 0)
                return -ENOMEM;
        r = config_parse_drop_ins(&parse, directory);
        if (r < 0)
                return r;

        *ret = parse.config;
        return 0;
}
