/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command against a service that says what it is told to (client-stub.c) */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "client-world.h"
#include "suite.h"

/* A program that ends when somebody has made the file. */
#define UNTIL_TOLD "sh -c 'until rm $TOLD 2>/dev/null; do sleep 0.1; done'"

static const struct {
        const char *arguments, *output;
        int status;
} commands[] = {
        { "list", "0000:06:0d.1 e1000        -    0 not-viable group 26 has a bridge", 0 },
        { "list --json | tr -d ' \\n'", "\"id\":\"0000:06:0d.1\",", 0 },
        { "list --json", "\"why\": \"group 26 has a bridge\"", 0 },
        { "list", "0000:00:1e.0 -           26    - host       PCI bridge\n", 0 },
        { "list class=nvme", "No device matches; vfio-broker list shows what there is.\n", 0 },
        { "list class=nvme --json | tr -d '\n'", "[]", 0 },
        { "tree", "0000:06:0d.0    26 yes    vfio-pci available", 0 },
        { "tree --json", "\"parent\": \"0000:00:1e.0\"", 0 },
        { "show 0000:06:0d.0", "Name: Sound ?[31mcard", 0 },
        { "show 0000:06:0d.0 --json", "\"vendor_id\": 32902", 0 },
        { "show 0000:06:0d.7", "hint: vfio-broker list", 3 },
        { "show 0000:06:0d.7 --json", "\"error\":\"org.vfiobroker1.Error.NoSuchDevice\"", 3 },
        { "show 0000:06:0d.0", "Also called: ", 0 },
        { "show 0000:00:1e.0", "Driver: none\n   Restored to: snd_hda_intel\n Host needs it: sda1 is mounted on /mnt\n", 0 },
        { "show 0000:06:0d.0 --json | tr -d ' \n'", "\"host_uses\":[{\"kind\":\"block\",\"text\":\"sda1ismountedon/mnt\"}]", 0 },
        { "pools", "class=nvme; 01:00.0 for ", 0 },
        { "pools --json | tr -d '\n'", "\"available\": 7", 0 },
        { "pools --json | tr -d ' \n'", "[{\"name\":\"lab\",\"selectors\":[\"class=nvme\",\"01:00.0\"],", 0 },
        { "pools lab", "pools takes no more than: nothing", 2 },
        { "explain 0000:06:0d.0 --near-cpu 3", "yes: ", 0 },
        { "acquire pool:lab --near-cpu x", "--near-cpu=x: no number", 2 },
        { "leases", "l-1   root active", 0 },
        { "explain 0000:06:0d.0", "yes: ", 0 },
        { "explain refuse:NotViable", "no: group 26 also holds 0000:06:0d.1\n    unbind it\n", 6 },
        { "explain refuse:Leased --json", "\"code\": \"Leased\"", 5 },
        { "acquire refuse:Quarantined", "It is ?[31mQuarantined\n  hint: An admin", 7 },
        { "acquire refuse:InvalidOption", "It is ?[31mInvalidOption\n  hint: vfio-broker acquire --help\n", 2 },
        { "acquire 0000:06:0d.0 --label events", "lease l-1 has ended: its devices are gone", 1 },
        { "acquire -d 0000:06:0d.0 --label events --json", "{\"event\":\"lease-ended\",\"lease\":\"l-1\",\"reason\":\"removed\"}", 1 },
        { "run -d 0000:06:0d.0 -d 0000:06:0d.1 -- echo {container} {dev:1} {dev:1:address} {x}", "3 5 0000:06:0d.1 {x}\n", 0 },
        { "run -d 0000:06:0d.0 -- sh -c 'test -e /proc/self/fd/4 -a ! -e /proc/self/fd/5 -a $LISTEN_PID = $$ && echo $LISTEN_FDS$LISTEN_FDNAMES'", "2container:dev0\n", 0 },
        { "run -d 0000:06:0d.0 --keep-lifeline --mode legacy-raw -- sh -c 'echo $LISTEN_FDNAMES'", "container:group26:lifeline\n", 0 },
        { "run -d 0000:06:0d.0 --mode mediated -- sh -c 'echo $LISTEN_FDNAMES {dev:0}'", "dev0 3\n", 0 },
        { "run -d 0000:06:0d.0 --mode mediated -- echo {container}", "{container}: the lease has no such", 2 },
        { "acquire 0000:06:0d.0 --mode mediated --label events", "lease l-1, mode mediated\n  device 0000:06:0d.0", 1 },
        { "acquire 0000:06:0d.0 --mode mediated --label events --json", "\"model\":null,", 1 },
        { "run -d 0000:06:0d.0 -- echo {dev:1}", "{dev:1}: the lease has no such", 2 },
        { "run --vf-token=secret -d 0000:06:0d.0 --vf-token 2ab74924 -- sh -c 'tr \"\\\\0\" \" \" </proc/$PPID/cmdline'",
          "run --vf-token=xxxxxx -d 0000:06:0d.0 --vf-token xxxxxxxx -- sh", 0 },
        { "run -d 0000:06:0d.0 -- sh -c 'exit 9'", "", 9 },
        { "run -d 0000:06:0d.0 -- sh -c 'kill -USR1 $$'", "", 138 },
        { "run -d 0000:06:0d.0 -- /", "", 126 },
        { "run -d 0000:06:0d.0 -- /nonexistent", "", 127 },
        { "run -d 0000:06:0d.0 -- sh -c 'kill -TERM $PPID; exec sleep 60'", "", 143 },
        { "acquire 0000:06:0d.0 --time 2h --label events", "; for longer: vfio-broker renew l-1 TIME", 1 },
        { "acquire 0000:06:0d.0 --label events --json", "{\"event\":\"expiring\",\"lease\":\"l-1\",\"expires_usec\":1700000000000000}", 1 },
        { "run -d 0000:06:0d.0 --label events --time 1h -- " UNTIL_TOLD " 2>&1 | while read -r line; do "
          "case $line in *\"for longer: vfio-broker renew l-1\"*) touch $TOLD; echo heard;; esac; done", "heard\n", 0 },
        { "acquire 0000:06:0d.0 --label events --lifetime pid:1", "has ended", 1 },
        { "acquire 0000:06:0d.0 --label events --lifetime pid:nobody", "pid:nobody: no number", 2 },
        { "acquire 0000:06:0d.0 --time soon", "--time=soon: no time; try 90s", 2 },
        { "acquire 0000:06:0d.0 --time 0", "no time", 2 },
        { "acquire 0000:06:0d.0 --label revoke", "lease l-1 is to be given back: main?[31mtenance\nlease l-1 was taken back\n", 1 },
        { "acquire 0000:06:0d.0 --label revoke --json", "{\"event\":\"lease-ended\",\"lease\":\"l-1\",\"reason\":\"revoked\"}", 1 },
        { "run -d 0000:06:0d.0 --label revoke -- sleep 60", "lease l-1 is to be given back: main?[31m", 143 },
        { "run -d 0000:06:0d.0 --label revoke --on-revoke 'echo $VFIO_BROKER_LEASE $VFIO_BROKER_DEADLINE; touch $TOLD' -- " UNTIL_TOLD,
          "l-1 1700000000\n", 0 },
        { "acquire 0000:06:0d.0 --on-revoke true", "acquire does not take", 2 },
        { "revoke l-1 --grace 7", "asked: the holder has 7 s\nsigterm: process 47 (a?b), which has: device\nlease l-1 is over (revoked)\n", 0 },
        { "revoke l-1 --grace 7s --reason x --json", "{\"event\":\"step\",\"lease\":\"l-1\",\"step\":\"asked\",\"text\":\"the holder has 7 s\"}", 0 },
        { "revoke l-busy --grace 7", "busy: in vain\nvfio-broker: lease l-busy stays", 5 },
        { "revoke l-dirty --grace 7", "lease l-dirty is over (failed)\n", 7 },
        { "revoke l-1 --grace 7 --reason refuse", "Not allowed", 4 },
        { "revoke l-1 --grace soon", "--grace=soon: no time", 2 },
        { "revoke", "revoke needs: LEASE", 2 },
        { "renew l-1 2h", "lease l-1 ends at 1970-01-01 0", 0 },
        { "renew l-1 2h --json", "{\"lease\":\"l-1\",\"expires_usec\":7200000000}", 0 },
        { "renew l-1 0", "lease l-1 has no end of time", 0 },
        { "renew l-1 77s", "A lease may last 60 seconds\n  hint: ", 8 },
        { "renew l-1 soon", "soon: no time", 2 },
        { "renew l-1", "renew needs: LEASE TIME", 2 },
        { "leases", "0s   0000:06:0d.0 0000:06:0d.1", 0 },
        { "log --since never", "--since=never: no time", 2 },
        { "log -n 0", "--lines=0: a number", 2 },
        { "log --lease l-never", "The journal has nothing about that.\n", 0 },
        { "log --lease l-never --json | wc -c", "0\n", 0 },
        { "log l-1", "log takes no arguments but: [-d DEVICE]", 2 },
        { "log -d 0000:06:0d.7x", "No device matches", 3 },
        { "log -d a -d b", "log takes one device", 2 },
        { "leases --lease l-1", "does not take", 2 },
        { "offer l-1 --uid 1000", "0123456789abcdef0123456789abcdef\n", 0 },
        { "offer l-1 --uid 1000 --timeout 2h --json", "{\"lease\":\"l-1\",\"token\":\"0123456789abcdef0123456789abcdef\"}", 0 },
        { "offer l-1 --uid root", "other\n", 0 },
        { "offer l-1 --pid 1", "other\n", 0 },
        { "offer l-1 --pid 99999999", "No such process", 1 },
        { "offer l-1", "offer needs: --uid USER", 2 },
        { "offer l-1 --uid 1 --pid 1", "offer needs: --uid USER", 2 },
        { "offer l-1 --uid nobody-here", "no such user", 2 },
        { "offer l-1 --uid 4294967295", "no such user", 2 },
        { "offer l-1 --uid 1 --timeout soon", "no time", 2 },
        { "claim 0123456789abcdef0123456789abcdef", "lease l-1, mode legacy\n", 1 },
        { "claim x", "Not allowed", 4 },
        { "release l-1", "", 0 },
        { "quarantine 0000:06:0d.0 --reason dirty", "", 0 },
        { "quarantine 0000:06:0d.0", "--reason", 2 },
        { "unquarantine 0000:06:0d.0", "", 0 },
        { "bind 0000:06:0d.0 --driver vfio-pci --companions refuse", "0000:00:1e.0: from no driver to vfio-pci\n", 0 },
        { "bind 0000:06:0d.0 --json | tr -d ' \\n'", "[{\"device\":\"0000:00:1e.0\",\"from\":\"\",\"to\":\"vfio-pci\"}]", 0 },
        { "bind 0000:06:0d.0 0000:00:1e.0 | wc -l", "1\n", 0 }, /* which went along */
        { "bind 0000:06:0d.7 --json 2>/dev/null", "", 3 },
        { "bind", "bind needs", 2 },
        { "restore 0000:06:0d.0", "0000:06:0d.0: on vfio-pci, as before\n", 0 },
        { "restore 0000:06:0d.0 --json | tr -d '\\n'", "[]", 0 },
        { "restore 0000:06:0d.0 --driver vfio-pci", "does not take", 2 },
        { "list --reason x", "list does not take --reason\n  hint: vfio-broker list --help\n", 2 },
        { "restore -d 0000:06:0d.0", "restore does not take -d\n", 2 },
        { "--reason x list", "list does not take one of the options before it\n", 2 },
        { "bind 0000:06:0d.0 --companions", "--companions needs a value\n  hint: vfio-broker bind --help\n", 2 },
        { "bind --nonsense --json", "\"hint\":\"vfio-broker bind --help\",\"exit_status\":2}\n", 2 },
        { "--json nonsense", "InvalidArgs\",\"text\":\"nonsense: no such command\",\"hint\":\"vfio-broker --help\"", 2 },
        { "run -- true --json", "vfio-broker: run needs a device", 2 },
        { "list --color=sometimes", "auto, always or never", 2 },
        { "list --color=always", "\033[3", 0 },
        { "nonsense", "nonsense: no such command", 2 },
        { "list --nonsense", "--nonsense", 2 },
        { "", "missing", 2 },
        { "--version", "vfio-broker ", 0 },
        { "run --help", "sd_listen_fds_with_names(3)", 0 },
};

