// @ts-check
/**
 * Where things are in Dagster's page: all that we know of its make.
 *
 * @import {Target} from './types.js'
 */

const TITLES = new Set(['Launch Run', 'Materialize']);

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
 * Whether the Launchpad's own tags, which it shows, ask not to be isolated.
 *
 * @param {HTMLElement} button
 */
export function tagged(button) {
  const launchpad = button.closest('[role="dialog"]') ?? button.ownerDocument;
  return launchpad.querySelector('[data-tooltip="isolation: disabled"]') !== null;
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
