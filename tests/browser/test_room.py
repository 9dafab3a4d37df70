"""The toggle takes part in the layout of Dagster's page: neither covers or cuts the other.

Whatever the toggle shows, and however wide the window is. One page, resized: what the toggle is
told of slots is what its endpoint answers in each state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Route

from run_isolation.dagster.toggle.endpoints import HeldSlot, SlotState
from tests.browser.conftest import NewPerson
from tests.browser.person import Person, expect, set_tag
from tests.browser.test_assets import ASSET, materialize
from tests.browser.test_page import rewrite

pytestmark = pytest.mark.browser

WIDTHS = (800, 1024, 1280, 1440, 1920)
HEIGHT = 760
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

SLOTS = "**/run_isolation/slots?**"
HISTORY = "**/run_isolation/history?**"

FREE = SlotState(state="free", limit=1)
ONE = HeldSlot(run_id="c1166900-1", location="probe", since="2026-01-01T10:21:00+00:00")
FULL = SlotState(state="full", limit=1, held=1, holders=[ONE])
MANY = SlotState(
    state="full",
    limit=30,
    held=30,
    holders=[ONE.model_copy(update={"location": "marketing_attribution" * 3})] * 3,
)
ABSENT, UNKNOWN = SlotState(state="absent"), SlotState(state="unknown")
PAST = {"runs": 5, "peak_mib": 212, "seconds": 1, "fits": True, "shared_start_seconds": 1.1}

MEASURE = """async () => {
  // The browser has drawn what there is.
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const ours = document.querySelector('.run-isolation, .run-isolation-banner');
  const name = (e) => `${e.tagName} "${e.textContent.trim().slice(0, 40)}"`;
  /** What is to be seen of an element, as far as what it is in shows it. */
  const seen = (e) => {
    let {left, top, right, bottom} = e.getBoundingClientRect();
    for (let p = e.parentElement; p; p = p.parentElement) {
      if (getComputedStyle(p).overflow === 'visible') continue;
      const frame = p.getBoundingClientRect();
      [left, top] = [Math.max(left, frame.left), Math.max(top, frame.top)];
      [right, bottom] = [Math.min(right, frame.right), Math.min(bottom, frame.bottom)];
    }
    [right, bottom] = [Math.min(right, innerWidth), Math.min(bottom, innerHeight)];
    return {left, top, right, bottom, is: right - left >= 2 && bottom - top >= 2};
  };
  const hit = (e, box) => {
    const found = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return e.contains(found) ? '' : found ? name(found) : 'nothing';
  };
  const ofAText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const launchpad = ours.closest('[role="dialog"]') ?? document.querySelector('#__next');
  const theirs = [...launchpad.querySelectorAll('*')].filter(
    (e) =>
      !ours.contains(e) && !e.contains(ours) && e.checkVisibility() &&
      (e.matches('button, a, label, input, .BaseTag') || ofAText(e)),
  );
  const problems = [];
  let looked = 0;
  for (const e of theirs) {
    const box = seen(e);
    if (!box.is) continue;
    looked++;
    for (const part of [ours, ...ours.querySelectorAll('*')]) {
      const p = part.getBoundingClientRect();
      const beside = p.left >= box.right || box.left >= p.right;
      if (p.width && !beside && p.top < box.bottom && box.top < p.bottom) {
        problems.push(`${name(e)} is in the same place as our ${name(part)}`);
      }
    }
    // The editor draws a layer above its text.
    const covering = e.closest('.CodeMirror') ? '' : hit(e, box);
    if (covering) problems.push(`${name(e)} is covered by ${covering}`);
  }
  for (const e of ours.querySelectorAll('label, .lines, .lines > div, a, svg, span, button')) {
    const box = seen(e);
    const whole = e.getBoundingClientRect();
    if (!whole.width && e.matches('.lines')) continue;
    const cut = ['left', 'top', 'right', 'bottom'].some((s) => Math.abs(whole[s] - box[s]) > 0.5);
    const covering = hit(e, box);
    if (cut) problems.push(`our ${name(e)} is cut off`);
    if (covering) problems.push(`our ${name(e)} is covered by ${covering}`);
    const over = e.clientWidth && e.scrollWidth > e.clientWidth + 1;
    if (over) problems.push(`our ${name(e)} runs over`);
  }
  return {problems, looked};
}"""


class Told:
    """What the toggle is told of the slots of its deployment."""

    def __init__(self, person: Person) -> None:
        self.state: SlotState | None = FREE
        person.page.route(SLOTS, self._answer)
        person.page.route(HISTORY, lambda route: route.fulfill(json=PAST))

    def _answer(self, route: Route) -> None:
        if self.state is None:
            route.abort()
        else:
            route.fulfill(json=json.loads(self.state.model_dump_json()))


def states(person: Person, told: Told) -> Iterator[str]:
    """Brings the toggle of the open Launchpad into each of its states."""
    expect(person.toggle).to_be_checked()
    yield "offered"
    person.chooses(isolate=False)
    yield "unchecked"
    told.state = FULL
    expect(person.lines).to_contain_text("of probe since")
    yield "at the limit"
    told.state = MANY
    expect(person.lines).to_contain_text("and 27 more.")
    yield "at a limit of many"
    told.state = None
    expect(person.lines).to_contain_text("is not known just now")
    yield "unknown"
    told.state = FREE
    for value in ("disabled", "non-isolated", "a" * 40):
        set_tag(person, "dagster/isolation", value)
        expect(person.lines).to_contain_text(f"Tag dagster/isolation is '{value}'")
        yield f"tagged {value}"


def assert_room(person: Person, what: str) -> None:
    """At each width, in both themes. `what` is the state, for the report."""
    for width in WIDTHS:
        person.page.set_viewport_size({"width": width, "height": HEIGHT})
        for theme in THEMES:
            person.page.emulate_media(color_scheme=theme)
            measured = measure(person)
            assert measured["problems"] == [], (what, width, theme)
            assert measured["looked"] > 20


def measure(person: Person) -> Any:
    return person.page.evaluate(MEASURE)


def test_in_the_launchpad_of_a_job(person: Person) -> None:
    told = Told(person)
    person.opens_launchpad("steps_job")
    for state in states(person, told):
        assert_room(person, state)


def test_in_the_launchpad_of_assets(person: Person) -> None:
    told = Told(person)
    person.goes_to(ASSET)
    materialize(person).click(modifiers=["Shift"])
    for state in states(person, told):
        assert_room(person, state)


def test_beside_errors_of_the_config(person: Person) -> None:
    """The button may not be pressed, and Dagster offers to remove what is too much."""
    told = Told(person)
    told.state = MANY
    config = "ops: {work: {config: {seconds: soon}}, nothing: {}}"
    person.goes_to(f"/locations/probe/jobs/steps_job/playground/setup?config={quote(config)}")
    expect(person.page.get_by_text('Received unexpected config entry "nothing"')).to_be_visible()
    expect(person.lines).to_contain_text("and 27 more.")
    assert_room(person, "errors")


def test_the_launch_button_stays_where_it_is(person: Person) -> None:
    """Whether there is a toggle or none, and however much it says."""
    told = Told(person)
    told.state = ABSENT
    with person.page.expect_response(SLOTS):
        person.opens_launchpad()
    without = person.launch_button.bounding_box()
    said = {"offered": FREE, "of probe since": FULL, "and 27 more.": MANY, "not known": UNKNOWN}
    for text, state in said.items():
        told.state = state
        expect(person.lines).to_contain_text("" if state is FREE else text)
        expect(person.toggle).to_be_checked()
        assert person.launch_button.bounding_box() == without, text
    told.state = ABSENT
    expect(person.toggle).to_have_count(0)
    assert person.launch_button.bounding_box() == without


def test_what_is_said_comes_before_the_toggle_and_the_button_by_keyboard(person: Person) -> None:
    told = Told(person)
    told.state = FULL
    person.opens_launchpad()
    link = person.lines.get_by_role("link")
    person.launch_button.focus()
    person.page.keyboard.press("Shift+Tab")
    expect(link).to_be_focused()
    told.state = FREE
    expect(person.toggle).to_be_enabled()
    person.launch_button.focus()
    person.page.keyboard.press("Shift+Tab")
    expect(person.toggle).to_be_focused()


def test_the_banner_takes_part_too(new_person: NewPerson) -> None:
    person = new_person()
    rewrite(person, "Launch Run", "Start it")
    person.goes_to("/locations/probe/jobs/steps_job/playground")
    expect(person.banner).to_be_visible()
    button = person.page.get_by_role("button", name="Start it")
    for width in WIDTHS:
        person.page.set_viewport_size({"width": width, "height": HEIGHT})
        ours = [each for each in measure(person)["problems"] if "our" in each or "choice" in each]
        assert ours == [], width
        box = button.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] == HEIGHT - 12
