"""Frame Streams over TLS, both ends: who has the right certificate gets everything through; everybody else gets
nothing, is named, and costs the others nothing; new certificates on SIGHUP."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import termios
import threading
import time

import certificates
import lab
import servers

BEFORE, AFTER = "1", "2"


class TlsReceiver(lab.Receiver):
    """A collector that keeps what certificate each sender showed."""

    def __init__(self, address, context):
        self.context = context
        self.shown = []
        super().__init__(address)

    def _serve(self, sock, got):
        try:
            secured = self.context.wrap_socket(sock, server_side=True)
        except (OSError, ValueError):
            sock.close()
            return
        self.sockets[:] = [secured if s is sock else s for s in self.sockets]
        self.shown.append(secured.getpeercert(binary_form=True))
        super()._serve(secured, got)


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(lab.read_file(certificate.cert).decode())


def client(authority, certificate=None):
    context = ssl.create_default_context(cafile=authority.cert)
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    return context


class TlsCase(lab.Case):
    def setUp(self):
        super().setUp()
        self.authority = certificates.Authority(self.folder)
        self.server = self.authority.sign("localhost", "DNS:localhost,IP:127.0.0.1", file="server")
        self.client = self.authority.sign("client", "DNS:client")
        self.port = lab.free_port()
        self.out = self.path("out.fstrm")

    def ca(self):
        return "ca=" + self.authority.cert

    def far(self, options=None, **kwargs):
        options = options if options is not None else f"{self.server.options()},{self.ca()}"
        return self.bridge("--from", f"tls:127.0.0.1:{self.port}#when-full=block,{options}", "--to", self.out, hop="far",
                           **kwargs).ready()

    def near(self, options=None, source=None, host="localhost", drain="1s"):
        options = options if options is not None else f"{self.client.options()},{self.ca()}"
        return self.bridge("--drain-timeout", drain, "--from", source or lab.corpus("bind"), "--to",
                           f"tls:{host}:{self.port}#reconnect=100ms,{options}", hop="near")

    def secured(self, context=None):
        raw = lab.connect(("127.0.0.1", self.port))
        return (context or client(self.authority, self.client)).wrap_socket(raw, server_hostname="localhost")

    def sender(self, context=None):
        return lab.begin(self.secured(context))

    def server_context(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority.cert)
        context.load_cert_chain(self.server.cert, self.server.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def served(self):
        """The certificate that a new connection is served."""
        with self.secured() as sock:
            return sock.getpeercert(binary_form=True)


class Hops(TlsCase):
    def expect_all(self, far, near, name="bind"):
        self.assertEqual(near.wait(), 0, near.log())
        messages = lab.split(lab.corpus_octets(name))
        lab.eventually("all", lambda: far.now()[0]["delivered"] == len(messages))
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.read_file(self.out), lab.corpus_octets(name))
        for bridge in (far, near):
            route = bridge.route()
            self.assertEqual((route["received"], route["delivered"]), (len(messages), len(messages)))
        os.remove(self.out)

    def expect_nothing(self, far, near, far_says=None, near_says=None):
        near.wait_log(near_says or "trying again")
        if far_says:
            far.wait_log(far_says)
        near.stop()
        self.assertEqual(near.route()["delivered"], 0)
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(far.route()["received"], 0)
        os.remove(self.out)

    def test_both_with_certificates(self):
        for name in ("unbound", "knot", "nsd"):
            with self.subTest(corpus=name):
                far = self.far()
                self.expect_all(far, self.near(source=lab.corpus(name)), name)
                self.assertIn(f"started, certificate CN=client, SHA-256 {self.client.hex()}", far.log())

    def test_ways_to_trust_each_other(self):
        rsa = self.authority.sign("localhost", "DNS:localhost", kind=certificates.RSA, file="rsa", password="se-cret")
        secret = self.write("secret", b"se-cret\n")
        alone = certificates.Authority(self.folder, "alone", alternative="DNS:elsewhere.example")
        old = self.authority.sign("old", days=-1)
        for far, near, host in (
                (self.server.options(), self.ca(), "localhost"),
                (self.server.options(), self.ca(), "127.0.0.1"),  # by the address in the certificate
                (f"{rsa.options()},key-password=file:{secret}", self.ca(), "localhost"),
                (alone.options(), f"ca={alone.cert},server-name=elsewhere.example", "localhost"),
                # fingerprints alone: whoever signed it, however old, whatever its name
                (f"{alone.options()},fingerprint={old.fingerprint()}", f"fingerprint={alone.hex()},{old.options()}",
                 "localhost"),
                (f"{self.server.options()},fingerprint={alone.hex()},fingerprint={self.client.hex()},{self.ca()}",
                 f"{self.ca()},fingerprint={self.server.fingerprint()},{self.client.options()}", "localhost")):
            with self.subTest(far=far, near=near, host=host):
                self.expect_all(self.far(far), self.near(near, host=host))

    def test_who_is_not_trusted_gets_nothing_and_is_named(self):
        theirs = certificates.Authority(self.folder, "theirs")
        intruder, forger = theirs.sign("intruder"), theirs.sign('a"b\nlevel=error msg=well', file="forger")
        old = self.authority.sign("old", "DNS:localhost", days=-1)
        other = self.authority.sign("other.example", "DNS:other.example", file="other")
        ours, us = f"{self.server.options()},{self.ca()}", f"{self.ca()},{self.client.options()}"
        named = r"sender 127.0.0.1:\d+ was turned away: TLS: "
        for far, near, far_says, near_says in (
                (ours, self.ca(), named + "it shows no certificate", None),
                (ours, f"{self.ca()},{intruder.options()}",
                 named + f"its certificate CN=intruder, SHA-256 {intruder.hex()}, is refused: (unable to get local issuer|self-signed)", None),
                (ours, f"{self.ca()},{forger.options()}",
                 named + r"its certificate CN=a\\+\"b\\+0Alevel=error msg=well, SHA-256 " + forger.hex() + ", is refused", None),
                (ours, f"{self.ca()},{old.options()}",
                 named + f"its certificate CN=old, SHA-256 {old.hex()}, is refused: certificate has expired",
                 "alert certificate expired"),
                (f"{ours},fingerprint={other.hex()}", us,
                 named + f"its certificate CN=client, SHA-256 {self.client.hex()}, is refused: fingerprint= does not name it", None),
                (f"{self.server.options()},fingerprint={other.hex()}", us, named + "its certificate CN=client", None),
                (ours, f"ca={theirs.cert},{self.client.options()}", None,
                 f"its certificate CN=localhost, SHA-256 {self.server.hex()}, is refused: (unable to get local issuer|self-signed)"),
                (other.options(), us, None, "its certificate CN=other.example, .* is refused: hostname mismatch"),
                (old.options(), us, None, "its certificate CN=old, .* is refused: certificate has expired"),
                (ours, us + f",fingerprint={other.hex()}", None,
                 "its certificate CN=localhost, .* is refused: fingerprint= does not name it")):
            with self.subTest(far=far, near=near):
                self.expect_nothing(self.far(far), self.near(near), far_says, near_says)

    def test_many_senders_at_once(self):
        """Small messages, each a record; runs of them; and some larger than a batch: all in order, none missing."""
        far, context, errors = self.far(), client(self.authority, self.client), []

        def send(sender):
            try:
                sock = self.sender(context)
                head = b"%04d" % sender
                for i in range(0, 400, 2):
                    sock.sendall(lab.data(head + b"%06d" % i))
                    sock.sendall(lab.data(head + b"%06d" % (i + 1) + bytes(300000 if i % 100 == 0 else 1000)))
                sock.sendall(b"".join(lab.data(head + b"%06d" % i) for i in range(400, 10000)))
                lab.finish(sock)
            except Exception as error:
                errors.append(error)
        threads = [threading.Thread(target=send, args=(n,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        lab.eventually("all", lambda: far.now()[0]["delivered"] == 24 * 10000)
        self.assertEqual(far.stop(), 0, far.log())
        got = {}
        for frame in lab.frames_of(self.out):
            got.setdefault(int(frame[:4]), []).append(int(frame[4:10]))
        self.assertEqual(got, {n: list(range(10000)) for n in range(24)})

    def test_a_flapping_collector_is_found_again_each_time(self):
        receiver = TlsReceiver(("127.0.0.1", self.port), self.server_context())
        self.addCleanup(receiver.close)
        self.found_again_each_time(
            receiver, f"tls:localhost:{self.port}#reconnect=100ms,{self.ca()},{self.client.options()}")
        self.assertEqual(set(receiver.shown), {der(self.client)})

    def test_either_side_is_killed(self):
        far = self.far()
        source = self.path("source")
        near = self.near(source="unix:" + source, drain="20s").ready()
        sock = lab.sender(source)
        sock.sendall(lab.data(b"one"))
        lab.eventually("one", lambda: far.now()[0]["delivered"] == 1)
        far.kill()
        os.remove(self.out)
        sock.sendall(lab.data(b"two"))
        near.wait_log("trying again")
        far = self.far()
        lab.eventually("two", lambda: far.now()[0]["delivered"] == 1)
        near.kill()
        far.wait_log("sender .* closed after 1 messages: it ended without STOP")
        with self.sender() as again:
            again.sendall(lab.data(b"three"))
            lab.eventually("three", lambda: far.now()[0]["delivered"] == 2)
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.frames_of(self.out), [b"two", b"three"])

    def test_mistakes_are_refused_before_anything_opens(self):
        key, cert = self.server.key, self.server.cert
        for direction, options, says in (
                ("--from", "", "needs cert= and key="), ("--to", "", "needs ca="), ("--from", f"cert={cert}", "go together"),
                ("--from", f"cert={cert},key={cert}", f"option 'key': {cert} is no key of"),
                ("--from", f"cert={key},key={key}", f"option 'cert': {key} is no certificate"),
                ("--from", f"cert={cert},key={self.client.key}", "key values mismatch"),
                ("--to", "ca=/nothing", "/nothing"), ("--to", f"ca={key}", "holds no certificates"),
                ("--to", "fingerprint=ab", "64 hexadecimal digits, not 'ab'"),
                ("--to", f"fingerprint={'ab' * 33}", "64 hexadecimal digits"),
                ("--to", f"{self.ca()},key-password=x", "'key-password' needs key="),
                ("--from", f"{self.server.options()},server-name=x", "unknown option 'server-name'")):
            with self.subTest(options=options):
                other = ["--to", "/dev/null"] if direction == "--from" else ["--from", "-"]
                code, _, err = lab.run_bridge("--check", direction, f"tls:127.0.0.1:1#{options}", *other)
                self.assertEqual((code, err.count("\n")), (2, 1), err)
                self.assertIn(says, err)
        for option in ("ca=/x", "cert=/x", "fingerprint=ab", "key-password=x"):
            code, _, err = lab.run_bridge("--check", "--from", "tcp:127.0.0.1:1#" + option, "--to", "/dev/null")
            self.assertEqual(code, 2)
            self.assertIn("is for tls:", err)


class Hostile(TlsCase):
    """Beside all of them a good sender goes on, and not a message of it is lost."""

    def setUp(self):
        super().setUp()
        self.bridge_far = self.far(f"{self.server.options()},{self.ca()},max-handshakes=32,handshake-timeout=4s")
        self.good = self.sender()
        self.sent = 0

    def send(self, count=500):
        for _ in range(count):
            self.good.sendall(lab.data(b"%08d" % self.sent))
            self.sent += 1

    def check(self):
        self.send()
        lab.finish(self.good)
        lab.eventually("all", lambda: self.bridge_far.now()[0]["delivered"] == self.sent)
        self.assertEqual(self.bridge_far.stop(), 0, self.bridge_far.log())
        self.assertEqual(lab.frames_of(self.out), [b"%08d" % i for i in range(self.sent)])
        self.assertEqual(self.bridge_far.route()["received"], self.sent)

    def knock(self, octets):
        """What a connection that says this is answered until it is closed."""
        sock = lab.connect(("127.0.0.1", self.port))
        got = b""
        with contextlib.suppress(ConnectionError), sock:
            sock.sendall(octets)
            while piece := sock.recv(4096):
                got += piece
        return got

    def test_octets_that_are_no_tls(self):
        for octets, says in ((b"GET / HTTP/1.0\r\n\r\n", "speaks HTTP"), (lab.control(lab.READY) + b"x" * 100, "does not speak TLS"),
                             (b"\x16\x03\x01" + os.urandom(16384), "TLS: "), (os.urandom(20000), "TLS: "),
                             # a record of 2 octets, a message of 16 MiB that is never sent
                             (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "TLS: ")):
            self.send()
            answer = self.knock(octets)
            self.assertLess(len(answer), 100)  # an alert, or nothing
            self.assertNotIn(b"localhost", answer)
            self.bridge_far.wait_log(r"sender 127.0.0.1:\d+ closed after 0 messages: TLS: .*" + says.replace("TLS: ", ""))
        self.check()

    def s_client(self, *args, words=b""):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-cert", self.client.cert,
                               "-key", self.client.key, *args], input=words, capture_output=True, timeout=30)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_tls_1_1(self):
        said = self.s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertIn("alert protocol version", said)
        self.bridge_far.wait_log("it speaks no TLS from 1.2 on")
        for version, cipher in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            self.assertIn(cipher, self.s_client(version))
        self.assertIn("alert handshake failure", self.s_client("-tls1_2", "-cipher", "AES128-SHA256"))  # no forward secrecy
        self.check()

    def test_renegotiation(self):
        process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_2", "-cert",
                                    self.client.cert, "-key", self.client.key], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(0.5)
        said, _ = process.communicate(b"R\n", timeout=30)
        self.assertIn(b"no renegotiation", said)
        self.send()
        self.check()

    def test_new_keys(self):
        """Asked for by the sender, again and again; what is behind them in the same packet is not forgotten."""
        process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_3", "-cert",
                                    self.client.cert, "-key", self.client.key], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)

        def say(octets):
            process.stdin.write(octets)
            process.stdin.flush()
            # each a piece of its own for s_client: one that begins with K is a command
            lab.eventually("s_client to read it", lambda: process.poll() is not None or
                           fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)) == bytes(4))
        say(lab.control(lab.START))
        for asked in range(1, 21, 6):
            self.bridge_far.send(signal.SIGSTOP)
            for _ in range(asked):
                say(b"K\n")
            say(lab.data(b"%08d" % self.sent))
            self.bridge_far.send(signal.SIGCONT)
            self.sent += 1
            lab.eventually("it", lambda: self.bridge_far.now()[0]["delivered"] == self.sent)
        for _ in range(40):
            with contextlib.suppress(BrokenPipeError):
                say(b"K\n")
        self.bridge_far.wait_log("closed after 4 messages: TLS: it sends nothing but new keys")
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(20)
        self.check()

    def test_stalled_handshakes(self):
        hello = self.hello()
        idle = []
        for i in range(200):
            sock = lab.connect(("127.0.0.1", self.port))
            self.addCleanup(sock.close)
            sock.sendall((b"", hello[:1], hello[:100], hello)[i % 4])  # no word, a half one, no answer to the answer
            idle.append(sock)
            if i % 40 == 0:
                self.send(100)
        # a further sender gets in while they stand there, and so does one after it
        for _ in range(2):
            with self.sender() as another:
                another.sendall(lab.data(b"%08d" % self.sent))
                self.sent += 1
                lab.eventually("all", lambda: self.bridge_far.now()[0]["delivered"] == self.sent)
                lab.finish(another)
        self.bridge_far.wait_log("made room for others")
        for sock in idle:  # each is closed in the end
            with contextlib.suppress(ConnectionError):
                while sock.recv(4096):
                    pass
        self.check()

    def hello(self):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client(self.authority).wrap_bio(into, out, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        return out.read()

    def test_a_record_that_was_tampered_with(self):
        with self.sender() as sock:
            sock.sendall(lab.data(b"%08d" % self.sent))
            self.sent += 1
            with socket.socket(fileno=os.dup(sock.fileno())) as raw:  # below TLS
                raw.sendall(b"\x17\x03\x03\x00\x40" + os.urandom(64))
            with contextlib.suppress(OSError):
                sock.recv(1)
            self.bridge_far.wait_log("closed after 1 messages: TLS: .*bad record mac")
        self.check()

    def test_after_the_handshake_it_says_nothing(self):
        with self.secured() as quiet:
            quiet.settimeout(20)
            self.assertEqual(quiet.recv(1), b"")
        self.bridge_far.wait_log(r"it did not begin in time \(handshake-timeout\)")
        self.check()


class Crowd(TlsCase):
    def test_memory_stays_below_the_ceiling_whatever_is_claimed(self):
        """Handshakes that claim to be long, as many as may be, and as many connections as may be."""
        options = f"{self.server.options()},{self.ca()},max-connections=200,max-handshakes=100,partial=4096,handshake-timeout=60s"
        url = f"tls:127.0.0.1:{self.port}#{options}"
        far = self.bridge("--from", url, "--to", self.out).ready()
        before, context = far.status("VmRSS") * 1024, client(self.authority, self.client)
        senders = [self.sender(context) for _ in range(99)]
        claim = b"\x16\x03\x01\x40\x00\x01\x02\x01\x3c\x03\x03" + bytes(16378)  # of a message of 131,388 octets
        for _ in range(100):
            sock = lab.connect(("127.0.0.1", self.port))
            self.addCleanup(sock.close)
            sock.sendall(claim + b"\x16\x03\x03\x40\x00" + bytes(16000))
        lab.eventually("all of them", lambda: far.now() is not None and far.status("VmRSS") * 1024 > before + 100 * 100000)
        if not os.environ.get("TEST_SHORT"):  # a sanitizer's memory is its own
            allowed = lab.ceiling("--from", url, "--to", self.out + "2") - lab.ceiling("--from", self.path("s"), "--to", self.out + "2")
            self.assertLess(far.peak_octets() - before, allowed)
        for sock in senders:
            lab.finish(sock)
        self.assertEqual(far.stop(), 0, far.log())

    def test_more_connections_than_may_be_are_turned_away_and_counted(self):
        status = lab.free_port()
        far = self.bridge("--status", f"127.0.0.1:{status}", "--from",
                          f"tls:127.0.0.1:{self.port}#{self.server.options()},max-connections=3", "--to", self.out).ready()
        kept = [self.sender() for _ in range(3)]
        for i in range(2):
            with self.assertRaises(OSError):
                self.sender()
            far.wait_log(rf"turned away: 3 are connected \(max-connections=3; {i + 1} turned away so far\)")
        self.assertEqual(lab.metric(status, "source_turned_away_total"), 2)
        for sock in kept:
            lab.finish(sock)
        self.sender().close()
        far.stop()


class Reload(TlsCase):
    """Files are exchanged under the program, and SIGHUP says so."""

    def setUp(self):
        super().setUp()
        self.next = self.authority.sign("localhost", "DNS:localhost", file="next")
        self.first = der(self.server)

    def exchange(self, old, new, bridge, says="certificates read again"):
        shutil.copy(new.cert if isinstance(new, certificates.Certificate) else new, old.cert)
        if isinstance(new, certificates.Certificate):
            shutil.copy(new.key, old.key)
        before = len(re.findall(says, bridge.log()))
        bridge.send(signal.SIGHUP)
        bridge.wait_log(says, before + 1)

    def test_a_listener(self):
        far = self.far()
        sock = self.sender()
        sock.sendall(lab.data(b"before"))
        self.assertEqual(self.served(), self.first)
        self.exchange(self.server, self.next, far)
        self.assertEqual(self.served(), der(self.next))
        sock.sendall(lab.data(b"after"))
        broken = self.write("broken.pem", b"-----BEGIN CERTIFICATE-----\nnot one\n")
        self.exchange(self.server, broken, far, f"certificates stay as they were: option 'cert': {self.server.cert} is no certificate")
        self.assertEqual(self.served(), der(self.next))
        sock.sendall(lab.data(b"still"))
        lab.finish(sock)
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.frames_of(self.out), [b"before", b"after", b"still"])

    def test_a_listener_that_trusts_others(self):
        far = self.far()
        theirs = certificates.Authority(self.folder, "theirs")
        partner = theirs.sign("partner")
        old = self.sender()
        shutil.copy(theirs.cert, self.authority.cert + ".new")
        ours = client(self.authority, partner)  # still trusts the listener
        os.rename(self.authority.cert + ".new", self.authority.cert)
        far.send(signal.SIGHUP)
        far.wait_log("certificates read again")
        with self.sender(ours) as new:
            new.sendall(lab.data(b"new"))
            lab.eventually("new", lambda: far.now()[0]["delivered"] == 1)
        refused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        refused.check_hostname, refused.verify_mode = False, ssl.CERT_NONE
        refused.load_cert_chain(self.client.cert, self.client.key)
        with self.assertRaises((OSError, EOFError)):
            self.sender(refused)
        far.wait_log("its certificate CN=client, .* is refused")
        old.sendall(lab.data(b"old"))
        lab.finish(old)
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.frames_of(self.out), [b"new", b"old"])

    def test_a_partner_is_shut_out(self):
        """Its fingerprint is taken out of the configuration."""
        stays = self.authority.sign("stays")

        def config(fingerprints):
            return self.write("hop.yaml", json.dumps({
                "hop": "far", "sources": {"in": {"url": f"tls:127.0.0.1:{self.port}", "cert": self.server.cert, "when-full": "block",
                                                 "key": self.server.key, "fingerprint": fingerprints}},
                "sinks": {"out": self.out}}).encode())
        far = self.bridge("--config", config([self.client.fingerprint(), stays.hex()])).ready()
        out = self.sender()
        out.sendall(lab.data(b"one"))
        lab.eventually("one", lambda: far.now()[0]["delivered"] == 1)
        config([stays.hex()])
        far.send(signal.SIGHUP)
        with contextlib.suppress(ConnectionError):
            self.assertEqual(out.recv(1), b"")
        far.wait_log("no longer in the configuration")

        def again():  # while it opens anew, nobody listens
            with contextlib.suppress(OSError):
                return self.sender(client(self.authority, stays))
        with lab.eventually("a listener", again) as sock:
            sock.sendall(lab.data(b"two"))
            lab.finish(sock)
        with self.assertRaises((OSError, EOFError)):
            self.sender()
        far.wait_log("its certificate CN=client, .* is refused: fingerprint=")
        far.stop()
        self.assertEqual(lab.frames_of(self.out), [b"one", b"two"])

    def test_a_sender(self):
        receiver = TlsReceiver(("127.0.0.1", self.port), self.server_context())
        self.addCleanup(receiver.close)
        first, second = der(self.client), self.authority.sign("second")
        source = self.path("source")
        near = self.near(source="unix:" + source, drain="20s").ready()
        sock = lab.sender(source)

        def pass_on(text, connection):
            sock.sendall(lab.data(text))
            lab.eventually(text, lambda: len(receiver.connections) > connection and
                           lab.whole(bytes(receiver.connections[connection])).endswith(text))
        pass_on(b"one", 0)
        self.exchange(self.client, second, near)
        pass_on(b"two", 0)  # on the connection that stands
        receiver.drop()
        pass_on(b"three", 1)
        self.exchange(self.client, self.authority.key, near, "certificates stay as they were: option 'cert'")
        pass_on(b"four", 1)
        receiver.drop()
        pass_on(b"five", 2)
        self.assertEqual(receiver.shown, [first, der(second), der(second)])
        lab.finish(sock)
        self.assertEqual(near.stop(), 0, near.log())
        self.assertEqual(receiver.frames(), [[b"one", b"two"], [b"three", b"four"], [b"five"]])

    def test_a_sender_that_nobody_lets_in(self):
        """It waits with its batch in hand; new files are seen all the same."""
        receiver = TlsReceiver(("127.0.0.1", self.port), self.server_context())
        self.addCleanup(receiver.close)
        good = self.authority.sign("good")
        self.exchange_now(self.client, self.authority.sign("old", days=-1))
        near = self.near(drain="20s").ready()
        near.wait_log("alert certificate expired")
        self.exchange(self.client, good, near)
        self.assertEqual(near.wait(), 0, near.log())
        self.assertEqual(receiver.shown[-1], der(good))
        self.assertEqual(sum(map(len, receiver.frames())), 893)

    def exchange_now(self, old, new):
        shutil.copy(new.cert, old.cert)
        shutil.copy(new.key, old.key)


class Unbound(servers.Servers):
    """The real sender, with a certificate of its own, straight into the listener."""

    def setUp(self):
        super().setUp()
        lab.need("unbound", "knotd", "kdig", "dnsperf", "dnstap")

    def test_unbound(self):
        authority = certificates.Authority(self.folder)
        server = authority.sign("collector.example", "DNS:collector.example", file="server")
        ours = authority.sign("resolver-1", "DNS:resolver-1")
        port = lab.free_port()
        near, far = self.hops(f"tls:127.0.0.1:{port}", f"#{server.options()},ca={authority.cert},fingerprint={ours.hex()}")
        _, root = self.knot()
        unbound, asked = self.unbound(root, ("127.0.0.1", port), f"""dnstap-tls: yes
  dnstap-tls-server-name: "collector.example"
  dnstap-tls-cert-bundle: "{authority.cert}"
  dnstap-tls-client-key-file: "{ours.key}"
  dnstap-tls-client-cert-file: "{ours.cert}\"""")
        near.wait_log(f"started, certificate CN=resolver-1, SHA-256 {ours.hex()}")
        self.ask(asked)
        time.sleep(1.5)  # unbound's threads pass on what they hold by the second
        unbound.stop()
        near.wait_log(r"sender 127.0.0.1:\d+ (stopped|closed)")
        self.assertEqual(near.stop(), 0, near.log())
        far.wait_log("hop near .* ended")
        self.assertEqual(far.stop(), 0, far.log())
        quiet = subprocess.run(["dnstap", "-r", self.path("out"), "-q"], capture_output=True, check=True)
        kinds = [line.split()[1] for line in quiet.stdout.decode().splitlines()]
        for ledger in (near.ledger(), far.ledger()):
            self.assertEqual(ledger["routes"][0]["delivered"], len(kinds))
            self.assertEqual(ledger["lost"], 0)
        self.assertGreaterEqual(kinds.count("CQ"), servers.QUERIES)
        self.assertEqual(kinds.count("CQ"), kinds.count("CR"))
        self.assertEqual(kinds.count("RQ"), kinds.count("RR"))
        self.assertGreaterEqual(kinds.count("RQ"), servers.NAMES)

    def test_unbound_without_a_certificate_is_named(self):
        authority = certificates.Authority(self.folder)
        server = authority.sign("localhost", "DNS:localhost", file="server")
        port = lab.free_port()
        bridge = self.bridge("--from", f"tls:127.0.0.1:{port}#{server.options()},ca={authority.cert}", "--to", self.path("out")).ready()
        _, root = self.knot()
        _, asked = self.unbound(root, ("127.0.0.1", port), f"""dnstap-tls: yes
  dnstap-tls-server-name: "localhost"
  dnstap-tls-cert-bundle: "{authority.cert}\"""")
        self.ask(asked, 50)  # it answers all the same
        bridge.wait_log(r"sender 127.0.0.1:\d+ was turned away: TLS: it shows no certificate")
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(bridge.route()["received"], 0)


if __name__ == "__main__":
    lab.main()
