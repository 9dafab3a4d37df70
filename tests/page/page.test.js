// @ts-check
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {launchpadTabs, tabsKey} from '../../runtime/run_isolation/dagster/toggle/page/page.js';

test('where Dagster keeps the tabs of a Launchpad', () => {
  const target = {location: 'sales', repository: '__repository__', job: 'refresh', assets: []};
  assert.equal(tabsKey('/data', target), 'dagster.v2./data-sales-__repository__-refresh');
});

test('the tab in front, and the one that was there first', () => {
  const kept = '{"current": "s2", "sessions": {"s1": {}, "s2": {}}}';
  assert.deepEqual(launchpadTabs(kept), {current: 's2', first: 's1'});
  assert.deepEqual(launchpadTabs('{"current": "s1", "sessions": {}}'), {current: 's1', first: ''});
});

test('no name where Dagster keeps none, or keeps it otherwise', () => {
  for (const kept of [null, '{}', 'null', 'nonsense', '{"current": 5}', '{"current": "s1"}']) {
    assert.deepEqual(launchpadTabs(kept), {current: '', first: ''});
  }
});
