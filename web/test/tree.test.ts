import assert from "node:assert/strict";
import { test } from "node:test";
import type { Process } from "../src/api/types.ts";
import { branch, commandOf, sumOf, treeOf } from "../src/views/container/tree.ts";

function process(
    pid: number,
    ppid: number | null,
    res: number | null,
    command: string | null = null,
): Process {
    return {
        pid,
        ppid,
        res,
        command,
        comm: `c${pid}`,
        pss: null,
        uss: null,
        swap: null,
        fds: null,
        threads: 1,
    } as Process;
}

const LIST = [
    process(30, 10, 5),
    process(10, 1, 50),
    process(20, 10, 9),
    process(40, 20, null),
    process(50, 20, 2),
];

test("children are below their parents, sorted among brothers", () => {
    const rows = treeOf(LIST, "res", true);
    assert.deepEqual(
        rows.map(({ process: { pid }, depth }) => [pid, depth]),
        [
            [10, 0],
            [20, 1],
            [50, 2],
            [40, 2],
            [30, 1],
        ],
        "what is not known comes last",
    );
    assert.deepEqual(rows.map(branch), ["", "├─", "│ ├─", "│ └─", "└─"]);
    assert.equal(treeOf(LIST, "res", false)[1]?.process.pid, 30);
});

test("each process is there once, whatever its parents say", () => {
    const loop = [
        process(1, 2, 1),
        process(2, 1, 1),
        process(3, 3, 1),
        process(4, 99, 1),
        process(5, null, 1),
    ];
    const rows = treeOf(loop, "pid", false);
    assert.deepEqual(rows.map(({ process: { pid } }) => pid).sort(), [1, 2, 3, 4, 5]);
});

test("sums are of what is known; nothing known is no sum", () => {
    assert.equal(sumOf(LIST, "res"), 66);
    assert.equal(sumOf(LIST, "pss"), null);
    assert.equal(sumOf([], "res"), null);
});

test("a command that is not told is the short name", () => {
    assert.equal(commandOf(process(7, 1, 1)), "c7");
    assert.equal(commandOf(process(7, 1, 1, "/bin/x -y")), "/bin/x -y");
});
