"""The golden registry: names, versions and defaults of every stage. A changed default is another result under the same key,
so it needs a new `version`; then write the file anew with `python tests/house/test_house_golden.py`."""

import json
from pathlib import Path

from pydantic_core import to_jsonable_python

from sapwood import plugins
from sapwood.stage import inputs, outputs

GOLDEN = Path(__file__).parent / "golden_registry.json"


def registry():
    found = {}
    for group, known in (("stage", plugins.stages()), ("action", plugins.actions())):
        for name, cls in sorted(known.items()):
            fields = {
                field: "needed" if info.is_required() else to_jsonable_python(info.get_default(call_default_factory=True))
                for field, info in cls.model_fields.items()
            }
            ports = {"inputs": sorted(inputs(cls)), "outputs": list(outputs(cls))}
            found[f"{group} {name}"] = {"version": cls.version, "fields": fields, **ports}
    return found


def test_no_default_changed_without_a_new_version():
    golden, now = json.loads(GOLDEN.read_text()), json.loads(json.dumps(registry()))
    for name, body in golden.items():
        assert name in now, f"{name} is gone: recipes that name it break"
        if body["version"] == now[name]["version"]:
            changed = {f for f in body["fields"] if body["fields"][f] != now[name]["fields"].get(f)}
            assert not changed, f"{name}: the defaults of {changed} changed; raise its version"
    assert golden == now, "new stages or fields: write the golden file anew (see the docstring)"


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(registry(), indent=1, sort_keys=True, default=str) + "\n")
