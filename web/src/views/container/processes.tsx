// The processes at the pinned moment or the span's end, as a tree.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, apiPath, asCurl, get } from "../../api/client.ts";
import type { Process, Processes as Answer } from "../../api/types.ts";
import { CopyButton } from "../../charts/copybutton.tsx";
import { bytes, count, exactBytes, moment, visible } from "../../format.ts";
import { t, type TextKey } from "../../i18n/index.ts";
import { about } from "../../state/app.ts";
import { go, view } from "../../state/url.ts";
import {
    branch,
    commandOf,
    orderOf,
    orderText,
    sumOf,
    treeOf,
    type Order,
    type SortKey,
    type TreeRow,
} from "./tree.ts";

const REFRESH_MS = 5000;
const SETTLE_MS = 150;

interface ColumnInfo {
    key: Exclude<SortKey, "command">;
    title: TextKey;
    help: TextKey;
    text: (process: Process) => string;
    exact?: (process: Process) => string;
}

const size = (key: "res" | "swap") => ({
    text: (process: Process) => bytes(process[key]),
    exact: (process: Process) => exactBytes(process[key]),
});

/** PSS and USS that were estimated have a tilde, as in `plimsoll ps`. */
const shared = (key: "pss" | "uss") => ({
    text: (process: Process) =>
        (process[key] !== null && process.pss_estimated ? "~" : "") + bytes(process[key]),
    exact: (process: Process) => exactBytes(process[key]),
});

const COLUMNS: readonly ColumnInfo[] = [
    { key: "pid", title: "proc.pid", help: "proc.pidHelp", text: ({ pid }) => String(pid) },
    { key: "res", title: "proc.res", help: "proc.resHelp", ...size("res") },
    { key: "pss", title: "proc.pss", help: "proc.pssHelp", ...shared("pss") },
    { key: "uss", title: "proc.uss", help: "proc.ussHelp", ...shared("uss") },
    { key: "swap", title: "proc.swap", help: "proc.swapHelp", ...size("swap") },
    { key: "fds", title: "proc.fds", help: "proc.fdsHelp", text: ({ fds }) => count(fds) },
    {
        key: "threads",
        title: "proc.threads",
        help: "proc.threadsHelp",
        text: ({ threads }) => count(threads),
    },
];

function Heads(props: { sort: Order; onSort: (sort: Order) => void }) {
    const { sort, onSort } = props;
    const head = (key: SortKey, title: TextKey, help: TextKey, isNumber: boolean) => {
        const isSorted = sort.key === key;
        const order = isSorted ? (sort.desc ? "descending" : "ascending") : undefined;
        return (
            <th
                key={key}
                scope="col"
                class={isNumber ? "num" : ""}
                aria-sort={order}
                title={t(help)}
            >
                <button
                    type="button"
                    class="quiet"
                    onClick={() =>
                        onSort({ key, desc: isSorted ? !sort.desc : isNumber && key !== "pid" })
                    }
                >
                    {t(title)}{" "}
                    <span aria-hidden="true">{isSorted ? (sort.desc ? "▼" : "▲") : ""}</span>
                </button>
            </th>
        );
    };
    return (
        <tr>
            {COLUMNS.map(({ key, title, help }) => head(key, title, help, true))}
            {head("command", "proc.command", "proc.commandHelp", false)}
        </tr>
    );
}

function ProcessRow(props: { row: TreeRow }) {
    const { row } = props;
    const { process } = row;
    return (
        <tr data-testid="process" data-pid={process.pid}>
            {COLUMNS.map(({ key, text, exact }) => (
                <td key={key} class="num" title={exact?.(process)}>
                    {text(process)}
                </td>
            ))}
            <td class="command" title={visible(commandOf(process))}>
                <span class="branch" aria-hidden="true">
                    {branch(row)}
                </span>
                <bdi>{visible(commandOf(process))}</bdi>
            </td>
        </tr>
    );
}

function SumLine(props: { processes: readonly Process[] }) {
    const sum = (key: "res" | "pss" | "uss" | "swap") => {
        const value = sumOf(props.processes, key);
        return (
            <td class="num" title={exactBytes(value)}>
                {bytes(value)}
            </td>
        );
    };
    return (
        <tr class="sum" data-testid="process-sum">
            <th scope="row" class="num">
                {t("proc.sum")}
            </th>
            {sum("res")}
            {sum("pss")}
            {sum("uss")}
            {sum("swap")}
            <td class="num">{count(sumOf(props.processes, "fds"))}</td>
            <td class="num">{count(sumOf(props.processes, "threads"))}</td>
            <td class="command soft">{t("proc.sumNote")}</td>
        </tr>
    );
}

