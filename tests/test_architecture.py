"""The house rules: which room may import which, how large things may be, and what no file may hold.

Every rule is a function from a module to the lines that break it, and is shown a module that breaks
it before it is believed.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import facefx.errors

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: a room imports from itself and from lower floors only.
FLOORS = (
    {"", "errors"},
    {"geometry", "config"},
    {"values"},
    {"storage", "telemetry"},
    {"models", "video"},
    {"faces", "gpu"},
    {"effects"},
    {"pipeline"},
    {"archive", "live"},
    {"cluster"},
    {"demo", "api"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
# Lower floors that a room must still not use.
FORBIDDEN = {"faces": {"video"}, "effects": {"models"}}
ONLY_USER = {
    "av": ("facefx.video",),
    "onnxruntime": ("facefx.models",),
    "fsspec": ("facefx.storage",),
    "s3fs": ("facefx.storage",),
    "botocore": ("facefx.storage",),
    "ray": ("facefx.cluster",),
    "cupy": ("facefx.gpu",),
    "onnx": ("facefx.models",),
    "tflite": ("facefx.models",),
    "moderngl": ("facefx.effects.gl",),
    "typer": ("facefx.cli",),
    "rich": ("facefx.cli",),
}
NUMPY_ONLY = ("facefx.values", "facefx.geometry")
MAX_FILE, MAX_FUNCTION, MAX_DOCSTRING = 400, 60, 25
HEAVY = {"ray", "av", "onnxruntime", "cv2", "pyarrow", "onnx", "tflite", "moderngl"}


@dataclass(frozen=True)
class Module:
    """A parsed file with its dotted name."""

    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if "." in self.name else ""


def files() -> list[Path]:
    """Every file that is the project's own: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def modules(*folders: str) -> list[Module]:
    """The Python files under folders of the repository."""
    found = []
    for path in files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.suffix == ".py" and parts[0] in folders:
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path.read_text(encoding="utf-8")))
    return found


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, wherever it stands in the file."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "facefx":
                yield from ((node.lineno, f"facefx.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def arrows(module: Module) -> Iterator[str]:
    """Imports go down only."""
    for line, name in imports(module):
        parts = name.split(".")
        if parts[0] != "facefx":
            continue
        target = parts[1] if len(parts) > 1 and parts[1] in FLOOR else ""
        if module.name == "facefx" and parts[1:] == ["api"]:
            continue  # the front door; that it opens only when asked is seen by what `import facefx` loads
        if len(parts) > 1 and parts[1] not in FLOOR and not parts[1].startswith("__"):
            yield f"{line}: facefx.{parts[1]} stands on no floor of FLOORS"
        elif target != module.room and (
            FLOOR[target] >= FLOOR.get(module.room, -1) or target in FORBIDDEN.get(module.room, set())
        ):
            yield f"{line}: {module.room or 'facefx'} may not import {target or 'facefx'}"


def only_users(module: Module) -> Iterator[str]:
    """A foreign library enters through one room."""
    for line, name in imports(module):
        library = name.split(".")[0]
        owners = ONLY_USER.get(library)
        if owners and not any(
            module.name == owner or module.name.startswith(owner + ".") for owner in owners
        ):
            yield f"{line}: only {owners[0]} imports {library}"
        if module.name.startswith(NUMPY_ONLY) and library not in {
            "numpy",
            "facefx",
            *sys.stdlib_module_names,
        }:
            yield f"{line}: values and geometry import NumPy only, not {library}"


def file_size(module: Module) -> Iterator[str]:
    lines = module.source.count("\n")
    if lines > MAX_FILE:
        yield f"1: {lines} lines, at most {MAX_FILE}"


def function_size(module: Module) -> Iterator[str]:
    for node in functions(module):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        # A command's options are its signature; they are a table, not code.
        if module.room == "cli" and node.body:
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
        if lines > MAX_FUNCTION:
            yield f"{node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION}"


def no_global(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield f"{node.lineno}: global {', '.join(node.names)}"


def no_empty_container(module: Module) -> Iterator[str]:
    """An empty container at module level is there to be filled: state that every caller shares."""
    for node in module.tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        empty = (isinstance(value, ast.List | ast.Set) and not value.elts) or (
            isinstance(value, ast.Dict) and not value.keys
        )
        maker = value.func if isinstance(value, ast.Call) and not value.args else None
        made = isinstance(maker, ast.Name) and maker.id in {"dict", "list", "set", "defaultdict", "deque"}
        if empty or made:
            yield f"{node.lineno}: mutable state of the module"


def absolute_imports(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{node.lineno}: relative import"


def narrow_except(module: Module) -> Iterator[str]:
    """Catch what you can name; catching all is for those who raise again, or say why in a noqa."""
    lines = module.source.splitlines()
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(
            kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
            for kind in kinds
        )
        reason = re.search(r"# noqa: BLE001 - \w+", lines[node.lineno - 1])
        raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        if broad and not raises and not reason:
            yield f"{node.lineno}: catches everything and keeps it"


def no_print(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "print" and module.room != "cli":
            yield f"{called.lineno}: print"


def docstrings(module: Module) -> Iterator[str]:
    """Public names say what they are, in 25 lines at most; the tree of errors is drawn whole."""

    def look(
        node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
    ) -> Iterator[str]:
        line = getattr(node, "lineno", 1)
        text = ast.get_docstring(node, clean=False)
        if text is None:
            yield f"{line}: {name} has no docstring"
        elif text.count("\n") + 1 > MAX_DOCSTRING and name != "facefx.errors":
            yield f"{line}: the docstring of {name} has more than {MAX_DOCSTRING} lines"
        for inner in node.body if isinstance(node, ast.Module | ast.ClassDef) else []:
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                marks = {ast.unparse(mark) for mark in inner.decorator_list}
                if not inner.name.startswith("_") and not marks & {"override", "overload"}:
                    yield from look(inner, inner.name)

    yield from look(module.tree, module.name)


PACKAGE_RULES = {
    "arrows": arrows,
    "only_users": only_users,
    "no_global": no_global,
    "no_empty_container": no_empty_container,
    "absolute_imports": absolute_imports,
    "narrow_except": narrow_except,
    "no_print": no_print,
    "docstrings": docstrings,
}
SIZE_RULES = {"file_size": file_size, "function_size": function_size}
Rule = Callable[[Module], Iterator[str]]

# (rule, the module that the snippet pretends to be, a snippet that breaks the rule, one that keeps it)
PROOFS = [
    (
        arrows,
        "facefx.values.frames",
        "from facefx.video.probe import probe",
        "from facefx.geometry import iou",
    ),
    (
        arrows,
        "facefx.faces.track",
        "from facefx.video.probe import probe",
        "from facefx.models.store import x",
    ),
    (arrows, "facefx.effects.solid", "import facefx.models.store", "import facefx.faces.policy"),
    (arrows, "facefx.models.store", "from facefx import video", "from facefx import storage"),
    (arrows, "facefx.pipeline.run", "def f():\n    from facefx.cli import app", "import facefx"),
    (arrows, "facefx", "import facefx.cli", "from facefx.api import run"),
    (arrows, "facefx.pipeline.run", "from facefx.api import run", "import facefx"),
    (arrows, "facefx.pipeline.run", "import facefx.helpers", "from facefx import __version__"),
    (only_users, "facefx.faces.track", "import av", "import numpy"),
    (only_users, "facefx.videos", "import av", "import numpy"),
    (only_users, "facefx.cli.run", "from fsspec.core import url_to_fs", "import json"),
    (only_users, "facefx.pipeline.run", "def f():\n    import ray.util", "import threading"),
    (only_users, "facefx.models.x", "import cupy as cp", "from onnxruntime import InferenceSession"),
    (only_users, "facefx.effects.library.x", "import moderngl", "from facefx.effects.gl import Painter"),
    (only_users, "facefx.values.frames", "import cv2", "import dataclasses"),
    (file_size, "facefx.x", "x = 1\n" * 401, "x = 1\n" * 400),
    (function_size, "facefx.x", "def f():\n" + "    x = 1\n" * 60, "def f():\n" + "    x = 1\n" * 59),
    (no_global, "facefx.x", "def f():\n    global x", "x = 1"),
    (no_empty_container, "facefx.x", "CACHE: dict[str, int] = {}", "NAMES = {'a': 1}"),
    (no_empty_container, "facefx.x", "seen = set()", "def f():\n    seen = set()"),
    (absolute_imports, "facefx.x", "from . import y", "from facefx import y"),
    (
        narrow_except,
        "facefx.x",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept OSError:\n    pass",
    ),
    (narrow_except, "facefx.x", "try:\n    f()\nexcept (OSError, Exception):\n    pass", "x = 1"),
    (
        narrow_except,
        "facefx.x",
        "try:\n    f()\nexcept Exception:  # noqa: BLE001\n    pass",
        "try:\n    f()\nexcept Exception as e:\n    raise X from e",
    ),
    (no_print, "facefx.video.x", "def f():\n    print(1)", "def f():\n    log(1)"),
    (docstrings, "facefx.x", "def f(): ...", '"""X."""\ndef _f(): ...'),
    (docstrings, "facefx.x", '"""X."""\nclass A:\n    """A."""\n    def b(self): ...', '"""X."""'),
    (docstrings, "facefx.x", '"""' + "x\n" * 25 + '"""', '"""' + "x\n" * 24 + '"""'),
]


@pytest.mark.parametrize(("rule", "name", "bad", "good"), PROOFS, ids=lambda v: getattr(v, "__name__", None))
def test_each_rule_can_fail(rule: Rule, name: str, bad: str, good: str) -> None:
    assert list(rule(Module(name, bad)))
    assert not list(rule(Module(name, good)))


@pytest.mark.parametrize("rule", PACKAGE_RULES.values(), ids=PACKAGE_RULES)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert [f"{module.name}:{broken}" for module in modules("facefx") for broken in rule(module)] == []


@pytest.mark.parametrize("rule", SIZE_RULES.values(), ids=SIZE_RULES)
def test_no_file_or_function_outgrows_its_reader(rule: Rule) -> None:
    whole = modules("facefx", "tests", "benchmarks", "jobs", "deployments")
    assert [f"{module.name}:{broken}" for module in whole for broken in rule(module)] == []


# Put together from pieces, so that this file does not find itself.
LEFTOVERS = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
FOLDERS = "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers"))
MACHINE_PATH = re.compile(rf"(?<![\w.\-$}}])/(?:{FOLDERS})/\w")
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".sh", ""}


def leftovers(text: str) -> list[str]:
    return LEFTOVERS.findall(text) + MACHINE_PATH.findall(text)


def test_no_file_holds_unfinished_work_or_a_path_of_one_machine() -> None:
    assert leftovers("# TO" + "DO later") == ["TO" + "DO"]
    assert leftovers("open('/ho" + "me/me/x')") == ["/ho" + "me/m"]
    assert leftovers("a/ro" + "ot/b and https://x.org/wo" + "rk/y") == []
    found = {
        str(path.relative_to(ROOT)): hits
        for path in files()
        if path.suffix in TEXT and (hits := leftovers(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


def drawn_tree(text: str) -> dict[str, tuple[str | None, int]]:
    """Read the tree drawn in a docstring: name → (parent, exit code)."""
    tree: dict[str, tuple[str | None, int]] = {}
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"([\s│├└─]*)(\w+Error)\s+(\d+)\s", line)
        if not match:
            continue
        depth = len(match[1])
        path = [(at, name) for at, name in path if at < depth]
        tree[match[2]] = (path[-1][1] if path else None, int(match[3]))
        path.append((depth, match[2]))
    return tree


def coded_tree(root: type[facefx.errors.FacefxError]) -> dict[str, tuple[str | None, int]]:
    """The tree as the classes of errors.py make it."""
    tree: dict[str, tuple[str | None, int]] = {root.__name__: (None, int(root.exit_code))}
    queue = [root]
    while queue:
        parent = queue.pop()
        for child in parent.__subclasses__():
            if child.__module__ == root.__module__:
                tree[child.__name__] = (parent.__name__, int(child.exit_code))
                queue.append(child)
    return tree


def test_the_drawn_error_tree_is_the_real_one() -> None:
    drawn = drawn_tree(facefx.errors.__doc__ or "")
    assert drawn == coded_tree(facefx.errors.FacefxError)
    assert drawn["DamagedError"] == ("SourceError", 3)
    moved = (facefx.errors.__doc__ or "").replace("├── SinkError", "│   ├── SinkError")
    assert drawn_tree(moved) != drawn


def loaded(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement, in a fresh interpreter."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_import_facefx_loads_nothing_heavy() -> None:
    assert not loaded("import facefx") & HEAVY
    assert "cv2" in loaded("import facefx, cv2")


def test_the_values_load_nothing_heavy() -> None:
    assert not loaded("import facefx.values, facefx.geometry, facefx.errors") & HEAVY


def test_the_command_line_starts_without_ray() -> None:
    assert not loaded("import facefx.cli") & HEAVY
