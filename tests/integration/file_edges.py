"""Files that others move, cut, fill or close while we read or write them; and where --ledger may write."""

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import stat
import subprocess
import threading
import time

import lab


def numbers(n, start=0):
    return [b"message %06d" % i for i in range(start, start + n)]


def stream(messages, end=True):
    return lab.control(lab.START) + b"".join(map(lab.data, messages)) + (lab.control(lab.STOP) if end else b"")


class Follow(lab.Case):
    """Log rotation beneath a reader."""

    def start(self, begin):
        self.file = self.write("dns.fstrm", begin)
        self.out = self.path("out.fstrm")
        self.hop = self.bridge("--from", self.file + "#follow", "--to", self.out).ready()
        self.count = 0

    def append(self, octets, path=None):
        with open(path or self.file, "ab") as f:
            f.write(octets)

    def got(self, n):
        lab.eventually(f"{n} messages", lambda: len(lab.split(lab.whole(lab.read_file(self.out)))) >= n)

    def end(self, messages, code=0):
        self.got(len(messages))
        self.assertEqual(self.hop.stop(), code, self.hop.log())
        self.assertEqual(lab.frames_of(self.out), messages)

    def test_moved_and_made_anew(self):
        self.start(stream(numbers(10), end=False))
        self.got(10)
        for turn in range(1, 4):  # the writer ends the old file and begins a new one
            self.append(b"".join(map(lab.data, numbers(5, turn * 100))) + lab.control(lab.STOP))
            os.rename(self.file, self.path(f"dns.fstrm.{turn}"))
            self.write("dns.fstrm", stream(numbers(5, turn * 100 + 50), end=False))
            self.hop.wait_log("going on with the new one", turn)
            self.got(10 + 10 * turn)
        want = numbers(10)
        for turn in range(1, 4):
            want += numbers(5, turn * 100) + numbers(5, turn * 100 + 50)
        self.end(want)

    def test_a_writer_that_goes_on_in_the_old_file_for_a_while(self):
        """logrotate's `create`: the new file stands there, empty, before the writer is told."""
        self.start(stream(numbers(10), end=False))
        self.got(10)
        os.rename(self.file, self.path("old"))
        self.write("dns.fstrm", b"")
        time.sleep(0.3)
        self.append(b"".join(map(lab.data, numbers(10, 10))), self.path("old"))
        self.got(20)
        self.append(stream(numbers(10, 20)))
        self.end(numbers(30))

    def test_moved_within_a_frame_is_told(self):
        self.start(stream(numbers(3), end=False) + b"\0\0\0\x20torn")
        self.got(3)
        os.rename(self.file, self.path("old"))
        self.write("dns.fstrm", stream(numbers(3, 3)))
        self.hop.wait_log("truncated")
        self.end(numbers(6), code=1)
        self.assertEqual(self.hop.route()["malformed"], 1)

    def test_cut_to_zero(self):
        self.start(stream(numbers(100), end=False))
        self.got(100)
        for turn in range(1, 3):
            os.truncate(self.file, 0)
            self.hop.wait_log("was cut", turn)
            self.append(stream(numbers(10, 100 * turn)))
            self.got(100 + 10 * turn)
        self.end(numbers(100) + numbers(10, 100) + numbers(10, 200))

    def test_broken_and_then_replaced(self):
        self.start(stream(numbers(5), end=False) + b"\0\0\0\0\0\0\xff\xffgarbage")
        self.hop.wait_log("nothing behind message 5 is read")
        os.rename(self.file, self.path("old"))
        self.write("dns.fstrm", stream(numbers(5, 5)))
        self.end(numbers(10), code=1)

    def test_removed_and_made_again_later(self):
        self.start(stream(numbers(5)))
        self.got(5)
        os.unlink(self.file)
        time.sleep(0.2)
        self.write("other", stream(numbers(5, 5)))
        os.rename(self.path("other"), self.file)
        self.end(numbers(10))

    def test_a_pipe_with_a_name_has_one_writer_after_another(self):
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        hop = self.bridge("--from", pipe + "#follow", "--to", self.path("out.fstrm")).ready()  # though no writer is there yet
        for turn in range(3):
            with open(pipe, "wb") as f:
                f.write(stream(numbers(10, 10 * turn)))
            hop.wait_log("waiting for the next", turn + 1)
        self.assertEqual(hop.stop(), 0, hop.log())
        self.assertEqual(lab.frames_of(self.path("out.fstrm")), numbers(30))


    def test_what_took_the_place_of_a_pipe_is_read_by_nobody(self):
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        hop = self.bridge("--from", pipe + "#follow", "--to", self.path("out.fstrm")).ready()
        with open(pipe, "wb") as f:
            f.write(stream(numbers(10)))
            f.flush()
            lab.eventually("the messages", lambda: hop.now()[0]["received"] == 10)
            self.write("other", stream(numbers(10, 10)))
            os.rename(self.path("other"), pipe)
        self.assertEqual(hop.wait(), 0, hop.log())
        self.assertIn("it is another kind of file; this source ends", hop.log())
        self.assertEqual(lab.frames_of(self.path("out.fstrm")), numbers(10))

    def test_a_successor_that_cannot_be_opened_yet_is_tried_again(self):
        self.write("log", stream(numbers(10)))
        hop = self.bridge("--from", self.path("log") + "#follow", "--to", self.path("out.fstrm")).ready()
        lab.eventually("the messages", lambda: hop.now()[0]["received"] == 10)
        self.write("next", stream(numbers(10, 10)))
        before = signal.signal(signal.SIGIO, lambda *_: None)  # asks us to give the lease back, which we take our time for
        self.addCleanup(signal.signal, signal.SIGIO, before)
        with open(self.path("next"), "r+b") as f:
            try:
                fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)  # from here on others cannot open it
            except OSError as error:
                self.skipTest(f"no leases on this file system: {error}")
            os.rename(self.path("next"), self.path("log"))
            hop.wait_log("what is there now cannot be read: Resource temporarily unavailable; trying again")
            fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        lab.eventually("all messages", lambda: hop.now()[0]["delivered"] == 20)
        self.assertEqual(hop.stop(), 0, hop.log())
        self.assertEqual(lab.frames_of(self.path("out.fstrm")), numbers(20))


