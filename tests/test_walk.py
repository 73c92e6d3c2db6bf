"""The walk through the judgement, on a synthetic corpus and in one process; and without recordings."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from benchmarks import walk

DOCUMENT = Path(__file__).parents[1] / "docs" / "judgement.md"


def plain(command: str) -> list[str]:
    """A command without the values that a walk chooses itself: manifest, epochs, seed, device, reasons."""
    words = [word.replace("real_kits", "demo") for word in shlex.split(command)]
    options = {"--set", "--device", "--why", "--force"}
    return [word for before, word in zip(["", *words], words, strict=False) if before not in options]


def typed(lines: Sequence[str]) -> list[list[str]]:
    return [[word for word in plain(line) if word not in ("--set", "--device")] for line in lines]


class InOneProcess(walk.Walk):
    """Verbs here instead of in processes of their own: torch is then imported once."""

    def run(self, words: Sequence[str]) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WANDB_MODE", "disabled")
            done = CliRunner().invoke(beatsight, [*words, "--data-root", str(self.root)])
        return done.exit_code, done.output


@pytest.mark.long
def test_the_walk_ends_and_says_where_its_reports_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus"
    made = CliRunner().invoke(beatsight, ["demo", str(corpus), "--size", "tiny", "--corpus-only"])
    assert made.exit_code == 0, made.output
    words = ["--recordings", str(corpus), "--to", str(tmp_path / "walk"), "--epochs", "1"]
    code = walk.main(words, InOneProcess)
    said = capsys.readouterr()
    assert code == 0, said.err
    pages = [Path(line.strip()) for line in said.out.partition("To open:")[2].splitlines() if line.startswith("  /")]
    kinds = ["health", "metrics", "versions", "archive"]
    assert [kind for kind in kinds if any(kind in page.parts and page.exists() for page in pages)] == kinds
    assert "exit 1  beatsight promote latest\n" in said.out
    kept = sorted((tmp_path / "walk/said").iterdir())
    assert len(kept) == said.out.count("  beatsight ")
    document = "".join(re.findall(r"```bash\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))
    wanted = typed(re.findall(r"^beatsight .*?(?=\s+#|$)", document, re.MULTILINE))
    taken = iter(typed([line[line.index("beatsight ") :] for line in said.out.splitlines() if " exit " in line]))
    assert len(wanted) > 20
    for command in wanted:  # each step of the document is one of the walk, in the same order
        assert command in taken, f"the walk lacks {command}, or has it elsewhere"
    models = next(path for path in kept if "models" in path.name).read_text()
    assert "version 2  " in models
    assert f"PROMOTED BY FORCE: {walk.REASON}" in models
    assert "the champion again (was 2)" in next(path for path in kept if "rollback" in path.name).read_text()


def test_without_recordings_nothing_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert walk.main(["--recordings", str(tmp_path / "none"), "--to", str(tmp_path / "walk")]) == 0
    assert "there are no recordings in" in capsys.readouterr().out
    assert not (tmp_path / "walk").exists()
