"""What the shells complete: by the program itself, and in bash, zsh and fish."""

import os
import pty
import re
import select
import subprocess
import time

import lab

SCRIPTS = os.path.join(lab.ROOT, "dist", "completions")


def words(before, word):
    code, out, err = lab.run_bridge("--complete", before, word)
    assert (code, err) == (0, ""), err
    return out.decode().splitlines()


class Program(lab.Case):
    def test_options(self):
        every = words("", "--")
        self.assertIn("--from", every)
        help_text = lab.run_bridge("--help")[1].decode()
        self.assertEqual(sorted(every), sorted(set(re.findall(r"^  (--[a-z-]+)", help_text, re.M))))
        self.assertEqual(words("x", "--le"), ["--ledger"])

    def test_urls_and_options(self):
        self.assertIn("unix:", words("--from", ""))
        self.assertNotIn("http://", words("--from", ""))
        self.assertIn("kafka://", words("--to", "k"))
        self.assertEqual(words("--to", "nng+tcp:h:1#so"), ["nng+tcp:h:1#socket="])
        self.assertEqual(words("--from", "nng+tcp:h:1#socket="), ["nng+tcp:h:1#socket=pull", "nng+tcp:h:1#socket=sub"])
        self.assertEqual(words("--to", "x.json#ring=1MiB,sections=q"), ["x.json#ring=1MiB,sections=question"])
        self.assertEqual(words("--to", "x#format=cof,win"), ["x#format=cof,window="])
        self.assertEqual(words("--to", "x.fstrm#win"), [])
        self.assertEqual(words("x", "--to=x#form"), ["--to=x#format="])
        self.assertEqual(words("--log", ""), ["logfmt", "json"])
        self.assertEqual(words("--config", "x"), [])

    def test_every_option_of_every_adapter_is_known(self):
        for scheme in ("file", "unix", "nng+tcp", "nmsg+udp", "kafka", "http"):
            text = lab.run_bridge("--help", scheme)[1].decode()
            sink = text.split("As a sink")[1]
            for option in re.findall(r"^  ([a-z0-9-]+)(?:=| )", sink, re.M):
                self.assertTrue(words("--to", f"{scheme}:x#{option}"), option)

    def test_help_topics(self):
        self.assertEqual(set(words("--help", "")) & {"kafka", "json", "frames", "policy", "keep", "receipts"},
                         {"kafka", "json", "frames", "policy", "keep", "receipts"})

    def test_receipts(self):
        self.assertEqual(words("/usr/bin/dnstap-bridge", "rec"), ["receipts"])
        self.assertEqual(words("receipts", "--co"), ["--compare"])
        self.assertIn("--new-key", words("receipts", ""))
        self.assertNotIn("receipts", words("--check", ""))


class Shells(lab.Case):
    def setUp(self):
        super().setUp()
        self.bin = self.path("bin")
        os.mkdir(self.bin)
        os.symlink(lab.BRIDGE, os.path.join(self.bin, "dnstap-bridge"))
        self.env = {**os.environ, "PATH": self.bin + ":" + os.environ["PATH"], "HOME": self.folder, "TERM": "dumb"}

    def test_bash(self):
        script = f"""
source {SCRIPTS}/dnstap-bridge.bash
compopt() {{ :; }}
ask() {{ COMP_LINE=$1; COMP_POINT=${{#1}}; COMPREPLY=(); _dnstap_bridge; echo "${{COMPREPLY[*]}}"; }}
ask 'dnstap-bridge --fr'
ask 'dnstap-bridge --from unix:/x --to nng+tcp:h:1#socket='
ask 'dnstap-bridge --to '
"""
        done = subprocess.run(["bash", "--norc", "-c", script], env=self.env, capture_output=True, check=True, text=True)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[:2], ["--from", "push pub"])  # behind the '=', where bash begins its word
        self.assertIn("kafka://", lines[2].split())

    def test_fish(self):
        lab.need("fish")
        script = f"source {SCRIPTS}/dnstap-bridge.fish; complete -C 'dnstap-bridge --to kaf'; complete -C 'dnstap-bridge --che'"
        done = subprocess.run(["fish", "--no-config", "-c", script], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout.split(), ["kafka://", "--check"], done.stderr)

    def test_zsh(self):
        """As typed: a tab, and what the line becomes."""
        lab.need("zsh")
        child, terminal = pty.fork()
        if child == 0:
            os.execvpe("zsh", ["zsh", "-f"], self.env)
        self.addCleanup(os.waitpid, child, 0)
        self.addCleanup(os.close, terminal)
        os.write(terminal, f"fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -u -D; PS1=; unsetopt beep\n".encode())
        seen = self.read(terminal, 2)
        os.write(terminal, b"echo ready-$((40+2))\n")
        deadline = time.monotonic() + lab.PATIENCE
        while b"ready-42" not in seen and time.monotonic() < deadline:
            seen += self.read(terminal, 0.5)
        os.write(terminal, b"dnstap-bridge --to kaf\t")
        after = b""
        while b"kafka://" not in after and time.monotonic() < deadline:
            after += self.read(terminal, 0.5)
        self.assertIn(b"kafka://", after, seen)
        os.write(terminal, b"\x03exit\n")
        self.read(terminal, 0.5)

    @staticmethod
    def read(terminal, seconds):
        got, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([terminal], [], [], left)[0]:
            try:
                got += os.read(terminal, 65536)
            except OSError:
                break
        return got


if __name__ == "__main__":
    lab.main()
