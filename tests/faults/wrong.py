"""Wrong arguments, settings and files, made up at random: what people type, what editors and drives leave."""

import json
import os
import random
import shutil
import tomllib
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from beatsight_core import settings as sections
from beatsight_core.cli.main import _VERBS, beatsight

WORDS = (
    "", " ", ".", "..", "/", "-", "--", "-1", "0", "²", "٣", "1e999", "nan", "9" * 40, "9" * 5000, "1_000", "0x10",
    "~no_such_user/x", "~", "C:", "C:\\x", r"\\server\share", "//server/share", "a\nb", "\x1b[31mred", "\u202e",
    "x" * 5000, "é" * 200, "%s%n", "{0}", "${HOME}", "$(id)", "*", "[", "'", '"', "latest", "champion", "previous",
    "challenger", "v1", "1", "2", "99", "takes.jsonl", "takes", "takes.jsonl.gz", "beatsight.toml", "/dev/null",
    "/dev/zero", "/proc/self/mem", "/etc", "epochs=2", "epochs=x", "=", "seed=99999999999999999999", "lr=1e400",
    "model=cnn_par", "batch=-1", "cuda:9", "cpu", "auto", os.fsdecode(b"caf\xe9"), "\ud800", "a\0b", "yes",
    "takes.jsonl-limit0", "../../x", "None", "{}", "[]", "true",
)  # fmt: skip
"""Values of arguments and options."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**30, 0.0, -0.5, 1.5, 1e308, "", "x", "demo", "production", "online", "/nowhere",
    "~no_such_user", "C:", [], ["x"], [1, [2]], {}, {"x": 1}, [{}], "é" * 50, "2020-01-01", "{weights}", "{nothing}",
)  # fmt: skip
"""Values of settings; what TOML has no word for is left out."""

SLOW = {"dev", "demo", "recast"}
"""Verbs that start services, or make audio for seconds: typed with --help, or with what they refuse."""

KEPT_SHORT = {"train": ["--max-seconds", "0.5"], "classify": ["--device", "cpu"]}
"""What is added so that a verb which finds nothing wrong ends soon."""


def verbs() -> list[tuple[list[str], click.Command]]:
    """Every verb with what comes before its options, and its command."""
    context = click.Context(beatsight)
    found: list[tuple[list[str], click.Command]] = []
    for name in _VERBS:
        command = beatsight.get_command(context, name)
        assert command is not None
        found.append(([name], command))
        found += [([name, sub], inner) for sub, inner in getattr(command, "commands", {}).items()]
    return found


def words(rng: random.Random) -> list[str]:
    """A command line: some verb, some of its options, and values for them, right or wrong."""
    typed, command = rng.choice(verbs())
    line = list(typed)
    if line[0] in SLOW:
        line.append(rng.choice(["--help", "--nonsense", "--port=0", "--seed=x", "--size=x"]))
    for param in command.params:
        if isinstance(param, click.Argument):
            line += [rng.choice(WORDS) for _ in range(rng.choice((0, 1, 1, 1, 1, 2)))]
        elif rng.random() < 0.25 and param.name not in ("data_root", "debug"):
            assert isinstance(param, click.Option)
            line.append(rng.choice(param.opts))
            if not param.is_flag:
                line.append(rng.choice(WORDS))
    if rng.random() < 0.1:
        line.insert(rng.randrange(len(line) + 1), rng.choice(["--nonsense", "--json", "--json", *WORDS]))
    return line + KEPT_SHORT.get(line[0], [])


def _tables() -> dict[str, type[Any]]:
    from beatsight_core.runs.presets import TrainingConfig

    return {
        "sources.kits": sections.SourceSet, "dataset": sections.DatasetSettings, "features": sections.FeatureSettings,
        "gates": sections.GateSettings, "tracking": sections.TrackingSettings, "release": sections.ReleaseSettings,
        "web": sections.WebSettings, "training.warmup": TrainingConfig, "training.long_run": TrainingConfig,
    }  # fmt: skip


def settings(plain: str, rng: random.Random) -> str:
    """A settings file in which a value or two are wrong, or right and far off; or one that is no such file."""
    if rng.random() < 0.1:
        return damaged(plain.encode(), rng).decode("utf-8", "surrogateescape")
    table, kinds = tomllib.loads(plain), _tables()
    for name in rng.sample(sorted(kinds), rng.choice((1, 1, 1, 2))):
        place = table
        for part in name.split("."):
            place = place.setdefault(part, {})
        hints = typing.get_type_hints(kinds[name])
        key = rng.choice(sorted(hints))
        value = rng.choice(VALUES if rng.random() < 0.4 else _of_type(hints[key]))
        place[key if rng.random() < 0.9 else key[:-1] + "x"] = value
    if rng.random() < 0.2:
        file = rng.choice(["x.json", "x.toml", "x.yaml", ".env", "x", "/etc/passwd", "beatsight.toml", "models"])
        target = {"file": file, "key": rng.choice(["a", "a.b", ".", "dataset.encoding", "2"])}
        table.setdefault("release", {})["configs"] = [target]
    return "".join(f"{json.dumps(name)} = {_toml(value)}\n" for name, value in table.items())


def _of_type(hint: Any) -> tuple[Any, ...]:
    """Values of a type, most of them odd."""
    if hint is bool:
        return True, False
    if hint is int:
        return 0, 1, 2, 3, -1, 8000, 10**6, 2**31, 2**63
    if hint is float:
        return 0.0, 0.5, 1.0, -1.0, 1e-300, 1e300, 20.0, 8000.0
    if typing.get_origin(hint) is typing.Literal:
        return *typing.get_args(hint), "", "x"
    if hint is str:
        return "", "x", "wav", "flac", "uint8", "float16", "demo", "cosine", "plateau", "map", "off", "cnn_small"
    return tuple(value for value in VALUES if isinstance(value, list | dict | str))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return "nan" if value is None else json.dumps(value)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes of a file after something happened to it."""
    kind = rng.randrange(7)
    if kind == 0:
        return b""
    if kind == 1:
        return data[: rng.randrange(len(data) + 1)]
    if kind == 2:
        return rng.randbytes(rng.choice((1, 40, 3000)))
    if kind == 3:
        return b"\0" * len(data)
    if kind == 4:
        return b"[" * 50_000
    table = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        if table:
            table[rng.randrange(len(table))] = rng.randrange(256)
    return bytes(table)


