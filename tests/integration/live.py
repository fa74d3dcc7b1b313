"""The live line: on a terminal, unless told otherwise, and never in anybody's way."""

import os
import pty
import re
import subprocess

import lab


class Live(lab.Case):
    def on_terminal(self, *args, stdout=subprocess.DEVNULL):
        """What the program writes to a terminal until it ends."""
        ours, theirs = pty.openpty()
        source = f"{lab.corpus('bind')}#loop=0,rate=2000/s"
        process = subprocess.Popen([lab.BRIDGE, "--from", source, "--to", "/dev/null", *args],
                                   stdin=subprocess.DEVNULL, stdout=theirs if stdout is None else stdout, stderr=theirs)
        self.addCleanup(process.kill)
        os.close(theirs)
        text = ""
        try:
            while piece := os.read(ours, 4096):
                text += piece.decode(errors="replace")
                if text.count("\r\x1b[Kin ") >= 3 or ("running:" in text and "--quiet" in args):
                    process.terminate()
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        process.wait(30)
        return text

    def test_it_shows_rates_and_losses_and_gives_way_to_other_lines(self):
        text = self.on_terminal()
        self.assertRegex(text, r"\r\x1b\[Kin [\d.]+k?/s  out [\d.]+k?/s  in flight \d+  dropped 0  failed 0  malformed 0  lost 0")
        stopping = re.search(r"[^\n]*stopping: the sinks have[^\n]*", text).group(0)
        self.assertRegex(stopping, r"\r\x1b\[Ktime=")
        self.assertIn("\r\x1b[Kledger of hop", text)

    def test_quiet_is_quiet(self):
        self.assertNotIn("in flight 0  dropped", self.on_terminal("--quiet"))

    def test_it_is_for_terminals_alone(self):
        code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", "/dev/null")
        self.assertEqual(code, 0)
        self.assertNotIn("\x1b", err)


if __name__ == "__main__":
    lab.main()
