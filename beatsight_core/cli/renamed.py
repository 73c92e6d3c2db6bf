"""Names that verbs and options had before: hidden, good for one release, and each says what it is called now."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def renamed_option(new: str, old: str, *, help: str, metavar: str = "REASON") -> Callable[[F], F]:
    """Return the decorator of an option with a text, whose old name still works.

    Args:
        new: Name of the option.
        old: Name that it had.
        help: Text of the help.
        metavar: Name of the value in the help.
    """

    def remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            say_renamed(old, new)
            ctx.meta[old] = value

    def either(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
        return ctx.meta.get(old) if value is None else value

    def decorate(function: F) -> F:
        hidden = click.option(old, hidden=True, is_eager=True, expose_value=False, callback=remember)(function)
        return click.option(new, metavar=metavar, help=help, callback=either)(hidden)

    return decorate


def say_renamed(old: str, new: str) -> None:
    """Say on standard error that a name is an old one."""
    click.echo(f"{old} is now called {new}. The old name goes with the next release.", err=True)
