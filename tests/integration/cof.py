"""format=cof: RRsets over a window against a slow reference, and an account of the messages that is exact meanwhile."""

import json
import os

import http_server
import lab


def seconds(time):
    import calendar
    import time as clock
    return calendar.timegm(clock.strptime(time[:19], "%Y-%m-%dT%H:%M:%S"))


def reference(lines):
    """What `format=json` shows of responses, put together record set by record set."""
    found = {}
    for m in lines:
        if not m["type"].endswith("RESPONSE") or "response_time" not in m or "parse_error" in m or "tc" in m["flags"]:
            continue
        if "qr" not in m["flags"] or m["opcode"] != "QUERY" or m["rcode"] not in ("NOERROR", "NXDOMAIN"):
            continue
        records = [r for section in ("answers", "authorities", "additionals") for r in m.get(section, [])]
        sets = {}
        for r in records:
            if r["class"] == "IN" and r["type"] not in ("TSIG", "TKEY", "SIG"):
                sets.setdefault((r["name"].lower(), r["type"]), set()).add(r["data"].lower())
        for (name, kind), rdata in sets.items():
            whole = (name, kind, tuple(sorted(rdata)), m.get("query_zone", "").lower(), m.get("identity"))
            entry = found.setdefault(whole, [0, 1 << 62, 0])
            entry[0] += 1
            entry[1] = min(entry[1], seconds(m["response_time"]))
            entry[2] = max(entry[2], seconds(m["response_time"]))
    return found


def gathered(records):
    """The same of cof's records; those of several windows are added up."""
    found = {}
    for r in records:
        key = (r["rrname"].lower(), r["rrtype"], tuple(sorted(d.lower() for d in r["rdata"])),
               r.get("bailiwick", "").lower(), r.get("sensor_id"))
        entry = found.setdefault(key, [0, 1 << 62, 0])
        entry[0] += r["count"]
        entry[1] = min(entry[1], r["time_first"])
        entry[2] = max(entry[2], r["time_last"])
    return found


class Cof(lab.Case):
    def lines(self, name):
        return [json.loads(line) for line in lab.read_file(self.path(name)).splitlines()]

    def compare(self, corpus, options, windows=1):
        cof, plain = self.path(f"{corpus}.cof"), self.path(f"{corpus}.json")
        bridge = self.bridge("--from", lab.corpus(corpus), "--to", f"{cof}#format=cof{options}", "--to", plain)
        bridge.wait()
        route = bridge.route()
        self.assertEqual((route["in_flight"], route["failed"]), (0, 0), bridge.log())
        records, lines = self.lines(f"{corpus}.cof"), self.lines(f"{corpus}.json")
        want, got = reference(lines), gathered(records)
        self.assertEqual(set(got), set(want))
        self.assertEqual(got, want)
        if windows == 1:
            self.assertEqual(len(records), len(want))  # one object per RRset
        return route, lines, records

    def test_every_server_against_the_reference(self):
        for corpus in ("bind", "dnsdist", "knot", "nsd", "recursor", "unbound"):
            with self.subTest(corpus=corpus):
                route, lines, records = self.compare(corpus, ",window=1h")
                responses = [m for m in lines if m["type"].endswith("RESPONSE")]
                self.assertLessEqual(route["delivered"], len(responses))
                self.assertGreaterEqual(route["filtered"], len(lines) - len(responses))
                for r in records[:200]:
                    self.assertLessEqual({"count", "time_first", "time_last", "rrname", "rrtype", "rdata"}, set(r))

    def test_little_memory_ends_windows_early(self):
        """The sums are the same, however often it had to begin anew."""
        _, lines, records = self.compare("knot", ",window=1h,memory=1MiB", windows=None)
        self.assertGreater(len(records), len(reference(lines)))

    def test_what_is_held_is_in_flight(self):
        address, out = self.path("in"), self.path("out.json")
        bridge = self.bridge("--from", "unix:" + address, "--to", f"{out}#format=cof,window=8s").ready()
        messages = lab.split(lab.corpus_octets("unbound"))
        sock = lab.sender(address)
        sock.sendall(b"".join(map(lab.data, messages)))
        lab.eventually("all to be in", lambda: bridge.now()[0]["received"] == len(messages))
        lab.eventually("the window to end", lambda: bridge.now()[0]["in_flight"] == 0)
        self.assertGreater(bridge.now()[0]["delivered"], 0)
        self.assertTrue(lab.read_file(out))
        before = len(self.lines("out.json"))
        sock.sendall(b"".join(map(lab.data, messages)))
        lab.finish(sock)
        bridge.stop()  # the window that is open ends with the run
        self.assertEqual(bridge.route()["in_flight"], 0)
        self.assertEqual(len(self.lines("out.json")), 2 * before)

    def test_messages_without_a_time(self):
        data = os.path.join(os.environ["TEST_DATA"], "no-time.fstrm")
        bridge = self.bridge("--from", data, "--to", self.path("out.json") + "#format=cof")
        self.assertEqual(bridge.wait(), 0, bridge.log())
        self.assertEqual((bridge.route()["filtered"], lab.read_file(self.path("out.json"))), (1, b""))

    def test_over_http(self):
        server = http_server.Server()
        self.addCleanup(server.close)
        bridge = self.bridge("--from", lab.corpus("bind"), "--to", f"{server.url}#format=cof,batch-count=50,inflight=2")
        bridge.wait()
        route = bridge.route()
        self.assertEqual((route["failed"], route["in_flight"]), (0, 0), bridge.log())
        got = gathered(json.loads(line) for r in server.taken for line in r.body.splitlines())
        self.assertEqual(sum(entry[0] for entry in got.values()) > 0, True)
        self.assertGreater(route["delivered"], 0)

    def test_records_that_are_refused_fail_the_messages_of_their_window(self):
        server = http_server.Server()
        server.judge = lambda r: http_server.answer(400, b"no")
        self.addCleanup(server.close)
        bridge = self.bridge("--from", lab.corpus("bind"), "--to", f"{server.url}#format=cof")
        self.assertEqual(bridge.wait(), 1)
        route = bridge.route()
        self.assertEqual((route["delivered"], route["in_flight"]), (0, 0))
        self.assertGreater(route["failed"], 0)

    def test_repeats_count(self):
        """A deduplicated stream says how many each message stands for."""
        messages = [m for m in lab.split(lab.corpus_octets("unbound")) if b"host" in m or b"www" in m][:40]
        octets = self.write("in.fstrm", lab.fstrm_file(messages * 7))
        policy = self.write("policy.yaml", b"- dedupe: { window: 1h, key: [type, qname, qtype, answers, client, server, rcode] }\n")
        bridge = self.bridge("--from", octets, "--to", f"{self.path('plain')}#format=cof", "--to",
                             f"{self.path('deduped')}#format=cof,policy={policy}")
        bridge.wait()
        a, b = gathered(self.lines("plain")), gathered(self.lines("deduped"))
        self.assertTrue(a)
        self.assertEqual(sum(entry[0] for entry in a.values()) % 7, 0)
        self.assertEqual(sum(entry[0] for entry in a.values()), sum(entry[0] for entry in b.values()))


if __name__ == "__main__":
    lab.main()
