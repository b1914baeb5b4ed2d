"""The mutations of `make mutants` name code that is there. Whether tests see them takes longer to find out."""

from pathlib import Path

from tests.mutants.mutations import MUTATIONS

CHECKOUT = Path(__file__).resolve().parents[2]


def test_each_mutation_s_text_is_in_its_file_once() -> None:
    counts = {(m.file, m.text): (CHECKOUT / m.file).read_text("utf-8").count(m.text) for m in MUTATIONS}
    assert {place: count for place, count in counts.items() if count != 1} == {}


def test_each_mutation_s_tests_are_there() -> None:
    places = {place.partition("::")[::2] for mutation in MUTATIONS for place in mutation.tests.split()}
    assert [place for place in places if f"def {place[1]}" not in (CHECKOUT / place[0]).read_text("utf-8")] == []


def test_each_mutation_is_python() -> None:
    """Else its tests do not start, which says nothing."""
    for m in MUTATIONS:
        mutated = (CHECKOUT / m.file).read_text("utf-8").replace(m.text, m.replacement)
        if m.file.endswith(".py"):
            compile(mutated, m.file, "exec", dont_inherit=True)
