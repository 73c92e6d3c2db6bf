"""The division of tests among processes, where several run them (`make test`)."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/core/promotion/",)
"""Folders whose tests go to one process: they share two versions of a model, which take half a minute to make."""


class InGroups(LoadScopeScheduling):
    """Give each process one file at a time, or one of the folders `TOGETHER`, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Producer | None = None):
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)
