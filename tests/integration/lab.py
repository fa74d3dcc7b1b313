"""What the integration tests are made of: programs that are started, watched and ended by pid, Frame
Streams in twenty lines, free ports, and a folder that goes away."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

BRIDGE = os.environ.get("DNSTAP_BRIDGE", "build/debug/bridge/dnstap-bridge")
DATA = os.environ.get("TEST_DATA", "tests/data")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CORPORA = ("bind", "dnsdist", "knot", "nsd", "recursor", "unbound")
CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
PATIENCE = 30.0  # seconds until something that must happen is called missing


def corpus(name):
    return os.path.join(DATA, name + ".fstrm.gz")


def corpus_octets(name):
    with gzip.open(corpus(name)) as f:
        return f.read()


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed")


def eventually(what, test, patience=PATIENCE):
    """Asks until the test gives something true; returns it."""
    end = time.monotonic() + patience
    while True:
        result = test()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for: {what}")
        time.sleep(0.02)


FIRST_PORT, PORTS = 10240, 22000  # below what the kernel gives to outgoing connections: a server that is away for
_port = os.getpid() * 97          # a while finds its port free again, and nobody is connected to himself meanwhile


def free_port():
    """A port that is free for TCP and UDP. Tests that run side by side look in different places."""
    global _port
    for _ in range(PORTS):
        _port += 1
        port = FIRST_PORT + _port % PORTS
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


# --- Frame Streams ---------------------------------------------------------------------------------


def control(kind, content_type=CONTENT_TYPE):
    field = b""
    if kind in (READY, ACCEPT, START) and content_type is not None:
        field = struct.pack(">II", 1, len(content_type)) + content_type
    body = struct.pack(">I", kind) + field
    return struct.pack(">II", 0, len(body)) + body


def data(payload):
    return struct.pack(">I", len(payload)) + payload


def split(octets):
    """The payloads of all data frames; control frames are passed over."""
    frames, at = [], 0
    while at + 4 <= len(octets):
        (length,) = struct.unpack_from(">I", octets, at)
        at += 4
        if length == 0:
            (length,) = struct.unpack_from(">I", octets, at)
            at += 4 + length
        else:
            frames.append(octets[at:at + length])
            at += length
    assert at == len(octets), f"torn: {len(octets) - at} octets left"
    return frames


def fstrm_file(payloads):
    return control(START) + b"".join(map(data, payloads)) + control(STOP)


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def frames_of(path):
    return split(read_file(path))


def receive_exactly(sock, n):
    got = b""
    while len(got) < n:
        piece = sock.recv(n - len(got))
        if not piece:
            raise EOFError(f"closed after {len(got)} of {n} octets")
        got += piece
    return got


def receive_control(sock):
    escape, length = struct.unpack(">II", receive_exactly(sock, 8))
    assert escape == 0, "a data frame where a control frame was due"
    return struct.unpack(">I", receive_exactly(sock, length)[:4])[0]


def connect(address):
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(kind)
    sock.connect(address)
    sock.settimeout(PATIENCE)
    return sock


def sender(address, handshake=True):
    """A Frame Streams sender that has begun."""
    return begin(connect(address), handshake)


def begin(sock, handshake=True):
    if handshake:
        sock.sendall(control(READY))
        assert receive_control(sock) == ACCEPT
    sock.sendall(control(START))
    return sock


def finish(sock):
    sock.sendall(control(STOP))
    answer = receive_control(sock)
    sock.close()
    assert answer == FINISH


class Receiver:
    """A Frame Streams collector that reads when it is told to, and keeps what it got per connection."""

    def __init__(self, address, reading=True):
        self.address = address
        self.connections = []  # octets behind START, each
        self.reading = threading.Event()
        if reading:
            self.reading.set()
        self.sockets = []
        self.listen()

    def listen(self):
        is_unix = isinstance(self.address, str)
        if is_unix and os.path.exists(self.address):
            os.unlink(self.address)
        self.listener = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.listener.bind(self.address)
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            got = bytearray()
            self.connections.append(got)
            threading.Thread(target=self._serve, args=(sock, got), daemon=True).start()

    def _serve(self, sock, got):
        with contextlib.suppress(OSError, EOFError, AssertionError):
            if receive_control(sock) != READY:
                return
            sock.sendall(control(ACCEPT))
            if receive_control(sock) != START:
                return
            end = control(STOP)
            while True:
                self.reading.wait()
                piece = sock.recv(65536)
                if not piece:
                    return
                got += piece
                if got.endswith(end):
                    del got[-len(end):]
                    sock.sendall(control(FINISH))
                    sock.close()
                    return

    def drop(self):
        """Cuts every connection, at once and without a word."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.sockets.clear()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept() would keep it
        self.listener.close()
        self.drop()

    def frames(self):
        """Per connection, the whole frames."""
        return [split(whole(bytes(got))) for got in self.connections]


