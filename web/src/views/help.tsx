// Keys, words for states, and definitions of all numbers.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.ts";
import { offeredKeys } from "../keys.ts";

export const helpOpen = signal(false);

export function HelpDialog() {
    const dialog = useRef<HTMLDialogElement>(null);
    const open = helpOpen.value;
    useEffect(() => {
        if (open) dialog.current?.showModal();
        else dialog.current?.close();
    }, [open]);
    return (
        <dialog ref={dialog} data-testid="help-dialog" onClose={() => (helpOpen.value = false)} aria-label={t("nav.help")}>
            {open && (
                <dl class="keys">
                    {offeredKeys().map((action) => (
                        <div key={action.shown}>
                            <dt>
                                <kbd>{action.shown}</kbd>
                            </dt>
                            <dd>{t(action.help)}</dd>
                        </div>
                    ))}
                </dl>
            )}
        </dialog>
    );
}
