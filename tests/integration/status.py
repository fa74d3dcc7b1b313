"""What a hop shows of itself over HTTP: metrics, health, the ledger and the page."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

import browser
import lab

COUNTERS = ("received", "delivered", "dropped", "filtered", "rejected", "malformed", "failed")
PATHS = ("/", "/status.js", "/status.css", "/healthz", "/readyz", "/ledger", "/metrics")


class Watched(lab.Case):
    def hop(self, *args, **kwargs):
        """A hop with a status address, which is its `port`."""
        port = lab.free_port()
        bridge = self.bridge(*args, "--status", f"127.0.0.1:{port}", **kwargs).ready()
        bridge.port = port
        return bridge

    def ask(self, bridge, path, method="GET", body=None):
        """(code, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=lab.PATIENCE)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def text(self, bridge, path):
        code, _, body = self.ask(bridge, path)
        self.assertEqual(code, 200, body)
        return body.decode()

    def now(self, bridge):
        ledger = json.loads(self.text(bridge, "/ledger"))
        for route in ledger["routes"]:
            lab.check_sum(route)
        return ledger

    def settled(self, bridge, count, route=0):
        """The ledger once a route has received `count` messages and none is under way."""
        def look():
            ledger = self.now(bridge)
            at = ledger["routes"][route]
            return at["received"] >= count and at["in_flight"] == 0 and ledger
        return lab.eventually(f"{count} messages settled", look)

    def series(self, bridge):
        """{(name, labels as they stand): value}; no series stands there twice."""
        found = {}
        for line in self.text(bridge, "/metrics").splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? ([0-9.]+)", line).groups()
            self.assertNotIn((name, labels or ""), found)
            found[name, labels or ""] = float(value)
        return found

    def promtool(self, bridge):
        lab.need("promtool")
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text(bridge, "/metrics").encode(),
                              capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def two_hops(self):
        """A collector and a bridge that it sends to, both with a status address."""
        bus = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        last = self.hop("--from", bus, "--to", self.path("out.fstrm"), hop="last")
        first = self.hop("--from", f"unix:{self.path('s')}", "--to", bus, hop="first")
        return first, last

    def send(self, times=1):
        """Sends a corpus so often; how many messages that is."""
        frames = lab.split(lab.corpus_octets("bind"))
        sock = lab.sender(self.path("s"))
        for _ in range(times):
            sock.sendall(b"".join(map(lab.data, frames)))
        lab.finish(sock)
        return times * len(frames)


