"""What the command line says: help, mistakes, exit codes."""

import json
import os
import re
import socket
import subprocess

import lab


class Mistakes(lab.Case):
    def refused(self, *args, says):
        code, out, err = lab.run_bridge(*args)
        self.assertEqual(code, 2, (out, err))
        self.assertEqual(err.count("\n"), 1, err)
        for word in says:
            self.assertIn(word, err)

    def test_each_is_one_line_that_names_the_culprit_and_the_valid(self):
        out = self.path("out")
        self.refused(says=["--from"])
        self.refused("--from", lab.corpus("bind"), says=["--to"])
        self.refused("--form", "x", says=["'--form'", "--from"])
        self.refused("--from", says=["--from needs a value"])
        self.refused("--from", "carrier:pigeon", "--to", out, says=["carrier:", "unix:", "nng+tcp:"])
        self.refused("--from", "unix:", "--to", out, says=["no address"])
        self.refused("--from", "-#lop=3", "--to", out, says=["'lop'", "loop", "max-frame"])
        self.refused("--from", "-#loop=many", "--to", out, says=["loop", "'many'", "whole number"])
        self.refused("--from", "-#loop", "--to", out, says=["loop=..."])
        self.refused("--from", "-", "--to", out + "#format=xml", says=["'xml'", "dnstap|frames|json|nmsg|text|yaml"])
        self.refused("--from", "-", "--to", out + "#ring=9", says=["ring"])
        self.refused("--from", "-", "--to", "kafka://127.0.0.1:9/t#sasl\nkerberos=x", says=["line end"])
        self.refused("--from", "-", "--to", out + "#ring=64KiB", says=["ring=64KiB", "largest batch"])
        self.refused("--from", "-", "--to", out, "--hop", "", says=["--hop"])
        self.refused("--from", "-", "--to", out, "--drain-timeout", "soon", says=["'soon'", "5s"])

    def test_places_that_cannot_be_opened(self):
        out = self.path("out")
        source = lab.corpus("bind")
        self.refused("--from", self.path("absent"), "--to", out, says=["absent", "No such file"])
        self.refused("--from", self.folder, "--to", out, says=["directory"])
        self.refused("--from", source, "--to", self.path("no/such/folder"), says=["No such file"])
        self.refused("--from", "unix:" + self.path("no/such/folder"), "--to", out, says=["listen"])
        self.refused("--from", "unix:" + "x" * 200, "--to", out, says=["path"])
        self.refused("--from", "tcp:127.0.0.1", "--to", out, says=["no port", "HOST:PORT"])
        self.refused("--from", "nng+tcp:127.0.0.1:9#listen,dial", "--to", out, says=["exclude"])
        self.refused("--from", source, "--to", "unix:/x#format=text", says=["dnstap only"])
        self.refused("--from", source, "--to", self.path("x-%Q.gz"), says=["x-%Q.gz", "%Y"])

    def test_check_refuses_whatever_a_start_refuses_without_touching_the_outside(self):
        key = self.write("key", b"x")
        bad = [("tcp:127.0.0.1", "no port"), ("tcp:127.0.0.1:70000", "1 to 65535"), ("tcp:127.0.0.1:0", "1 to 65535"),
               ("tcp:::1:53", "brackets"), ("tls:127.0.0.1#fingerprint=" + 64 * "0", "no port"),
               ("unix:" + "x" * 200, "path"), ("nng+tcp:foo", "no port"), ("nng+tcp:", "no address"),
               ("nng+tcp:127.0.0.1:70000", "1 to 65535"), ("nng+tcp://127.0.0.1:0", "1 to 65535"),
               ("nng+tls:foo#ca=" + key, "no port"), ("nng+ipc:" + "x" * 108, "107"), ("nng+inproc:" + "x" * 300, "107"),
               ("nng+tcp:" + "x" * 300 + ":53", "255"),
               ("nmsg+udp:127.0.0.1", "no port"), ("nmsg+udp:127.0.0.1:65536", "1 to 65535"),
               ("nmsg+udp:127.0.0.1:9#iface=none0", "none0"), ("kafka://127.0.0.1:70000/topic", "1 to 65535"),
               ("kafka://a,:9092/topic", "no host"), ("kafka://a b/topic", "invalid host"), ("kafka://a/", "topic")]
        sinks = [("x-%Q.gz", "%Y"), ("%Y/x.fstrm", "folder"), ("http://127.0.0.1:70000/", "1 to 65535"),
                 ("http://127.0.0.1:0/", "1 to 65535"), ("http:127.0.0.1", "http://HOST:PORT"), ("http://a b/", "invalid URL"),
                 ("http://127.0.0.1/#header=x", "NAME:VALUE"), ("http://127.0.0.1/#bearer=file:/no/such", "/no/such"),
                 ("tcp:127.0.0.1:9#format=json", "dnstap only"), ("nng+tcp:127.0.0.1:9#channel=*", "channel"),
                 ("nng+tcp:127.0.0.1:9#format=json", "dnstap only"), ("nmsg+udp:127.0.0.1:9#format=json", "NMSG only"),
                 ("kafka://a/topic#schema-registry=ftp://x", "schema-registry"),
                 ("kafka://a/topic#schema-registry=http://x:70000", "1 to 65535")]
        sources = [("nng+tcp:127.0.0.1:9#channel=" + 300 * "x", "channel")]
        for place, says in bad + sources:
            self.refused("--check", "--from", place, "--to", "-", says=[says])
            self.refused("--from", place, "--to", self.path("out"), says=[says])
        for place, says in bad + sinks:
            self.refused("--check", "--from", "-", "--to", place, says=[says])
            self.refused("--from", lab.corpus("bind"), "--to", place, says=[says])
        for status in ("127.0.0.1", ":9153", "127.0.0.1:70000", "here", "127.0.0.1:0"):
            self.refused("--check", "--from", "-", "--to", "-", "--status", status, says=["--status", "ADDR:PORT"])

    def test_a_sink_that_leads_back_to_a_source_is_refused(self):
        for source, sink in (("kafka://a:9092,b/t", "kafka://B:9092,c/t"), ("kafka://a/t", "kafka://a:9092/t#format=json"),
                             ("tcp:127.0.0.1:9000", "tcp:127.0.0.1:9000"), ("unix:/x", "unix:/x"),
                             ("nng+tcp:127.0.0.1:9000", "nng+tcp:127.0.0.1:9000"),
                             ("nmsg+udp:127.0.0.1:9000", "nmsg+udp:127.0.0.1:9000")):
            self.refused("--check", "--from", source, "--to", sink, says=[sink.split("#")[0], source, "comes back"])
        self.refused("--check", "--from", "kafka://a/t#dead-letter=t", "--to", "-", says=["dead-letter", "topic that is read"])
        for source, sink in (("kafka://a/t", "kafka://a/u"), ("kafka://a/t", "kafka://b/t"), ("kafka://a:1/t", "kafka://a:2/t"),
                             ("kafka://a/t#dead-letter=u", "-"), ("-", "-")):
            self.assertEqual(lab.run_bridge("--check", "--from", source, "--to", sink)[0], 0)

    def test_the_advice_for_a_ring_is_taken(self):
        args = ["--check", "--from", "-#max-frame=1234567", "--to", "-#ring=%s"]
        code, _, err = lab.run_bridge(*args[:-1], args[-1] % "1MiB")
        self.assertEqual(code, 2)
        advice = re.search(r"give it (\S+),", err).group(1)
        code, _, err = lab.run_bridge(*args[:-1], args[-1] % advice)
        self.assertEqual((code, err), (0, ""))

    def test_the_nearest_is_offered(self):
        self.refused("--formm", "x", says=["'--formm'", "did you mean --from?", "--help"])
        self.refused("--frobnicate", says=["'--frobnicate'", "--help"])
        self.refused("unix:/run/x", says=["'unix:/run/x'", "--from URL"])
        self.refused(says=["--from URL", "--to URL", "--help"])
        self.refused("--from", "-", "--to", "-#fromat=json", says=["'fromat'", "did you mean 'format'?"])

    def test_a_host_and_port_without_a_scheme_is_no_file(self):
        for name in ("127.0.0.1:5555", "[::1]:53", "collector:6000", "bridge.example:5555"):
            self.refused("--from", "-", "--to", name, says=["tcp:" + name, "file:" + name])
        code, _, err = lab.run_bridge("--check", "--from", "-", "--to", "file:127.0.0.1:5555")
        self.assertEqual(code, 0, err)
        code, _, err = lab.run_bridge("--check", "--from", "-", "--to", "./127.0.0.1:5555")
        self.assertEqual(code, 0, err)

    def test_mistakes_are_json_where_the_log_is(self):
        for args in (["--log=json", "--nonsense"], ["--nonsense", "--log", "json"], ["--log=json", "--from", "-", "--to", "/no/where/x"]):
            code, _, err = lab.run_bridge(*args)
            self.assertEqual(code, 2)
            line = json.loads(err)
            self.assertEqual((line["level"], set(line)), ("error", {"time", "level", "hop", "msg"}))

    def test_the_ledger_is_json_where_the_log_is(self):
        code, _, err = lab.run_bridge("--log=json", "--from", lab.corpus("bind"), "--to", "/dev/null")
        self.assertEqual(code, 0)
        lines = [json.loads(line) for line in err.splitlines()]
        self.assertEqual(lines[-1]["msg"], "ledger")
        self.assertEqual(lines[-1]["ledger"]["routes"][0]["delivered"], 893)

    def test_values_are_quoted_where_they_need_it(self):
        code, _, err = lab.run_bridge("--hop", 'my "hop" = 1', "--from", lab.corpus("bind"), "--to", "/dev/null")
        self.assertEqual(code, 0)
        self.assertIn('hop="my \\"hop\\" = 1" msg=', err)

    def test_ports_taken(self):
        with socket.socket() as taken, socket.socket(socket.AF_UNIX) as taken_unix:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            taken_unix.bind(self.path("sock"))
            taken_unix.listen()
            for url, why in ((f"tcp:127.0.0.1:{port}", "in use"), (f"nng+tcp:127.0.0.1:{port}", "in use"),
                             ("unix:" + self.path("sock"), "another process listens there")):
                self.refused("--from", url, "--to", self.path("out"), says=[url, why])

    def test_a_socket_left_behind_is_taken_over(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.path("sock"))
        bridge = self.bridge("--from", "unix:" + self.path("sock"), "--to", self.path("out")).ready()
        self.assertEqual(bridge.stop(), 0)
        self.assertFalse(os.path.exists(self.path("sock")))

    def test_an_existing_file_is_not_overwritten(self):
        precious = self.write("precious", b"data")
        self.refused("--from", lab.corpus("bind"), "--to", precious, says=["exists"])
        self.assertEqual(lab.read_file(precious), b"data")


