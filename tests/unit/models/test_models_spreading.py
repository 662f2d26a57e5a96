"""A model that is spread over two processes trains as one that is whole, and its checkpoints are the same files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sapwood.models.processes import Team
from sapwood.stage import Resources

MEMBER = """
import sys
from pathlib import Path
import torch
from test_models_exactness import classification, classifier, encoder, labelled, masked_words, words
from sapwood.errors import Interrupted, SapwoodError
from sapwood.models import architectures, processes, train
from sapwood.models.methods.lora import Lora
from sapwood.models.objectives.written import written
from sapwood.models.sources.packed import Packed

torch.use_deterministic_algorithms(True)
case, way, folder, stop = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])

def llama():
    from transformers import LlamaConfig, LlamaForCausalLM
    with architectures.seeded(3):
        shape = dict(vocab_size=60, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
        return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True))

def chats():
    import numpy as np
    chance = np.random.default_rng(5)
    rows = [chance.integers(5, 60, size=n) for n in chance.integers(4, 20, size=30)]
    return Packed([(row.astype(np.int64), np.ones(len(row), dtype=bool)) for row in rows], 7, 0, True, 24, 48)

if case == "causal":
    model, source, objective = llama(), chats(), written()
elif case == "masked":
    model, source, objective = encoder(), words(tokens_per_batch=150), masked_words
else:
    model, source, objective = classifier(), labelled(), classification()
    if case == "lora":
        model = Lora(r=2).apply(model, "fp32", 3)
losses = []
with processes.joined(way) as team:
    plan = train.Plan(steps=6, lr=1e-2, log_every=1, save_every=2, clip=0.5)
    calls = train.Calls(log=lambda **point: losses.append(point["loss"]), team=team, stopping=lambda: len(losses) >= stop > 0)
    try:
        train.train(model, source, objective, plan, 7, folder / "home", calls)
    except Interrupted:
        pass
    except SapwoodError as fault:
        sys.exit(f"refused: {fault.what}")
    torch.save({"losses": losses, "weights": dict(model.state_dict())}, folder / f"rank-{team.rank}.pt")
"""


def run(folder: Path, case: str, way: str = "copies", processes: int = 1, stop: int = 0) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "member.py").write_text(MEMBER, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(folder / "member.py"), case, way, str(folder), str(stop)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def trained(folder: Path, *given: object, **more: object) -> list[dict[str, object]]:
    """What each process ended with."""
    for old in folder.glob("rank-*.pt"):
        old.unlink()
    done = run(folder, *given, **more)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank-*.pt"))]


def same(found: dict[str, object], alone: dict[str, object], steps: slice = slice(None)) -> None:
    assert found["losses"] == pytest.approx(alone["losses"][steps], rel=1e-5)  # type: ignore[index]
    for name, weight in alone["weights"].items():  # type: ignore[attr-defined]
        assert torch.allclose(found["weights"][name], weight, rtol=1e-4, atol=1e-5), name  # type: ignore[index]


@pytest.mark.parametrize(
    ("case", "way"),
    [
        ("causal", "shards"),
        pytest.param("masked", "shards", marks=pytest.mark.soak),
        ("lora", "shards"),
        ("causal", "tensor"),
    ],
)
def test_a_spread_model_has_the_losses_and_weights_of_a_whole_one(tmp_path: Path, case: str, way: str) -> None:
    [alone] = trained(tmp_path / "one", case)
    both = trained(tmp_path / "two", case, way, 2)
    assert len(both) == 2
    for found in both:
        same(found, alone)


@pytest.mark.parametrize("way", ["shards", pytest.param("tensor", marks=pytest.mark.soak)])
def test_checkpoints_load_across_numbers_of_processes(tmp_path: Path, way: str) -> None:
    [alone] = trained(tmp_path / "straight", "causal")
    for name, first, then in (("shrinks", (way, 2), ("copies", 1)), ("grows", ("copies", 1), (way, 2))):
        begun = trained(tmp_path / name, "causal", *first, stop=3)
        assert [member["losses"] for member in begun] == [pytest.approx(alone["losses"][:3], rel=1e-5)] * first[1]  # type: ignore[index]
        ended = trained(tmp_path / name, "causal", *then)
        assert len(ended) == then[1]
        assert [member["losses"] for member in ended] == [pytest.approx(alone["losses"][3:], rel=1e-5)] * then[1]  # type: ignore[index]
        for found in ended:
            same(found, alone, slice(3, None))


def test_an_architecture_without_a_plan_is_refused_tensor_parallel_training(tmp_path: Path) -> None:
    done = run(tmp_path, "masked", "tensor", 2)
    assert "refused: the architecture bert has no plan for tensor parallel training" in done.stderr


def test_shards_make_as_many_passes_each_and_tensor_processes_share_each_batch() -> None:
    micro = [object() for _ in range(5)]
    shares = [Team(rank, 3, "shards").share(micro) for rank in range(3)]  # type: ignore[arg-type]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert sum(counts for share in shares for _, counts in share) == 5
    assert all(len(Team(rank, 3, "tensor").share(micro)) == 5 for rank in range(3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shard": "full"}, "needs processes of 2 or more"),
        ({"tensor": 2}, "tensor must be 1 or the number of processes, 1"),
        ({"processes": 2, "shard": "full", "tensor": 2}, "take one"),
    ],
)
def test_resources_that_do_not_go_together_are_refused_in_the_recipe(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Resources.model_validate(given)
