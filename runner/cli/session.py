"""What a command works with: paths, settings, and the daemon if it needs one."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from runner.cli.arguments import flag, option

if TYPE_CHECKING:
    from runner.client import Client
    from runner.paths import Paths
    from runner.settings import Settings

Json = Annotated[bool, flag("--json", "Print JSON.")]


_OPTIONS = (
    ("host", str | None, None, option("--host", "HOST", "Address of a daemon that is to be started.")),
    ("port", int | None, None, option("--port", "PORT", "Its port; 0 picks a free one.")),
    ("no_start", bool, False, flag("--no-start", "Fail if no daemon runs.")),
)


@dataclass(frozen=True, slots=True)
class Session:
    """`origins` says where each setting comes from; `start` whether a daemon may be started."""

    paths: Paths
    settings: Settings
    origins: dict[str, str]
    start: bool

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Raises DaemonUnreachable."""
        from runner import launch

        async with await launch.connect(self.paths, self.settings, start=self.start) as client:
            yield client


def open_session(host: str | None = None, port: int | None = None, *, start: bool = True) -> Session:
    """Raises InvalidSetting."""
    from runner import config, paths

    places = paths.resolve()
    settings, origins = config.load({"host": host, "port": port}, os.environ, places.config_file)
    return Session(places, settings, origins, start)


async def daemon_address() -> str:
    """`http://host:port` of the daemon, which is started if none runs. Raises DaemonUnreachable."""
    async with open_session().client() as client:
        return client.address


def client_command(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A command that talks to the daemon: `function` gets a Session as its first argument, and the command
    the options of finding and starting the daemon."""

    def command(*, host: str | None, port: int | None, no_start: bool, **arguments: Any) -> None:
        asyncio.run(function(open_session(host, port, start=not no_start), **arguments))

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [
        *(parameter.replace(kind=keyword) for parameter in own),
        *(
            inspect.Parameter(name, keyword, default=default, annotation=Annotated[kind, option])
            for name, kind, default, option in _OPTIONS
        ),
    ]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    # typer reads both.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
