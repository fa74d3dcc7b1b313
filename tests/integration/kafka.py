"""The Kafka adapter against a real broker, read and written by kcat beside us."""

import base64
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

import certificates
import http_server
import kafka_lab
import lab
import receipts

SHORT = bool(os.environ.get("TEST_SHORT"))
BROKER = None
TAP_SEND = None
PASSWORD = "hun-ter-2"


def certificate(folder):
    """One that signs itself, for the broker and as what is trusted."""
    made = certificates.Authority(folder, "ca", certificates.RSA, alternative="IP:127.0.0.1")
    with open(f"{folder}/server.pem", "wb") as f:
        f.write(lab.read_file(made.key) + lab.read_file(made.cert))


def setUpModule():
    global BROKER
    kafka_lab.fetch()
    folder = tempfile.mkdtemp(prefix="dnstap-bridge-kafka-")
    certificate(folder)
    login = "org.apache.kafka.common.security."
    properties = [
        "ssl.keystore.type=PEM", f"ssl.keystore.location={folder}/server.pem",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f'listener.name.secure.plain.sasl.jaas.config={login}plain.PlainLoginModule required user_tap="{PASSWORD}";']
    properties += [f"listener.name.secure.scram-sha-{n}.sasl.jaas.config={login}scram.ScramLoginModule required;"
                   for n in (256, 512)]
    scram = [f"--add-scram SCRAM-SHA-{n}=[name=tap,password={PASSWORD}]" for n in (256, 512)]
    BROKER = kafka_lab.Broker(properties, {"TLS": "SSL", "SECURE": "SASL_SSL"}, scram, folder)
    BROKER.made = True
    kafka_lab.KafkaCase.broker = BROKER
    BROKER.start()


def tearDownModule():
    if BROKER:
        BROKER.remove()


def payloads(name):
    return lab.split(lab.corpus_octets(name))


