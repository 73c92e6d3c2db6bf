"""The torch that pyproject.toml pins, and how the installed one stands to it."""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def pinned_torch() -> str:
    """Return the release of torch that pyproject.toml asks for."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return next(
        requirement.removeprefix("torch==")
        for requirement in project["optional-dependencies"]["train"]
        if requirement.startswith("torch==")
    )


def compared(installed: str, pinned: str) -> str:
    """Return how an installed version stands to the pinned one, in words.

    Args:
        installed: A version such as "2.11.0+cu130"; what follows the release is not compared.
        pinned: A release such as "2.13.0".
    """
    have, want = _numbers(installed), _numbers(pinned)
    if have == want:
        return f"the pinned {pinned}"
    return f"{'newer' if have > want else 'older'} than the pinned {pinned}"


def _numbers(version: str) -> list[int]:
    release = re.match(r"\d+(?:\.\d+)*", version)
    return [int(part) for part in release[0].split(".")] if release else []
