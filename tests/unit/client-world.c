/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Client world */

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "client-world.h"
#include "names.h"

static char folder[] = "/tmp/vfio-broker-client-XXXXXX";
static pid_t bus_pid, stub_pid;

static pid_t spawn(const char *program, const char *argument) {
        pid_t pid = fork();

        if (pid == 0) {
                close_range(3, ~0U, 0);
                execlp(program, program, argument, argument ? "--nofork" : NULL, (char *) NULL);
                _exit(127);
        }
        ck_assert_int_gt(pid, 0);
        return pid;
}

static bool is_there(const char *name) {
        sd_bus_message *reply = NULL;
        sd_bus *bus = NULL;
        int there = 0;

        if (sd_bus_open_system(&bus) >= 0 &&
            sd_bus_call_method(bus, "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", NULL,
                               &reply, "s", name) >= 0)
                sd_bus_message_read(reply, "b", &there);
        sd_bus_message_unref(reply);
        sd_bus_flush_close_unref(bus);
        return there;
}

static void wait_for_name(const char *name) {
        for (int i = 0; i < CLIENT_DEADLINE_MSEC && !is_there(name); i++)
                usleep(1000);
}

void client_world_begin(void) {
        char path[128], argument[160], address[128], told[128];
        FILE *file;

        ck_assert_ptr_nonnull(mkdtemp(strcpy(folder, "/tmp/vfio-broker-client-XXXXXX")));
        snprintf(path, sizeof(path), "%s/bus.conf", folder);
        snprintf(argument, sizeof(argument), "--config-file=%s", path);
        snprintf(address, sizeof(address), "unix:path=%s/bus", folder);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        fprintf(file,
                "<busconfig><listen>%s</listen><auth>EXTERNAL</auth><policy context='default'>"
                "<allow send_destination='*' eavesdrop='true'/><allow own='*'/><allow receive_sender='*'/></policy></busconfig>",
                address);
        fclose(file);
        setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
        snprintf(told, sizeof(told), "%s/told", folder);
        setenv("TOLD", told, 1);

        bus_pid = spawn("dbus-daemon", argument);
        wait_for_name("org.freedesktop.DBus");
        stub_pid = spawn(STUB, NULL);
        wait_for_name(VFB_BUS_NAME);
}

static void end(pid_t *pid) {
        if (*pid > 0) {
                kill(*pid, SIGTERM);
                waitpid(*pid, NULL, 0);
        }
        *pid = 0;
}

void client_world_lose_stub(void) {
        end(&stub_pid);
}

void client_world_lose_bus(void) {
        end(&bus_pid);
}

void client_world_end(void) {
        char path[128];

        end(&stub_pid);
        end(&bus_pid);
        snprintf(path, sizeof(path), "%s/bus.conf", folder);
        unlink(path);
        snprintf(path, sizeof(path), "%s/bus", folder);
        unlink(path);
        rmdir(folder);
}