class Payloads(kafka_lab.KafkaCase):
    def test_every_corpus_comes_back_the_same_and_in_order(self):
        for form, codec in (("dnstap", "lz4"), ("frames", "zstd")):
            for name in lab.CORPORA[:2] if SHORT else lab.CORPORA:
                with self.subTest(form=form, corpus=name):
                    topic = self.topic()
                    sent = self.run_to_end("--from", lab.corpus(name), "--to", self.broker.url(
                        topic, f"format={form},compression.codec={codec}"))
                    got = self.copy_out(topic, form + name)
                    self.assertEqual(lab.read_file(self.path(form + name)), lab.corpus_octets(name))
                    self.assertEqual(sent.route()["delivered"], got.route()["delivered"])

    def test_json_and_text_are_a_record_each(self):
        for form in ("json", "text"):
            topic = self.topic()
            self.run_to_end("--from", lab.corpus("bind"), "--to", self.broker.url(topic, "format=" + form))
            values = self.broker.values(topic)
            _, out, _ = lab.run_bridge("--from", lab.corpus("bind"), "--to", "-#format=" + form)
            self.assertEqual(values, out.splitlines())
            self.assertEqual(len(values), 893)
            if form == "json":
                self.assertTrue(all(isinstance(json.loads(v), dict) for v in values))

    def test_a_records_time_is_its_messages_own(self):
        topic = self.topic()
        self.run_to_end("--from", lab.corpus("bind"), "--to", self.broker.url(topic))
        _, out, _ = lab.run_bridge("--from", lab.corpus("bind"), "--to", "-#format=json")
        self.broker_times = [r.time for r in self.broker.records(topic)]
        want = []
        for view in map(times, payloads("bind")):
            second, nano = view.get(12, view.get(8)), view.get(13, 0) if 12 in view else view.get(9, 0)
            want.append(second * 1000 + nano // 1000000)
        self.assertEqual(self.broker_times, want)
        self.assertEqual(len(out.splitlines()), len(want))

    def test_a_clock_that_is_ahead_fails_nobody_elses_record(self):
        # the broker would refuse all that came with it in one request
        topic, future = self.topic(), int(time.time()) + 86400 * 365
        odd = b"\x72\x08\x08\x06\x40" + kafka_lab.varint(future) + b"\x78\x01"
        self.assertEqual(odd[1], len(odd) - 4)
        mixed = payloads("bind")[:100] + [odd] + payloads("bind")[100:200]
        source = self.write("mixed.fstrm", lab.fstrm_file(mixed))
        sent = self.run_to_end("--from", source, "--to", self.broker.url(topic))
        self.assertEqual(sent.route()["delivered"], 201)
        self.assertEqual(self.broker.values(topic), mixed)
        self.assertLess(abs(self.broker.records(topic)[100].time / 1000 - time.time()), 600)


def fields(octets):
    """A protobuf's fields, for those of which one is enough."""
    at, found = 0, {}

    def number():
        nonlocal at
        n = shift = 0
        while True:
            c = octets[at]
            at += 1
            n |= (c & 0x7f) << shift
            shift += 7
            if c < 0x80:
                return n
    while at < len(octets):
        tag = number()
        if tag & 7 == 0:
            value = number()
        elif tag & 7 == 5:
            value = struct.unpack_from("<I", octets, at)[0]
            at += 4
        elif tag & 7 == 1:
            value = struct.unpack_from("<Q", octets, at)[0]
            at += 8
        else:
            length = number()
            value = octets[at:at + length]
            at += length
        found.setdefault(tag >> 3, value)
    return found


def times(payload):
    return fields(fields(payload)[14])


def message_of(name, client=b"\x7f\0\0\1", identity=b"ns"):
    """A client query for `name`, in the case given."""
    dns = b"\x12\x34\1\0\0\1\0\0\0\0\0\0"
    dns += b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0\0\1\0\1"
    inner = b"\x08\x05\x22" + bytes([len(client)]) + client + b"\x52" + bytes([len(dns)]) + dns
    return b"\x0a" + bytes([len(identity)]) + identity + b"\x72" + kafka_lab.varint(len(inner)) + inner + b"\x78\x01"


class Keys(kafka_lab.KafkaCase):
    def keyed(self, key, messages):
        topic = self.topic(4)
        source = self.write("keyed.fstrm", lab.fstrm_file(messages))
        self.run_to_end("--from", source, "--to", self.broker.url(topic, "key=" + key))
        records = self.broker.records(topic)
        self.assertEqual(len(records), len(messages))
        return records

    def test_a_name_has_one_key_and_one_partition_whatever_its_case(self):
        names = [f"host{i}.example.com".encode() for i in range(20)]
        records = self.keyed("qname", [message_of(n) for n in names] + [message_of(n.upper()) for n in names] +
                             [message_of(n.title()) for n in names])
        places = {}
        for record in records:
            places.setdefault(record.key, []).append(record.partition)
        want = {b"".join(bytes([len(p)]) + p for p in n.split(b".")) + b"\0" for n in names}
        self.assertEqual(set(places), want)
        for partitions in places.values():
            self.assertEqual(len(partitions), 3)
            self.assertEqual(len(set(partitions)), 1)
        self.assertGreater(len({r.partition for r in records}), 1)

    def test_identity_and_client(self):
        clients = [bytes([192, 0, 2, i]) for i in range(8)] + [bytes(15) + bytes([i]) for i in range(4)]
        records = self.keyed("client", [message_of(b"a.b", client=c) for c in clients])
        self.assertEqual({r.key for r in records}, set(clients))
        records = self.keyed("identity", [message_of(b"a.b", identity=b"ns%d" % (i % 3)) for i in range(30)])
        self.assertEqual({r.key for r in records}, {b"ns0", b"ns1", b"ns2"})

    def test_what_has_no_such_thing_has_no_key(self):
        records = self.keyed("qname", [b"\x72\x02\x08\x06\x78\x01"] * 3)
        self.assertEqual([r.key in (None, b"") for r in records], [True] * 3)


class Reading(kafka_lab.KafkaCase):
    def test_records_of_others_and_garbage(self):
        topic, dead = self.topic(), self.topic(name=f"dead-{time.monotonic_ns()}")
        good = payloads("bind")[:3]
        self.broker.produce(topic, [good[0], b"garbage \xff\xff", good[1], b"\0\0\0", b"\xff" * 40, good[2]])
        got = self.copy_out(topic, "out", "until=end,dead-letter=" + dead, code=1)
        self.assertEqual(lab.frames_of(self.path("out")), good)
        route = got.route()
        self.assertEqual((route["received"], route["malformed"], route["delivered"]), (6, 3, 3))
        self.assertEqual(self.broker.values(dead), [b"garbage \xff\xff", b"\0\0\0", b"\xff" * 40])
        headers = self.broker.consume(dead, "%h\n").decode().splitlines()
        self.assertEqual([h.split("origin=")[1] for h in headers], [f"{topic}/0/{n}" for n in (1, 3, 4)])
        self.assertEqual([h.split(",")[0] for h in headers], ["reason=it is no dnstap message",
                         "reason=its schema registry framing is torn", "reason=it is no dnstap message"])
        again = self.copy_out(topic, "out", "until=end,dead-letter=" + dead)  # they were dealt with
        self.assertEqual(again.route()["received"], 0)

    def test_where_it_begins_and_ends(self):
        topic = self.topic(2)
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(10)], "-p", "0")
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(10, 15)], "-p", "1")
        self.copy_out(topic, "one")
        self.assertEqual(sorted(kafka_lab.numbers(self.path("one"))), list(range(15)))
        self.broker.produce(topic, [kafka_lab.message(15)], "-p", "1")
        self.copy_out(topic, "one")
        self.assertEqual(kafka_lab.numbers(self.path("one"))[-1:], [15])
        self.assertEqual(self.copy_out(topic, "one").route()["received"], 0)
        self.assertEqual(self.copy_out(topic, "one", "until=end,from=earliest").route()["received"], 16)
        late = self.bridge("--from", self.broker.url(topic, "group=late,from=latest"), "--to", self.path("late"))
        late.wait_log("2 partitions are ours")
        time.sleep(1)
        self.broker.produce(topic, [kafka_lab.message(99)], "-p", "0")
        lab.eventually("what came since", lambda: late.now()[0]["delivered"] == 1)
        self.assertEqual(late.stop(), 0)
        self.assertEqual(kafka_lab.numbers(self.path("late")), [99])

    def test_it_ends_while_the_topic_grows(self):
        topic = self.topic()
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(5)])
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", self.broker.url(topic, "linger.ms=0")).ready()
        sock = lab.sender(tap)
        going = threading.Event()

        def feed():
            i = 5
            while not going.is_set():
                sock.sendall(b"".join(lab.data(kafka_lab.message(i + n)) for n in range(20)))
                i += 20
                time.sleep(0.002)
        thread = threading.Thread(target=feed)
        thread.start()
        try:
            self.copy_out(topic, "out")
        finally:
            going.set()
            thread.join()
        lab.finish(sock)
        self.assertEqual(near.stop(), 0)
        got = kafka_lab.numbers(self.path("out"))
        self.assertEqual(got, list(range(len(got))))
        self.assertGreaterEqual(len(got), 5)

    def expired(self, options, read=100, of=300, before=250):
        """A group that has read the first `read` of its records when those below `before` expire, and goes on."""
        topic = self.topic()
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(read)])
        self.copy_out(topic, "group")
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(read, of)])
        self.broker.expire(topic, before)
        bridge = self.copy_out(topic, "group", "until=end" + options, code=1)
        self.assertEqual(kafka_lab.numbers(self.path("group")), list(range(before, of)))
        self.assertEqual(bridge.ledger()["lost"], before - read)
        self.assertIn(f"at most {before - read} records are lost, offsets {read} to {before - 1}", bridge.log())
        again = self.copy_out(topic, "group")  # what is there is read, and the group stands at its end
        self.assertEqual((again.route()["received"], again.ledger()["lost"]), (0, 0))

    def test_records_that_expired_before_they_were_read_are_lost(self):
        self.expired("")

    def test_records_that_expire_under_a_slow_group_are_lost_and_the_rest_is_read(self):
        topic = self.topic()
        self.broker.produce(topic, [kafka_lab.message(0)] * 5)
        late = self.bridge("--from", self.broker.url(topic, "group=late,from=latest"), "--to", self.path("out"), hop="late")
        late.wait_log("1 partitions are ours")
        late.send(signal.SIGSTOP)
        self.broker.produce(topic, [kafka_lab.message(0)])  # answers the fetch that may be under way
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(1, 1000)])
        self.broker.expire(topic, 805)
        late.send(signal.SIGCONT)
        lab.eventually("what is left", lambda: kafka_lab.numbers(self.path("out"))[-1:] == [999])
        self.assertEqual(late.stop(), 1)
        numbers = kafka_lab.numbers(self.path("out"))
        self.assertIn(numbers, (list(range(800, 1000)), [0, *range(800, 1000)]))
        self.assertEqual(len(numbers) + late.ledger()["lost"], 1000)

    def test_a_topic_that_was_made_anew_is_read_from_its_beginning(self):
        topic = self.topic()
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(20)])
        self.copy_out(topic, "out")
        self.broker.delete(topic)
        self.topic(name=topic)
        self.broker.produce(topic, [kafka_lab.message(i) for i in range(5)])
        bridge = self.copy_out(topic, "out")
        self.assertEqual(kafka_lab.numbers(self.path("out")), list(range(5)))
        self.assertEqual(bridge.ledger()["lost"], 0)

    def test_a_member_that_gets_no_partition_is_told_why(self):
        topic = self.topic(1)
        members = [self.bridge("--from", self.broker.url(topic, "group=pair"), "--to", self.path(f"out{i}"), hop=f"h{i}") for i in range(2)]
        said = f"no partition of {topic} is ours to read: other members of group=pair have all 1;"
        lab.eventually("one of them to say so", lambda: any(said in m.log() for m in members), 90)
        alone = self.bridge("--from", self.broker.url(topic, "group=alone"), "--to", self.path("alone"), hop="alone")
        alone.wait_log("1 partitions are ours to read")
        for member in (*members, alone):
            self.assertEqual(member.stop(), 0, member.log())
        self.assertNotIn("no partition", alone.log())

    def test_until_end_of_no_topic_ends(self):
        bridge = self.run_to_end("--from", self.broker.url("no-such-topic-" + str(time.monotonic_ns()), "until=end"), "--to",
                                 self.path("out"), code=1)
        self.assertIn("the topic does not exist", bridge.log())

    def failing(self, options):
        topic = self.topic()
        self.broker.produce(topic, [payloads("bind")[0]] * 10)
        server = http_server.Server(lambda r: http_server.answer(400, b"no"))
        self.addCleanup(server.close)
        bridge = self.run_to_end("--from", self.broker.url(topic, "group=g,when-full=block,until=end," + options), "--to",
                                 server.url + "#format=text", code=1)
        self.assertEqual(bridge.route()["failed"], 10)
        return topic, bridge

    def test_what_failed_comes_again(self):
        topic, bridge = self.failing("on-failure=hold")
        self.assertIn("a restart repeats from there", bridge.log())
        self.assertEqual(self.copy_out(topic, "g").route()["received"], 10)

    def test_what_failed_is_passed_over(self):
        topic, _ = self.failing("on-failure=skip")
        self.assertEqual(self.copy_out(topic, "g").route()["received"], 0)


