"""Policies and readings of the configuration behind a Kafka source: an offset moves on only past what is settled, whatever
becomes of the program or its sinks, and never stands still for what nobody wants any more."""

import glob
import json
import signal
import time

import kafka_lab
import lab

COUNT = 3000


def setUpModule():
    kafka_lab.KafkaCase.broker = kafka_lab.Broker().start()


def tearDownModule():
    if kafka_lab.KafkaCase.broker:
        kafka_lab.KafkaCase.broker.remove()


class KafkaPolicies(kafka_lab.KafkaCase):
    def filled(self):
        topic, tap = self.topic(2), self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", self.broker.url(topic, "key=identity,linger.ms=5"), hop="near").ready()
        sock = lab.sender(tap)
        for i in range(COUNT):
            sock.sendall(lab.data(kafka_lab.message(i)))
        lab.finish(sock)
        self.assertEqual(near.stop(), 0)
        return topic

    def config(self, topic, sinks):
        source = {"url": self.broker.url(topic), "group": "g", "when-full": "block", "session.timeout.ms": 6000,
                  "heartbeat.interval.ms": 500}
        return self.write("hop.yaml", json.dumps({"hop": "h", "sources": {"k": source}, "sinks": sinks}).encode())

    def got(self):
        return [n for path in glob.glob(self.path("out*")) for n in kafka_lab.numbers(path)]

    def test_a_killed_program_loses_nothing_that_a_step_held(self):
        topic = self.filled()
        for round_ in range(3):
            path = self.config(topic, {
                "out": {"url": self.path(f"out-{round_}.fstrm"),
                        "policy": [{"dedupe": {"key": ["identity"], "window": "300ms", "rejects": "rest"}},
                                   {"limit": {"rate": "500/s", "burst": 500, "rejects": "rest"}}]},
                "rest": {"url": self.path(f"out-rest-{round_}.fstrm")}})
            bridge = self.bridge("--config", path, hop="h").ready()
            if round_ < 2:
                bridge.wait_log("partitions are ours")
                time.sleep(0.4 * (round_ + 1))
                bridge.kill()
        lab.eventually("every message", lambda: set(self.got()) == set(range(COUNT)), 60)
        lab.eventually("all to be settled", lambda: all(r["in_flight"] == 0 for r in bridge.now()), 30)
        bridge.stop()
        again = self.bridge("--from", self.broker.url(topic, "group=g,when-full=block,until=end"), "--to", self.path("again"))
        self.assertEqual(again.wait(), 0, again.log()[-3000:])
        self.assertEqual(kafka_lab.numbers(self.path("again")), [])  # the offsets are at the end

    def test_sinks_come_go_and_change(self):
        topic = self.filled()
        stays = {"stays": {"url": self.path("out.fstrm"), "ring": "2MiB"}}
        bridge = self.bridge("--config", self.config(topic, stays), hop="h").ready()
        for i in range(6):  # another ring: it is replaced
            sinks = {"stays": {**stays["stays"], "ring": f"{2 + i % 2}MiB"}}
            self.config(topic, {**sinks, "comes": {"url": self.path(f"comes-{i}.fstrm")}} if i % 2 else sinks)
            bridge.send(signal.SIGHUP)
            time.sleep(0.3)
        lab.eventually("every message", lambda: set(self.got()) == set(range(COUNT)), 60)
        self.assertEqual(bridge.stop(), 0, bridge.log()[-3000:])
        self.assertEqual(sorted(self.got()), list(range(COUNT)))


if __name__ == "__main__":
    lab.main()
