"""Files that come and go: rotation, packing, names, what a killed run leaves, full disks, SIGHUP. Every
message is in exactly one file, in order, and every file can be read by others."""

import fcntl
import gzip
import os
import re
import signal
import subprocess
import threading
import time
import unittest

import lab

SUFFIXES = ("", ".gz", ".zst")


def number_of(path):
    found = re.search(r"-(\d+)\.fstrm", path)
    return int(found.group(1)) if found else 0


def octets_of(path):
    if path.endswith((".zst", ".zst.part")):
        return subprocess.run(["zstd", "-dcq", path], capture_output=True).stdout
    if path.endswith((".gz", ".gz.part")):
        return subprocess.run(["gzip", "-dcq"], stdin=open(path, "rb"), capture_output=True).stdout
    return lab.read_file(path)


class FileCase(lab.Case):
    def setUp(self):
        super().setUp()
        lab.need("zstd", "gzip", "dnstap")
        self.out = self.path("out")
        os.mkdir(self.out)

    def names(self, folder=None):
        folder = folder or self.out
        return sorted((os.path.join(folder, n) for n in os.listdir(folder)), key=number_of)

    def judge(self, path):
        """A whole file: sound for gzip and zstd, ended by STOP, and the same for others. Its messages."""
        if path.endswith(".gz"):
            subprocess.run(["gzip", "-t", path], check=True)
        if path.endswith(".zst"):
            subprocess.run(["zstd", "-tq", path], check=True)
        octets = octets_of(path)
        self.assertTrue(octets.startswith(lab.control(lab.START)), path)
        self.assertTrue(octets.endswith(lab.control(lab.STOP)), path)
        frames = lab.split(octets)
        plain = self.write("judged", octets)
        lines = subprocess.run(["dnstap", "-q", "-r", plain], capture_output=True, check=True).stdout
        self.assertEqual(lines.count(b"\n"), len(frames), path)
        code, _, err = lab.run_bridge("--from", path, "--to", "/dev/null")
        self.assertEqual(code, 0, err)
        return frames

    def judge_all(self, folder=None):
        names = self.names(folder)
        self.assertFalse([n for n in names if n.endswith(".part")], names)
        return [frame for name in names for frame in self.judge(name)]

    def tmpfs(self, size):
        disk = self.path("disk")
        os.mkdir(disk)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", disk],
                               capture_output=True)
        if mount.returncode:
            raise unittest.SkipTest("cannot mount a tmpfs: " + mount.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        return disk


class Rotation(FileCase):
    def test_by_size_every_message_is_in_one_file_in_order(self):
        want = lab.split(lab.corpus_octets("unbound")) * 3
        for suffix in SUFFIXES:
            with self.subTest(suffix or "plain"):
                self.out = self.path("by-size" + suffix)
                os.mkdir(self.out)
                limit = 1 << 20
                bridge = self.bridge("--from", lab.corpus("unbound") + "#loop=3", "--to",
                                     os.path.join(self.out, "dns.fstrm" + suffix) + "#rotate-size=1MiB")
                self.assertEqual(bridge.wait(), 0, bridge.log())
                self.assertEqual(bridge.route()["delivered"], len(want))
                self.assertEqual(self.judge_all(), want)
                sizes = [os.path.getsize(n) for n in self.names()]
                self.assertGreater(len(sizes), 1)
                if not suffix:
                    self.assertLessEqual(max(sizes), limit)
                    self.assertGreater(min(sizes[:-1]), limit - 5000)
                else:
                    self.assertLess(max(sizes), 2 * limit)

    def test_a_message_larger_than_the_limit_has_a_file_of_its_own(self):
        messages = [b"x" * n for n in (10, 20000, 10, 9000, 100)]
        source = self.write("in", lab.fstrm_file(messages))
        code, _, err = lab.run_bridge("--from", source, "--to", os.path.join(self.out, "d.fstrm#rotate-size=8KiB"))
        self.assertEqual(code, 0, err)
        self.assertEqual([lab.frames_of(n) for n in self.names()], [[m] for m in messages])

    def test_by_time_aligned_to_the_clock(self):
        bridge = self.bridge("--from", lab.corpus("bind") + "#rate=250/s", "--to",
                             os.path.join(self.out, "dns-%Y%m%d-%H%M%S.fstrm") + "#rotate-every=1s")
        self.assertEqual(bridge.wait(), 0, bridge.log())
        names = sorted(os.listdir(self.out))
        self.assertGreaterEqual(len(names), 3)
        for name in names:
            self.assertRegex(name, r"^dns-\d{8}-\d{6}(-\d+)?\.fstrm$")
        frames = [f for name in names for f in self.judge(os.path.join(self.out, name))]
        self.assertEqual(frames, lab.split(lab.corpus_octets("bind")))

    def test_a_file_is_ended_in_time_without_another_message(self):
        tap = self.path("tap")
        self.bridge("--from", "unix:" + tap, "--to",
                    os.path.join(self.out, "dns.fstrm.gz") + "#rotate-every=1s").ready()
        sock = lab.sender(tap)
        sock.sendall(lab.data(b"alone"))
        whole = os.path.join(self.out, "dns.fstrm.gz")
        lab.eventually("the file to have its name", lambda: os.path.exists(whole))
        self.assertEqual(lab.split(octets_of(whole)), [b"alone"])
        lab.finish(sock)

    def test_a_file_that_stayed_empty_is_not_used_later(self):
        tap = self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap, "--to",
                             os.path.join(self.out, "%s.fstrm") + "#rotate-every=1s").ready()
        time.sleep(2.1)
        sent = int(time.time())
        sock = lab.sender(tap)
        sock.sendall(lab.data(lab.split(lab.corpus_octets("bind"))[0]))
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)
        (name,) = os.listdir(self.out)
        self.assertGreaterEqual(int(name.split(".")[0]), sent)

    def test_nothing_is_overwritten(self):
        source = lab.corpus("bind")
        taken = os.path.join(self.out, "dns.fstrm.gz")
        with open(taken, "w") as f:
            f.write("somebody's")
        code, _, err = lab.run_bridge("--from", source, "--to", taken)
        self.assertEqual(code, 2)
        self.assertIn("not empty", err)
        code, _, err = lab.run_bridge("--from", source, "--to", taken + "#rotate-size=1MiB")
        self.assertEqual(code, 0, err)
        self.assertEqual(lab.read_file(taken), b"somebody's")
        self.assertEqual(len(self.judge(os.path.join(self.out, "dns-1.fstrm.gz"))), 893)

    def test_a_name_taken_while_it_was_written_is_left_to_its_owner(self):
        tap = self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap, "--to", os.path.join(self.out, "d.fstrm.gz")).ready()
        lab.finish(lab.sender(tap))
        with open(os.path.join(self.out, "d.fstrm.gz"), "w") as f:
            f.write("somebody's")
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(lab.read_file(os.path.join(self.out, "d.fstrm.gz")), b"somebody's")
        self.assertEqual(self.judge(os.path.join(self.out, "d-1.fstrm.gz")), [])

    def test_lines_are_packed_too(self):
        for extension, form in ((".txt", "text"), (".json", "json"), (".yml", "yaml")):
            _, want, _ = lab.run_bridge("--from", lab.corpus("bind"), "--to", "-#format=" + form)
            for suffix in SUFFIXES:
                name = os.path.join(self.out, "d" + extension + suffix)
                code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", name)
                self.assertEqual(code, 0, err)
                self.assertEqual(octets_of(name), want)

    def test_bad_names_and_places(self):
        for sink, said in (("a%Q.fstrm", "%Q"), ("a%", "%"), ("%Y/a.fstrm", "folder"),
                           ("-#rotate-size=1MiB", "rotated")):
            sink = sink if sink[0] == "-" else os.path.join(self.out, sink)
            code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", sink)
            self.assertEqual(code, 2, err)
            self.assertIn(said, err)

    def test_fsync(self):
        for way in ("no", "close", "each"):
            for suffix in ("", ".gz"):
                name = os.path.join(self.out, way + ".fstrm" + suffix)
                code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", name + "#fsync=" + way)
                self.assertEqual(code, 0, err)
                self.assertEqual(len(self.judge(name)), 893)


