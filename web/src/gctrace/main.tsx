// The page of `plimsoll gctrace --listen`: one stream, shown as it comes. When the program has ended
// nobody is asked any more.
import { computed, effect, signal } from "@preact/signals";
import { render } from "preact";
import { tokenWanted } from "../api/client.ts";
import { Stream, type Link } from "../api/stream.ts";
import "../style.css";
import { applied, type Message, type State } from "./state.ts";
import "./gctrace.css";
import { chinese } from "./text.ts";
import { Page } from "./view.tsx";

const state = signal<State | null>(null);
const link = signal<Link>("connecting");
const isOver = computed(() => state.value?.state === "ended");

const stream = new Stream("api/v1/stream", {
    event(name, data) {
        link.value = "live";
        if (name === "gctrace") state.value = applied(state.value, data as Message);
        if (isOver.value) stream.close();
    },
    link(now) {
        link.value = now;
    },
});

effect(() => {
    document.documentElement.lang = chinese.value ? "zh" : "en";
});

function App() {
    return (
        <Page state={state.value} link={link.value} wantsToken={tokenWanted.value} retry={() => stream.hurry()} />
    );
}

const root = document.getElementById("app");
if (root) render(<App />, root);
