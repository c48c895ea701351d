/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tree */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "tree-files.h"

typedef struct Node Node;

struct Node {
        LIST_ENTRY(Node) entry;
        Node *parent;
        TreePci pci;
        char address[32];
        char driver[64];
        char physfn[32];
        char reset_methods[64];
        unsigned n_functions; /* VFs that it ever had */
        char virtfn[16];      /* what its PF calls it: "virtfn0" */
        char path[512]; /* below sys/ */
        char up[128];   /* from there back to sys/: "../../../" */
        int vfio;       /* the N of vfio-dev/vfioN, -1 for none */
};

struct Tree {
        char root[128];
        int fd;
        int next_vfio;
        unsigned n_gone;
        LIST_HEAD(, Node) nodes;
};

__attribute__((format(printf, 4, 5)))
static int write_attribute(Tree *tree, const Node *node, const char *name, const char *format, ...) {
        char path[PATH_MAX], value[4096];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(value, sizeof(value), format, arguments);
        va_end(arguments);
        snprintf(path, sizeof(path), "sys/%s/%s", node->path, name);
        return tree_write(tree, path, value);
}

/* Out of sight, but not from the disk: a file system may use an inode's number again at once, and sysfs never does. */
static int put_aside(Tree *tree, const char *address) {
        char path[PATH_MAX], gone[64];
        int r;

        snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
        snprintf(gone, sizeof(gone), "gone/%u", tree->n_gone++);
        r = tree_make_parents(tree, gone);
        if (r < 0)
                return r;
        return renameat(tree->fd, path, tree->fd, gone) < 0 ? -errno : 0;
}

static Node *find_node(Tree *tree, const char *address) {
        Node *node;

        LIST_FOREACH(node, &tree->nodes, entry)
                if (strcmp(node->address, address) == 0)
                        return node;
        return NULL;
}

static bool driver_is_vfio(const char *driver) {
        return strncmp(driver, "vfio-", 5) == 0 || strstr(driver, "-vfio-");
}

static int write_identity(Tree *tree, const Node *node) {
        const TreePci *pci = &node->pci;
        const struct {
                const char *name;
                unsigned value;
                int digits;
        } ids[] = {
                { "class", pci->class, 6 },
                { "vendor", pci->vendor, 4 },
                { "device", pci->device, 4 },
                { "subsystem_vendor", pci->subsystem_vendor, 4 },
                { "subsystem_device", pci->subsystem_device, 4 },
                { "revision", 0, 2 },
        };
        int r;

        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
                r = write_attribute(tree, node, ids[i].name, "0x%0*x\n", ids[i].digits, ids[i].value);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Six BARs and the ROM, of which the first is used; then six of SR-IOV. */
static int write_resource(Tree *tree, const Node *node) {
        static const char unused[] = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
        char value[1024] = "0x00000000fe000000 0x00000000fe0fffff 0x0000000000040200\n";

        for (int i = 1; i < 13; i++)
                strncat(value, unused, sizeof(value) - strlen(value) - 1);
        return write_attribute(tree, node, "resource", "%s", value);
}

/* What the hardware answers: who it is, that memory is decoded, and the BAR. */
static int write_config(Tree *tree, const Node *node) {
        const TreePci *pci = &node->pci;
        _cleanup_(closep) int fd = -EBADF;
        const uint8_t config[64] = {
                pci->vendor & 0xff, pci->vendor >> 8, pci->device & 0xff, pci->device >> 8, 0x02, 0, 0, 0,
                0, pci->class & 0xff, pci->class >> 8 & 0xff, pci->class >> 16, 0, 0, 0, 0,
                0, 0, 0, 0xfe,
        };
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "sys/%s/config", node->path);
        fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        return write(fd, config, sizeof(config)) == sizeof(config) ? 0 : -EIO;
}

