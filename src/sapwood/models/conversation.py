"""Conversations as tokens: a chat template turns messages into text, and each piece of it is either read or written by the model.

The template is the model's own (`chat_template.jinja`, or in `tokenizer_config.json`), or one that the recipe names or gives; it is kept
in the model's folder. It runs in jinja2's immutable sandbox, since it comes with a model. Pieces are found by rendering a conversation
up to each answer, with and without it, so any template works whose text for fewer messages begins its text for more.
Each piece is encoded by itself, so that training sees exactly the ids that answering does. What it does NOT do: tools and images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.models.specials import named, specials
from sapwood.models.texts import Ids, whole

FILE = "chat_template.jinja"
TEMPLATES: Mapping[str, str] = {
    "chatml": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "plain": "{% for message in messages %}{{ message['role'] + ':\n' + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}",
}
"""chatml for models whose tokenizer has its two marks; plain for any tokenizer, an answer ends with its own eos_token."""
ROLES = ("system", "user", "assistant")
Messages = list[dict[str, str]]


def messages(text: str, row: str) -> Messages:
    """A conversation from JSON, [{"role", "content"}, ...] with one answer at least. `InputError` names the row."""
    try:
        found = json.loads(text)
    except ValueError:
        raise InputError(f"row {row}: the messages are not JSON", 'write [{"role": "user", "content": "..."}, ...]') from None
    fits = isinstance(found, list) and all(
        isinstance(one, dict) and one.get("role") in ROLES and isinstance(one.get("content"), str) for one in found
    )
    if not fits:
        raise InputError(f"row {row}: each message needs a role ({', '.join(ROLES)}) and a content", "mend the row")
    if not any(one["role"] == "assistant" for one in found):
        raise InputError(f"row {row}: no message is the assistant's, so there is nothing to learn", "leave the row out")
    return [{"role": one["role"], "content": one["content"]} for one in found]


def last_answer(told: Sequence[Mapping[str, str]]) -> str:
    """What the assistant says last."""
    return next(one["content"] for one in reversed(told) if one["role"] == "assistant")


def template_of(folder: Path) -> str:
    """The template that a model's folder carries, or ""."""
    if (folder / FILE).is_file():
        return (folder / FILE).read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    found = json.loads(config.read_text(encoding="utf-8")).get("chat_template", "") if config.is_file() else ""
    if isinstance(found, list):  # several by name
        found = next((one["template"] for one in found if one.get("name") == "default"), "")
    return found if isinstance(found, str) else ""


@dataclass(frozen=True)
class Piece:
    """A part of the rendered text; `written` says whether it is an answer, with what ends it."""

    text: str
    written: bool


@dataclass(frozen=True)
class Conversation:
    """How a model's conversations are written. Make one with `conversation`."""

    tokenizer: Tokenizer
    template: str
    names: Mapping[str, str]
    ends: tuple[int, ...]

    @cached_property
    def _compiled(self) -> Any:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> None:
            raise InputError(f"the chat template refuses these messages: {message}", "mend the messages")

        room = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
        room.globals["raise_exception"] = refuse
        try:
            return room.from_string(self.template)
        except TemplateError as fault:
            raise InputError(f"the chat template is not valid: {fault}", "mend the template") from None

    def rendered(self, told: Sequence[Mapping[str, str]], prompt: bool) -> str:
        """The text of the messages; with `prompt` also what stands before the next answer."""
        from jinja2 import TemplateError

        try:
            return str(self._compiled.render(messages=list(told), add_generation_prompt=prompt, **self.names))
        except (TemplateError, TypeError, KeyError) as fault:
            raise InputError(f"the chat template fails: {fault}", "mend the template or the messages") from None

    def pieces(self, told: Sequence[Mapping[str, str]], row: str = "") -> list[Piece]:
        """The text cut at the beginning and end of each answer. White space after a token that ends an answer is not part of it."""
        found: list[Piece] = []
        done = 0
        for number, one in enumerate(told):
            if one["role"] != "assistant":
                continue
            before, after = self.rendered(told[:number], True), self.rendered(told[: number + 1], False)
            if not after.startswith(before) or not before.startswith("".join(piece.text for piece in found)):
                raise InputError(
                    f"row {row}: the chat template writes the beginning of a conversation otherwise when more follows",
                    "give a template that only adds: template: chatml",
                )
            answer = self._trimmed(after[len(before) :])
            found += [Piece(before[done:], False), Piece(answer, True)]
            done = len(before) + len(answer)
        return found

    def _trimmed(self, answer: str) -> str:
        """Without white space after a special token at its end."""
        stripped = answer.rstrip()
        special = {token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special}
        return stripped if any(stripped.endswith(one) for one in special) else answer

    def encoded(self, told: Sequence[Mapping[str, str]], row: str = "") -> tuple[Ids, np.ndarray]:
        """(ids, which of them the model writes) of a whole conversation, up to its last answer."""
        pieces = self.pieces(told, row)
        parts = [self.ids(piece.text) for piece in pieces]
        return np.concatenate(parts), np.concatenate([np.full(len(i), p.written) for i, p in zip(parts, pieces, strict=True)])

    def prompt(self, told: Sequence[Mapping[str, str]], row: str = "") -> Ids:
        """The ids that the model reads before it writes its last answer."""
        pieces = self.pieces(told, row)[:-1]
        return np.concatenate([self.ids(piece.text) for piece in pieces])

    def ids(self, text: str) -> Ids:
        return np.asarray(self.tokenizer.encode(whole([text])[0], add_special_tokens=False).ids, dtype=np.int64)

    @cached_property
    def ending(self) -> str:
        """What the template writes after the words of an answer."""
        [*_, last] = self.pieces([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
        return last.text.partition("b")[2]

    @cached_property
    def stops(self) -> tuple[int, ...]:
        """Ids that end an answer: the model's own, and the template's where it ends answers with one token."""
        own = self.ids(self.ending) if self.ending else np.zeros(0, dtype=np.int64)
        return tuple(dict.fromkeys([*(int(i) for i in own if len(own) == 1), *self.ends]))

    def answer(self, ids: Ids) -> str:
        """The words of an answer: what the model wrote before what ends it."""
        text = self.tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)
        end = self.ending.strip()
        return text.partition(end)[0].strip() if end else text.strip()


def conversation(folder: Path, tokenizer: Tokenizer, template: str = "", fill: int = 0) -> Conversation:
    """The conversations of a model's folder. `template` is the name of one of `TEMPLATES`, or Jinja, or "" for the model's own."""
    given = TEMPLATES.get(template, template) or template_of(folder)
    if not given:
        raise InputError("the model has no chat template", f"set template to {' or '.join(TEMPLATES)}, or to Jinja text")
    found = specials(folder, tokenizer, fill)
    names = {"bos_token": "", "eos_token": tokenizer.id_to_token(found.ends[0]) or ""} | named(folder)
    return Conversation(tokenizer, given, names, found.ends)
