"""Which names the web server answers to, and which pages are its own.

A page on the internet cannot send a browser to this machine under a name of this machine: what it can do is to point a
name of its own there (DNS rebinding). So the name in `Host` tells. `Origin` tells which page a request came from.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_AUTHORITY = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)\.?(?::(\d{1,5}))?")
_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and, where it is said, a port.

    Attributes:
        name: Host in lower case, without a closing dot; an address of IPv6 in brackets.
        port: Port, or None.
    """

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read "localhost:3000" or "[::1]:3000"; None for anything that is not exactly that."""
        found = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
        return cls(found[1], int(found[2]) if found[2] else None) if found else None

    @property
    def is_loopback(self) -> bool:
        """Whether it means this machine and no other: localhost, 127.0.0.0/8, or [::1]."""
        if self.name in ("localhost", "[::1]"):
            return True
        try:
            return ipaddress.IPv4Address(self.name).is_loopback
        except ValueError:
            return False

    def with_usual_port(self, scheme: str) -> Self:
        """Return it with the port that the scheme stands for, if none is said."""
        return type(self)(self.name, _USUAL_PORTS[scheme]) if self.port is None else self


class Hosts:
    """The names of this server.

    Args:
        allowed: Names beside those of this machine, as `[web] hosts` lists them; what cannot be read allows nothing.
    """

    def __init__(self, allowed: Iterable[str] = ()):
        self._allowed = {authority for text in allowed if (authority := Authority.parse(text))}

    def answers_to(self, host: str) -> bool:
        """Whether a `Host` header names this server; its port may be any, as a tunnel or a proxy chooses one."""
        asked = Authority.parse(host)
        return asked is not None and (asked.is_loopback or asked.name in {each.name for each in self._allowed})

    def owns(self, origin: str, host: str) -> bool:
        """Whether a page is of this server: it came from the address that the request goes to, or from a listed one.

        Args:
            origin: `Origin` header, as "http://localhost:3000".
            host: `Host` header of the same request.
        """
        scheme, _, rest = origin.lower().partition("://")
        page, asked = Authority.parse(rest), Authority.parse(host)
        if scheme not in _USUAL_PORTS or page is None or asked is None:
            return False
        listed = {each.with_usual_port(scheme) for each in self._allowed}
        return page.with_usual_port(scheme) in {*listed, asked.with_usual_port(scheme)}
