"""Frame Streams sockets: senders good and bad, a collector that goes and comes back."""

import os
import random
import resource
import signal
import socket
import struct
import subprocess
import time

import lab


class Listener(lab.Case):
    def collector(self, address="unix", options="", *more):
        if address == "unix":
            self.address = self.path("sock")
            url = "unix:" + self.address
        else:
            self.address = ("127.0.0.1", lab.free_port())
            url = "tcp:%s:%d" % self.address
        self.out = self.path("out")
        return self.bridge("--from", url + options, "--to", self.out, *more).ready()

    def delivered(self, bridge, n):
        lab.eventually(f"{n} messages", lambda: bridge.now()[0]["delivered"] >= n)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(bridge.route()["delivered"], n)
        return lab.frames_of(self.out)

    def test_handshake_and_none_on_both_kinds_of_socket(self):
        for address in ("unix", "tcp"):
            for handshake in (True, False):
                with self.subTest(address=address, handshake=handshake):
                    bridge = self.collector(address)
                    sock = lab.sender(self.address, handshake)
                    messages = [b"message %d" % i for i in range(1000)]
                    sock.sendall(b"".join(map(lab.data, messages)))
                    if handshake:
                        lab.finish(sock)
                    self.assertEqual(self.delivered(bridge, 1000), messages)
                    os.unlink(self.out)

    def test_a_lone_message_is_forwarded_at_once(self):
        bridge = self.collector()
        sock = lab.sender(self.address)
        for i in range(1, 6):
            sock.sendall(lab.data(b"alone"))
            lab.eventually(f"message {i} in the file",
                           lambda i=i: len(lab.split(lab.read_file(self.out))) == i, patience=5)
        self.assertEqual(bridge.stop(), 0)

    def test_frames_torn_into_any_pieces(self):
        bridge = self.collector()
        sock = lab.sender(self.address)
        seed = random.Random(7)
        messages = [bytes([i % 256]) * seed.choice((1, 2, 150, 3000, 57000, 70000, 300000))
                    for i in range(1, 200)]
        octets = b"".join(map(lab.data, messages))
        while octets:
            n = seed.choice((1, 3, 100, 5000, 65536, 131072))
            sock.sendall(octets[:n])
            octets = octets[n:]
        lab.finish(sock)
        self.assertEqual(self.delivered(bridge, len(messages)), messages)

    def test_thousands_of_senders(self):
        senders, each = 2000, 5
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < senders + 200:
            self.skipTest(f"only {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        bridge = self.collector()
        socks = [lab.sender(self.address, handshake=False) for _ in range(senders)]
        for round_ in range(each):
            for i, sock in enumerate(socks):
                sock.sendall(lab.data(b"%d from %d" % (round_, i)))
        for sock in socks:
            sock.sendall(lab.control(lab.STOP))
            sock.close()
        socks.clear()
        got = self.delivered(bridge, senders * each)
        want = {b"%d from %d" % (r, i) for r in range(each) for i in range(senders)}
        self.assertEqual(set(got), want)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_too_many_senders_are_turned_away_and_the_others_undisturbed(self):
        bridge = self.collector("unix", "#max-connections=3")
        socks = [lab.sender(self.address) for _ in range(3)]
        extra = lab.connect(self.address)
        self.assertEqual(extra.recv(1), b"")
        bridge.wait_log("turned away")
        for sock in socks:
            sock.sendall(lab.data(b"fine"))
            lab.finish(sock)
        self.delivered(bridge, 3)

    def test_bad_senders_are_closed_and_the_others_undisturbed(self):
        bridge = self.collector("unix", "#max-frame=64KiB,handshake-timeout=500ms")
        good = lab.sender(self.address)
        ready, start = lab.control(lab.READY), lab.control(lab.START)
        cases = (
            (start + lab.data(b"kept") + struct.pack(">I", 65537), r"frame of 65537 octets is longer"),
            (lab.control(lab.READY, b"protobuf:other"), r"content type is .*protobuf:other"),
            (start + b"\0\0\0\0" + struct.pack(">I", 9) + b"garbled!!", r"garbled control frame"),
            (start + b"\0\0\0\0" + struct.pack(">I", 600), r"control frame of 600 octets"),
            (b"GET / HTTP/1.0\r\n\r\n", r"does not begin with a START"),
            (ready + ready, r"unexpected FSTRM_CONTROL_READY|unexpected .*READY"),
            (start + start, r"unexpected .*START"),
            (b"", r"did not begin in time"),
            (ready, r"did not begin in time"),
        )
        for octets, said in cases:
            sock = lab.connect(self.address)
            sock.sendall(octets)
            lab.eventually("the connection closed", lambda sock=sock: self.is_closed(sock))
            good.sendall(lab.data(b"good"))
        self.assertEqual(len(bridge.wait_log("closed after")), 5)  # then the lines are held back
        time.sleep(0.1)
        half = lab.sender(self.address)
        half.sendall(lab.data(b"whole") + lab.data(b"torn")[:6])
        half.close()
        lab.finish(good)
        frames = self.delivered(bridge, len(cases) + 2)
        self.assertEqual(sorted(frames), sorted([b"good"] * len(cases) + [b"kept", b"whole"]))

    def test_each_mistake_has_its_own_clear_line(self):
        cases = (
            (lab.control(lab.START) + struct.pack(">I", 99999999), "frame of 99999999 octets is longer than max-frame"),
            (lab.control(lab.READY, b"protobuf:other"), "content type is"),
            (lab.control(lab.START) + b"\0\0\0\0\0\0\0\x09garbled!!", "garbled control frame"),
            (b"", "did not begin in time"),
        )
        bridge = self.collector("unix", "#handshake-timeout=300ms")
        for octets, said in cases:
            sock = lab.connect(self.address)
            sock.sendall(octets)
            bridge.wait_log(said)
            sock.close()
        self.assertEqual(bridge.stop(), 0)

    @staticmethod
    def is_closed(sock):
        sock.settimeout(0.05)
        try:
            while sock.recv(4096):
                pass
            return True
        except (ConnectionResetError, BrokenPipeError):
            return True
        except (TimeoutError, socket.timeout):
            return False

    def test_stop_is_finished_at_once_while_a_sink_is_stalled(self):
        os.mkfifo(self.path("fifo"))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)  # opens, and never reads
        address = self.path("sock")
        bridge = self.bridge("--from", "unix:" + address + "#max-frame=4KiB",
                             "--to", self.path("fifo") + "#ring=128KiB", "--drain-timeout", "100ms").ready()
        sock = lab.sender(address)
        for _ in range(2000):
            sock.sendall(lab.data(b"x" * 1000))
        start = time.monotonic()
        lab.finish(sock)
        self.assertLess(time.monotonic() - start, 2.0)
        lab.eventually("drops", lambda: bridge.now()[0]["dropped"] > 0)
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route()["received"], 2000)
        os.close(reader)

    def test_the_idle_program_sleeps(self):
        bridge = self.collector()
        sock = lab.sender(self.address)
        sock.sendall(lab.data(b"one"))
        lab.eventually("one", lambda: bridge.now()[0]["delivered"] == 1)
        self.sleeps(bridge)

    def test_the_idle_program_sleeps_beside_a_connected_sink(self):
        receiver = self.receiver(self.path("far"))
        bridge = self.bridge("--from", "unix:" + self.path("sock"), "--to", "unix:" + receiver.address).ready()
        bridge.wait_log("connected")
        self.sleeps(bridge)

    def sleeps(self, bridge):
        time.sleep(0.3)

        def switches():
            counts = {}
            for task in os.listdir(f"/proc/{bridge.process.pid}/task"):
                with open(f"/proc/{bridge.process.pid}/task/{task}/status") as f:
                    counts[task] = sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
            return counts
        before = switches()
        time.sleep(2)
        woken = [task for task, count in switches().items() if count != before.get(task)]
        # a sanitizer may have a thread of its own
        self.assertLessEqual(len(woken), 1 if os.environ.get("TEST_SHORT") else 0)
        self.assertEqual(bridge.stop(), 0)