class Registry(kafka_lab.KafkaCase):
    def test_records_are_framed_as_its_clients_expect(self):
        topic, calls = self.topic(), []

        def judge(request):
            calls.append(request)
            if len(calls) == 1:
                return http_server.answer(503, {"error_code": 50301, "message": "not yet"})
            return http_server.answer(200, {"id": 0x01020304})
        server = http_server.Server(judge)
        self.addCleanup(server.close)
        secret = self.write("auth", b"me:" + PASSWORD.encode() + b"\n")
        bridge = self.run_to_end("--from", lab.corpus("bind"), "--to", self.broker.url(
            topic, f"schema-registry={server.url},registry-auth=file:{secret}"))
        self.assertIn("not yet", bridge.log())
        self.assertNotIn(PASSWORD, bridge.log())
        self.assertEqual(len(calls), 2)
        for call in calls:
            self.assertEqual(call.path, f"/subjects/{topic}-value/versions")
            self.assertEqual(call.headers["Authorization"],
                             "Basic " + base64.b64encode(b"me:" + PASSWORD.encode()).decode())
            body = json.loads(call.body)
            self.assertEqual(body["schemaType"], "PROTOBUF")
            self.assertEqual(body["schema"], lab.read_file(os.path.join(lab.ROOT, "dnstap.proto")).decode())
        self.assertEqual(self.broker.values(topic), [b"\0\1\2\3\4\0" + p for p in payloads("bind")])
        self.copy_out(topic, "out")
        self.assertEqual(lab.frames_of(self.path("out")), payloads("bind"))

    def test_a_registry_that_is_away_holds_up_no_end(self):
        bridge = self.bridge("--from", lab.corpus("bind"), "--to", self.broker.url(
            self.topic(), f"schema-registry=http://127.0.0.1:{lab.free_port()}"), "--drain-timeout", "300ms")
        bridge.wait_log("schema registry cannot be asked")
        self.assertEqual(bridge.stop(), 1)
        self.assertEqual(bridge.route()["in_flight"], 893)




