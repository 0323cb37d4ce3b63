"""A server on loopback that speaks as much of the Hub's interface as we use.

It keeps the files of one repository in memory.
"""

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse

import yaml


class Hub(http.server.ThreadingHTTPServer):
    """A Hub with one repository at most; `files` are its contents by path."""

    def __init__(self, files=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict(files or {})
        self.repository = None
        self.card = None  # What the front matter of the card says.
        self.wrong = None  # A status that every request is answered with.

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def commit(self):
        """The name of what is there: another for other contents."""
        digest = hashlib.sha1()
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + content)
        return digest.hexdigest()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        path = urllib.parse.urlparse(self.path).path
        hub = self.server
        if hub.wrong:
            self._answer({"error": "refused"}, hub.wrong)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            owner = asked.get("organization") or "nobody"
            hub.repository = f"{owner}/{asked['name']}"
            self._answer({"url": f"{hub.address}/{hub.repository}"})
        elif path == "/api/validate-yaml":
            front = json.loads(body)["content"].split("---")[1]
            hub.card = yaml.safe_load(front)
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    content = base64.b64decode(value["content"])
                    hub.files[value["path"]] = content
            repository = f"{hub.address}/{hub.repository}"
            self._answer(
                {
                    "commitUrl": f"{repository}/commit/{hub.commit}",
                    "commitOid": hub.commit,
                    "success": True,
                }
            )
        else:
            self._answer({"error": f"unknown {path}"}, 404)

    def do_HEAD(self):
        self._serve(with_body=False)

    def do_GET(self):
        self._serve(with_body=True)

    def _serve(self, with_body):
        path = urllib.parse.urlparse(self.path).path
        hub = self.server
        if hub.wrong:
            self._answer({"error": "refused"}, hub.wrong)
        elif "/tree/" in path:
            self._answer(
                [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for name, content in hub.files.items()
                ]
            )
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in hub.files]
            self._answer(
                {"id": "nobody/model", "sha": hub.commit, "siblings": siblings}
            )
        else:
            _, _, name = path.partition(f"/resolve/{hub.commit}/")
            name = name or path.partition("/resolve/main/")[2]
            self._send_file(hub.files.get(name), with_body)

    def _send_file(self, content, with_body):
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.server.commit)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
