/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker: options and the choice of the subcommand */

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>

#include "ctl-command.h"
#include "ctl-time.h"

/* Unless revoke is told otherwise. */
#define GRACE_USEC (30 * UINT64_C(1000000))

static const Command commands[] = {
        { "list", "[SELECTOR...]",
          "what there is, and who has it\n\n"
          "Selectors: 0000:06:0d.0, 06:0d.0, group:26, class=network, vendor=8086, device=10d3,\n"
          "driver=vfio-pci, is-vf=yes, pf=03:00.0, vf=3, numa=0; several must all hold. Names that survive a new\n"
          "card: path:pci-0000:00:03.1/00.0, serial:S3X9NX0M, alias:lab-nic. Those of a pool: pool:lab-vf.\n\n"
          "--json: an array of devices. Members are the properties of org.vfiobroker1(5) in lower case (id, name,\n"
          "driver, group, numa_node, availability, blockers, lease, vendor_id, ...), and why. Groups are numbers,\n"
          "devices and leases ids, absent ones null.",
          0, 0, -1, ctl_list },
        { "tree", "",
          "groups, bridges and devices as they hang together\n\n"
          "--json: groups and devices, as in list, and of each device its parent.",
          0, 0, 0, ctl_tree },
        { "show", "DEVICE",
          "everything about one device\n\n"
          "--json: the device, as in list, and host_uses (kind, text) and reset_scope.",
          0, 1, -1, ctl_show },
        { "pools", "",
          "devices of which one is as good as another\n\n"
          "--json: an array of pools: name, selectors, description, available (how many are free).",
          0, 0, 0, ctl_pools },
        { "explain", "[-d] DEVICE...",
          "would I get it, and if not, why and what to do\n\n"
          "Exits with 0 if so, and otherwise as acquire would.\n\n"
          "--json: ok, and findings with code, severity, device, text, fix, culprit, driver, lease, uid.",
          OPTION_DEVICE | OPTION_REQUEST | OPTION_COMPANIONS, 1, -1, ctl_explain },
        { "acquire", "[-d] DEVICE...",
          "take devices and hold them until interrupted\n\n"
          "Exits with 1 when the lease ends by itself.\n\n"
          "--json: one line, event \"lease\" with lease, mode, model, devices (id, reset, vf_token of a PF), groups;\n"
          "later \"device-gone\" (device, cause), \"expiring\" (expires_usec) and \"lease-ended\" (reason).",
          OPTION_DEVICE | OPTION_REQUEST | OPTION_COMPANIONS | OPTION_ONE_TIME, 1, -1, ctl_acquire },
        { "run", "-d DEVICE... [--] PROGRAM [ARGUMENT...]",
          "run a program that has devices\n\n"
          "The program inherits the descriptors from 3 on, as sd_listen_fds_with_names(3) expects them: container,\n"
          "dev0, dev1, ..., group26, lifeline. In its arguments {container}, {dev:0}, {group:0} and {lifeline} become\n"
          "their numbers, {dev:0:address} and {group:0:number} address and number.\n\n"
          "The lease ends with the program; or, with --keep-lifeline, when nobody has the lifeline any more.\n"
          "Exits as the program does, with 128 + N if signal N ended it, 126 if it cannot be executed, 127 if there\n"
          "is no such program.",
          OPTION_DEVICE | OPTION_REQUEST | OPTION_COMPANIONS | OPTION_ONE_TIME | OPTION_KEEP_LIFELINE |
                  OPTION_ON_REVOKE,
          1, -1, ctl_run },
        { "leases", "[-v]",
          "who has what\n\n"
          "--json: an array of leases: id, state, label, mode, devices, uid, pid, created_usec, expires_usec, ...;\n"
          "with --verbose also holders (pid, name), null where these are not for you to see.",
          OPTION_VERBOSE, 0, 0, ctl_leases },
        { "renew", "LEASE TIME",
          "have a lease of mine for longer\n\n"
          "The time counts from now; 0 is for as long as the configuration allows.\n\n"
          "--json: lease and expires_usec, 0 for never.",
          0, 2, 2, ctl_renew },
        { "offer", "LEASE --uid USER",
          "let somebody else take over a lease of mine\n\n"
          "Prints a token, which is good for one use by that user: vfio-broker claim TOKEN. Keep the lease until\n"
          "then.\n\n"
          "--json: lease and token.",
          OPTION_OFFER, 1, 1, ctl_offer },
        { "claim", "TOKEN",
          "take over a lease, and hold it until interrupted\n\n"
          "Exits with 1 when the lease ends by itself.\n\n"
          "--json: as acquire.",
          0, 1, 1, ctl_claim },
        { "release", "LEASE", "end a lease, mine or as an administrator", 0, 1, 1, ctl_release },
        { "revoke", "LEASE [--grace TIME] [--reason TEXT]",
          "take a lease back, by force where its holder does not let go\n\n"
          "Tells each step as it is taken, until the devices are free. Exits with 5 if somebody still has one\n"
          "whom the service cannot find or end (the lease stays, and the service goes on trying), and with 7 if a\n"
          "device is not clean afterwards.\n\n"
          "--json: a line for each event: \"step\" (lease, step, text), \"lease-ended\" (lease, reason).",
          OPTION_GRACE | OPTION_REASON, 1, 1, ctl_revoke },
        { "quarantine", "DEVICE --reason TEXT", "let nobody have the device", OPTION_REASON, 1, 1,
          ctl_quarantine },
        { "unquarantine", "DEVICE", "let it be had again: it is clean", 0, 1, 1, ctl_unquarantine },
        { "log", "[-d DEVICE] [--lease LEASE]",
          "what has happened: who had what, and how it ended\n\n"
          "From the journal: time, lease, user, devices, what happened. Whoever is in the group systemd-journal\n"
          "may.\n\n"
          "--json: a line for each: time_usec, event (acquired, refused, renewed, ended, lingering, reset, released,\n"
          "quarantined, returned, device-gone, ...), message_id, lease, devices, drivers, uid, reset, reason, error,\n"
          "text.",
          OPTION_DEVICE | OPTION_LOG, 0, -1, ctl_log },
        { "bind", "DEVICE... [--driver NAME] [--companions WHAT] [--on-host-use steal]",
          "take devices from the host's drivers\n\n"
          "Each goes to a VFIO driver with those of its IOMMU group that are on host drivers, all of these or none;\n"
          "what they were is kept for restore. What the host needs itself is refused, but with --on-host-use=steal;\n"
          "the disk that the machine stands on is refused in any case.\n\n"
          "--json: an array of what has changed: device, from and to (drivers, \"\" for none).",
          OPTION_BIND | OPTION_COMPANIONS, 1, -1, ctl_bind },
        { "restore", "DEVICE...",
          "give devices back to the drivers that they had\n\n"
          "What went along with them goes back along with them.\n\n"
          "--json: as bind.",
          0, 1, -1, ctl_restore },
        { "vfs", "DEVICE COUNT [--driver none|host]",
          "make and remove the virtual functions of a card\n\n"
          "--driver=none: the host's drivers do not get them. restore brings back as many as there were.\n\n"
          "--json: device, and functions (ids, in order of their index).",
          OPTION_BIND, 2, 2, ctl_vfs },
        { "monitor", "",
          "what happens, as it happens\n\n"
          "--json: a line for each event: time_usec, event (device-new, device-removed, lease-new, lease-removed,\n"
          "changed, service-started, service-stopped), device or group or lease, reason, and for \"changed\" the\n"
          "properties that did.",
          0, 0, 0, ctl_monitor },
};

