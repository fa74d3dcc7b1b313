"""Everything at once for a while: live senders, two hops, a link that is cut, a bridge that is killed, a sink that
stands still. No deadlock, and every ledger adds up at the end. With SOAK_SECONDS, all of it for as long; without, the
short form of a few seconds, in which the link is only held up (nng.py cuts links and kills bridges one at a time)."""

import os
import random
import signal
import threading
import time

import lab

SECONDS = float(os.environ.get("SOAK_SECONDS", "5"))
TROUBLES = ("cut", "hold", "kill", "ask") if "SOAK_SECONDS" in os.environ else ("hold", "ask")


class Sender(threading.Thread):
    """Connects, sends a burst, stops; again and again. Knows how much the collector confirmed."""

    def __init__(self, address, seed):
        super().__init__()
        self.address, self.random = address, random.Random(seed)
        self.going, self.confirmed, self.error = True, 0, None
        self.start()

    def run(self):
        try:
            while self.going:
                sock = lab.sender(self.address, handshake=True)
                burst = self.random.randrange(1, 4000)
                size = self.random.choice((20, 150, 1500, 40000))
                for _ in range(burst if size < 10000 else burst // 20):
                    sock.sendall(lab.data(os.urandom(4) * (size // 4)))
                    self.confirmed += 1
                lab.finish(sock)
        except Exception as error:  # told by the main thread
            self.error = error


class Soak(lab.Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(int(os.environ.get("SOAK_SEED", "1")))
        self.far_port, port = lab.free_port(), lab.free_port()
        self.proxy = lab.Proxy(port, self.far_port)
        self.addCleanup(self.proxy.close)
        os.mkfifo(self.path("fifo"))
        self.near = self.bridge("--from", "unix:" + self.path("tap"), "--to", f"nng+tcp:127.0.0.1:{port}#ring=4MiB",
                                "--to", self.path("fifo") + "#ring=4MiB", "--to", os.devnull + "#ring=1GiB",
                                "--drain-timeout", "2s", hop="near") if self.open_fifo() else None
        self.near.ready()
        self.fars = []

    def open_fifo(self):
        """A reader that stands still for random whiles: the sink's ring overflows, the others' do not."""
        self.fifo = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        self.reading = True

        def read():
            pause = random.Random(2)
            while self.reading:
                time.sleep(pause.choice((0, 0, 0, 0.3)))
                try:
                    os.read(self.fifo, 1 << 16)
                except BlockingIOError:
                    time.sleep(0.01)
        self.reader = threading.Thread(target=read)
        self.reader.start()
        return True

    def start_far(self):
        out = self.path(f"out{len(self.fars)}")
        far = self.bridge("--from", f"nng+tcp:127.0.0.1:{self.far_port}", "--to", out, hop="far").ready()
        self.fars.append((far, out))
        return far

    def trouble(self):
        kind = self.random.choice(TROUBLES)
        if kind == "cut":
            self.proxy.cut()
            time.sleep(self.random.random() / 3)
            self.proxy.mend()
        elif kind == "hold":
            self.proxy.held.set()
            time.sleep(self.random.random() / 3)
            self.proxy.held.clear()
        elif kind == "kill":
            self.fars[-1][0].send(signal.SIGKILL)
            self.fars[-1][0].wait()
            self.start_far()
        else:
            self.near.now()

    def test_everything_at_once(self):
        self.start_far()
        senders = [Sender(self.path("tap"), i) for i in range(4)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.trouble()
            time.sleep(0.1)
        for sender in senders:
            sender.going = False
        for sender in senders:
            sender.join(60)
            self.assertFalse(sender.is_alive(), "a sender is stuck")
            self.assertIsNone(sender.error)
        sent = sum(sender.confirmed for sender in senders)
        lab.eventually("all received", lambda: self.near.now()[0]["received"] == sent)
        # the drain's time is for the sink that stands still; these two are done before
        lab.eventually("the two rings empty", lambda: [self.near.now()[i]["in_flight"] for i in (0, 2)] == [0, 0], 120)
        self.near.stop()
        self.reading = False
        self.reader.join()
        os.close(self.fifo)
        link, fifo, null = self.near.ledger()["routes"]
        for route in (link, fifo, null):
            self.assertEqual(route["received"], sent)
        self.assertEqual((null["delivered"], null["dropped"]), (sent, 0))
        last, out = self.fars[-1]
        last.wait_log("hop near .* ended")
        last.stop()
        upstream = last.ledger()["upstream"][-1]
        self.assertEqual(upstream["joined_at"] + upstream["received"] + upstream["lost"], link["delivered"])
        self.assertEqual(len(lab.frames_of(out)), last.route()["delivered"])
        print(f"{sent} messages; link {link}; stalled {fifo}; {len(self.fars)} far ends; lost {upstream['lost']}")


if __name__ == "__main__":
    lab.main()
