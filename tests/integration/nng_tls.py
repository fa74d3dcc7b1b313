"""nng+tls between two hops: who has the right certificate gets everything, anybody else nothing."""

import re
import shutil
import signal
import subprocess
import time

import certificates
import lab


class TlsCase(lab.Case):
    def setUp(self):
        super().setUp()
        self.ours = certificates.Authority(self.folder, "ours", certificates.RSA)
        self.server = self.sign("localhost")
        self.listener = self.server.options()
        self.port = lab.free_port()
        self.out = self.path("out.fstrm")

    def sign(self, name, authority=None, **kwargs):
        return (authority or self.ours).sign(name, kind=certificates.RSA, **kwargs)

    def far(self, options):
        return self.bridge("--from", f"nng+tls:127.0.0.1:{self.port}#when-full=block,{options}", "--to", self.out,
                           hop="far").ready()

    def near(self, options):
        return self.bridge("--drain-timeout", "1s", "--from", lab.corpus("bind"), "--to",
                           f"nng+tls:localhost:{self.port}#{options}", hop="near")

    def expect_all(self, far, near):
        self.assertEqual(near.wait(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.read_file(self.out), lab.corpus_octets("bind"))

    def expect_nothing(self, far, near):
        near.wait_log(r"no peer yet after \d+ s: .*TLS")  # it has tried again and again by then
        near.stop()
        self.assertEqual(near.route()["delivered"], 0)
        far.stop()
        self.assertEqual(far.route()["received"], 0)


class Tls(TlsCase):
    def test_a_listener_with_a_certificate(self):
        far = self.far(self.listener)
        self.expect_all(far, self.near(f"ca={self.ours.cert}"))

    def test_both_with_certificates(self):
        far = self.far(f"{self.listener},ca={self.ours.cert}")
        self.expect_all(far, self.near(f"ca={self.ours.cert},{self.sign('near').options()}"))

    def test_a_dialer_without_or_with_the_wrong_certificate_sends_nothing(self):
        theirs = certificates.Authority(self.folder, "theirs", certificates.RSA)
        for options in ("", "," + self.sign("intruder", theirs).options()):
            with self.subTest(options=options):
                far = self.far(f"{self.listener},ca={self.ours.cert}")
                self.expect_nothing(far, self.near(f"ca={self.ours.cert}{options}"))
                lab.os.remove(self.out)

    def test_a_dialer_sends_nothing_to_a_listener_that_it_does_not_trust(self):
        theirs = certificates.Authority(self.folder, "theirs", certificates.RSA)
        far = self.far(self.listener)
        self.expect_nothing(far, self.near(f"ca={theirs.cert}"))

    def test_a_name_of_its_own_and_a_key_with_a_password(self):
        server = self.sign("collector.example", password="se-cret")
        far = self.far(f"{server.options()},key-password=file:{self.write('secret', b'se-cret')}")
        self.expect_all(far, self.near(f"ca={self.ours.cert},server-name=collector.example"))

    def test_one_certificate_alone_may_be_trusted(self):
        """What fingerprint= does elsewhere: ca= names the partner's own certificate, which signed itself."""
        partner = certificates.Authority(self.folder, "partner", certificates.RSA)
        far = self.far(f"{self.listener},ca={partner.cert}")
        self.expect_nothing(far, self.near(f"ca={self.ours.cert},{self.sign('near').options()}"))
        lab.os.remove(self.out)
        far = self.far(f"{self.listener},ca={partner.cert}")
        self.expect_all(far, self.near(f"ca={self.ours.cert},{partner.options()}"))

    def test_mistakes_are_refused_before_anything_opens(self):
        url = "nng+tls:localhost:1"
        for direction, options, says in (("--from", "", "needs cert= and key="), ("--to", "", "needs ca="),
                                         ("--from", "#cert=/x", "go together"), ("--to", "#ca=/nothing", "/nothing"),
                                         ("--to", f"#ca={self.ours.key}", "no certificates"),
                                         ("--from", f"#cert={self.ours.cert},key={self.ours.cert}", "no certificate and its key")):
            other = ["--to", "/dev/null"] if direction == "--from" else ["--from", "-"]
            code, _, err = lab.run_bridge("--check", direction, url + options, *other)
            self.assertEqual((code, err.count("\n")), (2, 1), err)
            self.assertIn(says, err)
        for address in ("127.0.0.1:1", "[::1]:1"):
            code, _, err = lab.run_bridge("--check", "--from", "-", "--to", f"nng+tls:{address}#ca={self.ours.cert}")
            self.assertEqual(code, 2)
            self.assertIn("needs server-name=", err)
        code, _, err = lab.run_bridge("--check", "--from", "nng+tcp:127.0.0.1:1#ca=/x", "--to", "-")
        self.assertEqual(code, 2)
        self.assertIn("is for nng+tls:", err)


class Reload(TlsCase):
    """Files are exchanged under the program, and SIGHUP says so."""

    def served(self):
        """The fingerprint of the certificate that a new connection is served."""
        hello = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=30).stdout
        line = certificates.openssl("x509", "-noout", "-fingerprint", "-sha256", input=hello)
        return line.decode().strip().split("=")[1]

    def exchange(self, old, cert, key, bridge, says="certificates read again"):
        shutil.copy(cert, old.cert)
        shutil.copy(key, old.key)
        before = len(re.findall(says, bridge.log()))
        bridge.send(signal.SIGHUP)
        bridge.wait_log(says, before + 1)

    def live(self, options):
        """A pusher that goes on: its socket, and the hop."""
        source = self.path("source")
        near = self.bridge("--from", "unix:" + source, "--to", f"nng+tls:localhost:{self.port}#{options}", hop="near").ready()
        return lab.sender(source), near

    def pass_on(self, sock, far, text):
        before = far.now()[0]["delivered"]
        sock.sendall(lab.data(text))
        lab.eventually(text, lambda: far.now()[0]["delivered"] == before + 1)

    def test_a_listener(self):
        far = self.far(self.listener)
        sock, near = self.live(f"ca={self.ours.cert}")
        self.pass_on(sock, far, b"one")
        following = self.sign("localhost", file="next")
        self.assertEqual(self.served(), self.server.fingerprint())
        self.exchange(self.server, following.cert, following.key, far)
        for _ in range(3):
            self.assertEqual(self.served(), following.fingerprint())
        self.pass_on(sock, far, b"two")
        self.exchange(self.server, following.key, following.key, far, "certificates stay as they were: .* are no certificate")
        self.assertEqual(self.served(), following.fingerprint())
        self.pass_on(sock, far, b"three")
        lab.finish(sock)
        self.assertEqual(near.stop(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.frames_of(self.out), [b"one", b"two", b"three"])
        self.assertNotIn(" gone", near.log().split("stopping")[0])  # it was one connection all the time

    def test_a_dialer(self):
        far = self.far(f"{self.listener},ca={self.ours.cert}")
        wrong = self.sign("near", certificates.Authority(self.folder, "theirs", certificates.RSA))
        right, later = self.sign("right"), self.sign("later")
        sock, near = self.live(f"ca={self.ours.cert},{wrong.options()}")
        sock.sendall(lab.data(b"one"))
        time.sleep(1)
        self.assertEqual(far.now()[0]["received"], 0)
        self.exchange(wrong, right.cert, right.key, near)  # while it waits with the batch in hand
        lab.eventually("one", lambda: far.now()[0]["delivered"] == 1)
        self.exchange(wrong, later.cert, later.key, near)
        self.exchange(wrong, later.key, later.key, near, "certificates stay as they were")
        self.pass_on(sock, far, b"two")
        lab.finish(sock)
        self.assertEqual(near.stop(), 0, near.log())
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.frames_of(self.out), [b"one", b"two"])


if __name__ == "__main__":
    lab.main()
