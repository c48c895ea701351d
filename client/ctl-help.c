/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker --help */

#include <string.h>

#include "ctl-command.h"

static const char options_help[] =
        "  -h --help              this, or help on a command\n"
        "     --version           the version\n"
        "     --json              output, and errors, for programs\n"
        "     --color=WHEN        auto (default), always or never\n"
        "     --full              do not shorten what the terminal is too narrow for\n"
        "     --no-ask-password   never let polkit ask the user\n";

static const char request_help[] =
        "  -d --device=SELECTOR   a device; may be repeated\n"
        "     --mode=MODE         auto (default), legacy, legacy-raw or mediated\n"
        "     --label=TEXT        what the lease is for\n"
        "     --lifetime=WHAT     what ends it: lifeline, bus, unit, unit:NAME, pid:NUMBER\n"
        "     --near-cpu=NUMBER   of a pool rather a device near this processor\n"
        "     --reset=POLICY      required, preferred or none; no less than what is configured\n"
        "     --restore=WHAT      afterwards, of drivers that were changed for it: previous (default), keep, none\n"
        "     --time=TIME         for how long: 90s, 30min, 2h, 1d\n"
        "     --vf-token=UUID     the token that guards an SR-IOV family\n";

static const char log_help[] =
        "  -d --device=SELECTOR   of this device\n"
        "     --lease=LEASE       of this lease\n"
        "     --since=TIME        from then on: 2h, yesterday, 2026-11-26, '2026-11-26 20:15', @1700000000\n"
        "  -n --lines=N           the last N lines; with -f 10 unless said otherwise\n"
        "  -f --follow            and what happens from now on\n";

static const char offer_help[] =
        "     --uid=USER          to this user\n"
        "     --pid=NUMBER        to this process\n"
        "     --timeout=TIME      for how long the offer stands (5min)\n";

static const char overview_tail[] =
        "\nExit status: 0 done, 1 failed, 2 the call is wrong, 3 no such thing, 4 not allowed,\n"
        "5 somebody else has it, 6 the device or the machine is not ready for it, 7 not clean, 8 too much,\n"
        "9 the service is not there.\n";

int help_overview(const Command *commands, size_t n) {
        puts("vfio-broker [OPTION...] COMMAND ...\n\nVFIO devices for programs of yours.\n\nCommands:");
        for (size_t i = 0; i < n; i++)
                printf("  %-13s %.*s\n", commands[i].name, (int) strcspn(commands[i].help, "\n"),
                       commands[i].help);
        printf("\nOptions:\n%s%s", options_help, overview_tail);
        return EXIT_SUCCESS;
}

int help_command(const Command *command) {
        printf("vfio-broker %s [OPTION...]%s%s\n\n%s\n\nOptions:\n%s", command->name,
               *command->synopsis ? " " : "", command->synopsis, command->help, options_help);
        if (command->options & OPTION_REQUEST)
                fputs(request_help, stdout);
        if (command->options & OPTION_ONE_TIME)
                puts("     --one-time          afterwards nobody gets the devices before an administrator says so");
        if (command->options & OPTION_KEEP_LIFELINE)
                puts("     --keep-lifeline     the program inherits the lifeline");
        if (command->options & OPTION_ON_REVOKE)
                puts("     --on-revoke=COMMAND runs when the lease is to be given back, instead of SIGTERM to the\n"
                     "                         program");
        if (command->options & OPTION_GRACE)
                puts("     --grace=TIME        that the holder has to let go (default: 30s); 0 is none");
        if (command->options & OPTION_BIND)
                puts("     --driver=NAME       this VFIO driver, and not the one that the kernel's modules name");
        if (command->options & OPTION_COMPANIONS)
                puts("     --companions=WHAT   of its group, on host drivers: auto (default), include, refuse\n"
                     "     --on-host-use=WHAT  what the host needs itself: refuse (default), steal");
        if (command->options & OPTION_REASON)
                puts("     --reason=TEXT       why");
        if (command->options & OPTION_LOG)
                fputs(log_help, stdout);
        if (command->options & OPTION_OFFER)
                fputs(offer_help, stdout);
        if (command->options & OPTION_VERBOSE)
                puts("  -v --verbose           the processes, too, that have something of the lease");
        return EXIT_SUCCESS;
}
