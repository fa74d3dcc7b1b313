"""The Kafka adapter with a local broker, beside bare librdkafka programs with the same settings and payloads: in one run,
in turn, medians over the rounds. Printed, never judged. Arguments: BUILD_DIRECTORY [--rounds N] [--loops N]."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
sys.path.insert(0, HERE)
import bench  # noqa: E402
import kafka_lab  # noqa: E402
import lab  # noqa: E402


class KafkaBench:
    def __init__(self, build, rounds, loops):
        self.bridge = f"{build}/bridge/dnstap-bridge"
        self.bare = f"{build}/tests/bench/kafka_bare"
        self.rounds, self.loops, self.topics = rounds, loops, 0
        self.folder = tempfile.mkdtemp(prefix="kafka-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.source = os.path.join(self.folder, "in.fstrm")
        octets = lab.corpus_octets("unbound")
        with open(self.source, "wb") as f:
            f.write(octets)
        self.messages = len(lab.split(octets)) * loops
        self.broker = kafka_lab.Broker(folder=os.path.join(self.folder, "broker"))

    def timed(self, args):
        """Its wall time and processor time."""
        start = time.monotonic()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen([str(a) for a in args], stdout=subprocess.DEVNULL, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            took = time.monotonic() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            text = log.read().decode()
        assert process.returncode == 0, text
        if args[0] == self.bridge:
            assert bench.delivered(text) == self.messages, text
        return {"rate": self.messages / took, "cpu": (usage.ru_utime + usage.ru_stime) / self.messages * 1e6}

    def topic(self, name):
        self.topics += 1
        return self.broker.create(f"{name}-{self.topics}")

    def produce_bare(self):
        self.full = self.topic("bare")
        return self.timed([self.bare, "produce", self.broker.server, self.full, self.source, self.loops])

    def produce(self, form):
        topic = self.topic(form)
        result = self.timed([self.bridge, "--from", f"{self.source}#loop={self.loops}", "--to",
                             self.broker.url(topic, f"format={form},compression.codec=lz4"), "--drain-timeout", "10m"])
        return result, topic

    def produce_ours(self):
        return self.produce("dnstap")[0]

    def produce_frames(self):
        result, self.framed = self.produce("frames")
        return result

    def consume_bare(self):
        out = os.path.join(self.folder, "out")
        result = self.timed([self.bare, "consume", self.broker.server, self.full, out, self.messages])
        os.unlink(out)
        return result

    def consume(self, topic):
        out = os.path.join(self.folder, "out")
        self.topics += 1
        result = self.timed([self.bridge, "--from", self.broker.url(topic, f"group=g{self.topics},until=end,when-full=block"),
                             "--to", out, "--drain-timeout", "10m"])
        os.unlink(out)
        return result

    def consume_ours(self):
        return self.consume(self.full)

    def consume_frames(self):
        return self.consume(self.framed)

    def run(self):
        tables = (("file to topic, lz4", (("bare librdkafka, a message a record", self.produce_bare),
                                          ("dnstap-bridge, format=dnstap", self.produce_ours),
                                          ("dnstap-bridge, format=frames", self.produce_frames))),
                  ("topic to file", (("bare librdkafka, a message a record", self.consume_bare),
                                     ("dnstap-bridge, a message a record", self.consume_ours),
                                     ("dnstap-bridge, format=frames", self.consume_frames))))
        print(f"{self.rounds} rounds of {self.messages:,} messages, medians; one broker, on the same machine; "
              f"{bench.machine()}\n")
        results = {title: {name: [] for name, _ in sides} for title, sides in tables}
        self.broker.start()
        try:
            for name, run in [side for _, sides in tables for side in sides]:  # a cold broker is several times slower
                run()
            for _ in range(self.rounds):
                for title, sides in tables:
                    for name, run in sides:
                        results[title][name].append(run())
        finally:
            self.broker.kill()
            subprocess.run(["rm", "-rf", self.folder], check=True)
        for title, sides in results.items():
            print(f"| {title} | messages/s | of bare librdkafka | CPU s per million |\n| --- | --- | --- | --- |")
            base = None
            for name, rows in sides.items():
                rate, cpu = (statistics.median(r[k] for r in rows) for k in ("rate", "cpu"))
                base = base or rate
                print(f"| {name} | {rate:,.0f} | {rate / base:.0%} | {cpu:.2f} |")
            print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", type=int, default=100)
    arguments = parser.parse_args()
    try:
        KafkaBench(arguments.build, arguments.rounds, arguments.loops).run()
    except unittest.SkipTest as why:
        print(f"SKIPPED: {why}")
        sys.exit(77)
