// Tests the page /spend in Chromium: node run.mjs PROGRAM FOLDER, where FOLDER is for files of the tests.
// An error or a warning in the console of a page fails the test, unless the test expects it.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { HOSTILE_NAMES, KEY_COUNT, names, startFakeApi, startFrontServer } from "./fake_api.mjs";
import { Program, launch, openPage, runReport, startRun, until } from "./program.mjs";

const [programPath, folder] = process.argv.slice(2);
const SECRET = "sk-admin-secret-of-the-browser-test";
let failed = 0;

function check(name, isGood, details = "") {
  failed += isGood ? 0 : 1;
  console.log(isGood ? `ok   ${name}` : `FAIL ${name}: ${details}`);
}

function checkEqual(name, actual, expected) {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(name, left === right, `${left} instead of ${right}`);
}

// Fails for each message of the console that no pattern matches.
async function closeCleanly(page, name, expected = []) {
  const unexpected = page.problems.filter((text) => !expected.some((pattern) => pattern.test(text)));
  checkEqual(`${name}: clean console`, unexpected, []);
  await page.context().close();
}

async function checkAxe(page, name) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((violation) => `${violation.id}: ${violation.nodes[0].html}`);
  checkEqual(`${name}: axe`, found, []);
}

const texts = (page, selector) => page.locator(selector).allTextContents();
const firstColumn = (page) => texts(page, "#table tbody td:first-child");
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

async function errorOf(page) {
  await page.waitForSelector("#error:not([hidden])");
  return page.textContent("#error");
}

async function downloadOf(page, selector) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
}

// === the demo ===

async function testStates(browser, demo) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1920]) {
      const name = `${colorScheme}, ${width} px`;
      const page = await openPage(browser, demo.url, { width, colorScheme });
      checkEqual(`${name}: title`, await page.title(), "Spend by name");
      check(`${name}: empty state`, await page.isVisible("#empty"));
      checkEqual(`${name}: width of the empty state`, await overflow(page), 0);
      await checkAxe(page, `${name}: empty state`);
      await startRun(page, "sk-bad");
      check(`${name}: rejected key`, (await errorOf(page)).includes("401"), await page.textContent("#error"));
      await checkAxe(page, `${name}: error`);
      await runReport(page);
      checkEqual(`${name}: error is hidden after a result`, await page.isVisible("#error"), false);
      await page.click("summary");
      checkEqual(`${name}: width of the result`, await overflow(page), 0);
      await checkAxe(page, `${name}: result`);
      await closeCleanly(page, name);
    }
  }
}

async function testResult(browser, demo) {
  const page = await openPage(browser, demo.url);
  await page.fill("#from", "2026-11-01");
  await page.fill("#to", "2026-11-30");
  await page.check("#focus");
  await page.selectOption("#by2", "project_name");
  await runReport(page, SECRET);

  checkEqual("chart: days", await page.locator(".plot .day").count(), 30);
  checkEqual("chart: names and the rest", await page.locator(".legend li").count(), 11);
  const label = await page.getAttribute(".plot", "aria-label");
  check("chart: text for readers", label.includes("storefront-prod"), label);
  const total = await page.textContent("#totals dd");
  checkEqual("chart: sum of all days is the total", await page.textContent(".legend-title .amount"), total);
  await page.hover(".plot .day:nth-of-type(3)", { force: true });
  checkEqual("chart: pointer selects a day", await page.textContent(".legend-title span"), "2026-11-03");

  const byAmount = await firstColumn(page);
  const amounts = (await texts(page, "#table tbody td:nth-child(4)")).map((text) => Number(text.replaceAll(",", "")));
  checkEqual("table: largest amount first", amounts, [...amounts].sort((left, right) => right - left));
  await page.click("thead button >> text=Key name");
  checkEqual("table: order of a name", await page.getAttribute("thead th:first-child", "aria-sort"), "ascending");
  const byName = await firstColumn(page);
  checkEqual("table: sorted by name", byName, [...byName].sort(new Intl.Collator("en", { numeric: true }).compare));
  await page.click("thead button >> text=Amount");
  await page.click("thead button >> text=Amount");
  checkEqual("table: second click reverses", await firstColumn(page), byAmount.reverse());
  await page.fill("#search", "STOREfront-");
  checkEqual("table: search", (await firstColumn(page)).sort(), ["storefront-prod", "storefront-staging"]);
  await page.fill("#search", "no such key");
  checkEqual("table: search without a match", await page.textContent("#shown"), "No name matches the search.");

  const csv = await downloadOf(page, "#csv");
  checkEqual("CSV: name", csv.name, "spend-2026-11-01-2026-11-30.csv");
  checkEqual("CSV: header", csv.text.split(/\r?\n/)[0], "start,api_key_name,project_name,keys,currency,amount,note");
  check("CSV: rows by day", csv.text.includes("\n2026-11-07,storefront-prod,Storefront,1,USD,"), csv.text.slice(0, 300));
  const focus = await downloadOf(page, "#focus-file");
  checkEqual("FOCUS: name", focus.name, "spend-2026-11-01-2026-11-30-focus.csv");
  check("FOCUS: header", focus.text.startsWith("AvailabilityZone,BilledCost,BillingAccountId,"), focus.text.slice(0, 100));
  check("FOCUS: id and name", focus.text.includes(",key_9fKd2LmQx7Rt,storefront-prod,"), focus.text.slice(0, 900));

  await checkSecrecy(page, demo);
  await page.reload();
  checkEqual("key: empty after a reload", await page.inputValue("#openai-key"), "");
  await closeCleanly(page, "result");
}

