"""The Kafka adapter when brokers stop, are killed, refuse and fill up, and when the bridge itself is killed: every message
once, or counted."""

import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import kafka_lab
import lab

SHORT = bool(os.environ.get("TEST_SHORT"))
THREADS = "thread" in os.environ.get("TEST_SHORT", "")
BROKER = None


def setUpModule():
    global BROKER
    BROKER = kafka_lab.Broker(["auto.create.topics.enable=false"])
    kafka_lab.KafkaCase.broker = BROKER
    BROKER.start()


def tearDownModule():
    if BROKER:
        BROKER.remove()


class Feeder:
    """A live server that sends numbered messages until it is told to stop."""

    def __init__(self, address, size=300, pause=0.0005):
        self.sock = lab.sender(address)
        self.sent, self.going, self.size, self.pause = 0, True, size, pause
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        body = b"x" * self.size
        while self.going:
            self.sock.sendall(lab.data(kafka_lab.message(self.sent, body)))
            self.sent += 1
            time.sleep(self.pause)

    def stop(self):
        self.going = False
        self.thread.join()
        lab.finish(self.sock)
        return self.sent


class Brokers(kafka_lab.KafkaCase):
    def live(self, topic, options, ring="64MiB", **kwargs):
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap + "#max-frame=4KiB", "--to", self.broker.url(
            topic, f"reconnect.backoff.max.ms=500,ring={ring}" + options), "--drain-timeout", "60s", hop="near").ready()
        return near, Feeder(tap, **kwargs)

    def stored(self, topic, form):
        values = self.broker.values(topic)
        if form == "frames":
            values = [m for v in values for m in lab.split(v)]
        return list(map(kafka_lab.number_of, values))

    def test_a_broker_that_stops_costs_what_the_ring_cannot_hold(self):
        for form in ("dnstap", "frames"):
            with self.subTest(form):
                topic = self.topic()
                near, feeder = self.live(topic, f",format={form},queue.buffering.max.kbytes=256", "512KiB", size=2000,
                                         pause=0.001)
                lab.eventually("the first", lambda: near.now()[0]["delivered"] > 500)
                self.broker.stop()
                time.sleep(5 if SHORT or form == "frames" else 20)
                lab.eventually("drops", lambda: near.now()[0]["dropped"] > 0)
                self.assertIn("dropped", near.log())
                self.broker.start()
                delivered = near.now()[0]["delivered"]
                lab.eventually("more", lambda: near.now()[0]["delivered"] > delivered + 500)
                sent = feeder.stop()
                self.assertEqual(near.stop(), 1, near.log())
                route, got = near.route(), self.stored(topic, form)
                self.assertEqual((route["received"], route["in_flight"], route["failed"]), (sent, 0, 0))
                self.assertEqual(route["delivered"], len(got))
                self.assertEqual(route["dropped"], sent - len(got))
                self.assertEqual(got, sorted(set(got)))  # in order, and none twice

    def test_a_broker_that_is_killed_costs_nothing(self):
        for form in ("dnstap", "frames"):
            with self.subTest(form):
                topic = self.topic()
                near, feeder = self.live(topic, ",format=" + form)
                for _ in range(2 if form == "frames" and not SHORT else 1):
                    before = near.now()[0]["delivered"]
                    lab.eventually("some", lambda: near.now()[0]["delivered"] > before + 300)
                    self.broker.kill()
                    time.sleep(1)
                    self.broker.start()
                before = near.now()[0]["delivered"]
                lab.eventually("some", lambda: near.now()[0]["delivered"] > before + 300)
                sent = feeder.stop()
                self.assertEqual(near.stop(), 0, near.log())
                self.assertEqual(near.route()["delivered"], sent)
                self.assertEqual(self.stored(topic, form), list(range(sent)))

    def test_a_source_outlives_its_broker(self):
        topic, count = self.topic(), 3000
        source = self.broker.url(topic, "group=outlives,when-full=block,reconnect.backoff.max.ms=500,session.timeout.ms=6000")
        far = self.bridge("--from", source, "--to", self.path("out"), hop="far").ready()
        near, feeder = self.live(topic, "", pause=0.001)
        lab.eventually("some", lambda: far.now()[0]["delivered"] > 100)
        self.broker.kill()
        time.sleep(1)
        self.broker.start()
        lab.eventually("much", lambda: feeder.sent > count)
        sent = feeder.stop()
        self.assertEqual(near.stop(), 0)
        lab.eventually("all of it", lambda: set(kafka_lab.numbers(self.path("out"))) == set(range(sent)))
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(far.route()["delivered"], far.route()["received"])

    def test_a_stop_without_a_broker_takes_no_longer_than_was_said(self):
        topic = self.topic()
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(5)])
        far = self.bridge("--from", self.broker.url(topic, "group=alone"), "--to", self.path("out"), "--drain-timeout", "500ms",
                          hop="far").ready()
        near, feeder = self.live(topic, "")
        lab.eventually("the five", lambda: far.now()[0]["delivered"] >= 5)
        self.broker.kill()
        feeder.stop()
        time.sleep(0.5)
        try:
            start = time.monotonic()
            near.send(signal.SIGTERM)
            near.wait_log("stopping")
            near.send(signal.SIGTERM)
            self.assertIn(near.wait(20), (0, 1))
            far.stop()
            self.assertLess(time.monotonic() - start, 20)
        finally:
            self.broker.start()

    @unittest.skipIf(SHORT, "a sanitizer has memory of its own")
    def test_memory_stays_below_what_check_says(self):
        topic, tap = self.topic(), self.path("tap")
        args = ("--from", "unix:" + tap + "#max-frame=4KiB,max-connections=8,partial=64KiB", "--to",
                self.broker.url(topic, "ring=4MiB,queue.buffering.max.kbytes=16384,queue.buffering.max.messages=20000"))
        limit = lab.ceiling(*args)
        bridge = self.bridge(*args, "--drain-timeout", "200ms").ready()
        feeder = Feeder(tap, size=500, pause=0)
        lab.eventually("some", lambda: bridge.now()[0]["delivered"] > 1000)
        self.broker.program.send(signal.SIGSTOP)  # it is there, and answers nothing
        try:
            lab.eventually("drops", lambda: bridge.now()[0]["dropped"] > 20000, 60)
            feeder.stop()
            peak = bridge.peak_octets()
            self.assertLess(peak, limit)
            print(f"peak {peak >> 20} MiB, ceiling {limit >> 20} MiB")
            bridge.send(signal.SIGTERM)
            self.assertEqual(bridge.wait(), 1)
            self.assertGreater(bridge.route()["in_flight"], 0)
        finally:
            self.broker.program.send(signal.SIGCONT)