class Status(Watched):
    def test_metrics_are_exact_and_promtool_finds_nothing_to_say(self):
        first, last = self.two_hops()
        self.assertIn(("dnstap_bridge_source_connections", f'source="unix:{self.path("s")}"'),
                      self.series(first))
        count = self.send(20)
        for bridge in (first, last):
            route = self.settled(bridge, count)["routes"][0]
            self.assertEqual(route["delivered"], count)
            series = self.series(bridge)
            labels = f'source="{route["source"]}",sink="{route["sink"]}"'
            for counter in COUNTERS:
                self.assertEqual(series[f"dnstap_bridge_{counter}_total", labels], route[counter])
            self.assertEqual(series["dnstap_bridge_in_flight_messages", labels], 0)
            self.assertEqual(series["dnstap_bridge_ring_bytes", labels], 0)
            self.assertEqual(series["dnstap_bridge_ring_capacity_bytes", labels], 64 << 20)
            sizes = "dnstap_bridge_batch_messages"
            batches = series[sizes + "_count", labels]
            self.assertEqual(series[sizes + "_sum", labels], count)
            self.assertEqual(series[sizes + "_bucket", labels + ',le="+Inf"'], batches)
            self.assertEqual(series["dnstap_bridge_message_age_seconds_count", labels], batches)
            self.assertEqual(series["dnstap_bridge_message_age_seconds_bucket", labels + ',le="3600.000000"'], 0,
                             "the corpus is older than an hour")
        self.promtool(first)
        # what the sender says of itself comes with its next envelope: here its goodbye
        self.assertEqual(first.stop(), 0, first.log())
        self.upstream_series_are_the_ledger(last, count)
        self.promtool(last)

    def upstream_series_are_the_ledger(self, last, count):
        def look():
            ledger = self.now(last)
            return ledger["upstream"][0]["finished"] and ledger
        link = lab.eventually("the sender's last ledger", look)["upstream"][0]
        series = self.series(last)
        labels = f'source="{link["source"]}",hop="first",instance_id="{link["instance"]}"'
        self.assertEqual(series["dnstap_bridge_link_received_total", labels], count)
        self.assertEqual(series["dnstap_bridge_link_lost_messages", labels], 0)
        self.assertEqual(series["dnstap_bridge_link_finished", labels], 1)
        labels = (f'source="{link["source"]}",link="{link["instance"]}",hop="first",'
                  f'instance_id="{link["instance"]}"')
        for counter in COUNTERS:
            self.assertEqual(series[f"dnstap_bridge_upstream_{counter}_total", labels], link["path"][0][counter])

    def test_labels_are_escaped_and_twins_told_apart(self):
        out = os.fsencode(self.folder) + b'/a "b" \\ \xff\n.fstrm'
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", os.fsdecode(out), "--to", "/dev/null",
                          "--to", "/dev/null", hop='h"\\')
        names = {labels for name, labels in self.series(bridge) if name == "dnstap_bridge_received_total"}
        source = f'source="unix:{self.path("s")}"'
        self.assertEqual(names, {
            f'{source},sink="{self.folder}/a \\"b\\" \\\\ \ufffd\\n.fstrm"',
            f'{source},sink="/dev/null"', f'{source},sink="/dev/null#2"'})
        self.assertIn('hop="h\\"\\\\"', self.text(bridge, "/metrics"))
        self.promtool(bridge)

    def test_the_ledger_is_the_one_at_the_end(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        self.assertEqual(self.ask(bridge, "/ledger")[1]["Content-Type"], "application/json")
        shown = self.settled(bridge, self.send(3))
        self.assertEqual(bridge.stop(), 0, bridge.log())
        final = bridge.ledger()
        self.assertGreaterEqual(final.pop("seconds"), shown.pop("seconds"))
        self.assertEqual(final, shown)

    def test_numbers_hold_while_messages_come(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        sock = lab.sender(self.path("s"))
        frames = lab.split(lab.corpus_octets("bind"))
        octets = b"".join(map(lab.data, frames))
        before = 0
        for _ in range(100):
            sock.sendall(octets)
            route = self.now(bridge)["routes"][0]  # its sum is checked
            self.assertGreaterEqual(route["received"], before)
            self.assertLessEqual(route["ring"], route["ring_capacity"])
            before = route["received"]
        series = self.series(bridge)
        self.assertEqual(series["dnstap_bridge_source_connections", f'source="unix:{self.path("s")}"'], 1)
        lab.finish(sock)
        self.settled(bridge, 100 * len(frames))
        lab.eventually("the sender gone", lambda: self.series(bridge)[
            "dnstap_bridge_source_connections", f'source="unix:{self.path("s")}"'] == 0)

    def test_a_full_ring_shows(self):
        receiver = self.receiver(self.path("r"), reading=False)
        bridge = self.hop("--from", f"unix:{self.path('s')}#max-frame=64KiB",
                          "--to", f"unix:{self.path('r')}#ring=1MiB")
        self.send(100)
        route = lab.eventually("a loss", lambda: (r := self.now(bridge)["routes"][0])["dropped"] and r)
        self.assertGreater(route["ring"], route["ring_capacity"] // 2)
        self.assertEqual(route["ring_capacity"], 1 << 20)
        labels = f'source="{route["source"]}",sink="{route["sink"]}"'
        series = self.series(bridge)
        self.assertEqual(series["dnstap_bridge_ring_bytes", labels], route["ring"])
        self.assertEqual(series["dnstap_bridge_dropped_total", labels], route["dropped"])
        receiver.reading.set()

    def test_ready_until_it_stops_and_healthy_to_the_end(self):
        self.receiver(self.path("r"), reading=False)
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", f"unix:{self.path('r')}",
                          "--drain-timeout", "1h")
        self.assertEqual(self.ask(bridge, "/readyz")[0], 200)
        self.assertEqual(self.ask(bridge, "/healthz")[0], 200)
        self.send(20)
        bridge.send(signal.SIGTERM)
        lab.eventually("not ready", lambda: self.ask(bridge, "/readyz")[0] == 503)
        self.assertEqual(self.ask(bridge, "/healthz")[0], 200)
        self.assertEqual(bridge.stop(), 1, bridge.log())

    def test_a_taken_port_is_one_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            code, out, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", self.path("out"),
                                            "--status", address)
        self.assertEqual((code, out), (2, b""), err)
        self.assertRegex(err, rf"\Adnstap-bridge: status {address}: .*[Ii]n use.*\n\Z")
        code, _, err = lab.run_bridge("--from", "-", "--to", "-", "--status", "here")
        self.assertEqual(code, 2)
        self.assertRegex(err, r"\A.*ADDR:PORT.*\n\Z")

    def test_methods_and_paths(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        for path in PATHS:
            with self.subTest(path=path):
                code, headers, body = self.ask(bridge, path)
                self.assertEqual(code, 200)
                self.assertEqual(int(headers["Content-Length"]), len(body))
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
                self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
                code, headers, body = self.ask(bridge, path, "HEAD")
                self.assertEqual((code, body), (200, b""))
                self.assertGreater(int(headers["Content-Length"]), 0)
                for method in ("POST", "PUT", "DELETE"):
                    self.assertEqual(self.ask(bridge, path, method, b"x")[0], 405, method)
        for path in ("/nothing", "/ledger.json", "/../etc/passwd", "/metrics/x"):
            self.assertEqual(self.ask(bridge, path)[0], 404, path)

    def test_who_says_nothing_harms_nobody(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        silent = [lab.connect(("127.0.0.1", bridge.port)) for _ in range(100)]
        for i, sock in enumerate(silent):
            self.addCleanup(sock.close)
            if i % 2:
                with contextlib.suppress(OSError):  # it may have made room already
                    sock.sendall(b"GET /metr")
        # asks for much and takes nothing
        greedy = lab.connect(("127.0.0.1", bridge.port))
        self.addCleanup(greedy.close)
        greedy.sendall(b"GET /metr")
        greedy.sendall(b"ics HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        count = self.send(10)
        self.assertEqual(self.settled(bridge, count)["routes"][0]["delivered"], count)
        self.assertEqual(bridge.stop(), 0, bridge.log())

    def test_half_requests_eat_no_descriptors_and_shut_nobody_out(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        before = len(os.listdir(f"/proc/{bridge.process.pid}/fd"))
        half = []
        self.addCleanup(lambda: [sock.close() for sock in half])
        for i in range(1000):
            half.append(lab.connect(("127.0.0.1", bridge.port)))
            with contextlib.suppress(OSError):
                half[-1].sendall(b"GET /ledger HTTP/1.1\r\nHost: 127")
            if i % 100 == 99:
                self.assertEqual(self.ask(bridge, "/healthz")[0], 200)
                self.assertLess(len(os.listdir(f"/proc/{bridge.process.pid}/fd")), before + 70)
        self.assertEqual(self.now(bridge)["routes"][0]["received"], 0)
        self.assertEqual(bridge.stop(), 0, bridge.log())

    def test_a_reader_that_stops_reading_does_not_keep_others_out(self):
        bridge = self.hop(*[part for i in range(40) for part in ("--from", f"unix:{self.path(f's{i}')}")],
                          *[part for i in range(10) for part in ("--to", f"/dev/null#name=n{i}")])
        slow = []
        self.addCleanup(lambda: [sock.close() for sock in slow])
        for _ in range(5):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", bridge.port))
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            slow.append(sock)
        self.assertEqual(self.ask(bridge, "/healthz")[0], 200)
        lab.eventually("room for an answer", lambda: self.ask(bridge, "/ledger")[0] == 200)

    def test_only_its_own_names_are_answered(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"),
                          "--status-host", "status.example,other.example", hop="hop.example")

        def code(host, path="/ledger"):
            request = f"GET {path} HTTP/1.1\r\n" + (f"Host: {host}\r\n" if host is not None else "") + "Connection: close\r\n\r\n"
            with lab.connect(("127.0.0.1", bridge.port)) as sock:
                sock.sendall(request.encode())
                return int(sock.recv(65536).split()[1])

        port = bridge.port
        for host in (f"127.0.0.1:{port}", "127.0.0.1", "[::1]", f"[::1]:{port}", "192.0.2.1:80", f"localhost:{port}", "LOCALHOST",
                     "collector", f"collector:{port}", "localhost.", "hop.example", "status.example", "Other.Example:1",
                     socket.gethostname()):
            self.assertEqual(code(host), 200, host)
        for host in ("evil.example", f"evil.example:{port}", "rebind.attacker.test.", "127.0.0.1.evil.example",
                     "status.example.evil.example", "x" * 300 + ".example"):
            for path in ("/ledger", "/metrics", "/"):
                self.assertEqual(code(host, path), 421, host)
            self.assertEqual(code(host, "/healthz"), 200)  # a load balancer's name; it tells nothing
        self.assertEqual(bridge.stop(), 0, bridge.log())

    def test_health_is_that_of_the_main_thread(self):
        """Which here reads its configuration from a pipe that nobody writes to."""
        port = lab.free_port()
        text = json.dumps({"hop": "h", "status": f"127.0.0.1:{port}", "sources": {"s": {"url": "unix:" + self.path("s")}},
                           "sinks": {"out": {"url": self.path("out.fstrm")}}}).encode()
        bridge = self.bridge("--config", self.write("hop.yaml", text)).ready()
        bridge.port = port
        self.assertEqual(self.ask(bridge, "/healthz")[0], 200)
        os.unlink(self.path("hop.yaml"))
        os.mkfifo(self.path("hop.yaml"))
        bridge.send(signal.SIGHUP)
        lab.eventually("503", lambda: self.ask(bridge, "/healthz")[0] == 503)
        self.assertEqual(self.settled(bridge, self.send())["routes"][0]["dropped"], 0)  # nothing else stands still
        with open(self.path("hop.yaml"), "wb") as pipe:
            pipe.write(text)
        bridge.wait_log("the configuration was read again")
        lab.eventually("200", lambda: self.ask(bridge, "/healthz")[0] == 200)
        self.assertEqual(bridge.stop(), 0, bridge.log())

    def test_a_second_signal_ends_even_that(self):
        self.write("hop.yaml", json.dumps({"sources": {"s": {"url": "unix:" + self.path("s")}},
                                           "sinks": {"out": {"url": self.path("out.fstrm")}}}).encode())
        bridge = self.bridge("--config", self.path("hop.yaml")).ready()
        os.unlink(self.path("hop.yaml"))
        os.mkfifo(self.path("hop.yaml"))
        bridge.send(signal.SIGHUP)
        time.sleep(0.5)
        bridge.send(signal.SIGTERM)
        time.sleep(0.2)
        self.assertIsNone(bridge.process.poll())
        self.assertEqual(bridge.stop(), 1)
        self.assertIn("the main thread does not turn", bridge.log())

    def test_garbage_is_survived(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        for octets in (b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000,
                       b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                       b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n:\r\n\r\n"):
            with lab.connect(("127.0.0.1", bridge.port)) as sock:
                with contextlib.suppress(OSError):
                    sock.sendall(octets)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
        self.assertEqual(self.ask(bridge, "/healthz")[0], 200)

    def test_idle_it_makes_no_wakeups(self):
        bridge = self.hop("--from", f"unix:{self.path('s')}", "--to", self.path("out.fstrm"))
        self.ask(bridge, "/metrics")

        def switches():
            counts, folder = {}, f"/proc/{bridge.process.pid}/task"
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/status") as f:
                    counts[task] = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1)
            return counts

        def still():
            before = switches()
            time.sleep(1)
            woken = [task for task, count in switches().items() if count != before.get(task)]
            # a sanitizer may have a thread of its own
            return len(woken) <= (1 if os.environ.get("TEST_SHORT") else 0)
        lab.eventually("a second without a wakeup", still)


class Page(Watched):
    """The page in a browser, at a hop with all that it can show."""

    @classmethod
    def setUpClass(cls):
        lab.need("chromium")

    def busy_hop(self):
        """A hop that got `count` messages from one before it, and has a sink that takes none."""
        bus = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        self.receiver(self.path("r"), reading=False)
        last = self.hop("--from", f"{bus}#max-frame=64KiB", "--to", self.path("out.fstrm"),
                        "--to", f"unix:{self.path('r')}#ring=1MiB", hop="last <b>&amp;")
        first = self.hop("--from", f"unix:{self.path('s')}", "--to", bus, hop="first")
        count = self.send(30)
        self.settled(last, count)
        return first, last, count

    def test_the_numbers_stand_in_the_page(self):
        _, last, count = self.busy_hop()
        stalled = self.now(last)["routes"][1]
        done = subprocess.run([*browser.COMMAND, f"--user-data-dir={self.path('profile')}", "--virtual-time-budget=5000",
                               "--dump-dom", f"http://127.0.0.1:{last.port}/"], capture_output=True, timeout=120)
        dom = done.stdout.decode()
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn('<span id="hop">last &lt;b&gt;&amp;amp;</span>', dom)
        self.assertIn(f">{count:,}</td>", dom)
        self.assertIn(f'<td class="bad">{stalled["dropped"]:,}</td>', dom)
        self.assertIn(f"dropped {stalled['dropped']:,}", dom)
        self.assertIn(f'aria-valuemax="1048576" aria-valuenow="{stalled["ring"]}"', dom)
        self.assertIn("<strong>first</strong>", dom)
        self.assertIn("running since", dom)

    def test_it_lives_and_says_when_the_hop_has_gone(self):
        first, last, count = self.busy_hop()
        with browser.Browser(self.path("profile"), f"http://127.0.0.1:{last.port}/") as page:
            def cell(row, column):
                return page.evaluate(f"document.querySelector('#ledger').rows[{row}]?.cells[{column}].textContent")
            lab.eventually("the messages in the page", lambda: cell(0, 1) == f"{count:,}")
            self.assertEqual(self.send(1), len(lab.split(lab.corpus_octets("bind"))))
            lab.eventually("more in the page", lambda: cell(0, 1) == f"{count * 31 // 30:,}")
            columns = page.evaluate("[...document.querySelectorAll('#columns th')].map(c => c.textContent).join()").split(",")
            self.assertEqual([c.lower().replace(" ", "_") for c in columns], ["route", *COUNTERS, "in_flight"])
            self.assertEqual(page.evaluate("document.querySelector('#ledger').rows[0].cells.length"), len(columns))
            lab.eventually("a rate", lambda: re.fullmatch(r"[\d.,KM]+/s", page.evaluate(
                "document.querySelector('#sum dd').textContent")))
            self.fits(page)
            self.keyboard(page)
            last.kill()
            said = lab.eventually("the page to notice", lambda: (text := page.evaluate(
                "document.querySelector('#state').textContent")).startswith("the hop does not answer since") and text)
            self.assertIn("below is what it said last", said)
            self.assertEqual(cell(0, 1), f"{count * 31 // 30:,}")
            self.assertEqual([e for e in page.complaints if "CONNECTION" not in e and "favicon" not in e], [])

    def fits(self, page):
        for width in (1200, 390):
            page.resize(width)
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth > innerWidth"), False, width)
        colours = set()
        for scheme in ("light", "dark"):
            page.prefer(scheme)
            colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(colours), 2)

    def keyboard(self, page):
        """All that can be reached is reached by the tab key; the button works by the space bar."""
        reached = []
        for _ in range(5):
            page.key("Tab", 9)
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.className || "
                                         "document.activeElement.getAttribute('href')"))
        self.assertEqual(reached, ["pause", "scroll", "/metrics", "/ledger", "/readyz"])
        page.evaluate("document.getElementById('pause').focus()")
        state = "document.querySelector('#state').textContent"
        page.key(" ", 32)
        self.assertEqual(page.evaluate(state), "paused")
        page.key(" ", 32)
        self.assertNotEqual(page.evaluate(state), "paused")


if __name__ == "__main__":
    lab.main()
