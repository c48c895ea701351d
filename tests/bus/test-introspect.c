/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The running daemon against protocol/org.vfiobroker1.xml, and every method that there is against polkit
 * saying no.
 */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME      "0000:03:00.0"
#define EDU       "0000:01:00.0"
#define LINES_MAX 512
#define LINE_MAX_ 256

/* An interface description as lines, sorted: "org.vfiobroker1.Lease method GetFds 0 in roles as" */
typedef struct Description {
        char lines[LINES_MAX][LINE_MAX_];
        size_t n;
        char interface[96], kind[16], member[64]; /* where the reader is */
        unsigned n_args;
} Description;

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document(tree);
        return r < 0 ? r : tree_add_sriov(tree, NVME, 4);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build });
}

static void end_world(void) {
        world = world_stop(world);
}

/* The value of an attribute in the tag at @tag; "" if it has none. */
static void attribute(const char *tag, const char *name, char ret[LINE_MAX_]) {
        const char *end = strchr(tag, '>'), *at;
        char key[32];

        ret[0] = '\0';
        snprintf(key, sizeof(key), " %s=\"", name);
        at = strstr(tag, key);
        if (at && at < end)
                snprintf(ret, LINE_MAX_, "%.*s", (int) strcspn(at + strlen(key), "\""), at + strlen(key));
}

static bool is_tag(const char *tag, const char *name) {
        size_t n = strlen(name);

        return strncmp(tag + 1, name, n) == 0 && strchr(" />", tag[1 + n]);
}

__attribute__((format(printf, 2, 3)))
static void add_line(Description *description, const char *format, ...) {
        char line[LINE_MAX_];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        ck_assert_uint_lt(description->n, LINES_MAX);
        snprintf(description->lines[description->n++], LINE_MAX_, "%.120s %.120s", description->interface, line);
}

static void read_member(Description *description, const char *tag, const char *kind) {
        char access[LINE_MAX_] = "", type[LINE_MAX_] = "", name[LINE_MAX_];

        attribute(tag, "name", name);
        attribute(tag, "type", type);
        attribute(tag, "access", access);
        snprintf(description->kind, sizeof(description->kind), "%s", kind);
        snprintf(description->member, sizeof(description->member), "%.63s", name);
        description->n_args = 0;
        add_line(description, "%s %.40s %.40s %.10s", kind, name, type, access);
}

static void read_tag(Description *description, const char *tag) {
        char name[LINE_MAX_], value[LINE_MAX_], type[LINE_MAX_];

        if (is_tag(tag, "interface")) {
                attribute(tag, "name", name);
                snprintf(description->interface, sizeof(description->interface), "%.95s", name);
                description->member[0] = '\0';
        } else if (is_tag(tag, "method")) {
                read_member(description, tag, "method");
        } else if (is_tag(tag, "signal")) {
                read_member(description, tag, "signal");
        } else if (is_tag(tag, "property")) {
                read_member(description, tag, "property");
        } else if (is_tag(tag, "arg")) {
                attribute(tag, "name", name);
                attribute(tag, "type", type);
                attribute(tag, "direction", value);
                add_line(description, "%s %s %u %.8s %.40s %.40s", description->kind, description->member, description->n_args++, value, name, type);
        } else if (is_tag(tag, "annotation")) {
                attribute(tag, "name", name);
                attribute(tag, "value", value);
                if (strcmp(name, "org.gtk.GDBus.C.UnixFD") != 0 && strcmp(value, "true") != 0)
                        add_line(description, "%s %s %.60s=%.20s", description->kind, description->member, name, value);
        }
}

static int compare(const void *a, const void *b) {
        return strcmp(a, b);
}

static void read_xml(Description *description, const char *xml) {
        for (const char *p = xml; (p = strchr(p, '<')); p++) {
                if (strncmp(p, "<!--", 4) == 0)
                        p = strstr(p, "-->");
                else
                        read_tag(description, p);
        }
        qsort(description->lines, description->n, LINE_MAX_, compare);
}

static const char *introspect(const char *path) {
        return ask(world->bus, path, "org.freedesktop.DBus.Introspectable", "Introspect", "");
}

/* Keeps the lines of @interface; "org.vfiobroker1." is all of ours. */
static void keep_interface(Description *description, const char *interface) {
        size_t n = 0;

        for (size_t i = 0; i < description->n; i++)
                if (strncmp(description->lines[i], interface, strlen(interface)) == 0)
                        memmove(description->lines[n++], description->lines[i], LINE_MAX_);
        description->n = n;
}