class Refusals(kafka_lab.KafkaCase):
    def refused(self, topic, says, options="", messages=None, **ends):
        messages = messages or [kafka_lab.message(i) for i in range(50)]
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", self.broker.url(topic, options), hop="near").ready()
        sock = lab.sender(tap)
        sock.sendall(b"".join(map(lab.data, messages)))
        near.wait_log(says)
        lab.eventually("an end for each", lambda: near.now()[0]["in_flight"] == 0, 60)
        self.assertIsNone(near.process.poll())
        lab.finish(sock)
        self.assertEqual(near.stop(), 1)
        route = near.route()
        self.assertEqual({k: route[k] for k in ends}, ends, near.log())
        return near

    def test_no_such_topic(self):
        self.refused("nowhere", "sink .*Unknown topic", "topic.metadata.propagation.max.ms=1000", failed=50, delivered=0)

    def test_no_such_partition(self):
        self.refused(self.topic(2), "sink .*Unknown partition", "partition=7", failed=50)

    def test_a_record_too_large_fails_alone(self):
        large = kafka_lab.message(1, b"x" * 200000)
        messages = [kafka_lab.message(i) for i in range(20)] + [large] + [kafka_lab.message(i) for i in range(20)]
        topic = self.topic(max_message_bytes=100000)
        self.refused(topic, "too large", "message.max.bytes=90000,batch.size=90000", messages, failed=1, delivered=40)
        self.assertEqual(len(self.broker.values(topic)), 40)

    def test_a_batch_that_the_broker_refuses_for_its_size(self):
        topic = self.topic(max_message_bytes=100000)
        self.refused(topic, "too large.*batch.size", "linger.ms=500", [kafka_lab.message(i, b"x" * 50000) for i in range(6)] +
                     [kafka_lab.message(9, b"x" * 150000)])

    def framed(self, topic, options, code, batches=5):
        """Messages of 1 KB, a hundred at once, as frames onto a topic that takes no more than 20 KB."""
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", self.broker.url(topic, "format=frames," + options), hop="near").ready()
        sock = lab.sender(tap)
        for i in range(batches):
            sock.sendall(b"".join(lab.data(kafka_lab.message(100 * i + n, b"x" * 1000)) for n in range(100)))
            lab.eventually("the batch", lambda: near.now()[0]["received"] == 100 * (i + 1) and near.now()[0]["in_flight"] == 0)
        lab.finish(sock)
        self.assertEqual(near.stop(), code, near.log())
        self.assertEqual(near.route()["delivered"] + near.route()["failed"], 100 * batches)
        return near

    def test_batches_are_cut_to_what_a_topic_takes(self):
        topic = self.topic(max_message_bytes=20000)
        self.framed(topic, "message.max.bytes=20000,batch.size=20000", 0)
        far = self.copy_out(topic, "out")
        self.assertEqual(kafka_lab.numbers(self.path("out")), list(range(500)))
        self.assertEqual((far.ledger()["upstream"][0]["received"], far.ledger()["lost"]), (500, 0))
        self.assertGreater(len(self.broker.values(topic)), 25)

    def test_a_broker_that_refuses_a_batch_is_asked_for_less(self):
        topic = self.topic(max_message_bytes=20000)
        near = self.framed(topic, "linger.ms=0", 1, batches=20)
        near.wait_log("batches are cut to")
        self.assertGreater(near.route()["delivered"], 0)
        self.copy_out(topic, "out", code=None)  # what was refused is lost to it, unless nothing came before it
        self.assertEqual(len(kafka_lab.numbers(self.path("out"))), near.route()["delivered"])

    def test_a_source_without_its_topic_waits_for_it(self):
        name = "later" + str(time.monotonic_ns())
        far = self.bridge("--from", self.broker.url(name, "group=g,topic.metadata.refresh.interval.ms=500"), "--to",
                          self.path("out")).ready()
        far.wait_log("Unknown topic")
        self.topic(name=name)
        self.broker.produce(name, [kafka_lab.message(1)])
        lab.eventually("the message", lambda: far.now()[0]["delivered"] == 1)
        self.assertEqual(far.stop(), 0)


