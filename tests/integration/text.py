"""text.py ENCODE: format=text is, octet for octet, what `dnstap -q` prints.

ENCODE is the test tool that runs an encoder over a Frame Streams file. The streams are the corpora and
generated ones, whose DNS messages are broken in every way that a seeded generator comes up with: so
that what either side takes for a sound DNS message is the same. TEXT_MESSAGES sets how many messages
are generated, TEXT_SEED the seed.
"""

import glob
import gzip
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

REFERENCE = "/usr/bin/dnstap"
DATA = os.environ.get("TEST_DATA") or os.path.join(os.path.dirname(__file__), "..", "data")
MESSAGES = int(os.environ.get("TEXT_MESSAGES", "6000"))
SEED = int(os.environ.get("TEXT_SEED", "1"))
ZONES = ("UTC", "Asia/Kolkata")

# RDATA by type, one character a field; the characters are those of bridge/scan/dns_type.h.
SHAPES = {
    "a": [1], "q": [28], "n": [2, 3, 4, 5, 7, 8, 9, 12, 23, 39], "nn": [14, 17, 58],
    "nn44444": [6], "ss": [13], "sss": [27], "s": [19, 100], "S": [16, 56, 99, 258],
    "2n": [15, 18, 21, 36, 107], "2nn": [26], "2114442n*": [24, 46], "1111444": [29],
    "211*": [25, 43, 48, 57, 59, 60, 32768, 32769], "221*": [37], "22*": [256], "11*": [44],
    "111*": [52, 53], "222n": [33], "22sssn": [35], "1s*": [257], "411*": [63], "42t": [62],
    "nt": [47], "1121=1=t": [50], "1121=": [51], "112hN": [55], "2np": [64, 65], "o": [41],
    "l": [42], "28": [104, 106], "2a": [105], "6": [108], "8": [109], "4": [101, 102],
    "n44222=2=": [249], "n622=222=": [250], "*": [10, 20, 30, 31, 32, 34, 49, 61, 103, 251, 255, 999],
}
TYPES = {number: shape for shape, numbers in SHAPES.items() for number in numbers}
FIXED = {"1": 1, "2": 2, "4": 4, "6": 6, "8": 8, "a": 4, "q": 16}


def frames(stream):
    """The data frames of a Frame Streams file."""
    at = 0
    while at < len(stream):
        (length,) = struct.unpack_from(">I", stream, at)
        at += 4
        control = length == 0
        if control:
            (length,) = struct.unpack_from(">I", stream, at)
            at += 4
        if not control:
            yield stream[at:at + length]
        at += length


def control(kind, content_type=b""):
    field = struct.pack(">II", 1, len(content_type)) + content_type if content_type else b""
    return struct.pack(">III", 0, 4 + len(field), kind) + field


