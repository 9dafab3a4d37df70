// @ts-check
/**
 * The toggle "Isolate run environment" in Dagster's page: what happens when.
 *
 * Only the page is made here. Whether a run goes without its own task is decided by the
 * coordinator, whatever this script says.
 *
 * @import {History, Slots, Target} from './types.js'
 */

import {Choices} from './choices.js';
import {
  isolationTag,
  launchButton,
  launchpadIsOpen,
  launchpadTabs,
  place,
  tabsKey,
} from './page.js';
import {watch} from './requests.js';
import {View, showBanner} from './view.js';
import {look} from './words.js';

/** Milliseconds between two questions. Nobody asks while the page is hidden. */
const ASK_AGAIN = 1000;
/** How long a Launchpad may be without the button that we know. */
const PATIENCE = 5000;

/** @type {Slots} */
const ABSENT = {state: 'absent'};

const base = new URL('../', import.meta.url);
const prefix = base.pathname.replace(/\/run_isolation\/$/, '');
const choices = new Choices(localStorage, prefix);
const view = new View(`${prefix}/runs`, guarded(choose));

/** @type {Target | null} */
let target = null;
/** @type {Slots | null} */
let slots = null;
/** @type {History | null} */
let history = null;
/** @type {HTMLButtonElement | null} */
let button = null;
/** The Launchpad's tab in front. @type {string} */
let tab = '';
/** As Dagster keeps all of its tabs. @type {string | null | undefined} */
let tabs;
/** What another window has written of its own tabs. @type {string | null} */
let theirTabs = null;
/** What the toggle asked for when the person did something last: what was seen then is meant. */
let asked = false;
/** 0: nobody asks; -1: on the way; else the timer until the next time. */
let asking = 0;
let scheduled = false;
let broken = false;
/** Whether the open Launchpad has had its button: later it is somebody else's dialog. */
let found = false;

watch(window, {opened: guarded(opened), asks, unknown});
new MutationObserver(schedule).observe(document.documentElement, {
  childList: true,
  subtree: true,
  // The text of a tag.
  attributeFilter: ['data-tooltip'],
});
for (const event of ['click', 'keydown']) {
  document.addEventListener(event, acted, {capture: true});
}
document.addEventListener('visibilitychange', schedule);
window.addEventListener('storage', ({key, newValue}) => {
  if (target && key === tabsKey(prefix, target)) {
    theirTabs = newValue;
  }
});

function acted() {
  asked = view.asks;
  schedule();
}

/** At most once for each frame that the browser draws. */
function schedule() {
  if (!scheduled && !broken) {
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      guarded(refresh)();
    });
  }
}

function refresh() {
  if (broken) {
    return;
  }
  if (!button?.isConnected) {
    button = launchButton(document);
  }
  found ||= button !== null;
  const shown = button && target && slots ? lookNow(target, slots, button) : null;
  if (button && shown) {
    place(view.root, button);
    view.show(shown);
  } else if (view.root.isConnected) {
    view.root.remove();
  }
  if (!button) {
    choices.leave();
    slots = history = null;
    tabs = undefined;
  } else if (!asking) {
    keepAsking();
  }
}

/**
 * @param {Target} target
 * @param {Slots} slots
 * @param {HTMLButtonElement} button
 */
function lookNow(target, slots, button) {
  const kept = localStorage.getItem(tabsKey(prefix, target));
  if (tabs === undefined || (kept !== tabs && kept !== theirTabs)) {
    tabs = kept;
    const {current, first} = launchpadTabs(kept);
    choices.named(target, first);
    tab = current;
  }
  return look(slots, history, choices.of(target, tab), isolationTag(button));
}

/** @param {boolean} isolate */
function choose(isolate) {
  if (target) {
    choices.set(target, tab, isolate);
    refresh();
  }
}

/** @param {Target | null} next */
function opened(next) {
  if (JSON.stringify(next) !== JSON.stringify(target)) {
    target = next;
    found = false;
    slots = history = null;
    tabs = undefined;
    clearTimeout(asking);
    asking = 0;
    setTimeout(() => missing(next), PATIENCE);
  }
  schedule();
}

/**
 * A Launchpad is there, and its button is not: Dagster's page has changed.
 *
 * @param {Target | null} expected
 */
async function missing(expected) {
  const lacks = () => expected === target && !found && launchpadIsOpen(document);
  if (expected && lacks()) {
    const {state} = await ask('slots', {location: expected.location}).catch(() => ABSENT);
    if (state !== 'absent' && lacks()) {
      unknown('No launch button in the Launchpad.');
    }
  }
}

/**
 * @param {string} location
 * @param {string} job
 */
function asks(location, job) {
  const mine = !location || (target?.location === location && target.job === job);
  return asked && mine;
}

async function keepAsking() {
  const wanted = target;
  if (!wanted || document.hidden) {
    return;
  }
  asking = -1;
  const {location, job, assets} = wanted;
  const where = {location, job, assets: JSON.stringify(assets)};
  const [newSlots, newHistory] = await Promise.all([
    ask('slots', {location}).catch(() => slots && {state: 'unknown'}),
    history ?? ask('history', where).catch(() => null),
  ]);
  if (wanted === target) {
    [slots, history] = [newSlots, newHistory];
    asking = window.setTimeout(() => {
      asking = 0;
      schedule();
    }, ASK_AGAIN);
    schedule();
  }
}

/**
 * @param {string} what
 * @param {Record<string, string>} query
 */
async function ask(what, query) {
  const answer = await fetch(new URL(`${what}?${new URLSearchParams(query)}`, base));
  if (!answer.ok) {
    throw new Error(`${what}: ${answer.status}`);
  }
  return answer.json();
}

/** @param {unknown} problem */
function unknown(problem) {
  console.error('Isolate run environment:', problem);
  if (!broken) {
    broken = true;
    view.root.remove();
    showBanner();
  }
}

/**
 * @template {unknown[]} A
 * @param {(...args: A) => void} action
 * @returns {(...args: A) => void}
 */
function guarded(action) {
  return (...args) => {
    try {
      action(...args);
    } catch (error) {
      unknown(error);
    }
  };
}
