"""The YAML configuration: as wide as the command line, and every mistake with its place."""

import json
import os
import re

import lab


class Configuration(lab.Case):
    def config(self, text):
        return self.write("hop.yaml", text.encode())

    def refused(self, text, *says):
        path = self.config(text)
        code, out, err = lab.run_bridge("--config", path)
        self.assertEqual((code, out), (2, b""), err)
        self.assertEqual(err.count("\n"), 1, err)
        for word in says:
            self.assertIn(word, err.replace(path, "FILE"))

    def test_it_runs_what_the_command_line_would(self):
        out, text = self.path("out.fstrm"), self.path("out.txt")
        path = self.config(f"""
hop: collector-1
ledger: {self.path('ledger.json')}
drain-timeout: 2s
sources:
  old: {{ url: {lab.corpus('bind')}, loop: 2 }}
  older: "{lab.corpus('recursor')}#loop=1"
sinks:
  archive: {out}
  lines:
    url: {text}
    format: text
    ring: 16MiB
""")
        program = self.program(lab.BRIDGE, "--config", path)
        self.assertEqual(program.wait(), 0, program.log())
        self.assertIn("ledger of hop collector-1", program.log())
        self.assertEqual(len(lab.frames_of(out)), 2 * 893 + 3174)
        self.assertTrue(os.path.exists(self.path("ledger.json")))
        self.assertEqual(lab.read_file(text).count(b"\n"), 2 * 893 + 3174)

    def test_check_says_the_same_for_both(self):
        path = self.config(f'hop: h\nsources: {{ a: {{ url: "unix:{self.path("s")}", max-frame: 64KiB }} }}\n'
                           f'sinks:\n  b: {{ url: "nng+tcp:127.0.0.1:1", listen: true }}\n')
        by_file = lab.run_bridge("--check", "--config", path)
        by_line = lab.run_bridge("--check", "--hop", "h", "--from", f"unix:{self.path('s')}#max-frame=64KiB",
                                 "--to", "nng+tcp:127.0.0.1:1#listen,name=b")
        self.assertEqual(by_file, by_line)
        self.assertEqual(by_file[0], 0)

    def test_lists_are_options_given_again(self):
        path = self.config('sources: { a: "-" }\nsinks:\n  b:\n    url: http://127.0.0.1:1/\n'
                           '    header: ["A: 1, and more", "B: 2"]\n')
        code, out, err = lab.run_bridge("--check", "--config", path)
        self.assertEqual(code, 0, err)
        self.assertIn(b"header=", out)

    def test_every_mistake_has_its_place(self):
        good = 'sources: { a: "-" }\nsinks: { b: "-#format=text" }\n'
        for text, says in (
                ("hop: [a]\n" + good, ("FILE:1:6: expected text, found a list",)),
                ("hopp: a\n" + good, ("FILE:1:1: unknown key 'hopp'; did you mean 'hop'?",)),
                ("colour: red\n" + good, ("FILE:1:1: unknown key 'colour'; valid: hop, status, ledger",)),
                ("hop: a\nhop: b\n" + good, ("FILE:2:1: 'hop' stands here twice, first in line 1",)),
                ("hop:\n" + good, ("FILE:1:5: expected text, found nothing",)),
                ("drain-timeout: soon\n" + good, ("FILE:1:16: ", "'soon'")),
                ("status: here\n" + good, ("FILE:1:9: ", "ADDR:PORT")),
                ("sources: [ a ]\n", ("FILE:1:10: expected a mapping of names to URLs",)),
                ("sources:\n  a: { url: 'unix:/s', max-frme: 1KiB }\n",
                 ("FILE:2:24: unknown option 'max-frme' of unix:/s; did you mean 'max-frame'?",)),
                ("sources:\n  a: { url: 'unix:/s', max-frame: lots }\n", ("FILE:2:35: ", "'lots'")),
                ("sources:\n  a: { max-frame: 1KiB }\n", ("FILE:2:6: there is no url: here",)),
                ("sources:\n  a: { url: 'unix:/s#max-frame=1KiB' }\n", ("FILE:2:13: ", "beside url:")),
                ("sources:\n  a: 'carrier:pigeon'\n", ("FILE:2:6: ", "unknown scheme 'carrier:'")),
                ("sources: { a: '-' }\nsinks:\n  b: { url: '-', format: text, raw: true }\n",
                 ("FILE:3:6: ", "option 'raw' is for format=json")),
                ("hop: 'a\n", ("FILE:", "invalid YAML")),
                ("hop: a\n---\nhop: b\n", ("FILE:2:1:", "a second YAML document")),
                ("", ("FILE: is empty",)),
                ("sources: { a: '-' }\n", ("there is no sink",))):
            with self.subTest(text=text):
                self.refused(text, *says)
        code, _, err = lab.run_bridge("--config", self.path("nothing.yaml"))
        self.assertEqual(code, 2)
        self.assertRegex(err, r"nothing.yaml: cannot read the configuration: No such file")

    def test_log_lines_are_json_where_asked_for(self):
        for args in (["--log=json"], ["--config", self.config("log: json\n" + 'sources: { a: "%s" }\n' % lab.corpus("bind"))]):
            with self.subTest(args=args):
                sources = [] if "--config" in args else ["--from", lab.corpus("bind")]
                code, _, err = lab.run_bridge("--hop", 'a "hop"', *args, *sources, "--to", "/dev/null")
                self.assertEqual(code, 0, err)
                line = json.loads(err.split("\n")[0])
                self.assertEqual((line["hop"], line["level"]), ('a "hop"', "info"))
                self.assertIn("running:", line["msg"])
        code, _, err = lab.run_bridge("--log", "xml", "--from", "-", "--to", "-")
        self.assertEqual((code, err.count("\n")), (2, 1))
        self.assertIn("logfmt or json", err)

    def test_an_anchor_stands_for_what_it_names(self):
        path = self.config('sources: { a: "-" }\nsinks:\n  b: &lines { url: "/dev/null", format: text }\n  c: *lines\n')
        code, out, err = lab.run_bridge("--check", "--config", path)
        self.assertEqual(code, 0, err)
        self.assertEqual(len(re.findall(rb"^sink /dev/null", out, re.M)), 2)


if __name__ == "__main__":
    lab.main()
