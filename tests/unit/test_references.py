"""What a client can name, and what it cannot."""

from itertools import combinations

from myaccount.ledger.references import AccountId, AccountsOf, OutsideOf, Reference, UserCurrency


def test_references_of_two_kinds_are_never_the_same() -> None:
    """Else a client that has an account `CNY`, or only names one, could pay from the outside world."""
    same_text: list[Reference] = ["CNY", AccountId("CNY"), OutsideOf("CNY"), AccountsOf("CNY")]
    same_text.append(UserCurrency("CNY", "CNY"))
    for one, other in combinations(same_text, 2):
        assert one != other
    assert len(set(same_text)) == len(same_text)
