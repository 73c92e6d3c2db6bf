"""Which of several processes' errors is told: the one that began it, and not that somebody has gone."""

import pickle
from multiprocessing.connection import Pipe

import pytest

from beatsight_core.errors import TrainingError
from beatsight_core.training.machine.interrupts import StopRequest
from beatsight_core.training.machine.memory import MemoryShortError
from beatsight_core.training.parallel.distributed import _first_cause
from beatsight_core.training.parallel.relay import Ended, LogMessage, TaskAdvanced

GONE = RuntimeError("Connection closed by peer")


class Other:
    """The other process, as far as it has told something."""

    def __init__(self, *messages):
        self.connection, self._its_end = Pipe()
        for message in messages:
            self._its_end.send_bytes(pickle.dumps(message))

    def receive(self):
        return pickle.loads(self.connection.recv_bytes())


class Killed(Other):
    def receive(self):
        raise TrainingError("Process 1 of the run ended by SIGKILL")


def test_what_another_process_told_already_comes_first():
    short = Other(TaskAdvanced("train", "advance", 16), Ended(None, MemoryShortError("Device 1 has too little memory")))
    assert isinstance(_first_cause(GONE, [Other(), short], StopRequest()), MemoryShortError)


def test_a_killed_one_comes_first_and_after_a_signal_it_is_a_stop():
    killed, stop = Killed(LogMessage(None)), StopRequest()
    with pytest.raises(TrainingError, match="ended by SIGKILL"):
        _first_cause(GONE, [killed], stop)
    stop.receive(15, None)
    with pytest.raises(KeyboardInterrupt):
        _first_cause(GONE, [killed], stop)


def test_an_error_of_our_own_and_one_that_nobody_explains_stay():
    own = TrainingError("It diverged")
    assert _first_cause(own, [Killed(LogMessage(None))], StopRequest()) is own
    assert _first_cause(GONE, [Other(), Other(Ended(None, RuntimeError("me too")))], StopRequest()) is GONE
