"""The torture's own count of what is alive: it must be right where everything else may be wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.torture.slots.seats import Board, Seats
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[3]
SLOW_SITTER = """
    import sys, time
    from pathlib import Path
    from tests.torture.slots.seats import Board, Seats

    write = Board.write
    def slowly(*arguments):
        time.sleep(0.3)
        write(*arguments)
    Board.write = slowly
    Seats(Path(sys.argv[1])).take("new")
    print("seated", flush=True)
    sys.stdin.read()
"""


def test_a_seat_never_shows_the_name_of_the_one_before(tmp_path: Path) -> None:
    seats = Seats(tmp_path)
    seats.create()
    Board(tmp_path / "sitters").write(0, "old")
    assert list(seats.alive()) == []
    sitter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW_SITTER), str(tmp_path)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert eventually(seats.alive) == {"new": sitter.pid}
    finally:
        sitter.communicate()
    assert list(seats.alive()) == []
