// @ts-check
/**
 * What the toggle shows and says. Pure: from what is known to a look.
 *
 * @import {History, Look, Part, Slots} from './types.js'
 */

import {TAG} from './requests.js';

/**
 * @param {Slots} slots
 * @param {History | null} history
 * @param {boolean} isolate what the person has chosen here
 * @param {string | null} tag what the Launchpad's own tag dagster/isolation says, where it has one
 * @returns {Look | null} null: no toggle
 */
export function look(slots, history, isolate, tag) {
  const past = history ? pastLine(history) : '';
  const lines = past ? [[past]] : [];
  if (slots.state === 'absent') {
    return null;
  }
  if (tag !== null && tag !== TAG.value) {
    // Whether a slot is free makes no difference.
    return {checked: true, disabled: true, lines: [[otherTag(tag)], ...lines]};
  }
  switch (slots.state) {
    case 'free':
      return tag === null
        ? {checked: isolate, disabled: false, lines}
        : {checked: false, disabled: true, lines: [[TAGGED], ...lines]};
    case 'full':
      return {checked: true, disabled: true, lines: [holderLine(slots), ...lines]};
    case 'unknown':
      return {checked: true, disabled: true, lines: [[UNKNOWN], ...lines]};
    default:
      return null;
  }
}

const REMOVE = 'Remove the tag to choose here.';
const TAGGED =
  'This run will not be isolated, unless something prevents it. ' +
  `Tag ${TAG.key} is '${TAG.value}'. ${REMOVE}`;
const UNKNOWN = 'Whether a slot is free is not known just now.';

/**
 * The same as the reason on the run: see `_objection` in policy.py.
 *
 * @param {string} value
 */
function otherTag(value) {
  const reason =
    `Tag ${TAG.key} is '${value}'; ` +
    `only '${TAG.value}' asks for a run without its own task.`;
  return `This run will be isolated. ${reason} ${REMOVE}`;
}

/**
 * @param {Slots} slots
 * @returns {Part[]}
 */
function holderLine({location = '', holders = [], held = 0}) {
  const whose = location ? `No slot of ${location}` : 'No slot';
  /** @type {Part[]} */
  const parts = [`${whose} is free: held by `];
  holders.forEach((holder, index) => {
    const since = moment(holder.since);
    parts.push(index ? ', ' : '', {run: holder.run_id}, ` of ${holder.location}${since}`);
  });
  const more = held - holders.length;
  parts.push(more > 0 ? ` and ${more} more.` : '.');
  return parts.filter((part) => part !== '');
}

/** @param {string} since */
function moment(since) {
  const date = new Date(since);
  if (Number.isNaN(date.getTime())) {
    return '';
  }
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? '' : `${date.toLocaleDateString([], {day: 'numeric', month: 'short'})}, `;
  return ` since ${day}${date.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'})}`;
}

/**
 * @param {History} history
 * @returns {string} empty where nothing is known
 */
export function pastLine(history) {
  const {runs, seconds, peak_mib: peak, fits, shared_start_seconds: start} = history;
  if (!runs) {
    return '';
  }
  const last = runs === 1 ? 'last run' : `last ${runs} runs`;
  if (peak !== undefined && fits === false) {
    return `${last} peaked at ${memory(peak)}: isolate`;
  }
  const past = [
    peak === undefined ? '' : `peak ${memory(peak)}`,
    seconds === undefined ? '' : duration(seconds),
  ].filter(Boolean);
  const shared = [
    start === undefined ? '' : `starts in about ${duration(start)}`,
    fits ? 'fits' : '',
  ].filter(Boolean);
  const halves = [
    past.length ? `${last}: ${past.join(', ')}` : '',
    shared.length ? `shared: ${shared.join(', ')}` : '',
  ];
  return halves.filter(Boolean).join(' · ');
}

/** @param {number} mib */
function memory(mib) {
  return mib < 1000 ? `${Math.ceil(mib)} MiB` : `${(mib / 1024).toFixed(1)} GiB`;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) {
    return `${Math.max(1, Math.round(seconds))} s`;
  }
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
