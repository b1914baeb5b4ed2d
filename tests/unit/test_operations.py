"""Each operation has one definition, and routes, scopes, error codes and examples agree with it."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from myaccount.access.callers import ANYBODY
from myaccount.access.scopes import OWN
from myaccount.controller import (
    account_settings,
    accounts,
    audit_page,
    bulk_orders,
    holds,
    messages,
    orders,
    stream,
    teams,
    user_tokens,
)
from myaccount.controller import operation as operation_module
from myaccount.controller.body import form_fields
from myaccount.controller.common_fields import ORDER_ID, USER_ID
from myaccount.controller.operation import Operation, Texts
from myaccount.errors import InvalidRequest
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Hold, Recharge, Transfer
from myaccount.ledger.references import AccountId, UserCurrency
from myaccount.problems import STATUS_BY_CODE
from myaccount.routes import COMMANDS, OPERATIONS, QUERIES, setup_routes
from myaccount.settings.loading import LISTENER_TEST_PATH

# The contract's scopes, any of which will do. Which one an order needs depends on its content.
SCOPES = {
    "/openacc": ("accounts:open",),
    "/addaccount": ("accounts:open",),
    "/queryacc": ("accounts:read", OWN),
    "/freeze": ("accounts:manage",),
    "/close": ("accounts:manage",),
    "/limit": ("accounts:manage",),
    "/accountlog": ("accounts:read",),
    "/recharge": ("money:in",),
    "/transfer": ("money:move",),
    "/withdraw": ("money:out",),
    "/refund": ("money:move", "money:in"),
    "/hold": ("money:move", "money:out"),
    "/capture": ("money:move", "money:out"),
    "/release": ("money:move",),
    "/extend": ("money:move",),
    "/bulk": ("money:in", "money:move", "money:out"),
    "/querorder": ("orders:read", OWN),
    "/messages": ("messages:read", OWN),
    "/teammessages": ("messages:read",),
    "/messages/read": ("messages:read", OWN),
    "/messages/stream": ("messages:read", OWN),
    "/team": ("messages:write",),
    "/teammessage": ("messages:write",),
    "/usertoken": ("tokens",),
    "/audit": ("operate",),
}


def _path(operation: Operation[Any]) -> str:
    return operation.path


def _paths(method: str) -> set[str]:
    app = web.Application()
    setup_routes(app)
    resources = [route.resource for route in app.router.routes() if route.method == method]
    return {resource.canonical for resource in resources if resource is not None}


def test_every_operation_is_registered() -> None:
    modules = (
        account_settings,
        accounts,
        audit_page,
        bulk_orders,
        holds,
        messages,
        orders,
        stream,
        teams,
        user_tokens,
    )
    defined = [value for module in modules for value in vars(module).values() if isinstance(value, Operation)]
    assert {id(operation) for operation in defined} == {id(operation) for operation in OPERATIONS}


def test_each_post_route_but_the_listener_test_is_an_operation_and_each_operation_has_a_route() -> None:
    paths = {operation.path for operation in OPERATIONS}
    assert _paths("POST") - {LISTENER_TEST_PATH} <= paths
    assert paths <= _paths("POST") | _paths("GET")
    assert len(paths) == len(OPERATIONS)


def test_each_operation_has_the_scope_of_the_contract() -> None:
    assert {operation.path: operation.scopes for operation in OPERATIONS} == SCOPES


@pytest.mark.parametrize("operation", OPERATIONS, ids=_path)
def test_each_error_has_a_code_that_is_explained(operation: Operation[Any]) -> None:
    assert {error.code for error in operation.errors} <= STATUS_BY_CODE.keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=_path)
def test_the_examples_pass_the_operations_own_checks(operation: Operation[Any]) -> None:
    for name, field in operation.fields.items():
        assert field.example, name
        if name == "orders":
            field.kind.parse(json.loads(field.example))
            continue
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


PAYMENT = {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "1.50"}
AMOUNT = Amount(150, 2)


def _order(**changes: str | None) -> dict[str, str]:
    return {name: value for name, value in {**PAYMENT, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        (_order(), Transfer("t1", "u1", "u2", AMOUNT)),
        (
            _order(currency="CNY"),
            Transfer("t1", UserCurrency("u1", "CNY"), UserCurrency("u2", "CNY"), AMOUNT, currency="CNY"),
        ),
        (
            _order(fromuserId=None, fromaccountId="a1", currency="CNY"),
            Transfer("t1", AccountId("a1"), UserCurrency("u2", "CNY"), AMOUNT, currency="CNY"),
        ),
        (
            _order(touserId=None, toaccountId="a2", note="Two coffees", reference="7"),
            Transfer("t1", "u1", AccountId("a2"), AMOUNT, note="Two coffees", reference="7"),
        ),
    ],
)
def test_an_order_names_users_or_accounts(fields: Mapping[str, str], command: Transfer) -> None:
    assert orders.TRANSFER.parse(fields) == command


def test_a_hold_may_have_no_payee() -> None:
    fields = {"orderId": "h1", "fromuserId": "u1", "amount": "1.50"}
    assert holds.HOLD.parse(fields) == Hold("h1", "u1", None, AMOUNT)
    assert holds.HOLD.parse(fields | {"touserId": "u2"}) == Hold("h1", "u1", "u2", AMOUNT)


@pytest.mark.parametrize(
    ("operation", "changes", "field", "detail"),
    [
        (orders.TRANSFER, {"fromuserId": None}, "fromuserId", "Send fromuserId or fromaccountId."),
        (orders.TRANSFER, {"toaccountId": "a2"}, "toaccountId", "Send touserId or toaccountId, not both."),
        (holds.HOLD, {"toaccountId": "a2"}, "toaccountId", "Send touserId or toaccountId, not both."),
        (holds.HOLD, {"touserId": None, "fromuserId": None}, "fromuserId", "Send fromuserId or fromaccountId."),
        (orders.TRANSFER, {"amount": None}, "amount", "The field amount is missing."),
        (
            orders.TRANSFER,
            {"fromUserId": "u1"},
            "fromUserId",
            "There is no field 'fromUserId' here: did you mean fromuserId? The fields are orderId, fromuserId, "
            "fromaccountId, touserId, toaccountId, amount, currency, note, reference.",
        ),
    ],
)
def test_of_a_pair_one_field_is_sent(
    operation: Operation[Any], changes: dict[str, str | None], field: str, detail: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        operation.parse(_order(**changes))
    assert (refused.value.field, str(refused.value)) == (field, detail)


def test_more_arguments_may_be_given_that_no_client_can_send() -> None:
    fields = {"orderId": "r1", "userId": "u1", "amount": "1.50"}
    assert orders.RECHARGE.parse(fields, bulk_id="b1") == Recharge("r1", "u1", AMOUNT, bulk_id="b1")


def test_a_value_becomes_the_argument_with_the_fields_name_or_the_one_that_is_given() -> None:
    fields = {
        "orderId": ORDER_ID,
        "userId": USER_ID._replace(argument="payer"),
        "note": USER_ID._replace(default=7),
    }
    made: Operation[dict[str, object]] = Operation("/x", dict, fields, Texts("", "", "", ""), scopes=())
    assert made.parse({"userId": "u1", "orderId": "o1"}) == {"order_id": "o1", "payer": "u1", "note": 7}
    assert (made.names_of("payer"), made.names_of("user_id")) == (["userId"], [])


VALUES = st.sampled_from(
    ["u1", "12.34", "0", "1e5", ".5", "x" * 45, "x" * 46, "", "a=b", "=", "~!$'(),;", "a b", "\x00", "é", "用户"]
) | st.text(max_size=3)


@st.composite
def _forms(draw: st.DrawFn) -> tuple[Operation[Any], bytes]:
    """Return a form as nearly all are: most with the required fields in their order, many with plain values."""
    operation = draw(st.sampled_from([*COMMANDS, *QUERIES]))
    firsts = {first for first, _ in operation.either}
    names = [name for name in operation.fields if name in operation._required | firsts]
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from([*names, *operation.fields, "other"]), max_size=6))
    values = {name: operation.fields[name].example for name in operation.fields}
    for name in draw(st.lists(st.sampled_from(names), max_size=2)) if names else ():
        values[name] = draw(VALUES)
    form = "&".join(f"{name}={values.get(name, '')}" for name in names)
    return operation, form.encode("utf-8", "surrogatepass") + draw(
        st.sampled_from([b"", b"", b"&", b"%41", b"+", b"\xff", b"\n"])
    )


def _outcome(make: Callable[[], object]) -> object:
    try:
        return make()
    except InvalidRequest as error:
        return str(error), error.field


@given(_forms())
def test_a_usual_form_means_what_its_fields_mean(sent: tuple[Operation[Any], bytes]) -> None:
    operation, body = sent
    more = COMMANDS[operation](ANYBODY) if operation in COMMANDS else {}
    expected = _outcome(lambda: operation.parse(form_fields(body), **more))
    assert _outcome(lambda: operation.parse_form(body, **more)) == expected


@pytest.mark.parametrize("operation", OPERATIONS, ids=_path)
def test_what_is_plain_is_parsed_as_it_is(operation: Operation[Any]) -> None:
    for name, field in operation.fields.items():
        for value in ("u1", "!" * 45, "~"):
            if field.kind.plain and re.fullmatch(field.kind.plain, value):
                assert field.kind.parse(value) == value, name


def test_a_usual_form_is_parsed_by_its_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_module, "form_fields", None)
    body = b"orderId=t1&fromuserId=u1&touserId=u2&amount=1.50"
    assert orders.TRANSFER.parse_form(body) == Transfer("t1", "u1", "u2", AMOUNT)
    assert orders.QUERY_ORDER.parse_form(b"orderId=t1") == "t1"


def test_a_usual_form_with_a_wrong_value_names_its_field() -> None:
    with pytest.raises(InvalidRequest) as refused:
        orders.TRANSFER.parse_form(b"orderId=t1&fromuserId=u1&touserId=u2&amount=.5")
    assert refused.value.field == "amount"
