"""Settings of watched certificates: other certificates whose expiry is shown, and which are never renewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from ios_mdm.address import is_http_url
from ios_mdm.settings.channels.nanomdm import NanoMdmApiSettings
from ios_mdm.settings.fields import MAX_URL_LENGTH, Days, Model, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ScepSettings", "WatchSettings"]


def _scep_url(url: str) -> str:
    if not is_http_url(url) or "@" in url:
        raise ValueError(
            "must be the URL of a SCEP server without a user, a password and a query, such as "
            "https://scep.example.com/scep"
        )
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"has {len(url):,} characters, but at most {MAX_URL_LENGTH:,} are allowed")
    return url


class ScepSettings(Model):
    """A SCEP server, whose CA certificates are public."""

    url: Annotated[StrictStr, AfterValidator(_scep_url)]
    ca_file: StrictStr | None = None


class WatchSettings(Model):
    """A watched certificate: its name, its source, and the time of its warning."""

    name: Name
    file: Annotated[StrictStr, Field(min_length=1)] | None = None
    nanomdm: NanoMdmApiSettings | None = None
    scep: ScepSettings | None = None
    topic: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | None = None
    warn_days: Days | None = None

    @property
    def secret_references(self) -> Iterator[tuple[str, str]]:
        """The secrets that the settings refer to: the path of each key, and the name or ARN of the secret."""
        if self.nanomdm is not None:
            yield "nanomdm.apiKeySecret", self.nanomdm.api_key_secret

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [one for one in (self.file, self.nanomdm, self.scep) if one is not None]
        if len(sources) != 1:
            raise ValueError("takes exactly one of file, nanomdm and scep")
        if self.nanomdm is not None and self.topic is None:
            raise ValueError("takes topic together with nanomdm: write the topic of the push certificate")
        if self.scep is not None and self.topic is not None:
            raise ValueError("takes no topic together with scep: remove it, because only a push certificate has one")
        return self
