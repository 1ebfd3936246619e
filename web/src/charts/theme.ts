// Tells when colours have changed: whoever draws on a canvas draws again.
import { signal } from "@preact/signals";

export const themeVersion = signal(0);

function changed(): void {
    themeVersion.value++;
}

if (globalThis.document) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    new MutationObserver(changed).observe(document.documentElement, {
        attributes: true,
        attributeFilter: ["data-theme"],
    });
}