class Frames(kafka_lab.KafkaCase):
    def test_the_documented_consumer_reads_them(self):
        topic = self.topic()
        self.run_to_end("--from", lab.corpus("bind"), "--to", self.broker.url(topic, "format=frames"))
        page = lab.read_file(os.path.join(lab.ROOT, "docs", "bus-format.md")).decode()
        section = page[page.index("## On Kafka"):]
        code = "\n".join(line[4:] for line in re.search(r"(?:^    .*\n|^\n)*^    import.*\n(?:^    .*\n|^\n)*", section,
                                                        re.M).group(0).splitlines())
        namespace = {}
        exec(code, namespace)
        values = self.broker.values(topic)
        self.assertEqual(values[-1], b"")  # the closing ledger; not None, which would be a tombstone
        self.assertEqual([m for v in values for m in namespace["messages"](v)], payloads("bind"))
        self.assertIn(b"dnstap-envelope=", self.broker.consume(topic, "%h", "-c", "1"))

    def test_the_ledger_of_three_hops_adds_up(self):
        tap, topic = self.path("tap"), self.topic()
        c = self.bridge("--from", self.broker.url(topic, "group=c"), "--to", self.path("out"), hop="c").ready()
        link = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        b = self.bridge("--from", link, "--to", self.broker.url(topic, "format=frames"), hop="b").ready()
        a = self.bridge("--from", "unix:" + tap + "#max-frame=4KiB", "--to", link + "#ring=128KiB", hop="a").ready()
        sock = lab.sender(tap)
        count = 20000
        for i in range(count):
            sock.sendall(lab.data(kafka_lab.message(i, b"x" * 300)))
        lab.finish(sock)
        a.stop()
        b.wait_log("hop a .* ended")
        self.assertEqual(b.stop(), 0, b.log())
        c.wait_log("hop b .* ended")
        c.stop()
        path = c.ledger()["upstream"][0]["path"]
        self.assertEqual([hop["hop"] for hop in path], ["a", "b"])
        self.assertEqual(path[0]["received"], count)
        for hop, bridge in zip(path, (a, b)):
            route = bridge.route()
            for counter in ("received", "delivered", "dropped", "failed", "malformed"):
                self.assertEqual(hop[counter], route[counter], (hop, route))
        self.assertEqual(c.ledger()["upstream"][0]["lost"], 0)
        self.assertTrue(c.ledger()["upstream"][0]["finished"])
        got = kafka_lab.numbers(self.path("out"))
        self.assertEqual(len(got), path[1]["delivered"])
        self.assertEqual(len(got), count - path[0]["dropped"])
        self.assertEqual(len(set(got)), len(got))

    def test_the_tap_into_frames_and_messages(self):
        for form in ("#format=frames", ""):
            with self.subTest(form):
                topic, out = self.topic(), self.path("tapped" + form[8:])
                listener = "unix:" + self.path("tap" + form[8:])
                near = self.bridge("--from", listener, "--to", self.broker.url(topic) + form).ready()
                count = 2000
                tap = subprocess.run([TAP_SEND, listener, str(count)], capture_output=True, text=True, timeout=60)
                if "Usage" in tap.stderr or tap.returncode == 2:
                    self.skipTest("tap_send: " + tap.stderr)
                self.assertEqual(tap.returncode, 0, tap.stdout + tap.stderr)
                lab.eventually("all of it", lambda: near.now()[0]["delivered"] == count)
                self.assertEqual(near.stop(), 0)
                self.copy_out(topic, os.path.basename(out))
                self.assertEqual(len(lab.frames_of(out)), count)