/** What was last told; of another target or moment never. */
type State = { answer: Answer } | { error: string; status: number } | null;

/** What the rest of the view wants of the processes. */
export interface Told {
    pid: number | null; // of the largest
    threads: number | null; // of all of them, when all are listed
}

function toldOf({ processes, total }: Answer): Told {
    const largest = [...processes].sort((a, b) => (b.res ?? 0) - (a.res ?? 0))[0];
    const isWhole = total === null || total === processes.length;
    const isKnown = isWhole && processes.every(({ threads }) => threads !== null);
    return { pid: largest?.pid ?? null, threads: isKnown ? sumOf(processes, "threads") : null };
}

function useProcesses(
    target: string,
    at: number | null,
    onTold: (told: Told) => void,
): State {
    const state = useSignal<State>(null);
    useEffect(() => {
        const abort = new AbortController();
        const load = async (): Promise<void> => {
            if (document.hidden) return;
            try {
                const path = apiPath("api/v1/processes", {
                    target,
                    at: at === null ? undefined : Math.round(at),
                });
                const answer = await get<Answer>(path, { signal: abort.signal });
                state.value = { answer };
                onTold(toldOf(answer));
            } catch (error) {
                if (abort.signal.aborted) return;
                onTold({ pid: null, threads: null });
                const status = error instanceof ApiError ? error.status : 0;
                const text = error instanceof ApiError ? error.message : String(error);
                state.value = { error: text, status };
            }
        };
        const settled = setTimeout(() => void load(), state.peek() === null ? 0 : SETTLE_MS);
        const timer = at === null ? setInterval(() => void load(), REFRESH_MS) : undefined;
        return () => {
            abort.abort();
            clearTimeout(settled);
            clearInterval(timer);
        };
    }, [target, at]);
    return state.value;
}

function Caption(props: { answer: Answer | null; isPinned: boolean }) {
    const at = props.answer?.at_ms ?? null;
    return (
        <p class="soft">
            {at !== null && t("proc.at", { moment: moment(at) })}{" "}
            {!props.isPinned && t("proc.pinHint")}
        </p>
    );
}

/** `at`: null is now. */
export function Processes(props: {
    target: string;
    at: number | null;
    isPinned: boolean;
    onTold: (told: Told) => void;
}) {
    const state = useProcesses(props.target, props.at, props.onTold);
    const sort = orderOf(view.value.procs);
    const answer = state && "answer" in state ? state.answer : null;
    const list = answer?.processes ?? [];
    const error = state && "error" in state ? state : null;
    const isNoneThen =
        props.at !== null && (error?.status === 404 || (answer !== null && list.length === 0));
    const missing = (answer?.total ?? list.length) - list.length;
    const path = apiPath("api/v1/processes", {
        target: props.target,
        at: props.at === null ? undefined : Math.round(props.at),
    });
    return (
        <section class="card" data-testid="processes-card" aria-labelledby="heading-processes">
            <div class="card-head">
                <h2 id="heading-processes">
                    {t("proc.title")} <span class="soft">{answer?.total ?? ""}</span>
                </h2>
                <Caption answer={answer} isPinned={props.isPinned} />
                <CopyButton text={() => asCurl(path)} label={t("chart.curlHelp")}>
                    curl
                </CopyButton>
            </div>
            {isNoneThen && props.at !== null && (
                <p class="soft" data-testid="processes-none">
                    {t("proc.noneThen", { moment: moment(props.at) })}
                </p>
            )}
            {error && !isNoneThen && (
                <p class="soft">{t("proc.error", { error: visible(error.error) })}</p>
            )}
            {answer && list.length === 0 && !isNoneThen && <p class="soft">{t("proc.none")}</p>}
            {list.length > 0 && (
                <div class="scroll" role="region" aria-label={t("proc.tree")} tabIndex={0}>
                    <table class="processes" data-testid="processes">
                        <thead>
                            <Heads
                                sort={sort}
                                onSort={(next) => go({ procs: orderText(next) }, true)}
                            />
                        </thead>
                        <tbody>
                            {treeOf(list, sort.key, sort.desc).map((row) => (
                                <ProcessRow key={row.process.pid} row={row} />
                            ))}
                        </tbody>
                        <tfoot>
                            <SumLine processes={list} />
                        </tfoot>
                    </table>
                </div>
            )}
            {missing > 0 && (
                <p class="soft">
                    {t("proc.missing", { listed: list.length, total: answer?.total ?? 0 })}
                </p>
            )}
            {about.value?.commands === false && <p class="soft">{t("proc.noCommands")}</p>}
        </section>
    );
}