// The key occurs in no URL, no storage, no attribute and no log line.
async function checkSecrecy(page, demo) {
  const stored = await page.evaluate(() => JSON.stringify([
    document.cookie, { ...localStorage }, { ...sessionStorage }, location.href, document.documentElement.outerHTML,
  ]));
  const cookies = JSON.stringify(await page.context().cookies());
  const everything = [stored, cookies, ...page.urls, demo.output].join("\n");
  await until("the log line of the run", () => demo.output.includes("POST /spend.json 200"));
  check("key: not in a URL, a cookie, the storage, the page or the log", !everything.includes(SECRET));
  checkEqual("key: only the page's own server", page.urls.filter((url) => !/^(blob:)?http:\/\/127\.0\.0\.1:/.test(url)), []);
}

async function testBothProviders(browser, demo) {
  const page = await openPage(browser, demo.url);
  await page.selectOption("#provider", "openai anthropic");
  await page.fill("#anthropic-key", "sk-ant-admin");
  await runReport(page);
  const keys = await firstColumn(page);
  check("both providers: keys of each", ["assistant-prod", "search-indexer"].every((key) => keys.includes(key)), keys);
  checkEqual("both providers: model is disabled", await page.isDisabled("#by1 option[value=model]"), true);
  await page.selectOption("#provider", "anthropic");
  checkEqual("Anthropic: model is enabled", await page.isDisabled("#by1 option[value=model]"), false);
  checkEqual("Anthropic: OpenAI's key field is hidden", await page.isVisible("#openai-key"), false);
  await closeCleanly(page, "both providers");
}

// The page of the operator has the ledger of proxy keys, with the calls that the demo has made.
async function testLedger(browser) {
  const token = "operator-token-of-the-browser-test";
  const tokenFile = path.join(folder, "operator-token");
  await writeFile(tokenFile, token);
  const operatorFlags = ["--operator-listen", "127.0.0.1:0", "--operator-token-file", tokenFile];
  const program = await Program.start(programPath, ["--demo", "--keys", ...operatorFlags]);
  await until("the calls of the demo", () => program.output.includes("or with an SDK"));
  const [, url] = program.output.match(/operator listening on (http:\/\/127\.0\.0\.1:\d+)/);
  const page = await openPage(browser, url);
  await page.selectOption("#provider", "ledger");
  checkEqual("ledger: model is enabled", await page.isDisabled("#by1 option[value=model]"), false);
  checkEqual("ledger: user is disabled", await page.isDisabled("#by1 option[value=user_name]"), true);
  checkEqual("ledger: OpenAI's key field is hidden", await page.isVisible("#openai-key"), false);
  await page.click("[data-preset=month]");
  await page.fill("#ledger-key", "another-token-of-the-browser-test");
  await page.click("#run");
  check("ledger: another token is rejected", (await errorOf(page)).includes("not the operator token"));
  await page.fill("#ledger-key", token);
  await page.click("#run");
  await page.waitForSelector("#report .bar");
  await checkAxe(page, "ledger");
  checkEqual("ledger: names", await firstColumn(page), ["Pilot"]);
  const { text } = await downloadOf(page, "#csv");
  check("ledger: exact amount", text.includes("Pilot") && text.includes("0.000126"), text);
  check("ledger: the token is not in the log", !program.output.includes(token));
  await closeCleanly(page, "ledger", [/401/]);
  await program.stop();
}