static void contract(Description *ret) {
        FILE *file = fopen(getenv("INTERFACE_XML"), "re");
        static char xml[128 * 1024];
        size_t n;

        ck_assert_ptr_nonnull(file);
        n = fread(xml, 1, sizeof(xml) - 1, file);
        fclose(file);
        xml[n] = '\0';
        *ret = (Description) {};
        read_xml(ret, xml);
}

/* Every line of one side that the other does not have */
static unsigned differences(const Description *have, const Description *want, const char *what) {
        unsigned n = 0;

        for (size_t i = 0; i < have->n; i++) {
                if (bsearch(have->lines[i], want->lines, want->n, LINE_MAX_, compare))
                        continue;
                fprintf(stderr, "%s: %s\n", what, have->lines[i]);
                n++;
        }
        return n;
}

/* @interfaces: with spaces between them. */
static void check_object(const char *path, const char *interfaces) {
        static Description is, shall, all;

        is = (Description) {};
        read_xml(&is, introspect(path));
        keep_interface(&is, "org.vfiobroker1.");
        contract(&all);
        shall = (Description) {};
        for (size_t i = 0; i < all.n; i++) {
                char interface[LINE_MAX_];

                snprintf(interface, sizeof(interface), "%.*s ", (int) strcspn(all.lines[i], " "), all.lines[i]);
                if (strstr(interfaces, interface))
                        memcpy(shall.lines[shall.n++], all.lines[i], LINE_MAX_);
        }
        ck_assert_uint_gt(shall.n, 0);
        ck_assert_uint_eq(differences(&is, &shall, "not in the contract") + differences(&shall, &is, "not in the daemon"), 0);
}

START_TEST(objects_are_what_the_contract_says) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, EDU);

        check_object(VFB_PATH, VFB_INTERFACE_MANAGER " ");
        check_object(device_path(NVME), VFB_INTERFACE_DEVICE " " VFB_INTERFACE_PCI " " VFB_INTERFACE_SRIOV " ");
        check_object(device_path(EDU), VFB_INTERFACE_DEVICE " " VFB_INTERFACE_PCI " ");
        check_object(VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP " ");
        check_object(grant->lease, VFB_INTERFACE_LEASE " ");
}
END_TEST

START_TEST(objects_can_be_walked_to) {
        char node[128];

        ck_assert_ptr_nonnull(strstr(introspect("/org"), "<node name=\"vfiobroker1\"/>"));
        ck_assert_ptr_nonnull(strstr(introspect(VFB_PATH), "org.freedesktop.DBus.ObjectManager"));
        snprintf(node, sizeof(node), "<node name=\"device%s\"/>", device_path(NVME) + strlen(VFB_PATH_DEVICE));
        ck_assert_msg(strstr(introspect(VFB_PATH), node) || strstr(introspect(VFB_PATH), "<node name=\"device\"/>"), "%s", introspect(VFB_PATH));
}
END_TEST

/* What anybody may call: it changes nothing, and tells what the inventory tells. */
static const char *const public[] = {
        "ListDevices", "ListGroups", "ListLeases", "GetDevice", "GetLease", "Explain", NULL,
};

/* What only the holder of the lease may call, whatever polkit says */
static const char *const holders_own[] = {
        "GetFds", "MapMemory", "Offer", "Renew", "RevokeComplete", "UnmapMemory", NULL,
};

static bool is_one_of(const char *member, const char *const *names) {
        for (; *names; names++)
                if (strcmp(*names, member) == 0)
                        return true;
        return false;
}

/* A value of each type that an unsuspicious call would have */
static void append_default(sd_bus_message *m, const char *type) {
        static const Request request = { .wants = NVME };
        int r;

        if (strcmp(type, "s") == 0)
                r = sd_bus_message_append(m, "s", "x");
        else if (strcmp(type, "t") == 0)
                r = sd_bus_message_append(m, "t", UINT64_C(0));
        else if (strcmp(type, "u") == 0)
                r = sd_bus_message_append(m, "u", 0);
        else if (strcmp(type, "h") == 0)
                r = sd_bus_message_append(m, "h", 0);
        else if (strcmp(type, "as") == 0 || strcmp(type, "a{sv}") == 0)
                r = sd_bus_message_append(m, type, 0);
        else if (strcmp(type, "a(sa{sv})") == 0)
                r = request_append_wants(m, &request);
        else
                r = -EINVAL;
        ck_assert_msg(r >= 0, "This test does not know how to make a value of type %s", type);
}