def whole(octets):
    """The octets less a torn frame at their end."""
    at = 0
    while at + 4 <= len(octets):
        (length,) = struct.unpack_from(">I", octets, at)
        if at + 4 + length > len(octets):
            break
        at += 4 + length
    return octets[:at]


class Proxy:
    """Stands between two ends of a TCP link, and can be cut."""

    def __init__(self, port, target):
        self.target = target
        self.pairs = []
        self.held = threading.Event()  # when set, nothing is passed on
        self.open = True
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                if not self.open:
                    raise OSError("cut")
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a, b):
        with contextlib.suppress(OSError):
            while True:
                piece = a.recv(65536)
                while self.held.is_set():
                    time.sleep(0.01)
                if not piece:
                    break
                b.sendall(piece)
        for sock in (a, b):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Throws away what is under way and refuses new connections until mended."""
        self.open = False
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for sock in pair:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()

    def mend(self):
        self.held.clear()
        self.open = True

    def close(self):
        self.listener.close()
        self.cut()


# --- programs --------------------------------------------------------------------------------------


class Program:
    """A program in the background; its standard error is kept and can be waited for."""

    def __init__(self, folder, args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=None,
                 name=None, **kwargs):
        self.args = [str(a) for a in args]
        self.name = name or os.path.basename(self.args[0])
        self.log_path = tempfile.mktemp(prefix=self.name + "-", suffix=".log", dir=folder)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.args, stdin=stdin, stdout=stdout, stderr=log,
                                            env=env and {**os.environ, **env}, **kwargs)

    def log(self):
        return read_file(self.log_path).decode(errors="replace")

    def wait_log(self, pattern, count=1):
        def look():
            found = re.findall(pattern, self.log())
            if len(found) < count and self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended ({self.process.returncode}) without "
                                     f"'{pattern}':\n{self.log()}")
            return len(found) >= count and found
        try:
            return eventually(f"'{pattern}' of {self.name}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, patience=60.0):
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end:\n{self.log()}") from None

    def stop(self, number=signal.SIGTERM):
        self.send(number)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M).group(1))

    def peak_octets(self):
        return self.status("VmHWM") * 1024


class Bridge(Program):
    """dnstap-bridge, with a ledger to read at its end."""

    def __init__(self, folder, *args, hop="hop", **kwargs):
        self.ledger_path = tempfile.mktemp(prefix=f"ledger-{hop}-", dir=folder)
        super().__init__(folder, [BRIDGE, "--hop", hop, "--ledger", self.ledger_path, *args],
                         name=hop, **kwargs)

    def ready(self):
        self.wait_log("running:")
        return self

    def ledger(self):
        with open(self.ledger_path) as f:
            ledger = json.load(f)
        for route in ledger["routes"]:
            check_sum(route)
        for link in ledger["upstream"]:
            for hop in link["path"]:
                check_sum(hop)
        return ledger

    def route(self, i=0):
        return self.ledger()["routes"][i]

    def now(self):
        """The ledger table at this moment, by SIGUSR1: one dict per route, and the links' lines."""
        before = len(re.findall("lost before this hop", self.log()))
        self.send(signal.SIGUSR1)
        self.wait_log("lost before this hop", before + 1)
        table = self.log().split("ledger of hop")[-1]
        names = ["received", "delivered", "dropped", "filtered", "malformed", "failed", "in_flight"]
        if "+ rejected" in table:
            names.insert(4, "rejected")
        rows = re.findall(r"^ +(\d+(?: +\d+){%d})$" % (len(names) - 1), table, re.M)
        routes = [{"rejected": 0, **dict(zip(names, map(int, row.split())))} for row in rows]
        for route in routes:
            check_sum(route)
        return routes


def check_sum(r):
    parts = ("delivered", "dropped", "filtered", "rejected", "malformed", "failed", "in_flight")
    assert r["received"] == sum(r[p] for p in parts), f"does not add up: {r}"
    assert all(r[p] >= 0 for p in parts), f"negative: {r}"


