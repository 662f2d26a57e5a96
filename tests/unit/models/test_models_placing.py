"""Training on a device that is not the CPU, emulated: nothing is left behind, and the weights move as they do on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

STAGES = Path(__file__).parents[1] / "stages"
SELF = Path(__file__).parent
QUICK = [
    f"{STAGES / 'test_stages_preferences.py'}::test_preferences_are_learned_and_held_out_pairs_show_it",
    f"{STAGES / 'test_stages_pretrain.py'}::test_every_architecture_learns_and_its_folder_opens_without_sapwood[t5]",
]
LONG = [
    *(
        str(STAGES / f"test_stages_{name}.py")
        for name in ("pretrain", "adapt", "preferences", "training", "ensemble", "self_training", "written")
    ),
    *(str(SELF / f"test_models_{name}.py") for name in ("support", "wrapping", "train")),
]


def afar(tests: list[str], without: str = "") -> subprocess.CompletedProcess[str]:
    """Run tests in a process where all that trains does so on the emulated device."""
    command = [sys.executable, "-m", "pytest", "-p", "sapwood.testing.afar", "-p", "no:cacheprovider", "-m", "not soak", *tests]
    return subprocess.run([*command, "-k", without] if without else command, capture_output=True, text=True)


def test_an_operation_refuses_a_tensor_of_the_cpu_beside_one_of_the_device() -> None:
    code = (
        "import torch; from sapwood.testing import afar; there = torch.ones(2, device=afar.register()); assert (there + there).sum() == 4\n"
        "try: there + torch.ones(2)\nexcept RuntimeError as fault: print(fault)"
    )
    assert "lies on cpu" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def test_weights_move_there_as_they_do_here_and_come_home(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True)
    assert told.stdout.split() == ["classification", "sequence", "embedding", "chat"], told.stderr[-3000:]


def test_stages_train_there() -> None:
    told = afar(QUICK)
    assert (told.returncode, f"{len(QUICK)} passed" in told.stdout) == (0, True), told.stdout[-3000:]


@pytest.mark.soak
def test_every_stage_task_and_method_trains_there() -> None:
    told = afar(LONG, "not qlora and not exported_and_served")
    assert (told.returncode, " passed" in told.stdout) == (0, True), told.stdout[-3000:]


def test_a_gpu_that_is_not_there_is_refused_in_plan(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "sapwood: 1\nname: far\nresources: {device: cuda}\nstages:\n  text: {stage: collect, sources: [{kind: files, name: own, path: .}]}\n"
    )
    command = [sys.executable, "-m", "sapwood.cli.main", "plan", "recipe.yaml"]
    told = subprocess.run(command, cwd=tmp_path, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True)
    assert told.returncode == 3, told
    assert "resources.device" in told.stderr
    assert "no CUDA GPU" in " ".join(told.stderr.split())


def _judged(task: Any, reader: Any, rows: Any, model: Any) -> dict[str, float]:
    return {"rows": len(task.answers(model, reader, rows, "fp32"))}


def _compare(folder: Path) -> None:
    """Two steps of several tasks here and there, with stochastic gradient descent, which does not magnify rounding."""
    from sapwood.testing import afar

    device = afar.register()
    import torch

    from sapwood.models import texts, train
    from sapwood.models.card import read_card
    from sapwood.models.optimisers import Sgd
    from sapwood.models.schedules import Constant
    from sapwood.models.support import kinds
    from sapwood.models.tasks.catalogue import AnyTask
    from sapwood.models.tasks.task import Reader, Setting
    from sapwood.testing import tiny

    bases = {kind: tiny.tiny_base(folder / kind, kind) for kind in ("bert", "llama")}
    talk = '[{"role": "user", "content": "well?"}, {"role": "assistant", "content": "a fair price"}]'
    more = {"meta.target": "a fair price", "meta.positive": "the camera", "meta.messages": talk}
    rows = [{"id": row["id"], "text": row["text"], "label": row["label"], **more} for row in tiny.tiny_examples()[:8]]
    for name, kind, fields in (
        ("classification", "bert", {}), ("sequence", "llama", {"most": 8}), ("embedding", "bert", {}), ("chat", "llama", {"template": "plain"}),
    ):  # fmt: skip
        nets = []
        for where in ("cpu", device):
            start = read_card(bases[kind])
            task = kinds(AnyTask)[name](**fields).settled(rows, start)
            card = start.model_copy(update={"task": task.answers_as or task.kind, "labels": task.labels(rows), "max_tokens": 48})
            tokenizer = texts.load_tokenizer(bases[kind])
            reader = Reader(tokenizer, texts.pad_id(tokenizer), card, bases[kind])
            net = task.open(bases[kind], card, Setting(3, "fp32", 0.0))
            plan = train.Plan(steps=2, lr=1e-2, optimiser=Sgd(), schedule=Constant(), device=where)
            calls = train.Calls(evaluate=partial(_judged, task, reader, rows))
            train.train(net, task.source(reader, rows, 4), task.objective(0.0), plan, 1, folder / name / where, calls)
            nets.append(net)
        for (weight, here), (_, there) in zip(*(net.named_parameters() for net in nets), strict=True):
            assert there.device.type == "cpu", weight
            torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-6)
        print(name)


if __name__ == "__main__":
    _compare(Path(sys.argv[1]))
