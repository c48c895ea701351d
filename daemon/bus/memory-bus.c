/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory on the bus */

#include "broker.h"
#include "bus/lease-access.h"
#include "bus/memory-bus.h"
#include "bus/operation.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "errors.h"

/* @memory NULL: takes the range back. */
static int memory_start(Server *server, sd_bus_message *m, const Lease *lease, const BrokerMemory *memory,
                        uint64_t iova, uint64_t size, sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        Broker *broker = server_broker(server);
        Findings findings = {};
        int r;

        r = operation_new(&operation, server, m, lease->user->uid);
        if (r < 0)
                return r;

        r = memory ? broker_map_memory(broker, lease, memory, &findings, operation_on_done, operation)
                   : broker_unmap_memory(broker, lease, iova, size, &findings, operation_on_done, operation);
        if (r != 0)
                r = bus_refuse_finding(error, r, findings_first_error(&findings));
        findings_done(&findings);
        if (r < 0)
                return r;

        TAKE_PTR(operation);
        return 1;
}

int lease_method_map_memory(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        BrokerMemory memory;
        const Lease *lease;
        int r;

        r = sd_bus_message_read(m, "htttt", &memory.fd, &memory.offset, &memory.size, &memory.iova, &memory.flags);
        if (r < 0)
                return r;

        r = lease_for_holder(server, m, &lease, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1; /* runs again */

        return memory_start(server, m, lease, &memory, memory.iova, memory.size, error);
}

int lease_method_unmap_memory(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        uint64_t iova, size;
        const Lease *lease;
        int r;

        r = sd_bus_message_read(m, "tt", &iova, &size);
        if (r < 0)
                return r;

        r = lease_for_holder(server, m, &lease, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1; /* runs again */

        return memory_start(server, m, lease, NULL, iova, size, error);
}
