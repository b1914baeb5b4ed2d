"""The embedded default on other systems: run without what Windows lacks, and by checks of the code."""

import ast
import json
import signal
import urllib.request
from pathlib import Path

import pytest
import yaml

from myaccount.settings.paths import resource

from ..helpers.servers import START_SECONDS, free_port, wait_until
from ..helpers.services import CHECKOUT, Service, Start, run_command
from ..unit.test_architecture import PACKAGE

WINDOWS = ("python3", "-X", "warn_default_encoding", "tests/helpers/windows.py")


def _use(service: Service) -> None:
    for name in ("u1", "u2"):
        fields = {"userName": "张三", "sex": "F", "cardNum": "6222999999", "accountType": "01"}
        assert service.post("/openacc", userId=name, accountId=name, **fields) == {"result": 1}
    assert service.post("/recharge", orderId="r", userId="u1", amount="10") == {"result": 1}
    assert service.post("/transfer", orderId="t", fromuserId="u1", touserId="u2", amount="4") == {"result": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_it_serves_without_what_windows_lacks_and_stops_at_ctrl_c_and_ctrl_break(
    start: Start, number: signal.Signals
) -> None:
    """SIGQUIT stands for Windows' SIGBREAK."""
    service = start(*WINDOWS, metrics={"port": free_port()})
    _use(service)
    # The messages are written, and the callback to the service itself was made.
    wait_until(lambda: json.loads(service.get("/messages?userId=u1"))["unread"] == 3, START_SECONDS)
    assert service.end(number) == 0, service.output.read_text("utf-8")
    assert "Traceback" not in service.output.read_text("utf-8")


def test_the_commands_work_without_what_windows_lacks(start: Start, tmp_path: Path) -> None:
    service = start(*WINDOWS)
    _use(service)
    copy = tmp_path / "copy.db"
    for words in (["check"], ["events"], ["verify"], ["migrate"], ["migrate", "--sql"], ["backup", str(copy)]):
        done = run_command(*WINDOWS, *words, "-c", str(service.configuration))
        assert done.returncode == 0, done.stderr
    assert copy.stat().st_size > 0
    second = run_command(*WINDOWS, "-c", str(service.configuration))
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert "already" in line


def test_the_types_of_files_do_not_come_from_the_registry(start: Start) -> None:
    service = start(*WINDOWS)
    for name, type_ in (("style.css", "css"), ("form.js", "javascript")):
        with urllib.request.urlopen(f"{service.address}/static/{name}", timeout=10) as response:  # noqa: S310
            assert response.headers.get_content_subtype() == type_


def test_a_path_may_have_letters_that_the_console_lacks(start: Start, tmp_path: Path) -> None:
    configuration = tmp_path / "配置.yaml"
    settings = {"port": free_port(), "sqlite_file": f"{tmp_path}/账本.db", "log_folder": f"{tmp_path}/日志"}
    configuration.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8-sig")
    output = tmp_path / "output.txt"
    environment = {"PYTHONIOENCODING": "ascii"}
    service = Service(
        [*WINDOWS, "-c", str(configuration)], CHECKOUT, configuration, output, environment, fresh=True
    )
    try:
        wait_until(service.answers, START_SECONDS)
        assert service.end(signal.SIGINT) == 0
    finally:
        service.process.kill()
        service.process.wait()
    assert (tmp_path / "账本.db").exists()
    assert r"\u8d26\u672c.db" in output.read_text("utf-8")


SOURCES = [*PACKAGE.rglob("*.py"), *resource("sql").rglob("*.py")]
OPENING = ("open", "read_text", "write_text", "fdopen", "TextIOWrapper")


def _calls(file: Path) -> list[tuple[str, ast.Call]]:
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return [(ast.unparse(call.func).rpartition(".")[2], call) for call in calls]


def _is_text_without_encoding(name: str, call: ast.Call) -> bool:
    if name not in OPENING or ast.unparse(call.func) == "os.open":
        return False
    words = [ast.unparse(word) for word in call.args] + [word.arg or "" for word in call.keywords]
    return not any(word in ("encoding", "'utf-8'", "'utf-8-sig'") or word.endswith("b'") for word in words)


def _joins_with_a_slash(name: str, call: ast.Call) -> bool:
    """Whether a path is built from text."""
    made = [word for word in call.args if isinstance(word, ast.JoinedStr | ast.BinOp)]
    parts = [part.value for word in made for part in ast.walk(word) if isinstance(part, ast.Constant)]
    return name in ("Path", "open", "joinpath", "connect") and any("/" in str(part) for part in parts)


def test_no_file_is_opened_in_the_user_s_encoding_and_no_path_is_built_from_text() -> None:
    wrong = [
        f"{file.name}:{call.lineno}"
        for file in SOURCES
        for name, call in _calls(file)
        if _is_text_without_encoding(name, call) or _joins_with_a_slash(name, call)
    ]
    assert wrong == []


def test_the_checks_of_the_code_find_faults() -> None:
    assert _is_text_without_encoding("open", ast.parse("open(file)").body[0].value)  # type: ignore[attr-defined]
    assert not _is_text_without_encoding("open", ast.parse("file.open('ab')").body[0].value)  # type: ignore[attr-defined]
    assert _joins_with_a_slash("Path", ast.parse("Path(f'{a}/b')").body[0].value)  # type: ignore[attr-defined]
    assert not _joins_with_a_slash("Path", ast.parse("Path('a/b')").body[0].value)  # type: ignore[attr-defined]
