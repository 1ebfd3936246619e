// What <input type=datetime-local> holds, in local time.
import { moment } from "../../format.ts";

export function inputText(ms: number): string {
    return moment(ms).replace(" ", "T");
}

export function inputTime(text: string): number | null {
    const ms = new Date(text).getTime();
    return text === "" || Number.isNaN(ms) ? null : ms;
}
