"""Each operation has one definition, and routes, scopes, error codes and examples agree with it."""

import re
from typing import Any

import pytest
from aiohttp import web

from myaccount.controller import accounts, messages, orders, stream, teams
from myaccount.controller.operation import Operation
from myaccount.problems import STATUS_BY_CODE
from myaccount.routes import setup_routes
from myaccount.settings.loading import LISTENER_TEST_PATH

OPERATIONS = [
    value
    for module in (accounts, messages, orders, stream, teams)
    for value in vars(module).values()
    if isinstance(value, Operation)
]

# The contract's scopes of today's operations.
SCOPES = {
    "/openacc": "accounts:open",
    "/queryacc": "accounts:read",
    "/recharge": "money:in",
    "/transfer": "money:move",
    "/querorder": "orders:read",
    "/messages": "messages:read",
    "/teammessages": "messages:read",
    "/messages/read": "messages:read",
    "/messages/stream": "messages:read",
    "/team": "messages:write",
    "/teammessage": "messages:write",
}


def _path(operation: Operation[Any]) -> str:
    return operation.path


def _paths(method: str) -> set[str]:
    app = web.Application()
    setup_routes(app)
    resources = [route.resource for route in app.router.routes() if route.method == method]
    return {resource.canonical for resource in resources if resource is not None}


def test_each_post_route_but_the_listener_test_is_an_operation_and_each_operation_has_a_route() -> None:
    paths = {operation.path for operation in OPERATIONS}
    assert _paths("POST") - {LISTENER_TEST_PATH} <= paths
    assert paths <= _paths("POST") | _paths("GET")
    assert len(paths) == len(OPERATIONS)


def test_each_operation_has_the_scope_of_the_contract() -> None:
    assert {operation.path: operation.scope for operation in OPERATIONS} == SCOPES


@pytest.mark.parametrize("operation", OPERATIONS, ids=_path)
def test_each_error_has_a_code_that_is_explained(operation: Operation[Any]) -> None:
    assert {error.code for error in operation.errors} <= STATUS_BY_CODE.keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=_path)
def test_the_examples_pass_the_operations_own_checks(operation: Operation[Any]) -> None:
    for name, field in operation.fields.items():
        assert field.example, name
        # Some examples show several values, or one for each language: "F, M / 男, 女".
        for value in re.split(" / |, ", field.example):
            # Raises ValueError if the value is refused.
            field.kind.parse(value)


@pytest.mark.parametrize("operation", OPERATIONS, ids=_path)
def test_each_operation_and_field_is_named_in_both_languages(operation: Operation[Any]) -> None:
    texts = operation.texts
    for chinese, english in [
        (texts.chinese, texts.english),
        (texts.chinese_purpose, texts.english_purpose),
        *[(field.chinese, field.english) for field in operation.fields.values()],
    ]:
        assert chinese
        assert english
        assert english.isascii()
