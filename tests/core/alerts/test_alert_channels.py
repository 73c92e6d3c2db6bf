"""Mail and chat services, and secrets that are nowhere to be seen."""

import base64
import email
import email.policy
import json
import logging
import time

import pytest
from click.testing import CliRunner

from beatsight_core.alerts.alert_delivery import deliver, try_receivers
from beatsight_core.alerts.outbox import raise_alert
from beatsight_core.alerts.receiver_secrets import redacted, secrets_of, shown_place
from beatsight_core.alerts.sending import problem_of
from beatsight_core.cli.main import beatsight
from beatsight_core.doctor import examine
from beatsight_core.errors import SettingsError, UsageError
from beatsight_core.settings import AlertReceiver

PASSWORD, TOKEN = "correct-horse-battery", "T0ken-5ecret"


def mail(port, more=""):
    return (
        '[[alerts.receivers]]\nname = "mail"\nkind = "mail"\nhost = "127.0.0.1"\nsecurity = "none"\n'
        f'sender = "beatsight@example.org"\nto = ["a@example.org", "b@example.org"]\nport = {port}\n{more}\n'
    )


def test_a_mail_holds_what_since_when_what_to_do_and_where(receivers, some_alert, mails, data_root):
    settings = receivers(mail(mails.port))
    raise_alert(settings, some_alert(what="It failed: Köln\r\nBcc: eve@example.org"))
    assert deliver(settings)[0].problem is None
    (text,) = mails.mails
    read = email.message_from_string(text.rpartition("\r\n.\r\n")[0], policy=email.policy.default)
    assert read["Subject"] == "BeatSight: Run failed: prepare_data of m-12345678"
    assert (read["To"], read["Bcc"]) == ("a@example.org, b@example.org", None)
    lines = read.get_content().splitlines()
    assert lines[0] == "It failed: Köln Bcc: eve@example.org"
    assert lines[1:3] == ["Since: 1970-01-12T13:46:40+00:00", "What to do: Mend it"]
    assert str(data_root) in lines[3]
    assert mails.logins == []


@pytest.mark.parametrize("place", ["variable", "file"])
def test_the_password_comes_from_a_variable_or_a_file(receivers, some_alert, mails, place, monkeypatch, data_root):
    key = 'password_env = "MAIL_PASSWORD"' if place == "variable" else 'password_file = "secret"'
    settings = receivers(mail(mails.port, f'user = "me"\n{key}'))
    raise_alert(settings, some_alert())
    said = str(deliver(settings)[0].problem)
    assert ("holds no password" if place == "variable" else "cannot be read") in said
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    (data_root / "secret").write_text(f"{PASSWORD}\n")
    assert deliver(settings, time.time() + 1000)[0].sent == 1
    login = base64.b64decode(mails.logins[0].split()[-1]).decode()
    assert login == f"\0me\0{PASSWORD}"


def test_a_mail_server_that_is_not_there_is_told(receivers, some_alert, unused):
    settings = receivers(mail(unused))
    raise_alert(settings, some_alert())
    assert "The mail server does not take it" in deliver(settings)[0].problem


@pytest.fixture
def unused():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_chat_services_are_reached_by_apprise(receivers, some_alert, web):
    pytest.importorskip("apprise")
    address = f"json://{web.url.partition('://')[2]}/{TOKEN}"
    settings = receivers(f'[[alerts.receivers]]\nname = "chat"\nkind = "apprise"\nurls = ["{address}"]\n')
    raise_alert(settings, some_alert())
    assert [(each.sent, each.problem) for each in deliver(settings)] == [(1, None)]
    ((path, body),) = web.received
    assert path.startswith(f"/{TOKEN}")
    assert body["title"] == "BeatSight: Run failed: prepare_data of m-12345678"
    assert "What to do: Mend it" in body["message"]
    web.code = 500
    raise_alert(settings, some_alert("another"))
    said = deliver(settings)[0].problem
    assert said.startswith("A service does not take it: ")
    assert "500" in said
    assert TOKEN not in said


def test_an_address_that_apprise_does_not_know_is_told_without_it(receivers, some_alert):
    pytest.importorskip("apprise")
    settings = receivers(f'[[alerts.receivers]]\nname = "chat"\nkind = "apprise"\nurls = ["nobody://{TOKEN}"]\n')
    raise_alert(settings, some_alert())
    said = deliver(settings)[0].problem
    assert "An address is none that apprise knows" in said
    assert TOKEN not in said


