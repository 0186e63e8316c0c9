// The published Node SDK: node sdk.mjs PROXY UPSTREAM
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [proxy, upstream] = process.argv.slice(2);
// A fixed window of twelve days, which has at least two pages.
const window = { start_time: 1_788_220_800, end_time: 1_789_257_600, bucket_width: '1d' };
const withKeys = [
  'audioSpeeches',
  'audioTranscriptions',
  'completions',
  'embeddings',
  'fileSearchCalls',
  'images',
  'moderations',
  'webSearchCalls',
];
const withoutKeys = ['codeInterpreterSessions', 'vectorStores'];
const member = /\s*,\s*"api_key_name"\s*:\s*(?:null|"(?:[^"\\]|\\.)*")/g;

const client = (base = proxy, adminAPIKey = 'sk-admin-of-a-client', more = {}) =>
  new OpenAI({ baseURL: `${base}/v1`, adminAPIKey, maxRetries: 0, timeout: 30_000, ...more });
const { usage, projects } = client().admin.organization;

let failed = 0;
async function check(name, run) {
  try {
    const note = await run();
    console.log(`ok   ${name}${note ? `: ${note}` : ''}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error.stack ?? error).replace(/\s+/g, ' ').slice(0, 600)}`);
  }
}

/** Returns the rows of all pages. The SDK returns one page with the cursor of the next. */
async function rows(kind, query) {
  const found = [];
  let count = 0;
  let page;
  do {
    page = await usage[kind]({ ...window, limit: 5, ...query, ...(page && { page: page.next_page }) });
    count += 1;
    found.push(...page.data.flatMap((bucket) => bucket.results));
  } while (page.has_more);
  assert.ok(count > 1, 'the test needs several pages');
  return [found, count];
}

async function groupedByName(kind) {
  const [found, count] = await rows(kind, { group_by: ['api_key_name'] });
  const names = new Map();
  for (const row of found) {
    // The SDK's models have the name as a property.
    if (!names.has(row.api_key_id)) names.set(row.api_key_id, row.api_key_name);
    assert.equal(row.api_key_name, names.get(row.api_key_id));
  }
  // Keys with a name, a deleted key, and usage without a key.
  assert.equal(names.get(null), null);
  names.delete(null);
  const values = [...names.values()];
  assert.ok(values.every((name) => typeof name === 'string'));
  assert.ok(values.includes('unknown'));
  const known = new Set(values.filter((name) => name !== 'unknown'));
  assert.ok(known.size > 0, 'no key was named');
  return `${found.length} rows on ${count} pages, ${known.size} names`;
}

async function filteredByName() {
  const filtered = async (query) => {
    const [found] = await rows('costs', { group_by: ['api_key_name'], ...query });
    return [...new Set(found.map((row) => row.api_key_name))].sort();
  };
  const both = ["Ana's laptop", 'notebooks – Zürich'];
  assert.deepEqual(await filtered({ api_key_names: both }), both);
  assert.deepEqual(await filtered({ api_key_names: 'storefront-prod' }), ['storefront-prod']);
  const [all] = await rows('costs', { group_by: ['api_key_name'] });
  const { api_key_id } = all.find((row) => row.api_key_name === 'fine-tuning');
  const mixed = await filtered({ api_key_ids: [api_key_id], api_key_names: ['storefront-prod'] });
  assert.deepEqual(mixed, ['fine-tuning', 'storefront-prod']);
}

async function groupedByProject() {
  const listed = {};
  for await (const project of projects.list({ limit: 2, include_archived: true })) listed[project.id] = project.name;
  const [found] = await rows('costs', { group_by: ['api_key_name', 'project_name'] });
  assert.deepEqual(Object.fromEntries(found.map((row) => [row.project_id, row.project_name]).sort()), listed);
  const [filtered] = await rows('costs', { group_by: ['project_name'], project_names: ['Search'] });
  assert.ok(filtered.every((row) => row.project_name === 'Search'));
  return `${Object.keys(listed).length} names`;
}

