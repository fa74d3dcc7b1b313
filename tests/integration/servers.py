"""Real DNS servers of the distribution, sending live: all that they send is in the file at the far end."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

import lab

QUERIES = 400
NAMES = 40


class Relay:
    """Stands between a server and the collector and keeps what the server sent, per connection."""

    def __init__(self, listen, target):
        self.target = target
        self.records = []
        self.listener = socket.socket(socket.AF_UNIX if isinstance(listen, str) else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(listen)
        if isinstance(listen, str):
            os.chmod(listen, 0o777)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                server, _ = self.listener.accept()
            except OSError:
                return
            collector = lab.connect(self.target)
            collector.settimeout(None)
            record = bytearray()
            self.records.append(record)
            threading.Thread(target=self._pump, args=(server, collector, record), daemon=True).start()
            threading.Thread(target=self._pump, args=(collector, server, None), daemon=True).start()

    @staticmethod
    def _pump(a, b, record):
        with contextlib.suppress(OSError):
            while piece := a.recv(65536):
                if record is not None:
                    record.extend(piece)
                b.sendall(piece)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)

    def frames(self):
        return [frame for record in self.records for frame in lab.split(lab.whole(bytes(record)))]

    def close(self):
        self.listener.close()


class Servers(lab.Case):
    """Configurations that keep every query on this machine: Knot serves the root and all below it."""

    def conf(self, name, text):
        return self.write(name, text.encode())

    def wait_answer(self, port, program):
        def ask():
            if program.process.poll() is not None:
                raise AssertionError(f"{program.name} ended:\n{program.log()}")
            done = subprocess.run(["kdig", f"@127.0.0.1", "-p", str(port), "+timeout=1", "+retry=0",
                                   "host1.example.corp", "A"], capture_output=True)
            return b"NOERROR" in done.stdout
        lab.eventually(f"an answer of {program.name}", ask)
        return port

    def knot(self, tap=None):
        port = lab.free_port()
        records = "\n".join(f"host{i}.example.corp. 60 IN A 192.0.2.{i}" for i in range(NAMES))
        zone = self.conf("root.zone", f""". 60 IN SOA ns. root. 1 3600 600 86400 60
. 60 IN NS ns.
ns. 60 IN A 127.0.0.1
{records}
""")
        module = f"""
mod-dnstap:
  - id: tap
    sink: "unix:{tap}"
    log-queries: on
    log-responses: on
template:
  - id: default
    global-module: mod-dnstap/tap
    storage: {self.folder}
""" if tap else ""
        conf = self.conf("knot.conf", f"""
server:
    rundir: {self.folder}
    listen: 127.0.0.1@{port}
database:
    storage: {self.folder}/knot-db
log:
  - target: stderr
    any: info
{module}
zone:
  - domain: .
    file: {zone}
    zonefile-load: whole
    semantic-checks: off
""")
        program = self.program("knotd", "-c", conf, name="knotd")
        self.wait_answer(port, program)
        return program, port

    def unbound(self, root, tap, tls="dnstap-tls: no"):
        port = lab.free_port()
        place = f"dnstap-ip: 127.0.0.1@{tap[1]}\n  {tls}" if isinstance(tap, tuple) \
            else f'dnstap-socket-path: "{tap}"'
        conf = self.conf("unbound.conf", f"""
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  num-threads: 2
  do-not-query-localhost: no
  module-config: "iterator"
  domain-insecure: "."
remote-control:
  control-enable: no
stub-zone:
  name: "."
  stub-addr: 127.0.0.1@{root}
dnstap:
  dnstap-enable: yes
  {place}
  dnstap-bidirectional: yes
  dnstap-send-identity: yes
  dnstap-log-client-query-messages: yes
  dnstap-log-client-response-messages: yes
  dnstap-log-resolver-query-messages: yes
  dnstap-log-resolver-response-messages: yes
""")
        program = self.program("unbound", "-d", "-c", conf, name="unbound")
        self.wait_answer(port, program)
        return program, port

    def named(self, root, tap):
        port = lab.free_port()
        conf = self.conf("named.conf", f"""
