"""Starts and ends the parts of scripts/demo: a root server, a resolver with dnstap, a collector, a bridge."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BRIDGE, QUERIES, SHOW = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
EXCHANGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "examples", "exchange.yaml")
CHANNELS = {5601: "raw", 5602: "deduplicated", 5603: "validated", 5604: "filtered", 5605: "chaff"}
ZONE = "example.corp"
HOSTS = 20


def free_port():
    """Free for UDP and TCP, and not one of those that the kernel gives to outgoing connections."""
    for port in random.sample(range(10240, 32768), 1000):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port
    raise SystemExit("demo: no port is free")


class Demo:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="dnstap-demo-")
        os.chmod(self.folder, 0o755)
        self.running = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def start(self, name, *args, **kwargs):
        log = open(self.path(name + ".log"), "w")
        process = subprocess.Popen(list(args), stderr=log, **kwargs)
        self.running.append(process)
        return process

    def log(self, name):
        with open(self.path(name + ".log")) as f:
            return f.read()

    def wait(self, what, test, seconds=60):
        end = time.monotonic() + seconds
        while not test():
            if time.monotonic() > end:
                logs = "".join(self.log(f[:-4]) for f in os.listdir(self.folder) if f.endswith(".log"))
                raise SystemExit(f"demo: waited in vain for {what}\n{logs}")
            time.sleep(0.05)

    def answers(self, port):
        done = subprocess.run(["kdig", "@127.0.0.1", "-p", str(port), "+timeout=1", "+retry=0", f"host1.{ZONE}"],
                              capture_output=True)
        return b"NOERROR" in done.stdout

    def start_root(self):
        """Knot answers for the root and all below it, so that no query leaves this machine."""
        port = free_port()
        # one host's TTL is longer than the exchange believes
        hosts = "\n".join(f"host{i}.{ZONE}. {1 if i else 2000000} IN A 192.0.2.{i}" for i in range(HOSTS))
        zone = self.write("root.zone", f". 1 IN SOA ns. root. 1 3600 600 86400 1\n. 1 IN NS ns.\n"
                                       f"ns. 1 IN A 127.0.0.1\n{hosts}\n")
        conf = self.write("knot.conf", f"""
server:
    rundir: {self.folder}
    listen: 127.0.0.1@{port}
database:
    storage: {self.path("knot-db")}
log:
  - target: stderr
    any: warning
zone:
  - domain: .
    file: {zone}
    semantic-checks: off
""")
        self.start("knot", "knotd", "-c", conf)
        self.wait("knot's answer", lambda: self.answers(port))
        return port

    def start_resolver(self, root, tap):
        port = free_port()
        conf = self.write("unbound.conf", f"""
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "iterator"
remote-control:
  control-enable: no
stub-zone:
  name: "."
  stub-addr: 127.0.0.1@{root}
dnstap:
  dnstap-enable: yes
  dnstap-socket-path: "{tap}"
  dnstap-bidirectional: yes
  dnstap-log-client-query-messages: yes
  dnstap-log-client-response-messages: yes
  dnstap-log-resolver-query-messages: yes
  dnstap-log-resolver-response-messages: yes
