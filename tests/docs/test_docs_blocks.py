"""Every bash and python block of the docs runs. A page is one session: folder, variables and files carry over."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(\S*)", re.MULTILINE)
KNOWN = {"bash", "python", "text", "yaml", "json", "console", ""}


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


RUNNABLE = [page for page in PAGES if blocks(page)]


def script(page):
    lines = ["set -euo pipefail"]
    for place, (language, body) in enumerate(blocks(page)):
        lines.append(body if language == "bash" else f"python - <<'END_OF_BLOCK_{place}'\n{body}END_OF_BLOCK_{place}\n")
    return "\n".join(lines)


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_the_blocks_of_a_page_run(page, tmp_path):
    if "curl " in script(page) and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("SAPWOOD_STORE", None)
    done = subprocess.run(["bash", "-c", script(page)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr


def test_there_are_as_many_pages_with_blocks_as_we_think():
    assert len(RUNNABLE) == 10, [page.name for page in RUNNABLE]


def test_every_fence_says_what_it_is():
    for page in PAGES:
        opening = FENCE.findall(page.read_text(encoding="utf-8"))
        assert set(opening) <= KNOWN, f"{page.name}: {set(opening) - KNOWN}"


def commands(page):
    return [line.strip() for line in page.read_text(encoding="utf-8").splitlines() if re.match(r"\s*(\$ )?(make|sapwood|git|curl) ", line)]


def test_the_readme_says_the_same_in_both_languages():
    english, chinese = commands(ROOT / "README.md"), commands(ROOT / "README.zh.md")
    assert english == chinese
    assert any("make demo" in line for line in english)
    assert any("make test" in line for line in english)


def test_every_command_in_the_readme_exists():
    from sapwood.cli.main import COMMANDS

    named = {match for line in commands(ROOT / "README.md") for match in re.findall(r"sapwood ([a-z]+)", line)}
    assert named, "the README shows no command"
    assert named <= set(COMMANDS) | {"--help"}


def test_every_command_and_error_is_documented():
    from sapwood.cli.main import COMMANDS

    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"sapwood {name}" not in reference] == []
