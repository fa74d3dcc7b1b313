#!/bin/sh
# package.sh SOURCE: the Debian package is built, installed on this machine, does its work, and leaves nothing.
set -eu
source=$1
skip() {
    echo "SKIPPED: $*"
    exit 77
}
[ "$(id -u)" = 0 ] || skip "needs root to install a package"
command -v dpkg-deb >/dev/null && command -v cpack >/dev/null || skip "needs dpkg and cpack"
[ ! -e /usr/bin/dnstap-bridge ] || skip "dnstap-bridge is installed on this machine already"
had_user=no
getent passwd dnstap-bridge >/dev/null && had_user=yes
dir=$(mktemp -d)
clean() {
    dpkg -P dnstap-bridge >/dev/null 2>&1 || :
    [ $had_user = yes ] || userdel dnstap-bridge >/dev/null 2>&1 || :
    rm -rf "$dir"
}
trap clean EXIT
fail() {
    echo "$*" >&2
    exit 1
}

"$source/scripts/package" >"$dir/build.log" 2>&1 || fail "$(tail -20 "$dir/build.log")"
package=$(ls "$source"/build/package/dnstap-bridge_*.deb)
dpkg -i "$package" >"$dir/install.log" 2>&1 || fail "$(cat "$dir/install.log")"

/usr/bin/dnstap-bridge --version
/usr/bin/dnstap-bridge --check --config /usr/share/dnstap-bridge/examples/collector.yaml >"$dir/check"
grep -q 'memory ceiling' "$dir/check"
/usr/bin/dnstap-bridge --from "$source/tests/data/bind.fstrm.gz" --to "$dir/out.fstrm" 2>"$dir/log" || fail "$(cat "$dir/log")"
[ "$(zcat "$source/tests/data/bind.fstrm.gz" | sha256sum)" = "$(sha256sum <"$dir/out.fstrm")" ] || fail "not what came in"
if command -v systemd-sysusers >/dev/null; then
    getent passwd dnstap-bridge >/dev/null || fail "the package made no user"
fi
printf '#include <dnstap/tap.h>\nint main(void) { struct tap *t = 0; tap_close(&t, 0, 0); return 0; }\n' >"$dir/use.c"
# shellcheck disable=SC2046
cc "$dir/use.c" -o "$dir/use" $(pkg-config --cflags --libs dnstap-tap) && "$dir/use" || fail "a server cannot link the tap"

dpkg -L dnstap-bridge | while read -r path; do [ -d "$path" ] || echo "$path"; done >"$dir/files"
dpkg -P dnstap-bridge >"$dir/purge.log" 2>&1 || fail "$(cat "$dir/purge.log")"
while read -r path; do
    [ ! -e "$path" ] || fail "left behind: $path"
done <"$dir/files"
echo "installed, used and removed $(wc -l <"$dir/files") files"
