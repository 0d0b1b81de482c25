"""`ordinaut protos`: the proto files of the API, for clients in other languages."""

from pathlib import Path
from typing import Annotated

import typer

from ordinaut.cli.output import echo, echo_lines, print_json
from ordinaut.cli.session import session_of
from ordinaut.proto_files import export, include_folders


def protos(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Copy all proto files into this folder.", show_default=False)
    ] = None,
) -> None:
    """Print the folders of the installed proto files, one on each line, or copy the files with --output.

    No server is needed. The folders are the options -I of protoc, and `includeDirs` of proto-loader.
    """
    if output is None:
        folders = [str(folder) for folder in include_folders()]
        print_json({"folders": folders}) if session_of(context).as_json else echo_lines(
            "".join(f"{folder}\n" for folder in folders)
        )
        return
    names = export(output)
    print_json({"output": str(output), "files": names}) if session_of(context).as_json else echo(
        f"{len(names)} files in {output}"
    )
