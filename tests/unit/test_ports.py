"""The ports of the tests' services."""

from ..helpers.servers import PORTS_EACH, ports


def test_no_two_that_test_have_the_same_ports() -> None:
    one, other = ports(), ports()
    assert {next(one) for _ in range(2 * PORTS_EACH)}.isdisjoint(next(other) for _ in range(2 * PORTS_EACH))


def test_a_port_comes_again_only_after_all_others() -> None:
    mine = ports()
    assert len({next(mine) for _ in range(PORTS_EACH)}) == PORTS_EACH
