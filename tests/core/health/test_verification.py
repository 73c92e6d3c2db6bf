"""`verify` gives a verdict: refused lines, source sets without a root, source sets without a clip."""

import json

import pytest
from click.testing import CliRunner

from beatsight_core.cli.verbs.data import health, verify
from beatsight_core.cli.verbs.manifest import manifest as manifest_verbs
from beatsight_core.dataset.verify_export import verify_manifest
from beatsight_core.health.verification import judge_verification
from beatsight_core.manifest.refused import RefusedLines, first_refused
from beatsight_core.settings import GateSettings


def judged(settings, manifest, **options):
    return judge_verification(verify_manifest(settings, manifest, **options), settings.gates)


def failed(settings, manifest, **options):
    return {gate.name: gate.message for gate in judged(settings, manifest, **options).gates if not gate.passed}


def half_refused(drums):
    rows = drums.take("a")
    return [row if number % 2 else {**row, "onset_time": "0,5"} for number, row in enumerate(rows)]


def test_a_manifest_with_all_its_audio_passes(small_settings, corpus, drums):
    found = judged(small_settings, corpus(drums.take("a")))
    assert found.passed
    assert found.to_json()["passed"] is True
    assert [gate["name"] for gate in found.to_json()["gates"]] == [
        "lines refused", "source sets without a mounted root", "source sets with a clip"
    ]  # fmt: skip


def test_half_of_the_lines_refused_fails_with_the_first_of_each_reason(small_settings, corpus, drums):
    rows = [*half_refused(drums), {**drums.event("b", 1, 0.5, "gong"), "audio_path": "a.wav"}, "{"]
    (message,) = failed(small_settings, corpus(rows)).values()
    assert "8 of 14 lines were refused" in message
    assert 'wrong_type 6 (first in line 1: onset_time must be a number, not "0,5")' in message
    assert 'unknown_component 1 (first in line 13: components: the core taxonomy lacks label "gong")' in message
    assert "bad_json 1 (first in line 14" in message
    assert "gates.max_reject_rate" in message


def test_a_source_set_without_a_root_fails(small_settings, corpus, drums):
    manifest = corpus(drums.take("a"), without=("a.wav",))
    said = failed(small_settings, manifest)
    assert list(said) == ["source sets without a mounted root"]
    assert "source sets with a clip" not in {gate.name for gate in judged(small_settings, manifest).gates}
    assert (
        f"takes (looked for in {small_settings.data_root / 'raw' / 'takes'}"
        in said["source sets without a mounted root"]
    )
    assert "sources.takes.roots" in said["source sets without a mounted root"]


def test_a_source_set_of_which_everything_is_missing_fails(small_settings, corpus, drums):
    other = [{**row, "source_set": "other", "event_id": f"o{row['event_id']}"} for row in drums.take("b")]
    manifest = corpus([*drums.take("a"), *other], without=("b.wav",))
    (small_settings.data_root / "raw" / "other").mkdir(parents=True)
    said = failed(small_settings, manifest)
    assert list(said) == ["source sets with a clip"]
    assert (
        "Not one clip could be made of other (b.wav: missing, not found in any root)" in said["source sets with a clip"]
    )


def test_a_few_missing_files_do_not_fail_it(small_settings, corpus, drums):
    assert failed(small_settings, corpus([*drums.take("a"), *drums.take("b")], without=("b.wav",))) == {}


@pytest.fixture
def call(small_settings):
    def run(verb, *arguments):
        done = CliRunner().invoke(verb, [*map(str, arguments), "--data-root", str(small_settings.data_root)])
        return done.exit_code, done.stdout

    return run


def test_every_verb_asks_the_same_question(small_settings, corpus, drums, call):
    manifest = corpus(half_refused(drums))
    messages = set()
    for verb, *arguments in ((verify, manifest), (manifest_verbs, "check", manifest), (health, manifest)):
        code, out = call(verb, *arguments, "--json")
        assert code == 1
        found = json.loads(out)
        assert found["passed"] is False
        (gate,) = [gate for gate in found["gates"] if gate["name"] == "lines refused"]
        assert (gate["value"], gate["limit"], gate["passed"]) == (0.5, 0.001, False)
        messages.add(gate["message"].replace("`beatsight manifest check` keeps a list of all", "each stands in …"))
    assert len({message.split("each stands in")[0] for message in messages}) == 1
    catalogs = list(small_settings.catalog_dir.glob("small-*/rejected.jsonl"))
    assert any(str(catalogs[0]) in message for message in messages)
    assert call(verify, manifest)[0] == 1
    assert "FAIL" in call(manifest_verbs, "check", manifest)[1]


def test_the_limit_is_a_setting(small_settings, corpus, drums, data_root, call):
    manifest = corpus(half_refused(drums))
    file = data_root / "beatsight.toml"
    file.write_text(file.read_text().replace("[gates]\n", "[gates]\nmax_reject_rate = 0.5\n"))
    assert [call(*verb)[0] for verb in ((verify, manifest), (manifest_verbs, "check", manifest))] == [0, 0]


def test_settings_that_name_the_missing_mean_the_refused_too(small_settings, corpus, drums, data_root, call):
    manifest = corpus(half_refused(drums))
    file = data_root / "beatsight.toml"
    for more, code in (("max_missing_rate = 0.5", 0), ("max_missing_rate = 0.5\nmax_reject_rate = 0.4", 1)):
        file.write_text(f"[gates]\n{more}\n")
        assert call(verify, manifest)[0] == code


def test_the_demo_lets_more_through():
    assert GateSettings().max_reject_rate is None
    refused = RefusedLines(read=100, rejected=2, by_reason={"bad_json": 2}, first={}, path=None)
    from beatsight_core.gates.corpus_limits import PROFILES
    from beatsight_core.health.reject_gate import reject_gate

    assert [reject_gate(refused, PROFILES[name].max_reject_rate).passed for name in ("production", "demo")] == [
        False,
        True,
    ]


def test_the_first_of_a_reason_is_found_however_late_it_comes(tmp_path):
    path = tmp_path / "rejected.jsonl"
    rows = [
        {"line": n, "offset": 0, "reason": "bad_json", "message": 'x "reason":"bad_path" ' * 9} for n in range(9000)
    ]
    rows.append({"line": 9000, "offset": 0, "reason": "bad_path", "message": "é"})
    path.write_bytes(b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows))
    found = first_refused(path, ["bad_path", "bad_json", "bad_onset"])
    assert found == {"bad_json": {"line": 0, "message": rows[0]["message"]}, "bad_path": {"line": 9000, "message": "é"}}
    assert first_refused(tmp_path / "gone", ["bad_json"]) == {}
