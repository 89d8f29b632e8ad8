"""ARCHITECTURE.md and CONTRIBUTING.md are true: files and names exist, no source file is left out, arrows hold."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
ROOMS = ("mixing", "network", "wire", "remote", "local", "server", "nodes", "training", "tools")
PRODUCT = (*ROOMS, "web")

MAY_IMPORT: dict[str, set[str]] = {
    "mixing": set(),
    "network": {"mixing"},
    "wire": {"mixing"},
    "remote": {"mixing", "network", "wire"},
    "local": {"mixing"},
    "server": {"mixing", "network", "remote"},
    "nodes": {"mixing", "local", "remote", "server"},
    "training": {"mixing", "local", "nodes"},
    "tools": set(),
}
"""The other rooms that a room may import."""

FLOORS: dict[str, dict[str, set[str]]] = {
    "remote": {"store": {"remote"}, "run": {"store", "remote"}, "remote": {"run", "store"}},
    "tools": {
        "commands": {"server", "workflow", "install", "comfy_tool"},
        "server": {"workflow", "install", "comfy_tool"},
        "workflow": {"comfy_tool"},
        "install": {"comfy_tool"},
        "comfy_tool": {"commands", "install"},
    },
}
"""The folders inside a room, and which others of that room each may import. A room's own name is its top."""

OUTSIDE: dict[str, set[str]] = {
    "mixing": {"torch", "PIL"},
    "network": {"requests", "urllib3"},
    "wire": set(),
    "remote": set(),
    "tools": {"aiohttp", "requests", "tqdm"},
}
"""The packages that a room without ComfyUI may import beside the standard library."""

PLAIN = ("mixing/errors.py", "mixing/weights.py", "mixing/seeds.py", "mixing/recipe.py")
"""Modules that import neither torch nor Pillow."""

COMFYUI = {
    "comfy", "comfy_api", "comfy_api_nodes", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview",
    "node_helpers", "nodes", "execution", "server",
}  # fmt: skip
WITH_COMFYUI = {"local", "server", "nodes", "training"}

Import = tuple[str, bool]
"""What is imported, dotted: a module of the pack (True, without the pack's own name) or another one (False)."""


def sources(*rooms: str, suffixes: tuple[str, ...] = (".py",)) -> list[str]:
    """Return the source files of these rooms, as paths from the root."""
    files = [file for room in rooms for file in (ROOT / room).rglob("*") if file.suffix in suffixes]
    return sorted(file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts)


