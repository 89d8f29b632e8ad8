"""Damage done to workflows: values of the wrong type or range, links that make no sense, huge and odd texts, paths."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

NUMBERS: tuple[Any, ...] = (
    -1,
    0,
    1,
    0.5,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    2**53,
    2**63,
    2**64,
    -(2**63),
    10**400,
    True,
)
"""None of them is a valid size or count that would keep the machine busy."""

TEXTS = (
    "",
    " ",
    "\x00",
    "\n\n",
    "0.5, x",
    "1e999",
    "nan",
    "'; DROP TABLE jobs; --",
    "{{7*7}}",
    "${HOME}",
    "%date:yyyy%",
    "%x.y%",
    "\ud800",
    "\u202e\u200b\ufeff",
    "a\u0301" * 50,
    "\U0001f9ea" * 100,
    "__proto__",
    "-10",
    "5:3",
    "None",
    "[object Object]",
    "A" * 300,
    "1," * 5000,
    "( " * 3000,
    "{a|" * 500,
    "B" * 400_000,
)
KEYS = ("", "images.", "images.image99", "images.image0.image0", "images.__proto__", "method.power", "\x00", "k" * 5000)
TOO_LONG = 200


def addresses(host: str) -> tuple[str, ...]:
    """Return addresses that lead a server to `host`, a host and port."""
    return (
        f"http://{host}/a.png",
        f"https://{host}/",
        f"//{host}/a",
        f"http://user:pass@{host}/",
        f"\\\\{host}\\share",
    )


def paths(outside: str) -> tuple[str, ...]:
    """Return paths that lead out of a folder; `outside` is the absolute path of one that nothing may touch."""
    up = "../" * 12
    return (
        f"{outside}/x",
        f"{up}{outside}/x",
        f"..{outside}/x",
        "../../../outside/x",
        "..\\..\\..\\outside\\x",
        "a/../../../../outside/x",
        f"file://{outside}/x",
        f"{outside}/secret.safetensors [output]",
        "../../outside/secret.safetensors [output]",
        "../../outside/secret.safetensors [input]",
        "~/x",
        "C:\\x",
        "CON",
        "x\x00y",
        "%2e%2e%2foutside%2fx",
        "./././x",
        "x/" * 300,
    )


class Hostile:
    """Draw damage from `chance`; `host` and `outside` are what it tries to reach."""

    def __init__(self, chance: random.Random, host: str, outside: str) -> None:
        self.chance = chance
        self.texts = (*TEXTS, *addresses(host), *paths(outside))

    def value(self, depth: int = 0) -> Any:
        """Return a value of any type."""
        kind = self.chance.randrange(10)
        if kind < 4:
            return self.chance.choice(NUMBERS)
        if kind < 8:
            return self.chance.choice(self.texts)
        if depth > 3 or kind == 8:
            return self.chance.choice((None, False, [], {}))
        inner = [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
        return (
            inner
            if self.chance.random() < 0.5
            else {str(at): one for at, one in enumerate(inner)} | {"__value__": inner}
        )

    def link(self, prompt: Mapping[str, Any]) -> list[Any]:
        """Return a link to a node of the prompt, or to a missing one, at an output that may be missing."""
        node = self.chance.choice([*prompt, "nowhere", "", "-10"])
        return [node, self.chance.choice((0, 0, 0, 1, 2, 3, -1, 99, 0.5, 10**20))]

    def prompt(self, good: Mapping[str, Any], own: str) -> dict[str, Any]:
        """Return a prompt in API format with one to three faults. Values are changed in nodes whose class begins with `own`,
        links in all nodes."""
        prompt = copy.deepcopy(dict(good))
        for _ in range(self.chance.randint(1, 3)):
            self._damage(prompt, own)
        return prompt

    def _damage(self, prompt: dict[str, Any], own: str) -> None:
        mine = [node for node in prompt.values() if str(node.get("class_type")).startswith(own)]
        node = self.chance.choice(mine or list(prompt.values()))
        inputs = node.get("inputs")
        if not isinstance(inputs, dict) or not inputs:
            return
        key = self.chance.choice(list(inputs))
        kind = self.chance.randrange(12)
        if kind < 6:
            inputs[key] = self.value()
        elif kind < 8:
            if key != "filename_prefix":  # ComfyUI itself looks at one that comes by a link
                inputs[key] = self.link(prompt)
        elif kind == 8:
            del inputs[key]
        elif kind == 9:
            inputs[self.chance.choice(KEYS)] = self.chance.choice((self.value(), self.link(prompt)))
        elif kind == 10:
            self._rename(prompt)
        else:
            self._swap(node, mine)

    def _rename(self, prompt: dict[str, Any]) -> None:
        old = self.chance.choice(list(prompt))
        new = self.chance.choice([text for text in self.texts if len(text) <= TOO_LONG])
        prompt[new] = prompt.pop(old)
        for node in prompt.values():
            for key, value in (node.get("inputs") or {}).items():
                if isinstance(value, list) and value and value[0] == old:
                    node["inputs"][key] = [new, *value[1:]]

    def _swap(self, node: dict[str, Any], mine: list[dict[str, Any]]) -> None:
        other = self.chance.choice(mine)
        change = self.chance.randrange(3)
        if change == 0:
            node["class_type"] = self.chance.choice((other["class_type"], "", "NoSuchNode", "ImageMixerHandOver"))
        elif change == 1:
            node["inputs"] = dict(other["inputs"])
        else:
            node["inputs"].update(other["inputs"])

    def tree(self, good: Any) -> Any:
        """Return a saved workflow with one to five faults anywhere in its JSON."""
        holder = {"": copy.deepcopy(good)}
        for _ in range(self.chance.randint(1, 5)):
            self._prune(holder)
        return holder[""]

    def _prune(self, holder: dict[str, Any]) -> None:
        spots = list(_spots(holder))
        inside, key = self.chance.choice(spots)
        kind = self.chance.randrange(8)
        if kind < 4 or inside is holder:
            if inside is not holder or kind == 0:
                inside[key] = self.value()
        elif kind == 4:
            del inside[key]
        elif kind == 5:
            donor, other = self.chance.choice(spots)
            inside[key] = copy.deepcopy(donor[other]) if donor is not holder else None
        elif isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[self.chance.randrange(len(inside))]))
        elif kind == 6:
            inside[self.chance.choice(KEYS)] = self.value()
        else:
            inside[key] = self.chance.choice((-10, -20, "-10", "-20", 1, 2, "1", "2"))


def _spots(tree: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key or index) of a JSON tree."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        pairs = list(one.items()) if isinstance(one, dict) else list(enumerate(one))
        for key, value in pairs:
            found.append((one, key))
            if isinstance(value, (dict, list)):
                waiting.append(value)
    return found
