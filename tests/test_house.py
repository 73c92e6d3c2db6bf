"""The lines of the house: small folders, one class and one file of each name, annotations with types, plain docstrings.

Every exception is written down here with its reason.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("beatsight_core", "beatsight_dagster")
MOST_FILES = 20

NAMED_BY_ROOM = (
    "beatsight_dagster/assets",
    "beatsight_dagster/checks",
    "beatsight_core/cli/verbs",
    "beatsight_core/doctor",
)
"""Files there carry the name of the room that they serve, so `dataset.py` is found in each of them."""

SAME_MEANING = {"__init__.py", "__main__.py", "conftest.py", "forget.py", "read_only.py"}
"""Files of one name that do the same thing for their own room."""

MOST_ANY, MOST_ANY_IN_A_ROOM = 0.05, 0.10
"""Shares of annotations that may hold `Any` or `object`."""

NO_NOUN = {
    "above", "also", "as", "asked", "at", "before", "below", "beside", "between", "by", "called", "for", "from",
    "given", "hears", "held", "how", "if", "in", "into", "it", "its", "made", "none", "of", "on", "over",
    "says", "so", "that", "their", "there", "these", "they", "this", "those", "to", "told", "under", "what", "when",
    "where", "whether", "which", "who", "whose", "with",
}  # fmt: skip
"""Words that an entry of Args or Attributes does not begin with."""


@cache
def trees() -> dict[Path, ast.Module]:
    """Every source file of the packages, parsed."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def room(path: Path) -> str:
    return path.parts[1] if path.parts[0] == "beatsight_core" and len(path.parts) > 2 else path.parts[0]


def test_no_folder_holds_more_files_than_can_be_looked_over() -> None:
    count: dict[Path, int] = defaultdict(int)
    for top in (*PACKAGES, "tests", "benchmarks"):
        for path in (ROOT / top).rglob("*.py"):
            count[path.parent.relative_to(ROOT)] += path.name != "__init__.py"
    assert {str(folder): files for folder, files in count.items() if files > MOST_FILES} == {}


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_a_file_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in trees():
        if path.name not in SAME_MEANING and str(path.parent) not in NAMED_BY_ROOM:
            places[path.name].append(str(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def annotations(tree: ast.Module) -> Iterator[ast.expr]:
    """Annotations of arguments, returns and values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield from (each.annotation for each in every if each is not None and each.annotation is not None)
            yield from [node.returns] if node.returns is not None else []
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def holds_any(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id in ("Any", "object") for node in ast.walk(annotation))


def test_annotations_say_what_values_are() -> None:
    every: dict[str, list[bool]] = defaultdict(list)
    for path, tree in trees().items():
        every[room(path)] += [holds_any(annotation) for annotation in annotations(tree)]
    shares = {name: sum(found) / len(found) for name, found in every.items() if found}
    whole = [one for found in every.values() for one in found]
    assert {name: round(share, 3) for name, share in shares.items() if share > MOST_ANY_IN_A_ROOM} == {}
    assert sum(whole) / len(whole) <= MOST_ANY


def entries(docstring: str) -> Iterator[tuple[str, str]]:
    """The entries of Args, Attributes and Raises: name and text."""
    section = None
    for line in docstring.splitlines():
        if heading := re.fullmatch(r"(Args|Attributes|Returns|Raises|Yields):", line):
            section = heading[1]
        elif section in ("Args", "Attributes", "Raises") and (entry := re.match(r"    (\*{0,2}\w+): (.+)", line)):
            yield entry[1], entry[2].removeprefix("There is ") if section == "Raises" else entry[2]


def test_every_argument_attribute_and_error_is_explained_by_a_noun() -> None:
    wrong = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for name, text in entries(ast.get_docstring(node) or ""):
                    first = re.match(r"\W*([\w'-]+)", text)
                    if first and first[1].lower() in NO_NOUN:
                        wrong.append(f"{path}: {node.name}: {name}: {text}")
    assert not wrong, f"{len(wrong)} entries begin without a noun:\n" + "\n".join(wrong[:40])


def test_public_names_use_the_terms_of_the_field() -> None:
    words = re.compile(r"(^|_)(sittings?|grounds|shelf|waivers?|untold|blessed|struck|pieces|ring)(_|$)")
    wrong = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                spelt = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
                if words.search(spelt):
                    wrong.append(f"{path}:{node.lineno} {node.name}")
    assert not wrong, "\n".join(wrong)
