/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * client: a program that uses libvfio-broker and does what it is told, line by line, on its standard input.
 * It answers each line with "word: value" lines, the last one "COMMAND: ok" or "COMMAND: why not".
 *
 * For tests: it takes devices, drives them, loses or hides descriptors, and can be killed at any point.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vfio-broker.h>

#include "drive.h"
#include "edu.h"
#include "hide.h"
#include "nvme.h"

#define WORDS_MAX   16
#define PATIENCE_MS 300000
/* Ten a second */
#define CUT_TRIES_MAX 3000

typedef struct Client {
        vfb *connection;
        vfb_lease *lease;
        Edu *edu;
        bool ended;
        bool asked; /* for the lease, back */
        int request; /* an eventfd, by which the kernel asks for the device */
} Client;

static void say(const char *word, const char *value) {
        printf("%s: %s\n", word, value);
        (void) fflush(stdout);
}

static void on_state(vfb_lease *lease, const char *state, void *userdata) {
        say("state", state);
}

static void on_ended(vfb_lease *lease, const char *reason, void *userdata) {
        Client *client = userdata;

        client->ended = true;
        say("ended", reason);
}

static void on_gone(vfb_lease *lease, const char *device_id, const char *cause, void *userdata) {
        printf("gone: %s %s\n", device_id, cause);
        (void) fflush(stdout);
}

static void on_expiring(vfb_lease *lease, uint64_t expires_usec, void *userdata) {
        printf("expiring: %" PRIu64 "\n", expires_usec);
        (void) fflush(stdout);
}

static void on_revoke_requested(vfb_lease *lease, const char *reason, uint64_t deadline_usec, void *userdata) {
        ((Client *) userdata)->asked = true;
        say("revoke", reason);
}

static void on_disconnected(vfb *connection, void *userdata) {
        say("disconnected", "yes");
}

/* Says what went wrong, if something did. Frees the error. */
static void say_error(vfb_error *error) {
        if (!error)
                return;

        say("error", vfb_error_name(error));
        say("text", vfb_error_text(error));
        vfb_error_free(error);
}

static void print_lease(const vfb_lease *lease) {
        printf("lease: %s\nmode: %s\nmodel: %s\n", vfb_lease_id(lease), vfb_lease_mode(lease), vfb_lease_model(lease) ?: "");
        for (size_t i = 0; i < vfb_lease_n_devices(lease); i++)
                printf("reset %s: %s\n", vfb_lease_device_id(lease, i), vfb_lease_reset_used(lease, i));
}

/* The options of "acquire" that say when the lease ends: time=SECONDS, lifetime=WHAT, unit=NAME, pid=NUMBER. */
static int set_end(vfb_request *request, const char *word, bool *ret_found) {
        int r, fd;

        *ret_found = true;
        if (strncmp(word, "time=", 5) == 0) {
                vfb_request_set_duration(request, strtoull(word + 5, NULL, 10) * 1000000);
                return 0;
        }
        if (strncmp(word, "lifetime=", 9) == 0)
                return vfb_request_set_lifetime(request, word + 9);
        if (strncmp(word, "unit=", 5) == 0) {
                r = vfb_request_set_unit(request, word + 5);
                return r < 0 ? r : vfb_request_set_lifetime(request, "unit");
        }
        if (strncmp(word, "pid=", 4) == 0) {
                fd = (int) syscall(SYS_pidfd_open, (pid_t) atoi(word + 4), 0);
                if (fd < 0)
                        return -errno;
                r = vfb_request_set_pidfd(request, fd);
                (void) close(fd);
                return r < 0 ? r : vfb_request_set_lifetime(request, "pidfd");
        }

        *ret_found = false;
        return 0;
}

