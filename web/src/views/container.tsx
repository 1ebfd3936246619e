// One target: who it is, what its memory is made of and costs it, what happened, who holds it.
import { computed, useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError, apiPath, get } from "../api/client.ts";
import type { Row, Targets } from "../api/types.ts";
import { ChartGroup } from "../charts/group.ts";
import { lastKnown, nearest } from "../charts/table.ts";
import { matches, parseFilter } from "../filter.ts";
import { EVENT_KINDS, eventText } from "../components/event.tsx";
import { moment, visible } from "../format.ts";
import { t } from "../i18n/index.ts";
import { offerKeys } from "../keys.ts";
import { about, now, shownName } from "../state/app.ts";
import { liveRows, pastRows } from "../state/rows.ts";
import { go, goLive, shownAt, view, zoomRange } from "../state/url.ts";
import { helpOpen } from "./help.tsx";
import { Composition } from "./container/composition.tsx";
import { Events } from "./container/events.tsx";
import { Head } from "./container/head.tsx";
import { findRow, History, type Cursor } from "./container/history.ts";
import { Lanes } from "./container/lanes.tsx";
import { PartList } from "./container/partlist.tsx";
import { Processes, type Told } from "./container/processes.tsx";
import { RangeBar } from "./container/range.tsx";
import { usePinInAddress } from "./container/pin.ts";
import { lastSeen } from "./container/moment.ts";
import { lastKill } from "./container/sentence.ts";
import { itemsOf } from "./overview/items.ts";
import { listed } from "./overview/listed.ts";
import { closedGroups, select } from "./overview/selection.ts";
import "./container.css";

/** Rows at once. */
const FAST = 20;

/** A row is there when one of these is known. */
const KNOWN_BY = ["usage", "cpu_us"];

function newGroup(history: History): ChartGroup {
    return new ChartGroup({
        span: history.range,
        marks: computed(() =>
            history.events.value.map((event) => ({
                kind: event.kind,
                at: event.at_ms,
                text: eventText(event),
            })),
        ),
        gravity: EVENT_KINDS,
        zoom: (from, to) => go({ from: String(from), to: String(to) }),
        zoomOut: () => zoomRange(2, now.peek()),
    });
}

/** As the overview lists them: its filter, order and groups. */
function neighboursOf(
    rows: readonly Row[],
    key: string,
): { before: Row | null; after: Row | null } {
    const filter = parseFilter(view.value.q);
    const shown = listed(rows, filter).rows.filter((row) => matches(filter, row));
    const list = itemsOf(shown, view.value, closedGroups.value).flatMap(({ row }) => row ?? []);
    const at = list.findIndex((row) => row.key === key);
    if (at < 0) return { before: null, after: list[0] ?? null };
    return { before: list[at - 1] ?? null, after: list[at + 1] ?? null };
}

function useContainerKeys(
    history: History,
    group: ChartGroup,
    neighbours: { before: Row | null; after: Row | null },
): void {
    useEffect(() => {
        const visit = (row: Row | null): void => {
            if (row) go({ key: row.key });
        };
        const leave = (): void => {
            if (helpOpen.value) helpOpen.value = false;
            else if (group.pinned.value !== null) group.pin(null);
            else go({ name: "overview", key: "" });
        };
        const step = (rows: number): void => group.step(history.table.peek().at, rows);
        return offerKeys([
            { keys: ["Escape"], shown: "Esc", help: "keys.leave", run: leave },
            { keys: ["j", "J"], shown: "j J", help: "keys.next", run: () => visit(neighbours.after) },
            { keys: ["k", "K"], shown: "k K", help: "keys.previous", run: () => visit(neighbours.before) },
            { keys: ["h"], shown: "h", help: "keys.earlier", run: () => step(-1) },
            { keys: ["l"], shown: "l", help: "keys.later", run: () => step(1) },
            { keys: ["H"], shown: "H", help: "keys.muchEarlier", run: () => step(-FAST) },
            { keys: ["L"], shown: "L", help: "keys.muchLater", run: () => step(FAST) },
        ]);
    }, [group, neighbours.before?.key, neighbours.after?.key]);
}

/** A target that is not there at the span's end: what it was when it was last seen. */
function useLastSeen(key: string, isWanted: boolean, lastMs: number | null): Row | null {
    const was = useSignal<Row | null>(null);
    useEffect(() => {
        if (!isWanted || lastMs === null) return undefined;
        const abort = new AbortController();
        get<Targets>(apiPath("api/v1/targets", { target: key, at: lastMs }), {
            signal: abort.signal,
        })
            .then(({ targets }) => (was.value = findRow(targets, key)))
            .catch((error: unknown) => {
                if (!(error instanceof ApiError) && !abort.signal.aborted) throw error;
            });
        return () => abort.abort();
    }, [key, isWanted, lastMs]);
    return isWanted ? was.value : null;
}

