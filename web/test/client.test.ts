import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { ApiError, apiPath, get, isToken, setToken, token, tokenWanted } from "../src/api/client.ts";

const realFetch = globalThis.fetch;
afterEach(() => {
    globalThis.fetch = realFetch;
    tokenWanted.value = false;
});

function answer(status: number, body: string): void {
    globalThis.fetch = async () => new Response(body, { status });
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
    return promise.then(
        () => assert.fail("no error"),
        (error: unknown) => (error instanceof ApiError ? error : assert.fail(String(error))),
    );
}

test("arguments are escaped, lists are repeated, what is undefined is left out", () => {
    assert.equal(
        apiPath("api/v1/series", { target: "a&b=c #<", metric: ["used", "anon"], step: undefined, from: -1 }),
        "api/v1/series?target=a%26b%3Dc+%23%3C&metric=used&metric=anon&from=-1",
    );
    assert.equal(apiPath("healthz"), "healthz");
});

test("the agent's own words are the error", async () => {
    answer(404, '{"error":"no target is called \'x\'"}');
    const error = await failure(get("x"));
    assert.equal(error.status, 404);
    assert.equal(error.message, "no target is called 'x'");
    answer(502, "<html>");
    assert.match((await failure(get("x"))).message, /^502/);
});

test("nobody there is status 0", async () => {
    globalThis.fetch = async () => Promise.reject(new TypeError("failed"));
    assert.equal((await failure(get("x"))).status, 0);
});

test("a 401 asks for a token", async () => {
    answer(401, "{}");
    await failure(get("x"));
    assert.equal(tokenWanted.value, true);
});

test("the token is kept for the tab and sent", async () => {
    const kept = new Map<string, string>();
    Object.defineProperty(globalThis, "sessionStorage", {
        configurable: true,
        value: { getItem: (k: string) => kept.get(k) ?? null, setItem: (k: string, v: string) => kept.set(k, v) },
    });
    let sent: string | null = null;
    globalThis.fetch = async (_path, init) => {
        sent = new Headers(init?.headers).get("authorization");
        return new Response("{}");
    };
    setToken("secret");
    assert.equal(token(), "secret");
    await get("x");
    assert.equal(sent, "Bearer secret");
});

test("a degraded health is an answer when it is asked for", async () => {
    answer(503, '{"status":"degraded"}');
    assert.deepEqual(await get("healthz", { any: true }), { status: "degraded" });
    await failure(get("healthz"));
});

test("a token that no header can carry is none, whoever kept it", async () => {
    const kept = new Map([["plimsoll-token", "schl\u00fcssel"]]);
    Object.defineProperty(globalThis, "sessionStorage", {
        configurable: true,
        value: { getItem: (k: string) => kept.get(k) ?? null, setItem: (k: string, v: string) => kept.set(k, v) },
    });
    assert.equal(token(), null);
    globalThis.fetch = async (_path, init) => new Response(JSON.stringify([...new Headers(init?.headers).keys()]));
    assert.deepEqual(await get("x"), []);
    for (const bad of ["", "a b", "\u2713", "a\n", "\u00fc"]) assert.equal(isToken(bad), false, JSON.stringify(bad));
    assert.ok(isToken("aZ09-._~+/="));
});