class Receipts(kafka_lab.KafkaCase, receipts.ReceiptsCase):
    def sent(self, topic, source, every="300ms"):
        return self.bridge("--from", source, "--to", self.broker.url(topic, "format=frames," + self.sign("a", every)),
                           hop="near")

    def read(self, topic, name, code=0):
        return self.copy_out(topic, name, "until=end," + self.sign("b"), code)

    def test_both_ends_of_a_topic_saw_the_same_also_when_it_is_read_twice(self):
        topic = self.topic()
        near = self.sent(topic, lab.corpus("unbound") + "#rate=20000/s")
        self.assertEqual(near.wait(), 0, near.log())
        for name in ("first", "second"):
            self.read(topic, name)
            self.assertEqual(lab.read_file(self.path(name)), lab.corpus_octets("unbound"))
            self.expect(0, r"^Both saw the same 22,890 messages, sequences 0 to 22,889, over [2-9] intervals\.\n\n")
        self.assertRegex(self.compare()[1], f"near:[0-9a-f]{{16}}:{topic}")

    def test_a_record_that_the_broker_refused_is_missing(self):
        topic, tap = self.topic(max_message_bytes=3000), self.path("tap")
        near = self.sent(topic, "unix:" + tap).ready()
        sock = lab.sender(tap)
        for n, size in enumerate((100, 20000, 200)):
            sock.sendall(lab.data(kafka_lab.message(n, b"x" * size)))
            lab.eventually("its end", lambda k=n + 1: near.now()[0]["in_flight"] == 0 and near.now()[0]["received"] == k)
        lab.finish(sock)
        self.assertEqual(near.stop(), 1)
        # a refused record can make an idempotent producer begin anew, and what it holds then is failed, too
        failed = near.route()["failed"]
        self.assertIn(failed, (1, 2), near.log())
        far = self.read(topic, "out", 1)
        self.assertEqual(far.ledger()["upstream"][0]["lost"], failed)
        self.assertEqual(receipts.intervals_of(self.b)[-1]["missing"], [[1, failed]])
        self.expect(1, r"^B misses sequence(s 1 to 2| 1) \([12] messages?\) of interval \d")

    def test_a_reader_that_was_killed_reads_again_and_has_it_all(self):
        topic = self.topic()
        near = self.sent(topic, lab.corpus("knot"))
        self.assertEqual(near.wait(), 0, near.log())
        first = self.bridge("--from", self.broker.url(topic, "group=g,when-full=block,session.timeout.ms=6000," +
                                                      self.sign("b", "60s")), "--to", self.path("first"), hop="out")
        lab.eventually("messages", lambda: os.path.exists(self.path("first")) and os.path.getsize(self.path("first")) > 100000)
        first.send(signal.SIGKILL)
        first.wait()
        self.copy_out(topic, "second", "from=earliest,until=end,session.timeout.ms=6000," + self.sign("b"))
        out = self.expect(0, "^Both saw the same 14,069 messages")
        self.assertIn("B was not closed before 1 of its starts", out)


