"""The hooks of ``CertificatePair`` while main is replaced by name: previews and results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.pair.layout import SENT_TAG
from ios_mdm.core.pair.secret import Label
from ios_mdm.resources.wire import switch_block, switch_of
from ios_mdm.settings import ServerSettings
from tests.support.aws import AWS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ios_mdm.core.pair.definition import PairDefinition
    from tests.support.dynamic_provider import Engine


def _request_another_main(engine: Engine) -> None:
    """Create a pair with a distribution, and request another main."""
    engine.program |= {"distributed": True}
    engine.up()
    assert engine.outputs is not None
    main = engine.outputs["certificates"]["certificate 1"]["sha256"]
    engine.program["definition"]["main"] |= {"replaceNow": True, "confirm": main}


def test_a_next_main_is_shown_until_it_is_main(engine: Engine) -> None:
    """One update stores the next main, and the next update records its application. No other run changes anything."""
    # R15 R30 R32
    _request_another_main(engine)
    shown = engine.checked_inputs()["desired"]
    assert (shown["main"], shown["nextMain"], shown["trusted"]) == ("certificate 1", "certificate 3", [1, 2, 3])
    assert shown["reason"] == "main.replaceNow: the next main is sent to the devices, and then becomes main"
    assert engine.up() == "update"
    assert engine.up() == "unchanged"
    assert engine.outputs is not None
    replacement = switch_of(engine.outputs["switch"]).replace
    assert replacement is not None
    assert switch_block(switch_of(engine.outputs["switch"])) == engine.outputs["switch"]
    store = SecretsManager(aws=AWS)
    store.tag(engine.id, {SENT_TAG: "1 2 3"})
    store.move_label(engine.id, Label.MAIN, to=replacement.version, current=replacement.former_version)
    state: Any = engine.provider.read(engine.id, engine.outputs).outs
    assert state["desired"]["main"] == "certificate 3"
    assert "nextMain" not in state["desired"]
    assert engine.up() == "update"
    assert "nextMain" not in engine.outputs["desired"]
    assert engine.up() == "unchanged"


def test_a_next_main_that_was_sent_is_applied_by_the_pair(engine: Engine) -> None:
    """The run that sent the next main was interrupted before it moved the label."""  # R15 R32
    _request_another_main(engine)
    engine.up()
    SecretsManager(aws=AWS).tag(engine.id, {SENT_TAG: "1 2 3"})
    assert engine.up() == "update"
    assert engine.outputs is not None
    assert engine.outputs["desired"]["main"] == "certificate 3"
    assert engine.up() == "unchanged"


def test_the_devices_that_a_distrusted_main_cuts_off_are_named(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The message has the number of devices, and their enrollment ids or the file with them."""  # R32 R39
    _request_another_main(engine)
    made = ServerSettings.definition

    def distrusting(self: ServerSettings, **offers: Any) -> PairDefinition:
        found = made(self, **offers)
        return replace(found, distrust=frozenset({str(found.confirm_main)}))

    monkeypatch.setattr(ServerSettings, "definition", distrusting)
    engine.program["fleet"] = {
        "profile": {"identifier": "com.example.trust"},
        "channel": {"nanomdm": {"url": "https://nanomdm.example.com", "apiKeySecret": "mdm/api-key"}},
        "devices": ["AAAA-1", "AAAA-2"],
    }
    capsys.readouterr()
    assert engine.checked_inputs()["desired"]["main"] == "certificate 3"
    shown = capsys.readouterr().err
    assert "all 2 devices lose their connection from the time the server presents the next main" in shown
    assert "2 devices lose their connection until they get the next profile: AAAA-1, AAAA-2" in shown
    file = tmp_path / "key.txt"
    file.write_text("hunter2", encoding="ascii")
    engine.program["fleet"]["devices"] = {"file": str(file)}
    assert engine.checked_inputs()["desired"]["main"] == "certificate 3"
    shown = capsys.readouterr().err
    assert f"1 devices lose their connection until they get the next profile: {file} names them" in shown
    assert "hunter2" not in shown
