// @ts-check
/**
 * What Dagster's page asks its webserver: where a Launchpad is open, and when a run is launched.
 *
 * The page is known by the names of GraphQL's schema, not by those of its own code.
 *
 * @import {Target} from './types.js'
 */

export const TAG = {key: 'dagster/isolation', value: 'disabled'};

/** Mutations that launch one run, from a Launchpad or by "Materialize". */
const LAUNCH = /\blaunch(PipelineExecution|Run)\s*\(/;
/** Those that launch otherwise. They are left alone. */
const OTHER_LAUNCH = /\blaunch(MultipleRuns|\w*Reexecution|PartitionBackfill)\s*\(/;
/** Asked by every Launchpad, for the very run that its button would launch. */
const PREVIEW = /\bisPipelineConfigValid\s*\(/;
const ANY_LAUNCH = /"query":"\s*mutation\b.*\blaunch\w*\s*\(/;

/**
 * @typedef {object} Listener
 * @property {(target: Target | null) => void} opened a Launchpad; null: one that launches nothing
 * @property {(location: string, job: string) => boolean} asks whether this launch asks for the tag
 * @property {(problem: unknown) => void} unknown the page is not as we know it
 */

/**
 * Watches requests, and adds the tag to the launch that asks for it.
 *
 * @param {{fetch: typeof fetch}} page
 * @param {Listener} listener
 */
export function watch(page, listener) {
  const send = page.fetch;
  page.fetch = function (input, init) {
    let sent = init;
    try {
      sent = seen(init, listener);
    } catch (error) {
      listener.unknown(error);
    }
    return send.call(this, input, sent);
  };
}

/**
 * @param {RequestInit | undefined} init
 * @param {Listener} listener
 * @returns {RequestInit | undefined} what to send
 */
function seen(init, listener) {
  const body = init?.body;
  if (typeof body !== 'string' || !body.includes('"query":"')) {
    return init;
  }
  if (PREVIEW.test(body)) {
    listener.opened(targetOf(JSON.parse(body).variables.pipeline));
  } else if (LAUNCH.test(body)) {
    const request = JSON.parse(body);
    if (ask(request.variables.executionParams, listener)) {
      return {...init, body: JSON.stringify(request)};
    }
  } else if (ANY_LAUNCH.test(body) && !OTHER_LAUNCH.test(body) && listener.asks('', '')) {
    throw new Error('A launch by an unknown mutation.');
  }
  return init;
}

/**
 * @param {any} selector
 * @returns {Target | null}
 */
function targetOf(selector) {
  // The editor of a backfill's config has no checks, as distinct from an empty list of them.
  if (selector.assetCheckSelection === null) {
    return null;
  }
  return {
    location: selector.repositoryLocationName,
    repository: selector.repositoryName,
    job: selector.pipelineName ?? selector.jobName,
    assets: (selector.assetSelection ?? []).map((/** @type {{path: string[]}} */ key) => key.path),
  };
}

/**
 * @param {any} params
 * @param {Listener} listener
 * @returns {boolean} whether it was changed
 */
function ask(params, listener) {
  const {repositoryLocationName: location, pipelineName, jobName} = params.selector;
  if (!listener.asks(location, pipelineName ?? jobName)) {
    return false;
  }
  params.executionMetadata = {...params.executionMetadata};
  const tags = params.executionMetadata.tags ?? [];
  if (tags.some((/** @type {{key: string}} */ tag) => tag.key === TAG.key)) {
    // What was written into the tag editor is meant.
    return false;
  }
  params.executionMetadata.tags = [...tags, TAG];
  return true;
}
