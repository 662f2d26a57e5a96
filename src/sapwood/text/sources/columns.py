"""Rows of Arrow batches as documents: what the kinds `parquet` and `huggingface` share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from sapwood.errors import InputError
from sapwood.text.formats.document import LONGEST, sound
from sapwood.text.sources.source import Located, Reading, Row

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 512
"""Rows of a batch: 5 GB if each were as long as a document may be, which is why text stays dictionary-coded where the file codes it so."""


class Columned(Located):
    """A file, or a folder of files, whose rows have named columns."""

    text_column: str = Field("text", description="Column with the text.")
    label_column: str = Field("", description="Column with the label, written to meta.label; numbers of a class label become its names.")
    id_column: str = Field("", description="Column that identifies a row; file and row number when empty.")
    meta_columns: tuple[str, ...] = Field((), description="Columns kept in meta, as text.")

    @model_validator(mode="after")
    def _a_path(self) -> Self:
        if self.sample:
            raise ValueError(f"{type(self).__name__.lower()} needs path, not sample")
        return self

    @property
    def wanted(self) -> list[str]:
        """The columns to read, each once."""
        return list(dict.fromkeys(name for name in (self.text_column, self.label_column, self.id_column, *self.meta_columns) if name))


def check_columns(source: Columned, schema: pa.Schema) -> None:
    """Raises `InputError` for a column that is missing, or text that is no text."""
    import pyarrow as pa

    for name in source.wanted:
        if name not in schema.names:
            raise InputError(f"no column: {name!r} is none of {', '.join(schema.names)[:300]}", "name the column")
    found = schema.field(source.text_column).type
    inner = found.value_type if pa.types.is_dictionary(found) else found
    if not (pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)):
        raise InputError(f"no text: column {source.text_column!r} holds {found}", "name the column that holds the text")


def documents(source: Columned, batches: Iterable[pa.RecordBatch], inside: str, time: str, reading: Reading) -> Iterator[Row]:
    """The rows of one file. A row without text is skipped, one over the length of a document is a failure."""
    names: list[str] | None = None
    number = 0
    for batch in batches:
        if names is None:
            names = class_names(batch.schema, source.label_column)
        others = {name: batch.column(name) for name in source.wanted if name != source.text_column}
        text = batch.column(source.text_column)
        for row in range(batch.num_rows):
            values = {name: column[row].as_py() for name, column in others.items()}
            locator = str(values[source.id_column]) if source.id_column else f"{inside}#{number}"
            number += 1
            found = text[row].as_py()
            if found is None:
                reading.skipped("no text")
            elif len(found) > LONGEST:
                reading.failed(locator, f"too long: {len(found)} characters in one document, the most is {LONGEST}")
            else:
                yield Row(locator, sound(found), _meta(source, values, names), collected_at=time)


def class_names(schema: pa.Schema, column: str) -> list[str]:
    """The names of a Hugging Face class label, from the schema's own metadata; empty where the column is none."""
    import orjson

    try:
        features = orjson.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return [str(name) for name in features[column]["names"]] if features[column]["_type"] == "ClassLabel" else []
    except (KeyError, TypeError, ValueError):
        return []


def _meta(source: Columned, values: dict[str, Any], names: list[str]) -> dict[str, str]:
    meta = {name: sound(str(values[name])) for name in source.meta_columns if values[name] not in (None, "")}
    label = values.get(source.label_column) if source.label_column else None
    if label is not None and label != "":
        known = isinstance(label, int) and 0 <= label < len(names)
        meta["label"] = names[label] if known else sound(str(label))
    return meta
