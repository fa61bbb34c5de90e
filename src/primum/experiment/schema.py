"""The JSON schema of experiment files as people write them, for editors: with grids, ``extends``, bases and catalogs.

pydantic's own schema is that of a whole experiment, after expansion. Here an entry may have a ``matrix``, and wherever it may
have a value, a text with ``${...}`` as well. A file that extends another one, a base and a catalog are parts of an experiment:
they need no key, and may remove any with null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from primum.experiment.experiment import Experiment
from primum.experiment.grid import SECTIONS

PART = ".part"
_PATTERN = r"\$\{.+\}"
_VALUE = {"type": ["string", "number", "boolean"]}
_VALUES = {"type": "array", "minItems": 1, "items": _VALUE}
_MATRIX = {
    "description": "One entry for each combination of these values, which ${axis} stands for in its name and texts.",
    "type": "object",
    "minProperties": 1,
    "properties": {
        "include": {
            "description": "Combinations to add, or what to add to some of them, as in GitHub Actions; a list multiplies.",
            "type": "array",
            "items": {"type": "object", "minProperties": 1, "additionalProperties": {"anyOf": [_VALUE, _VALUES]}},
        },
        "exclude": False,
    },
    "additionalProperties": _VALUES,
}
_EXPRESSION = {"type": "string", "pattern": _PATTERN}
_SHARED = {"#/$defs/Matrix": _MATRIX, "#/$defs/Expression": _EXPRESSION}
_RANGE = {"gt": "exclusiveMinimum", "ge": "minimum", "le": "maximum"}
_PREFERENCES = {
    "type": "object",
    "if": {"anyOf": [{"required": ["demonstrations"]}, {"required": ["judge"]}]},
    "then": {"$ref": "#/$defs/DemonstratedPreferences"},
    "else": {
        "if": {"anyOf": [{"required": ["from"]}, {"required": ["ranker"]}]},
        "then": {"$ref": "#/$defs/SampledPreferences"},
        "else": {"$ref": "#/$defs/ReadPreferences"},
    },
}
_EXTENDS = {"description": "The base or the experiment that this file differs from.", "type": "string"}


def schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12."""
    plain = Experiment.model_json_schema()
    definitions = {name: _with_patterns(each) for name, each in plain.pop("$defs").items()}
    for name in {name for section in SECTIONS for name in _references(plain["properties"][section])}:
        definitions[name]["properties"]["matrix"] = {"$ref": "#/$defs/Matrix"}
    definitions |= {"Model": _model(), "Preferences": _PREFERENCES}
    properties = {name: _with_patterns(each) for name, each in plain["properties"].items()}
    parts = {f"{name}{PART}": _as_part(each) for name, each in definitions.items()}
    definitions |= {reference.rpartition("/")[2]: each for reference, each in _SHARED.items()}
    whole = {"required": plain.pop("required"), "properties": properties}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **plain,
        "properties": {"extends": _EXTENDS, **{name: _as_part(each) for name, each in properties.items()}},
        "if": {"required": ["name"], "not": {"required": ["extends"]}},
        "then": whole,
        "$defs": {**definitions, **parts},
    }


def _mapped(node: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    """``node`` with ``change`` made to every schema inside it and then to itself; constants and defaults are none."""
    if isinstance(node, list):
        return [_mapped(each, change) for each in node]
    if not isinstance(node, dict):
        return node
    inner: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "patternProperties"):
            inner[key] = {name: _mapped(each, change) for name, each in value.items()}
        elif key in ("items", "prefixItems", "anyOf", "oneOf", "additionalProperties"):
            inner[key] = _mapped(value, change)
        else:
            inner[key] = value
    return change(inner)


def _with_patterns(node: dict[str, Any]) -> Any:
    """Any name, and any value but mappings and lists, may be a text with ``${...}``.

    Kinds of models, and of pairs, are told apart by their keys.
    """

    def change(each: dict[str, Any]) -> Any:
        if "oneOf" in each:
            sampled = "#/$defs/SampledPreferences" in [option.get("$ref") for option in each["oneOf"]]
            return {"$ref": "#/$defs/Preferences" if sampled else "#/$defs/Model"}
        # A title is the key in other letters; and of a number that may be a text, pydantic has its own words for the range.
        known = {_RANGE.get(key, key): value for key, value in each.items() if key != "title"}
        free = known.get("type") == "string" and not known.keys() & {"pattern", "enum", "const"}
        if known.get("type") in ("string", "integer", "number", "boolean") and not free:
            return _or({"$ref": "#/$defs/Expression"}, known)
        if "patternProperties" in known:
            (entry,) = known["patternProperties"].values()
            known |= {
                "patternProperties": {**known["patternProperties"], _PATTERN: entry},
                "additionalProperties": False,
            }
        if any("anyOf" in option for option in known.get("anyOf", [])):
            known["anyOf"] = list(_flat(known["anyOf"]))
        return known

    return _mapped(node, change)


def _flat(options: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The options, those of options among them one by one."""
    for option in options:
        yield from option["anyOf"] if option.keys() == {"anyOf"} else [option]


def _model() -> dict[str, Any]:
    """Which keys a model may have, by what it says of its kind: an editor then complains about the key, not the kind."""
    signs: dict[str, Any] = {"HubModel": {"required": ["hub"]}, "EndpointModel": {"required": ["endpoint"]}}
    for kind, train in (("PretrainedModel", "pretrain"), ("SFTModel", "sft"), ("DPOModel", "dpo")):
        signs[kind] = {"required": ["train"], "properties": {"train": {"const": train}}}
    chosen: dict[str, Any] = {"anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in signs]}
    for kind, sign in signs.items():
        chosen = {"if": sign, "then": {"$ref": f"#/$defs/{kind}"}, "else": chosen}
    return {"type": "object", **chosen}


def _as_part(node: dict[str, Any]) -> Any:
    """The same, with no key required, and null for any of them."""

    def change(each: dict[str, Any]) -> dict[str, Any]:
        changed = {key: value for key, value in each.items() if key not in ("required", "minItems")}
        for group in ("properties", "patternProperties"):
            if group in each:
                changed[group] = {name: _or({"type": "null"}, value) for name, value in each[group].items()}
        return changed

    return _renamed(_mapped(node, change))


def _or(other: dict[str, Any], node: Any) -> Any:
    """What ``node`` admits, or what ``other`` does; false, which admits nothing, stays."""
    if node is False:
        return node
    if "anyOf" in node:
        return {**node, "anyOf": [*node["anyOf"], *([other] if other not in node["anyOf"] else [])]}
    about = {key: node[key] for key in ("default", "description") if key in node}
    return {**about, "anyOf": [{key: value for key, value in node.items() if key not in about}, other]}


def _renamed(node: Any) -> Any:
    """``node`` with its references to definitions as those to parts."""
    if isinstance(node, list):
        return [_renamed(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: f"{value}{PART}" if key == "$ref" and value not in _SHARED else _renamed(value)
        for key, value in node.items()
    }


def _references(node: Any) -> set[str]:
    """The names of the definitions that ``node`` refers to."""
    if isinstance(node, list):
        return {name for each in node for name in _references(each)}
    if not isinstance(node, dict):
        return set()
    return {
        name
        for key, value in node.items()
        for name in ([value.rpartition("/")[2]] if key == "$ref" else _references(value))
    }
