"""A tap that opens a bus: hop number one of the ledger, exact whatever the bus does. argv[1]: tap_send."""

import re
import subprocess
import sys
import time

import lab

COUNT = 20000
TAP_SEND = None


class TapBus(lab.Case):
    def tap(self, url, timeout_ms=10000, count=COUNT):
        return self.program(TAP_SEND, url, count, timeout_ms, stdout=subprocess.PIPE)

    def counters(self, tap):
        words = tap.process.stdout.read().decode().split()
        tap.process.stdout.close()
        counters = dict(zip(words[::2], map(int, words[1::2])))
        self.assertEqual(counters["accepted"], counters["written"] + counters["failed"], tap.log())
        return counters

    def test_it_is_the_first_hop_of_the_path(self):
        for url in (f"nng+tcp:127.0.0.1:{lab.free_port()}", "nng+ipc:" + self.path("bus.sock")):
            with self.subTest(url=url):
                out = self.path("out.fstrm")
                far = self.bridge("--from", url + "#when-full=block", "--to", out, hop="far").ready()
                tap = self.tap(url)
                self.assertEqual(tap.wait(), 0, tap.log())
                self.assertEqual(self.counters(tap)["written"], COUNT)
                far.wait_log("hop ns1.example .* ended at sequence")
                self.assertEqual(far.stop(), 0, far.log())
                link = far.ledger()["upstream"][0]
                self.assertEqual((link["hop"], link["joined_at"], link["received"], link["lost"]),
                                 ("ns1.example", 0, COUNT, 0))
                self.assertEqual((link["path"][0]["received"], link["path"][0]["delivered"]),
                                 (COUNT, COUNT))
                lab.need("dnstap")
                lines = subprocess.run(["dnstap", "-r", out, "-q"], capture_output=True, check=True).stdout
                self.assertEqual(lines.count(b"example.com."), COUNT)
                lab.os.remove(out)

    def test_a_bus_with_nobody_on_it_costs_the_time_given_and_no_more(self):
        began = time.monotonic()
        tap = self.tap(f"nng+tcp:127.0.0.1:{lab.free_port()}", timeout_ms=300)
        self.assertEqual(tap.wait(20), 1)
        self.assertLess(time.monotonic() - began, 15)
        counters = self.counters(tap)
        self.assertEqual((counters["written"], counters["failed"]), (0, COUNT))

    def test_what_one_consumer_left_the_next_one_gets(self):
        url = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        tap = self.tap(url, timeout_ms=60000)
        first = self.bridge("--from", url, "--to", self.path("first.fstrm"), hop="far")
        first.wait_log("joined hop ns1.example")
        first.kill()
        second = self.bridge("--from", url, "--to", self.path("second.fstrm"), hop="far").ready()
        self.assertEqual(tap.wait(), 0, tap.log())
        self.counters(tap)
        joined = re.findall(r"joined hop ns1.example .* at sequence (\d+)", second.log())
        if not joined:  # the first one took it all before it was killed
            second.stop()
            return
        second.wait_log("hop ns1.example .* ended at sequence")
        self.assertEqual(second.stop(), 0, second.log())
        link = second.ledger()["upstream"][0]
        self.assertEqual((link["received"], link["lost"]), (COUNT - int(joined[0]), 0))

    def test_mistakes_are_told_when_it_is_opened(self):
        for url, says in (("nng+tcp:127.0.0.1", "has no port"), ("nng+tcp:127.0.0.1:1#ring=8KiB", "too small"),
                          ("nng+tcp:127.0.0.1:1#colour=red", "colour"), ("carrier:pigeon", "nng+tcp:")):
            done = subprocess.run([TAP_SEND, url, "1"], capture_output=True, timeout=20)
            self.assertEqual(done.returncode, 2)
            self.assertIn(says, done.stderr.decode())


if __name__ == "__main__":
    TAP_SEND = sys.argv.pop(1)
    lab.main()
