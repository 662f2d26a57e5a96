"""Croissant 1.1 metadata of exported rows: a JSON-LD that dataset search engines and loaders read (MLCommons, 2026).

Every shard is a `FileObject` with its sha256; one local `FileSet` over them feeds one record set with a field a column; a struct column
has a sub-field for each of its values. Checked with mlcroissant 1.1, which also reads the records from the folder.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from sapwood.text.versions.cards import Dataset, parameters

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The specification's own context; with fewer keys mlcroissant warns."""

MEANING = {
    "id": "Hash of the source's name and the place of the text within it; the same when the text is cleaned.",
    "text": "The text.",
    "source": "Name of the source.",
    "url": "Where the text is to be found, if anywhere.",
    "language": "ISO 639-1 code; und where it is not known.",
    "license": "Licence as the source states it.",
    "collected_at": "UTC time of collection.",
    "meta": "A JSON object of strings.",
    "text_digest": "First 32 hex characters of the text's sha256.",
    "parents": "Ids of the rows that this row was made from.",
    "label": "Class of the text.",
    "stats": "Statistics of the text, one number each.",
}
SHARDS = "shards"


def describe(dataset: Dataset) -> dict[str, Any]:
    """The JSON-LD object."""
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": dataset.name,
        "description": _description(dataset),
        "url": f"urn:sha256:{dataset.digest}",
        "citeAs": f"{dataset.creator or dataset.name}: rows with the digest {dataset.digest}",
        "version": "1.0.0",
        "license": _licence(dataset),
        "inLanguage": dataset.languages,
        "distribution": [*(_file(entry.path, entry.size, entry.sha256) for entry in dataset.entries), _file_set()],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "key": {"@id": "rows/id"},
                "field": [_field(f) for f in dataset.schema],
            }
        ],
        "rai:dataPreprocessingProtocol": [f"{made.step} (version {made.version}): {parameters(made)}" for made in dataset.steps],
    }
    if dataset.date:
        found["datePublished"] = dataset.date
    if dataset.creator:
        found["creator"] = {"@type": "sc:Organization", "name": dataset.creator}
    return {key: value for key, value in found.items() if value}


def render(dataset: Dataset) -> str:
    """The text of `croissant.json`."""
    return json.dumps(describe(dataset), ensure_ascii=False, indent=1) + "\n"


def _description(dataset: Dataset) -> str:
    found = f"{dataset.profile.rows:,} rows, {dataset.profile.characters:,} characters. Artifact {dataset.kind}:{dataset.digest}."
    if not (dataset.licences and dataset.unlicensed):
        return found
    return f"{found} {dataset.unlicensed:,} rows state no licence; the others state {'; '.join(dataset.licences)}."


def _licence(dataset: Dataset) -> list[str]:
    if dataset.licences and dataset.unlicensed:
        return ["partly not stated"]
    return dataset.licences or ["not stated"]


def _file(name: str, size: int, sha256: str) -> dict[str, Any]:
    kind = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "contentSize": f"{size} B"}
    return {**kind, "encodingFormat": "application/x-parquet", "sha256": sha256}


def _file_set() -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": SHARDS, "name": SHARDS, "encodingFormat": "application/x-parquet", "includes": "rows-*.parquet"}


def _field(column: pa.Field) -> dict[str, Any]:
    many = pa.types.is_list(column.type)
    kind = column.type.value_type if many else column.type
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"rows/{column.name}",
        "name": column.name,
        "description": MEANING.get(column.name, "A column of the source."),
    }
    if pa.types.is_struct(kind):
        found["subField"] = [_sub_field(column.name, value) for value in kind if not pa.types.is_struct(value.type)]
    else:
        found |= {"dataType": _data_type(kind), "source": _source(column.name)}
    return found | ({"isArray": True, "arrayShape": "-1"} if many else {})


def _sub_field(column: str, value: pa.Field) -> dict[str, Any]:
    """A value of a struct column, taken out by its name. Structs within structs are not described."""
    many = pa.types.is_list(value.type)
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"rows/{column}/{value.name}",
        "name": value.name,
        "dataType": _data_type(value.type.value_type if many else value.type),
        "source": {**_source(column), "transform": {"jsonPath": f"$['{value.name}']"}},
    }
    return found | ({"isArray": True, "arrayShape": "-1"} if many else {})


def _source(column: str) -> dict[str, Any]:
    return {"fileSet": {"@id": SHARDS}, "extract": {"column": column}}


def _data_type(kind: pa.DataType) -> str:
    for holds, name in ((pa.types.is_integer, "sc:Integer"), (pa.types.is_floating, "sc:Float"), (pa.types.is_boolean, "sc:Boolean")):
        if holds(kind):
            return name
    return "sc:Text"
