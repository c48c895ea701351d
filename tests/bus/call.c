/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Call */

#include <check.h>
#include <stdarg.h>
#include <stdio.h>

#include "ask.h"
#include "call.h"
#include "names.h"

void call_end(Call *call) {
        call->slot = sd_bus_slot_unref(call->slot);
}

static int call_on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *refusal = sd_bus_message_get_error(m);
        Call *call = userdata;

        snprintf(call->answer, sizeof(call->answer), "%s%s", refusal ? "!" : "", refusal ? refusal->name : ask_dump(m));
        snprintf(call->text, sizeof(call->text), "%s", refusal && refusal->message ? refusal->message : "");
        call->answered = true;
        call_end(call);
        return 0;
}

void call_send(Call *ret, sd_bus *bus, sd_bus_message *m) {
        *ret = (Call) {};
        /* who waits for it has a limit; what else is done meanwhile may take longer */
        ck_assert_int_ge(sd_bus_call_async(bus, &ret->slot, m, call_on_answer, ret, UINT64_MAX), 0);
        ck_assert_int_ge(sd_bus_flush(bus), 0);
}

void call_start(Call *ret, sd_bus *bus, const char *path, const char *interface, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list arguments;
        int r;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, interface, method), 0);
        va_start(arguments, types);
        r = sd_bus_message_appendv(m, types, arguments);
        va_end(arguments);
        ck_assert_int_ge(r, 0);
        call_send(ret, bus, m);
}

void call_change_driver(Call *ret, sd_bus *bus, const char *address, bool bind) {
        if (bind)
                call_start(ret, bus, device_path(address), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 0, UINT64_C(0));
        else
                call_start(ret, bus, device_path(address), VFB_INTERFACE_DEVICE, "Restore", "t", UINT64_C(0));
}

void call_set_idle_functions(Call *ret, sd_bus *bus, const char *address, unsigned count) {
        call_start(ret, bus, device_path(address), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", count, 1, "autoprobe", "b",
                   0, UINT64_C(0));
}
