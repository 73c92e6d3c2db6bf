import dataclasses
import subprocess
import sys

import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.features.mel_transform import make_mel_spectrogram

SCRIPT = """
import pathlib, sys, torch
way = sys.argv[1]
if way == "fits":  # as with wheels of one kind: the first import succeeds
    plain = pathlib.Path.glob
    pathlib.Path.glob = lambda self, pattern: iter(()) if "torchaudio" in str(self) else plain(self, pattern)
else:
    def load_library(path):
        raise {"cpu": OSError("libc10_cuda.so: cannot open"), "cuda": RuntimeError("different CUDA versions")}[way]
    torch.ops.load_library = load_library
from beatsight_core.features.mel_transform import make_mel_spectrogram
from beatsight_core.features.spec import FeatureSpec
spec = FeatureSpec(
    sample_rate_hz=8000, pre_ms=80.0, tail_ms=200.0, n_fft=256, hop_length=128, n_mels=16, f_min_hz=20.0,
    f_max_hz=4000.0, storage="float16",
)
clip = torch.sin(torch.arange(spec.clip_samples) * 0.3)
print(float(make_mel_spectrogram(spec)(clip).double().sum()))
"""


@pytest.mark.long
def test_the_same_mel_whether_or_not_the_extension_fits():
    sums = {}
    for way in ("fits", "cpu", "cuda"):
        done = subprocess.run([sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        sums[way] = float(done.stdout)
    assert len(set(sums.values())) == 1
    assert sums["fits"] > 0


def test_a_band_without_a_bin_is_a_settings_error(tiny_spec):
    with pytest.raises(SettingsError, match=r"of 200 mel bands .* always be empty"):
        make_mel_spectrogram(dataclasses.replace(tiny_spec, n_mels=200))


def test_a_window_longer_than_the_clip_is_a_settings_error(tiny_spec):
    with pytest.raises(SettingsError, match="too long for clips of 640"):
        make_mel_spectrogram(dataclasses.replace(tiny_spec, n_fft=2048))