// Shows that a violation of the policy is a message in the console, which fails any other test.
async function testPolicy(browser, demo) {
  const page = await openPage(browser, demo.url);
  await page.evaluate(() => document.body.setAttribute("style", "color: red"));
  await page.evaluate(() => document.body.append(Object.assign(document.createElement("script"), { text: "0" })));
  await until("two violations", () => page.problems.length === 2);
  await closeCleanly(page, "policy", [/Content Security Policy/]);
}

async function testInvalidRange(browser, demo) {
  const page = await openPage(browser, demo.url);
  await page.fill("#from", "2026-11-30");
  await page.fill("#to", "2026-11-01");
  await startRun(page);
  checkEqual("400: message", await errorOf(page), "The first day is after the last day.");
  await closeCleanly(page, "400", [/status of 400/]);
}

async function testKeyboard(browser, demo) {
  const page = await openPage(browser, demo.url);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const outlineOfFocus = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  const tabTo = async (name) => {
    for (let presses = 0; presses < 60 && (await focused()) !== name; presses += 1) {
      await page.keyboard.press("Tab");
    }
    checkEqual(`keyboard: reaches ${name}`, await focused(), name);
  };
  await page.keyboard.press("Tab");
  checkEqual("keyboard: skip link is first", await focused(), "Skip to the result");
  checkEqual("keyboard: focus is visible", await outlineOfFocus(), "solid");
  await tabTo("openai-key");
  await page.keyboard.type("sk-typed");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#report .bar");
  await until("the focus on the result", async () => (await focused()) === "result");
  checkEqual("keyboard: focus on the result is visible", await outlineOfFocus(), "solid");
  for (let presses = 0; presses < 10; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.type === "range")) {
      break;
    }
  }
  await page.keyboard.press("ArrowRight");
  const days = await texts(page, ".legend-title span");
  checkEqual("keyboard: slider selects the first day", days[0], await page.inputValue("#from"));
  await tabTo("search");
  await page.keyboard.type("storefront-prod");
  checkEqual("keyboard: search", await firstColumn(page), ["storefront-prod"]);
  await tabTo("Key name");
  await page.keyboard.press("Enter");
  checkEqual("keyboard: sorts", await page.getAttribute("thead th:first-child", "aria-sort"), "ascending");
  await closeCleanly(page, "keyboard");
}

// === the fake API ===

async function testHostileNames(browser, program) {
  const page = await openPage(browser, program.url, { width: 360 });
  await runReport(page, "sk-hostile");
  const shown = await firstColumn(page);
  for (const name of HOSTILE_NAMES) {
    check(`hostile name: ${name.slice(0, 30)}`, shown.includes(name), JSON.stringify(shown));
  }
  checkEqual("hostile names: title", await page.title(), "Spend by name");
  checkEqual("hostile names: scripts", await page.locator("script").count(), 1);
  checkEqual("hostile names: images", await page.locator("img").count(), 0);
  checkEqual("hostile names: width", await overflow(page), 0);
  check("id without a name is marked", (await page.locator("td.id").textContent()) === "key_unnamed");
  const labels = await page.locator(".plot").evaluateAll((plots) => plots.map((plot) => plot.ariaLabel.length));
  check("text for readers: limited", labels.every((length) => length < 500), JSON.stringify(labels));
  check("costs without a key", shown.includes("(no key)"));
  checkEqual("currencies: a chart for each", await texts(page, "figcaption"), ["EUR by day", "USD by day"]);
  checkEqual("currencies: a total for each", await texts(page, "#totals dt"), ["Total in EUR", "Total in USD"]);
  await page.check("#exact");
  const amounts = await texts(page, "#table tbody td:nth-child(3)");
  check("amounts: all digits", amounts.includes("480.00000000000000000003"), JSON.stringify(amounts));
  await page.uncheck("#exact");
  await page.fill("#search", "key_unnamed");
  checkEqual("amounts: less than a cent", await texts(page, "#table tbody td:nth-child(3)"), ["<0.01"]);
  const csv = await downloadOf(page, "#csv");
  check("CSV: formula is neutralised", csv.text.includes("\"'=HYPERLINK("), csv.text.slice(0, 400));
  await checkAxe(page, "hostile names");
  await closeCleanly(page, "hostile names");
}

