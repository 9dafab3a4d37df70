// @ts-check
/**
 * What the person has chosen, kept in this browser.
 *
 * Every tab of a Launchpad keeps its own choice. A tab that is new starts with the last choice in
 * its code location, and from then on no other tab or window changes what it shows.
 *
 * @import {Target} from './types.js'
 * @typedef {{isolate: boolean, tabs: Record<string, boolean>}} Kept
 */

const MOST_TABS = 50;

export class Choices {
  /** @type {Map<string, boolean>} what this window shows, by tab */
  #shown = new Map();
  #storage;
  #scope;

  /**
   * @param {Pick<Storage, 'getItem' | 'setItem'>} storage
   * @param {string} scope deployments that share an origin have path prefixes of their own
   */
  constructor(storage, scope) {
    this.#storage = storage;
    this.#scope = scope;
  }

  /**
   * @param {Target} target
   * @param {string} tab empty where it has no name yet
   * @returns {boolean} whether to isolate
   */
  of({location, job}, tab) {
    const shown = this.#shown.get(name(location, job, tab));
    if (shown !== undefined) {
      return shown;
    }
    const kept = this.#read(location);
    const isolate = kept.tabs[`${job}/${tab}`] ?? kept.isolate;
    this.#keep(location, job, tab, kept, isolate);
    return isolate;
  }

  /**
   * Dagster names the tab of a new Launchpad when something is changed in it.
   *
   * @param {Target} target
   * @param {string} tab its name
   */
  named({location, job}, tab) {
    const unnamed = name(location, job, '');
    const isolate = this.#shown.get(unnamed);
    if (isolate !== undefined) {
      this.#shown.delete(unnamed);
      this.#keep(location, job, tab, this.#read(location), isolate);
    }
  }

  /**
   * @param {Target} target
   * @param {string} tab
   * @param {boolean} isolate
   */
  set({location, job}, tab, isolate) {
    this.#keep(location, job, tab, {...this.#read(location), isolate}, isolate);
  }

  /** The Launchpad is closed: what has no name is over. */
  leave() {
    for (const key of this.#shown.keys()) {
      if (key.endsWith('\n')) {
        this.#shown.delete(key);
      }
    }
  }

  /**
   * @param {string} location
   * @param {string} job
   * @param {string} tab
   * @param {Kept} kept
   * @param {boolean} isolate
   */
  #keep(location, job, tab, kept, isolate) {
    this.#shown.set(name(location, job, tab), isolate);
    const {[`${job}/${tab}`]: _, ...others} = kept.tabs;
    if (tab) {
      others[`${job}/${tab}`] = isolate;
    }
    const tabs = Object.fromEntries(Object.entries(others).slice(-MOST_TABS));
    try {
      this.#storage.setItem(this.#key(location), JSON.stringify({isolate: kept.isolate, tabs}));
    } catch {
      // Full or forbidden: the choice lives as long as this window.
    }
  }

  /**
   * @param {string} location
   * @returns {Kept}
   */
  #read(location) {
    try {
      const {isolate, tabs} = JSON.parse(this.#storage.getItem(this.#key(location)) ?? '{}');
      return {isolate: isolate !== false, tabs: tabs ?? {}};
    } catch {
      return {isolate: true, tabs: {}};
    }
  }

  /** @param {string} location */
  #key(location) {
    return `run-isolation:${this.#scope}:${location}`;
  }
}

/** @param {string[]} parts */
function name(...parts) {
  return parts.join('\n');
}
