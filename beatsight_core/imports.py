"""What the platform's own processes do without."""

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas(importlib.abc.MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out of this process", name=fullname)
        return None


def leave_pandas_out() -> None:
    """Spare this process the import of pandas, which takes a third of a second where it is installed.

    pyarrow tries it when it is given a list or an array, in case that is pandas', and does without if there is none.
    To be called by processes that belong to the platform, never by a library on behalf of its caller.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas())