async function testAmountTexts(browser, program) {
  const page = await openPage(browser, program.url);
  const zeros = "0".repeat(30);
  for (const [amount, text, exactText] of [
    ["0", "0.00", "0.00"],
    ["-7.5", "-7.50", "-7.50"],
    ["1234567.005", "1,234,567.00", "1,234,567.005"],
    ["0.015", "0.02", "0.015"],
    ["999.995", "1,000.00", "999.995"],
    [`0.985${zeros}1`, "0.99", `0.985${zeros}1`],
    ["0.0099", "<0.01", "0.0099"],
    [`-0.${zeros}1`, ">-0.01", `-0.${zeros}1`],
    ["9007199254740993.12", "9,007,199,254,740,993.12", "9,007,199,254,740,993.12"],
    [`1${"0".repeat(309)}`, `1${",000".repeat(103)}.00`, `1${",000".repeat(103)}.00`],
  ]) {
    const shown = await page.evaluate(async (value) => {
      const { formatAmount } = await import("/spend-format.js");
      return [formatAmount(value), formatAmount(value, true)];
    }, amount);
    checkEqual(`amount ${amount.slice(0, 20)}`, shown, [text, exactText]);
  }
  await closeCleanly(page, "amount texts");
}

async function testExtremeAmounts(browser, program) {
  const page = await openPage(browser, program.url, { width: 360 });
  await page.fill("#from", "2026-11-01");
  await page.fill("#to", "2026-11-02");
  await runReport(page, "sk-extreme");
  checkEqual("extreme amounts: charts", await texts(page, "figcaption"), ["EUR by day", "GBP by day", "USD by day"]);
  const marks = await page.locator(".plot").evaluateAll((plots) => plots.map((plot) => plot.innerHTML).join(""));
  check("extreme amounts: finite coordinates", !/NaN|Infinity/.test(marks), marks.slice(0, 500));
  checkEqual("extreme amounts: width", await overflow(page), 0);
  const names = await texts(page, "figure:last-child .legend .name");
  checkEqual("a key with the name of the rest", [names[0], names.at(-1)], ["rest", "(rest)"]);
  await page.fill("#search", "rest");
  await page.check("#exact");
  const exact = `20${",000".repeat(103)}.00`;
  checkEqual("extreme amounts: all digits", await texts(page, "#table tbody td:nth-child(3)"), [exact]);
  await closeCleanly(page, "extreme amounts");
}

async function testManyKeys(browser, program) {
  const page = await openPage(browser, program.url);
  await page.fill("#from", "2026-11-01");
  await page.fill("#to", "2026-11-02");
  await runReport(page, "sk-many");
  const rows = page.locator("#table tbody tr");
  checkEqual("many keys: rows at first", await rows.count(), 200);
  checkEqual("many keys: number", await page.textContent("#shown"), "200 of 12,000 rows");
  checkEqual("many keys: largest", (await firstColumn(page))[0], `team-${KEY_COUNT - 1}`);
  await page.click("#more");
  checkEqual("many keys: rows after more", await rows.count(), 400);
  await page.click("thead button >> text=Key name");
  checkEqual("many keys: sorted by number", (await firstColumn(page)).slice(0, 3), ["team-0", "team-1", "team-2"]);
  await page.fill("#search", "team-77");
  checkEqual("many keys: search", await page.textContent("#shown"), "111 of 111 rows (111 of 12,000 match)");
  checkEqual("many keys: total", await page.textContent("#totals dd"), "143,991,000.00");
  await closeCleanly(page, "many keys");
}

async function testErrorsOfTheApi(browser, program) {
  const page = await openPage(browser, program.url);
  await startRun(page, "sk-400");
  const message = await errorOf(page);
  check("400 of the API: message", message.includes("Grouping by api_key_id is not supported"), message);

  await runReport(page, "sk-partial");
  check("incomplete: warning", (await page.textContent("#incomplete")).includes("may not read the second page"));
  const isTotal = (await page.textContent("#result")).includes("Total");
  check("incomplete: no sum is called a total", !isTotal, await page.textContent("#result"));
  check("incomplete: name of the file", (await downloadOf(page, "#csv")).name.endsWith("-incomplete.csv"));
  await checkAxe(page, "incomplete");

  await startRun(page, "sk-empty");
  await page.waitForSelector("#empty:not([hidden])");
  checkEqual("no costs: title", await page.textContent("#empty-title"), "No costs");
  await closeCleanly(page, "errors of the API");
}

