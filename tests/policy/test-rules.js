// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The rules under a stand-in of polkit's script engine: node test-rules.js POLICY-DIR
// Real polkit loads them in the guest suite.

"use strict";

const assert = require("assert");
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const VF = {
    "device.id": "0000:06:10.0", "device.kind": "pci", "device.address": "0000:06:10.0",
    "device.vendor": "0x8086", "device.product": "0x10ca", "device.subsystem": "0x8086:0x0000",
    "device.class": "0x020000", "device.driver": "vfio-pci", "device.is-vf": "yes",
    "device.pf": "0000:06:00.0", "device.group": "26", "device.group-members": "0000:06:10.0",
    "device.numa-node": "0", "device.boot-display": "no", "device.reset": "flr",
    "lease.mode": "legacy", "lease.label": "test",
};
const UNKNOWN = { "device.id": "0000:ff:00.0" };
const member = { local: false, active: false, groups: ["vfio"] };
const stranger = { local: false, active: false, groups: ["users"] };
const seated = { local: true, active: true, groups: ["users"] };

const ACQUIRE = "org.vfiobroker1.acquire";

function load(file) {
    const rules = [];
    const Result = { NO: "no", YES: "yes", AUTH_ADMIN: "auth_admin", NOT_HANDLED: null };

    vm.runInNewContext(fs.readFileSync(file, "utf8"), { polkit: { Result, addRule: rule => rules.push(rule) } });
    assert.strictEqual(rules.length, 1);

    return function(id, details, subject) {
        const action = { id, lookup: key => details[key] };
        const who = { user: subject.user, local: subject.local, active: subject.active, isInGroup: group => subject.groups.includes(group) };
        return rules[0](action, who);
    };
}

// [file, details changed, subject, let in?]
const cases = [
    ["group", {}, member, true],
    ["group", { "device.is-vf": "no", "device.vendor": "0x10de" }, member, true],
    ["group", {}, stranger, false],
    ["group", {}, seated, false],
    ["group", { "device.boot-display": "yes" }, member, false],

    ["local-session", {}, seated, true],
    ["local-session", {}, member, false],
    ["local-session", {}, { local: true, active: false, groups: [] }, false],
    ["local-session", {}, { local: false, active: true, groups: [] }, false],
    ["local-session", { "device.boot-display": "yes" }, seated, false],

    ["vendor", {}, member, true],
    ["vendor", {}, stranger, false],
    ["vendor", { "device.vendor": "0x1af4" }, member, false],
    ["vendor", { "device.class": "0x030000" }, member, false],
    ["vendor", { "device.group-members": "0000:06:10.0 0000:06:10.1" }, member, false],

    ["vf", {}, member, true],
    ["vf", {}, stranger, false],
    ["vf", { "device.is-vf": "no", "device.pf": "" }, member, false],
    ["vf", { "device.group-members": "0000:06:10.0 0000:06:10.1" }, member, false],
];

const dir = path.join(process.argv[2], "samples");
const file = name => path.join(dir, "50-vfio-broker-" + name + ".rules");

for (const [name, changes, subject, expected] of cases)
    assert.strictEqual(load(file(name))(ACQUIRE, { ...VF, ...changes }, subject), expected ? "yes" : null,
                       JSON.stringify([name, changes, subject]));

for (const entry of fs.readdirSync(dir)) {
    const rule = load(path.join(dir, entry));
    const everything = { local: true, active: true, groups: ["vfio"] };

    assert(cases.some(([name]) => file(name) === path.join(dir, entry)), entry + " has no case");
    // A device that nobody knows, and every other action, is left to the defaults.
    assert.strictEqual(rule(ACQUIRE, UNKNOWN, everything), null, entry);
    for (const id of ["org.vfiobroker1.revoke", "org.vfiobroker1.quarantine", "org.freedesktop.policykit.exec"])
        assert.strictEqual(rule(id, VF, everything), null, entry + " " + id);
}

// Who is no administrator is refused, and nobody else's actions are touched.
const refusal = load(path.join(process.argv[2], "90-vfio-broker.rules"));
const person = (user, group) => ({ user, local: true, active: true, groups: [group] });

for (const id of [ACQUIRE, "org.vfiobroker1.revoke", "org.vfiobroker1.quarantine"]) {
    assert.strictEqual(refusal(id, VF, person("bob", "users")), "no", id);
    assert.strictEqual(refusal(id, VF, person("bob", "vfio")), "no", id);
    for (const administrator of [person("carol", "sudo"), person("dave", "wheel"), person("root", "root")])
        assert.strictEqual(refusal(id, VF, administrator), null, id);
}
assert.strictEqual(refusal("org.freedesktop.policykit.exec", {}, person("bob", "users")), null);
