"""The HTTP sink against a server that misbehaves as it is told: the ledger is exact whatever it does."""

import base64
import email.utils
import json
import os
import re
import signal
import subprocess
import threading
import time
import unittest

import http_server
import lab
from http_server import OK, answer

COUNT = {"bind": 893, "unbound": 22890}


def text_of(name):
    return subprocess.run([lab.BRIDGE, "--from", lab.corpus(name), "--to", "-#format=text"],
                          capture_output=True, check=True).stdout.splitlines()


class HttpCase(lab.Case):
    def server(self, *args, **kwargs):
        server = http_server.Server(*args, **kwargs)
        self.addCleanup(server.close)
        return server

    def post(self, url, options, source="bind", env=None, stop=False):
        """Runs to the end; the bridge, and its route's ledger."""
        bridge = self.bridge("--from", lab.corpus(source), "--to", f"{url}#{options}", env=env)
        self.code = bridge.wait()
        return bridge, bridge.route()

    def whole(self, server, options, source="bind", **kwargs):
        bridge, route = self.post(server.url, options, source, **kwargs)
        self.assertEqual(self.code, 0, bridge.log())
        self.assertEqual(route["delivered"], COUNT[source])
        return bridge


class Bodies(HttpCase):
    def test_lines_as_they_are_in_batches(self):
        server = self.server()
        self.whole(server, "format=text,batch-count=100,inflight=1")
        self.assertEqual(server.lines(), text_of("bind"))
        self.assertEqual([r.body.count(b"\n") for r in server.taken], [100] * 8 + [93])
        self.assertEqual(server.connections, 1)  # kept alive
        self.assertEqual(server.taken[0].headers["Content-Type"], "text/plain; charset=utf-8")

    def test_batches_by_size(self):
        server = self.server()
        self.whole(server, "format=text,batch-size=8KiB,inflight=1")
        self.assertEqual(server.lines(), text_of("bind"))
        sizes = [len(r.body) for r in server.taken]
        self.assertLessEqual(max(sizes), 8192)
        self.assertGreater(min(sizes[:-1]), 8192 - 200)

    def test_batches_by_age(self):
        server, tap = self.server(), self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap, "--to", server.url + "#format=text,linger=100ms").ready()
        sock = lab.sender(tap)
        message = lab.split(lab.corpus_octets("bind"))[0]
        for count in (1, 2, 3):
            sock.sendall(lab.data(message))
            lab.eventually("the message", lambda: bridge.now()[0]["delivered"] == count)
        self.assertEqual(len(server.taken), 3)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_several_at_once_and_no_more(self):
        server = self.server(lambda r: time.sleep(0.05) or OK)
        self.whole(server, "format=text,batch-count=20,inflight=3")
        self.assertEqual(server.most_at_once, 3)
        self.assertEqual(sorted(server.lines()), sorted(text_of("bind")))

    def test_packed(self):
        lab.need("zstd")
        for packing in ("gzip", "zstd"):
            server = self.server()
            self.whole(server, f"format=text,compress={packing},batch-count=300,inflight=1")
            self.assertEqual(server.lines(), text_of("bind"))
            self.assertEqual(server.taken[0].headers["Content-Encoding"], packing)
            self.assertLess(sum(len(r.raw) for r in server.taken), sum(len(r.body) for r in server.taken) / 3)

    def test_frames(self):
        for options in ("", ",compress=gzip"):
            server = self.server()
            self.whole(server, "body=frames,inflight=1,batch-size=32KiB" + options)
            self.assertEqual(lab.split(b"".join(r.body for r in server.taken)), lab.split(lab.corpus_octets("bind")))
            self.assertEqual(server.taken[0].headers["Content-Type"], "application/x-dnstap-frames")

    def test_json_in_an_array_and_in_lines(self):
        for body in ("array", "ndjson"):
            server = self.server()
            self.whole(server, f"body={body},batch-count=100,inflight=1,compress=gzip")
            self.assertEqual(server.taken[0].headers["Content-Type"],
                             "application/json" if body == "array" else "application/x-ndjson")
            records = []
            for request in server.taken:
                records += json.loads(request.body) if body == "array" else map(json.loads, request.body.splitlines())
            self.assertEqual(len(records), 893)
            self.assertTrue(all(isinstance(r, dict) and r for r in records))

    def test_loki(self):
        server = self.server(lambda r: answer(204))
        self.whole(server, "body=loki,format=text,inflight=1,batch-count=100,label=job=a\"b,label=site=x")
        lines, last = [], 0
        for request in server.taken:
            self.assertEqual(request.path, "/loki/api/v1/push")
            (stream,) = json.loads(request.body)["streams"]
            self.assertEqual(stream["stream"], {"job": 'a"b', "site": "x"})
            for stamp, line in stream["values"]:
                self.assertGreaterEqual(int(stamp), last)
                last = int(stamp)
                lines.append(line.encode())
        self.assertEqual(lines, text_of("bind"))
        self.assertLess(abs(last / 1e9 - time.time()), 100)

    def test_loki_escapes_no_more_than_it_must(self):
        server = self.server(lambda r: answer(204))
        self.whole(server, "body=loki,format=json,inflight=1")
        lines = 0
        for request in server.taken:
            self.assertNotIn(b"\\u0022", request.body)
            (stream,) = json.loads(request.body)["streams"]
            for _, line in stream["values"]:
                json.loads(line)
                lines += 1
        self.assertEqual(lines, COUNT["bind"])

    def test_splunk(self):
        server = self.server()
        self.whole(server, "body=splunk,bearer=tok-en,inflight=1")
        self.assertEqual(server.taken[0].path, "/services/collector/event")
        self.assertEqual(server.taken[0].headers["Authorization"], "Splunk tok-en")
        self.assertEqual(len([json.loads(line)["event"] for line in server.lines()]), 893)

    def test_an_oversize_record_goes_alone(self):
        server = self.server()
        messages = [b"x" * n for n in (10, 5000, 10)]
        bridge = self.bridge("--from", self.write("in", lab.fstrm_file(messages)), "--to",
                             server.url + "#body=frames,batch-size=1KiB,inflight=1")
        self.assertEqual(bridge.wait(), 0)
        self.assertEqual([lab.split(r.body) for r in server.taken], [[m] for m in messages])


