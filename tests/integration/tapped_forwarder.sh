#!/bin/sh
# tapped_forwarder.sh FORWARDER TAP_COUNT: the forwarder between kdig, dnsperf and a local Knot DNS. It
# answers well, and its tap tells each query and response, whatever becomes of its collector.
set -eu
forwarder=$1 tap_count=$2
for program in knotd kdig dnsperf; do
    command -v $program >/dev/null || { echo "SKIPPED: needs $program"; exit 77; }
done
dir=$(mktemp -d)
knot= served=
trap 'kill $served $knot 2>/dev/null || :; wait; rm -rf "$dir"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

free_port() {
    while :; do
        port=$(($(od -An -N2 -tu2 /dev/urandom) % 30000 + 20000))
        ss -Hltun "sport = :$port" | grep -q . || break
    done
    echo "$port"
}

start_knot() {
    mkdir "$dir/knot"
    cat >"$dir/knot.conf" <<EOF
server:
    listen: 127.0.0.1@$up
    rundir: $dir/knot
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: $dir/knot
zone:
  - domain: example.test
    file: $dir/zone
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
EOF
    {
        echo '$ORIGIN example.test.'
        echo '@ 3600 SOA ns admin 1 3600 600 86400 300'
        echo '@ 3600 NS ns'
        echo 'ns 3600 A 127.0.0.1'
        echo '*.many 600 A 192.0.2.1'
        echo 'www 600 A 192.0.2.80'
        echo 'short 1 A 192.0.2.81'
        for i in 1 2 3 4 5 6 7 8 9 10; do
            echo "big 600 TXT $i-$(printf '%0200d' 0) $(printf '%0200d' 0)"
        done
    } >"$dir/zone"
    knotd -c "$dir/knot.conf" >"$dir/knot.log" 2>&1 &
    knot=$!
    tries=0
    until kdig @127.0.0.1 -p "$up" +time=1 +retry=0 www.example.test A 2>/dev/null | grep -q 192.0.2.80; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || fail "knotd: $(cat "$dir/knot.log")"
        sleep 0.1
    done
}

# start NAME OPTION...: serves, with its output in NAME.*
start() {
    name=$1
    shift
    "$forwarder" --listen "127.0.0.1@$port" --upstream "127.0.0.1@$up" "$@" \
        >"$dir/$name.out" 2>"$dir/$name.err" &
    served=$!
    tries=0
    until grep -qs ready "$dir/$name.err"; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || fail "forwarder: $(cat "$dir/$name.err")"
        sleep 0.1
    done
}

# stop: ends it, and reads what it printed into variables.
stop() {
    kill "$served"
    wait "$served" || fail "forwarder ended badly: $(cat "$dir/$name.err")"
    served=
    read -r _ queries _ replies _ hits _ forwarded _ timeouts <"$dir/$name.out"
    read -r _ _ accepted _ dropped _ written _ failed <<EOF
$(sed -n 2p "$dir/$name.out")
EOF
}

dig() {
    kdig @127.0.0.1 -p "$port" +time=3 +retry=0 "$@"
}

# asks TEXT QUERY...: the answer holds it
asks() {
    text=$1
    shift
    dig "$@" >"$dir/answer"
    grep -q "$text" "$dir/answer" || fail "$* does not say $text: $(cat "$dir/answer")"
}

# counted FILE TYPE: how many of the type the file holds
counted() {
    "$tap_count" "$1" | sed -n "s/^$2 //p" | grep . || echo 0
}

perf() {
    dnsperf -s 127.0.0.1 -p "$port" -d "$dir/queries" -l "$1" -c 4 -q 50 >"$dir/perf" 2>&1
    sent=$(sed -n 's/.*Queries sent: *//p' "$dir/perf")
    lost=$(sed -n 's/.*Queries lost: *\([0-9]*\).*/\1/p' "$dir/perf")
    echo "  $sent queries, $lost lost, $(sed -n 's/.*Queries per second: *//p' "$dir/perf")/s"
    [ "$sent" -gt 1000 ] && [ "$lost" -eq 0 ] || fail "$(cat "$dir/perf")"
}

up=$(free_port)
port=$(free_port)
start_knot
i=0
while [ $i -lt 1000 ]; do
    echo "n$i.many.example.test A"
    i=$((i + 1))
done >"$dir/queries"

echo "answers, and what the tap tells of them"
start answers --threads 1 --tap "$dir/answers.fstrm"
asks 'www.example.test.*600.*192.0.2.80' www.example.test A
sleep 1.1
asks 'www.example.test.*59[0-9].*192.0.2.80' www.example.test A
asks '192.0.2.80' +tcp www.example.test A
asks 'RRSIG\|NOERROR' +dnssec www.example.test A
asks NXDOMAIN nothere.example.test A
asks NXDOMAIN nothere.example.test A
asks '10-0000' big.example.test TXT                  # truncated, asked again over TCP on both sides
asks 'Flags:.* tc ' +ignore +noedns big.example.test TXT # from the cache, too long for UDP
asks NOTIMPL www.example.test NOTIFY
stop
[ "$queries" -eq "$replies" ] && [ "$timeouts" -eq 0 ] || fail "$(cat "$dir/answers.out")"
[ "$hits" -ge 5 ] || fail "only $hits hits"
file=$dir/answers.fstrm
[ "$(counted "$file" CLIENT_QUERY)" -eq "$queries" ] || fail "$("$tap_count" "$file")"
[ "$(counted "$file" CLIENT_RESPONSE)" -eq "$replies" ] || fail "$("$tap_count" "$file")"
asked=$(counted "$file" FORWARDER_QUERY)
[ "$asked" -eq "$(counted "$file" FORWARDER_RESPONSE)" ] || fail "$("$tap_count" "$file")"
[ "$asked" -gt "$forwarded" ] || fail "no query over TCP to upstream"

echo "entries that leave the cache"
start events --threads 1 --tap "$dir/events.fstrm" --events --cache 20000
asks 192.0.2.81 short.example.test A
sleep 1.5
asks 192.0.2.81 short.example.test A
perf 0.5
stop
[ "$(counted "$dir/events.fstrm" CACHE_EXPIRY)" -ge 1 ] || fail "$("$tap_count" "$dir/events.fstrm")"
[ "$(counted "$dir/events.fstrm" CACHE_PURGE)" -ge 100 ] || fail "$("$tap_count" "$dir/events.fstrm")"

echo "under load, to a file"
start load --tap "$dir/load.fstrm"
perf 2
stop
[ "$dropped" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$accepted" -eq "$written" ] ||
    fail "$(cat "$dir/load.out")"
[ "$(counted "$dir/load.fstrm" CLIENT_RESPONSE)" -eq "$sent" ] || fail "$("$tap_count" "$dir/load.fstrm")"

echo "under load, to a collector that is down"
start down --tap "unix:$dir/nobody.sock" --ring 100000
perf 2
stop
[ "$dropped" -gt 0 ] && [ "$written" -eq 0 ] && [ "$accepted" -eq "$failed" ] ||
    fail "$(cat "$dir/down.out")"