def stream_of(messages):
    body = b"".join(struct.pack(">I", len(message)) + message for message in messages)
    return control(2, b"protobuf:dnstap.Dnstap") + body + control(3)


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def octets(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def fixed32(field, value):
    return varint(field << 3 | 5) + struct.pack("<I", value)


def read_varint(data, at):
    value = shift = 0
    while True:
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            return value, at


def fields(data):
    """The fields of a sound protobuf message: (number, value) pairs."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        elif tag & 7 == 5:
            value, at = data[at:at + 4], at + 4
        else:
            length, at = read_varint(data, at)
            value, at = data[at:at + length], at + length
        yield tag >> 3, value


def dns_of(message):
    """The DNS messages in a Dnstap."""
    for outer, value in fields(message):
        if outer == 14:
            yield from (dns for inner, dns in fields(value) if inner in (10, 14))


def dnstap_of(message):
    return number(15, 1) + octets(14, message)


def carry(dns):
    """A Dnstap that carries one DNS message, as a client's query."""
    return dnstap_of(number(1, 5) + number(3, 1) + octets(4, b"\x7f\0\0\1") + number(8, 1700000000)
                     + fixed32(9, 123456000) + octets(10, dns))


class Generator:
    """DNS messages and Dnstap messages that are sound, nearly sound, and nothing of the kind."""

    def __init__(self, seed, seeds):
        self.rng = random.Random(seed)
        self.seeds = seeds
        self.care = 0.9

    def some(self, length):
        return self.rng.randbytes(length)

    def often(self):
        """Whether to keep to the rules this time; how often, differs from message to message."""
        return self.rng.random() < self.care

    def name(self, pointer=0.3):
        rng = self.rng
        if rng.random() < pointer:
            return b"\xc0\x0c" if self.often() else struct.pack(">H", 0xC000 | rng.randrange(80))
        lengths = [1, 2, 3, 7, 7, 7, 20] if self.often() else [1, 30, 62, 63, 63, 63]
        out = b""
        for _ in range(rng.choice([0, 1, 2, 3, 3, 4, 5])):
            length = rng.choice(lengths)
            letters = b"abcdefghijklmnop-0123456789" if self.often() else bytes(range(256))
            out += bytes([length]) + bytes(rng.choice(letters) for _ in range(length))
        return out + (b"\0" if self.often() else rng.choice([b"\xc0\x0c", b"\x40", b"\x80\0", b""]))

    def string(self):
        length = self.rng.choice([0, 1, 2, 5, 9])
        return bytes([length if self.often() else length + 1]) + self.some(length)

    def bitmap(self):
        out = b""
        window = self.rng.choice([0, 0, 0, 1, 250])
        for _ in range(self.rng.choice([0, 1, 1, 2, 3])):
            length = self.rng.choice([1, 2, 6, 31, 32] if self.often() else [0, 33, 40])
            out += bytes([window & 255, length]) + self.some(length)
            window += 1 if self.often() else 0
        return out

    def coded(self, code):
        length = self.rng.choice([0, 1, 2, 2, 3, 4, 4, 5, 8, 8, 12, 16, 17, 18, 19, 32])
        value = self.some(length)
        if self.rng.random() < 0.3:
            value = struct.pack(">H", self.rng.choice([0, 1, 1, 2, 2, 3])) + bytes(
                self.rng.choice([0, 24, 32, 33, 56, 128, 129]) for _ in range(2)) + value
        elif self.rng.random() < 0.1:
            value = bytes(10) + b"\xff\xff" + self.some(4)
        elif self.rng.random() < 0.2:
            value = b"".join(self.string() for _ in range(self.rng.choice([0, 1, 2])))
        announced = len(value) if self.often() else max(0, len(value) + self.rng.choice([-1, 1]))
        return struct.pack(">HH", code, announced) + value

    def options(self):
        codes = [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 65001, 65535]
        return b"".join(self.coded(self.rng.choice(codes))
                        for _ in range(self.rng.choice([0, 1, 1, 2, 3])))

    def parameters(self):
        keys = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 667, 65280, 65534]
        keys = self.rng.sample(keys if self.often() else keys + [65535], self.rng.randrange(4))
        if self.often():
            keys.sort()
        elif keys:
            keys.append(keys[-1])
        return b"".join(self.coded(key) for key in keys)

    def prefixes(self):
        out = b""
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            family = self.rng.choice([1, 2] if self.often() else [0, 3, 257])
            length = self.rng.choice([0, 1, 3, 4] if family == 1 or not self.often() else [0, 2, 15, 16, 17])
            address = self.some(length)
            if address and self.often():
                address = address[:-1] + b"\7"
            out += struct.pack(">HBB", family, self.rng.choice([0, 8, 24, 32, 33, 64, 128, 129]),
                               length | self.rng.choice([0, 128])) + address
        return out

    def counted(self, width):
        length = self.rng.choice([0, 0, 1, 4, 20, 32])
        announced = length if self.often() else max(0, length + self.rng.choice([-1, 1]))
        return announced.to_bytes(width, "big"), self.some(length)

    def rdata(self, shape):
        out = b""
        fields = {"n": self.name, "s": self.string, "t": self.bitmap, "o": self.options,
                  "p": self.parameters, "l": self.prefixes}
        for at, field in enumerate(shape):
            if field == "h":
                tag, key = self.rng.choice([0, 1, 16]), self.rng.choice([0, 1, 64])
                announced = tag if self.often() else tag + 1
                out = bytes([announced, 2]) + struct.pack(">H", key) + self.some(tag + key)
            elif shape[at + 1:at + 2] == "=":
                announced, data = self.counted(FIXED[field])
                out += announced + data
            elif field in FIXED:
                out += self.some(FIXED[field])
            elif field in "NS":
                one = self.name if field == "N" else self.string
                out += b"".join(one() for _ in range(self.rng.choice([0, 1, 2])))
            elif field == "*":
                out += self.some(self.rng.choice([0, 1, 4, 32]))
            elif field != "=":
                out += fields[field]()
        return out

    def record(self):
        rng = self.rng
        kind = rng.choice(list(TYPES)) if self.often() else rng.randrange(1 << 16)
        shape = TYPES.get(kind, "*") if self.often() else rng.choice(list(SHAPES))
        rdata = self.rdata(shape)
        if not self.often():
            rdata = rdata[:rng.randrange(len(rdata) + 1)]
        if not self.often():
            rdata += self.some(1)
        announced = len(rdata) if self.often() else rng.choice([0, 1, len(rdata) + 1])
        return self.name() + struct.pack(">HHIH", kind, rng.choice([1, 1, 3, 254, 4096]), 300,
                                         announced) + rdata

    def question(self):
        kind = self.rng.choice(list(TYPES) + [0, 11, 22, 252, 253, 254, 255, 65535, 4711])
        kind = kind if self.often() else self.rng.randrange(1 << 16)
        name = self.name(0 if self.often() else 0.5)
        return name + struct.pack(">HH", kind, self.rng.choice([1, 1, 1, 2, 3, 4, 5, 0, 254, 255, 256]))

    def message(self):
        rng = self.rng
        counts = [1 if self.often() else rng.choice([0, 2, 3])] + [rng.choice([0, 0, 1, 1, 2])
                                                                  for _ in range(3)]
        body = b"".join(self.question() for _ in range(counts[0]))
        body += b"".join(self.record() for _ in range(sum(counts[1:])))
        if not self.often():
            counts[rng.randrange(4)] += rng.choice([1, 1, 100])
        return self.some(4) + struct.pack(">4H", *counts) + body

    def mutate(self, dns):
        rng = self.rng
        dns = bytearray(dns)
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            at = rng.randrange(len(dns)) if dns else 0
            kind = rng.randrange(6)
            if not dns or kind == 0:
                dns[at:at] = self.some(rng.choice([1, 2]))
            elif kind == 1:
                del dns[at:at + rng.choice([1, 1, 2, 5])]
            elif kind == 2:
                del dns[at:]
            elif kind == 3:
                dns[at] = rng.choice([0, 1, 63, 64, 0xC0, 0xFF, len(dns) & 255])
            elif kind == 4:
                dns[at] = dns[at] + rng.choice([-1, 1]) & 255
            else:
                dns[at] = rng.randrange(256)
        return bytes(dns)

    def dns(self):
        kind = self.rng.random()
        self.care = self.rng.choice([0.9, 0.98, 0.995])
        if kind < 0.3:
            return self.mutate(self.rng.choice(self.seeds))
        if kind < 0.8:
            return self.message()
        return self.mutate(self.message())

    def address(self):
        kind = self.rng.randrange(5)
        if kind == 0:
            return bytes(10) + b"\xff\xff" + self.some(4)
        if kind == 1:
            return b"".join(self.rng.choice([b"\0\0", b"\0\0", b"\0\1", b"\x0a\xbc", b"\xab\xcd"])
                            for _ in range(8))
        return self.some(self.rng.choice([0, 1, 3, 4, 4, 5, 15, 16, 16, 17]))

    def seconds(self):
        edges = [0, 59, -1, -86400, 1 << 31, (1 << 31) - 1, 1 << 33, 253402300799, -2000000000,
                 -62135596800, 67767976233532799, 67767976233532800, 67768036191676799,
                 67768036191676800, -67768040609740800, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
                 -9223372028715321600, -9223372028715321601, -9223372036854775808]
        return self.rng.choice(edges) if self.rng.random() < 0.5 else self.rng.randrange(1 << 33)

    def dnstap(self):
        """A Dnstap with a sound encoding and any values whatever in it."""
        rng = self.rng
        parts = [number(1, rng.choice(list(range(15)) + [15, 77, -1]))]
        optional = [number(2, rng.randrange(4)),
                    number(3, rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 200, -1, 1 << 31, (1 << 40) + 2])),
                    octets(4, self.address()), octets(5, self.address()), number(6, 53),
                    number(8, self.seconds()), fixed32(9, rng.randrange(1 << 32)),
                    octets(10, self.dns()), octets(11, b"\0"), number(12, self.seconds()),
                    fixed32(13, rng.choice([0, 999, 999999999, 1 << 31])), octets(14, self.dns()),
                    octets(15, octets(1, b"RPZ")), number(16, 2), octets(99, b"unknown"),
                    fixed32(4, 7), number(10, 7)]
        parts += [part for part in optional if self.often()]
        if rng.random() < 0.5:
            rng.shuffle(parts)
        if rng.random() < 0.1:
            cut = rng.randrange(len(parts))
            return (octets(14, b"".join(parts[:cut])) + number(15, 1)
                    + octets(14, b"".join(parts[cut:])))
        return octets(1, b"identity") + dnstap_of(b"".join(parts))


