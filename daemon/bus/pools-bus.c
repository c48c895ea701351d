/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pools on the bus */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "broker.h"
#include "bus/pools-bus.h"
#include "bus/server.h"
#include "names.h"

struct PoolWatch {
        Server *server;
        sd_event_source *source; /* NULL: nothing has happened since the last count */
        unsigned available[POOLS_MAX];
};

/* Whether it is not as it was. */
static bool pool_watch_count(PoolWatch *watch) {
        Broker *broker = server_broker(watch->server);
        const PoolList *pools = broker_pools(broker);
        bool changed = false;

        for (unsigned i = 0; i < pools->n; i++) {
                unsigned n = broker_pool_available(broker, pools->items[i]);

                changed |= n != watch->available[i];
                watch->available[i] = n;
        }
        return changed;
}

static int pool_watch_on_idle(sd_event_source *source, void *userdata) {
        PoolWatch *watch = userdata;

        watch->source = sd_event_source_disable_unref(watch->source);
        if (pool_watch_count(watch))
                sd_bus_emit_properties_changed(server_bus(watch->server), VFB_PATH, VFB_INTERFACE_MANAGER, "Pools",
                                               NULL);
        return 0;
}

int pool_watch_new(PoolWatch **ret, Server *server) {
        PoolWatch *watch;

        watch = calloc(1, sizeof(*watch));
        if (!watch)
                return -ENOMEM;

        watch->server = server;
        (void) pool_watch_count(watch);
        *ret = watch;
        return 0;
}

PoolWatch *pool_watch_free(PoolWatch *watch) {
        if (!watch)
                return NULL;

        sd_event_source_disable_unref(watch->source);
        free(watch);
        return NULL;
}

void pool_watch_touch(PoolWatch *watch) {
        sd_event *event = sd_bus_get_event(server_bus(watch->server));

        if (watch->source || broker_pools(server_broker(watch->server))->n == 0)
                return;
        if (sd_event_add_defer(event, &watch->source, pool_watch_on_idle, watch) >= 0)
                (void) sd_event_source_set_priority(watch->source, SD_EVENT_PRIORITY_IDLE);
}

static int append_pool(sd_bus_message *m, Broker *broker, const Pool *pool) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sassu");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", pool->name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (unsigned i = 0; r >= 0 && i < pool->n_devices; i++)
                r = sd_bus_message_append(m, "s", pool->devices[i].text);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "su", pool->description, broker_pool_available(broker, pool));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int manager_property_pools(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Broker *broker = server_broker(userdata);
        const PoolList *pools = broker_pools(broker);
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sassu)");
        for (unsigned i = 0; r >= 0 && i < pools->n; i++)
                r = append_pool(m, broker, pools->items[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
