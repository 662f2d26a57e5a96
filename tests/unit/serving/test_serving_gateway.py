"""From one revision to the next without loss; and never to one without proof."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from sapwood.errors import NotFound, Refused
from sapwood.serving.batcher import Limits
from sapwood.serving.gateway import Gateway, TooLong
from sapwood.testing.served import Board, LetterEngine, proven_route
from sapwood.watching import tables
from sapwood.watching.log import ResponseLog


@pytest.fixture
def started(board):
    gateway = Gateway("letters", board.plan())
    gateway.start()
    yield gateway
    gateway.close(1)


def asked(gateway, *texts, who="me", **more):
    return asyncio.run(gateway.answer(list(texts), who, **more))


def test_it_answers_once_started_and_says_so(started, board):
    answer = asked(started, "oooo", "xxxx")
    assert [r.label for r in answer.responses] == ["positive", "negative"]
    assert [s.label for s in answer.responses[1].output] == ["negative", "positive"]
    assert answer.responses[0].bundle == board.now.routes[0].bundle
    assert started.ready() == ""
    assert board.acknowledged == [1]
    assert board.engines[1].warmed == 1


def test_nothing_deployed_is_not_found(signer):
    with pytest.raises(NotFound, match="nothing is deployed"):
        Gateway("letters", Board(signer).plan()).start()


def test_it_does_not_start_on_a_refused_bundle(signer, route):
    board = Board(signer, replace(route, verdict=None))
    with pytest.raises(Refused):
        Gateway("letters", board.plan()).start()
    assert board.acknowledged == []
    assert board.engines == {}


def test_a_new_revision_takes_over_and_is_acknowledged(started, board, tmp_path):
    board.deploy(proven_route(tmp_path / "v2", board.signer, 2))
    started.poll()
    assert asked(started, "o").responses[0].version == 2
    assert board.acknowledged == [1, 2]


def test_a_refused_revision_changes_nothing_and_is_shown(started, board, tmp_path):
    good = proven_route(tmp_path / "v2", board.signer, 2, share=0.5)
    bad = replace(proven_route(tmp_path / "v3", board.signer, 3, share=0.5), verdict=None)
    board.deploy(good, bad)
    started.poll()
    started.poll()
    assert asked(started, "o").responses[0].version == 1
    assert board.acknowledged == [1]
    assert [r["revision"] for r in started.problems.refusals] == [2]
    assert "no verdict" in started.problems.refusals[0]["reason"]
    assert started.ready() == ""
    board.deploy(replace(good, share=1.0))
    started.poll()
    assert board.acknowledged == [1, 3]


def test_a_bundle_altered_while_it_serves_is_found_at_the_next_revision(started, board, route):
    (route.folder / "weights.bin").write_bytes(b"other")
    board.deploy(route)
    started.poll()
    assert "altered" in started.problems.refusals[0]["reason"]
    assert board.acknowledged == [1]


def test_an_engine_that_stays_is_not_opened_again(started, board, route, tmp_path):
    before = started.loaded.lanes[1].engine
    board.deploy(replace(route, share=0.9), proven_route(tmp_path / "v2", board.signer, 2, share=0.1, role="canary"))
    started.poll()
    assert started.loaded.lanes[1].engine is before
    versions = {asked(started, "o", who=f"s{i}").responses[0].version for i in range(100)}
    assert versions == {1, 2}


def test_a_record_that_goes_back_is_not_followed(started, board, route, tmp_path):
    board.deploy(proven_route(tmp_path / "v2", board.signer, 2))
    started.poll()
    board.now = replace(board.now, revision=1, routes=(route,))
    started.poll()
    assert started.loaded.deployment.revision == 2
    assert "went back" in started.problems.refusals[0]["reason"]


def test_a_record_that_cannot_be_read_is_shown_and_the_old_one_goes_on(board):
    plan = board.plan()
    gateway = Gateway("letters", replace(plan, follow=lambda: plan.follow() if not broken else 1 / 0))
    broken = []
    gateway.start()
    broken.append(1)
    gateway.poll()
    assert "division" in gateway.problems.following
    assert asked(gateway, "o").responses
    broken.clear()
    gateway.poll()
    assert gateway.problems.following == ""
    gateway.close(1)


def test_no_request_is_lost_while_revisions_change(started, board, tmp_path):
    routes = [proven_route(tmp_path / f"v{i}", board.signer, i) for i in range(2, 8)]

    async def client(n):
        return [(await started.answer([f"{n} {i} o"], f"{n}-{i}")).responses[0].version for i in range(60)]

    async def deploys():
        for route in routes:
            board.deploy(route)
            await asyncio.to_thread(started.poll)
            await asyncio.sleep(0.01)

    async def all_of_it():
        return await asyncio.gather(deploys(), *(client(n) for n in range(8)))

    _, *versions = asyncio.run(all_of_it())
    flat = [v for seen in versions for v in seen]
    assert len(flat) == 480
    assert all(seen == sorted(seen) for seen in versions)
    assert len(set(flat)) > 1


def test_over_long_input_is_refused_unless_cutting_was_asked_for(started):
    with pytest.raises(TooLong, match="input 1 has 102 tokens"):
        asked(started, "o", "o" * 100)
    assert asked(started, "o" * 100, truncate=True).tokens == 64
    with pytest.raises(TooLong):
        asked(started, "o" * 100_000)


def test_a_draining_gateway_takes_nothing(started):
    started.close(1)
    with pytest.raises(Refused):
        asked(started, "o")
    assert started.ready() == "draining"


def test_a_cancelled_request_leaves_the_queue(board):
    engine = LetterEngine()
    board._make = lambda: engine
    gateway = Gateway("letters", board.plan(), limits=Limits(waiting=2))
    gateway.start()

    async def story():
        engine.going.clear()
        held = asyncio.create_task(gateway.answer(["held"], "a"))
        while gateway.loaded.lanes[1].batcher.running == 0:
            await asyncio.sleep(0.001)
        gone = asyncio.create_task(gateway.answer(["x", "y"], "b"))
        while gateway.waiting < 2:
            await asyncio.sleep(0.001)
        assert gateway.ready() == "the queue is full"
        gone.cancel()
        await asyncio.sleep(0)
        stays = asyncio.create_task(gateway.answer(["o", "o"], "c"))
        await asyncio.sleep(0.01)
        engine.going.set()
        return (await held).responses + (await stays).responses

    assert len(asyncio.run(story())) == 3
    gateway.close(1)


def test_an_answer_that_cannot_be_recorded_is_not_given(board):
    database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    gateway = Gateway("letters", board.plan(), ResponseLog(database))
    gateway.start()
    with pytest.raises(Exception, match="no such table"):
        asked(gateway, "o")
    assert gateway.ready() == "the response log could not be written"
    tables.metadata.create_all(database)
    answer = asked(gateway, "o call 13812345678")
    assert answer.responses[0].text == "o call <PHONE_NUMBER>"
    assert b'sapwood_pii_entities_total{action="masked",model="letters",type="PHONE_NUMBER"} 1.0' in gateway.metrics.page()
    gateway.close(1)