async function withoutKeysNoNames(kind) {
  const [found] = await rows(kind, { group_by: ['project_id'] });
  assert.ok(found.every((row) => !('api_key_name' in row)));
}

async function namesAgreeWithTheLists() {
  const listed = new Map();
  for await (const project of projects.list({ limit: 2 })) {
    for await (const key of projects.apiKeys.list(project.id, { limit: 2 })) listed.set(key.id, key.name);
  }
  const [found] = await rows('completions', { group_by: ['api_key_name'] });
  const used = new Map(found.filter((row) => listed.has(row.api_key_id)).map((row) => [row.api_key_id, row.api_key_name]));
  let same = 0;
  for (const [id, name] of used) {
    if (name === 'unknown') continue;
    assert.equal(name, listed.get(id));
    same += 1;
  }
  assert.ok(same > 0, 'no listed key was used');
  return `${listed.size} keys listed, ${same} of them used`;
}

async function digitsStay(kind) {
  const text = async (base, groupBy) =>
    (await client(base).admin.organization.usage[kind]({ ...window, group_by: [groupBy] }).asResponse()).text();
  const direct = await text(upstream, 'api_key_id');
  const through = await text(proxy, 'api_key_name');
  assert.equal(through.match(member)?.length, direct.match(/"api_key_id"/g).length);
  assert.ok(through.replace(member, '') === direct, "without the insertions the bytes differ from the upstream's");
  return `${direct.length} bytes`;
}

async function encoded(coding) {
  const encodedClient = client(proxy, 'sk-admin-of-a-client', { defaultHeaders: { 'accept-encoding': coding } });
  const { data, response } = await encodedClient.admin.organization.usage
    .costs({ ...window, group_by: ['api_key_name'] })
    .withResponse();
  assert.equal(response.headers.get('content-encoding'), coding);
  assert.ok(data.data.some((bucket) => bucket.results.some((row) => row.api_key_name && row.api_key_name !== 'unknown')));
}

async function raises(Kind, status, call) {
  const error = await call().then(
    () => assert.fail(`${Kind.name} was not raised`),
    (error) => error,
  );
  assert.ok(error instanceof Kind, `${error} is no ${Kind.name}`);
  assert.equal(error.status, status);
  assert.ok(error.error.message);
  return `${error.constructor.name}: ${error.error.message}`;
}

for (const kind of ['costs', ...withKeys]) {
  await check(`${kind} grouped by api_key_name, every page followed`, () => groupedByName(kind));
}
await check('costs grouped by api_key_name and project_name', groupedByProject);
await check('filtered by name, every page followed', filteredByName);
await check("a name that no key has raises the SDK's own exception", () =>
  raises(OpenAI.BadRequestError, 400, () => usage.costs({ ...window, api_key_names: ['nobody'] })),
);
for (const kind of withoutKeys) {
  await check(`${kind} has no keys, and receives no names`, () => withoutKeysNoNames(kind));
}
await check('keys of every project listed, page by page; the names are the same', namesAgreeWithTheLists);
for (const kind of ['costs', 'completions']) {
  await check(`every digit of ${kind} is upstream's`, () => digitsStay(kind));
}
for (const coding of ['gzip', 'br']) {
  await check(`a client that takes ${coding}`, () => encoded(coding));
}
await check("a wrong key raises the SDK's own exception", () =>
  raises(OpenAI.AuthenticationError, 401, () => client(proxy, 'sk-bad').admin.organization.usage.costs(window)),
);
await check("a missing start_time raises the SDK's own exception", () =>
  raises(OpenAI.BadRequestError, 400, () => usage.costs({})),
);
await check('the API itself rejects group_by=api_key_name', () =>
  raises(OpenAI.BadRequestError, 400, () =>
    client(upstream).admin.organization.usage.costs({ ...window, group_by: ['api_key_name'] }),
  ),
);
await check("a path out of scope raises the SDK's own exception", () =>
  raises(OpenAI.NotFoundError, 404, () => client(proxy, 'sk-admin-of-a-client', { apiKey: 'sk-demo' }).models.list()),
);
process.exitCode = failed ? 1 : 0;
