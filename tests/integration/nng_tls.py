"""nng+tls between two hops: who has the right certificate gets everything, anybody else nothing."""

import subprocess
import time

import lab


class Tls(lab.Case):
    def authority(self, name):
        lab.need("openssl")
        key, cert = self.path(name + ".key"), self.path(name + ".pem")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                     "-subj", f"/CN={name}")
        return key, cert

    def certificate(self, name, authority):
        key, request, cert = self.path(name + ".key"), self.path(name + ".csr"), self.path(name + ".pem")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", request, "-CA", authority[1], "-CAkey", authority[0], "-CAcreateserial",
                     "-out", cert, "-days", "2")
        return f"cert={cert},key={key}"

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    def setUp(self):
        super().setUp()
        self.ours = self.authority("ours")
        self.listener = self.certificate("localhost", self.ours)
        self.port = lab.free_port()
        self.out = self.path("out.fstrm")

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
        near.wait_log("running:")
        time.sleep(2)  # the dialer has tried again and again by then
        near.stop()
        self.assertEqual(near.route()["delivered"], 0)
        far.stop()
        self.assertEqual(far.route()["received"], 0)

    def test_a_listener_with_a_certificate(self):
        far = self.far(self.listener)
        self.expect_all(far, self.near(f"ca={self.ours[1]}"))

    def test_both_with_certificates(self):
        far = self.far(f"{self.listener},ca={self.ours[1]}")
        self.expect_all(far, self.near(f"ca={self.ours[1]},{self.certificate('near', self.ours)}"))

    def test_a_dialer_without_or_with_the_wrong_certificate_sends_nothing(self):
        theirs = self.authority("theirs")
        for options in ("", "," + self.certificate("intruder", theirs)):
            with self.subTest(options=options):
                far = self.far(f"{self.listener},ca={self.ours[1]}")
                self.expect_nothing(far, self.near(f"ca={self.ours[1]}{options}"))
                lab.os.remove(self.out)

    def test_a_dialer_sends_nothing_to_a_listener_that_it_does_not_trust(self):
        theirs = self.authority("theirs")
        far = self.far(self.listener)
        self.expect_nothing(far, self.near(f"ca={theirs[1]}"))

    def test_mistakes_are_refused_before_anything_opens(self):
        url = "nng+tls:127.0.0.1:1"
        for direction, options, says in (("--from", "", "needs cert= and key="), ("--to", "", "needs ca="),
                                         ("--from", "#cert=/x", "go together"), ("--to", "#ca=/nothing", "/nothing"),
                                         ("--to", f"#ca={self.ours[0]}", "no certificates"),
                                         ("--from", f"#cert={self.ours[1]},key={self.ours[1]}", "no certificate and its key")):
            other = ["--to", "/dev/null"] if direction == "--from" else ["--from", "-"]
            code, _, err = lab.run_bridge("--check", direction, url + options, *other)
            self.assertEqual((code, err.count("\n")), (2, 1), err)
            self.assertIn(says, err)
        code, _, err = lab.run_bridge("--check", "--from", "nng+tcp:127.0.0.1:1#ca=/x", "--to", "-")
        self.assertEqual(code, 2)
        self.assertIn("is for nng+tls:", err)


if __name__ == "__main__":
    lab.main()
