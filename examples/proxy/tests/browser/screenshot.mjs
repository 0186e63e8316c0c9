// Writes a picture of the demo's report: node screenshot.mjs PROGRAM FILE
import { Program, launch, openPage, runReport } from "./program.mjs";

const [programPath, file] = process.argv.slice(2);
const demo = await Program.start(programPath, ["--demo"]);
const browser = await launch();
const page = await openPage(browser, demo.url, { width: 1200 });
await page.selectOption("#provider", "openai anthropic");
await page.fill("#anthropic-key", "sk-ant-admin-demo");
await runReport(page, "sk-admin-demo");
// The button has no hover colour.
await page.mouse.move(0, 0);
await page.evaluate(() => document.activeElement.blur());
await page.screenshot({ path: file, clip: { x: 0, y: 0, width: 1200, height: 1240 }, fullPage: true });
await browser.close();
await demo.stop();
