/** scene.py as an object: the machine that the page shows, changed from within a test. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("scene.py", import.meta.url));

export class Scene {
    constructor(child) {
        this.child = child;
        this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        this.queue = Promise.resolve();
    }

    /** Answers with { scene } or { skip: REASON }. */
    static async start(binary) {
        const child = spawn("/usr/bin/python3", [SCRIPT, "--binary", binary],
            { stdio: ["pipe", "pipe", "inherit"] });
        const scene = new Scene(child);
        const first = await scene.next();
        if (first.error) {
            throw new Error(`the scene: ${first.error}`);
        }
        Object.assign(scene, first);
        return first.skip ? { skip: first.skip } : { scene };
    }

    async next() {
        const { value, done } = await this.lines.next();
        if (done) {
            throw new Error("the scene has ended");
        }
        return JSON.parse(value);
    }

    /** One at a time. */
    do(word, more = {}) {
        const asked = this.queue.then(async () => {
            this.child.stdin.write(`${JSON.stringify({ do: word, ...more })}\n`);
            const { value, error } = await this.next();
            if (error) {
                throw new Error(`the scene, ${word}: ${error}`);
            }
            return value;
        });
        this.queue = asked.catch(() => undefined);
        return asked;
    }

    /** What the agent answers, without the page. */
    async api(path) {
        const answer = await fetch(new URL(path, this.url));
        if (!answer.ok) {
            throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
        }
        return answer.json();
    }

    async close() {
        const ended = new Promise((done) => this.child.once("exit", done));
        this.child.stdin.end();
        await ended;
    }
}
