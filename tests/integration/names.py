"""Names of senders' and listeners' addresses: of several addresses each is tried, a name that nobody knows yet is asked for
again, and a resolver that does not answer holds nothing up."""

import contextlib
import os
import socket
import sys
import threading
import unittest

import lab

NAMES = sys.argv.pop(1)  # the library to preload
MESSAGE = lab.split(lab.corpus_octets("bind"))[0]


class Names(lab.Case):
    def setUp(self):
        super().setUp()
        self.names = self.path("names")
        self.know()

    def know(self, **names):
        """From here on these names have these addresses: KEY=ADDRESS[,ADDRESS] is KEY.test."""
        with open(self.names + ".new", "w") as f:
            for name, addresses in names.items():
                f.write(f"{name}.test {addresses}\n")
        os.rename(self.names + ".new", self.names)

    def named(self, *args):
        """A bridge whose names come from the file."""
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return self.bridge(*args, env={"LD_PRELOAD": NAMES, "TEST_NAMES": self.names, "ASAN_OPTIONS": options})

    def sending(self, url, *args):
        """A bridge that sends to `url`, and a sender to it that has sent a message."""
        bridge = self.named("--from", "unix:" + self.path("in"), "--to", url, *args).ready()
        sock = lab.sender(self.path("in"))
        sock.sendall(lab.data(MESSAGE))
        return bridge, sock

    def received(self, receiver):
        lab.eventually("the message", lambda: [MESSAGE] in receiver.frames())


class Senders(Names):
    def test_each_address_of_a_name_is_tried(self):
        port = lab.free_port()
        self.know(collector="127.0.0.2,127.0.0.1")
        receiver = self.receiver(("127.0.0.1", port))
        bridge, sock = self.sending(f"tcp:collector.test:{port}")
        self.received(receiver)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_the_log_tells_of_each_address_and_of_the_next_try(self):
        port = lab.free_port()
        self.know(collector="127.0.0.2,127.0.0.1")
        bridge, _ = self.sending(f"tcp:collector.test:{port}", "--drain-timeout", "1ms")
        bridge.wait_log(rf"127\.0\.0\.2:{port}: cannot connect: Connection refused; "
                        rf"127\.0\.0\.1:{port}: cannot connect: Connection refused; trying again in 0\.05 s")
        self.assertEqual(bridge.stop(), 1)

    def test_a_name_that_is_not_known_yet_is_asked_for_again(self):
        port = lab.free_port()
        receiver = self.receiver(("127.0.0.1", port))
        bridge, sock = self.sending(f"tcp:collector.test:{port}")
        bridge.wait_log("cannot resolve 'collector.test': .*; trying again in")
        self.know(collector="127.0.0.1")
        self.received(receiver)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_a_peer_that_moves_is_found_at_its_new_address(self):
        port = lab.free_port()
        self.know(collector="127.0.0.1")
        before = self.receiver(("127.0.0.1", port))
        bridge, sock = self.sending(f"tcp:collector.test:{port}")
        self.received(before)
        self.know(collector="127.0.0.2")
        after = self.receiver(("127.0.0.2", port))
        before.close()

        def arrives():
            sock.sendall(lab.data(b"two"))
            return any(b"two" in frames for frames in after.frames())
        lab.eventually("a message at the new address", arrives)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_a_resolver_that_is_silent_does_not_hold_a_stop_up(self):
        self.know(collector="hang")
        for url in (f"tcp:collector.test:{lab.free_port()}", f"nmsg+udp:collector.test:{lab.free_port()}#flush=1ms"):
            bridge, sock = self.sending(url, "--drain-timeout", "10ms")
            lab.eventually("the message in the ring", lambda: bridge.now()[0]["in_flight"] == 1)
            self.assertEqual(bridge.stop(), 1)
            self.assertEqual(bridge.route()["in_flight"], 1)
            sock.close()

    def test_a_resolver_that_is_silent_holds_no_listener_up_for_ever(self):
        self.know(here="hang")
        bridge = self.named("--from", f"tcp:here.test:{lab.free_port()}", "--to", self.path("out"))
        self.assertEqual(bridge.wait(), 2)
        self.assertIn("cannot resolve 'here.test': no answer after 10 s", bridge.log())


