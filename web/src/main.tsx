import { Component, render } from "preact";
import { listenToKeys } from "./keys.ts";
import { start } from "./state/app.ts";
import { followAddress } from "./state/url.ts";
import { App } from "./views/app.tsx";
import "./style.css";

// With signals' own shouldComponentUpdate a line that is kept holds on to the vnodes it was made by, these
// by their parents to all before them, and so every table a view has ever shown stays in memory.
// Without it whoever's parent is drawn is drawn; where that costs much a component compares by itself.
Reflect.deleteProperty(Component.prototype, "shouldComponentUpdate");

const root = document.getElementById("app");
if (root) {
    followAddress();
    listenToKeys();
    start();
    render(<App />, root);
}
