"""Where a device's time goes, and how much of the time it does nothing: from torch's profiler."""

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, SMALL, configured, made_clips, made_trainer
from benchmarks.gpu.timing import profiled_epoch, training_rate

STEPS = 50


def kernels(context: Context) -> None:
    """Profile an epoch of 50 steps of the default and of the small net."""
    from beatsight_core.training.machine.cuda import training_context

    steps = 2 if context.tiny else STEPS
    with training_context(context.torch_device()):
        for model in (DEFAULT, SMALL):
            config = configured(context, model)
            clips = made_clips(context, steps * config.batch * config.accumulation)
            trainer = made_trainer(context, config, clips)
            rate = training_rate(trainer)
            profile = profiled_epoch(context, trainer)
            context.say(
                "idle", model=model, batch=config.batch, steps=profile.steps, idle_share=profile.idle_share,
                idle_share_unprofiled=profile.idle_share_at(rate.ms_a_step),
                busy_ms=None if profile.busy_s is None else round(1e3 * profile.busy_s / profile.steps, 3),
                ms_a_step=round(rate.ms_a_step, 3), profiled_ms=round(1e3 * profile.wall_s / profile.steps, 3),
                launches=round(profile.launches, 1),
            )  # fmt: skip
            context.say("kernels", model=model, top=profile.top)
            if profile.busy_s is None:
                context.leave_out(f"idle share, {model}", "the profiler saw no kernel of a device")
