"""An HTTP server that misbehaves as it is told, and keeps what it took."""

import gzip
import http.server
import json
import socket
import struct
import subprocess
import threading


def unpack(encoding, body):
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return subprocess.run(["zstd", "-dcq"], input=body, capture_output=True, check=True).stdout
    return body


class Request:
    def __init__(self, number, handler, body):
        self.number = number  # from 0 on
        self.path = handler.path
        self.headers = handler.headers
        self.raw = body
        self.body = unpack(handler.headers.get("Content-Encoding"), body)
        self.handler = handler


def answer(status, body=b"", **headers):
    return status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers


OK = answer(200, b"{}")


class Server:
    """`judge(request)` gives an answer, or None to cut the connection at once. What was answered with 2xx is in
    `taken`, everything in `seen`."""

    def __init__(self, judge=lambda request: OK, port=0):
        self.judge = judge
        self.seen, self.taken = [], []
        self.connections = 0
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def setup(self):
                super().setup()
                with outer.lock:
                    outer.connections += 1

            def do_POST(self):
                outer.serve(self)

            def log_message(self, *args):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, client_address):
                pass

        self.listener = Listener(("127.0.0.1", port), Handler)
        self.port = self.listener.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self.lock:
            request = Request(len(self.seen), handler, body)
            self.seen.append(request)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self.judge(request)
        finally:
            with self.lock:
                self.at_once -= 1
        if reply is None:
            self.cut(handler)
            return
        status, text, headers = reply
        with self.lock:
            if 200 <= status < 300:
                self.taken.append(request)
        handler.send_response(status)
        headers.setdefault("Content-Length", str(len(text)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(text)

    def cut(self, handler):
        """Ends the connection at once, with a reset."""
        handler.close_connection = True
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.rfile.close()
        handler.connection.close()

    def lines(self):
        with self.lock:
            return [line for request in self.taken for line in request.body.split(b"\n") if line]

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()