static int write_rest(Tree *tree, const Node *node) {
        int r;

        r = write_attribute(tree, node, "driver_override", "(null)\n");
        if (r == 0)
                r = write_attribute(tree, node, "power/control", "on\n");
        if (r == 0)
                r = write_attribute(tree, node, "numa_node", "%d\n", node->pci.numa_node);
        if (r == 0)
                r = write_attribute(tree, node, "enable", "0\n");
        if (r == 0 && node->reset_methods[0])
                r = write_attribute(tree, node, "reset_method", "%s\n", node->reset_methods);
        if (r == 0 && (node->pci.boot_vga || node->pci.class >> 8 == 0x0300))
                r = write_attribute(tree, node, "boot_vga", "%d\n", node->pci.boot_vga);
        return r;
}

/* As the kernel does it: the PF's link to its VF comes first. */
static int write_physfn(Tree *tree, Node *node) {
        Node *pf = node->physfn[0] ? find_node(tree, node->physfn) : NULL;
        char target[64];
        int r = 0;

        if (pf) {
                snprintf(node->virtfn, sizeof(node->virtfn), "virtfn%u", pf->n_functions++);
                snprintf(target, sizeof(target), "../%s", node->address);
                r = tree_link(tree, target, "sys/%s/%s", pf->path, node->virtfn);
        }
        if (r == 0 && node->physfn[0]) {
                snprintf(target, sizeof(target), "../%s", node->physfn);
                r = tree_link(tree, target, "sys/%s/physfn", node->path);
        }
        return r;
}

static int write_uevent(Tree *tree, const Node *node) {
        const TreePci *pci = &node->pci;
        bool bound = node->driver[0];

        return write_attribute(tree, node, "uevent",
                               "%s%s%sPCI_CLASS=%X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=%s\n"
                               "MODALIAS=pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n",
                               bound ? "DRIVER=" : "", node->driver, bound ? "\n" : "", pci->class, pci->vendor,
                               pci->device, pci->subsystem_vendor, pci->subsystem_device, node->address, pci->vendor,
                               pci->device, pci->subsystem_vendor, pci->subsystem_device, pci->class >> 16 & 0xff,
                               pci->class >> 8 & 0xff, pci->class & 0xff);
}

int tree_add_driver(Tree *tree, const char *driver) {
        static const char *const attributes[] = { "bind", "unbind" };
        char path[PATH_MAX];
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(attributes) / sizeof(*attributes); i++) {
                snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/%s", driver, attributes[i]);
                r = tree_write(tree, path, "");
        }
        return r;
}

static int write_driver(Tree *tree, Node *node) {
        char target[PATH_MAX], path[PATH_MAX];
        int r;

        node->vfio = -1;
        if (!node->driver[0])
                return 0;

        r = tree_add_driver(tree, node->driver);
        if (r < 0)
                return r;
        snprintf(target, sizeof(target), "%sbus/pci/drivers/%s", node->up, node->driver);
        r = tree_link(tree, target, "sys/%s/driver", node->path);
        if (r < 0 || !driver_is_vfio(node->driver))
                return r;

        node->vfio = tree->next_vfio++;
        snprintf(path, sizeof(path), "sys/%s/vfio-dev/vfio%d/", node->path, node->vfio);
        return tree_make_parents(tree, path);
}

static int write_group(Tree *tree, const Node *node) {
        int group = node->pci.group, r;
        char target[PATH_MAX], path[PATH_MAX];

        if (group < 0)
                return 0;

        snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/type", group);
        r = tree_write(tree, path, "DMA-FQ\n");
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/reserved_regions", group);
        r = tree_write(tree, path, "0x00000000fee00000 0x00000000feefffff msi\n");
        if (r < 0)
                return r;
        snprintf(target, sizeof(target), "../../../../%s", node->path);
        r = tree_link(tree, target, "sys/kernel/iommu_groups/%d/devices/%s", group, node->address);
        if (r < 0)
                return r;
        snprintf(target, sizeof(target), "%skernel/iommu_groups/%d", node->up, group);
        return tree_link(tree, target, "sys/%s/iommu_group", node->path);
}

