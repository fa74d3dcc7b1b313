"""A partner that lies in its envelopes, on the wire: what it writes neither fills, nor forges, nor wraps what we keep and show."""

import json
import os
import re
import socket
import struct
import urllib.request

import lab


def varint(n):
    out = b""
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return out


def number(field, n):
    return varint(field << 3) + varint(n)


def octets(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def hop(name, instance, received=0, **counters):
    """bus.HopLedger"""
    fields = {"received": 3, "dropped": 4, "filtered": 5, "malformed": 6, "failed": 7, "delivered": 8, "lost": 9}
    body = octets(1, name) + varint(2 << 3 | 1) + struct.pack("<Q", instance)
    for key, value in {"received": received, **counters}.items():
        body += number(fields[key], value)
    return body


def bus_message(sequence, messages, path, count=None, final=False, channel=b"raw"):
    """docs/bus-format.md"""
    envelope = number(1, sequence) + number(2, len(messages) if count is None else count)
    envelope += b"".join(octets(6, h) for h in path) + (number(5, 1) if final else b"")
    return (b"dnstap/" + channel + b"\0" + struct.pack(">I", len(envelope)) + envelope +
            b"".join(struct.pack(">I", len(m)) + m for m in messages))


class Liar:
    """A push socket of nng, by hand."""

    def __init__(self, port):
        self.sock = lab.connect(("127.0.0.1", port))
        self.sock.sendall(b"\0SP\0\0\x50\0\0")
        assert lab.receive_exactly(self.sock, 8) == b"\0SP\0\0\x51\0\0"

    def send(self, message):
        self.sock.sendall(struct.pack(">Q", len(message)) + message)

    def close(self):
        self.sock.close()


class Envelopes(lab.Case):
    def setUp(self):
        super().setUp()
        self.port, self.status = lab.free_port(), lab.free_port()
        self.message = lab.split(lab.corpus_octets("bind"))[0]
        self.args = ("--from", f"nng+tcp:127.0.0.1:{self.port}", "--to", self.path("out.fstrm"), "--status",
                     f"127.0.0.1:{self.status}")
        self.hop = self.bridge(*self.args).ready()

    def liar(self):
        liar = Liar(self.port)
        self.addCleanup(liar.close)
        return liar

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status}{path}", timeout=lab.PATIENCE) as answer:
            return answer.read()

    def received(self, n):
        def look():
            ledger = json.loads(self.get("/ledger"))
            return ledger["routes"][0]["received"] >= n and ledger
        return lab.eventually(f"{n} messages received", look)

    def test_the_schema_is_as_written_here(self):
        """Otherwise the lies below would all be refused as garbage."""
        liar = self.liar()
        liar.send(bus_message(0, [self.message] * 3, [hop(b"tap", 7, 10, delivered=10), hop(b"sender", 9, 12, delivered=10, dropped=2)]))
        liar.send(bus_message(5, [self.message], [hop(b"sender", 9, 20)]))
        link = self.received(4)["upstream"][0]
        self.assertEqual((link["hop"], link["received"], link["lost"], link["next"]), ("sender", 4, 2, 6))
        self.assertEqual([h["hop"] for h in link["path"]], ["tap", "sender"])
        self.assertEqual(link["path"][0]["delivered"], 10)

    def test_names_forge_no_ledger(self):
        name = b"evil\x1b[2J\n  lost before this hop: 0\r\x9b31m"
        self.liar().send(bus_message(0, [self.message], [hop(name, 1), hop(b"x\n" + name, 2)]))
        self.liar().send(bus_message(9, [self.message], [hop(name, 2)]))
        self.received(2)
        self.hop.now()
        self.assertEqual(self.hop.stop(), 1)  # eight are lost
        log = lab.read_file(self.hop.log_path)
        self.assertNotIn(b"\x1b", log)
        self.assertNotIn(b"\r", log)
        self.assertEqual(set(re.findall(rb"^  lost before this hop: (\d+)$", log, re.M)), {b"8"})

    def test_numbers_wrap_no_sum(self):
        liar = self.liar()
        liar.send(bus_message(0, [self.message], [hop(b"liar", 1)]))
        liar.send(bus_message(100, [self.message], [hop(b"liar", 1)]))  # 99 are lost, whatever it says later
        most = 2**64 - 1
        for first in (most, most - 1, 2**63, 2**53):
            liar.send(bus_message(first, [self.message], [hop(b"liar", 1)]))
        liar.send(bus_message(101, [self.message], [hop(b"liar", 1, received=most)]))
        liar.send(bus_message(101, [self.message], [hop(b"liar", 1, received=1, failed=2**52, dropped=5)]))
        ledger = self.received(8)
        self.assertEqual((ledger["lost"], ledger["upstream"][0]["lost"]), (99, 99))
        self.assertEqual(ledger["routes"][0]["malformed"], 5)
        self.assertEqual(ledger["upstream"][0]["path"][0]["in_flight"], 0)
        self.assertEqual(self.hop.stop(), 1)

    def test_links_and_hops_stay_within_the_ceiling(self):
        honest = self.liar()
        honest.send(bus_message(0, [self.message], [hop(b"honest", 2**63)]))
        liars = [self.liar() for _ in range(20)]
        n = 1
        for i in range(150):
            for k, liar in enumerate(liars):
                base = 1 + (k * 1000 + i) * 100
                liar.send(bus_message(0, [self.message], [hop(b"h" * 63, base + j) for j in range(1, 32)] + [hop(b"liar", base)]))
                n += 1
        honest.send(bus_message(3, [self.message], [hop(b"honest", 2**63)]))
        ledger = self.received(n + 1)
        links = {link["hop"]: link for link in ledger["upstream"]}
        self.assertEqual(links["honest"]["lost"], 2)  # it was followed all the time
        self.assertLessEqual(len(ledger["upstream"]), 1 + 20 * 8)
        self.assertLessEqual(sum(len(link["path"]) for link in ledger["upstream"]), 2048 + 1024)
        self.assertLess(len(self.get("/ledger")), 2 << 20)
        self.assertLess(len(self.get("/metrics")), 12 << 20)
        self.assertLess(self.hop.log().count("\n"), 100)
        if not os.environ.get("TEST_SHORT"):  # sanitizers take memory of their own
            self.assertLess(self.hop.peak_octets(), lab.ceiling(*self.args[:3], self.path("other.fstrm"), *self.args[4:]))
        self.assertEqual(self.hop.stop(), 1)


if __name__ == "__main__":
    lab.main()
