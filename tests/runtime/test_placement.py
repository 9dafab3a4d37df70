from run_isolation.placement import place

SUBNETS = ["a", "b", "c"]


def test_as_asked_then_on_demand_then_zone_by_zone() -> None:
    placements = [place(attempt, SUBNETS) for attempt in range(1, 8)]

    assert [each.as_asked for each in placements] == [True] + [False] * 6
    assert [each.subnets for each in placements] == [
        SUBNETS,
        SUBNETS,
        ["a"],
        ["b"],
        ["c"],
        ["a"],
        ["b"],
    ]


def test_no_subnets() -> None:
    assert place(5, []).subnets == []
