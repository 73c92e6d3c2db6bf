"""The walls of the house, read from the source: who imports whom, and what stays out of which package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE, DAGSTER = ROOT / "beatsight_core", ROOT / "beatsight_dagster"

ROOMS = (
    "errors", "units", "typed_json", "safe_text", "leftovers", "names", "taxonomy", "settings", "report_addresses",
    "files", "filesystems", "provenance", "progress", "process_groups", "slow_work", "sockets", "workers", "metrics",
    "pages", "gates", "manifest", "audio", "alerts", "dataset", "health", "compute", "features", "runs", "training",
    "evaluation", "inference", "promotion", "storage", "status", "report_index", "synthesis", "demo", "recast",
    "doctor", "cli",
)  # fmt: skip
"""A file imports from its own room and from those before it."""

HEAVY = {
    "torch", "torchaudio", "wandb", "matplotlib", "ray", "onnx", "onnxruntime", "dagster", "numpy", "polars", "pyarrow",
}  # fmt: skip

PRIVATE = {"executor", "checks/evaluations.py", "home_storage.py", "web"}
"""Where beatsight_dagster may touch Dagster's private modules, besides the step worker's own command."""


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(module, line, whether at module level) of every import of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, node.lineno, id(node) in top
        else:
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"relative import in {path}:{node.lineno}"


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room(path: Path) -> str:
    first = path.relative_to(CORE).parts[0]
    return first.removesuffix(".py")


def test_every_room_has_its_place_in_the_order() -> None:
    found = {room(path) for path in sources(CORE)} - {"__init__"}
    assert found <= set(ROOMS), f"rooms without a place in the import order: {sorted(found - set(ROOMS))}"


def test_rooms_import_only_from_rooms_before_them() -> None:
    wrong = []
    for path in sources(CORE):
        if path == CORE / "__init__.py":
            continue
        for module, line, _ in imports(path):
            parts = module.split(".")
            if parts[0] == "beatsight_core" and len(parts) > 1 and ROOMS.index(parts[1]) > ROOMS.index(room(path)):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_core_never_imports_dagster() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(CORE)
        for module, line, _ in imports(path)
        if module.split(".")[0] in ("dagster", "beatsight_dagster")
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_executor_touches_private_modules_of_dagster() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(DAGSTER)
        for module, line, _ in imports(path)
        if module.startswith("dagster._") and not str(path.relative_to(DAGSTER)).startswith(tuple(PRIVATE))
    ]
    assert not wrong, "\n".join(wrong)


def test_dagster_files_keep_their_annotations() -> None:
    wrong = [str(path) for path in sources(DAGSTER) if any(module == "__future__" for module, _, _ in imports(path))]
    assert not wrong, f"postponed annotations break Dagster's inspection: {wrong}"


def test_asset_bodies_are_short() -> None:
    """An asset reads config, calls core, returns: 40 lines at most, its docstring aside."""
    wrong = []
    for path in sources(DAGSTER / "assets"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if length > 40:
                    wrong.append(f"{path.name}: {node.name} has {length} lines")
    assert not wrong, wrong


@pytest.mark.parametrize("module", ["beatsight_dagster.definitions", "beatsight_core.cli.main"])
def test_nothing_heavy_is_loaded_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    loaded = set(answer.stdout.split())
    assert loaded <= ({"dagster"} if module.startswith("beatsight_dagster") else set()), loaded