class Reader(threading.Thread):
    """Reads a pipe that has a name until it is told to go."""

    def __init__(self, path, most=None):
        super().__init__(daemon=True)
        self.path, self.most, self.got = path, most, bytearray()
        self.start()

    def run(self):
        with open(self.path, "rb", buffering=0) as f:
            while self.most is None or len(self.got) < self.most:
                piece = f.read(4096)
                if not piece:
                    return
                self.got += piece


class Pipes(lab.Case):
    def test_a_reader_that_restarts_is_found_again(self):
        pipe, source = self.path("pipe"), self.path("s")
        os.mkfifo(pipe)
        hop = self.bridge("--from", "unix:" + source, "--to", pipe).ready()  # nobody reads yet
        hop.wait_log("waiting for its reader")
        sock = lab.sender(source)
        sent, got = 0, []
        for turn in range(4):
            reader = Reader(pipe, most=3000)
            lab.eventually("the reader to have enough", lambda: self.more(sock, reader))
            reader.join(lab.PATIENCE)
            got.append(bytes(reader.got))
            self.more(sock, reader)
            hop.wait_log("its reader has gone", turn + 1)
        last = Reader(pipe)
        lab.finish(sock)
        self.assertEqual(hop.stop(), 0, hop.log())
        last.join(lab.PATIENCE)
        self.assertEqual(hop.route()["failed"], 0)
        pieces = [lab.split(lab.whole(g)) for g in [*got, bytes(last.got)]]
        for piece in pieces:  # each reader got a stream from its beginning, of whole messages in order
            ids = [int(m.split()[1]) for m in piece]
            self.assertEqual(ids, list(range(ids[0], ids[0] + len(ids))) if ids else [])
        self.assertEqual(int(pieces[-1][-1].split()[1]), self.sent - 1)

    def test_a_reader_of_a_packed_pipe_that_restarts_is_found_again(self):
        for name, unpack in (("pipe.gz", "gzip"), ("pipe.zst", "zstd")):
            with self.subTest(name):
                lab.need(unpack)
                pipe, source = self.path(name), self.path("s" + name)
                os.mkfifo(pipe)
                hop = self.bridge("--from", "unix:" + source, "--to", pipe, hop=name).ready()
                hop.wait_log("waiting for its reader")
                sock = lab.sender(source)
                for turn in range(3):
                    fd = self.open_reader(pipe, sock)
                    lab.eventually("the beginning", lambda fd=fd: self.can_read(fd))
                    os.close(fd)  # what is packed for it has nobody to go to, and the sink finds out while it is idle
                    self.more(sock, None)
                    hop.wait_log("its reader has gone", turn + 1)
                with open(self.path("out"), "wb") as out:
                    last = subprocess.Popen(["sh", "-c", f"exec {unpack} -dc < {pipe}"], stdout=out, stderr=subprocess.DEVNULL)
                    self.addCleanup(last.wait)
                    self.addCleanup(last.kill)
                    lab.eventually("its reader", lambda: self.more_until(sock, hop))
                    lab.finish(sock)
                    hop.stop()
                    self.assertEqual(last.wait(lab.PATIENCE), 0)
                route = hop.route()
                self.assertEqual(route["in_flight"], 0, route)
                self.assertGreater(route["failed"], 0)
                got = lab.frames_of(self.path("out"))
                self.assertEqual(got, numbers(len(got), self.sent - len(got)))
                self.assertLessEqual(len(got), route["delivered"])
                self.sent = 0

    def open_reader(self, pipe, sock):
        """A reader that has been found: the sink looks for one when it has something to write."""
        fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.more(sock, None)
        return fd

    @staticmethod
    def can_read(fd):
        return bool(select.select([fd], [], [], 0.1)[0])

    def more_until(self, sock, hop):
        before = hop.now()[0]["delivered"]
        self.more(sock, None)
        time.sleep(0.1)
        return hop.now()[0]["delivered"] > before

    sent = 0

    def more(self, sock, reader):
        sock.sendall(b"".join(map(lab.data, numbers(20, self.sent))))
        self.sent += 20
        time.sleep(0.01)
        return reader and not reader.is_alive()

    def full_pipe(self):
        """A named pipe that others have filled, and its other end."""
        os.mkfifo(self.path("full"))
        fd = os.open(self.path("full"), os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, fd)
        self.filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self.filled += os.write(fd, b"x")
        return fd

    def test_a_pipe_that_is_full_at_the_start_holds_up_nothing(self):
        fd, source = self.full_pipe(), self.path("s")
        hop = self.bridge("--from", "unix:" + source, "--to", self.path("full")).ready()
        sock = lab.sender(source)
        sock.sendall(b"".join(map(lab.data, numbers(10))))
        lab.eventually("the messages", lambda: hop.now()[0]["received"] == 10)
        want, got = lab.control(lab.START) + b"".join(map(lab.data, numbers(10))), bytearray()

        def read():
            with contextlib.suppress(BlockingIOError):
                got.extend(os.read(fd, 65536))
            return len(got) >= self.filled + len(want)
        lab.eventually("the stream behind what was there", read)
        self.assertEqual(bytes(got[self.filled:]), want)
        lab.finish(sock)
        self.assertEqual(hop.stop(), 0, hop.log())

    def test_a_pipe_that_stays_full_keeps_no_stop_waiting(self):
        self.full_pipe()
        hop = self.bridge("--from", "unix:" + self.path("s"), "--to", self.path("full"), "--drain-timeout", "1h").ready()
        self.assertEqual(hop.stop(), 0, hop.log())

    def test_head_ends_a_run(self):
        """`dnstap-bridge ... | head -1`, from a source that never ends."""
        source = self.path("s")
        hop = self.bridge("--from", "unix:" + source, "--to", "-#format=json", stdout=subprocess.PIPE).ready()
        sock = lab.sender(source)
        messages = b"".join(map(lab.data, lab.split(lab.corpus_octets("bind"))))
        hop_out = hop.process.stdout
        sock.sendall(messages)
        self.assertIn(b'"time"', hop_out.readline())
        hop_out.close()
        with contextlib.suppress(OSError):
            while hop.process.poll() is None:
                sock.sendall(messages)
        self.assertEqual(hop.wait(), 1)
        self.assertIn("nobody reads it any more", hop.log())
        self.assertGreater(hop.route()["failed"], 0)

    def test_head_does_not_end_other_sinks(self):
        source = self.path("s")
        hop = self.bridge("--from", "unix:" + source, "--to", "-#format=json", "--to", self.path("out.fstrm"),
                          stdout=subprocess.PIPE).ready()
        hop.process.stdout.close()
        sock = lab.sender(source)
        messages = lab.split(lab.corpus_octets("bind"))[:200]
        for _ in range(10):
            sock.sendall(b"".join(map(lab.data, messages)))
        lab.finish(sock)
        hop.wait_log("nobody reads it any more")
        self.assertEqual(hop.stop(), 1)
        routes = {r["sink"]: r for r in hop.ledger()["routes"]}
        self.assertEqual(routes[self.path("out.fstrm")]["delivered"], 2000)


