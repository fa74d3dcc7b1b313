"""SIGHUP again and again under load, with changes at random: sinks and sources come, go and change, policies and what they
reject, too. At the end every route's account adds up, each file holds what was delivered to it, and no descriptor is left
open. RELOAD_SECONDS makes it as long as that; a hop has 1,024 places for sinks in its life, of which a run takes what it
needs."""

import glob
import json
import os
import random
import signal
import time

import lab
import reload

SECONDS = float(os.environ.get("RELOAD_SECONDS", "8"))
REJECTS = ({"drop": {"qtype": ["A", "NS"], "rejects": "rest"}}, {"sample": {"one-in": 2, "rejects": "rest"}},
           {"dedupe": {"window": "50ms", "rejects": "rest"}})
STEPS = ({"anonymise": {"client": "prefix"}}, {"dedupe": {"window": "20ms"}}, {"limit": {"rate": "1000/s"}})


class ReloadSoak(lab.Case):
    def setUp(self):
        super().setUp()
        self.messages = lab.split(lab.corpus_octets("unbound"))
        seed = int(os.environ.get("RELOAD_SEED", time.time_ns() % 100000))
        print(f"RELOAD_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.readings = self.others = 0

    def steps(self):
        steps = self.random.sample(REJECTS, self.random.randrange(3)) + self.random.sample(STEPS, self.random.randrange(2))
        return {"policy": steps} if steps else {}

    def sink(self, name, **options):
        return {"url": self.path(name), **options}

    def choice(self):
        """What another reading may find."""
        pick = self.random
        sinks = {"stays": self.sink("stays.fstrm", **self.steps()), "rest": self.sink("rest.fstrm")}
        if pick.random() < 0.6:
            sinks["other"] = self.sink(f"other{self.others}x.fstrm", ring=pick.choice(("2MiB", "3MiB")), **self.steps())
        else:
            self.others += 1  # a file that is there is not written to anew
        if pick.random() < 0.3:
            sinks["rest"]["policy"] = [{"limit": {"rate": "500/s"}}]
        sources = {"first": {"url": "unix:" + self.path("first.sock")}}
        if pick.random() < 0.5:
            sources["second"] = {"url": "unix:" + self.path("second.sock"), "max-frame": pick.choice(("64KiB", "1MiB"))}
        if pick.random() < 0.3:
            sources["bus"] = {"url": "nng+ipc:" + self.path("bus.ipc")}
        return sinks, sources

    def config(self, sinks, sources):
        text = json.dumps({"hop": "h", "sources": sources, "sinks": sinks})
        os.replace(self.write("hop.yaml.part", text.encode()), self.path("hop.yaml"))
        return self.path("hop.yaml")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.bridge_.process.pid}/fd"))

    def plain(self):
        return {"stays": self.sink("stays.fstrm")}, {"first": {"url": "unix:" + self.path("first.sock")}}

    def read_again(self, sinks, sources):
        self.config(sinks, sources)
        self.readings += 1
        self.bridge_.send(signal.SIGHUP)
        time.sleep(self.random.choice((0.002, 0.02, 0.1)))  # the next may come while this one is still being done

    def test_changes_at_random(self):
        self.socket = self.path("first.sock")
        path = self.config(*self.plain())
        self.bridge_ = self.bridge("--config", path, "--drain-timeout", "10s").ready()
        flow = reload.Flow(self.socket, self.messages)
        flow.more()
        before = self.descriptors()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.readings < 400:
            self.read_again(*self.choice())
        self.read_again(*self.plain())
        lab.eventually("all that went to be gone", lambda: self.descriptors() <= before + 4)
        flow.more()
        sent = flow.stop()
        self.bridge_.stop()
        log, routes = self.bridge_.log(), self.bridge_.ledger()["routes"]
        self.assertEqual([line for line in log.splitlines() if "not taken over" in line], [])
        delivered = {}
        for r in routes:
            parts = ("delivered", "dropped", "filtered", "rejected", "malformed", "failed", "in_flight")
            self.assertEqual(r["received"], sum(r.get(part, 0) for part in parts), r)
            self.assertEqual((r["in_flight"], r["malformed"]), (0, 0), r)
            if r["sink"] == self.path("rest.fstrm"):  # in the others, what is rejected while this one is being replaced
                self.assertEqual(r["failed"], 0, r)
            delivered[r["sink"]] = delivered.get(r["sink"], 0) + r["delivered"]
        for sink, count in delivered.items():
            files = glob.glob(sink.removesuffix(".fstrm") + "*.fstrm")
            self.assertEqual(sum(len(lab.frames_of(file)) for file in files), count, sink)
        stays = [r for r in routes if r["sink"] == self.path("stays.fstrm") and r["source"] == "unix:" + self.socket]
        self.assertEqual([r["received"] for r in stays], [sent])


if __name__ == "__main__":
    lab.main()
