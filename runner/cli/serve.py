"""`serve`: the daemon in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.arguments import option


def serve(
    host: Annotated[str | None, option("--host", "HOST", "Address to listen on.")] = None,
    port: Annotated[int | None, option("--port", "PORT", "Port to listen on; 0 picks a free one.")] = None,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
) -> None:
    """Run the daemon in the foreground. Other commands start one by themselves."""
    from runner import daemon
    from runner.cli.session import open_session

    session = open_session(host, port)
    daemon.serve(session.paths, session.settings, foreground=not background)