/* acquire SELECTOR...; words that begin with "mode=", "label=", "reset=" or "restore=" are options, and those of set_end(). */
static int command_acquire(Client *client, char **words) {
        vfb_request *request = NULL;
        vfb_error *error = NULL;
        bool found;
        int r;

        r = vfb_request_new(&request);
        for (; r >= 0 && *words; words++) {
                r = set_end(request, *words, &found);
                if (r < 0 || found)
                        continue;
                if (strncmp(*words, "mode=", 5) == 0)
                        r = vfb_request_set_mode(request, *words + 5);
                else if (strncmp(*words, "label=", 6) == 0)
                        r = vfb_request_set_label(request, *words + 6);
                else if (strncmp(*words, "reset=", 6) == 0)
                        r = vfb_request_set_reset(request, *words + 6);
                else if (strncmp(*words, "restore=", 8) == 0)
                        r = vfb_request_set_restore(request, *words + 8);
                else if (strcmp(*words, "interactive") == 0)
                        vfb_request_set_interactive(request, true);
                else
                        r = vfb_request_add_device(request, *words, NULL);
        }

        if (r >= 0) {
                client->ended = false;
                r = vfb_acquire(client->connection, request, &client->lease, &error);
                say_error(error);
        }
        if (r >= 0)
                print_lease(client->lease);
        vfb_request_free(request);
        return r;
}

/* release: and wait until the devices are free. A mapping of a device would keep it busy. */
static int command_release(Client *client, char **words) {
        vfb_error *error = NULL;
        int r;

        client->edu = edu_free(client->edu);
        r = vfb_lease_release(client->lease, &error);
        say_error(error);
        while (r >= 0 && !client->ended) {
                struct pollfd poller = { .fd = vfb_get_fd(client->connection), .events = (short) vfb_get_events(client->connection) };
                int msec;

                r = vfb_get_timeout(client->connection, &msec);
                if (r >= 0 && msec != 0)
                        r = poll(&poller, 1, PATIENCE_MS) > 0 ? 0 : -ETIME;
                if (r >= 0)
                        r = vfb_dispatch(client->connection);
        }

        client->lease = vfb_lease_free(client->lease);
        return r;
}

/* comply: waits until the lease is to be given back, and gives it back. */
static int command_comply(Client *client, char **words) {
        vfb_error *error = NULL;
        int r;

        while (!client->asked) {
                struct pollfd poller = { .fd = vfb_get_fd(client->connection), .events = (short) vfb_get_events(client->connection) };

                if (poll(&poller, 1, PATIENCE_MS) <= 0)
                        return -ETIME;
                r = vfb_dispatch(client->connection);
                if (r < 0)
                        return r;
        }

        client->edu = edu_free(client->edu);
        r = vfb_lease_revoke_complete(client->lease, &error);
        say_error(error);
        client->asked = false;
        client->lease = vfb_lease_free(client->lease);
        return r;
}

/* free: everything is closed at once, and nobody is told. */
static int command_free(Client *client, char **words) {
        client->edu = edu_free(client->edu);
        client->lease = vfb_lease_free(client->lease);
        return 0;
}

/* dispatch: what has happened since. */
static int command_dispatch(Client *client, char **words) {
        int r;

        do
                r = vfb_dispatch(client->connection);
        while (r > 0);
        return r;
}

static int device_fd(const Client *client, char **words) {
        return words[0] ? vfb_lease_device_fd_by_id(client->lease, words[0]) : vfb_lease_device_fd(client->lease, 0);
}

/* edu [ID]: DMA both ways, the data compared, and an interrupt. */
static int command_edu(Client *client, char **words) {
        vfb_error *error = NULL;
        int r;

        r = edu_new(&client->edu, device_fd(client, words));
        if (r >= 0)
                r = vfb_dma_map(client->lease, edu_memory_fd(client->edu), 0, edu_memory_size(client->edu), edu_iova(client->edu),
                                VFB_DMA_READ | VFB_DMA_WRITE, &error);
        say_error(error);
        if (r >= 0)
                r = edu_check_dma(client->edu);
        if (r >= 0)
                r = edu_check_msi(client->edu);
        return r;
}

/* dma: once more, with what "edu" has prepared. */
static int command_dma(Client *client, char **words) {
        return edu_check_dma(client->edu);
}

/* dma-forever: the answer comes when it ends, which is never. */
static int command_dma_forever(Client *client, char **words) {
        say("dma-forever", "begins");
        return edu_check_dma_forever(client->edu);
}