def test_without_apprise_the_error_says_what_to_install(receivers, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = receivers('[[alerts.receivers]]\nname = "chat"\nkind = "apprise"\nurls = ["json://127.0.0.1"]\n')
    said = "The library apprise is not installed: pip install 'beatsight[alerts]'"
    assert problem_of(settings.alerts.receivers[0]) == said


def test_no_secret_is_seen_anywhere(receivers, some_alert, serve_web, data_root, monkeypatch, caplog):
    """A server that repeats the address in its answer, a variable, a password: every output is searched."""
    caplog.set_level(logging.DEBUG)
    web = serve_web()
    web.code = 500
    host = web.url.partition("://")[2]
    monkeypatch.setenv("HOOK", f"http://user:{PASSWORD}@{host}/{TOKEN}?key={TOKEN}%2Fx")
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    settings = receivers(
        f'[[alerts.receivers]]\nname = "inline"\nkind = "webhook"\nurl = "http://{host}/{TOKEN}"\n'
        '[[alerts.receivers]]\nname = "named"\nkind = "webhook"\nurl_env = "HOOK"\n'
        f'[[alerts.receivers]]\nname = "odd"\nkind = "webhook"\nurl = "http://{host}:{TOKEN}/"\n'
        '[[alerts.receivers]]\nname = "command"\nkind = "command"\n'
        f'command = ["sh", "-c", "echo $0 >&2; exit 1", "{TOKEN}"]\n'
        + mail(1, 'user = "me"\npassword_env = "MAIL_PASSWORD"')
    )
    raise_alert(settings, some_alert())
    shown = [repr(settings), str(deliver(settings)), caplog.text, str(examine(settings).to_json())]
    for words in (["alerts", "test"], ["alerts", "list"], ["alerts", "deliver"], ["doctor"]):
        for flag in ([], ["--json"])[: 1 if words == ["doctor"] else 2]:
            done = CliRunner().invoke(beatsight, [*words, *flag, "--debug", "--data-root", str(data_root)])
            shown += [done.output, done.stderr]
    shown += [path.read_text() for path in settings.alerts_dir.rglob("*") if path.is_file()]
    assert len(shown) > 15
    assert not [text for text in shown if TOKEN in text or PASSWORD in text]
    assert f"http://{host}/***" in "".join(shown)


@pytest.mark.parametrize(
    ("address", "kind", "text", "shown"),
    [
        ("https://example.org/hooks/abcd", "webhook", "https://example.org/hooks/abcd said no", "*** said no"),
        ("https://example.org/hooks/abcd", "webhook", "example.org: no such host", "example.org: no such host"),
        ("https://me:pass@example.org:81/", "webhook", "me:pass@ example.org:81", "me:***@ example.org:81"),
        ("tgram://1234:AbCdE/999999", "apprise", "bot1234:AbCdE", "bot***:***"),
        ("https://example.org/a%2Fbcdef", "webhook", "a/bcdef", "***"),
    ],
)
def test_secrets_are_hidden_and_hosts_are_not(address, kind, text, shown):
    given = {"url": address} if kind == "webhook" else {"urls": (address,)}
    assert redacted(text, secrets_of(AlertReceiver("x", kind, **given), {})) == shown


def test_a_place_is_shown_without_what_is_secret():
    assert shown_place(AlertReceiver("x", "apprise", urls=("slack://a/b/c", "tgram://d"))) == "slack://***, tgram://***"
    assert shown_place(AlertReceiver("x", "webhook", url="https://u:p@h.org:8/x")) == "https://h.org:8/***"
    assert shown_place(AlertReceiver("x", "webhook", url_env="HOOK")) == "the address in the variable HOOK"


REFUSED = {
    'kind = "webhook"': "kind 'webhook' needs url or url_env",
    f'kind = "webhook"\nurl = "ftp://{TOKEN}"': "url must be an address as https://example.org/path",
    f'kind = "webhook"\nurl = ["{TOKEN}"]': "url must be text",
    f'kind = "apprise"\nurls = "slack://{TOKEN}"': "urls must be a list of texts",
    f'kind = "webhook"\nurl_env = "https://{TOKEN}"': "url_env must be the name of a variable",
    f'kind = "command"\ncommand = "curl {TOKEN}"': "command must be a list of texts",
    f'kind = "log"\nurl = "http://{TOKEN}"': "url means nothing for kind 'log'",
    'kind = "mail"\nhost = "h"\nsender = "a"': "kind 'mail' needs to",
    'kind = "mail"\nhost = "h"\nsender = "a"\nto = ["b"]\nuser = "u"': "user must come with one of password_env",
    'kind = "mail"\nhost = "h"\nsender = "a"\nto = ["b"]\nuser = "u"\npassword_env = "P"\nsecurity = "none"':
        'security must not be "none"',
    'kind = "mail"\nhost = "h"\nsender = "a"\nto = ["b\\nBcc: c"]': "addresses on one line",
    f'kind = "mail"\nhost = "h"\nsender = "a"\nto = ["b"]\nuser = "u"\npassword = "{TOKEN}"': "no setting",
    'kind = "log"\nonly = ["run_faild"]': "did you mean run_failed?",
    'kind = "log"\n[[alerts.receivers]]\nname = "x"\nkind = "log"': "has the name 'x' more than once",
    'kind = "log"\n[alerts]\nbase_url = "http://me@x.org"': "alerts.base_url must be an address",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_settings_that_cannot_be_are_refused_without_their_secrets(receivers, text):
    with pytest.raises(SettingsError) as caught:
        receivers(f'[[alerts.receivers]]\nname = "x"\n{text}\n')
    assert REFUSED[text] in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_every_receiver_is_tried_and_one_by_name(receivers, web, dead, data_root):
    settings = receivers(
        '[[alerts.receivers]]\nname = "log"\nkind = "log"\nonly = ["promoted"]\n'
        f'[[alerts.receivers]]\nname = "dead"\nkind = "webhook"\nurl = "{dead}"\ntimeout_s = 1\n'
        f'[[alerts.receivers]]\nname = "web"\nkind = "webhook"\nurl = "{web.url}"\n'
    )
    tried = try_receivers(settings)
    assert [(each.name, each.sent) for each in tried] == [("log", True), ("dead", False), ("web", True)]
    assert [body["kind"] for _, body in web.received] == ["test"]
    with pytest.raises(UsageError, match="name one of log, dead, web"):
        try_receivers(settings, "nobody")
    done = CliRunner().invoke(beatsight, ["alerts", "test", "--data-root", str(data_root)])
    assert done.exit_code == 1
    assert "dead (webhook, http://127.0.0.1:" in done.output
    assert "NOT SENT: It cannot be reached" in done.output
    done = CliRunner().invoke(beatsight, ["alerts", "test", "web", "--json", "--data-root", str(data_root)])
    assert done.exit_code == 0
    (only,) = json.loads(done.stdout)["receivers"]
    assert (only["name"], only["sent"], only["problem"]) == ("web", True, None)


def test_without_a_receiver_a_test_says_what_to_write(data_root):
    done = CliRunner().invoke(beatsight, ["alerts", "test", "--data-root", str(data_root)])
    assert done.exit_code == 2
    assert "There is no receiver of alerts" in done.stderr
    assert "[[alerts.receivers]]" in done.stderr


def test_the_list_shows_what_waits_and_what_is_past_and_changes_nothing(receivers, some_alert, web, data_root):
    settings = receivers(
        '[[alerts.receivers]]\nname = "log"\nkind = "log"\n'
        f'[[alerts.receivers]]\nname = "web"\nkind = "webhook"\nurl = "{web.url}"\n'
    )
    raise_alert(settings, some_alert("first"))
    deliver(settings)
    web.code = 503
    raise_alert(settings, some_alert("second"))
    deliver(settings)
    before = {path: path.read_bytes() for path in settings.alerts_dir.rglob("*") if path.is_file()}
    done = CliRunner().invoke(beatsight, ["alerts", "list", "--json", "--data-root", str(data_root)])
    listed = json.loads(done.stdout)
    assert [(each["group"], each["receivers"]) for each in listed["waiting"]] == [("run_failed: second", ["web"])]
    assert listed["problems"] == {"web": "It answers with 503."}
    assert [each["outcomes"] for each in listed["done"]] == [{"log": "delivered", "web": "delivered"}]
    shown = CliRunner().invoke(beatsight, ["alerts", "list", "--data-root", str(data_root)]).output
    assert "run_failed: second" in shown
    assert "web was not reached" in shown
    assert {path: path.read_bytes() for path in settings.alerts_dir.rglob("*") if path.is_file()} == before
    failing = CliRunner().invoke(beatsight, ["alerts", "deliver", "--data-root", str(data_root)])
    assert failing.exit_code == 1


def test_the_doctor_tells_of_a_receiver_that_cannot_be_used(receivers, monkeypatch):
    settings = receivers(
        '[[alerts.receivers]]\nname = "log"\nkind = "log"\n'
        '[[alerts.receivers]]\nname = "gone"\nkind = "command"\ncommand = ["no-such-program-here"]\n'
        '[[alerts.receivers]]\nname = "unset"\nkind = "webhook"\nurl_env = "BEATSIGHT_HOOK"\n'
    )
    diagnosis = examine(settings)
    assert diagnosis.sections["alerts"] == {"log": "fine", "gone": "cannot be used", "unset": "cannot be used"}
    said = [each.what for each in diagnosis.findings if "receiver of alerts" in each.what]
    assert "there is no program no-such-program-here" in said[0]
    assert "The variable that url_env names is not set" in said[1]
    monkeypatch.setenv("BEATSIGHT_HOOK", f"https://example.org/{TOKEN}")
    diagnosis = examine(settings)
    assert diagnosis.sections["alerts"]["unset"] == "fine"
    assert not [each for each in diagnosis.findings if "BEATSIGHT_HOOK" in each.what]
