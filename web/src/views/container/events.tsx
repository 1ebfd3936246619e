// What happened in the shown span, as a list: each leads to its moment on the charts.
import type { Event } from "../../api/types.ts";
import type { ChartGroup } from "../../charts/group.ts";
import { EventSymbol, eventText, kindName } from "../../components/event.tsx";
import { clock, moment } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { now } from "../../state/app.ts";

const MOST_SHOWN = 100;

function isToday(ms: number): boolean {
    return moment(ms).slice(0, 10) === moment(now.peek()).slice(0, 10);
}

export function Events(props: { events: readonly Event[]; cut: boolean; group: ChartGroup }) {
    const { events, group } = props;
    return (
        <section class="card" data-testid="events" aria-labelledby="heading-events">
            <h2 id="heading-events">
                {t("events.title")}{" "}
                <span class="soft">
                    {events.length > 0 ? `${events.length}${props.cut ? "+" : ""}` : ""}
                </span>
            </h2>
            {events.length === 0 && <p class="soft">{t("events.none")}</p>}
            <ol class="event-list">
                {events.slice(0, MOST_SHOWN).map((event) => (
                    <li
                        key={`${event.kind}${event.at_ms}`}
                        data-testid="event"
                        data-kind={event.kind}
                        data-at={event.at_ms}
                    >
                        <button
                            type="button"
                            class="quiet"
                            aria-pressed={group.pinned.value === event.at_ms}
                            title={`${moment(event.at_ms)}: ${t("events.show")}`}
                            onClick={() => group.pin(event.at_ms)}
                        >
                            {isToday(event.at_ms)
                                ? clock(event.at_ms)
                                : moment(event.at_ms).slice(5)}
                        </button>
                        <EventSymbol kind={event.kind} />
                        <span class="what">
                            <b>{kindName(event.kind)}</b> {eventText(event)}
                        </span>
                    </li>
                ))}
            </ol>
            {props.cut && <p class="soft">{t("events.cut")}</p>}
            {events.length > MOST_SHOWN && (
                <p class="soft">{t("events.more", { n: events.length - MOST_SHOWN })}</p>
            )}
        </section>
    );
}
