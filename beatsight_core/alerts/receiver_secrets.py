"""Secrets of receivers: where they come from, and how they are kept out of everything that is shown."""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from beatsight_core.errors import SettingsError
from beatsight_core.settings import AlertReceiver, Settings

HIDDEN = "***"
_SHORTEST = 4
"""Characters of a part of an address from which on it may be a secret."""

_PARTS = re.compile(r"[/?&=:@#+,;\s]+")


def addresses(receiver: AlertReceiver, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the addresses of a webhook, or of chat services.

    Raises:
        SettingsError: The variable that should hold them is not set.
    """
    written = receiver.urls or ((receiver.url,) if receiver.url else ())
    if not receiver.url_env:
        return written
    if not (text := environment.get(receiver.url_env, "").strip()):
        raise SettingsError(
            "The variable that url_env names is not set", do="set it where the daemon and the commands are started"
        )
    return (*written, *text.split())


def password(receiver: AlertReceiver, environment: Mapping[str, str] = os.environ) -> str:
    """Return the password of the mail server.

    Raises:
        SettingsError: The variable or the file that should hold it is not there, or is empty.
    """
    if receiver.password_file:
        try:
            with receiver.password_file.open(encoding="utf-8") as handle:
                found = handle.readline(4096).strip()
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
            raise SettingsError(
                "The file of the password cannot be read", where=receiver.password_file, why=why
            ) from None
    else:
        found = environment.get(receiver.password_env or "", "")
    if not found:
        place = "password_file" if receiver.password_file else "password_env"
        raise SettingsError(f"What {place} names holds no password", do="put it there")
    return found


def variables_of_receivers(settings: Settings) -> set[str]:
    """Return the names of all variables that hold secrets of receivers."""
    every = settings.alerts.receivers
    return {name for receiver in every for name in (receiver.url_env, receiver.password_env) if name}


def secrets_of(receiver: AlertReceiver, environment: Mapping[str, str] = os.environ) -> set[str]:
    """Return every text of a receiver that must not be shown, as far as it is known."""
    found: set[str] = set()
    web = receiver.kind == "webhook"
    for address in (*receiver.urls, receiver.url or "", *environment.get(receiver.url_env or "", "").split()):
        rest = address.partition("://")[2]
        # The host of a webhook is no secret and says what is wrong; of a chat service it may be the token.
        host = _host(address)
        told = {host, host.partition(":")[0]} if web else set()
        parts = {address, rest, *_PARTS.split(rest)} | {f"/{rest.partition('/')[2]}"}
        found |= {each for part in parts for each in (part, unquote(part))} - told
    found.add(environment.get(receiver.password_env or "", ""))
    if receiver.password_file:
        with contextlib.suppress(SettingsError):
            found.add(password(receiver, environment))
    found |= {part for word in receiver.command[1:] for part in (word, *_PARTS.split(word))}
    return {each for each in found if len(each) >= _SHORTEST}


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret hidden, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def shown_place(receiver: AlertReceiver) -> str:
    """Return where a receiver is, without its secrets."""
    match receiver.kind:
        case "command":
            return receiver.command[0]
        case "mail":
            return f"{', '.join(receiver.to)} by {receiver.host}"
        case "log":
            return "alerts/alerts.jsonl"
    if receiver.url_env:
        return f"the address in the variable {receiver.url_env}"
    if receiver.kind == "webhook" and receiver.url:
        return f"{receiver.url.partition('://')[0]}://{_host(receiver.url)}/{HIDDEN}"
    return ", ".join(f"{address.partition('://')[0]}://{HIDDEN}" for address in receiver.urls)


def _host(address: str) -> str:
    """Host and port of an address, without name and password; empty if it is none."""
    try:
        split = urlsplit(address)
        return f"{split.hostname or ''}{f':{split.port}' if split.port else ''}"
    except ValueError:  # brackets that are no address of IPv6, a port that is no number
        return ""