/** Why there is nothing to see, and what to do about it. */
function Trouble(props: { history: History; isEmpty: boolean }) {
    const { history } = props;
    const phase = history.phase.value;
    const oldest = about.value?.oldest_ms ?? null;
    const range = history.range.value;
    const longer = (
        <button type="button" onClick={() => go({ from: "-24h", to: "now" })}>
            {t("container.lastDay")}
        </button>
    );
    if (phase.name === "failed")
        return (
            <p class="card trouble" role="alert" data-testid="error">
                {t("container.failed", { error: visible(phase.text) })}{" "}
                <button type="button" onClick={() => history.retry()}>
                    {t("common.retry")}
                </button>
            </p>
        );
    if (phase.name === "unknown" && about.value?.history === false)
        return (
            <p class="card trouble" data-testid="empty">
                {t("container.off")}
            </p>
        );
    if (!props.isEmpty) return null;
    if (phase.name === "loading") return <p class="card trouble soft">{t("common.loading")}</p>;
    const text =
        oldest !== null && range.to_ms < oldest
            ? t("container.beforeOldest", { oldest: moment(oldest) })
            : t("container.empty", { from: moment(range.from_ms), to: moment(range.to_ms) });
    return (
        <p class="card trouble" data-testid="empty">
            {text} {longer}{" "}
            {!range.live && (
                <button type="button" onClick={goLive}>
                    {t("link.toLive")}
                </button>
            )}
        </p>
    );
}

function useTitle(name: string): void {
    useEffect(() => {
        shownName.value = name;
        return () => void (shownName.value = null);
    }, [name]);
}

export function Container() {
    const key = view.value.key;
    const history = useMemo(() => new History(key), [key]);
    const group = useMemo(() => newGroup(history), [history]);
    const told = useSignal<Told>({ pid: null, threads: null });
    useEffect(() => history.start(), [history]);
    useEffect(() => select(key), [key]); // the overview shows which one was left
    usePinInAddress(group);

    const range = history.range.value;
    const table = history.table.value;
    // Of the past only what is known of it: never the rows of now while those are on their way.
    const rows = shownAt.value === null ? liveRows.value : (pastRows.value ?? []);
    const row = findRow(rows, key);
    const last = lastKnown(table, KNOWN_BY);
    const lastMs = lastSeen(last === null ? null : (table.at[last] ?? null), history.events.value);
    const isWaiting =
        row === null &&
        (shownAt.value === null ? liveRows.value.length === 0 : pastRows.value === null);
    const was = useLastSeen(key, row === null && !isWaiting, lastMs);
    const cursor = useComputed<Cursor>(() => {
        const pointed = group.moment.value;
        const now = history.table.value;
        return pointed === null
            ? { row: lastKnown(now, KNOWN_BY), isLast: true }
            : { row: nearest(now.at, pointed), isLast: false };
    });
    const neighbours = neighboursOf(rows, key);
    const name = row?.name ?? was?.name ?? key;
    useContainerKeys(history, group, neighbours);
    useTitle(name);

    const charts = { history, group, cursor, target: name };
    const events = (
        <Events events={history.events.value} cut={history.eventsCut.value} group={group} />
    );
    const isEmpty = last === null;
    const isUnknown = row === null && isEmpty;
    const end = range.live ? null : range.to_ms;
    const at = group.pinned.value ?? (row ? end : (lastMs ?? end));
    return (
        <article class="container" data-testid="container" data-key={key}>
            <Head
                row={row}
                was={was}
                key_={key}
                isWaiting={isWaiting}
                at={range.live ? null : range.to_ms}
                pid={told.value.pid}
                threads={told.value.threads}
                kill={lastKill(history.events.value, range.to_ms)}
                neighbours={neighbours}
            />
            <RangeBar range={range} />
            <Trouble history={history} isEmpty={isEmpty} />
            {!isEmpty && (
                <div class="charts">
                    <Composition {...charts} row={range.live ? row : null} />
                    <div class="charts-side">
                        <PartList {...charts} row={range.live ? row : null} />
                        {events}
                    </div>
                    <Lanes {...charts} />
                </div>
            )}
            {isEmpty && !isUnknown && events}
            {!isUnknown && (
                <Processes
                    target={key}
                    at={at}
                    isPinned={group.pinned.value !== null}
                    onTold={(next) => (told.value = next)}
                />
            )}
        </article>
    );
}
