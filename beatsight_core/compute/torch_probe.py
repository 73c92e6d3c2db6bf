"""A program that prints the devices that torch sees, as JSON on one line. `torch_devices` starts it as a process.

It stands alone: it is run by its path, and imports nothing of this package.
"""

import json
from typing import Any


def main() -> None:
    """Ask torch and print what it says."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    print(json.dumps([describe(torch.cuda.get_device_properties(number)) for number in range(count)]))


def describe(properties: Any) -> dict[str, str | int]:
    """Return name, UUID as the driver writes it, and memory of one device, from torch's properties of it."""
    uuid = str(properties.uuid)
    if not uuid.startswith(("GPU-", "MIG-")):
        uuid = ("MIG-" if " MIG " in properties.name else "GPU-") + uuid
    return {"name": properties.name, "uuid": uuid, "memory_total": int(properties.total_memory)}


if __name__ == "__main__":
    main()
