"""The benchmarks: how fast and how small, beside what the machine can do and what scripts did before.

`python -m benchmarks.run` (or `make bench`) is the story. A row of targets is a file in `rows/`; it measures the
platform as a user runs it, in processes of their own, in turn with the reference point it is compared with:

    corpus.py      the audio and the manifests, made once and kept
    reference.py   reference points: what the machine can do
    old_way.py     the same work as a folder of scripts does it
    gpu/           what a GPU does with the project: a script that also runs where time is scarce
    library.py     calls of the library that no verb shows alone
    measure.py     a process and what it took; spreads; the machine
    bench.py       what every row is given: sizes, folders, processes
    figures.py     a measured figure, its floor and its target
    table.py       results as a table, printed and in docs/performance.md
    where.py       where the time of a verb goes
"""
