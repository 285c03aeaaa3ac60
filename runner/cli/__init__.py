"""The command `nybble`."""

from __future__ import annotations

import os


def main() -> int:
    """Run the command line; returns or exits with a code of `runner.exits`."""
    from modelstore.errors import NybbleError

    # Else pydantic looks for plugins in every installed package: slow, and none may change what types mean.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from runner.cli.app import app

        app(prog_name="nybble")
    except NybbleError as error:
        from runner import exits
        from runner.cli.output import report

        report(error)
        return exits.code_for(error)
    except KeyboardInterrupt:
        from runner import exits

        return exits.INTERRUPTED
    return 0
