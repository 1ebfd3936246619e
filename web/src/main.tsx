import { render } from "preact";
import { listenToKeys } from "./keys.ts";
import { start } from "./state/app.ts";
import { followAddress } from "./state/url.ts";
import { App } from "./views/app.tsx";
import "./style.css";

const root = document.getElementById("app");
if (root) {
    followAddress();
    listenToKeys();
    start();
    render(<App />, root);
}