class Sender(lab.Case):
    def test_fstrm_capture_takes_what_we_send(self):
        lab.need("fstrm_capture")
        sock = self.path("sock")
        capture = self.program("fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", sock, "-w", self.path("got"))
        lab.eventually("fstrm_capture's socket", lambda: os.path.exists(sock))
        code, _, err = lab.run_bridge("--from", lab.corpus("unbound"), "--to", "unix:" + sock)
        self.assertEqual(code, 0, err)
        self.assertNotIn("did not confirm", err)
        capture.stop()
        self.assertEqual(lab.read_file(self.path("got")), lab.corpus_octets("unbound"))

    def test_the_go_tool_takes_what_we_send_and_sends_what_we_take(self):
        lab.need("dnstap")
        sock, plain = self.path("sock"), self.write("plain", lab.corpus_octets("knot"))
        tool = self.program("dnstap", "-u", sock, "-w", self.path("got"))
        lab.eventually("its socket", lambda: os.path.exists(sock))
        code, _, err = lab.run_bridge("--from", plain, "--to", "unix:" + sock)
        self.assertEqual(code, 0, err)
        # the tool keeps the last page in its buffer, whoever sends, and ends without writing it
        want = lab.read_file(plain)
        lab.eventually("all but the last page in its file",
                       lambda: os.path.getsize(self.path("got")) > len(want) - 4096, patience=10)
        tool.stop(signal.SIGINT)
        got = lab.read_file(self.path("got"))
        self.assertTrue(want.startswith(got))

        bridge = self.bridge("--from", "unix:" + self.path("ours"), "--to", self.path("out")).ready()
        subprocess.run(["dnstap", "-r", plain, "-U", self.path("ours")], check=True, timeout=60)
        lab.eventually("all", lambda: bridge.now()[0]["delivered"] == 14069)
        self.assertEqual(bridge.stop(), 0)
        self.assertEqual(lab.frames_of(self.path("out")), lab.frames_of(plain))

    def test_two_hops_by_frame_streams(self):
        first = f"tcp:127.0.0.1:{lab.free_port()}"
        bridge = self.bridge("--from", first + "#when-full=block", "--to", self.path("out")).ready()
        code, _, err = lab.run_bridge("--from", lab.corpus("nsd"), "--to", first)
        self.assertEqual(code, 0, err)
        lab.eventually("all", lambda: bridge.now()[0]["delivered"] == 18192)
        self.assertEqual(bridge.stop(), 0)
        self.assertEqual(lab.read_file(self.path("out")), lab.corpus_octets("nsd"))

    def test_a_flapping_collector_is_found_again_each_time(self):
        address = self.path("sock")
        self.found_again_each_time(self.receiver(address), f"unix:{address}#reconnect=100ms")

    def idle(self, address, options=""):
        """A bridge that has nothing to send to this collector."""
        kind = "unix:%s" if isinstance(address, str) else "tcp:%s:%d"
        return self.bridge("--from", "unix:" + self.path("source"), "--to", kind % address + options).ready()

    def test_a_wrong_address_shows_before_there_is_a_message(self):
        bridge = self.idle(("127.0.0.1", lab.free_port()))
        bridge.wait_log("cannot connect: Connection refused; trying again", 2)
        self.assertEqual(bridge.stop(), 0)

    def test_a_collector_is_connected_to_and_found_again_without_a_message(self):
        receiver = self.receiver(("127.0.0.1", lab.free_port()))
        bridge = self.idle(receiver.address)
        bridge.wait_log(": connected")
        for turn in range(2, 4):
            lab.eventually("the connection", lambda: receiver.sockets)
            receiver.drop()
            bridge.wait_log("the peer closed the connection", turn - 1)
            bridge.wait_log(": connected", turn)
        self.assertEqual(bridge.stop(), 0)
        self.assertNotIn("did not confirm", bridge.log())

    def listener(self):
        sock = socket.create_server(("127.0.0.1", 0))
        sock.settimeout(lab.PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def test_a_collector_that_does_not_answer_keeps_no_stop_waiting(self):
        listener = self.listener()
        bridge = self.idle(listener.getsockname(), "#handshake-timeout=1h")
        sock, _ = listener.accept()
        self.assertEqual(lab.receive_control(sock), lab.READY)
        self.assertEqual(bridge.stop(), 0)
        sock.close()

    def test_a_message_that_comes_during_the_handshake_goes_over_the_same_connection(self):
        listener = self.listener()
        bridge = self.idle(listener.getsockname(), "#handshake-timeout=1h")
        sock, _ = listener.accept()
        sock.settimeout(lab.PATIENCE)
        self.assertEqual(lab.receive_control(sock), lab.READY)
        accept = lab.control(lab.ACCEPT)
        sock.sendall(accept[:7])
        source = lab.sender(self.path("source"))
        for i in range(2):
            source.sendall(lab.data(b"%d" % i))
            lab.eventually("the message", lambda n=i + 1: bridge.now()[0]["received"] == n)
        sock.sendall(accept[7:])
        self.assertEqual(lab.receive_control(sock), lab.START)
        want = lab.data(b"0") + lab.data(b"1")
        self.assertEqual(lab.receive_exactly(sock, len(want)), want)
        lab.finish(source)
        bridge.send(signal.SIGTERM)
        self.assertEqual(lab.receive_control(sock), lab.STOP)
        sock.sendall(lab.control(lab.FINISH))
        self.assertEqual(bridge.wait(), 0)
        sock.close()

    def test_nothing_is_lost_while_there_is_no_collector_yet(self):
        address = self.path("sock")
        bridge = self.bridge("--from", lab.corpus("bind"), "--to", f"unix:{address}#reconnect=100ms").ready()
        bridge.wait_log("cannot connect")
        receiver = self.receiver(address)
        self.assertEqual(bridge.wait(), 0)
        lab.eventually("all", lambda: sum(map(len, receiver.frames())) == 893)
        self.assertEqual(receiver.frames()[-1], lab.split(lab.corpus_octets("bind")))


if __name__ == "__main__":
    lab.main()