class Output(lab.Case):
    def shell(self, line):
        return subprocess.run(["bash", "-c", line], capture_output=True, timeout=120, cwd=self.folder)

    def test_standard_output_that_is_a_file_is_shared(self):
        """What the shell, standard error or a following command writes there stands behind the messages."""
        self.write("in", lab.fstrm_file(lab.split(lab.corpus_octets("bind"))))
        done = self.shell(f"(echo first; {lab.BRIDGE} --from in --to '-#format=json'; echo last) > both 2>err")
        self.assertEqual(done.returncode, 0)
        lines = lab.read_file(self.path("both")).splitlines()
        self.assertEqual((lines[0], lines[-1], len(lines)), (b"first", b"last", 895))
        done = self.shell(f"{lab.BRIDGE} --from in --to '-#format=json' > mixed 2>&1")
        text = lab.read_file(self.path("mixed"))
        self.assertEqual(text.count(b'{"time"'), 893)
        self.assertIn(b"ledger of hop", text)
        done = self.shell(f"{lab.BRIDGE} --from in --to '-#format=json' >> both 2>err")
        self.assertEqual(lab.read_file(self.path("both")).count(b"\n"), 895 + 893)

    def test_closed_standard_streams_are_refused_by_name(self):
        self.write("in", lab.fstrm_file([b"x"]))
        for line, name in ((f"{lab.BRIDGE} --from in --to '-' >&-", b"standard output is closed"),
                           (f"{lab.BRIDGE} --check --from in --to '-' >&-", b"standard output is closed"),
                           (f"{lab.BRIDGE} --from - --to out <&-", b"standard input is closed")):
            done = self.shell(line)
            self.assertEqual(done.returncode, 2, line)
            self.assertIn(name, done.stderr)
        done = self.shell(f"{lab.BRIDGE} --from in --to out --ledger ledger 2>&- <&- >&-")  # none of them is needed
        self.assertEqual(done.returncode, 0)
        self.assertEqual(lab.frames_of(self.path("out")), [b"x"])

    def test_a_limit_of_file_sizes_ends_no_process(self):
        self.write("in", lab.fstrm_file(lab.split(lab.corpus_octets("bind"))))
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
        one = self.bridge("--from", "in", "--to", "plain.fstrm", "--to", "/dev/null", cwd=self.folder, preexec_fn=limit)
        self.assertEqual(one.wait(), 1)
        plain, null = one.ledger()["routes"]
        self.assertEqual((null["delivered"], plain["delivered"] + plain["failed"]), (893, 893))
        self.assertGreater(plain["failed"], 0)
        self.assertEqual(len(lab.frames_of(self.path("plain.fstrm"))), plain["delivered"])
        many = self.bridge("--from", "in", "--to", "many.fstrm#rotate-every=24h", cwd=self.folder, preexec_fn=limit)
        self.assertEqual(many.wait(), 0, many.log())
        self.assertEqual(many.route()["delivered"], 893)
        got = [name for name in os.listdir(self.folder) if name.startswith("many")]
        self.assertGreater(len(got), 2)
        self.assertEqual(sum(len(lab.frames_of(self.path(name))) for name in got), 893)

    def test_names_that_promise_another_format_are_refused(self):
        self.write("in", lab.fstrm_file([b"x"]))
        for name in ("a.csv", "a.pcap", "a.parquet", "a.json.xz", "a.fstrm.bz2", "a.PCAP", "a.csv.gz", "a.json.lz4"):
            code, _, err = lab.run_bridge("--check", "--from", self.path("in"), "--to", self.path(name))
            self.assertEqual(code, 2, name)
            self.assertIn(name, err)
        code, _, err = lab.run_bridge("--check", "--from", self.path("in"), "--to", self.path("a.csv") + "#format=json")
        self.assertEqual(code, 0, err)
        for name in ("a.JSON", "a.Json.GZ"):
            code, out, err = lab.run_bridge("--check", "--from", self.path("in"), "--to", self.path(name))
            self.assertEqual(code, 0, err)
            self.assertIn(b"json", out)


