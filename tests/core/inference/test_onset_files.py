"""Onset files of people and programs: read as they are meant, or refused by their line; never as something else."""

import json
import logging
import os

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from beatsight_core.errors import InputError
from beatsight_core.inference import read_onsets

THREE = [0.512, 1.024, 1.536]
SVL = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE sonic-visualiser>
<sv><data>
<model id="4" name="" sampleRate="44100" type="waveform"/>
<model id="1" name="" sampleRate="48000" start="0" end="99" type="sparse" dimensions="1" dataset="0"/>
<dataset id="0" dimensions="1">
  <point frame="24576" label="kick"/>
  <point frame="49152" label="&lt;snare&gt;"/>
  <point frame="73728" label=""/>
</dataset></data><display><layer id="2" type="timeinstants" model="1"/></display></sv>
"""
JAMS = {
    "file_metadata": {"duration": 3.0, "title": "take"},
    "annotations": [
        {"namespace": "tempo", "data": [{"time": 0.0, "duration": 3.0, "value": 120.0, "confidence": 1.0}]},
        {"namespace": "onset", "data": [{"time": time, "duration": 0.0, "value": None} for time in THREE]},
    ],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # one a line
        ("comma.txt", "0,512\n1,024\n1,536\n"),
        ("long decimals.txt", "0,512000\n1,024000\n1,536000"),
        ("blanks.txt", "  0.512  \r\n\r\n 1.024\r\n1.536"),
        ("old line ends.txt", "0.512\r1.024\r1.536\r"),
        ("exponents.txt", "5.12e-1\n1.024E0\n.1536e1\n"),
        ("units.txt", "512 ms\n1.024 s\n1536ms\n"),
        ("clock.txt", "0:00.512\n0:01.024\n00:00:01.536\n"),
        ("comments.txt", "# Onsets of a take, in seconds; start here\n% x\n// y\n0.512\n1.024 kick\n1.536\n"),
        # tables
        ("semicolon.csv", "onset;label\n0,512;kick\n1,024;snare\n1,536;kick\n"),
        ("semicolon without heading.csv", "0,512;kick\n1,024;snare\n1,536;kick\n"),
        ("tab.tsv", "0,512\tkick\n1,024\tsnare, soft\n1,536\tkick"),
        ("blank parted.txt", "0,512 kick\n1,024 snare\n1,536 kick\n"),
        ("numbered.csv", "0,0.512,kick\n1,1.024,snare\n2,1.536,kick\n"),
        ("numbered from one.txt", "1 0.512\n2 1.024\n3 1.536\n"),
        ("numbered with decimal commas.csv", "1;0,512;kick\n2;1,024;snare\n3;1,536;kick\n"),
        ("numbered with a heading.csv", "index,time,label\n0,0.512,kick\n1,1.024,snare\n2,1.536,kick\n"),
        ("label first.csv", "kick,0.512\nsnare,1.024\nkick,1.536\n"),
        ("quoted.csv", '"0,512","kick, soft"\n"1,024",snare\n"1,536",kick\n'),
        ("of a sheet.csv", "sep=;\nZeit;Schlag\n0,512;kick\n1,024;snare\n1,536;kick\n"),
        ("ms.csv", "onset_ms,label\n512,kick\n1024,snare\n1536,kick\n"),
        ("ms in brackets.csv", "Start (ms);Name\n512,0;a\n1024,0;b\n1536,0;c\n"),
        ("samples.csv", "# sample_rate: 48000\nonset_samples,label\n24576,a\n49152,b\n73728,c\n"),
        ("ms of decimals.txt", "Time (ms)\n512.0\n1024.0\n1536.0\n"),
        ("ms and a label.txt", "Time (ms) Label\n512.0 a\n1024.0 b\n1536.0 c\n"),
        ("samples at a rate.csv", "samples (48000 Hz)\n24576\n49152\n73728\n"),
        ("ends beside.csv", "start,end,label\n0.512,0.6,a\n1.024,1.1,b\n1.536,1.6,c\n"),
        ("end first.csv", "end,start\n0.6,0.512\n1.1,1.024\n1.6,1.536\n"),
        ("numpy.csv", "# onset, velocity\n0.512,0.9\n1.024,0.1\n1.536,0.5\n"),
        ("more columns.csv", "time,onset\n9.0,0.512\n8.0,1.024\n7.0,1.536\n"),
        ("numbered as a list.txt", "1. 0.512\n2. 1.024\n3. 1.536\n"),
        ("of subtitles.txt", "00:00:00,512\n00:00:01,024\n00:00:01,536\n"),
        # of programs
        ("mirex.lab", "0.512\tkick\n1.024\tsnare\n1.536\tkick\n"),
        ("adtof.txt", "0.512\t35\n1.024\t38\n1.536\t42\n"),
        ("audacity.txt", "0.512000\t0.512000\tkick\n1.024000\t1.100000\tsnare\n1.536000\t1.536000\t\n"),
        (
            "audacity, where commas are.txt",
            "0,512000\t0,512000\tkick\n1,024000\t1,100000\tsnare\n1,536000\t1,536000\t3\n",
        ),
        (
            "audacity with frequencies.txt",
            "0.512\t0.512\tkick\n\\\t60.0\t120.0\n1.024\t1.1\tsnare\n\\\t-1.0\t-1.0\n1.536\t1.536\t\n",
        ),
        ("sonic visualiser.csv", "0.512000000,New Point\n1.024000000,New Point\n1.536000000,\n"),
        ("layer.svl", SVL),
        ("reaper.csv", "#,Name,Start,End,Length\nM1,kick,0:00.512,,\nM2,snare,0:01.024,,\nM3,,0:01.536,,\n"),
        ("ours.csv", "onset_time,components,velocity,kick\n0.512,kick,90,0.9\n1.024,,3,0.1\n1.536,kick,7,0.8\n"),
        # JSON
        ("list.json", "[1.536, 0.512, 1.024]"),
        ("ms.json", '{"unit": "ms", "onsets": [512, 1024, 1536]}'),
        ("named ms.json", '[{"onset_ms": 512}, {"onset_ms": 1024}, {"onset_ms": 1536.0}]'),
        ("samples.json", '{"sample_rate": 48000, "onset_samples": [24576, 49152, 73728]}'),
        ("ours.json", '{"onsets": "detected", "hits": [{"onset": 0.512}, {"onset": 1.024}, {"onset": 1.536}]}'),
        ("texts.json", '["0.512", "1,024", "1536 ms"]'),
        ("take.jams", json.dumps(JAMS)),
        ("take.json", json.dumps(JAMS)),
        ("old.jams", json.dumps({"annotations": [{"namespace": "beat", "data": {"time": THREE, "value": [1, 2, 3]}}]})),
    ],
)
def test_what_is_meant_is_read(tmp_path, name, text):
    path = tmp_path / name
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert read_onsets(path).tolist() == pytest.approx(THREE, abs=1e-9), encoding


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "0,512,kick\n1,024,snare\n1,536,kick\n", ("line 1", "whole numbers")),
        ("a.csv", "onset,label,name\n0,512,kick\n1,024,snare\n", ("line 2", "0,512", "decimal comma, or two")),
        ("a.txt", "0.512\n1,024\n1.536\n", ("line 2", "1,024", "decimal comma, or two")),
        ("a.txt", "1,512\n2,724\n3,936\n", ("line 1", "1,512", "decimal comma, or two")),
        ("a.txt", "12,38\n13,36\n14,42\n", ("line 1", "12,38")),  # whole seconds and notes
        ("a.csv", "onset,label\n0,512\n1,024\n", ("line 2", "0,512")),
        ("a.csv", "1,kick\n2,snare\n3,kick\n", ("line 1", "row numbers")),
        ("a.csv", "1,0.8,kick\n2,0.5,snare\n3,0.9,kick\n", ("line 1", "not a time in order")),
        ("a.csv", "0.8;0.512\n0.5;1.024\n0.9;1.536\n", ("line 1", "another column")),
        ("a.csv", "a,b\n0.5,0.8\n1.5,0.9\n", ("line 2", "a, b", "none is called onset")),
        ("a.csv", "1.234,5\n2.345,6\n", ("line 1", "1.234,5", "decimal comma, or two")),
        ("a.txt", "0:01,36\n0:02,38\n", ("line 1", "0:01,36", "decimal comma, or two")),
        ("a.txt", "1\u00a0234,5\n", ("line 1", "1\\xa0234,5")),
        ("a.txt", "2024-01-01 00:00:01\n", ("line 1", "time of day")),
        ("a.csv", "01.02.2024;0:01.5\n", ("line 1", "time of day")),
        ("a.csv", "FRAME,LABEL\n12,kick\n19,snare\n", ("line 2", "called FRAME")),
        ("a.txt", "nr\n1\n2\n3\n", ("line 2", "called nr")),
        ("a.csv", "velocity;name\n0.5;kick\n0.9;snare\n", ("line 2", "called velocity")),
        ("a.json", '{"onsets": [1.5], "onsets": [2.5]}', ("'onsets' twice",)),
        ("a.json", '[{"time": 0.5, "time" : 1.5}]', ("'time' twice",)),
        ("a.txt", "3 36\n7 38\n9 36\n", ("line 1", "whole numbers")),
        ("a.txt", "512\n1024\n1536\n", ("line 3", "seconds, milliseconds or samples")),
        ("a.csv", "onset\n22050\n44100\n", ("line 3", "onset_ms")),
        ("a.csv", "onset_samples\n24576\n", ("line 1", "of which rate")),
        ("a.json", "[512, 1024]", ("item 2", "seconds, milliseconds or samples")),
        ("a.json", '{"onset_samples": [24576]}', ("of which rate",)),
        ("a.txt", "0,512\tkick\n1.024\tsnare\n", ("line 2", "','")),
        ("a.txt", "0.512\n1,024.5\n", ("line 2",)),
        ("a.csv", "0.5;kick\n;snare\n", ("line 2",)),
        ("a.txt", "0.5\n\n\nnan\n", ("line 4", "nan")),
        ("a.txt", "0.5\ninf\n", ("line 2",)),
        ("a.txt", f"0.5\n{'9' * 400}.0\n", ("line 2",)),
        ("a.txt", "0.5\n-0.1\n", ("line 2", "-0.1")),
        ("a.txt", "0.5\n1_000.5\n", ("line 2",)),
        ("a.txt", "0.5\n٠.٥\n", ("line 2",)),
        ("a.txt", "0:00.512\n0:75.0\n", ("line 2",)),
        ("a.csv", "#,Name,Start,End\nM1,a,0:00.5,\nR2,b,0:01.0,0:02.0\n", ("line 3", "region")),
        ("a.csv", "#,Name,Start,End\nM1,a,1.1.00,\n", ("line 2", "measures and beats")),
        ("a.csv", '"0.5;kick\n' + "x" * 200_000, ("line 2",)),
        ("a.json", "[true]", ("item 1",)),
        ("a.json", "[NaN]", ("not valid JSON",)),
        ("a.json", "[1e999]", ("valid JSON",)),
        ("a.json", "[" * 100_000, ("not valid JSON",)),
        ("a.jams", '{"annotations": [{"namespace": "tempo", "data": []}]}', ("no onsets", "tempo")),
        ("a.jams", '{"annotations": [{"namespace": "onset", "data": []}, {"namespace": "onset"}]}', ("2 annotations",)),
        ("a.jams", '{"annotations": [{"namespace": "onset", "data": 3}]}', ("no list of observations",)),
        ("a.jams", '{"annotations": [{"namespace": "onset", "data": [{"time": "soon"}]}]}', ("observation 1",)),
        ("a.svl", SVL.replace('frame="49152"', 'frame="4.9"'), ("line 8", "number of its frame")),
        ("a.svl", SVL.replace('sampleRate="48000"', 'sampleRate="0"'), ("sample rate",)),
        ("a.svl", SVL.replace("</dataset>", '</dataset><dataset id="1"><point frame="1"/></dataset>'), ("2 layers",)),
        ("a.svl", SVL.replace("</sv>", ""), ("not valid XML",)),
        (
            "a.svl",
            SVL.replace(
                "<!DOCTYPE sonic-visualiser>",
                '<!DOCTYPE sv [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
            ).replace('label="kick"', 'label="&b;"'),
            ("declare entities",),
        ),
        (
            "a.svl",
            SVL.replace("<!DOCTYPE sonic-visualiser>", '<!DOCTYPE sv [<!ENTITY a SYSTEM "file:///etc/hostname">]>'),
            ("declare entities",),
        ),
        ("a.txt", "RIFF\x24\x08\x00\x00WAVEfmt ", ("it is audio",)),
        ("a.mid", "MThd\x00\x00\x00\x06", ("it is MIDI",)),
        ("a.txt", "0.5\x00\n", ("no text",)),
        ("a.txt", "\n\n# nothing\n", ("no onsets",)),
        ("a.json", '{"onsets": []}', ("no onsets",)),
    ],
)
def test_what_is_in_doubt_is_refused_by_its_line(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_onsets(path)
    assert caught.value.do
    assert str(path) in str(caught.value)
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "huge", "latin-1", "gone"])
def test_what_is_no_file_of_text_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "onsets.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as handle:
            handle.truncate(2**40)
    elif kind == "latin-1":
        path.write_bytes(b"0.5;Becken, gro\xdf\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_onsets(path)


def test_a_comma_is_a_decimal_mark_where_a_whole_number_cannot_follow(tmp_path):
    (tmp_path / "sparse.txt").write_text("0,512\n1,024\n2,048\n3,000\n")
    assert read_onsets(tmp_path / "sparse.txt").tolist() == [0.512, 1.024, 2.048, 3.0]


def test_onsets_out_of_order_are_sorted_and_those_that_repeat_kept_once_and_both_is_said(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("1.5\tkick\n0.5\tkick\n0.5\tcrash\n")
    with caplog.at_level(logging.INFO, logger="beatsight"):
        assert read_onsets(tmp_path / "a.txt").tolist() == [0.5, 1.5]
    assert "not in order" in caplog.text
    assert "1 of 3 onsets repeat" in caplog.text


@pytest.mark.parametrize("last", [3.0, 7.25e4, 1e300])
def test_onsets_beyond_the_end_are_refused_with_their_number(by_torch, tmp_path, last):
    sf.write(tmp_path / "a.wav", np.zeros(16000), 8000)
    (tmp_path / "a.txt").write_text(f"0.5\n1.5\n{last}\n")
    with pytest.raises(InputError, match=r"1 of 3 onsets lie beyond the recording's end at 2\.000 s"):
        by_torch.classify_file(tmp_path / "a.wav", tmp_path / "a.txt")
    with pytest.raises(InputError, match="beyond"):
        by_torch.classify_file(tmp_path / "a.wav", [last])


@st.composite
def tables(draw) -> tuple[str, list[float], bool]:
    """A table of onsets in some layout, the onsets, and whether nobody could mistake it for anything else."""
    mark, separator = draw(st.sampled_from(".,")), draw(st.sampled_from([None, "\t", ";", ",", " "]))
    numbered, heading = draw(st.booleans()) and separator is not None, draw(st.booleans())
    digits, newline = draw(st.integers(1, 6)), draw(st.sampled_from(["\n", "\r\n"]))
    drawn = draw(st.lists(st.integers(1, 10**7), min_size=1, max_size=8))
    seconds = sorted({round(each / 1000, digits) for each in drawn})
    rows = [[f"{time:.{digits}f}".replace(".", mark), *(["kick"] if separator else [])] for time in seconds]
    rows = [[str(number), *row] for number, row in enumerate(rows)] if numbered else rows
    names = [*(["n"] if numbered else []), "onset", *(["label"] if separator else [])]
    lines = [(separator or "").join(row) for row in ([names] if heading else []) + rows]
    return newline.join(lines), seconds, mark == "." and (heading or not numbered)


@budget(max_examples=120, deadline=None)
@given(tables())
def test_any_table_of_known_times_is_read_as_those_or_refused(tmp_path_factory, table):
    """Whatever the layout: what comes out is what went in."""
    text, seconds, is_clear = table
    path = tmp_path_factory.mktemp("any") / "onsets.csv"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        found = read_onsets(path).tolist()
    except InputError as error:
        if is_clear or "line " not in str(error):
            raise
    else:
        assert found == pytest.approx(seconds, abs=1e-9)
