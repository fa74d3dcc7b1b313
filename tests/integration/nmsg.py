"""NMSG over UDP in both directions: what is sent is taken apart by a decoder of this file's own, and what others'
tools wrote is taken in. Each datagram counts."""

import os
import random
import shutil
import socket
import struct
import subprocess
import time
import zlib

import lab
import text

VECTORS = os.path.join(text.DATA, "vectors")
CRC = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    CRC.append(n)


def stored_crc(octets):
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = crc >> 8 ^ CRC[(crc ^ octet) & 255]
    return int.from_bytes((crc ^ 0xFFFFFFFF).to_bytes(4, "big"), "little")


def single(message):
    return dict(text.fields(message))


class Decoder:
    """Checks what it can of every datagram, and keeps the payloads."""

    def __init__(self, size):
        self.size = size
        self.payloads, self.sequences, self.ids = [], [], set()
        self.fragments, self.compressed, self.datagrams = {}, 0, 0

    def take(self, datagram):
        assert len(datagram) <= self.size, len(datagram)
        magic, flags, version, length = struct.unpack_from(">4sBBI", datagram)
        assert (magic, version, length) == (b"NMSG", 2, len(datagram) - 10)
        self.datagrams += 1
        body = datagram[10:]
        if flags & 2:
            f = single(body)
            pieces = self.fragments.setdefault(f[1], {})
            pieces[f[2]] = f[4]
            assert len(f[4]) == self.size - 32 or f[2] == f[3]
            if len(pieces) <= f[3]:
                return
            body = b"".join(pieces[i] for i in range(f[3] + 1))
            assert stored_crc(body) == f[5]
        if flags & 1:
            whole = zlib.decompress(body[4:])
            assert len(whole) == int.from_bytes(body[:4], "big")
            assert len(body) < len(whole)
            body = whole
            self.compressed += 1
        payloads = [v for n, v in text.fields(body) if n == 1]
        crcs = [v for n, v in text.fields(body) if n == 2]
        last = single(body)
        self.sequences.append(last[3])
        self.ids.add(last[4])
        assert len(payloads) == len(crcs) > 0
        for payload, crc in zip(payloads, crcs):
            p = single(payload)
            assert stored_crc(p[5]) == crc
            self.payloads.append(p)


def containers(octets):
    at = 0
    while at < len(octets):
        end = at + 10 + int.from_bytes(octets[at + 6:at + 10], "big")
        yield octets[at:end]
        at = end


def own_time(message):
    m = single(single(message)[14])
    response = m[1] % 2 == 0 and 12 in m or 8 not in m
    return (m.get(12, 0), m.get(13, bytes(4))) if response else (m.get(8, 0), m.get(9, bytes(4)))


