"""Kafka against librdkafka's own mock broker: what can be shown where there is no Java for a real one. argv[1]:
kafka_mock. What a broker keeps, who it lets in and how it fails is shown by kafka.py and kafka_faults.py."""

import subprocess
import sys
import time

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
