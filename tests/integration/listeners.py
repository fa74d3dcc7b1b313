"""Who comes to a listener, and is no sender, or a bad one; and what stands where it wants to listen."""

import contextlib
import os
import resource
import signal
import socket
import struct
import threading
import time

import certificates
import lab


class Listener(lab.Case):
    def listen(self, options="", **kwargs):
        self.port = lab.free_port()
        self.address = ("127.0.0.1", self.port)
        self.hop = self.bridge("--from", f"tcp:127.0.0.1:{self.port}#{options}", "--to", self.path("out.fstrm"), **kwargs).ready()

    def deliver(self, n=10):
        """A sender that gets through, now."""
        sock = lab.sender(self.address)
        for i in range(n):
            sock.sendall(lab.data(b"%d" % i))
        lab.finish(sock)


class Strangers(Listener):
    def test_other_protocols_are_named(self):
        self.listen()
        strangers = {
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "a TLS handshake, and this end is plain",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n": "an HTTP request",
            b"\x00\x5a\x08\x01\x12\x10abcdefghijklmnop": "PowerDNS' own protobuf",
            b"SSH-2.0-OpenSSH_9.2\r\n": "SSH",
            b"\x00SP\x00\x00\x50\x00\x00": "nng",
        }
        for octets, name in strangers.items():
            with lab.connect(self.address) as sock:
                sock.sendall(octets)
                self.assertEqual(sock.recv(100), b"")
            self.hop.wait_log(name)
        self.deliver()
        self.assertEqual(self.hop.stop(), 0, self.hop.log())

    def test_a_health_check_is_no_warning(self):
        self.listen()
        for _ in range(20):
            lab.connect(self.address).close()
            with lab.connect(self.address) as sock:  # as some balancers do
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.deliver()
        self.assertEqual(self.hop.stop(), 0)
        self.assertNotIn("level=warn", self.hop.log())

    def test_nor_is_one_of_a_tls_listener(self):
        authority = certificates.Authority(self.folder, "ca")
        authority.sign("localhost", "DNS:localhost,IP:127.0.0.1", file="here")
        port = lab.free_port()
        hop = self.bridge("--from", f"tls:127.0.0.1:{port}#cert={self.path('here.pem')},key={self.path('here.key')}", "--to",
                          self.path("out.fstrm")).ready()
        for _ in range(20):
            lab.connect(("127.0.0.1", port)).close()
        with lab.connect(("127.0.0.1", port)) as sock:
            sock.sendall(lab.control(lab.READY))  # Frame Streams in plain: this is told
            with contextlib.suppress(OSError):
                sock.recv(100)
        hop.wait_log("level=warn")
        self.assertEqual(hop.stop(), 0)
        self.assertEqual(hop.log().count("level=warn"), 1, hop.log())

    def test_a_frame_over_the_limit_names_the_option(self):
        self.listen("max-frame=4KiB")
        sock = lab.sender(self.address)
        sock.sendall(lab.data(b"x" * 5000))
        self.assertEqual(sock.recv(100), b"")
        self.hop.wait_log("frame of 5000 octets is longer than max-frame=4096")


class Places(Listener):
    def test_silence_after_start_keeps_nobody_out(self):
        self.listen("max-connections=8,handshake-timeout=500ms")
        silent = [lab.sender(self.address) for _ in range(8)]
        self.addCleanup(lambda: [sock.close() for sock in silent])
        time.sleep(0.6)
        for _ in range(5):
            self.deliver()
        self.assertIn("no message came since START", self.hop.log())
        self.assertEqual(self.hop.stop(), 0)

    def test_senders_that_speak_keep_their_places(self):
        self.listen("max-connections=4,handshake-timeout=200ms")
        speaking = [lab.sender(self.address) for _ in range(4)]
        for sock in speaking:
            sock.sendall(lab.data(b"x"))
        time.sleep(0.5)
        for _ in range(3):
            with lab.connect(self.address) as late, contextlib.suppress(OSError):
                self.assertEqual(late.recv(10), b"")
        for sock in speaking:
            sock.sendall(lab.data(b"y"))
            lab.finish(sock)
        self.assertEqual(self.hop.stop(), 0)
        self.assertEqual(self.hop.route()["delivered"], 8)

    def test_a_flood_of_connects_starves_no_data(self):
        self.listen("max-connections=1")
        sock = lab.sender(self.address)
        over = threading.Event()

        def flood():
            while not over.is_set():
                with contextlib.suppress(OSError):
                    socket.create_connection(self.address, timeout=5).close()

        threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        payload = lab.data(b"x" * 1000) * 50
        for _ in range(100):
            sock.sendall(payload)
        lab.finish(sock)
        over.set()
        for thread in threads:
            thread.join(lab.PATIENCE)
        self.assertEqual(self.hop.stop(), 0)
        self.assertEqual(self.hop.route()["delivered"], 5000)

    def test_the_end_of_descriptors_is_named(self):
        self.listen(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
        many = []
        self.addCleanup(lambda: [sock.close() for sock in many])
        for _ in range(60):
            many.append(lab.connect(self.address))
        self.hop.wait_log("no descriptor is left for it .* LimitNOFILE")
        for sock in many:
            sock.close()
        lab.eventually("a place", lambda: self.gets_through())
        self.assertEqual(self.hop.stop(), 0)

    def gets_through(self):
        try:
            self.deliver()
        except (OSError, EOFError):
            return False
        return True


class Paths(lab.Case):
    def refused(self, path, why):
        code, _, err = lab.run_bridge("--from", "unix:" + path, "--to", "/dev/null")
        self.assertEqual(code, 2)
        self.assertIn(why, err)

    def test_what_is_in_the_way_is_named(self):
        self.write("file", b"x")
        os.symlink("nowhere", self.path("dangling"))
        os.mkdir(self.path("folder"))
        self.refused(self.path("file"), "a plain file stands there")
        self.refused(self.path("dangling"), "a symbolic link stands there")
        self.refused(self.path("folder"), "a folder stands there")
        self.refused(self.path("no/sock"), "its folder is not there")
        self.assertEqual(lab.read_file(self.path("file")), b"x")
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(self.path("taken"))
        other.listen(1)
        self.refused(self.path("taken"), "another process listens there")

    def test_a_stale_socket_is_taken_over(self):
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(self.path("sock"))
        stale.close()
        hop = self.bridge("--from", "unix:" + self.path("sock"), "--to", "/dev/null").ready()
        self.assertEqual(hop.stop(), 0)
        self.assertFalse(os.path.exists(self.path("sock")))

    def test_a_path_that_another_has_bound_since_stays(self):
        path = self.path("sock")
        first = self.bridge("--from", "unix:" + path, "--to", "/dev/null", hop="first").ready()
        os.unlink(path)
        second = self.bridge("--from", "unix:" + path, "--to", self.path("out.fstrm"), hop="second").ready()
        self.assertEqual(first.stop(), 0)
        sock = lab.sender(path)  # it is still there
        sock.sendall(lab.data(b"x"))
        lab.finish(sock)
        self.assertEqual(second.stop(), 0)
        self.assertEqual(second.route()["delivered"], 1)
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    lab.main()
