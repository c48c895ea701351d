#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who may include whom: the layers are folders, and includes point down. TAP on stdout.
# Usage: layers.sh SOURCE-FOLDER

set -eu
cd "$1"
n=0
failed=0

# forbid NAME PATTERN FILE...: none of the files includes what the pattern says (/dev/null: there may be no file)
forbid() {
    n=$((n + 1))
    name=$1
    pattern=$2
    shift 2
    if hits=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($pattern)" /dev/null "$@"); then
        echo "not ok $n - $name"
        echo "$hits" | sed 's/^/# /'
        failed=1
    else
        echo "ok $n - $name"
    fi
}

# "../" would let an include name its neighbour by another way.
forbid 'no include climbs' '[^">]*\.\./' \
    $(find protocol daemon client tests -name '*.[ch]')
forbid 'core knows no broker, bus, kernel, client' '([^">]*/)?(broker[^">]*\.h|server\.h)|bus/|kernel/|client/|systemd/sd-bus|linux/(vfio|iommufd)' \
    $(find daemon/core -name '*.[ch]')
forbid 'kernel knows no broker, bus, core, client' '([^">]*/)?(broker[^">]*\.h|server\.h)|bus/|core/|client/|systemd/sd-bus' \
    $(find daemon/kernel -name '*.[ch]')
forbid 'bus reaches core and kernel only through the broker' 'core/|kernel/|client/|broker-internal\.h|linux/(vfio|iommufd)' \
    $(find daemon/bus -name '*.[ch]')
forbid 'the broker knows no bus' 'bus/|client/|systemd/sd-bus' \
    $(find daemon -maxdepth 1 -name 'broker*.[ch]')
forbid 'protocol stands alone' 'broker|bus/|core/|kernel/|client/|daemon/|cleanup|log\.h|config\.h|systemd/' \
    $(find protocol -name '*.[ch]')
forbid 'the client knows only the protocol' 'broker[^-"][^">]*|bus/|core/|kernel/|daemon/|config\.h|log\.h' \
    $(find client -name '*.[ch]')
echo "1..$n"
exit $failed
