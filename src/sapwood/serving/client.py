"""A small client of the gateway, and a gateway that runs for as long as a `with` block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sapwood.errors import InputError, NetworkError, NotFound, Refused, ResourceError, SapwoodError
from sapwood.serving.keys import SCOPES, new_key, write_file

COMMAND = (sys.executable, "-m", "sapwood.cli.main")
MOST = 256


@dataclass(frozen=True)
class Answer:
    """One answer. `response_id` is empty when the gateway keeps no responses; `scores` holds every label."""

    response_id: str
    label: str
    score: float
    scores: Mapping[str, float]
    version: int


class Gateway:
    """Calls one gateway. Errors are `SapwoodError`s: `InputError` (4xx), `Refused` (no key, no scope), `NetworkError`."""

    def __init__(self, url: str, key: str = "", timeout_s: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def predict(self, texts: Sequence[str], session: str = "", truncate: bool = False) -> list[Answer]:
        """One answer a text, in their order; asked 256 at a time."""
        answers: list[Answer] = []
        headers = {"x-session-id": session} if session else {}
        for part in (list(texts[i : i + MOST]) for i in range(0, len(texts), MOST)):
            reply = self._ask("POST", "/predict", {"inputs": part, "truncate": truncate}, headers)
            ids = reply.headers.get("x-response-ids", "").split(",")
            version = int(reply.headers["x-model-version"])
            for i, row in enumerate(reply.json()):
                scores = {scored["label"]: float(scored["score"]) for scored in row}
                answers.append(Answer(ids[i] if len(ids) == len(part) else "", row[0]["label"], float(row[0]["score"]), scores, version))
        return answers

    def feedback(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Store feedback (fields of `watching.feedback.Score`); the stored records. Sent 256 at a time."""
        stored: list[dict[str, Any]] = []
        for part in (list(items[i : i + MOST]) for i in range(0, len(items), MOST)):
            stored += self._ask("POST", "/v1/feedback", [dict(item) for item in part]).json()
        return stored

    def response(self, identifier: str) -> dict[str, Any]:
        """A served answer as it was logged."""
        found: dict[str, Any] = self._ask("GET", f"/v1/responses/{identifier}").json()
        return found

    def info(self) -> dict[str, Any]:
        """What is loaded, and what was refused."""
        found: dict[str, Any] = self._ask("GET", "/info").json()
        return found

    def _ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        try:
            reply = self._http.request(method, path, json=body, headers=dict(headers or {}))
        except httpx.HTTPError as fault:
            raise NetworkError(
                f"{self._http.base_url}: {fault or type(fault).__name__}", "is the gateway running? sapwood serve"
            ) from fault
        if reply.status_code >= 400:
            raise _fault(reply)
        return reply


def _fault(reply: httpx.Response) -> SapwoodError:
    try:
        message = str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = reply.text[:200]
    where = f"the gateway answered {reply.status_code}: {message}"
    if reply.status_code in (401, 403):
        return Refused(where, "make a key: sapwood keys create")
    if reply.status_code == 404:
        return NotFound(where)
    if reply.status_code == 429 or reply.status_code >= 500:
        return ResourceError(where, f"try again in {reply.headers.get('retry-after', '1')} s")
    return InputError(where)


@contextmanager
def running_gateway(
    store: Path, name: str, revision: int = 1, timeout_s: float = 60.0, threads: int = 0, command: Sequence[str] = COMMAND
) -> Iterator[tuple[str, str]]:
    """Run `sapwood serve NAME` as a process on a free loopback port; yields (url, key) once it has loaded `revision`.

    The key lives as long as the block and has every scope; only its hash is handed to the process, in a key file.
    Afterwards the process gets SIGTERM; `ResourceError` when it does not start, or does not end with 0.
    """
    with tempfile.TemporaryDirectory(prefix="sapwood-gateway-") as scratch:
        folder = Path(scratch)
        key, secret = new_key("running_gateway", list(SCOPES))
        write_file(folder / "keys.json", [key])
        options = ["--store", str(store), "--port", "0", "--port-file", str(folder / "port"), "--key-file", str(folder / "keys.json")]
        threading = ["--threads", str(threads)] if threads else []
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [*command, "serve", name, *options, *threading], stdout=output, stderr=subprocess.STDOUT, env=_environment()
            )
        try:
            yield _wait(process, folder, secret, revision, timeout_s), secret
        finally:
            _stop(process)
        if process.returncode != 0:
            raise ResourceError(
                f"the gateway of {name} ended with {process.returncode}:\n{_tail(folder)}", f"run it yourself: sapwood serve {name}"
            )


def _environment() -> dict[str, str]:
    """This process's own, with its import path, so that the child runs the same Sapwood."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _wait(process: subprocess.Popen[bytes], folder: Path, secret: str, revision: int, timeout_s: float) -> str:
    """The address, once the revision (or a later one) is loaded."""
    end = time.monotonic() + timeout_s
    seen = "it has not opened its port"
    while time.monotonic() < end and process.poll() is None:
        if (folder / "port").is_file():
            url = f"http://127.0.0.1:{(folder / 'port').read_text().strip()}"
            try:
                with Gateway(url, secret, timeout_s=5) as gateway:
                    info = gateway.info()
            except (NetworkError, ResourceError) as fault:
                seen = fault.what
            else:
                if info["revision"] >= revision:
                    return url
                seen = f"it serves revision {info['revision']}; refused: {info['refusals']}"
        time.sleep(0.05)
    how = (
        f"ended with {process.returncode}"
        if process.poll() is not None
        else f"did not serve revision {revision} within {timeout_s:.0f} s ({seen})"
    )
    raise ResourceError(f"the gateway {how}:\n{_tail(folder)}", "run it yourself to see more: sapwood serve")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(folder: Path, lines: int = 20) -> str:
    return "\n".join((folder / "output").read_text("utf-8", "replace").splitlines()[-lines:])
