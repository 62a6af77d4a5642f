# SPDX-License-Identifier: Apache-2.0
"""The script that gives a host its own secrets, on files in a scratch directory."""

import importlib.machinery
import importlib.util
import json
import stat
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "ansible/roles/personalise/files/personalise"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("personalise", str(SCRIPT))
    spec = importlib.util.spec_from_loader("personalise", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    for name, value in {
        "CURRENT": tmp_path / "identity.json",
        "WANTED": tmp_path / "identity.new.json",
        "SERVICES": tmp_path / "services.json",
    }.items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "etc").mkdir()
    (tmp_path / "services.json").write_text(json.dumps({"nova": {"secrets_in": [str(tmp_path / "etc")]}}))
    (tmp_path / "identity.json").write_text(json.dumps({"nova_service_password": "oldsecret"}))
    (tmp_path / "identity.new.json").write_text(json.dumps({"nova_service_password": "newsecret"}))
    return module


def test_files_are_replaced_and_keep_their_modes(script: ModuleType, tmp_path: Path) -> None:
    conf = tmp_path / "etc/nova.conf"
    conf.write_text("password = oldsecret\nother = 1\n")
    conf.chmod(0o640)
    script.main("files")
    assert conf.read_text() == "password = newsecret\nother = 1\n"
    assert stat.S_IMODE(conf.stat().st_mode) == 0o640
    assert json.loads((tmp_path / "identity.json").read_text()) == {"nova_service_password": "newsecret"}


def test_a_kill_in_the_middle_is_repaired_by_the_next_run(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"etc/{number}.conf").write_text("password = oldsecret\n")
    real, calls = script.write_like, []

    def killed(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(script, "write_like", killed)
    with pytest.raises(KeyboardInterrupt):
        script.main("files")
    monkeypatch.setattr(script, "write_like", real)
    script.main("files")
    assert {path.read_text() for path in (tmp_path / "etc").iterdir()} == {"password = newsecret\n"}


def test_a_key_of_the_image_is_no_clouds_key(script: ModuleType, tmp_path: Path) -> None:
    key = tmp_path / "etc/key"
    key.write_text("as baked\n")
    key.chmod(0o640)
    script.renew_keys((tmp_path / "etc").glob("key"))
    assert len(key.read_bytes()) == 44
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    script.renew_keys((tmp_path / "not there").glob("key"))


def test_a_controller_without_machines_is_not_asked_for_their_user(script: ModuleType) -> None:
    services = {"nova": {"databases": ["nova"]}, "machines": {"databases": ["machines"]}, "rack": {}}
    statements = script.database_users(services, {f"{name}_database_password": "secret" for name in services})
    assert len(statements) == 2
    assert all(statement.startswith("ALTER USER IF EXISTS ") for statement in statements)
