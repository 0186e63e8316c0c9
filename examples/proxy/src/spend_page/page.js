// The page: reads the form, sends a run, and shows its progress, its result or its error.
// Names are text of other people. They are inserted as textContent only, never as HTML.
import { showChart } from "./spend-chart.js";
import { DIMENSIONS, element, formatAmount, formatCount } from "./spend-format.js";
import { CONNECTION_FAILED, RunError, readLines } from "./spend-lines.js";
import { NameTable } from "./spend-table.js";

const byId = (id) => document.getElementById(id);
const PROVIDERS = ["openai", "anthropic", "ledger"];
// The dimensions that a provider's costs lack.
const UNAVAILABLE = { openai: ["model"], anthropic: ["user_name"], ledger: ["user_name"] };
const selects = ["by1", "by2", "by3"].map(byId);
const table = new NameTable();
// The shortest time between two texts for screen readers about a run, in milliseconds.
const ANNOUNCEMENT_INTERVAL = 10_000;
// Aborts the run in progress. `null` without one.
let abortController = null;
let result = null;
let removeCharts = [];
// The time of the last text for screen readers, since the page was loaded.
let announcedAt = 0;

// === the form ===

// Fills the form with the dimensions and the last 30 days, and connects its fields.
function fillForm() {
  selects.forEach((select, index) => {
    if (index > 0) {
      select.append(new Option(index === 1 ? "then by …" : "and by …", ""));
    }
    for (const [dimension, { label }] of Object.entries(DIMENSIONS)) {
      select.append(new Option(label, dimension));
    }
    select.addEventListener("change", updateDimensions);
  });
  byId("provider").addEventListener("change", updateProviders);
  for (const button of document.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => setRange(button.dataset.preset));
  }
  for (const id of ["from", "to"]) {
    byId(id).addEventListener("input", () => markPreset(null));
  }
  setRange("30");
  updateProviders();
}

const providers = () => byId("provider").value.split(" ");
const keyInput = (provider) => byId(`${provider}-key`);

// Shows the key fields of the selected providers. A hidden key is not sent.
function updateProviders() {
  for (const provider of PROVIDERS) {
    const isSelected = providers().includes(provider);
    byId(`${provider}-field`).hidden = !isSelected;
    keyInput(provider).required = isSelected;
  }
  updateDimensions();
}

// Disables the dimensions that a selected provider lacks, or that another field has already.
function updateDimensions() {
  const lacking = providers().flatMap((provider) => UNAVAILABLE[provider]);
  for (const select of selects) {
    if (lacking.includes(select.value)) {
      select.selectedIndex = 0;
    }
  }
  for (const select of selects) {
    const others = selects.filter((other) => other !== select).map((other) => other.value);
    for (const option of select.options) {
      option.disabled = option.value !== "" && (lacking.includes(option.value) || others.includes(option.value));
    }
  }
}

// Sets a common range in UTC: a number of days up to yesterday, this month up to today, or the whole month before.
function setRange(preset) {
  const now = new Date();
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  const ranges = {
    month: [[year, month, 1], [year, month, day]],
    previous: [[year, month - 1, 1], [year, month, 0]],
  };
  const [from, to] = ranges[preset] ?? [[year, month, day - Number(preset)], [year, month, day - 1]];
  const dateText = (parts) => new Date(Date.UTC(...parts)).toISOString().slice(0, 10);
  byId("from").value = dateText(from);
  byId("to").value = dateText(to);
  markPreset(preset);
}

// Marks the button of a common range as pressed, or none for null.
function markPreset(preset) {
  for (const button of document.querySelectorAll("[data-preset]")) {
    button.setAttribute("aria-pressed", String(button.dataset.preset === preset));
  }
}

// === the run ===

