// @ts-check
import assert from 'node:assert/strict';
import {beforeEach, test} from 'node:test';

import {Choices} from '../../runtime/run_isolation/dagster/toggle/page/choices.js';

const SALES = {location: 'sales', repository: '__repository__', job: 'refresh', assets: []};
const OTHER_JOB = {...SALES, job: 'other'};
const RESEARCH = {...SALES, location: 'research'};

/** @type {Map<string, string>} */
let kept;
const storage = {
  getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
  setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
};
/** A page that was just loaded. */
const page = (scope = '') => new Choices(storage, scope);

beforeEach(() => {
  kept = new Map();
});

test('isolated where nobody has chosen', () => {
  assert.equal(page().of(SALES, ''), true);
});

test('the last choice counts for the whole code location, and for no other', () => {
  page().set(SALES, '', false);
  assert.equal(page().of(SALES, ''), false);
  assert.equal(page().of(OTHER_JOB, ''), false);
  assert.equal(page().of(RESEARCH, ''), true);
});

test('two deployments below one address know nothing of each other', () => {
  page('/one').set(SALES, '', false);
  assert.equal(page('/two').of(SALES, ''), true);
});

test('a tab keeps what it shows, whatever is chosen in others', () => {
  const choices = page();
  assert.equal(choices.of(SALES, 's1'), true);
  choices.set(SALES, 's2', false);
  assert.equal(choices.of(SALES, 's1'), true);
  assert.equal(choices.of(SALES, 's2'), false);
  // A new one starts with the last choice.
  assert.equal(choices.of(SALES, 's3'), false);
});

test('also after the page was loaded again', () => {
  const choices = page();
  choices.of(SALES, 's1');
  choices.set(SALES, 's2', false);
  assert.equal(page().of(SALES, 's1'), true);
  assert.equal(page().of(SALES, 's2'), false);
});

test('also when another window chooses', () => {
  for (const [target, tab] of /** @type {const} */ ([[SALES, ''], [RESEARCH, 's1']])) {
    const mine = page();
    assert.equal(mine.of(target, tab), true);
    page().set(target, tab, false);
    assert.equal(mine.of(target, tab), true);
    assert.equal(page().of(target, tab), false);
  }
});

test('a tab that gets its name keeps its choice', () => {
  const choices = page();
  choices.set(SALES, '', false);
  page().set(OTHER_JOB, '', true);
  choices.named(SALES, 's1');
  assert.equal(choices.of(SALES, 's1'), false);
  assert.equal(page().of(SALES, 's1'), false);
  // Another new one is not the same tab, and no tab is named twice.
  assert.equal(choices.of(SALES, 's2'), true);
  choices.named(SALES, 's2');
  assert.equal(choices.of(SALES, 's2'), true);
});

test('also while it stays without one', () => {
  const choices = page();
  choices.set(SALES, '', false);
  choices.named(SALES, '');
  page().set(OTHER_JOB, '', true);
  assert.equal(choices.of(SALES, ''), false);
});

test('a Launchpad without a name that is opened again starts anew', () => {
  const choices = page();
  assert.equal(choices.of(SALES, ''), true);
  assert.equal(choices.of(OTHER_JOB, 's1'), true);
  page().set(SALES, '', false);
  choices.leave();
  assert.equal(choices.of(SALES, ''), false);
  assert.equal(choices.of(OTHER_JOB, 's1'), true);
});

test('no more than 50 tabs are kept, the newest', () => {
  const choices = page();
  for (let tab = 0; tab < 60; tab++) {
    choices.set(SALES, `s${tab}`, false);
  }
  const {tabs} = JSON.parse(kept.get('run-isolation::sales') ?? '');
  assert.equal(Object.keys(tabs).length, 50);
  assert.ok('refresh/s59' in tabs);
});

test('a storage that is broken or forbidden: the choice lives as long as the page', () => {
  kept.set('run-isolation::sales', '{"isolate": fal');
  assert.equal(page().of(SALES, ''), true);
  const forbidden = () => {
    throw new Error('forbidden');
  };
  const choices = new Choices({getItem: forbidden, setItem: forbidden}, '');
  choices.set(SALES, '', false);
  assert.equal(choices.of(SALES, ''), false);
});
