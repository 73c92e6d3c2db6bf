"""Watches the steps of worker processes, which are started afresh: this folder is on their search path."""

from tests.faults.steps import install

install()
