"""Devices: a GPU, or one of the MIG instances that a GPU is split into."""

from dataclasses import dataclass

MIG_PREFIX = "MIG-"
UUID_PREFIXES = ("GPU-", MIG_PREFIX)
"""How the UUID of a device begins. CUDA tells it from a number by that."""


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator that can be leased.

    Attributes:
        index: Number in the order of the bus among the GPUs that this process may open, which is how CUDA counts
            with `CUDA_DEVICE_ORDER=PCI_BUS_ID`. A device without a number, such as a MIG instance, has its UUID here.
        name: Name of the model.
        memory_total: Bytes of memory; 0 where unknown.
        memory_used: Bytes in use by anybody; 0 where unknown.
        driver: Driver version; "" where unknown.
        uuid: Name that is the same under any numbering, "GPU-…" or "MIG-…"; "" where unknown.
    """

    index: str
    name: str
    memory_total: int
    memory_used: int
    driver: str
    uuid: str = ""

    @property
    def used_share(self) -> float:
        """The share of the memory in use, 0 to 1; 0 where unknown."""
        return self.memory_used / self.memory_total if self.memory_total else 0.0

    @property
    def is_mig(self) -> bool:
        """Return whether this is a MIG instance: a process can use only one of those at a time."""
        return self.uuid.startswith(MIG_PREFIX)

    def to_json(self) -> dict[str, str | int]:
        """Return all attributes, JSON-safe."""
        return {name: getattr(self, name) for name in Device.__slots__}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of the machine. Its place in the list of all GPUs is its number.

    Attributes:
        name: Name of the model.
        uuid: UUID of the GPU; "" where unknown.
        devices: Devices that can be leased of it: the GPU itself, or its MIG instances.
    """

    name: str
    uuid: str
    devices: tuple[Device, ...]


def whole(device: Device) -> Gpu:
    """The GPU that is one device."""
    return Gpu(device.name, device.uuid, (device,))
