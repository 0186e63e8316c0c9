// The published Node SDK with proxy keys: node proxy_keys.mjs PROXY KEY SMALL_KEY SERIAL_KEY READER_KEY
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [proxy, key, smallKey, serialKey, readerKey] = process.argv.slice(2);
// The range from here has at least three buckets of an hour.
const start = Math.floor(Date.now() / 1000) - 7200;
const messages = [{ role: 'user', content: 'Hi' }];

/** Returns a client, and the statuses of its responses. `onRefusal` is called at each 429. */
function clientWithStatuses(apiKey, onRefusal = () => {}) {
  const statuses = [];
  const fetchAndNote = async (url, init) => {
    const response = await fetch(url, init);
    statuses.push(response.status);
    if (response.status === 429) onRefusal();
    return response;
  };
  const client = new OpenAI({ baseURL: `${proxy}/v1`, apiKey, maxRetries: 5, timeout: 30_000, fetch: fetchAndNote });
  return [client, statuses];
}

const call = (client, more) => client.chat.completions.create({ model: 'gpt-5-mini', messages, ...more });

/** Reads a page of the usage by name, with a proxy key in place of an admin key. */
function readUsage(query) {
  const reader = new OpenAI({ baseURL: `${proxy}/v1`, adminAPIKey: readerKey, maxRetries: 0, timeout: 30_000 });
  return reader.admin.organization.usage.completions({ start_time: start, group_by: ['api_key_name'], ...query });
}

let failed = 0;
async function check(name, run) {
  try {
    const note = await run();
    console.log(`ok   node: ${name}${note ? `: ${note}` : ''}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL node: ${name}: ${String(error.stack ?? error).replace(/\s+/g, ' ').slice(0, 600)}`);
  }
}

await check('a plain call has its usage', async () => {
  const [client] = clientWithStatuses(key);
  const response = await call(client);
  assert.equal(response.choices[0].message.content, 'Hello.');
  assert.equal(response.usage.total_tokens, 12);
});
await check('a streamed call has its text and no usage', async () => {
  const [client] = clientWithStatuses(key);
  let text = '';
  for await (const chunk of await call(client, { stream: true })) {
    text += chunk.choices[0].delta.content;
    assert.ok(!chunk.usage);
  }
  assert.equal(text, 'Hello.');
});
await check('a used-up limit is raised at once', async () => {
  const [client, statuses] = clientWithStatuses(smallKey);
  await call(client);
  await call(client);
  const error = await call(client).then(
    () => assert.fail('no exception was raised'),
    (error) => error,
  );
  assert.ok(error instanceof OpenAI.RateLimitError, String(error));
  assert.equal(error.code, 'insufficient_quota');
  assert.deepEqual(statuses, [200, 200, 429]);
  return error.message;
});
await check('a call beyond the parallel limit is repeated', async () => {
  const [firstClient] = clientWithStatuses(serialKey);
  const first = await call(firstClient, { model: 'endless', stream: true });
  const [client, statuses] = clientWithStatuses(serialKey, () => first.controller.abort());
  await call(client);
  assert.equal(statuses[0], 429);
  assert.equal(statuses.at(-1), 200);
  return `statuses ${statuses}`;
});
await check('another credential is raised as a 401', async () => {
  const [client, statuses] = clientWithStatuses('sk-other');
  await assert.rejects(call(client), OpenAI.AuthenticationError);
  assert.deepEqual(statuses, [401]);
});
await check('the usage of the key by name is that of its calls', async () => {
  const [client] = clientWithStatuses(readerKey);
  const reported = [0, 0, 0];
  for (let count = 0; count < 2; count += 1) {
    const { usage } = await call(client);
    reported[0] += 1;
    reported[1] += usage.prompt_tokens;
    reported[2] += usage.completion_tokens;
  }
  const read = [0, 0, 0];
  let page;
  let pageCount = 0;
  do {
    page = await readUsage({ bucket_width: '1h', limit: 1, ...(page && { page: page.next_page }) });
    pageCount += 1;
    for (const row of page.data.flatMap((bucket) => bucket.results)) {
      assert.equal(row.api_key_name, 'name of reader_of_node');
      read[0] += row.num_model_requests;
      read[1] += row.input_tokens;
      read[2] += row.output_tokens;
    }
  } while (page.has_more);
  assert.deepEqual(read, reported);
  assert.ok(pageCount >= 3, `${pageCount} pages`);
  return `${read}`;
});
await check('the name of another customer has the error of an absent name', async () => {
  const texts = [];
  for (const name of ['name of reader', 'name of nobody']) {
    const error = await readUsage({ api_key_names: [name] }).then(
      () => assert.fail('no exception was raised'),
      (error) => error,
    );
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    texts.push(error.message.replace(name, 'NAME'));
  }
  assert.equal(texts[0], texts[1]);
  return texts[0];
});
process.exitCode = failed ? 1 : 0;
