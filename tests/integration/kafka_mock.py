"""Kafka against librdkafka's own mock broker: what can be shown where there is no Java for a real one. argv[1]:
kafka_mock. What a broker keeps, who it lets in and how it fails is shown by kafka.py and kafka_faults.py."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import lab

MOCK = None


class Mock(lab.Case):
    def setUp(self):
        super().setUp()
        self.mock = subprocess.Popen([MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.mock.wait)
        self.addCleanup(self.mock.stdout.close)
        self.addCleanup(self.mock.stdin.close)
        self.server = self.mock.stdout.readline().strip()
        self.assertRegex(self.server, r"^127\.0\.0\.1:\d+$")

    def topic(self, name, partitions=1):
        self.mock.stdin.write(f"{name} {partitions}\n")
        self.mock.stdin.flush()
        self.assertEqual(self.mock.stdout.readline().strip(), "Success")
        return name

    def url(self, topic, options=""):
        return f"kafka://{self.server}/{topic}#{options}"

    def test_what_goes_in_comes_out(self):
        for form in ("dnstap", "frames"):
            with self.subTest(form):
                topic, out = self.topic(form), self.path(form)
                near = self.bridge("--from", lab.corpus("bind"), "--to", self.url(topic, "format=" + form), hop="near")
                self.assertEqual(near.wait(), 0, near.log())
                self.assertEqual(near.route()["delivered"], 893)
                far = self.bridge("--from", self.url(topic, "until=end,group=" + form), "--to", out, hop="far")
                self.assertEqual(far.wait(), 0, far.log())
                self.assertEqual(lab.read_file(out), lab.corpus_octets("bind"))
                if form == "frames":
                    link = far.ledger()["upstream"][0]
                    self.assertEqual((link["hop"], link["joined_at"], link["received"], link["lost"]), ("near", 0, 893, 0))
                    self.assertEqual(link["path"][0]["delivered"], 893)

    def test_receipts_of_both_ends_agree(self):
        topic, files = self.topic("receipts"), [self.path(n) for n in ("a", "b")]
        self.assertEqual(lab.run_bridge("receipts", "--new-key", self.path("key"))[0], 0)
        options = [f"receipts={name},receipts-key={self.path('key')}," for name in files]
        near = self.bridge("--from", lab.corpus("bind"), "--to", self.url(topic, options[0] + "format=frames"), hop="near")
        self.assertEqual(near.wait(), 0, near.log())
        far = self.bridge("--from", self.url(topic, options[1] + "until=end,group=g"), "--to", self.path("out"), hop="far")
        self.assertEqual(far.wait(), 0, far.log())
        code, out, _ = lab.run_bridge("receipts", "--compare", *files)
        self.assertEqual(code, 0, out)
        self.assertIn(b"Both saw the same 893 messages", out)

    def test_json_is_a_record_each(self):
        lab.need("kcat")
        topic = self.topic("json")
        near = self.bridge("--from", lab.corpus("bind"), "--to", self.url(topic, "format=json,key=qname"))
        self.assertEqual(near.wait(), 0, near.log())
        out = subprocess.run(["kcat", "-C", "-e", "-q", "-b", self.server, "-t", topic], capture_output=True, timeout=60).stdout
        self.assertEqual(out.count(b'{"time":'), 893)

    def test_a_broker_that_hangs_costs_nobody_else_a_message(self):
        """Its client takes seconds to leave the group when it is taken out of the configuration; meanwhile a small ring on an
        unrelated way to a bus stays empty, and the status answers."""
        port, server = lab.free_port(), self.path("dnstap.sock")
        messages = lab.split(lab.corpus_octets("bind"))
        bus = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        far = self.bridge("--from", bus, "--to", self.path("far.fstrm"), hop="far").ready()

        def config(*sources):
            hop = {"hop": "h", "status": f"127.0.0.1:{port}", "drain-timeout": "1s", "sinks": {"far": {"url": bus, "ring": "2MiB"}},
                   "sources": {"servers": {"url": "unix:" + server}, **dict(sources)}}
            return self.write("hop.yaml", json.dumps(hop).encode())

        near = self.bridge("--config", config(("kafka", {"url": f"kafka://{self.server}/" + self.topic("hangs")}))).ready()
        near.wait_log("partitions are ours")
        self.addCleanup(self.mock.send_signal, signal.SIGCONT)
        self.mock.send_signal(signal.SIGSTOP)
        over, sent = threading.Event(), [0]

        def flow():
            sock = lab.sender(server)
            while not over.is_set():
                sock.sendall(b"".join(map(lab.data, messages)))
                sent[0] += len(messages)
                time.sleep(0.03)
            lab.finish(sock)

        thread = threading.Thread(target=flow, daemon=True)
        thread.start()
        config()
        near.send(signal.SIGHUP)
        near.wait_log("no longer in the configuration")
        end = time.monotonic() + 7  # longer than the client takes to give the brokers up
        while time.monotonic() < end:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ledger", timeout=lab.PATIENCE) as answer:
                json.load(answer)
            time.sleep(0.1)
        over.set()
        thread.join(lab.PATIENCE)
        self.assertEqual(near.stop(), 0, near.log())
        rows = {r["source"]: r for r in near.ledger()["routes"]}
        self.assertEqual((rows["unix:" + server]["delivered"], rows["unix:" + server]["dropped"]), (sent[0], 0))
        self.assertEqual(far.stop(), 0, far.log())

    def test_a_killed_consumer_loses_nothing(self):
        topic = self.topic("kill")
        near = self.bridge("--from", lab.corpus("bind"), "--to", self.url(topic))
        self.assertEqual(near.wait(), 0, near.log())
        first = self.bridge("--from", self.url(topic, "session.timeout.ms=6000"), "--to", self.path("first.fstrm"))
        first.wait_log("partitions are ours")
        time.sleep(0.2)
        first.kill()
        second = self.bridge("--from", self.url(topic, "until=end,session.timeout.ms=6000"), "--to", self.path("second.fstrm"))
        self.assertEqual(second.wait(), 0, second.log())
        got = lab.split(lab.whole(lab.read_file(self.path("first.fstrm")))) + lab.frames_of(self.path("second.fstrm"))
        self.assertEqual(set(got), set(lab.split(lab.corpus_octets("bind"))))


if __name__ == "__main__":
    MOCK = sys.argv.pop(1)
    lab.main()