class Sends(lab.Case):
    def send(self, stream, options="", size=1280, expect=0):
        """What arrives of a stream; the sink's ledger."""
        path = self.write("stream-%d" % random.randrange(1 << 30), stream)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0.3)
            # slow enough that the socket's buffer holds what we have not read
            url = "nmsg+udp:127.0.0.1:%d#rate=8000/s%s" % (sock.getsockname()[1], options)
            bridge = self.bridge("--from", path, "--to", url)
            decoder = Decoder(size)
            while True:
                try:
                    decoder.take(sock.recv(65536))
                except socket.timeout:
                    if bridge.process.poll() is not None:
                        break
            self.assertEqual(bridge.wait(), expect, bridge.log())
        self.assertEqual(decoder.sequences, list(range(len(decoder.sequences))))
        self.assertLessEqual(len(decoder.ids), 1)
        return decoder, bridge.route()

    def mix(self):
        return lab.read_file(os.path.join(VECTORS, "mix.fstrm"))

    def test_dnstap_of_all_sizes_plain_and_compressed(self):
        messages = list(text.frames(self.mix()))
        long = text.octets(3, random.Random(1).randbytes(20000)) + messages[0]
        stream = text.stream_of(messages + [long])
        for options, size in (("", 1280), (",mtu=8192", 8192), (",mtu=512", 512), (",zlib", 1280),
                              (",mtu=8192,zlib,source-id=5,operator=6,group=7", 8192)):
            with self.subTest(options=options):
                decoder, route = self.send(stream, options, size)
                self.assertEqual([p[5] for p in decoder.payloads], messages + [long])
                self.assertEqual(route["delivered"], len(messages) + 1)
                self.assertTrue(decoder.fragments)
                self.assertEqual("zlib" in options, decoder.compressed > 0)
                for payload, message in zip(decoder.payloads, messages):
                    self.assertEqual((payload[1], payload[2]), (1, 13))
                    self.assertEqual((payload[3], payload[4]), own_time(message))
                    want = (5, 6, 7) if "group" in options else (None, None, None)
                    self.assertEqual(tuple(map(payload.get, (7, 8, 9))), want)

    def test_every_corpus_arrives(self):
        for name in ("bind", "recursor", "dnsdist"):
            decoder, route = self.send(lab.corpus_octets(name), ",mtu=8192", 8192)
            self.assertEqual([p[5] for p in decoder.payloads], lab.split(lab.corpus_octets(name)), name)

    def test_dnsqr(self):
        messages = list(text.frames(self.mix()))
        decoder, route = self.send(text.stream_of(messages), ",type=dnsqr,mtu=8192", 8192)
        udp = [m for m in messages if single(single(m)[14]).get(3) == 1]
        self.assertEqual(route["delivered"], len(udp))
        self.assertEqual(route["filtered"], len(messages) - len(udp))
        self.assertEqual(len(decoder.payloads), len(udp))
        self.assertGreater(len(udp), 50)
        for payload, message in zip(decoder.payloads, udp):
            self.assertEqual(payload[2], 9)
            self.check_dnsqr(single(payload[5]), single(single(message)[14]))

    def check_dnsqr(self, qr, m):
        kind = {(True, True): 1, (True, False): 6, (False, True): 7}[10 in m, 14 in m]
        self.assertEqual((qr[1], qr[4], qr[21]), (kind, 17, 3))
        self.assertEqual((qr[5], qr[6]), (m.get(6, 0), m.get(7, 0)))
        dns = m.get(14, m.get(10))
        self.assertEqual(qr[7], int.from_bytes(dns[:2], "big"))
        for field, key, ends in ((12, 10, (qr[2], qr[3], qr[5], qr[6])), (15, 14, (qr[3], qr[2], qr[6], qr[5]))):
            self.assertEqual(field in qr, key in m)
            if field in qr:
                self.check_packet(qr[field], m[key], ends)

    def check_packet(self, packet, dns, ends):
        source, target, source_port, target_port = ends
        if packet[0] == 0x45:
            self.assertEqual(ones_sum(packet[:20]), 0xFFFF)
            self.assertEqual(int.from_bytes(packet[2:4], "big"), len(packet))
            self.assertEqual((packet[9], packet[12:16], packet[16:20]), (17, source, target))
            udp = packet[20:]
        else:
            self.assertEqual(packet[0] >> 4, 6)
            self.assertEqual((packet[6], packet[8:24], packet[24:40]), (17, source, target))
            self.assertEqual(int.from_bytes(packet[4:6], "big"), len(packet) - 40)
            udp = packet[40:]
        self.assertEqual(struct.unpack_from(">HHH", udp), (source_port, target_port, len(udp)))
        self.assertEqual(ones_sum(source + target + struct.pack(">II", len(udp), 17) + udp), 0xFFFF)
        self.assertEqual(udp[8:], dns)

    def test_dnsobs(self):
        messages = list(text.frames(self.mix()))
        decoder, route = self.send(text.stream_of(messages), ",type=dnsobs", 1280)
        responses = [single(single(m)[14]) for m in messages if 14 in single(single(m)[14])]
        responses = [m for m in responses if 5 in m and 12 in m]
        self.assertEqual(route["delivered"], len(responses))
        self.assertEqual(len(decoder.payloads), len(responses))
        for payload, m in zip(decoder.payloads, responses):
            obs = single(payload[5])
            self.assertEqual(payload[2], 14)
            self.assertEqual((obs[1], obs[2], obs[7], obs.get(8)), (m[12], m[5], m[14], m.get(11)))
            self.assertEqual(obs[6], m[14][3] & 15)
            self.assertEqual(m[14][12:12 + len(obs[3])].lower(), obs[3].lower())

    def test_a_lone_message_goes_after_the_flush_time(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)
            source = "unix:" + self.path("sock")
            bridge = self.bridge("--from", source, "--to",
                                 "nmsg+udp:127.0.0.1:%d#flush=50ms" % sock.getsockname()[1]).ready()
            sender = lab.sender(self.path("sock"))
            message = list(text.frames(self.mix()))[0]
            sender.sendall(lab.data(message))
            decoder = Decoder(1280)
            decoder.take(sock.recv(65536))
            self.assertEqual(decoder.payloads[0][5], message)
            lab.eventually("settled", lambda: bridge.now()[0]["delivered"] == 1)
            lab.finish(sender)
            self.assertEqual(bridge.stop(), 0)

    def test_nobody_there(self):
        path = self.write("stream", self.mix())
        bridge = self.bridge("--from", path, "--to", "nmsg+udp:127.0.0.1:%d" % lab.free_port())
        bridge.wait()
        route = bridge.route()
        self.assertEqual(route["delivered"] + route["failed"], 200)

    def test_what_cannot_go_in_time_stays_in_flight(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)
            url = "nmsg+udp:127.0.0.1:%d#rate=1/s" % sock.getsockname()[1]
            bridge = self.bridge("--from", self.write("stream", self.mix()), "--to", url, "--drain-timeout", "200ms")
            decoder = Decoder(1280)
            decoder.take(sock.recv(65536))
            self.assertEqual(bridge.stop(), 1)
            sock.settimeout(0.2)
            try:
                while True:
                    decoder.take(sock.recv(65536))
            except socket.timeout:
                pass
        route = bridge.route()
        self.assertEqual(route["delivered"], len(decoder.payloads))
        self.assertGreater(route["in_flight"], 0)
        self.assertEqual(route["delivered"] + route["in_flight"], route["received"])

    def test_format_nmsg_is_one_container_a_message(self):
        path = self.write("stream", self.mix())
        bridge = self.bridge("--from", path, "--to", self.path("out") + "#format=nmsg,zlib,group=3")
        self.assertEqual(bridge.wait(), 0, bridge.log())
        messages = []
        for container in containers(lab.read_file(self.path("out"))):
            body = container[10:]
            if container[4] & 1:
                body = zlib.decompress(body[4:])
            (payload,) = (single(v) for n, v in text.fields(body) if n == 1)
            self.assertEqual((payload[1], payload[2], payload[9], stored_crc(payload[5])), (1, 13, 3, single(body)[2]))
            messages.append(payload[5])
        self.assertEqual(messages, list(text.frames(self.mix())))

    def test_the_go_library_reads_it(self):
        """Containers of all kinds through github.com/farsightsec/go-nmsg, which checks CRCs and joins fragments."""
        library = "/usr/share/gocode/src/github.com/farsightsec/go-nmsg"
        if not shutil.which("go") or not os.path.isdir(library):
            self.skipTest("go or golang-github-farsightsec-go-nmsg-dev is not installed")
        program = self.write("main.go", GO_READER.encode())
        env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="")
        built = subprocess.run(["go", "build", "-o", self.path("reader"), program], env=env, capture_output=True)
        if built.returncode != 0:
            self.skipTest("go-nmsg does not build here: " + built.stderr.decode()[:200])
        stream = self.write("mix", self.mix())
        for options in ("nmsg", "nmsg,zlib", "nmsg,type=dnsqr", "nmsg,type=dnsobs,zlib,group=9"):
            out = self.path(options + ".out")
            bridge = self.bridge("--from", stream, "--to", out + "#format=" + options)
            bridge.wait()
            count = subprocess.run([self.path("reader"), out], capture_output=True, check=True).stdout
            self.assertEqual(int(count), bridge.route()["delivered"], options)

    def test_mistakes(self):
        for url, word in (("nmsg+udp:127.0.0.1:1#format=json", "type="), ("nmsg+udp:127.0.0.1:1#mtu=100", "512"),
                          ("nmsg+udp:127.0.0.1:1#type=email", "dnsqr"), ("x#format=json,zlib", "format=nmsg"),
                          ("nmsg+udp:239.1.2.3:9#iface=nosuch0", "nosuch0")):
            code, out, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", url)
            self.assertEqual((code, err.count("\n")), (2, 1), err)
            self.assertIn(word, err)


