// build.mjs - makes the pages: web/dist/{index.html,app.js,app.css,icon.svg}, which the agent embeds,
// and gctrace.{html,js,css} of `plimsoll gctrace --listen`.
//
//   node build.mjs            once, small
//   node build.mjs --watch    again at every change, readable
//   node build.mjs --test     the unit tests, bundled for node, in build-test/
import { build, context } from "esbuild";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const path = (...parts) => join(here, ...parts);

function pageOptions(small) {
    return {
        entryPoints: { app: path("src/main.tsx"), gctrace: path("src/gctrace/main.tsx") },
        outdir: path("dist"),
        bundle: true,
        minify: small,
        sourcemap: small ? false : "inline",
        format: "esm",
        target: ["es2022", "chrome111", "firefox115", "safari16"],
        jsx: "automatic",
        jsxImportSource: "preact",
        legalComments: "none",
        logLevel: "warning",
    };
}

function copyStatic() {
    mkdirSync(path("dist"), { recursive: true });
    for (const name of ["index.html", "gctrace.html", "icon.svg"]) copyFileSync(path("src", name), path("dist", name));
}

async function buildTests() {
    rmSync(path("build-test"), { recursive: true, force: true });
    const tests = readdirSync(path("test")).filter((name) => /\.test\.tsx?$/.test(name));
    await build({
        entryPoints: tests.map((name) => path("test", name)),
        outdir: path("build-test"),
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        jsx: "automatic",
        jsxImportSource: "preact",
        loader: { ".css": "empty" },
        logLevel: "warning",
    });
}

const mode = process.argv[2];
if (mode === "--test") {
    await buildTests();
} else {
    rmSync(path("dist"), { recursive: true, force: true });
    copyStatic();
    if (mode === "--watch") await (await context(pageOptions(false))).watch();
    else await build(pageOptions(true));
}
