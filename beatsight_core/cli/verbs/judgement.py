"""The verb judge: a candidate held against the criteria once more, on purpose."""

from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb


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

    with device_for(device, {"verb": "judge", "run": run}, small=True) as held:
        if probe:
            record = judge_probe(session.settings, run, device=held, progress=session.progress)
            session.show(record, show_probe)
            return 0 if record["passed"] else 1
        judgement = hold_against(session.settings, run, device=held, progress=session.progress)
    session.show(judgement.to_json(), _show)
    return 0 if judgement.passed else 1


def _show(result: dict[str, Any]) -> None:
    from beatsight_core.promotion.criteria import setting_of

    verdict = "meets every criterion" if result["passed"] else f"fails {', '.join(result['failed'])}"
    text.headline(f"{result['run_id']} {verdict}")
    text.gates([{**row, "setting": setting_of(row["name"])} for row in result["criteria"]], "Promotion criteria")
    text.figures({name: result.get(name) for name in ("notice", "record")})


def show_probe(record: dict[str, Any]) -> None:
    """A probe's gate record on a terminal."""
    verdict = "a long run may follow" if record["passed"] else "not healthy"
    text.headline(f"Probe {record['run_id']}: {verdict}")
    text.gates(record["gates"], "Gates of the probe")
    rare = ", ".join(record["too_rare"])
    text.figures({"too rare to be judged": rare, **{name: record.get(name) for name in ("notice", "compared_with")}})