class Answers(HttpCase):
    def test_what_is_tried_again_until_it_is_taken(self):
        for bad in (408, 429, 500, 502, 503, None):
            with self.subTest(bad):
                server = self.server(lambda r: OK if r.number % 2 else (answer(bad, b"busy") if bad else None))
                bridge = self.whole(server, "format=text,inflight=1,batch-count=300")
                self.assertEqual(server.lines(), text_of("bind"))
                self.assertEqual(len(server.seen), 6)
                self.assertIn("trying again", bridge.log())
                if bad:
                    self.assertIn(f"answered {bad}: 'busy'", bridge.log())

    def test_an_answer_that_breaks_off(self):
        def judge(request):
            if request.number == 0:
                return 200, b"half", {"Content-Length": "1000", "Connection": "close"}
            return OK
        server = self.server(judge)
        server_taken = self.whole(server, "format=text,inflight=1")
        self.assertEqual(server.seen[0].body, server.seen[1].body)  # in doubt, and sent again
        self.assertIn("trying again", server_taken.log())

    def test_a_server_that_says_nothing(self):
        server = self.server(lambda r: time.sleep(1.0 if r.number == 0 else 0) or OK)
        bridge = self.whole(server, "format=text,inflight=1,timeout=300ms")
        self.assertRegex(bridge.log(), "(?i)timed? ?out")

    def test_garbage_instead_of_http(self):
        def judge(request):
            if request.number < 2:
                request.handler.wfile.write(b"\0\1\2 no http\r\n\r\n" * 10)
                return None
            return OK
        server = self.server(judge)
        self.whole(server, "format=text,inflight=1")

    def test_retry_after_in_seconds_and_as_a_date(self):
        for date in (False, True):
            times = []

            def judge(request):
                times.append(time.time())
                if request.number == 0:
                    when = email.utils.formatdate(time.time() + 2.9, usegmt=True) if date else "2"
                    return answer(429, b"", Retry_After=when)
                return OK
            server = self.server(judge)
            self.whole(server, "format=text,inflight=1,batch-count=500")
            self.assertGreater(times[1] - times[0], 1.0 if date else 1.95)

    def test_retry_after_has_a_bound(self):
        for seconds in ("9223372036854775807", "9223372036854775", "31536000"):
            server = self.server(lambda r: answer(503, b"", Retry_After=seconds))
            bridge = self.bridge("--from", lab.corpus("bind"), "--to", server.url + "#format=text,inflight=1",
                                 "--drain-timeout", "10ms").ready()
            bridge.wait_log(r"the server answered 503; trying again in 600 s")
            self.assertEqual(bridge.stop(), 1)

    def test_retry_after_holds_every_request(self):
        held = []

        def judge(request):
            held.append((time.monotonic(), request.number))
            return answer(503, b"", Retry_After="1") if request.number == 0 else OK
        server = self.server(judge)
        self.whole(server, "format=text,inflight=4,batch-count=20,batch-size=2KiB")
        late = [t for t, n in held if n > 8]  # the first requests may be under way already
        self.assertGreater(min(late) - held[0][0], 0.9)

    def test_steps_grow(self):
        times = []

        def judge(request):
            times.append(time.monotonic())
            return OK if request.number == 5 else answer(503)
        self.whole(self.server(judge), "format=text,inflight=1")
        steps = [b - a for a, b in zip(times, times[1:])]
        for step, least in zip(steps, (0.1, 0.2, 0.4, 0.8, 1.6)):
            self.assertGreater(step, least * 0.98)

    def test_other_answers_fail_and_say_why_once(self):
        for bad in (400, 401, 403, 404, 301):
            with self.subTest(bad):
                server = self.server(lambda r: answer(bad, b"no\nsuch \x01 thing" + b"x" * 5000,
                                                      Location="http://127.0.0.1:1/"))
                bridge, route = self.post(server.url, "format=text,inflight=1,batch-count=50")
                self.assertEqual(self.code, 1)
                self.assertEqual((route["failed"], route["delivered"]), (893, 0))
                said = re.findall(f"answered {bad}: 'no such   thing", bridge.log())
                self.assertTrue(1 <= len(said) <= 5, bridge.log())
                self.assertEqual(len(server.seen), 18)

    def test_failed_and_delivered_add_up(self):
        server = self.server(lambda r: OK if r.number % 3 else answer(400))
        _, route = self.post(server.url, "format=text,inflight=4,batch-count=10")
        self.assertEqual(len(server.lines()), route["delivered"])
        self.assertEqual(route["delivered"] + route["failed"], 893)

    def test_retry_for_gives_up(self):
        server = self.server(lambda r: answer(503, b"never"))
        bridge, route = self.post(server.url, "format=text,retry-for=1s,batch-count=500,inflight=2")
        self.assertEqual(self.code, 1)
        self.assertEqual(route["failed"], 893)
        self.assertGreater(len(server.seen), 4)

    def test_too_large_splits(self):
        server = self.server(lambda r: answer(413) if len(r.body) > 3000 else OK)
        bridge = self.whole(server, "format=text,inflight=1")
        self.assertEqual(server.lines(), text_of("bind"))
        refused = sum(len(r.body) > 3000 for r in server.seen)
        self.assertLess(refused, 8)  # it learns

    def test_too_large_alone_fails(self):
        lines = text_of("bind")
        limit = sorted(map(len, lines))[-20] + 1
        server = self.server(lambda r: answer(413) if len(r.body) > limit else OK)
        _, route = self.post(server.url, "format=text,inflight=2,batch-count=64")
        taken = [line for line in lines if len(line) + 1 <= limit]
        self.assertEqual(sorted(server.lines()), sorted(taken))
        self.assertEqual(route["delivered"], len(taken))
        self.assertEqual(route["failed"], 893 - len(taken))

    def test_a_server_that_comes_late_and_goes_and_comes(self):
        port = lab.free_port()
        bridge = self.bridge("--from", lab.corpus("bind") + "#rate=500/s", "--to",
                             f"http://127.0.0.1:{port}#format=text,inflight=1,linger=50ms")
        bridge.wait_log("trying again")
        first = self.server(port=port)
        lab.eventually("some to be taken", lambda: len(first.taken) > 3)
        first.judge = lambda r: None
        first.close()
        time.sleep(0.3)
        second = self.server(port=port)
        self.assertEqual(bridge.wait(), 0, bridge.log())
        got = first.lines() + second.lines()
        self.assertEqual(set(got), set(text_of("bind")))
        self.assertEqual(bridge.route()["delivered"], 893)


