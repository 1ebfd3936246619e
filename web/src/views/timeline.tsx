// What happened across containers: a picture with a lane for each, and the list.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError } from "../api/client.ts";
import { loadEvents, type EventList } from "../api/events.ts";
import type { Event, Row } from "../api/types.ts";
import { EventSymbol, eventText, kindName, lookOf } from "../components/event.tsx";
import { matches, parseFilter } from "../filter.ts";
import { clock, moment, visible } from "../format.ts";
import { t } from "../i18n/index.ts";
import { about, freshEvents, now } from "../state/app.ts";
import { allRows } from "../state/rows.ts";
import { go, isSettled, linkTo, rangeOf, spanText, view, windowKey, type Range } from "../state/url.ts";
import { Presets } from "./container/range.tsx";
import { axisTicks, clusters, kindCounts, lanesOf, type Lane } from "./timeline/lanes.ts";
import "./timeline.css";

const LIMIT = 1000;
const LANES = 30;
const REFRESH_MS = 5000;
const DAY_MS = 86400e3;

interface Loaded extends EventList {
    error: string | null;
}

const NOTHING: EventList = { events: [], cut: false, from_ms: null };

/** Events of the window, again every few seconds while it ends now, and at once after a kill. */
function useEvents(): Loaded | null {
    const loaded = useSignal<Loaded | null>(null);
    const { from, to, hidden } = view.value;
    const fresh = freshEvents.value;
    const isReady = isSettled.value;
    useEffect(() => {
        if (!isReady) return undefined;
        const abort = new AbortController();
        const load = async (): Promise<void> => {
            const range = rangeOf({ from, to }, now.peek());
            const span = { from: range.from_ms, to: range.to_ms, limit: LIMIT };
            try {
                const list = await loadEvents(span, hiddenKinds(), abort.signal);
                loaded.value = { ...list, error: null };
            } catch (error) {
                if (abort.signal.aborted) return;
                const text = error instanceof ApiError ? error.message : String(error);
                loaded.value = { ...(loaded.value ?? NOTHING), error: text };
            }
        };
        void load();
        const timer = to === "now" ? setInterval(() => void load(), REFRESH_MS) : undefined;
        return () => {
            clearInterval(timer);
            abort.abort();
        };
    }, [windowKey({ from, to }), hidden, fresh, isReady]);
    return loaded.value;
}

/** The container's own view around the moment. */
function around(event: Event, range: Range): string {
    const half = Math.min(15 * 60e3, (range.to_ms - range.from_ms) / 2);
    const to = event.at_ms + half / 3;
    const end = to >= now.peek() ? "now" : String(Math.round(to));
    return linkTo({ name: "container", key: event.key ?? "", from: `-${spanText(Math.round(half / 500) * 1000)}`, to: end });
}

/** "OOM kill × 2, restart": what a mark stands for. */
function kindsText(events: readonly Event[]): string {
    const counts = new Map<string, number>();
    for (const event of events) counts.set(event.kind, (counts.get(event.kind) ?? 0) + 1);
    return [...counts].map(([kind, n]) => kindName(kind) + (n > 1 ? ` × ${n}` : "")).join(", ");
}

function Mark(props: { place: number; events: readonly Event[]; range: Range }) {
    const [event] = props.events;
    if (!event) return null;
    const same = props.events.filter((one) => one.kind === event.kind).length;
    const label = `${moment(event.at_ms)} ${visible(event.name ?? "")}: ${kindsText(props.events)}. ${eventText(event)}`;
    return (
        <a
            class={`lane-mark event-${lookOf(event.kind).severity}`}
            style={{ left: `${props.place * 100}%` }}
            href={around(event, props.range)}
            title={label}
            aria-label={label}
        >
            <EventSymbol kind={event.kind} />
            {same > 1 && <sub>{same}</sub>}
        </a>
    );
}

/** Marks are some 20 pixels wide. */
function apart(): number {
    return 20 / Math.max(200, Math.min(innerWidth, 1600) - (innerWidth > 560 ? 280 : 180));
}

function LaneRow(props: { lane: Lane; range: Range }) {
    const { lane, range } = props;
    return (
        <li class="lane">
            <a class="lane-name" href={linkTo({ name: "container", key: lane.key })} title={visible(lane.name)}>
                <bdi>{visible(lane.name)}</bdi>
            </a>
            <div class="lane-track">
                {clusters(lane.events, range.from_ms, range.to_ms, apart()).map(([place, events]) => (
                    <Mark key={`${events[0]?.at_ms}-${events[0]?.kind}`} place={place} events={events} range={range} />
                ))}
            </div>
        </li>
    );
}

function Axis(props: { range: Range }) {
    const { from_ms, to_ms } = props.range;
    const long = to_ms - from_ms > 2 * DAY_MS;
    return (
        <div class="lane lane-axis" aria-hidden="true">
            <span class="lane-name" />
            <div class="lane-track">
                {axisTicks(from_ms, to_ms, 6).map((at) => (
                    <span key={at} class="tick" style={{ left: `${((at - from_ms) / (to_ms - from_ms)) * 100}%` }}>
                        {long ? moment(at).slice(5, 16) : clock(at).slice(0, to_ms - from_ms < 600e3 ? 8 : 5)}
                    </span>
                ))}
            </div>
        </div>
    );
}

