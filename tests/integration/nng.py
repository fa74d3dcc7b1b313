"""Two and three hops over nng: what goes in comes out, and what does not is in the ledger."""

import hashlib
import os
import signal
import struct
import subprocess
import threading
import time
import unittest

import lab

SHORT = bool(os.environ.get("TEST_SHORT"))


def push_url(case, transport):
    if transport == "ipc":
        return "nng+ipc:" + case.path("nng.sock")
    return f"nng+tcp:127.0.0.1:{lab.free_port()}"


class Pipeline(lab.Case):
    def test_every_corpus_arrives_octet_by_octet(self):
        for transport in ("tcp", "ipc"):
            for name in lab.CORPORA:
                with self.subTest(transport=transport, corpus=name):
                    url, out = push_url(self, transport), self.path(name + transport)
                    far = self.bridge("--from", url + "#when-full=block", "--to", out, hop="far").ready()
                    near = self.bridge("--from", lab.corpus(name), "--to", url, hop="near")
                    self.assertEqual(near.wait(), 0)
                    far.wait_log("hop near .* ended at sequence")
                    self.assertEqual(far.stop(), 0, far.log())
                    self.assertEqual(lab.read_file(out), lab.corpus_octets(name))
                    link = far.ledger()["upstream"][0]
                    self.assertEqual((link["hop"], link["joined_at"], link["lost"], link["finished"]),
                                     ("near", 0, 0, True))
                    self.assertEqual(link["path"][0]["delivered"], far.route()["received"])

    def long_run(self, transport):
        loops = 44 if SHORT else 437  # times 22,890: one, or ten million messages
        url = push_url(self, transport)
        far = self.bridge("--from", url + "#when-full=block", "--to", "-", hop="far", stdout=subprocess.PIPE)
        got = hashlib.sha256()

        def read():
            while piece := far.process.stdout.read(1 << 20):
                got.update(piece)
        reader = threading.Thread(target=read)
        reader.start()
        near = self.bridge("--from", lab.corpus("unbound") + f"#loop={loops}", "--to", url, hop="near")
        self.assertEqual(near.wait(240), 0)
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        reader.join()
        far.process.stdout.close()
        self.assertEqual(far.route()["delivered"], loops * 22890)
        frames = b"".join(map(lab.data, lab.split(lab.corpus_octets("unbound"))))
        want = hashlib.sha256(lab.control(lab.START))
        for _ in range(loops):
            want.update(frames)
        want.update(lab.control(lab.STOP))
        self.assertEqual(got.hexdigest(), want.hexdigest())

    def test_ten_million_messages_by_ipc(self):
        self.long_run("ipc")

    def test_ten_million_messages_by_tcp(self):
        self.long_run("tcp")

    def test_the_far_end_may_start_later(self):
        url = push_url(self, "tcp")
        near = self.bridge("--from", lab.corpus("bind"), "--to", url, hop="near").ready()
        time.sleep(0.3)
        far = self.bridge("--from", url, "--to", self.path("out"), hop="far").ready()
        self.assertEqual(near.wait(), 0)
        far.wait_log("ended at sequence 893")
        self.assertEqual(far.stop(), 0)
        self.assertEqual(lab.read_file(self.path("out")), lab.corpus_octets("bind"))

    def test_a_peer_too_many_is_turned_away_and_counted(self):
        link, status = f"nng+tcp:127.0.0.1:{lab.free_port()}", lab.free_port()
        far = self.bridge("--status", f"127.0.0.1:{status}", "--from", link + "#max-connections=1", "--to", self.path("out")).ready()
        first = self.bridge("--from", "unix:" + self.path("first"), "--to", link).ready()
        far.wait_log("connected")
        self.assertEqual(lab.metric(status, "source_turned_away_total"), 0)
        second = self.bridge("--from", "unix:" + self.path("second"), "--to", link).ready()
        far.wait_log("turned away: max-connections=1")
        self.assertGreaterEqual(lab.metric(status, "source_turned_away_total"), 1)
        for bridge in (second, first, far):
            bridge.stop()

    def test_three_hops_show_the_whole_path(self):
        first, second = push_url(self, "tcp"), push_url(self, "tcp")
        c = self.bridge("--from", second, "--to", self.path("out"), hop="c").ready()
        b = self.bridge("--from", first, "--to", second, hop="b").ready()
        a = self.bridge("--from", lab.corpus("knot"), "--to", first, hop="a")
        self.assertEqual(a.wait(), 0)
        b.wait_log("hop a .* ended")
        self.assertEqual(b.stop(), 0)
        c.wait_log("hop b .* ended")
        self.assertEqual(c.stop(), 0)
        path = c.ledger()["upstream"][0]["path"]
        self.assertEqual([hop["hop"] for hop in path], ["a", "b"])
        for hop in path:
            self.assertEqual((hop["received"], hop["delivered"], hop["lost"]), (14069, 14069, 0))
        self.assertEqual(lab.read_file(self.path("out")), lab.corpus_octets("knot"))

    def test_drops_at_the_first_hop_are_known_at_the_last(self):
        url, tap = push_url(self, "tcp"), self.path("tap")
        near = self.bridge("--from", "unix:" + tap + "#max-frame=4KiB", "--to", url + "#ring=128KiB",
                           hop="near").ready()
        sock = lab.sender(tap)
        for _ in range(3000):
            sock.sendall(lab.data(b"x" * 500))
        lab.finish(sock)
        lab.eventually("all of it received", lambda: near.now()[0]["received"] == 3000)
        far = self.bridge("--from", url, "--to", self.path("out"), hop="far").ready()
        lab.eventually("an empty ring", lambda: near.now()[0]["in_flight"] == 0)
        self.assertEqual(near.stop(), 1)
        far.wait_log("hop near .* ended")
        far.stop()
        hop = far.ledger()["upstream"][0]["path"][0]
        self.assertGreater(hop["dropped"], 0)
        self.assertEqual(hop["dropped"], near.route()["dropped"])
        self.assertEqual(hop["delivered"], far.route()["delivered"])
        self.assertEqual(len(lab.frames_of(self.path("out"))), 3000 - hop["dropped"])


