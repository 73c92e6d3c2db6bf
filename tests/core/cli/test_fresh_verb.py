"""`beatsight train --fresh`: what it says and does about a run that a model came of."""

import shlex

from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.files import read_json, sha256_file, write_json
from beatsight_core.runs.records import how_to_finish, open_run
from beatsight_core.training.afresh import ASIDE


def test_the_run_of_a_model_is_taken_only_for_a_reason_in_words(trained):
    settings, run_id = trained
    run = open_run(settings, run_id)
    about = {"run_id": run_id, "digests": {"checkpoint": sha256_file(run.checkpoint)}}
    write_json(settings.models_dir / "versions" / "1" / "version.json", about)
    words = shlex.split(how_to_finish(run))[3:]  # the command that finds it
    asked = [*words, "--device", "cpu", "--data-root", str(settings.data_root), "--fresh", "--max-seconds", "0.001"]
    refused = CliRunner().invoke(beatsight, asked)
    assert refused.exit_code == 1, refused.output
    assert "version 1 came of it" in refused.stderr
    assert open_run(settings, run_id).status == "finished"
    CliRunner().invoke(beatsight, [*asked, "--override-version", "its labels were mended"])
    kept = open_run(settings, f"{run_id}-earlier-1")
    assert (kept.status, read_json(kept.folder / ASIDE)["why"]) == ("finished", "its labels were mended")