class Deleted(kafka_lab.KafkaCase):
    """A topic that is deleted while it is read: librdkafka was seen never to end such a consumer."""

    def reading(self, *args):
        topic = self.topic(4)
        for p in range(4):
            self.broker.produce(topic, [kafka_lab.message(i) for i in range(50)], "-p", str(p))
        options = "group=g,topic.metadata.refresh.interval.ms=200,session.timeout.ms=6000,heartbeat.interval.ms=500"
        url = self.broker.url(topic, options)
        far = self.bridge("--from", url, *args).ready() if args else url
        return topic, far

    def test_a_stop_still_ends(self):
        topic, far = self.reading("--to", self.path("out"))
        lab.eventually("its messages", lambda: far.now()[0]["delivered"] == 200)
        self.broker.delete(topic)
        far.wait_log("(?i)unknown topic|unknown partition")
        self.assertEqual(far.stop(), 0)
        self.assertEqual(far.route()["delivered"], 200)

    def test_a_reload_that_takes_it_away_goes_on(self):
        topic, url = self.reading()
        config, tap = self.path("hop.yaml"), self.path("tap")

        def write(*sources):
            with open(config, "w") as f:
                f.write("sources:\n" + "".join(f"  s{i}: '{s}'\n" for i, s in enumerate(sources)) +
                        f"sinks:\n  out: '{self.path('out')}'\n")
        write("unix:" + tap, url)
        far = self.bridge("--config", config).ready()
        lab.eventually("its messages", lambda: sum(r["delivered"] for r in far.now()) == 200)
        self.broker.delete(topic)
        far.wait_log("(?i)unknown topic|unknown partition")
        write("unix:" + tap)
        far.send(signal.SIGHUP)
        far.wait_log("was read again")
        sock = lab.sender(tap)
        sock.sendall(lab.data(kafka_lab.message(1)))
        lab.finish(sock)
        lab.eventually("a message of the other source", lambda: sum(r["delivered"] for r in far.now()) == 201)
        self.assertEqual(far.stop(), 0)


