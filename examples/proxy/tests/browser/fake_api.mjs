// A fake API of costs. The key of a request selects its behaviour.
import http from "node:http";

const DAY = 86_400;

export const HOSTILE_NAMES = [
  "<script>document.title = 'changed'</script>",
  "<img src=x onerror=\"document.title = 'changed'\">",
  "\"quoted\" 'name' & more",
  "\u202egnihtemos \u0627\u0644\u0633\u0644\u0627\u0645",
  "=HYPERLINK(\"https://example.com\")",
  "javascript:alert(1)",
  "x".repeat(256),
];

export const KEY_COUNT = 12_000;

// The map of the names of all keys.
export function names() {
  const map = Object.fromEntries(HOSTILE_NAMES.map((name, index) => [`key_hostile${index}`, name]));
  for (let index = 0; index < KEY_COUNT; index += 1) {
    map[`key_many${index}`] = `team-${index}`;
  }
  return map;
}

function row(id, value, currency = "usd") {
  return { object: "organization.costs.result", api_key_id: id, amount: { value, currency } };
}

function hostileRows() {
  const rows = HOSTILE_NAMES.map((_, index) => row(`key_hostile${index}`, `${10 + index}.000000000000000000001`));
  return [...rows, row("key_unnamed", "1e-7"), row(null, "-0.5"), row("key_hostile0", "7.25", "eur")];
}

function manyRows() {
  return Array.from({ length: KEY_COUNT }, (_, index) => row(`key_many${index}`, `${index}.125`));
}

function errorBody(message) {
  return JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code: null } });
}

// Starts the API. `waiting` is the number of requests with the key sk-wait that are open.
export async function startFakeApi() {
  const api = { waiting: 0 };
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://fake");
    const start = Number(url.searchParams.get("page") ?? url.searchParams.get("start_time"));
    const key = (request.headers.authorization ?? "").replace("Bearer ", "");
    const isLast = start + DAY >= Number(url.searchParams.get("end_time"));
    const send = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body);
    };
    const sendRows = (rows) => {
      const bucket = { object: "bucket", start_time: start, end_time: start + DAY, results: rows };
      const next = isLast ? null : String(start + DAY);
      send(200, JSON.stringify({ object: "page", data: [bucket], has_more: !isLast, next_page: next }));
    };
    if (key === "sk-wait") {
      api.waiting += 1;
      response.on("close", () => {
        api.waiting -= 1;
      });
    } else if (key === "sk-400") {
      send(400, errorBody("Grouping by api_key_id is not supported."));
    } else if (key === "sk-partial" && url.searchParams.has("page")) {
      send(403, errorBody("This key may not read the second page."));
    } else if (key === "sk-empty") {
      sendRows([]);
    } else {
      sendRows(key === "sk-many" ? manyRows() : hostileRows());
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  api.url = `http://127.0.0.1:${server.address().port}`;
  api.stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return api;
}

// Starts a server with the page of `origin`. A run receives one line of progress, and then the end of the response.
export async function startCuttingServer(origin) {
  const server = http.createServer(async (request, response) => {
    if (request.method === "POST") {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.end('{"progress":{"days":30,"days_done":1,"pages":1,"rows":1,"retries":0}}\n{"result":{"from":');
      return;
    }
    const file = await fetch(origin + request.url);
    const headers = Object.fromEntries(file.headers);
    delete headers["content-length"];
    response.writeHead(file.status, headers);
    response.end(await file.text());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
