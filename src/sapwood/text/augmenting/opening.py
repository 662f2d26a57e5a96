"""Open operators: read their tables, connect to their models.

An opened operator takes parents and a number and returns one outcome a parent. A local one is a pure function of
(seed, id, operator, number), whatever stands beside the row; what a served model answers is up to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sapwood.samples.fetch import fetch
from sapwood.text.augmenting import edits, lexicons, served
from sapwood.text.augmenting.edits import Edit
from sapwood.text.augmenting.operators import SOUND_TABLES, SYNONYM_TABLES, Homophones, Mix, Noise, Rewriting, Served, Shuffle, Synonyms
from sapwood.text.augmenting.pools import Pools
from sapwood.text.augmenting.protected import kept

LANGUAGES = {
    "zh": "Chinese",
    "en": "English",
    "ja": "Japanese",
    "ko": "Korean",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "ru": "Russian",
}


class Parent(NamedTuple):
    """A row to make children of; `hidden` is its text without what may not change."""

    id: str
    text: str
    language: str
    label: str
    license: str
    hidden: str


class Outcome(NamedTuple):
    """A child's text, or None with the reason. `partner` is the id of a second parent."""

    text: str | None
    reason: str = ""
    partner: str = ""


Operator = Callable[[Sequence[Parent], int], list[Outcome]]


class Setting(NamedTuple):
    """What operators are opened with. `stop` raises once the run was asked to stop. `pools` holds possible partners."""

    workspace: Path
    scratch: Path
    seed: int
    names: tuple[str, ...]
    say: Callable[[str], None]
    stop: Callable[[], None]
    pools: Pools


def opened(name: str, operator: Any, setting: Setting) -> Operator:
    """The operator, ready to make children. Raises `InputError` for a table that cannot be read."""
    if isinstance(operator, Served):
        return _served(name, operator, setting)
    if isinstance(operator, Mix):
        return _mixing(name, setting)
    edit = _edit(operator, setting)

    def make(parents: Sequence[Parent], number: int) -> list[Outcome]:
        found = []
        for parent in parents:
            text = edit(parent.text, parent.hidden, edits.draw(setting.seed, parent.id, name, number))
            found.append(Outcome(None, "nothing to change") if text == parent.text else Outcome(text))
        return found

    return make


def _edit(operator: Any, setting: Setting) -> Edit:
    if isinstance(operator, Synonyms):
        path = _table(operator.table, SYNONYM_TABLES, setting)
        read = {"cilin": lexicons.cilin, "wordnet": lexicons.wordnet}.get(operator.table, lexicons.groups)
        return edits.synonyms(lexicons.Lexicon(read(path)), operator.share)
    if isinstance(operator, Homophones):
        return edits.characters(lexicons.homophones(_table(operator.table, SOUND_TABLES, setting)), operator.share)
    if isinstance(operator, Noise):
        typed = edits.noise(operator.moves, operator.share)
        if not operator.alike:
            return typed
        return edits.either(typed, edits.characters(lexicons.groups(setting.workspace / operator.alike), operator.share))
    assert isinstance(operator, Shuffle)
    return edits.shuffled


def _table(name: str, samples: dict[str, tuple[str, str]], setting: Setting) -> Path:
    if name not in samples:
        return setting.workspace / name
    sample, file = samples[name]
    return fetch(sample, setting.say) / file


def _mixing(name: str, setting: Setting) -> Operator:
    def make(parents: Sequence[Parent], number: int) -> list[Outcome]:
        return [one(parent, number) for parent in parents]

    def one(parent: Parent, number: int) -> Outcome:
        partners = setting.pools.partners((parent.label, parent.language, parent.license), parent.id)
        if not partners:
            return Outcome(None, "no partner of its label")
        chance = edits.draw(setting.seed, parent.id, name, number)
        partner = chance.choice(partners)
        return Outcome(edits.mixed(parent.text, partner.text, chance), partner=partner.id)

    return make


def _served(name: str, operator: Any, setting: Setting) -> Operator:
    guard, key = served.guard(operator.allow, operator.seconds), served.secret(operator.key_variable)
    model = served.Model(guard, operator.url, operator.model, setting.scratch / "answers.sqlite", key, operator.temperature, setting.stop)

    def make(parents: Sequence[Parent], number: int) -> list[Outcome]:
        seeds = [edits.draw(setting.seed, parent.id, name, number).getrandbits(31) for parent in parents]
        replies = [served.Reply(parent.text) for parent in parents]
        for instruct in _turns(operator):
            asked = [i for i, reply in enumerate(replies) if reply.text is not None]
            prompts = [f"{instruct(parents[i])}\n\n{replies[i].text}" for i in asked]
            for i, reply in zip(asked, model.answers(prompts, [seeds[i] for i in asked]), strict=True):
                replies[i] = reply
        return [_judged(parent, reply) for parent, reply in zip(parents, replies, strict=True)]

    def _judged(parent: Parent, reply: Any) -> Outcome:
        if reply.text is None:
            return Outcome(None, f"the model failed: {reply.fault}")
        if reply.text == parent.text:
            return Outcome(None, "nothing to change")
        if not kept(parent.text, reply.text, setting.names):
            return Outcome(None, "lost a number, a name, a placeholder or a negation")
        return Outcome(reply.text)

    return make


def _turns(operator: Any) -> list[Callable[[Parent], str]]:
    """The instructions of one child, one after the other."""
    if isinstance(operator, Rewriting):
        return [lambda parent: operator.instruction]
    only = "Keep numbers, names and everything in <> as they are. Answer with the translation only."

    def away(parent: Parent) -> str:
        return f"Translate the text into {operator.via or ('English' if parent.language.startswith('zh') else 'Chinese')}. {only}"

    def home(parent: Parent) -> str:
        return f"Translate the text into {LANGUAGES.get(parent.language.split('-')[0], 'the language with the code ' + (parent.language or 'en'))}. {only}"

    return [away, home]
