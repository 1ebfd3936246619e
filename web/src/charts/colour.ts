// Colours of style.css for a canvas, which knows neither var() nor light-dark().

let probe: HTMLElement | null = null;

/** colour("--part-anon"): "rgb(0, 114, 178)", as of the theme now. */
export function colour(name: string): string {
    probe ??= document.body.appendChild(document.createElement("i"));
    probe.hidden = true;
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
}
