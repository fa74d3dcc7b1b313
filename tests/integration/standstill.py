"""What must never stop a source: a log that nobody reads, a status request, a library that takes its time to close."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import lab


class Hop(lab.Case):
    def setUp(self):
        super().setUp()
        self.port = lab.free_port()
        self.socket = self.path("dnstap.sock")
        self.messages = lab.split(lab.corpus_octets("bind"))

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=lab.PATIENCE) as answer:
            return answer.read().decode()

    def ledger(self):
        ledger = json.loads(self.get("/ledger"))
        for route in ledger["routes"]:
            lab.check_sum(route)
        return ledger

    def delivered(self, count):
        lab.eventually(f"{count} messages delivered",
                       lambda: sum(r["delivered"] for r in self.ledger()["routes"]) >= count)

    def send(self, times):
        sock = lab.sender(self.socket)
        for _ in range(times):
            sock.sendall(b"".join(map(lab.data, self.messages)))
        lab.finish(sock)
        return times * len(self.messages)


class StuckLog(Hop):
    def start(self, *args):
        """A hop whose standard error is a full pipe that nobody reads."""
        self.read_end, write_end = os.pipe()
        self.addCleanup(os.close, self.read_end)
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write_end, b"." * 4096)
        os.set_blocking(write_end, True)
        self.process = subprocess.Popen([lab.BRIDGE, "--hop", "h", "--status", f"127.0.0.1:{self.port}", "--from",
                                         "unix:" + self.socket, "--ledger", self.path("ledger"), *args],
                                        stdin=subprocess.DEVNULL, stderr=write_end)
        os.close(write_end)
        self.addCleanup(self.end)
        lab.eventually("it to run", self.is_ready)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def is_ready(self):
        try:
            return self.get("/readyz") == "ready\n"
        except OSError:
            return False

    def read_all(self):
        """What standard error holds, read until the hop has ended."""
        os.set_blocking(self.read_end, True)
        pieces = []
        while piece := os.read(self.read_end, 65536):
            pieces.append(piece)
        return b"".join(pieces).decode(errors="replace").lstrip(".")

    def full_load(self):
        """Senders that come and go, garbage that is logged, ledgers that are asked for."""
        count = 0
        for _ in range(10):
            count += self.send(5)
            with lab.connect(self.socket) as sock, contextlib.suppress(OSError):
                sock.sendall(b"garbage" * 100)
            self.process.send_signal(signal.SIGUSR1)
            self.delivered(count)
        return count

    def test_nothing_waits_for_it(self):
        self.start("--to", self.path("out.fstrm"))
        count = self.full_load()
        self.assertEqual(self.get("/healthz"), "ok\n")
        # of ten ledgers two wait; the others were given up, and counted
        lab.eventually("ledgers that were dropped", lambda: lab.metric_plain(self.port, "log_lines_dropped_total") > 0)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(60), 0)
        self.assertEqual(json.loads(lab.read_file(self.path("ledger")))["routes"][0]["delivered"], count)
        self.assertEqual(len(lab.frames_of(self.path("out.fstrm"))), count)

    def test_what_was_given_up_is_said_when_it_is_read_again(self):
        self.start("--to", self.path("out.fstrm"))
        count = self.full_load()
        lab.eventually("ledgers that were dropped", lambda: lab.metric_plain(self.port, "log_lines_dropped_total") > 0)
        text = []
        reader = threading.Thread(target=lambda: text.append(self.read_all()), daemon=True)
        reader.start()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(60), 0)
        reader.join(lab.PATIENCE)
        self.assertRegex(text[0], r"msg=\"\d+ lines of this log were dropped: standard error stood still\"")
        self.assertIn("running:", text[0])
        self.assertRegex(text[0], rf"\n +{count} +{count} ")  # the last ledger is whole
        self.assertNotRegex(text[0], r"[^\n]time=")           # and no line stands in another


class Closing(Hop):
    def config(self, sinks, sources):
        text = json.dumps({"hop": "h", "status": f"127.0.0.1:{self.port}", "drain-timeout": "1s", "sources": sources, "sinks": sinks})
        return self.write("hop.yaml", text.encode())

    def ask_all_the_time(self, clients):
        """Clients that ask for the ledger and metrics again and again; stops them, and says how many answers came."""
        over, answers = threading.Event(), [0] * clients

        def ask(i):
            connection = None
            while not over.is_set():
                try:
                    connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=lab.PATIENCE)
                    connection.request("GET", ("/ledger", "/metrics", "/healthz")[i % 3])
                    answer = connection.getresponse()
                    answer.read()
                    answers[i] += answer.status == 200
                except OSError:
                    connection = None
                except http.client.HTTPException:
                    connection = None

        threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(clients)]
        for thread in threads:
            thread.start()

        def stop():
            over.set()
            for thread in threads:
                thread.join(lab.PATIENCE)
            return sum(answers)

        return stop

    def reload_while_they_ask(self, sinks, sources):
        """Three reloads that close an nng end each, while two dozen clients ask."""
        bridge = self.bridge("--config", self.config(sinks(0), sources(0))).ready()
        stop = self.ask_all_the_time(24)
        sent = 0
        for round_ in range(1, 7):
            self.config(sinks(round_), sources(round_))
            bridge.send(signal.SIGHUP)
            bridge.wait_log("the configuration was read again", round_)
            sent += self.send(2)
        self.assertEqual(self.get("/healthz"), "ok\n")
        self.assertGreater(stop(), 24)
        return bridge, sent

    def test_sinks_of_nng_are_replaced_while_many_ask(self):
        bus = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        far = self.bridge("--from", bus, "--to", self.path("far.fstrm"), hop="far").ready()
        bridge, sent = self.reload_while_they_ask(
            lambda n: {"far": {"url": bus, "ring": f"{64 + n}MiB"}, "near": {"url": self.path("near.fstrm")}},
            lambda n: {"servers": {"url": "unix:" + self.socket}})
        self.assertEqual(bridge.stop(), 0, bridge.log())
        near = [r for r in bridge.ledger()["routes"] if r["sink"].endswith("near.fstrm")]
        self.assertEqual([r["delivered"] for r in near], [sent])
        self.assertEqual(far.stop(), 0, far.log())

    def test_sources_of_nng_are_replaced_while_many_ask(self):
        buses = [f"nng+tcp:127.0.0.1:{lab.free_port()}" for _ in range(2)]
        sender = self.bridge("--from", "unix:" + self.path("other.sock"), "--to", buses[0], hop="sender").ready()
        bridge, sent = self.reload_while_they_ask(
            lambda n: {"near": {"url": self.path("near.fstrm")}},
            lambda n: {"servers": {"url": "unix:" + self.socket}, "bus": {"url": buses[0], "max-connections": 10 + n}})
        self.assertEqual(bridge.stop(), 0, bridge.log())
        rows = {r["source"]: r for r in bridge.ledger()["routes"]}
        self.assertEqual(rows["unix:" + self.socket]["delivered"], sent)
        self.assertEqual(len(rows), len(bridge.ledger()["routes"]))  # one row for each source, however often it was replaced
        sender.kill()

    def test_a_hop_that_ends_while_many_ask(self):
        """The status answers until everything is closed."""
        for _ in range(5):
            sources = {f"bus{i}": {"url": f"nng+ipc:{self.path('bus' + str(i))}"} for i in range(8)}
            sources["servers"] = {"url": "unix:" + self.socket}
            bridge = self.bridge("--config", self.config({"near": {"url": "/dev/null"}}, sources)).ready()
            stop = self.ask_all_the_time(9)
            self.send(1)
            lab.eventually("the messages", lambda: self.get("/metrics"))
            self.assertEqual(bridge.stop(), 0, bridge.log())
            self.assertGreater(stop(), 0)


class Names(lab.Case):
    def test_what_a_hop_calls_itself_cannot_forge_the_ledger(self):
        """Sent by hand, for the program itself takes no such name."""
        code, _, err = lab.run_bridge("--hop", "evil\x1b[2J", "--from", "-", "--to", "-")
        self.assertEqual(code, 2)
        self.assertIn("without control characters", err)


if __name__ == "__main__":
    lab.main()
