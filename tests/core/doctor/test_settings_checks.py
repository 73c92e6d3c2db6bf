"""The doctor reads every setting as its work will, and names what nothing reads."""

import dataclasses
import stat

import pytest

from beatsight_core.doctor.packages import examine_tracking
from beatsight_core.doctor.settings import examine_settings
from beatsight_core.doctor.variables import KNOWN, examine_environment
from beatsight_core.settings import load_settings

CHEAP = "[dataset]\nsample_rate_hz = 8000\n[features]\nf_max_hz = 4000.0\nn_fft = 256\nn_mels = 16\n"


def findings_of(data_root, text):
    (data_root / "beatsight.toml").write_text(text)
    findings = []
    return examine_settings(load_settings(data_root), findings), findings


def test_settings_that_can_be_used_are_fine(data_root):
    shown, findings = findings_of(data_root, CHEAP)
    assert findings == []
    assert set(shown.values()) == {"fine"}
    assert {"training.warmup", "training.baseline", "training.long_run", "gates.promotion"} <= shown.keys()


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("[gates.promotion]\naccuracy = 0.5\n", "gates.promotion", "looser than the profile's"),
        ("[gates.probe]\nrecall = 0.001\n", "gates.probe", "looser"),
        ("[dataset]\nsampling = 'prod_combind'\n", "dataset.sampling", "no sampling profile 'prod_combind'"),
        ("[sources.kits.sampling]\nleast = 3.0\nmost = 1.0\n", "dataset.sampling", "makes no sense"),
        ("[sources.kits.sampling]\nevents = 3.0\n", "dataset.sampling", "does not know events"),
        ("[sources.kits]\nsession_shifts = 'nowhere.csv'\n", "sources", "not there"),
        ("[features]\nn_mels = 900\n", "features", "hold no bin"),
        ("[dataset]\npre_ms = 1.0\ntail_ms = 1.0\n", "features", "too long for clips"),
        ("[release]\nroots = ['/nowhere/at/all']\n", "release.roots", "/nowhere/at/all"),
        ("[training.long_run]\nmodel = 'cnn_par'\n", "training.long_run", "did you mean cnn_pair?"),
        ("[training.baseline]\nepoch = 3\n", "training.baseline", "did you mean training.baseline.epochs?"),
    ],
)
def test_what_hours_of_work_would_end_with_is_found_now(data_root, text, name, said):
    shown, findings = findings_of(data_root, text)
    assert shown[name] == "wrong"
    (finding,) = [finding for finding in findings if said in finding.what]
    assert finding.level == "error"
    assert finding.do


def test_a_table_for_a_source_set_that_no_manifest_has_is_named(trained):
    settings, _ = trained
    file = settings.data_root / "beatsight.toml"
    plain = file.read_text()
    for name, expected in (("tinny", 1), ("tiny", 0), ("other_corpus", 0)):
        file.write_text(f"{plain}\n[sources.{name}]\nlicence = 'x'\n")
        findings = []
        examine_settings(load_settings(settings.data_root), findings)
        assert len([finding for finding in findings if "nothing reads" in finding.what]) == expected, name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BEATSIGHT_DATA_ROT", "BEATSIGHT_DATA_ROOT"),
        ("BEATSIGHT_DATAROOT", "BEATSIGHT_DATA_ROOT"),
        ("BEATSIHGT_RUN_ROOT", "BEATSIGHT_RUN_ROOT"),
        ("BEATSIGHT_HEALTH", "BEATSIGHT_HEALTH_DIR"),
        ("BEATSIGHT_anything", "BEATSIGHT_"),
        ("WANDB_RUNGROUP", "WANDB_RUN_GROUP"),
        ("WANDB_MODES", "WANDB_MODE"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_is_meant(monkeypatch, name, meant):
    monkeypatch.setenv(name, "x")
    findings = []
    examine_environment(findings)
    (finding,) = [finding for finding in findings if name in finding.what]
    assert finding.level == "warning"
    assert f"Set {meant}" in finding.do


def test_variables_that_are_read_and_those_of_others_are_none(monkeypatch):
    for name in (*KNOWN, "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_RUN_ID", "HOME", "BEAT", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "/tmp")
    findings = []
    shown = examine_environment(findings)
    assert findings == []
    assert shown["BEATSIGHT_DATA_ROOT"] == "/tmp"


@pytest.mark.parametrize("state", ["gone", "a file"])
def test_a_folder_for_temporary_files_that_is_not_used_is_named(monkeypatch, tmp_path, state):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "x"))
    monkeypatch.setattr("tempfile.tempdir", None)
    if state == "a file":
        (tmp_path / "x").write_text("")
    findings = []
    examine_environment(findings)
    assert [str(tmp_path / "x") in finding.what for finding in findings] == [True]


@pytest.mark.parametrize(
    ("login", "knows"),
    [
        ("nothing", False),
        ("key", True),
        ("netrc", True),
        ("netrc of another server", False),
        ("own server", True),
        ("own server, not known", False),
        ("broken netrc", False),
        ("unreadable netrc", False),
    ],
)
def test_online_tracking_needs_somebody_who_is_logged_in(data_root, tmp_path, monkeypatch, login, knows):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    file = tmp_path / ".netrc"
    host = "wandb.example.org" if "server" in login else "api.wandb.ai"
    if login == "key":
        monkeypatch.setenv("WANDB_API_KEY", "x")
    elif login == "broken netrc":
        file.write_text("machine\n")
    elif login == "unreadable netrc":
        file.mkdir()
    elif login != "nothing":
        file.write_text(f"machine {host} login user password x\n")
    if login.startswith("own server"):
        monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org:8080" if knows else "https://other.example.org")
    if file.is_file():
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    settings = load_settings(data_root)
    for mode, expected in (("online", not knows), ("offline", False), ("disabled", False)):
        tracked = dataclasses.replace(settings, tracking=dataclasses.replace(settings.tracking, mode=mode))
        findings = []
        examine_tracking(tracked, findings)
        assert bool(findings) == expected, mode
