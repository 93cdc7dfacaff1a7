"""A small API server over real HTTP: lists in pages, merge patches, deletes, and the ways a server can disappoint."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from typing_extensions import Self

PREFIXES = (
    "/api/v1/", "/apis/apps/v1/", "/apis/scheduling.x-k8s.io/v1alpha1/", "/apis/storage.k8s.io/v1/",
    "/apis/events.k8s.io/v1/",
)  # fmt: skip


@dataclass
class KubeServer:
    """Objects by kind and name. `requests` is what was asked, `faults` answers instead of the truth, in order."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    token: str = "secret-token"
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    faults: list[tuple[str, int, Any]] = field(default_factory=list)
    """(part of the path, status, body): used once each."""
    missing: tuple[str, ...] = ()
    """Kinds nobody has defined (404)."""
    revision: int = 100
    tls: ssl.SSLContext | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = outer.answer(
                    self.command, self.path, body, {name.title(): text for name, text in self.headers.items()}
                )
                content = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PATCH = do_DELETE = do_POST = do_PUT = _serve  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def put(self, kind: str, *items: dict[str, Any]) -> None:
        for item in items:
            name = item["metadata"].get("namespace", ""), item["metadata"]["name"]
            self.objects.setdefault(kind, {})["/".join(name)] = item

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects["nodes"][f"/{name}"]
        return found

    def sent(self, method: str) -> list[tuple[str, Any]]:
        return [(path, body) for found, path, body in self.requests if found == method]

    def answer(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        self.requests.append((method, path, body))
        self.headers.extend(headers.items())
        for index, (part, status, answer) in enumerate(self.faults):
            if part in path:
                del self.faults[index]
                return status, answer
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if self.token and (scheme.lower(), token) != ("bearer", self.token):
            return _status(401, "Unauthorized")
        parts = urlsplit(path)
        if method == "POST":
            return self._create(parts.path.rpartition("/")[2], body)
        kind, _, name = next(
            (parts.path.removeprefix(prefix) for prefix in PREFIXES if parts.path.startswith(prefix)), ""
        ).partition("/")
        if not kind or kind in self.missing:
            return _status(404, "the server could not find the requested resource")
        found = self.objects.setdefault(kind, {})
        if not name:
            return self._list(kind, {key: values[0] for key, values in parse_qs(parts.query).items()})
        return self._one(method, found, f"/{name}", body, headers)

    def _create(self, kind: str, body: Any) -> tuple[int, Any]:
        key = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        if key in self.objects.setdefault(kind, {}):
            return _status(409, f'{kind} "{key}" already exists')
        self.objects[kind][key] = body
        return 201, body

    def _one(self, method: str, found: dict[str, Any], key: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        if key not in found:
            return _status(404, f'"{key}" not found')
        if method == "PATCH":
            if headers.get("Content-Type") != "application/merge-patch+json":
                return _status(415, "the body of the request was in an unknown format")
            found[key] = merged(found[key], body)
        if method == "DELETE":
            if body["preconditions"].get("uid") not in {None, found[key]["metadata"].get("uid")}:
                return _status(409, "the UID in the precondition does not match")
            return 200, found.pop(key)
        return 200, found[key]

    def _list(self, kind: str, query: dict[str, str]) -> tuple[int, Any]:
        items = [item for _, item in sorted(self.objects[kind].items()) if _selected(item, query)]
        start = int(query.get("continue", "0"))
        end = start + int(query.get("limit", "500"))
        meta = {"resourceVersion": str(self.revision), **({"continue": str(end)} if end < len(items) else {})}
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items[start:end]}


def _selected(item: dict[str, Any], query: dict[str, str]) -> bool:
    for part in query.get("fieldSelector", "").split(","):
        if part.startswith("spec.nodeName="):
            return bool(item["spec"].get("nodeName") == part.removeprefix("spec.nodeName="))
        if part.startswith("status.phase!=") and item["status"].get("phase") == part.removeprefix("status.phase!="):
            return False
    return True


def _status(code: int, message: str) -> tuple[int, Any]:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found
