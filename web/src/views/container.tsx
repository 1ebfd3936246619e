import { allRows } from "../state/rows.ts";
import { view } from "../state/url.ts";

export function Container() {
    const row = allRows.value.find((one) => one.key === view.value.key);
    return <h1>{row?.name ?? view.value.key}</h1>;
}