class Elastic(HttpCase):
    def bulk(self, judge):
        """`judge(document, times_seen)` gives a status for each."""
        self.docs, counts = [], {}

        def reply(request):
            lines = request.body.splitlines()
            items = []
            for action, doc in zip(lines[0::2], lines[1::2]):
                self.actions.add(action)
                whole = json.loads(doc)
                self.untimed += whole.get("@timestamp") != whole["time"]
                doc = re.sub(rb'^{"@timestamp":"[^"]*",', b"{", doc)
                counts[doc] = counts.get(doc, 0) + 1
                status = judge(doc, counts[doc])
                item = {"status": status}
                if status < 300:
                    self.docs.append(doc)
                else:
                    item["error"] = {"type": "t", "reason": "mapper says no" if status == 400 else "queue is full"}
                items.append({"create": item})
            return answer(200, {"errors": True, "items": items})
        self.actions, self.untimed = set(), 0
        return self.server(reply)

    def documents(self):
        code, out, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", "-#format=json")
        self.assertEqual(code, 0, err)
        return out.splitlines()

    def test_all_taken(self):
        server = self.bulk(lambda doc, n: 201)
        self.whole(server, "body=elastic,index=dnstap-x,batch-count=100,inflight=1")
        self.assertEqual(self.docs, self.documents())
        self.assertEqual(self.actions, {b'{"create":{"_index":"dnstap-x"}}'})
        self.assertTrue(server.seen[0].path.startswith("/_bulk?filter_path="))
        self.assertEqual(self.untimed, 0)  # a data stream refuses a document without @timestamp

    def test_an_index_for_each_day(self):
        self.bulk_server = self.bulk(lambda doc, n: 201)
        self.whole(self.bulk_server, "body=elastic,index=dnstap-%Y.%m.%d,batch-count=100,inflight=1")
        days = {json.loads(doc)["time"][:10].replace("-", ".") for doc in self.docs}
        self.assertEqual(self.actions, {b'{"create":{"_index":"dnstap-%s"}}' % day.encode() for day in days})

    def test_rejected_fail_and_busy_are_sent_again(self):
        documents = self.documents()
        bad = set(documents[3::7])
        busy = set(documents[1::5]) - bad
        server = self.bulk(lambda doc, n: 400 if doc in bad else 429 if doc in busy and n < 3 else 201)
        bridge, route = self.post(server.url, "body=elastic,batch-count=100,inflight=2,compress=gzip")
        self.assertEqual(self.code, 1)
        want = sorted(d for d in documents if d not in bad)
        self.assertEqual(sorted(self.docs), want)
        self.assertEqual(route["failed"], 893 - len(want))
        self.assertEqual(route["delivered"], len(want))
        self.assertIn("mapper says no", bridge.log())

    def test_bad_answers(self):
        for reply in (b"", b"{}", b"[1,2", b'{"items":[{"create":{}}]}', b"<html>hello</html>"):
            with self.subTest(reply):
                server = self.server(lambda r: answer(200, reply))
                bridge, route = self.post(server.url, "body=elastic,batch-count=500")
                self.assertEqual(route["failed"], 893)
                self.assertIn("no answer to _bulk", bridge.log())


