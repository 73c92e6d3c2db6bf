"""How batches reach the device: clips that lie there, in the machine's memory, or in a mapped file."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, configured, made_arrays, made_trainer, resident, spec_of
from benchmarks.gpu.timing import training_rate

CLIPS = 76_800


def feeds(context: Context) -> None:
    """Time training with each kind of clips, and check that each gives the same batches, bit for bit."""
    import torch

    from beatsight_core.training.machine.cuda import training_context

    with tempfile.TemporaryDirectory(dir=context.scratch()) as folder, training_context(context.torch_device()):
        arrays = made_arrays(context, 24 if context.tiny else CLIPS, torch.device("cpu"))
        kinds = _kinds(context, arrays, Path(folder))
        config = configured(context, DEFAULT)
        for name, clips in kinds.items():
            rate = training_rate(made_trainer(context, config, clips), 1 if context.tiny else 3)
            context.say("feed", clips=name, model=DEFAULT, batch=config.batch, **rate.to_json())
        for name in ("host", "mapped"):
            wrong = _differing(kinds[name], kinds["resident"], config.batch)
            context.check(f"clips {name}: values that differ from resident ones", wrong == 0, value=wrong, limit=0)


def _kinds(context: Context, arrays: tuple[Any, Any], folder: Path) -> dict[str, Any]:
    """The same clips in each place."""
    import numpy as np

    from beatsight_core.training.data.batches import HostClips, MappedClips

    (stored, targets), device, spec = arrays, context.torch_device(), spec_of(context)
    return {
        "resident": resident(context, stored, targets, device),
        "host": HostClips(stored, targets, spec.floor_db, device),
        "mapped": MappedClips(_Mapped(spec, stored, targets, folder), np.arange(len(stored)), device),
    }


class _Mapped:
    """What mapped clips need of a cache: made-up clips in two memory-mapped files."""

    def __init__(self, spec: Any, stored: Any, targets: Any, folder: Path):
        import numpy as np

        from beatsight_core.features.gather import RowGather

        self.spec, self.targets = spec, targets.numpy()
        whole, half, maps = stored.numpy(), len(stored) // 2, []
        for number, part in enumerate((whole[:half], whole[half:])):
            part.tofile(path := folder / f"part{number}")
            maps.append(np.memmap(path, part.dtype, "r", shape=part.shape))
        self._gather = RowGather(maps, stored.shape[1:], whole.dtype)

    def read(self, rows: Any) -> Any:
        """Copies of the rows."""
        return self._gather.take(rows)


def _differing(clips: Any, resident: Any, size: int) -> int:
    """Values in all batches of an epoch that differ; nothing waits for the device in between, as in training."""
    import torch

    from beatsight_core.training.data.feeding import Feed

    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(1))
    differ = torch.zeros((), dtype=torch.int64, device=clips.device)
    expected = resident.prepare_rows(order).split(size)
    with Feed(clips, clips.prepare_rows(order).split(size)) as batches:
        for (decibels, targets), rows in zip(batches, expected, strict=True):
            right_decibels, right_targets = resident.batch(rows)
            differ += (decibels != right_decibels).sum() + (targets != right_targets).sum()
    return int(differ)
