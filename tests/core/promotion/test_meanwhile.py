"""Two commands at once: who waits says so, and does nothing that was asked for of another champion."""

import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from beatsight_core.errors import ModelError
from beatsight_core.files import exclusive_lock
from beatsight_core.promotion.promote import rollback
from beatsight_core.promotion.version.pointer import LOCK, move_pointer, read_pointer
from beatsight_core.runs.lookup import champion_version


@contextlib.contextmanager
def heard(sentence):
    """An event that is set when the log says a sentence."""
    event = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: event.set() if sentence in record.getMessage() else None
    logger = logging.getLogger("beatsight")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield event
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def while_another_changes_the_champion(settings, *words):
    """Ask for a rollback from version 2 that has to wait until another command made version 1 the champion."""
    with ThreadPoolExecutor(1) as other, heard("waiting for the folder of models") as waits:
        with exclusive_lock(settings.models_dir / LOCK):
            asked = other.submit(rollback, settings, *words)
            assert waits.wait(60)
            now = read_pointer(settings)
            entry = {name: value for name, value in now.history[0].items() if name != "version"}
            move_pointer(settings, now.succeeded_by(1, {**entry, "action": "promote"}))
        return asked.result(60)


def test_a_rollback_that_waited_does_not_take_back_what_it_was_not_asked_about(released):
    settings = released.settings
    with pytest.raises(ModelError, match="version 1 was promoted") as caught:
        while_another_changes_the_champion(settings)
    assert "when it was version 2" in str(caught.value)
    assert "beatsight rollback VERSION" in caught.value.do
    assert champion_version(settings) == 1
    assert len(read_pointer(settings).history) == 3


def test_a_rollback_to_a_version_by_its_number_is_what_was_meant_anyway(released):
    assert while_another_changes_the_champion(released.settings, "2").version == 2
    assert [entry["version"] for entry in read_pointer(released.settings).history] == [1, 2, 1, 2]
