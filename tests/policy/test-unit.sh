#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What systemd makes of the unit and the message catalog: test-unit.sh UNIT CATALOG EVENTS.H

set -eu
unit=$1 catalog=$2 events_h=$3

EXPOSURE_MAX=24 # tenths, as "systemd-analyze security" counts

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
        echo "$*" >&2
        exit 1
}

# Each id of events.h once, and no other. The catalog has its comment lines before the first entry only.
grep -o '"[0-9a-f]\{32\}"' "$events_h" | tr -d '"' | sort >"$dir/events.h"
sed -n 's/^-- //p' "$catalog" | sort >"$dir/catalog"
[ -s "$dir/events.h" ] || fail "no ids in $events_h"
diff "$dir/events.h" "$dir/catalog" || fail "message ids differ: < $events_h, > $catalog"
[ "$(grep -c '^Subject: .' "$catalog")" -eq "$(wc -l <"$dir/catalog")" ] || fail "an entry has no subject"

# Placeholders name fields that the broker writes, and nothing else has an @.
if sed 's/@VFIO_BROKER_\(LEASE\|DEVICE\|DRIVER\|UID\|ERROR\|RESET\|REASON\)@//g' "$catalog" | grep '@'; then
        fail "unknown placeholder in $catalog"
fi

if command -v journalctl >/dev/null; then
        mkdir -p "$dir/root/usr/lib/systemd/catalog" "$dir/root/var/lib/systemd/catalog"
        cp "$catalog" "$dir/root/usr/lib/systemd/catalog"
        journalctl --root "$dir/root" --update-catalog
        journalctl --root "$dir/root" --list-catalog | cut -d' ' -f1 | sort | diff - "$dir/catalog" ||
                fail "systemd reads other entries than there are"
fi

if ! command -v systemd-analyze >/dev/null; then
        echo "systemd-analyze is not there: unit not checked"
        exit 77
fi

# "verify" wants a program that exists; ours need not be built.
name=$(basename "$unit")
sed 's,^ExecStart=.*,ExecStart=/bin/true,' "$unit" >"$dir/$name"
# An older systemd does not know it, says so, and goes on without.
if [ "$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -lt 254 ]; then
        sed -i '/^FileDescriptorStorePreserve=/d' "$dir/$name"
fi
systemd-analyze verify --man=no --recursive-errors=no "$dir/$name" >"$dir/verify" 2>&1 || true
if grep "$name" "$dir/verify"; then
        fail "systemd does not like the unit"
fi

# Each figure of the report is in its last line; "1.4" becomes 14.
figure=$(systemd-analyze security --offline=yes --no-pager "$dir/$name" |
        sed -n 's/.*Overall exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
[ -n "$figure" ] || fail "no figure in the report"
echo "exposure level: $figure tenths"
[ "$figure" -le "$EXPOSURE_MAX" ] || fail "more exposed than $EXPOSURE_MAX tenths"
