"""A PFX with several private keys, of which the library returns the first (R18)."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    NoEncryption,
    pkcs12,
)

from ios_mdm.core.bundle import Bundle, BundleError
from ios_mdm.core.rules import Context, best_judgment
from ios_mdm.core.x509.chain import candidates
from tests.support.bundles import PASSWORD, read_bundle
from tests.support.certificates import HOST, LEAF, NOW, Chain
from tests.support.verifiers import command as path_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Made

OTHER_HOST = "other.example.com"
OLD, NEW = Chain(leaf=LEAF.but(owner="old", days=(-800, -10))).make(), Chain().make()
OTHER = Chain(leaf=LEAF.but(owner="other", sans=(OTHER_HOST,))).make()
KEYTOOL = pytest.mark.skipif(not path_of("keytool"), reason="no keytool command")


def run(folder: Path, *command: str) -> None:
    """Run a command of keytool, whose passwords are in its environment."""
    passwords = (f"-{end}storepass:env" for end in ("src", "dest"))
    options = [part for option in passwords for part in (option, "PASSWORD")]
    called = [path_of(command[0]), *command[1:], *options]
    subprocess.run(called, cwd=folder, env={**os.environ, "PASSWORD": PASSWORD}, capture_output=True, check=True)


def pfx(name: str, made: Made, encryption: KeySerializationEncryption) -> bytes:
    """Return a PKCS #12 file with one key and its chain."""
    key, issuers = made.keys[0], made.chain[1:]
    return pkcs12.serialize_key_and_certificates(name.encode(), key, made.leaf, issuers, encryption)


def store(folder: Path, **entries: Made) -> bytes:
    """Return a store of keytool with these entries, in this order."""
    for alias, made in entries.items():
        data = pfx(alias, made, BestAvailableEncryption(PASSWORD.encode()))
        (folder / "entry.p12").write_bytes(data)
        source = ("-srckeystore", "entry.p12", "-srcstoretype", "PKCS12")
        run(folder, "keytool", "-importkeystore", *source, "-destkeystore", "store.p12", "-deststoretype", "PKCS12")
    return (folder / "store.p12").read_bytes()


@KEYTOOL
def test_a_store_with_an_old_and_a_new_certificate_is_refused(tmp_path: Path) -> None:
    """The error names both entries. Its command exports one entry, and the new file is accepted."""  # R18
    bundle = read_bundle(store(tmp_path, old=OLD, new=NEW), PASSWORD)
    with pytest.raises(BundleError) as refused:
        candidates(bundle, host=HOST)
    text = str(refused.value)
    assert refused.value.code == "no-key"
    for alias, made in (("old", OLD), ("new", NEW)):
        assert f'friendly name "{alias}", {HOST}, serial number {made.leaf.serial_number:x}, expires 20' in text
    command = text[text.index("keytool -importkeystore") : text.index(" (keytool -list")]
    run(tmp_path, *shlex.split(command.replace("FILE", "store.p12").replace("NAME", "new")))
    exported = read_bundle((tmp_path / "bundle.p12").read_bytes(), PASSWORD)
    judgment = best_judgment(exported, Context(host=HOST, now=NOW))
    assert judgment.report.is_valid
    assert judgment.candidate.leaf == NEW.leaf


@KEYTOOL
@pytest.mark.parametrize("first", ["other", "fitting"])
def test_two_certificates_of_different_hosts(tmp_path: Path, first: str) -> None:
    """The first key is used if it is the one for the address; otherwise the file is refused."""  # R18
    entries = {"other": OTHER, "fitting": NEW}
    bundle = read_bundle(store(tmp_path, **{first: entries.pop(first)}, **entries), PASSWORD)
    returned = candidates(bundle, host=HOST if bundle.keys[0].public_key() == NEW.leaf.public_key() else OTHER_HOST)
    assert returned[0].leaf in {NEW.leaf, OTHER.leaf}
    other = OTHER_HOST if returned[0].leaf == NEW.leaf else HOST
    with pytest.raises(BundleError, match=f"Other certificates for {other}"):
        candidates(bundle, host=other)


@pytest.mark.parametrize("encryption", [NoEncryption(), BestAvailableEncryption(PASSWORD.encode())], ids=["no", "best"])
def test_an_ordinary_file_is_accepted(encryption: KeySerializationEncryption) -> None:
    """A renewed certificate with one key and its chain is not refused."""  # R18
    password = None if isinstance(encryption, NoEncryption) else PASSWORD
    bundle = read_bundle(pfx("new", NEW, encryption), password)
    assert best_judgment(bundle, Context(host=HOST, now=NOW)).report.is_valid
    assert bundle.first_key_only == (password is not None)


def test_two_certificates_of_one_key_are_accepted() -> None:
    """A former certificate of the returned key does not stand for another key."""  # R18
    former = Chain(leaf=LEAF.but(days=(-800, -10))).make().leaf
    bundle = Bundle(certificates=(*NEW.chain, former), keys=(NEW.keys[0],), first_key_only=True)
    assert candidates(bundle, host=HOST)[0].leaf == NEW.leaf


def test_a_certificate_without_a_friendly_name_is_named_by_its_serial_number() -> None:
    """The message has the subject, the serial number and the expiry."""  # R18
    bundle = Bundle(certificates=(*OTHER.chain, OLD.leaf), keys=(OTHER.keys[0],), first_key_only=True)
    with pytest.raises(BundleError) as refused:
        candidates(bundle, host=HOST)
    assert f"CN={HOST} ({HOST}, serial number {OLD.leaf.serial_number:x}, expires" in str(refused.value)