/* dma-until-cut: goes on until nothing arrives in memory any more, and then tries a few times more. */
static int command_dma_until_cut(Client *client, char **words) {
        unsigned arrived = 0, late = 0;
        int r;

        while ((r = edu_try_write(client->edu)) > 0 && arrived < CUT_TRIES_MAX)
                if (++arrived == 3)
                        say("dma-until-cut", "begins");
        if (arrived == CUT_TRIES_MAX)
                return -ETIME;
        for (int times = 0; r >= 0 && times < 8; times++) {
                r = edu_try_write(client->edu);
                late += r > 0;
        }

        printf("arrived: %u\nlate: %u\n", arrived, late);
        return r;
}

/* write: one more try. */
static int command_write(Client *client, char **words) {
        int r = edu_try_write(client->edu);

        if (r >= 0)
                say("arrived", r > 0 ? "yes" : "no");
        return r;
}

/* alloc MIB IOVA, unmap MIB IOVA: memory for DMA, that no device uses. */
static int command_alloc(Client *client, char **words) {
        size_t size = (size_t) strtoul(words[0], NULL, 10) << 20;
        vfb_error *error = NULL;
        void *address;
        int r;

        r = vfb_dma_alloc(client->lease, size, strtoull(words[1], NULL, 0), VFB_DMA_READ | VFB_DMA_WRITE, &address, &error);
        say_error(error);
        if (r >= 0)
                (void) munmap(address, size);
        return r;
}

static int command_unmap(Client *client, char **words) {
        vfb_error *error = NULL;
        int r;

        r = vfb_dma_unmap(client->lease, strtoull(words[1], NULL, 0), (size_t) strtoul(words[0], NULL, 10) << 20, &error);
        say_error(error);
        return r;
}

/* mask [VALUE]: what the NVMe's register has, and then gets. */
static int command_mask(Client *client, char **words) {
        int device = vfb_lease_device_fd(client->lease, 0), r;
        uint32_t mask;

        r = nvme_read_mask(device, &mask);
        if (r < 0)
                return r;
        printf("was: %" PRIx32 "\n", mask);
        if (!words[0])
                return 0;

        r = nvme_write_mask(device, (uint32_t) strtoul(words[0], NULL, 16));
        return r < 0 ? r : nvme_read_mask(device, &mask) < 0 || mask != strtoul(words[0], NULL, 16) ? -EIO : 0;
}

