"""The lab's files without an engine: the compose file is sound, and its hops run natively by the same files."""

import glob
import http.server
import json
import os
import re
import shutil
import subprocess
import threading

import lab

DOCKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docker")


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.add(self.path)
        self.server.records += [json.loads(line) for line in body.splitlines()]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Compose(lab.Case):
    def test_the_compose_file_is_sound(self):
        if shutil.which("docker-compose"):
            command = ["docker-compose"]
        elif subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
            command = ["docker", "compose"]
        else:
            self.skipTest("needs docker-compose")
        for profile in ("nng", "kafka"):
            done = subprocess.run([*command, "-f", os.path.join(DOCKER, "compose.yaml"), "--profile", profile, "config"],
                                  capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.assertIn(b"bridge-" + profile.encode(), done.stdout)

    def test_every_mounted_file_is_there(self):
        text = lab.read_file(os.path.join(DOCKER, "compose.yaml")).decode()
        mounts = re.findall(r'"\./(lab/[^:]+):', text)
        self.assertGreaterEqual(len(mounts), 6)
        for mount in mounts:
            self.assertTrue(os.path.exists(os.path.join(DOCKER, mount)), mount)

    def test_unbound_takes_its_configuration(self):
        lab.need("unbound-checkconf")
        done = subprocess.run(["unbound-checkconf", os.path.join(DOCKER, "lab", "unbound.conf")], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def test_prometheus_takes_its_configuration_and_the_dashboard_asks_for_what_there_is(self):
        lab.need("promtool")
        done = subprocess.run(["promtool", "check", "config", os.path.join(DOCKER, "lab", "prometheus.yaml")],
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        with open(os.path.join(DOCKER, "lab", "grafana", "dashboards", "ledger.json")) as f:
            asked = set(re.findall(r"dnstap_bridge_\w+", json.dumps(json.load(f))))
        docs = lab.read_file(os.path.join(DOCKER, "..", "docs", "status.md")).decode()
        for name in asked:
            self.assertIn("`" + re.sub("^dnstap_bridge_|_bucket$", "", name) + "`", docs)


class Native(lab.Case):
    def test_each_hop_is_a_configuration(self):
        hops = [f for f in glob.glob(os.path.join(DOCKER, "lab", "*.yaml")) if not f.endswith("prometheus.yaml")]
        self.assertEqual(len(hops), 5)
        for hop in hops:
            text = lab.read_file(hop).replace(b"/data", self.folder.encode())
            code, out, err = lab.run_bridge("--check", "--config", self.write("hop.yaml", text))
            self.assertEqual(code, 0, err)

    def test_the_nng_path_runs_by_the_same_files(self):
        store = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
        store.paths, store.records = set(), []
        threading.Thread(target=store.serve_forever, daemon=True).start()
        self.addCleanup(store.server_close)
        self.addCleanup(store.shutdown)
        nng_port, nmsg_port = lab.free_port(), lab.free_port()

        def hop(name):
            text = lab.read_file(os.path.join(DOCKER, "lab", name + ".yaml")).decode()
            for there, here in (("bridge-nng:5555", f"127.0.0.1:{nng_port}"), ("0.0.0.0:5555", f"127.0.0.1:{nng_port}"),
                                ("store:9428", "127.0.0.1:%d" % store.server_address[1]),
                                ("nmsg:8430", f"127.0.0.1:{nmsg_port}"), ("0.0.0.0:8430", f"127.0.0.1:{nmsg_port}"),
                                ("0.0.0.0:9153", f"127.0.0.1:{lab.free_port()}"), ("/run/dnstap", self.folder),
                                ("/data", self.folder)):
                text = text.replace(there, here)
            program = self.program(lab.BRIDGE, "--config", self.write(name + ".yaml", text.encode()))
            program.wait_log("running:")
            return program
        partner, bridge, collector = hop("nmsg"), hop("bridge-nng"), hop("collector-nng")
        messages = lab.split(lab.corpus_octets("bind"))
        sock = lab.sender(self.path("dnstap.sock"))
        sock.sendall(b"".join(map(lab.data, messages)))
        lab.finish(sock)
        self.assertEqual(collector.stop(), 0, collector.log())
        bridge.wait_log("hop collector .* ended at sequence")
        self.assertEqual(bridge.stop(), 0, bridge.log())
        lab.eventually("the partner's lines", lambda: lab.read_file(self.path("nmsg.txt")).count(b"\n") == len(messages))
        self.assertEqual(partner.stop(), 0, partner.log())
        self.assertEqual(len(store.records), len(messages))
        self.assertEqual({p.split("?")[0] for p in store.paths}, {"/insert/jsonline"})
        archive = glob.glob(self.path("dns-*.fstrm.zst"))
        octets = b"".join(subprocess.run(["zstd", "-dcq", a], capture_output=True, check=True).stdout for a in sorted(archive))
        self.assertEqual(lab.split(octets), messages)


if __name__ == "__main__":
    lab.main()
