"""The file adapter: what is read, what is written, and what is said of bad files."""

import os
import subprocess
import time

import lab


class Reads(lab.Case):
    def copy(self, source, sink="out.fstrm"):
        sink = self.path(sink)
        bridge = self.bridge("--from", source, "--to", sink)
        return bridge.wait(), bridge, sink

    def test_every_corpus_is_copied_octet_by_octet(self):
        for name in lab.CORPORA:
            with self.subTest(name):
                code, bridge, out = self.copy(lab.corpus(name), name + ".fstrm")
                self.assertEqual(code, 0)
                self.assertEqual(lab.read_file(out), lab.corpus_octets(name))
                route = bridge.route()
                self.assertEqual(route["received"], len(lab.frames_of(out)))
                self.assertEqual(route["delivered"], route["received"])

    def test_zstd_and_plain_are_known_by_content(self):
        lab.need("zstd")
        octets = lab.corpus_octets("bind")
        plain = self.write("named-wrong.gz", octets)
        subprocess.run(["zstd", "-q", plain, "-o", self.path("packed")], check=True)
        for source in ("named-wrong.gz", "packed"):
            code, _, out = self.copy(self.path(source), source + ".out")
            self.assertEqual(code, 0)
            self.assertEqual(lab.read_file(out), octets)

    def test_several_gzip_members_and_frame_streams_in_one_file(self):
        double = self.write("double", lab.read_file(lab.corpus("bind")) * 2)
        code, _, out = self.copy(double)
        self.assertEqual(code, 0)
        self.assertEqual(lab.frames_of(out), lab.split(lab.corpus_octets("bind")) * 2)

    def test_pipes_at_both_ends(self):
        octets = lab.corpus_octets("unbound")
        code, out, err = lab.run_bridge("--from", "-", "--to", "-", input=octets)
        self.assertEqual(code, 0, err)
        self.assertEqual(out, octets)

    def test_loop_reads_again(self):
        code, _, out = self.copy(lab.corpus("bind") + "#loop=3")
        self.assertEqual(code, 0)
        self.assertEqual(lab.frames_of(out), lab.split(lab.corpus_octets("bind")) * 3)

    def test_rate_spreads_messages_over_time(self):
        start = time.monotonic()
        code, bridge, _ = self.copy(lab.corpus("bind") + "#rate=500/s")
        self.assertEqual(code, 0)
        self.assertEqual(bridge.route()["delivered"], 893)
        self.assertGreater(time.monotonic() - start, 1.5)  # 893 messages cannot be faster

    def test_follow_waits_for_more(self):
        messages = lab.split(lab.corpus_octets("bind"))[:20]
        growing = self.write("growing", lab.control(lab.START) + b"".join(map(lab.data, messages[:10])))
        bridge = self.bridge("--from", growing + "#follow", "--to", self.path("out"))
        lab.eventually("ten messages", lambda: bridge.ready().now()[0]["delivered"] == 10)
        with open(growing, "ab") as f:
            for message in messages[10:]:
                f.write(lab.data(message)[:7])  # torn on purpose
                f.flush()
                time.sleep(0.01)
                f.write(lab.data(message)[7:])
                f.flush()
        lab.eventually("twenty messages", lambda: bridge.now()[0]["delivered"] == 20)
        self.assertEqual(bridge.stop(), 0)
        self.assertEqual(lab.frames_of(self.path("out")), messages)

    def test_two_sources_and_two_sinks(self):
        bridge = self.bridge("--from", lab.corpus("bind"), "--from", lab.corpus("knot"),
                             "--to", self.path("a"), "--to", self.path("b"))
        self.assertEqual(bridge.wait(), 0)
        want = sorted(lab.split(lab.corpus_octets("bind")) + lab.split(lab.corpus_octets("knot")))
        self.assertEqual(len(bridge.ledger()["routes"]), 4)
        for name in "ab":
            self.assertEqual(sorted(lab.frames_of(self.path(name))), want)

    def test_small_rings_make_a_file_wait_and_lose_nothing(self):
        code, _, err = lab.run_bridge("--from", lab.corpus("unbound") + "#loop=5,max-frame=64KiB",
                                      "--to", self.path("out") + "#ring=192KiB")
        self.assertEqual(code, 0, err)
        self.assertEqual(len(lab.frames_of(self.path("out"))), 5 * 22890)


