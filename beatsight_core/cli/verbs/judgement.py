"""The verb judge: a candidate held against the criteria once more, on purpose."""

from typing import TYPE_CHECKING, Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb

if TYPE_CHECKING:
    from beatsight_core.promotion.results import ShownPromotion


@click.option("--probe", is_flag=True, help="As a warm-up probe, by the gates that a long run asks for.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.argument("run")
@verb
def judge(session: Session, run: str, probe: bool, device: str) -> int:
    """Judge RUN by the promotion criteria and write its gate record, over one that is there; exit 1 if it fails.

    `promote` judges a run that has no record. One whose record is altered or stale it refuses: see why, then use this.
    """
    from beatsight_core.compute.hold import device_for
    from beatsight_core.promotion.judge import judge as hold_against
    from beatsight_core.promotion.probe_record import judge_probe
    from beatsight_core.promotion.results import ShownPromotion

    with device_for(device, {"verb": "judge", "run": run}, small=True) as held:
        if probe:
            record = judge_probe(session.settings, run, device=held, progress=session.progress)
            session.show(record, show_probe)
            return 0 if record["passed"] else 1
        judgement = hold_against(session.settings, run, device=held, progress=session.progress)
    session.show_as(ShownPromotion, judgement.to_json(), _show)
    return 0 if judgement.passed else 1


def _show(result: "ShownPromotion") -> None:
    verdict = f"fails {', '.join(result.failed)}" if result.failed else "meets every criterion"
    text.headline(f"{result.run_id} {verdict}")
    text.gates(result.criteria, "Promotion criteria")
    text.figures({"notice": result.notice, "record": result.record})


def show_probe(record: dict[str, Any]) -> None:
    """Print a probe's gate record."""
    verdict = "a long run may follow" if record["passed"] else "not healthy"
    text.headline(f"Probe {record['run_id']}: {verdict}")
    text.gates(record["gates"], "Gates of the probe")
    rare = ", ".join(record["too_rare"])
    text.figures({"too rare to be judged": rare, **{name: record.get(name) for name in ("notice", "compared_with")}})
