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

/* inih cuts a longer name of a section off and says nothing; so one that may have been cut is refused. */
#define SECTION_MAX 48

typedef struct ConfigParse {
        Config config;
        const char *path;
        char range[64]; /* what a number must be */
} ConfigParse;

typedef struct ConfigSetting ConfigSetting;

/* NULL, or what it must be. @name: what is behind that of the section. */
typedef const char *(*ConfigSet)(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value);

struct ConfigSetting {
        const char *section, *key;
        ConfigSet set;
        size_t offset; /* in Config */
        unsigned min, max;
        bool has_name; /* "[Reset class=nvme]" */
};

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

static int parse_yes_no(const char *text) {
        return strcmp(text, "yes") == 0 ? 1 : strcmp(text, "no") == 0 ? 0 : -EINVAL;
}

static void *field_of(ConfigParse *parse, const ConfigSetting *setting) {
        return (char *) &parse->config + setting->offset;
}

static const char *set_number(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value) {
        if (parse_number(value, setting->min, setting->max, field_of(parse, setting)) == 0)
                return NULL;

        snprintf(parse->range, sizeof(parse->range), "a number from %u to %u", setting->min, setting->max);
        return parse->range;
}

static const char *set_size(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value) {
        return parse_size(value, field_of(parse, setting)) == 0
                       ? NULL
                       : "a number of bytes; K, M, G or T may follow it";
}

static const char *set_switch(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value) {
        int yes = parse_yes_no(value);

        if (yes < 0)
                return "yes or no";

        *(bool *) field_of(parse, setting) = yes;
        return NULL;
}

static const char *set_alias(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value) {
        return aliases_set(&parse->config.aliases, name, value) == 0
                       ? NULL
                       : "a selector without alias and pool, below a name of letters, digits and -_. (32 at most), "
                         "nor in one of 64 sections";
}

#define RULE_WANTS \
        "below a selector that is one, of 40 characters at most and without alias, pool, serial number and network " \
        "interface, nor in one of 64 sections"

static const char *set_policy(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value) {
        ResetPolicy policy = reset_policy_from_name(value);
        ResetRule *rule;

        if (reset_rules_take(&parse->config.reset, name, &rule) != 0)
                return RULE_WANTS;
        if (policy == RESET_POLICY_UNSET)
                return "required, preferred or none";

        rule->policy = policy;
        return NULL;
}

static const char *set_one_time(ConfigParse *parse, const ConfigSetting *setting, const char *name, const char *value) {
        int yes = parse_yes_no(value);
        ResetRule *rule;

        if (reset_rules_take(&parse->config.reset, name, &rule) != 0)
                return RULE_WANTS;
        if (yes < 0)
                return "yes or no";

        rule->one_time = yes;
        return NULL;
}

static const ConfigSetting settings[] = {
        { "Limits", "LeasesMax", set_number, offsetof(Config, leases_max), 1, 100000 },
        { "Limits", "LeasesPerUserMax", set_number, offsetof(Config, leases_per_user_max), 0, 100000 },
        { "Limits", "DevicesPerLeaseMax", set_number, offsetof(Config, devices_per_lease_max), 1, LEASE_DEVICES_MAX },
        { "Limits", "LeaseDurationMaxSec", set_number, offsetof(Config, lease_duration_max_sec), 0, 1000000000 },
        { "Limits", "RevokeDelayMaxSec", set_number, offsetof(Config, revoke_delay_max_sec), 0, 1000000 },
        { "Limits", "RevokeKillSec", set_number, offsetof(Config, revoke_kill_sec), 0, 3600 },
        /* 65535 is what a container takes unless vfio_iommu_type1's dma_entry_limit is raised. */
        { "Limits", "MappingsPerLeaseMax", set_number, offsetof(Config, mappings_per_lease_max), 0, 65535 },
        { "Limits", "MappingsPerUserMax", set_number, offsetof(Config, mappings_per_user_max), 0, 1000000 },
        { "Limits", "MediatedBytesPerLeaseMax", set_size, offsetof(Config, mediated_bytes_per_lease_max) },
        { "Limits", "MediatedBytesPerUserMax", set_size, offsetof(Config, mediated_bytes_per_user_max) },
        { "Binding", "DriverTimeoutSec", set_number, offsetof(Config, driver_timeout_sec), 1, 600 },
        { "Binding", "OnAcquire", set_switch, offsetof(Config, bind_on_acquire) },
        { "Iommu", "AllowNoIommu", set_switch, offsetof(Config, allow_noiommu) },
        { "Reset", "Policy", set_policy, .has_name = true },
        { "Reset", "OneTime", set_one_time, .has_name = true },
        { "Alias", "Device", set_alias, .has_name = true },
};

static const ConfigSetting *config_find(const char *section, const char *key) {
        size_t n = strcspn(section, " ");

        for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
                if (strncmp(settings[i].section, section, n) == 0 && !settings[i].section[n] &&
                    strcmp(settings[i].key, key) == 0 && (settings[i].has_name || !section[n]))
                        return &settings[i];

        return NULL;
}

/* inih's convention: 1 is fine, 0 is an error on this line. */
static int config_on_setting(void *userdata, unsigned line, const char *section, const char *key, const char *value) {
        const ConfigSetting *setting = config_find(section, key);
        const char *name, *wants = "below a name or a selector of 40 characters at most";
        ConfigParse *parse = userdata;

        if (!setting) {
                log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_WARNING },
                          "%s:%u: unknown key %s in section [%s], passed over", parse->path, line, key, section);
                return 1;
        }

        name = section + strlen(setting->section);
        name += strspn(name, " ");
        if (strlen(section) <= SECTION_MAX)
                wants = setting->set(parse, setting, name, value);
        if (!wants)
                return 1;

        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR },
                  "%s: [%s] %s=%s is not %s", parse->path, section, key, value, wants);
        return 0;
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

/* All of them, so that whoever mends one need not start anew to learn about the next. */
static int config_parse_drop_ins(ConfigParse *parse, const char *directory) {
        struct dirent **entries;
        int n, q, r = 0;

        n = scandir(directory, &entries, is_drop_in, alphasort);
        if (n < 0)
                return errno == ENOENT ? 0 : -errno;

        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *path = NULL;

                q = asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0 ? -ENOMEM
                                                                                : config_parse_file(parse, path);
                if (r == 0)
                        r = q;
                free(entries[i]);
        }

        free(entries);
        return r;
}

int config_load(Config *ret, const char *path) {
        _cleanup_(freep) char *directory = NULL;
        ConfigParse parse = {};
        int r, q;

        config_default(&parse.config);

        r = config_parse_file(&parse, path);
        if (asprintf(&directory, "%s.d", path) < 0)
                return -ENOMEM;
        q = config_parse_drop_ins(&parse, directory);
        if (r < 0 || q < 0)
                return r < 0 ? r : q;

        *ret = parse.config;
        return 0;
}
