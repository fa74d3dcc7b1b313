"""SIGHUP under load: what changed in the configuration is done, and nothing else is disturbed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import lab


class Flow:
    """A sender that goes on until it is told to stop, over one connection."""

    def __init__(self, address, messages):
        self.address, self.messages = address, messages
        self.sent = 0
        self.over = threading.Event()
        self.sock = lab.sender(address)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(ConnectionError):  # some are cut on purpose
            while not self.over.is_set():
                piece = [self.messages[(self.sent + i) % len(self.messages)] for i in range(20)]
                self.sock.sendall(b"".join(map(lab.data, piece)))
                self.sent += len(piece)
                time.sleep(0.002)
            lab.finish(self.sock)

    def more(self, n=200):
        want = self.sent + n
        lab.eventually("more to be sent", lambda: self.sent >= want)

    def stop(self):
        self.over.set()
        self.thread.join(lab.PATIENCE)
        assert not self.thread.is_alive()
        return self.sent


class Reload(lab.Case):
    def setUp(self):
        super().setUp()
        self.socket = self.path("dnstap.sock")
        self.messages = lab.split(lab.corpus_octets("unbound"))

    def config(self, sinks, sources=None, extra=""):
        """Each write is whole: the program may read it at any time."""
        sources = sources or {"servers": {"url": "unix:" + self.socket}}
        text = json.dumps({"hop": "h", "sources": sources, "sinks": sinks}, indent=1)  # JSON is YAML
        return self.write("hop.yaml", text.encode() + extra.encode())

    def start(self, sinks, **kwargs):
        path = self.config(sinks, **kwargs)
        self.bridge_ = self.bridge("--config", path).ready()
        self.readings = 0
        return self.bridge_

    def again(self, sinks, **kwargs):
        self.config(sinks, **kwargs)
        self.hup()
        self.bridge_.wait_log("configuration was read again\"", self.readings)

    def hup(self):
        self.readings += 1
        self.bridge_.send(signal.SIGHUP)

    def routes(self):
        """The ledger's routes by sink; of those with one name the last."""
        return {route["sink"]: route for route in self.bridge_.ledger()["routes"]}

    def end(self, flow):
        sent = flow.stop()
        self.assertEqual(self.bridge_.stop(), 0, self.bridge_.log())
        return sent

    def file(self, name, **options):
        return {"url": self.path(name), **options}

    def test_what_stays_is_not_disturbed(self):
        listener = lab.free_port()
        receiver = lab.Receiver(("127.0.0.1", listener))
        self.addCleanup(receiver.close)
        stays = {"stays": self.file("stays.fstrm"), "far": {"url": f"tcp:127.0.0.1:{listener}"}}
        self.start({**stays, "goes": self.file("goes.fstrm")})
        flow = Flow(self.socket, self.messages)
        flow.more()
        for round_ in range(3):
            self.again({**stays, "comes": self.file(f"comes-{round_}.json", format="json")})
            flow.more()
            self.again(stays)
            flow.more()
        sent = self.end(flow)
        routes = self.routes()
        self.assertEqual(routes[self.path("stays.fstrm")]["delivered"], sent)
        self.assertEqual(lab.frames_of(self.path("stays.fstrm")), [self.messages[i % len(self.messages)] for i in range(sent)])
        self.assertEqual(len(receiver.connections), 1)  # the same all the time
        self.assertEqual(sum(map(len, receiver.frames())), sent)
        for name in ("goes.fstrm", *(f"comes-{i}.json" for i in range(3))):
            route = routes[self.path(name)]
            self.assertGreater(route["delivered"], 0)
            self.assertEqual(route["delivered"], route["received"])
        self.assertEqual(len(lab.frames_of(self.path("goes.fstrm"))), routes[self.path("goes.fstrm")]["delivered"])
        for i in range(3):
            self.assertEqual(lab.read_file(self.path(f"comes-{i}.json")).count(b"\n"),
                             routes[self.path(f"comes-{i}.json")]["delivered"])

    def test_what_has_ended_gives_its_memory_back(self):
        """Sources and sinks that are replaced again and again leave a row in the ledger, and nothing else."""
        short = bool(os.environ.get("TEST_SHORT"))
        turns = 20 if short else 150
        stays = {"stays": self.file("stays.fstrm")}

        def replace(n):
            sources = {"servers": {"url": "unix:" + self.socket},
                       "idle": {"url": "unix:" + self.path("idle.sock"), "max-connections": 10 + n},
                       "bus": {"url": f"nng+ipc:{self.path('bus')}", "max-connections": 10 + n}}
            return {"sinks": {**stays, "null": {"url": "/dev/null", "ring": f"{65 + n % 7}MiB"}}, "sources": sources}

        self.start(**replace(0))
        flow = Flow(self.socket, self.messages)
        for n in range(1, turns):
            self.again(**replace(n))
        settled = self.bridge_.status("VmRSS")
        for n in range(turns, 3 * turns):
            self.again(**replace(n))
        grown = self.bridge_.status("VmRSS") - settled
        sent = flow.stop()
        self.assertEqual(self.bridge_.stop(), 0, self.bridge_.log())
        rows = self.bridge_.ledger()["routes"]
        self.assertEqual(len(rows), 6)  # three sources, two sinks
        self.assertEqual([r["delivered"] for r in rows if r["sink"].endswith("stays.fstrm") and r["source"].endswith("dnstap.sock")], [sent])
        if not short:  # a sanitizer keeps what was freed
            self.assertLess(grown, 4096)  # KiB

    def test_sources_come_and_go(self):
        first, second = {"url": "unix:" + self.socket}, {"url": "unix:" + self.path("second.sock")}
        self.start({"out": self.file("out.fstrm")}, sources={"first": first})
        flow = Flow(self.socket, self.messages)
        flow.more()
        self.again({"out": self.file("out.fstrm")}, sources={"first": first, "second": second})
        other = Flow(self.path("second.sock"), self.messages)
        other.more()
        self.again({"out": self.file("out.fstrm")}, sources={"second": second})
        self.bridge_.wait_log("source unix:.*: no longer in the configuration")
        flow.thread.join(lab.PATIENCE)
        self.assertFalse(flow.thread.is_alive())  # it was cut
        with self.assertRaises(OSError):
            lab.connect(self.socket)
        sent = other.stop()
        self.assertEqual(self.bridge_.stop(), 0, self.bridge_.log())
        by_source = {route["source"]: route for route in self.bridge_.ledger()["routes"]}
        self.assertEqual(by_source["unix:" + self.path("second.sock")]["delivered"], sent)
        one = by_source["unix:" + self.socket]
        self.assertEqual(one["received"], one["delivered"])
        self.assertEqual(len(lab.frames_of(self.path("out.fstrm"))), sent + one["delivered"])

    def test_other_options_at_the_same_address(self):
        """The port is free again before the new listener takes it."""
        port = lab.free_port()
        out = {"out": self.file("out.fstrm")}
        self.start(out, sources={"s": {"url": f"tcp:127.0.0.1:{port}"}})
        lab.sender(("127.0.0.1", port))
        self.again(out, sources={"s": {"url": f"tcp:127.0.0.1:{port}", "max-frame": "64KiB", "allow": "127.0.0.0/8"}})
        sock = lab.eventually("the new listener", lambda: self.try_sender(("127.0.0.1", port)))
        sock.sendall(lab.data(self.messages[0]))
        lab.finish(sock)
        self.assertEqual(self.bridge_.stop(), 0, self.bridge_.log())
        self.assertEqual(len(lab.frames_of(self.path("out.fstrm"))), 1)

    def try_sender(self, address):
        try:
            return lab.sender(address)
        except (OSError, EOFError):
            return None

    def test_a_policy_changes_between_two_batches(self):
        names = self.write("names.txt", b"nothing.example\n")
        step = {"drop": {"qname": "file:" + names, "rejects": "rest"}}
        sinks = {"out": self.file("out.fstrm", policy=[step]), "rest": self.file("rest.fstrm")}
        self.start(sinks)
        flow = Flow(self.socket, self.messages)
        flow.more()
        self.write("names.txt", b"*\n")  # the same configuration, another list
        self.hup()
        self.bridge_.wait_log("policy replaced")
        flow.more()
        self.again({"out": self.file("out.fstrm"), "rest": self.file("rest.fstrm")})  # `rest` takes all now: another sink
        self.bridge_.wait_log("no longer in the configuration")
        flow.more()
        flow.stop()
        self.assertEqual(self.bridge_.stop(), 0, self.bridge_.log())
        routes = self.bridge_.ledger()["routes"]
        out = routes[0]
        rest = [route for route in routes if route["sink"].endswith("rest.fstrm")]
        self.assertEqual(out["received"], flow.sent)
        self.assertEqual(out["delivered"] + out["rejected"], flow.sent)
        self.assertEqual([r["received"] for r in rest if r["source"] == "rejects of out"], [out["rejected"]])
        self.assertGreater(rest[0]["delivered"], 0)
        self.assertGreater(rest[1]["delivered"], 0)
        by_source = {route["source"]: route for route in rest}
        for name, route in (("out.fstrm", out), ("rest.fstrm", by_source["rejects of out"]),
                            ("rest-1.fstrm", by_source["unix:" + self.socket])):
            self.assertEqual(len(lab.frames_of(self.path(name))), route["delivered"])

    def test_a_key_changes_where_it_is_read_from(self):
        """The same configuration, and another key behind its file: pseudonyms are others from then on."""
        key = self.write("key", b"00" * 32)
        out = {"out": self.file("out.json", policy=[{"anonymise": {"client": "pseudonym", "key": "file:" + key}}])}
        self.start(out)
        sock = lab.sender(self.socket)
        sock.sendall(lab.data(self.messages[0]))
        lab.eventually("the first", lambda: lab.read_file(self.path("out.json")).count(b"\n") == 1)
        self.write("key", b"11" * 32)
        self.hup()
        self.bridge_.wait_log("policy replaced")
        sock.sendall(lab.data(self.messages[0]))
        lab.eventually("the second", lambda: lab.read_file(self.path("out.json")).count(b"\n") == 2)
        lab.finish(sock)
        self.assertEqual(self.bridge_.stop(), 0, self.bridge_.log())
        first, second = map(json.loads, lab.read_file(self.path("out.json")).splitlines())
        self.assertNotEqual(first.pop("query_address"), second.pop("query_address"))
        self.assertEqual(first, second)

    def test_a_mistake_changes_nothing(self):
        good = {"out": self.file("out.fstrm")}
        self.start(good)
        flow = Flow(self.socket, self.messages)
        flow.more()
        mistakes = [({**good, "b": self.file("b.fstrm", ring="1KiB")}, "ring"),
                    ({**good, "b": {"url": "/does/not/exist/b.fstrm"}}, "/does/not/exist"),
                    ({**good, "a": self.file("a.fstrm"), "b": {"url": f"nng+tcp:127.0.0.1:{self.taken()}", "listen": True}}, "nng")]
        for sinks, says in mistakes:
            self.config(sinks)
            self.hup()
            self.bridge_.wait_log(f"not taken over: .*{says}.*goes on as it was")
            flow.more()
        self.config(good, extra="\n- no: yaml: {")
        self.hup()
        self.bridge_.wait_log("not taken over: .*hop.yaml:[0-9]+:[0-9]+")
        sent = self.end(flow)
        self.assertEqual(self.routes()[self.path("out.fstrm")]["delivered"], sent)

    def taken(self):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        self.addCleanup(sock.close)
        return sock.getsockname()[1]

    def test_a_run_that_ends_takes_no_new_configuration(self):
        """It ends because nobody reads its output any more, and its source still hands on what was sent."""
        bus = f"nng+ipc:{self.path('bus')}"
        sinks = {"out": {"url": "-", "format": "json"}}
        path = self.config(sinks, sources={"bus": {"url": bus}})
        far = self.bridge("--config", path, "--drain-timeout", "1h", stdout=subprocess.PIPE, hop="far").ready()
        near = self.bridge("--from", lab.corpus("unbound") + "#loop=0", "--to", bus, hop="near").ready()
        self.assertTrue(far.process.stdout.readline())
        far.process.stdout.close()
        far.wait_log("stopping: nobody reads any more")
        self.config(sinks, sources={"bus": {"url": bus}, "servers": {"url": "unix:" + self.socket}})
        far.send(signal.SIGHUP)
        self.assertEqual(far.wait(), 1)
        self.assertNotIn("the configuration was read again", far.log())
        near.kill()

    def test_sources_that_went_while_a_sink_stalls_do_not_disturb_the_end(self):
        """What they had sent to the other sink is delivered, and that route is gone, while the stalled one holds the rest."""
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # opens, and never reads
        self.addCleanup(os.close, reader)
        sinks = {"stalled": {"url": fifo}, "other": {"url": self.path("other.fstrm")}}
        source = {"url": "unix:" + self.socket}
        bridge = self.start(sinks)
        sent = 0
        for turn in range(5):
            sock = lab.sender(self.socket)
            sock.sendall(b"".join(map(lab.data, self.messages[:1500])))
            lab.finish(sock)
            sent += 1500
            lab.eventually("all in the other sink", lambda: sum(r["delivered"] for r in bridge.now()) >= sent)
            self.again(sinks, sources={"servers": {**source, "max-frame": f"{64 + turn}KiB"}})
            lab.eventually("the successor", lambda: os.path.exists(self.socket) and bridge.log().count("it stops") == turn + 1)
            bridge.now()
        bridge.send(signal.SIGTERM)
        bridge.send(signal.SIGTERM)  # at once
        self.assertEqual(bridge.wait(), 1)
        routes = self.routes()
        self.assertEqual(routes[self.path("other.fstrm")]["delivered"], sent)
        self.assertGreater(routes[fifo]["in_flight"], 0)

    def test_a_stalled_sink_can_be_taken_out(self):
        """It ends after the drain's time, and what it held stays in flight; the others go on."""
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        holder = os.open(fifo, os.O_RDWR)  # nobody reads
        self.addCleanup(os.close, holder)
        good = {"out": self.file("out.fstrm")}
        path = self.config({**good, "stalled": {"url": fifo, "ring": "2MiB"}})
        self.bridge_ = self.bridge("--config", path, "--drain-timeout", "500ms").ready()
        self.readings = 0
        flow = Flow(self.socket, self.messages)
        flow.more(2000)
        self.again(good)
        flow.more(2000)
        sent = flow.stop()
        self.assertEqual(self.bridge_.stop(), 1, self.bridge_.log())
        routes = self.routes()
        self.assertEqual(routes[self.path("out.fstrm")]["delivered"], sent)
        stalled = routes[fifo]
        self.assertLess(stalled["received"], sent)
        self.assertGreater(stalled["in_flight"], 0)


if __name__ == "__main__":
    lab.main()
