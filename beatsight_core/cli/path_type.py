"""The type of every argument that is a path: as a person types it, Windows paths under WSL included."""

from pathlib import Path
from typing import Any

import click

from beatsight_core.errors import UsageError


class TypedPath(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """A path of this system from what was typed (`settings.typed_paths`).

    Args:
        written: Flag of a path that the verb writes to, so that its drive must be mounted.
    """

    name = "path"

    def __init__(self, *, written: bool = False):
        self._written = written

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or end with a usage error if it means nothing here."""
        from beatsight_core.settings.typed_paths import typed_path

        if isinstance(value, Path):
            return value
        if not str(value):
            self.fail("a path is empty", param, ctx)
        try:
            return typed_path(str(value), written=self._written)
        except UsageError as error:
            self.fail(str(error), param, ctx)


PATH = TypedPath()
OUTPUT_PATH = TypedPath(written=True)
