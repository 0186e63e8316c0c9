// Starts the program, and the page in a browser.
import { spawn } from "node:child_process";
import { chromium } from "playwright-core";

// The longest wait for a condition, in milliseconds.
export const DEADLINE = 60_000;

// Waits until a condition returns a value that is true, and returns it.
export async function until(description, condition) {
  const end = Date.now() + DEADLINE;
  while (Date.now() < end) {
    const value = await condition();
    if (value) {
      return value;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${description}: not within ${DEADLINE / 1000} s`);
}

// A running program. Its output is kept.
export class Program {
  static async start(path, args) {
    const program = new Program();
    const kept = Object.entries(process.env).filter(([name]) => !/^(OPENAI|ANTHROPIC)_|_proxy$/i.test(name));
    program.process = spawn(path, [...args, "--port", "0", "--access-log"], { env: Object.fromEntries(kept) });
    program.output = "";
    for (const stream of [program.process.stdout, program.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        program.output += text;
      });
    }
    program.ended = new Promise((resolve) => program.process.on("exit", resolve));
    const printed = () => program.output.match(/listening on (http:\/\/127\.0\.0\.1:\d+)/);
    await until("the program's address", () => printed() || program.process.exitCode !== null);
    if (!printed()) {
      throw new Error(`the program has ended: ${program.output}`);
    }
    [, program.url] = printed();
    return program;
  }

  async stop(signal = "SIGTERM") {
    this.process.kill(signal);
    await this.ended;
  }
}

export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

// Opens the page in a context of its own. `problems` has the errors and warnings of its console.
export async function openPage(browser, url, { width = 1200, colorScheme = "light", ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 }, colorScheme, locale: "en-US", acceptDownloads: true, ...options,
  });
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  page.problems = [];
  page.urls = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      page.problems.push(message.text());
    }
  });
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("request", (request) => page.urls.push(request.url()));
  await page.goto(`${url}/spend`);
  return page;
}

// Enters a key and clicks Run.
export async function startRun(page, key = "sk-admin-of-a-browser") {
  await page.fill("#openai-key", key);
  await page.click("#run");
}

// Runs a report, and waits for its result.
export async function runReport(page, key) {
  await startRun(page, key);
  await page.waitForSelector("#run:enabled");
  await page.waitForSelector("#report .bar");
}
