"""What the scripted upstreams of sdk/ and clients/ share: the server, its answers on the wire, and its start. Standard library only."""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    """A handler that answers with JSON, or with a stream of events in chunks."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body, **fields):
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events, ended, pause_s=0.001, ascii_only=False):
        """Events (name or None, data), each cut in two writes. `ended` False: the connection closes without a last chunk."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=ascii_only)
            raw = (("event: %s\n" % name if name else "") + "data: %s\n\n" % text).encode()
            half = len(raw) // 2  # cut anywhere, also inside a character
            for part in (raw[:half], raw[half:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
            if pause_s:
                time.sleep(pause_s)
        if ended:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that leaves is part of the play


def serve(handler, config):
    """Listens on a free port, writes `config(port)` to the file that the command line names, says so, and serves."""
    server = Server(("127.0.0.1", 0), handler)
    port = server.server_address[1]
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(config(port))
    print("ready http://127.0.0.1:%d" % port, flush=True)
    server.serve_forever()
