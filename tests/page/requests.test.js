// @ts-check
import assert from 'node:assert/strict';
import {beforeEach, test} from 'node:test';

import {TAG, watch} from '../../runtime/run_isolation/dagster/toggle/page/requests.js';

/** @import {Target} from '../../runtime/run_isolation/dagster/toggle/page/types.js' */

const SELECTOR = {
  repositoryLocationName: 'sales',
  repositoryName: '__repository__',
  pipelineName: 'refresh',
};
const LAUNCH =
  'mutation LaunchPipelineExecution($executionParams: ExecutionParams!) {\n' +
  '  launchPipelineExecution(executionParams: $executionParams) { run { id } } }';
const PREVIEW =
  'query PreviewConfigQuery($pipeline: PipelineSelector!) {\n' +
  '  isPipelineConfigValid(pipeline: $pipeline) { __typename } }';

/** @type {any[]} */
let sent;
/** @type {(Target | null)[]} */
let opened;
/** @type {unknown[]} */
let problems;
/** What the toggle in the page asks for, as "location/job". */
let asking = '';

beforeEach(() => {
  [sent, opened, problems, asking] = [[], [], [], ''];
});

/**
 * What the server gets when the page asks.
 *
 * @param {unknown} body
 * @returns {any}
 */
function receive(body) {
  const page = {
    /** @param {[any, any]} args */
    fetch: (...args) => (sent.push(args), /** @type {any} */ (Promise.resolve())),
  };
  watch(/** @type {any} */ (page), {
    opened: (target) => opened.push(target),
    asks: (location, job) => !!asking && (!location || `${location}/${job}` === asking),
    unknown: (problem) => problems.push(problem),
  });
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  page.fetch('/graphql?op=it', {method: 'POST', body: text});
  assert.equal(sent.length, 1);
  assert.equal(sent[0][0], '/graphql?op=it');
  assert.equal(sent[0][1].method, 'POST');
  return sent[0][1].body === text ? 'as it was' : JSON.parse(sent[0][1].body);
}

/** @param {object} [more] */
function launch(more = {}, query = LAUNCH) {
  const executionParams = {selector: SELECTOR, mode: 'default', ...more};
  return {operationName: 'LaunchPipelineExecution', query, variables: {executionParams}};
}

test('a launch gets the tag, and keeps all else', () => {
  asking = 'sales/refresh';
  const own = {key: 'team', value: 'a'};
  const metadata = {tags: [own], parentRunId: 'r0'};
  assert.deepEqual(
    receive(launch({executionMetadata: metadata})),
    launch({executionMetadata: {...metadata, tags: [own, TAG]}}),
  );
  assert.deepEqual(problems, []);
});

test('also where it has no tags, and where a job is called job', () => {
  asking = 'sales/refresh';
  const selector = {repositoryLocationName: 'sales', jobName: 'refresh'};
  const received = receive(launch({selector}));
  assert.deepEqual(received.variables.executionParams.executionMetadata.tags, [TAG]);
});

test("also by GraphQL's other name for it", () => {
  asking = 'sales/refresh';
  const query = LAUNCH.replace('launchPipelineExecution(', 'launchRun(');
  assert.notEqual(receive(launch({}, query)), 'as it was');
});

test('a launch of something else is left alone', () => {
  asking = 'sales/other';
  assert.equal(receive(launch()), 'as it was');
  asking = '';
  sent = [];
  assert.equal(receive(launch()), 'as it was');
  assert.deepEqual(problems, []);
});

test('a tag of the tag editor is left alone, whatever it says', () => {
  asking = 'sales/refresh';
  const tags = [{key: 'dagster/isolation', value: 'something'}];
  assert.equal(receive(launch({executionMetadata: {tags}})), 'as it was');
});

for (const field of [
  'launchMultipleRuns',
  'launchPipelineReexecution',
  'launchRunReexecution',
  'launchPartitionBackfill',
]) {
  test(`${field} is left alone, and is nothing unknown`, () => {
    asking = 'sales/refresh';
    const query = `mutation It($it: It!) {\n ${field}(it: $it) { __typename } }`;
    assert.equal(receive({query, variables: {it: {selector: SELECTOR}}}), 'as it was');
    assert.deepEqual(problems, []);
  });
}

test('an unknown launch, where a tag is asked for, is a page that we do not know', () => {
  const query = 'mutation New($it: It!) {\n launchInSomeOtherWay(it: $it) { __typename } }';
  assert.equal(receive({query, variables: {}}), 'as it was');
  assert.deepEqual(problems, []);
  asking = 'sales/refresh';
  sent = [];
  assert.equal(receive({query, variables: {}}), 'as it was');
  assert.equal(problems.length, 1);
});

test('a launch of another shape goes out as it is', () => {
  asking = 'sales/refresh';
  assert.equal(receive({query: LAUNCH, variables: {input: {}}}), 'as it was');
  assert.equal(problems.length, 1);
});

test('an open Launchpad is known by its preview', () => {
  const pipeline = {...SELECTOR, assetSelection: [], assetCheckSelection: []};
  assert.equal(receive({query: PREVIEW, variables: {pipeline}}), 'as it was');
  assert.deepEqual(opened, [
    {location: 'sales', repository: '__repository__', job: 'refresh', assets: []},
  ]);
});

test('that of assets names them', () => {
  const pipeline = {...SELECTOR, assetSelection: [{path: ['a', 'b']}, {path: ['c']}]};
  receive({query: PREVIEW, variables: {pipeline}});
  assert.deepEqual(opened[0]?.assets, [['a', 'b'], ['c']]);
});

test("the editor of a backfill's config launches nothing", () => {
  const pipeline = {...SELECTOR, assetCheckSelection: null};
  receive({query: PREVIEW, variables: {pipeline}});
  assert.deepEqual(opened, [null]);
});

test('whatever else is sent is not looked into', () => {
  asking = 'sales/refresh';
  const query = 'query Runs { runsOrError { __typename } }';
  assert.equal(receive({query, variables: {}}), 'as it was');
  sent = [];
  assert.equal(receive('launchRun( is no GraphQL'), 'as it was');
  assert.deepEqual([opened, problems], [[], []]);
});

test('a request without a body, and a Request, pass', () => {
  /** @type {unknown[][]} */
  const calls = [];
  const page = {fetch: (/** @type {unknown[]} */ ...args) => calls.push(args)};
  watch(/** @type {any} */ (page), {opened() {}, asks: () => true, unknown: () => assert.fail()});
  const request = new Request('http://localhost/graphql');
  page.fetch(request);
  assert.equal(calls[0]?.[0], request);
});