#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

enum {
        ARG_COLOR = 0x100,
        ARG_COMPANIONS,
        ARG_DRIVER,
        ARG_FULL,
        ARG_GRACE,
        ARG_JSON,
        ARG_KEEP_LIFELINE,
        ARG_LABEL,
        ARG_LEASE,
        ARG_LIFETIME,
        ARG_MODE,
        ARG_NEAR_CPU,
        ARG_NO_ASK_PASSWORD,
        ARG_ON_REVOKE,
        ARG_ON_HOST_USE,
        ARG_ONE_TIME,
        ARG_PID,
        ARG_REASON,
        ARG_RESET,
        ARG_RESTORE,
        ARG_SINCE,
        ARG_TIME,
        ARG_TIMEOUT,
        ARG_UID,
        ARG_VERSION,
        ARG_VF_TOKEN,
};

static const struct option long_options[] = {
        { "color", required_argument, NULL, ARG_COLOR },
        { "companions", required_argument, NULL, ARG_COMPANIONS },
        { "device", required_argument, NULL, 'd' },
        { "follow", no_argument, NULL, 'f' },
        { "driver", required_argument, NULL, ARG_DRIVER },
        { "full", no_argument, NULL, ARG_FULL },
        { "grace", required_argument, NULL, ARG_GRACE },
        { "help", no_argument, NULL, 'h' },
        { "json", no_argument, NULL, ARG_JSON },
        { "keep-lifeline", no_argument, NULL, ARG_KEEP_LIFELINE },
        { "label", required_argument, NULL, ARG_LABEL },
        { "lease", required_argument, NULL, ARG_LEASE },
        { "lifetime", required_argument, NULL, ARG_LIFETIME },
        { "lines", required_argument, NULL, 'n' },
        { "mode", required_argument, NULL, ARG_MODE },
        { "near-cpu", required_argument, NULL, ARG_NEAR_CPU },
        { "no-ask-password", no_argument, NULL, ARG_NO_ASK_PASSWORD },
        { "on-revoke", required_argument, NULL, ARG_ON_REVOKE },
        { "on-host-use", required_argument, NULL, ARG_ON_HOST_USE },
        { "one-time", no_argument, NULL, ARG_ONE_TIME },
        { "pid", required_argument, NULL, ARG_PID },
        { "reason", required_argument, NULL, ARG_REASON },
        { "reset", required_argument, NULL, ARG_RESET },
        { "restore", required_argument, NULL, ARG_RESTORE },
        { "since", required_argument, NULL, ARG_SINCE },
        { "time", required_argument, NULL, ARG_TIME },
        { "timeout", required_argument, NULL, ARG_TIMEOUT },
        { "uid", required_argument, NULL, ARG_UID },
        { "verbose", no_argument, NULL, 'v' },
        { "version", no_argument, NULL, ARG_VERSION },
        { "vf-token", required_argument, NULL, ARG_VF_TOKEN },
        {},
};