class FullDisk(lab.Case):
    @unittest.skipUnless(os.geteuid() == 0, "a file system of its own needs root")
    def test_a_broker_with_a_full_disk(self):
        folder = tempfile.mkdtemp(prefix="dnstap-bridge-kafka-")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], capture_output=True).returncode:
            os.rmdir(folder)
            self.skipTest("no tmpfs can be mounted here")

        def unmount():
            subprocess.run(["umount", "-l", folder], check=True)
            os.rmdir(folder)
        self.addCleanup(unmount)
        broker = kafka_lab.Broker(["log.segment.bytes=4194304"], folder=folder)
        self.addCleanup(broker.kill)
        broker.start()
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap + "#max-frame=16KiB", "--to", broker.url(
            "full", "ring=2MiB,queue.buffering.max.kbytes=1024,reconnect.backoff.max.ms=500"), hop="near").ready()
        feeder = Feeder(tap, size=10000, pause=0)
        lab.eventually("drops", lambda: near.now()[0]["dropped"] > 1000, 60)
        near.wait_log(r"librdkafka|Broker: |sink kafka")
        self.assertIsNone(near.process.poll())
        sent = feeder.stop()
        lab.eventually("rest", lambda: near.now()[0]["received"] == sent)
        self.assertEqual(near.stop(), 1)
        self.assertEqual(near.route()["received"], sent)


class Kills(kafka_lab.KafkaCase):
    def setUp(self):
        super().setUp()
        self.count, self.kills = (20000, 4) if SHORT else (200000, 20)
        self.source = self.topic(name=f"numbered-{time.monotonic_ns()}")
        path = self.write("in.fstrm", lab.fstrm_file([kafka_lab.message(i) for i in range(self.count)]))
        self.run_to_end("--from", path, "--to", self.broker.url(self.source))
        self.random = random.Random(7)

    def killed(self, sink, ring="256KiB"):
        """Runs it again and again, killed at random; the last one may end."""
        # a dead member keeps its partition until its session ends; the same static member takes it over at once
        options = (f"group={sink[0]},group.instance.id=one,when-full=block,session.timeout.ms=6000,until=end,max-frame=4KiB,"
                   "queued.max.messages.kbytes=64,fetch.max.bytes=1000000,max.partition.fetch.bytes=100000")
        for i in range(self.kills + 1):
            bridge = self.bridge("--from", self.broker.url(self.source, options), "--to", sink[1](i), hop=f"k{i}")
            bridge.wait_log("partitions are ours")
            if i == self.kills:
                break
            time.sleep(self.random.uniform(0, 0.25))
            bridge.kill()
            if bridge.process.returncode == 0:
                break
        self.assertEqual(bridge.wait(120), 0, bridge.log())

    def judge(self, got, name):
        doubles = len(got) - len(set(got))
        print(f"{name}: {self.kills} kills, {self.count} messages, {doubles} doubles")
        self.assertEqual(set(got), set(range(self.count)))
        # a kill repeats what ring and queues held (10,000 of these), and what a quarter of a second settled
        self.assertLess(doubles, self.kills * 15000)

    def test_from_topic_to_file(self):
        self.killed(("file", lambda i: self.path(f"out{i}") + "#ring=256KiB"))
        got = [n for i in range(self.kills + 1) for n in kafka_lab.numbers(self.path(f"out{i}"))]
        self.judge(got, "topic to file")

    def test_from_topic_to_topic(self):
        target = self.topic()
        self.killed(("topic", lambda i: self.broker.url(target, "ring=256KiB,queue.buffering.max.kbytes=256")))
        self.judge(list(map(kafka_lab.number_of, self.broker.values(target))), "topic to topic")


class Idle(kafka_lab.KafkaCase):
    @unittest.skipIf(SHORT, "sanitizers have threads of their own")
    def test_what_idling_costs(self):
        topic = self.topic()
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", self.broker.url(topic), hop="near").ready()
        far = self.bridge("--from", self.broker.url(topic, "group=idle"), "--to", self.path("out"), hop="far").ready()
        sock = lab.sender(tap)
        sock.sendall(lab.data(kafka_lab.message(1)))
        lab.eventually("the message", lambda: far.now()[0]["delivered"] == 1)
        time.sleep(1)
        before = {b: self.switches(b) for b in (near, far)}
        time.sleep(2)
        for bridge in (near, far):
            after = self.switches(bridge)
            spent = {key: after[key] - before[bridge].get(key, 0) for key in after}
            ours = {k: n for k, n in spent.items() if not k[1].startswith("rdk:")}
            print(f"{bridge.name}: in two idle seconds librdkafka's threads woke {sum(spent.values()) - sum(ours.values())} "
                  f"times, ours {sum(ours.values())}")
            self.assertEqual(sum(ours.values()), 0, ours)
        lab.finish(sock)
        near.stop()
        far.stop()

    @staticmethod
    def switches(bridge):
        found = {}
        folder = f"/proc/{bridge.process.pid}/task"
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/status") as f:
                text = f.read()
            name = re.search(r"^Name:\s+(.*)", text, re.M).group(1)
            found[(task, name)] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))
        return found


if __name__ == "__main__":
    lab.main()
