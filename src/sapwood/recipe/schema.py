"""JSON Schema of recipes."""

from __future__ import annotations

from typing import Any

from sapwood import plugins
from sapwood.artifact import KINDS
from sapwood.recipe import FORMAT
from sapwood.stage import Action, Resources, Stage, inputs


def schema() -> dict[str, Any]:
    """JSON Schema of recipes, for editors: every stage and action with its fields and ports."""
    definitions: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for section in ("stages", "actions"):
        word = section[:-1]
        names = list(plugins.table(section))
        for name in names:
            definitions[f"{word}.{name}"] = _step_schema(word, name, plugins.load(section, name), definitions)
        refs = {name: {"$ref": f"#/$defs/{word}.{name}"} for name in names}
        other: dict[str, Any] = {"type": "object", "required": [word], "properties": {word: {"enum": names}}}
        other["allOf"] = [{"if": {"properties": {word: {"const": name}}}, "then": refs[name]} for name in names]
        by_name = {name: {"if": {"required": [word]}, "then": other, "else": refs[name]} for name in names}
        sections[section] = {"type": "object", "properties": by_name, "additionalProperties": other}
    head = {
        "sapwood": {"const": FORMAT},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "seed": {"type": "integer", "minimum": 0},
        "inputs": {"type": "object", "additionalProperties": {"enum": sorted(KINDS)}},
        "resources": Resources.model_json_schema(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sapwood recipe",
        "type": "object",
        "properties": {**head, **sections},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _step_schema(word: str, name: str, cls: type[Stage] | type[Action], definitions: dict[str, Any]) -> dict[str, Any]:
    body = cls.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(body.pop("$defs", {}))
    body["title"] = name
    properties = body.setdefault("properties", {})
    for port in inputs(cls).values():
        reference = {"type": "string", "description": f"Port: {port.describe()}."}
        properties[port.name] = {"type": "array", "items": reference} if port.many else reference
    properties[word] = {"const": name}
    if word == "stage":
        properties["seed"] = {"type": "integer", "minimum": 0, "description": "A seed for this step alone."}
    needed = [port.name for port in inputs(cls).values() if not port.optional]
    body["required"] = [*body.get("required", []), *needed]
    return body
