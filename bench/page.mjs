/**
 * What the page costs a browser: from a tick of which every row has changed to the frame that shows
 * it, and the memory its script holds, for 50, 200 and 500 rows. Targets are made up
 * (tests/browser/mock.mjs), the page and the browser are real.
 *
 *   node bench/page.mjs [--ticks N] [ROWS...]
 */
import { parseArgs } from "node:util";

import { Chrome } from "../tests/browser/chrome.mjs";
import { startMock } from "../tests/browser/mock.mjs";

/**
 * Runs in the page, before it: notes when the last piece of each tick came, and when the frame after
 * it was made. What is posted from within a frame's callback runs once that frame is laid out and
 * painted.
 */
function watchFrames() {
    globalThis.frames_ms = [];
    const ask = globalThis.fetch;
    const afterFrame = (then) => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = then;
        channel.port2.postMessage(0);
    });
    const pieceCame = (text) => {
        if (!text.endsWith("\n\n")) {
            return;
        }
        const begun = performance.now();
        afterFrame(() => globalThis.frames_ms.push(performance.now() - begun));
    };
    globalThis.fetch = async (...words) => {
        const answer = await ask(...words);
        if (!String(words[0]).includes("/stream")) {
            return answer;
        }
        const decoder = new TextDecoder();
        const watched = new TransformStream({
            transform(piece, out) {
                out.enqueue(piece);
                pieceCame(decoder.decode(piece, { stream: true }));
            },
        });
        return new Response(answer.body.pipeThrough(watched), { status: answer.status,
            headers: answer.headers });
    };
}

async function heapBytes(page) {
    const session = await page.context().newCDPSession(page);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    await session.detach();
    return usedSize;
}

const part = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

async function measure(chrome, rows, ticks) {
    const mock = await startMock({ targets: rows, intervalMs: 1000 });
    const context = await chrome.browser.newContext({ viewport: { width: 1280, height: 800 } });
    try {
        const page = await context.newPage();
        await page.addInitScript(watchFrames);
        await page.goto(`${mock.url}#/?q=kind:any`);
        await page.getByTestId("row").first().waitFor();
        await page.waitForFunction((n) => globalThis.frames_ms.length >= n, ticks + 2,
            { timeout: (ticks + 30) * 1000 });
        const made = await page.getByTestId("row").count();
        // The snapshot and the first tick are the page's beginning.
        const frames = (await page.evaluate(() => globalThis.frames_ms)).slice(2).sort((a, b) => a - b);
        return { rows, made, frames, heap: await heapBytes(page) };
    } finally {
        await context.close();
        mock.close();
    }
}

const { values, positionals } = parseArgs({ allowPositionals: true,
    options: { ticks: { type: "string", default: "20" } } });
const sizes = positionals.length > 0 ? positionals.map(Number) : [50, 200, 500];
const chrome = await Chrome.launch();
console.log(`page: every row changes once a second, ${values.ticks} ticks each; Chromium ${
    chrome.browser.version()}, 1280x800, headless`);
console.log("  rows  lines made  tick to frame ms: median   p95   most  heap MiB");
for (const size of sizes) {
    const { rows, made, frames, heap } = await measure(chrome, size, Number(values.ticks));
    const figures = [rows, made, part(frames, 0.5).toFixed(1),
        part(frames, 0.95).toFixed(1), frames.at(-1).toFixed(1), (heap / 2 ** 20).toFixed(1)];
    console.log([6, 12, 26, 6, 7, 10].map((width, i) => String(figures[i]).padStart(width)).join(""));
}
await chrome.close();