options {{
  directory "{self.folder}";
  pid-file none;
  session-keyfile none;
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion yes;
  dnssec-validation no;
  empty-zones-enable no;
  forward only;
  forwarders {{ 127.0.0.1 port {root}; }};
  dnstap {{ all; }};
  dnstap-output unix "{tap}";
  dnstap-identity "named-test";
  fstrm-set-input-queue-size 16384;
}};
controls {{ }};
""")
        program = self.program("named", "-g", "-c", conf, name="named")
        self.wait_answer(port, program)
        return program, port

    def ask(self, port, count=QUERIES):
        # at a pace that libfstrm's queue inside the servers (512 messages) keeps up with
        queries = self.conf("queries", "".join(f"host{i % NAMES}.example.corp A\n" for i in range(count)))
        done = subprocess.run(["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", queries, "-n", "1", "-Q", "400"],
                              capture_output=True, text=True, timeout=60)
        self.assertIn(f"Queries completed:    {count}", done.stdout, done.stdout + done.stderr)

    def hops(self, source, options=""):
        """A collector and a bridge, joined by nng."""
        link = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        far = self.bridge("--from", link, "--to", self.path("out"), hop="far").ready()
        near = self.bridge("--from", source + options, "--to", link, hop="near").ready()
        return near, far


class Live(Servers):
    def setUp(self):
        super().setUp()
        lab.need("knotd", "kdig", "dnsperf", "dnstap")

    def check(self, relay, server, near, far, least):
        server.stop()
        sent = lab.eventually("the end of the server's stream", relay.frames)
        lab.eventually("all at the collector", lambda: near.now()[0]["received"] == len(relay.frames()))
        self.assertEqual(near.stop(), 0, near.log())
        far.wait_log("hop near .* ended")
        self.assertEqual(far.stop(), 0, far.log())
        sent = relay.frames()
        self.assertGreaterEqual(len(sent), least)
        got = lab.frames_of(self.path("out"))
        self.assertEqual(sorted(got), sorted(sent))
        if len(relay.records) == 1:
            self.assertEqual(got, sent)
        for ledger in (near.ledger(), far.ledger()):
            self.assertEqual(ledger["routes"][0]["delivered"], len(sent))
            self.assertEqual(ledger["lost"], 0)
        quiet = subprocess.run(["dnstap", "-r", self.path("out"), "-q"], capture_output=True)
        lines = quiet.stdout.decode().splitlines()
        self.assertEqual(len(lines), len(sent))
        return [line.split()[1] for line in lines]

    def test_knot_by_a_unix_socket(self):
        near, far = self.hops("unix:" + self.path("ours"))
        relay = Relay(self.path("tap"), self.path("ours"))
        self.addCleanup(relay.close)
        knot, port = self.knot(self.path("tap"))
        self.ask(port)
        kinds = self.check(relay, knot, near, far, 2 * QUERIES)
        self.assertGreaterEqual(kinds.count("AQ"), QUERIES)
        self.assertEqual(kinds.count("AQ"), kinds.count("AR"))

    def test_unbound_by_tcp(self):
        lab.need("unbound")
        address, ours = ("127.0.0.1", lab.free_port()), ("127.0.0.1", lab.free_port())
        near, far = self.hops("tcp:%s:%d" % ours)
        relay = Relay(address, ours)
        self.addCleanup(relay.close)
        _, root = self.knot()
        unbound, port = self.unbound(root, address)
        self.ask(port)
        time.sleep(1.5)  # unbound's threads pass on what they hold by the second
        kinds = self.check(relay, unbound, near, far, 2 * QUERIES + 2 * NAMES)
        self.assertGreaterEqual(kinds.count("CQ"), QUERIES)
        self.assertEqual(kinds.count("CQ"), kinds.count("CR"))

    def test_named_by_a_unix_socket(self):
        lab.need("named")
        near, far = self.hops("unix:" + self.path("ours"))
        relay = Relay(self.path("tap"), self.path("ours"))
        self.addCleanup(relay.close)
        _, root = self.knot()
        named, port = self.named(root, self.path("tap"))
        self.ask(port)
        time.sleep(1.5)  # libfstrm flushes by the second
        kinds = self.check(relay, named, near, far, 2 * QUERIES)
        self.assertGreaterEqual(kinds.count("CQ"), QUERIES)


class Restarts(Servers):
    def setUp(self):
        super().setUp()
        lab.need("knotd", "kdig", "dnsperf", "unbound", "named")

    def collector(self, name):
        return self.bridge("--from", "unix:" + self.path("tap"), "--to", self.path(name)).ready()

    def found_again(self, start):
        """A collector that was killed comes back, and gets everything again without the server's help."""
        first = self.collector("first")
        port = start()
        self.ask(port)
        lab.eventually("messages", lambda: first.now()[0]["received"] >= QUERIES, patience=10)
        first.send(signal.SIGKILL)
        first.wait()
        self.ask(port, 50)  # the server answers all the same
        second = self.collector("second")

        def all_again():
            before = second.now()[0]["received"]
            self.ask(port, 50)
            time.sleep(1.5)
            return second.now()[0]["received"] - before >= 100
        lab.eventually("every message again", all_again)
        self.assertEqual(second.stop(), 0)

    def test_unbound_finds_a_restarted_collector(self):
        _, root = self.knot()
        self.found_again(lambda: self.unbound(root, self.path("tap"))[1])

    def test_named_finds_a_restarted_collector(self):
        _, root = self.knot()
        self.found_again(lambda: self.named(root, self.path("tap"))[1])

    def test_knot_finds_a_restarted_collector(self):
        self.found_again(lambda: self.knot(self.path("tap"))[1])

    def test_named_stops_quickly_while_the_sink_is_stalled(self):
        os.mkfifo(self.path("fifo"))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        bridge = self.bridge("--from", "unix:" + self.path("tap") + "#max-frame=64KiB",
                             "--to", self.path("fifo") + "#ring=192KiB", "--drain-timeout", "0s").ready()
        _, root = self.knot()
        named, port = self.named(root, self.path("tap"))
        for _ in range(4):
            self.ask(port)
        lab.eventually("a full ring", lambda: bridge.now()[0]["dropped"] > 0)
        start = time.monotonic()
        named.stop()
        self.assertLess(time.monotonic() - start, 10)
        bridge.wait_log("stopped after")
        bridge.stop()
        os.close(reader)


if __name__ == "__main__":
    lab.main()
