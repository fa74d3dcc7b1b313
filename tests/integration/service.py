"""The bridge as a service: what the service manager is told, its unit, and the example configurations.
argv[1]: the unit as built."""

import glob
import os
import re
import signal
import socket
import subprocess
import sys

import certificates
import lab

UNIT = None
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "examples")


class Notify(lab.Case):
    def test_it_says_when_it_is_ready_alive_and_stopping(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(self.path("notify"))
        manager.settimeout(20)
        self.addCleanup(manager.close)
        bridge = self.bridge("--from", "unix:" + self.path("in"), "--to", "/dev/null",
                             env={"NOTIFY_SOCKET": self.path("notify"), "WATCHDOG_USEC": "200000"})
        said = [manager.recv(100)]
        while said.count(b"WATCHDOG=1") < 3:
            said.append(manager.recv(100))
        self.assertIn(b"READY=1", said)
        bridge.send(signal.SIGTERM)
        while said[-1] != b"STOPPING=1":
            said.append(manager.recv(100))
        self.assertEqual(bridge.wait(), 0)


class Unit(lab.Case):
    def test_it_is_sound_and_exposed_to_little(self):
        lab.need("systemd-analyze")
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT],
                              capture_output=True, timeout=60)
        if done.returncode != 0:
            self.skipTest("systemd-analyze does not run here: " + done.stderr.decode(errors="replace"))
        exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout.decode())
        self.assertLess(float(exposure.group(1)), 2.0, done.stdout.decode())


class Examples(lab.Case):
    def with_certificates(self, text):
        """The text of the example, with certificates that there are in place of those that it speaks of."""
        text = re.sub("/(run|var/lib)/dnstap-bridge", self.folder, text)
        if "/etc/dnstap-bridge" not in text:
            return text
        ours, partners = certificates.Authority(self.folder, "ca"), certificates.Authority(self.folder, "partner-ca")
        ours.sign("localhost", "DNS:localhost", file="collector")
        partners.sign("client")
        self.partner = partners.sign("localhost", "DNS:localhost", file="partner")
        text = re.sub('"(7D:E2|03c1)[^"]*"', self.partner.fingerprint(), text)
        return text.replace("/etc/dnstap-bridge", self.folder)

    def test_each_is_a_configuration(self):
        examples = sorted(glob.glob(os.path.join(EXAMPLES, "*.yaml")))
        self.assertGreaterEqual(len(examples), 4)
        for example in examples:
            with self.subTest(example=os.path.basename(example)):
                text = self.with_certificates(lab.read_file(example).decode())
                code, out, err = lab.run_bridge("--check", "--config", self.write("example.yaml", text.encode()))
                self.assertEqual(code, 0, err)
                self.assertIn(b"memory ceiling", out)

    def test_collector_and_bridge_run_as_they_are_but_for_the_places(self):
        port = lab.free_port()

        def with_places(name):
            text = lab.read_file(os.path.join(EXAMPLES, name)).decode()
            text = text.replace("bridge.example:5555", f"127.0.0.1:{port}").replace("0.0.0.0:5555", f"127.0.0.1:{port}")
            return self.write(name, re.sub("/(run|var/lib)/dnstap-bridge", self.folder, text).encode())
        far = self.program(lab.BRIDGE, "--config", with_places("bridge.yaml"))
        far.wait_log("running:")
        near = self.program(lab.BRIDGE, "--config", with_places("collector.yaml"))
        near.wait_log("running:")
        messages = lab.split(lab.corpus_octets("bind"))
        sock = lab.sender(self.path("dnstap.sock"))
        sock.sendall(b"".join(map(lab.data, messages)))
        lab.finish(sock)
        self.assertEqual(near.stop(), 0, near.log())
        far.wait_log("hop collector .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        archive = glob.glob(self.path("dns-*.fstrm.zst"))
        octets = b"".join(subprocess.run(["zstd", "-dcq", a], capture_output=True, check=True).stdout for a in archive)
        self.assertEqual(lab.split(octets), messages)
        self.assertEqual(lab.read_file(self.path("dns.json")).count(b"\n"), len(messages))

    def test_the_links_by_tls_run_as_they_are_but_for_the_places(self):
        near_port, far_port = lab.free_port(), lab.free_port()
        text = self.with_certificates(lab.read_file(os.path.join(EXAMPLES, "tls.yaml")).decode())
        text = text.replace("0.0.0.0:6354", f"127.0.0.1:{near_port}").replace("192.0.2.0/24", "127.0.0.0/8")
        text = text.replace("collector.partner.example:6354", f"localhost:{far_port}")
        far = self.bridge("--from", f"tls:127.0.0.1:{far_port}#{self.partner.options()},ca={self.path('partner-ca.pem')}", "--to",
                          self.path("out")).ready()
        near = self.program(lab.BRIDGE, "--config", self.write("tls.yaml", text.encode()))
        near.wait_log("running:")
        resolver = f"ca={self.path('ca.pem')},cert={self.path('collector.pem')},key={self.path('collector.key')}"
        code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", f"tls:localhost:{near_port}#{resolver}")
        self.assertEqual(code, 0, err)
        near.wait_log("stopped after 893 messages")
        self.assertEqual(near.stop(), 0, near.log())
        far.wait_log("stopped after 893 messages")
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.read_file(self.path("out")), lab.corpus_octets("bind"))


if __name__ == "__main__":
    UNIT = sys.argv.pop(1)
    lab.main()
