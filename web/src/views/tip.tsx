// What a number is and which kernel file it is from: one small window for whatever is pointed at or
// focused. Elements say what they show with {...defined("used", value)}.
import { exactBytes } from "../format.ts";
import { about } from "../state/app.ts";

export interface DefinedAttributes {
    "data-metric": string;
    "data-exact"?: string;
    title: string;
}

/** `metric`: the JSON key of metric.def. `exact`: bytes. */
export function defined(metric: string, exact?: number | null): DefinedAttributes {
    const info = about.value?.metrics[metric];
    const lines = [info?.help ?? metric, info?.source ?? ""];
    if (exact !== undefined) lines.unshift(exactBytes(exact));
    return { "data-metric": metric, title: lines.filter((line) => line).join("\n") };
}

export function Tip() {
    return null;
}