/* The node comes with the group's first device on a VFIO driver, and the group goes with its last device. */
static int update_group(Tree *tree, int group) {
        bool used = false, vfio = false;
        char path[PATH_MAX];
        Node *node;
        int r;

        if (group < 0)
                return 0;
        LIST_FOREACH(node, &tree->nodes, entry) {
                if (node->pci.group != group)
                        continue;
                used = true;
                vfio = vfio || node->vfio >= 0;
        }

        snprintf(path, sizeof(path), "dev/vfio/%d", group);
        if (!vfio)
                r = tree_remove_all(tree, "%s", path);
        else
                r = faccessat(tree->fd, path, F_OK, 0) == 0 ? 0 : tree_write(tree, path, "");
        if (r < 0 || used)
                return r;
        return tree_remove_all(tree, "sys/kernel/iommu_groups/%d", group);
}

static void copy(char *ret, size_t size, const char *from) {
        snprintf(ret, size, "%s", from ? from : "");
}

static int node_new(Node **ret, Node *parent, const TreePci *pci) {
        Node *node;

        node = calloc(1, sizeof(*node));
        if (!node)
                return -ENOMEM;
        node->parent = parent;
        node->pci = *pci;
        copy(node->address, sizeof(node->address), pci->address);
        copy(node->driver, sizeof(node->driver), pci->driver);
        copy(node->physfn, sizeof(node->physfn), pci->physfn);
        copy(node->reset_methods, sizeof(node->reset_methods), pci->reset_methods);
        if (parent) {
                snprintf(node->path, sizeof(node->path), "%.400s/%s", parent->path, node->address);
                snprintf(node->up, sizeof(node->up), "%.100s../", parent->up);
        } else {
                snprintf(node->path, sizeof(node->path), "devices/pci%.*s:00/%s",
                         (int) strcspn(node->address, ":"), node->address, node->address);
                copy(node->up, sizeof(node->up), "../../../");
        }
        *ret = node;
        return 0;
}

static int node_write(Tree *tree, Node *node) {
        char target[PATH_MAX];
        int r;

        snprintf(target, sizeof(target), "sys/%s/pci_bus/", node->parent ? node->parent->path : "devices");
        r = tree_make_parents(tree, target);
        if (r == 0)
                r = write_identity(tree, node);
        if (r == 0)
                r = write_resource(tree, node);
        if (r == 0)
                r = write_config(tree, node);
        if (r == 0)
                r = write_rest(tree, node);
        if (r == 0)
                r = write_physfn(tree, node);
        if (r == 0)
                r = write_driver(tree, node);
        if (r == 0)
                r = write_uevent(tree, node);
        if (r == 0)
                r = write_group(tree, node);
        if (r == 0)
                r = update_group(tree, node->pci.group);
        if (r < 0)
                return r;

        snprintf(target, sizeof(target), "../../../%s", node->path);
        return tree_link(tree, target, "sys/bus/pci/devices/%s", node->address);
}

int tree_add_pci(Tree *tree, const TreePci *pci) {
        Node *node, *parent = NULL;
        int r;

        if (find_node(tree, pci->address))
                return -EEXIST;
        if (pci->parent) {
                parent = find_node(tree, pci->parent);
                if (!parent)
                        return -ENODEV;
        }

        r = node_new(&node, parent, pci);
        if (r < 0)
                return r;
        LIST_INSERT_HEAD(&tree->nodes, node, entry);
        return node_write(tree, node);
}

int tree_set_driver(Tree *tree, const char *address, const char *driver) {
        Node *node;
        int r;

        node = find_node(tree, address);
        if (!node)
                return -ENODEV;

        r = tree_remove_all(tree, "sys/%s/vfio-dev", node->path);
        if (r == 0)
                r = tree_remove_all(tree, "sys/%s/driver", node->path);
        if (r < 0)
                return r;

        copy(node->driver, sizeof(node->driver), driver);
        r = write_driver(tree, node);
        if (r == 0)
                r = write_uevent(tree, node);
        return r < 0 ? r : update_group(tree, node->pci.group);
}

int tree_begin_unbind(Tree *tree, const char *address) {
        Node *node;

        int r;

        node = find_node(tree, address);
        if (!node)
                return -ENODEV;
        r = tree_remove_all(tree, "sys/%s/driver", node->path);
        return r < 0 ? r : tree_remove_all(tree, "sys/%s/vfio-dev", node->path);
}

