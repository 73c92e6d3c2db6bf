"""What a GPU does with this project: one script, under eight minutes on a fresh machine.

    python -m benchmarks.gpu OUT                          all stages on the first CUDA device, at most 480 seconds
    python -m benchmarks.gpu OUT --only smoke,rates       some stages
    python -m benchmarks.gpu OUT --device cpu --tiny      tries the script itself, on any machine, in half a minute
    make bench ONLY=gpu                                   the same, with its figures in the table of docs/performance.md

Stages run in the order of `stages.STAGES`, the most telling first, each in a process of its own and with a time limit:
a stage that crashes or hangs ends alone. Each finding is a JSON line in `OUT/gpu.jsonl`, written at once, so a run that
is cut leaves what it had found; `OUT/gpu.log` holds what libraries printed. A stage that does not fit into the time
left is left out, and a line says so. The last line is a summary: each target met, missed or not measured.

Exit codes: 0, all checks of the stages that ran passed; 1, a check failed, a stage crashed or ran out of time, or a
signal stopped the script; 3, there is no CUDA device (and `--device cpu` was not given).

On a machine where time is scarce
---------------------------------
It needs Python 3.11 or newer, torch, torchaudio, numpy, and what the training code imports: psutil, pyarrow, polars,
orjson, soundfile and soxr; the stage `tests` also pytest and hypothesis. The torch need not be the release that
pyproject.toml pins: the first stage compares the two, and every line of a figure says which it is of. A stage whose
package is missing says which one, and the others go on.

Such a machine often has torch and numpy but not the rest, and no way to install it. Then carry the wheels, made for
that machine's Python and platform. polars (with polars-runtime-32), orjson, soundfile (with cffi and pycparser) and
soxr are usually the missing ones: 57 MB. Never carry torch, numpy or anything that torch needs. From the root of a
checkout, with the wheels in the folder `wheels`:

    python3 -m pip install --quiet --no-index --no-deps --target /tmp/site wheels/*.whl
    PYTHONPATH=/tmp/site python3 -m benchmarks.gpu OUT --seconds 480

Give the command 520 seconds: it ends by itself. Bring `OUT/gpu.jsonl` home and keep its figures:

    make bench ONLY=gpu GPU_LINES=path/to/gpu.jsonl

The files here:

    __main__.py   the command line
    stages.py     the stages, their order and their limits
    runner.py     runs them
    context.py    what a stage is given; how it reports
    lines.py      the lines of a run, read back
    summary.py    targets, estimates, and which targets were met
    made.py       clips, configurations and trainers that are made up
    timing.py     rates, host time, memory, device time
    all others    a stage each, or a few that belong together
"""
