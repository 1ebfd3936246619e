/** Debian's Chromium, and pages in it that write down whatever they should not have done. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// The packages of the page's own tests.
const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const CHROMIUM = process.env.PLIMSOLL_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"];
export const LAPTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** What a browser says itself when a connection is lost, as it is when the agent ends. */
const LOST = /^Failed to load resource: net::ERR_|^Failed to load resource: .*status of 503/;

export class Chrome {
    static async launch() {
        const chrome = new Chrome();
        chrome.home = mkdtempSync(join(tmpdir(), "plimsoll-chrome-"));
        chrome.browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS,
            headless: true, env: { ...process.env, HOME: chrome.home } });
        chrome.complaints = [];
        chrome.mayBeLost = false;
        return chrome;
    }

    /** A page of its own, with nothing kept from others, on an address below the agent's. */
    async open(url, options = {}) {
        const context = await this.browser.newContext({ viewport: LAPTOP, locale: "en-GB",
            colorScheme: "light", reducedMotion: "reduce", ...options });
        const page = await context.newPage();
        page.setDefaultTimeout(45_000);
        this.watch(page, new URL(url).origin);
        await page.goto(url);
        return page;
    }

    watch(page, origin) {
        const complain = (text) => this.complaints.push(text);
        page.on("console", (message) => {
            const expected = this.mayBeLost && LOST.test(message.text());
            if (["error", "warning"].includes(message.type()) && !expected) {
                complain(`console: ${message.text()} (${message.location().url})`);
            }
        });
        page.on("pageerror", (error) => complain(`not caught: ${error.stack ?? error}`));
        page.on("dialog", (dialog) => {
            complain(`a dialog: ${dialog.message()}`);
            void dialog.dismiss();
        });
        page.on("request", (request) => {
            const url = new URL(request.url());
            if (!["blob:", "data:"].includes(url.protocol) && url.origin !== origin) {
                complain(`a request elsewhere: ${request.url()}`);
            }
        });
    }

    async close() {
        await this.browser.close();
        rmSync(this.home, { recursive: true, force: true });
    }
}

/** Findings of axe-core that matter, as lines. */
export async function findings(page) {
    await page.evaluate(AXE); // by the debugger, which the page's policy does not bind
    const { violations } = await page.evaluate(() => globalThis.axe.run(document,
        { resultTypes: ["violations"] }));
    return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) =>
            `${id}: ${help}: ${html.slice(0, 200)} ${failureSummary ?? ""}`));
}
