"""A proven release and a board to deploy from."""

from pathlib import Path

import pytest

from sapwood.testing.served import Board, Signer, proven_route


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def route(tmp_path: Path, signer: Signer):
    return proven_route(tmp_path / "v1", signer)


@pytest.fixture
def board(signer: Signer, route) -> Board:
    return Board(signer, route)
