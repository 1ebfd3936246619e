// The time zone in which every time is written.

/** "UTC+1", "UTC-3:30": as it is at that moment. */
export function zoneText(ms: number): string {
    const minutes = -new Date(ms).getTimezoneOffset();
    if (minutes === 0) return "UTC";
    const whole = Math.floor(Math.abs(minutes) / 60);
    const rest = Math.abs(minutes) % 60;
    return `UTC${minutes < 0 ? "-" : "+"}${whole}${rest === 0 ? "" : `:${String(rest).padStart(2, "0")}`}`;
}