async function testRunsInFlight(browser, program, api) {
  const pages = [];
  for (let index = 0; index < 2; index += 1) {
    const page = await openPage(browser, program.url);
    await startRun(page, "sk-wait");
    pages.push(page);
  }
  await until("two requests of the runs", () => api.waiting === 2);
  const third = await openPage(browser, program.url);
  await startRun(third, "sk-hostile");
  check("503: message", (await errorOf(third)).includes("Two runs are in progress"), await third.textContent("#error"));
  await closeCleanly(third, "503", [/status of 503/]);

  await pages[0].click("#cancel");
  checkEqual("cancel: message", await errorOf(pages[0]), "The run was cancelled.");
  await until("the end of the cancelled request", () => api.waiting === 1);
  await closeCleanly(pages[0], "cancel");
  await pages[1].goto("about:blank");
  await until("the end of the request of a page that was left", () => api.waiting === 0);
  await pages[1].goBack();
  checkEqual("key: empty after going back", await pages[1].inputValue("#openai-key"), "");
  await closeCleanly(pages[1], "page that was left");
}

async function testLostNetwork(browser, api, namesFile) {
  const program = await Program.start(programPath, ["--openai-base-url", api.url, "--names", namesFile]);
  const page = await openPage(browser, program.url);
  await startRun(page, "sk-wait");
  await until("the request of the run", () => api.waiting === 1);
  await program.stop("SIGKILL");
  check("lost network: message", (await errorOf(page)).includes("the connection was lost"), await page.textContent("#error"));
  await startRun(page, "sk-wait");
  await until("the end of the second run", () => page.isEnabled("#run"));
  check("no server: message", (await errorOf(page)).includes("cannot be reached"), await page.textContent("#error"));
  await closeCleanly(page, "lost network", [/net::ERR_/]);
}

// === a server in front of the proxy ===

async function testOtherResponses(browser, demo) {
  const front = await startFrontServer(demo.url);
  const page = await openPage(browser, front.url);
  for (const [key, expected] of [
    ["sk-cut", "The response ended before its result. Run the report again."],
    ["sk-login", "The response is not from this proxy"],
    ["sk-redirect", "requires a login"],
    ["sk-no-json", "The result could not be read: "],
    ["sk-unknown-form", "The result could not be read: "],
    ["sk-unknown-lines", "The last line."],
    ["sk-open", "The response goes on."],
  ]) {
    await startRun(page, key);
    const message = await errorOf(page);
    check(`response ${key}: message`, message.includes(expected), message);
    check(`response ${key}: no result`, await page.isHidden("#report"));
    await page.waitForSelector("#run:enabled");
  }
  await until("the end of each response", () => front.open === 0);
  checkEqual("front: each run has the cookie, and no redirect is followed",
    [...new Set(front.runs.map(({ path, cookie }) => `${path} ${cookie}`))], ["/spend.json login=1"]);
  await closeCleanly(page, "front", [/net::ERR_|redirect/]);
  front.stop();
}

async function testAnnouncements(browser, demo) {
  const front = await startFrontServer(demo.url);
  const page = await openPage(browser, front.url);
  await startRun(page, "sk-progress");
  const progressText = () => page.textContent("#progress-text");
  await until("the last line of progress", async () => (await progressText()).startsWith("3 of 30"));
  const announced = await page.textContent("#progress-status");
  checkEqual("progress: the next text for readers is not due", announced, "Starting …");
  await page.click("#cancel");
  await page.waitForSelector("#run:enabled");
  checkEqual("progress: no text for readers after the run", await page.textContent("#progress-status"), "");
  await closeCleanly(page, "announcements");
  front.stop();
}

async function main() {
  const api = await startFakeApi();
  const namesFile = path.join(folder, "names.json");
  await writeFile(namesFile, JSON.stringify(names()));
  const demo = await Program.start(programPath, ["--demo"]);
  const program = await Program.start(programPath, ["--openai-base-url", api.url, "--names", namesFile]);
  const browser = await launch();
  const tests = [
    () => testStates(browser, demo),
    () => testResult(browser, demo),
    () => testBothProviders(browser, demo),
    () => testLedger(browser),
    () => testPolicy(browser, demo),
    () => testInvalidRange(browser, demo),
    () => testKeyboard(browser, demo),
    () => testHostileNames(browser, program),
    () => testAmountTexts(browser, program),
    () => testExtremeAmounts(browser, program),
    () => testManyKeys(browser, program),
    () => testErrorsOfTheApi(browser, program),
    () => testRunsInFlight(browser, program, api),
    () => testLostNetwork(browser, api, namesFile),
    () => testOtherResponses(browser, demo),
    () => testAnnouncements(browser, demo),
  ];
  for (const test of tests) {
    await test().catch((error) => check(`a test ran to its end`, false, error.stack));
  }
  await browser.close();
  await demo.stop();
  await program.stop();
  api.stop();
  console.log(`${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}

await main();