GO_READER = """package main

import (
	"fmt"
	"io"
	"os"

	nmsg "github.com/farsightsec/go-nmsg"
	_ "github.com/farsightsec/go-nmsg/nmsg_base"
)

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	input := nmsg.NewInput(file, 1<<20)
	count := 0
	for {
		payload, err := input.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		if *payload.Msgtype == 9 { // the library knows neither dnstap nor dnsobs
			if _, err := payload.Message(); err != nil {
				panic(err)
			}
		}
		count++
	}
	fmt.Println(count)
}
"""


def ones_sum(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(">%dH" % (len(octets) // 2), octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Takes(lab.Case):
    def open(self, options=""):
        port = lab.free_port()
        self.out = self.path("out")
        bridge = self.bridge("--from", "nmsg+udp:127.0.0.1:%d%s" % (port, options), "--to", self.out).ready()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.connect(("127.0.0.1", port))
        return bridge, sock

    def settled(self, bridge, n):
        lab.eventually("%d messages" % n, lambda: bridge.now()[0]["received"] >= n)

    def test_vectors_of_other_tools(self):
        want = list(text.frames(lab.read_file(os.path.join(VECTORS, "mix.fstrm"))))
        for name, n in (("mix.nmsg", 200), ("mix-zlib.nmsg", 200), ("mix-frag.nmsg", 20)):
            with self.subTest(vector=name):
                bridge, sock = self.open()
                for datagram in containers(lab.read_file(os.path.join(VECTORS, name))):
                    sock.send(datagram)
                self.settled(bridge, n)
                self.assertEqual(bridge.stop(), 0, bridge.log())
                self.assertEqual(lab.frames_of(self.out), want[:n])
                os.unlink(self.out)

    def test_what_is_broken_is_malformed(self):
        bridge, sock = self.open("#fragment-age=100ms")
        whole = next(containers(lab.read_file(os.path.join(VECTORS, "mix.nmsg"))))
        payloads = [single(v)[5] for n, v in text.fields(whole[10:]) if n == 1]
        wrong = bytearray(whole)
        wrong[wrong.index(payloads[0]) + 20] ^= 1
        fragments = list(containers(lab.read_file(os.path.join(VECTORS, "mix-frag.nmsg"))))
        foreign = text.octets(1, text.number(1, 2) + text.number(2, 1) + text.number(3, 0) + text.fixed32(4, 0) + text.octets(5, b"x"))
        for datagram in (b"", b"hello", whole[:-1], whole + b"x", b"NMSG\1\2\0\0\0\4\0\0\0\1",
                         b"NMSG\0\2" + struct.pack(">I", len(foreign)) + foreign):
            sock.send(datagram)
        sock.send(bytes(wrong))
        self.settled(bridge, 6 + len(payloads))
        sock.send(fragments[0])
        time.sleep(0.3)
        sock.send(whole)
        self.settled(bridge, 6 + 2 * len(payloads) + 1)
        self.assertEqual(bridge.stop(), 1)
        route = bridge.route()
        self.assertEqual((route["malformed"], route["delivered"]), (6 + 1 + 1, 2 * len(payloads) - 1))

    def test_gaps_are_lost(self):
        bridge, sock = self.open()
        stream = list(containers(lab.read_file(os.path.join(VECTORS, "mix-zlib.nmsg"))))
        sock.send(stream[0])
        sock.send(stream[3])
        lab.eventually("two containers", lambda: "lost" in bridge.log())
        bridge.stop()
        self.assertEqual([(link["joined_at"], link["lost"]) for link in bridge.ledger()["upstream"]], [(0, 2)])

    def numbered(self, number, identifier):
        """A container of one message with this number."""
        first = next(containers(lab.read_file(os.path.join(VECTORS, "mix.nmsg"))))
        payload = text.octets(1, [v for n, v in text.fields(first[10:]) if n == 1][0])
        body = payload + text.number(3, number) + text.number(4, identifier)
        return b"NMSG\0\2" + struct.pack(">I", len(body)) + body

    def test_two_senders_with_one_id(self):
        bridge, sock = self.open()
        other = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.connect(sock.getpeername())
        for i in range(20):
            sock.send(self.numbered(i, 5))
            other.send(self.numbered(4000 + i, 5))
        self.settled(bridge, 40)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual([(link["received"], link["lost"], link["duplicates"]) for link in bridge.ledger()["upstream"]],
                         [(20, 0, 0)] * 2)

    def test_a_number_that_wraps(self):
        bridge, sock = self.open()
        for i in range(6):
            sock.send(self.numbered((2 ** 32 - 3 + i) % 2 ** 32, 5))
        self.settled(bridge, 6)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        [link] = bridge.ledger()["upstream"]
        self.assertEqual((link["received"], link["lost"], link["duplicates"]), (6, 0, 0))

    def test_forged_senders_push_nobody_out(self):
        bridge, sock = self.open("#receive-buffer=8MiB")
        sock.send(self.numbered(0, 5))
        sent = 1
        for i in range(3000):
            sock.send(self.numbered(i, 1000000 + i))
            sent += 1
            if i % 100 == 99:
                lab.eventually("the datagrams", lambda: bridge.now()[0]["received"] == sent)
        sock.send(self.numbered(3, 5))
        bridge.wait_log("2 messages lost")
        bridge.stop()
        links = bridge.ledger()["upstream"]
        self.assertEqual([(link["received"], link["lost"]) for link in links if link["lost"]], [(2, 2)])
        self.assertLessEqual(len(links), 64)
        lines = [line for line in bridge.log().splitlines() if "level=" in line]
        self.assertLess(len(lines), 100)

    def test_a_multicast_group_on_the_loopback_interface(self):
        port = lab.free_port()
        group = "nmsg+udp:239.192.0.77:%d" % port
        far = self.bridge("--from", group + "#iface=lo", "--to", self.path("out"), hop="far")
        try:
            far.ready()
        except AssertionError as error:
            self.skipTest("no multicast here: %s" % error)
        near = self.bridge("--from", lab.corpus("bind"), "--to", group + "#iface=lo,ttl=1,rate=2000/s", hop="near")
        self.assertEqual(near.wait(), 0, near.log())
        self.settled(far, 893)
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.read_file(self.path("out")), lab.corpus_octets("bind"))

    def test_memory_stays_under_what_check_says(self):
        """Fragments that never come whole: the oldest make room, and each is counted."""
        port = lab.free_port()
        url = "nmsg+udp:127.0.0.1:%d#fragments=64KiB,fragment-age=1h,receive-buffer=8MiB" % port
        bridge = self.bridge("--from", url, "--to", self.path("out")).ready()
        first = next(containers(lab.read_file(os.path.join(VECTORS, "mix-frag.nmsg"))))
        piece = single(first[10:])[4]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            for i in range(3000):
                body = text.number(1, i) + text.number(2, 0) + text.number(3, 1000) + text.octets(4, piece)
                sock.send(b"NMSG\0\2"[:4] + b"\2\2" + struct.pack(">I", len(body)) + body)
                if i % 50 == 49:
                    time.sleep(0.005)
        lab.eventually("most were given up", lambda: bridge.now()[0]["malformed"] > 2900)
        if not os.environ.get("TEST_SHORT"):  # sanitizers take their own memory
            self.assertLess(bridge.peak_octets(), lab.ceiling("--from", url, "--to", self.path("out")))
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route()["delivered"], 0)

    def test_two_hops(self):
        bridge, sock = self.open("#receive-buffer=8MiB")
        port = sock.getpeername()[1]
        near = self.bridge("--from", lab.corpus("bind"), "--to", "nmsg+udp:127.0.0.1:%d#zlib,rate=2000/s" % port, hop="near")
        self.assertEqual(near.wait(), 0)
        self.settled(bridge, 893)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(lab.read_file(self.out), lab.corpus_octets("bind"))


if __name__ == "__main__":
    lab.main()
