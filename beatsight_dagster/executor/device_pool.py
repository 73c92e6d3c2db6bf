"""The devices of the machine as the steps of a run see them: how many a step gets, its lease, and why it waits."""

import time
from collections.abc import Mapping

from beatsight_core.compute.devices import Device, discover_devices
from beatsight_core.compute.leases import REFRESH_S, Lease, join_queue, try_lease, usable_together
from beatsight_core.compute.tickets import Ticket
from beatsight_core.compute.waiting import explain_wait, how_many


class DevicePool:
    """Devices that steps may lease.

    Args:
        no_device: Behaviour of a step that wants devices on a machine without: "cpu" (run there) or "fail".
        max_memory_share: Share of a device's memory; a device of which others use more is left alone.
    """

    def __init__(self, no_device: str, max_memory_share: float):
        self._no_device, self._max_memory_share = no_device, max_memory_share
        self._devices, self._asked_driver_at = discover_devices(), time.monotonic()

    def count_for(self, wanted: int) -> int:
        """Return how many devices a step waits for: as many as it wants, or none on a machine without, if allowed.

        Args:
            wanted: Number of devices that the step wants.

        Raises:
            ValueError: The machine has too few.
        """
        if wanted > len(self._usable(wanted)):
            self._look_again()
        if wanted > 0 and not self._devices:
            if self._no_device == "fail":
                raise ValueError(f"it wants {wanted} device(s) and this machine has none (no_device is 'fail')")
            return 0
        if wanted > len(self._usable(wanted)):
            raise ValueError(f"it wants {wanted} devices and this machine has {how_many(self._devices)}")
        return max(wanted, 0)

    def join_queue(self, count: int, note: Mapping[str, str | int]) -> Ticket:
        """Take a place in the machine's queue for `count` devices."""
        return join_queue(count, self._devices, note)

    def try_lease(self, count: int, note: Mapping[str, str | int], ticket: Ticket | None) -> Lease | None:
        """Lease `count` devices if it is this ticket's turn and they are free."""
        self._look_again()
        return try_lease(count, self._devices, note, ticket=ticket, max_memory_share=self._max_memory_share)

    def explain_wait(self, count: int, ticket: Ticket | None) -> str:
        """Return one line about what a request for `count` devices waits for."""
        usable = self._usable(count)
        story = explain_wait(usable, ticket, max_memory_share=self._max_memory_share)
        return story if count <= len(usable) else f"the machine has only {len(usable)} now; {story}"

    def _usable(self, count: int) -> list[Device]:
        return usable_together(count, self._devices)

    def _look_again(self) -> None:
        """Ask the driver again after a while: memory in use changes, and a device may vanish or come back."""
        if time.monotonic() - self._asked_driver_at > REFRESH_S:
            self._devices, self._asked_driver_at = discover_devices(), time.monotonic()