class Limits(lab.Case):
    """A peer that is not libnng, to say by hand what it would not."""

    def peer(self, port):
        sock = lab.connect(("127.0.0.1", port))
        sock.sendall(b"\0SP\0" + struct.pack(">HH", 0x50, 0))  # push
        self.assertEqual(lab.receive_exactly(sock, 8), b"\0SP\0" + struct.pack(">HH", 0x51, 0))
        self.addCleanup(sock.close)
        return sock

    def test_a_message_over_the_limit_names_the_limit_and_its_option(self):
        port = lab.free_port()
        far = self.bridge("--from", f"nng+tcp:127.0.0.1:{port}#max-frame=4KiB", "--to", self.path("out"), hop="far").ready()
        sock = self.peer(port)
        sock.sendall(struct.pack(">Q", 1 << 20))
        self.assertEqual(sock.recv(1), b"")
        limit = int(far.wait_log(r"gone before it ended its stream: .* more than (\d+) octets, .* max-frame=")[0])
        self.assertTrue(4096 < limit < 1 << 20, limit)
        self.assertEqual(far.stop(), 0)

    def test_a_hop_that_ends_and_our_own_end_are_not_called_so(self):
        link = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        far = self.bridge("--from", link, "--to", self.path("out"), hop="far").ready()
        self.assertEqual(self.bridge("--from", lab.corpus("bind"), "--to", link, hop="near").wait(), 0)
        far.wait_log(r"127\.0\.0\.1:\d+ gone")
        self.bridge("--from", "unix:" + self.path("tap"), "--to", link, hop="stays").ready()
        far.wait_log("connected", 2)
        self.assertEqual(far.stop(), 0)
        self.assertNotIn("before it ended", far.log())


class Feeder:
    """A live sender that goes on until it is told to stop, and knows how many it sent."""

    def __init__(self, address, size=300, pause=0.0002):
        self.sock = lab.sender(address)
        self.sent = 0
        self.going = True
        self.size, self.pause = size, pause
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.going:
            self.sock.sendall(lab.data(b"%09d" % self.sent + b"x" * self.size))
            self.sent += 1
            time.sleep(self.pause)

    def stop(self):
        self.going = False
        self.thread.join()
        lab.finish(self.sock)
        return self.sent


