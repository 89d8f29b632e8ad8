"""Check a JSON value against the part of JSON Schema that the service's OpenAPI description uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def load() -> dict[str, Any]:
    """Return the OpenAPI description next to this file."""
    document: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    return document


def request_schema(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of a request to `path`."""
    schema: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def answer_schema(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of the answer of `path` with HTTP 200."""
    answers = document["paths"][path]["post"]["responses"]["200"]
    schema: dict[str, Any] = answers["content"]["application/json"]["schema"]
    return schema


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any], where: str = "$") -> list[str]:
    """Return what is wrong with `value`, one line per fault."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        tries = [faults(value, option, document, where) for option in schema["oneOf"]]
        fitting = sum(not found for found in tries)
        return [] if fitting == 1 else [f"{where} fits {fitting} of {len(tries)} forms: {tries}"]
    found = []
    kind = schema.get("type")
    if kind and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{where} is {type(value).__name__}, not {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is {value!r}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where} is below {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"{where} is above {schema['maximum']}")
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        found.append(f"{where} has more than {schema['maxItems']} items")
    if schema.get("format") == "uri" and not str(value).startswith(("http://", "https://")):
        found.append(f"{where} is not a URL")
    found += [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, part in schema.get("properties", {}).items():
        if name in value:
            found += faults(value[name], part, document, f"{where}.{name}")
    for index, item in enumerate(value if kind == "array" else ()):
        found += faults(item, schema["items"], document, f"{where}[{index}]")
    return found