def run_bridge(*args, **kwargs):
    """Runs it to its end: (exit code, standard output, standard error)."""
    done = subprocess.run([BRIDGE, *map(str, args)], capture_output=True, timeout=120, **kwargs)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def ceiling(*args):
    """The memory ceiling that --check prints, in octets."""
    code, out, err = run_bridge("--check", *args)
    assert code == 0, err
    return int(re.search(rb"^memory ceiling: .*\((\d+) octets\)", out, re.M).group(1))


def metric(port, name):
    """The sum of a metric's series, over all labels, of the status server at this port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^dnstap_bridge_{name}\{{.*\}} (\S+)$", lines, re.M))


def metric_plain(port, name):
    """A metric without labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        return float(re.search(rf"^dnstap_bridge_{name} (\S+)$", answer.read().decode(), re.M).group(1))


class Case(unittest.TestCase):
    """A test with a folder of its own; what it started is ended with it."""

    maxDiff = 2000

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dnstap-bridge-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, *args, **kwargs):
        program = Program(self.folder, args, **kwargs)
        self.addCleanup(program.kill)
        return program

    def bridge(self, *args, **kwargs):
        bridge = Bridge(self.folder, *args, **kwargs)
        self.addCleanup(self.check_sanitizers, bridge)
        self.addCleanup(bridge.kill)
        return bridge

    def check_sanitizers(self, bridge):
        report = re.search(r"^.*(Sanitizer|runtime error)", bridge.log(), re.M)
        self.assertIsNone(report, bridge.log()[-8000:])

    def receiver(self, address, **kwargs):
        receiver = Receiver(address, **kwargs)
        self.addCleanup(receiver.close)
        return receiver

    def found_again_each_time(self, receiver, url):
        """A bridge that sends to a receiver which flaps."""
        source = self.path("source")
        bridge = self.bridge("--from", "unix:" + source, "--to", url,
                             "--drain-timeout", "20s").ready()
        sock = sender(source)
        sent = 0
        for turn in range(20):
            for _ in range(50):
                sock.sendall(data(b"%06d" % sent))
                sent += 1
            eventually("messages on a further connection",
                       lambda: sum(map(bool, list(receiver.connections))) > turn)
            receiver.drop()
            time.sleep(0.02)
        receiver.close()  # gone altogether for a while
        time.sleep(0.3)
        receiver.listen()
        for _ in range(50):
            sock.sendall(data(b"%06d" % sent))
            sent += 1
        finish(sock)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(bridge.route()["delivered"], sent)
        got = receiver.frames()
        self.assertGreater(len(got), 10)
        for frames in got:  # per connection: a run of whole messages in order
            numbers = [int(f) for f in frames]
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))) if numbers else [])
        # what a dead connection had in its hands is all that may be missing; the last stood
        flat = [int(f) for frames in got for f in frames]
        self.assertEqual(flat[-1], sent - 1)
        self.assertEqual(len(set(flat)), len(flat))

    def write(self, name, octets):
        with open(self.path(name), "wb") as f:
            f.write(octets)
        return self.path(name)


def failed_of(result):
    """The names of the tests that failed; None where one must not be tried again: what a sanitizer found is found."""
    names = []
    for test, trace in result.failures + result.errors:
        test = getattr(test, "test_case", test)  # of a part of a test
        if re.search("Sanitizer|runtime error", trace) or not isinstance(test, unittest.TestCase):
            return None
        names.append(test.id().removeprefix("__main__."))
    return sorted(set(names))


def again(result):
    """Real programs on a machine that others use stumble now and then: in continuous integration what failed is tried once
    more, and scripts/test says which. True: it passed."""
    names = failed_of(result) if os.environ.get("CI") else None
    if not names:
        return False
    print("AGAIN: " + ", ".join(names), flush=True)
    suite = unittest.defaultTestLoader.loadTestsFromNames(names, sys.modules["__main__"])
    return unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()


def main():
    """Runs the file's tests; ctest learns of a skip when every test was skipped."""
    program = unittest.main(exit=False, verbosity=2, warnings="ignore")
    result = program.result
    for test, why in result.skipped:
        print(f"SKIPPED: {test}: {why}")
    if result.skipped and len(result.skipped) == result.testsRun and result.wasSuccessful():
        sys.exit(77)
    sys.exit(not result.wasSuccessful() and not again(result))