typedef struct PlainOption {
        int c;
        unsigned options; /* OPTION_*, 0: every subcommand takes it */
        size_t offset;    /* in Ctl */
} PlainOption;

/* Any word will do here: the service knows which there are. */
static const PlainOption words[] = {
        { ARG_COMPANIONS, OPTION_COMPANIONS, offsetof(Ctl, companions) },
        { ARG_DRIVER, OPTION_BIND, offsetof(Ctl, driver) },
        { ARG_LABEL, OPTION_REQUEST, offsetof(Ctl, label) },
        { ARG_LEASE, OPTION_LOG, offsetof(Ctl, lease) },
        { ARG_MODE, OPTION_REQUEST, offsetof(Ctl, mode) },
        { ARG_ON_HOST_USE, OPTION_COMPANIONS, offsetof(Ctl, on_host_use) },
        { ARG_ON_REVOKE, OPTION_ON_REVOKE, offsetof(Ctl, on_revoke) },
        { ARG_REASON, OPTION_REASON, offsetof(Ctl, reason) },
        { ARG_RESET, OPTION_REQUEST, offsetof(Ctl, reset) },
        { ARG_RESTORE, OPTION_REQUEST, offsetof(Ctl, restore) },
        { ARG_UID, OPTION_OFFER, offsetof(Ctl, uid) },
};

static const PlainOption switches[] = {
        { 'f', OPTION_LOG, offsetof(Ctl, follow) },
        { 'v', OPTION_VERBOSE, offsetof(Ctl, verbose) },
        { ARG_FULL, 0, offsetof(Ctl, full) },
        { ARG_JSON, 0, offsetof(Ctl, json) },
        { ARG_KEEP_LIFELINE, OPTION_KEEP_LIFELINE, offsetof(Ctl, keep_lifeline) },
        { ARG_ONE_TIME, OPTION_ONE_TIME, offsetof(Ctl, one_time) },
};

static const Command *find_command(const char *name) {
        for (size_t i = 0; i < N_COMMANDS; i++)
                if (strcmp(commands[i].name, name) == 0)
                        return &commands[i];

        return NULL;
}

/* What is understood so far. */
typedef struct Parser {
        Ctl ctl;
        const Command *command; /* NULL before its name */
        unsigned options;       /* OPTION_* that were used */
        char **args;            /* what is left for the command, NULL at the end */
        int n_args;
        bool help;
        bool version;
} Parser;

static void parser_done(Parser *parser) {
        free(parser->ctl.devices);
        free(parser->ctl.vf_token);
}

static int add_device(Ctl *ctl, const char *selector) {
        const char **devices = reallocarray(ctl->devices, ctl->n_devices + 1, sizeof(*devices));

        if (!devices)
                return fail(ctl, -ENOMEM, NULL);

        ctl->devices = devices;
        devices[ctl->n_devices++] = selector;
        return 0;
}

