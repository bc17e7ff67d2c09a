"""Adopting the certificate of a running server: it is accepted despite violations, or refused before a write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.app.bundles import BundleReader
from ios_mdm.app.offers import Offers
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.recorded_offers import RecordedOffers
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.profile import trust_profile
from ios_mdm.errors import IosMdmError
from ios_mdm.settings import parse_server
from tests.support.certificates import HOST, NOW, Chain, key, pem, private_pem
from tests.support.custom import Given
from tests.support.defects import DEFECTS, GOOD, ODD, SHA1
from tests.support.pairs import SECRET, HandClock, World
from tests.support.sealed import READER

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from ios_mdm.app.pair.values import PairRequest, PairResult
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.x509.values import Credential
    from tests.support.certificates import PrivateKey, SelfSigned

SERVER: dict[str, Any] = {
    "name": "berlin",
    "address": HOST,
    "endpoints": [],
    "main": {"install": {"bundle": "main.pem", "adopt": True}},
    "reserve": {"none": True},
}
CHAINS: dict[str, Chain | SelfSigned] = {
    **GOOD,
    **{name: made for name, (made, _) in ODD.items()},
    **{
        name: Chain().but(leaf=one.leaf, issuing=one.issuing, root=one.root)
        for name, one in DEFECTS.items()
        if not one.missing and not one.other_key and not one.other_root
    },
}


@dataclass(slots=True)
class Desk:
    """A project folder, and a pair that does not exist yet."""

    folder: Path
    world: World

    def put(self, certificates: tuple[x509.Certificate, ...], private: PrivateKey) -> None:
        """Write a file of the project."""
        (self.folder / "main.pem").write_bytes(pem(*certificates) + private_pem(private))

    def preview_errors(self, server: dict[str, Any] = SERVER, observed: ObservedPair | None = None) -> tuple[str, ...]:
        """Return the errors of a preview."""
        return self._offers(server, observed).refusals(self.world.service.view(self.request(server)))

    def request(self, server: dict[str, Any] = SERVER) -> PairRequest:
        """Return the request of a run."""
        offered = self._offers(server).found[Slot.MAIN].offered_certificate
        definition = parse_server(server, "berlin").definition(main=offered)
        return self.world.request(definition)

    def apply(self, server: dict[str, Any] = SERVER) -> PairResult:
        """Bring the pair to its desired state."""
        given = Given({Slot.MAIN: partial(self._credential, server)})
        service = PairService(self.world.store, self.world.clock, custom=given)
        return service.apply(self.request(server))

    def _credential(self, server: dict[str, Any]) -> Credential:
        return self._offers(server).credential(Slot.MAIN)

    def _offers(self, server: dict[str, Any], observed: ObservedPair | None = None) -> Offers:
        reader = BundleReader(base=self.folder, environ={}, sealed=READER)
        main = None if observed is None or observed.main is None else observed.main.facts
        settings = parse_server(server, "berlin")
        return Offers.read(settings, RecordedOffers(), reader, self.world.clock.now(), current=main, main=main)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty desk, at the time that the certificates are valid from."""
    return Desk(tmp_path, World(clock=HandClock(NOW)))


@pytest.mark.parametrize("name", CHAINS)
def test_a_certificate_in_use_is_adopted_although_it_breaks_rules(desk: Desk, name: str) -> None:
    """The certificate is stored, devices can be made to trust it, and the next run changes nothing."""
    # R19 R20 R21 R22 R23 R25 R26 R27 R28
    made = CHAINS[name].make()
    desk.put(made.chain, made.keys[0])
    assert desk.preview_errors() == ()
    result = desk.apply()
    assert desk.world.labels["AWSCURRENT"] == 1
    assert trust_profile([result.certificates[1].pem], identifier="com.example.mdm", server="berlin", host=HOST)
    quiet = list(desk.world.store.calls)
    desk.apply()
    assert desk.world.store.calls == quiet


MADE = Chain().make()
RENAMED = Chain().but(issuing={"name": "Renamed", "owner": "Issuing"}).make()
UNFIT: dict[str, tuple[tuple[x509.Certificate, ...], str, str]] = {
    "a chain without its root": (MADE.chain[:2], "chain-incomplete", "its chain has no root"),
    "a certificate alone": (MADE.chain[:1], "chain-incomplete", "its chain has no root"),
    "an issuer of another name": ((MADE.leaf, *RENAMED.chain[1:]), "issuer-mismatch", "are not a chain"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_inconsistent_bundle_is_refused_in_the_preview(desk: Desk, name: str) -> None:
    """Nothing is written if the certificate cannot be stored, presented or trusted."""  # R20 R22
    certificates, code, reason = UNFIT[name]
    desk.put(certificates, MADE.keys[0])
    told = desk.preview_errors()
    assert [text for text in told if code in text]
    assert reason in told[-1]
    with pytest.raises(IosMdmError):
        desk.apply()
    assert not desk.world.stored_versions()


def test_a_pair_begins_with_what_is_adopted(desk: Desk) -> None:
    """A main is not replaced by a certificate that breaks rules, with or without `adopt`."""  # R32
    desk.put(MADE.chain, MADE.keys[0])
    desk.apply()
    observed = desk.world.service.observe(SECRET)
    assert observed is not None
    assert observed.main is not None
    assert observed.main.facts is not None
    other = Chain().but(leaf={"owner": "other", "purposes": None}).make()
    desk.put(other.chain, other.keys[0])
    replaced = {**SERVER["main"], "replaceNow": True, "confirm": observed.main.facts.sha256}
    told = desk.preview_errors({**SERVER, "main": replaced}, observed)
    assert "eku-missing" in told[0]
    assert "applies only to the first main" in told[1]


def test_a_key_of_another_certificate_is_not_adopted(desk: Desk) -> None:
    """No server can present such a certificate. It is refused, and nothing is written."""  # R28
    desk.put(MADE.chain, key("p256", "other"))
    told = desk.preview_errors()
    assert "key-mismatch" in told[0]
    assert "tls.key is not the PKCS#8 key of the certificate" in told[-1]
    with pytest.raises(IosMdmError, match="cannot be stored"):
        desk.apply()
    assert not desk.world.stored_versions()


def test_a_root_that_its_ca_renewed_heals_a_weak_hash(desk: Desk) -> None:
    """An adopted main under a root with SHA-1 gets a reserve under a root with the same name and key, but SHA-256."""
    # R24 R27
    old = Chain().but(root={"hash": SHA1})
    desk.put(old.make().chain, old.make().keys[0])
    desk.apply()
    renewed = Chain().but(leaf={"owner": "next", "days": (-1, 700)}).make()
    main = desk.world.facts(1)
    for chain, refused in ((renewed.chain, []), ((*renewed.chain[:2], old.make().root), ["hash-not-sha2"])):
        (desk.folder / "reserve.pem").write_bytes(pem(*chain) + private_pem(renewed.keys[0]))
        server = parse_server({**SERVER, "reserve": {"install": {"bundle": "reserve.pem"}}}, "berlin")
        reader = BundleReader(base=desk.folder, environ={}, sealed=READER)
        read = Offers.read(server, RecordedOffers(), reader, NOW, current=main, main=main).found[Slot.RESERVE]
        assert [one.code for one in read.report.violations] == refused