class Secrets(HttpCase):
    def test_tokens_and_passwords_arrive_and_are_not_printed(self):
        token = self.write("token", b"from-a-file\n")
        basic = "Basic " + base64.b64encode(b"me:hun-ter2").decode()
        cases = (("bearer=lite-ral", "lite-ral", "Bearer lite-ral", ""), (f"bearer=file:{token}", "from-a-file", "Bearer from-a-file", ""),
                 ("bearer=env:TEST_TOKEN", "from-env", "Bearer from-env", ""), ("user=me,password=hun-ter2", "hun-ter2", basic, ""),
                 ("user=me,password=env:TEST_PASSWORD", "hun-ter2", basic, ""), ("linger=1s", "hun-ter2", basic, "me:hun-ter2@"))
        for options, secret, header, userinfo in cases:
            with self.subTest(options):
                server = self.server(lambda r: answer(400, ("you said " + r.headers["Authorization"]).encode()))
                url = server.url.replace("//", "//" + userinfo) + "/in"
                env = {"TEST_TOKEN": "from-env", "TEST_PASSWORD": "hun-ter2"}
                bridge, _ = self.post(url, "format=text," + options, env=env)
                self.assertEqual(server.seen[0].headers["Authorization"], header)
                self.assertIn("answered 400", bridge.log())
                code, out, err = lab.run_bridge("--check", "--from", lab.corpus("bind"), "--to",
                                                f"{url}#format=text,{options}", env={**os.environ, **env})
                self.assertEqual(code, 0, err)
                ledger = lab.read_file(bridge.ledger_path).decode()
                for text in (bridge.log(), out.decode(), err, ledger):
                    self.assertNotIn(secret, text)

    def test_headers(self):
        server = self.server()
        bridge = self.whole(server, "format=text,header=X-One: 1,header=X-Key: env:TEST_KEY,header=X-Two:b=c",
                            env={"TEST_KEY": "k"})
        headers = server.seen[0].headers
        self.assertEqual((headers["X-One"], headers["X-Key"], headers["X-Two"]), ("1", "k", "b=c"))

    def test_a_header_with_a_control_character_is_refused(self):
        for value in ("k\x01", "k\x7fk"):
            code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", "http://h#format=text,header=X-Key: env:TEST_KEY",
                                          env={**os.environ, "TEST_KEY": value})
            self.assertEqual(code, 2, err)
            self.assertIn("X-Key: the secret env:TEST_KEY is empty or holds a control character", err)

    def test_an_authorization_of_another_kind(self):
        server = self.server()
        self.whole(server, "format=text,header=Authorization: ApiKey abc")
        self.assertEqual(server.seen[0].headers["Authorization"], "ApiKey abc")

    def test_check_refuses_headers_and_indices(self):
        for options in ("format=text,header=Host:x", "body=elastic,index=a-%q", "format=text,label=a=b"):
            code, _, err = lab.run_bridge("--check", "--from", lab.corpus("bind"), "--to", "http://h#" + options)
            self.assertEqual(code, 2, err)

    def test_mistakes(self):
        for sink, said in (
                ("http://127.0.0.1#format=text,body=frames", "dnstap"), ("http:x#format=text", "URL"),
                ("http://#format=text", "URL"), ("http://h#format=text,index=x", "elastic"),
                ("http://h#format=text,label=a=b", "loki"), ("http://h#format=text,body=loki,label=ab", "NAME=VALUE"),
                ("http://h#format=text,header=novalue", "NAME:VALUE"), ("http://h#format=text,header=a b:c", "not the name"),
                ("http://h#format=text,header=content-type: x/y", "header=content-type"),
                ("http://h#format=text,header=X:1,header=Host: x", "header=Host"),
                ("http://h#format=text,header=Transfer-Encoding:chunked", "header=Transfer-Encoding"),
                ("http://h#format=text,header=Content-Length:1", "header=Content-Length"),
                ("http://h#format=text,bearer=a,header=authorization:b", "header=authorization"),
                ("http://u:p@h#format=text,header=Authorization:b", "header=Authorization"),
                ("http://h#body=elastic,index=dns-%Q", "unknown '%Q'"), ("http://h#body=elastic,index=dns-%", "unknown '%'"),
                ("http://h#body=elastic,index=DNS", "capital"), ("http://h#body=elastic,index=_dns", "invalid name"),
                ("http://h#format=text,bearer=file:/no/such", "/no/such"), ("http://h#format=text,bearer=env:NOT_SET", "NOT_SET"),
                ("http://h#format=text,password=x", "user="), ("http://h#format=text,user=a,bearer=b", "exclude"),
                ("https://h#format=text,ca=/no/ca", "/no/ca"), ("https://h#format=text,cert=/etc/passwd", "together"),
                ("http://h#format=text,compress=lz4", "gzip|zstd"), ("http://h#format=text,inflight=0", "1 to")):
            with self.subTest(sink):
                code, _, err = lab.run_bridge("--from", lab.corpus("bind"), "--to", sink)
                self.assertEqual(code, 2, err)
                self.assertIn(said, err)