def numbers(path):
    return [int(frame[:9]) for frame in lab.split(lab.whole(lab.read_file(path)))]


class Losses(lab.Case):
    def live(self, sink, *more, **kwargs):
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", sink, *more, hop="near").ready()
        return near, Feeder(tap, **kwargs)

    def test_a_cut_link_loses_exactly_what_the_receiver_says(self):
        far_port, port = lab.free_port(), lab.free_port()
        far = self.bridge("--from", f"nng+tcp:127.0.0.1:{far_port}", "--to", self.path("out"), hop="far").ready()
        proxy = lab.Proxy(port, far_port)
        self.addCleanup(proxy.close)
        near, feeder = self.live(f"nng+tcp:127.0.0.1:{port}")
        far.wait_log("joined hop near")
        for _ in range(3):
            time.sleep(0.2)
            proxy.held.set()  # messages pile up on the link ...
            time.sleep(0.2)
            proxy.cut()       # ... and are gone
            proxy.mend()
        time.sleep(0.5)
        sent = feeder.stop()
        lab.eventually("everything sent on", lambda: near.now()[0]["delivered"] == sent)
        self.assertEqual(near.stop(), 0)
        far.wait_log("hop near .* ended")
        self.assertEqual(far.stop(), 1)  # something was lost, and the exit says so
        link = far.ledger()["upstream"][0]
        got = numbers(self.path("out"))
        missing = set(range(sent)) - set(got)
        self.assertGreater(len(missing), 0)
        self.assertEqual(link["lost"], len(missing))
        self.assertEqual(link["joined_at"], 0)
        self.assertEqual(link["received"] + link["lost"], near.route()["delivered"])
        self.assertEqual(len(far.ledger()["upstream"]), 1)

    def test_a_killed_bridge_comes_back_and_misses_nothing_after_it_joined(self):
        url = push_url(self, "tcp")
        first = self.bridge("--from", url, "--to", self.path("first"), hop="far").ready()
        near, feeder = self.live(url + "#ring=2MiB")
        first.wait_log("joined hop near")
        time.sleep(0.3)
        first.send(signal.SIGKILL)
        first.wait()
        before = feeder.sent
        time.sleep(0.5)
        self.assertGreater(feeder.sent, before)  # the server is not held up
        second = self.bridge("--from", url, "--to", self.path("second"), hop="far").ready()
        joined = int(second.wait_log(r"joined hop near .* at sequence (\d+)")[0])
        time.sleep(0.3)
        sent = feeder.stop()
        lab.eventually("an empty ring", lambda: near.now()[0]["in_flight"] == 0)
        near.stop()
        second.wait_log("hop near .* ended")
        self.assertEqual(second.stop(), 0, second.log())
        link = second.ledger()["upstream"][0]
        self.assertEqual((link["joined_at"], link["lost"]), (joined, 0))
        got = numbers(self.path("second"))
        self.assertEqual(got, list(range(got[0], sent)))  # no drop: the ring was large enough
        self.assertEqual(joined + len(got), near.route()["delivered"])

    def test_the_ring_takes_the_loss_while_nobody_pulls(self):
        near, feeder = self.live(push_url(self, "tcp") + "#ring=1200KiB", size=4000)
        lab.eventually("drops", lambda: near.now()[0]["dropped"] > 0)
        sent = feeder.stop()
        self.assertEqual(near.stop(signal.SIGTERM), 1)
        route = near.route()
        self.assertEqual(route["received"], sent)
        self.assertEqual(route["delivered"], 0)
        self.assertEqual(route["dropped"] + route["in_flight"], sent)

    def test_two_pullers_lose_nothing_and_their_sums_agree(self):
        port = lab.free_port()
        url = f"nng+tcp:127.0.0.1:{port}"
        near, feeder = self.live(url + "#listen")
        pullers = [self.bridge("--from", url + "#dial", "--to", self.path(f"out{i}"), hop=f"far{i}").ready()
                   for i in range(2)]
        for puller in pullers:
            puller.wait_log("joined hop near")
        time.sleep(0.5)
        sent = feeder.stop()
        lab.eventually("an empty ring", lambda: near.now()[0]["in_flight"] == 0)
        self.assertEqual(near.stop(), 0)
        for puller in pullers:
            puller.wait_log("hop near .* ended")
            self.assertEqual(puller.stop(), 0)
        links = [puller.ledger()["upstream"][0] for puller in pullers]
        self.assertEqual([link["lost"] for link in links], [0, 0])
        self.assertTrue(all(link["shared"] for link in links))
        self.assertTrue(all(link["received"] > 0 for link in links))
        self.assertEqual(sum(link["received"] for link in links), near.route()["delivered"])
        self.assertEqual(sorted(numbers(self.path("out0")) + numbers(self.path("out1"))), list(range(sent)))