class Datagrams(Names):
    def receiver_at(self, address, port):
        sock = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind((address, port))
        sock.settimeout(lab.PATIENCE)
        return sock

    def test_a_name_that_is_not_known_yet_is_asked_for_again(self):
        port = lab.free_port()
        receiver = self.receiver_at("127.0.0.1", port)
        bridge, sock = self.sending(f"nmsg+udp:collector.test:{port}#flush=1ms")
        bridge.wait_log("cannot resolve 'collector.test': .*; trying again in")
        self.know(collector="127.0.0.1")
        self.assertTrue(receiver.recv(65536).startswith(b"NMSG"))
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_an_address_where_nobody_listens_gives_way_to_the_next(self):
        port = lab.free_port()
        self.know(collector="127.0.0.2,127.0.0.1")
        receiver = self.receiver_at("127.0.0.1", port)
        receiver.setblocking(False)
        bridge, sock = self.sending(f"nmsg+udp:collector.test:{port}#flush=1ms")

        def arrives():
            sock.sendall(lab.data(MESSAGE))
            try:
                return receiver.recv(65536)
            except BlockingIOError:
                return None
        lab.eventually("a datagram at the second address", arrives)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_a_receiver_that_moves_is_found(self):
        """The old address still takes datagrams: nothing but the name tells."""
        port = lab.free_port()
        self.know(collector="127.0.0.1")
        before, after = (self.receiver_at(address, port) for address in ("127.0.0.1", "127.0.0.2"))
        bridge, sock = self.sending(f"nmsg+udp:collector.test:{port}#flush=1ms,resolve-every=1s")
        self.assertTrue(before.recv(65536).startswith(b"NMSG"))
        self.know(collector="127.0.0.2")
        after.setblocking(False)

        def arrives():
            sock.sendall(lab.data(MESSAGE))
            try:
                return after.recv(65536)
            except BlockingIOError:
                return None
        lab.eventually("a datagram at the new address", arrives)
        self.know()  # no longer known: the address that was found goes on
        for _ in range(10):
            sock.sendall(lab.data(MESSAGE))
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0, bridge.log())

    def test_a_receiver_on_a_name_of_several_addresses_is_refused_by_name(self):
        self.know(here="127.0.0.1,127.0.0.2")
        bridge = self.named("--from", f"nmsg+udp:here.test:{lab.free_port()}", "--to", self.path("out"))
        self.assertEqual(bridge.wait(), 2)
        self.assertIn("the name has 2 addresses", bridge.log())


class Listeners(Names):
    def test_a_name_is_listened_on_at_all_its_addresses(self):
        port = lab.free_port()
        self.know(here="127.0.0.1,127.0.0.2")
        bridge = self.named("--from", f"tcp:here.test:{port}", "--to", self.path("out")).ready()
        for address in ("127.0.0.1", "127.0.0.2"):
            sock = lab.sender((address, port))
            sock.sendall(lab.data(address.encode()))
            lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)
        self.assertEqual(lab.frames_of(self.path("out")), [b"127.0.0.1", b"127.0.0.2"])

    def test_no_host_listens_on_all_of_both_families(self):
        port = lab.free_port()
        try:
            with socket.socket(socket.AF_INET6) as six:
                six.bind(("::1", 0))
        except OSError:
            raise unittest.SkipTest("this machine has no IPv6")
        bridge = self.named("--from", f"tcp::{port}", "--to", self.path("out")).ready()
        for address in ("127.0.0.1", "::1"):
            sock = lab.begin(socket.create_connection((address, port), lab.PATIENCE))
            sock.sendall(lab.data(address.encode()))
            lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)
        self.assertEqual(lab.frames_of(self.path("out")), [b"127.0.0.1", b"::1"])

    def test_an_address_that_is_taken_is_named(self):
        port = lab.free_port()
        self.know(here="127.0.0.1,127.0.0.2")
        with socket.socket() as taken:
            taken.bind(("127.0.0.2", port))
            taken.listen()
            bridge = self.named("--from", f"tcp:here.test:{port}", "--to", self.path("out"))
            self.assertEqual(bridge.wait(), 2)
        self.assertIn(f"cannot listen on 127.0.0.2:{port}: Address already in use", bridge.log())


