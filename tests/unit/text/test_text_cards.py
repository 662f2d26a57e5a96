"""Exported rows open in the ecosystem's own tools, and their card says what the records say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError
from sapwood.runs import datasets as exported
from sapwood.store.local import LocalStore
from sapwood.text import rows
from sapwood.text.versions import cards, croissant, profile

ROWS = [
    ("酒店很好，下次还住。", "zh", "pos", "hotels", "MIT"),
    ("體育新聞很好看", "zh", "pos", "news", "CC-BY-SA-4.0"),
    ("A clean room | and a quiet street.", "en", "neg", "hotels", "MIT"),
    ("x = {'键': 1}\nprint(x)", "und", "neg", "code", "for research | do not redistribute"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("cards") / "store")


def put(store: LocalStore, kind: Any = Examples, made: list[Any] | None = None, extra: bool = False) -> Any:
    import pyarrow as pa

    folder = store.scratch("new") / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    schema = rows.EXAMPLES if kind is Examples else rows.DOCUMENTS
    schema = schema.append(pa.field("score", pa.float64())).append(pa.field("stars", pa.int32())) if extra else schema
    listed = [
        {
            **rows.document(source, str(i), text, language=code, license=licence, meta={"n": str(i)}),
            "label": label,
            "score": i / 2,
            "stars": i,
        }
        for i, (text, code, label, source, licence) in enumerate(ROWS if made is None else made)
    ]
    rows.write(folder, rows.table([{k: v for k, v in row.items() if k in schema.names} for row in listed], schema))
    return store.put(kind, folder)


@pytest.fixture(scope="module")
def folder(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "reviews"
    exported.export(store, put(store, extra=True), out, "reviews", "Our team")
    return out


def front(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_datasets_gives_the_same_rows(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    assert loaded.to_list() == rows.read(folder).to_pylist()
    assert loaded.info.features.arrow_schema.names == rows.schema(folder).names


def test_polars_reads_the_folder(folder: Path) -> None:
    import polars as pl

    found = pl.read_parquet(str(folder / "*.parquet"))
    assert found["text"].to_list() == [row[0] for row in ROWS]
    assert found["parents"].to_list() == [[]] * 4


def test_croissant_has_no_error_and_its_records_are_the_rows(folder: Path) -> None:
    import mlcroissant

    read = mlcroissant.Dataset(jsonld=os.fspath(folder / "croissant.json"))
    assert not read.metadata.ctx.issues.errors
    assert not read.metadata.ctx.issues.warnings
    found = [{name.removeprefix("rows/"): value for name, value in row.items()} for row in read.records("rows")]
    assert [row["text"].decode() for row in found] == [row[0] for row in ROWS]
    assert [row["stars"] for row in found] == [0, 1, 2, 3]


def test_croissant_lists_every_shard_with_its_digest(folder: Path) -> None:
    from sapwood.artifact import file_sha256

    body = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    assert body["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    files = {one["contentUrl"]: one["sha256"] for one in body["distribution"] if one["@type"] == "cr:FileObject"}
    assert files == {path.name: file_sha256(path) for path in folder.glob("*.parquet")}
    parents = next(f for f in body["recordSet"][0]["field"] if f["name"] == "parents")
    assert (parents["isArray"], parents["arrayShape"]) == (True, "-1")


def test_the_card_names_languages_licences_sizes_and_columns(folder: Path) -> None:
    head = front(folder)
    assert (head["language"], head["multilinguality"]) == (["zh", "en"], ["multilingual"])
    assert head["license"] == ["mit", "cc-by-sa-4.0", "other"]
    assert head["license_name"] == "for-research-do-not-redistribute"
    assert (head["size_categories"], head["task_categories"]) == (["n<1K"], ["text-classification"])
    assert head["dataset_info"]["splits"] == [{"name": "train", "num_bytes": head["dataset_info"]["dataset_size"], "num_examples": 4}]
    assert {"name": "parents", "list": "string"} in head["dataset_info"]["features"]
    assert {"name": "score", "dtype": "float64"} in head["dataset_info"]["features"]


def test_the_text_of_the_card_has_counts_by_source_and_no_row(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| hotels | MIT | 2 |" in text
    assert "| code | for research \\| do not redistribute | 1 |" in text
    assert "| not stated" not in text
    assert not any(row[0][:6] in text for row in ROWS)


def test_the_card_tells_the_steps_with_parameters_inputs_and_run(store: LocalStore, tmp_path: Path) -> None:
    from sapwood.stage import Result

    raw, kept = put(store, Documents, ROWS[:3]), put(store, Documents, ROWS[:2])
    store.record(
        Result(
            "k1",
            "collect",
            2,
            {"sources": [{"name": "热门", "url": "postgresql://me:secret@db/x"}]},
            {},
            {"documents": raw},
            (),
            run="20260101-1",
        )
    )
    store.record(
        Result("k2", "clean", 1, {"min_chars": 5}, {"documents": (raw,)}, {"kept": kept}, ("documents",), seed=7, run="20260102-1")
    )
    described = exported.describe(store, kept)
    assert [(made.step, made.run, made.seed) for made in described.steps] == [("collect", "20260101-1", None), ("clean", "20260102-1", 7)]
    text = cards.render(described)
    assert f"2. **clean** (version 1, seed 7, run `20260102-1`) from `{raw}` to `{kept}`" in text
    assert '{"min_chars": 5}' in text
    assert "热门" in text
    assert "postgresql://db/x" in text
    assert "secret" not in text + croissant.render(described)
    assert any("min_chars" in line for line in croissant.describe(described)["rai:dataPreprocessingProtocol"])


def test_the_digest_does_not_change_with_the_card(store: LocalStore, tmp_path: Path) -> None:
    made = put(store)
    exported.export(store, made, tmp_path / "one", "one")
    exported.export(store, made, tmp_path / "two", "two")
    assert store.verify([made]) == []
    assert {p.name for p in (tmp_path / "one").iterdir()} == {"rows-00000.parquet", "README.md", "croissant.json"}


def test_a_folder_that_exists_and_an_artifact_without_rows_are_refused(store: LocalStore, tmp_path: Path) -> None:
    from sapwood import report
    from sapwood.artifact import Report

    with pytest.raises(InputError, match="there already"):
        exported.export(store, put(store), tmp_path)
    folder = store.scratch("report") / "new"
    folder.mkdir(parents=True)
    report.write(folder, "T", "S", {}, [])
    with pytest.raises(InputError, match="holds no rows"):
        exported.describe(store, store.put(Report, folder))


def test_an_export_that_fails_leaves_nothing(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left")

    monkeypatch.setattr(croissant, "render", full)
    with pytest.raises(OSError, match="space"):
        exported.export(store, put(store), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_rows_without_language_or_licence_say_so(store: LocalStore) -> None:
    described = exported.describe(store, put(store, Documents, [("文", "", "", "s", "")]))
    head = cards.metadata(described)
    assert "language" not in head
    assert head["license"] == "unknown"
    assert croissant.describe(described)["license"] == ["not stated"]
    assert "| s | not stated | 1 |" in cards.render(described)


@pytest.mark.parametrize(("rows_", "name"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**15, "n>1T")])
def test_sizes_are_the_hubs_classes(store: LocalStore, rows_: int, name: str) -> None:
    described = exported.describe(store, put(store))
    counted = profile.Profile(rows=rows_, counts=described.profile.counts)
    assert cards.metadata(described._replace(profile=counted))["size_categories"] == [name]


def test_rows_in_several_shards_open_as_one(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import mlcroissant

    from sapwood.text import writer

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(writer, "GROUP_ROWS", 2)
    monkeypatch.setattr(writer, "SHARD_BYTES", 1)
    exported.export(store, put(store), tmp_path / "out", "many")
    assert len(list((tmp_path / "out").glob("rows-*.parquet"))) == 2
    texts = [row[0] for row in ROWS]
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["text"][:] == texts
    read = mlcroissant.Dataset(jsonld=os.fspath(tmp_path / "out" / "croissant.json"))
    assert sorted(row["rows/text"].decode() for row in read.records("rows")) == sorted(texts)


def measured(store: LocalStore) -> tuple[Any, list[Any]]:
    """Documents with the column `stats`: one row without it, one with a number missing."""
    import pyarrow as pa

    folder = store.scratch("measured") / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    stats = [{"chars": 10.0, "top_2-gram": 0.5}, {"chars": 7.0, "top_2-gram": None}, None, {"chars": 22.0, "top_2-gram": 0.25}]
    table = rows.table([rows.document(s, str(i), text, language=code, license=li) for i, (text, code, _, s, li) in enumerate(ROWS)])
    kind = pa.struct([("chars", pa.float64()), ("top_2-gram", pa.float64())])
    rows.write(folder, table.append_column("stats", pa.array(stats, kind)))
    return store.put(Documents, folder), stats


def test_rows_with_statistics_open_in_datasets_polars_and_croissant(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import mlcroissant
    import polars as pl

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    made, stats = measured(store)
    out = tmp_path / "out"
    exported.export(store, made, out, "measured")
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["stats"][:] == stats
    assert loaded.features["stats"] == {"chars": datasets.Value("float64"), "top_2-gram": datasets.Value("float64")}
    assert loaded["text"][:] == [row[0] for row in ROWS]
    assert pl.read_parquet(str(out / "*.parquet"))["stats"].struct.field("chars").to_list() == [10.0, 7.0, None, 22.0]

    read = mlcroissant.Dataset(jsonld=os.fspath(out / "croissant.json"))
    assert not read.metadata.ctx.issues.errors
    assert not read.metadata.ctx.issues.warnings
    found = list(read.records("rows"))
    assert [row["rows/text"].decode() for row in found] == [row[0] for row in ROWS]
    assert [row["rows/stats"]["rows/stats/chars"] for row in found] == [10.0, 7.0, None, 22.0]
    assert [row["rows/stats"]["rows/stats/top_2-gram"] for row in found] == [0.5, None, None, 0.25]


def test_lists_and_structs_within_each_other_open_in_datasets(store: LocalStore) -> None:
    import datasets
    import pyarrow as pa

    inner = pa.struct([("name", pa.string()), ("values", pa.list_(pa.float32()))])
    schema = pa.schema(
        [("spans", pa.list_(inner)), ("outer", pa.struct([("inner", inner), ("n", pa.int64())])), ("deep", pa.list_(pa.list_(pa.int32())))]
    )
    features = cards.metadata(exported.describe(store, put(store))._replace(schema=schema))["dataset_info"]["features"]
    assert datasets.Features._from_yaml_list(yaml.safe_load(yaml.safe_dump(features))).arrow_schema.equals(schema)


@pytest.mark.parametrize(
    ("stated", "head", "jsonld"),
    [
        (["MIT"] + [""] * 200, {"license": "other", "license_name": "partly-not-stated"}, ["partly not stated"]),
        (["MIT", "for research", ""], {"license": "other", "license_name": "partly-not-stated"}, ["partly not stated"]),
        (["", ""], {"license": "unknown"}, ["not stated"]),
        (["MIT", "MIT"], {"license": "mit"}, ["MIT"]),
    ],
)
def test_no_licence_is_claimed_for_rows_that_state_none(
    store: LocalStore, stated: list[str], head: dict[str, str], jsonld: list[str]
) -> None:
    made = put(store, Documents, [(f"文 {i}", "zh", "", "论坛" if li else "web", li) for i, li in enumerate(stated)])
    described = exported.describe(store, made)
    assert {key: value for key, value in cards.metadata(described).items() if key.startswith("license")} == head
    assert croissant.describe(described)["license"] == jsonld
    without, text = stated.count(""), cards.render(described)
    assert (f"{without:,} of {len(stated):,} rows state no licence." in text) == bool(without)
    assert (f"| web | not stated | {without:,} |" in text) == bool(without)
    partly = f"{without:,} rows state no licence; the others state {'; '.join(li for li in stated if li)}."
    assert (partly in croissant.describe(described)["description"]) == (0 < without < len(stated))
