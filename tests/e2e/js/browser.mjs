// A Chromium that does what it is told, and remembers what happened in it.
//
// usage: browser.mjs CHROMIUM, with the packages of package.json in JS_MODULES. Each line of its input is a JSON
// object with a word of `does` under "do"; each line of its output is the answer: {"value": …} or {"error": "…"}.
// It ends with its input.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.JS_MODULES}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const PATIENCE = 10_000;
// Chromium keeps root out of its sandbox, and what the pages show is the tests' own.
const browser = await chromium.launch({
    executablePath: process.argv[2],
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const visits = new Map();

// What an answer can be told as.
const plain = (value) => {
    if (typeof value?.status === "function") {
        return { status: value.status(), url: value.url(), fields: value.headers() };
    }
    return Buffer.isBuffer(value) || value === undefined ? null : value;
};

// The last answer to whatever loads a page, after redirects.
const arrives = (page) =>
    page.waitForResponse((answer) => {
        const request = answer.request();
        const redirects = answer.status() >= 300 && answer.status() < 400;
        return request.isNavigationRequest() && request.frame() === page.mainFrame() && !redirects;
    });

// Keeps what must not happen unseen.
const watch = (context, page) => {
    const seen = { console: [], errors: [], dialogs: [], requests: [] };
    context.on("request", (request) => {
        const [url, type, fields] = [request.url(), request.resourceType(), request.headers()];
        seen.requests.push({ url, type, fields });
    });
    page.on("console", (said) => seen.console.push({ type: said.type(), text: said.text(), url: said.location().url }));
    page.on("pageerror", (error) => seen.errors.push(String(error)));
    page.on("dialog", (dialog) => {
        seen.dialogs.push(dialog.message());
        dialog.dismiss().catch(() => {});
    });
    return seen;
};

const does = {
    async open({ options }) {
        const context = await browser.newContext({ acceptDownloads: true, ...options });
        context.setDefaultTimeout(PATIENCE);
        const page = await context.newPage();
        visits.set(visits.size + 1, { context, page, seen: watch(context, page) });
        return visits.size;
    },
    // A method by its name, as in "page.keyboard.press" or "context.cookies".
    async call({ of, name, args }) {
        const path = name.split(".");
        const method = path.pop();
        const target = path.reduce((thing, part) => thing[part], visits.get(of));
        return target[method](...args);
    },
    async locate({ of, selector, name, args }) {
        return visits.get(of).page.locator(selector)[name](...args);
    },
    // What leads to another page: a click, or a key.
    async follow({ of, selector, key }) {
        const { page } = visits.get(of);
        const deed = selector ? page.locator(selector).click() : page.keyboard.press(key);
        const [answer] = await Promise.all([arrives(page), page.waitForEvent("load"), deed]);
        return answer;
    },
    async download({ of, selector, to }) {
        const { page } = visits.get(of);
        const [download] = await Promise.all([page.waitForEvent("download"), page.locator(selector).click()]);
        await download.saveAs(to);
        return { name: download.suggestedFilename(), url: download.url() };
    },
    // What axe-core finds, and how grave it is.
    async axe({ of }) {
        const { page } = visits.get(of);
        await page.evaluate(axe);
        const { violations, passes } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
        const found = violations.map(({ id, impact, help, nodes }) => ({
            id,
            impact,
            help,
            nodes: nodes.map((node) => `${node.target}: ${node.failureSummary}`),
        }));
        return { found, passed: passes.length };
    },
    async seen({ of }) {
        return visits.get(of).seen;
    },
    async close({ of }) {
        await visits.get(of).context.close();
    },
};

// Nothing is waited for without end: not every method has a deadline of its own.
const inTime = (deed, name) => {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${name}: nothing within ${4 * PATIENCE} ms`)), 4 * PATIENCE);
    });
    return Promise.race([deed, late]).finally(() => clearTimeout(timer));
};

const answer = (said) => process.stdout.write(`${JSON.stringify(said)}\n`);

answer({ value: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    try {
        answer({ value: plain(await inTime(does[told.do](told), line)) });
    } catch (error) {
        answer({ error: String(error) });
    }
}
await browser.close();
