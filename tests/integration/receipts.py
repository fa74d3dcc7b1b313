"""Receipts of a link between two real bridges: what both saw, what was lost on the way, what was altered, and what
became of the files."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import lab
from nng import Feeder, numbers

BLOCK = 1024


def with_commas(number):
    return f"{number:,}"


def ranges_of(missing):
    """Sorted numbers as [first, last] ranges."""
    ranges = []
    for n in sorted(missing):
        if ranges and ranges[-1][1] == n - 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    return ranges


def lines_of(path):
    return [json.loads(line) for line in lab.read_file(path).splitlines()]


def intervals_of(path):
    return [line for line in lines_of(path) if line["type"] == "interval"]


class ReceiptsCase(lab.Case):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.path("a.receipts"), self.path("b.receipts")
        for name in ("key-a", "key-b"):
            code, out, err = lab.run_bridge("receipts", "--new-key", self.path(name))
            self.assertEqual(code, 0, err)

    def sign(self, side, every="300ms", file=None):
        return f"receipts={file or getattr(self, side)},receipts-key={self.path('key-' + side)},receipts-every={every}"

    def receipts(self, *args):
        """(exit code, what it says)"""
        code, out, err = lab.run_bridge("receipts", *args)
        self.assertNotIn("Sanitizer", err)
        self.assertNotIn("runtime error", err)
        return code, out.decode() + err

    def compare(self, *more):
        return self.receipts("--compare", self.a, self.b, "--key-a", self.path("key-a.pub"), "--key-b",
                             self.path("key-b.pub"), *more)

    def expect(self, code, says):
        got, out = self.compare()
        self.assertRegex(out, says)
        self.assertEqual(got, code, out)
        return out

    def far(self, port, out="out", more="when-full=block", **kwargs):
        return self.bridge("--from", f"nng+tcp:127.0.0.1:{port}#{more},{self.sign('b')}", "--to", self.path(out),
                           hop="far", **kwargs).ready()

    def near(self, port, *source, more="", every="300ms"):
        return self.bridge("--from", *source, "--to", f"nng+tcp:127.0.0.1:{port}#{self.sign('a', every)}{more}", hop="near")

    def copy_corpus(self, name="bind", more=""):
        """A corpus over a link that works."""
        port = lab.free_port()
        far = self.far(port)
        near = self.near(port, lab.corpus(name) + more)
        self.assertEqual(near.wait(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        return near, far


class Same(ReceiptsCase):
    def test_both_saw_the_same(self):
        self.copy_corpus("unbound", "#loop=2,rate=40000/s")
        out = self.expect(0, r"^Both saw the same 45,780 messages, sequences 0 to 45,779, over \d+ intervals\.\n\n")
        self.assertEqual(out.count("sender"), 1)
        sent, got = intervals_of(self.a), intervals_of(self.b)
        self.assertGreater(len(sent), 1)
        self.assertEqual([line["interval"] for line in sent], list(range(len(sent))))
        for field in ("interval", "first", "last", "messages", "octets", "running", "blocks", "link", "policy"):
            self.assertEqual([line[field] for line in sent], [line[field] for line in got], field)
        self.assertEqual({line["policy"] for line in sent}, {"none"})

    def test_tls(self):
        key, cert = self.path("tls.key"), self.path("tls.pem")
        lab.need("openssl")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
                        "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
        port = lab.free_port()
        far = self.bridge("--from", f"nng+tls:127.0.0.1:{port}#cert={cert},key={key},{self.sign('b')}", "--to",
                          self.path("out"), hop="far").ready()
        near = self.bridge("--from", lab.corpus("bind"), "--to", f"nng+tls:localhost:{port}#ca={cert},{self.sign('a')}",
                           hop="near")
        self.assertEqual(near.wait(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0)
        self.expect(0, "^Both saw the same 893 messages")

    def test_the_files_can_be_checked_by_hand(self):
        self.copy_corpus()
        lab.need("openssl")
        previous, running = "0" * 64, bytes(32)
        frames = [lab.data(p) for p in lab.split(lab.corpus_octets("bind"))]
        for number, line in enumerate(lab.read_file(self.a).splitlines(keepends=True), 1):
            receipt = json.loads(line)
            self.assertEqual((receipt["line"], receipt["previous"]), (number, previous))
            previous = hashlib.sha256(line).hexdigest()
            signed = self.write("signed", line[:line.rindex(b',"signature"')])
            signature = self.write("signature", bytes.fromhex(receipt["signature"]))
            subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", self.path("key-a.pub"), "-rawin", "-in",
                            signed, "-sigfile", signature], check=True, capture_output=True)
            for first, last, digest in receipt.get("blocks", []):
                self.assertEqual(hashlib.sha256(b"".join(frames[first:last + 1])).hexdigest(), digest)
            if receipt["type"] == "interval":
                blocks = b"".join(struct.pack(">QQ", f, l) + bytes.fromhex(d) for f, l, d in receipt["blocks"])
                running = hashlib.sha256(running + blocks).digest()
                self.assertEqual(receipt["running"], running.hex())

    def test_openssls_own_key_serves(self):
        lab.need("openssl")
        key = self.path("key-a")
        os.unlink(key)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", key + ".pub"], check=True, capture_output=True)
        self.copy_corpus()
        self.expect(0, "^Both saw the same 893")

    def test_each_of_two_subscribers_has_the_publishers_receipts(self):
        port, tap = lab.free_port(), self.path("tap")
        url = f"nng+tcp:127.0.0.1:{port}"
        near = self.bridge("--from", "unix:" + tap, "--to", f"{url}#socket=pub,buffer=8192,{self.sign('a')}", hop="near").ready()
        subs = [self.bridge("--from", f"{url}#socket=sub,buffer=8192,{self.sign('b', file=self.path(f'b{i}'))}", "--to",
                            self.path(f"out{i}"), hop=f"far{i}").ready() for i in range(2)]
        near.wait_log("connected", 2)
        feeder = Feeder(tap)
        time.sleep(0.7)
        sent = feeder.stop()
        lab.eventually("all", lambda: near.now()[0]["delivered"] == sent)
        self.assertEqual(near.stop(), 0)
        for i, sub in enumerate(subs):
            sub.wait_log("hop near .* ended")
            self.assertEqual(sub.stop(), 0)
            code, out = self.receipts("--compare", self.a, self.path(f"b{i}"))
            self.assertEqual(code, 0, out)
            self.assertRegex(out, f"^Both saw the same {sent:,} messages")

    def test_a_sender_that_starts_again_is_another_link(self):
        port = lab.free_port()
        far = self.far(port)
        for _ in range(2):
            self.assertEqual(self.near(port, lab.corpus("bind")).wait(), 0)
        far.wait_log("hop near .* ended at sequence", 2)
        self.assertEqual(far.stop(), 0)
        out = self.expect(0, "^near:[0-9a-f]{16}:dnstap/raw: Both saw the same 893 messages")
        self.assertEqual(out.count("Both saw the same 893 messages"), 2)

    def test_the_policy_that_was_passed_is_named_by_both(self):
        policy = self.write("policy.yaml", b"- keep: { type: [CLIENT_QUERY, CLIENT_RESPONSE] }\n")
        port = lab.free_port()
        far = self.far(port)
        near = self.near(port, lab.corpus("bind"), more=",policy=" + policy)
        self.assertEqual(near.wait(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        far.stop()
        _, check, _ = lab.run_bridge("--check", "--from", lab.corpus("bind"), "--to", "nng+tcp:127.0.0.1:1#policy=" + policy)
        told = {line["policy"] for file in (self.a, self.b) for line in intervals_of(file)}
        self.assertEqual(told, {re.search(r"policy ([0-9a-f]{64})", check.decode()).group(1)})
        self.assertGreater(near.route()["filtered"], 0)
        self.expect(0, f"^Both saw the same {near.route()['delivered']} messages")

    def test_a_receiver_that_heard_nothing_for_long_tells_all_of_it_again(self):
        port, tap = lab.free_port(), self.path("tap")
        far = self.far(port)
        near = self.bridge("--from", "unix:" + tap, "--to", f"nng+tcp:127.0.0.1:{port}#{self.sign('a', '60s')}",
                           hop="near").ready()
        sock = lab.sender(tap)
        for n in range(3):
            sock.sendall(lab.data(b"%09d" % n))
            lab.eventually("its line", lambda k=n + 1: len(intervals_of(self.b)) == k)
        lab.finish(sock)
        near.stop()
        far.wait_log("hop near .* ended")
        far.stop()
        told = [(line["closed"], line["interval"], line["messages"]) for line in intervals_of(self.b)]
        self.assertEqual(told, [("silence", 0, n) for n in (1, 2, 3)])
        self.expect(0, "^Both saw the same 3 messages, sequences 0 to 2, over 1 interval")

    def test_a_sender_without_receipts_is_receipted_by_the_receivers_clock(self):
        port = lab.free_port()
        far = self.far(port)
        near = self.bridge("--from", lab.corpus("bind") + "#rate=800/s", "--to", f"nng+tcp:127.0.0.1:{port}", hop="near")
        self.assertEqual(near.wait(), 0)
        far.wait_log("hop near .* ended at sequence")
        far.stop()
        lines = intervals_of(self.b)
        self.assertEqual({line["numbered"] for line in lines}, {"receiver"})
        self.assertEqual([line["interval"] for line in lines], list(range(len(lines))))
        self.assertGreater(len(lines), 1)
        self.assertEqual(sum(line["messages"] for line in lines), 893)
        self.assertEqual([line["first"] for line in lines], [0] + [line["last"] + 1 for line in lines[:-1]])
        self.assertEqual(self.receipts("--verify", self.b)[0], 0)

    def test_a_configuration_that_changes_cuts_and_goes_on(self):
        port, tap = lab.free_port(), self.path("tap")
        far = self.far(port)
        url = f"nng+tcp:127.0.0.1:{port}"

        def config(policy, ring):
            options = {"url": url, "receipts": self.a, "receipts-key": self.path("key-a"), "receipts-every": "60s", "ring": ring}
            if policy:
                options["policy"] = policy
            return self.write("hop.yaml", json.dumps({"hop": "near", "sources": {"s": {"url": "unix:" + tap}},
                                                      "sinks": {"k": options}}).encode())
        near = self.bridge("--config", config(None, "3MiB")).ready()
        sock, count = lab.sender(tap), 0
        bind = lab.split(lab.corpus_octets("bind"))

        def send():
            nonlocal count
            sock.sendall(b"".join(map(lab.data, bind[:10])))
            count += 1
            lab.eventually("all through", lambda: far.now()[0]["received"] == 10 * count)
        send()
        for changes, policy, ring in ((1, [{"sample": {"one-in": 1}}], "3MiB"), (2, None, "3MiB"), (3, None, "4MiB")):
            config(policy, ring)
            near.send(signal.SIGHUP)
            near.wait_log("the configuration was read again\"", changes)
            time.sleep(0.3)
            send()
        lab.finish(sock)
        near.stop()
        far.wait_log("hop .* ended", 2)
        far.stop()
        told = [(line["link"], line["interval"], line["closed"], line["policy"] != "none") for line in intervals_of(self.a)]
        self.assertEqual([t[1:] for t in told], [(0, "policy", False), (1, "policy", True), (2, "end", False), (0, "end", False)])
        self.assertEqual(len({t[0] for t in told}), 2)  # another ring is another sink
        out = self.expect(0, "Both saw the same 30 messages, sequences 0 to 29, over 3 intervals")
        self.assertIn("Both saw the same 10 messages", out)

    def test_a_quiet_link_is_receipted_in_time_and_then_rests(self):
        port, tap = lab.free_port(), self.path("tap")
        far = self.far(port)
        near = self.near(port, "unix:" + tap).ready()
        sock = lab.sender(tap)
        for n in range(3):
            sock.sendall(lab.data(b"%09d" % n))
            lab.eventually("a line on both ends", lambda k=n + 1: all(
                len(intervals_of(f)) == k for f in (self.a, self.b)))

        def still():  # for three intervals and more
            before = [self.switches(p) for p in (near, far)]
            time.sleep(1)
            after = [self.switches(p) for p in (near, far)]
            woken = [sum(x.get(task) != y[task] for task in y) for x, y in zip(before, after)]
            return max(woken) <= (1 if os.environ.get("TEST_SHORT") else 0)  # a sanitizer may have a thread of its own
        lab.eventually("a second in which no interval wakes anybody", still)
        lab.finish(sock)
        near.stop()
        far.wait_log("hop near .* ended")
        far.stop()
        self.assertEqual([line["closed"] for line in intervals_of(self.a)], ["time"] * 3)
        self.expect(0, "^Both saw the same 3 messages, sequences 0 to 2, over 3 intervals")

    @staticmethod
    def switches(program):
        """Of each thread."""
        counts, folder = {}, f"/proc/{program.process.pid}/task"
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/status") as f:
                counts[task] = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1)
        return counts


class Forsaken(Feeder):
    """Whose bridge may go away."""

    def run(self):
        with contextlib.suppress(OSError):
            super().run()


class Lost(ReceiptsCase):
    def live(self, port):
        tap = self.path("tap")
        near = self.near(port, "unix:" + tap).ready()
        return near, Forsaken(tap)

    def test_a_cut_link_names_exactly_what_was_lost(self):
        far_port, port = lab.free_port(), lab.free_port()
        far = self.far(far_port)
        proxy = lab.Proxy(port, far_port)
        self.addCleanup(proxy.close)
        near, feeder = self.live(port)
        far.wait_log("joined hop near")
        for _ in range(2):
            time.sleep(0.4)
            proxy.held.set()
            time.sleep(0.2)
            proxy.cut()
            proxy.mend()
        time.sleep(0.5)
        sent = feeder.stop()
        lab.eventually("everything sent on", lambda: near.now()[0]["delivered"] == sent)
        self.assertEqual(near.stop(), 0)
        far.wait_log("hop near .* ended")
        self.assertEqual(far.stop(), 1)
        missing = set(range(sent)) - set(numbers(self.path("out")))
        link = far.ledger()["upstream"][0]
        self.assertEqual((link["lost"], link["joined_at"]), (len(missing), 0))
        self.assertGreater(len(missing), 0)
        told = [r for line in intervals_of(self.b) for r in line["missing"]]
        self.assertEqual(told, ranges_of(missing))
        out = self.expect(1, f"^B misses .*{with_commas(len(missing))} message")
        for first, last in ranges_of(missing):
            where = f"sequence {first:,}" if first == last else f"sequences {first:,} to {last:,}"
            self.assertIn(f"B misses {where} ({last - first + 1:,})", out)
        # what was sent, came or is missing: nothing else
        same = int(re.search(r"the same: ([\d,]+)", out).group(1).replace(",", ""))
        rest = re.search(r"([\d,]+) messages came whose contents cannot be compared", out)
        self.assertEqual(same + (int(rest.group(1).replace(",", "")) if rest else 0) + len(missing), sent)
        self.assertGreater(same, 0)

    def test_a_receiver_that_was_killed_says_so(self):
        port = lab.free_port()
        first = self.far(port, "first")
        near, feeder = self.live(port)
        first.wait_log("joined hop near")
        lab.eventually("some lines", lambda: os.path.exists(self.b) and len(intervals_of(self.b)) >= 2)
        first.send(signal.SIGKILL)
        first.wait()
        told = intervals_of(self.b)[-1]["last"]
        second = self.far(port, "second")
        joined = int(second.wait_log(r"joined hop near .* at sequence (\d+)")[0])
        time.sleep(0.5)
        sent = feeder.stop()
        lab.eventually("an empty ring", lambda: near.now()[0]["in_flight"] == 0)
        near.stop()
        second.wait_log("hop near .* ended")
        self.assertEqual(second.stop(), 0)
        delivered = near.route()["delivered"]
        self.assertLessEqual(delivered, sent)
        out = self.expect(2, "B has no receipt of")
        if joined > told + 1:
            self.assertIn(f"{told + 1:,} to {joined - 1:,}", out)
        self.assertIn("B was not closed before 1 of its starts", out)
        self.assertNotIn("misses", out)
        self.assertNotIn("differ", out)

    def test_a_sender_that_was_killed_leaves_what_the_receiver_has(self):
        port = lab.free_port()
        far = self.far(port)
        near, feeder = self.live(port)
        lab.eventually("some lines", lambda: os.path.exists(self.a) and len(intervals_of(self.a)) >= 2)
        told = far.now()[0]["received"]
        lab.eventually("messages behind them", lambda: far.now()[0]["received"] > told)
        near.send(signal.SIGKILL)
        near.wait()
        feeder.thread.join()
        time.sleep(0.3)
        far.stop()
        self.assertIn("A is not closed", self.expect(2, "^A has no receipt of .*; all else is the same"))

    def test_several_pullers_lose_nothing(self):
        port, tap = lab.free_port(), self.path("tap")
        url = f"nng+tcp:127.0.0.1:{port}"
        near = self.bridge("--from", "unix:" + tap, "--to", f"{url}#listen,{self.sign('a')}", hop="near").ready()
        pullers = [self.bridge("--from", f"{url}#dial,{self.sign('b', file=self.path(f'b{i}'))}", "--to",
                               self.path(f"out{i}"), hop=f"far{i}").ready() for i in range(2)]
        near.wait_log("connected", 2)
        feeder = Feeder(tap)
        time.sleep(0.6)
        sent = feeder.stop()
        lab.eventually("an empty ring", lambda: near.now()[0]["in_flight"] == 0)
        self.assertEqual(near.stop(), 0)
        took = 0
        for i, puller in enumerate(pullers):
            puller.wait_log("hop near .* ended")
            self.assertEqual(puller.stop(), 0)
            lines = intervals_of(self.path(f"b{i}"))
            self.assertTrue(all(line["shared"] and not line["missing"] for line in lines))
            took += sum(line["messages"] for line in lines)
            code, out = self.receipts("--compare", self.a, self.path(f"b{i}"))
            self.assertEqual(code, 2)
            self.assertRegex(out, f"^A shared {sent:,} messages out over several receivers")
        self.assertEqual(took, sent)


class Middleman(threading.Thread):
    """Passes an nng link on by TCP, and changes one octet of a message on its way to the far end."""

    def __init__(self, port, target, change):
        super().__init__(daemon=True)
        self.target, self.change = target, change
        self.listener = socket.create_server(("127.0.0.1", port))
        self.seen = 0
        self.start()

    def run(self):
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.target))
        threading.Thread(target=self.back, args=(far, near), daemon=True).start()
        try:
            far.sendall(lab.receive_exactly(near, 8))  # who speaks which protocol
            while True:
                head = lab.receive_exactly(near, 8)
                body = bytearray(lab.receive_exactly(near, struct.unpack(">Q", head)[0]))
                self.change(self.seen, body)
                self.seen += 1
                far.sendall(head + body)
        except (EOFError, OSError):
            far.close()

    @staticmethod
    def back(far, near):
        try:
            while piece := far.recv(65536):
                near.sendall(piece)
        except OSError:
            pass


class Altered(ReceiptsCase):
    def altered(self, change, far_code):
        far_port, port = lab.free_port(), lab.free_port()
        far = self.far(far_port)
        middle = Middleman(port, far_port, change)
        self.addCleanup(middle.listener.close)
        near = self.near(port, lab.corpus("unbound"), every="60s")
        self.assertEqual(near.wait(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), far_code, far.log())
        self.assertEqual(far.ledger()["upstream"][0]["lost"], 0)
        return far

    @staticmethod
    def frames_at(body):
        at = body.index(b"\0") + 1
        return at + 4 + struct.unpack_from(">I", body, at)[0]

    def test_one_octet_is_found_in_its_block(self):
        counted = []

        def change(n, body):
            at = self.frames_at(body)
            counted.append(len(lab.split(bytes(body[at:]))))
            if n == 20:
                body[at + 4 + 3] ^= 1  # in the first message
        far = self.altered(change, 0)
        self.assertEqual(far.route()["delivered"], 22890)
        number = sum(counted[:20])
        first = number // BLOCK * BLOCK
        block = rf"sequences {first:,} to {min(first + BLOCK - 1, 22889):,}"
        self.expect(1, rf"^Contents differ: {block} \([\d,]+ messages\) of interval \d+; all else is the same\.\n")

    def test_what_is_broken_is_refused_and_named(self):
        counted = []

        def change(n, body):
            at = self.frames_at(body)
            counted.append(len(lab.split(bytes(body[at:]))))
            if n == 20:
                body[at] = 0x7f  # a length beyond all
        far = self.altered(change, 1)
        first = sum(counted[:20])
        self.assertEqual(far.route()["malformed"], counted[20])
        self.expect(1, rf"^B refused sequences {first:,} to {first + counted[20] - 1:,} \({counted[20]:,} messages\) of "
                       r"interval \d+ as broken; ")


class Disk(ReceiptsCase):
    def test_a_full_disk_stops_nothing_and_what_waited_for_it_is_written_later(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True).returncode:
            self.skipTest("cannot mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", disk])
        self.b = os.path.join(disk, "b.receipts")
        port, tap = lab.free_port(), self.path("tap")
        far = self.far(port)
        near = self.near(port, "unix:" + tap).ready()
        sock, sent = lab.sender(tap), 0

        def send():
            nonlocal sent
            sock.sendall(lab.data(b"%09d" % sent))
            sent += 1
        send()
        lab.eventually("a line", lambda: len(intervals_of(self.b)) == 1)
        filler = os.path.join(disk, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        lines = len(lab.read_file(self.b).splitlines())

        def refused():
            send()
            time.sleep(0.1)
            return "a receipt cannot be written" in far.log()
        lab.eventually("a line that does not fit", refused)
        self.assertGreaterEqual(len(lab.read_file(self.b).splitlines()), lines)
        os.unlink(filler)

        send()
        lab.eventually("all lines", lambda: sum(line["messages"] for line in intervals_of(self.b)) >= sent - 1)
        lab.finish(sock)
        near.stop()
        far.wait_log("hop near .* ended")
        self.assertEqual(far.stop(), 0)  # the messages never noticed
        self.assertEqual(far.route()["delivered"], sent)
        self.expect(0, f"^Both saw the same {sent} messages")

    def test_a_disk_that_stays_full_leaves_a_file_without_its_end(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], capture_output=True).returncode:
            self.skipTest("cannot mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", disk])
        self.b = os.path.join(disk, "b.receipts")
        near, far = self.copy_corpus("bind", "#loop=4,rate=2000/s")
        self.assertEqual(far.route()["delivered"], 4 * 893)
        self.assertRegex(far.log(), r"\d+ lines of receipts could not be written")
        out = self.expect(2, "^B has no receipt of sequences [\\d,]+ to 3,571")
        self.assertIn("B is not closed", out)
        self.assertNotIn("differ", out)

    def test_a_torn_line_of_a_crash_is_taken_off(self):
        self.copy_corpus()
        with open(self.b, "r+b") as f:  # as if killed in the middle of its closing line
            octets = f.read()
            f.truncate(len(octets) - 50)
        self.assertEqual(self.receipts("--verify", self.b)[0], 1)
        os.unlink(self.path("out"))
        self.a, before = self.path("a2.receipts"), self.a
        self.copy_corpus()
        self.assertEqual(self.receipts("--verify", self.b)[0], 0)
        self.assertEqual(lines_of(self.b)[2]["after"], "crash")
        self.assertGreater(lines_of(self.b)[2]["torn"], 0)
        self.expect(0, "^Both saw the same 893")
        self.a = before
        self.expect(0, "^Both saw the same 893")


class Tampered(ReceiptsCase):
    def setUp(self):
        super().setUp()
        self.copy_corpus("bind", "#loop=3,rate=2000/s")
        self.lines = lab.read_file(self.b).splitlines(keepends=True)
        self.assertGreater(len(self.lines), 4)

    def verdict(self, lines, key="key-b.pub"):
        self.write("tampered", b"".join(lines))
        return self.receipts("--verify", self.path("tampered"), "--key", self.path(key))

    def expect_bad(self, lines, says="tampered"):
        code, out = self.verdict(lines)
        self.assertEqual(code, 2, out)
        self.assertRegex(out, says)

    def test_it_was_whole(self):
        code, out = self.verdict(self.lines)
        self.assertEqual(code, 0, out)

    def test_every_field_of_every_line(self):
        for i, line in enumerate(self.lines):
            for name, value in json.loads(line).items():
                old = json.dumps({name: value}, separators=(",", ":"))[1:-1].encode()
                self.assertEqual(line.count(old), 1, (name, line))
                if isinstance(value, bool):
                    new = not value
                elif isinstance(value, int):
                    new = value + 1
                elif isinstance(value, str):
                    new = value[:-1] + ("1" if value[-1] != "1" else "2")
                else:
                    new = value + [[1, 2]]
                changed = line.replace(old, json.dumps({name: new}, separators=(",", ":"))[1:-1].encode())
                gone = line.replace(old + b",", b"") if name != "signature" else line.replace(b"," + old, b"")
                for other in (changed, gone):
                    self.assertNotEqual(other, line)
                    self.expect_bad([*self.lines[:i], other, *self.lines[i + 1:]], f"line {i + 1}|key given|first line")

    def test_every_octet_of_a_line_counts(self):
        line = self.lines[2]
        for at in range(0, len(line) - 1, 7):
            other = bytearray(line)
            other[at] ^= 4
            self.expect_bad([*self.lines[:2], bytes(other), *self.lines[3:]])

    def test_the_sentence_for_a_changed_line(self):
        other = re.sub(rb'"duplicates":0', b'"duplicates":7', self.lines[2])
        self.write("b.receipts", b"".join([*self.lines[:2], other, *self.lines[3:]]))
        self.expect(2, r"^B was changed after it was signed: line 3\n$")

    def test_lines_that_are_missing(self):
        self.expect_bad(self.lines[1:], "first line")
        for i in range(1, len(self.lines) - 1):
            self.expect_bad(self.lines[:i] + self.lines[i + 1:], "missing, or in another order")
        code, out = self.verdict(self.lines[:-1])
        self.assertEqual(code, 1)
        self.assertIn("is not closed", out)
        code, out = self.verdict([*self.lines[:-1], self.lines[-1][:-30]])
        self.assertEqual(code, 1)
        self.assertIn("cut off", out)

    def test_lines_that_are_swapped_or_doubled(self):
        for i in range(1, len(self.lines) - 1):
            swapped = list(self.lines)
            swapped[i], swapped[i - 1] = swapped[i - 1], swapped[i]
            self.expect_bad(swapped)
            self.expect_bad([*self.lines[:i + 1], *self.lines[i:]], "another order")

    def test_lines_of_another_file(self):
        before, self.b = self.b, self.path("other.receipts")
        os.unlink(self.path("out"))
        self.copy_corpus("bind", "#loop=3,rate=2000/s")
        others = lab.read_file(self.b).splitlines(keepends=True)
        self.b = before
        for i in range(1, min(len(others), len(self.lines))):
            self.expect_bad([*self.lines[:i], others[i], *self.lines[i + 1:]], "replaced|changed|another")
            self.expect_bad([*self.lines[:i], *others[i:]], "replaced|changed|another")

    def test_all_of_it_signed_by_another_key(self):
        self.assertEqual(self.verdict(self.lines, "key-a.pub"), (2, self.path("tampered") + " is not signed by the key given\n"))
        code, out = self.receipts("--compare", self.a, self.b, "--key-a", self.path("key-b.pub"))
        self.assertEqual(code, 2)
        self.assertIn("A is not signed by the key given\n", out)

    def test_what_is_no_receipt_at_all(self):
        for octets in (b"", b"\n", b"{}\n", b"[" * 5000 + b"\n", b"x" * 200000 + b"\n", b"\0" * 5000, self.lines[0][:-1]):
            code, out = self.verdict([octets])
            self.assertEqual(code, 2, (octets[:20], out))
        self.assertEqual(self.receipts("--compare", "/nowhere", self.b)[0], 2)


class Keys(ReceiptsCase):
    def test_a_key_is_made_once_and_is_private(self):
        self.assertEqual(os.stat(self.path("key-a")).st_mode & 0o777, 0o600)
        code, out = self.receipts("--new-key", self.path("key-a"))
        self.assertEqual(code, 2)
        self.assertIn("File exists", out)

    def test_a_key_that_others_may_read_is_warned_of(self):
        self.copy_corpus()
        url, far = f"nng+tcp:127.0.0.1:{lab.free_port()}#", []
        for mode in (0o600, 0o640):
            os.chmod(self.path("key-b"), mode)
            far.append(self.bridge("--from", url + self.sign("b"), "--to", "/dev/null#format=dnstap").ready())
            far[-1].stop()
        self.assertEqual(["others may read" in bridge.log() for bridge in far], [False, True])

    def refuse(self, *args):
        code, _, err = lab.run_bridge(*args)
        self.assertEqual((code, err.count("\n")), (2, 1), err)
        return err

    def test_rotation(self):
        self.copy_corpus()
        receipts, self.b = self.b, self.path("b2.receipts")
        self.receipts("--new-key", self.path("key-new"))
        sink = ["--to", "/dev/null#format=dnstap"]
        source = f"nng+tcp:127.0.0.1:{lab.free_port()}#receipts={receipts},receipts-key=" + self.path("key-new")
        self.assertIn("receipts --rotate", self.refuse("--from", source, *sink))
        code, out = self.receipts("--rotate", receipts, "--old-key", self.path("key-a"), "--key", self.path("key-new"))
        self.assertEqual(code, 2, out)
        code, out = self.receipts("--rotate", receipts, "--old-key", self.path("key-b"), "--key", self.path("key-new"))
        self.assertEqual(code, 0, out)
        old = source.replace("key-new", "key-b")
        self.assertIn("receipts --rotate", self.refuse("--from", old, *sink))
        self.bridge("--from", source, *sink).ready().stop()
        for key, code in (("key-b.pub", 0), ("key-new.pub", 0), ("key-a.pub", 2)):
            self.assertEqual(self.receipts("--verify", receipts, "--key", self.path(key))[0], code, key)

    def test_one_file_has_one_writer(self):
        source = [f"nng+tcp:127.0.0.1:{lab.free_port()}#{self.sign('b')}" for _ in range(2)]
        self.assertIn("a file of its own", self.refuse("--from", source[0], "--from", source[1], "--to", "-"))
        sink = f"nng+tcp:127.0.0.1:{lab.free_port()}#{self.sign('b')}"
        self.bridge("--from", source[0], "--to", "/dev/null#format=dnstap").ready().stop()
        self.assertIn("it is a receiver's", self.refuse("--from", "-", "--to", sink))

    def test_mistakes_are_refused_before_anything_opens(self):
        url = "nng+tcp:127.0.0.1:1"
        key = self.path("key-a")
        for sink, says in (
                (url + "#receipts=/x", "needs receipts-key"), (url + "#receipts-key=/x", "go with receipts=FILE"),
                (url + "#receipts-every=5s", "go with receipts=FILE"),
                (url + "#receipts=/x,receipts-key=/nothing", "/nothing"),
                (url + f"#receipts=/x,receipts-key={key}.pub", "no private Ed25519 key"),
                (f"kafka://b:1/t#receipts=/x,receipts-key={key}", "format=frames"),
                ("tcp:127.0.0.1:1#receipts=/x", "unknown option 'receipts'"),
                (self.path("x.fstrm#receipts=/x"), "unknown option 'receipts'")):
            self.assertIn(says, self.refuse("--check", "--from", "-", "--to", sink))
        self.assertIn("no regular file", self.refuse("--from", "-", "--to", f"{url}#receipts=/dev/null,receipts-key={key}"))
        other = self.write("other", b"hello\nworld\n")
        self.assertIn("is it the right file", self.refuse("--from", "-", "--to", f"{url}#receipts={other},receipts-key={key}"))

    def test_the_command_line(self):
        for args in ([], ["--compare", "a"], ["--verify"], ["--frobnicate"], ["--compare", "--verify", "a"], ["--verify", "a", "--key"]):
            code, out = self.receipts(*args)
            self.assertEqual((code, out.count("\n")), (2, 1), out)
        code, out = self.receipts("--help")
        self.assertEqual(code, 0)
        self.assertIn("--compare A B", out)


if __name__ == "__main__":
    lab.main()