class Groups(kafka_lab.KafkaCase):
    def test_a_member_that_comes_and_goes_loses_nothing(self):
        topic, count = self.topic(4), 20000 if SHORT else 100000
        tap = self.path("tap")
        near = self.bridge("--from", "unix:" + tap, "--to", self.broker.url(topic, "key=identity,linger.ms=5"), hop="near").ready()
        source = self.broker.url(topic, "group=both,when-full=block,session.timeout.ms=6000,heartbeat.interval.ms=500")
        first = self.bridge("--from", source, "--to", self.path("first"), hop="first").ready()
        sock, second = lab.sender(tap), None
        for i in range(count):
            sock.sendall(lab.data(kafka_lab.message(i)))
            if i == count // 4:
                first.wait_log("4 partitions are ours")
                second = self.bridge("--from", source, "--to", self.path("second"), hop="second").ready()
                second.wait_log("partitions are ours")
            if i == count // 4 * 3:
                lab.eventually("messages of the second", lambda: kafka_lab.numbers(self.path("second")))
                self.assertEqual(second.stop(), 0, second.log())
        lab.finish(sock)
        self.assertEqual(near.stop(), 0)

        def got():
            return kafka_lab.numbers(self.path("first")) + kafka_lab.numbers(self.path("second"))
        lab.eventually("every message", lambda: first.now()[0]["in_flight"] == 0 and len(set(got())) == count, 60)
        self.assertEqual(first.stop(), 0, first.log())
        self.assertGreater(len(kafka_lab.numbers(self.path("second"))), 0)
        self.assertEqual(set(got()), set(range(count)))
        print(f"doubles: {len(got()) - count} of {count}")
        self.assertEqual(len(got()), count)  # both gave back what was settled, and nothing else was taken

    def stalled(self, topic, patience):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        bridge = self.bridge("--from", self.broker.url(
            topic, "group=slow,when-full=block,max-frame=4KiB,max.poll.interval.ms=6000,session.timeout.ms=6000"),
            "--to", fifo + "#ring=1MiB", hop="slow").ready()
        time.sleep(patience)
        return bridge, reader

    def test_a_stalled_sink_keeps_its_membership(self):
        topic, count = self.topic(2), 30000
        source = self.write("in.fstrm", lab.fstrm_file([kafka_lab.message(i, b"x" * 300) for i in range(count)]))
        self.run_to_end("--from", source, "--to", self.broker.url(topic, "key=identity"))
        bridge, reader = self.stalled(topic, 14)
        got = bytearray()
        os.set_blocking(reader, True)

        def read():
            while piece := os.read(reader, 1 << 20):
                got.extend(piece)
        thread = threading.Thread(target=read)
        thread.start()
        lab.eventually("all of it", lambda: bridge.now()[0]["delivered"] == count)
        self.assertEqual(bridge.stop(), 0)
        thread.join()
        os.close(reader)
        self.assertEqual(sorted(map(kafka_lab.number_of, lab.split(bytes(got)))), list(range(count)))
        self.assertEqual(len(re.findall("are ours to read", bridge.log())), 1, bridge.log())
        self.assertNotIn("poll interval", bridge.log())

    def test_an_idle_member_stays_one(self):
        topic = self.topic()
        bridge = self.bridge("--from", self.broker.url(
            topic, "group=idle,max.poll.interval.ms=6000,session.timeout.ms=6000"), "--to", self.path("out")).ready()
        bridge.wait_log("1 partitions are ours")
        time.sleep(14)
        self.broker.produce(topic, [kafka_lab.message(1)])
        lab.eventually("the message", lambda: bridge.now()[0]["delivered"] == 1)
        self.assertEqual(bridge.stop(), 0)
        self.assertEqual(len(re.findall("are ours to read", bridge.log())), 1, bridge.log())
        self.assertNotIn("poll interval", bridge.log())

    def test_both_end_at_the_end(self):
        topic = self.topic(4)
        for p in range(4):
            self.broker.produce(topic, [kafka_lab.message(p * 100 + i) for i in range(50)], "-p", str(p))
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        source = self.broker.url(topic, "group=ends,when-full=block,until=end,session.timeout.ms=6000,heartbeat.interval.ms=500")
        both = [self.bridge("--from", source, "--to", self.path(f"out{i}"), hop=f"h{i}") for i in range(2)]
        for bridge in both:
            self.assertEqual(bridge.wait(60), 0, bridge.log())
        got = kafka_lab.numbers(self.path("out0")) + kafka_lab.numbers(self.path("out1"))
        self.assertEqual(set(got), {p * 100 + i for p in range(4) for i in range(50)})


