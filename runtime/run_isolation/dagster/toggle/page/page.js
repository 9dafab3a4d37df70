// @ts-check
/**
 * Where things are in Dagster's page: all that we know of its make.
 *
 * @import {Target} from './types.js'
 */

const TITLES = new Set(['Launch Run', 'Materialize']);

const SHOWN_KEY = 'isolation: ';
const FADED = '[style*="opacity: 0.2"]';
const NOT_DAGSTERS = '[style*="background-blue"]';

/**
 * The button of the open Launchpad. "Materialize" on an asset's page has no explicit role.
 *
 * @param {Document} document
 * @returns {HTMLButtonElement | null}
 */
export function launchButton(document) {
  /** @type {NodeListOf<HTMLButtonElement>} */
  const buttons = document.querySelectorAll('button[role="button"]');
  // A dialog is the last thing in the page.
  return [...buttons].reverse().find((each) => TITLES.has(each.textContent.trim())) ?? null;
}

/**
 * Puts an element left of the button, in the same row.
 *
 * @param {HTMLElement} element
 * @param {HTMLElement} button
 */
export function place(element, button) {
  // A button that may not be pressed has a tooltip's span around it.
  const span = button.closest('.bp5-popover-target, [class*="Tooltip"]');
  const anchor = span?.contains(button) && span.childElementCount === 1 ? span : button;
  if (element.nextElementSibling !== anchor) {
    anchor.before(element);
  }
}

/**
 * What the tag dagster/isolation among the Launchpad's own, which it shows, says. They are those of
 * the job's definition, then the person's. Of two with that key the person's counts: Dagster fades
 * the other one. It shows no "dagster/", and tags whose key has none in blue.
 *
 * @param {HTMLElement} button
 * @returns {string | null} its value; null where there is no such tag
 */
export function isolationTag(button) {
  const launchpad = button.closest('[role="dialog"]') ?? button.ownerDocument;
  const shown = [...launchpad.querySelectorAll(`[data-tooltip^="${SHOWN_KEY}"]`)];
  const tag = shown.find((each) => !each.closest(`${FADED}, ${NOT_DAGSTERS}`));
  return tag?.getAttribute('data-tooltip')?.slice(SHOWN_KEY.length) ?? null;
}

/** @param {Document} document */
export function launchpadIsOpen(document) {
  const {pathname} = document.location;
  return pathname.endsWith('/playground') || document.querySelector('[role="dialog"]') !== null;
}

/**
 * Under which key Dagster keeps the tabs of a Launchpad in the browser's storage.
 *
 * @param {string} prefix the path prefix
 * @param {Target} target
 */
export function tabsKey(prefix, {location, repository, job}) {
  return `dagster.v2.${prefix}-${location}-${repository}-${job}`;
}

/**
 * @param {string | null} tabs what Dagster keeps
 * @returns {{current: string, first: string}} names; empty where there is none yet
 */
export function launchpadTabs(tabs) {
  try {
    const {current, sessions} = JSON.parse(tabs ?? '{}');
    if (typeof current === 'string') {
      return {current, first: Object.keys(sessions)[0] ?? ''};
    }
  } catch {
    // Kept otherwise than we know it: all tabs share a choice.
  }
  return {current: '', first: ''};
}
