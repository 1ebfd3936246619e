// Asks the agent. Errors carry what to do next; a token that is asked for is kept for this tab only.
import { signal } from "@preact/signals";

const TOKEN_KEY = "plimsoll-token";

export class ApiError extends Error {
    readonly status: number; // 0: nobody answered

    constructor(status: number, text: string) {
        super(text);
        this.status = status;
    }
}

/** True while the agent wants a token that we do not have: the view asks for one. */
export const tokenWanted = signal(false);

function storage(): Storage | null {
    try {
        return globalThis.sessionStorage ?? null;
    } catch {
        return null; // switched off by the browser's settings
    }
}

/** What a header can carry. A token of other characters could not be sent at all. */
export function isToken(text: string): boolean {
    return /^[\x21-\x7e]+$/.test(text);
}

export function token(): string | null {
    const kept = storage()?.getItem(TOKEN_KEY) ?? null;
    return kept !== null && isToken(kept) ? kept : null;
}

export function setToken(value: string): void {
    storage()?.setItem(TOKEN_KEY, value);
    tokenWanted.value = false;
}

export function authHeaders(): Record<string, string> {
    const have = token();
    return have ? { Authorization: `Bearer ${have}` } : {};
}

export type Params = Record<string, string | number | readonly string[] | undefined>;

/** "api/v1/series?target=web&metric=used&metric=anon": undefined is left out. */
export function apiPath(name: string, params: Params = {}): string {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(params)) {
        if (value === undefined) continue;
        if (typeof value === "string" || typeof value === "number") query.append(key, String(value));
        else for (const one of value) query.append(key, one);
    }
    const text = query.toString();
    return name + (text ? `?${text}` : "");
}

/** In the agent's own words where it has some. */
export async function errorOf(response: Response): Promise<ApiError> {
    let text = `${response.status} ${response.statusText}`;
    try {
        const body = (await response.json()) as { error?: unknown };
        if (typeof body.error === "string") text = body.error;
    } catch {
        // not JSON: the status says it
    }
    if (response.status === 401) tokenWanted.value = true;
    return new ApiError(response.status, text);
}

/** Of an answer that is not in the 200s, also 503 with a body, unless `any` is set. */
export async function get<T>(path: string, options: { signal?: AbortSignal; any?: boolean } = {}): Promise<T> {
    const init: RequestInit = { headers: authHeaders(), cache: "no-store" };
    if (options.signal) init.signal = options.signal;
    let response: Response;
    try {
        response = await fetch(path, init);
    } catch (cause) {
        if (options.signal?.aborted) throw cause;
        throw new ApiError(0, "no answer");
    }
    if (!response.ok && !(options.any && response.status === 503)) throw await errorOf(response);
    return (await response.json()) as T;
}

/** The same request for a shell. */
export function asCurl(path: string): string {
    const url = new URL(path, location.href).href.replaceAll("'", "%27");
    const auth = token() ? ` -H "Authorization: Bearer $PLIMSOLL_TOKEN"` : "";
    return `curl -s${auth} '${url}'`;
}
