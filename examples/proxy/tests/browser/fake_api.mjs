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
  map.key_rest = "rest";
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

// Amounts beyond the limits of floats, and a key with the name of the rest.
function extremeRows() {
  const small = Array.from({ length: 11 }, (_, index) => row(`key_many${index}`, `1${index}e-9`));
  return [row("key_rest", "1e310"), row("key_many99", "-1e310", "eur"), row("key_many99", "1e-323", "gbp"), ...small];
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
      const rows = { "sk-many": manyRows, "sk-extreme": extremeRows }[key] ?? hostileRows;
      sendRows(rows());
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

// The responses to a run, without their end, for each key: the content type and the body.
const NDJSON = "application/x-ndjson";
const RUN_RESPONSES = {
  "sk-cut": [NDJSON, '{"progress":{"days":30,"days_done":1,"pages":1,"rows":1,"retries":0}}\n{"result":{"from":'],
  "sk-login": ["text/html", "<!doctype html><title>Login</title>"],
  "sk-no-json": [NDJSON, "<html>\n"],
  "sk-unknown-form": [NDJSON, '{"result":{"from":"2026-11-01"}}\n'],
  "sk-unknown-lines": [NDJSON, 'null\n[]\n{"later":{"days":1}}\n{"error":{"message":"The last line."}}\n'],
  "sk-open": [NDJSON, '{"error":{"message":"The response goes on."}}\n'],
  "sk-progress": [NDJSON, [1, 2, 3].map((days) => `{"progress":{"days":30,"days_done":${days}}}\n`).join("")],
};

async function readBody(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
  }
  return body;
}

// Starts a server in front of the page of `origin`, which sets a cookie. The key of a run selects its response.
// `runs` has the path and the cookie of each run, and `open` is the number of responses without an end.
export async function startFrontServer(origin) {
  const front = { runs: [], open: 0 };
  const server = http.createServer(async (request, response) => {
    if (request.method === "POST") {
      front.runs.push({ path: request.url, cookie: request.headers.cookie });
      const { keys } = JSON.parse(await readBody(request));
      if (keys.openai === "sk-redirect") {
        response.writeHead(307, { location: "/login" }).end();
        return;
      }
      const [contentType, body] = RUN_RESPONSES[keys.openai];
      response.writeHead(200, { "content-type": contentType });
      response.write(body);
      front.open += 1;
      response.on("close", () => {
        front.open -= 1;
      });
      if (!["sk-open", "sk-progress"].includes(keys.openai)) {
        response.end();
      }
      return;
    }
    const file = await fetch(origin + request.url);
    const headers = Object.fromEntries(file.headers);
    delete headers["content-length"];
    response.writeHead(file.status, { ...headers, "set-cookie": "login=1; HttpOnly; SameSite=Strict" });
    response.end(await file.text());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  front.url = `http://127.0.0.1:${server.address().port}`;
  front.stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return front;
}
