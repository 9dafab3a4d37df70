// @ts-check
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {look, pastLine} from '../../runtime/run_isolation/dagster/toggle/page/words.js';

/** @import {Slots} from '../../runtime/run_isolation/dagster/toggle/page/types.js' */

/** @type {Slots} */
const FREE = {state: 'free'};

test('a free slot: what the person has chosen', () => {
  assert.deepEqual(look(FREE, null, true, null), {checked: true, disabled: false, lines: []});
  assert.deepEqual(look(FREE, null, false, null), {checked: false, disabled: false, lines: []});
});

test('nothing is offered: no toggle, whatever was chosen', () => {
  assert.equal(look({state: 'absent'}, {runs: 5, seconds: 3}, false, 'disabled'), null);
  assert.equal(look({state: 'absent'}, null, false, 'non-isolated'), null);
});

test('the tag asks: unchecked, and not to be changed here', () => {
  const shown = look(FREE, null, true, 'disabled');
  assert.deepEqual([shown?.checked, shown?.disabled], [false, true]);
  assert.match(String(shown?.lines[0]), /^This run will not be isolated, .* is 'disabled'.*Remove/);
});

test('the tag says anything else: checked, and not to be changed here, free slot or not', () => {
  for (const value of ['non-isolated', 'Disabled', ' disabled', 'enabled', 'false', '']) {
    for (const state of /** @type {const} */ (['free', 'full', 'unknown'])) {
      const shown = look({state}, {runs: 1, seconds: 3}, false, value);
      assert.deepEqual([shown?.checked, shown?.disabled], [true, true]);
      const reason =
        `Tag dagster/isolation is '${value}'; only 'disabled' asks for a run without its own task.`;
      assert.deepEqual(shown?.lines, [
        [`This run will be isolated. ${reason} Remove the tag to choose here.`],
        ['last run: 3 s'],
      ]);
    }
  }
});

test('the tag asks, and no slot is free: who holds them', () => {
  const shown = look({state: 'full', held: 1}, null, false, 'disabled');
  assert.deepEqual([shown?.checked, shown?.disabled], [true, true]);
  assert.match(String(shown?.lines[0]), /^No slot is free/);
});

test('no slot is free: checked, greyed, and who holds them', () => {
  const since = new Date(2020, 2, 1, 10, 21).toISOString();
  const holders = [
    {run_id: 'r1', location: 'sales', since},
    {run_id: 'r2', location: 'research', since: new Date().toISOString()},
  ];
  const shown = look({state: 'full', held: 4, holders}, null, false, null);
  assert.equal(shown?.checked, true);
  assert.equal(shown?.disabled, true);
  const line = shown?.lines[0] ?? [];
  assert.deepEqual(line.filter((part) => typeof part !== 'string'), [{run: 'r1'}, {run: 'r2'}]);
  const text = line.map((part) => (typeof part === 'string' ? part : part.run)).join('');
  assert.match(text, /^No slot is free: held by r1 of sales since .*Mar.*10:21.*, r2 of research/);
  assert.match(text, / and 2 more\.$/);
  // Of today the hour is enough.
  assert.doesNotMatch(text.slice(text.indexOf('research')), /[A-Z][a-z]{2}.*,/);
});

test("no slot of the code location's own limit is free: says so", () => {
  const holders = [{run_id: 'r1', location: 'sales', since: ''}];
  const shown = look({state: 'full', location: 'sales', held: 1, holders}, null, false, null);
  const said = ['No slot of sales is free: held by ', {run: 'r1'}, ' of sales', '.'];
  assert.deepEqual(shown?.lines, [said]);
});

test('a time that can not be read is left out', () => {
  const holders = [{run_id: 'r1', location: 'sales', since: 'yesterday'}];
  const shown = look({state: 'full', held: 1, holders}, null, true, null);
  assert.deepEqual(shown?.lines, [['No slot is free: held by ', {run: 'r1'}, ' of sales', '.']]);
});

test('the table does not answer: checked and greyed', () => {
  const shown = look({state: 'unknown'}, null, false, 'disabled');
  assert.deepEqual([shown?.checked, shown?.disabled], [true, true]);
});

for (const [history, line] of /** @type {const} */ ([
  [{runs: 0}, ''],
  [{runs: 2}, ''],
  [{runs: 1, seconds: 3.2}, 'last run: 3 s'],
  [{runs: 5, seconds: 0.2}, 'last 5 runs: 1 s'],
  [{runs: 5, seconds: 240}, 'last 5 runs: 4 min'],
  [{runs: 5, seconds: 7200}, 'last 5 runs: 2.0 h'],
  [
    {runs: 5, seconds: 3, peak_mib: 212, fits: true, shared_start_seconds: 1.2},
    'last 5 runs: peak 212 MiB, 3 s · shared: starts in about 1 s, fits',
  ],
  [{runs: 2, peak_mib: 700, fits: true}, 'last 2 runs: peak 700 MiB · shared: fits'],
  [{runs: 1, shared_start_seconds: 8.4}, 'shared: starts in about 8 s'],
  [{runs: 5, seconds: 3, peak_mib: 1434, fits: false}, 'last 5 runs peaked at 1.4 GiB: isolate'],
  [{runs: 1, peak_mib: 999, fits: false}, 'last run peaked at 999 MiB: isolate'],
])) {
  test(`of ${JSON.stringify(history)} it says "${line}"`, () => {
    assert.equal(pastLine(history), line);
    const shown = look(FREE, history, true, null);
    assert.deepEqual(shown?.lines, line ? [[line]] : []);
  });
}
