"""Measures the paths of this program beside their peers: in one run, in turn, medians over the rounds.
Numbers are printed, never judged. Arguments: BUILD_DIRECTORY [--rounds N] [--loops N]."""

import argparse
import contextlib
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import certificates  # noqa: E402
import lab  # noqa: E402


CORPORA = ("unbound", "knot", "nsd", "bind", "recursor", "dnsdist")


class Meter:
    """One side of a measurement: a process whose time, memory and output are looked at."""

    def __init__(self, args, **kwargs):
        self.peak = 0
        self.process = subprocess.Popen([str(a) for a in args], stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, **kwargs)

    def end(self, number=15):
        # before it is a zombie: getrusage() would count what the parent's memory was at the fork
        with contextlib.suppress(OSError, AttributeError):
            with open(f"/proc/{self.process.pid}/status") as f:
                self.peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) * 1024
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        self.log = self.process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = status
        self.cpu = usage.ru_utime + usage.ru_stime
        return self


def can_connect(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def wait_size(path, size):
    """Waits until the file has its size, or has stopped growing, for something was lost: when that was,
    and whether it is complete."""
    last, last_change = -1, time.monotonic()
    while True:
        now = os.path.getsize(path) if os.path.exists(path) else 0
        if now != last:
            last, last_change = now, time.monotonic()
        if now >= size or time.monotonic() - last_change > 3:
            return last_change, now >= size
        time.sleep(0.0005)


class Bench:
    def __init__(self, build, rounds, loops):
        self.bridge = os.path.join(build, "bridge/dnstap-bridge")
        self.tools = os.path.join(build, "tests/bench")
        self.rounds, self.loops = rounds, loops
        self.folder = tempfile.mkdtemp(prefix="bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.corpus = lab.corpus("unbound")
        octets = lab.corpus_octets("unbound")
        self.frames = len(lab.split(octets)) * loops
        self.octets = (len(octets) - 42 - 12) * loops
        self.count = 0
        self.authority = None

    def path(self, name):
        return os.path.join(self.folder, f"{name}-{self.count}")

    def blast(self, sock):
        lab.eventually(sock, lambda: os.path.exists(sock))
        time.sleep(0.2)
        start = time.monotonic()
        sender = subprocess.Popen([os.path.join(self.tools, "blast"), self.corpus, str(self.loops), sock],
                                  stdout=subprocess.DEVNULL)
        return start, sender

    def finish(self, start, sender, meters, out, held_back=0):
        end, complete = wait_size(out, self.octets - held_back)
        seconds = end - start
        sender.wait()
        for meter in meters:
            meter.end()
        got = os.path.getsize(out)
        os.unlink(out)
        lost = 0 if complete else round(self.frames * (self.octets - got) / self.octets)
        cpu = sum(meter.cpu for meter in meters)
        return {"rate": self.frames / seconds, "cpu": cpu / self.frames * 1e6,
                "peak": max(meter.peak for meter in meters), "lost": lost, "log": meters[-1].log}

    # Frame Streams unix -> file

    def floor(self):
        sock, out = self.path("sock"), self.path("out")
        meter = Meter([os.path.join(self.tools, "floor"), sock, out])
        start, sender = self.blast(sock)
        return self.finish(start, sender, [meter], out)

    def ours(self, when_full="drop"):
        sock, out = self.path("sock"), self.path("out")
        meter = Meter([self.bridge, "--from", f"unix:{sock}#when-full={when_full}", "--to", out])
        start, sender = self.blast(sock)
        result = self.finish(start, sender, [meter], out)
        result["lost"] = self.frames - delivered(meter.log)
        return result

    def ours_blocking(self):
        return self.ours("block")

    def fstrm_capture(self):
        sock, out = self.path("sock"), self.path("out")
        meter = Meter(["fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", sock, "-w", out])
        start, sender = self.blast(sock)
        return self.finish(start, sender, [meter], out, held_back=1 << 16)

    def go_dnstap(self):
        sock, out = self.path("sock"), self.path("out")
        meter = Meter(["dnstap", "-u", sock, "-w", out])
        start, sender = self.blast(sock)
        return self.finish(start, sender, [meter], out, held_back=1 << 16)

    # file -> tcp or tls -> file, two processes: the receiver is measured

    def link(self, scheme, far_options="", near_options=""):
        out, port = self.path("out"), lab.free_port()
        far = Meter([self.bridge, "--from", f"{scheme}:127.0.0.1:{port}#when-full=block{far_options}", "--to", out])
        lab.eventually("a listener", lambda: can_connect(port))
        start = time.monotonic()
        near = Meter([self.bridge, "--from", f"{self.plain}#loop={self.loops}", "--to",
                      f"{scheme}:127.0.0.1:{port}#ring=8MiB{near_options}"])
        end, complete = wait_size(out, self.octets)
        near.process.wait()
        near.log = near.process.stderr.read().decode(errors="replace")
        far.end()
        os.unlink(out)
        return {"rate": self.frames / (end - start), "cpu": far.cpu / self.frames * 1e6, "peak": far.peak,
                "lost": self.frames - delivered(far.log) if complete else self.frames}

    def by_tcp(self):
        return self.link("tcp")

    def by_tls(self):
        if not self.authority:
            self.authority = certificates.Authority(self.folder)
            self.server = self.authority.sign("server", "IP:127.0.0.1")
            self.client = self.authority.sign("client")
        ca = ",ca=" + self.authority.cert
        return self.link("tls", f"{ca},{self.server.options()}", f"{ca},{self.client.options()}")

    def links(self):
        self.plain = os.path.join(self.folder, "plain")
        with open(self.plain, "wb") as f:
            f.write(lab.corpus_octets("unbound"))
        print(f"{self.rounds} rounds of {self.frames:,} messages ({self.octets >> 20} MiB), medians; {machine()}\n")
        self.measure("Frame Streams by a TCP connection to file", "tcp:", (("tcp:", self.by_tcp), ("tls:", self.by_tls)))

    # unix -> nng -> file

    def two_hops_blocking(self):
        return self.two_hops("block")

    def two_hops_receipts(self):
        return self.two_hops("block", True)

    def receipts_options(self, end):
        key = os.path.join(self.folder, "key-" + end)
        if not os.path.exists(key):
            subprocess.run([self.bridge, "receipts", "--new-key", key], check=True, stdout=subprocess.DEVNULL)
        return f"receipts={self.path('receipts-' + end)},receipts-key={key},receipts-every=1s"

    def two_hops(self, when_full="drop", receipts=False):
        sock, out, link = self.path("sock"), self.path("out"), "nng+ipc:" + self.path("nng")
        options = ["," + self.receipts_options(end) if receipts else "" for end in ("near", "far")]
        far = Meter([self.bridge, "--from", link + "#when-full=block" + options[1], "--to", out])
        near = Meter([self.bridge, "--from", f"unix:{sock}#when-full={when_full}", "--to", link + "#ring=64MiB" + options[0]])
        start, sender = self.blast(sock)
        seconds = wait_size(out, self.octets)[0] - start
        sender.wait()
        near.end()
        far.end()
        os.unlink(out)
        return {"rate": self.frames / seconds, "cpu": (near.cpu + far.cpu) / self.frames * 1e6,
                "peak": max(near.peak, far.peak), "lost": self.frames - delivered(far.log)}

    def bare_nng(self):
        out, link = self.path("out"), "ipc://" + self.path("nng")
        size = 64 * 1024
        messages = self.octets // size
        pull = Meter([os.path.join(self.tools, "nng_bare"), "pull", link, out])
        time.sleep(0.3)
        start = time.monotonic()
        push = Meter([os.path.join(self.tools, "nng_bare"), "push", link, messages])
        seconds = wait_size(out, messages * size)[0] - start
        push.end()
        pull.end()
        os.unlink(out)
        return {"rate": self.frames / seconds, "cpu": (push.cpu + pull.cpu) / self.frames * 1e6,
                "peak": max(push.peak, pull.peak), "lost": 0}

    def ring(self):
        out = subprocess.run([os.path.join(self.tools, "ring_bench"), "5000000"], capture_output=True, text=True)
        wall, cpu = map(float, out.stdout.split())
        return {"wall": wall, "cpu": cpu}

    # corpora -> text of all kinds, to /dev/null

    def all_corpora(self, loops):
        """Every corpus, one after the other, `loops` times, as one file; how many messages it holds."""
        path = os.path.join(self.folder, "corpora")
        payloads = [p for name in CORPORA for p in lab.split(lab.corpus_octets(name)) if isinstance(p, bytes)]
        with open(path, "wb") as f:
            f.write(lab.fstrm_file(payloads * loops))
        return path, len(payloads) * loops

    def per_cpu_second(self, messages, *args):
        child = subprocess.Popen([str(a) for a in args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        if status:
            raise SystemExit(f"{args}: exit status {status}")
        return messages / (usage.ru_utime + usage.ru_stime)

    def convert(self, loops):
        path, messages = self.all_corpora(loops)
        go = [["dnstap", "-r", path, flag, "-w", "/dev/null"] for flag in ("-j", "-y", "-q")]
        ours = [[self.bridge, "--from", path, "--to", "/dev/null#format=" + form]
                for form in ("json", "json,sections=question", "json,shape=golang", "yaml", "text")]
        sides = (("dnstap -j (Go)", go[0]), ("dnstap -y (Go)", go[1]), ("dnstap -q (Go)", go[2]),
                 ("json", ours[0]), ("json,sections=question", ours[1]), ("json,shape=golang", ours[2]),
                 ("yaml", ours[3]), ("text", ours[4]))
        if not shutil.which("dnstap"):
            print("SKIPPED: the Go dnstap is not installed")
            sides = sides[3:]
        rates = {name: [] for name, _ in sides}
        for _ in range(self.rounds):
            for name, args in sides:
                rates[name].append(self.per_cpu_second(messages, *args))
        median = {name: statistics.median(rows) for name, rows in rates.items()}
        print(f"| all corpora ({messages:,} messages) to /dev/null | messages per CPU second | of `dnstap -j` | of `dnstap -q` |\n"
              "| --- | --- | --- | --- |")
        for name, rate in median.items():
            ratios = [f"{rate / median[go]:.1f}" if go in median else "?" for go in ("dnstap -j (Go)", "dnstap -q (Go)")]
            print(f"| {name} | {rate:,.0f} | {ratios[0]} | {ratios[1]} |")
        print()
        sys.stdout.flush()

    # payloads -> NMSG containers, in memory

    def nmsg(self):
        rows = {}
        for _ in range(self.rounds):
            out = subprocess.run([os.path.join(self.tools, "nmsg_bench"), self.corpus, str(max(1, self.loops // 5))],
                                 check=True, capture_output=True, text=True).stdout
            for line in out.splitlines():
                name, *numbers = line.split()
                rows.setdefault(name, []).append([float(n) for n in numbers])
        print("| NMSG containers of 8192 octets, in memory | messages per CPU second | containers per CPU second | ratio |\n"
              "| --- | --- | --- | --- |")
        base = statistics.median(r[0] for r in rows["protobuf-c"])
        for name, r in rows.items():
            rate = statistics.median(x[0] for x in r)
            print(f"| {name} | {rate:,.0f} | {statistics.median(x[1] for x in r):,.0f} | {rate / base:.2f} |")
        print()
        sys.stdout.flush()

    def run(self, only=None):
        if only in (None, "nmsg"):
            self.nmsg()
        if only == "receipts":
            self.measure("unix socket to nng to file, two processes", "two hops", (
                ("two hops", self.two_hops_blocking), ("two hops, receipts on both ends", self.two_hops_receipts)))
        if only in (None, "links") and shutil.which("openssl"):
            self.links()
        if only in (None, "convert"):
            self.convert(max(1, self.loops // 50))
        if only:
            shutil.rmtree(self.folder)
            return
        paths = (
            ("Frame Streams unix socket to file", "floor: 64 KiB read and write", (
                ("floor: 64 KiB read and write", self.floor),
                ("dnstap-bridge, when-full=block", self.ours_blocking),
                ("dnstap-bridge, when-full=drop", self.ours),
                ("fstrm_capture", self.fstrm_capture if shutil.which("fstrm_capture") else None),
                ("dnstap (Go)", self.go_dnstap if shutil.which("dnstap") else None))),
            ("unix socket to nng to file, two processes", "bare nng push/pull, 64 KiB messages", (
                ("bare nng push/pull, 64 KiB messages", self.bare_nng),
                ("two hops, when-full=block", self.two_hops_blocking),
                ("the same with receipts on both ends", self.two_hops_receipts),
                ("two hops, when-full=drop", self.two_hops))),
        )
        print(f"{self.rounds} rounds of {self.frames:,} messages ({self.octets >> 20} MiB), medians; "
              f"files in {os.path.dirname(self.folder)}; {machine()}\n")
        for title, base, sides in paths:
            self.measure(title, base, sides)
        rings = [self.ring() for _ in range(self.rounds)]
        print("The ring alone, one batch at a time between two threads: "
              f"{statistics.median(r['wall'] for r in rings):.0f} ns a batch, "
              f"{statistics.median(r['cpu'] for r in rings):.0f} ns of the producer's processor time")
        shutil.rmtree(self.folder)

    def measure(self, title, base, sides):
        results = {name: [] for name, run in sides if run}
        for _ in range(self.rounds):
            for name, run in sides:
                if run:
                    self.count += 1
                    results[name].append(run())
                else:
                    print(f"SKIPPED: {name} is not installed")
        print(f"| {title} | messages/s | of the floor | CPU s per million | peak memory | lost |\n"
              "| --- | --- | --- | --- | --- | --- |")
        median = {name: {k: statistics.median(r[k] for r in rows) for k in ("rate", "cpu", "peak", "lost")}
                  for name, rows in results.items()}
        for name, m in median.items():
            print(f"| {name} | {m['rate']:,.0f} | {m['rate'] / median[base]['rate']:.0%} | {m['cpu']:.2f} | "
                  f"{memory(m['peak'])} | {m['lost']:,.0f} |")
        print()
        sys.stdout.flush()


def memory(octets):
    return f"{octets / 2**20:.0f} MiB" if octets else "gone before it was asked"


def delivered(log):
    """The sum of a ledger table's delivered column."""
    table = log.split("ledger of hop")[-1]
    rows = re.findall(r"^ +(\d+) +(\d+) +\d+ +\d+ +\d+ +\d+ +\d+$", table, re.M)
    return sum(int(d) for _, d in rows)


def machine():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return f"{os.cpu_count()} x {model.group(1) if model else platform.machine()}, Linux {platform.release()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", type=int, default=100)
    parser.add_argument("--only", choices=["convert", "links", "nmsg", "receipts"])
    arguments = parser.parse_args()
    Bench(arguments.build, arguments.rounds, arguments.loops).run(arguments.only)
