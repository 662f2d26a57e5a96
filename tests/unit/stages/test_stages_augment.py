"""The stage `augment`: children of training rows, on their parents' side."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sapwood import report
from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError, Interrupted, NetworkError
from sapwood.stage import Work
from sapwood.stages.augment import Augment
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows

LOCAL = [{"kind": "noise"}, {"kind": "shuffle"}, {"kind": "mix"}]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path)


def stored(work: Work, made: list[dict[str, Any]], kind: Any = Examples, schema: Any = None) -> Any:
    folder = work.new("given")
    schema = schema or (rows.EXAMPLES if kind is Examples else rows.DOCUMENTS)
    rows.write(folder, rows.table([{k: v for k, v in row.items() if k in schema.names} for row in made], schema))
    return work.put(kind, folder)


def read(work: Work, artifact: Any) -> list[dict[str, Any]]:
    return rows.read(work.path(artifact)).to_pylist()


def augment(operators: list[dict[str, Any]], **fields: Any) -> Augment:
    return Augment.model_validate({"operators": operators, **fields})


def row(text: str, label: str = "pos", name: str = "", **fields: Any) -> dict[str, Any]:
    return {**rows.document("shop", name or text, text, **fields), "label": label}


# --------------------------------------------------------------------------- what a child is


def test_a_child_carries_its_parent_label_source_and_unknown_columns(work: Work) -> None:
    schema = rows.EXAMPLES.append(pa.field("stars", pa.int32()))
    parent = {**row("酒店很好，房间干净，早餐也好吃。", language="zh", license="MIT", meta={"domain": "hotel"}, url="u"), "stars": 5}
    found = augment([{"kind": "shuffle"}]).run(work, stored(work, [parent], schema=schema))
    [child] = read(work, found.children)
    assert child["parents"] == [parent["id"]]
    assert child["id"] != parent["id"]
    assert json.loads(child["meta"]) == {"domain": "hotel", "augment": "shuffle"}
    assert child["text_digest"] == rows.text_digest(child["text"]) != parent["text_digest"]
    kept = ("label", "source", "url", "language", "license", "collected_at", "stars")
    assert {name: child[name] for name in kept} == {name: parent[name] for name in kept}
    assert read(work, found.all) == [parent, child]


def test_a_mixture_has_two_parents_of_one_label_language_and_licence(work: Work) -> None:
    found = augment([{"kind": "mix"}], copies=2).run(work, stored(work, tiny.tiny_examples()))
    by_id = {one["id"]: one for one in tiny.tiny_examples()}
    children = read(work, found.children)
    assert len(children) > 50
    for child in children:
        one, two = (by_id[name] for name in child["parents"])
        assert one["id"] != two["id"]
        assert (one["label"], one["language"]) == (two["label"], two["language"]) == (child["label"], child["language"])


def test_children_of_documents_are_documents(work: Work) -> None:
    found = augment([{"kind": "noise"}]).run(work, stored(work, tiny.tiny_corpus(), Documents))
    assert isinstance(found.children, Documents)
    assert rows.schema(work.path(found.all)).names == rows.DOCUMENTS.names


# --------------------------------------------------------------------------- sides


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 31), st.integers(1, 3))
def test_children_of_a_split_stay_on_their_parents_side(tmp_path_factory: pytest.TempPathFactory, seed: int, copies: int) -> None:
    from sapwood.stages.split import Split

    base = tmp_path_factory.mktemp("split")
    work = make_work(LocalStore(base / "store"), base / "scratch", base, seed)
    parts = Split().run(work, stored(work, tiny.tiny_examples()), None)
    held = [parts.dev, parts.test, parts.later]
    found = augment(LOCAL, copies=copies).run(work, parts.train, held)
    train = {one["id"] for one in read(work, parts.train)}
    away = {one["id"] for part in held for one in read(work, part)}
    texts = {one["text"] for part in held for one in read(work, part)}
    children = read(work, found.children)
    assert children
    assert all(set(child["parents"]) <= train for child in children)
    assert not away & {name for child in children for name in child["parents"]}
    assert not texts & {child["text"] for child in children}
    assert len({child["id"] for child in children}) == len(children)


def test_rows_that_are_held_out_are_refused(work: Work) -> None:
    made = tiny.tiny_examples()
    with pytest.raises(InputError, match="2 rows to augment are held out"):
        augment([{"kind": "noise"}]).run(work, stored(work, made[:6]), [stored(work, made[4:8])])


def test_a_child_that_equals_another_row_is_dropped_with_the_reason(work: Work) -> None:
    train = [row("很好，不错。", name="1"), row("不错，很好。", name="2"), row("很贵，很远。", name="3"), row("有点吵，但干净。", name="4")]
    held = [row("很远， 很贵。", name="9")]
    found = augment([{"kind": "shuffle"}], copies=9).run(work, stored(work, train), [stored(work, held)])
    reasons = {(one["text"], json.loads(one["meta"])["dropped"]) for one in read(work, found.dropped)}
    assert ("不错，很好。", "equal to another row") in reasons
    assert ("很远，很贵。", "equal to a held-out row") in reasons
    assert ("但干净，有点吵。", "equal to an earlier child") in reasons
    assert [one["text"] for one in read(work, found.children)] == ["但干净，有点吵。"]


def test_a_child_whose_parent_is_missing_stops_the_stage(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.errors import Refused
    from sapwood.text.augmenting import opening
    from sapwood.text.augmenting.opening import Outcome

    monkeypatch.setattr(opening, "_mixing", lambda name, setting: lambda parents, n: [Outcome("新", partner="nobody") for _ in parents])
    with pytest.raises(Refused, match="1 children name a parent"):
        augment([{"kind": "mix"}]).run(work, stored(work, [row("旧")]))


# --------------------------------------------------------------------------- determinism


def test_children_do_not_depend_on_how_rows_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.text import writer
    from sapwood.text.augmenting import children

    def once(name: str) -> tuple[str, ...]:
        work = make_work(LocalStore(tmp_path / name / "store"), tmp_path / name / "scratch", tmp_path)
        given = stored(work, tiny.tiny_examples())
        monkeypatch.setattr(writer, "GROUP_ROWS", 16_384)
        return tuple(a.digest for a in augment(LOCAL, copies=2, share=0.7).run(work, given)[:3])

    plain = once("plain")
    monkeypatch.setattr(writer, "GROUP_ROWS", 7)
    monkeypatch.setattr(children, "SIZE", 5)
    monkeypatch.setattr(children, "PART", 20)
    monkeypatch.setattr(children, "BLOCK", 3)
    monkeypatch.setattr(children, "BUDGET", 64)
    assert once("pieces") == plain


def test_a_row_has_the_same_children_whatever_stands_beside_it(work: Work) -> None:
    made = tiny.tiny_examples()
    operators = [{"kind": "noise"}, {"kind": "shuffle"}]
    alone = read(work, augment(operators).run(work, stored(work, made[:1])).children)
    among = read(work, augment(operators).run(work, stored(work, made)).children)
    assert alone
    assert alone == [child for child in among if child["parents"] == [made[0]["id"]]]


def test_labels_and_share_choose_the_parents(work: Work) -> None:
    found = augment([{"kind": "noise"}], labels=["negative"], share=0.5).run(work, stored(work, tiny.tiny_examples()))
    told = report.read(work.path(found.report))["data"]
    assert 5 < told["parents"] < 31
    assert {child["label"] for child in read(work, found.children)} == {"negative"}


def test_blank_rows_and_no_rows_have_no_children(work: Work) -> None:
    found = augment(LOCAL).run(work, stored(work, [row(""), row(" \n", name="b")]))
    assert read(work, found.children) == []
    assert len(read(work, found.all)) == 2
    assert read(work, augment(LOCAL).run(work, stored(work, [])).all) == []


def test_the_report_counts_every_attempt_and_shows_parents_beside_children(work: Work) -> None:
    found = augment([{"kind": "noise"}, {"kind": "noise", "share": 0.5}, {"kind": "shuffle"}]).run(work, stored(work, tiny.tiny_examples()))
    told = report.read(work.path(found.report))
    operators = told["data"]["operators"]
    assert sorted(operators) == ["noise", "noise 2", "shuffle"]
    assert all(counts["tried"] == 72 == sum(n for reason, n in counts.items() if reason != "tried") for counts in operators.values())
    assert told["data"]["children"] == len(read(work, found.children)) == sum(counts["kept"] for counts in operators.values())
    assert 0 < told["data"]["changed"]["noise"] < told["data"]["changed"]["noise 2"] < 1
    shown = [r for block in told["blocks"] if block["type"] == "samples" for r in block["rows"]]
    assert len(shown) == 9
    assert all(r["parent"] != r["text"] for r in shown)


# --------------------------------------------------------------------------- tables


def test_tables_of_the_workspace_are_read_and_enter_the_fingerprint(work: Work, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("酒店 旅馆\ncheap inexpensive\n", encoding="utf-8")
    (tmp_path / "sounds.txt").write_text("hen\t很\t狠\n", encoding="utf-8")
    (tmp_path / "alike.txt").write_text("干 千\n", encoding="utf-8")
    given = [
        {"kind": "synonyms", "table": "words.txt", "share": 1},
        {"kind": "homophones", "table": "sounds.txt"},
        {"kind": "noise", "alike": "alike.txt", "moves": ["keyboard"]},
    ]
    stage = augment(given, names=["海外酒店"])
    found = stage.run(work, stored(work, [row("酒店很干净，海外酒店。"), row("A cheap room", name="2")]))
    texts = {child["text"] for child in read(work, found.children)}
    assert {"旅馆很干净，海外酒店。", "酒店狠干净，海外酒店。", "酒店很千净，海外酒店。", "A inexpensive room"} <= texts
    before = stage.fingerprint(tmp_path)
    (tmp_path / "words.txt").write_text("酒店 宾馆\n", encoding="utf-8")
    assert stage.fingerprint(tmp_path) != before
    assert augment([{"kind": "noise"}]).fingerprint(tmp_path) == ""


def test_a_missing_table_and_a_wrong_url_are_told_before_the_run(tmp_path: Path) -> None:
    stage = augment([{"kind": "synonyms", "table": "no.txt"}, {"kind": "rewriting", "url": "ftp://x", "model": "m"}])
    faults = stage.check(tmp_path)
    assert len(faults) == 2
    assert "no.txt: no such table" in faults[0]
    assert augment(LOCAL).check(tmp_path) == []


def test_what_needs_labels_refuses_documents(work: Work) -> None:
    for fields in ({"operators": [{"kind": "mix"}]}, {"operators": [{"kind": "noise"}], "labels": ["x"]}):
        with pytest.raises(InputError, match="need labelled examples"):
            Augment.model_validate(fields).run(work, stored(work, tiny.tiny_corpus(), Documents))


def test_the_contract_of_stages_is_kept(work: Work) -> None:
    check_stage(Augment, work.store, {"train": stored(work, tiny.tiny_examples()), "held_out": None})


# --------------------------------------------------------------------------- served models


@dataclass
class Fake:
    """A chat model: answers by a function of the prompt; counts what it was asked."""

    answer: Any
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def operator(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {"kind": kind, "url": f"http://127.0.0.1:{self.port}/v1", "model": "m", "allow": [f"127.0.0.1:{self.port}"], **fields}


@contextmanager
def served(answer: Any) -> Iterator[Fake]:
    fake = Fake(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fake.asked.append(body)
            fake.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, text = fake.answer(body["messages"][0]["content"]) if self.path == "/v1/chat/completions" else (404, "")
            sent = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def reworded(prompt: str) -> tuple[int, str]:
    return 200, f"“{prompt.rpartition(chr(10))[2]}，真的”"


def test_a_served_model_rewrites_and_failures_are_recorded_by_row(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(prompt: str) -> tuple[int, str]:
        if "坏" in prompt:
            return 400, ""
        return (200, "忘了数字") if "30" in prompt else (200, "") if "空" in prompt else reworded(prompt)

    monkeypatch.setenv("MY_KEY", "secret-1")
    given = stored(work, [row("好", language="zh"), row("坏", language="zh"), row("花了 30 元", language="zh"), row("空", language="zh")])
    with served(answer) as fake:
        found = augment([fake.operator("rewriting", key_variable="MY_KEY")]).run(work, given)
    assert [child["text"] for child in read(work, found.children)] == ["好，真的"]
    assert [(one["text"], json.loads(one["meta"])["dropped"]) for one in read(work, found.dropped)] == [
        ("坏", "the model failed: the model answered 400"),
        ("花了 30 元", "lost a number, a name, a placeholder or a negation"),
        ("空", "the model failed: the answer is empty"),
    ]
    assert {one["authorization"] for one in fake.headers} == {"Bearer secret-1"}
    assert report.read(work.path(found.report))["data"]["operators"]["rewriting"]["the model failed"] == 2


def test_back_translation_goes_away_and_home(work: Work) -> None:
    def answer(prompt: str) -> tuple[int, str]:
        return 200, "A good hotel" if "into English" in prompt else "一家不错的酒店" if "into Chinese" in prompt else "?"

    with served(answer) as fake:
        found = augment([fake.operator("back-translation")]).run(work, stored(work, [row("没有缺点的酒店", language="zh")]))
    assert [child["text"] for child in read(work, found.children)] == ["一家不错的酒店"]
    assert [one["messages"][0]["content"].rpartition("\n")[2] for one in fake.asked] == ["没有缺点的酒店", "A good hotel"]


def test_a_killed_step_does_not_ask_again_for_what_was_answered(work: Work) -> None:
    given = stored(work, [row(f"第{chr(0x4E00 + i)}条评论", language="zh") for i in range(30)])
    with served(reworded) as fake:
        stage = augment([fake.operator("rewriting")])
        asked = 0

        class Stopping(type(work.monitor)):  # type: ignore[misc]
            def stopping(self) -> bool:
                return len(fake.asked) >= 10

        from dataclasses import replace

        with pytest.raises(Interrupted):
            stage.run(replace(work, monitor=Stopping()), given)
        asked = len(fake.asked)
        assert 10 <= asked < 30
        first = stage.run(work, given)
        assert len(fake.asked) == 30, "the answers before the stop were kept"
        assert stage.run(work, given) == first
        assert len(fake.asked) == 30, "the same requests cost nothing"


def test_a_model_that_never_answers_stops_the_step(work: Work) -> None:
    given = stored(work, [row(f"第{chr(0x4E00 + i)}条") for i in range(25)])
    with served(lambda _: (404, "")) as fake, pytest.raises(NetworkError, match="none of 20 requests was answered"):
        augment([fake.operator("rewriting")]).run(work, given)


def test_a_busy_model_is_asked_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.text.augmenting import served as asking

    waits: list[float] = []
    monkeypatch.setattr(asking.time, "sleep", waits.append)
    with served(lambda prompt: (503, "") if len(fake.asked) < 3 else reworded(prompt)) as fake:
        found = augment([fake.operator("rewriting")]).run(work, stored(work, [row("好")]))
    assert len(read(work, found.children)) == 1
    assert waits == [1.0, 2.0]


def test_no_model_is_asked_without_an_explicit_url_and_leave(work: Work) -> None:
    with pytest.raises(ValidationError, match="url"):
        augment([{"kind": "rewriting", "model": "m"}])
    with served(reworded) as fake:
        closed = {**fake.operator("rewriting"), "allow": []}
        with pytest.raises(InputError, match="add 127"):
            augment([closed]).run(work, stored(work, [row("好")]))
        assert fake.asked == []
        with pytest.raises(InputError, match="NO_SUCH_KEY is not set"):
            augment([fake.operator("rewriting", key_variable="NO_SUCH_KEY")]).run(work, stored(work, [row("好")]))


def test_thinking_aloud_is_not_part_of_a_child(work: Work) -> None:
    with served(lambda _: (200, "<think>hmm\nwell</think>\n很不错的")) as fake:
        found = augment([fake.operator("rewriting")]).run(work, stored(work, [row("没说的", language="zh")]))
    assert [child["text"] for child in read(work, found.children)] == ["很不错的"]
