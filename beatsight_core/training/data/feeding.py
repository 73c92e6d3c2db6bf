"""The batches of an epoch, one after the other, each ready before it is asked for.

Clips on the device are indexed there. Others are read by a thread while the net computes; for a CUDA device they go
through pinned buffers and are copied on a stream of their own, so that neither host nor device waits for them. Which
way it is shows in no result.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from beatsight_core.training.data.batches import ClipStore, HostClips

AHEAD = 2
"""Batches that are read, or on their way, while one is computed on."""

Pair = tuple[torch.Tensor, torch.Tensor]


class Feed:
    """An iterator over batches, as `ClipStore.batch` gives them. A context manager: nothing is read after its block.

    Args:
        clips: Clips that the batches are of.
        parts: Rows of each batch, where `ClipStore.prepare_rows` puts them.

    Attributes:
        waited_s: Seconds that the caller has stood still for data.
    """

    def __init__(self, clips: ClipStore, parts: Iterable[torch.Tensor]):
        self.waited_s = 0.0
        self._reader = _ReadAhead(clips, iter(parts)) if isinstance(clips, HostClips) else None
        self._batches: Iterator[Pair] = self._reader or map(clips.batch, parts)

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def __iter__(self) -> "Feed":
        return self

    def __next__(self) -> Pair:
        began = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self.waited_s += time.perf_counter() - began


class _ReadAhead:
    """Batches that a thread reads ahead."""

    def __init__(self, clips: HostClips, parts: Iterator[torch.Tensor]):
        self._clips, self._parts = clips, parts
        self._thread = ThreadPoolExecutor(1, "clips")
        carrier = _Carrier(clips.device) if clips.device.type == "cuda" else None
        self._send: Callable[[Pair], _Sent] = carrier.send if carrier else _Sent
        self._coming: deque[Future[_Sent]] = deque()
        for _ in range(AHEAD):
            self._order_next()

    def __iter__(self) -> "_ReadAhead":
        return self

    def __next__(self) -> Pair:
        if not self._coming:
            raise StopIteration
        sent = self._coming.popleft().result()
        self._order_next()
        return self._clips.decode(*sent.receive())

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _order_next(self) -> None:
        rows = next(self._parts, None)
        if rows is not None:
            self._coming.append(self._thread.submit(self._fetch, rows))

    def _fetch(self, rows: torch.Tensor) -> "_Sent":
        return self._send(self._clips.fetch(rows))


class _Sent:
    """A batch as stored, on its way to the device or there; `event` marks its arrival."""

    def __init__(self, pair: Pair, event: torch.cuda.Event | None = None):
        self._pair, self._event = pair, event

    def receive(self) -> Pair:
        """Return the batch; what the present stream does next waits on the device for its arrival."""
        if self._event is not None:
            stream = torch.cuda.current_stream(self._pair[0].device)
            stream.wait_event(self._event)
            for tensor in self._pair:
                tensor.record_stream(stream)
        return self._pair


class _Carrier:
    """Copies to a CUDA device on a stream of its own, out of pinned buffers that are used in turn."""

    def __init__(self, device: torch.device):
        self._device, self._stream = device, torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # One more than may be under way: the caller may still have to wait for the event of the one it holds.
        self._slots: deque[tuple[dict[int, torch.Tensor], torch.cuda.Event]] = deque(
            ({}, torch.cuda.Event())  # type: ignore[no-untyped-call]
            for _ in range(AHEAD + 1)
        )

    def send(self, pair: Pair) -> _Sent:
        """Begin to copy a batch; called in the reading thread."""
        buffers, event = self._slots[0]
        self._slots.rotate(-1)
        event.synchronize()  # the copy that last left these buffers
        pinned = [_staged(buffers, number, tensor) for number, tensor in enumerate(pair)]
        with torch.cuda.stream(self._stream):
            stored, targets = (tensor.to(self._device, non_blocking=True) for tensor in pinned)
            event.record(self._stream)
        return _Sent((stored, targets), event)


def _staged(buffers: dict[int, torch.Tensor], number: int, tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of the tensor in a pinned buffer, which grows to the largest that it ever held."""
    if number not in buffers or len(buffers[number]) < len(tensor):
        buffers[number] = torch.empty_like(tensor, pin_memory=True)
    return buffers[number][: len(tensor)].copy_(tensor)
