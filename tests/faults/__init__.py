"""The fault harness: what happens to the data when processes die, drives fill up, bytes rot and input is nonsense.

    corpus.py      a small corpus, some of it faulty, and the data roots made of it
    steps.py       counts the steps by which a process changes a drive, and acts at one of them
    nursery.py     starts children quickly: each a process of its own that can be killed, starved or denied
    lab.py         corpus, nursery and subjects together; what all scenarios work with
    subjects/      what is hurt: a verb, the state before it, what its readers see. One file each
    scenarios/     how it is hurt, and what must hold. One file each
    report.py      what was tried, how often, and what was lost, for docs/reliability.md

`python -m tests.faults` runs everything; `test_faults.py` a short form of the same scenarios. A file put into
`subjects/` or `scenarios/` takes part without further ado.
"""