function Picture(props: { events: readonly Event[]; range: Range }) {
    const lanes = useMemo(() => lanesOf(props.events), [props.events]);
    return (
        <section class="card" aria-label={t("timeline.picture", { n: props.events.length, m: lanes.length })}>
            <ol class="lanes">
                {lanes.slice(0, LANES).map((lane) => (
                    <LaneRow key={lane.key} lane={lane} range={props.range} />
                ))}
            </ol>
            <Axis range={props.range} />
            {lanes.length > LANES && <p class="soft">{t("timeline.more", { n: lanes.length - LANES })}</p>}
        </section>
    );
}

function List(props: { events: readonly Event[]; range: Range }) {
    return (
        <div class="card events-list">
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t("timeline.when")}</th>
                        <th scope="col">{t("timeline.what")}</th>
                        <th scope="col">{t("timeline.who")}</th>
                        <th scope="col">{t("timeline.details")}</th>
                    </tr>
                </thead>
                <tbody>
                    {props.events.map((event) => (
                        <tr
                            key={`${event.at_ms}-${event.kind}-${event.key}`}
                            data-testid="event"
                            data-kind={event.kind}
                            data-at={event.at_ms}
                            data-name={event.name}
                        >
                            <td class="when" title={moment(event.at_ms)}>
                                {props.range.to_ms - props.range.from_ms > DAY_MS ? moment(event.at_ms) : clock(event.at_ms)}
                            </td>
                            <td class="what">
                                <EventSymbol kind={event.kind} /> {kindName(event.kind)}
                            </td>
                            <td>
                                {event.key ? (
                                    <a href={around(event, props.range)}>
                                        <bdi>{visible(event.name ?? event.key)}</bdi>
                                    </a>
                                ) : (
                                    t("timeline.unknown")
                                )}
                            </td>
                            <td>{eventText(event)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function hiddenKinds(): Set<string> {
    return new Set(view.value.hidden.split(",").filter((kind) => kind !== ""));
}

function toggleKind(kind: string): void {
    const hidden = hiddenKinds();
    if (!hidden.delete(kind)) hidden.add(kind);
    go({ hidden: [...hidden].join(",") }, true);
}

function Kinds(props: { events: readonly Event[] }) {
    const hidden = hiddenKinds();
    return (
        <fieldset class="kinds">
            <legend class="visually-hidden">{t("timeline.kinds")}</legend>
            {kindCounts(props.events).map(([kind, n]) => (
                <label key={kind}>
                    <input
                        type="checkbox"
                        data-testid={`kind-${kind}`}
                        checked={!hidden.has(kind)}
                        onChange={() => toggleKind(kind)}
                    />{" "}
                    <EventSymbol kind={kind} /> {kindName(kind)} <span class="soft">{n}</span>
                </label>
            ))}
        </fieldset>
    );
}

function Empty(props: { hidden: boolean }) {
    const oldest = about.value?.oldest_ms;
    return (
        <div class="card" data-testid="empty">
            <p>{t(props.hidden ? "timeline.hidden" : "timeline.empty")}</p>
            {!props.hidden && (
                <p class="soft">{t("timeline.emptyText", { oldest: oldest ? moment(oldest) : t("timeline.unknown") })}</p>
            )}
        </div>
    );
}

/** The filter of the list, over what is known of the event's container; of one that is gone only its
 * name is. */
function filtered(events: readonly Event[], q: string, rows: readonly Row[]): readonly Event[] {
    const filter = parseFilter(q);
    const byKey = new Map(rows.map((row) => [row.key, row]));
    return events.filter((event) => {
        const name = event.name ?? event.key ?? "";
        return matches(filter, byKey.get(event.key ?? "") ?? ({ name, cgroup: "", labels: {}, pod: null } as unknown as Row));
    });
}

export function Timeline() {
    const loaded = useEvents();
    const { from, to, q, hidden: hiddenText } = view.value;
    const range = rangeOf({ from, to }, now.value);
    const events = loaded?.events;
    // Rows are looked at when events or the filter change, not at each tick.
    const found = useMemo(() => filtered(events ?? [], q, allRows.peek()), [events, q]);
    const shown = useMemo(() => {
        const hidden = hiddenKinds();
        return found.filter((event) => !hidden.has(event.kind));
    }, [found, hiddenText]);
    return (
        <div class="timeline" data-testid="timeline">
            <h1>{t("timeline.title")}</h1>
            <p class="soft">{t("timeline.text", { from: moment(range.from_ms), to: moment(range.to_ms) })}</p>
            <div class="toolbar">
                <input
                    type="search"
                    aria-label={t("timeline.filter")}
                    placeholder={t("timeline.filter")}
                    data-testid="filter"
                    value={q}
                    onInput={(event) => go({ q: event.currentTarget.value }, true)}
                />
                <Presets range={range} />
                <Kinds events={found} />
            </div>
            {loaded?.error && <p class="error" role="alert" data-testid="error">{t("timeline.error", { error: loaded.error })}</p>}
            {!loaded ? (
                <p class="soft">{t("common.loading")}</p>
            ) : shown.length === 0 ? (
                <Empty hidden={found.length > 0} />
            ) : (
                <>
                    <Picture events={shown} range={range} />
                    {loaded.cut && (
                        <p class="soft" data-testid="cut">
                            {t("timeline.cut", { from: loaded.from_ms === null ? t("timeline.unknown") : moment(loaded.from_ms) })}
                        </p>
                    )}
                    <List events={shown} range={range} />
                </>
            )}
        </div>
    );
}