class PubSub(lab.Case):
    def test_two_subscribers_get_everything_each(self):
        url = push_url(self, "tcp")
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", url + "#socket=pub,buffer=8192", hop="near").ready()
        subs = [self.bridge("--from", url + "#socket=sub,buffer=8192", "--to", self.path(f"out{i}"), hop=f"far{i}")
                for i in range(2)]
        near.wait_log("connected", 2)
        feeder = Feeder(tap)
        time.sleep(0.5)
        sent = feeder.stop()
        lab.eventually("all", lambda: near.now()[0]["delivered"] == sent)
        self.assertEqual(near.stop(), 0)
        for i, sub in enumerate(subs):
            sub.wait_log("hop near .* ended")
            self.assertEqual(sub.stop(), 0)
            self.assertEqual(numbers(self.path(f"out{i}")), list(range(sent)))

    def test_a_subscriber_to_a_channel_that_nobody_sends_says_so(self):
        url = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", url + "#socket=pub,channel=other", hop="near").ready()
        wrong = self.bridge("--from", url + "#socket=sub", "--to", self.path("wrong"), hop="wrong").ready()
        right = self.bridge("--from", url + "#socket=sub,channel=other", "--to", self.path("right"), hop="right").ready()
        near.wait_log("connected", 2)
        sock = lab.sender(tap)

        def heard():
            sock.sendall(lab.data(b"message"))
            return "messages of channel 'other' come, none yet of 'raw'" in wrong.log()
        lab.eventually("the wrong channel to be said", heard)
        lab.finish(sock)
        near.stop()
        self.assertEqual(wrong.stop(), 0)
        self.assertEqual(wrong.route()["received"], 0)
        right.stop()
        self.assertGreater(right.route()["delivered"], 0)

    def test_a_puller_counts_the_messages_of_a_wrong_channel(self):
        url = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        far = self.bridge("--from", url + "#channel=other", "--to", self.path("out"), hop="far").ready()
        near = self.bridge("--from", lab.corpus("bind"), "--to", url, hop="near")
        self.assertEqual(near.wait(), 0)
        lab.eventually("all", lambda: far.now()[0]["malformed"] == 893)
        far.wait_log("it is of channel 'raw', not 'other'")
        self.assertEqual(far.stop(), 1)

    def test_nobody_listens(self):
        bridge = self.bridge("--from", lab.corpus("bind"), "--to", push_url(self, "tcp") + "#socket=pub")
        self.assertEqual(bridge.wait(), 1)
        self.assertEqual(bridge.route()["failed"], 893)
        self.assertIn("nobody subscribes", bridge.log())

    def test_a_late_subscriber_judges_nothing_before_it(self):
        url, tap = push_url(self, "tcp"), self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", url + "#socket=pub,buffer=8192", hop="near").ready()
        early = self.bridge("--from", url + "#socket=sub,buffer=8192", "--to", self.path("early"), hop="early")
        near.wait_log("connected")
        feeder = Feeder(tap)
        time.sleep(0.3)
        late = self.bridge("--from", url + "#socket=sub,buffer=8192", "--to", self.path("late"), hop="late")
        joined = int(late.wait_log(r"joined hop near .* at sequence (\d+)")[0])
        time.sleep(0.3)
        sent = feeder.stop()
        lab.eventually("all", lambda: near.now()[0]["delivered"] == sent)
        near.stop()
        late.wait_log("hop near .* ended")
        self.assertEqual(late.stop(), 0)
        self.assertGreater(joined, 0)
        self.assertEqual(late.ledger()["upstream"][0]["joined_at"], joined)
        self.assertEqual(numbers(self.path("late")), list(range(joined, sent)))
        early.stop()

    def test_a_slow_subscriber_counts_exactly_what_nng_dropped(self):
        url, tap, fifo = push_url(self, "tcp"), self.path("tap"), self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        near = self.bridge("--from", "unix:" + tap, "--to", url + "#socket=pub,buffer=2", hop="near").ready()
        far = self.bridge("--from", url + "#socket=sub,buffer=1,when-full=block,max-frame=8KiB",
                          "--to", fifo + "#ring=256KiB", hop="far").ready()
        near.wait_log("connected")
        feeder = Feeder(tap, size=8000, pause=0)
        lab.eventually("much sent", lambda: feeder.sent > 5000)
        got = bytearray()
        os.set_blocking(reader, True)

        def read():
            while piece := os.read(reader, 1 << 20):
                got.extend(piece)
        thread = threading.Thread(target=read)
        thread.start()  # the subscriber's sink wakes up
        time.sleep(0.3)
        sent = feeder.stop()
        lab.eventually("all", lambda: near.now()[0]["delivered"] == sent)
        near.stop()
        far.wait_log("hop near .* ended")
        self.assertEqual(far.stop(), 1)
        thread.join()
        os.close(reader)
        link = far.ledger()["upstream"][0]
        missing = set(range(sent)) - {int(frame[:9]) for frame in lab.split(bytes(got))}
        self.assertGreater(len(missing), 0)
        self.assertEqual(link["joined_at"], 0)
        self.assertEqual(link["lost"], len(missing))
        self.assertEqual(link["received"] + link["lost"], sent)