// Returns the body of a run. It contains the keys, and is not kept.
function requestBody() {
  const keys = {};
  for (const provider of providers()) {
    keys[provider] = keyInput(provider).value;
  }
  return JSON.stringify({
    from: byId("from").value,
    to: byId("to").value,
    by: selects.map((select) => select.value).filter((dimension) => dimension !== ""),
    providers: providers(),
    keys,
    focus: byId("focus").checked,
  });
}

// Starts the run of the form unless another one is in progress. Shows the progress, and then the result or an error.
async function startRun(event) {
  event.preventDefault();
  if (abortController !== null) {
    return;
  }
  abortController = new AbortController();
  const { signal } = abortController;
  setRunning(true);
  showError(null);
  announcedAt = -ANNOUNCEMENT_INTERVAL;
  showProgress({});
  let received = null;
  try {
    received = await fetchResult(signal);
  } catch (error) {
    showError(signal.aborted ? "The run was cancelled." : errorText(error));
  }
  abortController = null;
  setRunning(false);
  if (received !== null) {
    tryShowResult(received);
  }
}

// Returns the text of an error for the user. Errors other than `RunError` are those of parsing, memory, or a result of
// an unknown form.
function errorText(error) {
  return error instanceof RunError ? error.message : `The result could not be read: ${error.message}`;
}

// Requests a run, reads the response up to its last line, and returns the result. Throws if the run failed.
async function fetchResult(signal) {
  const response = await requestRun(signal);
  for await (const line of readLines(response.body)) {
    if (line?.result) {
      return line.result;
    }
    if (line?.error) {
      throw new RunError(line.error.message);
    }
    if (line?.progress) {
      showProgress(line.progress);
    }
  }
  throw new RunError("The response ended before its result. Run the report again.");
}

// Sends the request for a run, and returns the response with its lines. Throws for any other response.
async function requestRun(signal) {
  // The cookies and the login are those for a server in front of the proxy. The keys follow no redirect.
  const request = fetch("spend.json", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: requestBody(),
    signal,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
  });
  const response = await request.catch(() => {
    throw new RunError(CONNECTION_FAILED);
  });
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new RunError(body?.error?.message ?? `The proxy sent the status ${response.status}.`);
  }
  const contentType = response.headers.get("content-type") ?? "";
  if (!contentType.startsWith("application/x-ndjson")) {
    await response.body?.cancel();
    throw new RunError("The response is not from this proxy, but for example the page of a login. Reload this page, "
      + "and run the report again.");
  }
  return response;
}

// Shows the controls for a run in progress, or those for no run.
function setRunning(isRunning) {
  byId("run").disabled = isRunning;
  byId("cancel").hidden = !isRunning;
  byId("progress").hidden = !isRunning;
  byId("result").setAttribute("aria-busy", String(isRunning));
  byId("progress-status").textContent = "";
  // The button that had the focus is disabled or hidden.
  if (document.activeElement === document.body) {
    byId(isRunning ? "cancel" : "run").focus();
  }
}

// Shows a line of progress. The bar has no value while the number of days is unknown.
function showProgress(progress) {
  const bar = byId("bar");
  if (progress.days > 0) {
    bar.max = progress.days;
    bar.value = progress.days_done;
  } else {
    bar.removeAttribute("value");
  }
  const text = progressText(progress);
  byId("progress-text").textContent = text;
  announce(text);
}

// Passes a text to screen readers, unless the last one is too recent: lines of progress arrive five times a second.
function announce(text) {
  const now = performance.now();
  if (now - announcedAt >= ANNOUNCEMENT_INTERVAL) {
    announcedAt = now;
    byId("progress-status").textContent = text;
  }
}

// Returns the text of a line of progress: of the lists of names, or of the days of the costs.
function progressText(progress) {
  if (progress.lists > 0) {
    return `Reading names: ${formatCount(progress.keys)} keys from ${formatCount(progress.lists_done)} of `
      + `${formatCount(progress.lists)} lists`;
  }
  if (!(progress.days > 0)) {
    return "Starting …";
  }
  const retries = progress.retries > 0 ? ` · ${formatCount(progress.retries)} retries` : "";
  return `${formatCount(progress.days_done)} of ${formatCount(progress.days)} days · ${formatCount(progress.pages)} pages · `
    + `${formatCount(progress.rows)} rows${retries}`;
}

