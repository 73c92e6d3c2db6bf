"""The project's own tests that need a CUDA device, run by pytest in this process."""

import importlib
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.pinned import PROJECT

NEEDED = ("hypothesis", "orjson", "polars", "soundfile", "soxr")
"""Packages that all tests import."""

REASON = "needs a CUDA device"
"""What such a test gives as its reason to be skipped elsewhere."""


def cuda_tests(context: Context) -> None:
    """Run every test that is skipped for want of a CUDA device, and no others."""
    import pytest

    for name in NEEDED:  # pytest itself would only say that it cannot begin
        importlib.import_module(name)
    files = [str(path) for path in sorted((PROJECT / "tests").rglob("test_*.py")) if _needs_cuda(path)]
    results = _Results()
    options = ["-p", "no:cacheprovider", "-o", "addopts=", "--import-mode=importlib", "-W", "default", "-q"]
    code = int(pytest.main([*options, "--rootdir", str(PROJECT), *files], plugins=[results]))
    context.say("tests", files=len(files), **results.counts, exit_code=code)
    for name, why in results.failed.items():
        context.say("failed test", test=name, why=why)
    ran, skipped = results.counts["passed"] + results.counts["failed"], results.counts["skipped"]
    context.check("failed tests", not results.failed and code == 0, value=len(results.failed), limit=0)
    if context.on_cuda:
        context.check("skipped tests", skipped == 0 and ran > 0, value=skipped, limit=0)
    else:
        context.check("tests that wait for a CUDA device", skipped > 0, value=skipped, limit="more than 0")


def _needs_cuda(path: Path) -> bool:
    return path.name != "test_gpu_script.py" and REASON in path.read_text(encoding="utf-8")


class _Results:
    """Chooses the tests, and hears how each ended."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failed: dict[str, str] = {}

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Keep the tests that need a CUDA device."""
        needing = [item for item in items if self._needs_cuda(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in needing])
        items[:] = needing

    def _needs_cuda(self, item: Any) -> bool:
        return any(REASON in str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skipif"))

    def pytest_collectreport(self, report: Any) -> None:
        """Hear of a file that cannot be imported."""
        if report.failed:
            self._note(report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Hear of a test, or of what is set up for it."""
        if report.failed:
            self._note(report)
        elif report.skipped or report.when == "call":
            self.counts["skipped" if report.skipped else "passed"] += 1

    def _note(self, report: Any) -> None:
        self.counts["failed"] += 1
        self.failed[report.nodeid] = str(report.longrepr)[-800:]
