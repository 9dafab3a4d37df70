"""The table of rights in docs/operations.md is what the program grants and an e2e run has used."""

from __future__ import annotations

from tests.rights import record
from tests.rights.page import PAGE, with_table


def test_the_table_of_rights_is_what_the_record_gives() -> None:
    text = PAGE.read_text()
    assert text == with_table(text, record.read()), "`make rights` writes docs/operations.md"