class Nng(Names):
    def puller(self, address, port):
        return self.bridge("--from", f"nng+tcp:{address}:{port}", "--to", self.path("out"), hop="far").ready()

    def arrived(self, far):
        lab.eventually("the message", lambda: far.now()[0]["delivered"] == 1)
        self.assertEqual(far.stop(), 0)
        self.assertEqual(lab.frames_of(self.path("out")), [MESSAGE])

    def test_each_address_of_a_name_is_tried(self):
        port = lab.free_port()
        self.know(collector="127.0.0.2,127.0.0.1")
        far = self.puller("127.0.0.1", port)
        bridge, sock = self.sending(f"nng+tcp:collector.test:{port}")
        self.arrived(far)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_a_name_that_is_not_known_yet_is_asked_for_again(self):
        port = lab.free_port()
        far = self.puller("127.0.0.1", port)
        bridge, sock = self.sending(f"nng+tcp:collector.test:{port}")
        bridge.wait_log(r"no peer yet after \d+ s: cannot resolve 'collector.test'")
        self.know(collector="127.0.0.1")
        self.arrived(far)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_a_peer_that_moves_is_found_at_its_new_address(self):
        port = lab.free_port()
        self.know(collector="127.0.0.1")
        before = self.puller("127.0.0.1", port)
        bridge, sock = self.sending(f"nng+tcp:collector.test:{port}")
        self.arrived(before)
        bridge.wait_log(rf"127\.0\.0\.1:{port} gone")
        self.know(collector="127.0.0.2")
        os.unlink(self.path("out"))
        after = self.puller("127.0.0.2", port)
        after.wait_log("connected")
        sock.sendall(lab.data(MESSAGE))
        self.arrived(after)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_a_listener_on_a_name_listens_on_all_its_addresses(self):
        port = lab.free_port()
        self.know(here="127.0.0.1,127.0.0.2")
        far = self.named("--from", f"nng+tcp:here.test:{port}", "--to", self.path("out")).ready()
        for address in ("127.0.0.1", "127.0.0.2"):
            near = self.bridge("--from", lab.corpus("bind"), "--to", f"nng+tcp:{address}:{port}", hop="near")
            self.assertEqual(near.wait(), 0, near.log())
        lab.eventually("both", lambda: far.now()[0]["delivered"] == 2 * 893)
        self.assertEqual(far.stop(), 0)

    def test_a_resolver_that_is_silent_does_not_hold_a_stop_up(self):
        self.know(collector="hang")
        bridge, _ = self.sending(f"nng+tcp:collector.test:{lab.free_port()}", "--drain-timeout", "10ms")
        lab.eventually("the message in the ring", lambda: bridge.now()[0]["in_flight"] == 1)
        self.assertEqual(bridge.stop(), 1)

    def test_a_port_where_nobody_listens_is_said_by_address_and_by_name(self):
        port = lab.free_port()
        self.know(collector="127.0.0.2,127.0.0.1")
        bridges = [self.named("--from", "unix:" + self.path(f"in{i}"), "--to", f"nng+tcp:{host}:{port}", "--drain-timeout", "1ms")
                   for i, host in enumerate(("127.0.0.1", "collector.test"))]
        bridges[0].wait_log(r"no peer yet after \d+ s: the connection was refused")
        bridges[1].wait_log(rf"no peer yet after \d+ s: 127\.0\.0\.2:{port}: the connection was refused; "
                            rf"127\.0\.0\.1:{port}: the connection was refused")
        for bridge in bridges:
            self.assertEqual(bridge.stop(), 0)


class Silent:
    """A server that accepts and says nothing."""

    def __init__(self):
        self.port = lab.free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.taken = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.taken.append(self.listener.accept()[0])

    def close(self):
        self.listener.close()
        for sock in self.taken:
            sock.close()


class Http(Names):
    def test_a_registry_that_accepts_and_is_silent_does_not_hold_a_stop_up(self):
        server = Silent()
        self.addCleanup(server.close)
        bridge, _ = self.sending(f"kafka://127.0.0.1:{lab.free_port()}/t#schema-registry=http://127.0.0.1:{server.port}",
                                 "--drain-timeout", "10ms")
        lab.eventually("its connection", lambda: server.taken)
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route()["in_flight"], 1)
        self.assertNotIn("Timeout was reached", bridge.log())  # the stop ended the question, not its own time

    def test_a_resolver_that_is_silent_does_not_hold_a_stop_up(self):
        self.know(collector="hang")
        for url in (f"http://collector.test:{lab.free_port()}/#format=text,linger=0ms",
                    f"kafka://127.0.0.1:{lab.free_port()}/t#schema-registry=http://collector.test:{lab.free_port()}"):
            bridge, sock = self.sending(url, "--drain-timeout", "10ms")
            lab.eventually("the message in the ring", lambda: bridge.now()[0]["in_flight"] == 1)
            self.assertEqual(bridge.stop(), 1)
            sock.close()


if __name__ == "__main__":
    lab.main()
