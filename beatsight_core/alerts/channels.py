"""How a notice goes to a webhook, a mail server, or chat services. Each function sends one, or raises an error.

They run in a process of their own (`send_process`), which is killed when it takes too long. What they say may hold
secrets, and is shown only after `redacted`.
"""

import importlib.util
import logging
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from http.client import HTTPException

from beatsight_core.alerts.alert import AlertNotice
from beatsight_core.alerts.receiver_secrets import addresses, password
from beatsight_core.errors import BeatSightError, SettingsError
from beatsight_core.files import json_bytes
from beatsight_core.settings import AlertReceiver

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_NO_LIBRARY = "The library apprise is not installed: pip install 'beatsight[alerts]'"


class AlertError(BeatSightError):
    """A notice did not reach its receiver."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: the address, which may be a secret, is told to nobody else."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def send_to_webhook(receiver: AlertReceiver, notice: AlertNotice) -> None:
    """Send a notice as JSON by POST.

    Raises:
        SettingsError: The address is missing or none.
        AlertError: The server cannot be reached, or answers with anything but success.
    """
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "beatsight"}
    for address in addresses(receiver):
        if not address.startswith(("http://", "https://")):
            raise SettingsError("The address of a webhook must begin with http:// or https://")
        try:
            request = urllib.request.Request(address, json_bytes(notice.to_json()), headers, method="POST")
            opener = urllib.request.build_opener(_NoRedirect)
            with opener.open(request, timeout=receiver.timeout_s):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            told = ", a redirect, which is not followed" if 300 <= error.code < 400 else ""
            raise AlertError(f"It answers with {error.code}{told}") from None
        except urllib.error.URLError as error:
            raise AlertError(f"It cannot be reached: {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise AlertError(f"It cannot be reached: {error or type(error).__name__}") from None


def send_by_mail(receiver: AlertReceiver, notice: AlertNotice) -> None:
    """Send a notice as a mail.

    Raises:
        SettingsError: The password is missing.
        AlertError: The server cannot be reached, or refuses the mail.
    """
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = notice.headline, receiver.sender, ", ".join(receiver.to)
    mail.set_content(notice.text)
    secret = password(receiver) if receiver.user else None
    context = ssl.create_default_context()
    host, port = str(receiver.host), receiver.port or _PORTS[receiver.security]
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=receiver.timeout_s, context=context)
            if receiver.security == "tls"
            else smtplib.SMTP(host, port, timeout=receiver.timeout_s)
        ) as server:
            if receiver.security == "starttls":
                server.starttls(context=context)
            if receiver.user and secret:
                server.login(receiver.user, secret)
            refused = server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise AlertError(f"The mail server does not take it: {error or type(error).__name__}") from None
    if refused:
        raise AlertError(f"The mail server refuses {', '.join(refused)}")


def send_by_apprise(receiver: AlertReceiver, notice: AlertNotice) -> None:
    """Send a notice to chat services, by the library apprise.

    Raises:
        SettingsError: The library is missing, or an address is none that it knows.
        AlertError: A service does not take it.
    """
    if problem := apprise_problem():
        raise SettingsError(problem)
    import apprise

    asset = apprise.AppriseAsset(app_id="BeatSight", async_mode=False)
    services = apprise.Apprise(asset=asset)
    if not all(services.add(address) for address in addresses(receiver)):
        raise SettingsError("An address is none that apprise knows", do="see its documentation on how to write it")
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:
        went = services.notify(title=notice.headline, body=notice.text, body_format=apprise.NotifyFormat.TEXT)
        why = " ".join(said.getvalue().split())
    if not went:
        raise AlertError(f"A service does not take it: {why or 'it does not say why'}")


def apprise_problem() -> str | None:
    """Return that the library of the kind apprise is missing; None if it is there."""
    return None if importlib.util.find_spec("apprise") else _NO_LIBRARY


CHANNELS_BY_KIND: Mapping[str, Callable[[AlertReceiver, AlertNotice], None]] = {
    "webhook": send_to_webhook,
    "mail": send_by_mail,
    "apprise": send_by_apprise,
}
"""Kind of a receiver -> what sends to it from a process of its own."""
