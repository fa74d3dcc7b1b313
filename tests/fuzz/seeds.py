"""seeds.py FOLDER: the seeds of every fuzz target, from tests/data: a folder each."""

import glob
import gzip
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data")
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import nmsg  # noqa: E402
import text  # noqa: E402

EACH = 60  # of every corpus


def put(folder, target, seeds):
    path = os.path.join(folder, target)
    os.makedirs(path, exist_ok=True)
    for i, seed in enumerate(seeds):
        with open(os.path.join(path, f"seed-{i}"), "wb") as f:
            f.write(seed)


folder = sys.argv[1]
messages, streams = [], []
for path in sorted(glob.glob(os.path.join(DATA, "*.fstrm.gz"))):
    with gzip.open(path) as f:
        found = list(text.frames(f.read()))
    some = found[:: max(1, len(found) // EACH)]
    messages += some
    streams.append(b"\x07" + text.stream_of(some[:5]))
event = (text.number(15, 1000) + text.varint(1000 << 3 | 2) + b"\x0f"
         + text.number(1, 8) + text.octets(5, b"\7example\0") + text.number(6, 1))
put(folder, "dnstap", messages + [event])
put(folder, "json", messages + [event])
small = [m for path in sorted(glob.glob(os.path.join(DATA, "*.fstrm"))) for m in text.frames(open(path, "rb").read())]
settings = range(7 + 2 * 16 * 9)  # of fuzz_policy.c: the policies that are listed, and those it makes
put(folder, "policy", [(i % len(settings)).to_bytes(2, "big") + m for i, m in enumerate(messages)]
    + [i.to_bytes(2, "big") + event for i in range(7)] + [i.to_bytes(2, "big") + m for m in small for i in settings])
put(folder, "list", [bytes([i]) + open(path, "rb").read() for path in sorted(glob.glob(os.path.join(DATA, "*.txt"))) for i in range(2)]
    + [b"\0*.example\n.\nm\xc3\xbcnchen.example\na\\046b.example", b"\2192.0.2.0/24 ; x\n::1\n", b"\3ns1\n", b"\4A\nTYPE65280\n", b"\5NXDOMAIN\n3\n"])
put(folder, "dns", [dns for m in messages for dns in text.dns_of(m)] + list(text.name_edges())[:40])
put(folder, "stream", streams)
put(folder, "bus", [b"dnstap/raw\0\0\0\0\0" + text.stream_of([])[:0], b"dnstap/raw\0\0\0\0\2\x08\1\0\0\0\1x"])
put(folder, "endpoint", [b"x.json#format=json,raw", b"tcp:[::1]:1#when-full=drop", b"nng+tcp:a:1#socket=pub,buffer=3",
                         b"-#format=text", b"unix:/x#ring=1MiB", b"x#loop=3,rate=10/s", b"nmsg+udp:h:1#mtu=512,zlib"])
put(folder, "config", [b"hop: a\nsources: { s: { url: 'unix:/s', max-frame: 1KiB } }\nsinks: { k: '-#format=text' }\n",
                       b"sources:\n  a: &x '-'\nsinks:\n  b: *x\n  c: { url: 'http://h/', header: ['A: 1', 'B: 2'] }\n",
                       b"sinks: { k: { url: 'kafka://b:1/t', format: frames, linger.ms: 3, sasl.password: x } }\n"])
put(folder, "nmsg", [c for path in glob.glob(os.path.join(DATA, "vectors", "*.nmsg"))
                     for c in nmsg.containers(open(path, "rb").read())])


def receipt(first, last, **more):
    fields = {"as": "sender", "type": "interval", "link": "h:0000000000000001:t", "interval": 0, "part": 0, "first": first,
              "last": last, "messages": last - first + 1, "octets": 9, "duplicates": 0, "shared": False, "epoch": 0,
              "policy": "none", "missing": [], "refused": [], "running": "00" * 32,
              "blocks": [[first, last, "ab" * 32]]}
    return json.dumps({**fields, **more}, separators=(",", ":"))[1:-1].encode() + b"\n"


theirs = {"as": "receiver"}
put(folder, "receipts", [
    receipt(0, 9) + receipt(10, 19, interval=1) + b"-\n" + receipt(0, 9, **theirs) + receipt(10, 19, interval=1, **theirs),
    receipt(0, 9) + b"-\n" + receipt(0, 4, **theirs, missing=[[5, 9]]) + receipt(7, 7, **theirs, policy="cd" * 32),
    receipt(0, 9, shared=True, blocks=[]) + b"-\n" + receipt(0, 5, shared=True, blocks=[], **theirs),
    receipt(0, 9) + receipt(4090, 4095) + b"-\n" + receipt(0, 9, **theirs, refused=[[20, 30]], blocks=[[0, 9, "ac" * 32]])
    + receipt(50, 60, **theirs, more_missing={"ranges": 3, "messages": 7})])
