"""Ask a served model for another wording: OpenAI-shaped `POST URL/chat/completions`, through the one guard of outgoing requests.

Answers are kept in a SQLite file of the step's scratch folder, by a hash of everything that was sent: a killed run asks again only for
what it has no answer to. Failures are not kept. A row whose request fails has its reason recorded; the first `HOPELESS` in a row that
fail stop the step, since then nobody is there. Texts leave the machine, so nothing is sent without a URL that the recipe names.

A model need not answer the same twice, with a seed or without: the step's result is kept under its key like any other, but another
store may get other children from the same recipe.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sapwood.errors import InputError, NetworkError
from sapwood.outgoing.addresses import allowed
from sapwood.outgoing.request import Answer, Caps, Guard, request

TRIES = 3
HOPELESS = 20
AT_ONCE = 4
"""Requests under way: more than one so that a server can batch, few enough for a small one."""
LONGEST_WAIT = 30.0
BODY = 4 << 20


class Reply(NamedTuple):
    """`text` is None when `fault` says why there is none."""

    text: str | None
    fault: str = ""


@dataclass
class Model:
    """One served model. `key` is sent as a bearer token when it is not empty. `stop` raises once the run was asked to stop."""

    guard: Guard
    url: str
    name: str
    cache: Path
    key: str = ""
    temperature: float = 0.7
    stop: Callable[[], None] = lambda: None
    failed: int = 0
    asked: int = 0

    def answers(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        """One reply a prompt, in their order. Raises `NetworkError` when the first `HOPELESS` requests all failed."""
        bodies = [self._body(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        with closing(self._opened()) as kept, ThreadPoolExecutor(AT_ONCE) as pool:
            found = {body: Reply(text) for body in bodies if (text := self._known(kept, body)) is not None}
            wanted = list(dict.fromkeys(body for body in bodies if body not in found))
            for start in range(0, len(wanted), HOPELESS):
                self.stop()
                part = wanted[start : start + HOPELESS]
                for body, reply in zip(part, pool.map(self._ask, part), strict=True):
                    found[body] = reply
                    self._note(kept, body, reply)
        return [found[body] for body in bodies]

    def _body(self, prompt: str, seed: int) -> bytes:
        sent = {
            "model": self.name,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "seed": seed % (1 << 31),
        }
        return json.dumps(sent, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")

    def _ask(self, body: bytes) -> Reply:
        headers = {"content-type": "application/json", "accept": "application/json"} | (
            {"authorization": f"Bearer {self.key}"} if self.key else {}
        )
        fault = ""
        for attempt in range(TRIES):
            pause = 2.0**attempt
            try:
                answer = request(self.guard, f"{self.url.rstrip('/')}/chat/completions", headers, "POST", body)
            except InputError as problem:
                if not self.asked:
                    raise  # the guard says no to the first request: it will say so to all
                return Reply(None, problem.what)
            except NetworkError as problem:
                fault = problem.what
            else:
                if answer.status == 200:
                    return content(answer)
                fault = f"the model answered {answer.status}"
                if answer.status not in (408, 409, 429) and answer.status < 500:
                    break
                pause = wait(answer, pause)
            if attempt + 1 < TRIES:
                time.sleep(pause)
        return Reply(None, fault)

    def _note(self, kept: sqlite3.Connection, body: bytes, reply: Reply) -> None:
        self.asked += 1
        if reply.text is not None:
            kept.execute("insert or replace into answers values (?, ?)", (self._name(body), reply.text))
            kept.commit()
            return
        self.failed += 1
        if self.failed == self.asked >= HOPELESS:
            raise NetworkError(
                f"{self.url}: none of {self.asked} requests was answered ({reply.fault})", "start the model, or check its url"
            )

    def _known(self, kept: sqlite3.Connection, body: bytes) -> str | None:
        row = kept.execute("select text from answers where name = ?", (self._name(body),)).fetchone()
        return None if row is None else str(row[0])

    def _name(self, body: bytes) -> str:
        return hashlib.sha256(self.url.encode() + b"\0" + body).hexdigest()

    def _opened(self) -> sqlite3.Connection:
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        found = sqlite3.connect(self.cache)
        found.execute("create table if not exists answers (name text primary key, text text not null)")
        return found


def content(answer: Answer) -> Reply:
    """The text of the first choice, without what a thinking model thinks aloud and without quotes around the whole."""
    try:
        text = json.loads(answer.body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return Reply(None, "the answer is not that of a chat model")
    text = re.sub(r"<think>.*?</think>", "", text or "", flags=re.DOTALL).strip()
    for first, last in (('"', '"'), ("“", "”"), ("「", "」"), ("'", "'")):
        if len(text) > 2 and text.startswith(first) and text.endswith(last) and first not in text[1:-1]:
            text = text[1:-1].strip()
    return Reply(text) if text else Reply(None, "the answer is empty")


def wait(answer: Answer, pause: float) -> float:
    """Seconds before the next try: what the server asks for, at most `LONGEST_WAIT`, or `pause`."""
    asked = answer.headers.get("retry-after", "")
    return min(LONGEST_WAIT, float(asked) if asked.isdecimal() else pause)


def guard(allow: Sequence[str], seconds: float) -> Guard:
    """The guard for a model on the user's side: `allow` names hosts or networks that are not public."""
    return Guard(allow=allowed(allow), caps=Caps(seconds=seconds, body=BODY, redirects=0), agent="sapwood (augment)")


def secret(variable: str) -> str:
    """The key in an environment variable; "" for none. Raises `InputError` when the variable is not set."""
    if not variable:
        return ""
    try:
        return os.environ[variable]
    except KeyError:
        raise InputError(f"the environment variable {variable} is not set", f"export {variable}=...; it is read and never stored") from None
