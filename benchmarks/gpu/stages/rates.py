"""How fast the nets train, each beside its net alone."""

from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, SMALL, configured, made_clips, made_trainer, spec_of
from benchmarks.gpu.summary import expected
from benchmarks.gpu.timing import GIB, Peak, host_ms, net_alone_rate, spread, training_rate

STEPS, FEW_STEPS = 200, 60
"""Steps of an epoch; those where the host's time is taken."""


def rates(context: Context) -> None:
    """Time the small and the default net, with batches as they are by default and as the preset says."""
    from beatsight_core.training.machine.cuda import training_context

    with training_context(context.torch_device()):
        for enlarged in (True, False):
            for model in (SMALL, DEFAULT):
                _rate(context, model, enlarged)


def _rate(context: Context, model: str, enlarged: bool) -> None:
    config = configured(context, model, enlarged=enlarged)
    steps = 3 if context.tiny else STEPS
    clips = made_clips(context, steps * config.batch * config.accumulation)
    trainer = made_trainer(context, config, clips)
    rate, alone = training_rate(trainer), net_alone_rate(trainer, steps)
    few = made_clips(context, (3 if context.tiny else FEW_STEPS) * config.batch * config.accumulation)
    with Peak(trainer.device) as peak:  # once cuDNN has tried its kernels, some of which take more than they give
        handing_over_ms = host_ms(made_trainer(context, config, few))
    context.say(
        "rate", model=model, enlarged=enlarged, batch=config.batch, accumulation=config.accumulation,
        precision=str(trainer.amp_dtype), **rate.to_json(), net_alone=spread(alone),
        net_alone_each=[round(each) for each in alone], estimate=expected(context, model) if enlarged else None,
        of_net_alone=round(spread(rate.clips_s)["median"] / spread(alone)["median"], 3),
        host_ms=round(handing_over_ms, 3), peak_gib=peak.gib,
    )  # fmt: skip
    if peak.gib is not None:
        _compare_with_plan(context, config, peak.gib)


def _compare_with_plan(context: Context, config: Any, peak_gib: float) -> None:
    """Check that the memory that is kept free for a step is no less than what a step takes."""
    from beatsight_core.training.machine.memory_plan import step_bytes
    from beatsight_core.training.net.build_net import build_model
    from beatsight_core.training.optimiser import amp_dtype
    from benchmarks.reference import CLASSES

    spec = spec_of(context)
    net = build_model(config.model, spec, CLASSES, config.dropout)
    planned = step_bytes(net, spec, config.batch, amp_dtype(config, context.torch_device())) / GIB
    what = f"{config.model}, batches of {config.batch}: a step stays within the memory planned, GiB"
    context.check(what, peak_gib <= planned, value=peak_gib, limit=planned)