class Restart(lab.Case):
    def test_a_service_survives_its_own_restart(self):
        source, out = self.path("s"), self.path("dns.fstrm")
        for turn, name in enumerate(("dns.fstrm", "dns-1.fstrm", "dns-2.fstrm")):
            hop = self.bridge("--from", "unix:" + source, "--to", out).ready()
            sock = lab.sender(source)
            sock.sendall(lab.data(b"%d" % turn))
            lab.finish(sock)
            self.assertEqual(hop.stop(), 0, hop.log())
            self.assertEqual(lab.frames_of(self.path(name)), [b"%d" % turn])
            if turn:
                self.assertIn(f"writing {self.path(name)}", hop.log())

    def test_a_run_with_an_end_overwrites_nothing_and_check_says_so(self):
        self.write("in", lab.fstrm_file([b"x"]))
        self.write("out.fstrm", b"somebody's")
        for check in ([], ["--check"]):
            code, _, err = lab.run_bridge(*check, "--from", self.path("in"), "--to", self.path("out.fstrm"))
            self.assertEqual(code, 2)
            self.assertIn("exists and is not empty", err)
        for bad, why in ((self.path("no/out"), "no"), (self.folder, "is a directory")):
            code, _, err = lab.run_bridge("--check", "--from", self.path("in"), "--to", bad)
            self.assertEqual(code, 2, bad)
            self.assertIn(why, err)


