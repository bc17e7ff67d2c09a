"""``profile``: writes the configuration profile that ``pulumi up`` distributes, from certificates in files."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from ios_mdm.cli.definition_file import read_definition
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error
from ios_mdm.cli.output import echo
from ios_mdm.core.pair.home import PAIR_ID, profile_identifier
from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.pem import CertificateError, chain
from ios_mdm.errors import DefinitionError
from ios_mdm.files import MIB, file_content

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

MAX_CHAIN_FILE = MIB


def run(
    *,
    definition: Path,
    server: str,
    main: Path,
    output: Path,
    pair_id: str | None,
    reserve: Path | None,
    as_json: bool,
) -> None:
    """Write the profile (.mobileconfig) that makes devices trust these certificates, as `pulumi up` distributes it."""
    with exit_on_error(CANNOT_RUN):
        chains = [_pem(option, file) for option, file in (("--main", main), ("--reserve", reserve)) if file is not None]
        if pair_id is not None and not re.fullmatch(PAIR_ID, pair_id):
            raise DefinitionError(
                f"--pair-id {pair_id} is not a pair id of 32 hexadecimal digits: copy it from `pulumi stack output "
                "servers` or from the tag ios-mdm:pair-id of the pair's secret"
            )
        content = _profile(definition, server, chains, pair_id)
        try:
            output.write_bytes(content)
        except OSError as error:
            raise DefinitionError(f"-o {output} cannot be written: {error.strerror}") from None
        digest = hashlib.sha256(content).hexdigest()
        echo(json.dumps({"file": str(output), "sha256": digest}) if as_json else f"wrote {output}, {digest}")


def _profile(definition: Path, name: str, chains: list[str], pair_id: str | None) -> bytes:
    (server,) = read_definition(definition).servers(name)
    if server.distribution is None:
        raise DefinitionError(
            f"server {name} has no distribution: set distribution.profile, which has the identifier of the profile"
        )
    presented = server.distribution.profile
    return trust_profile(
        chains,
        identifier=profile_identifier(presented.identifier, pair_id),
        server=server.name,
        host=server.host,
        organization=presented.organization,
    )


def _pem(option: str, file: Path) -> str:
    """Read a PEM chain. Errors do not quote the file, because it might contain a private key (R29)."""
    content = file_content(file, limit=MAX_CHAIN_FILE, named=f"{option} {file}", allows_pipe=True)
    try:
        pem = content.decode("ascii")
        chain(pem)
    except UnicodeDecodeError:
        reason = "is not PEM: convert it with `openssl x509 -inform DER`"
    except CertificateError as error:
        reason = f"cannot be used: {error}"
    else:
        return pem
    raise DefinitionError(f"{option} {file} {reason}")