def tree_of(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through `node`, except for what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from statements(child)


def imports_of(path: str) -> Iterator[Import]:
    """Yield everything that a file imports, wherever in it."""
    folder = path.split("/")[:-1]
    for node in statements(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".") if node.module else []
            inside = bool(node.level) or module[:1] == ["image_mixer"]
            base = folder[: len(folder) + 1 - node.level] if node.level else []
            full = [*base, *(module[1:] if inside and not node.level else module)]
            for alias in node.names:
                yield ".".join([*full, alias.name] if inside else full), inside


def module_files(dotted: str) -> list[str]:
    """Return the file of a dotted name of the pack: that of the module, or that of the module which holds the name."""
    parts = dotted.split(".")
    for path in ("/".join(parts), "/".join(parts[:-1])):
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            if (ROOT / candidate).is_file():
                return [candidate]
    return []


def tokens(page: str) -> list[str]:
    """Return everything in backticks outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def paths_in(page: str) -> list[tuple[str, str]]:
    """Return the paths that a page names, each with the name in that file ("" if none): `mixing/mix.py:Mix.used`."""
    found = []
    for token in tokens(page):
        match = re.fullmatch(r"([\w.-]+(?:/[\w.-]+)*/?)(?::([\w.]+))?", token)
        if match and ("/" in match[1] or re.search(r"\.(py|md|mjs|js|ya?ml)$", match[1])):
            found.append((match[1], match[2] or ""))
    return found


def names_in(path: str) -> set[str]:
    """Return the functions, classes, methods and constants of a file: `f`, `Class`, `Class.method`, `CONSTANT`."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if not path.endswith(".py"):
        return set(re.findall(r"\b(?:function|class|const|let)\s+(\w+)", text))

    def defined(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield prefix + node.name
                if isinstance(node, ast.ClassDef):
                    yield from defined(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))

    return set(defined(ast.parse(text).body, ""))


def says_something(path: str) -> bool:
    """Whether a file holds more than a docstring."""
    return not path.endswith("__init__.py") or any(not isinstance(node, ast.Expr) for node in tree_of(path).body)


def room_and_floor(dotted: str, room: str) -> str:
    """Return the folder inside `room` that a module of it lies in, or the room's top."""
    parts = dotted.split(".")
    inner = parts[2:] if room == "tools" else parts[1:]
    return inner[0] if inner and inner[0] in FLOORS[room] else {"tools": "comfy_tool"}.get(room, room)


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_name_of_a_page_exists(page: str) -> None:
    found = paths_in(page)
    assert len(found) > 20
    for path, name in found:
        assert (ROOT / path).exists(), f"{page} names {path}, which does not exist"
        assert not name or name in names_in(path), f"{page} names {name} in {path}, which does not have it"


@pytest.mark.parametrize(
    "page", [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
)
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert target.startswith("https://") or ((ROOT / page).parent / target).exists(), (page, target)


def test_every_source_file_is_in_the_rooms() -> None:
    rooms = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("\n## The rooms\n")[2]
    listed = {path for line in rooms.splitlines() if line.startswith("- `") for path in re.findall(r"`([^`]+)`", line)}
    folders = tuple(path for path in listed if path.endswith("/"))
    missing = [
        path
        for path in sources(*PRODUCT, suffixes=(".py", ".js", ".mjs"))
        if path not in listed and not path.startswith(folders) and says_something(path)
    ]
    assert not missing, "ARCHITECTURE.md does not list " + ", ".join(missing)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    for path in sources(room):
        reached = {name.split(".")[0] for name, inside in imports_of(path) if inside} - {room}
        assert reached <= MAY_IMPORT[room], path


def test_the_page_says_the_same_arrows() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for room in ROOMS:
        (cells,) = re.findall(rf"^\| `{room}/` \| (.+?) \|", text, re.MULTILINE)
        if room != "tools":
            assert set(re.findall(r"\w+", re.sub(r"\(.*?\)|nothing of the pack", "", cells))) == MAY_IMPORT[room], room


@pytest.mark.parametrize("room", sorted(FLOORS))
def test_a_folder_of_a_room_imports_only_those_below_it(room: str) -> None:
    for path in sources(room):
        own = room_and_floor(path.removesuffix(".py").replace("/", "."), room)
        for name, inside in imports_of(path):
            if inside and name.split(".")[0] == room:
                other = room_and_floor(name, room)
                assert other == own or other in FLOORS[room][own], (path, name)


def test_there_are_no_circles() -> None:
    """Kahn's algorithm: modules without an import that is left are taken away, until none is left."""
    left: dict[str, set[str]] = {}
    for path in sources(*ROOMS):
        left[path] = {file for name, inside in imports_of(path) if inside for file in module_files(name)} - {path}
    while left:
        free = [path for path, imported in left.items() if not imported & set(left)]
        assert free, f"these import each other: {sorted(left)}"
        for path in free:
            del left[path]


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in WITH_COMFYUI])
def test_a_room_without_comfyui_imports_only_its_own_packages(room: str) -> None:
    allowed = OUTSIDE[room] | set(sys.stdlib_module_names) | ({"comfy_tool"} if room == "tools" else set())
    allowed |= {"tomli"}  # Python 3.10 has no tomllib
    for path in sources(room):
        used = {name.split(".")[0] for name, inside in imports_of(path) if not inside}
        assert not used & COMFYUI, path
        assert used <= allowed, (path, used - allowed)


def test_what_runs_before_an_environment_exists_needs_only_the_standard_library() -> None:
    for path in ["tools/comfy.py", "tools/comfy_tool/main.py", *sources("tools/comfy_tool/install")]:
        used = {name.split(".")[0] for name, inside in imports_of(path) if not inside}
        assert used <= set(sys.stdlib_module_names) | {"comfy_tool"}, path


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_module_reaches_neither_torch_nor_pillow(path: str) -> None:
    """Also through the modules that it imports."""
    seen, todo = set(), [path]
    while todo:
        current = todo.pop()
        seen.add(current)
        for name, inside in imports_of(current):
            if inside:
                todo += [file for file in module_files(name) if file not in seen]
            else:
                assert name.split(".")[0] not in ("torch", "PIL"), (current, name)


def test_the_pack_imports_itself_only_relatively() -> None:
    for path in sources("mixing", "network", "wire", "remote", "local", "server", "nodes"):
        absolute = [
            node.module or "" for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and not node.level
        ]
        assert not [module for module in absolute if module.split(".")[0] == "image_mixer"], path


def test_modules_of_the_web_folder_import_no_page() -> None:
    for path in sources("web", suffixes=(".js", ".mjs")):
        for target in re.findall(r"from '([^']+)'", (ROOT / path).read_text(encoding="utf-8")):
            if path.startswith("web/lib/"):
                assert re.fullmatch(r"\./\w+\.mjs", target), (path, target)
            else:
                assert re.fullmatch(r"\./lib/\w+\.mjs|(\.\./){2}scripts/\w+\.js", target), (path, target)


def test_the_hooks_use_the_version_of_ruff_that_the_tests_use() -> None:
    hooks = re.findall(r"ruff==([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    pins = (ROOT / "tools" / "comfy_tool" / "install" / "pins.py").read_text(encoding="utf-8")
    pinned = re.findall(r'"ruff==([\d.]+)"', pins)
    assert len(hooks) == 2 and len(set(hooks + pinned)) == 1