/* arm: the kernel shall ask for the first device when it wants it back. */
static int command_arm(Client *client, char **words) {
        union {
                struct vfio_irq_set set;
                char bytes[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
        } irqs = { { .argsz = sizeof(irqs.bytes), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                     .index = VFIO_PCI_REQ_IRQ_INDEX, .count = 1 } };
        int32_t fd;

        if (client->request > 0)
                (void) close(client->request);
        client->request = fd = eventfd(0, EFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        memcpy(irqs.set.data, &fd, sizeof(fd));
        return ioctl(vfb_lease_device_fd(client->lease, 0), VFIO_DEVICE_SET_IRQS, &irqs) < 0 ? -errno : 0;
}

/* await-request: until the kernel asks. Nothing else is listened to meanwhile. */
static int command_await_request(Client *client, char **words) {
        struct pollfd poller = { .fd = client->request, .events = POLLIN };

        return poll(&poller, 1, PATIENCE_MS) > 0 ? 0 : -ETIME;
}

/* identify, send: DMA of an NVMe, and of an e1000 or e1000e. */
static int command_identify(Client *client, char **words) {
        char serial[NVME_SERIAL_MAX];
        vfb_error *error = NULL;
        int r;

        r = drive_nvme(client->lease, serial, &error);
        say_error(error);
        if (r == 0)
                say("serial", serial);
        return r;
}

static int command_send(Client *client, char **words) {
        vfb_error *error = NULL;
        int r;

        r = drive_nic(client->lease, &error);
        say_error(error);
        return r;
}

/* close: the first device only; the lease and all else stay. */
static int command_close(Client *client, char **words) {
        char role[64];
        int fd;

        client->edu = edu_free(client->edu);
        (void) snprintf(role, sizeof(role), "device:%s", vfb_lease_device_id(client->lease, 0));
        fd = vfb_lease_take_fd(client->lease, role);
        if (fd < 0)
                return fd;
        return close(fd) < 0 ? -errno : 0;
}

/* close-lifeline: and nothing else. */
static int command_close_lifeline(Client *client, char **words) {
        int fd = vfb_lease_take_fd(client->lease, VFB_ROLE_LIFELINE);

        return fd < 0 ? fd : close(fd) < 0 ? -errno : 0;
}

/* offer UID: to any process of that user. */
static int command_offer(Client *client, char **words) {
        vfb_error *error = NULL;
        char *token;
        int r;

        r = vfb_lease_offer(client->lease, words[0] ? (uid_t) atoi(words[0]) : 0, -1, 0, &token, &error);
        say_error(error);
        if (r < 0)
                return r;

        say("token", token);
        free(token);
        return 0;
}

/* claim TOKEN */
static int command_claim(Client *client, char **words) {
        vfb_error *error = NULL;
        int r;

        client->ended = false;
        r = vfb_claim(client->connection, words[0] ? words[0] : "", NULL, &client->lease, &error);
        say_error(error);
        if (r >= 0)
                print_lease(client->lease);
        return r;
}

/* hide HOW: leaves the first device with a child that has nothing else of the lease. */
static int command_hide(Client *client, char **words) {
        pid_t pid;
        int r;

        r = hide(words[0], vfb_lease_device_fd(client->lease, 0), &pid);
        if (r >= 0)
                printf("pid: %d\n", (int) pid);
        return r;
}

static const struct {
        const char *name;
        int (*run)(Client *client, char **words);
        bool needs_lease;
} commands[] = {
        { "acquire", command_acquire, false },
        { "release", command_release, true },
        { "comply", command_comply, true },
        { "free", command_free, true },
        { "dispatch", command_dispatch, false },
        { "edu", command_edu, true },
        { "dma", command_dma, true },
        { "dma-forever", command_dma_forever, true },
        { "dma-until-cut", command_dma_until_cut, true },
        { "write", command_write, true },
        { "alloc", command_alloc, true },
        { "unmap", command_unmap, true },
        { "mask", command_mask, true },
        { "arm", command_arm, true },
        { "await-request", command_await_request, true },
        { "identify", command_identify, true },
        { "send", command_send, true },
        { "close", command_close, true },
        { "close-lifeline", command_close_lifeline, true },
        { "offer", command_offer, true },
        { "claim", command_claim, false },
        { "hide", command_hide, true },
};

static void obey(Client *client, char *line) {
        char *words[WORDS_MAX + 1] = {}, *rest = NULL;
        int r = -ENOSYS, n = 0;

        for (char *word = strtok_r(line, " \n", &rest); word && n < WORDS_MAX; word = strtok_r(NULL, " \n", &rest))
                words[n++] = word;
        if (n == 0)
                return;

        for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
                if (strcmp(commands[i].name, words[0]) == 0)
                        r = commands[i].needs_lease && !client->lease ? -ENOENT : commands[i].run(client, words + 1);

        say(words[0], r < 0 ? strerrorname_np(-r) ?: "failed" : "ok");
}

int main(void) {
        static const vfb_listener listener = {
                .lease_state = on_state,
                .lease_ended = on_ended,
                .device_gone = on_gone,
                .revoke_requested = on_revoke_requested,
                .disconnected = on_disconnected,
                .expiring = on_expiring,
        };
        Client client = {};
        vfb_error *error = NULL;
        char line[1024];
        int r;

        r = vfb_open(&client.connection, &listener, &client, &error);
        say_error(error);
        say("open", r < 0 ? strerrorname_np(-r) : "ok");
        while (r >= 0 && fgets(line, sizeof(line), stdin))
                obey(&client, line);

        vfb_lease_free(client.lease);
        vfb_free(client.connection);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