""")
        resolver = self.start("unbound", "unbound", "-d", "-c", conf)
        self.wait("unbound's answer", lambda: self.answers(port))
        return resolver, port

    def start_hop(self, name, *args, **kwargs):
        hop = self.start(name, BRIDGE, "--hop", name, *args, **kwargs)
        self.wait(f"{name} to run", lambda: "running:" in self.log(name))
        return hop

    def ask(self, port):
        queries = []
        for i in range(QUERIES):
            queries += [f"host{i % HOSTS}.{ZONE}", ("A", "AAAA", "TXT")[i % 3]]
            if i % 10 == 0:
                queries += [f"printer{i}.home.arpa", "A"]
        for i in range(0, len(queries), 100):
            subprocess.run(["kdig", "@127.0.0.1", "-p", str(port), "+short", *queries[i:i + 100]],
                           stdout=subprocess.DEVNULL, check=True)

    def show(self, stream):
        """Every message as it comes out of the second hop; the first and then some, for a reader's eye."""
        count = 0
        for line in stream:
            count += 1
            if count <= 20 or count % 50 == 0:
                print(f"{count:6d}  {line.decode(errors='replace').rstrip()}", flush=True)
        print(f"{count:6d}  messages came out", flush=True)

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    def run(self):
        tap, link = self.path("dnstap.sock"), f"nng+tcp:127.0.0.1:{free_port()}"
        print(f"unbound -> unix:{tap} -> collector -> {link} -> bridge -> file and terminal\n", flush=True)
        bridge = self.start_hop("bridge", "--from", link, "--to", "-#format=text",
                                "--to", self.path("dns.fstrm"), stdout=subprocess.PIPE)
        shower = threading.Thread(target=self.show, args=(bridge.stdout,))
        shower.start()
        collector = self.start_hop("collector", "--from", "unix:" + tap, "--to", link)
        resolver, port = self.start_resolver(self.start_root(), tap)
        self.ask(port)
        time.sleep(1.2)  # unbound hands on what it holds by the second
        self.stop(resolver)
        self.stop(collector)
        self.wait("the collector's goodbye", lambda: "ended at sequence" in self.log("bridge"))
        self.stop(bridge)
        shower.join()
        for name in ("collector", "bridge"):
            ledger = "ledger of" + self.log(name).split("ledger of")[-1]
            print("\n" + "\n".join(l for l in ledger.splitlines() if not l.startswith("time=")), flush=True)
        return bridge.returncode or collector.returncode

    def show_channel(self, port, at, counts):
        """What arrives on a channel, as JSON: the first few, and how many."""
        name = CHANNELS[port]
        reader = self.start(f"reader-{name}", BRIDGE, "--hop", name, "--from",
                            f"nng+tcp:127.0.0.1:{at}#socket=sub,channel={name}", "--to", "-#format=json,sections=question",
                            stdout=subprocess.PIPE)
        self.wait(f"the reader of {name}", lambda: "running:" in self.log(f"reader-{name}"))

        def read():
            for line in reader.stdout:
                counts[name] += 1
                m = json.loads(line)
                if counts[name] <= 2 or (m.get("repeats", 0) > 1 and counts[name] % 5 == 0):
                    keys = ("type", "qname", "qtype", "query_address", "repeats", "rejected")
                    told = " ".join(f"{key}={m[key]}" for key in keys if key in m)
                    os.write(1, f"{name:13s} {told}\n".encode())  # whole lines, whoever writes
        thread = threading.Thread(target=read)
        thread.start()
        return reader, thread

    def run_exchange(self):
        """The example's configuration as it is, but for the places."""
        with open(EXCHANGE) as f:
            text = f.read()
        ports = {port: free_port() for port in CHANNELS}
        for port, free in ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        config = self.write("exchange.yaml", text.replace("/run/dnstap-bridge", self.folder))
        print(f"unbound -> {', '.join(CHANNELS.values())}, as docs/examples/exchange.yaml says\n", flush=True)
        exchange = self.start("exchange", BRIDGE, "--config", config)
        self.wait("the exchange to run", lambda: "running:" in self.log("exchange"))
        counts = dict.fromkeys(CHANNELS.values(), 0)
        readers = [self.show_channel(port, ports[port], counts) for port in CHANNELS]
        self.wait("the subscribers", lambda: self.log("exchange").count("connected") >= len(CHANNELS))
        resolver, port = self.start_resolver(self.start_root(), self.path("dnstap.sock"))
        self.ask(port)
        time.sleep(1.2)
        self.stop(resolver)
        self.stop(exchange)
        for reader, thread in readers:
            self.stop(reader)
            thread.join()
        print("\narrived: " + ", ".join(f"{count} {name}" for name, count in counts.items()), flush=True)
        ledger = "ledger of" + self.log("exchange").split("ledger of")[-1]
        print("\n" + "\n".join(l for l in ledger.splitlines() if not l.startswith("time=")), flush=True)
        return 0 if all(counts.values()) else 1

    def end(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


demo = Demo()
try:
    status = demo.run_exchange() if SHOW == "exchange" else demo.run()
finally:
    demo.end()
sys.exit(status)
