"""A small stand-in for the Hugging Face hub: the few addresses that `datasets` asks for, served from memory on a port of this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

Files = Mapping[str, bytes]
Repositories = Mapping[str, Mapping[str, Files]]
"""Repository → revision → path → content."""


def commit(repo: str, revision: str) -> str:
    """The commit that a revision stands for."""
    return hashlib.sha1(f"{repo}@{revision}".encode()).hexdigest()


@contextmanager
def serving(repositories: Repositories) -> Iterator[str]:
    """The address to set as HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(repositories))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _handler(repositories: Repositories) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            parts = unquote(urlparse(self.path).path).strip("/").split("/")
            if parts[0] == "datasets" and parts[3:4] == ["resolve"]:
                self._file("/".join(parts[1:3]), parts[4:])
            elif parts[:2] == ["api", "datasets"]:
                self._facts("/".join(parts[2:4]), parts[4:])
            else:
                self._send(200 if parts == [""] else 404)

        def _file(self, repo: str, rest: list[str]) -> None:
            found = _find(repositories, repo, rest)
            if found is None:
                self._send(404, headers={"X-Error-Code": "RepoNotFound"})
                return
            files, sha, name = found
            if name not in files:
                self._send(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
                return
            data = files[name]
            self._send(200, data, {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'})

        def _facts(self, repo: str, rest: list[str]) -> None:
            found = _find(repositories, repo, rest[1:])
            if found is None:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            files, sha, folder = found
            if rest[0] == "tree":
                value: object = _listing(files, folder)
            else:
                value = {"id": repo, "sha": sha, "siblings": [{"rfilename": name} for name in files], "private": False, "tags": []}
            if value:
                self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
            else:
                self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})

        def _send(self, code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
            self.send_response(code)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _listing(files: Files, folder: str) -> list[dict[str, object]]:
    """What stands directly in a folder."""
    start = f"{folder}/" if folder else ""
    names = {start + name.removeprefix(start).split("/")[0] for name in files if name.startswith(start)}
    kinds = {name: "file" if name in files else "directory" for name in sorted(names)}
    return [{"type": kind, "oid": "0" * 40, "size": len(files.get(name, b"")), "path": name} for name, kind in kinds.items()]


def _find(repositories: Repositories, repo: str, rest: list[str]) -> tuple[Files, str, str] | None:
    """The files of a revision (by its name or commit), its commit, and what stands behind it in the address."""
    for revision, files in repositories.get(repo, {}).items():
        sha = commit(repo, revision)
        for name in (revision.split("/"), [sha]):
            if rest[: len(name)] == name:
                return files, sha, "/".join(rest[len(name) :])
    return None
