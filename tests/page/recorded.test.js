// @ts-check
import assert from 'node:assert/strict';
import {readFileSync, readdirSync} from 'node:fs';
import {test} from 'node:test';

import {look, pastLine} from '../../runtime/run_isolation/dagster/toggle/page/words.js';

const ROOT = new URL('../wire/recorded/', import.meta.url);

/** A page that is open meets a webserver of another release, when that one is restarted. */
for (const version of readdirSync(ROOT)) {
  if (!readdirSync(new URL(`${version}/`, ROOT)).includes('toggle.json')) {
    continue;
  }
  const {slots, history} = JSON.parse(
    readFileSync(new URL(`${version}/toggle.json`, ROOT), 'utf-8'),
  );

  test(`answers of ${version} are understood`, () => {
    assert.equal(look(slots.absent, null, true, null), null);
    assert.equal(look(slots.free, null, false, null)?.disabled, false);
    const full = look(slots.full, null, false, null);
    assert.equal(full?.disabled, true);
    const run = full?.lines[0]?.find((part) => typeof part !== 'string');
    assert.deepEqual(run, {run: slots.full.holders[0].run_id});
    assert.equal(look(slots.unknown, null, false, null)?.disabled, true);
    assert.equal(
      pastLine(history),
      'last 5 runs: peak 230 MiB, 42 s · shared: starts in about 1 s, fits',
    );
  });
}