class Stalls(HttpCase):
    def test_a_server_that_never_answers_stalls_nobody_else(self):
        release = threading.Event()
        server = self.server(lambda r: release.wait(60) and OK)
        self.addCleanup(release.set)
        tap = self.path("tap")
        args = ("--from", "unix:" + tap + "#max-frame=4KiB,max-connections=8,partial=64KiB", "--to",
                server.url + "#body=frames,ring=1MiB,batch-size=256KiB,inflight=2", "--to", self.path("good"))
        limit = lab.ceiling(*args)
        bridge = self.bridge(*args, "--drain-timeout", "200ms").ready()
        sock = lab.sender(tap)
        for i in range(20000):
            sock.sendall(lab.data(b"%09d" % i + b"x" * 991))
        lab.finish(sock)
        lab.eventually("the good sink to have all", lambda: bridge.now()[1]["delivered"] == 20000)
        bad = bridge.now()[0]
        self.assertEqual(bad["received"], 20000)
        self.assertGreater(bad["dropped"], 10000)
        self.assertEqual(bad["delivered"], 0)
        if not os.environ.get("TEST_SHORT"):
            self.assertLess(bridge.peak_octets(), limit)
        start = time.monotonic()
        self.assertEqual(bridge.stop(), 1)
        self.assertLess(time.monotonic() - start, 10)
        self.assertGreater(bridge.route(0)["in_flight"], 0)

    def test_everything_is_drained_at_a_stop(self):
        server, tap = self.server(lambda r: time.sleep(0.05) or OK), self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap, "--to", server.url + "#body=frames,linger=1h,batch-count=10",
                             "--drain-timeout", "60s").ready()
        sock = lab.sender(tap)
        messages = lab.split(lab.corpus_octets("bind"))
        sock.sendall(b"".join(map(lab.data, messages)))
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(sorted(f for r in server.taken for f in lab.split(r.body)), sorted(messages))

    def test_a_second_signal_ends_the_wait_for_a_dead_server(self):
        bridge = self.bridge("--from", lab.corpus("bind"), "--to",
                             f"http://127.0.0.1:{lab.free_port()}#format=text", "--drain-timeout", "60s")
        bridge.wait_log("trying again")
        bridge.send(signal.SIGTERM)
        bridge.wait_log("stopping")
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route()["in_flight"], 893)

    @unittest.skipIf("thread" in os.environ.get("TEST_SHORT", ""), "the thread sanitizer has a thread that wakes")
    def test_idle_costs_nothing(self):
        server, tap = self.server(), self.path("tap")
        bridge = self.bridge("--from", "unix:" + tap, "--to", server.url + "#format=text,linger=10ms").ready()
        sock = lab.sender(tap)
        sock.sendall(lab.data(lab.split(lab.corpus_octets("bind"))[0]))
        lab.eventually("the message", lambda: bridge.now()[0]["delivered"] == 1)

        def switches():
            total = 0
            for task in os.listdir(f"/proc/{bridge.process.pid}/task"):
                with open(f"/proc/{bridge.process.pid}/task/{task}/status") as f:
                    total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
            return total

        def sleeps():
            """Nothing wakes up in a whole second; on a busy machine the last of the work may come late."""
            before = switches()
            time.sleep(1)
            return switches() == before
        lab.eventually("the program to sleep", sleeps)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0)

    def test_one_request_of_a_batch_is_in_doubt_after_a_kill(self):
        server = self.server(lambda r: time.sleep(0.02) or OK)
        bridge = self.bridge("--from", lab.corpus("unbound"), "--to", server.url + "#format=text,batch-count=50,inflight=4")
        lab.eventually("some requests", lambda: len(server.taken) > 20)
        bridge.kill()
        time.sleep(0.3)
        bodies = [r.body for r in server.seen]
        self.assertEqual(len(set(bodies)), len(bodies))  # nothing was sent twice


if __name__ == "__main__":
    lab.main()