def name_edges():
    """Messages about the limits of names and of compression."""
    question = b"\0\0\1\0\0\1\0\0\0\0\0\0"
    for total in range(250, 260):
        labels = [63, 63, 63, total - 195] if total > 195 else [63]
        wire = b"".join(bytes([n]) + b"\xe9" * n for n in labels if 0 < n < 64) + b"\0"
        yield question + wire + b"\0\1\0\1"
    for pointers in range(123, 131):
        chain = b"".join(struct.pack(">H", 0xC000 | 12 + 2 * (i + 1)) for i in range(pointers))
        yield question + chain + b"\1x\0\0\1\0\1\0\0\1\0\1"
    full = question + b"\7example\0\0\1\0\1"
    for cut in range(len(full) + 1):
        yield full[:cut]
    yield question + b"\xc0\x0c\0\1\0\1"
    yield question + bytes(range(1, 64))[:1] + b"a\0\0\1\0\1" + b"trailing octets"
    for octet in range(256):
        yield question + b"\1" + bytes([octet]) + b"\0\0\1\0\1"
    for kind in list(range(300)) + list(range(32760, 32780)) + list(range(65270, 65536)):
        yield question + b"\0" + struct.pack(">HH", kind, kind)


class Text(unittest.TestCase):
    encode = None

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def lines(self, command, zone):
        done = subprocess.run(command, env=dict(os.environ, TZ=zone), check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout

    def compare(self, stream, zone):
        path = os.path.join(self.folder, "stream")
        with open(path, "wb") as file:
            file.write(stream)
        want = self.lines([REFERENCE, "-r", path, "-q"], zone)
        have = self.lines([self.encode, "text", path], zone)
        if want == have:
            return
        messages = list(frames(stream))
        want, have = want.split(b"\n"), have.split(b"\n")
        for i, (a, b) in enumerate(zip(want, have)):
            self.assertEqual(a, b, "message %d of %s: %s" % (i, zone, messages[i].hex()))
        self.assertEqual(len(want), len(have), zone)

    def seeds(self):
        out = []
        for path in sorted(glob.glob(os.path.join(DATA, "*.fstrm.gz"))):
            with gzip.open(path) as file:
                messages = list(frames(file.read()))
            out += [dns for message in messages[:: max(1, len(messages) // 150)]
                    for dns in dns_of(message)]
        return out

    def test_corpora(self):
        paths = sorted(glob.glob(os.path.join(DATA, "*.fstrm.gz")))
        self.assertTrue(paths)
        for path in paths:
            for zone in ZONES:
                with self.subTest(path=path, zone=zone), gzip.open(path) as file:
                    self.compare(file.read(), zone)

    def test_vector(self):
        folder = os.path.join(DATA, "vectors")
        have = self.lines([self.encode, "text", os.path.join(folder, "mix.fstrm")], "UTC")
        with open(os.path.join(folder, "mix.quiet.txt"), "rb") as file:
            self.assertEqual(file.read(), have)

    def test_names_types_and_classes(self):
        self.compare(stream_of(carry(dns) for dns in name_edges()), "UTC")

    def test_broken_dns(self):
        generator = Generator(SEED, self.seeds())
        self.compare(stream_of(carry(generator.dns()) for _ in range(MESSAGES)), "UTC")

    def test_any_dnstap(self):
        generator = Generator(SEED + 1, self.seeds())
        for zone in ZONES:
            self.compare(stream_of(generator.dnstap() for _ in range(MESSAGES // 4)), zone)


if __name__ == "__main__":
    if not os.access(REFERENCE, os.X_OK):
        print("SKIPPED: %s is not installed" % REFERENCE)
        sys.exit(77)
    Text.encode = sys.argv.pop(1)
    unittest.main()