// Shows an error, or hides it for null. The result of an earlier run stays.
function showError(message) {
  byId("error").hidden = message === null;
  byId("error").textContent = message ?? "";
}

// === the result ===

// Shows a result, or an error if the result has an unknown form.
function tryShowResult(received) {
  try {
    showResult(received);
  } catch (error) {
    byId("report").hidden = true;
    showError(errorText(error));
  }
}

// Shows a result in place of the one before: its sums, charts and table, or a note if there are no costs.
function showResult(received) {
  result = received;
  removeCharts.forEach((remove) => remove());
  removeCharts = [];
  byId("charts").replaceChildren();
  const isEmpty = result.rows.length === 0;
  byId("empty").hidden = !isEmpty;
  byId("report").hidden = isEmpty;
  if (isEmpty) {
    byId("empty-title").textContent = "No costs";
    byId("empty-text").textContent = `There are no costs from ${result.from} to ${result.to}.`;
    return;
  }
  showSummary();
  showMissing();
  for (const chart of result.charts) {
    const sum = result.totals.find((total) => total.currency === chart.currency);
    removeCharts.push(showChart(byId("charts"), chart, sum, result));
  }
  table.show(result);
  byId("table-title").textContent = result.by.map((dimension) => DIMENSIONS[dimension].label).join(" · ");
  byId("focus-file").hidden = result.focus === null;
  byId("result").focus({ preventScroll: true });
}

// Shows the range, the sums and the notes. A sum is a total only if all costs were read.
function showSummary() {
  byId("range-title").textContent = `${result.from} to ${result.to}, UTC`;
  const label = result.missing.length === 0 ? "Total" : "Incomplete sum";
  byId("totals").replaceChildren(...result.totals.map((total) => {
    const pair = element("div");
    pair.append(element("dt", "", `${label} in ${total.currency}`), element("dd", "", formatAmount(total.amount)));
    return pair;
  }));
  const notes = [];
  if (result.rows_without_amount > 0) {
    notes.push(`${formatCount(result.rows_without_amount)} rows of the API have no amount.`);
  }
  if (result.provisional_from !== null) {
    notes.push(`Costs from ${result.provisional_from} on may still change.`);
  }
  byId("notes").textContent = notes.join(" ");
}

// Shows a sentence for each part of the costs and each list of names that could not be read.
function showMissing() {
  byId("incomplete").hidden = result.complete;
  byId("incomplete-text").textContent = result.missing.length === 0
    ? "All costs were read, but some names could not be read. Their keys, projects or users are listed by id."
    : "Some costs could not be read. The amounts below are not totals.";
  const lines = [...result.missing, ...result.missing_names];
  byId("missing").replaceChildren(...lines.map((line) => element("li", "", line)));
}

// Saves a text of the result as a file.
function download(text, type, suffix) {
  const incompleteSuffix = result.complete ? "" : "-incomplete";
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a");
  link.href = url;
  link.download = `spend-${result.from}-${result.to}${suffix}${incompleteSuffix}.csv`;
  link.click();
  URL.revokeObjectURL(url);
}

// === the keys ===

// Clears the keys when the user leaves the page, because the browser may keep the page in its history.
function clearKeys() {
  abortController?.abort();
  for (const provider of PROVIDERS) {
    keyInput(provider).value = "";
  }
}

fillForm();
byId("query").addEventListener("submit", startRun);
byId("cancel").addEventListener("click", () => abortController?.abort());
byId("csv").addEventListener("click", () => download(result.csv, "text/csv", ""));
byId("focus-file").addEventListener("click", () => download(result.focus, "text/csv", "-focus"));
window.addEventListener("pagehide", clearKeys);
