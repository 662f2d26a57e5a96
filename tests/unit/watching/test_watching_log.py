"""The response log: what is kept, and that personal data never is."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from sapwood.errors import NotFound
from sapwood.watching.log import Response, ResponseLog, Scored, response_id
from sapwood.watching.tables import metadata


def answer(text="好 ok", **more):
    given = {
        "id": response_id(),
        "created": 1.5,
        "model": "reviews",
        "version": 2,
        "revision": 3,
        "bundle": "b" * 64,
        "model_digest": "m" * 64,
    }
    output = (Scored("positive", 0.75), Scored("negative", 0.25))
    return Response(**given | {"text": text, "output": output, "latency_ms": 4.5, "key_id": "key-1", "session_id": "s1"} | more)


@pytest.fixture
def engine(tmp_path: Path):
    made = create_engine(f"sqlite:///{tmp_path / 'db'}")
    metadata.create_all(made)
    return made


def test_what_was_appended_comes_back_as_it_was(engine):
    log = ResponseLog(engine)
    kept = answer()
    assert log.append([kept]) == [kept]
    assert log.get(kept.id) == kept
    assert log.get(kept.id).label == "positive"


def test_an_unknown_id_is_not_found(engine):
    with pytest.raises(NotFound):
        ResponseLog(engine).get("resp-none")


def test_recent_is_newest_first_and_of_one_model(engine):
    log = ResponseLog(engine)
    a, b, c = answer("a"), answer("b", model="other"), answer("c")
    log.append([a, b, c])
    assert [r.text for r in log.recent()] == ["c", "b", "a"]
    assert [r.text for r in log.recent("reviews", limit=1)] == ["c"]


def test_ids_have_the_stated_shape():
    assert len(response_id()) == 29
    assert response_id().startswith("resp-")
    assert response_id() != response_id()


def test_no_byte_of_personal_data_reaches_the_disk(engine, tmp_path):
    log = ResponseLog(engine)
    [stored] = log.append([answer("请打13812345678，或写信到li.lei@example.com谢谢")])
    assert stored.masked == {"EMAIL_ADDRESS": 1, "PHONE_NUMBER": 1}
    engine.dispose()
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"13812345678" not in on_disk
    assert b"li.lei" not in on_disk
    assert "谢谢".encode() in on_disk


def test_a_masker_that_fails_costs_the_text_and_not_the_record(engine):
    def broken(text):
        raise ValueError(text)

    [stored] = ResponseLog(engine, broken).append([answer("secret")])
    assert (stored.text, stored.masked) == ("", {"unmaskable": 1})
    assert ResponseLog(engine).get(stored.id).text == ""


def test_all_or_none_is_stored(engine):
    log = ResponseLog(engine)
    twice = answer()
    with pytest.raises(Exception, match="UNIQUE"):
        log.append([answer(), twice, twice])
    assert log.recent() == []


def test_the_table_holds_no_column_a_response_lacks(engine, tmp_path):
    columns = {row[1] for row in sqlite3.connect(tmp_path / "db").execute("pragma table_info(responses)")}
    assert columns - {"seq"} == set(Response.__dataclass_fields__)