/* "INTERFACE method NAME INDEX in ARG TYPE" of every argument of the method, in order */
static const char *call_with_defaults(sd_bus *bus, const char *path, const Description *description, const char *interface, const char *member) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char prefix[LINE_MAX_];

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, interface, member), 0);
        for (unsigned i = 0; i < 10; i++) {
                snprintf(prefix, sizeof(prefix), "%s method %s %u in ", interface, member, i);
                for (size_t line = 0; line < description->n; line++)
                        if (strncmp(description->lines[line], prefix, strlen(prefix)) == 0)
                                append_default(m, strrchr(description->lines[line], ' ') + 1);
        }
        return ask_message_call(bus, m);
}

/* Calls each method of the object that is not public. Returns how many there are. */
static unsigned call_all(sd_bus *bus, const char *path) {
        static Description description;
        unsigned n = 0;

        description = (Description) {};
        read_xml(&description, introspect(path));
        keep_interface(&description, "org.vfiobroker1.");
        for (size_t i = 0; i < description.n; i++) {
                char interface[96], member[64], more[2] = "";
                const char *expected = DENIED, *is;

                if (sscanf(description.lines[i], "%95s method %63s %1s", interface, member, more) != 2 || is_one_of(member, public))
                        continue;
                if (is_one_of(member, holders_own))
                        expected = REFUSED("NotHolder");
                is = call_with_defaults(bus, path, &description, interface, member);
                ck_assert_msg(strcmp(is, expected) == 0, "%s.%s: %s: %s", interface, member, is, ask_message());
                n++;
        }
        return n;
}

START_TEST(every_method_asks_polkit_or_is_public) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant = must_acquire(other, EDU);

        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_uint_eq(call_all(world->bus, VFB_PATH), 3);
        ck_assert_uint_eq(call_all(world->bus, device_path(NVME)), 5);
        ck_assert_uint_eq(call_all(world->bus, device_path(EDU)), 4);
        ck_assert_uint_eq(call_all(world->bus, VFB_PATH_GROUP "/26"), 0);
        ck_assert_uint_eq(call_all(world->bus, grant->lease), 8);

        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "available");
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(public_methods_are_public) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, EDU);
        static Description description;
        unsigned n = polkit_asked(world);

        polkit_set(world, "SetAnswer", "s", "no");
        read_xml(&description, introspect(VFB_PATH));
        for (size_t i = 0; public[i]; i++) {
                const char *is = call_with_defaults(world->bus, VFB_PATH, &description, VFB_INTERFACE_MANAGER, public[i]);

                ck_assert_msg(strcmp(is, DENIED) != 0, "%s", public[i]);
                ck_assert_msg(!strstr(is, "Unknown"), "%s: %s", public[i], is);
        }
        ck_assert_uint_eq(polkit_asked(world), n + 1); /* by Explain, without asking the user */
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
}
END_TEST

START_TEST(properties_cannot_be_written) {
        static Description description;
        unsigned n = 0;

        read_xml(&description, introspect(device_path(NVME)));
        for (size_t i = 0; i < description.n; i++) {
                char interface[96], name[64], type[32];

                if (sscanf(description.lines[i], "%95s property %63s %31s read", interface, name, type) != 3 || strcmp(type, "s") != 0)
                        continue;
                ck_assert_str_eq(ask(world->bus, device_path(NVME), "org.freedesktop.DBus.Properties", "Set", "ssv", interface, name, "s", "x"),
                                 "!org.freedesktop.DBus.Error.PropertyReadOnly");
                n++;
        }
        ck_assert_uint_gt(n, 5);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("introspect");
        TCase *tcase = suite_add_case(suite, "introspect", make_world, end_world);

        tcase_add_test(tcase, objects_are_what_the_contract_says);
        tcase_add_test(tcase, objects_can_be_walked_to);
        tcase_add_test(tcase, public_methods_are_public);
        tcase_add_test(tcase, properties_cannot_be_written);
        if (world_is_root())
                tcase_add_test(tcase, every_method_asks_polkit_or_is_public);
        return suite_run(suite);
}
