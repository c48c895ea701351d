/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-brokerd: options, and the order in which things start */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "broker.h"
#include "bus/server.h"
#include "cleanup.h"
#include "config.h"
#include "log.h"

typedef struct Options {
        const char *root, *config;
        bool check;
} Options;

static void print_help(void) {
        printf("Usage: vfio-brokerd [OPTION]...\n"
               "Hand VFIO devices to unprivileged programs, over D-Bus and as polkit allows.\n"
               "\n"
               "  --check        only say what is wrong with configuration, pools and release hooks\n"
               "  --config=FILE  configuration (default: /etc/vfio-broker/vfio-broker.conf)\n"
               "  --root=DIR     use DIR/sys, DIR/dev and DIR's release hooks instead of the machine's\n"
               "  --help         show this\n"
               "  --version      show the version\n"
               "\n"
               "The service is started by systemd: systemctl start vfio-broker. See vfio-brokerd(8).\n");
}

/* 1: go on. 0: done. -EINVAL: wrong. */
static int parse_options(int argc, char **argv, Options *ret) {
        static const struct option options[] = {
                { "check", no_argument, NULL, 'k' },
                { "config", required_argument, NULL, 'c' },
                { "root", required_argument, NULL, 'r' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'k':
                        ret->check = true;
                        break;
                case 'c':
                        ret->config = optarg;
                        break;
                case 'r':
                        ret->root = optarg;
                        break;
                case 'h':
                        print_help();
                        return 0;
                case 'v':
                        printf("vfio-brokerd %s\n", PROJECT_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }

        if (optind < argc) {
                fprintf(stderr, "vfio-brokerd: it takes no arguments: %s\n", argv[optind]);
                return -EINVAL;
        }
        return 1;
}

static int event_new(sd_event **ret) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        sigset_t set;
        int r;

        /* Blocked, so that they come as events; the jobs' children give it back. */
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        r = sd_event_default(&event);
        if (r < 0)
                return r;
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r < 0)
                return r;
        r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r < 0)
                return r;
        r = sd_event_set_watchdog(event, 1);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(event);
        return 0;
}

/* The unit's RuntimeDirectory=, of which a drop-in may have made a list: ours is the first. Without it, or if it cannot
 * be used, leases end with us. */
static void keep_state(Broker *broker) {
        const char *directories = getenv("RUNTIME_DIRECTORY");
        _cleanup_(freep) char *directory = NULL;
        int r;

        if (!directories)
                return;

        directory = strndup(directories, strcspn(directories, ":"));
        r = !directory ? -ENOMEM : broker_keep_state(broker, directory);
        if (r < 0)
                log_event(&(LogEvent){ .id = LOG_ID_STATE, .priority = LOG_ERR },
                          "%s cannot be used, so leases will not survive a restart: %s", directories, strerror(-r));
}

/* What is needed first comes first; the name, by which others find us, last. */
static void tell_started(const Broker *broker, bool wrong) {
        unsigned n_devices = broker_devices(broker)->n, n_groups = broker_groups(broker)->n;

        log_event(&(LogEvent){ .id = LOG_ID_STARTED, .priority = LOG_INFO }, "Started, %u devices in %u IOMMU groups",
                  n_devices, n_groups);
        sd_notifyf(0, "READY=1\nSTATUS=%u devices in %u IOMMU groups%s", n_devices, n_groups,
                   wrong ? "; the configuration is wrong, see the journal or vfio-brokerd --check" : "");
}

/* With all that an administrator has written; what is wrong with that is logged. */
static int load(const Options *options, sd_event *event, Broker **ret) {
        Config config;
        int r;

        config_default(&config);
        r = config_load(&config, options->config);
        if (r < 0 && r != -EINVAL) /* which is told where it is */
                log_line(LOG_WARNING, "%s: not used, the defaults are: %s", options->config, strerror(-r));

        r = broker_new(ret, event, &config, options->root);
        if (r < 0)
                return r;
        broker_load_hooks(*ret);
        broker_load_pools(*ret, options->config);
        return 0;
}

/* What would be logged is told to who looks, wherever that is. 1: something is wrong. */
static int check(const Options *options) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(broker_freep) Broker *broker = NULL;
        int r;

        unsetenv("JOURNAL_STREAM");
        r = sd_event_default(&event);
        if (r >= 0)
                r = load(options, event, &broker);
        if (r < 0)
                return r;

        if (log_n_warnings() == 0)
                puts("Nothing is wrong with the configuration, the pools and the release hooks.");
        return log_n_warnings() > 0;
}

static int run(const Options *options) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(broker_freep) Broker *broker = NULL;
        _cleanup_(server_freep) Server *server = NULL;
        bool wrong;
        int r;

        r = event_new(&event);
        if (r < 0)
                return r;
        r = load(options, event, &broker);
        if (r < 0)
                return r;
        wrong = log_n_warnings() > 0;
        keep_state(broker);
        r = broker_start(broker);
        if (r < 0)
                return r;
        r = broker_restore(broker);
        if (r < 0)
                log_line(LOG_ERR, "Cannot read all of what an earlier service has left: %s", strerror(-r));
        r = server_new(&server, event, broker);
        if (r < 0)
                return r;
        r = server_publish(server);
        if (r < 0)
                return r;

        tell_started(broker, wrong);
        r = sd_event_loop(event);

        sd_notify(0, "STOPPING=1");
        log_event(&(LogEvent){ .id = LOG_ID_STOPPED, .priority = LOG_INFO }, "Stopped, with %u leases",
                  broker_leases(broker)->n);
        return r;
}

int main(int argc, char **argv) {
        Options options = { .root = "", .config = "/etc/vfio-broker/vfio-broker.conf" };
        int r;

        r = parse_options(argc, argv, &options);
        if (r <= 0)
                return r < 0 ? 2 : 0;

        r = options.check ? check(&options) : run(&options);
        if (r < 0)
                log_line(LOG_ERR, "Cannot run: %s", strerror(-r));

        return r != 0; /* positive: the loop's own status, when the bus has gone */
}