START_TEST(the_command_says_what_it_did) {
        char line[512], output[8192] = "";
        FILE *pipe;
        int status;

        snprintf(line, sizeof(line), "exec 2>&1 </dev/null; LC_ALL=C.UTF-8 TZ=UTC '%s' %s", COMMAND,
                 commands[_i].arguments);
        pipe = popen(line, "re");
        ck_assert_ptr_nonnull(pipe);
        ck_assert_uint_lt(fread(output, 1, sizeof(output) - 1, pipe), sizeof(output) - 1);
        status = pclose(pipe);
        ck_assert_msg(strstr(output, commands[_i].output), "%s says: %s", commands[_i].arguments, output);
        ck_assert_int_eq(WEXITSTATUS(status), commands[_i].status);
}
END_TEST

START_TEST(without_the_service_the_command_says_how_to_start_it) {
        char output[512] = "";
        FILE *pipe;

        client_world_lose_stub();
        pipe = popen("'" COMMAND "' list 2>&1", "re");
        ck_assert_uint_gt(fread(output, 1, sizeof(output) - 1, pipe), 0);
        ck_assert_int_eq(WEXITSTATUS(pclose(pipe)), 9);
        ck_assert_str_eq(
                output,
                "vfio-broker: The service is not running\n  hint: Start it: systemctl start vfio-broker\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("command");
        TCase *tcase = suite_add_case(suite, "command", client_world_begin, client_world_end);

        tcase_add_loop_test(tcase, the_command_says_what_it_did, 0, sizeof(commands) / sizeof(*commands));
        tcase_add_test(tcase, without_the_service_the_command_says_how_to_start_it);
        return suite_run(suite);
}
