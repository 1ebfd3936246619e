// The text filter of the list: words that must all hold. The language is that of `plimsoll top`.
//
//   web  "two words"  name:web     in the name
//   state:growing  image:nginx  pod:shop  runtime:docker   compose:shop  slice:...  path:...
//   kind:service  kind:any         what is listed at all
//   label:tier  label:tier=front   has the label; has it with this value
//   state:high,at-limit            one of these
//   -word  -state:ok               must not hold
//   web*front                      with *: the whole value, * stands for anything
import type { Row } from "./api/types.ts";
import { STATE_WORDS } from "./components/state.tsx";

export const FIELDS = [
    "name",
    "state",
    "label",
    "image",
    "pod",
    "runtime",
    "compose",
    "kind",
    "slice",
    "path",
] as const;
export type Field = (typeof FIELDS)[number];

export interface Term {
    field: Field;
    not: boolean;
    wants: readonly Want[]; // one of them is enough
}

interface Want {
    key: string; // of a label, in small letters; "" for other fields
    test(value: string): boolean;
}

export interface FilterError {
    code: "quote" | "field" | "value";
    what: string; // the part that is wrong
    known: readonly string[]; // what could stand there
}

export interface Filter {
    terms: readonly Term[];
    errors: readonly FilterError[];
}

interface Word {
    not: boolean;
    field: string | null; // before the colon
    value: string;
    quoted: boolean;
    open: boolean; // a quote was not closed
}

/** Words with few values: a value that none of them holds is told. */
const VALUES: Partial<Record<Field, readonly string[]>> = {
    state: STATE_WORDS,
    kind: [
        "any",
        "container",
        "vm",
        "pod",
        "service",
        "session",
        "group",
        "slice",
        "sandbox",
        "helper",
    ],
};

function readWord(text: string, from: number): [Word, number] {
    const word: Word = { not: false, field: null, value: "", quoted: false, open: false };
    let at = from;
    if (text[at] === "-") {
        word.not = true;
        at++;
    }
    for (; at < text.length; at++) {
        const char = text[at] ?? "";
        if (char === '"') {
            word.open = !word.open;
            word.quoted = true;
        } else if (!word.open && /\s/.test(char)) break;
        else if (!word.open && char === ":" && word.field === null && !word.quoted) {
            word.field = word.value;
            word.value = "";
        } else word.value += char;
    }
    return [word, at];
}

function wordsOf(text: string): Word[] {
    const words: Word[] = [];
    for (let at = 0; at < text.length;) {
        if (/\s/.test(text[at] ?? "")) at++;
        else {
            const [word, next] = readWord(text, at);
            words.push(word);
            at = next;
        }
    }
    return words;
}

function globTest(glob: string): (value: string) => boolean {
    const parts = glob.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    const whole = new RegExp(`^${parts.join("[^]*?")}$`);
    return (value) => whole.test(value);
}

/** Small letters in, small letters out. */
function testOf(text: string, exact: boolean): (value: string) => boolean {
    if (text.includes("*")) return globTest(text);
    return exact ? (value) => value === text : (value) => value.includes(text);
}

function labelWant(text: string): Want {
    const equals = text.indexOf("=");
    if (equals < 0) return { key: text, test: () => true };
    return { key: text.slice(0, equals), test: testOf(text.slice(equals + 1), true) };
}

function wantsOf(field: Field, word: Word): Want[] {
    const value = word.value.toLowerCase();
    if (field === "label") return [labelWant(value)];
    const several = VALUES[field] !== undefined && !word.quoted;
    const texts = several ? value.split(",").filter((text) => text !== "") : [value];
    return texts.map((text) => ({
        key: "",
        test: field === "kind" && text === "any" ? () => true : testOf(text, false),
    }));
}

function isField(text: string): text is Field {
    return (FIELDS as readonly string[]).includes(text);
}

/** Any text makes a filter. Parts that are wrong are told and left out. */
export function parseFilter(text: string): Filter {
    const terms: Term[] = [];
    const errors: FilterError[] = [];
    for (const word of wordsOf(text)) {
        const field = word.field?.toLowerCase() ?? "name";
        if (word.open) errors.push({ code: "quote", what: word.value, known: [] });
        if (!isField(field)) {
            errors.push({
                code: "field",
                what: `${word.field}:`,
                known: FIELDS.map((name) => `${name}:`),
            });
            continue;
        }
        const wants = word.value === "" ? [] : wantsOf(field, word);
        if (wants.length === 0) continue; // still being typed
        const known = VALUES[field];
        if (known && !wants.every((want) => known.some((value) => want.test(value)))) {
            errors.push({ code: "value", what: `${field}:${word.value}`, known });
            continue;
        }
        terms.push({ field, not: word.not, wants });
    }
    return { terms, errors };
}

function textOf(row: Row, field: Field): string {
    switch (field) {
        case "pod":
            return row.pod === null ? "" : `${row.namespace ?? ""}/${row.pod}`;
        case "slice":
            return parentOf(row.cgroup);
        case "path":
            return row.cgroup;
        case "label":
            return "";
        default:
            return row[field] ?? "";
    }
}

/** "/docker/4f2a" is in "/docker", "/docker" in "/". */
export function parentOf(cgroup: string): string {
    return cgroup.slice(0, Math.max(1, cgroup.lastIndexOf("/")));
}

function labelHolds(row: Row, want: Want): boolean {
    return Object.entries(row.labels ?? {}).some(
        ([key, value]) => key.toLowerCase() === want.key && want.test(value.toLowerCase()),
    );
}

function holds(row: Row, term: Term): boolean {
    if (term.field === "label") return term.wants.some((want) => labelHolds(row, want));
    const value = textOf(row, term.field).toLowerCase();
    return term.wants.some((want) => want.test(value));
}

export function matches(filter: Filter, row: Row): boolean {
    return filter.terms.every((term) => holds(row, term) !== term.not);
}

/** Whether it says itself which kinds are listed. */
export function namesKinds(filter: Filter): boolean {
    return filter.terms.some((term) => term.field === "kind" && !term.not);
}

/** The text without its kind: words, and with another one in their place: for the switch. */
export function withKind(text: string, kind: string): string {
    const rest = text.replace(/(^|\s)kind:\S*/gi, "").trim();
    return [kind === "" ? "" : `kind:${kind}`, rest].filter((part) => part !== "").join(" ");
}
