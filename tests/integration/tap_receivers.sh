#!/bin/sh
# tap_receivers.sh TAP_SEND: the tap into libfstrm's and the Go receiver, over a
# unix socket and TCP, and into a file; each read back by `dnstap -r`.
set -eu
send=$1 capture=fstrm_capture dnstap=dnstap
for program in $capture $dnstap; do
    command -v $program >/dev/null || { echo "SKIPPED: needs $program"; exit 77; }
done
count=20000
dir=$(mktemp -d)
receiver=
trap '[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || :; rm -rf "$dir"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

# expect FILE: it holds all messages, and the last is what was sent.
expect() {
    lines=$("$dnstap" -r "$1" -q | wc -l)
    [ "$lines" -eq "$count" ] || fail "$1: $lines of $count messages"
    last=$(TZ=UTC "$dnstap" -r "$1" -q | tail -n 1)
    want='22:13:20.000019 CR 192.0.2.31 UDP 29b "example.com." IN A'
    [ "$last" = "$want" ] || fail "$1: $last"
    "$dnstap" -r "$1" -y | grep -q 'identity: "ns1.example"' || fail "$1: no identity"
}

# stop_receiver: ends it, so that it writes its file out.
stop_receiver() {
    kill "$receiver"
    wait "$receiver" || :
    receiver=
}

"$send" "$dir/direct.fstrm" $count
expect "$dir/direct.fstrm"

"$capture" -t protobuf:dnstap.Dnstap -u "$dir/unix.sock" -w "$dir/unix.fstrm" &
receiver=$!
"$send" "unix:$dir/unix.sock" $count
stop_receiver
expect "$dir/unix.fstrm"

port=$((20000 + $$ % 20000))
"$capture" -t protobuf:dnstap.Dnstap -a 127.0.0.1 -p $port -w "$dir/tcp.fstrm" &
receiver=$!
"$send" "tcp:127.0.0.1:$port" $count
stop_receiver
expect "$dir/tcp.fstrm"

# As text: what the Go receiver writes to a Frame Streams file, it cuts off when it is ended.
"$dnstap" -u "$dir/go.sock" -q -w "$dir/go.txt" &
receiver=$!
"$send" "unix:$dir/go.sock" $count
tries=0
until [ "$(wc -l <"$dir/go.txt")" -eq "$count" ]; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || fail "go: $(wc -l <"$dir/go.txt") of $count messages"
    sleep 0.1
done
stop_receiver
echo "all receivers got $count messages"