class Security(kafka_lab.KafkaCase):
    def common(self):
        return f"ssl.ca.location={self.broker.folder}/ca.pem,compression.codec=lz4"

    def both_ways(self, listener, options, env=None):
        topic = self.topic()
        args = ("--from", lab.corpus("bind"), "--to", self.broker.url(topic, options, listener))
        sent = self.run_to_end(*args, env=env)
        self.assertEqual(sent.route()["delivered"], 893)
        got = self.run_to_end("--from", self.broker.url(topic, options.replace(",compression.codec=lz4", "") + ",until=end",
                                                        listener), "--to", self.path(topic), env=env)
        self.assertEqual(lab.frames_of(self.path(topic)), payloads("bind"))
        code, out, err = lab.run_bridge("--check", *args, env={**os.environ, **(env or {})})
        self.assertEqual(code, 0, err)
        for text in (sent.log(), got.log(), out.decode(), err, lab.read_file(sent.ledger_path).decode(),
                     lab.read_file(got.ledger_path).decode()):
            self.assertNotIn(PASSWORD, text)

    def test_tls(self):
        self.both_ways("TLS", "security.protocol=SSL," + self.common())

    def options(self, mechanism, where):
        return (f"security.protocol=SASL_SSL,{self.common()},sasl.mechanisms={mechanism},sasl.username=tap,"
                f"sasl.password={where}")

    def test_passwords_from_files_and_the_environment(self):
        secret = self.write("secret", PASSWORD.encode() + b"\n")
        for where in ("file:" + secret, "env:KAFKA_SECRET"):
            with self.subTest(where):
                self.both_ways("SECURE", self.options("PLAIN", where), {"KAFKA_SECRET": PASSWORD})

    def test_scram(self):
        for n in (256, 512):
            with self.subTest(n):
                self.both_ways("SECURE", self.options(f"SCRAM-SHA-{n}", "env:KAFKA_SECRET"), {"KAFKA_SECRET": PASSWORD})

    def test_a_wrong_password_says_so(self):
        for mechanism in ("PLAIN", "SCRAM-SHA-512"):
            bridge = self.bridge("--from", lab.corpus("bind"), "--to", self.broker.url(
                self.topic(), self.options(mechanism, "env:KAFKA_SECRET"), "SECURE"), "--drain-timeout", "300ms",
                env={"KAFKA_SECRET": "wr-ong"})
            bridge.wait_log("(?i)authentication fail")
            self.assertEqual(bridge.stop(), 1)
            self.assertNotIn("wr-ong", bridge.log())
            self.assertEqual(bridge.route()["in_flight"], 893)


