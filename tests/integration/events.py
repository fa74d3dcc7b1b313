"""A server's events: carried between hops, shown by nobody who would take them for broken."""

import lab

# Dnstap{identity "ns1", type EVENT, event{type CACHE_EXPIRY, name "example.", ttl 300, peer_address that ends
# like a message of the published schema}}
NAME = b"\x07example\x00"
EVENT_BODY = b"\x08\x08" + b"\x2a" + bytes([len(NAME)]) + NAME + b"\xc0\x01\xac\x02" + b"\x52\x04\x0a\x00\x78\x01"
EVENT = b"\x0a\x03ns1" + b"\x78\xe8\x07" + b"\xc2\x3e" + bytes([len(EVENT_BODY)]) + EVENT_BODY
MESSAGES = lab.split(lab.corpus_octets("bind"))[:7]
MIXED = [EVENT] + MESSAGES[:3] + [EVENT, EVENT] + MESSAGES[3:] + [EVENT]


class Events(lab.Case):
    def setUp(self):
        super().setUp()
        self.input = self.write("in.fstrm", lab.fstrm_file(MIXED))

    def test_a_file_for_others_is_without_them(self):
        out = self.path("out.fstrm")
        bridge = self.bridge("--from", self.input, "--to", out)
        self.assertEqual(bridge.wait(), 0, bridge.log())
        self.assertEqual(lab.frames_of(out), MESSAGES)
        route = bridge.route()
        self.assertEqual((route["received"], route["delivered"], route["filtered"]), (11, 7, 4))

    def test_whoever_asks_for_them_gets_them(self):
        out = self.path("out.fstrm")
        bridge = self.bridge("--from", self.input, "--to", out + "#events=yes")
        self.assertEqual(bridge.wait(), 0, bridge.log())
        self.assertEqual(lab.frames_of(out), MIXED)

    def test_the_bus_carries_them_to_the_next_hop(self):
        url = f"nng+tcp:127.0.0.1:{lab.free_port()}"
        kept, clean = self.path("kept.fstrm"), self.path("clean.fstrm")
        far = self.bridge("--from", url + "#when-full=block", "--to", kept + "#events", "--to", clean,
                          hop="far").ready()
        near = self.bridge("--from", self.input, "--to", url, hop="near")
        self.assertEqual(near.wait(), 0, near.log())
        self.assertEqual(near.route()["delivered"], len(MIXED))
        far.wait_log("hop near .* ended at sequence")
        self.assertEqual(far.stop(), 0, far.log())
        self.assertEqual(lab.frames_of(kept), MIXED)
        self.assertEqual(lab.frames_of(clean), MESSAGES)

    def test_a_batch_of_nothing_else_leaves_nothing(self):
        only, out = self.write("only.fstrm", lab.fstrm_file([EVENT] * 5)), self.path("out.fstrm")
        bridge = self.bridge("--from", only, "--to", out)
        self.assertEqual(bridge.wait(), 0, bridge.log())
        self.assertEqual(lab.frames_of(out), [])
        self.assertEqual(bridge.route()["filtered"], 5)


if __name__ == "__main__":
    lab.main()
