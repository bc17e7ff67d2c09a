"""``profile``: writes the configuration profile that ``up`` would push, from certificates in files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from provider.cli.exits import CANNOT_RUN, explained
from provider.errors import DefinitionError

__all__ = ["profile"]


def profile(
    definition: Annotated[Path, typer.Argument(help="A stack file, or a list of servers.", metavar="DEFINITION.yaml")],
    *,
    server: Annotated[str, typer.Option(help="Name of the server.", metavar="NAME")],
    main: Annotated[Path, typer.Option(help="Main's chain with its root, public certificates only.", metavar="PEM")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .mobileconfig to write.", metavar="FILE")],
    reserve: Annotated[Path | None, typer.Option(help="The same of the reserve.", metavar="PEM")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell file and SHA-256 as JSON.")] = False,
) -> None:
    """Write the .mobileconfig that makes devices trust these certificates, as `pulumi up` would push it.

    Exit codes: 0; 2 cannot run.
    """
    with explained(CANNOT_RUN):
        chains = [_pem(option, file) for option, file in (("--main", main), ("--reserve", reserve)) if file is not None]
        content = _profile(definition, server, chains)
        try:
            output.write_bytes(content)
        except OSError as error:
            raise DefinitionError(f"-o {output} cannot be written: {error.strerror}") from None
        digest = hashlib.sha256(content).hexdigest()
        typer.echo(json.dumps({"file": str(output), "sha256": digest}) if as_json else f"wrote {output}, {digest}")


def _profile(definition: Path, name: str, chains: list[str]) -> bytes:
    from provider.cli.definition_file import read_definition  # noqa: PLC0415 - --help needs none of these
    from provider.core.profile import trust_profile  # noqa: PLC0415 - the same

    (server,) = read_definition(definition).servers(name)
    if server.distribution is None:
        raise DefinitionError(
            f"server {name} has no distribution: its profile gets its identifier from distribution.profile"
        )
    presented = server.distribution.profile
    return trust_profile(
        chains,
        identifier=presented.identifier,
        server=server.name,
        host=server.host,
        organization=presented.organization,
    )


def _pem(option: str, file: Path) -> str:
    """Read a chain of certificates; no error quotes what is in the file, which may be a private key (R29)."""
    from provider.core.certificates import CertificateError, chain  # noqa: PLC0415 - --help needs none of these

    try:
        pem = file.read_text(encoding="ascii")
        chain(pem)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "is not PEM: convert it with `openssl x509 -inform DER`"
    except CertificateError as error:
        reason = f"cannot be used: {error}"
    else:
        return pem
    raise DefinitionError(f"{option} {file} {reason}")