class Mistakes(kafka_lab.KafkaCase):
    def test_they_are_refused_in_one_line(self):
        corpus, out = lab.corpus("bind"), self.path("out")
        sinks = (("kafka://h/t#linger=5", "linger"), ("kafka://h/t#acks=many", "acks"), ("kafka://h", "kafka://BROKER"),
                 ("kafka://h/a b", "no topic"), ("kafka:///t", "kafka://BROKER"), ("kafka://h/" + "x" * 250, "no topic"),
                 ("kafka://h/t#format=xml", "xml"), ("kafka://h/t#format=frames,key=qname", "key"),
                 ("kafka://h/t#format=json,schema-registry=http://h", "format=dnstap"), ("kafka://h/t#key=color", "key"),
                 ("kafka://h/t#format=frames,schema-registry=http://h", "format=dnstap"),
                 ("kafka://h/t#schema-registry=h:1", "http"), ("kafka://h/t#partition=-1", "partition"),
                 ("kafka://h/t#bootstrap.servers=x", "bridge itself"), ("kafka://h/t#sasl.password=file:/no/such", "/no/such"),
                 ("kafka://h/t#registry-auth=env:NOT_SET", "NOT_SET"), ("kafka://h/t#enable.idempotence=true,acks=1", "acks"),
                 ("kafka://h/t#ssl.ca.location=/no/such,security.protocol=ssl", "ssl.ca.location"))
        sources = (("kafka://h/t#enable.auto.offset.store=true", "bridge itself"), ("kafka://h/t#group.id=x", "bridge itself"),
                   ("kafka://h/t#from=middle", "from"), ("kafka://h/t#dead-letter=a b", "no topic"),
                   ("kafka://h/t#session.timeout.ms=6000,max.poll.interval.ms=1000", "max.poll.interval.ms"),
                   ("kafka://h/t#compression=x", "compression"), ("kafka://h/t#until=noon", "until"))
        cases = [("--from", corpus, "--to", url, says) for url, says in sinks]
        cases += [("--from", url, "--to", out, says) for url, says in sources]
        for *args, says in cases:
            with self.subTest(args):
                bridge = self.program(lab.BRIDGE, "--drain-timeout", "100ms", *args)
                lab.eventually("its end", lambda: bridge.process.poll() is not None, 5)
                code, err = bridge.wait(), bridge.log()
                self.assertEqual(code, 2, err)
                self.assertIn(says, err)
                said = [line for line in err.splitlines() if "librdkafka: SSL" not in line]  # OpenSSL's own
                self.assertEqual(len(said), 1, err)


if __name__ == "__main__":
    TAP_SEND = sys.argv.pop(1)
    lab.main()