class Ledger(lab.Case):
    def setUp(self):
        super().setUp()
        self.input = self.write("in", lab.fstrm_file([b"x"]))

    def run_with(self, path, *more, **kwargs):
        return lab.run_bridge("--from", self.input, "--to", "/dev/null", "--ledger", path, *more, **kwargs)

    def delivered(self, octets):
        return json.loads(octets)["routes"][0]["delivered"]

    def test_standard_output(self):
        for name in ("-", "/dev/stdout", "/proc/self/fd/1"):
            code, out, err = self.run_with(name)
            self.assertEqual((code, self.delivered(out)), (0, 1), err)
        with open(self.path("file"), "wb") as f:
            f.write(b"before\n")
            f.flush()
            subprocess.run([lab.BRIDGE, "--from", self.input, "--to", "/dev/null", "--ledger", "/dev/stdout"], stdout=f,
                           stderr=subprocess.DEVNULL, timeout=60, check=True)
            f.write(b"after\n")
        lines = lab.read_file(self.path("file")).splitlines()
        self.assertEqual((lines[0], self.delivered(lines[1])), (b"before", 1))

    def test_a_pipe_stays_a_pipe(self):
        os.mkfifo(self.path("pipe"))
        reader = Reader(self.path("pipe"))
        code, _, err = self.run_with(self.path("pipe"))
        self.assertEqual(code, 0, err)
        reader.join(lab.PATIENCE)
        self.assertEqual(self.delivered(bytes(reader.got)), 1)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("pipe")).st_mode))
        code, _, err = self.run_with(self.path("pipe"))  # nobody reads it now
        self.assertEqual(code, 1)
        self.assertIn("cannot write the ledger", err)

    def test_devices_stay_devices_and_links_stay_links(self):
        self.assertEqual(self.run_with("/dev/null")[0], 0)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        os.symlink("target", self.path("link"))
        for _ in range(2):  # dangling, and then not
            code, _, err = self.run_with(self.path("link"))
            self.assertEqual(code, 0, err)
            self.assertTrue(os.path.islink(self.path("link")))
            self.assertEqual(self.delivered(lab.read_file(self.path("target"))), 1)
        self.assertEqual(sorted(os.listdir(self.folder)), ["in", "link", "target"])

    def test_what_cannot_be_written_is_refused_before_anything_runs(self):
        os.symlink(self.path("loop"), self.path("loop"))
        for path in (self.path("no/ledger"), self.folder, self.path("loop"), "x/" * 3000 + "y"):
            for check in ([], ["--check"]):
                code, _, err = self.run_with(path, *check)
                self.assertEqual(code, 2, path)
                self.assertIn("ledger", err)

    def test_the_runs_own_files_are_refused(self):
        os.symlink(self.input, self.path("same"))
        keys = ["receipts", "--new-key", self.path("key")]
        self.assertEqual(lab.run_bridge(*keys)[0], 0)
        config = self.write("hop.yaml", json.dumps({"sources": {"a": {"url": self.input}}, "sinks": {"b": {"url": "/dev/null"}},
                                                   "ledger": self.path("hop.yaml")}).encode())
        before = lab.read_file(config)
        cases = [
            ["--from", self.input, "--to", "/dev/null", "--ledger", self.input],
            ["--from", self.input, "--to", "/dev/null", "--ledger", self.path("same")],
            ["--from", self.input, "--to", self.path("out"), "--ledger", self.folder + "/./out"],
            ["--from", self.input, "--to", f"nng+inproc:x#receipts={self.path('r')},receipts-key={self.path('key')}", "--ledger",
             self.path("r")],
            ["--from", self.input, "--to", f"nng+inproc:x#receipts={self.path('r')},receipts-key={self.path('key')}", "--ledger",
             self.path("key")],
            ["--config", config],
            ["--from", self.input, "--to", "-", "--ledger", "-"],
        ]
        for case in cases:
            code, _, err = lab.run_bridge("--check", *case)
            self.assertEqual(code, 2, case)
            self.assertIn("ledger", err)
        self.assertEqual(lab.read_file(config), before)

    def test_a_full_disk_leaves_nothing_behind(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        code, _, err = self.run_with(self.path("ledger"), preexec_fn=limit)
        self.assertEqual(code, 1)
        self.assertIn("cannot write the ledger", err)
        self.assertEqual(os.listdir(self.folder), ["in"])

    def test_no_core_is_dumped(self):
        hop = self.bridge("--from", "unix:" + self.path("s"), "--to", "/dev/null").ready()
        with open(f"/proc/{hop.process.pid}/limits") as f:
            self.assertRegex(f.read(), r"Max core file size +0 +0")


if __name__ == "__main__":
    lab.main()
