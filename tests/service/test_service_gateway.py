"""The gateway as users meet it: a real store, a real ONNX engine, a real process, a real socket."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from sapwood import verdict as verdicts
from sapwood.artifact import Bundle, Model, Report
from sapwood.errors import InputError, Refused, ResourceError
from sapwood.models import export
from sapwood.models.bundle import GRAPH, BundleCard, write_bundle
from sapwood.serving.client import COMMAND, Gateway, running_gateway
from sapwood.serving.engines import open_engine
from sapwood.serving.export import export_release
from sapwood.serving.keys import KeyRing
from sapwood.store.find import open_store
from sapwood.testing import tiny
from sapwood.testing.served import parity_of, verdict_on
from sapwood.watching.feedback import FeedbackLog

TEXTS = [row["text"] for row in tiny.tiny_corpus()][:20]


class Shop:
    """A store with a tiny model, released as version 1 of `reviews` and deployed."""

    def __init__(self, root: Path):
        self.root = root / "store"
        self.store = open_store(self.root)
        folder = tiny.tiny_model(root / "model")
        built = root / "bundle"
        built.mkdir()
        export.save(export.graph(folder, 64), built / GRAPH)
        shutil.copyfile(folder / "tokenizer.json", built / "tokenizer.json")
        self.model = self.store.put(Model, folder)
        card = {"engine": "onnx", "labels": tiny.LABELS, "max_tokens": 64, "model": self.model.digest, "quantise": "none"}
        write_bundle(built, BundleCard(name="tiny", **card))
        self.files = shutil.copytree(built, root / "files")
        self.bundle = self.store.put(Bundle, built)
        self.verdict = self.report(root / "verdict", verdict_on(self.model.digest, self.sign, kind="model"))
        self.parity = self.report(root / "parity", parity_of(self.model.digest, self.bundle.digest, self.sign))
        self.release(self.verdict)

    def sign(self, message: bytes):
        return self.store.sign(message)

    def report(self, folder: Path, signed):
        folder.mkdir()
        verdicts.write(folder, signed)
        return self.store.put(Report, folder)

    def release(self, verdict, name="reviews"):
        parity = self.parity.digest
        version = self.store.records.register(name, self.bundle.digest, self.model.digest, verdict.digest if verdict else "", parity)
        return self.store.records.deploy(name, [{"version": version.number, "share": 1.0, "role": "serve"}])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


def serve(*arguments, seconds=30):
    return subprocess.run([*COMMAND, "serve", *map(str, arguments)], capture_output=True, text=True, timeout=seconds, check=False)


def test_what_is_served_is_what_was_exported_and_feedback_comes_back(shop):
    with running_gateway(shop.root, "reviews", threads=1) as (url, key):
        gateway = Gateway(url, key)
        answers = gateway.predict(TEXTS)
        offline = open_engine(shop.files, 1).predict(TEXTS)
        for answer, row in zip(answers, offline, strict=True):
            assert [answer.scores[label] for label in tiny.LABELS] == pytest.approx(row.tolist(), abs=1e-5)
            assert answer.version == 1
        assert gateway.info()["routes"][0]["bundle"] == shop.bundle.digest
        [stored] = gateway.feedback([{"response_id": answers[0].response_id, "correction": "positive", "id": "first"}])
        assert stored["trusted"]
        assert gateway.response(answers[3].response_id)["text"] == TEXTS[3]
        with pytest.raises(InputError, match="tokens"):
            gateway.predict(["long " * 100])
        with pytest.raises(Refused):
            Gateway(url, "sw-wrong").info()
    assert shop.store.records.acknowledged("reviews", 1)
    [correction] = FeedbackLog(shop.store.engine).unconsumed("reviews")
    assert (correction.text, correction.label) == (TEXTS[0], "positive")


def test_it_starts_without_torch_and_quickly(shop):
    """CPU seconds, since other programs may be busy here."""
    code = (
        "import sys, time; began = time.process_time(); from pathlib import Path; from sapwood.cli import serve; "
        f"made = serve._from_store('reviews', Path({str(shop.root)!r}), '127.0.0.1', 1, None); made[0].start(); "
        "import uvicorn; from sapwood.serving.app import make_app; make_app(*made); "
        "print(time.process_time() - began, *(m for m in ('torch', 'transformers', 'sklearn', 'pandas') if m in sys.modules)); made[0].close()"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()
        for _ in range(2)
    ]
    assert all(len(run) == 1 for run in runs), runs
    assert min(float(run[0]) for run in runs) < 2


def test_a_new_key_works_at_once_and_a_revoked_one_soon_does_not(shop):
    with running_gateway(shop.root, "reviews", threads=1) as (url, _):
        ring = KeyRing(open_store(shop.root).engine)
        key, secret = ring.create("ann", ["infer:predict"])
        assert Gateway(url, secret).predict(["好"])[0].response_id
        with pytest.raises(Refused):
            Gateway(url, secret).feedback([{"response_id": "x", "correction": "positive"}])
        ring.revoke(key.key_id)
        time.sleep(1.2)
        with pytest.raises(Refused):
            Gateway(url, secret).predict(["好"])


def test_a_client_that_hangs_up_is_not_an_error_and_load_is_answered(shop):
    with running_gateway(shop.root, "reviews", threads=1) as (url, key):
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as half:
            half.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        done = []

        def client():
            with Gateway(url, key) as gateway:
                done.extend(gateway.predict([text])[0].label for text in TEXTS)

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(done) == 160


def test_sigterm_answers_what_is_under_way_and_ends_with_0(shop, tmp_path):
    port_file = tmp_path / "port"
    _, secret = KeyRing(shop.store.engine).create("ann", ["infer:predict"])
    command = [*COMMAND, "serve", "reviews", "--store", str(shop.root), "--port", "0", "--port-file", str(port_file), "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not port_file.is_file():
            assert process.poll() is None
            time.sleep(0.05)
        statuses = []

        def ask():
            url = f"http://127.0.0.1:{port_file.read_text().strip()}/predict"
            body = {"inputs": TEXTS * 12}
            statuses.append(
                httpx.post(url, json=body, headers={"authorization": f"Bearer {secret}"}, timeout=30, trust_env=False).status_code
            )

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.15)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)
        asking.join(10)
    assert process.returncode == 0, output
    assert time.monotonic() - began < 6
    assert statuses == [200]
    assert "reviews revision 1 answers on http://127.0.0.1:" in output


def test_a_taken_port_is_named(shop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve("reviews", "--store", shop.root, "--port", port)
    assert done.returncode == 7
    assert str(port) in done.stderr
    assert "--port 0" in done.stderr


def test_what_has_no_proof_does_not_start(shop, tmp_path):
    failed = shop.report(tmp_path / "failed", verdict_on(shop.model.digest, shop.sign, passed=False, kind="model"))
    shop.release(failed, "failed")
    shop.release(None, "unjudged")
    for name, reason in (("failed", "fail"), ("unjudged", "no verdict")):
        done = serve(name, "--store", shop.root, "--port", 0)
        assert done.returncode == 6, done.stderr
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
    with pytest.raises(ResourceError, match="ended with 6"), running_gateway(shop.root, "failed"):
        pass


def test_what_is_not_deployed_is_not_found(shop):
    assert serve("nothing", "--store", shop.root, "--port", 0).returncode == 5


def test_other_hosts_need_keys(shop, tmp_path):
    released(shop, tmp_path / "release")
    done = serve("--bundle", tmp_path / "release", "--host", "0.0.0.0", "--port", 0)
    assert (done.returncode, "--key-file" in done.stderr) == (6, True)
    assert serve("--port", 0).returncode == 4
    assert serve("reviews", "--bundle", tmp_path, "--port", 0).returncode == 4


def released(shop, out: Path) -> Path:
    store = shop.store
    return export_release(store.open(shop.bundle), store.open(shop.verdict), store.open(shop.parity), store.public_key(), out, "reviews", 1)


def test_a_folder_alone_serves_on_loopback_until_it_is_altered(shop, tmp_path):
    folder = released(shop, tmp_path / "release")
    port_file = tmp_path / "port"
    command = [*COMMAND, "serve", "--bundle", str(folder), "--port", "0", "--port-file", str(port_file), "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ.copy()) as process:
        while not port_file.is_file():
            assert process.poll() is None
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        [answer] = Gateway(url).predict(["很好"])
        assert (answer.response_id, answer.version) == ("", 1)
        foreign = httpx.post(f"{url}/predict", json={"inputs": "o"}, headers={"host": "evil.example"}, trust_env=False)
        assert foreign.status_code == 403
        process.terminate()
        output, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "no key file" in output
    graph = folder / "bundle" / GRAPH
    graph.write_bytes(graph.read_bytes() + b"\0")
    done = serve("--bundle", folder, "--port", 0)
    assert done.returncode == 6
    assert "altered" in done.stderr


def test_small_answers_are_not_held_back():
    """asyncio switches Nagle's algorithm off only for sockets that name TCP; else each answer waits 40 ms for an ACK."""
    from sapwood.cli.serve import bind

    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
