"""A client of the YAML language server, which editors run: what an author of a scene sees while typing.

The server is the npm package `yaml-language-server`; it is sought where VISCERA_YAML_SERVER says, else on PATH.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

Message = dict[str, Any]

_SETTINGS = {"yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}}
_CAPABILITIES = {
    "textDocument": {
        "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
        "hover": {"contentFormat": ["markdown"]},
        "publishDiagnostics": {},
    },
    "workspace": {"configuration": True},
}


def find_server() -> str | None:
    """The server's program, if it is installed."""
    return shutil.which(os.environ.get("VISCERA_YAML_SERVER") or "yaml-language-server")


class LanguageServer:
    """A running server; each file that is opened is known by its path."""

    def __init__(self, program: str, timeout_s: float = 60.0) -> None:
        self._process = subprocess.Popen([program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._timeout_s = timeout_s
        self._sent = 0
        self._versions: dict[str, int] = {}
        self._replies: queue.Queue[Message] = queue.Queue()
        self._found: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._ask("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": _CAPABILITIES})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": _SETTINGS})

    def close(self) -> None:
        """End the server."""
        self._ask("shutdown", None)
        self._tell("exit", None)
        self._process.wait(timeout=self._timeout_s)

    def diagnostics(self, path: Path, text: str) -> list[Message]:
        """What the server finds wrong in `text`, shown as the content of `path`."""
        uri = path.as_uri()
        version = self._versions[uri] = self._versions.get(uri, 0) + 1
        if version == 1:
            document = {"uri": uri, "languageId": "yaml", "version": version, "text": text}
            self._tell("textDocument/didOpen", {"textDocument": document})
        else:
            changed = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]}
            self._tell("textDocument/didChange", changed)
        while True:
            found = self._found.get(timeout=self._timeout_s)
            if found["uri"] == uri and found.get("version", version) == version:
                return found["diagnostics"]

    def completions(self, path: Path, line: int, column: int) -> dict[str, Message]:
        """What it offers at a place in the file as last shown; line and column count from 0."""
        found = self._ask("textDocument/completion", _place(path, line, column))
        items = found["items"] if isinstance(found, dict) else found or []
        return {item["label"]: item for item in items}

    def hover(self, path: Path, line: int, column: int) -> str:
        """What it says of the word at a place, Markdown."""
        found = self._ask("textDocument/hover", _place(path, line, column))
        return found["contents"]["value"] if found else ""

    def _ask(self, method: str, params: Any) -> Any:
        self._sent += 1
        self._send({"id": self._sent, "method": method, "params": params})
        while True:
            reply = self._replies.get(timeout=self._timeout_s)
            if reply["id"] == self._sent:
                assert "error" not in reply, reply
                return reply["result"]

    def _tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                header = stream.readline()
            self._sort(json.loads(stream.read(length)))

    def _sort(self, message: Message) -> None:
        """Puts aside what the server says, and answers what it asks."""
        if "method" not in message:
            self._replies.put(message)
        elif message["method"] == "textDocument/publishDiagnostics":
            self._found.put(message["params"])
        elif message["method"] == "workspace/configuration":
            wanted = [_SETTINGS.get(item.get("section")) for item in message["params"]["items"]]
            self._send({"id": message["id"], "result": wanted})
        elif "id" in message:
            self._send({"id": message["id"], "result": None})


def _place(path: Path, line: int, column: int) -> Message:
    return {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": column}}
