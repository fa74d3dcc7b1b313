"""Stalled sinks: the source goes on, other sinks get everything, the loss is counted where it happens,
and memory stays under the ceiling that --check printed."""

import os
import subprocess
import threading
import time
import unittest

import lab

MESSAGES, SIZE = 30000, 1000


class Stall(lab.Case):
    def flood(self, address):
        """Sends as fast as the socket takes it: a source that waited for a sink would stand still."""
        sock = lab.sender(address)
        sock.settimeout(20)
        for i in range(MESSAGES):
            sock.sendall(lab.data(b"%09d" % i + b"x" * (SIZE - 9)))
        lab.finish(sock)

    def stalled(self, sink, drain="200ms", reader=None):
        tap = self.path("tap")
        args = ("--from", "unix:" + tap + "#max-frame=4KiB,max-connections=8,partial=64KiB",
                "--to", sink, "--to", self.path("good") + "#ring=64MiB")
        limit = lab.ceiling(*args)
        bridge = self.bridge(*args, "--drain-timeout", drain).ready()
        self.flood(tap)
        lab.eventually("the good sink to have all", lambda: bridge.now()[1]["delivered"] == MESSAGES)
        bad, good = bridge.now()
        self.assertEqual((good["received"], good["dropped"]), (MESSAGES, 0))
        self.assertEqual(bad["received"], MESSAGES)
        self.assertGreater(bad["dropped"], 0)
        self.assertEqual(len(bridge.wait_log("the ring in front of")) > 5, False)  # rate-limited
        if not os.environ.get("TEST_SHORT"):  # sanitizers take memory of their own
            self.assertLess(bridge.peak_octets(), limit)
        return bridge

    def check_good_file(self):
        got = [int(frame[:9]) for frame in lab.frames_of(self.path("good"))]
        self.assertEqual(got, list(range(MESSAGES)))

    def test_a_receiver_that_stops_reading(self):
        receiver = self.receiver(self.path("sock"), reading=False)
        bridge = self.stalled("unix:" + self.path("sock") + "#ring=1MiB", drain="20s")
        receiver.reading.set()
        lab.eventually("the ring to drain", lambda: bridge.now()[0]["in_flight"] == 0)
        self.assertEqual(bridge.stop(), 1)
        bad = bridge.route(0)
        self.assertEqual(len(receiver.frames()[0]), bad["delivered"])
        self.assertEqual(bad["delivered"] + bad["dropped"], MESSAGES)
        self.check_good_file()

    def test_a_receiver_that_never_reads_again(self):
        self.receiver(self.path("sock"), reading=False)
        bridge = self.stalled("unix:" + self.path("sock") + "#ring=1MiB")
        start = time.monotonic()
        self.assertEqual(bridge.stop(), 1)
        self.assertLess(time.monotonic() - start, 10)
        self.assertGreater(bridge.route(0)["in_flight"], 0)
        self.check_good_file()

    def test_an_nng_peer_that_is_not_there(self):
        bridge = self.stalled(f"nng+tcp:127.0.0.1:{lab.free_port()}#ring=1MiB")
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route(0)["delivered"], 0)
        self.check_good_file()

    def test_a_collector_that_is_not_there(self):
        bridge = self.stalled("unix:" + self.path("nobody") + "#ring=1MiB")
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route(0)["delivered"], 0)
        self.check_good_file()

    def test_a_pipe_that_nobody_reads(self):
        os.mkfifo(self.path("fifo"))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        bridge = self.stalled(self.path("fifo") + "#ring=1MiB")
        self.assertEqual(bridge.stop(), 1)
        self.check_good_file()
        os.close(reader)

    def test_a_full_disk(self):
        disk = self.path("disk")
        os.mkdir(disk)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk],
                               capture_output=True)
        if mount.returncode:
            raise unittest.SkipTest("cannot mount a tmpfs: " + mount.stderr.decode().strip())
        try:
            self.full_disk(disk)
        finally:
            subprocess.run(["umount", disk], check=True)

    def full_disk(self, disk):
        out = os.path.join(disk, "out")
        bridge = self.stalled(out + "#ring=1MiB", drain="20s")
        bridge.wait_log("No space left on device")
        before = bridge.now()[0]
        self.assertEqual(len(lab.split(lab.whole(lab.read_file(out)))), before["delivered"])
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)  # space again
        lab.eventually("the ring to drain", lambda: bridge.now()[0]["in_flight"] == 0)
        self.assertEqual(bridge.stop(), 1)
        bad = bridge.route(0)
        self.assertEqual(bad["delivered"] + bad["dropped"], MESSAGES)
        self.assertEqual(len(lab.frames_of(out)), bad["delivered"])
        self.check_good_file()

    def test_a_disk_that_stays_full_leaves_a_valid_file(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk]).returncode:
            raise unittest.SkipTest("cannot mount a tmpfs")
        try:
            bridge = self.stalled(os.path.join(disk, "out") + "#ring=1MiB")
            self.assertEqual(bridge.stop(), 1)
            self.assertEqual(len(lab.frames_of(os.path.join(disk, "out"))), bridge.route(0)["delivered"])
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_block_moves_the_loss_one_hop_back(self):
        """The same stall with both choices: drop counts here, block makes the sender wait."""
        os.mkfifo(self.path("fifo"))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        tap = self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap + "#max-frame=4KiB,when-full=block",
                             "--to", self.path("fifo") + "#ring=256KiB").ready()
        sent = threading.Event()

        def flood():
            self.flood(tap)
            sent.set()
        sender = threading.Thread(target=flood)
        sender.start()
        self.assertFalse(sent.wait(1.0))
        self.assertEqual(bridge.now()[0]["dropped"], 0)
        os.set_blocking(reader, True)
        got = bytearray()
        drain = threading.Thread(target=lambda: [got.extend(p) for p in iter(lambda: os.read(reader, 1 << 20), b"")])
        drain.start()
        sender.join()
        self.assertEqual(bridge.stop(), 0)
        drain.join()
        os.close(reader)
        self.assertEqual(len(lab.split(bytes(got))), MESSAGES)
        self.assertEqual(bridge.route()["delivered"], MESSAGES)


if __name__ == "__main__":
    lab.main()