int tree_add_sriov(Tree *tree, const char *address, unsigned total) {
        Node *node = find_node(tree, address);
        int r;

        if (!node)
                return -ENODEV;

        r = write_attribute(tree, node, "sriov_totalvfs", "%u\n", total);
        if (r == 0)
                r = write_attribute(tree, node, "sriov_numvfs", "0\n");
        if (r == 0)
                r = write_attribute(tree, node, "sriov_offset", "1\n");
        if (r == 0)
                r = write_attribute(tree, node, "sriov_stride", "1\n");
        return r < 0 ? r : write_attribute(tree, node, "sriov_drivers_autoprobe", "1\n");
}

static bool has_other_function(Tree *tree, const Node *node) {
        const Node *other;

        LIST_FOREACH(other, &tree->nodes, entry)
                if (other != node && strcmp(other->physfn, node->physfn) == 0)
                        return true;
        return false;
}

int tree_remove(Tree *tree, const char *address) {
        Node *node, *child, *pf;
        int group, r;

        node = find_node(tree, address);
        if (!node)
                return -ENODEV;

        do {
                LIST_FOREACH(child, &tree->nodes, entry)
                        if (child->parent == node)
                                break;
                if (child)
                        tree_remove(tree, child->address);
        } while (child);

        group = node->pci.group;
        pf = node->virtfn[0] ? find_node(tree, node->physfn) : NULL;
        r = put_aside(tree, node->address);
        if (r == 0 && pf)
                r = tree_remove_all(tree, "sys/%s/%s", pf->path, node->virtfn);
        if (r == 0 && pf && !has_other_function(tree, node))
                pf->n_functions = 0;
        if (r == 0 && group >= 0)
                r = tree_remove_all(tree, "sys/kernel/iommu_groups/%d/devices/%s", group, node->address);
        if (r == 0)
                r = tree_remove_all(tree, "sys/%s", node->path);

        LIST_REMOVE(node, entry);
        free(node);
        return r < 0 ? r : update_group(tree, group);
}

int tree_fd(const Tree *tree) {
        return tree->fd;
}

const char *tree_root(Tree *tree) {
        return tree->root;
}

/* dbus-daemon takes 99 characters for its socket, "bus" in the tree. */
#define FOLDER_MAX 71

/* A tree is some hundred small files, which a disk makes twenty times slower than memory. */
static const char *temporary_folder(void) {
        const char *folder = getenv("TMPDIR");

        if (folder && strlen(folder) <= FOLDER_MAX)
                return folder;
        return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

int tree_new(Tree **ret) {
        _cleanup_(tree_freep) Tree *tree = NULL;
        int r;

        tree = calloc(1, sizeof(*tree));
        if (!tree)
                return -ENOMEM;
        LIST_INIT(&tree->nodes);
        tree->fd = -EBADF;
        snprintf(tree->root, sizeof(tree->root), "%.71s/vfio-broker-tree-XXXXXX", temporary_folder());
        if (!mkdtemp(tree->root)) {
                tree->root[0] = '\0';
                return -errno;
        }
        tree->fd = open(tree->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (tree->fd < 0)
                return -errno;

        r = tree_make_parents(tree, "sys/bus/pci/devices/");
        if (r == 0)
                r = tree_make_parents(tree, "sys/kernel/iommu_groups/");
        if (r == 0)
                r = tree_write(tree, "dev/vfio/vfio", "");
        if (r == 0)
                r = tree_write(tree, "sys/bus/pci/drivers_probe", "");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tree);
        return 0;
}

Tree *tree_free(Tree *tree) {
        Node *node;

        if (!tree)
                return NULL;
        while ((node = LIST_FIRST(&tree->nodes))) {
                LIST_REMOVE(node, entry);
                free(node);
        }
        if (tree->root[0])
                tree_remove_all(tree, "%s", "");
        closep(&tree->fd);
        free(tree);
        return NULL;
}