def damaged_json(value: Any, rng: random.Random) -> Any:
    """A JSON value in which one thing is gone or is of another kind."""
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    if isinstance(holder, dict) and rng.random() < 0.5:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def damage(file: Path, rng: random.Random) -> str:
    """Let something happen to a file of a data root; says what. Other links to its content are spared."""
    data = file.read_bytes()
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("bytes changed", lambda: file.write_bytes(damaged(data, rng))),
        ("bytes changed", lambda: file.write_bytes(damaged(data, rng))),
        ("a folder in its place", file.mkdir),
        ("gone", lambda: None),
        ("a link to itself", lambda: file.symlink_to(file)),
        ("a pipe in its place", lambda: os.mkfifo(file)),
    ]
    what, do = rng.choice(ways)
    if file.suffix in (".json", ".jsonl") and rng.random() < 0.6:
        lines = data.splitlines() if file.suffix == ".jsonl" else [data]
        number = rng.randrange(len(lines)) if lines else 0
        if lines and lines[number].strip():
            lines[number] = json.dumps(damaged_json(json.loads(lines[number]), rng)).encode()
        what, do = "a value is another", lambda: file.write_bytes(b"\n".join(lines) + b"\n")
    file.unlink()
    do()
    return what


def wrong_file(root: Path, rng: random.Random) -> str:
    """Damage a file of a data root, each kind of file as often as any other; says which and how."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.lstat().st_size < 1 << 24:
            kinds.setdefault(f"{path.relative_to(root).parts[0]} {path.suffix} {path.stem[:4]}", []).append(path)
    file = rng.choice(kinds[rng.choice(sorted(kinds))])
    return f"{file.relative_to(root)}: {damage(file, rng)}"


def linked_copy(root: Path, copy: Path) -> Path:
    """A copy of a data root that shares its files, which every writer of the platform replaces as a whole."""
    shutil.copytree(root, copy, symlinks=True, copy_function=os.link)
    for path in copy.rglob("*"):
        if path.name.startswith(".") and path.is_file() and not path.is_symlink():  # locks and notes are written into
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
    return copy
