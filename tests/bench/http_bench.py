"""The HTTP sink into a local nginx that reads each body and answers 204, beside a bare libcurl program that posts the
same bodies: in one run, in turn, medians over the rounds. Printed, never judged.
Arguments: BUILD_DIRECTORY [--rounds N] [--loops N]."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
sys.path.insert(0, HERE)
import bench  # noqa: E402
import lab  # noqa: E402

SIZE, INFLIGHT = 1 << 20, 4
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; user {user};
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 0; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
"""


class HttpBench:
    def __init__(self, build, rounds, loops):
        self.build, self.rounds, self.loops = build, rounds, loops
        self.folder = tempfile.mkdtemp(prefix="http-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.port = lab.free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.source = os.path.join(self.folder, "in.fstrm")
        octets = lab.corpus_octets("unbound")
        with open(self.source, "wb") as f:
            f.write(octets)
        self.messages = len(lab.split(octets)) * loops

    def nginx(self):
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w") as f:
            f.write(CONFIG.format(folder=self.folder, port=self.port, user="root" if os.geteuid() == 0 else "nobody"))
        server = subprocess.Popen(["nginx", "-p", self.folder, "-c", path, "-e", self.folder + "/error.log"])
        lab.eventually("nginx", lambda: os.path.exists(self.folder + "/pid"))
        return server

    def bare(self, *mode):
        meter = subprocess.Popen([f"{self.build}/tests/bench/http_bare", self.url, self.source, str(self.loops), str(SIZE),
                                  str(INFLIGHT), *mode], stdout=subprocess.PIPE)
        took = float(meter.stdout.read())
        assert meter.wait() == 0
        return self.messages / took

    def bare_reading(self):
        return self.bare("read")

    def ours(self):
        start = time.monotonic()
        meter = subprocess.Popen([f"{self.build}/bridge/dnstap-bridge", "--from", f"{self.source}#loop={self.loops}",
                                  "--to", f"{self.url}#body=frames,batch-size={SIZE},batch-count=1000000,inflight={INFLIGHT}"],
                                 stderr=subprocess.PIPE)
        log = meter.stderr.read().decode()
        took = time.monotonic() - start
        assert meter.wait() == 0 and bench.delivered(log) == self.messages, log
        return self.messages / took

    def run(self):
        server = self.nginx()
        sides = (("bare libcurl, which reads the file", self.bare_reading), ("dnstap-bridge, from the same file", self.ours),
                 ("bare libcurl, all in memory before", self.bare))
        results = {name: [] for name, _ in sides}
        try:
            for _ in range(self.rounds):
                for name, run in sides:
                    results[name].append(run())
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(self.folder)
        base = statistics.median(results[sides[0][0]])
        print(f"{self.rounds} rounds of {self.messages:,} messages, medians; {bench.machine()}\n")
        print(f"| to nginx, bodies of 1 MiB, {INFLIGHT} at once | messages/s | of bare libcurl |\n| --- | --- | --- |")
        for name, rows in results.items():
            rate = statistics.median(rows)
            print(f"| {name} | {rate:,.0f} | {rate / base:.0%} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", type=int, default=200)
    arguments = parser.parse_args()
    if not shutil.which("nginx"):
        print("SKIPPED: nginx is not installed")
        sys.exit(77)
    HttpBench(arguments.build, arguments.rounds, arguments.loops).run()
