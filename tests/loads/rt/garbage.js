// garbage.js [MIB] [SIGNAL]: a server's life in short: MIB of objects made and let go, a little
// kept, then idle. "ready" is printed when there is nothing but garbage left.
// With a SIGNAL the program listens to it and counts; the count goes to stdout.
"use strict";

const size = Number(process.argv[2] ?? 150) * 1048576;
const heard = process.argv[3];
const kept = [];

function make(bytes) {
    const all = [];
    for (let made = 0; made < bytes; made += 1000) {
        all.push({ name: `row ${made}`, cells: new Array(100).fill(made + 0.5) });
    }
    kept.push(all[0]);
}

if (heard) {
    process.on(heard, () => console.log(`heard ${heard}`));
}
make(size);
setInterval(() => kept.length, 1000);
console.log("ready");