static bool is_number(const char *text) {
        return *text && text[strspn(text, "0123456789")] == '\0';
}

static int parse_lines(Ctl *ctl, const char *text) {
        unsigned long n = strtoul(text, NULL, 10);

        if (!is_number(text) || strlen(text) > 6 || n == 0)
                return fail_usage(ctl, "--lines=%s: a number from 1 to 999999", text);

        ctl->n_lines = n;
        return 0;
}

static int parse_log_option(Parser *parser, int c) {
        Ctl *ctl = &parser->ctl;

        parser->options |= OPTION_LOG;
        if (c == 'n')
                return parse_lines(ctl, optarg);
        if (time_parse_past(optarg, &ctl->since_usec) < 0)
                return fail_usage(ctl, "--since=%s: no time; try 2h, yesterday or '2026-11-26 20:15'", optarg);
        return 0;
}

static int parse_offer_option(Parser *parser, int c) {
        Ctl *ctl = &parser->ctl;

        parser->options |= OPTION_OFFER;
        if (c == ARG_PID) {
                ctl->pid = optarg;
                return is_number(optarg) ? 0 : fail_usage(ctl, "--pid=%s: no number of a process", optarg);
        }
        if (time_parse_span(optarg, &ctl->timeout_usec) < 0 || ctl->timeout_usec == 0)
                return fail_usage(ctl, "--timeout=%s: no time; try 90s, 30min, 2h or 1d", optarg);
        return 0;
}

static int parse_request_option(Parser *parser, int c) {
        Ctl *ctl = &parser->ctl;

        parser->options |= OPTION_REQUEST;
        switch (c) {
        case ARG_NEAR_CPU:
                ctl->near_cpu = (int) strtol(optarg, NULL, 10);
                if (!is_number(optarg) || strlen(optarg) > 6)
                        return fail_usage(ctl, "--near-cpu=%s: no number", optarg);
                return 0;
        case ARG_VF_TOKEN:
                free(ctl->vf_token);
                ctl->vf_token = take_secret(optarg);
                return ctl->vf_token ? 0 : fail(ctl, -ENOMEM, NULL);
        case ARG_LIFETIME:
                ctl->lifetime = optarg;
                if (strncmp(optarg, "pid:", 4) == 0 && !is_number(optarg + 4))
                        return fail_usage(ctl, "--lifetime=%s: no number of a process", optarg);
                return 0;
        case ARG_TIME:
                if (time_parse_span(optarg, &ctl->duration_usec) < 0 || ctl->duration_usec == 0)
                        return fail_usage(ctl, "--time=%s: no time; try 90s, 30min, 2h or 1d", optarg);
                return 0;
        default:
                return EXIT_USAGE;
        }
}

static void *find_plain(Parser *parser, const PlainOption *plain, size_t n, int c) {
        for (size_t i = 0; i < n; i++)
                if (plain[i].c == c) {
                        parser->options |= plain[i].options;
                        return (char *) &parser->ctl + plain[i].offset;
                }

        return NULL;
}

static int parse_option(Parser *parser, int c) {
        const char **word = find_plain(parser, words, sizeof(words) / sizeof(*words), c);
        bool *yes = find_plain(parser, switches, sizeof(switches) / sizeof(*switches), c);
        Ctl *ctl = &parser->ctl;

        if (word)
                *word = optarg;
        if (yes)
                *yes = true;
        if (word || yes)
                return 0;

        switch (c) {
        case 'h':
                parser->help = true;
                return 0;
        case ARG_VERSION:
                parser->version = true;
                return 0;
        case ARG_NO_ASK_PASSWORD:
                ctl->interactive = false;
                return 0;
        case ARG_COLOR:
                return set_color(ctl, optarg) < 0 ? fail_usage(ctl, "--color=%s: auto, always or never", optarg) : 0;
        case 'd':
                parser->options |= OPTION_DEVICE;
                return add_device(ctl, optarg);
        case ARG_GRACE:
                parser->options |= OPTION_GRACE;
                if (time_parse_span(optarg, &ctl->grace_usec) < 0)
                        return fail_usage(ctl, "--grace=%s: no time; try 90s, 30min or 0", optarg);
                return 0;
        case 'n':
        case ARG_SINCE:
                return parse_log_option(parser, c);
        case ARG_PID:
        case ARG_TIMEOUT:
                return parse_offer_option(parser, c);
        default:
                return parse_request_option(parser, c);
        }
}

