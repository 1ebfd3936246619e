// A button that copies a text and says so; what cannot be copied is shown to be copied by hand.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../i18n/index.ts";
import { copyText } from "./copy.ts";

const SHOWN_MS = 2500;

export function CopyButton(props: {
    text: () => string;
    label: string;
    testid?: string;
    children: ComponentChildren;
}) {
    const told = useSignal<"no" | "copied" | "failed">("no");
    useEffect(() => {
        if (told.value !== "copied") return undefined;
        const timer = setTimeout(() => (told.value = "no"), SHOWN_MS);
        return () => clearTimeout(timer);
    }, [told.value]);
    const copy = async (): Promise<void> => {
        told.value = (await copyText(props.text())) ? "copied" : "failed";
    };
    return (
        <span class="copy">
            <button
                type="button"
                class="quiet"
                data-testid={props.testid}
                title={props.label}
                onClick={() => void copy()}
            >
                {props.children}
            </button>
            <span role="status" class={told.value === "copied" ? "copied" : ""}>
                {told.value === "copied" && `✓ ${t("chart.copied")}`}
            </span>
            {told.value === "failed" && (
                <input
                    class="by-hand"
                    readOnly
                    value={props.text()}
                    aria-label={props.label}
                    onFocus={(e) => e.currentTarget.select()}
                />
            )}
        </span>
    );
}