@unittest.skipUnless(subprocess.run(["which", "nngcat"], capture_output=True).returncode == 0,
                     "nngcat is not installed")
class Strangers(lab.Case):
    @staticmethod
    def bus(frames, count=None, channel=b"raw", envelope=None):
        hop = b"\x0a\x01s" + b"\x11" + struct.pack("<Q", 7)
        if envelope is None:
            envelope = b"\x08\x00\x10" + bytes([len(frames) if count is None else count])
            envelope += b"\x32" + bytes([len(hop)]) + hop
        return b"dnstap/" + channel + b"\0" + struct.pack(">I", len(envelope)) + envelope + \
            b"".join(map(lab.data, frames))

    def test_what_is_no_bus_message_is_counted_and_harms_nobody(self):
        url = push_url(self, "tcp")
        far = self.bridge("--from", url + "#max-frame=4KiB", "--to", self.path("out"), hop="far").ready()
        cases = (
            (b"hello, world", "no bus message", 1),
            (b"dnstap/raw\0\xff\xff\xff\xff", "envelope is cut short", 1),
            (self.bus([b"x"], envelope=b"\xff\xff\xff"), "envelope cannot be read", 1),
            (self.bus([b"one", b"two"], count=3), "says 3 messages, it holds 2", 3),
            (self.bus([b"one"])[:-1], "torn", 1),
            (self.bus([b"x" * 5000]), "longer than max-frame", 1),
            (self.bus([b"x"], channel=b"chaff"), "of channel 'chaff'", 1),
        )
        refused = 0
        for i, (octets, said, count) in enumerate(cases):
            self.nngcat(url, octets)
            refused += count
            lab.eventually(f"case {i} refused", lambda n=refused: far.now()[0]["malformed"] == n)
            if i < 5:  # then the lines are held back
                self.assertIn(said, far.log())
        self.nngcat(url, self.bus([b"good", b"better"]))
        lab.eventually("the good ones", lambda: far.now()[0]["delivered"] == 2)
        self.assertEqual(far.stop(), 1)
        self.assertEqual(lab.frames_of(self.path("out")), [b"good", b"better"])

    def nngcat(self, url, octets):
        name = self.write("message", octets)
        subprocess.run(["nngcat", "--push0", "--dial", url.replace("nng+tcp:", "tcp://"), "-F", name],
                       check=True, timeout=30)


if __name__ == "__main__":
    lab.main()
