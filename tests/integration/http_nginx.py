"""The HTTP sink against nginx, with a server behind it that keeps what arrives: TLS with an authority of our
own, client certificates, HTTP/2, 413, a server that reads slowly."""

import os
import shutil
import signal
import time

import certificates
import http_server
import lab

CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; user {user};
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    log_format how '$server_protocol $status $connection $ssl_client_s_dn';
    access_log {folder}/how.log how;
    server {{
        listen 127.0.0.1:{plain}; {settings}
        location / {{ proxy_pass {behind}; proxy_http_version 1.1; }}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl http2; {settings}
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
        ssl_client_certificate {folder}/ca.pem; ssl_verify_client optional;
        location / {{ proxy_pass {behind}; proxy_http_version 1.1; }}
        location /closed {{ if ($ssl_client_verify != SUCCESS) {{ return 403; }} proxy_pass {behind}; }}
    }}
}}
"""


class Nginx(lab.Case):
    def setUp(self):
        super().setUp()
        lab.need("nginx")
        self.behind = http_server.Server()
        self.addCleanup(self.behind.close)
        self.messages = lab.split(lab.corpus_octets("unbound"))

    def certificates(self):
        self.authority = certificates.Authority(self.folder, "ca")
        self.authority.sign("server", "IP:127.0.0.1")
        self.client = self.authority.sign("client", "DNS:client")

    def nginx(self, settings="client_max_body_size 100m;"):
        self.certificates()
        self.plain, self.tls = lab.free_port(), lab.free_port()
        user = "root" if os.geteuid() == 0 else "nobody"
        config = CONFIG.format(folder=self.folder, plain=self.plain, tls=self.tls, behind=self.behind.url,
                               settings=settings, user=user)
        path = self.write("nginx.conf", config.encode())
        self.server = server = self.program("nginx", "-p", self.folder, "-c", path, "-e", self.path("error.log"))
        self.addCleanup(lambda: server.process.poll() is None and server.stop())
        lab.eventually("nginx to listen", lambda: os.path.exists(self.path("pid")))
        lab.connect(("127.0.0.1", self.tls)).close()

    def how(self):
        return [line.split(" ", 3) for line in lab.read_file(self.path("how.log")).decode().splitlines()]

    def post(self, url, options):
        bridge = self.bridge("--from", lab.corpus("unbound"), "--to", f"{url}#body=frames,batch-size=64KiB,{options}")
        self.code = bridge.wait()
        return bridge, bridge.route()

    def whole(self, url, options=""):
        bridge, route = self.post(url, options)
        self.assertEqual(self.code, 0, bridge.log())
        self.assertEqual(route["delivered"], len(self.messages))
        got = [f for r in self.behind.taken for f in lab.split(r.body)]
        self.assertEqual(sorted(got), sorted(self.messages))

    def test_plain(self):
        self.nginx()
        self.whole(f"http://127.0.0.1:{self.plain}", "inflight=2,compress=gzip")
        self.assertEqual({line[0] for line in self.how()}, {"HTTP/1.1"})
        self.assertLessEqual(len({line[2] for line in self.how()}), 2)  # connections are kept

    def test_tls_and_http2_on_one_connection(self):
        self.nginx()
        self.whole(f"https://127.0.0.1:{self.tls}", f"ca={self.path('ca.pem')},inflight=4")
        self.assertEqual({line[0] for line in self.how()}, {"HTTP/2.0"})
        self.assertEqual(len({line[2] for line in self.how()}), 1)

    def test_an_unknown_authority_is_not_trusted(self):
        self.nginx()
        bridge, route = self.post(f"https://127.0.0.1:{self.tls}", "retry-for=500ms,inflight=1")
        self.assertEqual(self.code, 1)
        self.assertEqual(route["delivered"], 0)
        self.assertIn("certificate", bridge.log())
        self.assertFalse(self.behind.seen)

    def test_client_certificates(self):
        self.nginx()
        url, ca = f"https://127.0.0.1:{self.tls}/closed", f"ca={self.path('ca.pem')}"
        bridge, route = self.post(url, ca)
        self.assertEqual((route["failed"], route["delivered"]), (len(self.messages), 0))
        self.assertIn("answered 403", bridge.log())
        self.whole(url, f"{ca},cert={self.path('client.pem')},key={self.path('client.key')}")

    def test_new_certificates_on_sighup(self):
        """Requests under way are not cut off; those to come are made with the new certificate, unless it is none."""
        self.nginx()
        source = self.path("source")
        self.behind.judge = lambda r: time.sleep(0.05) or http_server.OK
        bridge = self.bridge("--from", f"unix:{source}#when-full=block", "--to",
                             f"https://127.0.0.1:{self.tls}/closed#body=frames,batch-count=100,linger=10ms,inflight=2,"
                             f"ca={self.path('ca.pem')},{self.client.options()}").ready()
        sock = lab.sender(source)

        def pass_on(count):
            before = len(self.behind.taken)
            for message in self.messages[:count]:
                sock.sendall(lab.data(message))
            lab.eventually("a request", lambda: len(self.behind.taken) > before)
        second = self.authority.sign("second", "DNS:second")
        pass_on(2000)  # some are under way yet
        for new, says in ((second.cert, "certificates read again"), (self.client.key, "certificates stay as they were: option 'cert'")):
            shutil.copy(second.key, self.client.key)
            shutil.copy(new, self.client.cert)
            bridge.send(signal.SIGHUP)
            bridge.wait_log(says)
            pass_on(1000)
        lab.finish(sock)
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertNotIn("trying again", bridge.log())
        got = [f for r in self.behind.taken for f in lab.split(r.body)]
        self.assertEqual(sorted(got), sorted(self.messages[:2000] + 2 * self.messages[:1000]))
        shown = [line[3] for line in self.how()]
        self.assertEqual(set(shown), {"CN=client", "CN=second"})
        self.assertEqual(shown[0], "CN=client")
        self.assertEqual(shown[-1], "CN=second")
        old, new = ({line[2] for line in self.how() if line[3] == name} for name in ("CN=client", "CN=second"))
        self.assertFalse(old & new)

    def too_large(self, scheme):
        self.nginx("client_max_body_size 20k;")
        port = self.tls if scheme == "https" else self.plain
        self.whole(f"{scheme}://127.0.0.1:{port}", f"inflight=2,ca={self.path('ca.pem')}")
        self.assertIn("413", {line[1] for line in self.how()})

    def test_413(self):
        self.too_large("http")

    def test_413_over_http2(self):
        self.too_large("https")

    def test_a_server_that_reads_slowly(self):
        self.nginx("client_max_body_size 100m; proxy_request_buffering off;")
        self.behind.judge = lambda r: time.sleep(0.02) or http_server.OK
        self.whole(f"http://127.0.0.1:{self.plain}", "inflight=2")

    def test_nginx_restarts_under_load(self):
        self.nginx()
        url = f"http://127.0.0.1:{self.plain}"
        bridge = self.bridge("--from", lab.corpus("unbound") + "#rate=12000/s", "--to",
                             f"{url}#body=frames,batch-count=100,inflight=2,linger=20ms")
        lab.eventually("some to arrive", lambda: len(self.behind.taken) > 20)
        self.server.stop()
        bridge.wait_log("trying again")
        again = self.program("nginx", "-p", self.folder, "-c", self.path("nginx.conf"), "-e", self.path("error.log"))
        self.addCleanup(lambda: again.process.poll() is None and again.stop())
        self.assertEqual(bridge.wait(), 0, bridge.log())
        self.assertEqual(bridge.route()["delivered"], len(self.messages))
        got = [f for r in self.behind.taken for f in lab.split(r.body)]
        self.assertEqual(set(got), set(self.messages))
        self.assertGreaterEqual(len(got), len(self.messages))  # at most what was in doubt came twice
        self.assertLessEqual(len(got), len(self.messages) + 2 * 100 * 2)


if __name__ == "__main__":
    lab.main()
