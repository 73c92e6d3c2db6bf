"""`pytest --quick`: only tests that neither load torch nor start a process, and none that is marked slow.

There is no list of them. Such a run forbids both, and a test that tries is skipped at that point. So the quick tests
are always those that can be.
"""

import multiprocessing.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import pytest

HEAVY = {
    "torch",
    "torchaudio",
    "dagster",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "wandb",
    "sklearn",
    "datasets",
    "duckdb",
}
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"}
FOLDERS = ("tests/core",)
"""Where quick tests are; the others try whole commands and whole graphs."""


class _NoHeavyImports(MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in HEAVY:
            _not_quick(f"loads {name}")
        return None


def _not_quick(why: str) -> NoReturn:
    pytest.skip(f"{why}: make test runs it", allow_module_level=True)


def _no_process(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STARTS:
        _not_quick("starts a process")


def be_quick(config: pytest.Config) -> None:
    """Forbid, for the rest of this process, what is not quick."""
    config.args = [str(config.rootpath / folder) for folder in FOLDERS]
    config.option.markexpr = "not slow and not long and not ui"
    multiprocessing.util.spawnv_passfds = lambda *_: _not_quick("starts a process")
    sys.meta_path.insert(0, _NoHeavyImports())
    sys.addaudithook(_no_process)
