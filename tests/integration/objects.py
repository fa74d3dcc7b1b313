"""objects.py ENCODE: format=json in both shapes, and format=yaml.

shape=golang and yaml are, octet for octet, what `dnstap -j` and `dnstap -y` print: of all corpora, and of
generated messages broken in every way. The one exception is counted: the reason why a message could not be
parsed, where it lies in RDATA that is made of parts (docs/json.md).

The flat shape is parsed by a real JSON parser and judged by docs/dnstap.schema.json."""

import base64
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import text

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MESSAGES = int(os.environ.get("TEXT_MESSAGES", "3000"))
REASON = re.compile(rb"(parse failed: )[^\"\n]*")
OTHER_REASONS = 0.09  # of generated messages, broken on purpose


class Generator(text.Generator):
    def address(self):
        """Lengths that make the Go tool stop are left out."""
        while True:
            address = super().address()
            if len(address) in (0, 4, 16):
                return address


def corpora():
    for path in sorted(glob.glob(os.path.join(text.DATA, "*.fstrm.gz"))):
        with gzip.open(path) as file:
            yield os.path.basename(path).split(".")[0], file.read()


def event(*fields):
    return text.number(15, 1000) + text.octets(1, b"ns1") + text.varint(1000 << 3 | 2) + (
        lambda body: text.varint(len(body)) + body)(b"".join(fields))


class Case(unittest.TestCase):
    encode = None

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def run_on(self, stream, *command):
        path = os.path.join(self.folder, "stream")
        with open(path, "wb") as file:
            file.write(stream)
        done = subprocess.run([a if a != "STREAM" else path for a in command], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=dict(os.environ, TZ="UTC"))
        return done.stdout, done.stderr.decode()

    def flat(self, stream, options=""):
        out, log = self.run_on(stream, self.encode, "json" + options, "STREAM")
        self.assertTrue(out.endswith(b"\n"))
        return [json.loads(line.decode("utf-8")) for line in out.splitlines()], log


@unittest.skipUnless(os.access(text.REFERENCE, os.X_OK), "the Go dnstap is not installed")
class Golang(Case):
    forms = (("json,shape=golang", "-j", b"\n"), ("yaml", "-y", b"---\n"))

    def both(self, stream, form, flag):
        want, _ = self.run_on(stream, text.REFERENCE, "-r", "STREAM", flag)
        have, _ = self.run_on(stream, self.encode, form, "STREAM")
        return want, have

    def test_corpora(self):
        for name, stream in corpora():
            for form, flag, _ in self.forms:
                with self.subTest(corpus=name, form=form):
                    want, have = self.both(stream, form, flag)
                    self.assertGreater(len(want), 1000)
                    self.assertTrue(want == have)

    def test_generated(self):
        seeds = [dns for _, stream in corpora() for m in list(text.frames(stream))[::150] for dns in text.dns_of(m)]
        generator = Generator(text.SEED + 2, seeds)
        messages = [generator.dnstap() for _ in range(MESSAGES)] + [text.carry(dns) for dns in text.name_edges()]
        for form, flag, mark in self.forms:
            want, have = self.both(text.stream_of(messages), form, flag)
            want, have = want.split(mark), have.split(mark)
            self.assertEqual(len(want), len(have))
            other = 0
            for i, (a, b) in enumerate(zip(want, have)):
                if a != b:
                    other += 1
                    if REASON.sub(rb"\1", a) != REASON.sub(rb"\1", b):
                        self.fail("%s: message %d: %s\nwant %r\nhave %r" % (form, i, messages[i].hex(), a, b))
            print("%s: %d of %d messages with another reason" % (form, other, len(messages)))
            self.assertLess(other, OTHER_REASONS * len(messages))


class Vectors(Case):
    def test_vectors(self):
        with open(os.path.join(text.DATA, "vectors", "mix.fstrm"), "rb") as file:
            stream = file.read()
        for form, kind in (("json,shape=golang", "json"), ("yaml", "yaml")):
            have, _ = self.run_on(stream, self.encode, form, "STREAM")
            with gzip.open(os.path.join(text.DATA, "vectors", f"mix.golang.{kind}.gz")) as file:
                self.assertEqual(file.read(), have)


class Flat(Case):
    def test_every_line_of_every_corpus_keeps_to_the_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        with open(os.path.join(ROOT, "docs", "dnstap.schema.json"), encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft7Validator.check_schema(schema)
        judge = jsonschema.Draft7Validator(schema)
        self.assertFalse(judge.is_valid({"type": "CLIENT_QUERY", "id": -1}))
        self.assertFalse(judge.is_valid({"type": "CLIENT_QUERY", "unheard": 1}))
        for name, stream in corpora():
            sent = len(list(text.frames(stream)))
            for options in (",raw=yes", ",sections=question"):
                lines, _ = self.flat(stream, options)
                self.assertEqual(len(lines), sent, name)
                step = max(1, len(lines) // 1500)  # of the large ones, a part; of all, those that are odd
                for line in lines[::step] + [l for l in lines if "parse_error" in l]:
                    judge.validate(line)

    def test_sections_question_leaves_out_the_lists_alone(self):
        lists = {"answers", "authorities", "additionals"}
        stream = dict(corpora())["knot"]
        for whole, part in zip(self.flat(stream)[0], self.flat(stream, ",sections=question")[0]):
            self.assertEqual({k: v for k, v in whole.items() if k not in lists}, part)

    def test_raw_is_what_came(self):
        stream = dict(corpora())["bind"]
        for message, line in zip(text.frames(stream), self.flat(stream, ",raw=yes")[0]):
            dns = list(text.dns_of(message))
            have = [base64.b64decode(line[k]) for k in ("query_message", "response_message") if k in line]
            self.assertEqual(dns, have)
            self.assertEqual(line["size"], len(have[-1]))

    def test_generated(self):
        seeds = [dns for _, stream in corpora() for m in list(text.frames(stream))[::150] for dns in text.dns_of(m)]
        generator = text.Generator(text.SEED + 3, seeds)
        messages = [generator.dnstap() for _ in range(MESSAGES)]
        lines, log = self.flat(text.stream_of(messages))
        self.assertIn("malformed=0", log)
        self.assertEqual(len(lines), len(messages))
        self.assertGreater(sum("parse_error" in line for line in lines), MESSAGES // 10)
        self.assertGreater(sum("answers" in line for line in lines), MESSAGES // 10)

    def test_an_event(self):
        expiry = event(text.number(1, 8), text.number(3, 1700000000), text.fixed32(4, 5000), text.octets(5, b"\7example\3com\0"),
                       text.number(6, 1), text.number(7, 1), text.number(24, 300), text.number(26, 12))
        (line,), _ = self.flat(text.stream_of([expiry]))
        self.assertEqual(line, {
            "time": "2023-11-14T22:13:20.000005000Z", "type": "EVENT", "identity": "ns1",
            "event": {"type": "CACHE_EXPIRY", "name": "example.com.", "rrclass": "IN", "rrtype": "A", "ttl": 300, "hits": 12}})
        out, _ = self.run_on(text.stream_of([expiry]), self.encode, "text", "STREAM")
        self.assertEqual(out, b'22:13:20.000005 EV cache-expiry "example.com." IN A\n')
        for form in ("json,shape=golang", "yaml"):
            out, log = self.run_on(text.stream_of([expiry, text.carry(b"")]), self.encode, form, "STREAM")
            self.assertIn("filtered=1 malformed=0", log)
            self.assertNotIn(b"EVENT", out)


if __name__ == "__main__":
    Case.encode = sys.argv.pop(1)
    unittest.main()
