"""Alerts from the outbox to receivers that are really there, dead, wrong, or killed half-way."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from beatsight_core.alerts import alert_delivery
from beatsight_core.alerts.alert_delivery import deliver
from beatsight_core.alerts.ledger import GIVEN_UP_S, PAUSES_S, held, read_ledger
from beatsight_core.alerts.outbox import KEPT, anything_waits, done_alerts, outbox_dir, raise_alert, waiting_alerts
from beatsight_core.settings import load_settings

LOG = '[[alerts.receivers]]\nname = "log"\nkind = "log"\n'


def webhook(url, name="web", more=""):
    return f'[[alerts.receivers]]\nname = "{name}"\nkind = "webhook"\nurl = "{url}"\n{more}\n'


def logged(settings):
    return [json.loads(line) for line in (settings.alerts_dir / "alerts.jsonl").read_text().splitlines()]


def outcomes(settings):
    return [dict(done.outcomes) for done in done_alerts(settings, 100)]


def test_without_a_receiver_nothing_is_kept(settings, some_alert):
    raise_alert(settings, some_alert())
    assert deliver(settings) == []
    assert not settings.alerts_dir.exists()


def test_the_log_gets_a_line_with_everything(receivers, some_alert):
    settings = receivers(LOG)
    raise_alert(settings, some_alert(what="It failed\nin two lines \x1b[31m."))
    assert [(each.sent, each.problem) for each in deliver(settings)] == [(1, None)]
    (line,) = logged(settings)
    assert line["title"] == "Run failed"
    assert line["what"] == "It failed in two lines \\x1b[31m."
    assert (line["since"], line["do"], line["count"]) == ("1970-01-12T13:46:40+00:00", "Mend it", 1)
    assert line["data_root"] == str(settings.data_root)
    assert outcomes(settings) == [{"log": "delivered"}]
    assert not anything_waits(settings)
    assert deliver(settings)[0].sent == 0


def test_a_line_that_a_killed_writer_left_stays_alone(receivers, some_alert):
    settings = receivers(LOG)
    settings.alerts_dir.mkdir()
    (settings.alerts_dir / "alerts.jsonl").write_text('{"half')
    raise_alert(settings, some_alert())
    deliver(settings)
    first, second = (settings.alerts_dir / "alerts.jsonl").read_text().splitlines()
    assert first == '{"half'
    assert json.loads(second)["kind"] == "run_failed"


def test_a_command_reads_the_alert_and_no_shell_reads_its_words(receivers, some_alert, tmp_path):
    script, out = tmp_path / "keep.py", tmp_path / "out"
    script.write_text("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2] + sys.stdin.read())")
    words = [sys.executable, str(script), str(out), "$(touch x); "]
    settings = receivers(f'[[alerts.receivers]]\nname = "c"\nkind = "command"\ncommand = {json.dumps(words)}\n')
    raise_alert(settings, some_alert())
    assert deliver(settings)[0].sent == 1
    before, _, rest = out.read_text().partition("{")
    assert before == "$(touch x); "
    assert json.loads("{" + rest)["subject"] == "prepare_data of m-12345678"


def test_a_command_that_hangs_is_killed_with_what_it_started(receivers, some_alert, tmp_path):
    pid = tmp_path / "pid"
    (tmp_path / "hang").write_text(f"sleep 60 & echo $! > {pid}; wait")
    words = json.dumps(["sh", str(tmp_path / "hang")])
    settings = receivers(f'[[alerts.receivers]]\nname = "c"\nkind = "command"\ncommand = {words}\ntimeout_s = 2\n')
    raise_alert(settings, some_alert())
    began = time.monotonic()
    assert deliver(settings)[0].problem == "It took longer than 2 s."
    assert time.monotonic() - began < 10
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(int(pid.read_text()))
        assert started.status() == psutil.STATUS_ZOMBIE or started.wait(10) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [(["/nowhere/at-all"], "cannot be started"), (["sh", "SCRIPT"], "this is wrong"), (["false"], "ended with code 1")],
)
def test_a_command_that_fails_says_why(receivers, some_alert, words, said, tmp_path):
    (tmp_path / "fail").write_text("echo this is wrong >&2; exit 3")
    words = [str(tmp_path / "fail") if word == "SCRIPT" else word for word in words]
    settings = receivers(f'[[alerts.receivers]]\nname = "c"\nkind = "command"\ncommand = {json.dumps(words)}\n')
    raise_alert(settings, some_alert())
    assert said in deliver(settings)[0].problem
    assert anything_waits(settings)


def test_a_webhook_gets_json(receivers, some_alert, web):
    settings = receivers(webhook(f"{web.url}/hook?key=1"))
    raise_alert(settings, some_alert())
    assert deliver(settings)[0].sent == 1
    ((path, body),) = web.received
    assert path == "/hook?key=1"
    assert (body["kind"], body["do"]) == ("run_failed", "Mend it")


def test_a_dead_receiver_holds_up_no_other(receivers, some_alert, web, dead):
    settings = receivers(webhook(dead, "dead", "timeout_s = 1") + webhook(web.url) + LOG)
    for number in range(3):
        raise_alert(settings, some_alert(f"run {number}"))
    began = time.monotonic()
    first, second, third = deliver(settings)
    assert time.monotonic() - began < 12  # one try, not three
    assert (first.sent, second.sent, third.sent) == (0, 3, 3)
    assert "It cannot be reached" in first.problem
    assert len(web.received) == len(logged(settings)) == 3
    assert len(waiting_alerts(settings)) == 3  # they wait for the dead one alone
    assert [each.sent for each in deliver(settings)] == [0, 0, 0]
    assert len(web.received) == 3


@pytest.mark.parametrize("code", [500, 404, 429])
def test_what_a_server_refuses_is_tried_again_after_growing_pauses(receivers, some_alert, web, code):
    settings, now = receivers(webhook(web.url)), time.time()
    web.code = code
    raise_alert(settings, some_alert())
    assert deliver(settings, now)[0].problem == f"It answers with {code}."
    assert deliver(settings, now + PAUSES_S[0] - 1)[0].sent == 0
    assert len(web.received) == 1
    deliver(settings, now + PAUSES_S[0])
    assert len(web.received) == 2
    deliver(settings, now + PAUSES_S[0] + PAUSES_S[1] - 1)
    assert len(web.received) == 2
    web.code = 200
    assert deliver(settings, now + PAUSES_S[0] + PAUSES_S[1])[0].sent == 1
    assert outcomes(settings) == [{"web": "delivered"}]


def test_after_a_day_an_alert_is_given_up_with_a_line_in_the_log(receivers, some_alert, web, caplog):
    settings, now = receivers(webhook(web.url)), time.time()
    web.code = 500
    raise_alert(settings, some_alert())
    deliver(settings, now)
    deliver(settings, now + GIVEN_UP_S - 1)
    assert anything_waits(settings)
    deliver(settings, now + GIVEN_UP_S + PAUSES_S[-1])
    assert outcomes(settings) == [{"web": "given up: It answers with 500."}]
    assert "web is not told of an alert (run_failed: prepare_data of m-12345678)" in caplog.text
    assert not anything_waits(settings)


def test_an_alert_that_waited_while_the_machine_was_off_is_not_given_up(receivers, some_alert, web):
    settings = receivers(webhook(web.url))
    raise_alert(settings, some_alert())
    assert deliver(settings, time.time() + 10 * GIVEN_UP_S)[0].sent == 1


def test_one_alert_that_is_always_refused_blocks_no_other(receivers, some_alert, web):
    settings, now = receivers(webhook(web.url)), time.time()
    web.code = 500
    raise_alert(settings, some_alert("bad"))
    deliver(settings, now)
    raise_alert(settings, some_alert("good"))
    web.code = 200
    deliver(settings, now + PAUSES_S[0])
    assert [body["subject"] for _, body in web.received] == ["bad", "good", "bad"]


def test_repeated_alerts_are_gathered_and_told_with_their_count(receivers, some_alert, web):
    settings, now = receivers(webhook(web.url, more="gather_minutes = 15")), time.time()
    raise_alert(settings, some_alert())
    deliver(settings, now)
    for number in range(4):
        raise_alert(settings, some_alert(what=f"Failure {number}."))
    raise_alert(settings, some_alert("another"))
    deliver(settings, now + 60)
    assert [(body["subject"], body["count"]) for _, body in web.received][1:] == [("another", 1)]
    deliver(settings, now + 15 * 60)
    (_, body) = web.received[-1]
    assert (body["count"], body["what"]) == (4, "Failure 3.")
    assert len(web.received) == 3
    assert not anything_waits(settings)
    raise_alert(settings, some_alert())
    deliver(settings, now + 15 * 60 + 1)  # gathering begins anew with each notice
    assert len(web.received) == 3


def test_many_subjects_of_one_kind_are_told_in_one_notice(receivers, some_alert, web):
    settings, now = receivers(webhook(web.url)), time.time()
    for number in range(9):
        raise_alert(settings, some_alert(f"set {number}", "gate_failed", f"Set {number} lacks audio"))
    raise_alert(settings, some_alert())
    assert deliver(settings, now)[0].sent == 2
    many, one = (body for _, body in web.received)
    assert (many["count"], many["subject"]) == (9, "set 0, set 1, set 2 and 6 more")
    assert many["what"].startswith("Set 0 lacks audio. Set 1 lacks audio. ")
    assert many["what"].endswith(" Set 8 lacks audio.")
    assert one["subject"] == "prepare_data of m-12345678"
    assert not anything_waits(settings)
    raise_alert(settings, some_alert("set 4", "gate_failed"))
    assert deliver(settings, now + 60)[0].sent == 0  # it was told a minute ago, among the others


def test_nothing_is_sent_that_could_not_be_noted(receivers, some_alert, web):
    """On a full drive the same alert would be sent at every look."""
    settings = receivers(webhook(web.url))
    raise_alert(settings, some_alert())
    (settings.alerts_dir / "receivers" / "web.json").mkdir(parents=True)
    assert deliver(settings)[0].problem
    assert web.received == []
    (settings.alerts_dir / "receivers" / "web.json").rmdir()
    assert deliver(settings)[0].sent == 1


def test_a_server_that_answers_a_byte_at_a_time_is_ended(receivers, some_alert, monkeypatch):
    monkeypatch.setattr("beatsight_core.alerts.sending.START_S", 2.0)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            taken, _ = server.accept()
            with taken, contextlib.suppress(OSError):
                while not ended.wait(0.1):
                    taken.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        settings = receivers(webhook(f"http://127.0.0.1:{server.getsockname()[1]}", more="timeout_s = 1"))
        raise_alert(settings, some_alert())
        began = time.monotonic()
        assert deliver(settings)[0].problem == "It took longer than 1 s."
        assert time.monotonic() - began < 10
        ended.set()
        thread.join()


def test_a_clock_that_was_ahead_stops_nothing(receivers, some_alert, web):
    settings, now = receivers(webhook(web.url)), time.time()
    raise_alert(settings, some_alert())
    deliver(settings, now + 1e8)
    raise_alert(settings, some_alert())
    assert deliver(settings, now)[0].sent == 1


def test_a_receiver_gets_the_kinds_that_it_asks_for(receivers, some_alert, web):
    settings = receivers(webhook(web.url, more='only = ["promoted"]') + LOG)
    raise_alert(settings, some_alert())
    raise_alert(settings, some_alert("version 1", "promoted"))
    deliver(settings)
    assert [body["kind"] for _, body in web.received] == ["promoted"]
    assert [line["kind"] for line in logged(settings)] == ["run_failed", "promoted"]
    assert {"web": "not wanted", "log": "delivered"} in outcomes(settings)
    only = receivers(webhook(web.url, more='only = ["promoted"]'))
    raise_alert(only, some_alert())
    assert not anything_waits(only)


def test_a_receiver_that_is_taken_out_of_the_settings_holds_nothing_up(receivers, some_alert, dead):
    raise_alert(receivers(LOG + webhook(dead, "dead", "timeout_s = 0.5")), some_alert())
    settings = receivers(LOG)
    deliver(settings)
    assert not anything_waits(settings)


def test_a_redirect_is_not_followed(receivers, some_alert, serve_web):
    there, elsewhere = serve_web(), serve_web()
    for code in (301, 302, 307, 308):
        there.code, there.location = code, f"{elsewhere.url}/caught"
        settings = receivers(webhook(f"{there.url}/token-1234"))
        raise_alert(settings, some_alert(f"run {code}"))
        said = deliver(settings, time.time() + 1e6 * code)[0].problem
        assert said == f"It answers with {code}, a redirect, which is not followed."
    assert elsewhere.received == []


def test_two_deliverers_tell_nobody_twice(receivers, some_alert, web):
    settings = receivers(webhook(web.url))
    raise_alert(settings, some_alert())
    with held(settings, settings.alerts.receivers[0]) as mine:
        assert mine
        assert deliver(settings)[0].problem == "another process is delivering"
    assert web.received == []
    assert deliver(settings)[0].sent == 1


KILLED = """
import sys
from beatsight_core.alerts.alert_delivery import deliver
from beatsight_core.settings import load_settings
deliver(load_settings(sys.argv[1]))
"""


def test_a_killed_deliverer_loses_nothing(receivers, some_alert, tmp_path):
    """It is killed while a receiver reads: what that one was to be told, and the other alerts, are told afterwards."""
    pipe, go, told, script = (tmp_path / name for name in ("pipe", "go", "told", "script"))
    os.mkfifo(pipe)
    script.write_text(f"cat >> {told}; [ -e {go} ] && exit; echo $$ > {pipe}; sleep 60")
    words = json.dumps(["sh", str(script)])
    settings = receivers(
        f'{LOG}[[alerts.receivers]]\nname = "c"\nkind = "command"\ncommand = {words}\ntimeout_s = 100\n'
    )
    for number in range(3):
        raise_alert(settings, some_alert(f"run {number}"))
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(settings.data_root)])
    command = int(pipe.read_text())  # it has read its first notice
    child.send_signal(signal.SIGKILL)
    child.wait()
    os.killpg(command, signal.SIGKILL)
    go.touch()
    assert {each.alert.subject for each in waiting_alerts(settings)} == {"run 0", "run 1", "run 2"}
    sent = {each.name: each.sent for each in deliver(settings)}
    assert sent["c"] == 3
    assert not anything_waits(settings)
    told = [line["subject"] for line in logged(settings)]
    assert set(told) == {"run 0", "run 1", "run 2"}
    assert all(done == {"log": "delivered", "c": "delivered"} for done in outcomes(settings))


def test_a_damaged_alert_is_put_aside_and_a_damaged_ledger_is_begun_anew(receivers, some_alert, caplog):
    settings = receivers(LOG)
    raise_alert(settings, some_alert())
    (outbox_dir(settings) / "00000000000000000001-00000000.json").write_text("{")
    (settings.alerts_dir / "receivers").mkdir()
    (settings.alerts_dir / "receivers/log.json").write_text("[]")
    assert deliver(settings)[0].sent == 1
    assert not anything_waits(settings)
    assert [path.name for path in outbox_dir(settings).iterdir()] == ["00000000000000000001-00000000.broken"]
    assert "is put aside" in caplog.text
    assert read_ledger(settings, settings.alerts.receivers[0]).failures == 0


def test_to_raise_an_alert_takes_milliseconds_and_raises_no_error(receivers, some_alert, caplog):
    settings = receivers(LOG)
    (settings.data_root / "alerts").write_text("a file stands here")
    raise_alert(settings, some_alert())
    assert "an alert is lost (run_failed: prepare_data of m-12345678)" in caplog.text
    assert deliver(settings)[0].sent == 0
    (settings.data_root / "alerts").unlink()
    began = time.monotonic()
    for number in range(20):
        raise_alert(settings, some_alert(f"run {number}"))
    assert time.monotonic() - began < 2.0
    assert len(waiting_alerts(settings)) == 20


def test_only_the_newest_outcomes_are_kept(receivers, some_alert, monkeypatch):
    assert KEPT >= 100
    monkeypatch.setattr("beatsight_core.alerts.outbox.KEPT", 2)
    settings = receivers(LOG)
    for number in range(4):
        raise_alert(settings, some_alert(f"run {number}"))
    deliver(settings)
    assert [done.stored.alert.subject for done in done_alerts(settings, 9)] == ["run 3", "run 2"]


def test_a_round_ends_in_time(receivers, some_alert, monkeypatch):
    monkeypatch.setattr(alert_delivery, "ROUND_S", -1.0)
    settings = receivers(LOG)
    for number in range(3):
        raise_alert(settings, some_alert(f"run {number}"))
    assert [deliver(settings)[0].sent for _ in range(3)] == [1, 1, 1]


def test_settings_are_read_as_written(receivers):
    settings = receivers(LOG + '[alerts]\nmin_free_gb = 3\nbase_url = "http://127.0.0.1:3000/"\n')
    assert load_settings(settings.data_root).alerts.min_free_gb == 3
