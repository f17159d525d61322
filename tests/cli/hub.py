"""A Hugging Face hub on this machine, and what may go wrong with one."""

import hashlib
import http.server
import json
import re
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Serves `files` (path: bytes) as `repository`. As on the real one, large files have a sha256 and are redirected to
    another host. The attributes that follow switch faults on."""

    def __init__(self, repository, files, large=100_000):
        self.repository, self.files, self.large = repository, files, large
        self.listed = list(files)  # what the API names
        self.token = None          # asked for, if it is set
        self.blobs = True          # whether the API says sizes and hashes; the header of a file always does
        self.cut_after = None      # the next answers with a large file break off after that many bytes
        self.damage = False        # large files arrive with a wrong byte
        self.ranges = True         # whether Range is understood
        self.shift = 0             # added to the first byte that an answer to Range says and sends
        self.requests = []         # (method, path, Range, Authorization)
        self.stores = http.server.ThreadingHTTPServer(("127.0.0.2", 0), self.handler())  # another host
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        for server in (self.server, self.stores):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        for server in (self.server, self.stores):
            server.shutdown()
            server.server_close()

    def paths(self, method="GET"):
        return [path for made, path, _, _ in self.requests if made == method]

    def is_large(self, data):
        return len(data) >= self.large

    def hash(self, data):
        return hashlib.sha256(data).hexdigest() if self.is_large(data) else git_hash(data)

    def listing(self):
        siblings = []
        for path in self.listed:
            data = self.files.get(path, b"")
            entry = {"rfilename": path}
            if self.blobs:
                entry |= {"size": len(data), "blobId": git_hash(data)}
                if self.is_large(data):
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            siblings.append(entry)
        return json.dumps({"id": self.repository, "sha": COMMIT, "siblings": siblings}).encode()

    def handler(hub):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.answer()

            def do_GET(self):
                self.answer()

            def answer(self):
                path, _, query = self.path.partition("?")
                hub.requests.append((self.command, path, self.headers.get("Range"), self.headers.get("Authorization")))
                if self.server is hub.stores:
                    return self.send_file(hub.files[path.removeprefix("/store/")])
                if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                    return self.send(401, b'{"error":"Invalid credentials"}')
                if path == f"/api/models/{hub.repository}/revision/main":
                    return self.send(200, hub.listing())
                match = re.fullmatch(f"/{hub.repository}/resolve/{COMMIT}/(.*)", path)
                if not match or match[1] not in hub.files:
                    return self.send(404, b'{"error":"not found"}')
                data = hub.files[match[1]]
                about = {"X-Repo-Commit": COMMIT, "ETag": f'"{hub.hash(data)}"'}
                if not hub.is_large(data):
                    return self.send_file(data, about)
                about |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{hub.hash(data)}"', "ETag": '"other"',
                          "Location": f"http://127.0.0.2:{hub.stores.server_port}/store/{match[1]}"}
                self.send(302, b"", about)

            def send_file(self, data, headers=None):
                headers = dict(headers or {})
                status, first = 200, 0
                if hub.ranges and (asked := self.headers.get("Range")):
                    first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) + hub.shift
                    if first >= len(data):
                        return self.send(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
                    status = 206
                    headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
                body = data[first:]
                if hub.damage and hub.is_large(data):
                    body = body[:-1] + bytes([body[-1] ^ 1])
                limit = hub.cut_after if hub.is_large(data) else None
                self.send(status, body, headers, limit)

            def send(self, status, body, headers=None, limit=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body if limit is None else body[:limit])
                if limit is not None:
                    self.close_connection = True

        return Handler
