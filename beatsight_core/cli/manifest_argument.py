"""The argument MANIFEST of many verbs: a path, the name of a file in the inbox, or a key; a shell completes it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


class _Manifest(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """A text that stands for a manifest; what it means the library finds out."""

    name = "manifest"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names of the inbox and keys that begin as what was typed; files of the folder where none does."""
        names = [name for name in _known(_data_root(ctx)) if name.startswith(incomplete)]
        return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


MANIFEST = _Manifest()


def manifest_argument(name: str = "manifest", *, required: bool = True) -> Callable[[F], F]:
    """Return the decorator of an argument that names a manifest."""
    return click.argument(name, type=MANIFEST, required=required)


def _data_root(ctx: click.Context) -> Path | None:
    roots = (each.params.get("data_root") for each in (ctx, ctx.find_root()))
    return next((root for root in roots if root is not None), None)


def _known(data_root: Path | None) -> list[str]:
    """Names of the inbox and keys; none where settings or drives are in trouble, as a completion must not complain."""
    from beatsight_core.errors import BeatSightError
    from beatsight_core.manifest.identity import inbox_manifests
    from beatsight_core.settings import load_settings
    from beatsight_core.status.status_list import known_keys

    with contextlib.suppress(BeatSightError, OSError):
        settings = load_settings(data_root)
        return sorted({*(path.name for path in inbox_manifests(settings)), *known_keys(settings)})
    return []