class BadFiles(lab.Case):
    def judge(self, octets, said, delivered, options=""):
        bridge = self.bridge("--from", self.write("bad", octets) + options, "--to", self.path("out"))
        self.assertEqual(bridge.wait(), 1, bridge.log())
        self.assertIn(said, bridge.log())
        self.assertEqual(bridge.route()["malformed"], 1)
        self.assertEqual(bridge.route()["delivered"], delivered)
        self.assertEqual(len(lab.frames_of(self.path("out"))), delivered)
        os.unlink(self.path("out"))

    def test_truncated_at_any_point_keeps_every_whole_message(self):
        messages = [b"m" * n for n in (1, 100, 3)]
        octets = lab.control(lab.START) + b"".join(map(lab.data, messages))
        start = len(lab.control(lab.START))
        for cut in (start + 2, start + 6, start + 50, len(octets) - 1):
            count = len(lab.split(lab.whole(octets[start:cut])))
            self.judge(octets[:cut], "truncated", count)

    def test_no_frame_streams(self):
        self.judge(b"this is a text, not a tap\n" * 100, "does not begin with a START", 0)

    def test_wrong_content_type(self):
        octets = lab.control(lab.START, b"protobuf:other") + lab.data(b"x")
        self.judge(octets, 'content type is \\"protobuf:other\\"', 0)

    def test_garbled_control_frame(self):
        good = lab.control(lab.START) + lab.data(b"kept")
        self.judge(good + b"\0\0\0\0" + b"\0\0\0\x05hello", "garbled control frame", 1)
        self.judge(good + b"\0\0\0\0" + b"\0\0\xff\xff" + b"x" * 99, "control frame of 65535 octets", 1)

    def test_oversize_frame_is_passed_over_and_counted(self):
        octets = lab.fstrm_file([b"before", b"x" * 5000, b"after"])
        bridge = self.bridge("--from", self.write("bad", octets) + "#max-frame=4KiB",
                             "--to", self.path("out"))
        self.assertEqual(bridge.wait(), 1)
        self.assertEqual(bridge.route()["malformed"], 1)
        self.assertEqual(lab.frames_of(self.path("out")), [b"before", b"after"])

    def test_large_frames_up_to_the_limit_pass(self):
        messages = [b"x" * n for n in (1, 57000, 65532, 65536, 200000, 1 << 20, 3)]
        code, out, err = lab.run_bridge("--from", self.write("in", lab.fstrm_file(messages)), "--to", "-")
        self.assertEqual(code, 0, err)
        self.assertEqual(lab.split(out), messages)

    def test_damaged_gzip(self):
        octets = lab.read_file(lab.corpus("bind"))
        bridge = self.bridge("--from", self.write("bad.gz", octets[:-1000]), "--to", self.path("out"))
        self.assertEqual(bridge.wait(), 1)
        self.assertIn("ends early", bridge.log())
        self.assertGreater(len(lab.frames_of(self.path("out"))), 500)


class Text(lab.Case):
    def test_text_is_what_dnstap_prints(self):
        lab.need("dnstap")
        for name in lab.CORPORA:
            plain = self.write("plain", lab.corpus_octets(name))
            for zone in ("UTC", "America/Toronto"):
                env = {**os.environ, "TZ": zone}
                want = subprocess.run(["dnstap", "-r", plain, "-q"], env=env, capture_output=True).stdout
                code, got, err = lab.run_bridge("--from", lab.corpus(name), "--to", "-#format=text", env=env)
                self.assertEqual(code, 0, err)
                self.assertEqual(got, want)

    def test_what_is_no_dnstap_is_counted_as_malformed(self):
        messages = lab.split(lab.corpus_octets("bind"))[:3]
        octets = lab.fstrm_file([messages[0], b"\xff\xff no dnstap", messages[1]])
        bridge = self.bridge("--from", self.write("in", octets), "--to", self.path("out.txt"))
        self.assertEqual(bridge.wait(), 1)
        self.assertEqual(bridge.route()["malformed"], 1)
        self.assertEqual(bridge.route()["delivered"], 2)
        self.assertIn("1 of the messages given to it cannot be decoded as dnstap", bridge.log())
        self.assertIn("the first has 12 octets: ffff206e6f20646e73746170", bridge.log())
        self.assertEqual(lab.read_file(self.path("out.txt")).count(b"\n"), 2)


class Writes(lab.Case):
    def test_a_reader_that_goes_is_a_failure_and_no_signal(self):
        bridge = self.bridge("--from", lab.corpus("unbound") + "#loop=20", "--to", "-",
                             stdout=subprocess.PIPE)
        bridge.process.stdout.read(100000)
        bridge.process.stdout.close()
        self.assertEqual(bridge.wait(), 1)
        route = bridge.route()
        self.assertGreater(route["failed"], 0)
        self.assertEqual(route["delivered"] + route["failed"] + route["dropped"], route["received"])


if __name__ == "__main__":
    lab.main()
