// classes.js: known numbers of objects of known classes, some Buffers, and garbage on request.
// "ready" is printed when they are there. On SIGUSR2 the program asks V8 itself, by an inspector
// session of its own, and prints what that counts, as one line of JSON.
"use strict";

const inspector = require("node:inspector");

class Apple {
    constructor(weight) {
        this.weight = weight;
    }
}

class Pear {
    constructor(weight) {
        this.juice = Buffer.alloc(20000, weight);
    }
}

const KEPT = { apples: 60000, pears: 500, maps: 3000, rows: 20000 };
globalThis.Apple = Apple;
globalThis.Pear = Pear;
globalThis.kept = {
    apples: Array.from({ length: KEPT.apples }, (_, i) => new Apple(i)),
    pears: Array.from({ length: KEPT.pears }, (_, i) => new Pear(i % 256)),
    maps: Array.from({ length: KEPT.maps }, () => new Map()),
    rows: Array.from({ length: KEPT.rows }, (_, i) => [i]),
};

function ask(session, method, params) {
    let answer;
    session.post(method, params, (error, result) => {
        if (error) {
            throw error;
        }
        answer = result;
    });
    return answer;
}

function countOf(session, name) {
    const prototype = ask(session, "Runtime.evaluate", { expression: `${name}.prototype` });
    const found = ask(session, "Runtime.queryObjects", {
        prototypeObjectId: prototype.result.objectId,
    });
    const length = ask(session, "Runtime.callFunctionOn", {
        objectId: found.objects.objectId,
        functionDeclaration: "function() { return this.length; }",
        returnByValue: true,
    });
    ask(session, "Runtime.releaseObject", { objectId: found.objects.objectId });
    return length.result.value;
}

process.on("SIGUSR2", () => {
    const session = new inspector.Session();
    session.connect();
    const said = { usage: ask(session, "Runtime.getHeapUsage"), memory: process.memoryUsage() };
    for (const name of ["Apple", "Pear", "Map", "Array", "Buffer", "Function"]) {
        said[name] = countOf(session, name);
    }
    session.disconnect();
    console.log(JSON.stringify(said));
});

function makeGarbage() {
    const all = [];
    for (let i = 0; i < 500; i++) {
        all.push({ name: `row ${i}` });
    }
    globalThis.latest = all;
}

setInterval(makeGarbage, 50);
console.log("ready");
