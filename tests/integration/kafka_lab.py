"""A real Apache Kafka broker, and what its own peers read from it. Started by scripts/kafka; only what was started
here is ended here."""

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
from collections import namedtuple

import lab

SCRIPT = os.path.join(lab.ROOT, "scripts", "kafka")
HEAP = "-Xmx384m -Xms64m"
KEPT = ("log.retention.ms=-1",)  # the corpora's times are old, and records have their messages' time

Record = namedtuple("Record", "partition time offset key value")


def fetch():
    """The broker's jars, or a skip that says what is missing."""
    lab.need("java", "mvn", "kcat")
    done = subprocess.run([SCRIPT, "fetch"], capture_output=True, text=True, timeout=200)
    if done.returncode:
        raise unittest.SkipTest("Maven cannot fetch the broker: " + (done.stderr + done.stdout).strip()[-300:])


def text(s):
    """A string as the protocol has it."""
    return struct.pack(">h", len(s)) + s.encode()


class Broker:
    """One node with a folder of its own. `listeners`: {NAME: security protocol} beside PLAINTEXT."""

    def __init__(self, properties=(), listeners=None, scram=(), folder=None):
        fetch()
        self.folder = folder or tempfile.mkdtemp(prefix="dnstap-bridge-kafka-")
        self.made = folder is None
        self.ports = {"PLAINTEXT": lab.free_port()}
        self.ports.update({name: lab.free_port() for name in listeners or {}})
        self.server = f"127.0.0.1:{self.ports['PLAINTEXT']}"
        self.program = None
        env = {**os.environ, "KAFKA_JVM": HEAP, "KAFKA_FORMAT": " ".join(scram)}
        lines = [*KEPT, *self._listeners(listeners or {}), *properties]
        done = subprocess.run([SCRIPT, "format", self.folder, str(self.ports["PLAINTEXT"]), *lines], env=env,
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError("the broker's folder cannot be made: " + done.stderr)

    def _listeners(self, more):
        if not more:
            return []
        controller = lab.free_port()
        ours = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **more}
        return [f"controller.quorum.voters=1@127.0.0.1:{controller}",
                f"listeners={ours},CONTROLLER://127.0.0.1:{controller}", f"advertised.listeners={ours}",
                "inter.broker.listener.name=PLAINTEXT",
                "listener.security.protocol.map=" + ",".join(f"{k}:{v}" for k, v in protocols.items())]

    def start(self):
        """Runs it, again if need be, on the same ports and folder; returns when it answers."""
        self.program = lab.Program(self.folder, [SCRIPT, "run", self.folder], name="kafka",
                                   env={"KAFKA_JVM": HEAP})
        lab.eventually("the broker to answer", self.answers, 90)
        return self

    def answers(self):
        if self.program.process.poll() is not None:
            raise AssertionError("the broker ended:\n" + self.log()[-3000:])
        try:
            socket.create_connection(("127.0.0.1", self.ports["PLAINTEXT"]), 1).close()
        except OSError:
            return False
        return subprocess.run(["kcat", "-L", "-b", self.server, "-m", "2"], capture_output=True).returncode == 0

    def log(self):
        return self.program.log()

    def stop(self):
        self.program.stop(signal.SIGTERM)

    def kill(self):
        if self.program:
            self.program.kill()

    def remove(self):
        self.kill()
        if self.made:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, topic, options="", listener="PLAINTEXT"):
        return f"kafka://127.0.0.1:{self.ports[listener]}/{topic}" + ("#" + options if options else "")

    def ask(self, key, version, body):
        """A request of the protocol, by hand; the answer behind its head."""
        request = struct.pack(">hhi", key, version, 1) + text("lab") + body
        with socket.create_connection(("127.0.0.1", self.ports["PLAINTEXT"]), 20) as sock:
            sock.sendall(struct.pack(">i", len(request)) + request)
            (length,) = struct.unpack(">i", lab.receive_exactly(sock, 4))
            return lab.receive_exactly(sock, length)[4:]

    def create(self, topic, partitions=1, **configs):
        """CreateTopics, version 2."""
        body = struct.pack(">i", 1) + text(topic) + struct.pack(">ihii", partitions, 1, 0, len(configs))
        for name, value in configs.items():
            body += text(name.replace("_", ".")) + text(str(value))
        answer = self.ask(19, 2, body + struct.pack(">ib", 10000, 0))
        (code,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic))
        assert code in (0, 36), f"topic {topic}: error {code}"  # 36: it is there
        lab.eventually("the topic", lambda: self._partitions(topic) == partitions)
        return topic

    def delete(self, topic):
        """DeleteTopics, version 1."""
        answer = self.ask(20, 1, struct.pack(">i", 1) + text(topic) + struct.pack(">i", 10000))
        (code,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic))
        assert code == 0, f"topic {topic}: error {code}"
        lab.eventually("the topic to go", lambda: self._partitions(topic) == 0)

    def expire(self, topic, before, partition=0):
        """DeleteRecords, version 0: as retention does, the partition begins with offset `before` from now on."""
        body = struct.pack(">i", 1) + text(topic) + struct.pack(">iiq", 1, partition, before)
        answer = self.ask(21, 0, body + struct.pack(">i", 10000))
        low, code = struct.unpack_from(">qh", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
        assert (low, code) == (before, 0), f"topic {topic}: low {low}, error {code}"

    def _partitions(self, topic):
        out = subprocess.run(["kcat", "-L", "-b", self.server, "-t", topic], capture_output=True, text=True).stdout
        return len(re.findall(r"leader \d", out))

    def produce(self, topic, values, *args):
        """Each value as kcat sends a file: one record."""
        paths = []
        for value in values:
            fd, path = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(fd, "wb") as f:
                f.write(value)
            paths.append(path)
        subprocess.run(["kcat", "-P", "-b", self.server, "-t", topic, *args, *paths], check=True, capture_output=True,
                       timeout=60)
        for path in paths:
            os.unlink(path)

    def consume(self, topic, form, *args):
        """What kcat prints for the whole topic."""
        done = subprocess.run(["kcat", "-C", "-e", "-q", "-b", self.server, "-t", topic, "-o", "beginning", "-f", form,
                               *args], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def values(self, topic, *args):
        octets, at, values = self.consume(topic, "%R%s", *args), 0, []
        while at < len(octets):
            (length,) = struct.unpack_from(">i", octets, at)
            at += 4 + max(length, 0)
            values.append(None if length < 0 else octets[at - length:at])
        return values

    def records(self, topic, *args):
        """All of them, by partition and offset."""
        octets, at, records = self.consume(topic, "%p %T %o %K %k%R%s", *args), 0, []
        while at < len(octets):
            head = re.compile(rb"(\d+) (-?\d+) (\d+) (-?\d+) ").match(octets, at)
            partition, stamp, offset, key_len = map(int, head.groups())
            at = head.end() + max(key_len, 0)
            key = octets[head.end():at] if key_len >= 0 else None
            (length,) = struct.unpack_from(">i", octets, at)
            at += 4 + max(length, 0)
            records.append(Record(partition, stamp, offset, key, octets[at - length:at] if length > 0 else b""))
        return sorted(records, key=lambda r: (r.partition, r.offset))


def message(number, body=b""):
    """A small Dnstap with a number that can be found again."""
    inner = b"\x08\x06" + (b"\x52" + varint(len(body)) + body if body else b"")
    return b"\x0a\x09%09d" % number + b"\x72" + varint(len(inner)) + inner + b"\x78\x01"


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def number_of(payload):
    return int(payload[2:11])


def numbers(path):
    return [number_of(p) for p in lab.split(lab.whole(lab.read_file(path)))] if os.path.exists(path) else []


class KafkaCase(lab.Case):
    """Against the file's one broker, which setUpModule made; each test has topics of its own."""

    broker = None

    def topic(self, partitions=1, name=None, **configs):
        name = name or re.sub(r"[^a-z0-9]+", "-", self.id().split(".")[-1])[:60] + f"-{time.monotonic_ns()}"
        return self.broker.create(name, partitions, **configs)

    def run_to_end(self, *args, code=0, **kwargs):
        bridge = self.bridge(*args, **kwargs)
        got = bridge.wait()
        if code is not None:
            self.assertEqual(got, code, bridge.log()[-4000:])
        return bridge

    def copy_out(self, topic, name, options="until=end", code=0, **kwargs):
        """The topic, by the group `name`, into a new file of that name."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))
        return self.run_to_end("--from", self.broker.url(topic, f"group={name},when-full=block,{options}"), "--to",
                               self.path(name), code=code, hop="out", **kwargs)


