"""Policies in the running program: what leaves, what goes elsewhere, what is held back, and a ledger that is exact in all of it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import lab

ROOT = lab.ROOT
SHORT = bool(os.environ.get("TEST_SHORT"))  # a sanitizer's build


class Policies(lab.Case):
    def setUp(self):
        super().setUp()
        self.messages = lab.split(lab.corpus_octets("unbound"))

    def config(self, sinks, source=None):
        text = json.dumps({"hop": "h", "sources": {"s": source or {"url": lab.corpus("unbound")}}, "sinks": sinks})
        return self.write("hop.yaml", text.encode())

    def run_config(self, sinks, source=None):
        bridge = self.bridge("--config", self.config(sinks, source))
        self.assertEqual(bridge.wait(), 0, bridge.log())
        return {route["name"]: route for route in bridge.ledger()["routes"]}

    def file(self, name, policy=None, **options):
        return {"url": self.path(name), **options, **({"policy": policy} if policy else {})}

    def lines(self, name):
        return [json.loads(line) for line in lab.read_file(self.path(name)).splitlines()]

    def test_every_message_goes_one_way(self):
        routes = self.run_config({
            "all": self.file("all.json"),
            "clients": self.file("clients.json", [{"keep": {"type": ["CLIENT_QUERY", "CLIENT_RESPONSE"], "rejects": "others"}},
                                                  {"drop": {"qtype": "A", "rejects": "addresses"}}]),
            "others": self.file("others.json", [{"keep": {"type": "RESOLVER_RESPONSE"}}]),
            "addresses": self.file("addresses.json")})
        every = self.lines("all.json")
        clients = [m for m in every if m["type"].startswith("CLIENT")]
        wanted = {"clients.json": [m for m in clients if m.get("qtype") != "A"],
                  "addresses.json": [m for m in clients if m.get("qtype") == "A"],
                  "others.json": [m for m in every if m["type"] == "RESOLVER_RESPONSE"]}
        for name, messages in wanted.items():  # of a broken message JSON shows no question, and a policy reads it all the same
            self.assertEqual([m for m in self.lines(name) if "parse_error" not in m],
                             [m for m in messages if "parse_error" not in m], name)
        self.assertEqual(routes["clients"]["rejected"], routes["others"]["received"] + routes["addresses"]["received"])
        self.assertEqual(routes["others"]["filtered"], routes["others"]["received"] - len(wanted["others.json"]))

    def test_a_policy_from_the_command_line(self):
        policy = self.write("policy.yaml", b"- keep: { type: CLIENT_RESPONSE }\n- anonymise: { client: prefix, ipv4: 8 }\n")
        bridge = self.bridge("--from", lab.corpus("unbound"), "--to", f"{self.path('out.json')}#policy={policy}")
        self.assertEqual(bridge.wait(), 0, bridge.log())
        lines = self.lines("out.json")
        self.assertTrue(lines)
        self.assertEqual({m["type"] for m in lines}, {"CLIENT_RESPONSE"})
        self.assertEqual({m["query_address"] for m in lines}, {"127.0.0.0", "::"})

    def test_dedupe_holds_back_and_lets_go(self):
        """What is held is in flight; it goes when the window ends, without another message coming."""
        address = self.path("in")
        bridge = self.bridge("--config", self.config({"out": self.file("out.json", [{"dedupe": {"window": "1s"}}])},
                                                     {"url": "unix:" + address})).ready()
        sock = lab.sender(address)
        sock.sendall(lab.data(self.messages[0]) * 500)
        lab.eventually("all to be in", lambda: bridge.now()[0]["received"] == 500)
        lab.eventually("the repeats to be counted", lambda: bridge.now()[0]["filtered"] == 499)
        lab.eventually("the one to go", lambda: bridge.now()[0]["delivered"] == 1)
        lab.eventually("its line", lambda: self.lines("out.json"))
        self.assertEqual(self.lines("out.json")[0]["repeats"], 499)
        sock.sendall(lab.data(self.messages[0]) * 3)
        lab.eventually("more to be in", lambda: bridge.now()[0]["received"] == 503)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0, bridge.log())  # what is held back goes before the end
        route = bridge.route()
        self.assertEqual((route["delivered"], route["filtered"], route["in_flight"]), (2, 501, 0))
        self.assertEqual([m["repeats"] for m in self.lines("out.json")], [499, 2])

    def test_dedupe_sums_over_a_file(self):
        routes = self.run_config({"out": self.file("out.json", [{"dedupe": {"window": "1h"}}])})
        lines = self.lines("out.json")
        self.assertEqual(sum(1 + m.get("repeats", 0) for m in lines), len(self.messages))
        self.assertEqual(routes["out"]["delivered"], len(lines))
        self.assertLess(len(lines), len(self.messages))

    def test_a_reason_goes_along(self):
        routes = self.run_config({"good": self.file("good.json", [{"validate": {"ttl-max": 0, "rejects": "chaff"}}]),
                                  "chaff": self.file("chaff.json")})
        reasons = {m["rejected"] for m in self.lines("chaff.json")}
        self.assertIn("a TTL that is too long", reasons)
        self.assertFalse(any("rejected" in m for m in self.lines("good.json")))
        self.assertEqual(routes["chaff"]["delivered"], routes["good"]["rejected"])

    def test_other_tools_read_what_carries_a_mark(self):
        lab.need("dnstap")
        self.run_config({"out": self.file("out.fstrm", [{"dedupe": {"window": "1h"}}])})
        done = subprocess.run(["dnstap", "-r", self.path("out.fstrm"), "-q"], capture_output=True, check=True)
        self.assertEqual(done.stdout.count(b"\n"), len(lab.frames_of(self.path("out.fstrm"))))

    def test_a_stalled_partner_costs_the_others_nothing(self):
        """Also where it stalls is a sink for what others reject: the ring in front of it is where the loss is."""
        fifo, address = self.path("fifo"), self.path("in")
        os.mkfifo(fifo)
        holder = os.open(fifo, os.O_RDWR)
        self.addCleanup(os.close, holder)
        bridge = self.bridge("--drain-timeout", "500ms", "--config", self.config(
            {"good": self.file("good.fstrm", [{"drop": {"qtype": "A", "rejects": "stalled"}}]),
             "stalled": {"url": fifo, "ring": "2MiB"}}, {"url": "unix:" + address})).ready()
        sock = lab.sender(address)
        sent = 0
        while sent < (200 if SHORT else 400) * 400:
            sock.sendall(b"".join(lab.data(m) for m in self.messages[:400]))
            sent += 400
        lab.finish(sock)
        lab.eventually("all to be in", lambda: bridge.now()[0]["received"] == sent)
        lab.eventually("the good sink to be done", lambda: bridge.now()[0]["in_flight"] == 0)
        self.assertEqual(bridge.stop(), 1, bridge.log())
        good, stalled = bridge.ledger()["routes"]
        self.assertEqual(good["delivered"] + good["rejected"], sent)
        self.assertEqual(stalled["received"], good["rejected"])
        self.assertGreater(stalled["dropped"], 0)
        self.assertEqual(len(lab.frames_of(self.path("good.fstrm"))), good["delivered"])

    def test_a_file_waits_for_a_sink_that_takes_rejects(self):
        """Reading a file loses nothing, wherever its messages go."""
        fifo, loops = self.path("fifo"), 4 if SHORT else 20
        os.mkfifo(fifo)
        holder = os.open(fifo, os.O_RDWR)  # so that both ends find the other one there, whoever comes first
        got = []

        def read_slowly():
            with open(fifo, "rb") as f:
                while piece := f.read(65536):
                    got.append(piece)
                    time.sleep(0.002)
        reader = threading.Thread(target=read_slowly, daemon=True)
        reader.start()
        bridge = self.bridge("--config", self.config(
            {"good": self.file("good.fstrm", [{"drop": {"qtype": "A", "rejects": "slow"}}]), "slow": {"url": fifo, "ring": "2MiB"}},
            {"url": lab.corpus("unbound"), "loop": loops})).ready()
        os.close(holder)
        self.assertEqual(bridge.wait(), 0, bridge.log())
        reader.join()
        good, slow = bridge.ledger()["routes"]
        self.assertEqual((good["received"], slow["dropped"]), (loops * len(self.messages), 0))
        self.assertEqual(slow["delivered"], good["rejected"])
        self.assertEqual(len(lab.split(b"".join(got))), slow["delivered"])

    def test_mistakes(self):
        cases = [({"a": self.file("a", [{"keep": {"qname": "x", "rejects": "nobody"}}])}, "no sink has that name"),
                 ({"a": self.file("a", [{"keep": {"qname": "x", "rejects": "a"}}])}, "comes back"),
                 ({"a": self.file("a", [{"keep": {"qname": "x", "rejects": "b"}}]),
                   "b": self.file("b", [{"keep": {"qname": "x", "rejects": "a"}}])}, "comes back"),
                 ({"a": self.file("a", [{"kep": {"qname": "x"}}])}, "hop.yaml:1:"),
                 ({"a": self.file("a", "nowhere.yaml")}, "nowhere.yaml: cannot read the policy")]
        for sinks, says in cases:
            code, out, err = lab.run_bridge("--check", "--config", self.config(sinks))
            self.assertEqual((code, out), (2, b""))
            self.assertIn(says, err)
            self.assertEqual(err.count("\n"), 1, err)

    def test_check_says_what_leaves_the_house(self):
        code, out, err = lab.run_bridge("--check", "--config", os.path.join(ROOT, "docs/examples/exchange.yaml"))
        self.assertEqual(code, 0, err)
        text = out.decode()
        for words in ("what leaves here: every message of every source, unchanged",
                      "only messages with type RESOLVER_RESPONSE", "the others go to chaff",
                      "client addresses cut to /24 and /48, no ports, no identity",
                      "what leaves here: what other sinks' policies send here, unchanged",
                      "policy of nng+tcp:127.0.0.1:5602"):
            self.assertIn(words, text)

    def test_secrets_are_not_shown(self):
        key = self.write("key", b"00112233445566778899aabbccddeeff" * 2)
        sinks = {"a": self.file("a.fstrm", [{"anonymise": {"client": "crypto-pan", "key": "file:" + key}}])}
        code, out, err = lab.run_bridge("--check", "--config", self.config(sinks))
        self.assertEqual(code, 0, err)
        self.assertNotIn("8899aabb", out.decode() + err)
        self.run_config(sinks)

    def test_the_memory_is_what_check_says(self):
        sinks = {"a": self.file("a.fstrm", [{"dedupe": {"window": "1h", "memory": "64MiB", "key": ["client"]}}], ring="4MiB"),
                 "b": self.file("b.fstrm", [{"dedupe": {"window": "1h", "memory": "64MiB"}}], ring="4MiB")}
        config = self.config(sinks, {"url": lab.corpus("unbound"), "loop": 3 if SHORT else 30})
        ceiling = lab.ceiling("--config", config)
        self.assertGreater(ceiling, 128 << 20)
        bridge = self.bridge("--config", config)
        peak = 0
        while bridge.process.poll() is None:
            try:
                peak = max(peak, bridge.peak_octets())
            except (OSError, AttributeError):
                break
            time.sleep(0.02)
        self.assertEqual(bridge.wait(), 0, bridge.log())
        if not SHORT:  # a sanitizer has memory of its own
            self.assertLess(peak, ceiling)

    def data(self, name):
        return os.path.join(os.environ["TEST_DATA"], name)

    def test_a_short_subnet_option_costs_nothing(self):
        """A client writes /24 and no octet of an address into its option, with a record behind it."""
        routes = self.run_config({"out": self.file("out.json", [{"anonymise": {"subnet": "prefix"}}])},
                                 {"url": self.data("short-subnet.fstrm")})
        self.assertEqual(routes["out"]["delivered"], 1)
        [line] = self.lines("out.json")
        self.assertNotIn("parse_error", line)
        before = os.path.getsize(self.data("short-subnet.fstrm"))
        self.run_config({"out": self.file("out.fstrm", [{"anonymise": {"subnet": "prefix"}}])},
                        {"url": self.data("short-subnet.fstrm")})
        self.assertLessEqual(os.path.getsize(self.path("out.fstrm")), before)

    def test_a_response_without_its_question(self):
        routes = self.run_config({"out": self.file("out.json", [{"drop": {"qname": "*.internal"}}]),
                                  "kept": self.file("kept.json", [{"keep": {"qname": "*.internal"}}])},
                                 {"url": self.data("no-question.fstrm")})
        self.assertEqual((routes["out"]["filtered"], routes["kept"]["delivered"]), (1, 1))

    def test_one_client_in_two_forms(self):
        """CoreDNS sends IPv4 addresses in 16 octets."""
        url = self.data("mapped-address.fstrm")
        routes = self.run_config({"all": self.file("all.json"), "text": self.file("all.yaml"),
                                  "cut": self.file("cut.json", [{"anonymise": {"client": "prefix"}}]),
                                  "one": self.file("one.json", [{"dedupe": {"key": ["client"]}}]),
                                  "raw": self.file("raw.fstrm")}, {"url": url})
        self.assertEqual({m["query_address"] for m in self.lines("all.json")}, {"192.0.2.1"})
        self.assertEqual({m["query_address"] for m in self.lines("cut.json")}, {"192.0.2.0"})
        self.assertEqual(routes["one"]["filtered"], 1)
        self.assertNotIn("ffff", lab.read_file(self.path("all.yaml")).decode())
        self.assertEqual(lab.frames_of(self.path("raw.fstrm")), lab.frames_of(url))  # what nobody asked to change

    def test_a_signature_tells_nothing(self):
        self.run_config({"out": self.file("out.fstrm", [{"anonymise": {"client": "prefix"}}]),
                         "json": self.file("out.json", [{"anonymise": {"client": "prefix"}}])},
                        {"url": self.data("tsig.fstrm")})
        self.assertIn(b"customer", lab.read_file(self.data("tsig.fstrm")))
        self.assertNotIn(b"customer", lab.read_file(self.path("out.fstrm")))
        self.assertNotIn("parse_error", self.lines("out.json")[0])

    def test_an_empty_list_is_refused(self):
        """At the start, by --check, and when it becomes empty under way."""
        names = self.write("names.txt", b"# none\n")
        sinks = {"out": self.file("out.json", [{"drop": {"qname": "file:" + names}}])}
        address = self.path("in")
        config = self.config(sinks, {"url": "unix:" + address})
        for more in ((), ("--check",)):
            refused = self.program(lab.BRIDGE, "--config", config, *more)
            self.assertEqual(refused.wait(), 2)
            for part in (f"{names}: has no entry", "qname", config + ":1:", "out.json"):
                self.assertIn(part, refused.log())
        self.write("names.txt", b"nothing.example\n")
        bridge = self.bridge("--config", config).ready()
        sock = lab.sender(address)
        sock.sendall(lab.data(self.messages[0]))
        lab.eventually("the first", lambda: bridge.now()[0]["delivered"] == 1)
        self.write("names.txt", b"")
        bridge.send(signal.SIGHUP)
        bridge.wait_log(f"{names}: has no entry")
        sock.sendall(lab.data(self.messages[0]))
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(bridge.route()["delivered"], 2)

    def test_lists_as_others_write_them(self):
        for name in ("hosts-file.txt", "bom.txt"):
            policy = self.write("policy.yaml", b"- drop: { qname: 'file:%s' }\n" % self.data(name).encode())
            checked = self.program(lab.BRIDGE, "--check", "--from", lab.corpus("unbound"), "--to",
                                   f"{self.path('x.json')}#policy={policy}")
            self.assertEqual(checked.wait(), 0, checked.log())

    def test_five_channels_flow(self):
        """The demonstration, as anybody runs it."""
        lab.need("unbound", "knotd", "kdig")
        done = subprocess.run([sys.executable, os.path.join(ROOT, "scripts/demo.py"), lab.BRIDGE, "100", "exchange"],
                              capture_output=True, timeout=120)
        text = done.stdout.decode() + done.stderr.decode()
        self.assertEqual(done.returncode, 0, text)
        for channel in ("raw", "deduplicated", "validated", "filtered", "chaff"):
            self.assertRegex(text, rf"\b[1-9]\d* {channel}\b")
        self.assertIn("rejected=a TTL that is too long", text)


if __name__ == "__main__":
    lab.main()
