#!/bin/sh
# forwarder_bench.sh FORWARDER: does a server notice that it carries the tap? The same queries, answered
# from the cache, with no tap and with collectors that are well, stalled, down and flapping. Two figures
# each, medians of ROUNDS taken in turns: queries per second that dnsperf gets out of it, and the
# latency that it sees at a RATE that leaves the processor room. Server, collector and dnsperf share
# the machine, so a collector that works takes its share of the first figure.
set -eu
forwarder=$1
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-3} rate=${RATE:-10000}
dir=$(mktemp -d)
knot= served= collector=
stop_all() {
    [ -z "$collector" ] || kill -CONT "$collector" 2>/dev/null || :
    kill $collector $served $knot 2>/dev/null || :
    wait
}
trap 'stop_all; rm -rf "$dir"' EXIT

free_port() {
    while :; do
        free=$(($(od -An -N2 -tu2 /dev/urandom) % 30000 + 20000))
        ss -Hltun "sport = :$free" | grep -q . || break
    done
    echo "$free"
}

start_upstream() {
    cat >"$dir/knot.conf" <<EOF
server:
    listen: 127.0.0.1@$up
    rundir: $dir
database:
    storage: $dir
zone:
  - domain: example.test
    file: $dir/zone
    zonefile-sync: -1
    journal-content: none
EOF
    printf '$ORIGIN example.test.\n@ 3600 SOA ns a 1 3600 600 86400 300\n@ 3600 NS ns\nns A 127.0.0.1\n' \
        >"$dir/zone"
    echo '*.many 3600 A 192.0.2.1' >>"$dir/zone"
    knotd -c "$dir/knot.conf" >"$dir/knot.log" 2>&1 &
    knot=$!
    i=0
    while [ $i -lt 1000 ]; do
        echo "n$i.many.example.test A"
        i=$((i + 1))
    done >"$dir/queries"
    sleep 1
}

capture() {
    exec fstrm_capture -t protobuf:dnstap.Dnstap -u "$dir/tap.sock" -w /dev/null 2>/dev/null
}

flap() {
    child=
    trap 'kill $child 2>/dev/null; exit' TERM
    while :; do
        capture &
        child=$!
        sleep 0.1
        kill "$child"
        wait "$child" || :
        sleep 0.1
    done
}

# begin KIND: the forwarder and its collector
begin() {
    tap="--tap unix:$dir/tap.sock"
    collector=
    rm -f "$dir/tap.sock"
    case $1 in
    off) tap= ;;
    healthy | stalled)
        capture &
        collector=$!
        ;;
    flapping)
        flap &
        collector=$!
        ;;
    esac
    sleep 0.3
    "$forwarder" --listen "127.0.0.1@$port" --upstream "127.0.0.1@$up" $tap >"$dir/out" 2>"$dir/err" &
    served=$!
    sleep 0.5
    [ "$1" != stalled ] || kill -STOP "$collector"
    dnsperf -s 127.0.0.1 -p "$port" -d "$dir/queries" -n 1 >/dev/null 2>&1 # fills the cache
}

end() {
    kill "$served"
    wait "$served" || :
    [ -z "$collector" ] || kill -CONT "$collector" 2>/dev/null || :
    [ -z "$collector" ] || kill "$collector" 2>/dev/null || :
    [ -z "$collector" ] || wait "$collector" || :
    served= collector=
}

# percentiles FILE: p50, p99 and p999 of the latencies in dnsperf's verbose output, in microseconds
percentiles() {
    awk '/^> /{printf "%.0f\n", $NF * 1e6}' "$1" | sort -n |
        awk '{v[NR] = $1} END {print v[int(NR * .5)], v[int(NR * .99)], v[int(NR * .999)]}'
}

measure() {
    begin "$1"
    dnsperf -s 127.0.0.1 -p "$port" -d "$dir/queries" -l "$seconds" -c 32 -q 100 >"$dir/perf" 2>&1
    qps=$(sed -n 's/.*Queries per second: *\([0-9]*\).*/\1/p' "$dir/perf")
    lost=$(sed -n 's/.*Queries lost: *\([0-9]*\).*/\1/p' "$dir/perf")
    dnsperf -s 127.0.0.1 -p "$port" -d "$dir/queries" -l "$seconds" -c 32 -Q "$rate" -v >"$dir/slow" 2>&1
    end
    echo "$qps $lost $(percentiles "$dir/slow")" >>"$dir/$1.results"
    sed -n 's/^tap //p' "$dir/out" >"$dir/$1.tap"
}

# median KIND COLUMN
median() {
    awk "{print \$$2}" "$dir/$1.results" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

up=$(free_port) port=$(free_port)
start_upstream
round=0
while [ $round -lt "$rounds" ]; do
    for kind in off healthy stalled down flapping; do
        measure $kind
    done
    round=$((round + 1))
done
printf '%-10s %12s %6s %8s %8s %8s   %s\n' collector queries/s lost p50/µs p99/µs p999/µs 'the tap, last round'
for kind in off healthy stalled down flapping; do
    printf '%-10s %12s %6s %8s %8s %8s   %s\n' $kind "$(median $kind 1)" "$(median $kind 2)" \
        "$(median $kind 3)" "$(median $kind 4)" "$(median $kind 5)" "$(cat "$dir/$kind.tap")"
done