class Help(lab.Case):
    def test_help_fits_one_screen_and_shows_three_examples(self):
        code, out, _ = lab.run_bridge("--help")
        self.assertEqual(code, 0)
        lines = out.decode().splitlines()
        self.assertLessEqual(len(lines), 40)
        self.assertLessEqual(max(map(len, lines)), 100)
        self.assertEqual(sum("dnstap-bridge --from" in line and "Usage" not in line for line in lines), 3)

    def test_every_topic_has_its_help(self):
        short, long_ = lab.run_bridge("-h"), lab.run_bridge("--help")
        self.assertEqual(short, long_)
        for topic in ("kafka", "json", "dnstap", "frames", "policy", "keep", "receipts"):
            code, out, err = lab.run_bridge("--help", topic)
            self.assertEqual((code, err), (0, ""))
            self.assertTrue(out)
        self.assertEqual(lab.run_bridge("--help", "receipts"), lab.run_bridge("receipts", "-h"))
        self.assertEqual(lab.run_bridge("--help", "nonsense")[0], 2)

    def test_help_of_each_adapter(self):
        for scheme in ("file", "unix", "tcp", "nng+tcp", "nng+ipc", "http", "https"):
            code, out, _ = lab.run_bridge("--help", scheme)
            self.assertEqual(code, 0)
            self.assertIn(b"ring=", out)
        self.assertEqual(lab.run_bridge("--help", "pigeon")[0], 2)

    def steps(self):
        return re.findall(r"^  (\w+) ", lab.run_bridge("--help", "policy")[1].decode(), re.M)

    def test_the_adapters_page_is_what_the_help_says(self):
        page = lab.read_file(os.path.join(lab.ROOT, "docs/adapters.md")).decode()
        for scheme in ("file", "unix", "nng+tcp", "nmsg+udp", "kafka", "http", "cof", "json", "nmsg", "text", "yaml", "policy",
                       *self.steps()):
            text = lab.run_bridge("--help", scheme)[1].decode().rstrip()
            self.assertIn("".join("    " + line + "\n" if line else "\n" for line in text.split("\n")), page,
                          "run scripts/adapters-page and look at what changed")

    def test_the_manual_is_well_formed_and_knows_every_option(self):
        lab.need("mandoc")
        page = os.path.join(lab.ROOT, "docs/dnstap-bridge.1")
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True)
        self.assertEqual(lint.stdout, "")
        text = subprocess.run(["mandoc", "-T", "ascii", page], capture_output=True).stdout.decode()
        text = re.sub(".\b", "", text)
        for option in re.findall(r"^  (--[a-z-]+)", lab.run_bridge("--help")[1].decode(), re.M):
            self.assertIn(option, text)

    def test_version(self):
        code, out, _ = lab.run_bridge("--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, rb"^dnstap-bridge \d+\.\d+\.\d+\n$")

    def test_check_opens_nothing(self):
        code, out, err = lab.run_bridge("--check", "--from", "unix:" + self.path("sock"),
                                        "--to", self.path("out") + "#ring=8MiB")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(os.listdir(self.folder), [])
        for word in (b"when-full", b"memory ceiling: ", b"ring=8MiB"):
            self.assertIn(word, out.replace(b"makes it drop", b"when-full"))


if __name__ == "__main__":
    lab.main()
