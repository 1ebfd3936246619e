import assert from "node:assert/strict";
import { test } from "node:test";
import { matches, namesKinds, parentOf, parseFilter, withKind } from "../src/filter.ts";
import { listed } from "../src/views/overview/listed.ts";
import { rowOf } from "./rows.ts";

const ROWS = [
    rowOf({
        name: "web",
        runtime: "docker",
        state: "growing",
        image: "registry/nginx:1.2",
        labels: { tier: "front", "com.example/x": "a b" },
    }),
    rowOf({
        name: "Web Cache",
        runtime: "podman",
        state: "cache-bound",
        pod: "shop-0",
        namespace: "prod",
        labels: { tier: "frontier" },
    }),
    rowOf({
        name: "db:main",
        runtime: "docker",
        state: "hung",
        compose: "shop",
        cgroup: "/docker/4f2a",
    }),
    rowOf({
        name: "ssh.service",
        kind: "service",
        runtime: "systemd",
        state: "ok",
        cgroup: "/system.slice/ssh.service",
    }),
];

function found(text: string): string[] {
    const filter = parseFilter(text);
    return ROWS.filter((row) => matches(filter, row)).map((row) => row.name);
}

test("words are looked for in names, all must hold, in either case", () => {
    assert.deepEqual(found("WEB"), ["web", "Web Cache"]);
    assert.deepEqual(found("web cache"), ["Web Cache"]);
    assert.deepEqual(found('"web cache"'), ["Web Cache"]);
    assert.deepEqual(found("name:web -cache"), ["web"]);
    assert.deepEqual(
        found("  "),
        ROWS.map((row) => row.name),
    );
});

test("fields are looked for where they are", () => {
    assert.deepEqual(found("state:growing"), ["web"]);
    assert.deepEqual(found("state:hung,growing"), ["web", "db:main"]);
    assert.deepEqual(found("-state:ok runtime:docker"), ["web", "db:main"]);
    assert.deepEqual(found("image:nginx"), ["web"]);
    assert.deepEqual(found("pod:prod/shop"), ["Web Cache"]);
    assert.deepEqual(found("compose:shop"), ["db:main"]);
    assert.deepEqual(found("kind:service"), ["ssh.service"]);
    assert.deepEqual(found("kind:any runtime:systemd"), ["ssh.service"]);
    assert.deepEqual(found("slice:/system"), ["ssh.service"]);
    assert.deepEqual(found("path:4f2a"), ["db:main"]);
});

test("a label is there, or is exactly this", () => {
    assert.deepEqual(found("label:tier"), ["web", "Web Cache"]);
    assert.deepEqual(found("label:tier=front"), ["web"]);
    assert.deepEqual(found("label:tier=front*"), ["web", "Web Cache"]);
    assert.deepEqual(found('label:com.example/x="a b"'), ["web"]);
    assert.deepEqual(found("-label:tier"), ["db:main", "ssh.service"]);
    assert.deepEqual(found("label:constructor"), []);
});

test("with a star the whole value is compared, and nothing else is a pattern", () => {
    assert.deepEqual(found("w*b"), ["web"]);
    assert.deepEqual(found("*cache"), ["Web Cache"]);
    assert.deepEqual(found("w.b*"), []);
    assert.deepEqual(found("(["), []);
});

test("what is wrong is told and left out", () => {
    const errors = (text: string) => parseFilter(text).errors.map(({ code, what }) => [code, what]);
    assert.deepEqual(errors("db:main"), [["field", "db:"]]);
    assert.deepEqual(found("db:main state:hung"), ["db:main"]);
    assert.deepEqual(errors('"db:main"'), []);
    assert.deepEqual(found('"db:main"'), ["db:main"]);
    assert.deepEqual(errors("state:sleepy"), [["value", "state:sleepy"]]);
    assert.deepEqual(errors('"web'), [["quote", "web"]]);
    assert.deepEqual(found('"web c'), ["Web Cache"]);
    assert.deepEqual(errors(":x"), [["field", ":"]]);
});

test("what is still being typed hides nothing", () => {
    for (const text of ["state:", "-", "-state:", '"', "label:", "kind:,"])
        assert.equal(found(text).length, ROWS.length, text);
});

test("any text makes a filter", () => {
    const signs = ['"', "-", ":", "*", " ", "a", "\\", "label:", "state:", "=", "\u202e", "("];
    for (let i = 0; i < 3000; i++) {
        let text = "";
        for (let n = i; n > 0; n = Math.floor(n / signs.length)) text += signs[n % signs.length];
        found(text);
    }
});

test("the switch of kinds keeps the other words", () => {
    assert.equal(withKind("web state:ok", "any"), "kind:any web state:ok");
    assert.equal(withKind("kind:service web", ""), "web");
    assert.equal(withKind("", "service"), "kind:service");
    assert.ok(namesKinds(parseFilter("kind:vm")));
    assert.ok(!namesKinds(parseFilter("-kind:vm web")));
});

test("the list is about containers, else services, else groups that hold no other", () => {
    const none = parseFilter("");
    const names = (rows: typeof ROWS, text = none) => {
        const { rows: shown, listing } = listed(rows, text);
        return [listing, ...shown.map((row) => row.name)];
    };
    const host = rowOf({ name: "host", key: "host", uid: 0, kind: "group", cgroup: "/" });
    const slice = rowOf({ name: "/system.slice", kind: "slice", cgroup: "/system.slice" });
    const outer = rowOf({ name: "/jobs", kind: "group", cgroup: "/jobs" });
    const inner = rowOf({ name: "/jobs/1", kind: "group", cgroup: "/jobs/1" });
    const hidden = rowOf({
        name: "inner.service",
        kind: "service",
        inside: "web",
        cgroup: "/docker/1/x",
    });
    const all = [host, slice, outer, inner, hidden, ...ROWS];
    assert.deepEqual(names(all), ["workloads", "web", "Web Cache", "db:main"]);
    assert.deepEqual(names([host, slice, outer, inner, ROWS[3] ?? host]), [
        "services",
        "ssh.service",
    ]);
    assert.deepEqual(names([host, slice, outer, inner]), ["groups", "/jobs/1"]);
    assert.deepEqual(names([host]), ["nothing"]);
    assert.equal(names(all, parseFilter("kind:any")).length, all.length);
});

test("a group's parent", () => {
    assert.equal(parentOf("/docker/4f2a"), "/docker");
    assert.equal(parentOf("/docker"), "/");
    assert.equal(parentOf("/"), "/");
});