class Live(FileCase):
    """Files that are being written can be read."""

    def start(self, name):
        tap = self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap, "--to", os.path.join(self.out, name)).ready()
        sock = lab.sender(tap)
        self.addCleanup(sock.close)
        messages = lab.split(lab.corpus_octets("bind"))[:50]
        sock.sendall(b"".join(map(lab.data, messages)))
        lab.eventually("all to be delivered", lambda: bridge.now()[0]["delivered"] == 50)
        return messages

    def test_a_packed_file_up_to_what_was_delivered(self):
        for suffix in SUFFIXES[1:]:
            with self.subTest(suffix):
                name = "live.fstrm" + suffix
                messages = self.start(name)
                octets = octets_of(os.path.join(self.out, name + ".part"))
                self.assertEqual(lab.split(octets), messages)
                os.unlink(self.path("tap"))

    def test_a_plain_file_by_dnstap_and_tail(self):
        self.start("live.fstrm")
        lines = subprocess.run(["dnstap", "-q", "-r", os.path.join(self.out, "live.fstrm")],
                               capture_output=True).stdout
        self.assertEqual(lines.count(b"\n"), 50)

    def test_tail_follows_lines(self):
        name = os.path.join(self.out, "live.txt")
        tail = subprocess.Popen(["tail", "-F", "-n", "+1", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.kill)
        self.start("live.txt")
        self.assertEqual(sum(1 for _ in zip(range(50), tail.stdout)), 50)


class Killed(FileCase):
    def test_kill_and_restart(self):
        messages = lab.split(lab.corpus_octets("unbound"))
        for suffix in SUFFIXES:
            with self.subTest(suffix or "plain"):
                self.out = self.path("killed" + suffix)
                os.mkdir(self.out)
                sink = os.path.join(self.out, "dns.fstrm" + suffix) + "#rotate-size=256KiB"
                bridge = self.bridge("--from", lab.corpus("unbound") + "#rate=20000/s,loop=20", "--to", sink).ready()
                lab.eventually("three files", lambda: len(os.listdir(self.out)) >= 3)
                told = bridge.now()[0]["delivered"]
                bridge.kill()
                again = self.bridge("--from", lab.corpus("bind"), "--to", sink)
                self.assertEqual(again.wait(), 0, again.log())
                self.assertRegex(again.log(), "is mended|held no whole message")
                got = self.judge_all()
                self.assertEqual(got[-893:], lab.split(lab.corpus_octets("bind")))
                self.assertEqual(got[:-893], (20 * messages)[:len(got) - 893])
                self.assertGreaterEqual(len(got) - 893, told)

    def test_a_plain_packed_name_can_be_started_again_and_again(self):
        sink = os.path.join(self.out, "dns.fstrm.zst")
        tap = self.path("tap")
        for _ in range(3):
            bridge = self.bridge("--from", "unix:" + tap, "--to", sink).ready()
            sock = lab.sender(tap)
            sock.sendall(lab.data(lab.split(lab.corpus_octets("bind"))[0]))
            lab.eventually("one message", lambda: bridge.now()[0]["delivered"] == 1)
            bridge.kill()
            sock.close()
        last = self.bridge("--from", lab.corpus("bind"), "--to", sink)
        self.assertEqual(last.wait(), 0, last.log())
        self.assertEqual(len(self.judge_all()), 3 + 893)

    def mend(self, octets, name="dns.fstrm", part=None):
        left = os.path.join(self.out, part or name + ".part")
        with open(left, "wb") as f:
            f.write(octets)
        bridge = self.bridge("--from", lab.corpus("bind"), "--to",
                             os.path.join(self.out, name) + "#rotate-size=64MiB")
        self.assertEqual(bridge.wait(), 0, bridge.log())
        return bridge.log()

    def test_a_torn_tail_at_every_octet(self):
        messages = lab.split(lab.corpus_octets("bind"))[:3]
        octets = lab.fstrm_file(messages)
        start = len(lab.control(lab.START))
        step = 7 if os.environ.get("TEST_SHORT") else 3
        for cut in range(start, len(octets) + 1, step):
            self.mend(octets[:cut])
            count = len(lab.split(lab.whole(octets[start:min(cut, len(octets) - 12)])))
            self.assertEqual(self.judge_all(), messages[:count] + lab.split(lab.corpus_octets("bind")), cut)
            for name in self.names():
                os.unlink(name)

    def test_a_tail_of_zeros_is_cut(self):
        messages = lab.split(lab.corpus_octets("bind"))[:3]
        self.mend(lab.fstrm_file(messages)[:-12] + bytes(5000))
        self.assertEqual(self.judge(os.path.join(self.out, "dns.fstrm")), messages)

    def test_torn_packed_tails(self):
        messages = lab.split(lab.corpus_octets("bind"))
        for name, pack in (("d.fstrm.gz", lambda o: gzip.compress(o)),
                           ("d.fstrm.zst", lambda o: subprocess.run(["zstd", "-q"], input=o, check=True,
                                                                    capture_output=True).stdout)):
            packed = pack(lab.fstrm_file(messages))
            self.mend(packed[:-1], name)
            got = self.judge(os.path.join(self.out, name))
            self.assertEqual(got, messages[:len(got)])
            if name.endswith(".gz"):
                self.assertGreater(len(got), 800)

    def test_torn_lines(self):
        self.mend(b"one\ntwo\nthr", "d.txt")
        self.assertEqual(lab.read_file(os.path.join(self.out, "d.txt")), b"one\ntwo\n")

    def test_torn_yaml_ends_behind_a_whole_document(self):
        _, yaml, _ = lab.run_bridge("--from", lab.corpus("bind"), "--to", "-#format=yaml")
        documents = yaml.split(b"\n---\n")[:-1]
        self.assertEqual(len(documents), 893)
        whole = b"".join(d + b"\n---\n" for d in documents[:3])
        self.mend(whole + documents[3][:-5], "d.yaml")
        self.assertEqual(lab.read_file(os.path.join(self.out, "d.yaml")), whole)

    def test_what_cannot_be_mended_is_set_aside(self):
        for octets in (b"this is no tap at all", lab.control(lab.START, b"other") + lab.data(b"x"),
                       lab.control(lab.START) + lab.data(b"kept") + b"\xff\xff\xff\xff garbage"):
            log = self.mend(octets)
            self.assertIn("cannot be mended; it is now", log)
            broken = os.path.join(self.out, "dns.fstrm.broken")
            self.assertEqual(lab.read_file(broken), octets)
            self.assertEqual(len(self.judge(os.path.join(self.out, "dns.fstrm"))), 893)
            os.unlink(broken)
            os.unlink(os.path.join(self.out, "dns.fstrm"))

    def test_an_empty_left_over_is_removed(self):
        self.assertIn("held no whole message", self.mend(b""))
        self.assertEqual(os.listdir(self.out), ["dns.fstrm"])

    def test_left_overs_of_other_times_and_numbers_and_of_nobody(self):
        octets = lab.fstrm_file([b"x"])[:-3]
        log = self.mend(octets, "dns-%Y%m%d.fstrm", "dns-20200102-7.fstrm.part")
        self.assertIn("is mended", log)
        self.assertIn("dns-20200102-7.fstrm", os.listdir(self.out))
        for other in ("dns-2020.01.02.fstrm.part", "dns-x.fstrm.part", "dns-20200102.fstrm.gz.part",
                      "adns-20200102.fstrm.part"):
            self.mend(octets, "dns-%Y%m%d.fstrm", other)
            self.assertEqual(lab.read_file(os.path.join(self.out, other)), octets, other)

    def test_a_living_writer_is_left_alone(self):
        octets = lab.fstrm_file([b"x"])[:-3]
        part = os.path.join(self.out, "dns.fstrm.part")
        with open(part, "wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            log = self.mend(octets)
            self.assertIn("another process writes it", log)
            self.assertEqual(lab.read_file(part), octets)
            self.assertEqual(len(self.judge(os.path.join(self.out, "dns-1.fstrm"))), 893)


class FullDisk(FileCase):
    """rate= keeps the messages coming until the disk is full and beyond; the ring drops what then waits."""

    LOOPS = 8

    def run_full(self, suffix, options, again):
        disk = self.tmpfs("400k")
        sink = os.path.join(disk, "dns.fstrm" + suffix)
        messages = lab.split(lab.corpus_octets("unbound"))
        bridge = self.bridge("--from", lab.corpus("unbound") + f"#when-full=drop,loop={self.LOOPS},"
                             "rate=100000/s,max-frame=16KiB", "--to", sink + "#ring=192KiB" + options,
                             "--drain-timeout", "30s" if again else "300ms")
        bridge.wait_log("No space left on device")
        bridge.wait_log("the ring in front of")
        if again:
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        code = bridge.wait() if again else bridge.stop()
        route = bridge.route()
        got = self.judge_all(disk)
        self.assertEqual(len(got), route["delivered"], bridge.log())
        self.assertEqual(code, 1)
        following = iter(messages * self.LOOPS)
        for at, frame in enumerate(got):  # in order, with gaps where the ring dropped
            self.assertTrue(any(frame == other for other in following), at)
        if again:
            self.assertEqual(route["received"], self.LOOPS * len(messages))
            self.assertEqual(route["in_flight"], 0)
        else:
            self.assertGreater(route["in_flight"], 0)

    def in_all_ways(self, again):
        for suffix in SUFFIXES:
            for options in ("", ",rotate-size=128KiB", ",fsync=each"):
                with self.subTest(suffix + options):
                    try:
                        self.run_full(suffix, options, again)
                    finally:
                        self.doCleanups()
                        self.setUp()

    def test_space_comes_back(self):
        self.in_all_ways(True)

    def test_it_stays_full(self):
        self.in_all_ways(False)


class Hangup(FileCase):
    def test_moved_away_and_reopened_under_load(self):
        """As logrotate does it with a plain name."""
        name = os.path.join(self.out, "dns.fstrm")
        bridge = self.bridge("--from", lab.corpus("unbound") + "#rate=15000/s", "--to", name).ready()
        for i in range(1, 6):
            lab.eventually("the file to be there", lambda: os.path.exists(name) and os.path.getsize(name) > 5000)
            os.rename(name, os.path.join(self.out, f"old-{i}.fstrm"))
            bridge.send(signal.SIGHUP)
        self.assertEqual(bridge.wait(), 0, bridge.log())
        names = [os.path.join(self.out, f"old-{i}.fstrm") for i in range(1, 6)] + [name]
        frames = [f for n in names for f in self.judge(n)]
        self.assertEqual(frames, lab.split(lab.corpus_octets("unbound")))

    def test_a_file_that_was_not_moved_is_not_disturbed(self):
        name = os.path.join(self.out, "dns.fstrm")
        bridge = self.bridge("--from", lab.corpus("unbound") + "#rate=15000/s", "--to", name).ready()
        bridge.send(signal.SIGHUP)
        bridge.wait_log("writing on")
        self.assertEqual(bridge.wait(), 0)
        self.assertEqual(self.judge(name), lab.split(lab.corpus_octets("unbound")))

    def test_packed_and_rotated_files_begin_anew(self):
        for suffix, options in ((".zst", ""), (".gz", "#rotate-size=64MiB"), ("", "#rotate-every=1h")):
            with self.subTest(suffix + options):
                self.out = self.path("hup" + suffix)
                os.mkdir(self.out)
                bridge = self.bridge("--from", lab.corpus("unbound") + "#rate=15000/s", "--to",
                                     os.path.join(self.out, "dns.fstrm" + suffix) + options).ready()
                for count in range(1, 4):
                    before = bridge.now()[0]["received"]
                    lab.eventually("messages", lambda: bridge.now()[0]["received"] > before)
                    bridge.send(signal.SIGHUP)
                    bridge.wait_log("reopened", count)
                self.assertEqual(bridge.wait(), 0, bridge.log())
                self.assertEqual(len(self.names()), 4)
                self.assertEqual(self.judge_all(), lab.split(lab.corpus_octets("unbound")))

    def test_an_idle_sink_is_reopened_too(self):
        tap, name = self.path("tap"), os.path.join(self.out, "dns.fstrm")
        bridge = self.bridge("--from", "unix:" + tap, "--to", name).ready()
        os.rename(name, name + ".old")
        bridge.send(signal.SIGHUP)
        lab.eventually("the new file", lambda: os.path.exists(name))
        self.assertEqual(self.judge(name + ".old"), [])
        self.assertEqual(bridge.stop(), 0)


if __name__ == "__main__":
    lab.main()
