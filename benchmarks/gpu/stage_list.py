"""The stages of the script: which there are, in which order they run, and how long each may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: Name for `--only` and for the lines of the run.
        work: Function that does it, "module:function".
        cap_s: Seconds after which it is ended.
        least_s: Seconds that must be left for it to begin.
        alone: Whether it needs the machine for itself, because it takes times.
        needs_cuda: Whether it says nothing on a CPU.
    """

    name: str
    work: str
    cap_s: float
    least_s: float = 10.0
    alone: bool = False
    needs_cuda: bool = False


FACTS = Stage("facts", "benchmarks.gpu.stages.facts:facts", 90, 0, alone=True)
"""Always runs: every line of a figure names the torch that it found."""

STAGES = (
    FACTS,
    Stage("smoke", "benchmarks.gpu.stages.smoke:smoke", 60),
    Stage("rates", "benchmarks.gpu.stages.rates:rates", 90, 20, alone=True),
    Stage("kernels", "benchmarks.gpu.stages.kernels:kernels", 50, 15, alone=True),
    Stage("epoch", "benchmarks.gpu.stages.epoch:epoch", 110, 25, alone=True),
    Stage("judging", "benchmarks.gpu.stages.judging:judging", 45, 15, alone=True),
    Stage("resume", "benchmarks.gpu.stages.resume:resume", 90, 25),
    Stage("tests", "benchmarks.gpu.stages.cuda_tests:cuda_tests", 90, 20),
    Stage("shortage", "benchmarks.gpu.stages.shortage:shortage", 45, 15, needs_cuda=True),
    Stage("processes", "benchmarks.gpu.stages.processes:processes", 60, 20),
    Stage("leases", "benchmarks.gpu.stages.leases:leases", 45, 15),
    Stage("features", "benchmarks.gpu.stages.features:features", 45, 15, alone=True),
    Stage("compiled", "benchmarks.gpu.stages.ways:compiled", 110, 45, alone=True, needs_cuda=True),
    Stage("feeds", "benchmarks.gpu.stages.feeds:feeds", 45, 15, alone=True),
    Stage("precision", "benchmarks.gpu.stages.ways:precision", 45, 15, alone=True),
    Stage("graphs", "benchmarks.gpu.stages.ways:graphs", 90, 40, alone=True, needs_cuda=True),
)


def chosen_stages(names: list[str]) -> list[Stage]:
    """Return the stages of these names in their order, the facts always among them.

    Args:
        names: Names of stages; none of them for all.

    Raises:
        ValueError: There is no stage of that name.
    """
    if unknown := [name for name in names if name not in {stage.name for stage in STAGES}]:
        raise ValueError(f"no stage {', '.join(unknown)}; there are {', '.join(stage.name for stage in STAGES)}")
    return [stage for stage in STAGES if not names or stage is FACTS or stage.name in names]