/* As soon as the command is known it is told which option is not one of its. @index is -1 for -d and the like. */
static int parse_known(Parser *parser, int c, int index) {
        unsigned before = parser->options;
        int r = parse_option(parser, c);

        if (r != 0 || !parser->command || !(parser->options & ~before & ~parser->command->options))
                return r;

        return index < 0 ? fail_usage(&parser->ctl, "%s does not take -%c", parser->command->name, c)
                         : fail_usage(&parser->ctl, "%s does not take --%s", parser->command->name,
                                      long_options[index].name);
}

static int parse_options(Parser *parser, int argc, char **argv, const char *short_options) {
        const Ctl *ctl = &parser->ctl;
        int c, index = -1, r = 0;

        optind = 0; /* glibc: begin anew, with another ordering */
        opterr = 0;
        for (; r == 0 && (c = getopt_long(argc, argv, short_options, long_options, &index)) >= 0; index = -1)
                if (c == ':')
                        r = fail_usage(ctl, "%s needs a value", argv[optind - 1]);
                else if (c == '?')
                        r = fail_usage(ctl, "%s: no such option", argv[optind - 1]);
                else
                        r = parse_known(parser, c, index);

        return r;
}

/* Whoever reads JSON does so also where the options are wrong before that one. */
static bool is_json_wanted(char **argv) {
        for (; *argv && strcmp(*argv, "--") != 0; argv++)
                if (strcmp(*argv, "--json") == 0)
                        return true;
        return false;
}

/* Options before the command's name, then those after it; a program's own options are left to it. */
static int parse(Parser *parser, int argc, char **argv) {
        Ctl *ctl = &parser->ctl;
        int r;

        ctl->json_wanted = is_json_wanted(argv);
        r = parse_options(parser, argc, argv, "+:d:fhn:v");
        if (r != 0 || optind >= argc)
                return r;

        argv += optind;
        argc -= optind;
        parser->command = find_command(argv[0]);
        if (!parser->command)
                return fail_usage(ctl, "%s: no such command", argv[0]);
        ctl->command = parser->command->name;

        r = parse_options(parser, argc, argv, parser->command->run == ctl_run ? "+:d:fhn:v" : ":d:fhn:v");
        parser->args = argv + optind;
        parser->n_args = argc - optind;
        return r;
}

/* An exit status. */
static int check(const Parser *parser) {
        const Command *command = parser->command;
        const Ctl *ctl = &parser->ctl;
        int n_args = parser->n_args;

        if (parser->options & ~command->options)
                return fail_usage(ctl, "%s does not take one of the options before it", command->name);

        if (command->run == ctl_run) {
                if (parser->ctl.n_devices == 0)
                        return fail_usage(ctl, "run needs a device: -d DEVICE");
                return n_args == 0 ? fail_usage(ctl, "run needs a program") : 0;
        }

        if (command->run == ctl_log && n_args > 0)
                return fail_usage(ctl, "log takes no arguments but: %s", command->synopsis);

        n_args += (int) parser->ctl.n_devices;
        if (n_args < command->n_min)
                return fail_usage(ctl, "%s needs: %s", command->name, command->synopsis);
        if (command->n_max >= 0 && n_args > command->n_max)
                return fail_usage(ctl, "%s takes no more than: %s", command->name,
                                  *command->synopsis ? command->synopsis : "nothing");
        if (command->run == ctl_quarantine && !parser->ctl.reason)
                return fail_usage(ctl, "quarantine needs: --reason TEXT");

        return 0;
}

int main(int argc, char **argv) {
        _cleanup_(parser_done) Parser parser = {};
        int r;

        setlocale(LC_ALL, "");
        parser.ctl.color = output_has_colors();
        parser.ctl.interactive = isatty(STDIN_FILENO);
        parser.ctl.grace_usec = GRACE_USEC;
        parser.ctl.near_cpu = -1;

        r = parse(&parser, argc, argv);
        if (r != 0)
                return r;

        if (parser.version) {
                puts("vfio-broker " PROJECT_VERSION);
                return EXIT_SUCCESS;
        }
        if (parser.help)
                return parser.command ? help_command(parser.command) : help_overview(commands, N_COMMANDS);
        if (!parser.command)
                return fail_usage(&parser.ctl, "a command is missing");

        r = check(&parser);
        return r != 0 ? r : parser.command->run(&parser.ctl, parser.args);
}
